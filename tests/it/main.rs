//! One integration binary; each module says what it is for.

// The ALSA device, against a sound card that lives in a file.
mod alsa;
// Bad input and bad days: one line each, and nothing is lost.
mod bad_days;
// Disks that are full, stand still, fail: nothing is lost, takes go on elsewhere, a mirror is whole.
mod disks;
// Files from elsewhere that mean no good.
mod hostile;
// Where sessions lie and who else is there: second programs, locks, moved folders, file systems that lack things.
mod ground;
// Devices that leave and come back: silence as long as the absence.
mod device;
// The flight recorder's file, as real recordings leave it.
mod flight;
// The stress test from the command line.
mod stress_test;
// A thread panics: every frame is in the takes, at the latest after a recovery.
mod panics;
// The power goes: what a disk that remembers would hold then, mounted and recovered.
mod power;
// Recording end to end: every sample against the ramp, both paths, every fallback, losses, refusing disks.
mod record;
// Playing end to end: what reaches the outputs, and bad takes.
mod play;
// Killed at any moment: nothing that was recorded is lost.
mod recovery;
// Defects that were found once.
mod regression;
// The stresses of tests/stress, short, on a file system of their own.
mod stress;
// The house rules, read off the sources: imports, headers, unsafe, lengths, leftovers, dead files.
mod tidy;
// What the end-to-end tests share: the program, sessions, the ramp.
mod util;
// What the watcher makes of real recordings and playback.
mod watch;
// Waiting with deadlines: for programs, threads and unmounts.
mod waiting;
// The audio thread's rules, one period at a time: no allocation, no page fault, no wait, no system call.
mod witness;
