#!/usr/bin/env bash
# Builds wulog-collector.exe and its installer for 64-bit Windows on Debian 12, with TLS, into target/windows/release/.
#
#   deploy/windows/build.sh [--config collector.toml] [--version 1.2.3] [--program wulog-collector.exe]
#
# --config is what a first installation puts in place; an installed configuration is never touched. --program packs what
# is built already.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/deploy/windows/cross/env.sh"

program='' config=$root/deploy/windows/collector.toml
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$root/Cargo.toml")
while [ $# -gt 0 ]; do
  case $1 in
    --config) config=$(realpath "$2") && shift ;;
    --version) version=$2 && shift ;;
    --program) program=$(realpath "$2") && shift ;;
    *) echo "build.sh: $1 means nothing; see its first lines" >&2 && exit 2 ;;
  esac
  shift
done

cross_install "${build_packages[@]}"
if [ -z "$program" ]; then
  program=$exe
  cd "$root"
  cargo build --quiet --locked --release -p wulog-collector --features tls
fi

# wixl finds files beside itself only.
out=$CARGO_TARGET_DIR/release
msi=wulog-collector-$version-x64.msi
mkdir -p "$out"
cp "$program" "$out/wulog-collector.exe"
cp "$config" "$out/collector.toml"
cd "$out"
rm -f "$msi"
wixl -a x64 -D Version="$version" -o "$msi" "$root/deploy/windows/wulog-collector.wxs"
# Permanent (16) and NeverOverwrite (128), which wixl does not know, beside 64 bit (256): the configuration is the user's.
msibuild "$msi" -q "UPDATE \`Component\` SET \`Attributes\` = 400 WHERE \`Component\` = 'config'"
echo "$out/$msi"
