//! Checks the language of comments: a comment names the thing and says more than the code does. Comments and the texts
//! that a user reads have no words that readers do not know. Thread: test.

use super::read::{comments, strings};
use super::{Source, nobody_offends, sources};

/// Documentation that documents nothing.
const EMPTY: &[&str] = &["see the module", "likewise", "the same", "it", "now", "ditto"];

/// Words that readers do not know. Each is written in two halves, so that this file obeys its own rule.
const ARCHAIC: &[&str] =
    &[concat!("nou", "ght"), concat!("sha", "ll"), concat!("an", "ew"), concat!("who", "ever"), concat!("sur", "er")];

/// Words of a doc comment that says more than the name of its item.
const DOC_WORDS_MIN: usize = 3;

/// The words of [`ARCHAIC`] in a text.
fn archaic_words(text: &str) -> impl Iterator<Item = &'static &'static str> {
    let words: Vec<String> =
        text.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '`').map(str::to_lowercase).collect();
    ARCHAIC.iter().filter(move |word| words.iter().any(|other| other == *word))
}

/// Comments that say nothing, open with a clause in place of a subject, or use a word of [`ARCHAIC`]; string literals that
/// use one.
fn prose_offences(source: &Source) -> Vec<String> {
    let mut offences = Vec::new();
    for comment in comments(&source.text) {
        let mut offence = |what: &str| offences.push(source.offence(comment.at, what));
        let text = comment.text.trim();
        let bare = text.trim_end_matches('.').to_lowercase();
        if EMPTY.contains(&bare.as_str()) {
            offence(&format!("\"{text}\" documents nothing: name the thing"));
        } else if comment.is_doc() && text.split_whitespace().count() < DOC_WORDS_MIN {
            offence(&format!("\"{text}\" says no more than the name: say more, or leave it out"));
        }
        if text.starts_with("What ") && !text.contains('?') {
            offence("the comment opens with \"What\": put the subject first");
        }
        for word in archaic_words(text) {
            offence(&format!("\"{word}\": use a word of today"));
        }
    }
    for (at, text) in strings(&source.text) {
        let found = archaic_words(text).map(|word| source.offence(at, &format!("\"{word}\": use a word of today")));
        offences.extend(found);
    }
    offences
}

#[test]
fn comments_name_their_subject_and_say_more_than_a_name() {
    nobody_offends(sources("src").iter().flat_map(prose_offences));
}

#[test]
fn a_comment_that_says_nothing_or_has_no_subject_is_found() {
    let offences = |text: &str| prose_offences(&Source::new("src/a.rs", text)).len();
    for text in [
        "/// Likewise.\nfn f() {}",
        "/// See the module.\nfn f() {}",
        "// The same.\nlet a = 1;",
        "/// Frames.\nconst A: u8 = 1;",
        "/// The frames.\nconst A: u8 = 1;",
        "//! Two words",
        "/// What the disk refuses waits once more.\nfn f() {}",
        "fn f() {} // What is left.",
        &format!("// A file {} be closed.", ARCHAIC[1]),
        &format!("/// {} opens it must close it again.\nfn f() {{}}", ARCHAIC[3].replacen('w', "W", 1)),
        &format!("const A: &str = \"a local disk is {}\";", ARCHAIC[4]),
        "/* What the disk refuses. */",
    ] {
        assert_eq!(offences(text), 1, "{text}");
    }
}

#[test]
fn a_comment_with_a_subject_is_left_alone() {
    let offences = |text: &str| prose_offences(&Source::new("src/a.rs", text));
    for text in [
        "/// The frames of\n/// a period.\nconst A: u8 = 1;",
        "// Outermost first.\nlet a = 1;",
        "// What does the disk do now?\nlet a = 1;",
        "/// Whether the disk is full.\nfn f() {}",
        "const A: &str = \"// What a user may type, likewise\";",
        "//// Likewise not\n",
        "/// Marshall and a new window differ.\nfn f() {}",
    ] {
        assert_eq!(offences(text), Vec::<String>::new(), "{text}");
    }
    let found = offences("fn f() {}\n\n/// Likewise.\n/// What is left.\nfn g() {}\n// Likewise.\n");
    assert_eq!(found.len(), 1, "lines that follow each other are one comment: {found:?}");
    assert!(found[0].starts_with("src/a.rs:6: "), "{found:?}");
}
