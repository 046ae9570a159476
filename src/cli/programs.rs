//! The two programs of the package, and how one finds the other. Thread: main.
//!
//! `faultless` records and has every mode; `faultless-window` has the toolkit. They are two programs, because the recorder
//! brings its whole executable into memory before it records.

use std::path::{Path, PathBuf};

/// The command line and the recorder.
pub const RECORDER: &str = "faultless";

/// The program with the toolkit.
pub const WINDOW: &str = "faultless-window";

/// The path of a program of the package: beside this one, or else the name alone, which the system looks up in `PATH`.
pub fn path_of(name: &str) -> PathBuf {
    // A program that was replaced by a newer one has still the folder in its path.
    std::env::current_exe().ok().and_then(|own| beside(&own, name)).unwrap_or_else(|| PathBuf::from(name))
}

fn beside(own: &Path, name: &str) -> Option<PathBuf> {
    let path = own.parent()?.join(name);
    path.is_file().then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_beside_the_other_one_and_else_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("faultless-window (deleted)");
        assert_eq!(beside(&own, RECORDER), None);
        std::fs::write(folder.path().join(RECORDER), "").unwrap();
        assert_eq!(beside(&own, RECORDER), Some(folder.path().join(RECORDER)));
        std::fs::create_dir(folder.path().join(WINDOW)).unwrap();
        assert_eq!(beside(&own, WINDOW), None, "a folder is no program");
        assert_eq!(path_of("no-such-program"), Path::new("no-such-program"));
    }
}
