//! The lowest and highest of some samples, exact ([`Extent`]) and rounded to 16 bits ([`Entry`]). Thread: any. Pure.

use crate::format::FULL_SCALE;
use crate::limits::{PEAK_BASE_FRAMES, TAKE_CHANNEL_COUNT_MAX};

/// The code of full scale. Every lower sample has a smaller code.
const CODE_MAX: i16 = i16::MAX;

/// Samples that are compared side by side: a whole number of frames, mono or stereo.
const LANES: usize = 16;

const _: () = assert!(LANES.is_multiple_of(TAKE_CHANNEL_COUNT_MAX) && PEAK_BASE_FRAMES.is_multiple_of(LANES));

/// The lowest and highest of some samples of one channel, in steps of 1/32767.
///
/// Rounding goes outward, so that only silence is zero. Full scale has a code of its own, so that clipping is visible
/// at every zoom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// -32767 to 32767.
    pub min: i16,
    /// `min` to 32767.
    pub max: i16,
}

impl Entry {
    /// The entry of no samples. Merging it changes nothing.
    pub const NONE: Entry = Entry { min: i16::MAX, max: i16::MIN };

    /// Rounds an extent outward.
    pub fn of(extent: Extent) -> Entry {
        if extent.max < extent.min {
            // The extent is empty: every sample was NaN, which is played as silence.
            return Entry { min: 0, max: 0 };
        }
        Entry { min: -code_above(-extent.min), max: code_above(extent.max) }
    }

    /// The entry of the samples of both.
    #[must_use]
    pub fn merge(self, other: Entry) -> Entry {
        Entry { min: self.min.min(other.min), max: self.max.max(other.max) }
    }

    /// Whether some samples have this entry. False for [`Entry::NONE`] and for damaged data.
    pub fn is_valid(self) -> bool {
        -CODE_MAX <= self.min && self.min <= self.max
    }

    /// The lowest and highest value, full scale 1.0. Exactly 1.0 or -1.0 means full scale or above.
    pub fn extent(self) -> Extent {
        let value = |code: i16| f32::from(code) / f32::from(CODE_MAX);
        Extent { min: value(self.min), max: value(self.max) }
    }

    /// The form in memory and, little endian, in the cache file: `min` in the low half.
    pub fn pack(self) -> u32 {
        u32::from(self.min as u16) | u32::from(self.max as u16) << 16
    }

    /// The inverse of [`Entry::pack`].
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

/// The lowest and highest of some samples, not rounded, full scale 1.0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extent {
    /// Above `max` if there was no sample.
    pub min: f32,
    /// Below `min` if there was no sample.
    pub max: f32,
}

impl Extent {
    /// The extent of no samples.
    pub const NONE: Extent = Extent { min: f32::INFINITY, max: f32::NEG_INFINITY };

    pub(super) fn add(&mut self, sample: f32) {
        // A comparison with NaN is false, so NaN changes nothing.
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

/// Extends `extents`, one per channel, by whole frames of interleaved samples.
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
