#!/usr/bin/env bash
# Tests the release build for Windows, with TLS, under Wine against a real Kafka that asks for TLS, certificates and
# passwords: what tests/tests/secure.rs does on Linux. Build it before, with build.sh; needs Wine, Java 17, Maven, openssl.
#
#   deploy/windows/test_tls.sh [wulog-collector.exe]
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
export WULOG_WINE=/usr/lib/wine/wine64
export WULOG_WINDOWS_COLLECTOR=${1:-$root/target/windows/release/wulog-collector.exe}
export WINEPREFIX=$root/target/windows/wine-tls WINEDEBUG=-all WINEDLLOVERRIDES=mscoree,mshtml=
trap '/usr/lib/wine/wineserver64 -k || true' EXIT

$WULOG_WINE wineboot -i > /dev/null 2>&1
library=$WINEPREFIX/drive_c/windows/system32/bcryptprimitives.dll
[ -e "$library" ] || x86_64-w64-mingw32-gcc -O2 -shared -s -o "$library" "$root/deploy/windows/cross/bcryptprimitives.c" -ladvapi32
$WULOG_WINE "$WULOG_WINDOWS_COLLECTOR" --version
cd "$root"
cargo test --release -p wulog-tests --test secure -- --ignored
