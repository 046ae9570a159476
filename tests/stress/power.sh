#!/usr/bin/env bash
# Cuts the power, again and again: records 24 tracks on a disk that remembers every write and flush, makes of it what the
# disk would hold had the power gone at some moment, mounts and recovers that, and holds every take against the ramp.
# Prints a table, a line for every miss, and a closing line; the exit status is 0 where nothing was missed. Needs root.
#
#   power.sh [N]      N cuts, 500 by default; some two seconds each
#   power.sh probe    says whether this machine permits it: exit 0, or 77 and the reason
#
# FS (ext4, xfs, btrfs: all in turn), SECONDS_MAX (20: the longest pass) and FAULTLESS_POWER_SEED (a number: the same cuts of
# another recording) may be set.
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
