#!/usr/bin/env bash
# Squeezes the memory of a recorder: puts it into a memory cgroup together with a program that reads a large file in a
# loop, and sets the limit to the recorder's working set plus MARGIN_MB. Needs root. At exit, also after a signal, the
# script moves the recorder back to its former group and removes the new group.
#
#   squeeze.sh PID DIR MARGIN_MB SECONDS   DIR: on a real disk, for the file that is read
#   squeeze.sh in COMMAND...               starts COMMAND in a group of its own, without a limit, for a later squeeze
#   squeeze.sh probe                       checks whether this machine permits it: exits with 0, or with 77 and a reason
#
# The kernel charges a page to the group of the process that first touched it, and does not move the charge with the
# process. So start a recorder with `squeeze.sh in` if the limit must apply to all of its pages.
#
# Prints {"limit":BYTES,"failcnt":N,"oom_kills":N}. failcnt: how often the limit was reached.
set -eu
. "$(dirname "$(readlink -f "$0")")/common.sh"

need_root
need_tools findmnt dd
if at=$(v1_of memory); then
    version=1
elif at=$(v2_of memory) && grep -qw memory "$at/cgroup.subtree_control"; then
    version=2
else
    skip "no memory cgroup, v1 or v2"
fi

# Prints the group of process $1, as a path under $at.
group_of() {
    if [ $version = 1 ]; then
        sed -n 's/^[0-9]*:\([^:]*,\)\?memory\(,[^:]*\)\?://p' "/proc/$1/cgroup"
    else
        sed -n 's/^0:://p' "/proc/$1/cgroup"
    fi
}

stat_of() { awk -v k="$1" '$1 == k {print $2}' "$group/memory.stat"; }

case ${1-} in
    probe)
        group=$at/faultless-squeeze-$$
        mkdir "$group" 2>/dev/null || skip "a memory cgroup can't be made under $at"
        rmdir "$group"
        exit 0
        ;;
    in)
        shift
        [ $# -ge 1 ] || exit 2
        group=$at/faultless-squeeze-$$
        mkdir "$group" 2>/dev/null || skip "a memory cgroup can't be made under $at"
        echo $$ >"$group/cgroup.procs"
        exec "$@"
        ;;
esac
[ $# = 4 ] || { sed -n '6,8s/^#   //p' "$0" >&2; exit 2; }
pid=$1 dir=$2 margin=$(($3 * 1024 * 1024)) seconds=$4
[ -d "/proc/$pid" ] || fail "$pid: no such process"

home=$(group_of "$pid")
case $home in
    /faultless-squeeze-*) group=$at$home home=/ ;;
    *) group=$at/faultless-squeeze-$$; mkdir "$group" 2>/dev/null || skip "a memory cgroup can't be made under $at" ;;
esac
file=$dir/squeeze-thrash.$$
thrasher=

finish() {
    local tries=0 left
    trap '' TERM INT HUP
    end_pause
    if [ $version = 1 ]; then
        echo -1 >"$group/memory.limit_in_bytes" || true
    else
        echo max >"$group/memory.max" || true
    fi
    if [ -n "$thrasher" ]; then
        kill "$thrasher" 2>/dev/null || true
        wait "$thrasher" 2>/dev/null || true
    fi
    rm -f "$file"
    until rmdir "$group" 2>/dev/null; do
        tries=$((tries + 1))
        if [ "$tries" -gt 50 ]; then echo "squeeze: $group: could not be removed" >&2; break; fi
        while read -r left; do
            echo "$left" >"$at$home/cgroup.procs" 2>/dev/null || true
        done <"$group/cgroup.procs"
        sleep 0.1
    done
}
trap finish EXIT
trap 'exit 143' TERM
trap 'exit 130' INT HUP

echo "$pid" >"$group/cgroup.procs"
# Write the file to read, and drop it from the page cache, where it would be charged to another group.
resident=$(awk '/^VmRSS/ {print $2 * 1024}' "/proc/$pid/status")
megabytes=$(((2 * (resident + margin)) / 1048576))
[ "$megabytes" -ge 256 ] || megabytes=256
dd if=/dev/zero of="$file" bs=1M count="$megabytes" oflag=direct conv=fsync status=none 2>/dev/null ||
    dd if=/dev/zero of="$file" bs=1M count="$megabytes" conv=fsync status=none
dd of="$file" oflag=nocache conv=notrunc,fdatasync count=0 status=none

(
    echo "$BASHPID" >"$group/cgroup.procs"
    trap 'kill $! 2>/dev/null; exit 0' TERM
    while :; do dd if="$file" of=/dev/null bs=1M status=none & wait $!; done
) &
thrasher=$!

if [ $version = 1 ]; then
    working=$(($(stat_of rss) + $(stat_of mapped_file)))
else
    working=$(($(stat_of anon) + $(stat_of file_mapped)))
fi
limit=$((working + margin))
tries=0
if [ $version = 1 ]; then limit_file=memory.limit_in_bytes; else limit_file=memory.max; fi
# The kernel returns EBUSY while it still reclaims memory down to the limit.
until echo "$limit" 2>/dev/null >"$group/$limit_file"; do
    tries=$((tries + 1))
    [ "$tries" -le 50 ] || fail "$group: the limit of $limit bytes can't be set"
    pause 0.1
done
pause "$seconds"

if [ $version = 1 ]; then
    hits=$(cat "$group/memory.failcnt")
    kills=$(awk '$1 == "oom_kill" {print $2}' "$group/memory.oom_control")
else
    hits=$(awk '$1 == "max" {print $2}' "$group/memory.events")
    kills=$(awk '$1 == "oom_kill" {print $2}' "$group/memory.events")
fi
printf '{"limit":%s,"failcnt":%s,"oom_kills":%s}\n' "$limit" "$hits" "${kills:-0}"
