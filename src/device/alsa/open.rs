//! Opening of a device and of its two directions. Thread: opener, reconnect, control; outputs.

use super::blocks::Blocks;
use super::clock::FrameClock;
use super::delays::{reporters, unreported_frames};
use super::drift::Drift;
use super::latency::LatencyMeter;
use super::name::{are_outputs_apart, names};
use super::outputs::Outputs;
use super::pcm::{Want, quiet};
use super::playback::playback_wake;
use super::prefill::{Circumstances, Prefill};
use super::recover::RestartAttempts;
use super::reserve::reserve;
use super::side::{SampleAccess, Side};
use super::source_watch::SourceWatch;
use super::transfer::Skip;
use super::{AlsaDevice, Phase, offer_server};
use crate::device::{Access, DeviceError, DeviceFacts, DeviceSpec, Pace, monotonic, rest_frames};
use crate::format::DeviceFormat;
use crate::limits::PERIOD_FRAMES_MIN;
use crate::time::SampleRate;
use ::alsa::Direction;
use ::alsa::poll::{Descriptors, pollfd};
use std::sync::Arc;
use std::time::Duration;

/// Default frames of the buffer: at 48 kHz the program may be a third of a second late.
const BUFFER_FRAMES_DEFAULT: usize = 16_384;

/// The note of a device that was to be opened with outputs and has none.
pub const NO_PLAYBACK: &str = "the device has no playback, so nothing is heard; choose a device with outputs, or name one for each direction \
     (alsa:INPUTS,OUTPUTS)";

/// The note about a pair that the driver does not start together.
const NOT_LINKED: &str = "capture and playback cannot be started at one moment; Faultless measures the time between them, so there is nothing to do";

/// Result of opening one direction.
pub(super) enum Opened {
    Side(Box<Side>),
    /// The direction was not requested.
    Unwanted,
    /// The device has no such direction.
    Absent(DeviceError),
}

impl Opened {
    pub(super) fn side(self) -> Option<Box<Side>> {
        match self {
            Opened::Side(side) => Some(side),
            _ => None,
        }
    }
}

impl AlsaDevice {
    /// Opens the PCM or the pair of PCMs that `pcm` names, see [`DeviceSpec::name`].
    pub fn open(spec: &DeviceSpec, pcm: &str) -> Result<Self, DeviceError> {
        let _quiet = quiet();
        Self::open_pcms(spec, pcm).map_err(offer_server)
    }

    fn open_pcms(spec: &DeviceSpec, pcm: &str) -> Result<Self, DeviceError> {
        let (capture_name, playback_name) = names(spec, pcm)?;
        let mut notes = Vec::new();
        let one_name = capture_name == playback_name;
        let are_apart = are_outputs_apart(pcm);
        let of_both = [capture_name.filter(|_| spec.inputs != Some(0)), playback_name.filter(|_| !are_apart)];
        let reservations = reserve(spec, &of_both)?;
        let capture = open_side(spec, capture_name, Direction::Capture, spec.inputs, one_name, &mut notes)?;
        let playback = if are_apart {
            open_reserved_outputs(spec, playback_name, &mut notes)?
        } else {
            open_side(spec, playback_name, Direction::Playback, spec.outputs, one_name, &mut notes)?
        };
        let (capture, playback) = match (capture, playback) {
            (Opened::Absent(error), Opened::Absent(_) | Opened::Unwanted)
            | (Opened::Unwanted, Opened::Absent(error)) => return Err(error),
            (Opened::Unwanted, Opened::Unwanted) => {
                let reason = "neither inputs nor outputs are wanted".to_owned();
                return Err(DeviceError::Malformed { name: spec.name.clone(), reason });
            }
            (capture, playback) => {
                note_absent(&capture, Direction::Capture, &mut notes);
                note_absent(&playback, Direction::Playback, &mut notes);
                (capture.side(), playback.side())
            }
        };
        let outputs = playback.as_ref().map_or(0, |side| side.channels);
        let follows = playback_name.filter(|_| are_apart && capture.is_some() && 0 < outputs);
        let mut device = Self::build(spec, capture, playback, notes, follows.is_some())?;
        device.reservations = reservations;
        device.outputs =
            follows.and_then(|name| Outputs::follow(spec, name, outputs, device.facts.period_frames, false));
        device.watch_source();
        Ok(device)
    }

    /// Opens the inputs of a pair whose outputs cannot be opened now. The outputs follow when they are there. `None` if `pcm`
    /// is no pair of two cards, or the inputs cannot be opened either.
    pub fn open_before_outputs(spec: &DeviceSpec, pcm: &str) -> Option<Self> {
        let _quiet = quiet();
        let outputs =
            spec.outputs.filter(|outputs| 0 < *outputs && are_outputs_apart(pcm) && spec.inputs != Some(0))?;
        let (capture_name, playback_name) = names(spec, pcm).ok()?;
        let reservations = reserve(spec, &[capture_name]).ok()?;
        let mut notes = Vec::new();
        let capture = open_side(spec, capture_name, Direction::Capture, spec.inputs, false, &mut notes).ok()?.side()?;
        let mut device = Self::build(spec, Some(capture), None, notes, true).ok()?;
        device.reservations = reservations;
        device.facts.outputs = outputs;
        device.outputs = Some(Outputs::follow(spec, playback_name?, outputs, device.facts.period_frames, true)?);
        device.watch_source();
        Some(device)
    }

    /// A device of these sides. `outputs_may_follow`: it can get a playback side later. The threshold of its wakes is set for that
    /// now, because setting it allocates.
    fn build(
        spec: &DeviceSpec,
        capture: Option<Box<Side>>,
        playback: Option<Box<Side>>,
        mut notes: Vec<String>,
        outputs_may_follow: bool,
    ) -> Result<Self, DeviceError> {
        let Some(pacing) = capture.as_deref().or(playback.as_deref()) else {
            let reason = "neither inputs nor outputs can be opened".to_owned();
            return Err(DeviceError::Malformed { name: spec.name.clone(), reason });
        };
        let period = pacing.period_frames;
        let prefill =
            playback.as_deref().map_or(Prefill::NONE, |side| prefill_of(side, spec.rate, period, capture.is_none()));
        let rests = playback.is_none() && !outputs_may_follow;
        let wake_frames = capture.as_deref().map_or(0, |side| capture_wake(side, period, rests, spec.rate));
        if let Some(side) = &capture {
            side.set_wake(&spec.name, wake_frames)?;
        }
        if let Some(side) = &playback {
            side.set_wake(&spec.name, playback_wake(side, capture.is_none(), period, prefill.frames()))?;
        }
        let linked = link_is_possible(capture.as_deref(), playback.as_deref());
        notes.extend((capture.is_some() && playback.is_some() && !linked).then(|| NOT_LINKED.to_owned()));
        let delay = |side: Option<&Side>| side.map(|side| side.delay);
        let latency = LatencyMeter::new(unreported_frames(delay(capture.as_deref()), delay(playback.as_deref())));
        let facts = facts_of(spec, pacing, (capture.as_deref(), playback.as_deref()), linked, &notes);
        notes.push("the device has no clock of its own; it is paced by the system's".to_owned());
        Ok(AlsaDevice {
            fds: vec![pollfd { fd: -1, events: 0, revents: 0 }; pacing.pcm.count()],
            clock: FrameClock::new(spec.rate.0, period),
            notes_unclocked: notes,
            facts,
            capture: capture.map(|side| *side),
            playback,
            outputs: None,
            playback_progress: (0, 0),
            prefill,
            drift: Drift::default(),
            blocks: Blocks::default(),
            latency,
            origin: monotonic(),
            phase: Phase::Stopped,
            position: 0,
            unmeasured: None,
            gap_reading: None,
            skip: Skip::default(),
            played_at_skip: 0,
            unheard_frames: 0,
            skipped_frames: 0,
            playback_failed: false,
            playback_gone: false,
            playback_late: false,
            outage_told: false,
            failure_changed: false,
            unheard_before: 0,
            outage_frames: 0,
            fault_suspected: false,
            transfer_error: None,
            has_moved_nothing: false,
            restart_attempts: RestartAttempts::default(),
            playback_restart_attempts: RestartAttempts::default(),
            wake_frames: wake_frames as u64,
            ready_frames: 0,
            late: Duration::ZERO,
            started_ns: 0,
            progress_ns: 0,
            progress_count: 0,
            exact_due_ns: 0,
            unclocked: false,
            wrong_rate: None,
            empty_wakes: 0,
            sleeps: 0,
            source_watch: None,
            reservations: Vec::new(),
        })
    }

    /// Starts the watch over the source of the inputs, if a server can take it away.
    fn watch_source(&mut self) {
        let watched = self.capture.as_mut().and_then(|side| side.watched.take());
        self.source_watch = watched.and_then(SourceWatch::start);
        self.facts.source = self.source_watch.as_ref().map(|watch| Arc::clone(&watch.news));
    }
}

/// Frames after which the inputs wake the thread. `rests`: nobody hears anything, so it may sleep longer.
fn capture_wake(side: &Side, period: usize, rests: bool, rate: SampleRate) -> usize {
    if rests { rest_frames(period, side.buffer_frames, rate) } else { period }
}

/// Channels and format of a side that there may be.
fn layout(side: Option<&Side>) -> (usize, DeviceFormat) {
    side.map_or((0, DeviceFormat::S32), |side| (side.channels, side.format))
}

/// The silence with which `side` starts. `period` is that of the pacing side; `alone`: there are no inputs.
pub(super) fn prefill_of(side: &Side, rate: SampleRate, period: usize, alone: bool) -> Prefill {
    Prefill::new(Circumstances {
        kind: side.kind,
        alone,
        rate_hz: rate.0 as usize,
        period,
        playback_period: side.period_frames,
        buffer: side.buffer_frames,
    })
}

/// Opens the outputs on the card `pcm`, which this program reserves for them alone.
pub(super) fn open_reserved_outputs(
    spec: &DeviceSpec,
    pcm: Option<&str>,
    notes: &mut Vec<String>,
) -> Result<Opened, DeviceError> {
    if spec.outputs == Some(0) {
        return Ok(Opened::Unwanted);
    }
    let reservation = reserve(spec, &[None, pcm])?.pop();
    let mut opened = open_side(spec, pcm, Direction::Playback, spec.outputs, false, notes)?;
    if let Opened::Side(side) = &mut opened {
        side.reservation = reservation;
    }
    Ok(opened)
}

pub(super) fn open_side(
    spec: &DeviceSpec,
    pcm: Option<&str>,
    direction: Direction,
    channels: Option<usize>,
    one_name: bool,
    notes: &mut Vec<String>,
) -> Result<Opened, DeviceError> {
    let (Some(pcm), false) = (pcm, channels == Some(0)) else { return Ok(Opened::Unwanted) };
    let want = Want {
        device: &spec.name,
        pcm,
        direction,
        rate: spec.rate,
        period_frames: spec.period_frames.map(|frames| frames.max(PERIOD_FRAMES_MIN)),
        buffer_frames: spec.buffer_frames.unwrap_or(BUFFER_FRAMES_DEFAULT),
        channels,
        format: spec.format,
    };
    match Side::open(&want, notes) {
        Ok(side) => Ok(Opened::Side(Box::new(side))),
        // One name was given for both directions, so the device may have only the other one.
        Err(error @ DeviceError::Unknown { .. }) if one_name && channels.is_none() => Ok(Opened::Absent(error)),
        Err(error) => Err(error),
    }
}

pub(super) fn note_absent(opened: &Opened, direction: Direction, notes: &mut Vec<String>) {
    if matches!(opened, Opened::Absent(_)) {
        notes.push(match direction {
            Direction::Capture => {
                "the device has no capture, so nothing can be recorded; choose a device with inputs".to_owned()
            }
            Direction::Playback => NO_PLAYBACK.to_owned(),
        });
    }
}

/// The facts of a device with these sides. `pacing`: the side whose periods the device has.
fn facts_of(
    spec: &DeviceSpec,
    pacing: &Side,
    (capture, playback): (Option<&Side>, Option<&Side>),
    linked: bool,
    notes: &[String],
) -> DeviceFacts {
    let mapped = capture.iter().chain(&playback).all(|side| matches!(side.access, SampleAccess::Mapped));
    let ((inputs, input_format), (outputs, output_format)) = (layout(capture), layout(playback));
    DeviceFacts {
        name: spec.name.clone(),
        rate: spec.rate,
        period_frames: pacing.period_frames,
        buffer_frames: pacing.buffer_frames,
        inputs,
        outputs,
        input_format,
        output_format,
        access: if mapped { Access::Mapped } else { Access::Copied },
        pace: Pace::RealTime,
        linked,
        delays: reporters(capture.map(|side| side.delay), playback.map(|side| side.delay)),
        notes: notes.to_owned(),
        source: None,
    }
}

/// Whether the driver can start both sides together, as every start tries to.
pub(super) fn link_is_possible(capture: Option<&Side>, playback: Option<&Side>) -> bool {
    let (Some(capture), Some(playback)) = (capture, playback) else { return false };
    let linked = capture.pcm.link(&playback.pcm).is_ok();
    if linked {
        capture.pcm.unlink().ok();
    }
    linked
}
