//! Numbers that the audio thread publishes: any reader, no waiting. Thread: any.

use super::cycle_log::CycleLog;
use crate::device::Latency;
use crate::histogram::Histogram;
use crate::limits;
use serde::{Deserialize, Serialize};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU32, AtomicU64, AtomicUsize};

/// State of the transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Motion {
    /// The transport is stopped.
    Stopped = 0,
    /// The transport rolls.
    Rolling = 1,
    /// The transport rolls during the declick before a stop.
    Stopping = 2,
    /// The transport rolls during the declick before a locate.
    DeclickToLocate = 3,
    /// The playhead has arrived and waits for the read-ahead's windows.
    WaitingForData = 4,
}

/// A peak and a mean square that the audio thread writes. A front end reads both, and resets the peak.
#[derive(Debug, Default)]
pub struct MeterCell {
    peak: AtomicU32,
    square: AtomicU32,
}

impl MeterCell {
    /// Raises the peak and replaces the mean square. This is realtime-safe.
    pub fn publish(&self, peak: f32, mean_square: f32) {
        // Floats that are not negative have the same order as their bits.
        self.peak.fetch_max(peak.max(0.0).to_bits(), Relaxed);
        self.square.store(mean_square.to_bits(), Relaxed);
    }

    /// The highest peak since the last call, full scale 1.0.
    pub fn take_peak(&self) -> f32 {
        f32::from_bits(self.peak.swap(0, Relaxed))
    }

    /// Root of the mean square over some 300 ms, full scale 1.0.
    pub fn rms(&self) -> f32 {
        f32::from_bits(self.square.load(Relaxed)).max(0.0).sqrt()
    }

    /// The mean square. The audio thread continues from it.
    pub fn mean_square(&self) -> f32 {
        f32::from_bits(self.square.load(Relaxed))
    }
}

/// The numbers of the audio thread, which is their only writer. Exceptions: the read-ahead writes
/// [`Published::ready_epoch`]; a front end resets peaks ([`MeterCell::take_peak`]); control resets the longest cycle
/// ([`Histogram::take_max`]); the start of the threads fills in `thread_id`, `stack_locked`, `stack_address` and
/// `is_alsa`.
#[derive(Debug)]
pub struct Published {
    /// Kernel thread id of the audio thread; 0 before it runs.
    pub thread_id: AtomicI32,
    /// Whether the stack of the audio thread is locked.
    pub stack_locked: AtomicBool,
    /// An address on the stack of the audio thread; 0 before it runs.
    pub stack_address: AtomicUsize,
    /// Whether the device is one of ALSA. A plugin of alsa-lib may run it on threads of a sound server's library.
    pub is_alsa: AtomicBool,
    /// A [`Motion`]; see [`Published::motion`].
    pub motion: AtomicU8,
    /// The playhead, as a timeline frame.
    pub position: AtomicU64,
    /// Frames played since the last locate.
    pub stream: AtomicU64,
    /// The number of the last locate that the audio thread has carried out.
    pub epoch: AtomicU32,
    /// The number of the last locate for which the read-ahead has handed over windows.
    pub ready_epoch: AtomicU32,
    /// Frames of the pass so far; [`NO_PASS`] while no pass is recorded.
    pub pass_frames: AtomicU64,
    /// Frames of the device's clock, lost frames included.
    pub device_frames: AtomicU64,
    /// Duration of each cycle in nanoseconds, without the time in which the thread waited for the device.
    pub cycles: Histogram,
    /// The last cycles, one by one.
    pub cycle_log: CycleLog,
    /// Nanoseconds in which the built-in device made its signal. They are in no cycle.
    pub signal_nanos: AtomicU64,
    /// Sleeps that the thread counts itself: in the device's wait, for windows, and while there is no device.
    pub counted_sleeps: AtomicU64,
    /// Xruns of the device's inputs since the start of the threads; of its outputs, if it has no inputs.
    pub xruns: AtomicU64,
    /// Xruns of the outputs of a device that has inputs too. They cost no recorded frame.
    pub playback_xruns: AtomicU64,
    /// Frames of the device's clock that were not delivered.
    pub frames_lost: AtomicU64,
    /// Output frames that were computed and not played, see [`Device::unheard_frames`](crate::device::Device).
    pub frames_unheard: AtomicU64,
    /// Output frames that were computed and skipped, see [`Device::skipped_frames`](crate::device::Device).
    pub frames_skipped: AtomicU64,
    /// Whether the outputs of the device are there. While there is no device, those of the last one.
    pub outputs_live: AtomicBool,
    /// Frames by which output is heard after its frame number, see [`Latency`].
    output_delay: AtomicU64,
    /// Frames by which input is numbered after it was captured, see [`Latency`].
    input_delay: AtomicU64,
    /// How often the outputs were started, see [`Latency`].
    output_starts: AtomicU32,
    /// How often output was skipped, see [`Latency`].
    output_skips: AtomicU32,
    /// Parts per million by which the clock of the inputs is faster than that of the outputs; 0 while none is known.
    pub drift_ppm: AtomicI32,
    /// Frames of takes that had no capture window, summed over takes.
    pub frames_overrun: AtomicU64,
    /// Frames of the losses and overruns that were reported to control. A long overrun is reported in parts.
    pub losses_reported: AtomicU64,
    /// The first lost frame of the pass that was not reported yet, because the loss or overrun may continue. Of an overrun that
    /// is reported in parts, this is the frame behind the last part. [`NO_PASS`] without such a loss. Stored before
    /// [`Published::pass_frames`].
    pub open_loss: AtomicU64,
    /// Frames of tracks that had no playback window in time, summed over tracks.
    pub frames_dropped: AtomicU64,
    /// Number of dropouts, including those whose event did not fit into the ring.
    pub dropouts: AtomicU64,
    /// Events that did not fit into the ring.
    pub events_missed: AtomicU64,
    /// A meter for each device input.
    pub inputs: Box<[MeterCell]>,
    /// A meter for each track slot, after gain and pan.
    pub tracks: Box<[MeterCell]>,
    /// Meters of the master bus, left and right.
    pub master: [MeterCell; 2],
}

/// Value of [`Published::pass_frames`] while no pass is recorded.
pub const NO_PASS: u64 = u64::MAX;

impl Published {
    /// The numbers for a device with `inputs` input channels.
    pub fn new(inputs: usize) -> Published {
        let cells = |count: usize| (0..count).map(|_| MeterCell::default()).collect();
        Published {
            thread_id: AtomicI32::new(0),
            stack_locked: AtomicBool::new(false),
            stack_address: AtomicUsize::new(0),
            is_alsa: AtomicBool::new(false),
            motion: AtomicU8::new(Motion::Stopped as u8),
            position: AtomicU64::new(0),
            stream: AtomicU64::new(0),
            epoch: AtomicU32::new(0),
            ready_epoch: AtomicU32::new(0),
            pass_frames: AtomicU64::new(NO_PASS),
            device_frames: AtomicU64::new(0),
            cycles: Histogram::default(),
            cycle_log: CycleLog::default(),
            signal_nanos: AtomicU64::new(0),
            counted_sleeps: AtomicU64::new(0),
            xruns: AtomicU64::new(0),
            playback_xruns: AtomicU64::new(0),
            frames_lost: AtomicU64::new(0),
            frames_unheard: AtomicU64::new(0),
            frames_skipped: AtomicU64::new(0),
            outputs_live: AtomicBool::new(true),
            output_delay: AtomicU64::new(0),
            input_delay: AtomicU64::new(0),
            output_starts: AtomicU32::new(0),
            output_skips: AtomicU32::new(0),
            drift_ppm: AtomicI32::new(0),
            frames_overrun: AtomicU64::new(0),
            losses_reported: AtomicU64::new(0),
            open_loss: AtomicU64::new(NO_PASS),
            frames_dropped: AtomicU64::new(0),
            dropouts: AtomicU64::new(0),
            events_missed: AtomicU64::new(0),
            inputs: cells(inputs),
            tracks: cells(limits::TRACK_COUNT_MAX),
            master: [MeterCell::default(), MeterCell::default()],
        }
    }

    /// Publishes the latency of the device. This is realtime-safe.
    pub fn set_latency(&self, latency: Latency) {
        // Before the delay: whoever reads the shorter delay reads the reason too.
        self.output_skips.store(latency.skips, Relaxed);
        self.output_delay.store(latency.output, Release);
        self.input_delay.store(latency.input, Relaxed);
        self.output_starts.store(latency.starts, Relaxed);
    }

    /// The latency of the device, as it knows it now.
    pub fn latency(&self) -> Latency {
        Latency {
            output: self.output_delay.load(Acquire),
            input: self.input_delay.load(Relaxed),
            starts: self.output_starts.load(Relaxed),
            skips: self.output_skips.load(Relaxed),
        }
    }

    /// The latency of the device, as it knows it now; `None` while its outputs are gone, so that nothing is heard.
    pub fn latency_heard(&self) -> Option<Latency> {
        self.outputs_live.load(Relaxed).then(|| self.latency())
    }

    /// Frames that the device did not deliver, and frames of takes that had no capture window.
    pub fn losses(&self) -> u64 {
        self.frames_lost.load(Relaxed) + self.frames_overrun.load(Relaxed)
    }

    /// The state of the transport.
    pub fn motion(&self) -> Motion {
        match self.motion.load(Relaxed) {
            1 => Motion::Rolling,
            2 => Motion::Stopping,
            3 => Motion::DeclickToLocate,
            4 => Motion::WaitingForData,
            _ => Motion::Stopped,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_a_peak_resets_it() {
        let cell = MeterCell::default();
        cell.publish(0.5, 0.25);
        cell.publish(0.1, 0.04);
        assert!((cell.take_peak() - 0.5).abs() < f32::EPSILON && cell.take_peak() == 0.0);
        assert!((cell.rms() - 0.2).abs() < 1e-6);
    }
}
