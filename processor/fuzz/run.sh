#!/usr/bin/env bash
# Fuzzes the pure stages of collector and processor. Needs a nightly Rust toolchain and Python 3; cargo-fuzz is installed
# under target/ once.
#
#   run.sh [SECONDS [TARGET...]]   fuzz each target so long (120), from the kept inputs and the logs of tests/corpus
#   run.sh keep [TARGET...]        minimize all that was found and keep it: corpus/TARGET.txt
#   run.sh keep-crash TARGET FILE  keep a crash for ever: crashes/TARGET.txt
#
# What is kept is run by `cargo test` too (processor/tests/fuzzed.rs). Panics are what is looked for: the code has no unsafe,
# so there is no sanitizer.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
out=$root/target/fuzz
host=$(rustc -vV | sed -n 's/^host: //p')
all=(parse report hresult normalize frame)

# Longer inputs are no other cases, only slower ones. Kept ones are shorter, since the tree carries them.
longest() { case $1 in normalize | frame) echo 2048 ;; report) echo 512 ;; *) echo 1024 ;; esac; }
longest_kept() { case $1 in normalize) echo 400 ;; hresult) echo 80 ;; *) echo 200 ;; esac; }
KEPT_BYTES=180000

build() {
  if [ ! -x "$root/target/tools/bin/cargo-fuzz" ]; then
    cargo install --quiet --locked --root "$root/target/tools" cargo-fuzz
  fi
  PATH=$root/target/tools/bin:$PATH cargo +nightly fuzz build --fuzz-dir "$here" --target-dir "$out/build" -s none
}

# Where the inputs of a target are: made from the logs, kept, found here.
seeds() {
  rm -rf "$out/seeds/$1"
  mkdir -p "$out/seeds/$1" "$out/found/$1" "$out/crashes/$1"
  python3 "$here/inputs.py" seeds "$1" "$root/tests/corpus" "$out/seeds/$1"
  for kept in "$here/corpus/$1.txt" "$here/crashes/$1.txt"; do
    if [ -f "$kept" ]; then python3 "$here/inputs.py" unpack "$kept" "$out/seeds/$1"; fi
  done
}

run_target() {
  local target=$1
  shift
  "$out/build/$host/release/$target" -dict="$here/words.dict" -max_len="$(longest "$target")" \
    -timeout=10 -rss_limit_mb=2048 -artifact_prefix="$out/crashes/$target/" "$@"
}

fuzz() {
  local seconds=$1 target=$2 log=$out/$2.log
  seeds "$target"
  local inputs=("$out/found/$target" "$out/seeds/$target")
  if run_target "$target" -max_total_time="$seconds" -print_final_stats=1 "${inputs[@]}" > "$log" 2>&1; then
    printf '%-10s %s s, %s runs, coverage %s, no crash\n' "$target" "$seconds" \
      "$(sed -n 's/^stat::number_of_executed_units: //p' "$log")" "$(grep -o 'cov: [0-9]*' "$log" | tail -1)"
  else
    tail -30 "$log"
    printf '%s crashed; the whole log is %s\n' "$target" "$log"
    sed -n "s|.*Test unit written to |keep its input with: $0 keep-crash $target |p" "$log"
    return 1
  fi
}

keep() {
  local target=$1
  seeds "$target"
  rm -rf "$out/kept/$target"
  mkdir -p "$out/kept/$target" "$here/corpus"
  run_target "$target" -merge=1 -max_len="$(longest_kept "$target")" \
    "$out/kept/$target" "$out/found/$target" "$out/seeds/$target" 2> "$out/$target.merge.log"
  python3 "$here/inputs.py" pack "$out/kept/$target" $KEPT_BYTES > "$here/corpus/$target.txt"
  wc -lc "$here/corpus/$target.txt"
}

case ${1:-} in
  keep-crash)
    mkdir -p "$here/crashes"
    python3 "$here/inputs.py" pack "$3" >> "$here/crashes/$2.txt"
    ;;
  keep)
    shift
    build
    for target in "${@:-${all[@]}}"; do keep "$target"; done
    ;;
  *)
    seconds=${1:-120}
    shift || true
    build
    failed=0
    for target in "${@:-${all[@]}}"; do fuzz "$seconds" "$target" || failed=1; done
    exit $failed
    ;;
esac
