//! The losses that takes list. Thread: any; pure.

use super::edit::EditError;
use super::{LOSS_COUNT_MAX, Loss, POSITION_MAX, Session, TakeId, clean_name};
use crate::time::{FramePos, Frames};

// Sessions keep these words, and [`Loss::is_not_found`] knows a loss by them: a changed word makes the losses of older sessions
// final.

/// The cause of a loss in a file that another program has changed.
pub const CHANGED: &str = "another program changed the file";

/// The cause of a loss of which the memory of the take is there, and has nothing.
pub const MISSING: &str = "neither on the disk nor in memory";

/// The cause of a loss of which the memory is gone.
pub const MEMORY_GONE: &str = "what was in memory is gone";

impl Loss {
    /// Whether its end is not known yet.
    pub fn lasts(&self) -> bool {
        self.at + self.frames == FramePos(POSITION_MAX)
    }

    /// Whether a recovery has listed it because it did not find the sound. A mirror that was away then may have it.
    pub fn is_not_found(&self) -> bool {
        [CHANGED, MISSING, MEMORY_GONE].contains(&self.cause.as_str())
    }

    /// Whether only a recovery lists it, of sound that is neither in a file nor in memory. In a copy of the session whose takes are
    /// being recorded, it comes from a recovery of that copy that was stopped.
    pub(crate) fn is_of_recovery(&self) -> bool {
        [MISSING, MEMORY_GONE].contains(&self.cause.as_str())
    }

    /// The parts of this loss that lie before and behind another one.
    fn parts_beside(&self, other: &Loss) -> Vec<Loss> {
        let end = self.at + self.frames;
        let parts = [(self.at, end.min(other.at)), (self.at.max(other.at + other.frames), end)];
        let parts = parts.into_iter().filter(|(from, to)| from < to);
        parts.map(|(from, to)| Loss { at: from, frames: to.since(from), cause: self.cause.clone() }).collect()
    }
}

impl Session {
    /// Adds a loss to a take's list, or to the count of unlisted losses if the list is full. A loss that continues a listed
    /// one of the same cause makes that one longer: a long loss is reported in parts, which would fill the list.
    pub fn add_loss(&mut self, id: TakeId, at: FramePos, frames: Frames, cause: &str) -> Result<(), EditError> {
        if at.0.checked_add(frames.0).is_none_or(|end| POSITION_MAX < end) {
            return Err(EditError::BeyondTimeline);
        }
        let (take, cause) = (self.take_mut(id)?, clean_name(cause));
        let continued = take.losses.iter_mut().rev().find(|loss| loss.at + loss.frames == at && loss.cause == cause);
        if let Some(loss) = continued {
            loss.frames += frames;
        } else if take.losses.len() < LOSS_COUNT_MAX {
            take.losses.push(Loss { at, frames, cause });
        } else {
            take.losses_unlisted = take.losses_unlisted.saturating_add(1);
        }
        Ok(())
    }

    /// Adds the parts of a loss that the take does not list yet, so that a loss that is reported twice is listed once.
    pub fn list_loss(&mut self, id: TakeId, at: FramePos, frames: Frames, cause: &str) -> Result<(), EditError> {
        let (mut from, end) = (at, at + frames);
        let listed = self.take_mut(id)?.losses.iter().map(|loss| (loss.at, loss.at + loss.frames));
        let mut listed: Vec<_> = listed.filter(|(start, listed_end)| *start < end && at < *listed_end).collect();
        listed.sort_unstable();
        for (start, listed_end) in listed {
            if from < start {
                self.add_loss(id, from, start.since(from), cause)?;
            }
            from = from.max(listed_end);
        }
        if from < end { self.add_loss(id, from, end.since(from), cause) } else { Ok(()) }
    }

    /// Lists a loss from `at` on that lasts. Its end comes with [`Session::end_losses`] or with the end of the take.
    pub fn list_open_loss(&mut self, id: TakeId, at: FramePos, cause: &str) -> Result<(), EditError> {
        self.list_loss(id, at, FramePos(POSITION_MAX).since(at), cause)
    }

    /// Ends the losses of a take that last, before frame `at`.
    pub fn end_losses(&mut self, id: TakeId, at: FramePos) -> Result<(), EditError> {
        let take = self.take_mut(id)?;
        for loss in take.losses.iter_mut().filter(|loss| loss.lasts()) {
            loss.frames = at.since(loss.at);
        }
        take.losses.retain(|loss| loss.frames > Frames(0));
        Ok(())
    }

    /// Frames of the losses that a take lists.
    pub fn frames_lost_of(&self, id: TakeId) -> Frames {
        let losses = self.take(id).map_or(&[][..], |take| &take.losses);
        Frames(losses.iter().map(|loss| loss.frames.0).sum())
    }

    /// Has the accounts of a take count at least the frames of the losses that it lists. A take without accounts stays so.
    pub fn account_for_listed_losses(&mut self, id: TakeId) -> Result<(), EditError> {
        let lost = self.frames_lost_of(id).0;
        if let Some(accounts) = &mut self.take_mut(id)?.accounts {
            accounts.frames_lost = accounts.frames_lost.max(lost);
        }
        Ok(())
    }

    /// Removes the losses of a take that is being recorded, because a more exact list of them follows.
    pub fn clear_losses(&mut self, id: TakeId) -> Result<(), EditError> {
        let take = self.take_mut(id)?;
        (take.losses, take.losses_unlisted) = (Vec::new(), 0);
        Ok(())
    }

    /// Sets the number of losses whose positions are not known to at least `count`.
    pub fn raise_unlisted_losses(&mut self, id: TakeId, count: u64) -> Result<(), EditError> {
        let take = self.take_mut(id)?;
        take.losses_unlisted = take.losses_unlisted.max(count);
        Ok(())
    }

    /// Sets the number of losses whose positions are not known.
    pub fn set_unlisted_losses(&mut self, id: TakeId, count: u64) -> Result<(), EditError> {
        self.take_mut(id)?.losses_unlisted = count;
        Ok(())
    }

    /// Moves the losses of a take from frame `at` on to `next`, the take that continues it there.
    pub fn move_losses(&mut self, id: TakeId, next: TakeId, at: Frames) -> Result<(), EditError> {
        self.take_mut(next)?;
        let split = FramePos(at.0);
        let losses = std::mem::take(&mut self.take_mut(id)?.losses);
        for loss in losses {
            let end = loss.at + loss.frames;
            if loss.at < split {
                let frames = end.min(split).since(loss.at);
                self.take_mut(id)?.losses.push(Loss { frames, ..loss.clone() });
            }
            if split < end {
                let from = loss.at.max(split);
                let at = FramePos(from.since(split).0);
                let end = if loss.lasts() { FramePos(POSITION_MAX) } else { at + end.since(from) };
                let moved = Loss { at, frames: end.since(at), cause: loss.cause };
                // A mirror's copy may have listed it there.
                let losses = &mut self.take_mut(next)?.losses;
                if !losses.contains(&moved) {
                    losses.push(moved);
                }
            }
        }
        Ok(())
    }

    /// Lists `losses` in place of those that a take lists. The number of losses without a place stays.
    pub fn list_instead(&mut self, id: TakeId, losses: impl IntoIterator<Item = Loss>) -> Result<(), EditError> {
        let take = self.take_mut(id)?;
        let before = std::mem::take(&mut take.losses_unlisted);
        take.losses.clear();
        for loss in losses {
            self.list_loss(id, loss.at, loss.frames, &loss.cause)?;
        }
        // Losses for which the list has no room now are new.
        self.take_mut(id)?.losses_unlisted += before;
        Ok(())
    }

    /// Lists a loss that was known when it happened. A loss that a recovery lists there, because it did not find the sound, gives
    /// way: a mirror vouches for the silence of the known loss, and the other entry would be taken for one that is filled.
    pub fn list_known_loss(&mut self, id: TakeId, known: &Loss) -> Result<(), EditError> {
        let end = known.at + known.frames;
        let gives_way = |loss: &Loss| loss.is_not_found() && loss.at < end && known.at < loss.at + loss.frames;
        let losses = &self.take_mut(id)?.losses;
        if !known.is_not_found() && losses.iter().any(gives_way) {
            let rest = |loss: Loss| if gives_way(&loss) { loss.parts_beside(known) } else { vec![loss] };
            let rest: Vec<Loss> = losses.clone().into_iter().flat_map(rest).collect();
            self.list_instead(id, rest)?;
        }
        self.list_loss(id, known.at, known.frames, &known.cause)
    }
}
