//! Sample formats: those of takes and those of devices. Thread: any; pure.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Samples from this value on count as full scale. It is the highest 16-bit value, 0.0003 dB below 1.0.
pub const FULL_SCALE: f32 = 32767.0 / 32768.0;

/// Sample format of a take: little endian, frames of `channels` samples without padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TakeFormat {
    /// 16-bit integer PCM.
    S16,
    /// 24-bit integer PCM in three bytes. The default.
    S24,
    /// 32-bit IEEE float, full scale at 1.0.
    F32,
}

impl TakeFormat {
    /// Bytes of one sample.
    pub const fn bytes(self) -> usize {
        match self {
            TakeFormat::S16 => 2,
            TakeFormat::S24 => 3,
            TakeFormat::F32 => 4,
        }
    }

    /// Bits of one sample.
    pub const fn bits(self) -> u16 {
        self.bytes() as u16 * 8
    }
}

impl fmt::Display for TakeFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TakeFormat::S16 => "s16",
            TakeFormat::S24 => "s24",
            TakeFormat::F32 => "f32",
        })
    }
}

impl FromStr for TakeFormat {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "s16" => Ok(TakeFormat::S16),
            "s24" => Ok(TakeFormat::S24),
            "f32" => Ok(TakeFormat::F32),
            other => Err(format!("{other}: unknown sample format; use s16, s24 or f32")),
        }
    }
}

/// Sample format in a device's memory, little endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DeviceFormat {
    /// `S16_LE`: two bytes.
    S16,
    /// `S24_LE`: the low three of four bytes. The top byte is ignored.
    S24,
    /// `S24_3LE`: three bytes.
    S24In3,
    /// `S32_LE`: four bytes.
    S32,
    /// `FLOAT_LE`: four bytes, full scale at 1.0.
    F32,
}

impl DeviceFormat {
    /// Bytes from one sample to the next.
    pub const fn bytes(self) -> usize {
        match self {
            DeviceFormat::S16 => 2,
            DeviceFormat::S24In3 => 3,
            DeviceFormat::S24 | DeviceFormat::S32 | DeviceFormat::F32 => 4,
        }
    }

    /// ALSA's name of the format.
    pub const fn name(self) -> &'static str {
        match self {
            DeviceFormat::S16 => "S16_LE",
            DeviceFormat::S24 => "S24_LE",
            DeviceFormat::S24In3 => "S24_3LE",
            DeviceFormat::S32 => "S32_LE",
            DeviceFormat::F32 => "FLOAT_LE",
        }
    }
}

impl fmt::Display for DeviceFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
