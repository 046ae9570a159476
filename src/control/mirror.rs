//! The mirror: a second folder that gets every pass too, on another disk. Thread: control.

use super::Control;
use super::companion::Companion;
use super::pass::RecordingTake;
use crate::message::disk::{CommitCommand, PassKey, TakeKey, TakePlan};
use crate::message::replica::ReplicaPair;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a pass waits for its mirror to be made, and at its end for the mirror's last sound.
const MIRROR_OPEN_TIME_MAX: Duration = Duration::from_secs(3);
/// See [`MIRROR_OPEN_TIME_MAX`].
const MIRROR_FINISH_TIME_MAX: Duration = Duration::from_secs(20);

/// A pass's mirror.
#[derive(Default)]
pub(super) enum PassMirror {
    /// It has none.
    #[default]
    None,
    /// It is being made.
    Opening(PathBuf, Instant),
    /// It gets what the session gets.
    Active(ActiveMirror),
}

/// How a mirror stands.
pub(super) struct ActiveMirror {
    pub(super) folder: PathBuf,
    unfinished: BTreeSet<TakeKey>,
    takes_whole: usize,
    trouble: Option<String>,
    /// What its disk refuses now.
    disk_error: Option<String>,
    /// When the session's own takes were finished.
    finishing_since: Option<Instant>,
}

/// What became of the mirror of a pass.
#[derive(Clone, Debug, Serialize)]
pub struct MirrorReport {
    /// Its folder, a session like any other.
    pub folder: PathBuf,
    /// Whether every take of the pass is whole in it.
    pub whole: bool,
    /// Takes that are.
    pub takes_whole: usize,
    /// What is wrong with the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

impl Control {
    /// Writes every pass from now on to a second folder in `dir` too; `None`: no more. It is made meanwhile.
    pub fn set_mirror(&mut self, dir: Option<&Path>) {
        if self.companions.mirror.as_ref().map(|mirror| mirror.requested.as_path()) != dir && !self.is_read_only() {
            self.companions.mirror = dir.and_then(|dir| Companion::start(dir, &self.folder, &self.session));
        }
    }

    /// The mirror's folder, once it is open; or why it is not. `None`: there is none, or it is on its way.
    pub fn mirror(&self) -> Option<Result<&Path, &str>> {
        self.companions
            .mirror
            .as_ref()
            .and_then(|it| it.folder.as_ref())
            .map(|it| it.as_deref().map_err(String::as_str))
    }

    /// Whether the mirror's files are being made.
    pub(super) fn mirror_is_opening(&self) -> bool {
        self.pass.as_ref().is_some_and(|run| matches!(run.mirror, PassMirror::Opening(..)))
    }

    /// Asks the mirror's committer for the files of a pass. Their replicas know of each other from now on.
    pub(super) fn open_mirror(&mut self, pass: PassKey, takes: &mut [RecordingTake]) -> PassMirror {
        let Some(folder) = self.companions.mirror.as_ref().and_then(Companion::open_folder).map(Path::to_owned) else {
            return PassMirror::None;
        };
        if let Err(error) = self.running.start_mirror() {
            self.caution(format!("mirror: {error}; recording goes on without it"));
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
            self.caution("mirror: its disk does not answer; recording goes on without it".to_owned());
            return PassMirror::None;
        }
        PassMirror::Opening(folder, Instant::now())
    }

    pub(super) fn mirror_opened(&mut self, pass: PassKey, failed: Option<String>) {
        let opening = self.pass.as_mut().filter(|run| run.key == pass && matches!(run.mirror, PassMirror::Opening(..)));
        let Some(run) = opening else {
            // It answers too late; nothing has been written to it.
            self.running.mirror.try_send(CommitCommand::Forget { pass }).ok();
            return;
        };
        let PassMirror::Opening(folder, _) = std::mem::take(&mut run.mirror) else { return };
        match failed {
            None => {
                let unfinished = run.takes.iter().map(|take| take.plan.key).collect();
                run.mirror = PassMirror::Active(ActiveMirror {
                    folder,
                    unfinished,
                    takes_whole: 0,
                    trouble: None,
                    disk_error: None,
                    finishing_since: None,
                });
            }
            Some(reason) => self.loss(format!("mirror: {reason}; recording goes on without it")),
        }
    }

    /// Whether the pass can go on without an answer of the mirror, or has it.
    pub(super) fn mirror_is_open_or_given_up(&mut self) -> bool {
        let Some(run) = &mut self.pass else { return true };
        let PassMirror::Opening(_, since) = &run.mirror else { return true };
        if since.elapsed() < MIRROR_OPEN_TIME_MAX {
            return false;
        }
        run.mirror = PassMirror::None;
        self.loss("mirror: its disk does not answer; recording goes on without it".to_owned());
        true
    }

    /// What the mirror's disk refuses, as long as it does.
    pub(super) fn set_mirror_error(&mut self, reason: Option<String>) {
        if let Some(PassMirror::Active(mirror)) = self.pass.as_mut().map(|run| &mut run.mirror) {
            mirror.disk_error = reason;
        }
    }

    /// How the mirror of the pass that is on stands: its folder, or what is wrong with it. `None`: there is no pass, none was
    /// asked for, or it is being made.
    pub fn pass_mirror(&self) -> Option<Result<&Path, &str>> {
        match &self.pass.as_ref()?.mirror {
            PassMirror::Opening(..) => None,
            PassMirror::Active(mirror) => Some(mirror.disk_error.as_deref().map_or(Ok(mirror.folder.as_path()), Err)),
            PassMirror::None => self.companions.mirror.as_ref().map(|mirror| match &mirror.folder {
                Some(Err(reason)) => Err(reason.as_str()),
                _ => Err("this recording was begun without it"),
            }),
        }
    }

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
    /// Whether the mirror gets what the session gets.
    pub(super) fn is_active(&self) -> bool {
        matches!(self, PassMirror::Active(_))
    }

    /// Whether nobody waits for it. Asked when the session's own takes are finished.
    pub(super) fn is_finished(&mut self) -> bool {
        let PassMirror::Active(mirror) = self else { return true };
        let since = *mirror.finishing_since.get_or_insert_with(Instant::now);
        mirror.unfinished.is_empty() || MIRROR_FINISH_TIME_MAX < since.elapsed()
    }

    /// What became of it.
    pub(super) fn report(self) -> Option<MirrorReport> {
        let PassMirror::Active(mirror) = self else { return None };
        let late = format!(
            "{}: its disk does not answer; {} takes are not whole",
            mirror.folder.display(),
            mirror.unfinished.len()
        );
        let trouble = mirror.trouble.or((!mirror.unfinished.is_empty()).then_some(late));
        let (folder, whole) = (mirror.folder, trouble.is_none());
        Some(MirrorReport { folder, whole, takes_whole: mirror.takes_whole, trouble })
    }
}
