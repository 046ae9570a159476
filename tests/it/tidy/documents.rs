//! Checks that the documents name only files, modules, items and tests that exist. Thread: test.
//!
//! A document puts every such name in backticks. This rule reads the words in backticks outside of code blocks, and
//! the targets of links.

use super::read::{is_word, words};
use super::{Source, nobody_offends, sources};
use std::fs;
use std::path::Path;

/// The documents for people who change the code, or use the program.
const DOCUMENTS: &[&str] = &["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"];

/// Folders that a path in a document may be relative to. The table of scripts in the README names them alone.
const BASES: &[&str] = &["", "tests/stress"];

/// The beginnings of paths that exist only on the user's machine.
const OUTSIDE: &[&str] = &["/", "target/", "evening/"];

/// The endings of files that are named without a folder.
const ENDINGS: &[&str] = &[".rs", ".sh", ".py", ".md"];

/// Roots of modules: the folder, and the modules' file is below it.
const ROOTS: &[&str] = &["src", "tests/it", "tests/gui"];

/// Names in backticks and targets of links, with their lines.
fn names(document: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (at, line) in document.lines().enumerate() {
        if line.starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        found.extend(line.split('`').skip(1).step_by(2).map(|name| (at + 1, name)));
        // A link to a section of this document has no path.
        let links = line.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        found.extend(links.filter(|link| !link.is_empty() && !link.contains(':')).map(|link| (at + 1, link)));
    }
    found
}

/// Whether the first word of a name is a path in the repository.
fn is_path(name: &str) -> bool {
    let ends_as_a_file = ENDINGS.iter().any(|ending| name.ends_with(ending) && name.len() > ending.len());
    (name.contains('/') || ends_as_a_file) && name.chars().all(|c| is_word(c as u8) || "/.-".contains(c))
}

/// The segments of a name of an item or a test: `a::b`, or one word with an underscore.
fn segments(name: &str) -> Option<Vec<&str>> {
    let segments: Vec<&str> = name.split("::").collect();
    let is_name =
        |segment: &&str| segment.starts_with(|c: char| c.is_ascii_alphabetic()) && segment.bytes().all(is_word);
    let is_item = segments.len() > 1 || (name.contains('_') && !name.ends_with('_'));
    (is_item && segments.iter().all(is_name)).then_some(segments)
}

/// Whether a module has the given path, followed by words of that module.
fn is_in_a_module(segments: &[&str], sources: &[Source]) -> bool {
    ROOTS.iter().any(|root| {
        (1..=segments.len()).any(|depth| {
            let path = format!("{root}/{}", segments[..depth].join("/"));
            let files = [format!("{path}.rs"), format!("{path}/mod.rs")];
            let module = sources.iter().find(|source| files.contains(&source.path));
            module
                .is_some_and(|module| segments[depth..].iter().all(|segment| !words(&module.text, segment).is_empty()))
        })
    })
}

/// Whether one source contains all segments, as for `Type::method`.
fn is_in_a_source(segments: &[&str], sources: &[Source]) -> bool {
    sources.iter().any(|source| segments.iter().all(|segment| !words(&source.text, segment).is_empty()))
}

/// Names in a document for which nothing exists.
fn document_offences(path: &str, document: &str, sources: &[Source], exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut offences = Vec::new();
    for (line, name) in names(document) {
        let first = name.split_whitespace().next().unwrap_or_default();
        let is_wrong = if is_path(first) {
            let is_there = |base: &&str| exists(first) || exists(&format!("{base}/{first}"));
            !OUTSIDE.iter().any(|start| first.starts_with(start)) && !BASES.iter().any(is_there)
        } else if let Some(segments) = segments(name) {
            let lower = segments[0].starts_with(|c: char| c.is_ascii_lowercase());
            match segments.len() {
                1 => !is_in_a_source(&segments, sources),
                _ if lower => !is_in_a_module(&segments, sources),
                _ => !is_in_a_source(&segments, sources),
            }
        } else {
            false
        };
        if is_wrong {
            offences.push(format!("{path}:{line}: `{name}` does not exist"));
        }
    }
    offences
}

#[test]
fn the_documents_name_only_what_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources: Vec<Source> = ROOTS.iter().flat_map(|folder| sources(folder)).collect();
    nobody_offends(DOCUMENTS.iter().flat_map(|path| {
        let document = fs::read_to_string(root.join(path)).expect("a document can be read");
        document_offences(path, &document, &sources, |file| root.join(file).exists())
    }));
}

#[test]
fn a_name_of_nothing_in_a_document_is_found() {
    let sources = [
        Source::new("src/engine/mod.rs", "pub mod mix;\npub struct Engine;\nimpl Engine { pub fn process() {} }"),
        Source::new("src/engine/mix.rs", "mod tests { fn a_gain_ramps() {} }"),
        Source::new("tests/it/record.rs", "fn takes_are_exact() {}"),
    ];
    let exists =
        |path: &str| ["src/engine/mix.rs", "assets/a.png", "tests/stress/freeze.sh", "LICENSE"].contains(&path);
    let offences = |document: &str| document_offences("README.md", document, &sources, exists).len();
    for document in [
        "See `src/engine/mixer.rs`.",
        "See `mixer.rs`.",
        "Run `tests/stress/melt.sh DIR SECONDS`.",
        "![A picture](assets/b.png)",
        "[a section](NONE.md#how-to-add)",
        "It is in `engine::mixer`.",
        "The test `engine::mix::tests::a_gain_jumps` keeps it.",
        "(`record::takes_are_exact`, `record::takes_are_long`)",
        "The test `takes_are_long` keeps it.",
        "`Engine::swallow` counts it.",
        "```\nsrc/none.rs `src/none.rs`\n```\n`src/none.rs`",
    ] {
        assert_eq!(offences(document), 1, "{document}");
    }
    for document in [
        "See `src/engine/mix.rs`, `freeze.sh DIR AFTER FOR` and ![A picture](assets/a.png).",
        "`engine::mix`, `engine::mix::tests::a_gain_ramps`, `record::takes_are_exact`, `takes_are_exact`",
        "`Engine::process`, `minute_`, `a lead`, `evening/audio`, `/proc/self/task/TID`, `packaging`",
        "[a section](#how-to-add), [a page](https://example.org/a.rs)",
        "```\ncat src/none.rs\n```",
    ] {
        assert_eq!(offences(document), 0, "{document}");
    }
}
