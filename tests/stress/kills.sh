#!/usr/bin/env bash
# Kills the program at random moments while it records 24 tracks in real time, recovers, and compares every take with the
# ramp. Prints a table, a line for every miss, and a summary line. The exit status is 0 if nothing was missed.
#
#   kills.sh [N]      number of kills, 1,000 by default; each takes some two seconds
#
# Environment: FS (ext4, xfs, btrfs: in an image, needs root; 'here': the folder WORK, the default without root), WORK (a
# folder on a real disk; one under TMPDIR by default), PROGRAM (target/release/faultless), SECONDS_MAX (2.5: the longest
# recording). As root the script uses all three file systems in turn.
set -eu
. "$(dirname "$(readlink -f "$0")")/common.sh"
here=$(dirname "$(readlink -f "$0")")
count=${1:-1000}
case $count in '' | *[!0-9]*) sed -n '5s/^#   //p' "$0" >&2; exit 2 ;; esac
program=$(readlink -f "${PROGRAM:-${CARGO_TARGET_DIR:-$here/../../target}/release/faultless}")
need_tools python3
[ -x "$program" ] || fail "$program: build it first: cargo build --release --locked"
if [ "$(id -u)" = 0 ]; then kinds=${FS:-ext4 xfs btrfs}; else kinds=${FS:-here}; fi
work_on_a_disk

up=
finish() {
    trap '' TERM INT HUP
    local disk
    for disk in $up; do "$here/image.sh" down "$work/$disk" || true; done
    [ -n "${WORK-}" ] || rm -rf "$work"
}
trap finish EXIT
trap 'exit 143' TERM
trap 'exit 130' INT HUP

places=()
for kind in $kinds; do
    case $kind in
        here) mkdir -p "$work/here" ;;
        *)
            need_root
            "$here/image.sh" up "$kind" 3G "$work/$kind" >/dev/null
            up="$up $kind"
            ;;
    esac
    places+=("$work/$kind")
done
python3 "$here/kills.py" "$program" "$count" "${places[@]}"
