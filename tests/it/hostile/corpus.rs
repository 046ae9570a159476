//! The fuzz targets of tests/fuzz, run on their corpus and on mutations of it. Thread: test.
//!
//! `tests/stress/fuzz.sh` runs the same targets under libFuzzer for hours. Here each target has a second or two and
//! needs no other tool. Inputs that either run finds are added to the corpus.

#[path = "../../fuzz/targets.rs"]
mod targets;

use super::World;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use targets::{TARGETS, Target};

/// Time for mutations of one target's corpus, unless `FAULTLESS_FUZZ_SECONDS` names another time.
const BUDGET: Duration = Duration::from_millis(1_500);

/// The longest time for one input: a thousand times that of the slowest one.
const INPUT_TIME_MAX: Duration = Duration::from_secs(10);

/// Bytes of the longest input.
const INPUT_BYTES_MAX: usize = 16 * 1024;

/// Numbers at which code often fails.
const EDGES: [u64; 16] = [
    0,
    1,
    2,
    3,
    7,
    0x7f,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    1 << 32,
    1 << 53,
    i64::MAX as u64,
    u64::MAX - 1,
    u64::MAX,
];

fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    files.sort();
    assert!(3 <= files.len(), "{}: no corpus", folder.display());
    files
}

/// Runs a target on one input. If the target panics or takes too long, the input is saved.
fn one(name: &str, target: Target, origin: &str, bytes: &[u8]) {
    let from = Instant::now();
    let done = catch_unwind(AssertUnwindSafe(|| target(bytes)));
    if done.is_err() || INPUT_TIME_MAX < from.elapsed() {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("finding-{name}"));
        fs::write(&kept, bytes).unwrap();
        panic!("{name}: {origin}: see above; {:?}; the input is kept in {}", from.elapsed(), kept.display());
    }
}

struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        // SplitMix64 (Steele, Lea and Flood 2014).
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { (self.next() % end as u64) as usize }
    }

    fn edge(&mut self) -> u64 {
        EDGES[self.below(EDGES.len())]
    }
}

/// Applies one random mutation.
fn mutate(bytes: &mut Vec<u8>, other: &[u8], dice: &mut Dice) {
    let at = dice.below(bytes.len());
    let end = (at + 1 + dice.below(32)).min(bytes.len());
    match dice.below(10) {
        0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
        1 if at < bytes.len() => bytes[at] = dice.next() as u8,
        2 => drop(bytes.drain(at..end)),
        3 => {
            let piece = bytes[at..end].to_vec();
            let to = dice.below(bytes.len());
            bytes.splice(to..to, piece);
        }
        4 => {
            let from = dice.below(other.len());
            let piece = other[from..(from + 1 + dice.below(64)).min(other.len())].to_vec();
            bytes.splice(at..end, piece);
        }
        5 | 6 => {
            // A binary number.
            let width = [1, 2, 4, 8][dice.below(4)].min(bytes.len() - at);
            let number = dice.edge().wrapping_add(dice.next() % 3).to_le_bytes();
            bytes[at..at + width].copy_from_slice(&number[..width]);
        }
        7 | 8 => {
            // A decimal number, in place of one in the input.
            let from = (at..bytes.len()).find(|at| bytes[*at].is_ascii_digit()).unwrap_or(at);
            let to = (from..bytes.len()).find(|at| !bytes[*at].is_ascii_digit()).unwrap_or(bytes.len());
            bytes.splice(from..to, dice.edge().to_string().into_bytes());
        }
        _ => bytes.truncate(at),
    }
    bytes.truncate(INPUT_BYTES_MAX);
}

/// Runs a target on its whole corpus, and on mutations while there is time. The inputs are the same each time.
fn tried(name: &str) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).unwrap();
    let files = corpus(name);
    for (path, bytes) in &files {
        one(name, *target, &path.display().to_string(), bytes);
    }
    let asked = std::env::var("FAULTLESS_FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    let budget = asked.map_or(BUDGET, Duration::from_secs);
    let (from, mut dice, mut count) = (Instant::now(), Dice(asked.unwrap_or(1)), 0_u64);
    while from.elapsed() < budget {
        let (_, seed) = &files[dice.below(files.len())];
        let (_, other) = &files[dice.below(files.len())];
        let mut bytes = seed.clone();
        for _ in 0..=dice.below(6) {
            mutate(&mut bytes, other, &mut dice);
        }
        one(name, *target, &format!("mutation {count}"), &bytes);
        count += 1;
    }
    eprintln!("{name}: {} files, {count} mutations", files.len());
    assert!(100 < count, "{name}: {count} in {budget:?}");
}

#[test]
fn no_bytes_upset_the_reader_of_wav_files() {
    tried("wav");
}

#[test]
fn no_bytes_upset_the_reader_of_sessions() {
    tried("session");
}

#[test]
fn no_bytes_upset_the_reader_of_waveforms() {
    tried("peaks");
}

#[test]
fn no_bytes_upset_the_reader_of_spools() {
    tried("spool");
}

#[test]
fn no_bytes_upset_the_reader_of_settings() {
    tried("settings");
}

#[test]
fn no_bytes_upset_the_readers_of_what_is_typed() {
    tried("text");
}

#[test]
fn no_bytes_upset_the_built_in_device() {
    tried("device");
    tried("signal");
}

#[test]
fn no_bytes_upset_what_reads_the_flight_recorders_events() {
    tried("events");
}

#[test]
fn no_bytes_upset_what_an_engine_reads_from_a_window() {
    tried("link");
}

#[test]
fn every_target_has_its_fuzzer_its_corpus_and_its_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let here = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file!())).unwrap();
    let names = |folder: &str| -> Vec<String> {
        let entries = fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path());
        let mut names: Vec<_> = entries.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    let mut known: Vec<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    known.sort();
    assert_eq!(names("fuzz_targets"), known);
    assert_eq!(names("corpus"), known);
    for name in known {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}: no fuzzer");
        assert!(here.contains(&format!("tried(\"{name}\")")), "{name}: no test");
    }
}

#[test]
fn minute_every_wav_of_the_corpus_in_the_place_of_a_take_is_played_or_refused() {
    let world = World::new();
    for (path, bytes) in corpus("wav") {
        fs::write(world.take(1), bytes).unwrap();
        let what = path.display().to_string();
        for mode in ["play", "export", "mix"] {
            world.survives(&what, mode);
        }
    }
}

#[test]
fn minute_every_session_of_the_corpus_is_opened_or_refused() {
    for (path, bytes) in corpus("session") {
        let world = World::new();
        fs::write(world.session().join("session.json"), bytes).unwrap();
        world.survives_all(&path.display().to_string());
    }
}
