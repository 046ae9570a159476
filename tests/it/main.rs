//! The integration tests, in one binary. The comment above each module says what it tests.

// The ALSA device, with a sound card that is simulated in a file.
mod alsa;
// Bad input and bad environments: one line of error each, and nothing is lost.
mod bad_days;
// Folders in a wrong place, mistyped arguments, a system that refuses: it is said, and nothing is made.
mod mistyped;
// Disks that are full, stall or fail: nothing is lost, takes continue in the overflow folder, a mirror is complete.
mod disks;
// Hostile files from other computers.
mod hostile;
// Where sessions are and which programs use them: second programs, locks, moved folders, file systems that lack things.
mod ground;
// Devices that disappear and come back: the take has silence for that time.
mod device;
// The flight recorder's file after real recordings.
mod flight;
// The stress test from the command line.
mod stress_test;
// A thread panics: every frame is in the takes, at the latest after recovery.
mod panics;
// Overdubs lie where they were heard: takes, punches, recovery, exports.
mod overdub;
// Power cuts: the content that a disk would have had then, mounted and recovered.
mod power;
// Recording from end to end: every sample compared with the ramp, both capture paths, every fallback, losses.
mod record;
// Playing from end to end: the samples at the outputs.
mod play;
// Takes that are missing, foreign, short or cut off: play and export say the same, and fail.
mod unheard;
// Punches and stops: where passes begin and end, and what is listed before they end.
mod punch;
// The costs of control in large sessions.
mod cost;
// Undo, edits, name collisions and failing saves while a pass is prepared, recorded or finished: no take goes.
mod ledger;
// Tracks that are renamed while they are recorded: their files get the new names, and whatever happens the takes are found.
mod names;
// Kills at random moments: nothing that was recorded is lost.
mod recovery;
// Defects that were once found.
mod regression;
// Real sound servers, started in a folder of their own: PipeWire, PulseAudio and JACK.
mod servers;
// The stress scripts of tests/stress, shortened, on a file system of their own.
mod stress;
// The engine's process and its windows: killed, stopped, mad; nothing is lost.
mod link;
// The recorder's program and the window's: which one holds what, and how one becomes the other.
mod programs;
// The terminal and the user's environment: the status line, jobs in the background, the umask.
mod terminal;
// A terminal that takes no text delays neither the recording nor its end.
mod stopped_terminal;
// The house rules, checked on the source text: imports, headers, unsafe, lengths, leftovers, dead files.
mod tidy;
// Helpers of the end-to-end tests: the program, sessions, the ramp.
mod util;
// Syncs and writeback by other programs.
mod disk_work;
// The rules by which trace viewers read a trace.
mod viewers;
// Traces, and page faults with the memory that they hit.
mod traced;
// The watcher's samples of real recordings and playback.
mod watch;
// `faultless watch`: pages of any files and processes.
mod watched;
// Waiting with deadlines: for programs, threads and unmounts.
mod waiting;
// The audio thread's rules, one period at a time: no allocation, no page fault, no wait, no system call.
mod witness;
