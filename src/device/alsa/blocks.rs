//! Finds blocks that a sound server left out. Thread: audio.
//!
//! A server gives its clients a block at a time. If a client is late by a block, the server continues without it. The
//! client never gets that block, and no call reports an error. The frame count is then too
//! small for its time by one block, which can be as short as 32 frames. Readings of the count alone jitter by more than
//! that, because this program wakes up late now and then.
//!
//! PipeWire's plugin knows when the current block began: its delay is the frames that wait and the time since then. With
//! that, the count and the time of its block agree to a frame or two, and a missing block shows. Plugins whose delay says
//! nothing about the time are not judged here; [`super::clock`] finds their larger losses.

use super::AlsaDevice;
use super::pcm::Kind;
use crate::device::{LossCause, Wake};

/// Frames by which readings of the same level differ.
const TOLERANCE: f64 = 8.0;

/// Fewest frames that count as a loss. A server's shortest block has 32.
const LOSS_FRAMES_MIN: f64 = 24.0;

/// Blocks that must agree on a level. A server that was late gives some blocks with a wrong time.
const AGREED_BLOCKS: u32 = 4;

/// Nanoseconds for which they must agree.
const AGREED_NS: u64 = 10_000_000;

/// A count less the frames that the time allows, as several blocks in a row show it.
#[derive(Clone, Copy, Debug)]
struct Level {
    lead: f64,
    blocks: u32,
    since_ns: u64,
    /// The smallest deficit of the count at the time of its reading.
    least_deficit: f64,
}

impl Level {
    fn is_agreed(&self, at_ns: u64) -> bool {
        AGREED_BLOCKS <= self.blocks && AGREED_NS <= at_ns.saturating_sub(self.since_ns)
    }
}

/// The levels of the current and of the next place in the server's time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Blocks {
    level: Option<Level>,
    next: Option<Level>,
    last_count: u64,
}

/// A reading of a PCM.
#[derive(Clone, Copy, Debug)]
struct BlockReading {
    at_ns: u64,
    /// Frames of the device's counter at the end of the last block.
    count: u64,
    /// Frames that passed since the last block.
    since_block: u64,
    /// Frames that the clock expects beyond `count`. Never less than a true loss by more than [`TOLERANCE`].
    deficit: f64,
}

impl Blocks {
    /// Forgets all readings, because the PCM was started.
    pub(super) fn restart(&mut self) {
        *self = Blocks::default();
    }

    /// Adds a reading. Returns the frames that the server left out, once that is certain. The caller adds them to its
    /// count, so that the next reading fits again.
    fn observe(&mut self, reading: BlockReading, per_ns: f64) -> Option<u64> {
        let BlockReading { at_ns, count, since_block, deficit } = reading;
        // Without a time of the block, or without a new block, the reading says nothing.
        if since_block == 0 || std::mem::replace(&mut self.last_count, count) == count {
            return None;
        }
        let lead = (count + since_block) as f64 - at_ns as f64 * per_ns;
        let fresh = Level { lead, blocks: 1, since_ns: at_ns, least_deficit: deficit };
        let Some(level) = &mut self.level else {
            self.level = Some(fresh);
            return None;
        };
        if (lead - level.lead).abs() <= TOLERANCE {
            // The clocks of the server and of the machine may drift apart slowly.
            level.lead += (lead - level.lead) / 16.0;
            level.blocks = level.blocks.saturating_add(1);
            self.next = None;
            return None;
        }
        let mut next = self.next.filter(|next| (lead - next.lead).abs() <= TOLERANCE).unwrap_or(fresh);
        if next.since_ns != at_ns {
            next.blocks += 1;
            next.least_deficit = next.least_deficit.min(deficit);
        }
        self.next = Some(next);
        if !next.is_agreed(at_ns) {
            return None;
        }
        self.next = None;
        let lost = level.lead - next.lead;
        // The server may count its delay from another moment, for example after its blocks got longer. Then the count at
        // the time of the reading is not too small.
        if AGREED_BLOCKS <= level.blocks && LOSS_FRAMES_MIN <= lost && lost <= next.least_deficit + 2.0 * TOLERANCE {
            return Some(lost.round() as u64);
        }
        *level = next;
        None
    }
}

impl AlsaDevice {
    /// Reports blocks that the server left out. `moved` frames wait in the capture ring.
    pub(super) fn check_blocks(&mut self, moved: u64) -> Option<Wake> {
        let side = self.capture.as_ref().filter(|side| side.kind == Kind::Server)?;
        let delay = side.pcm.delay().ok()?;
        let at_ns = self.now_ns();
        // A block that came between the readings would be counted in one of them only.
        if u64::try_from(side.pcm.avail_update().ok()?) != Ok(moved) {
            return None;
        }
        let since_block = u64::try_from(delay).ok()?.checked_sub(moved)?;
        let count = self.position + moved;
        let deficit = self.clock.deficit(at_ns, count);
        let per_ns = f64::from(self.facts.rate.0) / 1e9;
        let frames = self.blocks.observe(BlockReading { at_ns, count, since_block, deficit }, per_ns)?;
        self.position += frames;
        self.blocks.last_count = self.position + moved;
        self.drift.restart(self.facts.rate.0);
        // Playback has got less output than it played. Silence in its place brings it in step with capture again, and the
        // stream continues. A restart would make the server arrange its streams again, which costs more blocks.
        if let Some(playback) = self.playback.as_mut().filter(|_| !self.playback_failed) {
            self.playback_failed = playback.write_silence(frames as usize) != Ok(frames as usize);
        }
        Some(Wake::Lost { frames, cause: LossCause::Silent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PER_NS: f64 = 48_000.0 / 1e9;

    /// A server with blocks of `block` frames whose client reads `late` frames after the beginning of a block.
    struct Served {
        blocks: Blocks,
        block: u64,
        lost: u64,
        counted: u64,
    }

    impl Served {
        fn new(block: u64) -> Served {
            Served { blocks: Blocks::default(), block, lost: 0, counted: 0 }
        }

        /// Reads block `number` `late` frames after its beginning. Frames of `offset` are the server's own delay.
        fn read(&mut self, number: u64, late: u64, offset: u64) {
            let true_count = number * self.block;
            let at_ns = ((true_count + late) as f64 / PER_NS) as u64;
            let count = true_count - self.lost + self.counted;
            let deficit = (true_count + late - count) as f64;
            let reading = BlockReading { at_ns, count, since_block: late + offset, deficit };
            self.counted += self.blocks.observe(reading, PER_NS).unwrap_or(0);
        }
    }

    #[test]
    fn one_block_that_a_server_leaves_out_is_counted_to_the_frame() {
        for block in [32, 64, 256, 1024] {
            let mut server = Served::new(block);
            for number in 1..2000 {
                // Two blocks in a row, then one.
                server.lost += if [700, 701, 1500].contains(&number) { block } else { 0 };
                server.read(number, 5 + number * 37 % 50, 0);
            }
            assert_eq!((server.lost, server.counted), (3 * block, 3 * block), "{block}");
        }
    }

    #[test]
    fn blocks_with_a_wrong_time_and_a_longer_delay_of_the_server_are_no_loss() {
        let mut server = Served::new(64);
        for number in 1..3000 {
            // Each hundredth block a burst comes late, and each reading of it has the time of another block.
            let wrong = if number % 100 < 3 { 64 * (number % 3) } else { 0 };
            server.read(number, 10 + wrong, 200 - wrong);
        }
        for number in 3000..4000 {
            server.read(number, 10, 968);
        }
        for number in 4000..5000 {
            server.read(number, 10, 200);
        }
        assert_eq!(server.counted, 0);
    }

    #[test]
    fn a_plugin_that_gives_no_time_is_not_judged() {
        let mut blocks = Blocks::default();
        for number in 1..1000_u64 {
            let count = number * 64 - number / 100 * 64;
            let at_ns = number * 1_333_333;
            assert_eq!(blocks.observe(BlockReading { at_ns, count, since_block: 0, deficit: 1e6 }, PER_NS), None);
        }
    }
}
