//! The files of takes that a session does not list. Thread: any that may wait for the disk; the module owns nothing.

use super::{TakeFiles, TakeFolder};
use crate::session::{Session, Take};
use std::collections::HashSet;
use std::path::Path;

/// Names in the sentence about unlisted files.
const SHOWN_MAX: usize = 4;

/// The sentence about files in `audio` that the session does not list. `None`: it lists all of them. If an older version was
/// made the session again, the sound of later takes is on the disk, and not in the session. `path` is the session's folder or
/// its `session.json`.
pub fn unlisted_files(path: &Path, session: &Session) -> Option<String> {
    let listed: HashSet<&str> = session.takes().iter().map(Take::file_name).collect();
    let found = TakeFiles::of_session(path).and_then(|files| files.names()).ok()?;
    let is_unlisted =
        |(place, name): &(TakeFolder, String)| *place == TakeFolder::Audio && !listed.contains(name.as_str());
    let mut names: Vec<String> = found.into_iter().filter(is_unlisted).map(|(_, name)| name).collect();
    names.sort_unstable();
    let more = names.len().saturating_sub(SHOWN_MAX);
    names.truncate(SHOWN_MAX);
    let shown = if more > 0 { format!("{} and {more} more", names.join(", ")) } else { names.join(", ") };
    let text = format!(
        "{}: the session does not list these files in its folder audio: {shown}; restore a later version to have them",
        path.display()
    );
    (!names.is_empty()).then_some(text)
}
