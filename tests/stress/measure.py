#!/usr/bin/env python3
"""Runs a command and writes its cost as one JSON object.

    measure.py OUT COMMAND...

OUT gets: status (the exit status, or minus the signal that ended the command), seconds, cpu_s and rss_mib (of the whole
process, from getrusage), audio_cpu_s (of the thread with a real-time class, or whose name begins with "audio"; from
/proc/PID/task/TID/schedstat, read four times per second, so the last quarter of a second is missing), threads.
The script passes SIGTERM and SIGINT to the command. Its exit status is that of the command.
"""

import json
import os
import resource
import signal
import sys
import time


def thread_times(pid):
    """A dict of thread id -> (name, real-time priority, CPU seconds)."""
    threads = {}
    try:
        for tid in os.listdir(f"/proc/{pid}/task"):
            at = f"/proc/{pid}/task/{tid}"
            try:
                with open(f"{at}/stat", encoding="utf-8") as file:
                    stat = file.read()
                with open(f"{at}/schedstat", encoding="utf-8") as file:
                    nanoseconds = int(file.read().split()[0])
            except OSError:
                continue
            name = stat[stat.index("(") + 1 : stat.rindex(")")]
            # The field after the name is field 3 (state). rt_priority is field 40.
            priority = int(stat[stat.rindex(")") + 2 :].split()[37])
            threads[tid] = (name, priority, nanoseconds / 1e9)
    except OSError:
        pass
    return threads


def main():
    if len(sys.argv) < 3:
        sys.exit("measure.py OUT COMMAND...")
    out, command = sys.argv[1], sys.argv[2:]
    start = time.monotonic()
    pid = os.spawnvp(os.P_NOWAIT, command[0], command)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda got, _: os.kill(pid, got))
    # The newest times of each thread. Some threads end before the process does.
    threads = {}
    while True:
        done, status, usage = os.wait4(pid, os.WNOHANG)
        if done:
            break
        threads.update(thread_times(pid))
        time.sleep(0.25)
    audio = [cpu for name, priority, cpu in threads.values() if priority > 0 or name.startswith("audio")]
    result = {
        "status": os.waitstatus_to_exitcode(status),
        "seconds": round(time.monotonic() - start, 3),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 3),
        "rss_mib": round(usage.ru_maxrss / 1024, 1),
        "audio_cpu_s": round(max(audio), 3) if audio else None,
        "threads": {f"{name}/{tid}": round(cpu, 3) for tid, (name, _, cpu) in sorted(threads.items())},
        "memlock_bytes": resource.getrlimit(resource.RLIMIT_MEMLOCK)[0],
    }
    with open(out, "w", encoding="utf-8") as file:
        json.dump(result, file)
    sys.exit(result["status"] if result["status"] >= 0 else 128 - result["status"])


if __name__ == "__main__":
    main()
