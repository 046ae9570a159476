//! A span of captured sound that the committers write. Thread: butler makes it, the committers share it; the committer
//! that releases it last frees its slot.
//!
//! A span begins when the butler collects a capture window. It ends when every replica that wants it has it durable, or
//! has given it up.

use super::offset::SpoolByte;
use super::replica::Replica;
use super::spool_file::CapturedSlot;
use crate::lock::lock;
use std::sync::atomic::{AtomicU8, Ordering::AcqRel, Ordering::Acquire};
use std::sync::{Arc, Mutex};

/// A span of one take that waits for the disk: whole pages.
#[derive(Debug)]
pub struct SpanToCommit {
    /// Offset of the first byte.
    pub offset: SpoolByte,
    /// Length in bytes.
    pub bytes: usize,
    /// Bytes from the start of the span that lie before the record position.
    pub recorded_bytes: usize,
    /// Whether the audio thread wrote to the span. An untouched span is silence, which the file already contains.
    pub touched: bool,
    /// Whether another program has cut the file short in which the span was recorded, in `in-place`. Some of the sound is in
    /// no file then.
    pub is_cut: bool,
    /// Whether the span has a mapping. Always false in `in-place`.
    pub is_mapped: bool,
    /// The slot with the sound. `None` in `in-place`, and when the sound is not wanted any more.
    slot: Mutex<Option<Arc<CapturedSlot>>>,
    wanted: AtomicU8,
}

impl SpanToCommit {
    /// A span without a slot that every one of `replicas` wants.
    pub fn new(
        offset: SpoolByte,
        bytes: usize,
        recorded_bytes: usize,
        touched: bool,
        replicas: &[Replica],
    ) -> SpanToCommit {
        let wanted = replicas.iter().fold(0, |wanted, replica| wanted | bit(*replica));
        SpanToCommit {
            offset,
            bytes,
            recorded_bytes,
            touched,
            is_cut: false,
            is_mapped: false,
            slot: Mutex::default(),
            wanted: wanted.into(),
        }
    }

    /// Adds the slot of the span.
    #[must_use]
    pub fn in_slot(mut self, slot: CapturedSlot) -> SpanToCommit {
        self.is_mapped = slot.memory().is_some();
        self.slot = Mutex::new(Some(Arc::new(slot)));
        self
    }

    /// Offset after the last byte.
    pub fn end(&self) -> SpoolByte {
        self.offset + self.bytes as u64
    }

    /// Offset after the last byte that lies before the record position.
    pub fn recorded_end(&self) -> SpoolByte {
        self.offset + self.recorded_bytes as u64
    }

    /// The slot with the sound of the span, which is not used again while the caller holds it.
    pub fn slot(&self) -> Option<Arc<CapturedSlot>> {
        lock(&self.slot).clone()
    }

    /// Frees the slot, because no replica wants the span any more.
    pub fn free_slot(&self) {
        let slot = lock(&self.slot).take();
        if let Some(slot) = slot {
            slot.set_free();
        }
    }

    /// `replica` no longer wants the span, because it has it durable or has given it up. Returns whether `replica` was
    /// the last one: the caller then gives the memory back.
    pub fn release(&self, replica: Replica) -> bool {
        self.wanted.fetch_and(!bit(replica), AcqRel) == bit(replica)
    }

    /// Whether `replica` still has to write the span. The committer checks it again *after* writing: if the span was
    /// given up meanwhile, it is a gap, and the written bytes count for nothing.
    pub fn is_wanted(&self, replica: Replica) -> bool {
        self.wanted.load(Acquire) & bit(replica) != 0
    }
}

fn bit(replica: Replica) -> u8 {
    1 << replica.index()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_replica_to_release_a_span_gives_its_memory_back_and_only_once() {
        let both = SpanToCommit::new(SpoolByte(4096), 4096, 4096, true, &[Replica::Session, Replica::Mirror]);
        assert!(
            !both.release(Replica::Session) && !both.is_wanted(Replica::Session) && both.is_wanted(Replica::Mirror)
        );
        assert!(!both.release(Replica::Session), "it was not the last one then, and is not now");
        assert!(both.release(Replica::Mirror) && !both.release(Replica::Mirror));
        assert!(SpanToCommit::new(SpoolByte(4096), 4096, 0, false, &[Replica::Session]).release(Replica::Session));
    }
}
