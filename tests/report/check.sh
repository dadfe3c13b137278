#!/usr/bin/env bash
# The files of a post-mortem report in the programs that people open them with: Timesketch's reader of uploads for
# timeline.jsonl, LibreOffice for hosts.csv, a printing browser for report.html. The script needs Python 3.11 with
# `venv`, PyPI, and Debian's `chromium`, `poppler-utils` and `libreoffice-calc`; with CI=true all of them must be there.
# usage: check.sh [FOLDER]      FOLDER has wulog-processor and wulog-fleet; target/release if it is not given
set -euo pipefail
cd "$(dirname "$0")/../.."

here=tests/report
cache=target/report
bin=${1:-target/release}

skip() {
  if [ "${CI:-}" = true ]; then
    echo "report: $1, and CI=true" >&2
    exit 1
  fi
  printf '\n*** report: SKIPPED: %s. %s\n' "$1" "$2" >&2
}

[ -x "$bin/wulog-processor" ] && [ -x "$bin/wulog-fleet" ] || cargo build --release --workspace --bins

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A fleet with an outbreak. The logs of a stricken host appear again under names with umlauts, and under names that a
# spreadsheet could take for a formula.
"$bin/wulog-fleet" --out "$work/logs" --hosts 60 --days 4 --outbreak 56 --inventories 60 --root-cause former > /dev/null
failing='failed postprocessing.*(800b0109|800b0004|8024b303)'
stricken=$(grep -rliE "$failing" "$work/logs" | sort | sed -n 1p)
[ -n "$stricken" ] || { echo 'report: no host of the simulated fleet fails' >&2; exit 1; }
names=('büro-österreich-ß' '=1+1' '+1+1' '-1+1' '@sum(a1:a9)' $'\t=2+2' ' =3+3')
for name in "${names[@]}"; do
  mkdir "$work/logs/$name"
  cp "$stricken" "$work/logs/$name/"
done

"$bin/wulog-processor" replay --logs "$work/logs" --alerts-out "$work/alerts.jsonl" 2> "$work/stderr" \
  || { cat "$work/stderr" >&2; exit 1; }
id=$(python3 -c 'import json, sys; print(json.loads(sys.stdin.readline())["id"])' < "$work/alerts.jsonl")
report() {
  "$bin/wulog-processor" report "$id" --logs "$work/logs" --out "$work/$1" --lang "$1" --zone "$2" > "$work/stdout" \
    2> "$work/stderr" || { cat "$work/stderr" >&2; exit 1; }
}
report en UTC
report de Europe/Berlin

# The packages and Timesketch's source stay in target/ until their lists change.
if python3 -c 'import ensurepip' 2> /dev/null; then
  if ! cat "$here/requirements.txt" "$here/timesketch.txt" | cmp -s - "$cache/installed"; then
    rm -rf "$cache/venv" "$cache/timesketch" && mkdir -p "$cache/timesketch"
    python3 -m venv "$cache/venv"
    pip() { "$cache/venv/bin/pip" --quiet --disable-pip-version-check "$@"; }
    pip install --no-deps -r "$here/requirements.txt"
    pip check > /dev/null
    pip download --no-deps --no-binary timesketch --require-hashes -d "$work/sdist" -r "$here/timesketch.txt"
    tar xzf "$work"/sdist/timesketch-*.tar.gz -C "$cache/timesketch" --strip-components 1 --wildcards \
      'timesketch-*/timesketch/__init__.py' 'timesketch-*/timesketch/lib/__init__.py' \
      'timesketch-*/timesketch/lib/errors.py' 'timesketch-*/timesketch/lib/utils.py'
    cat "$here/requirements.txt" "$here/timesketch.txt" > "$cache/installed"
  fi
  PYTHONPATH="$cache/timesketch" "$cache/venv/bin/python" -B "$here/timeline.py" "$work/en"
else
  skip "Python's venv is missing (Debian: apt-get install python3-venv)" 'Timesketch did NOT read timeline.jsonl.'
fi

if command -v soffice > /dev/null; then
  python3 -B "$here/spreadsheet.py" "$work/en/hosts.csv" "$work/alerts.jsonl" "${names[@]}"
else
  skip 'soffice is missing (Debian: apt-get install --no-install-recommends libreoffice-calc)' \
    'LibreOffice did NOT open hosts.csv.'
fi

chromium=$(command -v chromium || command -v chromium-browser || true)
if [ -n "$chromium" ] && command -v pdftotext > /dev/null; then
  python3 -B "$here/print.py" "$chromium" "$work/en" "$work/de"
else
  skip 'chromium or pdftotext is missing (Debian: apt-get install chromium poppler-utils)' \
    'report.html was NOT printed.'
fi
