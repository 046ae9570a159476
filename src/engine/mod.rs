//! The engine: one period in, one period out. Thread: audio.
//!
//! Nothing in here allocates, frees, locks, logs, faults or calls the system: [`drive`] asks the device for
//! periods, [`Engine::process`] turns one into sound in windows and sound on outputs. Files, sessions and
//! the disk are unknown here. What is heard and what is recorded are both a function of the device's frame
//! count; a frame that did not come is silence in its place.
#![warn(missing_docs)]
#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

pub mod convert;
pub mod drive;
pub mod meters;
pub mod mix;
pub mod outbox;
pub mod recorder;
pub mod transport;
pub mod voices;

use crate::device::{Device, Input, LossCause, Output};
use crate::limits;
use crate::message::published::Published;
use crate::message::{AudioCommand, AudioEvent, Motion, PlayPath};
use crate::time::{FramePos, Frames, SampleRate};
use meters::InputMeters;
use mix::Buses;
use outbox::Outbox;
use recorder::{Block, Recorder};
use rtrb::{Consumer, Producer};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use transport::{Event, Jump, Transport};
use voices::Voices;

/// What the caller does after the commands of a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Go on.
    Continue,
    /// Everything was given back: leave.
    Leave,
}

/// All that one period needs, taken when the engine is made.
pub struct Engine {
    commands: Consumer<AudioCommand>,
    outbox: Outbox,
    published: Arc<Published>,
    transport: Transport,
    playhead: Playhead,
    recorder: Recorder,
    voices: Voices,
    meters: InputMeters,
    buses: Box<Buses>,
    device_frames: u64,
    /// It was told to quit; it leaves when everything it had is handed over.
    leaving: bool,
    next_device: Option<Box<dyn Device>>,
    loss: Option<(FramePos, Frames, LossCause)>,
}

/// Where the playhead is: a locate, and the frames played since.
#[derive(Clone, Copy, Debug, Default)]
pub struct Playhead {
    /// What plays.
    pub path: PlayPath,
    /// The locate's number.
    pub epoch: u32,
    /// Frames played since.
    pub stream: u64,
}

impl Playhead {
    /// The same on the timeline.
    pub fn position(&self) -> FramePos {
        self.path.at(self.stream)
    }
}

impl Engine {
    /// An engine for a device with `inputs` channels at `rate`. Not realtime-safe.
    pub fn new(
        commands: Consumer<AudioCommand>,
        events: Producer<AudioEvent>,
        published: Arc<Published>,
        inputs: usize,
        rate: SampleRate,
    ) -> Engine {
        Engine {
            commands,
            outbox: Outbox::new(events, Arc::clone(&published)),
            published,
            transport: Transport::default(),
            playhead: Playhead::default(),
            recorder: Recorder::default(),
            voices: Voices::default(),
            meters: InputMeters::new(inputs, rate),
            buses: Box::default(),
            device_frames: 0,
            leaving: false,
            next_device: None,
            loss: None,
        }
    }

    /// Whether a period of `frames` could be moved now without an overrun or a dropout: the clock of
    /// a device that has none. This is realtime-safe.
    pub fn is_ready(&mut self, frames: Frames) -> bool {
        self.transport.is_rolling() && self.recorder.is_ready(frames) && self.voices.are_ready(&self.playhead, frames)
    }

    /// Whether a period of `frames` would be recorded into nothing now, since its windows have yet to come. This is
    /// realtime-safe.
    pub fn lacks_windows(&mut self, frames: Frames) -> bool {
        self.transport.is_rolling() && !self.recorder.is_ready(frames)
    }

    /// Takes what the control side asks for. Once per period, before it. This is realtime-safe.
    pub fn apply_commands(&mut self) -> Next {
        self.outbox.retry();
        while let Ok(command) = self.commands.pop() {
            match command {
                AudioCommand::Roll => self.apply(Event::Roll),
                AudioCommand::Stop => {
                    self.end_pass();
                    self.apply(Event::Stop);
                }
                AudioCommand::PunchOut => self.end_pass(),
                AudioCommand::Locate { path, epoch } => self.apply(Event::Locate { path, epoch }),
                AudioCommand::Record(pass) => {
                    self.recorder.load(pass, &mut self.outbox);
                    self.apply(Event::Roll);
                }
                AudioCommand::Install { slot, voice } => self.voices.replace(slot, Some(voice), &mut self.outbox),
                AudioCommand::Remove { slot } => self.voices.replace(slot, None, &mut self.outbox),
                AudioCommand::Mix { slot, mix } => self.voices.set_mix(slot, mix),
                AudioCommand::Device(device) => {
                    if let Some(unused) = self.next_device.replace(device) {
                        self.hand_over(AudioEvent::Replaced(unused));
                    }
                }
                AudioCommand::Quit => {
                    self.give_everything_back();
                    self.leaving = true;
                }
            }
        }
        if self.leaving && self.outbox.is_empty() {
            return Next::Leave;
        }
        if self.transport.motion() == Motion::WaitingForData {
            // The read-ahead may have sent windows of the locate before after the jump: they make room.
            self.voices.release_passed(&self.playhead);
            if self.published.ready_epoch.load(Acquire) == self.playhead.epoch {
                self.apply(Event::WindowsReady);
            }
        }
        Next::Continue
    }

    /// A device that was sent to take over. This is realtime-safe.
    pub fn take_device(&mut self) -> Option<Box<dyn Device>> {
        self.next_device.take()
    }

    /// Frames of the device's clock so far, lost ones included, over all devices there were. This is realtime-safe.
    pub fn device_frames(&self) -> u64 {
        self.device_frames
    }

    /// Sends home what owns memory, to be freed there. This is realtime-safe.
    pub fn hand_over(&mut self, event: AudioEvent) {
        self.outbox.hand_over(event);
    }

    /// Tells the control side. This is realtime-safe.
    pub fn report(&mut self, event: AudioEvent) {
        self.outbox.report(event);
    }

    /// Ends the pass and gives every window back: the way out, also after a panic. This is realtime-safe.
    pub fn give_everything_back(&mut self) {
        self.report_loss();
        self.recorder.end(&mut self.outbox);
        self.voices.clear(&mut self.outbox);
        self.apply(Event::Halt);
        self.publish();
    }

    /// One stretch of the device's memory, at most [`limits::BLOCK_FRAMES_MAX`] frames.
    /// This is realtime-safe.
    pub fn process(&mut self, input: &Input<'_>, output: &mut Output<'_>) {
        debug_assert!(input.frames == output.frames && input.frames <= limits::BLOCK_FRAMES_MAX);
        self.report_loss();
        self.meters.begin();
        let quiet = output.channels == 0 && self.voices.is_empty();
        let mut from = 0;
        while from < input.frames {
            let frames = self.frames_without_change(input.frames - from);
            self.process_block(&Block { input, from, frames }, quiet);
            if !quiet {
                self.buses.play_out(output, from, frames);
            }
            self.device_frames += frames as u64;
            from += frames;
        }
        self.meters.end(input, &self.published.inputs);
        self.publish();
    }

    /// `frames` of the device's clock were not delivered: everything goes on as if they had been silent.
    /// This is realtime-safe.
    pub fn lose(&mut self, frames: u64, cause: LossCause) {
        if frames == 0 && cause != LossCause::Xrun {
            return;
        }
        let (frames, at) = (Frames(frames), self.playhead.position());
        if cause == LossCause::Unplug && !self.transport.is_rolling() {
            // Nobody plays or records: that the device is gone was told, and nothing is lost.
            self.device_frames += frames.0;
            self.publish();
            return;
        }
        self.published.frames_lost.fetch_add(frames.0, Relaxed);
        match &mut self.loss {
            Some((_, lost, because)) if *because == cause && cause != LossCause::Xrun => *lost += frames,
            _ => {
                self.report_loss();
                self.loss = Some((at, frames, cause));
                self.published.xruns.fetch_add(u64::from(cause == LossCause::Xrun), Relaxed);
            }
        }
        self.device_frames += frames.0;
        if self.transport.is_rolling() {
            self.recorder.skip(frames, cause);
            self.playhead.stream += frames.0;
            self.transport.mute();
            self.end_pass_if_over();
        }
        self.publish();
    }

    /// Frames, at most `most`, in which nothing begins, ends or turns.
    fn frames_without_change(&self, most: usize) -> usize {
        if !self.transport.is_rolling() {
            return most;
        }
        let turn = self
            .recorder
            .frames_to_change(self.playhead.position())
            .min(self.playhead.path.straight(self.playhead.stream))
            .min(self.transport.frames_to_change());
        most.min(usize::try_from(turn).unwrap_or(usize::MAX)).max(1)
    }

    /// One stretch recorded, played, counted. With `quiet` nobody would hear the mix, and none is made.
    fn process_block(&mut self, block: &Block<'_>, quiet: bool) {
        let (rolling, frames) = (self.transport.is_rolling(), block.frames);
        if rolling {
            self.recorder.begin_if_due(self.playhead.position(), self.device_frames, &mut self.outbox);
            self.recorder.record(block, &mut self.meters, &mut self.outbox, &self.published);
        }
        if !quiet {
            self.mix(block, rolling);
        }
        if rolling {
            self.playhead.stream += frames as u64;
            if let Some(jump) = self.transport.advance(frames as u32) {
                self.jump(jump);
            }
            self.end_pass_if_over();
        }
    }

    fn mix(&mut self, block: &Block<'_>, rolling: bool) {
        let Block { input, from, frames } = *block;
        self.buses.clear(frames);
        if rolling {
            self.voices.play_disk(&self.playhead, frames, &mut self.buses, &mut self.outbox, &self.published);
            self.buses.declick(self.transport.ramp(), frames);
        }
        self.voices.play_inputs(input, from, frames, &mut self.buses);
        self.buses.publish(frames, &self.published.master);
    }

    fn end_pass_if_over(&mut self) {
        if self.recorder.is_over() {
            self.report_loss();
            if self.recorder.end(&mut self.outbox) {
                self.apply(Event::Stop);
            }
        }
    }

    fn end_pass(&mut self) {
        // While the pass is there that it is a loss of.
        self.report_loss();
        self.recorder.end(&mut self.outbox);
    }

    fn apply(&mut self, event: Event) {
        if let Some(jump) = self.transport.apply(event) {
            self.jump(jump);
        }
    }

    fn jump(&mut self, Jump { path, epoch }: Jump) {
        self.recorder.end(&mut self.outbox);
        self.playhead = Playhead { path, epoch, stream: 0 };
        self.voices.release_passed(&self.playhead);
        // The read-ahead watches the epoch: it must never see the new one with the old stream frame, nor before windows
        // of the locate before are on their way back.
        self.published.stream.store(0, Relaxed);
        self.published.position.store(self.playhead.position().0, Relaxed);
        self.published.epoch.store(epoch, Release);
    }

    fn report_loss(&mut self) {
        if let Some((at, frames, cause)) = self.loss.take() {
            self.outbox.report(AudioEvent::Lost { at, frames, cause });
        }
    }

    fn publish(&self) {
        let published = &self.published;
        published.motion.store(self.transport.motion() as u8, Relaxed);
        published.position.store(self.playhead.position().0, Relaxed);
        published.stream.store(self.playhead.stream, Relaxed);
        published.device_frames.store(self.device_frames, Relaxed);
        published.pass_frames.store(self.recorder.frames(), Release);
    }
}
