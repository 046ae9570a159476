//! One integration binary.

// The house rules, read off the sources: imports, headers, unsafe, lengths, leftovers, dead files.
mod tidy;
