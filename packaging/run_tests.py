#!/usr/bin/env python3
"""Runs tests with deadlines, so that no test and no step holds a run for ever.

  run_tests.py tests [OPTION...] EXECUTABLE...   runs the tests of libtest executables, each in a process of its own
  run_tests.py step SECONDS COMMAND...           runs a command, and ends it after so many seconds

Options of `tests`:
  --cargo FILE               more executables: FILE is what `cargo test --no-run --message-format=json` printed
  --only WORD                only tests whose path contains WORD; may be given several times
  --skip FILE                tests that can't run here: a line "PATTERN<tab>REASON" each; PATTERN (as in a shell) is
                             compared with the last part of a test's path, and the first one that fits counts
  --deadline PATTERN=SECONDS another deadline for tests whose path fits PATTERN; may be given several times
  --whole SECONDS            the deadline of all tests together (3600)
  --jobs N                   tests that run at once (the number of cores)
  --counts FILE              writes "PASSED FAILED SKIPPED" there at the end

A test has 120 seconds; one whose last path part begins with minute_ or root_ has 300. Tests that begin with root_ run
alone, after all others. At a deadline the runner prints what every thread of the test waits for, ends the test's
processes, unmounts what the test left mounted, and goes on. It abandons a process that even SIGKILL does not end.
When the whole run's deadline has come, the tests that have not ended count as failed, by name.

A test that skips itself prints "SKIPPED WHAT: REASON", and passes or exits with status 77. It counts as skipped. One that
leaves out a part prints "PART SKIPPED WHAT: REASON", and counts as passed; the runner shows the line.

The exit status is 0 where nothing failed. `step` exits with the command's status, or with 124 after the deadline.
With `--counts FILE` before SECONDS, `step` adds up libtest's own closing lines in what the command printed.
"""

import argparse
import fnmatch
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid

NORMAL_S = 120
LONG_S = 300
# After SIGTERM, for scripts that thaw and lift what they did; after SIGKILL, for the kernel.
TERM_S = 3
KILL_S = 5
# How long a helper (umount, losetup, fsfreeze, a list of tests) may take.
HELPER_S = 20
MARK = "FAULTLESS_TEST_MARK"
# The exit status of a test that finds out in the middle that it cannot run here, and has said why.
SKIPS = 77

SKIPPED = re.compile(r"(?:^|\.\.\. )SKIPPED (.+)$", re.MULTILINE)
PART = re.compile(r"(?:^|\.\.\. )PART SKIPPED (.+)$", re.MULTILINE)
RESULT = re.compile(r"^test result: \S+ (\d+) passed; (\d+) failed; (\d+) ignored", re.MULTILINE)


def say(text=""):
    print(text, flush=True)


def read(path):
    """The text of a file below /proc; "?" where it can't be read."""
    try:
        with open(path, "rb") as file:
            return file.read().decode(errors="replace").strip()
    except OSError:
        return "?"


# ---- Processes ----


def stat_of(pid):
    """State, parent, process group and session of a process; None where it is gone."""
    text = read(f"/proc/{pid}/stat")
    # The name may contain blanks and brackets; it ends with the last bracket.
    fields = text[text.rfind(")") + 1 :].split()
    return (fields[0], int(fields[1]), int(fields[2]), int(fields[3])) if len(fields) > 3 else None


def family(leader, mark):
    """The living processes of a test: its group and session, their children, and whoever has its mark."""
    found, parents = set(), {}
    wanted = f"{MARK}={mark}"
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        pid = int(name)
        stat = stat_of(pid)
        if stat is None or stat[0] in "ZX" or pid == os.getpid():
            continue
        parents[pid] = stat[1]
        if pid == leader or leader in stat[2:] or wanted in read(f"/proc/{pid}/environ").split("\0"):
            found.add(pid)
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found |= more
        grown = bool(more)
    return found


def waits(pids):
    """What every thread of the processes waits for, a line each."""
    lines = []
    for pid in sorted(pids):
        lines.append(f"  process {pid}: {read(f'/proc/{pid}/cmdline').replace(chr(0), ' ').strip()[:200]}")
        try:
            threads = sorted(os.listdir(f"/proc/{pid}/task"), key=int)
        except OSError:
            continue
        for thread in threads:
            at = f"/proc/{pid}/task/{thread}"
            state = next((line.split()[1] for line in read(f"{at}/status").splitlines() if line.startswith("State:")), "?")
            call = read(f"{at}/syscall")
            lines.append(f"    {thread} {read(f'{at}/comm')}: state {state}, wchan {read(f'{at}/wchan')}, syscall {call}")
            stack = read(f"{at}/stack")
            if stack not in ("", "?"):
                lines.extend(f"      {line}" for line in stack.splitlines()[:12])
    return lines


def send(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            pass


def gone(child, mark, seconds):
    """Waits until a child and its family are gone. False where they are not after so many seconds."""
    until = time.monotonic() + seconds
    while True:
        child.poll()
        if not family(child.pid, mark):
            return True
        if time.monotonic() > until:
            return False
        time.sleep(0.1)


def end(child, mark):
    """Ends a child and its family."""
    send(family(child.pid, mark), signal.SIGTERM)
    if not gone(child, mark, TERM_S):
        send(family(child.pid, mark), signal.SIGKILL)
        gone(child, mark, KILL_S)


def abandoned(child, mark):
    """A line for every process that could not be ended."""
    gone(child, mark, 1)
    names = [(pid, read(f"/proc/{pid}/comm"), (stat_of(pid) or "?")[0]) for pid in sorted(family(child.pid, mark))]
    return [f"  process {pid} ({comm}) is in state {state} and can't be ended: abandoned" for pid, comm, state in names]


def helper(*command):
    """Runs a helper with a deadline of its own. Returns its output, or None where it failed."""
    # A helper that can't be ended must not be waited for, as subprocess.run does.
    with tempfile.TemporaryFile() as out:
        try:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.DEVNULL)
        except OSError:
            return None
        try:
            status = child.wait(HELPER_S)
        except subprocess.TimeoutExpired:
            child.kill()
            return None
        out.seek(0)
        return out.read().decode(errors="replace") if status == 0 else None


# ---- What a dead test leaves mounted ----


def mounts():
    """Mount points, the deepest last."""
    found = []
    for line in read("/proc/self/mountinfo").splitlines():
        fields = line.split(" ")
        if len(fields) > 4:
            found.append(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), fields[4]))
    return found


def clear(folders, before):
    """Unmounts what was mounted below the folders since `before`, and frees its loop devices. Returns what it did."""
    done = []
    for point in reversed(mounts()):
        if point in before or not any(point.startswith(f"{folder}/") for folder in folders):
            continue
        # A frozen file system would keep its processes for ever.
        helper("fsfreeze", "-u", point)
        # Never without -l: an unmount that waits for the disk would hold the run.
        ok = helper("umount", "-l", point) is not None
        done.append(f"  {point} was left mounted: {'detached' if ok else 'could not be detached'}")
    if done:
        for line in (helper("losetup", "-lnO", "NAME,BACK-FILE") or "").splitlines():
            device, _, file = line.strip().partition(" ")
            if any(file.strip().startswith(f"{folder}/") for folder in folders):
                helper("losetup", "-d", device)
    return done


# ---- Tests ----


class Test:
    """A test of an executable."""

    def __init__(self, executable, name):
        self.executable, self.name = executable, name
        self.path = f"{executable.label} {name}"
        self.last = name.rsplit("::", 1)[-1]
        self.alone = self.last.startswith("root_")

    def seconds(self, deadlines):
        for pattern, seconds in deadlines:
            if fnmatch.fnmatchcase(self.name, pattern):
                return seconds
        return LONG_S if self.last.startswith(("minute_", "root_")) else NORMAL_S


class Executable:
    """A test executable, and where cargo would start it."""

    def __init__(self, path, folder=None, label=None, target=None):
        self.path = os.path.abspath(path)
        self.folder = os.path.abspath(folder or os.getcwd())
        self.label = label or os.path.basename(path)
        # Where its tests make their folders: TARGET/tmp.
        self.target = target or os.path.dirname(os.path.dirname(os.path.dirname(self.path)))

    def environment(self):
        """What cargo test gives to a test at run time."""
        deps = os.path.dirname(self.path)
        paths = [deps, os.path.dirname(deps)]
        if os.environ.get("LD_LIBRARY_PATH"):
            paths.append(os.environ["LD_LIBRARY_PATH"])
        return {
            **os.environ,
            "CARGO": shutil.which("cargo") or "cargo",
            "CARGO_MANIFEST_DIR": self.folder,
            "CARGO_MANIFEST_PATH": os.path.join(self.folder, "Cargo.toml"),
            "LD_LIBRARY_PATH": ":".join(paths),
        }

    def tests(self):
        """Its tests; None where it does not list them."""
        with tempfile.TemporaryFile() as out:
            command = [self.path, "--list", "--format", "terse"]
            child = subprocess.Popen(command, cwd=self.folder, env=self.environment(), stdin=subprocess.DEVNULL, stdout=out)
            try:
                if child.wait(HELPER_S) != 0:
                    return None
            except subprocess.TimeoutExpired:
                child.kill()
                return None
            out.seek(0)
            lines = out.read().decode().splitlines()
        return [Test(self, line.removesuffix(": test")) for line in lines if line.endswith(": test")]


def built(file):
    """The test executables in cargo's messages, unit tests first."""
    found = []
    with open(file, encoding="utf-8") as lines:
        for line in lines:
            if not line.startswith("{"):
                continue
            message = json.loads(line)
            if message.get("reason") != "compiler-artifact" or not message.get("executable"):
                continue
            if not message.get("profile", {}).get("test"):
                continue
            target = message["target"]
            kind = "unit" if "lib" in target["kind"] else target["kind"][0]
            label = target["name"] if kind == "test" else f"{target['name']}({kind})"
            found.append((kind == "test", Executable(message["executable"], os.path.dirname(message["manifest_path"]), label)))
    return [executable for _, executable in sorted(found, key=lambda item: item[0])]


class Running:
    """A test that runs."""

    def __init__(self, test, seconds):
        self.test, self.seconds = test, seconds
        self.mark = uuid.uuid4().hex
        self.output = tempfile.TemporaryFile()
        self.before, self.kept = mounts(), self.made()
        self.began = time.monotonic()
        executable = test.executable
        self.child = subprocess.Popen(
            [executable.path, "--exact", test.name, "--nocapture"],
            cwd=executable.folder,
            env={**executable.environment(), MARK: self.mark},
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=heed_signals,
        )

    def folders(self):
        return [os.path.realpath(os.path.join(self.test.executable.target, "tmp")), tempfile.gettempdir()]

    def made(self):
        """Folders that tests have made below TARGET/tmp. A test that ends removes its own."""
        place = self.folders()[0]
        return {entry for entry in (os.listdir(place) if os.path.isdir(place) else []) if entry.startswith(".tmp")}

    def remove(self):
        """Removes the folders that an ended test left: its images are large. Nobody else made one meanwhile."""
        for entry in self.made() - self.kept:
            helper("rm", "-rf", "--one-file-system", os.path.join(self.folders()[0], entry))

    def text(self):
        self.output.seek(0)
        return self.output.read().decode(errors="replace")

    def took(self):
        return time.monotonic() - self.began


class Run:
    """All tests, what became of them, and what is still to be done."""

    def __init__(self, jobs, until, deadlines):
        self.jobs, self.until, self.deadlines = jobs, until, deadlines
        self.passed, self.failed, self.skipped = 0, [], 0
        self.running = []

    def skip(self, test, reason):
        self.skipped += 1
        say(f"skipped {test.path}: {reason}")

    def fail(self, path, why, text=""):
        self.failed.append(f"{path}: {why}")
        say(f"FAILED  {path}: {why}")
        for line in text.rstrip().splitlines():
            say(f"        | {line}")

    def ended(self, running):
        """Judges a test whose process has ended."""
        test, status, text = running.test, running.child.returncode, running.text()
        left = family(running.child.pid, running.mark)
        if left:
            # What is about to end by itself may do so.
            gone(running.child, running.mark, 1)
            end(running.child, running.mark)
        notes = clear(running.folders(), running.before) if test.alone else []
        result = RESULT.search(text)
        counts = result.groups() if result else None
        skipped = SKIPPED.search(text)
        if status == SKIPS and skipped and not notes:
            self.skip(test, skipped[1])
        elif status < 0:
            self.fail(test.path, f"ended by signal {-status}", text)
        elif status != 0 or counts != ("1", "0", "0"):
            self.fail(test.path, f"exit status {status}" if status else "it did not run", text)
        elif notes:
            self.fail(test.path, "it left something mounted", text)
        elif skipped:
            self.skip(test, skipped[1])
        else:
            self.passed += 1
            say(f"ok {running.took():6.1f} s  {test.path}")
            for part in PART.findall(text):
                say(f"        part skipped: {part}")
        for line in notes:
            say(line)

    def late(self, running, why):
        """Ends a test at its deadline, and says what it waited for."""
        test = running.test
        lines = waits(family(running.child.pid, running.mark))
        end(running.child, running.mark)
        if test.alone:
            lines += clear(running.folders(), running.before)
            running.remove()
        lines += abandoned(running.child, running.mark)
        self.fail(test.path, why, running.text())
        say("        it waited for:")
        for line in lines:
            say(f"      {line}")

    def look(self):
        """Takes out of the running tests those that have ended or are late."""
        now = time.monotonic()
        for running in list(self.running):
            if running.child.poll() is not None:
                self.running.remove(running)
                self.ended(running)
            elif now - running.began > running.seconds:
                self.running.remove(running)
                self.late(running, f"not done after {running.seconds:g} s")
            elif now > self.until:
                self.running.remove(running)
                self.late(running, "not done at the deadline of the whole run")

    def all(self, tests):
        waiting = [test for test in tests if not test.alone] + [test for test in tests if test.alone]
        while waiting or self.running:
            self.look()
            while waiting and time.monotonic() < self.until and self.has_room(waiting[0]):
                test = waiting.pop(0)
                try:
                    self.running.append(Running(test, test.seconds(self.deadlines)))
                except OSError as error:
                    self.fail(test.path, str(error))
            if time.monotonic() >= self.until and not self.running:
                for test in waiting:
                    self.fail(test.path, "not run: the deadline of the whole run had come")
                return
            time.sleep(0.01)

    def has_room(self, test):
        if test.alone:
            return not self.running
        return len(self.running) < self.jobs

    def stop(self):
        for running in self.running:
            end(running.child, running.mark)
            if running.test.alone:
                clear(running.folders(), running.before)


def run_tests(words):
    parser = argparse.ArgumentParser(prog="run_tests.py tests")
    parser.add_argument("executables", nargs="*")
    parser.add_argument("--cargo")
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--skip")
    parser.add_argument("--deadline", action="append", default=[])
    parser.add_argument("--whole", type=float, default=3600)
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--counts")
    given = parser.parse_args(words)
    deadlines = [(pattern, float(seconds)) for pattern, _, seconds in (item.rpartition("=") for item in given.deadline)]
    run = Run(given.jobs, time.monotonic() + given.whole, deadlines)
    end_by_signals()
    reasons = []
    if given.skip:
        with open(given.skip, encoding="utf-8") as lines:
            reasons = [line.rstrip("\n").split("\t", 1) for line in lines if "\t" in line]
    executables = [Executable(path) for path in given.executables] + (built(given.cargo) if given.cargo else [])
    if not executables:
        run.fail("no test executable", "nothing was built")
    tests, fitting = [], set()
    for executable in executables:
        listed = executable.tests()
        if listed is None:
            run.fail(executable.path, "it does not list its tests")
            continue
        for test in listed:
            words = [word for word in given.only if word in test.name]
            fitting.update(words)
            if given.only and not words:
                continue
            reason = next((reason for pattern, reason in reasons if fnmatch.fnmatchcase(test.last, pattern)), None)
            if reason:
                run.skip(test, reason)
            else:
                tests.append(test)
    for word in given.only:
        if word not in fitting:
            run.fail(word, "no test has this in its name")
    try:
        run.all(tests)
    finally:
        run.stop()
    if run.failed:
        say()
        for line in run.failed:
            say(f"failed: {line}")
    say(f"tests: {run.passed} passed, {len(run.failed)} failed, {run.skipped} skipped")
    if given.counts:
        with open(given.counts, "w", encoding="utf-8") as file:
            file.write(f"{run.passed} {len(run.failed)} {run.skipped}\n")
    return 1 if run.failed else 0


# ---- Steps ----


def run_step(words):
    parser = argparse.ArgumentParser(prog="run_tests.py step")
    parser.add_argument("--counts")
    parser.add_argument("seconds", type=float)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args(words)
    mark = uuid.uuid4().hex
    # The step writes into a pipe that we copy: one that is abandoned must not hold our own output open.
    child = subprocess.Popen(
        given.command,
        env={**os.environ, MARK: mark},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=heed_signals,
    )
    text = bytearray()

    def stop(*_):
        end(child, mark)
        sys.exit(143)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, stop)
    until = time.monotonic() + given.seconds
    late = False
    while True:
        ready, _, _ = select.select([child.stdout], [], [], 0.2)
        if ready:
            piece = os.read(child.stdout.fileno(), 1 << 16)
            if given.counts:
                text += piece
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
            if not piece:
                break
        # Something that the step started and left may hold the pipe open: the step's own end counts.
        elif child.poll() is not None:
            break
        if time.monotonic() > until:
            late = True
            break
    if not late:
        try:
            child.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            late = True
    if late:
        say(f"not done after {given.seconds:g} s: {' '.join(given.command)}\nit waited for:")
        for line in waits(family(child.pid, mark)):
            say(line)
        end(child, mark)
        for line in abandoned(child, mark):
            say(line)
    if given.counts:
        found = [[int(count) for count in result] for result in RESULT.findall(text.decode(errors="replace"))]
        counts = [sum(column) for column in zip(*found)] if found else [0, 0, 0]
        with open(given.counts, "w", encoding="utf-8") as file:
            file.write(" ".join(map(str, counts)) + "\n")
    if late:
        return 124
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def end_by_signals():
    """Ends the runner and all that it started by the signals that end a program. One that was ignored when the runner began
    stays so: `nohup` ignores SIGHUP, and a shell ignores SIGINT for the programs that it starts in the background."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda number, _: sys.exit(128 + number))


def heed_signals():
    """Lets a test die of the signals that end a program. A shell starts its background programs with SIGINT ignored, and
    children inherit that; the program under test heeds it."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def main():
    if len(sys.argv) > 1 and sys.argv[1] == "tests":
        return run_tests(sys.argv[2:])
    if len(sys.argv) > 3 and sys.argv[1] == "step":
        return run_step(sys.argv[2:])
    print(__doc__.split("\n\n")[1], file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
