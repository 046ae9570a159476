//! Waveforms of the session that is open: which takes are wanted, which grow. Thread: control.

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

/// How far a take is known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    /// It grows.
    Live,
    /// It is whole.
    Whole,
}

/// See the module.
#[derive(Default)]
pub(super) struct Waves {
    store: Option<PeakStore>,
    /// Where its takes are; a pass that is on while the folder is moved is drawn on as it is.
    folder: PathBuf,
    known: HashMap<Uuid, Known>,
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

    /// Brings it up to what the session has now.
    pub(super) fn follow(&mut self, control: &Control) {
        let pass = control.pass_status();
        let recording = pass.as_ref().is_some_and(|pass| pass.is_ready);
        if self.revision == control.revision() && self.recording == recording {
            return;
        }
        (self.revision, self.recording) = (control.revision(), recording);
        if !recording && control.folder() != self.folder {
            self.folder = control.folder().to_path_buf();
            self.store = None;
            self.known.clear();
        }
        if self.store.is_none() {
            // Without threads for it the lanes stay without waves; everything else works.
            self.store = PeakStore::start(control.folder()).ok();
        }
        let Some(store) = &mut self.store else { return };
        let ready = pass.iter().filter(|pass| pass.is_ready);
        let live: Vec<_> = ready.flat_map(|pass| &pass.takes).map(|(_, id)| *id).collect();
        for take in control.session().takes() {
            let recorded = take.state == TakeState::Recording;
            match self.known.get(&take.uuid) {
                None if recorded && live.contains(&take.id) => {
                    store.watch_live(live_take(control, take));
                    self.known.insert(take.uuid, Known::Live);
                }
                Some(Known::Live) if !recorded => {
                    store.finish(take.uuid, take.frames.0);
                    self.known.insert(take.uuid, Known::Whole);
                }
                None if !recorded => {
                    store.request(take.uuid, &control.folder().join(take.path()));
                    self.known.insert(take.uuid, Known::Whole);
                }
                _ => {}
            }
        }
    }
}

/// A take that is being recorded, as the store wants it.
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
        // What lies before this frame was stored before it was published; `NO_PASS` is `u64::MAX`, too.
        frames: Arc::new(move || match published.pass_frames.load(Acquire) {
            NO_PASS => u64::MAX,
            frames => frames,
        }),
    }
}

/// Where the sound of a take lies that is not in its file yet; `None`: it is in its file at once.
fn spool_of(control: &Control, take: Uuid) -> Option<PathBuf> {
    let setup = &control.running().setup;
    match (setup.capture_path, &setup.capabilities.spool) {
        (CapturePath::Spool, SpoolPlace::Folder(folder)) => Some(path_of(folder, take)),
        // Memory without a name cannot be read by a path: it is drawn when it is in the file.
        (CapturePath::Spool, SpoolPlace::Memory) => Some(PathBuf::from("/dev/null")),
        (CapturePath::InPlace, _) => None,
    }
}
