//! Numbers as text for people. Thread: ui.

use crate::app::settings::TimeFormat;
use crate::time::{FramePos, SampleRate};

/// "00:42:17" and ".384".
pub fn clock(at: FramePos, rate: SampleRate) -> (String, String) {
    let rate = u64::from(rate.0.max(1));
    let ms = at.0 % rate * 1000 / rate;
    let seconds = at.0 / rate;
    (format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60), format!(".{ms:03}"))
}

/// "121 770 432": digits in groups of three, with a no-break space between groups.
pub fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{a0}');
        }
        text.push(digit);
    }
    text
}

/// "812 . 3": bar and beat, both counted from 1.
pub fn bars(at: FramePos, rate: SampleRate, (tempo, beats): (f32, u32)) -> String {
    let beat = (at.0 as f64 / f64::from(rate.0.max(1)) * f64::from(tempo) / 60.0 + 1e-6) as u64;
    let beats = u64::from(beats.max(1));
    format!("{} . {}", beat / beats + 1, beat % beats + 1)
}

/// A position of the timeline in the format of the settings.
pub fn position(at: FramePos, rate: SampleRate, format: TimeFormat, tempo: (f32, u32)) -> String {
    match format {
        TimeFormat::Clock => {
            let (seconds, ms) = clock(at, rate);
            seconds + &ms
        }
        TimeFormat::Samples => grouped(at.0),
        TimeFormat::Bars => bars(at, rate, tempo),
    }
}

/// "9 h 12 min", "12 min", "45 s".
pub fn duration(seconds: f64) -> String {
    match seconds.max(0.0) as u64 {
        s if s < 100 => format!("{s} s"),
        s if s < 3600 => format!("{} min", s / 60),
        s if s < 100 * 3600 => format!("{} h {:02} min", s / 3600, s / 60 % 60),
        s => format!("{} days", s / 86_400),
    }
}

/// "412 GB", "1.2 GB", "640 MB": decimal units, as disks are sold.
pub fn disk_bytes(bytes: u64) -> String {
    match bytes as f64 {
        b if b < 1e9 => format!("{:.0} MB", b / 1e6),
        b if b < 1e10 => format!("{:.1} GB", b / 1e9),
        b if b < 1e12 => format!("{:.0} GB", b / 1e9),
        b => format!("{:.1} TB", b / 1e12),
    }
}

/// "4.7 MiB", "64 KiB": binary units, as memory is counted.
pub fn memory_bytes(bytes: u64) -> String {
    match bytes as f64 / 1024.0 {
        _ if bytes == 1 => "1 byte".to_owned(),
        _ if (2..1024).contains(&bytes) => format!("{bytes} bytes"),
        k if k < 1000.0 => format!("{k:.0} KiB"),
        k if k < 1024.0 * 1000.0 => format!("{:.1} MiB", k / 1024.0),
        k => format!("{:.1} GiB", k / 1024.0 / 1024.0),
    }
}

/// "41 µs", "12 ms", "1.2 s".
pub fn micros(us: f64) -> String {
    match us {
        us if us < 1000.0 => format!("{us:.0} µs"),
        us if us < 10_000.0 => format!("{:.1} ms", us / 1e3),
        us if us < 1e6 => format!("{:.0} ms", us / 1e3),
        us => format!("{:.1} s", us / 1e6),
    }
}

/// "1 track", "24 tracks". `thing` must have a regular plural.
pub fn count(n: usize, thing: &str) -> String {
    if n == 1 { format!("1 {thing}") } else { format!("{n} {thing}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_written_in_the_chosen_format() {
        let (at, rate) = (FramePos(121_770_432), SampleRate(48_000));
        assert_eq!(position(at, rate, TimeFormat::Clock, (120.0, 4)), "00:42:16.884");
        assert_eq!(position(at, rate, TimeFormat::Samples, (120.0, 4)), "121\u{a0}770\u{a0}432");
        assert_eq!(position(FramePos(48_000), rate, TimeFormat::Bars, (120.0, 4)), "1 . 3");
    }

    #[test]
    fn figures_have_units_and_stay_short() {
        assert_eq!([duration(33_120.0), duration(720.0), duration(45.0)], ["9 h 12 min", "12 min", "45 s"]);
        assert_eq!([disk_bytes(412_000_000_000), disk_bytes(1_200_000_000)], ["412 GB", "1.2 GB"]);
        assert_eq!([memory_bytes(4_928_307), memory_bytes(65_536)], ["4.7 MiB", "64 KiB"]);
        assert_eq!([memory_bytes(203), memory_bytes(1), memory_bytes(0)], ["203 bytes", "1 byte", "0 KiB"]);
        assert_eq!(
            [micros(41.4), micros(1_333.0), micros(12_400.0), micros(1_200_000.0)],
            ["41 µs", "1.3 ms", "12 ms", "1.2 s"]
        );
    }
}
