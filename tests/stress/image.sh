#!/usr/bin/env bash
# Makes a file system in an image file, which other scripts slow down, freeze and fill. Needs root.
#
#   image.sh up FS SIZE DIR    makes DIR.img (FS: ext4, xfs, btrfs; SIZE as for truncate) and mounts it on DIR
#   image.sh down DIR          thaws, lifts throttles, unmounts, removes image and DIR. Does nothing if nothing is mounted
#   image.sh probe             checks whether this machine permits it: exits with 0, or with 77 and a reason
set -eu
. "$(dirname "$(readlink -f "$0")")/common.sh"

usage() { sed -n '4,6s/^#   //p' "$0" >&2; exit 2; }

up() {
    local fs=$1 size=$2 dir=$3 image=$3.img
    case $fs in ext4 | xfs | btrfs) need_tools "mkfs.$fs" ;; *) usage ;; esac
    grep -qw "$fs" /proc/filesystems || modprobe -q "$fs" 2>/dev/null || skip "this kernel has no $fs"
    [ ! -e "$image" ] || fail "$image: exists; run: image.sh down $dir"
    mkdir -p "$dir"
    [ -z "$(ls -A "$dir")" ] || fail "$dir: is not empty"
    truncate -s "$size" "$image"
    case $fs in
        # Write the tables now. Otherwise a kernel thread would write them during the measurement.
        ext4) mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 "$image" ;;
        *) "mkfs.$fs" -q "$image" >/dev/null ;;
    esac || { rm -f "$image"; fail "$image: mkfs.$fs failed"; }
    if ! mount -o loop "$image" "$dir" 2>"$image.err"; then
        local why
        why=$(tr '\n' ' ' <"$image.err")
        rm -f "$image" "$image.err"
        rmdir "$dir"
        skip "mount -o loop refused: $why"
    fi
    rm -f "$image.err"
    chmod 1777 "$dir"
    echo "image: $fs, $size, $(loop_of "$dir") on $dir"
}

down() {
    local dir=$1 image=$1.img loop tries=0
    if loop=$(mounted_on "$dir"); then
        [ "$(losetup -nO BACK-FILE "$loop")" = "$(readlink -f "$image")" ] || fail "$dir: $loop is not made of $image"
        within 5 fsfreeze -u "$dir" 2>/dev/null || true
        within 5 "$(dirname "$(readlink -f "$0")")/slow-disk.sh" lift "$loop" || true
        until within 20 umount "$dir" 2>/dev/null; do
            tries=$((tries + 1))
            # An unmount that waited for its whole time waits again.
            if [ "$tries" -gt 50 ] || [ "$SECONDS" -gt 25 ]; then
                echo "image: $dir: still in use; detached, it goes when its users do" >&2
                within 5 umount -l "$dir" || fail "$dir: can't be detached"
                break
            fi
            sleep 0.1
        done
    fi
    rm -f "$image" "$image.err"
    [ ! -d "$dir" ] || rmdir "$dir" 2>/dev/null || fail "$dir: is not empty and was not mounted; left as it is"
}

[ $# -ge 1 ] || usage
need_root
need_tools mount umount findmnt losetup fsfreeze
case $1 in
    up) [ $# = 4 ] || usage; up "$2" "$3" "$4" ;;
    down) [ $# = 2 ] || usage; down "$2" ;;
    probe)
        at=$(mktemp -d)
        trap 'down "$at/probe"; rmdir "$at"' EXIT
        up ext4 16M "$at/probe" >"$at.log" || { cat "$at.log"; rm -f "$at.log"; exit 77; }
        rm -f "$at.log"
        ;;
    *) usage ;;
esac
