//! Paths in commands that a message shows, written so that a shell reads each as one word. Thread: any. Pure.

use std::path::Path;

/// A path as a shell reads it: as it is, or in quotes. A path that begins with `-` gets `./`, because it would be an option.
pub fn for_shell(path: &Path) -> String {
    let text = path.display().to_string();
    let text = if text.starts_with('-') { format!("./{text}") } else { text };
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,:@%".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_blanks_and_quotes_is_one_word_of_the_shell() {
        assert_eq!(for_shell(Path::new("/home/a/gig-1.2")), "/home/a/gig-1.2");
        assert_eq!(for_shell(Path::new("/m/2026-11-23 14.05")), "'/m/2026-11-23 14.05'");
        assert_eq!(for_shell(Path::new("/it's")), r"'/it'\''s'");
        assert_eq!(for_shell(Path::new("-gig")), "./-gig");
        assert_eq!(for_shell(Path::new("~/gig")), "'~/gig'");
        assert_eq!(for_shell(Path::new("")), "''");
    }
}
