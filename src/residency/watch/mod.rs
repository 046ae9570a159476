//! Residency of any files and of any process: the part of `faultless watch` that asks the kernel. Thread: any but audio;
//! it may wait for the disk.
//!
//! A [`Watch`] takes samples of files, or of a process and the files that it maps. The samples are plain values. A fact
//! that the kernel does not give is `None`, and a note says why and how to get it.
//!
//! ```text
//!   path --> files.rs: cachestat, or mincore ---------------+
//!                                                           +--> lane.rs: one letter a cell --> WatchSample
//!   pid ---> process.rs: smaps, pagemap, task/*/stat -------+
//! ```

mod files;
pub mod lane;
mod process;
#[cfg(test)]
mod tests;

use crate::limits::PAGE_BYTES;
use process::{Faults, FileId, Mapped};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Files of one sample at the most. A folder or a process may have more; a note counts them.
const FILES_MAX: usize = 1024;

/// The things to watch.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// Files, and folders whose files are meant. With a process: the only files of it that are shown.
    pub paths: Vec<PathBuf>,
    /// A process, by its number.
    pub pid: Option<i32>,
    /// Largest number of cells of a lane.
    pub cells: usize,
}

/// One look at everything that is watched.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct WatchSample {
    pub kind: String,
    pub version: u32,
    /// RFC 3339, local time with its offset.
    pub at: String,
    /// Duration of the sample in microseconds.
    pub took_us: u64,
    /// Meaning of the letters in [`FileLook::cells`].
    pub legend: String,
    pub process: Option<ProcessLook>,
    pub files: Vec<FileLook>,
    /// Facts that are not known, why, and how to get them; one sentence each.
    pub notes: Vec<String>,
}

/// The state of one file.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct FileLook {
    pub path: String,
    /// The kernel's name of the file system.
    pub file_system: Option<String>,
    /// Why nothing is known of the file; the other fields are then empty.
    pub problem: Option<String>,
    pub size_bytes: u64,
    /// Bytes of the file in the page cache.
    pub cached_bytes: Option<u64>,
    /// Bytes in the page cache that are newer than on the disk.
    pub dirty_bytes: Option<u64>,
    /// Bytes that the kernel is writing to the disk.
    pub writeback_bytes: Option<u64>,
    /// Bytes that were in the page cache and no longer are, as far as the kernel remembers; of a file in memory: swapped
    /// out.
    pub evicted_bytes: Option<u64>,
    /// The mappings of the process. `None`: no process is watched.
    pub mapped: Option<MappedLook>,
    /// Offset in the file of the first cell.
    pub first_byte: u64,
    /// Bytes that a cell represents; whole pages.
    pub cell_bytes: u64,
    /// One letter for each cell.
    pub cells: String,
}

/// Memory of a process in one file, or outside of all files.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct MappedLook {
    /// Bytes of address space.
    pub mapped_bytes: u64,
    /// Bytes in the page tables of the process: an access takes no fault, except a store to a page that is
    /// write-protected.
    pub in_page_tables_bytes: u64,
    /// Bytes among them that are locked (`mlock`).
    pub locked_bytes: u64,
    /// Bytes that are swapped out.
    pub swapped_bytes: u64,
}

/// The state of a process.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct ProcessLook {
    pub pid: i32,
    pub name: String,
    /// Memory that belongs to no file: heap, stacks. `None`: not permitted.
    pub anonymous: Option<MappedLook>,
    pub threads: Vec<ThreadLook>,
}

/// The faults of one thread.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct ThreadLook {
    pub tid: i32,
    pub name: String,
    /// Faults since the start of the thread that the kernel resolved without reading the disk.
    pub minor_faults: u64,
    /// Faults that waited for the disk or for a locked page.
    pub major_faults: u64,
    /// `None` in the first sample, and in the first one of a thread.
    pub minor_faults_per_second: Option<f64>,
    pub major_faults_per_second: Option<f64>,
}

/// Takes samples. Keeps the fault counters of the sample before, for the rates.
#[derive(Debug)]
pub struct Watch {
    watched: Watched,
    before: Option<(Instant, Faults)>,
}

impl Watch {
    pub fn new(watched: Watched) -> Watch {
        Watch { watched, before: None }
    }

    /// Takes a sample. The error says that the process is gone; whatever else fails is in the sample.
    pub fn sample(&mut self) -> Result<WatchSample, String> {
        let started = Instant::now();
        let mut notes = Vec::new();
        let (process, mapped) = match self.watched.pid {
            Some(pid) => {
                let (look, mapped) = self.process(pid, &mut notes)?;
                (Some(look), Some(mapped))
            }
            None => (None, None),
        };
        let files = match mapped {
            Some(mut mapped) if self.watched.paths.is_empty() => mapped.looks(self.watched.cells, &mut notes),
            mapped => self.paths(mapped, &mut notes),
        };
        notes.dedup();
        Ok(WatchSample {
            kind: "faultless-watch".to_owned(),
            version: 1,
            at: jiff::Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string(),
            took_us: started.elapsed().as_micros() as u64,
            legend: lane::LEGEND.to_owned(),
            process,
            files,
            notes,
        })
    }

    fn process(&mut self, pid: i32, notes: &mut Vec<String>) -> Result<(ProcessLook, Mapped), String> {
        let now = Instant::now();
        let mut look = process::look(pid)?;
        let faults = process::faults(pid, notes)?;
        let before = self.before.as_ref();
        let seconds = before.map_or(0.0, |(then, _)| now.duration_since(*then).as_secs_f64());
        look.threads = faults.looks(before.map(|(_, faults)| faults), seconds);
        self.before = Some((now, faults));
        let mapped = process::mapped(pid, notes)?;
        look.anonymous = mapped.anonymous;
        Ok((look, mapped))
    }

    /// Looks at the files that were named, and at the files of the folders that were named.
    fn paths(&self, mut mapped: Option<Mapped>, notes: &mut Vec<String>) -> Vec<FileLook> {
        let paths: Vec<PathBuf> = self.watched.paths.iter().flat_map(|path| files::named(path, notes)).collect();
        if FILES_MAX < paths.len() {
            notes.push(format!("{} more files are not shown; name fewer", paths.len() - FILES_MAX));
        }
        let mut look = |path: &Path| {
            let name = path.display().to_string();
            let file = match files::open(path) {
                Ok(file) => file,
                Err(problem) => return FileLook { path: name, problem: Some(problem), ..FileLook::default() },
            };
            let id = FileId::of(&file).ok();
            let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
            let of_process = mapped.as_mut().zip(id).map(|(mapped, id)| mapped.of_file(&target, id));
            files::look(name, &file, self.watched.cells, of_process, notes)
        };
        paths.iter().take(FILES_MAX).map(|path| look(path)).collect()
    }
}

/// Whole pages that `bytes` bytes take.
fn pages(bytes: u64) -> u64 {
    bytes.div_ceil(PAGE_BYTES as u64)
}
