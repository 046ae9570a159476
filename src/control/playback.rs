//! The tracks that are heard: what each plays, how loud, from where. Thread: control.

use crate::message::disk::{PlayRegion, ReaderCommand};
use crate::message::{AudioCommand, PlayPath, Voice};
use crate::mixer::{Mix, mix_of};
use crate::session::{Monitor, Session, Track, TrackId};
use crate::threads::Threads;
use crate::time::FramePos;
use crate::window::playback::playback_windows;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Which track plays in which slot, and the last locate.
#[derive(Default)]
pub struct Players {
    slots: Vec<TrackId>,
    /// What each slot was last told to sound like.
    mixes: Vec<Mix>,
    loop_range: Option<(FramePos, FramePos)>,
    epoch: u32,
}

impl Players {
    /// The number of the last locate.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The name of the track in a slot.
    pub fn name(&self, slot: usize, session: &Session) -> String {
        let track = self.slots.get(slot).and_then(|id| session.track(*id));
        track.map_or_else(|| format!("track {}", slot + 1), |track| track.name().to_owned())
    }

    /// Puts every track of the session in its slot, and goes back to where the playhead stands.
    pub fn load(&mut self, session: &Session, folder: &Path, running: &mut Threads) {
        let mut paths: HashMap<PathBuf, Arc<PathBuf>> = HashMap::new();
        for slot in session.tracks().len()..self.slots.len() {
            running.reader.send(ReaderCommand::Remove { slot }).ok();
            running.audio.push(AudioCommand::Remove { slot }).ok();
        }
        self.slots = session.track_ids().collect();
        self.mixes = session.tracks().iter().map(|track| mix_of(track, session)).collect();
        let mut voices = Vec::with_capacity(self.slots.len());
        for (slot, track) in session.tracks().iter().enumerate() {
            let regions = play_regions(track, session, folder, &mut paths);
            let (audio, reader) = playback_windows();
            voices.push(Box::new(Voice::new(audio, mix_of(track, session))));
            running.reader.send(ReaderCommand::Install { slot, windows: reader, regions }).ok();
        }
        // Rings and voices were made a moment ago: brought in before the audio thread meets them.
        crate::window::process::populate();
        for (slot, voice) in voices.into_iter().enumerate() {
            running.audio.push(AudioCommand::Install { slot, voice }).ok();
        }
        let at = FramePos(running.published.position.load(std::sync::atomic::Ordering::Relaxed));
        self.locate(running, at);
    }

    /// Has the stretch repeated from the next locate on.
    pub fn set_loop(&mut self, loop_range: Option<(FramePos, FramePos)>) {
        self.loop_range = loop_range;
    }

    /// Tells the audio thread what has changed in how tracks sound. `live`: inputs of armed tracks are heard where that is
    /// left to the program.
    pub fn mix(&mut self, session: &Session, live: bool, running: &mut Threads) {
        for (slot, (id, told)) in self.slots.iter().zip(&mut self.mixes).enumerate() {
            let Some(track) = session.track(*id) else { continue };
            let mut mix = mix_of(track, session);
            if live && track.armed && track.monitor == Monitor::Auto {
                (mix.disk, mix.input) = (false, true);
            }
            if mix != *told && running.audio.push(AudioCommand::Mix { slot, mix }).is_ok() {
                *told = mix;
            }
        }
    }

    /// Sends both threads elsewhere: the read-ahead first, so that windows are on their way when the
    /// audio thread asks for them.
    pub fn locate(&mut self, running: &mut Threads, to: FramePos) {
        self.epoch += 1;
        let path = PlayPath { start: to, loop_range: self.loop_range };
        running.reader.send(ReaderCommand::Locate { path, epoch: self.epoch }).ok();
        if self.slots.is_empty() {
            // The read-ahead sleeps while there are no tracks, and nothing has to be in place for none.
            running.published.ready_epoch.store(self.epoch, std::sync::atomic::Ordering::Release);
        }
        running.audio.push(AudioCommand::Locate { path, epoch: self.epoch }).ok();
    }
}

fn play_regions(
    track: &Track,
    session: &Session,
    folder: &Path,
    paths: &mut HashMap<PathBuf, Arc<PathBuf>>,
) -> Vec<PlayRegion> {
    let heard = track.regions().iter().filter(|region| !region.muted);
    heard
        .filter_map(|region| {
            let path = folder.join(session.take(region.take)?.path());
            let path = Arc::clone(paths.entry(path.clone()).or_insert_with(|| Arc::new(path)));
            Some(PlayRegion { start: region.start, length: region.length, take_start: region.take_start, path })
        })
        .collect()
}
