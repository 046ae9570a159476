#!/usr/bin/env bash
# Records 24 tracks for hours, compares every sample with the ramp while the takes grow, and measures memory. The script
# punches checked sound out of the takes, so that 24 hours fit on a small image. It prints a table, a line for every miss,
# and a summary line. The exit status is 0 if nothing was missed.
#
#   soak.sh [HOURS]               HOURS of sound (24 by default), as fast as the disk allows
#   soak.sh --real-time [HOURS]   HOURS in real time (1 by default)
#
# Environment: FS (ext4; xfs, btrfs: in an image, needs root; 'here': the folder WORK, the default without root),
# IMAGE_BYTES (12G), TRACKS (24), WORK (a folder on a real disk; one under TMPDIR by default), PROGRAM
# (target/release/faultless), ARGUMENTS (further arguments of 'record'). HOURS may be a fraction.
set -eu
. "$(dirname "$(readlink -f "$0")")/common.sh"
here=$(dirname "$(readlink -f "$0")")
usage() { sed -n '6,7s/^#   //p' "$0" >&2; exit 2; }
pace=free hours=24
if [ "${1-}" = --real-time ]; then
    pace=real-time hours=1
    shift
fi
[ $# -le 1 ] || usage
hours=${1:-$hours}
case $hours in '' | . | *[!0-9.]* | *.*.*) usage ;; esac
program=$(readlink -f "${PROGRAM:-${CARGO_TARGET_DIR:-$here/../../target}/release/faultless}")
need_tools python3 fallocate
[ -x "$program" ] || fail "$program: build it first: cargo build --release --locked"
if [ "$(id -u)" = 0 ]; then kind=${FS:-ext4}; else kind=${FS:-here}; fi
work_on_a_disk

disk=$work/soak-$kind child=
finish() {
    trap '' TERM INT HUP
    [ -z "$child" ] || { kill "$child" 2>/dev/null || true; wait "$child" || true; }
    if [ "$kind" = here ]; then rm -rf "$disk"; else "$here/image.sh" down "$disk" || true; fi
    [ -n "${WORK-}" ] || rm -rf "$work"
}
trap finish EXIT
trap 'exit 143' TERM
trap 'exit 130' INT HUP

if [ "$kind" = here ]; then
    [ ! -e "$disk" ] || fail "$disk: exists; it may be another run's"
    mkdir "$disk"
else
    need_root
    "$here/image.sh" up "$kind" "${IMAGE_BYTES:-12G}" "$disk" >/dev/null
fi
echo "$("$program" --version), $kind, kernel $(uname -r), $(nproc) cores, ${TRACKS:-24} tracks, $hours h, $pace"
# shellcheck disable=SC2086
python3 "$here/soak.py" "$program" "$disk" "$pace" "$hours" "${TRACKS:-24}" ${ARGUMENTS-} &
child=$!
status=0
wait "$child" || status=$?
child=
exit "$status"
