//! Samples of files and processes that are not this session's. Thread: other-files takes them, ui reads them.
//!
//! The window's process takes them, and the engine does not: the answer of the kernel is the same for every process of the
//! user, a sample may wait for the disk, and nothing of it is needed for a recording.

use crate::lock::lock;
use crate::residency::watch::{Watch, WatchSample, Watched};
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Cells of a file's lane.
pub(super) const CELLS: usize = 120;

/// Time between two samples.
const INTERVAL: Duration = Duration::from_secs(1);

/// Sampling takes at most one part in this many of the time.
const SHARE: u32 = 10;

/// The last sample, or the reason why there is none.
pub(super) type Latest = Option<Result<Arc<WatchSample>, String>>;

/// A running thread. Dropping it ends the thread and does not wait for it.
pub(super) struct OtherSampler {
    latest: Arc<Mutex<Latest>>,
    _end: Sender<()>,
}

impl OtherSampler {
    /// Starts to sample. Each new sample draws the window again.
    pub(super) fn start(target: &Target, ctx: &egui::Context) -> OtherSampler {
        let (end, ended) = bounded(0);
        let latest = Arc::new(Mutex::new(None));
        let (own, ctx) = (Arc::clone(&latest), ctx.clone());
        let mut watch = Watch::new(target.watched());
        let thread = std::thread::Builder::new().name("other-files".to_owned()).spawn(move || {
            loop {
                let started = Instant::now();
                let sample = watch.sample().map(Arc::new);
                let is_over = sample.is_err();
                *lock(&own) = Some(sample);
                ctx.request_repaint();
                let pause = INTERVAL.max(started.elapsed() * SHARE);
                if is_over || ended.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        });
        if let Err(error) = thread {
            *lock(&latest) = Some(Err(format!("the system cannot start a thread: {error}")));
        }
        OtherSampler { latest, _end: end }
    }

    pub(super) fn latest(&self) -> Latest {
        lock(&self.latest).clone()
    }
}

/// The files or the process to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A file, or the files of a folder.
    Path(PathBuf),
    Process(i32),
}

impl Target {
    /// The target that a text means: the number of a process, or a whole path. The error is a sentence for the user.
    pub(super) fn of(text: &str) -> Result<Target, &'static str> {
        let text = text.trim();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().map(Target::Process).map_err(|_| "There is no process of this number");
        }
        let path = match (text.strip_prefix("~/"), dirs::home_dir()) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => PathBuf::from(text),
        };
        if path.is_absolute() {
            Ok(Target::Path(path))
        } else {
            Err("Type the whole path, from the first /, or the number of a process")
        }
    }

    fn watched(&self) -> Watched {
        match self {
            Target::Path(path) => Watched { paths: vec![path.clone()], pid: None, cells: CELLS },
            Target::Process(pid) => Watched { paths: Vec::new(), pid: Some(*pid), cells: CELLS },
        }
    }

    /// The folder whose files are shown; `None`: several.
    pub(super) fn folder(&self) -> Option<&Path> {
        match self {
            Target::Path(path) => Some(path),
            Target::Process(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_means_a_process_or_a_whole_path() {
        assert_eq!(Target::of(" 412 "), Ok(Target::Process(412)));
        assert_eq!(Target::of("/gig/audio"), Ok(Target::Path("/gig/audio".into())));
        assert!(Target::of("audio").unwrap_err().contains("whole path"));
        assert!(Target::of("").is_err());
        assert!(Target::of("99999999999").unwrap_err().contains("no process"));
    }

    #[test]
    fn samples_come_and_a_process_that_is_gone_is_said() {
        let ctx = egui::Context::default();
        let wait = |sampler: &OtherSampler| {
            let until = Instant::now() + Duration::from_secs(20);
            loop {
                if let Some(latest) = sampler.latest() {
                    return latest;
                }
                assert!(Instant::now() < until);
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), [1; 8192]).unwrap();
        let sampler = OtherSampler::start(&Target::Path(folder.path().to_owned()), &ctx);
        let sample = wait(&sampler).unwrap();
        assert!(sample.files.len() == 1 && sample.files[0].cells.len() == 2, "{sample:?}");
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let gone = wait(&OtherSampler::start(&Target::Process(child.id() as i32), &ctx));
        assert!(gone.unwrap_err().contains("no such process"));
    }
}
