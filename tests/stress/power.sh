#!/usr/bin/env bash
# Simulates power cuts: records tracks on a disk that remembers every write and flush, builds the content that the disk
# would have after a power cut at a random moment, mounts it, recovers the session, and compares every take with the ramp.
# Prints a table, a line for every miss, and a summary line. The exit status is 0 if nothing was missed. Needs root.
#
#   power.sh [N]      number of cuts, 500 by default; each takes some two seconds
#   power.sh probe    checks whether this machine permits it: exits with 0, or with 77 and a reason
#
# Environment: FS (ext4, xfs, btrfs: all in turn), SECONDS_MAX (20: the longest pass), FAULTLESS_POWER_SEED (a number that
# repeats the choice of the cuts, in another recording), FAULTLESS_POWER_TRACKS (24; more than 256 may lose 1.2 s).
set -eu
. "$(dirname "$(readlink -f "$0")")/common.sh"
here=$(dirname "$(readlink -f "$0")")

probe() {
    need_root
    need_tools mount umount losetup
    [ -c /dev/fuse ] || skip "this system has no /dev/fuse"
    "$here/image.sh" probe
}

case ${1:-500} in
    probe) probe; exit 0 ;;
    *[!0-9]*) sed -n '6,7s/^#   //p' "$0" >&2; exit 2 ;;
esac
count=${1:-500}
probe
need_tools cargo
kinds=${FS:-ext4 xfs btrfs}
# shellcheck disable=SC2086
set -- $kinds
export FAULTLESS_POWER_CUTS=$(((count + $# - 1) / $#)) FAULTLESS_POWER_SECONDS=${SECONDS_MAX:-20} RUST_BACKTRACE=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
missed=0
cd "$here/../.."
for fs in $kinds; do
    cargo test --locked --quiet --test it -- --exact --nocapture \
        "power::root_power_cuts_on_${fs}_lose_a_second_at_most" >>"$log" 2>&1 || missed=$((missed + 1))
    grep -q "^ROW $fs " "$log" || { tail -n 20 "$log"; fail "$fs: no cut was made"; }
done
echo "file system | writes | flushes | cuts | most lost, ms | unreadable | unequal | wrong"
echo "---|---|---|---|---|---|---|---"
sed -n 's/^ROW //p' "$log"
sed -n 's/^\(MISS\|LOST\) /  /p' "$log"
sed -n 's/.*\(seed [0-9]*\)$/  \1/p' "$log"
echo "$((FAULTLESS_POWER_CUTS * $#)) cuts, $missed of $# file systems missed"
[ $missed = 0 ]
