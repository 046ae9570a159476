//! A line on the terminal that is redrawn in place. Thread: control.
//!
//! The line never takes more columns than the terminal has: a longer one would scroll at each drawing, and a message
//! above it would be gone after a few seconds. Nothing is written while the program is in the background, or if standard
//! error is no terminal, or one that knows no control sequences.

use super::printable;
use nix::unistd::{getpgrp, tcgetpgrp};
use std::io::{IsTerminal, Write};
use terminal_size::terminal_size_of;

/// Columns of a terminal that does not tell its width.
const COLUMNS_DEFAULT: usize = 80;

/// A line that is redrawn in place.
pub struct LiveLine {
    shown: bool,
    drawn: bool,
}

impl LiveLine {
    /// The line is shown if `wanted` and if standard error is a terminal.
    pub fn new(wanted: bool) -> LiveLine {
        LiveLine { shown: wanted && std::io::stderr().is_terminal() && knows_control_sequences(), drawn: false }
    }

    /// Columns that a line may take now. `None`: nothing is drawn.
    pub fn columns(&self) -> Option<usize> {
        if !self.shown || is_in_background() {
            return None;
        }
        let width = terminal_size_of(std::io::stderr()).map_or(COLUMNS_DEFAULT, |(width, _)| usize::from(width.0));
        // Some terminals go to the next line when the last column is written. A terminal of 0 columns knows no width.
        Some(if width == 0 { COLUMNS_DEFAULT } else { width } - 1)
    }

    /// Draws `text`, cut to the terminal's width.
    pub fn draw(&mut self, text: &str) {
        if let Some(columns) = self.columns() {
            let text = printable(text);
            write!(std::io::stderr().lock(), "\r{}\x1b[K", cut(&text, columns)).ok();
            self.drawn = true;
        }
    }

    /// Erases the line, so that an ordinary line can be printed.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) && !is_in_background() {
            write!(std::io::stderr().lock(), "\r\x1b[K").ok();
        }
    }
}

/// Whether the terminal may get control sequences. One that is called `dumb` shows them as text.
pub fn knows_control_sequences() -> bool {
    std::env::var_os("TERM").is_none_or(|name| name != "dumb")
}

/// Whether another job has the terminal. A terminal that does not control this process has no jobs.
fn is_in_background() -> bool {
    tcgetpgrp(std::io::stderr()).is_ok_and(|group| group != getpgrp())
}

/// Columns that a text takes, at least. A character that may be wide counts as wide.
pub fn columns_of(text: &str) -> usize {
    text.chars().map(columns_of_char).sum()
}

fn columns_of_char(c: char) -> usize {
    // Alphabets, and the lines, blocks and shapes of the status line.
    if c < '\u{1100}' || ('\u{2500}'..'\u{2600}').contains(&c) { 1 } else { 2 }
}

/// The beginning of `text` that fits into `columns`.
fn cut(text: &str, columns: usize) -> &str {
    let mut used = 0;
    let end = text.char_indices().find(|(_, c)| {
        used += columns_of_char(*c);
        columns < used
    });
    end.map_or(text, |(at, _)| &text[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_where_its_columns_end() {
        assert_eq!(cut("● ▁▂ lead", 6), "● ▁▂ l");
        assert_eq!(cut("録音", 3), "録");
        assert_eq!((cut("short", 80), cut("none", 0)), ("short", ""));
    }
}
