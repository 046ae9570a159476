//! The session in memory with the number of its content. Thread: control owns it.
//!
//! Reading goes through `Deref`. Every mutable access goes through `DerefMut`, which raises the revision. So no change
//! can forget the number, and a snapshot that has the present number has the present content.

use crate::session::Session;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// The session, its revision, and its last snapshot.
pub(super) struct Document {
    session: Session,
    revision: u64,
    /// The last snapshot, and the revision that it shows.
    snapshot: Option<(u64, Arc<Session>)>,
}

impl Document {
    pub(super) fn new(session: Session) -> Document {
        Document { session, revision: 1, snapshot: None }
    }

    /// Number of the present content. A number is never used for two contents.
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// Raises the revision without a change of the session: its folder moved, or a user wants it saved again.
    pub(super) fn raise_revision(&mut self) {
        self.revision += 1;
    }

    /// The present content. Calls between two changes return the same `Arc`.
    pub(super) fn snapshot(&mut self) -> Arc<Session> {
        match &self.snapshot {
            Some((revision, session)) if *revision == self.revision => Arc::clone(session),
            _ => {
                let session = Arc::new(self.session.clone());
                self.snapshot = Some((self.revision, Arc::clone(&session)));
                session
            }
        }
    }
}

impl Deref for Document {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl DerefMut for Document {
    fn deref_mut(&mut self) -> &mut Session {
        self.revision += 1;
        &mut self.session
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::TakeFormat;
    use crate::time::{FramePos, SampleRate};
    use uuid::Uuid;

    #[test]
    fn a_snapshot_is_never_older_than_the_last_change() {
        let session = Session::new(Uuid::from_u128(1), "Test", "", SampleRate(48_000), TakeFormat::S24);
        let mut document = Document::new(session);
        let empty = document.snapshot();
        assert!(Arc::ptr_eq(&empty, &document.snapshot()), "nothing changed");
        let before = document.revision();
        document.add_marker(FramePos(7), "here").expect("room");
        assert!(before < document.revision());
        assert_eq!(document.snapshot().markers().len(), 1);
        assert_eq!(empty.markers().len(), 0);
    }
}
