# The common commands; `just` lists them. Every recipe uses the release profile, so the C libraries are compiled once.

[private]
default:
    @just --list --unsorted

# Check format, lints and documents
check:
    cargo fmt --all --check
    cargo clippy --quiet --release --workspace --all-targets -- -D warnings
    python3 docs/check_links.py

# Run all tests; pass a filter such as `just test --test line`
test *ARGS:
    cargo test --release --workspace {{ ARGS }}

# Simulate a fleet with a missing certificate and print its alert; `just demo --kafka HOST:PORT` goes through Kafka
demo *ARGS:
    cargo run --release --bin wulog-demo -- {{ ARGS }}

# Measure parser, Normalizer, Detector and the time to a notification
bench:
    cargo bench --workspace --bench normalize --bench detect --bench certificates
    cargo bench --workspace --bench notify

# Build the documents as a book in target/book
book:
    docs/build.sh

# Build both binaries and write their bills of materials (CycloneDX) beside them
release:
    cargo build --release --locked --workspace --bins
    deploy/sbom/sbom.py wulog-collector > target/wulog-collector.cdx.json
    deploy/sbom/sbom.py wulog-processor > target/wulog-processor.cdx.json
