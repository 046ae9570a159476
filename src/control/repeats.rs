//! Events of the device that may come many times a second: the first is a notice, those after it are one notice a second
//! with their number. Thread: control.

use super::{Control, Severity};
use crate::device::LossCause;
use crate::flight::record::Kind;
use crate::time::{Clock, FramePos, Frames, SampleRate};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

/// Largest difference of two clocks in parts per million. A larger one is another rate.
const CLOCK_PPM_MAX: u32 = 25_000;

/// Messages round the rate of the outputs to a multiple of this.
const RATE_STEP_HZ: f64 = 50.0;

/// Events of one kind. Time is the device's own: without a device there are no such events.
#[derive(Debug, Default)]
struct Repeat {
    /// Device frame from which on the next notice may be shown.
    next: u64,
    /// Events that no notice has told of yet.
    waiting: u64,
}

impl Repeat {
    /// An event came. Returns whether it is to be shown at once.
    fn came(&mut self, now: u64, spacing: u64) -> bool {
        if 0 < self.waiting || now < self.next {
            self.waiting += 1;
            return false;
        }
        self.next = now + spacing;
        true
    }

    /// The number of events that waited, if it is time to tell of them.
    fn due(&mut self, now: u64, spacing: u64) -> Option<u64> {
        if self.waiting == 0 || now < self.next {
            return None;
        }
        self.next = now + spacing;
        Some(std::mem::take(&mut self.waiting))
    }
}

/// Frames that the device lost, once or several times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LostFrames {
    pub(super) times: u64,
    pub(super) frames: Frames,
    /// Frames of these that are silence in every take.
    pub(super) recorded: Frames,
    pub(super) cause: LossCause,
}

impl LostFrames {
    /// Frames outside of a recording cost no sound. A sound server leaves some out when it changes the length of its blocks
    /// for a new client.
    fn severity(&self) -> Severity {
        if self.recorded == Frames(0) { Severity::Caution } else { Severity::Loss }
    }

    fn text(&self, rate: SampleRate) -> String {
        let LostFrames { times, frames, recorded, cause } = self;
        let consequence = match recorded {
            Frames(0) => "nothing was recorded then".to_owned(),
            recorded if recorded == frames => "it is silence in every take".to_owned(),
            recorded => {
                format!("{} of it is silence in every take, the rest is outside of the recording", recorded.text(rate))
            }
        };
        let times = if *times == 1 { String::new() } else { format!(" in {times} further losses") };
        format!("{} lost{times} ({}); {consequence}", frames.text(rate), cause.words())
    }
}

/// The losses that control holds back: of one cause, one notice a second. The takes list each of them.
#[derive(Debug, Default)]
struct Losses {
    /// Device frame from which on the next notice may be shown.
    next: u64,
    waiting: Option<(FramePos, LostFrames)>,
}

impl Losses {
    /// Frames were lost. Returns the notices to show at once.
    fn came(&mut self, at: FramePos, lost: LostFrames, now: u64, spacing: u64) -> Vec<(FramePos, LostFrames)> {
        match &mut self.waiting {
            Some((_, waiting)) if waiting.cause == lost.cause => {
                waiting.times += lost.times;
                waiting.frames += lost.frames;
                waiting.recorded += lost.recorded;
                Vec::new()
            }
            // The user must act on a suspend or an unplug, so a series of xruns before it does not hold the message back.
            waiting if now < self.next && lost.cause == LossCause::Xrun => {
                let before = waiting.replace((at, lost));
                before.into_iter().collect()
            }
            waiting => {
                self.next = now + spacing;
                waiting.take().into_iter().chain([(at, lost)]).collect()
            }
        }
    }

    /// The losses that waited, if it is time to tell of them.
    fn due(&mut self, now: u64, spacing: u64) -> Option<(FramePos, LostFrames)> {
        if now < self.next {
            return None;
        }
        let waiting = self.waiting.take()?;
        self.next = now + spacing;
        Some(waiting)
    }
}

/// Frames for which takes had no window.
#[derive(Debug, PartialEq, Eq)]
struct Overrun {
    /// The name of the take that was reported first.
    name: String,
    /// The first frame of the pass.
    at: FramePos,
    /// The frames of each take, by its place in the pass.
    takes: BTreeMap<usize, Frames>,
    /// Whether a notice has told of frames before these.
    is_further: bool,
}

impl Overrun {
    fn frames(&self) -> u64 {
        self.takes.values().map(|frames| frames.0).sum()
    }

    fn text(&self, rate: SampleRate) -> String {
        let clock = Clock(Frames(self.at.0).duration(rate));
        let longest = self.takes.values().max().copied().unwrap_or_default().text(rate);
        let more = if self.is_further { " more" } else { "" };
        match self.takes.len() {
            0 | 1 => format!("{} {clock}: {longest}{more} not recorded (no memory was ready); silence", self.name),
            count => {
                format!("{count} takes {clock}: up to {longest}{more} not recorded (no memory was ready); silence")
            }
        }
    }
}

/// The overruns that control holds back. While no window comes, each take reports one overrun after the other: the first is
/// a notice, those after it are one notice a second for all takes.
#[derive(Debug, Default)]
struct Overruns {
    /// Device frame from which on the next notice may be shown.
    next: u64,
    waiting: Option<Overrun>,
}

impl Overruns {
    /// A take had no window. Returns the overrun if it is to be shown at once.
    fn came(&mut self, overrun: Overrun, now: u64, spacing: u64) -> Option<Overrun> {
        match &mut self.waiting {
            Some(waiting) => {
                waiting.at = waiting.at.min(overrun.at);
                for (take, frames) in overrun.takes {
                    *waiting.takes.entry(take).or_default() += frames;
                }
                None
            }
            None if now < self.next => {
                self.waiting = Some(Overrun { is_further: true, ..overrun });
                None
            }
            None => {
                self.next = now + spacing;
                Some(overrun)
            }
        }
    }

    /// The overruns that waited, if it is time to tell of them.
    fn due(&mut self, now: u64, spacing: u64) -> Option<Overrun> {
        if now < self.next {
            return None;
        }
        let waiting = self.waiting.take()?;
        self.next = now + spacing;
        Some(waiting)
    }
}

/// Times at which the outputs were late. The notice waits until the silent frames are known: the outputs begin again first,
/// and then the audio thread drops the output that is too late.
#[derive(Debug, Default)]
struct LateOutputs {
    /// Device frame from which on the next notice may be shown.
    next: u64,
    waiting: Option<LateTimes>,
    /// Frames not heard at the last look.
    unheard: u64,
    /// The same at the last notice, or at the last look before the first of the times that wait.
    told: u64,
}

/// Times that no notice has told of yet.
#[derive(Clone, Copy, Debug)]
struct LateTimes {
    first: FramePos,
    times: u64,
    /// Device frame at which the first of them came.
    since: u64,
    /// Device frame at which the last of them came, or at which frames were last found not to be heard.
    changed: u64,
}

impl LateOutputs {
    fn came(&mut self, at: FramePos, now: u64) {
        let fresh = LateTimes { first: at, times: 0, since: now, changed: now };
        let waiting = self.waiting.get_or_insert(fresh);
        waiting.times += 1;
        waiting.changed = now;
    }

    /// The times that waited and the silent frames, if it is time to tell of them: no more frames are silent, or a second has
    /// passed. `unheard` are the frames that were not heard so far.
    fn due(&mut self, now: u64, spacing: u64, unheard: u64) -> Option<(LateTimes, Frames)> {
        let before = std::mem::replace(&mut self.unheard, unheard);
        let Some(waiting) = &mut self.waiting else {
            self.told = before;
            return None;
        };
        if before != unheard {
            waiting.changed = now;
        }
        let is_over = waiting.changed + spacing / 10 <= now || waiting.since + spacing <= now;
        if !is_over || now < self.next {
            return None;
        }
        self.next = now + spacing;
        self.take(unheard)
    }

    fn take(&mut self, unheard: u64) -> Option<(LateTimes, Frames)> {
        let waiting = self.waiting.take()?;
        let told = std::mem::replace(&mut self.told, unheard);
        Some((waiting, Frames(unheard.saturating_sub(told))))
    }
}

/// The notice of outputs that were late.
fn late_text(late: LateTimes, silent: Frames, rate: SampleRate) -> String {
    let at = Clock(Frames(late.first.0).duration(rate));
    let times = if late.times == 1 { String::new() } else { format!(" {} times", late.times) };
    let silent = if silent == Frames(0) { String::new() } else { format!(" and silent for {}", silent.text(rate)) };
    format!("{at}: the outputs were late{times}{silent}; the recorded sound is complete")
}

/// The events that control holds back.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    outputs_late: LateOutputs,
    inputs_late: Repeat,
    /// Frames not heard when the outputs failed, or when a pass began after that; `None` if they have not failed.
    outputs_failed: Option<u64>,
    losses: Losses,
    overruns: Overruns,
    /// Frames that the device has lost while nothing was recorded.
    unrecorded: Frames,
    /// The drift was told.
    drift_told: bool,
    /// Another rate of the outputs was told.
    rates_told: bool,
}

impl Control {
    /// The outputs were late; no input frame was lost.
    pub(super) fn outputs_were_late(&mut self, at: FramePos) {
        let (now, _) = self.device_time();
        self.repeats.outputs_late.came(at, now);
    }

    fn tell_of_late_outputs(&mut self, (late, silent): (LateTimes, Frames)) {
        let numbers = [("at", late.first.0), ("frames", silent.0), ("times", late.times)];
        let text = late_text(late, silent, self.running.device.rate);
        self.notify(Kind::Dropout, Severity::Caution, text, &numbers);
    }

    /// The outputs of a device with inputs have failed. No recorded frame is lost.
    pub(super) fn outputs_failed(&mut self, reason: &str) {
        let text = format!("{}: {reason}", self.running.device.name);
        self.notify(Kind::DeviceGone, Severity::Caution, text, &[]);
        self.outputs_are_silent();
    }

    /// The outputs are silent from now on.
    pub(super) fn outputs_are_silent(&mut self) {
        let unheard = self.running.published.frames_unheard.load(Relaxed);
        self.repeats.outputs_failed.get_or_insert(unheard);
    }

    /// Outputs that have failed play again, after `silent`.
    pub(super) fn outputs_back(&mut self, silent: Frames) {
        let (name, time) = (&self.running.device.name, silent.text(self.running.device.rate));
        let text = format!("{name}: the outputs play again; they were silent for {time}");
        self.notify(Kind::DeviceBack, Severity::Info, text, &[("frames", silent.0)]);
        self.repeats.outputs_failed = None;
    }

    /// The outputs that have failed are replaced with the whole device.
    pub(super) fn outputs_replaced(&mut self) {
        if self.is_recording() {
            self.tell_of_failed_outputs();
        }
        self.repeats.outputs_failed = None;
    }

    /// A pass begins. The silence of outputs that have failed before is no part of it.
    pub(super) fn pass_begins_with_outputs(&mut self) {
        let unheard = self.running.published.frames_unheard.load(Relaxed);
        self.repeats.outputs_failed = self.repeats.outputs_failed.map(|_| unheard);
    }

    /// Tells for how long outputs that have failed were silent in the pass that has ended.
    pub(super) fn tell_of_failed_outputs(&mut self) {
        let unheard = self.running.published.frames_unheard.load(Relaxed);
        let Some(before) = self.repeats.outputs_failed.filter(|before| *before < unheard) else { return };
        let silent = Frames(unheard - before);
        let (name, time) = (&self.running.device.name, silent.text(self.running.device.rate));
        let text = format!("{name}: the outputs were silent for {time}; the recorded sound is complete");
        self.notify(Kind::Dropout, Severity::Caution, text, &[("frames", silent.0)]);
    }

    /// The inputs were late, and no frame was lost.
    pub(super) fn inputs_were_late(&mut self, at: FramePos, cause: LossCause) {
        let (now, second) = self.device_time();
        if self.repeats.inputs_late.came(now, second) {
            let at = Clock(Frames(at.0).duration(self.running.device.rate));
            self.caution(format!("{at}: {} without loss of a recorded frame", cause.words()));
        }
    }

    /// The device lost frames.
    pub(super) fn frames_were_lost(&mut self, at: FramePos, lost: LostFrames) {
        let (now, second) = self.device_time();
        self.repeats.unrecorded += Frames(lost.frames.0.saturating_sub(lost.recorded.0));
        for (at, lost) in self.repeats.losses.came(at, lost, now, second) {
            self.tell_of_loss(at, lost);
        }
    }

    /// A take had no window for frames from frame `at` of the pass on.
    pub(super) fn take_had_no_window(&mut self, capture: usize, at: FramePos, frames: Frames) {
        let (now, second) = self.device_time();
        let name = self.pass.as_ref().map_or_else(String::new, |pass| pass.take_name(capture, &self.session));
        let overrun = Overrun { name, at, takes: BTreeMap::from([(capture, frames)]), is_further: false };
        if let Some(overrun) = self.repeats.overruns.came(overrun, now, second) {
            self.tell_of_overrun(&overrun);
        }
    }

    fn tell_of_overrun(&mut self, overrun: &Overrun) {
        let numbers = [("at", overrun.at.0), ("frames", overrun.frames()), ("takes", overrun.takes.len() as u64)];
        let text = overrun.text(self.running.device.rate);
        self.notify(Kind::Overrun, Severity::Loss, text, &numbers);
    }

    /// Frames that the device has lost while nothing was recorded.
    pub(crate) fn frames_lost_unrecorded(&self) -> u64 {
        self.repeats.unrecorded.0
    }

    fn tell_of_loss(&mut self, at: FramePos, lost: LostFrames) {
        let rate = self.running.device.rate;
        let clock = Clock(Frames(at.0).duration(rate));
        let numbers = [("at", at.0), ("frames", lost.frames.0), ("times", lost.times)];
        self.notify(Kind::Lost, lost.severity(), format!("{clock}: {}", lost.text(rate)), &numbers);
    }

    /// Tells of losses and late outputs that were held back, before the report of a pass and at the end.
    pub(super) fn show_held_losses(&mut self) {
        if let Some((at, lost)) = self.repeats.losses.waiting.take() {
            self.tell_of_loss(at, lost);
        }
        if let Some(overrun) = self.repeats.overruns.waiting.take() {
            self.tell_of_overrun(&overrun);
        }
        let unheard = self.running.published.frames_unheard.load(Relaxed);
        if let Some(late) = self.repeats.outputs_late.take(unheard) {
            self.tell_of_late_outputs(late);
        }
    }

    /// Tells once of clocks that differ.
    fn warn_of_drift(&mut self) {
        let ppm = self.running.published.drift_ppm.load(Relaxed);
        if CLOCK_PPM_MAX < ppm.unsigned_abs() {
            return self.warn_of_rate_of_outputs(ppm);
        }
        if ppm == 0 || self.repeats.drift_told {
            return;
        }
        self.repeats.drift_told = true;
        let faster = if 0 < ppm { "inputs" } else { "outputs" };
        self.caution(format!(
            "{}: the clock of its {faster} is faster by {} ppm, so the outputs drop out now and then; takes are complete; \
             record and play on one card, or connect the word clocks of both",
            self.running.device.name,
            ppm.abs()
        ));
    }

    /// Tells once of outputs at another rate than that of the inputs, which is the session's.
    fn warn_of_rate_of_outputs(&mut self, ppm: i32) {
        if std::mem::replace(&mut self.repeats.rates_told, true) {
            return;
        }
        let (name, rate) = (&self.running.device.name, self.running.device.rate);
        let hz = f64::from(rate.0) * (1.0 - f64::from(ppm) * 1e-6);
        let outputs = SampleRate((hz / RATE_STEP_HZ).round().max(0.0) as u32 * RATE_STEP_HZ as u32);
        self.caution(format!(
            "{name}: its outputs run at about {outputs} and its inputs at {rate}: what is heard has the wrong speed and drops \
             out again and again; takes are complete; set the outputs to {rate}, or record and play on one card"
        ));
    }

    /// Tells of the events that were held back for a second.
    pub(super) fn show_repeats(&mut self) {
        self.warn_of_drift();
        let (now, second) = self.device_time();
        if let Some((at, lost)) = self.repeats.losses.due(now, second) {
            self.tell_of_loss(at, lost);
        }
        if let Some(overrun) = self.repeats.overruns.due(now, second) {
            self.tell_of_overrun(&overrun);
        }
        let unheard = self.running.published.frames_unheard.load(Relaxed);
        if let Some(late) = self.repeats.outputs_late.due(now, second, unheard) {
            self.tell_of_late_outputs(late);
        }
        if let Some(count) = self.repeats.inputs_late.due(now, second) {
            self.caution(format!("{count} more xruns without loss of a recorded frame"));
        }
    }

    /// The device's frame counter, and the frames of a second.
    fn device_time(&self) -> (u64, u64) {
        (self.running.published.device_frames.load(Relaxed), u64::from(self.running.device.rate.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_event_is_shown_at_once_and_the_next_ones_are_one_notice_a_second() {
        let mut repeat = Repeat::default();
        let mut shown = Vec::new();
        for now in 0..250 {
            // An event at each of the first 200 moments.
            if now < 200 && repeat.came(now, 100) {
                shown.push((now, 1));
            }
            shown.extend(repeat.due(now, 100).map(|count| (now, count)));
        }
        assert_eq!(shown, [(0, 1), (100, 100), (200, 99)]);
        // After a quiet second the next one is shown at once again.
        assert!(repeat.came(1000, 100));
    }

    /// 64 takes without windows were 94 notices a second.
    #[test]
    fn an_overrun_that_lasts_is_one_notice_a_second_for_all_takes() {
        let mut overruns = Overruns::default();
        let mut shown = Vec::new();
        for now in (0..2500_u64).step_by(500) {
            for take in 0..3 {
                let takes = BTreeMap::from([(take, Frames(500))]);
                let overrun = Overrun { name: format!("In {take}"), at: FramePos(now), takes, is_further: false };
                shown.extend(overruns.came(overrun, now, 1000));
            }
            shown.extend(overruns.due(now, 1000));
        }
        shown.extend(overruns.waiting.take());
        let told: Vec<String> = shown.iter().map(|overrun| overrun.text(SampleRate(1000))).collect();
        let wanted = [
            "In 0 0:00.000: 500 ms not recorded (no memory was ready); silence",
            "3 takes 0:00.000: up to 1.5 s more not recorded (no memory was ready); silence",
            "3 takes 0:01.500: up to 1.0 s more not recorded (no memory was ready); silence",
        ];
        assert_eq!(told, wanted);
        assert_eq!(shown.iter().map(Overrun::frames).sum::<u64>(), 5 * 3 * 500);
    }

    #[test]
    fn late_outputs_are_told_with_the_length_of_their_silence() {
        let mut late = LateOutputs::default();
        let mut told = Vec::new();
        // Frames of a second of 1,000. Each time, 70 frames are found to be silent within 7 frames.
        let mut unheard = 5;
        for now in 0..5000_u64 {
            let times = match now {
                1000 => 1,
                // Every 50 frames, which is faster than the silence ends.
                3000..3500 if now % 50 == 0 => 1,
                _ => 0,
            };
            if 0 < times {
                late.came(FramePos(now), now);
            }
            unheard += if (1000..1007).contains(&now) || (3000..3500).contains(&now) { 10 } else { 0 };
            let due = late.due(now, 1000, unheard);
            told.extend(due.map(|(late, silent)| format!("{now}: {}", late_text(late, silent, SampleRate(1000)))));
        }
        let wanted = [
            "1106: 0:01.000: the outputs were late and silent for 70 ms; the recorded sound is complete",
            "3599: 0:03.000: the outputs were late 10 times and silent for 5.0 s; the recorded sound is complete",
        ];
        assert_eq!(told, wanted);
        // The notice at the end has the time that waits.
        late.came(FramePos(6000), 6000);
        assert_eq!(late.take(unheard).map(|(late, silent)| (late.times, silent)), Some((1, Frames(0))));
    }

    #[test]
    fn repeated_losses_are_one_notice_a_second_with_all_their_frames() {
        let mut losses = Losses::default();
        let lost = |frames, recorded, cause| LostFrames {
            times: 1,
            frames: Frames(frames),
            recorded: Frames(recorded),
            cause,
        };
        let mut shown = Vec::new();
        for now in 0..350 {
            if now < 200 {
                shown.extend(losses.came(
                    FramePos(now),
                    lost(7, if now < 50 { 0 } else { 7 }, LossCause::Xrun),
                    now,
                    100,
                ));
            }
            if now == 120 {
                shown.extend(losses.came(FramePos(now), lost(900, 900, LossCause::Unplug), now, 100));
            }
            shown.extend(losses.due(now, 100));
        }
        let told: Vec<String> =
            shown.iter().map(|(at, lost)| format!("{}: {}", at.0, lost.text(SampleRate(1_000)))).collect();
        let wanted = [
            "0: 7.0 ms lost (xrun); nothing was recorded then",
            "1: 700 ms lost in 100 further losses (xrun); 357 ms of it is silence in every take, the rest is outside of the \
             recording",
            "101: 140 ms lost in 20 further losses (xrun); it is silence in every take",
            "120: 900 ms lost (device away); it is silence in every take",
            "121: 553 ms lost in 79 further losses (xrun); it is silence in every take",
        ];
        assert_eq!(told, wanted);
        assert_eq!(shown.iter().map(|(_, lost)| lost.frames.0).sum::<u64>(), 200 * 7 + 900);
    }
}
