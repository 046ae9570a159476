#!/usr/bin/env bash
# Limits the loop device under DIR to 20 MB/s for SECONDS, in both directions, while a second writer calls fsync after
# every 16 blocks. Needs root. The script lifts the throttle at exit, also after a signal.
#
#   slow-disk.sh DIR SECONDS
#   slow-disk.sh lift DEVICE   lifts the throttle that a killed run left on a loop device
#   slow-disk.sh probe         checks whether this machine permits it: exits with 0, or with 77 and a reason
#
# Environment: BYTES_PER_SECOND (20000000), NEIGHBOUR_BYTES (400m; size of fio's file).
set -eu
. "$(dirname "$(readlink -f "$0")")/common.sh"
rate=${BYTES_PER_SECOND:-20000000}

# Prints the cgroups to throttle. In v1 a throttle is not inherited: print the root group, which has the kernel's own
# writers, and our own group. In v2 print the topmost group of our path that has a throttle, which applies to all below.
groups() {
    local at own step
    if at=$(v1_of blkio); then
        own=$(sed -n 's/^[0-9]*:\([^:]*,\)\?blkio\(,[^:]*\)\?://p' /proc/self/cgroup)
        printf '%s\n' "$at" "$at$own" | sed 's,/*$,,' | sort -u
    elif at=$(v2_of io); then
        own=$(sed -n 's/^0:://p' /proc/self/cgroup)
        step=$at
        for part in ${own//\// }; do
            step=$step/$part
            if [ -e "$step/io.max" ]; then echo "$step"; return; fi
        done
    fi
}

# throttle MAJ:MIN RATE: a rate of 0 lifts the throttle.
throttle() {
    local group how limit
    while read -r group; do
        if [ -e "$group/blkio.throttle.write_bps_device" ]; then
            for how in write read; do
                echo "$1 $2" >"$group/blkio.throttle.${how}_bps_device" || return 1
            done
        else
            limit=$2
            [ "$limit" != 0 ] || limit=max
            echo "$1 rbps=$limit wbps=$limit" >"$group/io.max" || return 1
        fi
    done < <(groups)
}

# Prints the device number of the loop device under directory $1.
device_of() {
    local loop
    loop=$(loop_of "$1") || return 1
    losetup -nO MAJ:MIN "$loop" | tr -d ' '
}

need_root
need_tools findmnt losetup
if [ "${1-}" = lift ]; then
    case $2 in /dev/loop[0-9]*) ;; *) fail "$2: is no loop device" ;; esac
    # Where no cgroup can slow a disk, nothing is to be lifted.
    throttle "$(losetup -nO MAJ:MIN "$2" | tr -d ' ')" 0
    exit
fi
[ -n "$(groups)" ] || skip "no cgroup with a block throttle (blkio of v1, io.max of v2) around this process"
if [ "${1-}" = probe ]; then need_tools fio; exit 0; fi
[ $# = 2 ] || { sed -n '5,7s/^#   //p' "$0" >&2; exit 2; }
need_tools fio
dir=$1 seconds=$2
device=$(device_of "$dir") || exit 1
writer=

finish() {
    trap '' TERM INT HUP
    # Lift the throttle first, because a writer that waits for the slow disk cannot be ended.
    throttle "$device" 0 || echo "slow-disk: $device: the throttle could not be lifted" >&2
    if [ -n "$writer" ]; then
        kill "$writer" 2>/dev/null || true
        wait "$writer" 2>/dev/null || true
    fi
    rm -f "$dir"/slow-disk-neighbour.*
}
trap finish EXIT
trap 'exit 143' TERM
trap 'exit 130' INT HUP

throttle "$device" "$rate" || skip "the throttle of $device can't be set"
# A killed fio would leave its processes behind. --runtime ends them, and --thread keeps fio in one process.
fio --name=slow-disk-neighbour --directory="$dir" --thread --rw=randwrite --bs=64k --size="${NEIGHBOUR_BYTES:-400m}" \
    --fsync=16 --time_based --runtime="$seconds" --ioengine=psync --output-format=terse >/dev/null 2>&1 &
writer=$!
echo "slow-disk: $device at $rate bytes a second for $seconds s, fio beside"
wait "$writer" || { writer=; fail "fio ended with an error on $dir"; }
writer=
