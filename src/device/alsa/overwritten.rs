//! A reader that is later than the ring is long loses only the frames that the card has overwritten. Thread: audio.
//!
//! A card writes its ring in a circle. If the kernel stops the card when the ring runs over, the ring is full of valid
//! frames, up to a third of a second, and the restart discards all of them. So the kernel is told not to stop. The card
//! and its counter go on, and the counter says exactly how many frames were overwritten.
//!
//! Frames near the overwritten ones may be overwritten while they are read. So while the ring is more than half full,
//! input is copied first, and lent only if the counter shows afterwards that the copy was in time.

use super::pcm::{Kind, errno};
use super::side::{SampleAccess, Side};
use super::{AlsaDevice, Check};
use crate::device::{LossCause, Wake};
use crate::limits::BLOCK_FRAMES_MAX;
use ::alsa::Direction;

impl Side {
    /// Whether the driver goes on when the ring runs over. Plugins are not asked to: several of them would lose frames
    /// without any sign, because their counter is the place in the ring.
    pub(super) fn is_endless(&self) -> bool {
        self.direction == Direction::Capture && self.kind == Kind::Card
    }

    /// Frames to discard when `avail` frames wait: the overwritten ones, and a period that the card may overwrite next.
    fn overwritten(&self, avail: usize) -> usize {
        if self.is_endless() && self.buffer_frames <= avail {
            avail - self.buffer_frames + self.period_frames
        } else {
            0
        }
    }

    /// Takes `frames` frames out of the ring unread. Returns how many, and the error number of a call that failed.
    fn discard(&mut self, frames: usize) -> (usize, Option<i32>) {
        let frame_bytes = self.frame_bytes();
        let mut discarded = 0;
        while discarded < frames {
            let left = frames - discarded;
            let moved = match self.access {
                SampleAccess::Mapped => {
                    self.pcm.io_bytes().mmap(left, |ring| ring.len() / frame_bytes).map_err(|e| errno(&e))
                }
                _ => self.read_block(left.min(BLOCK_FRAMES_MAX)),
            };
            match moved {
                Ok(0) => break,
                Ok(moved) => discarded += moved,
                Err(error) => return (discarded, Some(error)),
            }
        }
        (discarded, None)
    }

    /// Whether the `frames` frames that were read last were still in the ring when they had been copied. Otherwise they
    /// count as [`Side::spoiled`].
    pub(super) fn was_in_time(&mut self, frames: usize) -> bool {
        if !self.is_endless() || !self.is_near_full {
            return true;
        }
        let in_time = self.pcm.avail().is_ok_and(|avail| avail.max(0) as usize + frames <= self.buffer_frames);
        if !in_time {
            self.spoiled += frames;
        }
        in_time
    }
}

/// Whether `avail` frames that wait in the ring of `side` are half of it or more.
pub(super) fn is_near_full(side: &Side, avail: u64) -> bool {
    side.buffer_frames as u64 / 2 <= avail
}

impl AlsaDevice {
    /// Frames that were read too late, as a loss.
    pub(super) fn check_spoiled(&mut self) -> Option<Check> {
        let spoiled = std::mem::take(&mut self.capture.as_mut()?.spoiled);
        (0 < spoiled).then(|| self.lose_overwritten(spoiled))
    }

    /// Discards overwritten frames. `avail` frames wait in the capture ring.
    pub(super) fn check_overwritten(&mut self, avail: u64) -> Option<Check> {
        let side = self.capture.as_mut()?;
        let avail = usize::try_from(avail).unwrap_or(usize::MAX);
        side.is_near_full = is_near_full(side, avail as u64);
        let over = side.overwritten(avail);
        if over == 0 {
            return None;
        }
        let (discarded, error) = side.discard(over);
        (self.transfer_error, self.fault_suspected) = (error, discarded < over);
        if discarded == 0 {
            self.has_moved_nothing = true;
            // The overwritten frames are still the next ones, so no period is lent.
            return Some(Check::Nothing(Some(self.now_ns() + self.time_to(0))));
        }
        Some(self.lose_overwritten(discarded))
    }

    fn lose_overwritten(&mut self, frames: usize) -> Check {
        self.position += frames as u64;
        // There is no output for the lost frames. A restart brings playback in step with capture again.
        // Outputs that are away stay failed.
        self.playback_failed |= self.playback.is_some();
        Check::Report(Wake::Lost { frames: frames as u64, cause: LossCause::Xrun })
    }
}
