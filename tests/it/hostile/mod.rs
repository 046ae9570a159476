//! Hostile files from other computers: the program refuses them in one line or works, in bounded time and memory, and
//! writes nothing outside the session. Thread: test.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod corpus;
mod folders;
mod moving;
mod values;

use crate::util::{Run, before, faultless, place, record, run};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The longest time that a mode may take for a small session, also on a busy computer.
const TIME_MAX: Duration = Duration::from_secs(30);

/// Bytes of private memory that the program may use: somewhat more than it needs for two tracks.
const DATA_BYTES_MAX: u64 = 512 << 20;

/// A session with two takes of a tenth of a second, and files outside of it that must not change.
struct World {
    place: TempDir,
}

impl World {
    fn new() -> World {
        let world = World { place: place() };
        run(record(&world.session(), "--device virtual:free --inputs 2 --seconds 0.1")).done();
        fs::create_dir_all(world.outside().join("folder")).unwrap();
        fs::copy(world.take(1), world.outside().join("x.wav")).unwrap();
        fs::write(world.outside().join("letter"), "dear").unwrap();
        world
    }

    fn session(&self) -> PathBuf {
        self.place.path().join("session")
    }

    fn take(&self, number: u32) -> PathBuf {
        self.session().join(format!("audio/In {number}-1.wav"))
    }

    fn outside(&self) -> PathBuf {
        self.place.path().join("outside")
    }

    /// The folder for exports: the only one outside the session that the program may write to.
    fn to(&self) -> PathBuf {
        self.place.path().join("to")
    }

    /// Changes the JSON of the session's file.
    fn rewrite(&self, change: impl FnOnce(&mut Value)) {
        let path = self.session().join("session.json");
        let mut session: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut session);
        fs::write(path, serde_json::to_vec(&session).unwrap()).unwrap();
    }

    fn command(&self, mode: &str) -> Command {
        let session = self.session();
        let to = self.to();
        let command = match mode {
            "play" => faultless("play", &session, "--device virtual:free --seconds 0.05 --json"),
            "export" => faultless("export", &session, &format!("--to {} --json", to.display())),
            "mix" => faultless("export", &session, &format!("--to {} --mix --json", to.display())),
            "recover" => faultless("recover", &session, "--json"),
            "record" => record(&session, "--device virtual:free --inputs 2 --seconds 0.05"),
            "doctor" => faultless("doctor", &session, "--json"),
            other => panic!("{other}"),
        };
        before(&format!("prlimit --data={DATA_BYTES_MAX} --"), &command)
    }

    /// Runs a mode. Checks that it succeeds, or gives the reason in one line, in time, and that nothing outside has
    /// changed.
    #[track_caller]
    fn survives(&self, what: &str, mode: &str) -> Run {
        let before = tree(self.place.path(), &[self.session(), self.to()]);
        let from = Instant::now();
        let ran = run(self.command(mode));
        let told = format!("{what}: {mode}: status {:?}\n{}{}", ran.code, ran.out, ran.err);
        assert!(from.elapsed() < TIME_MAX, "took {:?}: {told}", from.elapsed());
        assert!(matches!(ran.code, Some(0 | 1)), "{told}");
        assert!(!ran.err.contains("panicked") && !ran.err.contains("memory allocation"), "{told}");
        let lines: Vec<&str> = ran.err.lines().filter(|line| line.starts_with("faultless: ")).collect();
        assert_eq!(lines.len(), usize::from(ran.code == Some(1)), "{told}");
        assert!(ran.code == Some(0) || ran.err.lines().last() == Some(lines[0]), "the reason comes last: {told}");
        assert!(!ran.err.contains(|c: char| c.is_control() && c != '\n'), "{told}");
        assert_eq!(tree(self.place.path(), &[self.session(), self.to()]), before, "outside was written: {told}");
        fs::remove_dir_all(self.to()).ok();
        ran
    }

    /// Runs all modes that read a session.
    #[track_caller]
    fn survives_all(&self, what: &str) -> Vec<Run> {
        ["play", "export", "mix", "recover", "record"].into_iter().map(|mode| self.survives(what, mode)).collect()
    }
}

/// Everything below a folder except `without`: names, types, links, sizes, times of change, and the content of small
/// files.
fn tree(folder: &Path, without: &[PathBuf]) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if without.contains(&path) {
            continue;
        }
        let stat = fs::symlink_metadata(&path).unwrap();
        let inside = if stat.is_file() && stat.len() < 1 << 20 { fs::read(&path).unwrap() } else { Vec::new() };
        let to = fs::read_link(&path).ok();
        let (mode, changed) = (stat.mode(), (stat.mtime(), stat.mtime_nsec()));
        found.insert(path.clone(), format!("{mode:o} {} {changed:?} {to:?} {inside:?}", stat.len()));
        if stat.is_dir() {
            found.extend(tree(&path, without));
        }
    }
    found
}
