//! Requests waveforms for the takes of the open session from the peak store. Thread: control.

use crate::butler::capabilities::CapturePath;
use crate::butler::spool::{SpoolPlace, path_of};
use crate::control::Control;
use crate::limits::DATA_OFFSET;
use crate::message::published::NO_PASS;
use crate::peaks::{LiveTake, PeakStore};
use crate::session::{Take, TakeState};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Acquire;
use uuid::Uuid;

/// The request that the peak store has for a take.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Requested {
    /// The take is being recorded, and its waveform grows.
    Live,
    /// The take is finished.
    Whole,
}

/// The peak store of the open session, and the takes that it knows.
#[derive(Default)]
pub(super) struct Waves {
    store: Option<PeakStore>,
    /// The session folder that the store reads. If the folder moves during a pass, the store changes after the pass.
    folder: PathBuf,
    takes: HashMap<Uuid, Requested>,
    revision: u64,
    recording: bool,
}

impl Waves {
    /// The store, once a session is open.
    pub(super) fn store(&mut self) -> Option<&mut PeakStore> {
        self.store.as_mut()
    }

    /// Whether waveforms are being built.
    pub(super) fn is_busy(&self) -> bool {
        self.store.as_ref().is_some_and(PeakStore::is_busy)
    }

    /// Adds new takes of the session to the store and finishes takes whose recording has ended.
    pub(super) fn update(&mut self, control: &Control) {
        let pass = control.pass_status();
        let recording = pass.as_ref().is_some_and(|pass| pass.is_ready);
        if self.revision == control.revision() && self.recording == recording {
            return;
        }
        (self.revision, self.recording) = (control.revision(), recording);
        if !recording && control.folder() != self.folder {
            self.folder = control.folder().to_path_buf();
            self.store = None;
            self.takes.clear();
        }
        if self.store.is_none() {
            // If its threads cannot start, the timeline has no waveforms; everything else works.
            self.store = PeakStore::start(control.folder()).ok();
        }
        let Some(store) = &mut self.store else { return };
        let ready = pass.iter().filter(|pass| pass.is_ready);
        let live: Vec<_> = ready.flat_map(|pass| &pass.takes).map(|(_, id)| *id).collect();
        for take in control.session().takes() {
            let recorded = take.state == TakeState::Recording;
            match self.takes.get(&take.uuid) {
                None if recorded && live.contains(&take.id) => {
                    store.watch_live(live_take(control, take));
                    self.takes.insert(take.uuid, Requested::Live);
                }
                Some(Requested::Live) if !recorded => {
                    store.finish(take.uuid, take.frames.0);
                    self.takes.insert(take.uuid, Requested::Whole);
                }
                None if !recorded => {
                    store.request(take.uuid, &control.folder().join(take.path()));
                    self.takes.insert(take.uuid, Requested::Whole);
                }
                _ => {}
            }
        }
    }
}

/// The description of a take that is being recorded, for the peak store.
fn live_take(control: &Control, take: &Take) -> LiveTake {
    let published = Arc::clone(&control.running().published);
    LiveTake {
        take: take.uuid,
        wav: control.folder().join(take.path()),
        spool: spool_of(control, take.uuid),
        format: take.format,
        channels: take.channels as usize,
        rate: take.rate.0,
        data_offset: DATA_OFFSET,
        // The audio thread stores the sound before it publishes the frame count, so every earlier frame is readable.
        frames: Arc::new(move || match published.pass_frames.load(Acquire) {
            NO_PASS => u64::MAX,
            frames => frames,
        }),
    }
}

/// The spool file with the sound of a take that is not in its WAV file yet; `None`: the sound goes directly into the
/// file.
fn spool_of(control: &Control, take: Uuid) -> Option<PathBuf> {
    let setup = &control.running().setup;
    match (setup.capture_path, &setup.capabilities.spool) {
        (CapturePath::Spool, SpoolPlace::Folder(folder)) => Some(path_of(folder, take)),
        // A spool in anonymous memory has no path. The waveform shows the sound when the committer has written it.
        (CapturePath::Spool, SpoolPlace::Memory) => Some(PathBuf::from("/dev/null")),
        (CapturePath::InPlace, _) => None,
    }
}
