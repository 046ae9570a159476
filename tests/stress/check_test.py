#!/usr/bin/env python3
"""Tests of check.py, with correct sessions and with sessions that have one error each."""

import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import check  # noqa: E402

FRAMES = 20000
TABLES = {"s24": check.s24_table(), "f32": check.f32_table()}


class Session:
    """A session for one test. `tamper` is called with (input, samples, bytes per frame) and may change the samples."""

    def __init__(self, takes=3, form="s24", n0=123, lost=(), tamper=None, rf64=False):
        self.dir = tempfile.TemporaryDirectory()
        os.mkdir(os.path.join(self.dir.name, "audio"))
        width = 3 if form == "s24" else 4
        record = []
        for c in range(takes):
            sound = bytearray(check.ramp(TABLES[form], width, n0 + c * check.CHANNEL_STEP, FRAMES))
            for a, b in lost:
                sound[a * width : b * width] = bytes((b - a) * width)
            if tamper:
                tamper(c, sound, width)
            name = f"audio/take-{c}.wav"
            with open(os.path.join(self.dir.name, name), "wb") as file:
                file.write(self.header(len(sound), width, rf64) + sound + bytes(len(sound) % 2))
            losses = sum(b - a for a, b in lost)
            record.append({"track": c + 1, "input": c, "file": name, "frames": FRAMES, "frames_lost": losses})
        self.summary = {"takes": record}

    @staticmethod
    def header(length, width, rf64):
        fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1 if width == 3 else 3, 1, 48000, 48000 * width, width, 8 * width)
        riff = 4 + 36 + len(fmt) + 8 + length + length % 2
        if rf64:
            start = struct.pack("<4sI4s4sIQQQI", b"RF64", 2**32 - 1, b"WAVE", b"ds64", 28, riff, length, FRAMES, 0)
            return start + fmt + struct.pack("<4sI", b"data", 2**32 - 1)
        return struct.pack("<4sI4s4sI28s", b"RIFF", riff, b"WAVE", b"JUNK", 28, b"") + fmt + struct.pack("<4sI", b"data", length)

    def check(self):
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "check.py")
        done = subprocess.run(
            [sys.executable, script, self.dir.name],
            input="a status line\n" + json.dumps(self.summary) + "\n",
            capture_output=True,
            text=True,
            check=False,
        )
        result = json.loads(done.stdout)
        assert (done.returncode == 0) == (not result["errors"] and result["wrong"] == 0), done
        return result


class Check(unittest.TestCase):
    def passes(self, **how):
        result = Session(**how).check()
        self.assertEqual((result["wrong"], result["errors"]), (0, []))
        return result

    def refuses(self, words, wrong=None, **how):
        result = Session(**how).check()
        self.assertIn(words, " ".join(result["errors"]))
        if wrong is not None:
            self.assertEqual(result["wrong"], wrong)

    def test_the_tables_hold_the_ramp(self):
        pick = random.Random(1)
        for k in [0, 1, 2, 2**23 - 1, 2**23, 2**23 + 1, 2**24 - 1] + [pick.randrange(2**24) for _ in range(50000)]:
            value = k - 2**23
            self.assertEqual(TABLES["s24"][3 * k : 3 * k + 3], value.to_bytes(3, "little", signed=True))
            self.assertEqual(TABLES["f32"][4 * k : 4 * k + 4], struct.pack("<f", value / 2**23))

    def test_an_exact_session_passes_across_the_wrap_in_both_formats(self):
        for form in ("s24", "f32"):
            result = self.passes(form=form, n0=2**24 - 1000, rf64=form == "f32")
            self.assertEqual((result["takes"], result["frames"], result["n0"]), (3, FRAMES, 2**24 - 1000))

    def test_reported_losses_are_silence_at_one_place(self):
        for form in ("s24", "f32"):
            result = self.passes(form=form, lost=[(0, 7), (1000, 1777), (5000, 5001), (19000, FRAMES)])
            self.assertEqual((result["silent"], result["stretches"]), (7 + 777 + 1 + 1000, 4))

    def test_a_loss_where_the_ramp_itself_is_silent_is_counted_once(self):
        for n0 in (2**23 - 500, 2**23 - 550, 2**23 - 599, 2**23 - 600, 2**23 - 499):
            self.assertEqual(self.passes(n0=n0, lost=[(500, 600)])["silent"], 100)

    def test_silence_that_was_not_reported_is_refused(self):
        def hush(c, sound, width):
            if c == 2:
                sound[15000 * width : 15010 * width] = bytes(10 * width)

        self.refuses("10 frames silent, its record says 0 lost", tamper=hush)

    def test_a_loss_reported_and_not_there_is_refused(self):
        session = Session()
        session.summary["takes"][1]["frames_lost"] = 5
        self.assertIn("0 frames silent, its record says 5 lost", session.check()["errors"][0])

    def test_takes_silent_at_different_places_are_refused(self):
        def move(c, sound, width):
            sound[(100 + 50 * c) * width : (110 + 50 * c) * width] = bytes(10 * width)

        session = Session(tamper=move)
        for take in session.summary["takes"]:
            take["frames_lost"] = 10
        self.assertIn("another take of the pass", session.check()["errors"][0])

    def test_one_wrong_bit_is_found(self):
        def flip(c, sound, width):
            if c == 2:
                sound[14000 * width + 1] ^= 1

        for form in ("s24", "f32"):
            self.refuses("1 frames wrong, the first at 14000", wrong=1, form=form, tamper=flip)

    def test_a_repeat_shifts_the_rest(self):
        def repeat(c, sound, width):
            if c == 1:
                sound[5000 * width :] = sound[4999 * width : -width]

        self.refuses("the first at 5000", wrong=FRAMES - 5000, tamper=repeat)

    def test_a_missing_frame_is_found(self):
        def gap(c, sound, width):
            if c == 1:
                del sound[5000 * width : 5001 * width]

        self.refuses(f"{FRAMES - 1} frames, its record says {FRAMES}", tamper=gap)

    def test_takes_that_start_at_different_frames_are_refused(self):
        def turn(c, sound, width):
            if c == 1:
                sound[:] = check.ramp(TABLES["s24"], width, 124 + check.CHANNEL_STEP, FRAMES)

        self.refuses("frames wrong", wrong=FRAMES, tamper=turn)

    def test_a_file_that_contradicts_its_header_is_refused(self):
        for change, words in ((-9000, "the header says"), (+10, "bytes of file")):
            session = Session(takes=1)
            path = os.path.join(session.dir.name, "audio/take-0.wav")
            os.truncate(path, os.path.getsize(path) + change)
            self.assertIn(words, session.check()["errors"][0])

    def test_no_takes_and_no_summary_are_refused(self):
        session = Session(takes=0)
        self.assertIn("no takes", session.check()["errors"][0])
        session.summary = "nothing"
        self.assertIn("no summary", session.check()["errors"][0])


if __name__ == "__main__":
    unittest.main(warnings="ignore")
