//! Recording: owns the pass that records or waits to begin, and copies input into its capture windows. Thread: audio.
#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

use super::convert::{self, Lane};
use super::meters::InputMeters;
use super::outbox::Outbox;
use crate::device::{Input, LossCause};
use crate::limits::TAKE_CHANNEL_COUNT_MAX;
use crate::message::published::{NO_PASS, Published};
use crate::message::{AudioEvent, Capture, LossMark, Pass, PassRange};
use crate::time::{FramePos, Frames};
use std::sync::atomic::Ordering::Relaxed;

/// Frames of a period that are processed at once: no pass begins or ends and the transport does not change within them.
#[derive(Clone, Copy)]
pub struct Block<'a> {
    /// The input of the whole period, in the device's memory.
    pub input: &'a Input<'a>,
    /// First frame of the block, counted from the start of `input`.
    pub from: usize,
    /// Frames of the block.
    pub frames: usize,
}

/// Frames that are assembled in scratch memory before they are copied to a window.
const SCRATCH_FRAMES: usize = 128;

/// Bytes of the largest frame: float, stereo.
const FRAME_BYTES_MAX: usize = 4 * TAKE_CHANNEL_COUNT_MAX;

/// Holds at most one pass, which waits for its first frame or records.
pub struct Recorder {
    pass: Option<Box<Pass>>,
    begun: bool,
    scratch: Box<Scratch>,
}

/// Memory in which frames of one take are assembled before they are copied to a window.
type Scratch = [u8; SCRATCH_FRAMES * FRAME_BYTES_MAX];

impl Default for Recorder {
    /// A recorder without a pass. This is not realtime-safe: it allocates.
    #[expect(clippy::disallowed_methods, reason = "made before the audio thread runs")]
    fn default() -> Recorder {
        Recorder { pass: None, begun: false, scratch: Box::new([0; SCRATCH_FRAMES * FRAME_BYTES_MAX]) }
    }
}

impl Recorder {
    /// Takes over a pass, which begins when the playhead reaches [`Pass::range`]. Ends the previous pass first. This is
    /// realtime-safe.
    pub fn load(&mut self, pass: Box<Pass>, outbox: &mut Outbox) {
        self.end(outbox);
        self.pass = Some(pass);
        self.begun = false;
    }

    /// Frames of the pass so far, or [`NO_PASS`] while none records. This is realtime-safe.
    pub fn frames(&self) -> u64 {
        self.recording().map_or(NO_PASS, |pass| pass.frames.0)
    }

    /// Whether a pass records. This is realtime-safe.
    pub fn is_recording(&self) -> bool {
        self.recording().is_some()
    }

    /// Whether every take has capture windows for the next `frames` frames. True while no pass records. This is
    /// realtime-safe.
    pub fn is_ready(&mut self, frames: Frames) -> bool {
        let Some(pass) = self.pass.as_mut().filter(|_| self.begun) else { return true };
        let (at, frames) = (FramePos(pass.frames.0), frames.min(pass.frames_left()));
        pass.captures.iter_mut().all(|capture| capture.windows.covers(at, frames))
    }

    /// Frames from `position` on until the pass begins or ends; `u64::MAX` without a pass. `may_begin`: whether a waiting
    /// pass begins when its position comes. This is realtime-safe.
    pub fn frames_to_change(&self, position: FramePos, may_begin: bool) -> u64 {
        match &self.pass {
            Some(pass) if self.begun => pass.frames_left().0,
            Some(pass) if may_begin => match pass.range {
                PassRange::Punch { from, .. } if position < from => from.since(position).0,
                // The pass begins with this block, so the block must not be longer than the pass.
                range => range.length_from(position).0,
            },
            _ => u64::MAX,
        }
    }

    /// Frames from `position` to the punch-in of a punch that has not begun; `None` without one. This is realtime-safe.
    pub fn frames_to_punch_in(&self, position: FramePos) -> Option<Frames> {
        match self.pass.as_ref().filter(|_| !self.begun)?.range {
            PassRange::Punch { from, .. } if position <= from => Some(from.since(position)),
            _ => None,
        }
    }

    /// Begins the waiting pass if the playhead is at or past the start of [`Pass::range`]. A pass whose range has passed
    /// already is over, without a frame. `device_frame` is the current frame of the device's clock. This is
    /// realtime-safe.
    pub fn begin_if_due(&mut self, position: FramePos, device_frame: u64, outbox: &mut Outbox) {
        let Some(pass) = self.pass.as_mut().filter(|_| !self.begun) else { return };
        if pass.range.has_begun(position) {
            pass.began = position;
            self.begun = true;
            if pass.frames_left().0 == 0 {
                return;
            }
            if let Some(progress_page) = &pass.progress_page {
                progress_page.begin(position);
            }
            outbox.report(AudioEvent::PassBegan { at: position, device_frame });
        }
    }

    /// Records a block in every take of the pass, and counts overruns. This is realtime-safe.
    pub fn record(&mut self, block: &Block<'_>, meters: &mut InputMeters, outbox: &mut Outbox, published: &Published) {
        let Some(pass) = self.pass.as_mut().filter(|pass| self.begun && 0 < pass.frames_left().0) else { return };
        let at = FramePos(pass.frames.0);
        for (index, capture) in pass.captures.iter_mut().enumerate() {
            let missed = capture.record(block, at, &mut self.scratch, meters);
            if missed.0 > 0 {
                published.frames_overrun.fetch_add(missed.0, Relaxed);
                if let Some(progress_page) = &pass.progress_page {
                    progress_page.overrun(missed);
                }
            } else {
                capture.report_overrun(index, outbox);
            }
        }
        pass.frames += Frames(block.frames as u64);
        // Last, because recovery trusts the progress page: it must never count a frame that is not in its window yet.
        if let Some(progress_page) = &pass.progress_page {
            progress_page.advance_to(pass.frames);
        }
    }

    /// Moves the pass past `frames` frames that the device lost. They are silence in every take. This is realtime-safe.
    pub fn skip(&mut self, frames: Frames, cause: LossCause) {
        let Some(pass) = self.pass.as_mut().filter(|_| self.begun) else { return };
        let frames = frames.min(pass.frames_left());
        let at = FramePos(pass.frames.0);
        pass.add_loss(LossMark { at, frames, cause: Some(cause) });
        pass.xruns += u32::from(cause == LossCause::Xrun);
        pass.lost += frames;
        pass.frames += frames;
        for capture in &mut pass.captures {
            capture.windows.advance_to(at + frames);
        }
        if let Some(progress_page) = &pass.progress_page {
            progress_page.advance_to(pass.frames);
        }
    }

    /// Counts an xrun of the device's outputs. The pass lost nothing. This is realtime-safe.
    pub fn count_playback_xrun(&mut self) {
        if let Some(pass) = self.pass.as_mut().filter(|_| self.begun) {
            pass.playback_xruns += 1;
        }
    }

    /// Whether the pass has reached its end. This is realtime-safe.
    pub fn is_over(&self) -> bool {
        self.recording().is_some_and(|pass| pass.frames_left().0 == 0)
    }

    /// Ends the pass, if there is one: returns its windows to the butler and the pass to the control side. Returns
    /// whether the transport stops with the pass. This is realtime-safe.
    pub fn end(&mut self, outbox: &mut Outbox) -> bool {
        let Some(mut pass) = self.pass.take() else { return false };
        if !self.begun {
            pass.frames = Frames(0);
        }
        let at = FramePos(pass.frames.0);
        for (index, capture) in pass.captures.iter_mut().enumerate() {
            capture.report_overrun(index, outbox);
            capture.windows.end(at);
        }
        let stop = pass.stop_with_it;
        self.begun = false;
        outbox.publish_no_pass();
        outbox.hand_over(AudioEvent::PassEnded(pass));
        stop
    }

    fn recording(&self) -> Option<&Pass> {
        self.pass.as_deref().filter(|_| self.begun)
    }
}

impl Capture {
    /// Copies the block's input into the take from take frame `at` on. Returns the frames at the end for which there
    /// was no window.
    fn record(
        &mut self,
        block: &Block<'_>,
        at: FramePos,
        scratch_memory: &mut Scratch,
        meters: &mut InputMeters,
    ) -> Frames {
        let Block { input, from, frames } = *block;
        let frame_bytes = self.format.bytes() * self.channels;
        let mut done = 0;
        while done < frames {
            let position = at + Frames(done as u64);
            let Some(memory) = self.windows.span(position, Frames((frames - done) as u64)) else {
                let missed = Frames((frames - done) as u64);
                self.note_overrun(position, missed);
                return missed;
            };
            // Frames are assembled in the first-level cache and copied as a whole. The window's next cache lines are in
            // no cache yet, and stores of single samples would wait for each of them (measured: 18 us against 8 us for
            // 24 tracks).
            for piece in memory.chunks_mut(SCRATCH_FRAMES * frame_bytes) {
                let scratch = &mut scratch_memory[..piece.len()];
                if self.inputs[..self.channels].iter().any(|channel| input.channels <= *channel) {
                    // The device came back with fewer inputs: store silence, not the samples that the previous take
                    // left in the scratch memory.
                    scratch.fill(0);
                }
                for (channel, input_channel) in self.inputs[..self.channels].iter().enumerate() {
                    let lane = Lane { channel, channels: self.channels };
                    let measured = convert::record(input, from + done, *input_channel, self.format, scratch, lane);
                    meters.add(*input_channel, measured);
                }
                piece.copy_from_slice(scratch);
                done += piece.len() / frame_bytes;
            }
        }
        Frames(0)
    }

    /// Counts `frames` frames from take frame `at` on for which there was no window.
    fn note_overrun(&mut self, at: FramePos, frames: Frames) {
        self.overrun += frames;
        self.losses.add(LossMark { at, frames, cause: None });
        match &mut self.open {
            Some((_, missed)) => *missed += frames,
            None => self.open = Some((at, frames)),
        }
    }

    /// Reports an overrun that has ended.
    fn report_overrun(&mut self, capture: usize, outbox: &mut Outbox) {
        if let Some((at, frames)) = self.open.take() {
            outbox.report(AudioEvent::Overrun { capture, at, frames });
        }
    }
}
