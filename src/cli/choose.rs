//! Turns arguments into values of the library: device, signal, threads, length. Thread: main.

use super::Failure;
use super::args::DeviceArgs;
use crate::app::settings::last_device;
use crate::butler::capabilities::CapturePath;
use crate::control::setup::{self, DeviceRequest, RATE_DEFAULT, UserLimits};
use crate::device::signal::Signal;
use crate::device::{DeviceSpec, is_present};
use crate::format::TakeFormat;
use crate::limits;
use crate::threads::ThreadsSetup;
use crate::time::SampleRate;

/// How the name of the built-in device begins.
const BUILT_IN: &str = "virtual";

/// The device's name, and a sentence if the program has chosen it for the user. `side`: the side that must be there.
pub fn device_name(args: &DeviceArgs, side: setup::Side) -> Result<(String, Option<String>), Failure> {
    if let Some(name) = &args.device {
        return Ok((name.clone(), None));
    }
    // The built-in device is no choice for a recording that nobody watches.
    let last = last_device().filter(|name| !name.starts_with(BUILT_IN));
    if let Some(name) = last.clone().filter(|name| is_present(name, side == setup::Side::Inputs)) {
        let why = format!("device: {name}, the one that was chosen last in the window (--device names another)");
        return Ok((name, Some(why)));
    }
    let (name, why) = setup::best_device(side)?;
    Ok((name, Some(with_absent(why, last.as_deref(), side))))
}

/// The reason for a choice, with the device that was chosen last in the window and cannot be used.
fn with_absent(why: String, last: Option<&str>, side: setup::Side) -> String {
    let Some(last) = last else { return why };
    let side = if side == setup::Side::Inputs { "inputs" } else { "outputs" };
    format!(
        "{why}; {last}, which was chosen last in the window, has no {side} now: connect it, or name a device with --device"
    )
}

/// The device to open. `channels` are the inputs and outputs, as in [`DeviceSpec`].
pub fn device_spec(
    args: &DeviceArgs,
    name: String,
    rate: Option<SampleRate>,
    channels: (Option<usize>, Option<usize>),
    take_format: TakeFormat,
    signal: Signal,
) -> Result<DeviceSpec, Failure> {
    if let Some(period) = args.period.filter(|period| !(1..=limits::PERIOD_FRAMES_MAX).contains(period)) {
        let most = limits::PERIOD_FRAMES_MAX;
        return Err(Failure(format!("--period {period}: a period has 1 to {most} frames")));
    }
    if args.rate == Some(0) {
        let (least, most) = (limits::RATE_HZ_MIN, limits::RATE_HZ_MAX);
        return Err(Failure(format!("--rate 0: a rate has {least} to {most} Hz")));
    }
    if args.buffer == Some(0) {
        return Err(Failure("--buffer 0: a buffer has at least one period".to_owned()));
    }
    let rate = args.rate.map(SampleRate).or(rate).unwrap_or(SampleRate(RATE_DEFAULT));
    let (period, buffer) = (args.period, args.buffer);
    Ok(setup::device_spec(DeviceRequest { name, rate, period, buffer, channels, take_format, signal }))
}

/// Parses the name of an input signal.
pub fn signal(name: &str) -> Result<Signal, Failure> {
    setup::signal(name)
        .ok_or_else(|| Failure(format!("--signal {name}: unknown; use ramp, tones, silence or file=PATH")))
}

/// The setup of the threads, from the machine's limits and the user's.
pub fn threads_setup(args: &DeviceArgs, capture_path: CapturePath) -> ThreadsSetup {
    let allowed = UserLimits { lock_kib: args.lock_limit, spool_mib: args.spool_limit, lead_ms: args.lead };
    setup::threads_setup(allowed, capture_path)
}

/// The longest time that `--seconds` accepts: 31 years.
const SECONDS_MAX: f64 = 1e9;

/// Converts seconds to frames, rounded to the nearest.
pub fn frames(seconds: f64, rate: SampleRate) -> Result<u64, Failure> {
    if seconds.is_nan() || seconds <= 0.0 {
        return Err(Failure(format!("--seconds {seconds:?}: it must be above 0")));
    }
    if SECONDS_MAX < seconds {
        return Err(Failure(format!("--seconds {seconds:?}: at most {SECONDS_MAX} are possible")));
    }
    match (seconds * f64::from(rate.0)).round() as u64 {
        0 => Err(Failure(format!("--seconds {seconds:?}: less than one frame"))),
        frames => Ok(frames),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_was_chosen_last_and_is_not_there_is_named_beside_the_one_that_is_used() {
        let why = || "device: alsa:hw:1, a card".to_owned();
        assert_eq!(with_absent(why(), None, setup::Side::Inputs), why());
        let text = with_absent(why(), Some("alsa:hw:CARD=USB"), setup::Side::Inputs);
        assert!(text.starts_with(&why()) && text.contains("alsa:hw:CARD=USB") && text.contains("no inputs"), "{text}");
        assert!(with_absent(why(), Some("alsa:x"), setup::Side::Outputs).contains("no outputs"));
    }
}
