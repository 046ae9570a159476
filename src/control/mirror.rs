//! The mirror: the second replica of every take, in a second session folder on another disk. Owns the state of the
//! mirror of the pass that is being recorded. Thread: control.
//!
//! A mirror that opens late or hangs delays the pass for some seconds at most. The pass is then recorded without it, and a
//! notice says so.

use super::Control;
use super::companion::Companion;
use super::recording::{Event, RecordingTake, counted};
use crate::butler::capabilities::CapturePath;
use crate::message::disk::{CommitCommand, FilesRefused};
use crate::message::published::NO_PASS;
use crate::message::replica::{Replica, ReplicaPair};
use crate::message::take::{PassKey, TakeKey, TakePlan};
use crate::time::Frames;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// The mirror of a pass.
#[derive(Default)]
pub(super) enum PassMirror {
    /// No mirror was named, it could not be opened, or it was given up.
    #[default]
    None,
    /// The mirror's committer creates the files in this folder.
    Opening(PathBuf),
    /// The mirror gets the same sound as the session.
    Active(ActiveMirror),
}

/// A mirror that gets sound.
pub(super) struct ActiveMirror {
    pub(super) folder: PathBuf,
    unfinished: BTreeSet<TakeKey>,
    takes_whole: usize,
    trouble: Option<String>,
    /// The problem that the mirror's disk has now.
    disk_error: Option<String>,
}

/// The result of the mirror of a pass.
#[derive(Clone, Debug, Serialize)]
pub struct MirrorReport {
    /// The mirror's session folder. It can be opened like any session.
    pub folder: PathBuf,
    /// Whether every take of the pass is whole in the mirror.
    pub whole: bool,
    /// Number of takes that are whole in the mirror.
    pub takes_whole: usize,
    /// The first problem of a take that is not whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

impl Control {
    /// Writes every pass from now on to a second session folder inside `dir` too; `None` ends that. The folder is
    /// opened or created on the thread of its saver. A folder that was refused is opened again when it is named again.
    pub fn set_mirror(&mut self, dir: Option<&Path>) {
        if !Companion::is_named(self.companions.mirror.as_ref(), dir) && !self.is_read_only() {
            self.companions.set_mirror(dir, &self.folder, &self.session);
        }
    }

    /// The mirror's session folder, or why it cannot be used. `None`: no mirror is named, or its folder is being
    /// opened.
    pub fn mirror(&self) -> Option<Result<&Path, &str>> {
        self.companions
            .mirror
            .as_ref()
            .and_then(|it| it.folder.as_ref())
            .map(|it| it.as_deref().map_err(String::as_str))
    }

    /// Whether the copy of the session in the mirror has to wait: it would list a file that a power cut could remove, or a
    /// take as complete whose file in the mirror is not finished. No recovery would finish that file.
    pub(super) fn mirror_copy_waits(&self) -> bool {
        self.pass.as_ref().is_some_and(|run| match &run.mirror {
            PassMirror::None => false,
            PassMirror::Opening(_) => true,
            PassMirror::Active(mirror) => {
                run.takes.iter().any(|take| take.finished && mirror.unfinished.contains(&take.plan.key))
            }
        })
    }

    /// Asks the mirror's committer to create the files of a pass, and gives each take the [`ReplicaPair`] that both
    /// committers share.
    pub(super) fn open_mirror(&mut self, pass: PassKey, takes: &mut [RecordingTake]) -> PassMirror {
        let Some(folder) = self.companions.mirror.as_ref().and_then(Companion::open_folder).map(Path::to_owned) else {
            return PassMirror::None;
        };
        if let Err(error) = self.running.start_mirror() {
            self.caution(format!("mirror: {error}; recording continues without it"));
            return PassMirror::None;
        }
        let mut plans = Vec::with_capacity(takes.len());
        for take in takes {
            let file = self.session.take(take.id).map_or_else(String::new, |take| take.file.clone());
            let path = folder.join(file);
            take.plan.pair = Some(Arc::new(ReplicaPair::new(take.plan.path.clone(), path.clone())));
            plans.push(TakePlan { path, ..take.plan.clone() });
        }
        if self.running.mirror.try_send(CommitCommand::Open { pass, takes: plans }).is_err() {
            self.caution("mirror: its disk does not answer; recording continues without it".to_owned());
            return PassMirror::None;
        }
        PassMirror::Opening(folder)
    }

    /// The mirror's committer has created the files of the pass, or could not.
    pub(super) fn mirror_opened(&mut self, pass: PassKey, failed: Option<FilesRefused>) {
        let opening = self.pass.as_mut().filter(|run| run.key == pass && matches!(run.mirror, PassMirror::Opening(_)));
        let Some(run) = opening else {
            // The answer came after the pass had begun without the mirror. No sound was sent there: the empty files can
            // go.
            self.running.mirror.send(CommitCommand::Forget { pass }).ok();
            return;
        };
        let PassMirror::Opening(folder) = std::mem::take(&mut run.mirror) else { return };
        match failed {
            None => {
                let unfinished = run.takes.iter().map(|take| take.plan.key).collect();
                run.mirror = PassMirror::Active(ActiveMirror {
                    folder,
                    unfinished,
                    takes_whole: 0,
                    trouble: None,
                    disk_error: None,
                });
            }
            Some(FilesRefused { reason, names }) => {
                // So that the next pass has a name that is free in the mirror too.
                self.learn_file_names(names);
                self.loss(format!("mirror: {reason}; recording continues without it"));
            }
        }
        self.on_pass_event(Event::MirrorSettled);
    }

    /// Sets or clears the problem of the mirror's disk.
    pub(super) fn set_mirror_error(&mut self, reason: Option<String>) {
        if let Some(PassMirror::Active(mirror)) = self.pass.as_mut().map(|run| &mut run.mirror) {
            mirror.disk_error = reason;
        }
    }

    /// The folder of the present pass's mirror, or its problem. `None`: no pass is on, no mirror was named, or the
    /// mirror's files are being created.
    pub fn pass_mirror(&self) -> Option<Result<&Path, &str>> {
        match &self.pass.as_ref()?.mirror {
            PassMirror::Opening(_) => None,
            PassMirror::Active(mirror) => Some(mirror.disk_error.as_deref().map_or(Ok(mirror.folder.as_path()), Err)),
            PassMirror::None => self.companions.mirror.as_ref().map(|mirror| match &mirror.folder {
                Some(Err(reason)) => Err(reason.as_str()),
                _ => Err("this recording was begun without it"),
            }),
        }
    }

    /// The newest sound of the present pass that a power cut would cost this replica. `None`: no pass is recorded, or it is
    /// recorded in place.
    pub fn not_durable(&self, replica: Replica) -> Option<Duration> {
        let running = &self.running;
        let recorded = running.published.pass_frames.load(Relaxed);
        let lost_from = running.published.open_loss.load(Relaxed);
        if recorded == NO_PASS || running.setup.capture_path == CapturePath::InPlace {
            return None;
        }
        let durable = running.disk.durable_frames[replica.index()].load(Relaxed);
        // Behind the begin of a loss that lasts there is silence only.
        Some(Frames(recorded.min(lost_from).saturating_sub(durable)).duration(running.device.rate))
    }

    /// The mirror's committer has finished a take.
    pub(super) fn mirror_finished(&mut self, key: TakeKey, trouble: Option<String>) {
        let Some(PassMirror::Active(mirror)) = self.pass.as_mut().map(|run| &mut run.mirror) else { return };
        if mirror.unfinished.remove(&key) {
            mirror.takes_whole += usize::from(trouble.is_none());
            if mirror.trouble.is_none() {
                mirror.trouble = trouble;
            }
        }
    }
}

impl PassMirror {
    /// Whether the mirror gets the sound of the pass.
    pub(super) fn is_active(&self) -> bool {
        matches!(self, PassMirror::Active(_))
    }

    /// Whether the mirror's files are being created.
    pub(super) fn is_opening(&self) -> bool {
        matches!(self, PassMirror::Opening(_))
    }

    /// Whether the mirror has every take, or is not used.
    pub(super) fn is_finished(&self) -> bool {
        !matches!(self, PassMirror::Active(mirror) if !mirror.unfinished.is_empty())
    }

    /// The folder of the mirror that gets, or got, the sound of the pass.
    pub(super) fn folder(&self) -> Option<&Path> {
        match self {
            PassMirror::Active(mirror) => Some(&mirror.folder),
            PassMirror::None | PassMirror::Opening(_) => None,
        }
    }

    /// The result for the report of the pass; `None` without a mirror.
    pub(super) fn report(self) -> Option<MirrorReport> {
        let PassMirror::Active(mirror) = self else { return None };
        let unfinished = mirror.unfinished.len() as u64;
        let are = if unfinished == 1 { "is" } else { "are" };
        let takes = counted(unfinished, "take");
        let late = format!("{}: its disk does not answer; {takes} {are} not whole", mirror.folder.display());
        let trouble = mirror.trouble.or((!mirror.unfinished.is_empty()).then_some(late));
        let (folder, whole) = (mirror.folder, trouble.is_none());
        Some(MirrorReport { folder, whole, takes_whole: mirror.takes_whole, trouble })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One take was "1 takes".
    #[test]
    fn one_take_that_is_not_whole_is_counted_as_one() {
        let trouble = |unfinished: &[u64]| {
            let mirror = ActiveMirror {
                folder: PathBuf::from("/m"),
                unfinished: unfinished.iter().map(|key| TakeKey(*key)).collect(),
                takes_whole: 0,
                trouble: None,
                disk_error: None,
            };
            PassMirror::Active(mirror).report().and_then(|report| report.trouble)
        };
        assert_eq!(trouble(&[1]).as_deref(), Some("/m: its disk does not answer; 1 take is not whole"));
        assert_eq!(trouble(&[1, 2]).as_deref(), Some("/m: its disk does not answer; 2 takes are not whole"));
        assert_eq!(trouble(&[]), None);
    }
}
