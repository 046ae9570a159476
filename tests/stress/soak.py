#!/usr/bin/env python3
"""Does the run of soak.sh: soak.py PROGRAM FOLDER free|real-time HOURS TRACKS [ARGUMENT...]

While the takes grow, the script reads the frames that their headers claim, compares them with the ramp byte for
byte, and punches them out of the file. It is a miss if a header claims fewer frames than before, has wrong sizes, or
is RIFF where it must be RF64. Once per second the script reads the program's resident memory and the size of its
spool.

At the end it checks that all takes have the exact length, also in their headers, that no frame was lost, that there
was no page fault, that the spool stayed within its limit, and that memory stayed within 5 % of its size after the
first minute. For the program's own memory (RssAnon) that applies in both directions. Memory with code (VmRSS less
RssShmem) must not grow by more; it may shrink, because the kernel drops and reloads pages of code. The spool
(RssShmem) holds the sound that waits for the disk. It changes with every sync and has a limit of its own; the table
shows its peak. If the kernel moved pages meanwhile (compaction), minor faults are reported but are no miss, because
no program can prevent them.
"""

import ctypes
import json
import os
import signal
import struct
import subprocess
import sys
import time

import check

RATE = 48000
WIDTH = 3
DATA = 4096
PAGE = 4096
# Bytes that are compared and punched at once: whole frames and whole pages.
BLOCK = 3 << 20
RIFF_BYTES_MAX = 0xFFFFFFFF
SETTLED_S = 60
MEMORY_SHARE = 0.05
# Limit of the spool without real time, and the part that a huge page at each end of a take may add.
SPOOL_MIB = 256
SPOOL_SPARE_MIB = 64
PUNCH_HOLE_KEEP_SIZE = 0x03

libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


class Miss(Exception):
    """A promise that was not kept."""


def punch(fd, start, size):
    if libc.fallocate(fd, PUNCH_HOLE_KEEP_SIZE, start, size) != 0:
        raise OSError(ctypes.get_errno(), "punch")


class Take:
    """A growing take: the bytes of sound that its header claims, and the bytes that were checked."""

    def __init__(self, folder, entry):
        self.name = entry["file"]
        self.uuid = entry["uuid"]
        self.shift = entry["inputs"][0] * check.CHANNEL_STEP
        self.fd = os.open(os.path.join(folder, entry["file"]), os.O_RDWR)
        self.checked = 0
        self.claimed = 0
        self.form = b"RIFF"

    def miss(self, words):
        raise Miss(f"{self.name}: {words}")

    def header(self):
        """The first page. A read during a write may see parts of both pages, so it is repeated until two reads are equal."""
        page = None
        while page != (page := os.pread(self.fd, PAGE, 0)):
            pass
        return page

    def look(self, final=False):
        """Reads and checks the header. Returns the bytes of sound that it claims."""
        page = self.header()
        if len(page) < PAGE:
            self.miss("its header is cut short")
        form, riff, wave = struct.unpack_from("<4sI4s", page)
        mark, size = struct.unpack_from("<4sI", page, DATA - 8)
        if wave != b"WAVE" or mark != b"data":
            self.miss("its header is none")
        if form == b"RF64":
            name, length, riff, size, frames = struct.unpack_from("<4sIQQQ", page, 12)
            if (name, length) != (b"ds64", 28) or frames * WIDTH != size:
                self.miss(f"ds64 says {size} bytes and {frames} frames")
        elif form != b"RIFF":
            self.miss(f"it begins with {form}")
        whole = DATA + size + size % 2
        if riff != whole - 8:
            self.miss(f"the header says {riff} bytes of file and {size} of sound")
        if (form == b"RF64") != (riff > RIFF_BYTES_MAX):
            self.miss(f"{form.decode()} at {size} bytes of sound")
        if size < self.claimed or size % WIDTH:
            self.miss(f"the header went from {self.claimed} bytes of sound to {size}")
        on_disk = os.fstat(self.fd).st_size
        if on_disk < whole or (final and on_disk != whole):
            self.miss(f"the header says {whole} bytes of file, there are {on_disk}")
        self.claimed, self.form = size, form
        return size

    def compare(self, table, start, until):
        """Compares the sound up to byte `until` with the ramp from device frame `start` on, and punches it out of the file."""
        begun = self.checked
        while self.checked < until:
            size = min(BLOCK, until - self.checked)
            sound = os.pread(self.fd, size, DATA + self.checked)
            frame = (start + self.shift + self.checked // WIDTH) % check.PERIOD
            if sound != check.ramp(table, WIDTH, frame, size // WIDTH):
                self.differs(sound, table, frame, size)
            self.checked += size
        end = self.checked // PAGE * PAGE
        if begun // PAGE * PAGE < end:
            punch(self.fd, DATA + begun // PAGE * PAGE, end - begun // PAGE * PAGE)

    def differs(self, sound, table, frame, size):
        if len(sound) < size:
            self.miss(f"it ends at byte {DATA + self.checked + len(sound)}, and its header says otherwise")
        want = check.ramp(table, WIDTH, frame, size // WIDTH)
        at = next(i for i in range(0, size, WIDTH) if sound[i : i + WIDTH] != want[i : i + WIDTH])
        found, due = (int.from_bytes(b[at : at + WIDTH], "little", signed=True) for b in (sound, want))
        self.miss(f"frame {(self.checked + at) // WIDTH}: {found} in place of {due}")


class Memory:
    """The memory of the program, sampled once per second."""

    def __init__(self, pid):
        self.pid = pid
        self.begun = time.monotonic()
        self.next = self.begun
        self.first = None
        # Minimum and maximum of each figure since the first minute.
        self.bounds = {}
        self.rss_most = self.spool_most = 0

    def sample(self, takes):
        now = time.monotonic()
        if now < self.next:
            return
        self.next = now + 1
        try:
            with open(f"/proc/{self.pid}/status", encoding="utf-8") as file:
                words = dict(line.split(":", 1) for line in file if line.startswith(("VmRSS", "Rss")))
        except OSError:
            return
        if "VmRSS" not in words:
            return
        kib = {name: int(text.split()[0]) for name, text in words.items()}
        kib["held"] = kib["VmRSS"] - kib["RssShmem"]
        self.rss_most = max(self.rss_most, kib["VmRSS"])
        self.spool_most = max(self.spool_most, spool_bytes(takes))
        if now < self.begun + SETTLED_S:
            return
        self.first = self.first or kib
        for name, value in kib.items():
            least, most = self.bounds.get(name, (value, value))
            self.bounds[name] = (min(least, value), max(most, value))

    def misses(self):
        misses = []
        for name, downwards in (("RssAnon", True), ("held", False)):
            if self.first is None:
                break
            first, (least, most) = self.first[name], self.bounds[name]
            if (1 + MEMORY_SHARE) * first < most or (downwards and least < (1 - MEMORY_SHARE) * first):
                misses.append(f"memory: {name} {first} KiB after a minute, then {least} to {most}")
        return misses

    def mib(self, name, at):
        """A figure in MiB: at 0 after the first minute, at 1 its minimum, at 2 its maximum."""
        if self.first is None:
            return "-"
        return f"{(self.first[name], *self.bounds[name])[at] / 1024:.1f}"


def spool_bytes(takes):
    """Bytes of memory of the takes' spools."""
    own = f"faultless-{os.getuid()}"
    places = [os.environ.get("XDG_RUNTIME_DIR"), f"/run/user/{os.getuid()}", "/dev/shm"]
    total = 0
    for folder in {os.path.join(place, own) for place in places if place}:
        for take in takes:
            try:
                total += os.stat(os.path.join(folder, f"{take.uuid}.spool")).st_blocks * 512
            except OSError:
                pass
    return total


def pages_moved():
    """Pages that the kernel has moved since the machine started."""
    try:
        with open("/proc/vmstat", encoding="utf-8") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("pgmigrate_success"))
    except (OSError, StopIteration):
        return 0


class Soak:
    def __init__(self, program, folder, pace, hours, tracks, arguments):
        self.session = os.path.join(folder, "session")
        self.pace = pace
        self.seconds = round(hours * 3600)
        self.tracks = tracks
        # Without real time the disk sets the pace. A large lead keeps the supply of windows from setting it.
        device = ["virtual:free", "--lead", "15000", "--spool-limit", str(SPOOL_MIB)] if pace == "free" else ["virtual"]
        command = [program, "record", self.session, "--device", *device, "--inputs", str(tracks), "--signal", "ramp"]
        command += ["--rate", str(RATE), "--format", "s24", "--seconds", str(self.seconds), "--json", *arguments]
        self.out = open(os.path.join(folder, "out"), "w+", encoding="utf-8")
        self.err = open(os.path.join(folder, "err"), "w+", encoding="utf-8")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.err)
        self.memory = Memory(self.process.pid)
        self.table = check.s24_table()
        self.takes = []
        self.start = None
        self.moved = pages_moved()
        self.stopped = False
        self.last_report = time.monotonic()

    def run(self):
        begun = time.monotonic()
        while not os.path.isdir(self.session) and self.process.poll() is None:
            time.sleep(0.01)
        while self.process.poll() is None:
            self.memory.sample(self.takes)
            done = self.step()
            self.report(begun)
            self.make_room()
            if not done:
                time.sleep(0.05)
        self.took = time.monotonic() - begun
        self.step(final=True)
        for take in self.takes:
            os.close(take.fd)

    def make_room(self):
        """Without real time, stops the program while the disk is nearly full of sound that is not checked yet."""
        if self.pace != "free":
            return
        stat = os.statvfs(self.session)
        share = stat.f_bavail / stat.f_blocks
        if not self.stopped and share < 0.25:
            self.stopped = True
            self.process.send_signal(signal.SIGSTOP)
        elif self.stopped and share > 0.5:
            self.stopped = False
            self.process.send_signal(signal.SIGCONT)

    def step(self, final=False):
        """Checks the sound that was added to every take. Returns whether there was any. Limits the amount per call, so that
        memory is sampled in between."""
        if not self.takes and not self.find():
            return False
        done = False
        for take in self.takes:
            size = take.look(final)
            # While the take grows, check whole blocks only, because their pages are punched.
            until = size if final else min(size // BLOCK * BLOCK, take.checked + 16 * BLOCK)
            if take.checked < until:
                done = True
                if self.start is None:
                    self.start = self.first(take)
                take.compare(self.table, self.start, until)
            self.memory.sample(self.takes)
        return done

    def find(self):
        try:
            entries = check.listed_takes(self.session)
            if len(entries) != self.tracks:
                return False
            self.takes = [Take(self.session, entry) for entry in entries]
        except (OSError, ValueError, KeyError):
            return False
        return True

    @staticmethod
    def first(take):
        """The device frame of frame 0 of the takes, which is the same for all of them."""
        value = int.from_bytes(os.pread(take.fd, WIDTH, DATA), "little", signed=True) + (1 << 23)
        return (value - take.shift) % check.PERIOD

    def report(self, begun):
        now = time.monotonic()
        if now < self.last_report + 60 or not self.takes:
            return
        self.last_report = now
        frames = min(take.checked for take in self.takes) // WIDTH
        rate = self.tracks * frames * WIDTH / (now - begun) / 1e6
        hours, held = frames / RATE / 3600, f"{self.memory.mib('held', 2)} MiB, own {self.memory.mib('RssAnon', 2)}"
        print(f"  {hours:.2f} h after {(now - begun) / 60:.0f} min, {rate:.0f} MB/s, {held} MiB", flush=True)

    def end(self):
        """Ends the program with SIGTERM, so that no spool stays in memory."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def judge(self):
        """Prints the row. Returns the misses."""
        self.out.seek(0)
        self.err.seek(0)
        messages = self.err.read()
        if self.process.returncode != 0:
            raise Miss(f"status {self.process.returncode}: {messages.strip()}")
        result = json.loads(self.out.read().strip().splitlines()[-1])
        audio = result["audio_thread"]
        frames = self.seconds * RATE
        misses = self.memory.misses()
        if self.pace == "free" and (SPOOL_MIB + SPOOL_SPARE_MIB) << 20 < self.memory.spool_most:
            misses.append(f"spool: {self.memory.spool_most >> 20} MiB, and {SPOOL_MIB} are its limit")
        for take in self.takes:
            if take.checked != frames * WIDTH:
                misses.append(f"{take.name}: {take.checked // WIDTH} frames right, {frames} were to be")
            if (DATA + frames * WIDTH > RIFF_BYTES_MAX) != (take.form == b"RF64"):
                misses.append(f"{take.name}: it ends as {take.form.decode()}")
        counts = {"frames_lost": result["frames_lost"], "xruns": result["xruns"]}
        counts["major_faults"] = audio["major_faults"]
        moved = pages_moved() - self.moved
        if moved == 0:
            counts["minor_faults"] = audio["minor_faults"]
        elif audio["minor_faults"]:
            print(f"  note: {audio['minor_faults']} minor faults while the kernel moved {moved} pages")
        misses += [f"{name}: {count}" for name, count in counts.items() if count != 0]
        if any(take["frames"] != frames for take in result["takes"]) or len(self.takes) != self.tracks:
            misses.append("the summary has takes of another length, or another number of them")
        if "LOSS" in messages:
            misses.append(messages.strip())
        self.row(result, audio, len(misses))
        return misses

    def row(self, result, audio, count):
        crossed = sum(take.form == b"RF64" for take in self.takes)
        # Checked frames of the take with the fewest.
        frames = min((take.checked for take in self.takes), default=0) // WIDTH
        cells = (
            ("hours", f"{frames / RATE / 3600:.2f}"),
            ("minutes", f"{self.took / 60:.1f}"),
            ("MB/s", f"{self.tracks * frames * WIDTH / self.took / 1e6:.0f}"),
            ("frames", frames),
            ("RF64", f"{crossed}/{self.tracks}"),
            ("lost", result["frames_lost"]),
            ("minor", audio["minor_faults"]),
            ("major", audio["major_faults"]),
            ("MiB 1 min", self.memory.mib("held", 0)),
            ("least", self.memory.mib("held", 1)),
            ("most", self.memory.mib("held", 2)),
            ("own 1 min", self.memory.mib("RssAnon", 0)),
            ("own most", self.memory.mib("RssAnon", 2)),
            ("RSS most", self.memory.rss_most >> 10),
            ("spool", self.memory.spool_most >> 20),
            ("commit ms", f"{result['commit_us_max'] / 1000:.0f}"),
            ("", "ok" if count == 0 else "MISS"),
        )
        widths = [max(len(name), len(str(cell)), 6) for name, cell in cells]
        print(" ".join(name.rjust(width) for (name, _), width in zip(cells, widths)))
        print(" ".join(str(cell).rjust(width) for (_, cell), width in zip(cells, widths)), flush=True)


def main():
    if len(sys.argv) < 6 or sys.argv[3] not in ("free", "real-time"):
        sys.exit(__doc__.splitlines()[0])
    program, folder, pace = sys.argv[1:4]
    soak = Soak(program, folder, pace, float(sys.argv[4]), int(sys.argv[5]), sys.argv[6:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        soak.run()
        misses = soak.judge()
    except (Miss, OSError, ValueError, KeyError, IndexError) as why:
        misses = [f"{type(why).__name__}: {why}"]
    finally:
        soak.end()
    for miss in misses:
        print(f"  missed: {miss}")
    print(f"\n{0 if misses else 1} passed, {1 if misses else 0} failed, 0 skipped")
    sys.exit(1 if misses else 0)


if __name__ == "__main__":
    main()
