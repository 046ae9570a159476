#!/usr/bin/env python3
"""Judges one acceptance run and prints its row of the table.

    verdict.py head
    verdict.py NAME STDOUT STDERR COST [--check FILE] [--stress FILE] LIMIT...

STDOUT: output of `faultless record` or `play` with --json. STDERR: its messages. COST: output of measure.py.
--check: output of check.py. --stress: output of the stress script. Prints a line under the row for each missed
limit, and then exits with status 1. LIMIT:

    exact          every sample right, none silent, no frame lost, all takes of the asked length (seconds=N)
    complete       every sample right, or silent where a loss is reported; for an ordinary user without real-time rights
    seconds=N      the run has N seconds of sound
    quiet          no page fault, no voluntary switch except for the device, no xrun
    cycle_max=F    worst cycle at most F of a period
    cycle_mean=US  mean cycle at most US microseconds
    cpu=S audio_cpu=S rss=MIB locked=MIB
    hit            the stress had an effect (squeeze: failcnt above 0, no kill)
    stress_ran     the stress ended without an error (the last line of its output is `status 0`)
    says=REGEX     STDERR or STDOUT matches REGEX
"""

import json
import re
import sys

COLUMNS = (
    ("run", 26), ("minor", 6), ("major", 6), ("volsw", 6), ("xruns", 6), ("lost", 7), ("wrong", 6),
    ("mean us", 8), ("p9999", 8), ("max us", 8), ("lead ms", 8), ("commit ms", 10), ("lock MiB", 9),
    ("RSS MiB", 8), ("CPU s", 7), ("audio s", 8), ("", 5),
)  # fmt: skip


def row(cells):
    texts = []
    for cell, (name, width) in zip(cells, COLUMNS):
        if cell is None:
            cell = "-"
        elif isinstance(cell, float):
            cell = f"{cell:.1f}" if abs(cell) >= 10 else f"{cell:.2f}"
        texts.append(str(cell).ljust(width) if name in ("run", "") else str(cell).rjust(width))
    print(" ".join(texts).rstrip(), flush=True)


def last_object(path):
    """The last line of a file as JSON. An empty object if it is no JSON."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return json.loads(file.read().strip().splitlines()[-1])
    except (OSError, ValueError, IndexError):
        return {}


def text_of(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def misses(limits, run, cost, checked, out, err, stress):
    """A sentence for each missed limit."""
    thread = run.get("audio_thread", {})
    period_us = 1e6 * run["period"] / run["rate"] if run.get("rate") and run.get("period") else None
    lost = run.get("frames_lost", run.get("dropouts"))
    found = []

    def at_most(what, value, limit):
        # A missing figure counts as a miss.
        if value is None:
            found.append(f"{what}: not reported")
        elif value > limit:
            found.append(f"{what}: {value:g}, at most {limit:g}")

    if cost.get("status") != 0:
        found.append(f"exit status {cost.get('status')}: {err.strip().splitlines()[-1] if err.strip() else 'no word'}")
    if not run:
        found.append("no summary on the last line")
    for limit in limits:
        name, _, value = limit.partition("=")
        if name == "quiet":
            for key in ("minor_faults", "major_faults", "voluntary_switches"):
                at_most(key, thread.get(key), 0)
            at_most("xruns", run.get("xruns"), 0)
        elif name == "exact":
            at_most("frames lost or dropouts", lost, 0)
            if checked is not None:
                at_most("frames wrong", checked.get("wrong"), 0)
                at_most("frames silent", checked.get("silent"), 0)
                found.extend(checked.get("errors", ["the checker said nothing"]))
        elif name == "complete":
            found.extend((checked or {}).get("errors", ["the checker said nothing"]))
        elif name == "seconds":
            frames = run.get("frames")
            want = float(value) * run.get("rate", 0)
            # The pass ends with the period in which its time ends.
            if frames is None or not want <= frames <= want + 2 * run.get("period", 0):
                found.append(f"frames: {frames}, asked for {want:g}")
        elif name == "cycle_max":
            share = float(value)
            at_most("worst cycle, us", thread.get("cycle_us_max"), share * period_us if period_us else 0)
        elif name == "cycle_mean":
            at_most("mean cycle, us", thread.get("cycle_us_mean"), float(value))
        elif name == "cpu":
            at_most("CPU seconds", cost.get("cpu_s"), float(value))
        elif name == "audio_cpu":
            at_most("CPU seconds of the audio thread", cost.get("audio_cpu_s"), float(value))
        elif name == "rss":
            at_most("resident MiB", cost.get("rss_mib"), float(value))
        elif name == "locked":
            locked = run.get("locked_bytes_peak")
            at_most("locked MiB", None if locked is None else locked / 2**20, float(value))
        elif name == "hit":
            lines = [line for line in stress.splitlines() if line.startswith("{")]
            report = json.loads(lines[-1]) if lines else {}
            if not report.get("failcnt"):
                found.append("the squeeze never bit")
            at_most("kills for want of memory", report.get("oom_kills"), 0)
        elif name == "stress_ran":
            if "status 0" not in stress.splitlines()[-1:]:
                found.append(f"the stress failed: {' / '.join(stress.strip().splitlines()[-2:]) or 'no word'}")
        elif name == "says":
            if not re.search(value, err + out, re.IGNORECASE):
                found.append(f"does not say /{value}/")
        else:
            found.append(f"{limit}: no such limit")
    return found


def main():
    if sys.argv[1:] == ["head"]:
        row([name for name, _ in COLUMNS])
        return
    name, out_path, err_path, cost_path, *rest = sys.argv[1:]
    files = {}
    while rest and rest[0].startswith("--"):
        files[rest[0]] = rest[1]
        rest = rest[2:]
    run, cost = last_object(out_path), last_object(cost_path)
    checked = last_object(files["--check"]) if "--check" in files else None
    stress = text_of(files["--stress"]) if "--stress" in files else ""
    found = misses(rest, run, cost, checked, text_of(out_path), text_of(err_path), stress)
    thread = run.get("audio_thread", {})

    def scaled(value, scale):
        return None if value is None else value * scale

    row([
        name, thread.get("minor_faults"), thread.get("major_faults"), thread.get("voluntary_switches"),
        run.get("xruns"), run.get("frames_lost", run.get("dropouts")), (checked or {}).get("wrong"),
        thread.get("cycle_us_mean"), thread.get("cycle_us_p9999"), thread.get("cycle_us_max"),
        scaled(run.get("lead_frames_min"), 1000 / (run.get("rate") or 1)), scaled(run.get("commit_us_max"), 0.001),
        scaled(run.get("locked_bytes_peak"), 1 / 2**20), cost.get("rss_mib"), cost.get("cpu_s"),
        cost.get("audio_cpu_s"), "MISS" if found else "ok",
    ])  # fmt: skip
    for miss in found:
        print(f"    {name}: {miss}", flush=True)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
