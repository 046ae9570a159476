//! Recording: owns the pass that records or waits to begin. Thread: audio.
#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

use super::convert::tile::SampleLoop;
use super::meters::InputMeters;
use super::outbox::Outbox;
use super::take_loop::{TakeLoop, TakeReports};
use crate::device::{Input, LossCause};
use crate::message::published::{NO_PASS, Published};
use crate::message::{AudioEvent, LossMark, Pass, PassRange};
use crate::time::{FramePos, Frames};

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

/// Holds at most one pass, which waits for its first frame or records.
#[derive(Default)]
pub struct Recorder {
    pass: Option<Box<Pass>>,
    begun: bool,
    /// Where the losses of the pass begin that were not reported.
    open_losses: OpenLosses,
    take_loop: TakeLoop,
}

/// The frames of the pass at which losses begin that were not reported yet; [`NO_PASS`] without one.
struct OpenLosses {
    /// The loss of the device.
    device: u64,
    /// The first overrun of a take.
    overrun: u64,
}

impl Default for OpenLosses {
    fn default() -> OpenLosses {
        OpenLosses { device: NO_PASS, overrun: NO_PASS }
    }
}

impl Recorder {
    /// Takes over a pass, which begins when the playhead reaches [`Pass::range`]. Ends the previous pass first. This is
    /// realtime-safe.
    pub fn load(&mut self, pass: Box<Pass>, outbox: &mut Outbox) {
        self.end(outbox);
        self.pass = Some(pass);
        self.begun = false;
        self.open_losses = OpenLosses::default();
    }

    /// Frames of the pass so far, or [`NO_PASS`] while none records. This is realtime-safe.
    pub fn frames(&self) -> u64 {
        self.recording().map_or(NO_PASS, |pass| pass.frames.0)
    }

    /// Whether a pass records. This is realtime-safe.
    pub fn is_recording(&self) -> bool {
        self.recording().is_some()
    }

    /// Whether a pass records, or begins as soon as the transport rolls. This is realtime-safe.
    pub fn is_live(&self) -> bool {
        self.pass.as_ref().is_some_and(|pass| self.begun || matches!(pass.range, PassRange::Now(_)))
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
            outbox.send(AudioEvent::PassBegan { at: position, device_frame });
        }
    }

    /// The frame of the pass at which the first loss begins that was not reported yet; [`NO_PASS`] without one. This is
    /// realtime-safe.
    pub fn open_loss(&self) -> u64 {
        self.open_losses.device.min(self.open_losses.overrun)
    }

    /// The loss of the device was reported. This is realtime-safe.
    pub fn device_loss_reported(&mut self) {
        self.open_losses.device = NO_PASS;
    }

    /// Records a block in every take of the pass, and counts overruns. This is realtime-safe.
    pub fn record(
        &mut self,
        sample_loop: SampleLoop,
        block: &Block<'_>,
        meters: &mut InputMeters,
        outbox: &mut Outbox,
        published: &Published,
    ) {
        let Some(pass) = self.pass.as_mut().filter(|pass| self.begun && 0 < pass.frames_left().0) else { return };
        let open_overrun = &mut self.open_losses.overrun;
        self.take_loop.record(sample_loop, pass, block, &mut TakeReports { meters, outbox, published, open_overrun });
        pass.frames += Frames(block.frames as u64);
        // Last, because recovery trusts the progress page: it must never count a frame that is not in its window yet.
        if let Some(progress_page) = &pass.progress_page {
            progress_page.advance_to(pass.frames);
        }
    }

    /// Moves the pass past `frames` frames that the device lost. They are silence in every take, and an overrun ends before
    /// them: its place would not be one range. Returns how many are in the pass. This is realtime-safe.
    pub fn skip(&mut self, frames: Frames, cause: LossCause, outbox: &mut Outbox) -> Frames {
        let Some(pass) = self.pass.as_mut().filter(|_| self.begun) else { return Frames(0) };
        let frames = frames.min(pass.frames_left());
        let at = FramePos(pass.frames.0);
        pass.add_loss(LossMark { at, frames, cause: Some(cause) });
        pass.xruns += u32::from(cause == LossCause::Xrun);
        pass.lost += frames;
        pass.frames += frames;
        if 0 < frames.0 {
            self.open_losses = OpenLosses { device: self.open_losses.device.min(at.0), overrun: NO_PASS };
        }
        for (index, capture) in pass.captures.iter_mut().enumerate() {
            if 0 < frames.0 {
                capture.report_overrun(index, outbox);
            }
            capture.windows.advance_to(at + frames);
        }
        if let Some(progress_page) = &pass.progress_page {
            progress_page.advance_to(pass.frames);
        }
        frames
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
        self.open_losses = OpenLosses::default();
        outbox.publish_no_pass();
        outbox.send(AudioEvent::PassEnded(pass));
        stop
    }

    fn recording(&self) -> Option<&Pass> {
        self.pass.as_deref().filter(|_| self.begun)
    }
}
