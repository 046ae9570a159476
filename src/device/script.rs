//! The faults that the built-in device plays out, parsed from its name. Pure.
//! Thread: audio (opening: opener, reconnect, control).

use super::LossCause;

/// Longest delay of the loopback, in frames.
const LOOP_FRAMES_MAX: usize = 1 << 16;

/// The largest number in an option: 265 days of frames at 48 kHz. Sums of thousands of them fit 64 bits.
const ORDER_MAX: u64 = 1 << 40;

/// The largest drift of a clock in parts per million. A real card has less than 300.
const DRIFT_PPM_MAX: i64 = 10_000;

/// The options; [`super::virtual_device`] explains them. Lists are sorted so that the next entry is the last; `pulls`
/// are in the order of the name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Script {
    pub(super) free: bool,
    pub(super) loop_delay: Option<usize>,
    /// Parts per million by which the device's clock is faster than the machine's.
    pub(super) drift_ppm: i64,
    /// Frames by which the device says that its outputs and its inputs are late.
    pub(super) latency: (u64, u64),
    pub(super) xruns: Vec<(u64, u64)>,
    /// The second number is 0.
    pub(super) playback_xruns: Vec<(u64, u64)>,
    unplugs: Vec<(u64, u64)>,
    suspends: Vec<(u64, u64)>,
    pub(super) slow: Vec<(u64, u64)>,
    pub(super) pulls: Vec<(u64, u64)>,
    pub(super) gone: Option<u64>,
    pub(super) crash: Option<u64>,
    pub(super) busy: u64,
    pub(super) returns: Option<usize>,
    /// A rate, and the number of openings at which the card takes no other.
    pub(super) returns_rate: Option<(u64, u64)>,
    pub(super) returns_period: Option<usize>,
}

/// Frames that the device does not deliver, and the cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Absence {
    pub(super) frames: u64,
    pub(super) cause: LossCause,
}

impl Script {
    pub(super) fn parse(options: &str) -> Result<Script, String> {
        let mut script = Script::default();
        for option in options.split(',').filter(|option| !option.is_empty()) {
            script.parse_option(option)?;
        }
        if script.free && !script.pulls.is_empty() {
            return Err("pull: a device without a clock cannot be away for a time; leave 'free' out".to_owned());
        }
        for list in script.lists() {
            // The next entry is popped from the end.
            list.sort_unstable_by(|a, b| b.cmp(a));
        }
        Ok(script)
    }

    fn parse_option(&mut self, option: &str) -> Result<(), String> {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        let number = |text: &str| match text.parse::<u64>() {
            Ok(number) if number <= ORDER_MAX => Ok(number),
            Ok(_) => Err(format!("{option}: '{text}' is more than {ORDER_MAX}")),
            Err(_) => Err(format!("{option}: '{text}' is not a number")),
        };
        let count = || usize::try_from(number(value)?).map_err(|_| format!("{option}: the number is too large"));
        let pair = || {
            let (a, b) = value
                .split_once('+')
                .ok_or_else(|| format!("{option}: two numbers are meant, as in {key}=48000+512"))?;
            Ok::<_, String>((number(a)?, number(b)?))
        };
        match key {
            "free" => self.free = true,
            "loop" => {
                let delay = Some(count()?).filter(|delay| *delay <= LOOP_FRAMES_MAX);
                self.loop_delay =
                    Some(delay.ok_or_else(|| format!("{option}: the loop has at most {LOOP_FRAMES_MAX} frames"))?);
            }
            "latency" => {
                let told = pair()?;
                if LOOP_FRAMES_MAX as u64 <= told.0.max(told.1) {
                    return Err(format!("{option}: a latency has less than {LOOP_FRAMES_MAX} frames"));
                }
                self.latency = told;
            }
            "drift" => {
                let ppm = value.parse().map_err(|_| format!("{option}: '{value}' is not a number"))?;
                if !(-DRIFT_PPM_MAX..=DRIFT_PPM_MAX).contains(&ppm) {
                    return Err(format!("{option}: a drift is at most {DRIFT_PPM_MAX} millionths"));
                }
                self.drift_ppm = ppm;
            }
            "xrun" => self.xruns.push(pair()?),
            "playback-xrun" => self.playback_xruns.push((number(value)?, 0)),
            "unplug" => self.unplugs.push(pair()?),
            "suspend" => self.suspends.push(pair()?),
            "slow" => self.slow.push(pair()?),
            "pull" => self.pulls.push(pair()?),
            "gone" => self.gone = Some(number(value)?),
            "crash" => self.crash = Some(number(value)?),
            "busy" => self.busy = number(value)?,
            "returns" => self.returns = Some(count()?),
            "returns-rate" => self.returns_rate = Some(pair()?),
            "returns-period" => self.returns_period = Some(count()?),
            _ => {
                return Err(format!(
                    "unknown option '{option}'; there are free, loop, latency, drift, xrun, playback-xrun, unplug, suspend, pull, gone, crash, slow, \
                     busy, returns, returns-rate, returns-period"
                ));
            }
        }
        Ok(())
    }

    fn lists(&mut self) -> [&mut Vec<(u64, u64)>; 5] {
        [&mut self.xruns, &mut self.playback_xruns, &mut self.unplugs, &mut self.suspends, &mut self.slow]
    }

    /// Drops entries before `frame`: they were due while the device was closed.
    pub(super) fn forget_before(&mut self, frame: u64) {
        for list in self.lists() {
            while list.last().is_some_and(|(at, _)| *at < frame) {
                list.pop();
            }
        }
    }

    /// The frames from `frame` on that are not delivered now. A suspend is reported once, when the machine wakes; an
    /// unplugged device is reported period by period.
    pub(super) fn absence(&self, frame: u64, period: u64) -> Option<Absence> {
        let left = |list: &Vec<(u64, u64)>| match list.last() {
            Some((at, away)) if *at <= frame => (at + away).checked_sub(frame).filter(|left| 0 < *left),
            _ => None,
        };
        let asleep = left(&self.suspends).map(|frames| Absence { frames, cause: LossCause::Suspend });
        asleep
            .or_else(|| left(&self.unplugs).map(|left| Absence { frames: left.min(period), cause: LossCause::Unplug }))
    }

    /// Drops absences that have ended at `frame`. This is realtime-safe.
    pub(super) fn forget_absence(&mut self, cause: LossCause, frame: u64) {
        let list = if cause == LossCause::Suspend { &mut self.suspends } else { &mut self.unplugs };
        while list.last().is_some_and(|(at, away)| at + away <= frame) {
            list.pop();
        }
    }
}

/// Removes the first entry of `orders` if its frame has come, and returns its amount. This is realtime-safe.
pub(super) fn due_order(orders: &mut Vec<(u64, u64)>, frame: u64) -> Option<u64> {
    if orders.last().is_some_and(|(at, _)| *at <= frame) { orders.pop().map(|(_, amount)| amount) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_that_cannot_be_parsed_is_named_in_the_error() {
        let error = |options: &str| Script::parse(options).unwrap_err();
        assert_eq!(error("xrun=5"), "xrun=5: two numbers are meant, as in xrun=48000+512");
        assert_eq!(error("busy=x"), "busy=x: 'x' is not a number");
        assert!(error("fast").contains("unknown option 'fast'"));
        assert!(error("free,pull=5+5").contains("leave 'free' out"));
        assert_eq!(error("drift=fast"), "drift=fast: 'fast' is not a number");
        assert!(error("drift=-20000").contains("at most 10000 millionths"));
    }

    #[test]
    fn a_suspend_is_reported_at_once_and_an_absence_period_by_period() {
        let mut script = Script::parse("suspend=100+1000,unplug=2000+100,unplug=5000+0").unwrap();
        let absence = |frames, cause| Some(Absence { frames, cause });
        assert_eq!(script.absence(99, 64), None);
        assert_eq!(script.absence(128, 64), absence(972, LossCause::Suspend));
        script.forget_absence(LossCause::Suspend, 1100);
        assert_eq!(script.absence(1100, 64), None);
        assert_eq!(script.absence(2010, 64), absence(64, LossCause::Unplug));
        assert_eq!(script.absence(2074, 64), absence(26, LossCause::Unplug));
        script.forget_absence(LossCause::Unplug, 2100);
        assert_eq!(script.absence(6000, 64), None);
    }
}
