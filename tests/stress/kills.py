#!/usr/bin/env python3
"""Does the kills of kills.sh: kills.py PROGRAM N FOLDER...

For each kill: record 24 tracks of the ramp in real time, read the progress page of the pass, send SIGKILL, read the
progress page again, read the headers of the takes, recover (with `recover`, with a `recover` that is itself killed
up to three times, or with the next recording). Then check that every take has exactly the frames of the progress
page, that these are at least the frames it had before the kill, that every sample is the ramp from the first frame
on, and that no spool file is left.
"""

import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import time

import check

TRACKS = 24
RATE = 48000
PAGE = 4096
WAYS = ("recover", "killed", "start")


class Miss(Exception):
    """A promise that was not kept."""


def spool_folders():
    own = f"faultless-{os.getuid()}"
    places = [os.environ.get("XDG_RUNTIME_DIR"), f"/run/user/{os.getuid()}", "/dev/shm"]
    found = {os.path.join(place, own) for place in places if place}
    return [folder for folder in found if os.path.isdir(folder)]


def takes_of(session):
    try:
        return check.listed_takes(session)
    except (OSError, ValueError, KeyError):
        return []


def memory_file(take, ending):
    """The path of a take's file in memory with this ending, or None."""
    for folder in spool_folders():
        path = os.path.join(folder, f"{take['uuid']}.{ending}")
        if os.path.exists(path):
            return path
    return None


def progress_frames(session):
    """The number of frames on the progress page of the pass. None if there is no progress page yet."""
    takes = takes_of(session)
    path = memory_file(takes[0], "progress") if takes else None
    if path is None:
        return None
    with open(path, "rb") as file:
        file.seek(PAGE)
        return struct.unpack("=Q", file.read(8))[0]


def record_and_kill(program, session, seconds):
    """Returns frames before and after the kill."""
    command = [program, "record", session, "--device", "virtual", "--inputs", str(TRACKS), "--signal", "ramp"]
    command += ["--seconds", "600", "--buffer", "960000", "--json"]
    with open(session + ".err", "w", encoding="utf-8") as errors:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        until = time.monotonic() + 60
        while not progress_frames(session):
            if process.poll() is not None or until < time.monotonic():
                process.kill()
                with open(session + ".err", encoding="utf-8") as messages:
                    raise Miss(f"it does not record: {messages.read()}")
            time.sleep(0.003)
        time.sleep(seconds)
        before = progress_frames(session)
        process.send_signal(signal.SIGKILL)
        process.wait()
    return before, progress_frames(session)


def recover(program, session, way):
    if way == "start":
        command = [program, "record", session, "--device", "virtual:free", "--inputs", "1", "--seconds", "0.01", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0 or "Recovered 24 takes" not in done.stderr:
            raise Miss(f"the next start: {done.returncode}: {done.stderr.strip()}")
        return
    command = [program, "recover", session, "--json"]
    for _ in range(random.randint(1, 3) if way == "killed" else 0):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(0, 0.06))
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0 or done.stderr:
        raise Miss(f"recover: {done.returncode}: {done.stderr.strip()}")
    reported = json.loads(done.stdout.splitlines()[-1])["takes"]
    if len(reported) != TRACKS:
        raise Miss(f"recover tells of {len(reported)} takes")


def one(program, session, way, row):
    before, after = record_and_kill(program, session, random.uniform(0, row["seconds"]))
    takes = takes_of(session)
    unreadable, headers = 0, []
    for take in takes:
        try:
            # `check.Wav` would refuse a take that was cut off, because it has a reserve behind its sound.
            with open(os.path.join(session, take["file"]), "rb") as file:
                page = file.read(PAGE)
            if page[:4] != b"RIFF" or page[4088:4092] != b"data":
                raise check.Bad(take["file"])
            headers.append(struct.unpack("<I", page[4092:4096])[0] // 3)
        except (OSError, check.Bad, struct.error):
            unreadable += 1
    row["unreadable"] += unreadable
    recover(program, session, way)
    now = [take for take in takes_of(session) if take["pass"] == takes[0]["pass"]]
    lengths = {take["frames"] for take in now}
    row["unequal"] += len(lengths) != 1
    row["lost"] += max(0, max(before, after) - min(lengths))
    row["rescued"] = max(row["rescued"], after - min(headers, default=0))
    summary = {"takes": [{"file": t["file"], "input": t["inputs"][0], "frames": t["frames"], "frames_lost": 0} for t in now]}
    found = check.check_session(session, summary)
    row["wrong"] += found["wrong"] + len(found["errors"])
    if found["errors"]:
        raise Miss(f"{found}")
    if len(now) != TRACKS or lengths != {after} or after < before:
        raise Miss(f"{len(now)} takes of {lengths}; the progress page said {before} before and {after} after the kill")
    if unreadable:
        raise Miss(f"{unreadable} takes could not be read before recovery")
    if any(take["state"] != "recovered" for take in now):
        raise Miss("a take is not recovered")
    behind = [path for take in now for path in (memory_file(take, "spool"), memory_file(take, "progress")) if path]
    if behind:
        raise Miss(f"left in memory: {behind}")


def main():
    program, count, folders = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    seconds = float(os.environ.get("SECONDS_MAX", "2.5"))
    names = ("kills", "lost", "wrong", "unequal", "unreadable", "rescued")
    rows = {(folder, way): dict.fromkeys(names, 0) | {"seconds": seconds} for folder in folders for way in WAYS}
    misses = []
    for kill in range(count):
        folder, way = folders[kill % len(folders)], WAYS[kill // len(folders) % len(WAYS)]
        session, row = os.path.join(folder, f"kill-{kill}"), rows[folder, way]
        row["kills"] += 1
        try:
            one(program, session, way, row)
            shutil.rmtree(session)
            os.remove(session + ".err")
        except (Miss, OSError, ValueError, KeyError) as why:
            misses.append(f"kill {kill} on {os.path.basename(folder)}, {way}: {type(why).__name__}: {why}")
            print(misses[-1], file=sys.stderr, flush=True)
        if sys.stderr.isatty():
            print(f"\r{kill + 1} of {count}, {len(misses)} missed", end="", file=sys.stderr, flush=True)
    print("file system | recovered by | kills | frames lost | wrong | unequal | unreadable | rescued from memory, most")
    print("---|---|---|---|---|---|---|---")
    for (folder, way), row in rows.items():
        numbers = " | ".join(str(row[name]) for name in names)
        print(f"{os.path.basename(folder)} | {way} | {numbers}")
    for miss in misses:
        print(f"  {miss}")
    print(f"{count} kills, {len(misses)} missed")
    sys.exit(1 if misses else 0)


if __name__ == "__main__":
    main()
