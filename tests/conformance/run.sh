#!/usr/bin/env bash
# Checks events of the corpus and of a simulated fleet, in all formats, against the definitions of the formats.
# usage: run.sh [FOLDER]      FOLDER has wulog-processor and wulog-fleet; target/release if it is not given
set -euo pipefail
cd "$(dirname "$0")/../.."

here=tests/conformance
bin=${1:-target/release}
cache=target/conformance
out=$cache/out

# The packages stay in target/ until their list changes.
if ! cmp -s "$here/requirements.txt" "$cache/requirements.txt"; then
  rm -rf "$cache/venv" && mkdir -p "$cache"
  python3 -m venv "$cache/venv"
  "$cache/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$here/requirements.txt"
  "$cache/venv/bin/pip" --quiet check --disable-pip-version-check
  cp "$here/requirements.txt" "$cache/requirements.txt"
fi
# -B, so that no compiled files appear among the sources.
python() { "$cache/venv/bin/python" -B "$@"; }

python "$here/self_test.py"
python "$here/powershell.py" deploy/windows/certificates.ps1

rm -rf "$out" && mkdir -p "$out"
"$bin/wulog-fleet" --out "$out/fleet" --hosts 40 --days 3 --outbreak 24 --inventories 60 --root-cause former > /dev/null
wrong=0
for format in ecs ocsf otlp hec; do
  "$bin/wulog-processor" parse --format "$format" tests/corpus/*/in.log > "$out/corpus.$format.jsonl"
  "$bin/wulog-processor" replay --logs "$out/fleet" --format "$format" \
    --events-out "$out/fleet.$format.jsonl" --alerts-out "$out/alerts.$format.jsonl"
  # The format of events changes no alert.
  cmp "$out/alerts.ecs.jsonl" "$out/alerts.$format.jsonl"
  # Check the other formats too, so that one run shows all errors.
  python "$here/check.py" "$format" "$out/corpus.$format.jsonl" "$out/fleet.$format.jsonl" || wrong=1
done
exit "$wrong"
