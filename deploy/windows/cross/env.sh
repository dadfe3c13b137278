# For sourcing: what cargo needs to build for 64-bit Windows on Debian 12. Needs `root`, the checkout.
#
# Debian's Rust brings the standard library's source and builds it for Windows on the spot. A toolchain of rustup would
# need its Windows target downloaded, and does not build that source.

export PATH=/usr/bin:/bin:/usr/sbin:/sbin
unset RUSTUP_TOOLCHAIN RUSTC RUSTDOC CARGO RUSTFLAGS
export CARGO_TARGET_DIR=$root/target/windows
export CARGO_BUILD_TARGET=x86_64-pc-windows-gnu
export CARGO_UNSTABLE_BUILD_STD=std,panic_unwind,test
export RUSTC_BOOTSTRAP=1 # for the line above; nothing of ours uses what is not stable
export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER=x86_64-w64-mingw32-gcc
export CMAKE_TOOLCHAIN_FILE_x86_64_pc_windows_gnu=$root/deploy/windows/cross/mingw.cmake

exe=$CARGO_TARGET_DIR/$CARGO_BUILD_TARGET/release/wulog-collector.exe

build_packages=(rustc-web cargo-web rust-web-src cmake make perl gcc-mingw-w64-x86-64-posix g++-mingw-w64-x86-64-posix
  wixl msitools)
# OpenSSL and Python make the TLS server of the tests.
wine_packages=(wine wine64 openssl python3)

# Installs what is missing of the packages named; false where they cannot be had.
cross_install() {
  local name missing=()
  for name in "$@"; do
    dpkg-query -W -f '${db:Status-Status}' "$name" 2> /dev/null | grep -qx installed || missing+=("$name")
  done
  [ ${#missing[@]} -eq 0 ] && return
  echo "installing ${missing[*]}"
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" \
    > /dev/null
}
