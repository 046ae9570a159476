//! The latency of a pass: frames by which its sound lies behind what was heard while it was recorded. The takes are
//! placed so many frames earlier. Thread: control.
//!
//! The device tells its latency, as far as it knows it. The user can set an offset for the rest: converters, and blocks
//! that a sound server does not tell of. Playback that is restarted during the pass can change what the device tells, and
//! outputs that are gone let nothing be heard. A take has one place, so what was in force for the longest part of the pass
//! counts, in the mean of that part.

use super::counted;
use crate::control::Control;
use crate::device::{DelayReporter, DelayReporters, Latency};
use crate::message::PassRange;
use crate::message::published::NO_PASS;
use crate::session::LATENCY_MAX;
use crate::time::{Clock, FramePos, Frames, SampleRate};
use serde::Serialize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Parts of a pass that are kept. A device that restarts its outputs more often is in no step at all.
const PARTS_MAX: usize = 64;

/// Frames by which two parts of a pass may differ unsaid: the readings of a sound server are not more exact.
const JITTER_FRAMES: u64 = 48;

/// Time for which a sound server must tell the same latency until it is believed. PulseAudio corrects that of an idle source
/// in the first second and a half.
const LATENCY_REST: Duration = Duration::from_millis(1_200);

/// Frames by which it may move meanwhile.
const LATENCY_REST_JITTER: u64 = 512;

/// The largest offset, in either direction.
pub const LATENCY_OFFSET_MAX: i64 = 1 << 18;

/// A part of a pass in which the outputs ran without a restart, or were gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    /// The latency that the device told last. `None`: the outputs were gone, and nothing was heard.
    told: Option<Latency>,
    /// Frame of the pass at which it begins, and its length.
    from: u64,
    frames: u64,
    /// The sums of the latencies of its frames, of output and of input.
    sums: (u64, u64),
    /// Output was skipped in it, so the latency jumped and every value of before was right.
    has_skipped: bool,
}

impl Part {
    fn new(told: Option<Latency>, from: u64) -> Part {
        Part { told, from, frames: 0, sums: (0, 0), has_skipped: false }
    }

    /// The device tells `told`, and the part has `frames` frames. Two cards drift apart, so the latency grows or shrinks during
    /// the part, and jumps back where the device skips output that is late. Where it jumps otherwise, the device has
    /// corrected what it told before.
    fn grow(&mut self, told: Option<Latency>, frames: u64) {
        let sum = |told: Option<Latency>| told.map_or(0, Latency::sum);
        let skips = |told: Option<Latency>| told.map_or(0, |latency| latency.skips);
        self.has_skipped |= skips(told) != skips(self.told);
        if !self.has_skipped && JITTER_FRAMES < sum(told).abs_diff(sum(self.told)) {
            (self.frames, self.sums) = (0, (0, 0));
        }
        let more = frames.saturating_sub(self.frames);
        let Latency { output, input, .. } = told.unwrap_or_default();
        let add = |sum: u64, latency: u64| sum.saturating_add(latency.saturating_mul(more));
        self.sums = (add(self.sums.0, output), add(self.sums.1, input));
        (self.told, self.frames) = (told, self.frames + more);
    }

    /// The mean latency of the part; `None` if nothing was heard.
    fn latency(&self) -> Option<Latency> {
        let told = self.told?;
        let mean = |sum: u64, now: u64| (sum + self.frames / 2).checked_div(self.frames).unwrap_or(now);
        Some(Latency { output: mean(self.sums.0, told.output), input: mean(self.sums.1, told.input), ..told })
    }

    /// Frames by which what the part records lies behind what was heard; 0 if nothing was.
    fn sum(&self) -> u64 {
        self.latency().map_or(0, Latency::sum)
    }
}

/// The latency that the device tells, and since which frame of the device. An idle PulseAudio delivers its first frame after
/// two seconds, so the system's time would say nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::control) struct LatencyRest {
    sum: u64,
    from: u64,
}

impl LatencyRest {
    /// For a device that was opened when the device's clock was at `frames`.
    pub(in crate::control) fn new(frames: u64) -> LatencyRest {
        LatencyRest { sum: 0, from: frames }
    }

    /// The device tells the latency `sum` at its frame `now`.
    fn observe(&mut self, sum: u64, now: u64) {
        if now < self.from || LATENCY_REST_JITTER < sum.abs_diff(self.sum) {
            *self = LatencyRest { sum, from: now };
        }
    }

    fn is_settled(self, now: u64, rate: SampleRate) -> bool {
        rate.frames(LATENCY_REST).0 < now.saturating_sub(self.from)
    }
}

/// The latency of a pass so far.
#[derive(Clone, Debug)]
pub(in crate::control) struct PassLatency {
    /// Something is played while the pass is recorded: a guess before its first frames.
    is_heard: bool,
    /// Frames of the pass for which it is known whether something was played.
    known: Frames,
    offset: i64,
    reporters: DelayReporters,
    rate: SampleRate,
    parts: Vec<Part>,
}

/// The latency of a finished pass, for its report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LatencyReport {
    /// Frames by which the takes were placed earlier: the sum of the other fields, and never less than 0.
    pub frames: u64,
    /// Frames that output needs until it is heard.
    pub output: u64,
    /// Frames from the moment at which sound reaches the device to its frame number.
    pub input: u64,
    /// The offset that the user has set for the device.
    pub offset: i64,
    /// Who reports `output`; `None` (`null`) if nothing was heard.
    pub output_from: Option<DelayReporter>,
    /// Who reports `input`; `None` (`null`) if nothing was heard.
    pub input_from: Option<DelayReporter>,
    /// Whether `output` and `input` are the whole delay, as far as is known; `None` (`null`) if nothing was heard.
    pub complete: Option<bool>,
    /// Frames of a second, for the sentence about it.
    #[serde(skip)]
    rate: u32,
}

impl LatencyReport {
    /// The report as a part of a sentence; `None` if no take was moved.
    pub fn text(&self) -> Option<String> {
        let LatencyReport { frames, output, input, offset, rate, .. } = self;
        let set = if *offset == 0 { String::new() } else { format!(", {offset} by the offset of this device") };
        let time = frames_and_time(*frames, SampleRate(*rate));
        (0 < *frames).then(|| format!("placed {time} earlier: {output} of output, {input} of input{set}"))
    }
}

/// "768 frames (16.0 ms)".
pub fn frames_and_time(frames: u64, rate: SampleRate) -> String {
    format!("{} ({:.1} ms)", counted(frames, "frame"), 1000.0 * Frames(frames).seconds(rate))
}

impl PassLatency {
    /// The latency of a pass that begins now. `is_heard`: something is played while it records.
    fn new(
        is_heard: bool,
        offset: i64,
        device: Option<Latency>,
        reporters: DelayReporters,
        rate: SampleRate,
    ) -> PassLatency {
        PassLatency { is_heard, known: Frames(0), offset, reporters, rate, parts: vec![Part::new(device, 0)] }
    }

    /// Notes whether something was played from frame `known` of the pass up to frame `to`.
    fn note_played(&mut self, is_heard: bool, to: Frames) {
        self.is_heard = is_heard || (self.is_heard && Frames(0) < self.known);
        self.known = to;
    }

    /// The device tells `latency` after `frames` frames of the pass; `None` while its outputs are gone.
    fn observe(&mut self, latency: Option<Latency>, frames: Frames) {
        let room = self.parts.len() < PARTS_MAX;
        let starts = |latency: Option<Latency>| latency.map(|latency| latency.starts);
        let Some(last) = self.parts.last_mut() else { return };
        let is_same = starts(last.told) == starts(latency);
        if !is_same && room {
            self.parts.push(Part::new(latency, frames.0));
            return;
        }
        let told = if is_same { latency } else { last.told };
        last.grow(told, frames.0.saturating_sub(last.from));
    }

    /// The latency that was in force for the longest time; `None` if that is the time without outputs. Parts that differ by no
    /// more than jitter count together.
    fn longest(&self) -> Option<Latency> {
        let alike = |one: &Part, other: &Part| {
            one.told.is_some() == other.told.is_some() && one.sum().abs_diff(other.sum()) <= JITTER_FRAMES
        };
        let time =
            |one: &Part| -> u64 { self.parts.iter().filter(|part| alike(one, part)).map(|part| part.frames).sum() };
        let longest = self.parts.iter().max_by_key(|part| (time(part), part.frames));
        longest.and_then(Part::latency)
    }

    /// Frames by which the takes are placed earlier.
    pub(in crate::control) fn frames(&self) -> Frames {
        Frames(self.report().frames)
    }

    pub(super) fn report(&self) -> LatencyReport {
        let Some(Latency { output, input, .. }) = self.longest().filter(|_| self.is_heard) else {
            return LatencyReport::default();
        };
        let offset = self.offset;
        let frames = output.saturating_add(input).saturating_add_signed(offset).min(LATENCY_MAX);
        let (output_from, input_from) = (Some(self.reporters.output), Some(self.reporters.input));
        let complete = Some(self.reporters.are_complete());
        LatencyReport { frames, output, input, offset, output_from, input_from, complete, rate: self.rate.0 }
    }

    /// Why the takes may be too early or too late, in a few words; `None` if they lie where they belong, or nothing was heard.
    pub(super) fn flaw(&self) -> Option<&'static str> {
        self.longest().filter(|_| self.is_heard)?;
        self.reporters.reason(self.offset)
    }

    /// The sentence for the user: where the takes may lie, why, and what to do. `None` as for [`PassLatency::flaw`].
    fn advice(&self) -> Option<String> {
        self.longest().filter(|_| self.is_heard)?;
        self.reporters.advice(self.offset)
    }

    /// Frames of the pass that had another latency than the one that counts, and the largest difference.
    fn astray(&self) -> Option<(Frames, u64)> {
        if !self.is_heard {
            return None;
        }
        let counts = self.longest().map_or(0, Latency::sum);
        let off = |part: &Part| part.sum().abs_diff(counts);
        let is_astray = |part: &&Part| part.told.is_some() && JITTER_FRAMES < off(part) && 0 < part.frames;
        let astray = || self.parts.iter().filter(is_astray);
        let worst = astray().map(off).max()?;
        Some((Frames(astray().map(|part| part.frames).sum()), worst))
    }
}

impl Control {
    /// The name under which the user's settings keep the offset of the open device: device, rate and period.
    pub fn offset_key(&self) -> String {
        let device = &self.running.device;
        format!("{}, {}, {} frames", self.spec.name, device.rate, device.period_frames)
    }

    /// Sets the offset of passes that are recorded while something plays: frames by which they are placed earlier than the
    /// device tells. A pass that is on keeps its offset.
    pub fn set_latency_offset(&mut self, offset: i64) {
        self.latency_offset = offset.clamp(-LATENCY_OFFSET_MAX, LATENCY_OFFSET_MAX);
    }

    /// The offset, see [`Control::set_latency_offset`].
    pub fn latency_offset(&self) -> i64 {
        self.latency_offset
    }

    /// The latency of a pass that would begin now. `range` is what it records, `from` the position from which on
    /// something is played. For a pass without a range it is the guess that a recovery finds: see
    /// [`Control::observe_playing`].
    pub(super) fn latency_of_pass(&self, range: PassRange, from: FramePos) -> PassLatency {
        let end = match range {
            PassRange::Now(length) => FramePos(from.0.saturating_add(length.0)),
            PassRange::Punch { to, .. } => to,
        };
        let has_pre_roll = matches!(range, PassRange::Punch { .. });
        let is_heard =
            0 < self.running.device.outputs && self.players.play_between(&self.session, from, end, has_pre_roll);
        let device = &self.running.device;
        let latency = self.published().latency_heard();
        PassLatency::new(is_heard, self.latency_offset, latency, device.delays, device.rate)
    }

    /// Whether the latency that the device tells can be believed: a card's at once, that of a sound server when it has been
    /// the same for a while.
    pub fn latency_is_settled(&self) -> bool {
        let device = &self.running.device;
        let now = self.published().device_frames.load(Relaxed);
        device.source.is_none() || device.outputs == 0 || self.latency_rest.is_settled(now, device.rate)
    }

    /// Notes since when the device has told the same latency.
    pub(in crate::control) fn watch_latency(&mut self) {
        let (sum, now) = (self.published().latency().sum(), self.published().device_frames.load(Relaxed));
        self.latency_rest.observe(sum, now);
    }

    /// Tells that the takes may be too early or too late, because they ended before the server told its true latency.
    pub(super) fn tell_of_early_latency(&mut self) {
        let is_heard = self.pass.as_ref().is_some_and(|run| run.latency.is_heard);
        if is_heard && !self.latency_is_settled() {
            self.caution(
                "the sound server changed its latency until the end of the recording: the takes may be too early or \
                 too late; wait some seconds after the device is opened, and record again"
                    .to_owned(),
            );
        }
    }

    /// Tells that the takes may be too early or too late, because a sound server does not report all of its delay.
    pub(super) fn tell_of_incomplete_delay(&mut self) {
        if let Some(advice) = self.pass.as_ref().and_then(|run| run.latency.advice()) {
            self.info(advice);
        }
    }

    /// Notes what the device tells while the pass records.
    pub(super) fn observe_latency(&mut self) {
        let published = &self.running.published;
        let (frames, latency) = (published.pass_frames.load(Relaxed), published.latency_heard());
        let Some(run) = self.pass.as_mut().filter(|_| frames != NO_PASS) else { return };
        run.latency.observe(latency, Frames(frames));
        if run.machine.has_begun() {
            let began = run.machine.start();
            self.observe_playing(began, Frames(frames));
        }
    }

    /// Notes whether something was played while the pass, which began at `began`, recorded its frames up to frame `to`. Mutes,
    /// solos and gains may change while it records, and its end is not known before. A punch has a range: what is played in
    /// it has placed its recording before it began.
    pub(super) fn observe_playing(&mut self, began: FramePos, to: Frames) {
        let has_outputs = 0 < self.running.device.outputs;
        let Some(run) = self.pass.as_mut().filter(|run| run.request.punch.is_none()) else { return };
        let from = run.latency.known;
        if from < to {
            let is_heard = has_outputs && self.players.play_along(&self.session, began, from, to);
            run.latency.note_played(is_heard, to);
        }
    }

    /// Gives the takes of the pass the latency that is known now.
    pub(in crate::control) fn settle_latency(&mut self) {
        let Some(run) = &self.pass else { return };
        let latency = run.latency.frames();
        let ids: Vec<_> = run.takes.iter().flat_map(|take| take.spans(Frames(0))).map(|(id, ..)| id).collect();
        for id in ids {
            if self.session.take(id).is_some_and(|take| take.latency != latency) {
                self.session.set_take_latency(id, latency).ok();
            }
        }
    }

    /// Tells of parts of the pass that are too early or too late, because the outputs were restarted.
    pub(super) fn tell_of_parts_astray(&mut self) {
        let Some((frames, off)) = self.pass.as_ref().and_then(|run| run.latency.astray()) else { return };
        let rate = self.running.device.rate;
        let (time, off) = (Clock(frames.duration(rate)), frames_and_time(off, rate));
        self.caution(format!(
            "the outputs were restarted while it was recorded: {time} of the takes are up to {off} too early or too \
             late; a longer period keeps them in step"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: SampleRate = SampleRate(48_000);
    const EXACT: DelayReporters = DelayReporters { output: DelayReporter::Driver, input: DelayReporter::Driver };

    fn told(output: u64, input: u64, starts: u32) -> Latency {
        Latency { output, input, starts, skips: 0 }
    }

    /// A pass that was recorded while the outputs were gone was placed earlier, although nobody had heard anything.
    #[test]
    fn a_pass_is_not_moved_if_its_outputs_were_gone_for_the_longest_part() {
        let mut latency = PassLatency::new(true, 100, None, EXACT, RATE);
        assert_eq!((latency.frames(), latency.report().text()), (Frames(0), None));
        latency.observe(None, Frames(5_000));
        latency.observe(Some(told(128, 0, 2)), Frames(5_000));
        latency.observe(Some(told(128, 0, 2)), Frames(8_000));
        assert_eq!((latency.frames(), latency.astray()), (Frames(0), Some((Frames(3_000), 128))));
        // The outputs came back early: what was recorded before was not played to, so it is not astray.
        latency.observe(Some(told(128, 0, 2)), Frames(20_000));
        assert_eq!((latency.frames(), latency.astray()), (Frames(228), None));
    }

    #[test]
    fn the_latency_of_the_longest_part_of_a_pass_counts() {
        let mut latency = PassLatency::new(true, 0, Some(told(128, 0, 1)), EXACT, RATE);
        assert_eq!(latency.frames(), Frames(128));
        latency.observe(Some(told(140, 10, 1)), Frames(1_000));
        latency.observe(Some(told(256, 0, 2)), Frames(1_200));
        assert_eq!((latency.frames(), latency.astray()), (Frames(150), None));
        latency.observe(Some(told(512, 256, 2)), Frames(9_000));
        assert_eq!(
            latency.report().text().unwrap(),
            "placed 768 frames (16.0 ms) earlier: 512 of output, 256 of input"
        );
        assert_eq!(latency.astray(), Some((Frames(1_000), 618)));
    }

    /// The last latency of the pass placed all of it.
    #[test]
    fn a_latency_that_grows_during_a_pass_places_it_by_its_middle() {
        let mut latency = PassLatency::new(true, 0, Some(told(128, 64, 1)), EXACT, RATE);
        for step in 0..=300 {
            latency.observe(Some(told(128 + step, 64, 1)), Frames(1_000 * step));
        }
        assert_eq!((latency.frames(), latency.astray()), (Frames(128 + 151 + 64), None));
        // A jump is a correction.
        latency.observe(Some(told(1_000, 64, 1)), Frames(301_000));
        assert_eq!(latency.frames(), Frames(1_064));
    }

    /// In nearly every overdub with two cards a caution said that the outputs were restarted.
    #[test]
    fn output_that_is_skipped_again_and_again_leaves_one_part_with_the_mean_latency() {
        let mut latency = PassLatency::new(true, 0, Some(told(128, 64, 1)), EXACT, RATE);
        for step in 0..4_000 {
            // The clock of the outputs is slower: they fall behind by up to 8 ms, and output is skipped.
            let (late, skips) = (step % 400, (step / 400) as u32);
            latency.observe(Some(Latency { skips, ..told(128 + late, 64, 1) }), Frames(1_000 * step));
        }
        assert_eq!((latency.parts.len(), latency.astray()), (1, None));
        assert!(latency.frames().0.abs_diff(128 + 64 + 200) <= 2, "{:?}", latency.frames());
        // A restart is another part.
        latency.observe(Some(told(512, 64, 2)), Frames(4_000_000));
        latency.observe(Some(told(512, 64, 2)), Frames(4_100_000));
        assert_eq!((latency.parts.len(), latency.astray().is_some()), (2, true));
    }

    /// A take of a second was placed 0.3 s too early.
    #[test]
    fn a_latency_that_a_server_still_corrects_is_not_settled() {
        let (mut rest, rate) = (LatencyRest::default(), SampleRate(48_000));
        // For two seconds the server delivers nothing. Then it gives a delay, corrects it in steps, and keeps it.
        for (sum, now) in [(128, 0), (128, 0), (33_000, 1_024), (20_000, 30_000), (3_000, 70_000), (3_040, 120_000)] {
            rest.observe(sum, now);
            assert!(!rest.is_settled(now, rate), "{sum} {now}");
        }
        assert!(rest.is_settled(130_000, rate));
    }

    #[test]
    fn an_offset_is_added_and_what_was_recorded_alone_is_not_moved() {
        let latency = |offset| PassLatency::new(true, offset, Some(told(128, 0, 1)), EXACT, RATE);
        assert_eq!(latency(700).frames(), Frames(828));
        assert_eq!(latency(-28).frames(), Frames(100));
        assert_eq!((latency(-700).frames(), latency(-700).report().text()), (Frames(0), None));
        let text = latency(-28).report().text().unwrap();
        assert_eq!(
            text,
            "placed 100 frames (2.1 ms) earlier: 128 of output, 0 of input, -28 by the offset of this device"
        );
        let alone = PassLatency::new(false, 700, Some(told(128, 0, 1)), EXACT, RATE);
        assert_eq!((alone.frames(), alone.report().text()), (Frames(0), None));
    }

    #[test]
    fn a_pass_is_moved_if_something_was_played_in_it_whatever_was_guessed() {
        for (guess, played, moved) in
            [(true, [false, false], 0), (false, [false, true], 128), (false, [true, false], 128)]
        {
            let mut latency = PassLatency::new(guess, 0, Some(told(128, 0, 1)), EXACT, RATE);
            assert_eq!(latency.frames(), Frames(if guess { 128 } else { 0 }));
            for (is_heard, to) in played.into_iter().zip([1_000, 2_000]) {
                latency.note_played(is_heard, Frames(to));
            }
            assert_eq!(latency.frames(), Frames(moved), "{guess} {played:?}");
        }
    }

    #[test]
    fn a_device_that_never_rests_costs_no_memory() {
        let mut latency = PassLatency::new(true, 0, Some(told(128, 0, 0)), EXACT, RATE);
        for start in 0..1_000 {
            latency.observe(Some(told(128, 0, start)), Frames(u64::from(start)));
        }
        assert_eq!(latency.parts.len(), PARTS_MAX);
    }

    /// Overdubs through a sound server were too late, and nothing said so.
    #[test]
    fn a_report_that_lacks_a_delay_is_said_if_something_was_heard_and_no_offset_corrects_it() {
        let told = Some(told(128, 64, 1));
        let by = |reporter| DelayReporters { output: reporter, input: reporter };
        let of = |is_heard, offset, reporter| PassLatency::new(is_heard, offset, told, by(reporter), RATE);
        for (reporter, is_exact) in [
            (DelayReporter::Driver, true),
            (DelayReporter::BuiltIn, true),
            (DelayReporter::PipeWire, true),
            (DelayReporter::Jack, true),
            (DelayReporter::JackClient, false),
            (DelayReporter::JackPlugin, false),
            (DelayReporter::PulseAudio, false),
        ] {
            let latency = of(true, 0, reporter);
            assert_eq!((latency.flaw().is_none(), latency.advice().is_none()), (is_exact, is_exact), "{reporter:?}");
            let report = latency.report();
            assert_eq!((report.output_from, report.input_from), (Some(reporter), Some(reporter)));
            assert_eq!(report.complete, Some(is_exact), "{reporter:?}");
            let alone = of(false, 0, reporter);
            assert_eq!((alone.flaw(), alone.advice(), alone.report()), (None, None, LatencyReport::default()));
        }
        assert_eq!(of(true, 256, DelayReporter::JackPlugin).advice(), None);
        assert!(of(true, 256, DelayReporter::PulseAudio).advice().is_some());
        let gone = PassLatency::new(true, 0, None, by(DelayReporter::PulseAudio), RATE);
        assert_eq!(gone.advice(), None, "the outputs were gone");
    }
}
