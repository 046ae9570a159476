//! One integration binary; each module says what it is for.

// The ALSA device, against a sound card that lives in a file.
mod alsa;
// The house rules, read off the sources: imports, headers, unsafe, lengths, leftovers, dead files.
mod tidy;
