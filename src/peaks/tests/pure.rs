//! Compares levels and columns with columns that are computed from every sample. Thread: tests.

use super::super::columns::Column;
use super::super::entry::{Entry, Extent};
use super::super::pyramid::{Grower, LEVELS, level_frames};
use super::{expected_columns, sound};
use crate::format::FULL_SCALE;
use proptest::prelude::*;

fn grown(channels: usize, samples: &[f32]) -> Grower {
    let mut grower = Grower::new(channels);
    grower.push(samples);
    grower
}

#[test]
fn silence_alone_is_zero_and_full_scale_alone_is_one() {
    let of = |min, max| Entry::of(Extent { min, max }).extent();
    assert_eq!(of(0.0, 0.0), Extent { min: 0.0, max: 0.0 });
    assert_eq!(of(-0.0, 0.0), Extent { min: 0.0, max: 0.0 });
    let quiet = of(-1e-9, 1e-9);
    assert!(quiet.min < 0.0 && 0.0 < quiet.max, "the quietest sound is not zero");
    let loud = of(-0.9999, 0.9999);
    assert!(-1.0 < loud.min && loud.max < 1.0);
    for full in [FULL_SCALE, 1.0, 1.5, f32::INFINITY] {
        assert_eq!(of(-full, full), Extent { min: -1.0, max: 1.0 });
    }
    assert_eq!(Entry::of(Extent::NONE).extent(), Extent { min: 0.0, max: 0.0 }, "not a number is silence");
    assert!(Column { min: -0.1, max: 1.0 }.is_clipped() && !Column { min: -0.99, max: 0.99 }.is_clipped());
    assert!(Column::EMPTY.is_empty() && !Column::EMPTY.is_clipped());
}

#[test]
fn an_hour_is_a_few_hundred_entries_at_the_top() {
    assert_eq!(level_frames(0), 1024);
    assert_eq!((3600 * 48_000u64).div_ceil(level_frames(LEVELS - 1)), 165);
}

#[test]
fn a_take_without_a_frame_has_empty_columns_wherever_they_begin() {
    let grower = Grower::new(1);
    for (from, per) in [(0.0, 1024.0), (-0.3, 1.0), (-700.0, 1024.0), (-2_000_000.0, 1_048_576.0)] {
        let mut out = [Column { min: 0.0, max: 0.0 }; 4];
        assert!(grower.pyramid().columns(0, from, per, &mut out));
        assert_eq!(out, [Column::EMPTY; 4], "from {from}, {per} a column");
    }
}

#[test]
fn columns_beyond_either_end_are_empty_and_the_last_part_of_an_entry_is_seen() {
    let samples = vec![0.5; 5000];
    let grower = grown(1, &samples);
    let mut out = [Column::EMPTY; 8];
    grower.pyramid().columns(0, -2048.0, 1024.0, &mut out);
    let empty: Vec<bool> = out.iter().map(|column| column.is_empty()).collect();
    assert_eq!(empty, [true, true, false, false, false, false, false, true]);
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        grower.pyramid().columns(0, 0.0, bad, &mut out);
        assert!(out.iter().all(|column| column.is_empty()), "{bad}");
        grower.pyramid().columns(0, bad - bad.abs(), 1024.0, &mut out);
    }
    grower.pyramid().columns(1, 0.0, 1024.0, &mut out);
    assert!(out.iter().all(|column| column.is_empty()), "a channel that is not there");
}

#[test]
fn a_nan_sample_hides_no_other_sample() {
    let mut samples = vec![0.25; 1024];
    samples[300] = f32::NAN;
    samples[301] = -0.5;
    let grower = grown(1, &samples);
    let mut out = [Column::EMPTY; 4];
    assert!(grower.pyramid().columns(0, 0.0, 256.0, &mut out));
    assert!((out[1].min + 0.5).abs() < 1e-4 && (out[1].max - 0.25).abs() < 1e-4, "{out:?}");
}

#[test]
fn growth_past_many_chunks_and_blocks_is_seen_at_every_level() {
    let samples = sound(2, 3_000_000);
    let grower = grown(2, &samples);
    for per in [256.0, 300.7, 1024.0, 5000.0, 16_384.0, 100_000.0, 300_000.0, 1_048_576.0, 2e6] {
        for channel in 0..2 {
            let count = 24.min((3_000_000.0 / per) as usize + 2);
            for from in [0.0, 1_040_000.0, 2_990_000.0] {
                let mut out = vec![Column::EMPTY; count];
                assert!(grower.pyramid().columns(channel, from, per, &mut out));
                assert_eq!(out, expected_columns(&samples, 2, channel, from, per, count), "{per} from {from}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn columns_are_what_every_sample_says(
        channels in 1usize..=2,
        frames in 1usize..40_000,
        from in -5_000.0f64..45_000.0,
        per in 256.0f64..9_000.0,
    ) {
        let samples = sound(channels, frames);
        let grower = grown(channels, &samples);
        let mut out = vec![Column::EMPTY; 20];
        for channel in 0..channels {
            prop_assert!(grower.pyramid().columns(channel, from, per, &mut out));
            prop_assert_eq!(&out, &expected_columns(&samples, channels, channel, from, per, 20));
        }
    }

    #[test]
    fn growth_in_odd_pieces_is_the_same_as_at_once(
        channels in 1usize..=2,
        pieces in prop::collection::vec(0usize..3_000, 1..30),
    ) {
        let frames: usize = pieces.iter().sum();
        let samples = sound(channels, frames);
        let mut grower = Grower::new(channels);
        let mut at = 0;
        for piece in pieces {
            grower.push(&samples[at * channels..(at + piece) * channels]);
            at += piece;
            // The part that is there is correct at any time.
            let mut out = vec![Column::EMPTY; 3];
            grower.pyramid().columns(0, 0.0, 4096.0, &mut out);
            prop_assert_eq!(&out, &expected_columns(&samples[..at * channels], channels, 0, 0.0, 4096.0, 3));
        }
        let whole = grown(channels, &samples);
        prop_assert_eq!(grower.pyramid().frames(), frames as u64);
        for per in [256.0, 1024.0, 4096.0, 70_000.0] {
            let (mut a, mut b) = (vec![Column::EMPTY; 400], vec![Column::EMPTY; 400]);
            for channel in 0..channels {
                grower.pyramid().columns(channel, 0.0, per, &mut a);
                whole.pyramid().columns(channel, 0.0, per, &mut b);
                prop_assert_eq!(&a, &b);
            }
        }
    }

    #[test]
    fn rounding_goes_outward_and_by_less_than_a_step(min in -0.9999f32..0.9999, more in 0.0f32..1.0) {
        let max = (min + more).min(0.9999);
        let seen = Entry::of(Extent { min, max }).extent();
        let step = 1.0 / 32767.0;
        prop_assert!(seen.min <= min + 1e-7 && max - 1e-7 <= seen.max);
        prop_assert!(min - seen.min < step * 1.01 && seen.max - max < step * 1.01);
    }

    #[test]
    fn an_entry_comes_back_from_its_bits(bits: u32) {
        prop_assert_eq!(Entry::unpack(bits).pack(), bits);
    }
}
