//! One integration binary; each module says what it is for.

// The ALSA device, against a sound card that lives in a file.
mod alsa;
// The house rules, read off the sources: imports, headers, unsafe, lengths, leftovers, dead files.
mod tidy;
// The audio thread's rules, one period at a time: no allocation, no page fault, no wait, no system call.
mod witness;
