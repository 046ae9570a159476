//! Copies a block's input into the capture windows of a pass, tile by tile or take by take. Thread: audio.
#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

#[cfg(test)]
mod tests;

use super::convert::tile::{SampleLoop, TILE_FRAMES, Tile, fetch_ahead, tile_from};
use super::convert::{self, Lane};
use super::meters::InputMeters;
use super::outbox::Outbox;
use super::recorder::Block;
use crate::instructions::Instructions;
use crate::limits::TAKE_CHANNEL_COUNT_MAX;
use crate::message::published::{NO_PASS, Published};
use crate::message::{AudioEvent, Capture, LossMark, OpenOverrun, Pass};
use crate::time::{FramePos, Frames};
use crate::window::overrun_places::OverrunPlace;
use crate::window::progress_page::ProgressPage;
use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;

/// Frames that are assembled in scratch memory before they are copied to a window.
const SCRATCH_FRAMES: usize = 128;

/// Frames of an overrun that are reported before it ends: 0.7 s at 48 kHz, as long as from one sync to the next. No header of the
/// pass claims anything behind an overrun that was not reported, although the other takes have sound there. So a power cut costs
/// these takes this much more than what waits for a sync. Smaller parts would make more events, and headers would not claim more.
const OVERRUN_PART: Frames = Frames(32_768);

/// Bytes of the largest frame: float, stereo.
const FRAME_BYTES_MAX: usize = 4 * TAKE_CHANNEL_COUNT_MAX;

/// Memory in which frames of one take are assembled before they are copied to a window.
type Scratch = [u8; SCRATCH_FRAMES * FRAME_BYTES_MAX];

/// The loop over the takes, and its memory.
pub struct TakeLoop {
    scratch: Box<Scratch>,
    tile: Box<Tile>,
}

/// The receivers of what the loop measures and misses.
pub struct TakeReports<'a> {
    /// Peaks and powers of the inputs.
    pub meters: &'a mut InputMeters,
    /// Overruns that have ended.
    pub outbox: &'a mut Outbox,
    /// Frames that were missed.
    pub published: &'a Published,
    /// Receives the first frame of an overrun that was not reported, counted in the pass.
    pub open_overrun: &'a mut u64,
}

impl Default for TakeLoop {
    /// This is not realtime-safe: it allocates.
    #[expect(clippy::disallowed_methods, reason = "made before the audio thread runs")]
    fn default() -> TakeLoop {
        TakeLoop { scratch: Box::new([0; SCRATCH_FRAMES * FRAME_BYTES_MAX]), tile: Box::default() }
    }
}

impl TakeLoop {
    /// Records `block` in every take of `pass` from the take's frame [`Pass::frames`] on, and counts overruns. This is
    /// realtime-safe.
    pub fn record(
        &mut self,
        sample_loop: SampleLoop,
        pass: &mut Pass,
        block: &Block<'_>,
        reports: &mut TakeReports<'_>,
    ) {
        let at = FramePos(pass.frames.0);
        *reports.open_overrun = NO_PASS;
        let mut left = &pass.by_input[..];
        if let Some(instructions) = sample_loop.tiles_of(block.input) {
            let (mut first, channels) = (0, block.input.channels);
            while first < channels && !left.is_empty() {
                let tile = tile_from(first, channels);
                let captures = &pass.captures;
                let count = left.iter().take_while(|index| captures[**index].input_range().0 < tile.end).count();
                let (here, later) = left.split_at(count);
                if !here.is_empty() {
                    self.record_tile(instructions, tile.clone(), here, &mut pass.captures, block, at, reports);
                }
                for index in here {
                    finish_block(*index, &mut pass.captures[*index], pass.progress_page.as_ref(), reports);
                }
                (first, left) = (tile.end, later);
            }
        }
        // Takes whose input the device lacks, and all takes of planar memory.
        for index in left {
            let capture = &mut pass.captures[*index];
            capture.record_alone(block, at, &mut self.scratch, Some(reports.meters));
            finish_block(*index, capture, pass.progress_page.as_ref(), reports);
        }
    }

    /// Records the device channels `channels` in the takes `here`, whose lowest inputs are among them.
    #[expect(clippy::too_many_arguments, reason = "one call, split off so that the walk over the tiles is short")]
    fn record_tile(
        &mut self,
        instructions: Instructions,
        channels: Range<usize>,
        here: &[usize],
        captures: &mut [Capture],
        block: &Block<'_>,
        at: FramePos,
        reports: &mut TakeReports<'_>,
    ) {
        let mut done = 0;
        while done < block.frames {
            let frames = (block.frames - done).min(TILE_FRAMES);
            let from = block.from + done;
            self.tile.fill(instructions, block.input, channels.clone(), from, frames);
            match block.frames - done - frames {
                0 => fetch_ahead(block.input, channels.end, block.from, block.frames),
                left => fetch_ahead(block.input, channels.start, from + frames, left),
            }
            for (lane, channel) in channels.clone().enumerate() {
                reports.meters.add(channel, self.tile.measured(lane));
            }
            for index in here {
                let capture = &mut captures[*index];
                if capture.input_range().1 < channels.end {
                    let left = Frames((block.frames - done) as u64);
                    capture.record_lanes(instructions, &mut self.tile, channels.start, at + Frames(done as u64), left);
                } else if done == 0 {
                    // A stereo take whose channels lie in two tiles. One is measured with this tile, the other one with
                    // its own tile or at the end of the period.
                    capture.record_alone(block, at, &mut self.scratch, None);
                }
            }
            done += frames;
        }
    }
}

/// Counts and reports what a take missed in the block that was recorded.
fn finish_block(index: usize, capture: &mut Capture, page: Option<&ProgressPage>, reports: &mut TakeReports<'_>) {
    let missed = std::mem::take(&mut capture.missed);
    if let Some(mut ended) = capture.ended.take() {
        ended.report(index, reports.outbox);
    }
    if 0 < missed.0 {
        reports.published.frames_overrun.fetch_add(missed.0, Relaxed);
        if let Some(page) = page {
            page.overrun(missed);
            if let Some(open) = &mut capture.open {
                open.noted = Some(page.note_overrun(capture.mark, open.place, open.noted));
            }
        }
        if let Some(open) = &mut capture.open {
            if OVERRUN_PART <= open.unreported().frames {
                open.report(index, reports.outbox);
            }
            *reports.open_overrun = open.unreported().at.0.min(*reports.open_overrun);
        }
    } else {
        capture.report_overrun(index, reports.outbox);
    }
}

impl Capture {
    /// Copies the tile, whose first channel is device channel `first`, into the take from take frame `at` on. `left`
    /// frames of the block are left, those of the tile included. A take that has missed frames of the block misses the
    /// rest of it too.
    fn record_lanes(&mut self, instructions: Instructions, tile: &mut Tile, first: usize, at: FramePos, left: Frames) {
        if 0 < self.missed.0 {
            return;
        }
        let frame_bytes = self.format.bytes() * self.channels;
        let lanes = self.inputs.map(|input| input.wrapping_sub(first));
        let mut done = 0;
        while done < tile.frames() {
            let position = at + Frames(done as u64);
            let Some(memory) = self.windows.span(position, Frames((tile.frames() - done) as u64)) else {
                self.note_overrun(position, left - Frames(done as u64));
                return;
            };
            tile.pack(instructions, &lanes[..self.channels], done, self.format, memory);
            done += memory.len() / frame_bytes;
        }
    }

    /// Copies the block's input into the take from take frame `at` on, sample by sample with the stride of the device.
    /// `meters`: receives the measurement, if the inputs are not measured otherwise.
    fn record_alone(
        &mut self,
        block: &Block<'_>,
        at: FramePos,
        scratch: &mut Scratch,
        mut meters: Option<&mut InputMeters>,
    ) {
        let Block { input, from, frames } = *block;
        let frame_bytes = self.format.bytes() * self.channels;
        let mut done = 0;
        while done < frames {
            let (position, left) = (at + Frames(done as u64), Frames((frames - done) as u64));
            let Some(memory) = self.windows.span(position, left) else {
                self.note_overrun(position, left);
                return;
            };
            // Frames are assembled in the first-level cache and copied as a whole. The window's next cache lines are in
            // no cache yet, and stores of single samples would wait for each of them (measured: 18 us against 8 us for
            // 24 tracks).
            for piece in memory.chunks_mut(SCRATCH_FRAMES * frame_bytes) {
                let scratch = &mut scratch[..piece.len()];
                if self.inputs[..self.channels].iter().any(|channel| input.channels <= *channel) {
                    // The device came back with fewer inputs: store silence, not the samples that the previous take
                    // left in the scratch memory.
                    scratch.fill(0);
                }
                for (channel, input_channel) in self.inputs[..self.channels].iter().enumerate() {
                    let lane = Lane { channel, channels: self.channels };
                    let measured = convert::record(input, from + done, *input_channel, self.format, scratch, lane);
                    if let Some(meters) = &mut meters {
                        meters.add(*input_channel, measured);
                    }
                }
                piece.copy_from_slice(scratch);
                done += piece.len() / frame_bytes;
            }
        }
    }

    /// Counts `frames` frames, the rest of the block, from take frame `at` on for which there was no window.
    fn note_overrun(&mut self, at: FramePos, frames: Frames) {
        self.missed = frames;
        self.overrun += frames;
        self.losses.add(LossMark { at, frames, cause: None });
        match &mut self.open {
            Some(open) if open.place.at + open.place.frames == at => open.place.frames += frames,
            // A window came, and ended before the block did: the frames between the two overruns are recorded.
            open => {
                let place = OverrunPlace { at, frames };
                self.ended = open.replace(OpenOverrun { place, noted: None, reported: Frames(0) });
            }
        }
    }

    /// Reports an overrun that has ended. This is realtime-safe.
    pub fn report_overrun(&mut self, capture: usize, outbox: &mut Outbox) {
        if let Some(mut open) = self.open.take() {
            open.report(capture, outbox);
        }
    }
}

impl OpenOverrun {
    /// The part that was not reported yet.
    fn unreported(&self) -> OverrunPlace {
        OverrunPlace { at: self.place.at + self.reported, frames: self.place.frames - self.reported }
    }

    /// Reports the part that was not reported yet. This is realtime-safe.
    fn report(&mut self, capture: usize, outbox: &mut Outbox) {
        let OverrunPlace { at, frames } = self.unreported();
        if 0 < frames.0 {
            outbox.report_loss(AudioEvent::Overrun { capture, at, frames }, frames);
        }
        self.reported = self.place.frames;
    }
}
