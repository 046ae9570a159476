//! Copies of the session for other folders. Thread: session saver; recovery makes single copies.

use super::{Session, Shared, Take};

/// Makes the copies of a session that are saved in one other folder. Keeps the last one, so that the next copy costs what
/// changed since.
#[derive(Debug, Default)]
pub struct FolderCopies {
    last: Option<LastCopy>,
}

#[derive(Debug)]
struct LastCopy {
    there: String,
    own: String,
    takes: Shared<Vec<Take>>,
    copies: Shared<Vec<Take>>,
}

impl FolderCopies {
    /// The copy of the session that is saved in another folder, `there`. `own` is the folder of the session. A take
    /// whose file is in `own` gets that path as its folder; a take whose file is in `there` gets `None`.
    pub fn copy(&mut self, session: &Session, there: &str, own: &str) -> Session {
        let last = self.last.take().filter(|last| last.there == there && last.own == own);
        let pairs = last.iter().flat_map(|last| last.takes.iter().zip(last.copies.iter()));
        let mut pairs = pairs.peekable();
        let copies = session.takes.iter().map(|take| {
            // Both lists are sorted by identity.
            while pairs.next_if(|(old, _)| !Shared::is_same(old, take) && old.id < take.id).is_some() {}
            let same = pairs.next_if(|(old, _)| Shared::is_same(old, take));
            same.map_or_else(|| copy_of(take, there, own), |(_, copy)| copy.clone())
        });
        let copies = Shared::new(copies.collect::<Vec<Take>>());
        let takes = session.takes.clone();
        self.last = Some(LastCopy { there: there.to_owned(), own: own.to_owned(), takes, copies: copies.clone() });
        Session { takes: copies, ..session.clone() }
    }
}

fn copy_of(take: &Take, there: &str, own: &str) -> Take {
    let mut copy = take.clone();
    copy.folder = match copy.folder.take() {
        None => Some(own.to_owned()),
        Some(folder) => Some(folder).filter(|folder| folder != there),
    };
    copy
}

impl Session {
    /// A single copy of [`FolderCopies`].
    #[must_use]
    pub fn copy_for_folder(&self, there: &str, own: &str) -> Session {
        FolderCopies::default().copy(self, there, own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::tests::{any_session, any_steps, apply};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_copy_after_another_one_is_the_same_as_a_single_copy(session in any_session(), steps in any_steps()) {
            let mut copies = FolderCopies::default();
            let mut now = session;
            for step in steps {
                prop_assert_eq!(copies.copy(&now, "/there", "/own"), now.copy_for_folder("/there", "/own"));
                apply(&mut now, step).ok();
            }
            prop_assert_eq!(copies.copy(&now, "/there", "/moved"), now.copy_for_folder("/there", "/moved"));
        }
    }
}
