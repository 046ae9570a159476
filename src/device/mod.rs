//! Sound devices: the [`Device`] trait, the ALSA device, and the built-in device. Thread: audio (opening:
//! opener, reconnect, control; listing: lister, opener, control). The audio thread owns an open device.
//!
//! A device counts its own frames. [`Device::wait`] waits until a period is ready, [`Device::cycle`] lends the memory
//! of one period. A device never hides a loss: it reports frames of its clock that it could not deliver as
//! [`Wake::Lost`], with their number.
#![warn(missing_docs)]

pub mod alsa;

mod delays;
mod script;
mod virtual_card;
pub mod signal;
pub mod virtual_device;

pub use crate::host::monotonic;
pub use alsa::{
    Abilities, Attempts, Cards, Listed, Listing, NO_PLAYBACK, are_outputs_gone, cards, configuration_fault,
    default_output, is_outputs_failure, jack_card, keep_cards, list, list_cards, server_default, silence_this_thread,
};
pub use alsa::{SourceNews, SourceNotice};
pub use delays::{DelayReporter, DelayReporters};

use crate::format::DeviceFormat;
use crate::time::SampleRate;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Captured frames in the device's memory.
///
/// Sample `f` of channel `c` starts at byte `f * frame_step + c * channel_step` and has `format.bytes()` bytes.
/// Interleaved memory has `channel_step == format.bytes()`, planar memory `frame_step == format.bytes()`.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The device's memory.
    pub bytes: &'a [u8],
    /// Format of a sample in `bytes`.
    pub format: DeviceFormat,
    /// Channels; 0 for a device without inputs.
    pub channels: usize,
    /// Frames that are lent.
    pub frames: usize,
    /// Bytes from one frame to the next.
    pub frame_step: usize,
    /// Bytes from one channel to the next.
    pub channel_step: usize,
}

/// Frames to play, in the device's memory, laid out as in [`Input`]. Every frame must be written, because the memory
/// still holds sound that was played earlier.
pub struct Output<'a> {
    /// The device's memory.
    pub bytes: &'a mut [u8],
    /// Format of a sample in `bytes`.
    pub format: DeviceFormat,
    /// Channels; 0 for a device without outputs.
    pub channels: usize,
    /// Frames lent: as many as in the [`Input`] that comes with this output.
    pub frames: usize,
    /// Bytes from one frame to the next.
    pub frame_step: usize,
    /// Bytes from one channel to the next.
    pub channel_step: usize,
}

impl<'a> Input<'a> {
    /// Interleaved memory of `frames` frames.
    pub fn interleaved(bytes: &'a [u8], format: DeviceFormat, channels: usize) -> Self {
        let frame_step = channels * format.bytes();
        let frames = bytes.len().checked_div(frame_step).unwrap_or(0);
        Input { bytes, format, channels, frames, frame_step, channel_step: format.bytes() }
    }

    /// No channels, `frames` frames of time.
    pub fn none(frames: usize) -> Input<'static> {
        Input { bytes: &[], format: DeviceFormat::S32, channels: 0, frames, frame_step: 0, channel_step: 0 }
    }
}

impl<'a> Output<'a> {
    /// Interleaved memory of `frames` frames.
    pub fn interleaved(bytes: &'a mut [u8], format: DeviceFormat, channels: usize) -> Self {
        let frame_step = channels * format.bytes();
        let frames = bytes.len().checked_div(frame_step).unwrap_or(0);
        Output { bytes, format, channels, frames, frame_step, channel_step: format.bytes() }
    }

    /// No channels, `frames` frames of time.
    pub fn none(frames: usize) -> Output<'static> {
        Output { bytes: &mut [], format: DeviceFormat::S32, channels: 0, frames, frame_step: 0, channel_step: 0 }
    }
}

/// The cause of frames that the device did not deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossCause {
    /// The program was too late and the device's buffer ran over or dry.
    Xrun,
    /// The machine was suspended.
    Suspend,
    /// The device was unplugged and came back.
    Unplug,
    /// Frames are missing although no call reported an error.
    Silent,
}

impl LossCause {
    const ALL: [LossCause; 4] = [LossCause::Xrun, LossCause::Suspend, LossCause::Unplug, LossCause::Silent];

    /// A number for files: it never changes between versions. This is realtime-safe.
    pub fn code(self) -> u64 {
        match self {
            LossCause::Xrun => 1,
            LossCause::Suspend => 2,
            LossCause::Unplug => 3,
            LossCause::Silent => 4,
        }
    }

    /// The form that the session's file and the events have. It never changes, because older files have it too.
    fn in_files(self) -> &'static str {
        match self {
            LossCause::Xrun => "xrun",
            LossCause::Suspend => "suspend",
            LossCause::Unplug => "device away",
            LossCause::Silent => "silent loss",
        }
    }

    /// The cause as a user reads it.
    pub fn words(self) -> &'static str {
        match self {
            LossCause::Silent => "missing, although the device reported no error",
            other => other.in_files(),
        }
    }

    /// The cause of a loss that a take lists, as a user reads it.
    pub fn words_of(listed: &str) -> &str {
        match LossCause::ALL.into_iter().find(|cause| cause.in_files() == listed) {
            Some(cause) => cause.words(),
            None => listed,
        }
    }

    /// The cause with the number `code`, if there is one.
    pub fn from_code(code: u64) -> Option<LossCause> {
        LossCause::ALL.into_iter().find(|cause| cause.code() == code)
    }
}

impl fmt::Display for LossCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.in_files())
    }
}

/// Frames for which a device without outputs lets the audio thread sleep: whole periods of about 20 ms together, at
/// most a quarter of the buffer. Without outputs latency does not matter, and every wake that is saved also saves a
/// context switch and cold caches. The thread still moves one period at a time.
pub fn rest_frames(period_frames: usize, buffer_frames: usize, rate: SampleRate) -> usize {
    let most = (rate.0 as usize / REST_PER_SECOND).min(buffer_frames / 4);
    (most / period_frames).max(1) * period_frames
}

/// Wakes per second that [`rest_frames`] aims at.
const REST_PER_SECOND: usize = 50;

/// The result of [`Device::wait`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// A period is ready.
    Ready,
    /// The timeout passed; wait again.
    Timeout,
    /// `frames` frames of the device's clock were not delivered. The device runs again, and the next frame that it
    /// delivers follows them. `frames` is 0 only after an xrun of the inputs that lost nothing.
    Lost {
        /// How many frames.
        frames: u64,
        /// Cause of the loss.
        cause: LossCause,
    },
    /// The outputs ran dry or over, and every input frame arrives. Only a device that has inputs too reports this.
    PlaybackXrun,
    /// [`Device::failure`] or [`Device::wrong_rate`] has changed; no frame was lost.
    Changed,
    /// The device is gone for good: close it and open it again. A further wait sleeps for a period and returns the
    /// same.
    Gone,
}

/// The clock of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// The device has a clock of its own.
    RealTime,
    /// The device is as fast as the program moves periods. The caller must check that windows are there.
    Free,
}

/// How the program accesses the device's samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// In the device's mapped memory: the processor copies each sample once.
    Mapped,
    /// Through a buffer of the program, because the device refuses mapped access: one more copy.
    Copied,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Access::Mapped => "mmap",
            Access::Copied => "read/write",
        })
    }
}

/// Properties of an open device.
#[derive(Clone, Debug)]
pub struct DeviceFacts {
    /// The name that opens the device, as in [`DeviceSpec::name`].
    pub name: String,
    /// Frames per second.
    pub rate: SampleRate,
    /// Frames of a period.
    pub period_frames: usize,
    /// Frames of the device's buffer. The audio thread may be late by this much.
    pub buffer_frames: usize,
    /// Number of input channels.
    pub inputs: usize,
    /// Number of output channels.
    pub outputs: usize,
    /// Format of the inputs.
    pub input_format: DeviceFormat,
    /// Format of the outputs.
    pub output_format: DeviceFormat,
    /// How the program accesses the samples.
    pub access: Access,
    /// The clock of the device.
    pub pace: Pace,
    /// Whether the driver starts capture and playback together.
    pub linked: bool,
    /// Who reports the delays of both directions.
    pub delays: DelayReporters,
    /// Notes for the user that are not errors, for example fallbacks. Sentences for the screen.
    pub notes: Vec<String>,
    /// News of the source of the inputs, if a sound server can take it away.
    pub source: Option<Arc<SourceNews>>,
}

/// A device's frame counter as a function of the monotonic clock. It also covers times when the device delivers nothing
/// or is gone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reckoning {
    /// A moment, as of [`monotonic`].
    pub at: Duration,
    /// Frames from the last frame that was lent or reported lost to the counter at that moment.
    pub ahead: f64,
    /// Frames that the counter advances per second.
    pub per_second: f64,
}

impl Reckoning {
    /// For a device without a clock: the counter is at the last frame lent now, and advances at `rate`. This is
    /// realtime-safe.
    pub fn from_now(rate: SampleRate) -> Reckoning {
        Reckoning { at: monotonic(), ahead: 0.0, per_second: f64::from(rate.0) }
    }

    /// [`Reckoning::ahead`] at `moment`. This is realtime-safe.
    pub fn ahead_at(&self, moment: Duration) -> f64 {
        // Either moment may be the earlier one; a `Duration` cannot be negative.
        let seconds =
            moment.saturating_sub(self.at).as_nanos() as f64 - self.at.saturating_sub(moment).as_nanos() as f64;
        self.ahead + seconds * 1e-9 * self.per_second
    }
}

/// The way of sound from the outputs of a device to its inputs. If output for frame n could be heard at an input, the
/// device would capture it as frame n + [`Latency::sum`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// Frames between the frame number of output and the moment at which it leaves the device.
    pub output: u64,
    /// Frames between the moment at which input reaches the device and its frame number.
    pub input: u64,
    /// How often the outputs were started. Another number means that the latency may have changed.
    pub starts: u32,
    /// How often output was skipped since, because outputs with a slower clock had fallen behind. The latency is shorter
    /// from then on, and grows again.
    pub skips: u32,
}

impl Latency {
    /// Frames of both directions.
    pub fn sum(self) -> u64 {
        self.output + self.input
    }
}

/// Why a device did not start. Owns no heap memory, because the audio thread may drop it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartError {
    /// The call that failed.
    pub call: &'static str,
    /// The error number of the system.
    pub errno: i32,
}

impl StartError {
    /// The error for the device called `name`.
    pub fn of(self, name: &str) -> DeviceError {
        let reason = std::io::Error::from_raw_os_error(self.errno).to_string();
        DeviceError::Failed { name: name.to_owned(), call: self.call, reason }
    }
}

/// An open sound device. The audio thread owns it while it runs.
///
/// `start`, `wait`, `cycle`, `stop` and `is_near_full` may make system calls. Apart from them, only the sleeps that the header of the drive
/// loop lists do so on the audio thread. None of them allocates or frees.
pub trait Device: Send {
    /// Properties of the device.
    fn facts(&self) -> &DeviceFacts;

    /// Starts the clock. Frame 0 is the first frame that the device delivers.
    fn start(&mut self) -> Result<(), StartError>;

    /// Waits until a period is ready, a loss is found or `timeout` has passed.
    fn wait(&mut self, timeout: Duration) -> Wake;

    /// Lends the memory of one period to `process`, in order, in one or more pieces of at most
    /// [`crate::limits::BLOCK_FRAMES_MAX`] frames. Call it only after [`Wake::Ready`]. Returns the frames that were
    /// lent: less than a period only if the device failed meanwhile, which the next wait reports.
    fn cycle(&mut self, process: &mut dyn FnMut(Input<'_>, Output<'_>)) -> usize;

    /// Whether half of the device's buffer or more holds input that was not lent yet. The thread must not wait for anything
    /// else then, because the device would overwrite that input.
    fn is_near_full(&self) -> bool {
        false
    }

    /// Times that `wait` had to sleep. Each is a voluntary context switch that the device caused, not the engine.
    fn sleeps(&self) -> u64;

    /// Stops the clock. A stopped device can be started again.
    fn stop(&mut self);

    /// Time from the moment at which the last `wait` was to end until the thread ran again: the lateness of its wake-up.
    /// Zero if it did not sleep, or if the device cannot tell. This is realtime-safe.
    fn lateness(&self) -> Duration {
        Duration::ZERO
    }

    /// The device's frame counter, as exactly as the device knows it. The drive loop reads it from the device that is
    /// gone and from its successor, and counts the frames between them as silence. This is realtime-safe.
    fn reckoning(&self) -> Reckoning {
        Reckoning::from_now(self.facts().rate)
    }

    /// Output frames that were computed and not played, because the outputs had failed or ran late: the outputs were silent.
    /// Frames that [`Wake::Lost`] reports are not counted. This is realtime-safe.
    fn unheard_frames(&self) -> u64 {
        0
    }

    /// Output frames that were computed and skipped, because outputs with a slower clock had fallen behind: the sound jumped,
    /// and the outputs were not silent. This is realtime-safe.
    fn skipped_frames(&self) -> u64 {
        0
    }

    /// Output frames that were not played in the outage of the outputs that ended last. This is realtime-safe.
    fn outage_frames(&self) -> u64 {
        0
    }

    /// The way from output to input, as the device knows it. This is realtime-safe.
    fn latency(&self) -> Latency {
        Latency::default()
    }

    /// Whether the device has outputs that are there. This is realtime-safe.
    fn has_live_outputs(&self) -> bool {
        0 < self.facts().outputs
    }

    /// Parts per million by which the clock of the inputs is faster than that of the outputs; `None` while no difference
    /// has been measured. This is realtime-safe.
    fn drift_ppm(&self) -> Option<f64> {
        None
    }

    /// Time for which the device has made its own input since it was opened: zero for a card, whose input comes by itself.
    /// It is a part of the time of [`Device::cycle`]. This is realtime-safe.
    fn signal_time(&self) -> Duration {
        Duration::ZERO
    }

    /// The failure of the device, as a sentence for the user: it is gone, or one direction is gone. `None` while nothing is
    /// wrong. This is realtime-safe.
    fn failure(&self) -> Option<&'static str> {
        None
    }

    /// The start of a sentence for the user while the clock of the device runs at another rate than the session's. It is
    /// apart from [`Device::failure`], because both can be wrong at a time. This is realtime-safe.
    fn wrong_rate(&self) -> Option<&'static str> {
        None
    }
}

/// The device that a user wants. `None` leaves the choice to the device.
#[derive(Clone, Debug)]
pub struct DeviceSpec {
    /// `virtual`, `virtual:OPTIONS`, `alsa:NAME` or `alsa:CAPTURE,PLAYBACK` (`-` for none).
    pub name: String,
    /// Frames per second.
    pub rate: SampleRate,
    /// Frames of a period. A device may choose another length near it. `None` means 64 frames, and 1,024 for a sound
    /// server.
    pub period_frames: Option<usize>,
    /// Frames of the buffer. `None` means a third of a second (virtual), or 16,384 frames and at least 4 periods
    /// (alsa).
    pub buffer_frames: Option<usize>,
    /// Input channels: `Some(0)` opens no capture side, `None` opens all that the device has.
    pub inputs: Option<usize>,
    /// Output channels: `Some(0)` opens no playback side, `None` opens all that the device has.
    pub outputs: Option<usize>,
    /// Preferred format, where the device offers a choice.
    pub format: Option<DeviceFormat>,
    /// Input signal of the built-in device.
    pub signal: signal::Signal,
}

/// Why a device could not be opened or started. Its text names the device, then the reason, then what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceError {
    /// There is no device of that name.
    Unknown {
        /// The requested name.
        name: String,
        /// Devices that are there instead, or why there are none.
        hint: String,
    },
    /// Another program uses the device.
    Busy {
        /// The requested name.
        name: String,
        /// "inputs" or "outputs", if the name is a pair and only one of the two is in use.
        part: Option<&'static str>,
        /// The program, if it is known.
        holder: Option<String>,
        /// The device of the sound server that holds the device. The same card may be used through it.
        instead: Option<String>,
    },
    /// The device does not support a requested setting.
    Unsupported {
        /// The requested name.
        name: String,
        /// The setting, for example "44100 Hz".
        what: String,
        /// The settings that the device offers.
        offers: String,
    },
    /// The name or its options are malformed.
    Malformed {
        /// The requested name.
        name: String,
        /// Description of the mistake.
        reason: String,
    },
    /// The system refused, or the device failed.
    Failed {
        /// The requested name.
        name: String,
        /// The call that failed.
        call: &'static str,
        /// The text of the system.
        reason: String,
    },
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceError::Unknown { name, hint } => write!(f, "{name}: no such device; {hint}"),
            DeviceError::Busy { name, part, holder, instead } => {
                let (is_held, holder) = (is_held(*part), holder.as_deref().unwrap_or("another program"));
                match instead {
                    Some(server) => write!(
                        f,
                        "{name}: {is_held} in use by {holder}, which does not let go; use the sound server in its place \
                         (--device {server}), or close that program and try again"
                    ),
                    None => write!(f, "{name}: {is_held} in use by {holder}; close that program and try again"),
                }
            }
            DeviceError::Unsupported { name, what, offers } => write!(f, "{name}: {what} is not offered; {offers}"),
            DeviceError::Malformed { name, reason } => write!(f, "{name}: {reason}"),
            DeviceError::Failed { name, call, reason } => write!(f, "{name}: {call} failed: {reason}"),
        }
    }
}

impl std::error::Error for DeviceError {}

/// The start of a sentence about the part of a device that another program uses.
fn is_held(part: Option<&str>) -> String {
    part.map_or_else(|| "the device is".to_owned(), |part| format!("its {part} are"))
}

/// Opens the device that `spec` names. This is not realtime-safe: it allocates and may wait for the driver.
pub fn open(spec: &DeviceSpec) -> Result<Box<dyn Device>, DeviceError> {
    match spec.name.split_once(':').map_or((spec.name.as_str(), ""), |(kind, rest)| (kind, rest)) {
        ("virtual", options) => Ok(Box::new(virtual_device::VirtualDevice::open(spec, options)?)),
        ("alsa", pcm) => Ok(Box::new(alsa::AlsaDevice::open(spec, pcm)?)),
        _ => Err(DeviceError::Malformed {
            name: spec.name.clone(),
            reason: "a device is 'virtual' or 'alsa:NAME'; 'faultless devices' lists what is here".to_owned(),
        }),
    }
}

/// Opens the inputs of a pair whose outputs, on another card, cannot be opened now; the outputs follow by themselves.
/// `None` if `spec` is no such pair, or if the inputs cannot be opened either. This is not realtime-safe.
pub fn open_before_outputs(spec: &DeviceSpec) -> Option<Box<dyn Device>> {
    let device = alsa::AlsaDevice::open_before_outputs(spec, spec.name.strip_prefix("alsa:")?)?;
    Some(Box::new(device))
}

/// Whether a device name means the built-in device.
pub fn is_virtual(name: &str) -> bool {
    name == "virtual" || name.starts_with("virtual:")
}

/// Whether the ALSA device `name` is there for a direction, free or in use. It opens the device for a moment.
pub fn is_present(name: &str, capture: bool) -> bool {
    name.strip_prefix("alsa:").is_some_and(|pcm| alsa::is_present(pcm, capture))
}

/// Whether the ALSA device `name` is there for a direction, and no other program holds it. It opens the device for a moment.
pub fn is_free(name: &str, capture: bool) -> bool {
    name.strip_prefix("alsa:").is_some_and(|pcm| alsa::is_free(pcm, capture))
}

/// A variable of the environment and its value, with which PipeWire's ALSA plugin gives a program the channels of a
/// source as they are. Without it the plugin mixes a source of more than two channels down, and the channels from the
/// third on are silent.
pub const UNMIXED: (&str, &str) = ("PIPEWIRE_ALSA", "{ stream.dont-remix = true channelmix.disable = true }");

/// A name that opens the same device later. ALSA numbers cards in the order in which they were plugged in, so a card
/// number may mean another card by then; this name has the card's id instead. Call it while the device is there.
pub fn lasting_name(name: &str) -> String {
    match name.split_once(':') {
        Some(("alsa", pcm)) => format!("alsa:{}", alsa::lasting(pcm)),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_keep_the_form_of_a_cause_and_a_user_reads_words() {
        assert_eq!(LossCause::Silent.to_string(), "silent loss");
        let words: Vec<&str> = ["silent loss", "xrun", "overrun"].map(LossCause::words_of).to_vec();
        assert_eq!(words, ["missing, although the device reported no error", "xrun", "overrun"]);
    }
}
