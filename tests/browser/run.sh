#!/usr/bin/env bash
# The status page in a real browser: three widths, light and dark, keyboard only, axe-core, script off, hostile host names,
# live updates; and the pages of `report` and `replay --compare-out`, from the disk. Screenshots go to target/browser/. It
# needs Debian's `chromium` and Node.js; with CI=true both must be there.
set -euo pipefail
cd "$(dirname "$0")/../.."

skip() {
  if [ "${CI:-}" = true ]; then
    echo "browser: $1, and CI=true" >&2
    exit 1
  fi
  printf '\n*** browser: SKIPPED: %s. The status page was NOT checked in a browser.\n' "$1" >&2
  exit 0
}

chromium=$(command -v chromium || command -v chromium-browser || true)
[ -n "$chromium" ] || skip 'chromium is missing (Debian: apt-get install chromium)'
command -v npm > /dev/null || skip 'npm is missing (Debian: apt-get install nodejs npm)'

out=target/browser
mkdir -p "$out"
for package in playwright-core@1.65.1 axe-core@4.14.1; do
  [ -d "$out/node_modules/${package%@*}" ] || npm install --silent --no-fund --no-audit --prefix "$out" "$package"
done

binaries=target/release
[ -x "$binaries/wulog-processor" ] && [ -x "$binaries/wulog-fleet" ] || cargo build --release --workspace --bins

work=$(mktemp -d)
processor=
cleanup() {
  [ -z "$processor" ] || kill "$processor" 2> /dev/null || true
  [ -z "$processor" ] || wait "$processor" 2> /dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT

# A fleet with an outbreak that began twelve hours ago, and a host whose name is an attack.
hosts=${WULOG_BROWSER_HOSTS:-120}
start=$(date -u -d '3 days ago' +%Y-%m-%dT%H:00:00Z)
"$binaries/wulog-fleet" --out "$work/logs" --hosts "$hosts" --days 3 --start "$start" --outbreak 56 --inventories 60 \
  --root-cause former
first=$(find "$work/logs" -mindepth 1 -maxdepth 1 -type d | sort | sed -n 1p)
cp -r "$first" "$work/logs/"'"><img src=x onerror=alert(1)>'

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat > "$work/standalone.toml" << EOF
[http]
listen = "127.0.0.1:$port"
[[channels]]
name = "nowhere"
kind = "webhook"
url = "http://127.0.0.1:9/"
EOF
"$binaries/wulog-processor" standalone --config "$work/standalone.toml" --logs "$work/logs" --db "$work/wulog.db" \
  --utc-offset=+00:00 > "$work/stdout" 2> "$work/stderr" &
processor=$!

NODE_PATH="$PWD/$out/node_modules" node tests/browser/check.cjs "$chromium" "http://127.0.0.1:$port" "$out" \
  "$binaries/wulog-processor" "$work/wulog.db" "$work" || { tail -n 20 "$work/stderr" >&2; exit 1; }
