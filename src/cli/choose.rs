//! From arguments to decided values: device, rate, memory. Thread: control.

use super::Failure;
use super::args::DeviceArgs;
use crate::butler::means::{CapturePath, Means};
use crate::butler::spool::{self, SpoolPlace};
use crate::device::DeviceSpec;
use crate::device::alsa::{Cards, cards};
use crate::device::signal::Signal;
use crate::format::{DeviceFormat, TakeFormat};
use crate::limits;
use crate::rt::process;
use crate::run::RunSetup;
use crate::time::SampleRate;
use crate::window::budget::{LockLimit, lock_limit};
use std::path::PathBuf;
use std::time::Duration;

/// Rate where neither the user nor a session names one.
const RATE_DEFAULT: u32 = 48_000;

/// Locked memory that is left to others of the same limit.
const LOCKED_BYTES_SPARE: u64 = 128 * 1024;

/// The device that is meant, and a sentence when it was chosen for the user.
pub fn device_name(args: &DeviceArgs) -> (String, Option<String>) {
    if let Some(name) = &args.device {
        return (name.clone(), None);
    }
    match cards() {
        Cards::Present { .. } => (
            "alsa:default".to_owned(),
            Some("device: alsa:default, since there is a sound card (--device names another)".to_owned()),
        ),
        Cards::Forbidden { .. } => {
            let text = "device: virtual, since this user may not open the sound card; add it to group 'audio' and log in again";
            ("virtual".to_owned(), Some(text.to_owned()))
        }
        Cards::Absent => ("virtual".to_owned(), Some("device: virtual, since there is no sound card".to_owned())),
    }
}

/// What to open. `inputs`, `outputs`: see [`DeviceSpec`].
pub fn device_spec(
    args: &DeviceArgs,
    name: String,
    rate: Option<SampleRate>,
    channels: (Option<usize>, Option<usize>),
    take_format: TakeFormat,
    signal: Signal,
) -> Result<DeviceSpec, Failure> {
    if args.period == 0 || limits::PERIOD_FRAMES_MAX < args.period {
        return Err(Failure(format!(
            "--period {}: a period has 1 to {} frames",
            args.period,
            limits::PERIOD_FRAMES_MAX
        )));
    }
    let rate = args.rate.map(SampleRate).or(rate).unwrap_or(SampleRate(RATE_DEFAULT));
    let is_virtual = name == "virtual" || name.starts_with("virtual:");
    // A card offers what it offers; the virtual device speaks what the takes want.
    let format = (is_virtual && take_format == TakeFormat::F32).then_some(DeviceFormat::F32);
    Ok(DeviceSpec {
        name,
        rate,
        period_frames: args.period,
        buffer_frames: args.buffer,
        inputs: channels.0,
        outputs: channels.1,
        format,
        signal,
    })
}

/// The signal that a name stands for.
pub fn signal(name: &str) -> Result<Signal, Failure> {
    match name {
        "ramp" => Ok(Signal::Ramp),
        "tones" => Ok(Signal::Tones),
        "silence" => Ok(Signal::Silence),
        _ => match name.strip_prefix("file=") {
            Some(path) => Ok(Signal::File(PathBuf::from(path))),
            None => Err(Failure(format!("--signal {name}: unknown; use ramp, tones, silence or file=PATH"))),
        },
    }
}

/// What the machine gives and the user allows.
pub fn run_setup(args: &DeviceArgs, capture_path: CapturePath) -> RunSetup {
    // More tracks than the usual 1,024 descriptors: a session of 512 tracks opens 1,024 files.
    process::raise_open_files().ok();
    let means = Means::probe(&Means::without_from_environment());
    let asked = args.lock_limit.map_or(limits::LOCKED_BYTES_DEFAULT, |kib| kib.saturating_mul(1024));
    let lock_bytes_max = match lock_limit() {
        LockLimit::Unlimited => asked,
        LockLimit::Bytes(bytes) => asked.min(bytes.saturating_sub(LOCKED_BYTES_SPARE.min(bytes / 4))),
    };
    let memory = process::memory_bound().unwrap_or(1 << 30) / limits::SPOOL_RAM_DIVISOR;
    let room = match &means.spool {
        SpoolPlace::Folder(folder) => spool::free_bytes(folder).unwrap_or(memory) / 10 * 9,
        SpoolPlace::Memory => memory,
    };
    let spool_bytes_max = args.spool_limit.map_or(memory, |mib| mib.saturating_mul(1 << 20)).min(room);
    RunSetup {
        means,
        capture_path,
        lock_bytes_max,
        spool_bytes_max,
        lead_ms: args.lead,
        beat: Duration::from_millis(limits::BEAT_MS_DEFAULT),
    }
}

/// Frames of so many seconds, to the nearest.
pub fn frames(seconds: f64, rate: SampleRate) -> Result<u64, Failure> {
    if !seconds.is_finite() || seconds <= 0.0 || 1e9 < seconds {
        return Err(Failure(format!("--seconds {seconds}: a time above 0 is meant")));
    }
    match (seconds * f64::from(rate.0)).round() as u64 {
        0 => Err(Failure(format!("--seconds {seconds}: less than one frame"))),
        frames => Ok(frames),
    }
}
