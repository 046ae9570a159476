# Functions that the stress scripts share. Scripts source this file.
# A script that this machine does not permit prints one line "skip: NAME: reason" and exits with status 77.

PATH=$PATH:/usr/sbin:/sbin
name=$(basename "$0" .sh)

skip() { echo "skip: $name: $*"; exit 77; }
fail() { echo "$name: $*" >&2; exit 1; }

need_root() { [ "$(id -u)" = 0 ] || skip "needs root"; }

need_tools() {
    local tool
    for tool in "$@"; do
        command -v "$tool" >/dev/null 2>&1 || skip "needs $tool, which is not installed"
    done
}

# Sleeps in such a way that a signal ends the script at once: bash runs a trap only when no foreground child is left.
# The exit trap of a script calls end_pause, so that the sleep ends with the script.
sleeper=
pause() {
    sleep "$1" &
    sleeper=$!
    wait "$sleeper" || true
    sleeper=
}
end_pause() { [ -z "$sleeper" ] || kill "$sleeper" 2>/dev/null || true; }

# Sets `work` to the folder $WORK, or to a new temporary one. Refuses a folder in memory: it has no disk that can fail.
work_on_a_disk() {
    local kind
    work=${WORK:-$(mktemp -d)}
    mkdir -p "$work"
    work=$(readlink -f "$work")
    kind=$(stat -fc %T "$work")
    case $kind in
        tmpfs | ramfs | overlayfs)
            [ -n "${WORK-}" ] || rmdir "$work"
            fail "$work: a $kind; set WORK to a folder on a real disk"
            ;;
    esac
}

# Prints what is mounted on directory $1; fails where nothing is. It reads the kernel's table, because `mountpoint` and
# `findmnt -T` ask the file system itself: one that was shut down answers with an error.
mounted_on() {
    local dir
    dir=$(cd "$(dirname "$1")" && pwd -P)/$(basename "$1") || return 1
    # The kernel writes a blank as \040. The uppermost mount is the last one.
    at=${dir// /\\040} awk '$5 == ENVIRON["at"] {for (i = 7; i < NF; i++) if ($i == "-") {source = $(i + 2); break}}
        END {if (source == "") exit 1; print source}' /proc/self/mountinfo
}

# within SECONDS COMMAND...: a command that has so many seconds. It fails with 124 after them. A command that even SIGKILL
# does not end, because it waits for a disk, is left alone: `timeout` would wait for it.
within() {
    local tenths=$(($1 * 10)) child
    shift
    "$@" &
    child=$!
    while kill -0 "$child" 2>/dev/null; do
        tenths=$((tenths - 1))
        if [ "$tenths" -lt 0 ]; then
            kill -9 "$child" 2>/dev/null || true
            disown "$child" 2>/dev/null || true
            return 124
        fi
        sleep 0.1
    done
    wait "$child"
}

# Prints the loop device under directory $1. Refuses everything else, because these scripts slow down and freeze whole
# file systems, which must never happen to the file system of the machine.
loop_of() {
    local source
    source=$(findmnt -no SOURCE -T "$1" 2>/dev/null) || fail "$1: not on a mounted file system"
    source=${source%%\[*}
    case $source in
        /dev/loop[0-9]*) echo "$source" ;;
        *) fail "$1: lies on $source; only loop images (image.sh up) are put under stress" ;;
    esac
}

# Prints the mount point of cgroup v1 controller $1. Fails if there is none.
v1_of() { findmnt -rno TARGET,OPTIONS -t cgroup | awk -v c="$1" '{n=split($2,o,","); for(i=1;i<=n;i++) if(o[i]==c){print $1; exit f=1}} END{exit !f}'; }

# Prints the mount point of cgroup v2 if it has controller $1. Fails otherwise.
v2_of() {
    local at
    at=$(findmnt -rno TARGET -t cgroup2 | head -n 1)
    [ -n "$at" ] && grep -qw "$1" "$at/cgroup.controllers" && echo "$at"
}
