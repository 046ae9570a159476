#!/usr/bin/env bash
# Calls syncfs on the file system of DIR in a loop for SECONDS. At each call the kernel write-protects every dirty page of
# a shared file mapping. Needs no root. Prints the number of calls.
#
#   sync-storm.sh DIR SECONDS
set -eu
. "$(dirname "$(readlink -f "$0")")/common.sh"
[ "${1-}" != probe ] || exit 0
[ $# = 2 ] || { sed -n '5s/^#   //p' "$0" >&2; exit 2; }
need_tools python3
# One process makes all calls. A fork per call would occupy a core with exec instead of stressing the file system.
exec python3 - "$1" "$2" <<'PY'
import ctypes, os, signal, sys, time

path, seconds = sys.argv[1], float(sys.argv[2])
syncfs = ctypes.CDLL(None, use_errno=True).syncfs
count = 0


def finish(*_):
    print(f"sync-storm: {count} calls of syncfs on {path}", flush=True)
    os._exit(0)


signal.signal(signal.SIGTERM, finish)
signal.signal(signal.SIGINT, finish)
fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
end = time.monotonic() + seconds
while time.monotonic() < end:
    if syncfs(fd) != 0:
        sys.exit(f"sync-storm: {path}: {os.strerror(ctypes.get_errno())}")
    count += 1
    time.sleep(0.001)
finish()
PY
