//! The silence with which playback starts. Pure. Thread: audio (made by: opener, reconnect, control).
//!
//! Playback may be late by as much as is filled ahead, and output is delayed by it. A card needs two periods. How much a
//! sound server needs is not known before: it takes a block of its own length at once. So the prefill is doubled whenever
//! playback runs dry soon after its start. It never shrinks, because each change moves what is heard.

use super::pcm::Kind;

/// Periods of silence at the start of playback.
const PREFILL_PERIODS: usize = 2;

/// Milliseconds of the first prefill without capture: nobody waits for an input to be heard.
const ALONE_MS: usize = 80;

/// Milliseconds of the longest prefill beside capture, for a sound server.
const SERVER_MS_MAX: usize = 200;

/// The same for a card. When a card is late again and again, the thread is late, and more would be heard as an echo.
const CARD_MS_MAX: usize = 50;

/// Playback that runs dry within this time after its start was filled too little.
const FRUITLESS_NS: u64 = 1_000_000_000;

/// The number of frames, and its limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prefill {
    frames: usize,
    first: usize,
    most: usize,
    started_ns: u64,
}

/// The facts on which the prefill of a playback side depends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances {
    pub(super) kind: Kind,
    /// There is no capture side.
    pub(super) alone: bool,
    pub(super) rate_hz: usize,
    /// Frames of the period that the device moves.
    pub(super) period: usize,
    /// Frames of the playback side's own period.
    pub(super) playback_period: usize,
    /// Frames of the playback side's buffer.
    pub(super) buffer: usize,
}

impl Prefill {
    /// The prefill of a device without a playback side.
    pub(super) const NONE: Prefill = Prefill { frames: 0, first: 0, most: 0, started_ns: 0 };

    pub(super) fn new(of: Circumstances) -> Prefill {
        let whole = |frames: usize| frames.div_ceil(of.period) * of.period;
        let time = |ms: usize| ms * of.rate_hz / 1000;
        let room = of.buffer / of.period * of.period;
        let periods = PREFILL_PERIODS * of.period.max(of.playback_period);
        let wanted = if of.alone { periods.max(time(ALONE_MS)) } else { periods };
        let first = whole(wanted).min(room);
        let most = match (of.alone, of.kind) {
            (true, _) => room,
            (false, Kind::Server) => whole(time(SERVER_MS_MAX)).min(room),
            (false, _) => whole(time(CARD_MS_MAX)).min(room),
        };
        Prefill { frames: first, first, most: most.max(first), started_ns: 0 }
    }

    pub(super) fn frames(self) -> usize {
        self.frames
    }

    /// Whether it is longer than at first.
    pub(super) fn has_grown(self) -> bool {
        self.first < self.frames
    }

    pub(super) fn started(&mut self, now_ns: u64) {
        self.started_ns = now_ns;
    }

    /// Playback ran dry at `now_ns`: doubles the prefill if it was started a short time before.
    pub(super) fn ran_dry(&mut self, now_ns: u64) {
        if now_ns.saturating_sub(self.started_ns) < FRUITLESS_NS {
            self.frames = (2 * self.frames).min(self.most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: Circumstances = Circumstances {
        kind: Kind::Card,
        alone: false,
        rate_hz: 48_000,
        period: 64,
        playback_period: 64,
        buffer: 16_384,
    };
    const SERVER: Circumstances = Circumstances { kind: Kind::Server, period: 1024, playback_period: 1024, ..CARD };

    #[test]
    fn the_prefill_follows_the_longer_period_and_fits_the_buffer() {
        assert_eq!(Prefill::new(CARD).frames(), 128);
        assert_eq!(Prefill::new(Circumstances { playback_period: 1000, ..CARD }).frames(), 2048);
        assert_eq!(Prefill::new(Circumstances { playback_period: 1024, buffer: 2048, ..CARD }).frames(), 2048);
        assert_eq!(Prefill::new(SERVER).frames(), 2048);
        let alone = Circumstances { alone: true, ..CARD };
        assert_eq!(Prefill::new(alone).frames(), 3840);
        assert_eq!(Prefill::new(Circumstances { period: 1000, buffer: 3500, ..alone }).frames(), 3000);
    }

    #[test]
    fn the_prefill_is_doubled_after_each_fruitless_start_and_never_shrinks() {
        let second = FRUITLESS_NS;
        let mut prefill = Prefill::new(Circumstances { alone: true, ..SERVER });
        assert_eq!((prefill.frames(), prefill.has_grown()), (4096, false));
        for (at, frames) in [(second / 2, 8192), (second - 1, 16_384), (second - 1, 16_384), (10 * second, 16_384)] {
            prefill.ran_dry(at);
            assert_eq!(prefill.frames(), frames);
        }
        prefill = Prefill::new(SERVER);
        prefill.started(5 * second);
        prefill.ran_dry(6 * second);
        assert_eq!((prefill.frames(), prefill.has_grown()), (2048, false));
        for _ in 0..9 {
            prefill.ran_dry(5 * second + 1);
        }
        // Two hundred milliseconds, in whole periods.
        assert_eq!(prefill.frames(), 10_240);
    }
}
