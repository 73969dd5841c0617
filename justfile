# Every command a person or CI runs. `./just RECIPE` makes sure of what the recipes need first.

set shell := ["bash", "-euo", "pipefail", "-c"]

# Build output. Set CARGO_TARGET_DIR to keep it outside the checkout.
target := env('CARGO_TARGET_DIR', justfile_directory() / 'target')
guests_target := target / 'guests'
export CARGO_TARGET_DIR := target
export PATH := env('HOME') / '.cargo/bin' + ':' + env('PATH')

# List the recipes.
default:
    @just --list

# Build the host programs (debug profile; dependencies are optimised).
build:
    # The whole workspace at once: the same dependency features as in `test` and `lint`, so nothing is built twice. Only
    # porthole-compile is built apart, so that the sandbox has no compiler in it.
    cargo build --quiet --workspace --bins
    cargo build --quiet -p porthole-sandbox --features compile --bin porthole-compile

# Build the guests: core WebAssembly that `porthole module pack` makes components of.
guests:
    cd guests && CARGO_TARGET_DIR={{guests_target}} cargo build --quiet --release --target wasm32-unknown-unknown \
        -p porthole-github -p porthole-aws -p porthole-hostile -p porthole-bench-items -p porthole-bench-directory

# The whole main job on this machine: no account, no network, a private Postgres, a fake GitHub.
demo: build guests
    scripts/demo.sh {{target / 'debug'}} {{guests_target / 'wasm32-unknown-unknown/release'}}

# The same for the AWS module, against an emulator of AWS that checks every signature, role and session policy.
demo-aws: build guests aws-emulator
    scripts/demo-aws.sh {{target / 'debug'}} {{guests_target / 'wasm32-unknown-unknown/release'}}

# A shell in which `porthole` works against that emulator: worker, module, tenant and instance are there.
aws-bed: build guests aws-emulator
    scripts/aws-bed.sh {{target / 'debug'}} {{guests_target / 'wasm32-unknown-unknown/release'}}

# Everything that has to hold: formatting, lints, guests' unit tests, the host's tests.
test: fmt-check build guests lint octokit aws-emulator test-guests test-host

# The host's tests.
test-host *args:
    PORTHOLE_TEST_GUESTS={{guests_target / 'wasm32-unknown-unknown/release'}} \
        cargo test --quiet --workspace --no-fail-fast {{args}}

# The guests' unit tests, natively.
test-guests:
    cd guests && CARGO_TARGET_DIR={{guests_target}} cargo test --quiet -p porthole-sdk -p porthole-github -p porthole-aws -p porthole-bench-items -p porthole-bench-directory

# Recorded API replies for the tests (npm, outside the checkout); without npm those tests say that they skip.
octokit:
    scripts/octokit-fixtures.sh "${XDG_CACHE_HOME:-$HOME/.cache}/porthole/octokit" || echo "octokit fixtures: skipped"

# The AWS emulator for the tests (PyPI, outside the checkout); without Python those tests say that they skip.
aws-emulator:
    scripts/aws-emulator.sh "${XDG_CACHE_HOME:-$HOME/.cache}/porthole/aws-emulator" || echo "aws emulator: skipped"

# Format everything.
fmt:
    cargo fmt --all
    cd guests && cargo fmt --all

# Is everything formatted?
fmt-check:
    cargo fmt --all --check
    cd guests && cargo fmt --all --check

# Lints, warnings are errors.
lint:
    cargo clippy --quiet --workspace --all-targets -- -D warnings
    cd guests && CARGO_TARGET_DIR={{guests_target}} cargo clippy --quiet -p porthole-sdk -p porthole-github -p porthole-aws -p porthole-bench-items -p porthole-bench-directory -- -D warnings

# Licences, sources and bans of all dependencies (needs cargo-deny).
deny:
    cargo deny check licenses bans sources

# What it costs, against yardsticks measured in the same run: the table, bench/latest.json and the plots. Names measure
# only those figures; `--quick` only shows that all of them work.
bench *args: build-release guests
    {{target / 'release'}}/porthole-bench run --guests {{guests_target / 'wasm32-unknown-unknown/release'}} --out bench {{args}}

# Build the host programs as they are shipped.
build-release:
    cargo build --quiet --release --workspace --bins
    cargo build --quiet --release -p porthole-sandbox --features compile --bin porthole-compile

# One large organisation through the whole path; prints wall time and memory peaks.
load repos='20000' members='5000' teams='500' *steps_off: build guests
    scripts/load.sh {{target / 'debug'}} {{guests_target / 'wasm32-unknown-unknown/release'}} {{repos}} {{members}} {{teams}} {{steps_off}}

# One large AWS account through the whole path, twice; prints requests, wall time, CPU, memory peaks, and checks the counts.
load-aws resources='50000': build guests
    scripts/load-aws.sh {{target / 'debug'}} {{guests_target / 'wasm32-unknown-unknown/release'}} {{resources}}
