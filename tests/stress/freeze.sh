#!/usr/bin/env bash
# Freezes the file system of DIR after AFTER seconds, for FOR seconds: every write and every first store to a page
# of a mapped file waits. Needs root. The script thaws the file system at exit, also after a signal.
#
#   freeze.sh DIR AFTER FOR
#   freeze.sh probe            checks whether this machine permits it: exits with 0, or with 77 and a reason
set -eu
. "$(dirname "$(readlink -f "$0")")/common.sh"

need_root
need_tools fsfreeze findmnt
[ "${1-}" != probe ] || exit 0
[ $# = 3 ] || { sed -n '5,6s/^#   //p' "$0" >&2; exit 2; }
dir=$1
loop_of "$dir" >/dev/null

finish() {
    fsfreeze -u "$dir" 2>/dev/null || true
    end_pause
}
trap finish EXIT
trap 'exit 143' TERM
trap 'exit 130' INT HUP

pause "$2"
fsfreeze -f "$dir" || skip "fsfreeze refused"
echo "freeze: $dir frozen for $3 s"
pause "$3"
fsfreeze -u "$dir"
echo "freeze: $dir thawed"
