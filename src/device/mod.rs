//! Sound devices: what the audio thread waits for, and whose memory it moves sound from. Thread: audio
//! (opening: control).
//!
//! A device counts its own frames. [`Device::wait`] reports how the clock went on, [`Device::cycle`]
//! lends the memory of one period. A device never hides a loss: frames of its clock that it could not
//! deliver come back as [`Wake::Lost`], with their number.
#![warn(missing_docs)]

pub mod alsa;

mod script;
mod virtual_card;
pub mod signal;
pub mod virtual_device;

pub use alsa::{Abilities, Cards, Listed, Listing, cards, list};

use crate::format::DeviceFormat;
use crate::time::SampleRate;
use nix::time::{ClockId, clock_gettime};
use std::fmt;
use std::time::Duration;

/// One direction's frames, as they lie in the device's memory.
///
/// Sample `f` of channel `c` starts at byte `f * frame_step + c * channel_step` and has `format.bytes()` bytes.
/// Interleaved memory has `channel_step == format.bytes()`, planar memory `frame_step == format.bytes()`.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The device's memory.
    pub bytes: &'a [u8],
    /// How a sample lies in it.
    pub format: DeviceFormat,
    /// Channels; 0 for a device without inputs.
    pub channels: usize,
    /// Frames lent.
    pub frames: usize,
    /// Bytes from one frame to the next.
    pub frame_step: usize,
    /// Bytes from one channel to the next.
    pub channel_step: usize,
}

/// Like [`Input`], to be filled. Every frame must be written: the memory holds what was played last.
pub struct Output<'a> {
    /// The device's memory.
    pub bytes: &'a mut [u8],
    /// How a sample lies in it.
    pub format: DeviceFormat,
    /// Channels; 0 for a device without outputs.
    pub channels: usize,
    /// Frames lent; equal to the input's where there are both.
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

/// Why frames of the device's clock were not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossCause {
    /// The program was too late and the device's buffer ran over or dry.
    Xrun,
    /// The machine slept.
    Suspend,
    /// The device was away and came back.
    Unplug,
    /// The clock ran on and frames are missing although no call reported an error.
    Silent,
}

impl LossCause {
    const ALL: [LossCause; 4] = [LossCause::Xrun, LossCause::Suspend, LossCause::Unplug, LossCause::Silent];

    /// A number for it, that stays the same from version to version. This is realtime-safe.
    pub fn code(self) -> u64 {
        match self {
            LossCause::Xrun => 1,
            LossCause::Suspend => 2,
            LossCause::Unplug => 3,
            LossCause::Silent => 4,
        }
    }

    /// The cause with that number.
    pub fn from_code(code: u64) -> Option<LossCause> {
        LossCause::ALL.into_iter().find(|cause| cause.code() == code)
    }
}

impl fmt::Display for LossCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LossCause::Xrun => "xrun",
            LossCause::Suspend => "suspend",
            LossCause::Unplug => "device away",
            LossCause::Silent => "silent loss",
        })
    }
}

/// Frames for which a device without outputs lets the thread sleep: whole periods, some 20 ms of them. Nobody hears
/// what is only recorded, so there is no latency to keep, and every wake that is spared is a context switch
/// and cold caches less. Each period is still moved as one. Never more than a quarter of the buffer.
pub fn rest_frames(period_frames: usize, buffer_frames: usize, rate: SampleRate) -> usize {
    let most = (rate.0 as usize / REST_PER_SECOND).min(buffer_frames / 4);
    (most / period_frames).max(1) * period_frames
}

/// See [`rest_frames`].
const REST_PER_SECOND: usize = 50;

/// What a wait ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// A period can be moved without waiting.
    Ready,
    /// Nothing came within the timeout; wait again.
    Timeout,
    /// `frames` of the device's clock went by undelivered; the device runs again, and the next
    /// frame it delivers is the one after them. `frames` may be 0 (an xrun that lost nothing).
    Lost {
        /// Undelivered frames.
        frames: u64,
        /// Why.
        cause: LossCause,
    },
    /// The device is gone and will not come back: close it, and open it anew. A further wait sleeps a period's time and
    /// says so again.
    Gone,
}

/// Whether a device keeps time by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// A clock in real time.
    RealTime,
    /// As fast as the program takes it: the caller must see to it that windows are there.
    Free,
}

/// How the program gets at the device's samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// In the device's own mapped memory: the processor copies each sample once.
    Mapped,
    /// Through a buffer of our own, since the device refuses mapped access: one copy more.
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

/// What an opened device settled on.
#[derive(Clone, Debug)]
pub struct DeviceFacts {
    /// The name that would open it again, as given after `--device`.
    pub name: String,
    /// Frames a second, as the device reports it.
    pub rate: SampleRate,
    /// Frames of a period.
    pub period_frames: usize,
    /// Frames of the device's buffer: how late the audio thread may be.
    pub buffer_frames: usize,
    /// Input channels.
    pub inputs: usize,
    /// Output channels.
    pub outputs: usize,
    /// Format of the inputs.
    pub input_format: DeviceFormat,
    /// Format of the outputs.
    pub output_format: DeviceFormat,
    /// How samples are reached.
    pub access: Access,
    /// Whether it keeps time.
    pub pace: Pace,
    /// Whether the driver starts both directions as one.
    pub linked: bool,
    /// What the user should know that is not an error: fallbacks taken, in plain words.
    pub notes: Vec<String>,
}

/// Time by the monotonic clock. Unlike the wall's it never jumps, and it stands still while the machine sleeps: a take does
/// not grow over night under a closed lid. This is realtime-safe.
pub fn monotonic() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}

/// Where a device's frame counter stands, told by the monotonic clock: also while the device delivers nothing, and after it
/// is gone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reckoning {
    /// A moment, as of [`monotonic`].
    pub at: Duration,
    /// How far the counter was then beyond the last frame that was lent or reported lost.
    pub ahead: f64,
    /// Frames that it counts in a second.
    pub per_second: f64,
}

impl Reckoning {
    /// Of a device without a clock: it stands where it was left, and from now on counts as its rate says.
    pub fn from_now(rate: SampleRate) -> Reckoning {
        Reckoning { at: monotonic(), ahead: 0.0, per_second: f64::from(rate.0) }
    }

    /// How far the counter is ahead at `moment`. This is realtime-safe.
    pub fn ahead_at(&self, moment: Duration) -> f64 {
        // Either may be the earlier one.
        let seconds =
            moment.saturating_sub(self.at).as_nanos() as f64 - self.at.saturating_sub(moment).as_nanos() as f64;
        self.ahead + seconds * 1e-9 * self.per_second
    }
}

/// Why a device did not start. Holds no heap, since the audio thread may meet it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartError {
    /// The call that failed.
    pub call: &'static str,
    /// The system's number for the reason.
    pub errno: i32,
}

impl StartError {
    /// The same about the device called `name`, in words.
    pub fn of(self, name: &str) -> DeviceError {
        let reason = std::io::Error::from_raw_os_error(self.errno).to_string();
        DeviceError::Failed { name: name.to_owned(), call: self.call, reason }
    }
}

/// A sound device in the hands of the audio thread.
///
/// `start`, `wait`, `cycle` and `stop` are the only calls of the audio thread that may reach the kernel.
/// None of them allocates or frees.
pub trait Device: Send {
    /// What it settled on when it was opened.
    fn facts(&self) -> &DeviceFacts;

    /// Starts the clock. Frame 0 of the device is the first that it delivers.
    fn start(&mut self) -> Result<(), StartError>;

    /// Waits until a period is there, at most for `timeout`.
    fn wait(&mut self, timeout: Duration) -> Wake;

    /// Lends the memory of exactly one period, in one or more pieces of at most
    /// [`crate::limits::BLOCK_FRAMES_MAX`] frames, in order. Only after [`Wake::Ready`].
    /// Returns the frames that were handed over: less than a period only if the device failed
    /// in between, which the next wait reports.
    fn cycle(&mut self, process: &mut dyn FnMut(Input<'_>, Output<'_>)) -> usize;

    /// Calls of `wait` that found nothing ready and had to sleep: each is one voluntary context
    /// switch that is the device's, not ours.
    fn sleeps(&self) -> u64;

    /// Stops the clock. A stopped device may be started again.
    fn stop(&mut self);

    /// Where its frame counter stands, as well as it is known. Asked when the device is gone, and when it has just begun:
    /// what lies between is silence of the right length. This is realtime-safe.
    fn reckoning(&self) -> Reckoning {
        Reckoning::from_now(self.facts().rate)
    }

    /// Why the device is gone, wholly or in part, or is not what it was, in plain words; `None` while nothing is wrong.
    fn failure(&self) -> Option<&'static str> {
        None
    }
}

/// What a user asked for. `None` leaves the choice to the device.
#[derive(Clone, Debug)]
pub struct DeviceSpec {
    /// `virtual`, `virtual:OPTIONS`, `alsa:NAME` or `alsa:CAPTURE,PLAYBACK` (`-` for none).
    pub name: String,
    /// Frames a second.
    pub rate: SampleRate,
    /// Frames of a period; a device may settle on another near it.
    pub period_frames: usize,
    /// Frames of the buffer; `None`: as many as make the device safe (virtual) or 4 periods and at least 16,384 frames (alsa).
    pub buffer_frames: Option<usize>,
    /// Input channels wanted: `Some(0)` opens no capture side, `None` takes all that the device has.
    pub inputs: Option<usize>,
    /// Output channels wanted, likewise.
    pub outputs: Option<usize>,
    /// Format to prefer where the device offers a choice.
    pub format: Option<DeviceFormat>,
    /// What a virtual device hears; see [`signal::Signal`].
    pub signal: signal::Signal,
}

/// Why a device could not be opened or started. Names the device first, then the reason, then what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceError {
    /// No device of that name.
    Unknown {
        /// The name asked for.
        name: String,
        /// What is there instead, or why nothing is.
        hint: String,
    },
    /// Another program holds it.
    Busy {
        /// The name asked for.
        name: String,
        /// Who holds it, where that can be told.
        holder: Option<String>,
    },
    /// It cannot do what was asked.
    Unsupported {
        /// The name asked for.
        name: String,
        /// What it was asked for, e.g. "44100 Hz".
        what: String,
        /// What it offers instead.
        offers: String,
    },
    /// The name or its options cannot be read.
    Malformed {
        /// The name asked for.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The system refused, or the device failed.
    Failed {
        /// The name asked for.
        name: String,
        /// The call that failed.
        call: &'static str,
        /// What the system said.
        reason: String,
    },
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceError::Unknown { name, hint } => write!(f, "{name}: no such device; {hint}"),
            DeviceError::Busy { name, holder: Some(holder) } => {
                write!(f, "{name}: the device is in use by {holder}; close it there and try again")
            }
            DeviceError::Busy { name, holder: None } => {
                write!(f, "{name}: the device is in use by another program; close it there and try again")
            }
            DeviceError::Unsupported { name, what, offers } => write!(f, "{name}: {what} is not offered; {offers}"),
            DeviceError::Malformed { name, reason } => write!(f, "{name}: {reason}"),
            DeviceError::Failed { name, call, reason } => write!(f, "{name}: {call} failed: {reason}"),
        }
    }
}

impl std::error::Error for DeviceError {}

/// Opens the device that `spec` names. Not on the audio thread: it allocates and may wait for the driver.
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

/// Whether a device name means the built-in device.
pub fn is_virtual(name: &str) -> bool {
    name == "virtual" || name.starts_with("virtual:")
}

/// The name by which the same device can be opened later, however many cards have come and gone meanwhile: the system
/// numbers cards by their coming. Ask while the device is there.
pub fn lasting_name(name: &str) -> String {
    match name.split_once(':') {
        Some(("alsa", pcm)) => format!("alsa:{}", alsa::lasting(pcm)),
        _ => name.to_owned(),
    }
}
