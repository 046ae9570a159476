//! Checks which module uses which, against an ordered table. Thread: test.
//!
//! The list begins with the lowest module. A module imports only from earlier lines, and of those only from the ones
//! that its own line names. A permit that no source uses is an offence too, so the table shows the structure as it is.

use super::read::{paths_from, test_spans, words};
use super::{Source, module_paths, nobody_offends, sources};
use std::collections::BTreeSet;

/// The modules of the crate, the lowest first, and the modules that each may use.
///
/// `name` permits everything in a module; `name.items` only what the module itself defines, none of its submodules. A
/// module that is not in the table is refused, because its position is a decision.
const DIRECTION: &[(&str, &[&str])] = &[
    ("limits", &[]),
    ("instructions", &[]),
    ("io_ring", &[]),
    ("host", &["io_ring"]),
    ("time", &[]),
    ("format", &[]),
    ("serial", &[]),
    ("shell_word", &[]),
    ("histogram", &[]),
    ("lock", &[]),
    ("spool_index", &["limits"]),
    ("mailbox", &["lock", "host.items"]),
    ("reaper", &["lock", "host.items"]),
    ("rt", &[]),
    ("file_system", &["rt", "host", "limits"]),
    ("wav", &["format", "host", "limits"]),
    ("session", &["wav", "file_system", "time", "format", "host", "limits"]),
    ("peaks", &["session", "wav", "file_system", "spool_index", "lock", "format", "limits"]),
    ("window", &["spool_index", "time", "format", "host.items", "limits"]),
    ("device", &["lock", "window", "wav", "format", "time", "host.items", "limits"]),
    ("mixer", &["session", "limits"]),
    (
        "message",
        &[
            "mixer",
            "device.items",
            "window",
            "wav",
            "spool_index",
            "lock",
            "histogram",
            "time",
            "format",
            "host",
            "limits",
        ],
    ),
    ("residency", &["message", "window", "file_system", "rt", "mailbox", "lock", "time", "host.items", "limits"]),
    (
        "engine",
        &["message", "mixer", "device.items", "window", "rt", "time", "format", "host.items", "instructions", "limits"],
    ),
    (
        "butler",
        &[
            "residency",
            "message",
            "window",
            "wav",
            "file_system",
            "spool_index",
            "time",
            "format",
            "host",
            "io_ring",
            "limits",
        ],
    ),
    (
        "recovery",
        &[
            "butler",
            "message",
            "session",
            "wav",
            "window",
            "device.items",
            "file_system",
            "spool_index",
            "shell_word",
            "time",
            "format",
            "host",
            "limits",
        ],
    ),
    ("flight", &["session", "file_system", "host.items", "limits"]),
    ("threads", &["butler", "engine", "residency", "message", "device", "window", "rt", "host.items", "limits"]),
    ("export", &["mixer", "engine", "message", "session", "window", "wav", "time", "format", "limits"]),
    (
        "control",
        &[
            "threads",
            "flight",
            "mixer",
            "recovery",
            "butler",
            "residency",
            "message",
            "device",
            "window",
            "rt",
            "session",
            "wav",
            "file_system",
            "reaper",
            "lock",
            "histogram",
            "shell_word",
            "time",
            "format",
            "host",
            "limits",
        ],
    ),
    (
        "diagnostics",
        &[
            "control",
            "flight",
            "butler",
            "residency",
            "engine",
            "message",
            "device",
            "window",
            "rt",
            "session",
            "wav",
            "file_system",
            "time",
            "format",
            "instructions",
            "io_ring",
            "limits",
        ],
    ),
    (
        "app",
        &[
            "diagnostics",
            "control",
            "export",
            "flight",
            "butler",
            "residency",
            "message",
            "device",
            "window",
            "rt",
            "peaks",
            "session",
            "file_system",
            "mailbox",
            "reaper",
            "lock",
            "histogram",
            "shell_word",
            "time",
            "format",
            "limits",
        ],
    ),
    (
        "link",
        &[
            "app",
            "diagnostics",
            "control",
            "butler",
            "residency",
            "device",
            "window",
            "session",
            "reaper",
            "lock",
            "shell_word",
            "time",
            "limits",
        ],
    ),
    (
        "ui",
        &[
            "link",
            "app",
            "diagnostics",
            "control",
            "export",
            "butler",
            "residency",
            "message",
            "device",
            "peaks",
            "session",
            "lock",
            "time",
            "format",
            "limits",
        ],
    ),
    (
        "cli",
        &[
            "ui",
            "link",
            "app",
            "diagnostics",
            "control",
            "export",
            "threads",
            "recovery",
            "butler",
            "residency",
            "message",
            "device",
            "window",
            "rt",
            "session",
            "lock",
            "shell_word",
            "time",
            "format",
            "limits",
        ],
    ),
];

/// Modules that only their parent uses; everybody else uses what the parent exports.
const PRIVATE: &[[&str; 2]] = &[["device", "alsa"]];

/// A use of one module by another: its position, the using module, and the used path.
struct Use {
    at: usize,
    from: String,
    /// The path behind `crate::`.
    path: Vec<String>,
}

/// Every use of another module in a source, without those in its tests.
fn uses(source: &Source) -> Vec<Use> {
    let module = source.module();
    let Some(&from) = module.first() else { return Vec::new() };
    let tests = test_spans(&source.code);
    let mut found = Vec::new();
    let mut add = |at: usize, path: &[String]| {
        let Some(to) = path.first().map(String::as_str) else { return };
        let in_a_test = tests.iter().any(|span| span.contains(&at));
        if to != from && !to.starts_with(|c: char| c.is_uppercase()) && !in_a_test {
            found.push(Use { at, from: from.to_owned(), path: path.to_vec() });
        }
    };
    for at in words(&source.code, "crate::") {
        for path in paths_from(&source.code, at + "crate::".len()) {
            add(at, &path);
        }
    }
    for at in words(&source.code, "super::") {
        if source.code[..at].ends_with("super::") {
            continue;
        }
        for path in paths_from(&source.code, at) {
            let up = path.iter().take_while(|segment| *segment == "super").count();
            // Above the file's own top module, `super` is `crate`.
            if module.len() <= up {
                add(at, &path[up..]);
            }
        }
    }
    found
}

/// The entry of a module's line that permits the use of `path`.
fn permit<'a>(allowed: &[&'a str], path: &[String], modules: &BTreeSet<String>) -> Option<&'a str> {
    let to = path.first()?;
    let into_submodule = path.get(1).is_some_and(|second| modules.contains(&format!("{to}::{second}")));
    allowed.iter().copied().find(|entry| match entry.strip_suffix(".items") {
        Some(name) => name == to && !into_submodule,
        None => entry == to,
    })
}

/// Uses that the table does not permit. `modules` has the path of every module, joined by `::`.
pub(super) fn direction_offences(source: &Source, modules: &BTreeSet<String>) -> Vec<String> {
    let module = source.module();
    let Some(&from) = module.first() else { return Vec::new() };
    let Some((_, allowed)) = DIRECTION.iter().find(|(name, _)| *name == from) else {
        return vec![format!("{}: module `{from}` is not in the direction table", source.path)];
    };
    let private = |found: &Use| PRIVATE.iter().any(|path| found.path.starts_with(&path.map(str::to_owned)));
    let refused =
        uses(source).into_iter().filter(|found| private(found) || permit(allowed, &found.path, modules).is_none());
    refused
        .map(|found| source.offence(found.at, &format!("`{from}` may not use `crate::{}`", found.path.join("::"))))
        .collect()
}

/// Lines of the table that name a later module, and permits that no source uses.
fn table_offences(table: &[(&str, &[&str])], used: &BTreeSet<(String, String)>) -> Vec<String> {
    let mut offences = Vec::new();
    let mut earlier: BTreeSet<&str> = BTreeSet::new();
    for (name, allowed) in table {
        for entry in *allowed {
            let target = entry.strip_suffix(".items").unwrap_or(entry);
            if !earlier.contains(target) {
                offences.push(format!("{name} -> {entry}: `{target}` is not listed before `{name}`"));
            }
            if !used.contains(&((*name).to_owned(), (*entry).to_owned())) {
                offences.push(format!("{name} -> {entry}: nothing uses this permit; remove it"));
            }
        }
        if !earlier.insert(*name) {
            offences.push(format!("{name}: listed twice"));
        }
    }
    offences
}

#[test]
fn modules_use_only_what_the_direction_lists() {
    let sources = sources("src");
    let modules = module_paths(&sources);
    nobody_offends(sources.iter().filter(|s| !s.is_root()).flat_map(|s| direction_offences(s, &modules)));
}

#[test]
fn the_direction_goes_from_later_modules_to_earlier_ones_and_has_no_dead_permit() {
    let sources = sources("src");
    let modules = module_paths(&sources);
    let mut used = BTreeSet::new();
    for found in sources.iter().filter(|s| !s.is_root()).flat_map(uses) {
        let allowed = DIRECTION.iter().find(|(name, _)| *name == found.from).map_or(&[][..], |(_, allowed)| allowed);
        if let Some(entry) = permit(allowed, &found.path, &modules) {
            used.insert((found.from, entry.to_owned()));
        }
    }
    nobody_offends(table_offences(DIRECTION, &used));
}

#[test]
fn the_audio_thread_and_the_butler_never_meet() {
    for (name, allowed) in DIRECTION {
        let other = match *name {
            "engine" => "butler",
            "butler" => "engine",
            _ => continue,
        };
        assert!(!allowed.contains(&other), "{name} -> {other}");
    }
}

#[test]
fn a_permit_that_points_up_or_is_dead_is_found() {
    let used = BTreeSet::from([("b".to_owned(), "a".to_owned()), ("a".to_owned(), "b".to_owned())]);
    assert_eq!(table_offences(&[("a", &[]), ("b", &["a"])], &used), Vec::<String>::new());
    let found = table_offences(&[("a", &["b"]), ("b", &["a"])], &used);
    assert_eq!(found, ["a -> b: `b` is not listed before `a`"]);
    let found = table_offences(&[("a", &[]), ("c", &["a"])], &used);
    assert_eq!(found, ["c -> a: nothing uses this permit; remove it"]);
    assert_eq!(table_offences(&[("a", &[]), ("a", &[])], &used), ["a: listed twice"]);
}
