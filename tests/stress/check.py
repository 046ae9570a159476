#!/usr/bin/env python3
"""Compares a session's takes with the ramp of the virtual device, sample for sample, silence included.

    check.py SESSION [SUMMARY]

SESSION: the session folder. SUMMARY: the output of `faultless record ... --json` (the last line counts). `-` or
nothing: standard input.

The ramp: the sample at device frame n on input c is ((n + c * 1000003) mod 2^24) - 2^23 as a 24-bit integer; in f32
that integer divided by 2^23. Frame i of every take must hold device frame n0 + i, with the same n0 for all takes. A
lost frame is exact silence at its position, and the number of such frames must be the `frames_lost` of the take.

Prints one JSON object: takes, frames (of each take), wrong (frames that are neither the ramp nor silence), n0,
silent (frames, of each take), errors. The exit status is 0 if nothing is wrong, and 1 otherwise.

Uses only the standard library. As long as all samples are correct, Python compares whole blocks with slices of a
table of the ramp, at the speed of memcmp.
"""

import json
import os
import re
import struct
import sys
from array import array

PERIOD = 1 << 24
CHANNEL_STEP = 1000003
BLOCK_FRAMES = 1 << 18
ANY_IS_1 = b"\0" + b"\1" * 255
ANY_IS_2 = b"\0" + b"\2" * 255


class Bad(Exception):
    """A take that cannot be checked, or that contradicts the summary. The text names the file."""


def listed_takes(session):
    """The takes that a session lists: those of session.json, and those that Record has added beside it."""
    takes = {}
    for name in ["session.takes.json", "session.json"]:
        try:
            with open(os.path.join(session, name), encoding="utf-8") as file:
                takes.update((take["id"], take) for take in json.load(file)["takes"])
        except FileNotFoundError:
            if name == "session.json":
                raise
    return [takes[number] for number in sorted(takes)]


def s24_table():
    """One period of the ramp, three bytes per frame, little endian."""
    low = bytes(range(256)) * 256
    middle = b"".join(bytes([m]) * 256 for m in range(256))
    part = bytearray(3 * 65536)
    part[0::3] = low
    part[1::3] = middle
    parts = []
    for high in range(256):
        part[2::3] = bytes([high ^ 0x80]) * 65536
        parts.append(bytes(part))
    return b"".join(parts)


def f32_table():
    """One period of the ramp, four bytes per frame: k / 2^23. Between two powers of two the bits of the floats count up."""
    up = array("I", [0])
    for e in range(23):  # k in 2^e .. 2^(e+1), as a float 2^(e-23) * 1.xxx
        base = (127 + e - 23) << 23
        up.extend(range(base, base + (1 << 23), 1 << (23 - e)))
    down = array("I", [0x3F800000])  # 1.0
    down.extend(up[:0:-1])
    sign = int.from_bytes(b"\0\0\0\x80" * len(down), "little")
    negative = (int.from_bytes(down.tobytes(), "little") | sign).to_bytes(4 * len(down), "little")
    return negative + up.tobytes()


class Wav:
    """Position and format of the sound in a WAV or RF64 file. Refuses headers that do not fit the file."""

    def __init__(self, path):
        self.path = path
        self.file = open(path, "rb", buffering=0)
        size = os.fstat(self.file.fileno()).st_size
        head = self.file.read(12)
        if len(head) < 12 or head[:4] not in (b"RIFF", b"RF64") or head[8:] != b"WAVE":
            raise Bad(f"{path}: not a WAV file")
        riff_bytes = struct.unpack("<I", head[4:8])[0]
        data64 = fmt = None
        self.data = None
        at = 12
        while at + 8 <= size:
            self.file.seek(at)
            name, length = struct.unpack("<4sI", self.file.read(8))
            if name == b"ds64" and head[:4] == b"RF64":
                riff_bytes, data64 = struct.unpack("<QQ", self.file.read(16))
            elif name == b"fmt ":
                fmt = self.file.read(min(length, 40))
            elif name == b"data":
                if length == 0xFFFFFFFF and data64 is not None:
                    length = data64
                self.data = at + 8
                self.bytes = length
            at += 8 + length + length % 2
        if fmt is None or len(fmt) < 16 or self.data is None:
            raise Bad(f"{path}: no fmt or no data chunk")
        if self.data + self.bytes > size:
            raise Bad(f"{path}: the header says {self.bytes} bytes of sound, the file has {size - self.data}")
        if riff_bytes + 8 != size:
            raise Bad(f"{path}: the header says {riff_bytes + 8} bytes of file, there are {size}")
        tag, channels, self.rate, _, _, bits = struct.unpack("<HHIIHH", fmt[:16])
        if tag == 0xFFFE and len(fmt) >= 26:
            tag = struct.unpack("<H", fmt[24:26])[0]
        self.format = {(1, 24): "s24", (3, 32): "f32"}.get((tag, bits))
        if self.format is None or channels != 1:
            raise Bad(f"{path}: format {tag}, {bits} bits, {channels} channels: only mono s24 and f32 hold the ramp")
        self.width = bits // 8
        if self.bytes % self.width:
            raise Bad(f"{path}: {self.bytes} bytes are no whole number of frames")
        self.frames = self.bytes // self.width

    def blocks(self):
        """Yields (first frame, bytes) from the start to the end."""
        self.file.seek(self.data)
        frame = 0
        while frame < self.frames:
            want = min(BLOCK_FRAMES, self.frames - frame) * self.width
            block = self.file.read(want)
            while len(block) < want:
                more = self.file.read(want - len(block))
                if not more:
                    raise Bad(f"{self.path}: ends early")
                block += more
            yield frame, block
            frame += want // self.width

    def first_value(self):
        """(frame, ramp value 0 .. 2^24) of the first sample that is not zero. None if all samples are zero."""
        for frame, block in self.blocks():
            rest = block.lstrip(b"\0")
            if rest:
                i = (len(block) - len(rest)) // self.width
                raw = block[i * self.width : (i + 1) * self.width]
                if self.format == "s24":
                    value = int.from_bytes(raw, "little", signed=True)
                else:
                    value = struct.unpack("<f", raw)[0] * (1 << 23)
                    if value != value or value != int(value):
                        raise Bad(f"{self.path}: frame {frame + i}: {value / (1 << 23)!r} is not on the ramp")
                return frame + i, int(value) + (1 << 23)
        return None


def ramp(table, width, frame, frames):
    """The bytes of `frames` frames of the ramp from `frame` on. The ramp wraps."""
    frame %= PERIOD
    part = table[frame * width : (frame + frames) * width]
    return part if len(part) == frames * width else part + table[: frames * width - len(part)]


def any_byte(block, width):
    """One byte per frame: 0 if all bytes of the frame are 0."""
    folded = 0
    for k in range(width):
        folded |= int.from_bytes(block[k::width], "little")
    return folded.to_bytes(len(block) // width, "little")


def check_take(wav, table, start):
    """Compares a take with the ramp from `start` on. Returns (wrong frames, the first of them, silent ranges, natural
    zeros). A range is [first, end). A natural zero is a frame at which the ramp itself is 0."""
    wrong, first_wrong, ranges = 0, None, []
    natural = set(range((PERIOD // 2 - start) % PERIOD, wav.frames, PERIOD))
    for frame, block in wav.blocks():
        frames = len(block) // wav.width
        want = ramp(table, wav.width, start + frame, frames)
        if block == want:
            continue
        difference = int.from_bytes(block, "little") ^ int.from_bytes(want, "little")
        differs = any_byte(difference.to_bytes(len(block), "little"), wav.width)
        sounds = any_byte(block, wav.width)
        # One byte per frame. 0: silent like the ramp, 1: silent unlike the ramp, 2: the ramp, 3: neither.
        marks = (
            int.from_bytes(differs.translate(ANY_IS_1), "little") | int.from_bytes(sounds.translate(ANY_IS_2), "little")
        ).to_bytes(frames, "little")
        bad = marks.count(3)
        if bad and first_wrong is None:
            first_wrong = frame + marks.index(3)
        wrong += bad
        for run in re.finditer(rb"\x01+", marks):
            a, b = frame + run.start(), frame + run.end()
            if ranges and ranges[-1][1] == a:
                ranges[-1][1] = b
            else:
                ranges.append([a, b])
    return wrong, first_wrong, ranges, natural


def join_ranges(ranges, natural, lost):
    """Joins silent ranges across a frame at which the ramp itself is 0. Adds such a frame at the edge of a range only as
    long as fewer frames are silent than lost: the sound does not show whether the frame was lost."""
    joined = []
    for a, b in ranges:
        if joined and joined[-1][1] + 1 == a and joined[-1][1] in natural:
            joined[-1][1] = b
        else:
            joined.append([a, b])
    for span in joined:
        if sum(b - a for a, b in joined) < lost and span[0] - 1 in natural:
            span[0] -= 1
        if sum(b - a for a, b in joined) < lost and span[1] in natural:
            span[1] += 1
    return joined


def same_ranges(a, b):
    """Whether two takes are silent in the same ranges. A natural zero at an edge may make one frame of difference."""
    return len(a) == len(b) and all(abs(p - q) <= 1 for s, t in zip(a, b) for p, q in zip(s, t))


def check_session(session, summary):
    takes = summary["takes"]
    errors, wavs, tables = [], [], {}
    wrong = 0
    n0 = frames = expected_ranges = None
    for take in takes:
        path = os.path.join(session, take["file"])
        try:
            wav = Wav(path)
            wavs.append(wav)
            if wav.frames != take["frames"]:
                raise Bad(f"{path}: {wav.frames} frames, its record says {take['frames']}")
            if frames is None:
                frames = wav.frames
            if wav.frames != frames:
                raise Bad(f"{path}: {wav.frames} frames, another take of the pass has {frames}")
            shift = take["input"] * CHANNEL_STEP
            if n0 is None:
                found = wav.first_value()
                if found is None:
                    if take["frames_lost"] != wav.frames:
                        raise Bad(f"{path}: nothing but silence, and {take['frames_lost']} frames reported lost")
                    continue
                n0 = (found[1] - found[0] - shift) % PERIOD
            if wav.format not in tables:
                tables[wav.format] = s24_table() if wav.format == "s24" else f32_table()
            bad, first, ranges, natural = check_take(wav, tables[wav.format], n0 + shift)
            ranges = join_ranges(ranges, natural, take["frames_lost"])
            silent = sum(b - a for a, b in ranges)
            wrong += bad
            if bad:
                errors.append(f"{path}: {bad} frames wrong, the first at {first}")
            if silent != take["frames_lost"]:
                errors.append(f"{path}: {silent} frames silent, its record says {take['frames_lost']} lost")
            if expected_ranges is None:
                expected_ranges = ranges
            if not same_ranges(expected_ranges, ranges):
                errors.append(f"{path}: silent at {ranges[:4]}, another take of the pass at {expected_ranges[:4]}")
        except (Bad, OSError) as why:
            errors.append(str(why))
        finally:
            if wavs and wavs[-1].path == path:
                wavs[-1].file.close()
    if not takes:
        errors.append(f"{session}: no takes")
    silent = sum(b - a for a, b in expected_ranges or [])
    return {
        "takes": len(takes),
        "frames": frames or 0,
        "wrong": wrong,
        "n0": n0,
        "silent": silent,
        "stretches": len(expected_ranges or []),
        "errors": errors,
    }


def main():
    if not 2 <= len(sys.argv) <= 3:
        sys.exit("check.py SESSION [SUMMARY]")
    try:
        if len(sys.argv) == 3 and sys.argv[2] != "-":
            with open(sys.argv[2], encoding="utf-8") as file:
                text = file.read()
        else:
            text = sys.stdin.read()
        summary = json.loads(text.strip().splitlines()[-1])
        result = check_session(sys.argv[1], summary)
    except (OSError, ValueError, IndexError, KeyError, TypeError) as why:
        result = {"takes": 0, "frames": 0, "wrong": 0, "n0": None, "silent": 0, "stretches": 0}
        result["errors"] = [f"{sys.argv[1]}: no summary that can be read: {type(why).__name__}: {why}"]
    print(json.dumps(result))
    sys.exit(1 if result["errors"] or result["wrong"] else 0)


if __name__ == "__main__":
    main()
