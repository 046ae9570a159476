#!/usr/bin/env python3
"""Verifies a session's takes against the virtual device's ramp, sample for sample, silence included.

    check.py SESSION [SUMMARY]

SESSION: the session folder. SUMMARY: what `faultless record ... --json` printed (its last line counts); `-` or
nothing: standard input.

The ramp: the sample at device frame n on input c is ((n + c * 1000003) mod 2^24) - 2^23 as a 24-bit integer; in f32
that integer divided by 2^23. Frame i of every take must hold device frame n0 + i, with one n0 for all takes; a frame
that was lost is exact silence at its place, and a take has as many of those as its `frames_lost` says.

Prints one JSON object: takes, frames (of each take), wrong (frames that are neither the ramp nor silence), n0,
silent (frames, of each take), errors. Exit status 0 where nothing is wrong, 1 otherwise.

Nothing but the standard library; no sample is looked at in Python while all is well: whole blocks are compared with
slices of a table of the ramp, at the speed of memcmp.
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
    """A take that can't be checked, or contradicts its record. The text names the file."""


def s24_table():
    """One period of the ramp, three bytes a frame, little endian."""
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
    """One period of the ramp, four bytes a frame: k / 2^23 by its bits, since between two powers of two they count."""
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
    """A WAV or RF64 file: where its sound lies and how it is stored. Refuses headers that do not fit the file."""

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
        """(frame, ramp value 0 .. 2^24) of the first sample that is not zero, or None for nothing but silence."""
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
    """The bytes of `frames` frames of the ramp from `frame` on, which wraps."""
    frame %= PERIOD
    part = table[frame * width : (frame + frames) * width]
    return part if len(part) == frames * width else part + table[: frames * width - len(part)]


def any_byte(block, width):
    """One byte a frame: 0 where all bytes of the frame are 0."""
    folded = 0
    for k in range(width):
        folded |= int.from_bytes(block[k::width], "little")
    return folded.to_bytes(len(block) // width, "little")


def check_take(wav, table, start):
    """Compares a take with the ramp from `start` on. Returns (wrong frames, first of them, silent stretches,
    natural zeros): a stretch is [first, end), a natural zero a frame where the ramp itself is silent."""
    wrong, first_wrong, stretches = 0, None, []
    natural = set(range((PERIOD // 2 - start) % PERIOD, wav.frames, PERIOD))
    for frame, block in wav.blocks():
        frames = len(block) // wav.width
        want = ramp(table, wav.width, start + frame, frames)
        if block == want:
            continue
        difference = int.from_bytes(block, "little") ^ int.from_bytes(want, "little")
        differs = any_byte(difference.to_bytes(len(block), "little"), wav.width)
        sounds = any_byte(block, wav.width)
        # A byte a frame, 0: silent as the ramp is, 1: silent where the ramp is not, 2: the ramp, 3: neither.
        marks = (
            int.from_bytes(differs.translate(ANY_IS_1), "little") | int.from_bytes(sounds.translate(ANY_IS_2), "little")
        ).to_bytes(frames, "little")
        bad = marks.count(3)
        if bad and first_wrong is None:
            first_wrong = frame + marks.index(3)
        wrong += bad
        for run in re.finditer(rb"\x01+", marks):
            a, b = frame + run.start(), frame + run.end()
            if stretches and stretches[-1][1] == a:
                stretches[-1][1] = b
            else:
                stretches.append([a, b])
    return wrong, first_wrong, stretches, natural


def settle(stretches, natural, lost):
    """Joins stretches across frames where the ramp itself is silent, and gives such a frame at an edge to the lost
    ones only where that makes the count right: from the sound alone it can't be told."""
    joined = []
    for a, b in stretches:
        if joined and joined[-1][1] + 1 == a and joined[-1][1] in natural:
            joined[-1][1] = b
        else:
            joined.append([a, b])
    for stretch in joined:
        if sum(b - a for a, b in joined) < lost and stretch[0] - 1 in natural:
            stretch[0] -= 1
        if sum(b - a for a, b in joined) < lost and stretch[1] in natural:
            stretch[1] += 1
    return joined


def near(a, b):
    """Whether two takes are silent at the same places, up to the frame at an edge that can't be told."""
    return len(a) == len(b) and all(abs(p - q) <= 1 for s, t in zip(a, b) for p, q in zip(s, t))


def check_session(session, summary):
    takes = summary["takes"]
    errors, wavs, tables = [], [], {}
    wrong = 0
    n0 = frames = places = None
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
            bad, first, stretches, natural = check_take(wav, tables[wav.format], n0 + shift)
            stretches = settle(stretches, natural, take["frames_lost"])
            silent = sum(b - a for a, b in stretches)
            wrong += bad
            if bad:
                errors.append(f"{path}: {bad} frames wrong, the first at {first}")
            if silent != take["frames_lost"]:
                errors.append(f"{path}: {silent} frames silent, its record says {take['frames_lost']} lost")
            if places is None:
                places = stretches
            if not near(places, stretches):
                errors.append(f"{path}: silent at {stretches[:4]}, another take of the pass at {places[:4]}")
        except (Bad, OSError) as why:
            errors.append(str(why))
        finally:
            if wavs and wavs[-1].path == path:
                wavs[-1].file.close()
    if not takes:
        errors.append(f"{session}: no takes")
    silent = sum(b - a for a, b in places or [])
    return {
        "takes": len(takes),
        "frames": frames or 0,
        "wrong": wrong,
        "n0": n0,
        "silent": silent,
        "stretches": len(places or []),
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
