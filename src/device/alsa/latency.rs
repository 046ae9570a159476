//! The way from the outputs to the inputs, as the driver reports it. Thread: audio.
//!
//! Output for the next frame to be lent will be heard after the delay that the playback side reports. The input frame
//! of that number was captured before the delay that the capture side reports. So the sum of both delays, read at one
//! moment, is the number of frames by which a played sound comes back later. It does not depend on how full the two
//! buffers are, because a frame that leaves one enters the other.
//!
//! A driver of a card counts in packets and a sound server in blocks, so a single reading can be wrong by some frames.
//! The median of the last readings is used.
//!
//! A sound server gives the two sides of a device their blocks one after the other, and this thread runs as soon as the inputs
//! have theirs. At that moment the outputs may lack a block, in each reading. So a server's delays are read a part of a period
//! later.
//!
//! A stream that loses nothing has one latency. PulseAudio tells up to 33,000 frames for a source that was idle, and corrects
//! that in the first second and a half, while the frames come at their rate. So where the newest readings have moved away from
//! the others, the newest count.

use super::pcm::Kind;
use super::sleep::PAUSE_NS_MIN;
use super::{AlsaDevice, EXACT_READING_NS};
use crate::device::Latency;

/// Readings of which the median is used.
const READINGS: usize = 31;

/// The newest of these readings. Two wrong ones among them do no harm.
const READINGS_NEW: usize = 5;

/// Frames by which the newest readings may differ from all of them: blocks of a server begin at different times.
const MOVED_FRAMES: i64 = 512;

/// The part of a period after which both sides of a sound server's device have their blocks. Periods and blocks of servers are
/// mostly powers of two, so a third of a period is never the beginning of the next block.
const SETTLING: u64 = 3;

/// Nanoseconds between the first readings. Later ones are made with the exact counts.
const FIRST_READINGS_NS: u64 = 10_000_000;

/// The readings since playback was started or output was skipped. Owns no heap memory.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LatencyMeter {
    /// Frames of both directions, and of the inputs alone. A new reading replaces the oldest one.
    readings: [(i64, i64); READINGS],
    count: usize,
    due_ns: u64,
    /// When the reading that is due is made: both sides have their blocks by then.
    settled_ns: Option<u64>,
    /// The latency by the readings alone.
    by_readings: Latency,
    /// Frames of output and of input that the readings lack, see [`super::delays::unreported_frames`].
    unreported: (u64, u64),
}

impl LatencyMeter {
    /// `unreported`: frames of output and of input that the readings lack.
    pub(super) fn new(unreported: (u64, u64)) -> LatencyMeter {
        LatencyMeter { unreported, ..LatencyMeter::default() }
    }

    /// The outputs are others, so the readings lack other frames.
    pub(super) fn set_unreported(&mut self, unreported: (u64, u64)) {
        self.unreported = unreported;
    }

    /// Playback was started. `prefill`: frames with which it was filled.
    pub(super) fn restart(&mut self, prefill: usize) {
        (self.count, self.due_ns) = (0, 0);
        self.by_readings =
            Latency { output: prefill as u64, input: 0, starts: self.by_readings.starts.wrapping_add(1), skips: 0 };
    }

    /// `frames` frames of output are skipped: what follows is heard so much earlier. Playback runs on, so this is no start.
    pub(super) fn skip(&mut self, frames: usize) {
        (self.count, self.due_ns) = (0, 0);
        let output = self.by_readings.output.saturating_sub(frames as u64);
        self.by_readings = Latency { output, skips: self.by_readings.skips.wrapping_add(1), ..self.by_readings };
    }

    /// The latency to publish: the median of the last readings (before the first one the prefill), and the unreported frames.
    pub(super) fn latency(&self) -> Latency {
        let (output, input) = self.unreported;
        Latency { output: self.by_readings.output + output, input: self.by_readings.input + input, ..self.by_readings }
    }

    fn observe(&mut self, sum: i64, input: i64) {
        self.readings[self.count % READINGS] = (sum, input);
        self.count += 1;
        let of_all = self.median(READINGS);
        let newest = self.median(READINGS_NEW);
        let (sum, input) = if MOVED_FRAMES < (newest.0 - of_all.0).abs() { newest } else { of_all };
        let sum = sum.max(0);
        let input = input.clamp(0, sum);
        self.by_readings = Latency { output: (sum - input) as u64, input: input as u64, ..self.by_readings };
    }

    /// The medians of the newest `most` readings: of the sums, and of the inputs.
    fn median(&self, most: usize) -> (i64, i64) {
        let mut newest = [(0, 0); READINGS];
        let count = self.count.min(most);
        for (age, reading) in newest.iter_mut().take(count).enumerate() {
            *reading = self.readings[(self.count - 1 - age) % READINGS];
        }
        let newest = &mut newest[..count];
        newest.sort_unstable_by_key(|reading| reading.0);
        let sum = newest[count / 2].0;
        newest.sort_unstable_by_key(|reading| reading.1);
        (sum, newest[count / 2].1)
    }
}

impl AlsaDevice {
    /// Reads the delays of both sides, if it is time to. Less than a period is ready; the rest of it needs `left_ns`. Returns the time
    /// to sleep until, if the sides may not have their blocks yet.
    pub(super) fn measure_latency(&mut self, now_ns: u64, left_ns: u64) -> Option<u64> {
        if now_ns < self.latency.due_ns || self.playback_failed || !self.skip.is_over() || self.unmeasured.is_some() {
            return None;
        }
        let (Some(capture), Some(playback)) = (&self.capture, &self.playback) else { return None };
        let settling_ns = (self.period_ns() / SETTLING).min(left_ns);
        // A longer sleep would reach the next period, again and again.
        if [capture.kind, playback.kind].contains(&Kind::Server) && PAUSE_NS_MIN <= settling_ns {
            let settled_ns = *self.latency.settled_ns.get_or_insert(now_ns + settling_ns);
            if now_ns < settled_ns {
                return Some(settled_ns);
            }
            self.latency.settled_ns = None;
        }
        self.read_latency(now_ns);
        None
    }

    /// A period is ready, so the sides get new blocks. A reading that waits is made after the next ones.
    pub(super) fn postpone_latency(&mut self) {
        self.latency.settled_ns = None;
    }

    fn read_latency(&mut self, now_ns: u64) {
        let pause_ns = if self.latency.count < READINGS { FIRST_READINGS_NS } else { EXACT_READING_NS };
        self.latency.due_ns = now_ns + pause_ns;
        let (Some(capture), Some(playback)) = (&self.capture, &self.playback) else { return };
        let (mut best, mut narrowest) = (None, i64::MAX);
        for _ in 0..4 {
            let (before, output) = (capture.pcm.avail_delay(), playback.pcm.avail_delay());
            let (Ok(before), Ok((_, output)), Ok(after)) = (before, output, capture.pcm.avail_delay()) else { return };
            let took = after.1 - before.1;
            if took < narrowest {
                let input = i64::midpoint(before.1, after.1);
                (best, narrowest) = (Some((input + output, before.1 - before.0)), took);
            }
            if took <= 1 {
                break;
            }
        }
        if let Some((sum, input)) = best {
            self.latency.observe(sum, input);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_the_readings_counts_and_a_restart_forgets_them() {
        let mut meter = LatencyMeter::default();
        meter.restart(512);
        assert_eq!(meter.latency(), Latency { output: 512, input: 0, starts: 1, skips: 0 });
        for sum in [760, 768, 5_000, 770, -3] {
            meter.observe(sum, 256);
        }
        assert_eq!(meter.latency(), Latency { output: 512, input: 256, starts: 1, skips: 0 });
        for _ in 0..READINGS {
            meter.observe(900, 950);
        }
        assert_eq!(meter.latency(), Latency { output: 0, input: 900, starts: 1, skips: 0 });
        meter.restart(1024);
        assert_eq!(meter.latency(), Latency { output: 1024, input: 0, starts: 2, skips: 0 });
    }

    /// An overdub through JACK was late by JACK's blocks.
    #[test]
    fn what_the_readings_lack_is_added_once_before_and_after_them() {
        let mut meter = LatencyMeter::new((768, 256));
        meter.restart(512);
        assert_eq!(meter.latency(), Latency { output: 512 + 768, input: 256, starts: 1, skips: 0 });
        for _ in 0..READINGS {
            meter.observe(600, 88);
        }
        assert_eq!(meter.latency(), Latency { output: 512 + 768, input: 88 + 256, starts: 1, skips: 0 });
        meter.skip(100);
        assert_eq!(meter.latency(), Latency { output: 412 + 768, input: 88 + 256, starts: 1, skips: 1 });
        meter.set_unreported((0, 0));
        assert_eq!(meter.latency(), Latency { output: 412, input: 88, starts: 1, skips: 1 });
    }

    /// Outputs of a slower card were said to have been restarted each time that output was skipped.
    #[test]
    fn skipped_output_shortens_the_latency_and_is_no_start() {
        let mut meter = LatencyMeter::default();
        meter.restart(512);
        for reading in 0..40 {
            meter.observe(900 + reading, 256);
        }
        let before = meter.latency();
        meter.skip(384);
        let after = Latency { output: before.output - 384, skips: 1, ..before };
        assert_eq!(meter.latency(), after);
        meter.observe(530, 256);
        assert_eq!(meter.latency(), Latency { output: 274, input: 256, starts: 1, skips: 1 });
        meter.skip(9_000);
        assert_eq!((meter.latency().output, meter.latency().skips), (0, 2));
        meter.restart(512);
        assert_eq!(meter.latency(), Latency { output: 512, input: 0, starts: 2, skips: 0 });
    }

    /// A take that was recorded through PulseAudio was placed 0.3 s too early.
    #[test]
    fn readings_that_a_server_corrects_do_not_count() {
        let mut meter = LatencyMeter::default();
        meter.restart(3_840);
        for reading in 0..12 {
            meter.observe(32_800 + 3_000, 32_800 - reading);
        }
        // It falls for a second and a half, and stays.
        for reading in 0..8 {
            meter.observe(32_800 - 4_100 * reading + 3_000, 32_800 - 4_100 * reading);
        }
        for _ in 0..3 {
            meter.observe(3_040, 40);
        }
        assert_eq!(meter.latency(), Latency { output: 3_000, input: 40, starts: 1, skips: 0 });
        // Two wrong ones move nothing.
        for sum in [9_000, 9_000, 3_040, 3_040] {
            meter.observe(sum, 40);
            assert_eq!(meter.latency(), Latency { output: 3_000, input: 40, starts: 1, skips: 0 }, "{sum}");
        }
    }
}
