#!/usr/bin/env bash
# Judges the units as they stand, without installing them: what each may do by `systemd-analyze security`, and that the
# exit codes mean the same in the unit as in the program.
set -euo pipefail
cd "$(dirname "$0")"

# 2.0 of 10 is systemd's upper bound for "OK".
threshold=20
fail() {
  printf 'systemd: %s\n' "$*" >&2
  exit 1
}
if ! systemd-analyze security --help 2> /dev/null | grep -q -- --offline; then
  echo 'systemd: skipped, systemd-analyze of version 250 or newer is not here'
  exit 0
fi
for unit in wulog-collector wulog-processor; do
  result=$(systemd-analyze security --offline=true --threshold=$threshold --no-pager "$unit.service") \
    || fail "$unit is exposed: $(tail -1 <<< "$result")"
  printf '%s: %s\n' "$unit" "$(grep -o 'exposure level.*' <<< "$result")"
  for setting in MemoryMax= TasksMax= UMask=0077 DynamicUser=yes RestartPreventExitStatus=2 LoadCredential= Type=notify WatchdogSec=; do
    grep -q "$setting" "$unit.service" || fail "$unit lacks $setting"
  done
done
