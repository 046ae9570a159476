#!/usr/bin/env bash
# Runs seeds of the simulator (tests/sim), two at a time. Prints each seed whose run was not honest, with the reason, and
# the figures at the end. The exit status is 0 if every run was honest.
#
#   sim.sh SEEDS [FIRST]   number of seeds, and the first of them (0)
#   sim.sh HOURSh [FIRST]  hours, for example 'sim.sh 8h'
#
# See one run with all that happened in it: cargo test --no-default-features --test sim -- --seed N
set -eu
. "$(dirname "$(readlink -f "$0")")/common.sh"
root=$(readlink -f "$(dirname "$(readlink -f "$0")")/../..")
amount=${1:-} first=${2:-0}
case $amount/$first in
    *[!0-9]*h/* | h/* | /* | */*[!0-9]*) sed -n '5,6s/^#   //p' "$0" >&2; exit 2 ;;
    *h/*) limit=(--hours "${amount%h}") ;;
    *[!0-9]*/*) sed -n '5,6s/^#   //p' "$0" >&2; exit 2 ;;
    *) limit=(--seeds "$amount") ;;
esac
need_tools cargo
cd "$root"
exec cargo test --quiet --locked --no-default-features --test sim -- "${limit[@]}" --from "$first"
