//! The trace of a run: a number for everything that happened, and the lines themselves for somebody who wants to read them.
//! Thread: the one of the run.

use std::fmt::{self, Write};
use std::time::Duration;

/// Everything that happened in a run, in order.
pub(crate) struct Trace {
    /// Whether each line is printed.
    prints: bool,
    hash: u64,
}

impl Trace {
    pub(crate) fn new(prints: bool) -> Trace {
        Trace { prints, hash: 0xcbf2_9ce4_8422_2325 }
    }

    /// Adds a line.
    pub(crate) fn add(&mut self, at: Duration, who: &str, what: fmt::Arguments<'_>) {
        if self.prints {
            println!("{:9.4} {who:<16} {what}", at.as_secs_f64());
        }
        // A moment as a fraction takes longer to write than all the rest.
        write!(self, "{} {who} {what}", at.as_nanos()).ok();
    }

    /// A number for the whole trace. Two runs with the same number did the same.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }
}

impl Write for Trace {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.as_bytes() {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
        Ok(())
    }
}
