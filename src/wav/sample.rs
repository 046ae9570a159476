//! Converts samples between formats. Thread: any but audio. Pure.
//!
//! Full scale, 1.0, is 2^15 in 16 bits, 2^23 in 24 bits and 2^31 in 32 bits. So a conversion to more bits is a shift
//! and exact. A conversion to fewer bits rounds to the nearest value, halves to the even one, and clamps. NaN becomes
//! silence.

use crate::format::TakeFormat;
use crate::wav::parse::Encoding;

/// Stores `samples` as `format`. `bytes` must have exactly the length for them. Floats are stored bit for bit.
pub fn encode_f32_to(format: TakeFormat, samples: &[f32], bytes: &mut [u8]) {
    assert!(bytes.len() == samples.len() * format.bytes());
    match format {
        TakeFormat::S16 => {
            encode_each(samples, bytes, |x| (quantize(f64::from(x) * SCALE_16, SCALE_16) as i16).to_le_bytes());
        }
        TakeFormat::S24 => encode_each(samples, bytes, |x| low_3(quantize(f64::from(x) * SCALE_24, SCALE_24))),
        TakeFormat::F32 => encode_each(samples, bytes, f32::to_le_bytes),
    }
}

/// Like [`encode_f32_to`], but adds the noise of `dither` before rounding. Float formats get no dither.
pub fn encode_f32_dithered(format: TakeFormat, samples: &[f32], bytes: &mut [u8], dither: &mut Dither) {
    assert!(bytes.len() == samples.len() * format.bytes());
    let mut dithered = |x: f32, scale: f64| quantize(f64::from(x) * scale + dither.next_lsb(), scale);
    match format {
        TakeFormat::S16 => encode_each(samples, bytes, |x| (dithered(x, SCALE_16) as i16).to_le_bytes()),
        TakeFormat::S24 => encode_each(samples, bytes, |x| low_3(dithered(x, SCALE_24))),
        TakeFormat::F32 => encode_each(samples, bytes, f32::to_le_bytes),
    }
}

/// Decodes samples of `encoding`. `samples` must have exactly the length for them. The result is exact, except for
/// [`Encoding::Pcm32`] and [`Encoding::Float64`], of which a float keeps 24 bits.
pub fn decode_to_f32(encoding: Encoding, bytes: &[u8], samples: &mut [f32]) {
    assert!(bytes.len() == samples.len() * encoding.bytes());
    match encoding {
        Encoding::Pcm16 => decode_each(bytes, samples, |b| f32::from(i16::from_le_bytes(b)) / SCALE_16 as f32),
        Encoding::Pcm24 => decode_each(bytes, samples, |b| (high_3(b) >> 8) as f32 / SCALE_24 as f32),
        Encoding::Pcm32 => decode_each(bytes, samples, |b| i32::from_le_bytes(b) as f32 / SCALE_32 as f32),
        Encoding::Float32 => decode_each(bytes, samples, f32::from_le_bytes),
        Encoding::Float64 => decode_each(bytes, samples, |b| f64::from_le_bytes(b) as f32),
    }
}

/// Stores 32-bit integers, full scale 2^31, as `format`. Exact if the low bits are zero.
pub fn encode_i32_to(format: TakeFormat, samples: &[i32], bytes: &mut [u8]) {
    assert!(bytes.len() == samples.len() * format.bytes());
    match format {
        TakeFormat::S16 => {
            encode_each(samples, bytes, |x| {
                (quantize(f64::from(x) / f64::from(1 << 16), SCALE_16) as i16).to_le_bytes()
            });
        }
        TakeFormat::S24 => encode_each(samples, bytes, |x| low_3(quantize(f64::from(x) / f64::from(1 << 8), SCALE_24))),
        TakeFormat::F32 => encode_each(samples, bytes, |x| (x as f32 / SCALE_32 as f32).to_le_bytes()),
    }
}

/// Decodes samples of `encoding` to 32-bit integers, full scale 2^31. Integers are exact. Floats are rounded and
/// clamped.
pub fn decode_to_i32(encoding: Encoding, bytes: &[u8], samples: &mut [i32]) {
    assert!(bytes.len() == samples.len() * encoding.bytes());
    match encoding {
        Encoding::Pcm16 => decode_each(bytes, samples, |b| i32::from(i16::from_le_bytes(b)) << 16),
        Encoding::Pcm24 => decode_each(bytes, samples, high_3),
        Encoding::Pcm32 => decode_each(bytes, samples, i32::from_le_bytes),
        Encoding::Float32 => {
            decode_each(bytes, samples, |b| quantize(f64::from(f32::from_le_bytes(b)) * SCALE_32, SCALE_32));
        }
        Encoding::Float64 => {
            decode_each(bytes, samples, |b| quantize(f64::from_le_bytes(b) * SCALE_32, SCALE_32));
        }
    }
}

/// Noise that makes the rounding error independent of the sound. Its distribution is triangular, within ±1 of the last
/// bit that is kept. The same seed gives the same noise, so an export can be repeated bit for bit.
#[derive(Clone, Debug)]
pub struct Dither {
    state: u64,
}

impl Dither {
    /// Every `seed` is valid.
    pub fn new(seed: u64) -> Dither {
        Dither { state: seed }
    }

    /// The next value, in units of the last bit: the difference of two uniform values in 0..1.
    pub fn next_lsb(&mut self) -> f64 {
        // One step of SplitMix64 (Steele, Lea and Flood 2014) gives both uniform values.
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (f64::from(z as u32) - f64::from((z >> 32) as u32)) / (f64::from(u32::MAX) + 1.0)
    }
}

const SCALE_16: f64 = (1u32 << 15) as f64;
const SCALE_24: f64 = (1u32 << 23) as f64;
const SCALE_32: f64 = (1u32 << 31) as f64;

/// The integer nearest to `value` that a signed word of full scale `scale` can hold.
fn quantize(value: f64, scale: f64) -> i32 {
    // A cast of NaN gives zero.
    value.round_ties_even().clamp(-scale, scale - 1.0) as i32
}

fn low_3(value: i32) -> [u8; 3] {
    let [low, middle, high, _] = value.to_le_bytes();
    [low, middle, high]
}

/// The three bytes become the upper three of a 32-bit integer.
fn high_3([low, middle, high]: [u8; 3]) -> i32 {
    i32::from_le_bytes([0, low, middle, high])
}

fn encode_each<T: Copy, const N: usize>(samples: &[T], bytes: &mut [u8], mut store: impl FnMut(T) -> [u8; N]) {
    for (&sample, bytes) in samples.iter().zip(bytes.as_chunks_mut::<N>().0) {
        *bytes = store(sample);
    }
}

fn decode_each<T, const N: usize>(bytes: &[u8], samples: &mut [T], load: impl Fn([u8; N]) -> T) {
    for (sample, &bytes) in samples.iter_mut().zip(bytes.as_chunks::<N>().0) {
        *sample = load(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FORMATS: [TakeFormat; 3] = [TakeFormat::S16, TakeFormat::S24, TakeFormat::F32];

    fn encoded(format: TakeFormat, samples: &[f32]) -> Vec<u8> {
        let mut bytes = vec![0; samples.len() * format.bytes()];
        encode_f32_to(format, samples, &mut bytes);
        bytes
    }

    fn decoded(format: TakeFormat, bytes: &[u8]) -> Vec<f32> {
        let mut samples = vec![0.0; bytes.len() / format.bytes()];
        decode_to_f32(format.into(), bytes, &mut samples);
        samples
    }

    #[test]
    fn every_16_bit_value_survives_float_and_24_bits() {
        let bytes: Vec<u8> = (i16::MIN..=i16::MAX).flat_map(i16::to_le_bytes).collect();
        let floats = decoded(TakeFormat::S16, &bytes);
        assert_eq!(encoded(TakeFormat::S16, &floats), bytes);
        let wide = encoded(TakeFormat::S24, &floats);
        assert_eq!(encoded(TakeFormat::S16, &decoded(TakeFormat::S24, &wide)), bytes);
    }

    #[test]
    fn every_24_bit_value_survives_float() {
        for block in 0..256u32 {
            let bytes: Vec<u8> = (block << 16..(block + 1) << 16).flat_map(|v| low_3(v as i32)).collect();
            assert_eq!(encoded(TakeFormat::S24, &decoded(TakeFormat::S24, &bytes)), bytes);
        }
    }

    #[test]
    fn too_loud_is_clamped_and_not_a_number_is_silence() {
        let samples = [1.0, -1.0, 9.0, -9.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
        let s16: Vec<i16> =
            encoded(TakeFormat::S16, &samples).as_chunks().0.iter().map(|&b| i16::from_le_bytes(b)).collect();
        assert_eq!(s16, [32767, -32768, 32767, -32768, 32767, -32768, 0]);
        assert_eq!(encoded(TakeFormat::S24, &samples)[..6], [0xff, 0xff, 0x7f, 0, 0, 0x80]);
    }

    #[test]
    fn halves_go_to_the_even_neighbour_on_both_sides_of_zero() {
        let halves = [0.5, 1.5, -0.5, -1.5].map(|x| x / SCALE_16 as f32);
        assert_eq!(encoded(TakeFormat::S16, &halves), [0, 0, 2, 0, 0, 0, 0xfe, 0xff]);
    }

    #[test]
    fn dither_is_triangular_within_one_bit_and_repeats_with_its_seed() {
        let mut dither = Dither::new(1);
        let noise: Vec<f64> = (0..100_000).map(|_| dither.next_lsb()).collect();
        assert!(noise.iter().all(|x| -1.0 < *x && *x < 1.0));
        let mean = noise.iter().sum::<f64>() / noise.len() as f64;
        let variance = noise.iter().map(|x| x * x).sum::<f64>() / noise.len() as f64;
        assert!(mean.abs() < 0.01, "{mean}");
        assert!((variance - 1.0 / 6.0).abs() < 0.005, "{variance}");
        let mut again = Dither::new(1);
        assert!(noise.iter().all(|x| x.to_bits() == again.next_lsb().to_bits()));
    }

    #[test]
    fn dither_keeps_the_mean_of_a_level_below_the_last_bit() {
        let level = vec![0.3 / SCALE_16 as f32; 100_000];
        let mut bytes = vec![0; level.len() * 2];
        encode_f32_dithered(TakeFormat::S16, &level, &mut bytes, &mut Dither::new(7));
        let sum: f64 = bytes.as_chunks().0.iter().map(|&b| f64::from(i16::from_le_bytes(b))).sum();
        assert!((sum / level.len() as f64 - 0.3).abs() < 0.01);
    }

    proptest! {
        #[test]
        fn float_is_kept_bit_for_bit(bits in prop::collection::vec(any::<u32>(), 0..64)) {
            let samples: Vec<f32> = bits.iter().map(|&b| f32::from_bits(b)).collect();
            let bytes = encoded(TakeFormat::F32, &samples);
            prop_assert_eq!(bytes, bits.iter().flat_map(|b| b.to_le_bytes()).collect::<Vec<_>>());
        }

        #[test]
        fn integers_survive_32_bits(bytes in prop::collection::vec(any::<u8>(), 24)) {
            for format in [TakeFormat::S16, TakeFormat::S24] {
                let mut wide = vec![0; bytes.len() / format.bytes()];
                decode_to_i32(format.into(), &bytes, &mut wide);
                let mut back = vec![0; bytes.len()];
                encode_i32_to(format, &wide, &mut back);
                prop_assert_eq!(&back, &bytes);
            }
        }

        #[test]
        fn rounding_is_off_by_half_a_bit_at_most(sample in -0.999f32..0.999) {
            for (format, scale) in [(TakeFormat::S16, SCALE_16), (TakeFormat::S24, SCALE_24)] {
                let back = decoded(format, &encoded(format, &[sample]))[0];
                prop_assert!((f64::from(back) - f64::from(sample)).abs() * scale <= 0.5);
            }
        }

        #[test]
        fn dither_moves_a_sample_by_less_than_two_bits(sample in -2.0f32..2.0, seed: u64) {
            for format in FORMATS {
                let mut bytes = vec![0; format.bytes()];
                encode_f32_dithered(format, &[sample], &mut bytes, &mut Dither::new(seed));
                let (plain, moved) = (decoded(format, &encoded(format, &[sample]))[0], decoded(format, &bytes)[0]);
                prop_assert!((plain - moved).abs() * (SCALE_16 as f32) < 2.0);
            }
        }
    }
}
