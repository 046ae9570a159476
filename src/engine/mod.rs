//! The engine: records and plays one period of the device at a time. Thread: audio.
//!
//! [`drive`] waits for the device. [`Engine::process`] copies the period's input into capture windows and mixes
//! playback windows to the outputs. Nothing here allocates, frees, locks, logs or faults, only [`drive`] makes system
//! calls, and nothing knows files, sessions or disks. Recording and playback both follow the device's frame count.
//! Lost frames count too and are silence, so that everything after them keeps its position.
#![warn(missing_docs)]
#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

pub mod convert;
pub mod drive;
pub mod meters;
pub mod mix;
pub mod outbox;
pub mod recorder;
pub mod take_loop;
pub mod transport;
pub mod voices;

use crate::device::{Device, Input, LossCause, Output};
use crate::limits;
use crate::message::published::Published;
use crate::message::{AudioCommand, AudioEvent, Motion, PlayPath};
use crate::time::{FramePos, Frames, SampleRate};
use convert::tile::SampleLoop;
use meters::InputMeters;
use mix::Buses;
use outbox::Outbox;
use recorder::{Block, Recorder};
use rtrb::{Consumer, Producer};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use transport::{Event, Jump, Transport};
use voices::Voices;

/// Whether the audio thread continues after [`Engine::apply_commands`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Move the next period.
    Continue,
    /// The control side sent `Quit`, and the engine has sent back everything it owned: end the thread.
    Leave,
}

/// The audio thread's state. All its memory is allocated when it is made.
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
    sample_loop: SampleLoop,
    /// Weight of a frame in the meters of tracks and buses.
    frame_weight: f32,
    device_frames: u64,
    /// The quit command came. The thread ends when the outbox is empty.
    leaving: bool,
    next_device: Option<Box<dyn Device>>,
    release_due: bool,
    loss: Option<PendingLoss>,
}

/// A loss of the device that is not reported yet, because it may continue.
struct PendingLoss {
    at: FramePos,
    frames: Frames,
    /// Frames of these that are silence in the takes of a pass.
    recorded: Frames,
    cause: LossCause,
}

/// Position of the playhead: the last locate and the frames played since.
#[derive(Clone, Copy, Debug, Default)]
pub struct Playhead {
    /// The path of the locate.
    pub path: PlayPath,
    /// Number of the locate.
    pub epoch: u32,
    /// Frames played since the locate.
    pub stream: u64,
}

impl Playhead {
    /// The playhead's position on the timeline. This is realtime-safe.
    pub fn position(&self) -> FramePos {
        self.path.at(self.stream)
    }
}

impl Engine {
    /// An engine for a device with `inputs` channels at `rate`. This is not realtime-safe: it allocates.
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
            sample_loop: SampleLoop::fastest(),
            frame_weight: meters::frame_weight(rate),
            device_frames: 0,
            leaving: false,
            next_device: None,
            release_due: false,
            loss: None,
        }
    }

    /// Replaces the sample loop that [`Engine::new`] chose, to compare two. This is realtime-safe.
    pub fn set_sample_loop(&mut self, sample_loop: SampleLoop) {
        self.sample_loop = sample_loop;
    }

    /// Whether the transport rolls and a period of `frames` can be moved without an overrun or a dropout. Paces a
    /// device that has no clock. This is realtime-safe.
    pub fn is_ready(&mut self, frames: Frames) -> bool {
        self.transport.is_rolling() && self.recorder.is_ready(frames) && self.voices.are_ready(&self.playhead, frames)
    }

    /// Whether a period of `frames` would be an overrun now, because its capture windows have not come yet. This is
    /// realtime-safe.
    pub fn lacks_windows(&mut self, frames: Frames) -> bool {
        self.transport.is_rolling() && !self.recorder.is_ready(frames)
    }

    /// Carries out the commands of the control side. Call it once before each period. This is realtime-safe.
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
                    self.release_due = false;
                    self.recorder.load(pass, &mut self.outbox);
                    self.apply(Event::Roll);
                }
                AudioCommand::Install { slot, voice } => {
                    let is_rolling = self.transport.is_rolling();
                    self.voices.replace(slot, voice, is_rolling, &mut self.outbox);
                }
                AudioCommand::Remove { slot } => {
                    self.voices.remove(slot, self.transport.is_rolling(), &mut self.outbox);
                }
                AudioCommand::Mix { slot, mix } => self.voices.set_mix(slot, mix),
                AudioCommand::Device(device) => {
                    if let Some(unused) = self.next_device.replace(device) {
                        self.send(AudioEvent::CloseDevice(unused));
                    }
                }
                AudioCommand::ReleaseDevice => self.release_due = !self.recorder.is_recording(),
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
            // The read-ahead may send windows of an older locate after the jump. They are released, because they would
            // fill the ring.
            // A jump is declicked as a whole.
            self.voices.release_all_replaced(&mut self.outbox);
            self.voices.release_passed(&self.playhead);
            if self.published.ready_epoch.load(Acquire) == self.playhead.epoch {
                self.apply(Event::WindowsReady);
            }
        }
        Next::Continue
    }

    /// The device that the control side sent to replace the current one. This is realtime-safe.
    pub fn take_device(&mut self) -> Option<Box<dyn Device>> {
        self.next_device.take()
    }

    /// Whether control asked for the current device since the last call. This is realtime-safe.
    pub fn is_release_due(&mut self) -> bool {
        std::mem::take(&mut self.release_due)
    }

    /// Frames of the device's clock so far, over all devices, including lost frames. This is realtime-safe.
    pub fn device_frames(&self) -> u64 {
        self.device_frames
    }

    /// Sends an event that must arrive. This is realtime-safe.
    pub fn send(&mut self, event: AudioEvent) {
        self.outbox.send(event);
    }

    /// Sends the events that found the ring full. Returns whether none is left, or nobody would receive them. This is
    /// realtime-safe.
    pub fn flush_events(&mut self) -> bool {
        self.outbox.retry();
        self.outbox.is_empty() || self.outbox.is_abandoned()
    }

    /// For tests: sends an event that a full ring may drop, as the engine itself does. This is realtime-safe.
    pub fn report(&mut self, event: AudioEvent) {
        self.outbox.report(event);
    }

    /// Ends the pass and returns every window. The last call, also after a panic. This is realtime-safe.
    pub fn give_everything_back(&mut self) {
        self.report_loss();
        self.recorder.end(&mut self.outbox);
        self.voices.clear(&mut self.outbox);
        self.apply(Event::Halt);
        self.publish();
    }

    /// Records `input` and fills `output`, which have the same length, at most [`limits::BLOCK_FRAMES_MAX`] frames.
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
        self.meters.end(self.sample_loop, input, &self.published.inputs);
        self.publish();
    }

    /// Counts an xrun of the device's outputs: some output came too late, and every input frame arrived. This is
    /// realtime-safe.
    pub fn count_playback_xrun(&mut self) {
        self.published.playback_xruns.fetch_add(1, Relaxed);
        self.recorder.count_playback_xrun();
        self.outbox.report(AudioEvent::PlaybackXrun { at: self.playhead.position() });
    }

    /// Counts `frames` frames that the device did not deliver. They are silence in every take, and the playhead moves
    /// past them. This is realtime-safe.
    pub fn lose(&mut self, frames: u64, cause: LossCause) {
        if frames == 0 && cause != LossCause::Xrun {
            return;
        }
        let (frames, at) = (Frames(frames), self.playhead.position());
        if cause == LossCause::Unplug && !self.transport.is_rolling() {
            // Nothing plays or records, so nothing is lost. The event for the missing device was sent already.
            self.device_frames += frames.0;
            self.publish();
            return;
        }
        self.published.frames_lost.fetch_add(frames.0, Relaxed);
        match &mut self.loss {
            Some(loss) if loss.cause == cause && cause != LossCause::Xrun => loss.frames += frames,
            _ => {
                self.report_loss();
                self.loss = Some(PendingLoss { at, frames, recorded: Frames(0), cause });
                self.published.xruns.fetch_add(u64::from(cause == LossCause::Xrun), Relaxed);
            }
        }
        if self.transport.is_rolling() {
            if self.recorder.is_recording() {
                // Before windows behind the start of the loss go back.
                let begin = self.recorder.open_loss().min(self.recorder.frames());
                self.published.open_loss.store(begin, Release);
            }
            let recorded = self.skip(frames, cause);
            if let Some(loss) = &mut self.loss {
                loss.recorded += recorded;
            }
            self.end_pass_if_over();
            if 0 < frames.0
                && let Some(jump) = self.transport.mute()
            {
                self.jump(jump);
            }
        }
        self.device_frames += frames.0;
        self.publish();
    }

    /// Moves pass and playhead past lost frames. A punch whose punch-in lies within them begins there, with silence.
    /// Returns the frames that are silence in the pass.
    fn skip(&mut self, frames: Frames, cause: LossCause) -> Frames {
        let mut left = frames;
        if self.may_begin()
            && let Some(before) = self.recorder.frames_to_punch_in(self.playhead.position())
            && before < frames
        {
            self.playhead.stream += before.0;
            let device_frame = self.device_frames + before.0;
            self.recorder.begin_if_due(self.playhead.position(), device_frame, &mut self.outbox);
            left = frames - before;
        }
        let recorded = self.recorder.skip(left, cause, &mut self.outbox);
        self.playhead.stream += left.0;
        recorded
    }

    /// Whether a waiting pass may begin. It waits while the playback before a locate fades out: its first frame is at or
    /// after the new position.
    fn may_begin(&self) -> bool {
        self.transport.motion() == Motion::Rolling
    }

    /// Frames, at most `most`, until a pass begins or ends, the loop wraps or a declick ramp ends.
    fn frames_without_change(&self, most: usize) -> usize {
        if !self.transport.is_rolling() {
            return most;
        }
        let turn = self
            .recorder
            .frames_to_change(self.playhead.position(), self.may_begin())
            .min(self.playhead.path.straight(self.playhead.stream))
            .min(self.transport.frames_to_change());
        most.min(usize::try_from(turn).unwrap_or(usize::MAX)).max(1)
    }

    /// Records, mixes and counts one block. With `quiet` there is no output or no track, so no mix is made.
    fn process_block(&mut self, block: &Block<'_>, quiet: bool) {
        let (rolling, frames) = (self.transport.is_rolling(), block.frames);
        if rolling {
            if self.may_begin() {
                self.recorder.begin_if_due(self.playhead.position(), self.device_frames, &mut self.outbox);
            }
            let Engine { meters, outbox, published, .. } = self;
            self.recorder.record(self.sample_loop, block, meters, outbox, published);
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
        self.voices.set_live(self.transport.is_at_rest() || self.recorder.is_live());
        self.buses.clear(frames);
        if rolling {
            let (buses, outbox) = (&mut self.buses, &mut self.outbox);
            self.voices.play_disk(&self.playhead, frames, buses, outbox, &self.published, self.frame_weight);
            self.buses.declick(self.transport.ramp(), frames);
        } else {
            self.voices.settle();
        }
        self.voices.play_inputs(input, from, frames, &mut self.buses);
        self.voices.release_faded(rolling, &mut self.outbox);
        self.buses.publish(frames, &self.published.master, self.frame_weight);
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
        // Before the pass ends, so that the control side attributes the loss to it.
        self.report_loss();
        self.recorder.end(&mut self.outbox);
    }

    fn apply(&mut self, event: Event) {
        if let Some(jump) = self.transport.apply(event) {
            self.jump(jump);
        }
    }

    fn jump(&mut self, Jump { path, epoch }: Jump) {
        // It lies before the jump. A later loss would be added to it, at a place that is not its own.
        self.report_loss();
        // A pass that waits for its first frame waits on, and begins after the jump.
        if self.recorder.is_recording() {
            self.recorder.end(&mut self.outbox);
        }
        self.playhead = Playhead { path, epoch, stream: 0 };
        // A jump is declicked as a whole.
        self.voices.release_all_replaced(&mut self.outbox);
        self.voices.release_passed(&self.playhead);
        // The read-ahead watches the epoch. It must never see the new epoch with the old stream frame, nor before the
        // windows of the previous locate are on their way back.
        self.published.stream.store(0, Relaxed);
        self.published.position.store(self.playhead.position().0, Relaxed);
        self.published.epoch.store(epoch, Release);
    }

    fn report_loss(&mut self) {
        if let Some(PendingLoss { at, frames, recorded, cause }) = self.loss.take() {
            self.outbox.report_loss(AudioEvent::Lost { at, frames, recorded, cause }, frames);
            self.recorder.device_loss_reported();
        }
    }

    fn publish(&self) {
        let published = &self.published;
        published.motion.store(self.transport.motion() as u8, Relaxed);
        published.position.store(self.playhead.position().0, Relaxed);
        published.stream.store(self.playhead.stream, Relaxed);
        published.device_frames.store(self.device_frames, Relaxed);
        published.open_loss.store(self.recorder.open_loss(), Release);
        published.pass_frames.store(self.recorder.frames(), Release);
    }
}
