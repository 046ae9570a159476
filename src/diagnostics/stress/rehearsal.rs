//! Records one rehearsal: the real engine records the built-in device's ramp under a stress. Thread: the stress test's,
//! which is control here.

use super::disturb::{Disturbance, RunningDisturbance};
use super::{Options, RATE, StressKind};
use crate::butler::capabilities::CapturePath;
use crate::control::recording::PassReport;
use crate::control::setup::{self, DeviceRequest, UserLimits};
use crate::control::{Control, Notice, Purpose, Setup, Severity};
use crate::device::signal::Signal;
use crate::format::TakeFormat;
use crate::limits;
use crate::time::{Frames, SampleRate};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Fraction of the recording that passes before the stress begins.
const CALM_FRACTION: f64 = 0.2;

/// Frames for which the device is away in [`StressKind::Unplug`].
const AWAY_FRAMES: u64 = RATE as u64 / 2;

/// The outcome of a rehearsal.
pub(super) struct Rehearsal {
    pub(super) report: PassReport,
    pub(super) scheduling: String,
    /// Frames that the stress takes away. Exactly these must be lost.
    pub(super) lost_wanted: u64,
    /// A description of what the stress did, or the reason why it proves nothing.
    pub(super) effect: Result<String, String>,
    pub(super) spool_bytes_peak: u64,
}

/// Records a rehearsal.
pub(super) fn record(
    kind: StressKind,
    options: &Options,
    folder: &Path,
    disturbance: &Disturbance,
    doing: &mut dyn FnMut(f32, &str),
    cancel: &AtomicBool,
) -> Result<Rehearsal, String> {
    let mut control = Control::open(plan(kind, options, folder)).map_err(|error| error.to_string())?;
    control.arm_inputs(options.inputs).map_err(|error| error.to_string())?;
    let length = (options.seconds * f64::from(RATE)) as u64;
    control.record(Frames(length)).map_err(|error| error.to_string())?;
    let (effect, mut losses) = wait_for_end(&mut control, length, disturbance, doing, cancel);
    let scheduling = control.running().scheduling.to_string();
    let spool_bytes_peak = control.running().disk.spool_bytes_peak.load(Relaxed);
    let finished = control.take_report();
    let (reports, notices) = control.close();
    losses.extend(notices.into_iter().filter(|notice| notice.severity == Severity::Loss));
    let report = finished.or_else(|| reports.into_iter().next());
    let why = || losses.first().map_or_else(|| "nothing was recorded".to_owned(), |notice| notice.text.clone());
    Ok(Rehearsal {
        report: report.ok_or_else(why)?,
        scheduling,
        lost_wanted: if kind == StressKind::Unplug { AWAY_FRAMES } else { 0 },
        effect,
        spool_bytes_peak,
    })
}

fn plan(kind: StressKind, options: &Options, folder: &Path) -> Setup {
    // Unplug in the middle of the pass, which begins some 0.5 s after the device, and at the start of a period, so that
    // exactly `AWAY_FRAMES` are lost.
    let unplugged = (f64::from(RATE) * (0.5 + options.seconds / 2.0)) as u64;
    let unplugged = unplugged - unplugged % options.period as u64;
    let name = match kind {
        StressKind::Unplug => format!("virtual:unplug={unplugged}+{AWAY_FRAMES}"),
        _ => "virtual".to_owned(),
    };
    let wanted = DeviceRequest {
        name,
        rate: SampleRate(RATE),
        period: Some(options.period),
        buffer: options.buffer,
        channels: (Some(options.inputs), Some(0)),
        take_format: TakeFormat::S24,
        signal: Signal::Ramp,
    };
    let allowed = UserLimits { lock_kib: None, spool_mib: None, lead_ms: limits::LEAD_MS_DEFAULT };
    Setup {
        folder: folder.to_path_buf(),
        purpose: Purpose::Record,
        device: setup::device_spec(wanted),
        format: TakeFormat::S24,
        run: setup::threads_setup(allowed, CapturePath::Spool),
    }
}

/// Waits for the end of the pass; starts and stops the stress meanwhile. Returns the effect of the stress, and the
/// notices of losses.
fn wait_for_end(
    control: &mut Control,
    length: u64,
    disturbance: &Disturbance,
    doing: &mut dyn FnMut(f32, &str),
    cancel: &AtomicBool,
) -> (Result<String, String>, Vec<Notice>) {
    let mut running: Option<RunningDisturbance<'_>> = None;
    let mut effect: Option<Result<String, String>> = None;
    let (mut stopped, mut losses, mut last_shown) = (false, Vec::new(), None::<Instant>);
    while control.is_recording() {
        control.poll();
        while let Some(notice) = control.take_notice() {
            if notice.severity == Severity::Loss && losses.len() < 100 {
                losses.push(notice);
            }
        }
        let Some(now) = control.pass_status() else { break };
        let fraction = now.frames.0 as f64 / length.max(1) as f64;
        if effect.is_none() && running.is_none() && !now.has_ended() && fraction >= CALM_FRACTION {
            match disturbance.start() {
                Ok(begun) => running = Some(begun),
                Err(reason) => effect = Some(Err(reason)),
            }
        }
        if now.has_ended()
            && let Some(running) = running.take()
        {
            effect = Some(running.stop());
        }
        if cancel.load(Relaxed) && !stopped && now.is_ready {
            stopped = true;
            effect = running.take().map(RunningDisturbance::stop).or(effect);
            control.stop();
        }
        if last_shown.is_none_or(|at| at.elapsed() > Duration::from_millis(200)) {
            last_shown = Some(Instant::now());
            let seconds = now.frames.seconds(SampleRate(RATE));
            let what = if running.is_some() { "under stress" } else { "recording" };
            doing(0.05 + 0.8 * fraction as f32, &format!("{what}, {seconds:.1} s recorded"));
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    let effect = running.take().map(RunningDisturbance::stop).or(effect);
    (effect.unwrap_or_else(|| Err("the pass was over before the stress began".to_owned())), losses)
}
