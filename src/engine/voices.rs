//! Playback: owns a voice per track slot, and adds takes and monitored inputs to the buses. Thread: audio.
#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

use super::Playhead;
use super::convert;
use super::convert::PeakAndPower;
use super::meters::smoothed_mean_square;
use super::mix::{Buses, TakeSound};
use super::outbox::Outbox;
use crate::device::Input;
use crate::limits::TRACK_COUNT_MAX;
use crate::message::published::Published;
use crate::message::{AudioEvent, Voice};
use crate::mixer::{Mix, TrackGains};
use crate::time::{FramePos, Frames};
use crate::window::playback::Playable;
use std::sync::atomic::Ordering::Relaxed;

/// The tracks that play, by slot.
pub struct Voices {
    slots: Box<[Option<Box<Voice>>]>,
    /// No slot at or above this index is in use.
    end: usize,
    /// Whether tracks that monitor automatically play their inputs now, see [`Mix::sources`].
    live: bool,
}

impl Default for Voices {
    /// Voices without a track. This is not realtime-safe: it allocates.
    #[expect(clippy::disallowed_methods, reason = "made before the audio thread runs")]
    fn default() -> Voices {
        Voices { slots: (0..TRACK_COUNT_MAX).map(|_| None).collect(), end: 0, live: false }
    }
}

impl Voices {
    /// Installs `voice` in `slot`. A voice that is replaced fades out while the new one fades in, so that nothing clicks;
    /// then it returns its windows and goes back to the control side. A voice for a slot that does not exist goes back at
    /// once. `is_rolling`: whether takes play now. This is realtime-safe.
    pub fn replace(&mut self, slot: usize, mut voice: Box<Voice>, is_rolling: bool, outbox: &mut Outbox) {
        let Some(installed) = self.slots.get_mut(slot) else {
            outbox.send(AudioEvent::Removed(voice));
            return;
        };
        self.end = self.end.max(slot + 1);
        if is_rolling {
            voice.gains = TrackGains::SILENT;
        }
        if let Some(mut before) = installed.take() {
            if let Some(fading) = before.fading.take() {
                give_back(fading, outbox);
            }
            before.report_dropout(slot, outbox);
            before.is_leaving = true;
            voice.fading = Some(before);
        }
        *installed = Some(voice);
    }

    /// Removes the voice of `slot`: it fades out, so that nothing clicks; then it returns its windows and goes back to the
    /// control side. A voice that is silent goes back at once. An empty slot is ignored. `is_rolling`: whether takes play
    /// now. This is realtime-safe.
    pub fn remove(&mut self, slot: usize, is_rolling: bool, outbox: &mut Outbox) {
        let Some(installed) = self.slots.get_mut(slot) else { return };
        if let Some(voice) = installed {
            voice.is_leaving = true;
        }
        release_faded(slot, installed, is_rolling, outbox);
    }

    /// Gives the replaced and the removed voices back that have faded out. This is realtime-safe.
    pub fn release_faded(&mut self, is_rolling: bool, outbox: &mut Outbox) {
        for (slot, installed) in self.slots[..self.end].iter_mut().enumerate() {
            release_faded(slot, installed, is_rolling, outbox);
        }
    }

    /// Gives all replaced voices back. This is realtime-safe.
    pub fn release_all_replaced(&mut self, outbox: &mut Outbox) {
        for voice in self.slots[..self.end].iter_mut().flatten() {
            if let Some(replaced) = voice.fading.take() {
                give_back(replaced, outbox);
            }
        }
    }

    /// Removes every voice. This is realtime-safe.
    pub fn clear(&mut self, outbox: &mut Outbox) {
        for (slot, installed) in self.slots[..self.end].iter_mut().enumerate() {
            if let Some(voice) = installed.take() {
                give_back_with_replaced(slot, voice, outbox);
            }
        }
        self.end = 0;
    }

    /// Whether no slot was used since the last [`Voices::clear`]. This is realtime-safe.
    pub fn is_empty(&self) -> bool {
        self.end == 0
    }

    /// Changes the mix of a track; gains ramp to it. An empty slot is ignored. This is realtime-safe.
    pub fn set_mix(&mut self, slot: usize, mix: Mix) {
        if let Some(Some(voice)) = self.slots.get_mut(slot) {
            voice.mix = mix;
        }
    }

    /// Sets whether tracks with [`Mix::auto`] play their inputs, see [`Mix::sources`]. Gains ramp. This is realtime-safe.
    pub fn set_live(&mut self, live: bool) {
        self.live = live;
    }

    /// Whether every track has playback windows for the next `frames` frames. This is realtime-safe.
    pub fn are_ready(&mut self, playhead: &Playhead, frames: Frames) -> bool {
        let mut all = self.slots[..self.end].iter_mut().flatten();
        all.all(|voice| voice.is_leaving || voice.windows.covers(playhead.epoch, playhead.stream, frames.0))
    }

    /// Returns windows that the playhead has passed, or that belong to an older locate. This is realtime-safe.
    pub fn release_passed(&mut self, playhead: &Playhead) {
        for voice in self.slots[..self.end].iter_mut().flatten() {
            voice.windows.advance_to(playhead.epoch, playhead.stream);
        }
    }

    /// Adds the next `frames` frames of all takes to the buses, and counts dropouts. `weight` is the weight of a frame in
    /// the meters. This is realtime-safe.
    pub fn play_disk(
        &mut self,
        playhead: &Playhead,
        frames: usize,
        buses: &mut Buses,
        outbox: &mut Outbox,
        published: &Published,
        weight: f32,
    ) {
        for (slot, voice) in self.slots[..self.end].iter_mut().enumerate() {
            let Some(voice) = voice else { continue };
            let disk = voice.sources(self.live).0;
            if let Some(fading) = &mut voice.fading {
                fading.play(playhead, frames, false, buses, published);
            }
            let measured = voice.play(playhead, frames, disk, buses, published);
            // A dropout of a track that was muted meanwhile is over: nobody hears that it lasts.
            if !voice.missing || voice.gains_to(disk) == TrackGains::SILENT {
                voice.report_dropout(slot, outbox);
            }
            if voice.cut && !voice.cut_told {
                voice.cut_told = true;
                outbox.send(AudioEvent::CutShort { slot, at: playhead.position() });
            }
            if let Some(cell) = published.tracks.get(slot) {
                cell.publish(measured.peak, smoothed_mean_square(cell.mean_square(), measured, weight));
            }
        }
    }

    /// Gives the takes the gain that they will begin with: without sound a jump cannot click. Otherwise a take that is not
    /// to be heard when a recording begins would fade out under the fade-in of the transport. This is realtime-safe.
    pub fn settle(&mut self) {
        for voice in self.slots[..self.end].iter_mut().flatten() {
            voice.gains = if voice.sources(self.live).0 { voice.mix.gains } else { TrackGains::SILENT };
        }
    }

    /// Adds the monitored inputs to the buses: `frames` frames of `input` from frame `from` on. This is realtime-safe.
    pub fn play_inputs(&mut self, input: &Input<'_>, from: usize, frames: usize, buses: &mut Buses) {
        for voice in self.slots[..self.end].iter_mut().flatten() {
            let plays = voice.sources(self.live).1;
            if let Some(fading) = &mut voice.fading {
                fading.play_input(false, input, from, frames, buses);
            }
            voice.play_input(plays, input, from, frames, buses);
        }
    }
}

/// Gives the voice that the one of a slot has replaced back, and then that one if it was removed, if they have faded out.
fn release_faded(slot: usize, installed: &mut Option<Box<Voice>>, is_rolling: bool, outbox: &mut Outbox) {
    if let Some(voice) = installed
        && let Some(faded) = voice.fading.take_if(|fading| fading.is_silent(is_rolling))
    {
        give_back(faded, outbox);
    }
    if let Some(left) = installed.take_if(|voice| voice.has_left(is_rolling)) {
        give_back_with_replaced(slot, left, outbox);
    }
}

/// Gives the voice of a slot back, and the one that it has replaced.
fn give_back_with_replaced(slot: usize, mut voice: Box<Voice>, outbox: &mut Outbox) {
    if let Some(fading) = voice.fading.take() {
        give_back(fading, outbox);
    }
    voice.report_dropout(slot, outbox);
    give_back(voice, outbox);
}

fn give_back(mut voice: Box<Voice>, outbox: &mut Outbox) {
    voice.windows.end();
    outbox.send(AudioEvent::Removed(voice));
}

impl Voice {
    /// Whether the takes and whether the inputs are played, see [`Mix::sources`]: nothing of a voice that fades out.
    fn sources(&self, live: bool) -> (bool, bool) {
        if self.is_leaving { (false, false) } else { self.mix.sources(live) }
    }

    /// Whether the voice was removed, and nothing of it or of the one that it has replaced can be heard now.
    fn has_left(&self, is_rolling: bool) -> bool {
        self.is_leaving && self.is_silent(is_rolling) && self.fading.is_none()
    }

    /// The gains of the takes to reach. `disk`: whether they are played.
    fn gains_to(&self, disk: bool) -> TrackGains {
        if disk { self.mix.gains } else { TrackGains::SILENT }
    }

    fn play(
        &mut self,
        playhead: &Playhead,
        frames: usize,
        disk: bool,
        buses: &mut Buses,
        published: &Published,
    ) -> PeakAndPower {
        let mut sum = PeakAndPower { frames: frames as u32, ..PeakAndPower::default() };
        self.missing = false;
        let to = self.gains_to(disk);
        let mut done = 0;
        while done < frames {
            match self.windows.at(playhead.epoch, playhead.stream + done as u64, frames - done) {
                Playable::Sound { window, at, frames } => {
                    let (format, channels) = (window.format, window.channels);
                    let sound = TakeSound { format, channels, edges: window.edges_at(at) };
                    window.map.copy_out(at, buses.bytes_mut(frames * channels * format.bytes()));
                    self.cut |= window.map.is_broken();
                    // The gains for the other number of channels have no sound to ramp over.
                    let mut now = *self.gains.of(channels);
                    let measured = buses.add_bytes(sound, done, frames, &mut now, to.of(channels));
                    self.gains = to;
                    *self.gains.of_mut(channels) = now;
                    sum.peak = sum.peak.max(measured.peak);
                    sum.square_sum += measured.square_sum;
                    done += frames;
                }
                Playable::Silence { frames } => {
                    // Without sound a jump of the gain cannot click.
                    self.gains = to;
                    done += frames;
                }
                Playable::Missing { frames } => {
                    self.missing = true;
                    // A track that is muted, or plays its input, lacks nothing that is heard, nor does a voice that fades out.
                    if !self.is_leaving && (to != TrackGains::SILENT || self.gains != TrackGains::SILENT) {
                        let at = playhead.path.at(playhead.stream + done as u64);
                        self.drop_out(at, Frames(frames as u64), published);
                    }
                    if to == TrackGains::SILENT {
                        // There is no sound to fade out.
                        self.gains = to;
                    }
                    done += frames;
                }
            }
        }
        sum
    }

    /// Counts `frames` frames from `at` on that were to be heard and have no window.
    fn drop_out(&mut self, at: FramePos, frames: Frames, published: &Published) {
        self.dropped += frames;
        published.frames_dropped.fetch_add(frames.0, Relaxed);
        match &mut self.open {
            Some((_, dropped)) => *dropped += frames,
            None => {
                self.open = Some((at, frames));
                published.dropouts.fetch_add(1, Relaxed);
            }
        }
    }

    fn play_input(&mut self, plays: bool, input: &Input<'_>, from: usize, frames: usize, buses: &mut Buses) {
        let silent = self.input_gains == [[0.0; 2]; 2];
        if !plays && silent {
            return;
        }
        let to = if plays { *self.mix.gains.of(self.mix.channels) } else { [[0.0; 2]; 2] };
        let channels = self.mix.inputs[..self.mix.channels].iter().copied();
        for ((device_channel, now), to) in channels.zip(&mut self.input_gains).zip(to) {
            buses.add_with(frames, now, to, |lane| {
                convert::read_input(input, from, device_channel, lane);
            });
        }
    }

    fn report_dropout(&mut self, slot: usize, outbox: &mut Outbox) {
        if let Some((at, frames)) = self.open.take() {
            outbox.report(AudioEvent::Dropout { slot, at, frames });
        }
    }
}
