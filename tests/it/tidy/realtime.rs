//! Public functions of the engine say whether the audio thread may call them. Thread: test.

use super::read::{test_spans, words};
use super::{ENGINE_FILES, Source, nobody_offends, sources};

/// The doc comment of a public function of the engine contains one of these. After the second one comes the reason.
const PHRASES: &[&str] = &["This is realtime-safe.", "This is not realtime-safe: "];

/// Public functions of the audio thread's files whose doc comment has none of the [`PHRASES`].
fn realtime_offences(source: &Source) -> Vec<String> {
    if !source.is_in(ENGINE_FILES) {
        return Vec::new();
    }
    let tests = test_spans(&source.code);
    let functions = ["pub fn ", "pub const fn "]
        .into_iter()
        .flat_map(|start| words(&source.code, start).into_iter().map(move |at| (at, at + start.len())));
    functions
        .filter(|(at, _)| !tests.iter().any(|span| span.contains(at)))
        .filter(|(at, _)| !PHRASES.iter().any(|phrase| doc_before(source, *at).contains(phrase)))
        .map(|(at, name_at)| {
            let name: String =
                source.code[name_at..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            source.offence(
                at,
                &format!("the comment of `{name}` does not say \"{}\" or \"{}REASON\"", PHRASES[0], PHRASES[1]),
            )
        })
        .collect()
}

/// The doc comment above the item that starts at `at`, as one line. Attributes between the two are skipped.
fn doc_before(source: &Source, at: usize) -> String {
    let mut lines: Vec<&str> = Vec::new();
    for line in source.text[..at].lines().rev().map(str::trim) {
        match line.strip_prefix("///") {
            Some(text) => lines.push(text.trim()),
            None if line.is_empty() && lines.is_empty() => {}
            None if line.starts_with("#[") => {}
            None => break,
        }
    }
    lines.reverse();
    lines.join(" ")
}

#[test]
fn public_functions_of_the_engine_say_whether_they_are_realtime_safe() {
    nobody_offends(sources("src").iter().flat_map(realtime_offences));
}

#[test]
fn a_public_function_that_does_not_say_whether_it_is_realtime_safe_is_found() {
    let offences = |text: &str| realtime_offences(&Source::new("src/engine/mix.rs", text)).len();
    assert_eq!(offences("pub fn f() {}"), 1);
    assert_eq!(offences("/// Adds. Realtime-safe.\npub fn f() {}"), 1);
    assert_eq!(offences("/// Makes. This is not realtime-safe.\npub fn f() {}"), 1, "without a reason");
    assert_eq!(
        offences("/// Adds. This is realtime-safe.\n\npub struct S;\npub const fn f() {}"),
        1,
        "of another item"
    );
    assert_eq!(
        offences("impl S {\n    /// Adds. This is\n    /// realtime-safe.\n    #[inline]\n    pub fn f() {}\n}"),
        0
    );
    assert_eq!(offences("/// Makes. This is not realtime-safe: it allocates.\npub fn f() {}"), 0);
    assert_eq!(offences("fn f() {}\npub(super) fn g() {}\n#[cfg(test)]\nmod tests {\n    pub fn h() {}\n}"), 0);
    assert_eq!(realtime_offences(&Source::new("src/wav/mod.rs", "pub fn f() {}")), Vec::<String>::new());
}
