//! The lowest and highest of some samples, exact ([`Extent`]) and rounded to 16 bits ([`Entry`]). Thread: any. Pure.

use crate::limits::{PEAK_BASE_FRAMES, TAKE_CHANNEL_COUNT_MAX};

/// From here on a sample is at full scale: the highest that 16 bits hold, 0.0003 dB below 1.0.
pub const FULL_SCALE: f32 = 32767.0 / 32768.0;

/// The code of full scale; everything below it has a smaller one.
const CODE_MAX: i16 = i16::MAX;

/// Samples that are compared side by side; a whole number of frames, whether mono or stereo.
const LANES: usize = 16;

const _: () = assert!(LANES.is_multiple_of(TAKE_CHANNEL_COUNT_MAX) && PEAK_BASE_FRAMES.is_multiple_of(LANES));

/// The lowest and highest sample of a stretch of one channel, in steps of 1/32767.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// -32767 to 32767.
    pub min: i16,
    /// Not below `min`.
    pub max: i16,
}

impl Entry {
    /// Of no sample at all; merging with it changes nothing.
    pub const NONE: Entry = Entry { min: i16::MAX, max: i16::MIN };

    /// Of samples between `min` and `max`, full scale 1.0, rounded outward.
    pub fn of(extent: Extent) -> Entry {
        if extent.max < extent.min {
            // Every sample was NaN, which sounds as silence.
            return Entry { min: 0, max: 0 };
        }
        Entry { min: -code_above(-extent.min), max: code_above(extent.max) }
    }

    /// Of both stretches.
    #[must_use]
    pub fn merge(self, other: Entry) -> Entry {
        Entry { min: self.min.min(other.min), max: self.max.max(other.max) }
    }

    /// Whether it is the entry of any samples.
    pub fn is_valid(self) -> bool {
        -CODE_MAX <= self.min && self.min <= self.max
    }

    /// Lowest and highest, full scale 1.0. Exactly 1.0 or -1.0 stands for full scale and all above.
    pub fn extent(self) -> Extent {
        let value = |code: i16| f32::from(code) / f32::from(CODE_MAX);
        Extent { min: value(self.min), max: value(self.max) }
    }

    /// As it is stored: little endian, `min` first.
    pub fn pack(self) -> u32 {
        u32::from(self.min as u16) | u32::from(self.max as u16) << 16
    }

    /// What [`Entry::pack`] gave.
    pub fn unpack(bits: u32) -> Entry {
        Entry { min: bits as u16 as i16, max: (bits >> 16) as u16 as i16 }
    }
}

/// The smallest code that is not below `value`.
fn code_above(value: f32) -> i16 {
    if FULL_SCALE <= value {
        CODE_MAX
    } else if value <= -FULL_SCALE {
        -CODE_MAX
    } else {
        let top = f64::from(CODE_MAX);
        (f64::from(value) * top).ceil().clamp(1.0 - top, top - 1.0) as i16
    }
}

/// The lowest and highest of some samples, before they are rounded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extent {
    /// The lowest; above `max` if there was none.
    pub min: f32,
    /// The highest.
    pub max: f32,
}

impl Extent {
    /// Of no sample.
    pub const NONE: Extent = Extent { min: f32::INFINITY, max: f32::NEG_INFINITY };

    pub(super) fn add(&mut self, sample: f32) {
        // NaN is neither lower nor higher than anything.
        self.min = if sample < self.min { sample } else { self.min };
        self.max = if sample > self.max { sample } else { self.max };
    }

    pub(super) fn merge(&mut self, other: Extent) {
        self.add_extent(other.min, other.max);
    }

    fn add_extent(&mut self, min: f32, max: f32) {
        self.min = if min < self.min { min } else { self.min };
        self.max = if max > self.max { max } else { self.max };
    }
}

/// Extends `extents`, one a channel, by whole frames of interleaved samples.
pub fn extend(extents: &mut [Extent], samples: &[f32]) {
    let channels = extents.len();
    debug_assert!(samples.len().is_multiple_of(channels) && LANES.is_multiple_of(channels));
    let (rows, rest) = samples.as_chunks::<LANES>();
    let mut lanes = [[f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES]];
    for row in rows {
        for lane in 0..LANES {
            let sample = row[lane];
            lanes[0][lane] = if sample < lanes[0][lane] { sample } else { lanes[0][lane] };
            lanes[1][lane] = if sample > lanes[1][lane] { sample } else { lanes[1][lane] };
        }
    }
    for lane in 0..LANES {
        extents[lane % channels].merge(Extent { min: lanes[0][lane], max: lanes[1][lane] });
    }
    for (at, sample) in rest.iter().enumerate() {
        extents[at % channels].add(*sample);
    }
}
