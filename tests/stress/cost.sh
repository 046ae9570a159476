#!/usr/bin/env bash
# Prints what large sessions cost control: edits, undo, saves, the start of a pass, players, polls.
#
#   tests/stress/cost.sh [FOLDER]
#
# Runs the tests of tests/it/cost.rs one after the other, and prints their figures. The sessions lie in FOLDER, or in the
# folder of the build. The figures depend on the disk: name its file system with them.
set -euo pipefail
cd "$(dirname "$(dirname "$(dirname "$(readlink -f "$0")")")")"
[ $# -eq 0 ] || export FAULTLESS_COST_FOLDER=$1
cargo test -q --no-default-features --test it cost:: -- --nocapture --test-threads=1 2>&1 | grep -E '^COST|^test result|panicked'
