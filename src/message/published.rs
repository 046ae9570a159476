//! What the audio thread lets everybody see: one writer, any reader, no waiting. Thread: any.

use crate::histogram::Histogram;
use crate::limits;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

/// What the transport does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Motion {
    /// It stands.
    Stopped = 0,
    /// It rolls.
    Rolling = 1,
    /// It rolls out, to stop.
    Stopping = 2,
    /// It rolls out, to go elsewhere.
    DeclickToLocate = 3,
    /// It is there and waits for windows.
    WaitingForData = 4,
}

/// A level that the audio thread writes and a face reads.
#[derive(Debug, Default)]
pub struct MeterCell {
    peak: AtomicU32,
    square: AtomicU32,
}

impl MeterCell {
    /// Raises the peak and replaces the mean square. This is realtime-safe.
    pub fn publish(&self, peak: f32, mean_square: f32) {
        // The bits of floats that are not negative are in the order of their values.
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

    /// The mean square, for its one writer to go on from.
    pub fn mean_square(&self) -> f32 {
        f32::from_bits(self.square.load(Relaxed))
    }
}

/// What the audio thread lets everybody see. It is the only writer, but for [`Published::ready_epoch`]
/// (read-ahead) and the fields a start fills in.
#[derive(Debug)]
pub struct Published {
    /// Kernel thread id of the audio thread; 0 before it runs.
    pub thread_id: AtomicI32,
    /// Whether its stack is locked.
    pub stack_locked: AtomicBool,
    /// A [`Motion`].
    pub motion: AtomicU8,
    /// The playhead, a timeline frame.
    pub position: AtomicU64,
    /// Frames played since the last locate.
    pub stream: AtomicU64,
    /// The locate that the audio thread has carried out.
    pub epoch: AtomicU32,
    /// The locate for which the read-ahead has windows in place.
    pub ready_epoch: AtomicU32,
    /// Frames of the pass so far; `u64::MAX` while none is on.
    pub pass_frames: AtomicU64,
    /// Frames of the device's clock, lost ones included.
    pub device_frames: AtomicU64,
    /// Times of whole cycles, in nanoseconds, the device's wait aside.
    pub cycles: Histogram,
    /// Waits in which the device made the thread sleep.
    pub device_sleeps: AtomicU64,
    /// Xruns of the device since the start.
    pub xruns: AtomicU64,
    /// Frames of the device's clock that were not delivered.
    pub frames_lost: AtomicU64,
    /// Frames of takes for which there was no window, summed over takes.
    pub frames_overrun: AtomicU64,
    /// Frames of tracks that were not heard in time, summed over tracks.
    pub frames_dropped: AtomicU64,
    /// Dropouts told or not.
    pub dropouts: AtomicU64,
    /// Events that found the ring full.
    pub events_missed: AtomicU64,
    /// A level per device input.
    pub inputs: Box<[MeterCell]>,
    /// A level per track slot, after gain and pan.
    pub tracks: Box<[MeterCell]>,
    /// Left and right of the mix.
    pub master: [MeterCell; 2],
}

/// [`Published::pass_frames`] while no pass is on.
pub const NO_PASS: u64 = u64::MAX;

impl Published {
    /// For a device with `inputs` channels.
    pub fn new(inputs: usize) -> Published {
        let cells = |count: usize| (0..count).map(|_| MeterCell::default()).collect();
        Published {
            thread_id: AtomicI32::new(0),
            stack_locked: AtomicBool::new(false),
            motion: AtomicU8::new(Motion::Stopped as u8),
            position: AtomicU64::new(0),
            stream: AtomicU64::new(0),
            epoch: AtomicU32::new(0),
            ready_epoch: AtomicU32::new(0),
            pass_frames: AtomicU64::new(NO_PASS),
            device_frames: AtomicU64::new(0),
            cycles: Histogram::default(),
            device_sleeps: AtomicU64::new(0),
            xruns: AtomicU64::new(0),
            frames_lost: AtomicU64::new(0),
            frames_overrun: AtomicU64::new(0),
            frames_dropped: AtomicU64::new(0),
            dropouts: AtomicU64::new(0),
            events_missed: AtomicU64::new(0),
            inputs: cells(inputs),
            tracks: cells(limits::TRACK_COUNT_MAX),
            master: [MeterCell::default(), MeterCell::default()],
        }
    }

    /// What the transport does.
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
    fn a_peak_is_forgotten_when_it_was_read() {
        let cell = MeterCell::default();
        cell.publish(0.5, 0.25);
        cell.publish(0.1, 0.04);
        assert!((cell.take_peak() - 0.5).abs() < f32::EPSILON && cell.take_peak() == 0.0);
        assert!((cell.rms() - 0.2).abs() < 1e-6);
    }
}
