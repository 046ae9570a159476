//! A line on the terminal that is redrawn in place. Thread: main gives the text; output, see [`super::output`], asks the
//! terminal for its width and draws.
//!
//! The line never takes more columns than the terminal has: a longer one would scroll at each drawing, and a message
//! above it would be gone after a few seconds. Nothing is written while the program is in the background, or if standard
//! error is no terminal, or one that knows no control sequences.

use super::output::{self, is_in_background};
use super::printable;
use std::io::IsTerminal;
use terminal_size::terminal_size_of;

/// Columns of a terminal that does not tell its width.
const COLUMNS_DEFAULT: usize = 80;

/// A line that is redrawn in place.
pub struct LiveLine {
    shown: bool,
}

impl LiveLine {
    /// The line is shown if `wanted` and if standard error is a terminal.
    pub fn new(wanted: bool) -> LiveLine {
        LiveLine { shown: wanted && std::io::stderr().is_terminal() && knows_control_sequences() }
    }

    /// Whether drawings can be seen.
    pub fn is_shown(&self) -> bool {
        self.shown
    }

    /// Draws `text`, cut to the terminal's width. Does not wait for the terminal.
    pub fn draw(&self, text: &str) {
        let text = text.to_owned();
        self.draw_fitted(move |_| text);
    }

    /// Draws the text that `fitted` makes for the number of columns. Does not wait for the terminal.
    pub fn draw_fitted(&self, fitted: impl FnOnce(usize) -> String + Send + 'static) {
        if self.shown {
            output::draw(Box::new(move || {
                let columns = columns()?;
                Some(format!("\r{}\x1b[K", cut(&printable(&fitted(columns)), columns)))
            }));
        }
    }

    /// Erases the line.
    pub fn clear(&self) {
        if self.shown {
            output::erase();
        }
    }
}

/// Columns that a line may take now. `None`: nothing is drawn.
fn columns() -> Option<usize> {
    if is_in_background() {
        return None;
    }
    let width = terminal_size_of(std::io::stderr()).map_or(COLUMNS_DEFAULT, |(width, _)| usize::from(width.0));
    // Some terminals go to the next line when the last column is written. A terminal of 0 columns knows no width.
    Some(if width == 0 { COLUMNS_DEFAULT } else { width } - 1)
}

/// Whether the terminal may get control sequences. One that is called `dumb` shows them as text.
pub fn knows_control_sequences() -> bool {
    std::env::var_os("TERM").is_none_or(|name| name != "dumb")
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
