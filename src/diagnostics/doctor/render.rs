//! Formats findings as text for a terminal. Thread: control.

use super::{Finding, Verdict};
use std::fmt::Write;

/// Columns of a line. A fix is not wrapped, because the user copies it.
const WIDTH: usize = 100;

/// Formats findings. Each has a line of figures, its sentence below, and its fix on a line of its own. The last line
/// counts the verdicts.
pub fn render(findings: &[Finding]) -> String {
    let topic_width = findings.iter().map(|finding| finding.topic.chars().count()).max().unwrap_or(0);
    let indent = " ".repeat("good  ".len() + topic_width + 2);
    let mut text = String::new();
    for finding in findings {
        let verdict = word(finding.verdict);
        push(&mut text, &format!("{verdict}  {:topic_width$}  {}", finding.topic, finding.measured));
        for line in wrap(&finding.sentence, WIDTH.saturating_sub(indent.len()).max(20)) {
            push(&mut text, &format!("{indent}{line}"));
        }
        if let Some(command) = &finding.fix {
            push(&mut text, &format!("{indent}fix:  {command}"));
        }
    }
    let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    let (good, fair, poor) = (count(Verdict::Good), count(Verdict::Fair), count(Verdict::Poor));
    push(&mut text, "");
    push(&mut text, &format!("{good} good, {fair} fair, {poor} poor"));
    text
}

fn push(text: &mut String, line: &str) {
    // Writing to a string cannot fail.
    writeln!(text, "{line}").ok();
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Good => "good",
        Verdict::Fair => "fair",
        Verdict::Poor => "POOR",
    }
}

/// Splits a text into lines of whole words. A line has at most `width` characters, unless a single word is longer.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_ascii_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_aligned_and_a_fix_is_one_line() {
        let long = "word ".repeat(40);
        let findings = [
            Finding::new("disk", "100 MB/s", Verdict::Good, "It keeps up."),
            Finding::new("locked memory", "8.0 MiB", Verdict::Poor, long).fix(format!("echo {}", "x".repeat(200))),
        ];
        let text = render(&findings);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "good  disk           100 MB/s");
        assert_eq!(lines[1], "                     It keeps up.");
        assert_eq!(lines[2], "POOR  locked memory  8.0 MiB");
        assert!(lines.iter().all(|line| line.len() <= WIDTH || line.contains("fix:  echo xxx")));
        assert_eq!(lines.last(), Some(&"1 good, 0 fair, 1 poor"));
    }

    #[test]
    fn wrapping_loses_no_word_and_keeps_the_width() {
        assert_eq!(wrap("aa bb cc", 5), ["aa bb", "cc"]);
        assert_eq!(wrap("abcdefgh i", 5), ["abcdefgh", "i"]);
        assert!(wrap("", 5).is_empty());
    }
}
