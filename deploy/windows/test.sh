#!/usr/bin/env bash
# Builds the collector for 64-bit Windows, without TLS, and tests it under Wine: its tests, and its installer from a first
# installation through an upgrade to its removal. What Wine cannot vouch for is in README.md.
#
# Where the packages cannot be had it says that it is skipped; with CI=true it fails then.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/deploy/windows/cross/env.sh"

say() { printf -- '-- %s\n' "$*"; }
fail() {
  printf 'windows: %s\n' "$*" >&2
  exit 1
}

if ! { [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null && cross_install "${build_packages[@]}" "${wine_packages[@]}"; }; then
  [ "${CI:-}" = true ] && fail "needs root, and of Debian 12: ${build_packages[*]} ${wine_packages[*]}"
  echo 'windows: skipped, its packages cannot be had here'
  exit 0
fi

export WINEPREFIX=$CARGO_TARGET_DIR/wine WINEDEBUG=-all WINEDLLOVERRIDES=mscoree,mshtml=
wine=/usr/lib/wine/wine64
export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER=$wine
windows=$WINEPREFIX/drive_c
wineserver=/usr/lib/wine/wineserver64
site=
# Ends what runs in this prefix, the server of the tests, and nothing else.
trap '$wineserver -k || true; [ -z "$site" ] || kill "$site" || true' EXIT

say 'build'
cd "$root"
# Without wulog-kafka, which has no code for Windows: only the collector links librdkafka's login libraries there.
crates=(--package=wulog-{collector,files,lines,service,settings})
cargo test --quiet --locked --release "${crates[@]}" --no-run

say "$($wine --version)"
rm -rf "$WINEPREFIX"
$wine wineboot -i > /dev/null 2>&1
if [ ! -e "$windows/windows/system32/bcryptprimitives.dll" ]; then
  x86_64-w64-mingw32-gcc -O2 -shared -s -o "$windows/windows/system32/bcryptprimitives.dll" \
    deploy/windows/cross/bcryptprimitives.c -ladvapi32
fi
# Wine ends its services when the last program ends, and a start in that moment meets services that are about to go. So
# it is waited for, and then one program stays till the end.
$wineserver -w
coproc $wine cmd 2> /dev/null

say 'a TLS server in place of WSUS'
export WULOG_TEST_WSUS_SITE=$CARGO_TARGET_DIR/wsus-site
rm -rf "$WULOG_TEST_WSUS_SITE"
mkdir -p "$WULOG_TEST_WSUS_SITE"
collector/tests/windows/wsus_site.sh "$WULOG_TEST_WSUS_SITE" &
site=$!
for _ in {1..60}; do
  [ ! -e "$WULOG_TEST_WSUS_SITE/port.txt" ] || break
  sleep 1
done
[ -e "$WULOG_TEST_WSUS_SITE/port.txt" ] || fail 'the TLS server does not start'

say 'tests under Wine'
cargo test --locked --release "${crates[@]}"

say 'installer under Wine'
installed="$windows/Program Files/wulog/wulog-collector.exe"
config=$windows/ProgramData/wulog/collector.toml
collector() { $wine "$installed" "$@" 2>&1 || true; }
msi() { $wine msiexec "$@" /qn > "$CARGO_TARGET_DIR/msiexec.log" 2>&1; }
windows_path() { printf 'Z:%s' "${1//\//\\}"; }
expect() {
  local what=$1 said
  shift
  said=$("$@")
  [[ $said == *"$what"* ]] || fail "$*: says ${said:-nothing}, not $what"
}

first=$(deploy/windows/build.sh --program "$exe" --version 1.0.0 | tail -1)
sed 's/hamburg/berlin/' deploy/windows/collector.toml > "$CARGO_TARGET_DIR/newer.toml"
# Another program, and still the same: bytes behind its end.
{ cat "$exe" && echo newer; } > "$CARGO_TARGET_DIR/newer.exe"
newer=$(deploy/windows/build.sh --program "$CARGO_TARGET_DIR/newer.exe" --version 1.0.1 --config "$CARGO_TARGET_DIR/newer.toml" | tail -1)

msi /i "$(windows_path "$first")" || fail "the installer ended with $?"
[ -e "$installed" ] || fail "$installed is not there"
cmp "$config" deploy/windows/collector.toml || fail "$config is not what the installer has"
expect 'service wulog-collector runs' collector service start
# To services Wine gives another %ProgramData% than to programs.
[ -e "$windows/ProgramData/wulog/collector/lock" ] || [ -e "$windows/users/Public/wulog/collector/lock" ] \
  || fail 'the service that the installer started does not use its configuration: there is no state directory'
sed -i 's/hamburg/munich/' "$config"
# Wine's installer tells the service to stop and does not wait, so that its program could not be replaced.
expect 'service wulog-collector is stopped' collector service stop
msi /i "$(windows_path "$newer")" || fail "the upgrade ended with $?"
grep -q munich "$config" || fail "the upgrade overwrote $config"
cmp "$installed" "$CARGO_TARGET_DIR/newer.exe" || fail 'the upgrade left the old program'
expect 'service wulog-collector runs' collector service start
products=$($wine reg query 'HKLM\Software\Microsoft\Windows\CurrentVersion\Uninstall' /s /v DisplayVersion 2> /dev/null || true)
[[ $products == *1.0.1* && $products != *1.0.0* ]] || fail "after the upgrade there is: $products"
if msi /i "$(windows_path "$first")"; then fail 'an older version was installed over a newer one'; fi

expect 'service wulog-collector is stopped' collector service stop
msi /x "$(windows_path "$newer")" || fail "the removal ended with $?"
[ ! -e "$installed" ] || fail "$installed is still there"
grep -q munich "$config" || fail "the removal took $config away"
for key in wulog-collector 'EventLog\Application\wulog-collector'; do
  if $wine reg query "HKLM\\SYSTEM\\CurrentControlSet\\Services\\$key" > /dev/null 2>&1; then fail "$key is still registered"; fi
done
say 'well, under Wine'
