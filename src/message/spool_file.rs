//! The open files on tmpfs that outlive a killed program: spools and progress pages. Thread: butler makes them, the
//! committers share them.

use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;

/// The file of a pass's progress page.
#[derive(Debug)]
pub struct ProgressFile {
    /// Open, and locked against a recovery, as long as this program lives.
    pub file: File,
    /// Its name; `None` for memory without a name.
    pub path: Option<PathBuf>,
    /// Takes of the pass that are not whole on the disk yet.
    pub unfinished: AtomicUsize,
}

/// A spool file: the same layout as the WAV, in memory that no disk can hold up.
#[derive(Debug)]
pub struct SpoolFile {
    /// The open file.
    pub file: File,
    /// Its name; `None` for memory without a name, which does not outlive the program.
    pub path: Option<PathBuf>,
}
