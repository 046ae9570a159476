//! A fact that a test makes wrong after a run, in session.json or in what the run has seen, so that the oracle can show that it
//! finds it. Thread: the one of the run.

use crate::mirror::wav_files;
use crate::oracle::Evidence;
use faultless::session::Session;
use faultless::time::Frames;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WrongFact {
    /// The tracks are gone, and no take is in the trash.
    NoTracks,
    /// The first take is listed with one frame less.
    ShortTake,
    /// No take lists a loss.
    NoLosses,
    /// The reports of the passes give no lost frame.
    SmallReport,
    /// The reports of the passes give one frame more than there is.
    LongReport,
    /// By the clock, the passes began half a second later.
    LateBegin,
    /// More frames were stored than the takes have.
    MoreStored,
    /// A byte of each file of a mirror that was called whole is another one.
    OtherMirror,
    /// The messages about recoveries told no loss, and the notices about losses were about other passes.
    Untold,
}

impl WrongFact {
    pub(crate) fn make(self, folder: &Path, evidence: &mut Evidence) {
        match self {
            WrongFact::NoTracks => change(folder, |session| session["tracks"] = json!([])),
            WrongFact::ShortTake => change(folder, |session| {
                each(session, "tracks", |track| track["regions"] = json!([]));
                if let Some(frames) = session["takes"][0]["frames"].as_u64() {
                    session["takes"][0]["frames"] = json!(frames.saturating_sub(1));
                }
            }),
            WrongFact::NoLosses => change(folder, |session| {
                each(session, "takes", |take| (take["losses"], take["losses_unlisted"]) = (json!([]), json!(0)));
            }),
            WrongFact::SmallReport => evidence.passes.iter_mut().for_each(|pass| pass.lost = pass.lost.map(|_| 0)),
            WrongFact::LongReport => {
                evidence.passes.iter_mut().for_each(|pass| pass.frames = pass.frames.map(|frames| frames + 1));
            }
            WrongFact::LateBegin => {
                evidence.passes.iter_mut().for_each(|pass| pass.first = pass.first.map(|first| first + 4000));
            }
            WrongFact::MoreStored => evidence.passes.iter_mut().for_each(|pass| pass.frames_min = u64::MAX),
            WrongFact::Untold => evidence.told.forget(),
            WrongFact::OtherMirror => {
                let mirrors = evidence.passes.iter().filter_map(|pass| pass.whole_mirror.as_ref());
                mirrors.flat_map(|mirror| wav_files(&mirror.join("audio"))).for_each(|file| spoil_sound(&file));
            }
        }
    }
}

/// Changes a byte of the sound in a file.
fn spoil_sound(path: &Path) {
    let mut bytes = fs::read(path).expect("a file of the mirror");
    if let Some(byte) = bytes.get_mut(5000) {
        *byte ^= 1;
        fs::write(path, bytes).expect("a file of the mirror");
    }
}

/// The session on the disk has another name than the one in memory.
pub(crate) fn rename_session(folder: &Path) {
    change(folder, |session| session["name"] = json!("Of the file only"));
}

/// The takes of the session count as being recorded, although a recovery has ended, and a file is left that a save removes.
pub(crate) fn cut_off_again(folder: &Path) {
    change(folder, |session| each(session, "takes", |take| take["state"] = json!("recording")));
    fs::write(folder.join(".session.json.new"), "left").expect("a file");
}

/// The session after an edit that has changed a take.
pub(crate) fn with_other_take(session: &Session) -> Session {
    let mut session = session.clone();
    if let Some((id, latency)) = session.takes().first().map(|take| (take.id, take.latency)) {
        session.set_take_latency(id, latency + Frames(1)).expect("the take is there");
    }
    session
}

/// Changes the session's file.
fn change(folder: &Path, edit: impl FnOnce(&mut Value)) {
    let path = folder.join("session.json");
    let Ok(bytes) = fs::read(&path) else { return };
    let Ok(mut session) = serde_json::from_slice(&bytes) else { return };
    edit(&mut session);
    fs::write(&path, session.to_string()).expect("the session's file");
}

fn each(session: &mut Value, list: &str, edit: impl FnMut(&mut Value)) {
    session[list].as_array_mut().into_iter().flatten().for_each(edit);
}
