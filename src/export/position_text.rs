//! Parses a position on the timeline as the user types it: `90`, `1:30`, `0:01:30.250`, `48000f`. Thread: any. Pure.

use crate::session::POSITION_MAX;
use crate::time::{FramePos, SampleRate};

/// Maximum number of digits behind the point. More precise than a frame at the highest rate.
const PART_DIGITS_MAX: usize = 9;

/// Parses seconds, minutes and seconds, or hours, minutes and seconds. Digits behind a point are a fraction of a
/// second; the result is rounded to the nearest frame. A number with the suffix `f` is a number of frames.
pub fn parse_position(text: &str, rate: SampleRate) -> Result<FramePos, String> {
    frames_of(text.trim(), rate).map(FramePos).map_err(|reason| format!("{text}: {reason}"))
}

fn frames_of(text: &str, rate: SampleRate) -> Result<u64, String> {
    if let Some(frames) = text.strip_suffix('f') {
        return in_range(u128::from(number(frames)?));
    }
    let (canonical, part) = match text.split_once('.') {
        Some((_, "")) => return Err(unreadable()),
        Some((canonical, part)) => (canonical, part),
        None => (text, ""),
    };
    let fields = canonical.split(':').map(number).collect::<Result<Vec<u64>, String>>()?;
    let seconds = match fields[..] {
        [seconds] => u128::from(seconds),
        [minutes, seconds] => u128::from(minutes) * 60 + u128::from(below_60("seconds", seconds)?),
        [hours, minutes, seconds] => {
            let minutes = u128::from(hours) * 60 + u128::from(below_60("minutes", minutes)?);
            minutes * 60 + u128::from(below_60("seconds", seconds)?)
        }
        _ => return Err(unreadable()),
    };
    let rate = u128::from(rate.0);
    in_range(seconds.saturating_mul(rate).saturating_add(part_frames(part, rate)?))
}

/// The digits behind the point in frames, rounded to the nearest.
fn part_frames(digits: &str, rate: u128) -> Result<u128, String> {
    if digits.is_empty() {
        return Ok(0);
    }
    if PART_DIGITS_MAX < digits.len() {
        return Err(format!("more than {PART_DIGITS_MAX} digits behind the point"));
    }
    let unit = 10_u128.pow(digits.len() as u32);
    Ok((u128::from(number(digits)?) * rate + unit / 2) / unit)
}

fn number(digits: &str) -> Result<u64, String> {
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(unreadable());
    }
    digits.parse().map_err(|_| beyond())
}

fn below_60(what: &str, value: u64) -> Result<u64, String> {
    if value < 60 { Ok(value) } else { Err(format!("{value} {what}, where 0 to 59 can be")) }
}

fn in_range(frames: u128) -> Result<u64, String> {
    u64::try_from(frames).ok().filter(|frames| *frames <= POSITION_MAX).ok_or_else(beyond)
}

fn unreadable() -> String {
    "not a time; write seconds (90), m:ss (1:30), h:mm:ss.ms (0:01:30.250) or frames (48000f)".into()
}

fn beyond() -> String {
    "lies beyond the timeline".into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Clock;
    use crate::time::Frames;
    use proptest::prelude::*;

    const RATE: SampleRate = SampleRate(48_000);

    #[test]
    fn seconds_minutes_hours_and_frames_are_understood() {
        for (text, frames) in [
            ("90", 4_320_000),
            ("1:30", 4_320_000),
            ("0:01:30.250", 4_332_000),
            ("48000f", 48_000),
            ("0", 0),
            ("0f", 0),
            ("0.5", 24_000),
            (" 1:05.1 ", 3_124_800),
            ("100:00", 288_000_000),
            ("10:00:00", 1_728_000_000),
            ("0.000010416", 0),
            ("0.000010417", 1),
            ("0.999999999", 48_000),
        ] {
            assert_eq!(parse_position(text, RATE), Ok(FramePos(frames)), "{text}");
        }
    }

    #[test]
    fn a_text_that_is_no_time_is_named_and_explained() {
        for text in ["", "f", ":", "1:", ":30", "1:2:3:4", "-1", "+1", "1.", ".5", "1.5f", "1e3", "1:3O", "1.-5", "½"]
        {
            let error = parse_position(text, RATE).unwrap_err();
            assert!(error.starts_with(&format!("{text}: not a time; write seconds")), "{error}");
        }
        assert_eq!(parse_position("1:75", RATE).unwrap_err(), "1:75: 75 seconds, where 0 to 59 can be");
        assert_eq!(parse_position("1:60:00", RATE).unwrap_err(), "1:60:00: 60 minutes, where 0 to 59 can be");
        for text in ["99999999999999999999", "18446744073709551615", "9007199254740993f", "18446744073709551615:00:00"]
        {
            assert_eq!(parse_position(text, RATE).unwrap_err(), format!("{text}: lies beyond the timeline"));
        }
    }

    proptest! {
        #[test]
        fn a_displayed_time_is_parsed_to_the_same_frame(ms in 0_u64..360_000_000, rate in 8_000_u32..384_000) {
            let rate = SampleRate(rate);
            let time = std::time::Duration::from_millis(ms);
            prop_assert_eq!(parse_position(&Clock(time).to_string(), rate), Ok(FramePos(rate.frames(time).0)));
        }

        #[test]
        fn a_number_of_frames_is_parsed_to_the_same_frame(frames in 0..=POSITION_MAX) {
            prop_assert_eq!(parse_position(&format!("{frames}f"), RATE), Ok(FramePos(0) + Frames(frames)));
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            parse_position(&text, RATE).ok();
        }
    }
}
