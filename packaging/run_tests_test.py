#!/usr/bin/env python3
"""Tests run_tests.py with executables that are scripts: they list tests and behave as their names say."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

RUNNER = os.path.join(os.path.dirname(os.path.realpath(__file__)), "run_tests.py")

# As a test executable of libtest behaves.
FAKE = """#!/bin/bash
if [ "$1" = --list ]; then
    printf '%s: test\\n' a::passes a::fails a::hangs a::hides a::skips_itself a::skips_a_part a::dies a::does_not_run \\
        a::reads_what_cargo_sets a::root_one a::root_two a::slow_is_late a::leaves_a_process a::skips_in_the_middle a::exits_without_a_word a::may_be_interrupted
    exit
fi
name=$2
printf '\\nrunning 1 test\\ntest %s ... ' "$name"
ok() { printf 'ok\\n\\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 9 filtered out; finished in 0.00s\\n'; }
case $name in
    a::passes) echo "words of one that passes"; ok ;;
    a::fails) echo "words of one that fails"; echo 'test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured'; exit 101 ;;
    a::hangs) echo "words of one that hangs"; while :; do sleep 100; done ;;
    # Its child ignores SIGTERM and is in a session of its own.
    a::hides) setsid sh -c 'trap "" TERM; while :; do sleep 100; done' & sleep 100 ;;
    a::skips_itself) echo "SKIPPED it: needs the moon"; ok ;;
    a::skips_in_the_middle) echo "SKIPPED it: needs a star"; exit 77 ;;
    a::exits_without_a_word) exit 77 ;;
    a::skips_a_part) echo; echo "PART SKIPPED its end: needs the sun"; ok ;;
    # Bit 1 of the mask is SIGINT.
    a::may_be_interrupted) [ $((0x$(sed -n 's/^SigIgn:\t*//p' /proc/$$/status) & 2)) = 0 ] && ok ;;
    a::dies) kill -SEGV $$ ;;
    a::does_not_run) echo 'test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 9 filtered out' ;;
    a::reads_what_cargo_sets) [ -n "$CARGO_MANIFEST_DIR" ] && [ "$PWD" = "$CARGO_MANIFEST_DIR" ] && ok ;;
    a::root_*) [ ! -e "$HOME/runs" ] || exit 1; touch "$HOME/runs"; sleep 0.3; rm "$HOME/runs"; ok ;;
    a::slow_is_late) sleep 2; ok ;;
    a::leaves_a_process) setsid sleep 54321 </dev/null >/dev/null 2>&1 & ok ;;
esac
"""


class Runner(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.TemporaryDirectory()
        self.addCleanup(self.home.cleanup)
        self.fake = os.path.join(self.home.name, "fake")
        with open(self.fake, "w") as file:
            file.write(FAKE)
        os.chmod(self.fake, 0o755)

    def start(self, *words):
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, RUNNER, *words], cwd=self.home.name, env={**os.environ, "HOME": self.home.name},
            capture_output=True, text=True, timeout=60,
        )
        return done.returncode, done.stdout + done.stderr, time.monotonic() - began

    def run_fake(self, *words):
        return self.start("tests", *words, self.fake)

    def lives(self, pid):
        try:
            with open(f"/proc/{pid}/stat") as file:
                return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
        except OSError:
            return False

    def test_a_test_that_passes_is_one_line(self):
        status, text, _ = self.run_fake("--only", "a::passes")
        self.assertEqual(status, 0, text)
        self.assertRegex(text, r"^ok +0\.\d s  fake a::passes\ntests: 1 passed, 0 failed, 0 skipped\n$")

    def test_a_test_may_be_interrupted_though_the_runner_was_started_in_the_background(self):
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.addCleanup(signal.signal, signal.SIGINT, before)
        status, text, _ = self.run_fake("--only", "a::may_be_interrupted")
        self.assertEqual(status, 0, text)

    def signalled(self, number, ignored):
        """The runner with a test that hangs, after a signal. Returns the runner and whether the test is still there."""
        script = f"trap '' {ignored}; exec " if ignored else "exec "
        command = script + " ".join([sys.executable, RUNNER, "tests", self.fake, "--only", "hangs"])
        runner = subprocess.Popen(["bash", "-c", command], cwd=self.home.name, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(runner.kill)
        running = lambda: subprocess.run(["pgrep", "-f", f"^/bin/bash {self.fake} --exact a::hangs"], stdout=subprocess.DEVNULL).returncode == 0
        until = time.monotonic() + 30
        while not running() and time.monotonic() < until:
            time.sleep(0.05)
        runner.send_signal(number)
        until = time.monotonic() + (2 if ignored else 20)
        while running() and time.monotonic() < until:
            time.sleep(0.05)
        return runner, running()

    def test_a_signal_to_the_runner_ends_its_tests(self):
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            runner, is_there = self.signalled(number, None)
            self.assertFalse(is_there, number)
            self.assertNotEqual(runner.wait(20), 0)

    def test_a_runner_under_nohup_outlives_its_terminal(self):
        runner, is_there = self.signalled(signal.SIGHUP, "HUP")
        self.assertTrue(is_there)
        runner.send_signal(signal.SIGTERM)
        runner.wait(20)

    def test_a_word_that_fits_no_test_has_failed(self):
        status, text, _ = self.start("tests", self.fake, "--only", "passes", "--only", "typo")
        self.assertNotEqual(status, 0)
        self.assertIn("typo: no test has this in its name", text)

    def test_a_test_that_fails_is_named_with_its_words(self):
        status, text, _ = self.run_fake("--only", "a::fails", "--only", "a::passes")
        self.assertEqual(status, 1)
        self.assertIn("FAILED  fake a::fails: exit status 101", text)
        self.assertIn("| words of one that fails", re.sub(r"test a::fails \.\.\. ", "", text))
        self.assertNotIn("words of one that passes", text)
        self.assertTrue(text.endswith("tests: 1 passed, 1 failed, 0 skipped\n"), text)

    def test_a_test_that_hangs_is_ended_and_says_what_it_waits_for(self):
        status, text, took = self.run_fake("--only", "a::hangs", "--only", "a::passes", "--deadline", "*::hangs=1")
        self.assertEqual(status, 1)
        self.assertLess(took, 8)
        self.assertIn("FAILED  fake a::hangs: not done after 1 s", text)
        self.assertRegex(text, r"process \d+: sleep 100\n +\d+ sleep: state S, wchan \S+, syscall ")
        self.assertIn("words of one that hangs", text)
        self.assertTrue(text.endswith("tests: 1 passed, 1 failed, 0 skipped\n"), text)

    def test_what_ignores_the_signal_or_hides_is_ended_too(self):
        _, text, took = self.run_fake("--only", "a::hides", "--deadline", "*::hides=1")
        self.assertLess(took, 15)
        pids = [int(pid) for pid in re.findall(r"process (\d+):", text)]
        self.assertGreaterEqual(len(pids), 3, text)
        self.assertFalse([pid for pid in pids if self.lives(pid)], text)

    def test_what_a_test_leaves_behind_is_ended(self):
        status, text, _ = self.run_fake("--only", "leaves")
        self.assertEqual(status, 0, text)
        found = subprocess.run(["pgrep", "-f", "^sleep 54321"], capture_output=True, text=True).stdout
        self.assertEqual(found, "")

    def test_a_test_that_skips_itself_is_no_pass(self):
        status, text, _ = self.run_fake("--only", "skips")
        self.assertEqual(status, 0, text)
        self.assertIn("skipped fake a::skips_itself: it: needs the moon", text)
        self.assertIn("skipped fake a::skips_in_the_middle: it: needs a star", text)
        self.assertIn("part skipped: its end: needs the sun", text)
        self.assertTrue(text.endswith("tests: 1 passed, 0 failed, 2 skipped\n"), text)
        status, text, _ = self.run_fake("--only", "exits_without")
        self.assertEqual(status, 1, text)

    def test_a_test_that_cannot_run_here_is_named_with_the_reason(self):
        skip = os.path.join(self.home.name, "skip")
        with open(skip, "w") as file:
            file.write("root_t*\tneeds a disk\nroot_*\tneeds root\n")
        counts = os.path.join(self.home.name, "counts")
        status, text, _ = self.run_fake("--only", "root_", "--skip", skip, "--counts", counts)
        self.assertEqual(status, 0, text)
        self.assertIn("skipped fake a::root_one: needs root\n", text)
        self.assertIn("skipped fake a::root_two: needs a disk\n", text)
        with open(counts) as file:
            self.assertEqual(file.read(), "0 0 2\n")

    def test_those_of_root_run_one_after_the_other(self):
        status, text, _ = self.run_fake("--only", "root_", "--jobs", "4")
        self.assertEqual(status, 0, text)

    def test_one_that_dies_or_does_not_run_has_failed(self):
        status, text, _ = self.run_fake("--only", "a::dies", "--only", "a::does_not_run")
        self.assertEqual(status, 1)
        self.assertIn("a::dies: ended by signal 11", text)
        self.assertIn("a::does_not_run: it did not run", text)

    def test_a_test_finds_what_cargo_gives_it(self):
        status, text, _ = self.run_fake("--only", "cargo_sets")
        self.assertEqual(status, 0, text)

    def test_at_the_deadline_of_the_run_all_that_is_left_has_failed(self):
        status, text, took = self.run_fake("--only", "root_", "--only", "a::slow", "--whole", "1", "--jobs", "1")
        self.assertEqual(status, 1)
        self.assertLess(took, 8)
        self.assertIn("a::slow_is_late: not done at the deadline of the whole run", text)
        self.assertIn("a::root_two: not run", text)
        self.assertTrue(text.endswith("tests: 0 passed, 3 failed, 0 skipped\n"), text)

    def test_an_executable_that_lists_nothing_has_failed(self):
        status, text, _ = self.start("tests", "/bin/false")
        self.assertEqual(status, 1)
        self.assertIn("does not list its tests", text)

    def test_a_step_ends_with_its_status_and_at_its_deadline(self):
        self.assertEqual(self.start("step", "5", "sh", "-c", "echo words; exit 3")[:2], (3, "words\n"))
        status, text, took = self.start("step", "1", "sh", "-c", "echo words; sleep 50")
        self.assertEqual(status, 124)
        self.assertLess(took, 8)
        self.assertIn("not done after 1 s: sh -c echo words; sleep 50", text)
        self.assertIn("sleep: state S", text)

    def test_a_step_counts_what_libtest_says(self):
        counts = os.path.join(self.home.name, "counts")
        line = "test result: ok. {}; 1 failed; 2 ignored; 0 measured"
        words = [line.format(f"{n} passed") for n in (3, 4)]
        self.start("step", "--counts", counts, "5", "printf", "%s\\n", *words)
        with open(counts) as file:
            self.assertEqual(file.read(), "7 2 4\n")

    def test_what_a_step_left_running_holds_nobody(self):
        status, text, took = self.start("step", "20", "sh", "-c", "sleep 30 & echo words")
        self.assertEqual((status, text), (0, "words\n"))
        self.assertLess(took, 5)


if __name__ == "__main__":
    unittest.main()
