//! Players: which track plays in which slot, with which mix, and the last locate. Thread: control.

use crate::message::disk::ReaderCommand;
use crate::message::{AudioCommand, PlayPath, PlayRegion, Voice};
use crate::mixer::{AudibleRegion, Mix, audible_regions, mix_of};
use crate::session::{Monitor, Session, Track, TrackId};
use crate::threads::Threads;
use crate::time::FramePos;
use crate::window::playback::{Edges, playback_windows};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Control's record of the slots, kept equal to those of the audio thread and the read-ahead.
#[derive(Default)]
pub struct Players {
    slots: Vec<TrackId>,
    /// The mix that each slot was last sent.
    mixes: Vec<Mix>,
    loop_range: Option<(FramePos, FramePos)>,
    /// Number of the last locate.
    epoch: u32,
}

impl Players {
    /// Number of the last locate; 0 before the first one.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The name of the track in a slot.
    pub fn name(&self, slot: usize, session: &Session) -> String {
        let track = self.slots.get(slot).and_then(|id| session.track(*id));
        track.map_or_else(|| format!("track {}", slot + 1), |track| track.name().to_owned())
    }

    /// Installs every track of the session in a slot, and locates to the playhead.
    pub fn load(&mut self, session: &Session, folder: &Path, running: &mut Threads) {
        let mut paths: HashMap<PathBuf, Arc<PathBuf>> = HashMap::new();
        for slot in session.tracks().len()..self.slots.len() {
            running.reader.send(ReaderCommand::Remove { slot }).ok();
            running.audio.send(AudioCommand::Remove { slot }).ok();
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
        // The rings and voices are new memory. Touch every page now, so that the audio thread does not fault on them.
        crate::window::process::populate();
        for (slot, voice) in voices.into_iter().enumerate() {
            running.audio.send(AudioCommand::Install { slot, voice }).ok();
        }
        let at = FramePos(running.published.position.load(std::sync::atomic::Ordering::Relaxed));
        self.locate(running, at);
    }

    /// Sets the loop. It is in force from the next locate on.
    pub fn set_loop(&mut self, loop_range: Option<(FramePos, FramePos)>) {
        self.loop_range = loop_range;
    }

    /// Whether playback loops from the next locate on.
    pub fn is_looping(&self) -> bool {
        self.loop_range.is_some()
    }

    /// Sends the audio thread the mixes that have changed. `auto`: armed tracks with `Monitor::Auto` play their input
    /// while stopped and while recording.
    pub fn mix(&mut self, session: &Session, auto: bool, running: &mut Threads) {
        for (slot, (id, sent)) in self.slots.iter().zip(&mut self.mixes).enumerate() {
            let Some(track) = session.track(*id) else { continue };
            let mut mix = mix_of(track, session);
            mix.auto = auto && track.armed && track.monitor == Monitor::Auto;
            if mix != *sent && running.audio.send(AudioCommand::Mix { slot, mix }).is_ok() {
                *sent = mix;
            }
        }
    }

    /// Sends a locate to both threads, to the read-ahead first, so that it already fills windows when the audio thread
    /// asks for them.
    pub fn locate(&mut self, running: &mut Threads, to: FramePos) {
        self.epoch += 1;
        let path = PlayPath { start: to, loop_range: self.loop_range };
        running.reader.send(ReaderCommand::Locate { path, epoch: self.epoch }).ok();
        if self.slots.is_empty() {
            // Without tracks the read-ahead sleeps, and no window has to be filled: the locate is ready at once.
            running.published.ready_epoch.store(self.epoch, std::sync::atomic::Ordering::Release);
        }
        running.audio.send(AudioCommand::Locate { path, epoch: self.epoch }).ok();
    }
}

fn play_regions(
    track: &Track,
    session: &Session,
    folder: &Path,
    paths: &mut HashMap<PathBuf, Arc<PathBuf>>,
) -> Vec<PlayRegion> {
    let regions = audible_regions(track, session).into_iter();
    regions
        .map(|AudibleRegion { region, take, fades }| {
            let path = folder.join(take.path());
            PlayRegion {
                start: region.start,
                length: region.length,
                take_start: region.take_start,
                path: Arc::clone(paths.entry(path.clone()).or_insert_with(|| Arc::new(path))),
                edges: Edges::new(fades, region.length.0),
            }
        })
        .collect()
}
