//! The house rules, checked on the source text: which module may use which, where `unsafe` may be, how long a
//! function may be.
//!
//! Each rule is a function from a file's text to its offences. One test checks that no file of the tree offends, and
//! one or more tests in `planted` check that the rule finds offences.

mod direction;
mod documents;
mod lock_files;
mod machine;
mod planted;
mod prose;
mod read;
mod realtime;
mod terminal;

use read::{blank, closing, is_word, paths_from, test_spans, words};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Files above the direction table. Their header names no thread because it describes all of them.
const ROOTS: &[&str] = &["src/lib.rs", "src/main.rs", "src/bin/faultless-window.rs"];

/// Where `unsafe` code may be: path prefixes.
const UNSAFE_ALLOWED: &[&str] = &[
    "src/window/",
    "src/device/alsa/planar.rs",
    "src/device/alsa/libjack.rs",
    "src/device/alsa/messages.rs",
    "src/instructions.rs",
    "src/io_ring.rs",
    "src/cli/x11.rs",
];

/// Where the `alsa` crate may be used: path prefixes.
const ALSA_ALLOWED: &[&str] = &["src/device/alsa/", "src/device/alsa.rs"];

/// Attributes that every file of the audio thread has at its top.
const ENGINE_HEADER: &[&str] = &[
    "#![forbid(unsafe_code)]",
    "#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]",
];

/// Files of the audio thread: path prefixes.
const ENGINE_FILES: &[&str] = &["src/engine/", "src/engine.rs"];

/// Words that no comment may contain. Each is written in two halves, so that this file obeys its own rule.
const WORDS_BANNED: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Code that may not remain, and what to write instead.
const CODE_BANNED: &[(&str, &str)] = &[
    ("dbg!", "say it with an event or not at all"),
    ("todo!", "write it"),
    ("unimplemented!", "write it, or make the case impossible"),
    ("#[ignore", "a test that can't run here is skipped by name by packaging/test"),
    ("should_panic", "catch_unwind, and look at what it said"),
];

/// Calls that make a queue without a bound.
const UNBOUNDED: &[&str] = &["unbounded", "channel()", "channel::<"];

const FUNCTION_LINES_MAX: usize = 90;
const FILE_LINES_MAX: usize = 600;

/// A source file.
struct Source {
    /// The path from the root of the repository, with `/`.
    path: String,
    text: String,
    /// The text with comments, strings and characters replaced by blanks: the same length and the same lines.
    code: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned(), code: blank(text) }
    }

    fn is_in(&self, prefixes: &[&str]) -> bool {
        prefixes.iter().any(|prefix| self.path.starts_with(prefix))
    }

    fn is_root(&self) -> bool {
        ROOTS.contains(&self.path.as_str())
    }

    /// The module path of a file under `src/`: `src/engine/mix.rs` is `[engine, mix]`.
    fn module(&self) -> Vec<&str> {
        let path = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let path = path.strip_suffix(".rs").unwrap_or(path);
        let mut module: Vec<&str> = path.split('/').collect();
        if matches!(module.last(), Some(&"mod" | &"lib" | &"main")) {
            module.pop();
        }
        module
    }

    fn offence(&self, at: usize, what: &str) -> String {
        // Code and text have their lines at the same bytes.
        let line = self.text[..at].matches('\n').count() + 1;
        format!("{}:{line}: {what}", self.path)
    }
}

// ---- The rules ----

/// Headers whose first paragraph does not name the file's thread.
fn header_offences(source: &Source) -> Vec<String> {
    if source.is_root() {
        return Vec::new();
    }
    let paragraph: Vec<&str> = source.text.lines().take_while(|line| line.starts_with("//! ")).collect();
    if paragraph.is_empty() {
        return vec![format!("{}: does not start with `//!`", source.path)];
    }
    if !paragraph.join("\n").contains("Thread:") {
        return vec![format!("{}: its first paragraph does not name its `Thread:`", source.path)];
    }
    Vec::new()
}

fn unsafe_offences(source: &Source) -> Vec<String> {
    if source.is_in(UNSAFE_ALLOWED) {
        return Vec::new();
    }
    words(&source.code, "unsafe").into_iter().map(|at| source.offence(at, "`unsafe` outside its modules")).collect()
}

fn alsa_offences(source: &Source) -> Vec<String> {
    if source.is_in(ALSA_ALLOWED) {
        return Vec::new();
    }
    let code = &source.code;
    // The module `device::alsa`, where a file has it in scope, is not the crate.
    let local = !words(code, "mod alsa").is_empty()
        || words(code, "crate::").into_iter().any(|at| {
            paths_from(code, at + "crate::".len()).iter().any(|path| path.last().is_some_and(|leaf| leaf == "alsa"))
        });
    let of_crate = |at: &usize| {
        let before = code[..*at].trim_end();
        let absolute = before.ends_with("::") && !before[..before.len() - 2].ends_with(|c: char| is_word(c as u8));
        absolute || (!local && !before.ends_with("::"))
    };
    let uses = words(code, "alsa::").into_iter().filter(of_crate);
    let whole = words(code, "use alsa").into_iter().filter(|at| !code[at + "use alsa".len()..].starts_with("::"));
    uses.chain(whole).map(|at| source.offence(at, "the `alsa` crate outside device/alsa")).collect()
}

/// Queues without a bound, outside tests. They grow while their reader waits for a disk or a device.
fn queue_offences(source: &Source) -> Vec<String> {
    if source.path.ends_with("tests.rs") || source.path.contains("/tests/") {
        return Vec::new();
    }
    let tests = test_spans(&source.code);
    let found = UNBOUNDED.iter().flat_map(|name| words(&source.code, name));
    let found = found.filter(|at| !tests.iter().any(|test| test.contains(at)));
    found.map(|at| source.offence(at, "a queue without a bound: use `bounded` or `sync_channel`")).collect()
}

fn length_offences(source: &Source) -> Vec<String> {
    let mut offences = Vec::new();
    let lines = source.text.lines().count();
    if FILE_LINES_MAX < lines {
        offences.push(format!("{}: {lines} lines, at most {FILE_LINES_MAX}", source.path));
    }
    for at in words(&source.code, "fn ") {
        let rest = &source.code[at + 3..];
        if !rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            continue;
        }
        // The brackets of the signature contain no body. A `;` outside of them ends a function without a body.
        let mut from = at + 3;
        let open = loop {
            match source.code.as_bytes().get(from) {
                Some(b'(' | b'[') => from = closing(&source.code, from),
                Some(b'{') => break Some(from),
                Some(b';') | None => break None,
                Some(_) => from += 1,
            }
        };
        let Some(open) = open else { continue };
        let lines = source.code[at..closing(&source.code, open)].matches('\n').count() + 1;
        if FUNCTION_LINES_MAX < lines {
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            offences.push(source.offence(at, &format!("`{name}` has {lines} lines, at most {FUNCTION_LINES_MAX}")));
        }
    }
    offences
}

fn leftover_offences(source: &Source) -> Vec<String> {
    let mut offences = Vec::new();
    for word in WORDS_BANNED {
        let found = words(&source.text, word).into_iter();
        offences.extend(found.map(|at| source.offence(at, &format!("`{word}`: do it, or write an issue"))));
    }
    for (code, instead) in CODE_BANNED {
        let found = words(&source.code, code).into_iter();
        offences.extend(found.map(|at| source.offence(at, &format!("`{code}`: {instead}"))));
    }
    offences
}

fn engine_offences(source: &Source) -> Vec<String> {
    if !source.is_in(ENGINE_FILES) {
        return Vec::new();
    }
    let tight = |text: &str| text.split_whitespace().collect::<String>().replace(",)", ")");
    let code = tight(&source.code);
    ENGINE_HEADER
        .iter()
        .filter(|line| !code.contains(&tight(line)))
        .map(|line| format!("{}: lacks `{line}`", source.path))
        .collect()
}

/// Files that no chain of `mod` lines from the roots reaches.
fn dead_files(sources: &[Source], roots: &[&str]) -> Vec<String> {
    let mut reached: BTreeSet<&str> = BTreeSet::new();
    let mut open: Vec<&Source> = sources.iter().filter(|source| roots.contains(&source.path.as_str())).collect();
    while let Some(source) = open.pop() {
        if !reached.insert(&source.path) {
            continue;
        }
        let (dir, file) = source.path.rsplit_once('/').unwrap_or(("", &source.path));
        let stem = file.strip_suffix(".rs").unwrap_or(file);
        let own = roots.contains(&source.path.as_str()) || stem == "mod";
        let dir = if own { dir.to_owned() } else { format!("{dir}/{stem}") };
        for at in words(&source.code, "mod ") {
            let name: String = source.code[at + 4..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if source.code[at + 4 + name.len()..].starts_with(';') {
                let places = [format!("{dir}/{name}.rs"), format!("{dir}/{name}/mod.rs")];
                open.extend(sources.iter().filter(|source| places.contains(&source.path)));
            }
        }
    }
    let dead = sources.iter().filter(|source| !reached.contains(source.path.as_str()));
    dead.map(|source| format!("{}: no `mod` line reaches it", source.path)).collect()
}

// ---- The tree ----

/// Every `.rs` file under `folder`, without other packages (folders that have a Cargo.toml).
fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = vec![root.join(folder)];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).expect("the tree can be read") {
            let path = entry.expect("the tree can be read").path();
            if path.is_dir() && !path.join("Cargo.toml").exists() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).expect("it lies below").to_string_lossy().into_owned();
                found.push(Source::new(&name, &fs::read_to_string(&path).expect("a source can be read")));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!found.is_empty(), "{folder}: no sources");
    found
}

fn module_paths(sources: &[Source]) -> BTreeSet<String> {
    sources.iter().map(|source| source.module().join("::")).collect()
}

#[track_caller]
fn nobody_offends(offences: impl IntoIterator<Item = String>) {
    let list = offences.into_iter().collect::<Vec<String>>().join("\n");
    assert!(list.is_empty(), "\n{list}\n");
}

#[test]
fn every_file_says_what_it_owns_and_on_which_thread() {
    nobody_offends(sources("src").iter().flat_map(header_offences));
}

#[test]
fn unsafe_is_only_where_memory_is_mapped() {
    nobody_offends(sources("src").iter().flat_map(unsafe_offences));
}

#[test]
fn the_alsa_crate_stays_inside_its_device() {
    nobody_offends(sources("src").iter().flat_map(alsa_offences));
}

#[test]
fn every_queue_has_a_bound() {
    nobody_offends(sources("src").iter().flat_map(queue_offences));
}

#[test]
fn functions_and_files_are_short_enough_to_read() {
    nobody_offends(sources("src").iter().flat_map(length_offences));
}

#[test]
fn nothing_unfinished_is_left_behind() {
    nobody_offends(sources("src").iter().chain(&sources("tests")).flat_map(leftover_offences));
}

#[test]
fn the_engine_forbids_what_its_thread_may_not_do() {
    nobody_offends(sources("src").iter().flat_map(engine_offences));
}

#[test]
fn no_file_is_dead() {
    nobody_offends(dead_files(&sources("src"), ROOTS));
    nobody_offends(dead_files(&sources("tests/it"), &["tests/it/main.rs"]));
}
