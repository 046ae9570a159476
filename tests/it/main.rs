//! One integration binary; each module says what it is for.

// The ALSA device, against a sound card that lives in a file.
mod alsa;
// Recording end to end: every sample against the ramp, both paths, every fallback, losses, refusing disks.
mod record;
// Defects that were found once.
mod regression;
// The house rules, read off the sources: imports, headers, unsafe, lengths, leftovers, dead files.
mod tidy;
// What the end-to-end tests share: the program, sessions, the ramp.
mod util;
// The audio thread's rules, one period at a time: no allocation, no page fault, no wait, no system call.
mod witness;
