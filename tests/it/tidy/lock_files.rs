//! Checks that the fuzz targets, a workspace of their own, are built with the versions that the program is built with. Thread:
//! test.
//!
//! A lock file that lacks a dependency is completed by cargo at the next build, with the newest version of that day. So the
//! targets would test other code than the program's, and no two builds would be the same.

use super::nobody_offends;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Packages that only the fuzz targets use.
const OWN: &[&str] = &["arbitrary", "faultless-fuzz", "libfuzzer-sys"];

/// The versions of each package in a lock file.
fn versions(lock: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut found = BTreeMap::<_, BTreeSet<_>>::new();
    for package in lock.split("[[package]]").skip(1) {
        let value = |key: &str| {
            package
                .lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "))
                .map(|value| value.trim_matches('"'))
        };
        if let (Some(name), Some(version)) = (value("name"), value("version")) {
            found.entry(name).or_default().insert(version);
        }
    }
    found
}

/// The packages of `[dependencies]` in a manifest.
fn dependencies(manifest: &str) -> Vec<&str> {
    let section = manifest.split("\n[").find_map(|section| section.strip_prefix("dependencies]\n"));
    let lines = section.unwrap_or_default().lines();
    lines.filter(|line| !line.starts_with('#')).filter_map(|line| Some(line.split_once(" = ")?.0)).collect()
}

/// Dependencies that the targets' lock file lacks, and packages that have another version there.
fn lock_offences(manifest: &str, lock: &str, targets: &str) -> Vec<String> {
    let (whole, part) = (versions(lock), versions(targets));
    let lacks = dependencies(manifest).into_iter().filter(|name| !part.contains_key(name));
    let lacks = lacks.map(|name| format!("{name}: the lock file of the fuzz targets lacks it"));
    let others = part.iter().filter(|(name, versions)| {
        !OWN.contains(*name) && !whole.get(*name).is_some_and(|known| versions.is_subset(known))
    });
    let others = others.map(|(name, versions)| format!("{name}: the fuzz targets have {versions:?}"));
    lacks.chain(others).collect()
}

#[test]
fn the_fuzz_targets_are_built_with_the_versions_of_the_program() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let [manifest, lock, targets] =
        ["Cargo.toml", "Cargo.lock", "tests/fuzz/Cargo.lock"].map(|path| fs::read_to_string(root.join(path)).unwrap());
    // The window's test driver is off in the targets.
    let offences = lock_offences(&manifest, &lock, &targets);
    nobody_offends(offences.into_iter().filter(|offence| !offence.starts_with("egui_kittest: ")));
}

#[test]
fn a_dependency_that_the_targets_lack_or_have_in_another_version_is_found() {
    let manifest =
        "[package]\nname = \"p\"\n\n[dependencies]\n# Why.\na = \"1\"\nb = { version = \"2\" }\n\n[features]\n";
    let package = |name: &str, version: &str| format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n");
    let (a, b) = (package("a", "1.0.0"), package("b", "2.1.0"));
    let lock = format!("{a}{b}{}", package("a", "0.9.0"));
    let offences = |targets: &str| lock_offences(manifest, &lock, targets);
    assert_eq!(offences(&format!("{a}{b}{}", package("arbitrary", "3.0.0"))), [""; 0]);
    assert_eq!(offences(&a), ["b: the lock file of the fuzz targets lacks it"]);
    let newer = package("b", "2.2.0");
    assert_eq!(offences(&format!("{a}{newer}")), ["b: the fuzz targets have {\"2.2.0\"}"]);
    assert_eq!(offences(&format!("{a}{b}{}", package("c", "1.0.0"))), ["c: the fuzz targets have {\"1.0.0\"}"]);
}
