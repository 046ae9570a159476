//! The ALSA device: one or two PCMs, paced by capture where there is a capture side.
//! Thread: audio (opening: opener, reconnect, control).
//!
//! Frame 0 is the first frame after [`Device::start`]. Output of the engine for frame n leaves the device at frame n +
//! [`AlsaDevice::prefill_frames`] of the same clock, also after every recovery. When only the playback side had an
//! xrun, capture continues, and output that would be late is dropped instead of played late.

mod name;
mod pcm;
mod configuration;
mod libjack;
mod messages;
mod open_error;
mod planar;
mod prefill;
mod ring;
mod side;
mod open;
mod list;
mod answer;
mod graph;
mod jack_watch;
mod jack;
mod nodes;
mod clock;
mod delays;
mod drift;
mod blocks;
mod gap;
mod latency;
mod overwritten;
mod recover;
mod reserve;
mod source_watch;
mod server_events;
mod question_pace;
mod arrival;
mod sleep;
mod transfer;
mod playback;
mod outputs;

pub use arrival::Attempts;
pub use configuration::configuration_fault;
pub use jack::jack_card;
use list::offer_server;
pub use list::{Abilities, Listed, Listing, default_output, list_cards, server_default};
pub use messages::silence_this_thread;
pub use name::lasting;
pub use nodes::{is_free, is_present, list};
pub use open::NO_PLAYBACK;
pub use open_error::{Cards, cards};
pub use playback::{are_outputs_gone, is_outputs_failure};
pub use recover::Gone;
pub use reserve::keep_cards;
pub use source_watch::{SourceNews, SourceNotice};

use super::{Device, DeviceFacts, Latency, LossCause, Reckoning, StartError, Wake};
use super::{Input, Output, monotonic};
use ::alsa::Direction;
use ::alsa::poll::pollfd;
use blocks::Blocks;
use clock::{FrameClock, nanos};
use drift::{Drift, is_far};
use latency::LatencyMeter;
use outputs::Outputs;
use overwritten::is_near_full;
use pcm::{errno, state};
use playback::{OUTPUTS_AWAY, OUTPUTS_GONE, OUTPUTS_LATE};
use prefill::Prefill;
use recover::{Order, RestartAttempts, Started, diagnose, start_pair};
use reserve::Reservation;
use side::Side;
use source_watch::SourceWatch;
use std::time::Duration;
use transfer::{Lent, Sink, Skip};

/// A device without a new frame for this long, plus four periods, counts as stuck.
const STUCK_NS: u64 = 1_000_000_000;

/// The same for a device that has not delivered anything yet. An idle PulseAudio takes two seconds.
const NEVER_BEGAN_NS: u64 = 5_000_000_000;

/// A device that runs faster than this multiple of its rate has no clock. A smaller factor means that somebody changed
/// the rate of the clock that the device follows.
const CLOCKLESS_SPEED: f64 = 4.5;

/// Nanoseconds between two exact counts. The last one gives the timeline position when the device is gone.
const EXACT_READING_NS: u64 = 200_000_000;

/// An open ALSA device.
#[expect(clippy::struct_excessive_bools, reason = "each is a finding of its own, and any set of them can hold")]
pub struct AlsaDevice {
    facts: DeviceFacts,
    capture: Option<Side>,
    /// `None` without outputs, and while they are in the hands of [`AlsaDevice::outputs`].
    playback: Option<Box<Side>>,
    /// The thread that restarts and opens outputs of another card than that of the inputs.
    outputs: Option<Outputs>,
    /// When frames of the playback side last moved, and their number then.
    playback_progress: (u64, u64),
    /// Poll descriptors of the pacing side.
    fds: Vec<pollfd>,
    prefill: Prefill,
    drift: Drift,
    blocks: Blocks,
    latency: LatencyMeter,
    /// The notes of `facts` and one more. Swapped with them when the device turns out to have no clock, because the
    /// audio thread cannot allocate.
    notes_unclocked: Vec<String>,
    /// Time from which all `_ns` fields count, as of [`monotonic`].
    origin: Duration,
    clock: FrameClock,
    phase: Phase,
    /// Number of the next frame: the frames that were lent or reported lost so far.
    position: u64,
    /// Cause of a restart whose lost frames are not counted yet. They are counted when the first frame after it
    /// arrives.
    unmeasured: Option<LossCause>,
    /// While the frames lost by a restart are measured: when that began, and the reading furthest ahead, a time and a count.
    gap_reading: Option<(u64, (u64, u64))>,
    /// Output frames to drop, because they would be played too late.
    skip: Skip,
    /// Room of playback and frames written to it when output was skipped last: larger by what it has played since.
    played_at_skip: u64,
    /// Output frames that were computed and not played, because the outputs were silent.
    unheard_frames: u64,
    /// Output frames that were computed and skipped, because the outputs had fallen behind.
    skipped_frames: u64,
    /// The playback side failed and must be restarted; output is dropped.
    playback_failed: bool,
    /// The outputs are gone, and [`Device::failure`] says so; capture continues.
    playback_gone: bool,
    /// The playback side was restarted many times in a row and plays nothing. It is tried again.
    playback_late: bool,
    /// The device has reported a failure of the outputs, and not yet its end.
    outage_told: bool,
    /// [`Device::failure`] has changed; [`Wake::Changed`] is to be reported.
    failure_changed: bool,
    /// [`AlsaDevice::unheard_frames`] after the last period that was played whole.
    unheard_before: u64,
    /// Output frames that were not played in the outage that ended last.
    outage_frames: u64,
    /// A call failed or a descriptor reported an error, so the next check asks the driver.
    fault_suspected: bool,
    /// Error number of the last transfer of samples, until the next check has judged it.
    transfer_error: Option<i32>,
    /// The last transfer moved no frame, although the driver offered some.
    has_moved_nothing: bool,
    restart_attempts: RestartAttempts,
    playback_restart_attempts: RestartAttempts,
    started_ns: u64,
    progress_ns: u64,
    progress_count: u64,
    exact_due_ns: u64,
    unclocked: bool,
    /// The start of a sentence for the user, once the device has run at another rate for some seconds.
    wrong_rate: Option<&'static str>,
    empty_wakes: u32,
    sleeps: u64,
    /// Captured frames at which the driver wakes the thread; 0 without inputs.
    wake_frames: u64,
    /// Frames that were ready at the last check.
    ready_frames: u64,
    /// Lateness of the last wake-up.
    late: Duration,
    /// The watch over the source of the inputs.
    source_watch: Option<SourceWatch>,
    /// The cards that this program owns. The last field, because the PCMs must be closed before a card is given back.
    reservations: Vec<Reservation>,
}

/// State of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Stopped,
    Running,
    /// A fault stopped the device; it must be restarted.
    Broken(LossCause),
    Gone(Gone),
}

/// Result of a check of the device.
enum Check {
    Report(Wake),
    /// Nothing to report. With a time: nothing can come before it, in nanoseconds after [`AlsaDevice::origin`].
    Nothing(Option<u64>),
}

impl AlsaDevice {
    /// Frames by which output leaves the device later than its frame number; 0 without a playback side.
    pub fn prefill_frames(&self) -> usize {
        self.prefill.frames()
    }

    /// Why the device is gone, after [`Wake::Gone`].
    pub fn gone(&self) -> Option<Gone> {
        match self.phase {
            Phase::Gone(reason) => Some(reason),
            _ => None,
        }
    }

    fn now_ns(&self) -> u64 {
        nanos(monotonic().saturating_sub(self.origin))
    }

    /// The side whose frame counter is the device's clock.
    fn pacing(&self) -> Option<&Side> {
        self.capture.as_ref().or(self.playback.as_deref())
    }

    /// Frames of the device's counter beyond [`AlsaDevice::position`]. With `exact` the driver reads the hardware.
    fn moved(&self, exact: bool) -> Result<u64, i32> {
        let Some(side) = self.pacing() else { return Err(libc::ENODEV) };
        let avail = if exact { side.pcm.avail() } else { side.pcm.avail_update() };
        Ok(self.beyond_position(side, avail.map_err(|e| errno(&e))?))
    }

    /// Frames beyond [`AlsaDevice::position`] when `avail` frames can be read from the pacing side, or written to it.
    fn beyond_position(&self, side: &Side, avail: i64) -> u64 {
        let moved = match side.direction {
            Direction::Capture => avail,
            Direction::Playback => (self.prefill.frames() as i64 - side.buffer_frames as i64).saturating_add(avail),
        };
        moved.max(0) as u64
    }

    /// Checks the device once, without waiting.
    fn check(&mut self) -> Check {
        match self.phase {
            Phase::Stopped | Phase::Gone(_) => return Check::Nothing(None),
            Phase::Broken(cause) => return self.restart(cause),
            Phase::Running => {}
        }
        if std::mem::take(&mut self.failure_changed) {
            return Check::Report(Wake::Changed);
        }
        let of_outputs = self.playback.iter().filter_map(|side| side.reservation.as_ref());
        if self.reservations.iter().chain(of_outputs).any(Reservation::is_asked_for) {
            return self.give_up(Gone::AskedFor);
        }
        if self.source_watch.as_ref().is_some_and(SourceWatch::is_gone) {
            return self.give_up(Gone::SourceReplaced);
        }
        if let Some(check) = self.check_spoiled() {
            return check;
        }
        let period = self.facts.period_frames as u64;
        let moved = self.moved(false);
        // An unplugged device may answer "0 frames" for ever. A device with a period ready needs no question.
        let quiet = moved.is_ok_and(|moved| moved < period);
        let suspect = moved.is_err() || self.fault_suspected || (quiet && self.pacing_state() != state::RUNNING);
        if suspect {
            self.fault_suspected = false;
            let transfer_error = self.transfer_error.take();
            if let Some(fault) = self.pacing().and_then(|side| diagnose(&side.pcm, transfer_error)) {
                return self.fail(fault);
            }
        }
        let Ok(moved) = moved else { return Check::Nothing(None) };
        let now_ns = self.now_ns();
        // A ring without a clock that offers a period is not stuck, however long nobody has taken the period. A driver that
        // offers frames and moves none is, even if its counter grows.
        let is_offering = self.unclocked && period <= moved;
        let is_growing = self.progress_count < self.position + moved;
        if (is_offering || is_growing) && !self.has_moved_nothing {
            (self.progress_ns, self.progress_count) = (now_ns, self.position + moved);
        } else if self.stuck_after_ns() < now_ns.saturating_sub(self.progress_ns) {
            return self.give_up(Gone::Stuck);
        }
        if let Some(cause) = self.unmeasured {
            return if moved == 0 { Check::Nothing(None) } else { self.measure(cause, now_ns) };
        }
        if let Some(check) = self.check_overwritten(moved) {
            return check;
        }
        if let Some(check) = self.check_playback(period, moved) {
            return check;
        }
        self.check_progress(moved, period, now_ns)
    }

    /// Decides whether `moved` frames are a period, a silent loss, or show that the device has no clock.
    fn check_progress(&mut self, moved: u64, period: u64, now_ns: u64) -> Check {
        if !self.unclocked
            && self.frames_since_start(now_ns) * CLOCKLESS_SPEED + self.burst_frames() < (self.position + moved) as f64
        {
            self.unclocked = true;
            std::mem::swap(&mut self.facts.notes, &mut self.notes_unclocked);
        }
        if self.unclocked {
            let due_ns =
                self.started_ns + ((self.position + period) as f64 * 1e9 / f64::from(self.facts.rate.0)) as u64;
            if due_ns <= now_ns && period <= moved {
                return Check::Report(Wake::Ready);
            }
            // A device that is slower than the system's clock is behind `due_ns`: the thread sleeps for what is missing.
            return Check::Nothing(Some(due_ns.max(now_ns + self.time_to(period.saturating_sub(moved)))));
        }
        let (at_ns, moved) = if 0 < moved && self.exact_due_ns <= now_ns {
            let first = self.exact_due_ns == 0;
            self.exact_due_ns = now_ns + EXACT_READING_NS;
            if self.measure_drift(now_ns) {
                return Check::Report(Wake::PlaybackXrun);
            }
            self.read_exact_count(u64::from(first)).unwrap_or((now_ns, moved))
        } else {
            (now_ns, moved)
        };
        if let Some(wake) = self.check_blocks(moved) {
            return Check::Report(wake);
        }
        let lost = self.clock.observe(at_ns, self.position + moved);
        if lost.is_none() && self.clock.wrong_rate() != self.wrong_rate {
            self.wrong_rate = self.clock.wrong_rate();
            return Check::Report(Wake::Changed);
        }
        if let Some(frames) = lost {
            self.position += frames;
            self.drift.restart(self.facts.rate.0);
            // Output for the lost frames is too late. Restart playback, so that it is in step with capture again.
            self.playback_failed |= self.playback.is_some();
            return Check::Report(Wake::Lost { frames, cause: LossCause::Silent });
        }
        if period <= moved {
            self.ready_frames = moved;
            self.postpone_latency();
            return Check::Report(Wake::Ready);
        }
        if 0 < self.position
            && let Some(until_ns) = self.measure_latency(now_ns, self.frames_ns(period - moved))
        {
            return Check::Nothing(Some(until_ns));
        }
        Check::Nothing(self.is_timed().then(|| now_ns + self.time_to(period - moved)))
    }

    fn pacing_state(&self) -> i32 {
        self.pacing().map_or(state::DISCONNECTED, |side| side.pcm.state_raw())
    }
}

impl Device for AlsaDevice {
    fn facts(&self) -> &DeviceFacts {
        &self.facts
    }

    fn start(&mut self) -> Result<(), StartError> {
        if let Phase::Gone(_) = self.phase {
            return Err(StartError { call: "start", errno: libc::ENODEV });
        }
        let (prefill, linked) = (self.prefill.frames(), self.facts.linked);
        let started = start_pair(self.capture.as_mut(), self.playback.as_deref_mut(), prefill, linked, Order::Together);
        let started = started.map_err(|(call, errno)| StartError { call, errno })?;
        self.started_ns = self.now_ns();
        self.prefill.started(self.started_ns);
        self.latency.restart(prefill);
        self.clock.begin(self.started_ns);
        self.blocks.restart();
        (self.position, self.progress_count, self.progress_ns) = (0, 0, self.started_ns);
        (self.exact_due_ns, self.wrong_rate) = (0, None);
        (self.unmeasured, self.gap_reading) = (None, None);
        (self.skip, self.fault_suspected) = (Skip::default(), false);
        (self.transfer_error, self.has_moved_nothing) = (None, false);
        // Outputs that are to follow are away before the start.
        let are_away = self.playback.is_none() && self.outputs.is_some();
        self.playback_failed = started == Started::CaptureAlone || are_away;
        (self.playback_gone, self.playback_late) = (are_away, false);
        (self.outage_told, self.failure_changed) = (are_away, are_away);
        self.playback_progress = (self.started_ns, 0);
        self.restart_attempts.reset();
        self.playback_restart_attempts.reset();
        self.phase = Phase::Running;
        Ok(())
    }

    fn wait(&mut self, timeout: Duration) -> Wake {
        let deadline_ns = self.now_ns().saturating_add(nanos(timeout));
        self.empty_wakes = 0;
        let sleeps = self.sleeps;
        loop {
            let idle = matches!(self.phase, Phase::Stopped | Phase::Gone(_));
            if idle {
                let nap_ns = self.period_ns().clamp(1_000_000, 100_000_000);
                self.sleep(deadline_ns.min(self.now_ns() + nap_ns), false);
                return if self.gone().is_some() { Wake::Gone } else { Wake::Timeout };
            }
            let until_ns = match self.check() {
                Check::Report(wake) => {
                    let has_moved_nothing = std::mem::take(&mut self.has_moved_nothing);
                    if has_moved_nothing && wake == Wake::Ready {
                        // The driver offers frames and moves none. The thread would spin between the two answers.
                        self.nap();
                    }
                    self.measure_lateness(wake == Wake::Ready && self.sleeps != sleeps);
                    return wake;
                }
                Check::Nothing(until_ns) => until_ns,
            };
            let now_ns = self.now_ns();
            if deadline_ns <= now_ns {
                return Wake::Timeout;
            }
            let stuck_ns = (self.progress_ns + self.stuck_after_ns()).max(now_ns + 1_000_000);
            let on_device = until_ns.is_none();
            self.sleep(deadline_ns.min(until_ns.unwrap_or(stuck_ns)), on_device);
        }
    }

    fn cycle(&mut self, process: &mut dyn FnMut(Input<'_>, Output<'_>)) -> usize {
        let period = self.facts.period_frames;
        let mut sink = Sink {
            alone: self.capture.is_none(),
            playback: self.playback.as_deref_mut(),
            skip: &mut self.skip,
            playback_failed: &mut self.playback_failed,
            unheard_frames: &mut self.unheard_frames,
            skipped_frames: &mut self.skipped_frames,
            error: None,
        };
        let Lent { frames: lent, error } = transfer::lend(self.capture.as_mut(), &mut sink, period, process);
        self.position += lent as u64;
        (self.transfer_error, self.has_moved_nothing) = (error, lent == 0);
        self.fault_suspected |= lent != period || error.is_some();
        if lent == period {
            self.restart_attempts.reset();
        }
        if !self.playback_failed && self.skip.is_over() {
            self.playback_restart_attempts.reset();
            self.playback_late = false;
            if std::mem::take(&mut self.outage_told) {
                self.failure_changed = true;
                self.outage_frames = self.unheard_frames - self.unheard_before;
            }
            self.unheard_before = self.unheard_frames;
        }
        lent
    }

    fn is_near_full(&self) -> bool {
        let Some(side) = &self.capture else { return false };
        // A device without a clock is paced by this program, whatever it offers. A device that failed has nothing to wait for.
        !self.unclocked && self.moved(false).map_or(true, |moved| is_near_full(side, moved))
    }

    fn sleeps(&self) -> u64 {
        self.sleeps
    }

    fn lateness(&self) -> Duration {
        self.late
    }

    fn unheard_frames(&self) -> u64 {
        self.unheard_frames
    }

    fn skipped_frames(&self) -> u64 {
        self.skipped_frames
    }

    fn outage_frames(&self) -> u64 {
        self.outage_frames
    }

    fn latency(&self) -> Latency {
        self.latency.latency()
    }

    fn has_live_outputs(&self) -> bool {
        self.playback.is_some() && !self.playback_gone
    }

    fn drift_ppm(&self) -> Option<f64> {
        // Without the right rate of the inputs, a difference says nothing about the outputs.
        self.drift.ppm().filter(|ppm| !is_far(*ppm) || self.clock.has_right_rate())
    }

    fn stop(&mut self) {
        if matches!(self.phase, Phase::Running | Phase::Broken(_)) {
            self.phase = Phase::Stopped;
            for side in self.capture.iter().chain(self.playback.as_deref()) {
                side.pcm.drop().ok();
            }
        }
    }

    fn reckoning(&self) -> Reckoning {
        if self.unclocked {
            return Reckoning::from_now(self.facts.rate);
        }
        let (at_ns, count, per_second) = self.clock.reckon();
        let ahead = count as f64 - self.position as f64;
        Reckoning { at: self.origin + Duration::from_nanos(at_ns), ahead, per_second }
    }

    fn failure(&self) -> Option<&'static str> {
        match self.phase {
            Phase::Gone(reason) => Some(reason.text()),
            _ if self.playback_late => Some(OUTPUTS_LATE),
            // Outputs that are there again have failed until they play: only then the length of the outage is known.
            _ if (self.playback_gone || self.outage_told) && self.outputs.is_some() => Some(OUTPUTS_AWAY),
            _ if self.playback_gone => Some(OUTPUTS_GONE),
            _ => None,
        }
    }

    fn wrong_rate(&self) -> Option<&'static str> {
        self.wrong_rate
    }
}
