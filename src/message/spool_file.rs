//! The open files on tmpfs that outlive a killed program: spool files and progress pages. Thread: butler makes them,
//! the committers share them.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

/// The file of a pass's progress page.
#[derive(Debug)]
pub struct ProgressFile {
    /// The open file. This program holds a lock on it, so that no recovery uses it.
    pub file: File,
    /// Path of the file; `None` for memory without a name.
    pub path: Option<PathBuf>,
    /// Takes of the pass whose files in memory were not removed yet.
    pub unfinished: AtomicUsize,
}

/// A spool file: it has the layout of the WAV file and lies in memory, so that no disk can delay a store.
#[derive(Debug)]
pub struct SpoolFile {
    /// The open file. This program holds a lock on it, so that no recovery uses it.
    pub file: File,
    /// Path of the file; `None` for memory without a name, which does not outlive the program.
    pub path: Option<PathBuf>,
}

/// The files in memory that a recovery of one take would need.
#[derive(Clone, Debug)]
pub struct MemoryFiles {
    /// The spool file. `None` in `in-place`.
    pub spool: Option<Arc<SpoolFile>>,
    /// The progress page of the pass, which the takes of the pass share.
    pub progress_page: Option<Arc<ProgressFile>>,
}
