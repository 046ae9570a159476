//! The blocks that are in memory for drawing, and the requests for those that are not. Thread: control and the front
//! end.

use super::block::{Block, SCALES, Scale};
use super::columns::{FinerLevels, fold_blocks};
use super::entry::Extent;
use super::pyramid::Pyramid;
use super::shared::{LoadedBlock, ReadRequest, SharedStore, SharedTake};
use crate::limits::{PEAK_BLOCK_BYTES_MAX, PEAK_REQUESTS_MAX};
use crossbeam_channel::Sender;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Time after which a block that could not be read is requested again.
const RETRY: Duration = Duration::from_secs(2);

/// Bytes that a block costs in the maps here, beside its own.
const SLOT_BYTES: usize = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    serial: u64,
    scale: Scale,
    index: u64,
}

struct Slot {
    block: Arc<Block>,
    /// Value of [`LoadedBlocks::clock`] at the last use.
    used: u64,
    /// Value of [`LoadedBlocks::drawing`] at the last use.
    drawing: u64,
}

/// Cache in memory of at most [`PEAK_BLOCK_BYTES_MAX`] bytes. The block whose last use is oldest is dropped first. If
/// one picture needs more blocks than fit, the rest of the picture stays coarse: the blocks do not push out each other
/// without an end.
#[derive(Default)]
pub(super) struct LoadedBlocks {
    blocks: HashMap<Key, Slot>,
    bytes: usize,
    /// Number of uses so far, which dates each block.
    clock: u64,
    /// Number of drawings of the whole picture so far.
    drawing: u64,
    /// The present drawing shows the same as the one before.
    is_same_view: bool,
    /// The present picture needs more blocks than fit. Nothing is requested before the view moves.
    is_full: bool,
    /// Requests without an answer.
    requested: HashSet<Key>,
    /// Blocks that could not be read, and when.
    failed: HashMap<Key, Instant>,
}

impl LoadedBlocks {
    /// Stores the answer to a request.
    pub(super) fn receive(&mut self, loaded: LoadedBlock) {
        let key = Key { serial: loaded.serial, scale: loaded.scale, index: loaded.index };
        self.requested.remove(&key);
        match loaded.block {
            Some(block) => {
                self.failed.remove(&key);
                self.insert_block(key, block);
            }
            None => {
                if PEAK_REQUESTS_MAX <= self.failed.len() {
                    self.failed.clear();
                }
                self.failed.insert(key, Instant::now());
            }
        }
    }

    /// Begins a drawing of the whole picture. `moved`: it shows something else than the last one.
    pub(super) fn begin_drawing(&mut self, moved: bool) {
        self.drawing += 1;
        self.is_same_view = !moved;
        self.is_full &= !moved;
    }

    /// Drops the blocks of takes, by their serials.
    pub(super) fn forget(&mut self, serials: &HashSet<u64>) {
        self.failed.retain(|key, _| !serials.contains(&key.serial));
        let bytes = &mut self.bytes;
        self.blocks.retain(|key, slot| {
            let stays = !serials.contains(&key.serial);
            *bytes -= if stays { 0 } else { cost(&slot.block) };
            stays
        });
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn insert_block(&mut self, key: Key, block: Arc<Block>) {
        self.clock += 1;
        self.bytes += cost(&block);
        if let Some(old) = self.blocks.insert(key, Slot { block, used: self.clock, drawing: self.drawing }) {
            self.bytes -= cost(&old.block);
        }
        while PEAK_BLOCK_BYTES_MAX < self.bytes {
            let oldest = self.blocks.iter().min_by_key(|(_, slot)| slot.used);
            let shown_from = if self.is_same_view { self.drawing - 1 } else { self.drawing };
            let Some((oldest, is_shown)) = oldest.map(|(key, slot)| (*key, shown_from <= slot.drawing)) else { break };
            // The oldest block is on the screen, so all are. The newest one goes, and no more are requested.
            self.is_full |= is_shown;
            if let Some(slot) = self.blocks.remove(if is_shown { &key } else { &oldest }) {
                self.bytes -= cost(&slot.block);
            } else {
                break;
            }
        }
    }

    fn get_block(&mut self, key: Key) -> Option<&Arc<Block>> {
        self.clock += 1;
        let slot = self.blocks.get_mut(&key)?;
        slot.used = self.clock;
        slot.drawing = self.drawing;
        Some(&slot.block)
    }
}

fn cost(block: &Block) -> usize {
    block.bytes() + SLOT_BYTES
}

/// The finer levels of one channel of one take, for one call of [`draw`](super::columns::draw). Requests missing
/// blocks.
pub(super) struct BlockLookup<'a> {
    pub(super) loaded_blocks: &'a mut LoadedBlocks,
    pub(super) common: &'a SharedStore,
    pub(super) take: &'a Arc<SharedTake>,
    pub(super) pyramid: &'a Pyramid,
    pub(super) channel: usize,
    pub(super) requests: &'a Sender<ReadRequest>,
    /// For each scale the index of the block that was looked up last, and the result. Neighbouring columns need the
    /// same block.
    pub(super) last: [Option<(u64, Option<Arc<Block>>)>; SCALES.len()],
}

impl FinerLevels for BlockLookup<'_> {
    fn fold(&mut self, scale: Scale, first: u64, end: u64) -> Option<Extent> {
        if let Some(level) = scale.level().filter(|level| self.pyramid.finest() <= *level) {
            return Some(self.pyramid.fold(self.channel, level, first, end).extent());
        }
        fold_blocks(scale, first, end, |index, first, end| {
            let channel = self.channel;
            let block = self.block(scale, index)?;
            let frames = self.pyramid.frames().saturating_sub(index * scale.block_frames());
            if !block.covers(scale, end, frames) {
                // The take has grown since the block was made.
                self.request_block(scale, index);
                return None;
            }
            Some(block.fold(channel, first, end))
        })
    }
}

impl BlockLookup<'_> {
    fn block(&mut self, scale: Scale, index: u64) -> Option<Arc<Block>> {
        if let Some((last, block)) = &self.last[scale as usize]
            && *last == index
        {
            return block.clone();
        }
        let key = Key { serial: self.take.serial, scale, index };
        let mut block = None;
        if scale == Scale::Base {
            // A block of the pyramid still grows, so it is newer than a loaded one.
            block = self.pyramid.resident(index);
            if let Some(block) = &block
                && block.len() == scale.block_entries()
                && self.loaded_blocks.get_block(key).is_none()
            {
                // The block is complete and on the screen. Keep it, because the pyramid will soon release it.
                self.loaded_blocks.insert_block(key, Arc::clone(block));
            }
        }
        let block = block.or_else(|| self.loaded_blocks.get_block(key).cloned());
        if block.is_none() {
            self.request_block(scale, index);
        }
        self.last[scale as usize] = Some((index, block.clone()));
        block
    }

    fn request_block(&mut self, scale: Scale, index: u64) {
        let key = Key { serial: self.take.serial, scale, index };
        let failed = self.loaded_blocks.failed.get(&key).is_some_and(|at| at.elapsed() < RETRY);
        if failed
            || self.loaded_blocks.is_full
            || PEAK_REQUESTS_MAX <= self.loaded_blocks.requested.len()
            || !self.loaded_blocks.requested.insert(key)
        {
            return;
        }
        self.common.add_pending();
        if self.requests.try_send(ReadRequest::Block(Arc::clone(self.take), scale, index)).is_err() {
            self.loaded_blocks.requested.remove(&key);
            self.common.remove_pending();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loaded_blocks_have_a_bound_and_the_block_used_last_stays() {
        let mut loaded_blocks = LoadedBlocks::default();
        let key = |index| Key { serial: 1, scale: Scale::Fine, index };
        let count = 2 * PEAK_BLOCK_BYTES_MAX as u64 / (4 * Scale::Fine.block_entries() as u64);
        for index in 0..count {
            loaded_blocks.insert_block(key(index), Arc::new(Block::entries(1, Scale::Fine.block_entries())));
            assert!(loaded_blocks.get_block(key(0)).is_some(), "block 0 is used in every round");
            assert!(loaded_blocks.bytes() <= PEAK_BLOCK_BYTES_MAX && !loaded_blocks.is_full);
            loaded_blocks.begin_drawing(true);
        }
        assert!(loaded_blocks.get_block(key(1)).is_none() && loaded_blocks.get_block(key(count - 1)).is_some());
        assert_eq!(loaded_blocks.bytes(), loaded_blocks.blocks.values().map(|slot| cost(&slot.block)).sum::<usize>());
        loaded_blocks.forget(&HashSet::from([1]));
        assert_eq!(loaded_blocks.bytes(), 0);
    }

    #[test]
    fn blocks_of_one_picture_do_not_push_out_each_other() {
        let mut loaded_blocks = LoadedBlocks::default();
        let key = |index| Key { serial: 1, scale: Scale::Fine, index };
        let block = || Arc::new(Block::entries(1, Scale::Fine.block_entries()));
        loaded_blocks.begin_drawing(true);
        let mut index = 0;
        while !loaded_blocks.is_full {
            loaded_blocks.insert_block(key(index), block());
            index += 1;
        }
        assert!(loaded_blocks.bytes() <= PEAK_BLOCK_BYTES_MAX);
        assert!(loaded_blocks.get_block(key(0)).is_some() && loaded_blocks.get_block(key(index - 1)).is_none());
        loaded_blocks.begin_drawing(false);
        assert!(loaded_blocks.is_full, "the same picture still needs too many");
        loaded_blocks.begin_drawing(true);
        loaded_blocks.insert_block(key(index), block());
        assert!(!loaded_blocks.is_full && loaded_blocks.get_block(key(index)).is_some(), "another picture");
    }
}
