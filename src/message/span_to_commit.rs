//! Captured sound on its way to the disk: one span of a take, wanted by each of its replicas. Thread: butler makes it, the
//! committers share it; the last one to be done with it gives its memory back.

use super::offset::SpoolByte;
use super::replica::Replica;
use crate::window::map::Mapping;
use std::sync::atomic::{AtomicU8, Ordering::AcqRel, Ordering::Acquire};

/// See the module. Whole pages; byte n of the spool is byte n of the take.
#[derive(Debug)]
pub struct SpanToCommit {
    /// Byte of the spool file where it begins.
    pub offset: SpoolByte,
    /// Its bytes.
    pub bytes: usize,
    /// Bytes of it that the record position has passed.
    pub recorded_bytes: usize,
    /// Whether anything was written; if not, it is silence that the file has already.
    pub touched: bool,
    /// The memory, unless so much waits that it had to be given up: then it is mapped again.
    map: Option<Mapping>,
    wanted: AtomicU8,
}

impl SpanToCommit {
    /// A span that every one of `replicas` is to write.
    pub fn new(
        offset: SpoolByte,
        bytes: usize,
        recorded_bytes: usize,
        touched: bool,
        replicas: &[Replica],
    ) -> SpanToCommit {
        let wanted = replicas.iter().fold(0, |wanted, replica| wanted | bit(*replica));
        SpanToCommit { offset, bytes, recorded_bytes, touched, map: None, wanted: wanted.into() }
    }

    /// The same, with its mapping kept.
    #[must_use]
    pub fn mapped(mut self, map: Option<Mapping>) -> SpanToCommit {
        debug_assert!(map.as_ref().is_none_or(|map| map.len() == self.bytes));
        self.map = map;
        self
    }

    /// The byte after its last one.
    pub fn end(&self) -> SpoolByte {
        self.offset + self.bytes as u64
    }

    /// The byte after the last one that the record position has passed.
    pub fn recorded_end(&self) -> SpoolByte {
        self.offset + self.recorded_bytes as u64
    }

    /// Its memory, if its mapping was kept.
    pub fn memory(&self) -> Option<&[u8]> {
        self.map.as_ref().map(Mapping::bytes)
    }

    /// `replica` does not need it any more, because it has it, or because it shall get it from the other copy. Said before
    /// its memory is given back. True: nobody else needs it either, and that can be done now.
    pub fn release(&self, replica: Replica) -> bool {
        self.wanted.fetch_and(!bit(replica), AcqRel) == bit(replica)
    }

    /// Whether `replica` still has to write it. To be asked *after* it was written, too: if not, its memory may have been
    /// given back meanwhile, and what was written is worth nothing.
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
    fn the_last_copy_to_be_done_gives_the_memory_back_and_only_once() {
        let both = SpanToCommit::new(SpoolByte(4096), 4096, 4096, true, &[Replica::Session, Replica::Mirror]);
        assert!(
            !both.release(Replica::Session) && !both.is_wanted(Replica::Session) && both.is_wanted(Replica::Mirror)
        );
        assert!(!both.release(Replica::Session), "it was not the last one then, and is not now");
        assert!(both.release(Replica::Mirror) && !both.release(Replica::Mirror));
        assert!(SpanToCommit::new(SpoolByte(4096), 4096, 0, false, &[Replica::Session]).release(Replica::Session));
    }
}
