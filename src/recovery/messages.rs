//! The messages of a recovery: each names the thing, the reason, and what to do. Thread: any.

use super::evidence::FoundSpool;
use super::length::Basis;
use super::take_wav::{AtPlace, Unusable};
use super::viewpoint::Hidden;
use super::{CutTake, RecoveredPass};
use crate::session::{SpoolRecord, Take};
use crate::shell_word::for_shell;
use crate::time::{Clock, Frames};
use std::fmt;
use std::io;
use std::path::Path;

impl RecoveredPass {
    /// Frames that the take with most frames from the spool got from there.
    pub fn from_memory(&self) -> Frames {
        Frames(self.takes.iter().map(|take| take.recovered_frames).max().unwrap_or(0))
    }

    /// Whether sound is known to be missing.
    pub fn is_short(&self) -> bool {
        let silent = [self.lost, self.overrun, self.missing, self.absent];
        self.basis == Basis::Disk || silent.iter().any(|frames| *frames > Frames(0))
    }
}

impl fmt::Display for RecoveredPass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let takes = match self.takes.len() {
            1 => "1 take".to_owned(),
            count => format!("{count} takes"),
        };
        let clock = Clock(self.frames.duration(self.rate));
        write!(f, "Recovered {takes} of the pass that was cut off: {clock} each")?;
        let reason = self.memory_gone.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"));
        let memory = self.from_memory().seconds(self.rate);
        match self.basis {
            Basis::Disk => {
                write!(f, ", as much as was on the disk")?;
                for mirror in &self.from_mirrors {
                    write!(f, " and in the mirror {}", mirror.display())?;
                }
                write!(f, "; what was in memory only is gone{reason}")?;
            }
            _ if self.frames == Frames(0) => write!(f, "; it had not begun")?,
            _ if self.memory_gone.is_none() => write!(f, "; {memory:.2} s came from memory")?,
            _ if self.from_memory() == Frames(0) => write!(f, "; its memory is gone{reason}")?,
            _ => write!(f, "; {memory:.2} s came from memory, and other memory of it is gone{reason}")?,
        }
        if self.lost > Frames(0) {
            write!(f, "; {} frames that the device lost are silence", self.lost.0)?;
        }
        if self.overrun > Frames(0) {
            write!(f, "; {} frames for which no memory was ready are silence", self.overrun.0)?;
        }
        if self.absent > Frames(0) {
            let seconds = self.absent.seconds(self.rate);
            write!(f, "; up to {seconds:.2} s of a take are silence, because the device came back without its input")?;
        }
        if self.missing > Frames(0) {
            let seconds = self.missing.seconds(self.rate);
            write!(
                f,
                "; {seconds:.2} s that are neither on the disk nor in memory are silence, and the takes list them"
            )?;
        }
        Ok(())
    }
}

/// The cause of the loss of a take whose 0-based input the device does not have any more.
pub fn cause_of_absence(input: u64) -> String {
    format!("the device came back without input {}", input.saturating_add(1))
}

/// Why the memory of a pass counts as gone although a file of its name is there.
pub(super) const NOT_BELIEVED: &str =
    "it is kept, but its content was rejected, see above; to take its sound out: faultless recover --extract FOLDER";

/// The message for a take that is left as it is. `mirror`: the folder of the mirror, if it has sound of the take.
pub(super) fn left_alone(reason: &str, spool: Option<&FoundSpool>, mirror: Option<&Path>) -> String {
    let in_memory = spool.map(|spool| format!("; its last seconds are kept in {}", spool.path.display()));
    let in_mirror = mirror.map(|path| format!("; its mirror has sound of it: open the session {}", path.display()));
    [reason.to_owned()].into_iter().chain(in_memory).chain(in_mirror).collect()
}

/// So many takes that a recovery does not complete.
fn left_cut_off(takes: usize) -> String {
    match takes {
        1 => "1 take that was cut off is left as it is".to_owned(),
        takes => format!("{takes} takes that were cut off are left as they are"),
    }
}

/// The message about a replica in the mirror. `text` begins with its file.
pub(super) fn of_replica(text: &str) -> String {
    format!("mirror: {text}")
}

/// The reason why a replica does not get the sound of its take, with the effect.
pub(super) fn stays_short(reason: &str) -> String {
    format!("{reason}; this file stays shorter than the take")
}

/// The trouble of a replica that cannot be read.
pub(super) fn replica_not_read(error: &io::Error) -> String {
    stays_short(&format!("cannot be read: {error}; sound that only this file has is not in the take"))
}

/// The trouble of a replica of which the sound can be read. `reason` names the file and the error of the attempt to write it.
pub(super) fn replica_only_read(reason: &str) -> String {
    format!("{reason}; the take has its sound, and this file stays as it is")
}

/// The message for a replica that can neither be written nor read. `reason` begins with its file.
pub(super) fn replica_not_opened(reason: &str) -> String {
    format!(
        "{reason}; it may have more of the take, and that sound is not in the take; when it can be read, name its folder as mirror again"
    )
}

/// The trouble of a replica that is longer than its take.
pub(super) const REPLICA_HAS_MORE: &str =
    "another recovery has finished this file longer than the take; it is left as it is; open the mirror as a session";

/// The message for a mirror that is not there after the memory of a pass is gone.
pub(super) fn mirror_not_seen(folder: &Path) -> String {
    format!(
        "mirror: {}: it is not there, and it may have more of the takes that were cut off; connect its disk and name it as mirror again: if it has more, the takes get that sound when the session is opened the next time",
        folder.display()
    )
}

/// The message for a file of which the sound behind the place where its take continues could not be read in whole.
pub(super) fn earlier_not_read(session: &Path, take: &Take, error: &io::Error) -> String {
    format!(
        "{}: cannot be read: {error}; sound that only this file has is not in the file in which the take continues; this file keeps it",
        session.join(take.path()).display()
    )
}

/// The message for takes that had no track.
pub(super) fn have_tracks_again(folder: &Path, takes: usize) -> String {
    let name = folder.display();
    match takes {
        1 => format!("{name}: 1 take had no track; its track was added again"),
        takes => format!("{name}: {takes} takes had no track; their tracks were added again"),
    }
}

/// The message for a pass whose memory may hold sound that cannot be seen from here.
pub(super) fn memory_not_seen(folder: &Path, takes: usize, record: &SpoolRecord, hidden: &Hidden) -> String {
    let memory = record.folder.as_deref().unwrap_or("memory");
    let (name, takes) = (folder.display(), left_cut_off(takes));
    format!(
        "{name}: {takes}: {memory} may have more of their sound, and {}; {}: faultless recover {}",
        hidden.reason,
        hidden.advice,
        for_shell(folder)
    )
}

/// The message for a pass whose takes went on in a folder that cannot be read now.
pub(super) fn next_file_not_seen(session: &Path, takes: usize, folder: &Path) -> String {
    let (name, folder, takes, word) = (session.display(), folder.display(), left_cut_off(takes), for_shell(session));
    format!(
        "{name}: {takes}: their sound continues in {folder}, and the list of the takes there cannot be read; connect its disk, or add --without-memory if that folder is lost, then: faultless recover {word}"
    )
}

/// The message for an overflow folder that is not there, after a pass was recovered without memory.
pub(super) fn overflow_not_seen(folder: &str) -> String {
    format!(
        "{folder}: this overflow folder is not there, and no memory is left that shows whether the recording continued in it; if it did, connect its disk and open the session again: its sound is added then"
    )
}

/// The message for a spool file with sound that its takes do not have.
pub(super) fn has_more(spool: &FoundSpool) -> String {
    format!("{}: it has sound that its take does not have; it is kept; see: faultless recover", spool.path.display())
}

/// The message for a spool file whose take cannot be opened. `reason` names the file of the take.
pub(super) fn not_compared(spool: &FoundSpool, reason: &str) -> String {
    format!(
        "{}: it is kept, because it cannot be compared with its take: {reason}; to take its sound out: faultless recover --extract FOLDER",
        spool.path.display()
    )
}

/// The message for a spool file with sound of a take that the session does not list.
pub(super) fn has_sound_of_unlisted(spool: &FoundSpool) -> String {
    format!(
        "{}: it has sound of a take that the session does not list; it is kept; see: faultless recover",
        spool.path.display()
    )
}

/// The message for a spool file that the file of its take may need, which is not at the place where it was recorded.
pub(super) fn kept_for_absent(spool: &FoundSpool) -> String {
    format!(
        "{}: kept, because the file that was recorded is not here, and the one of this session is a copy: {}; connect its disk and open that session; if that file is lost: 'faultless recover --extract FOLDER --discard' takes the sound out and removes it from memory",
        spool.path.display(),
        spool.identity.wav.display()
    )
}

/// The message for a spool file of which slots are not believed. `None`: its index is whole.
pub(super) fn damaged_slots(spool: &FoundSpool) -> Option<String> {
    let count = spool.damaged_slots();
    (count > 0).then(|| {
        format!(
            "{}: {count} entries of its index are damaged; sound that they listed and that is not on the disk is missing; the file is kept",
            spool.path.display()
        )
    })
}

/// The message for a pass whose recovery stopped at a take.
pub(super) fn not_recovered(folder: &Path, cut: &CutTake, error: &io::Error) -> String {
    let path = folder.join(cut.take.path());
    let advice = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room on the disk and start again",
        io::ErrorKind::ReadOnlyFilesystem => "mount the disk for writing and start again",
        _ => "check the disk and start again",
    };
    let kept = match &cut.spool {
        Some(spool) => format!("; what is missing is kept in {}", spool.path.display()),
        None => String::new(),
    };
    format!("{}: not recovered: {error}; {advice}{kept}", path.display())
}

/// A take without a file. Nothing shows that its pass had begun.
pub(super) fn never_made(path: &Path) -> String {
    format!(
        "{}: no file of this take is there: the recording was cut off before it had begun, or the file was removed; the take is listed without sound",
        path.display()
    )
}

/// The message for a take that was cut off before its file was made, and whose name another program has used. The take
/// is not listed any more.
pub(super) fn taken_by_another(path: &Path) -> String {
    format!(
        "{}: not the file that was recorded; left as it is; the recording was cut off before it had begun, and the take is not listed any more",
        path.display()
    )
}

/// The message for the next file of a take that was listed and is not there, or is the file of another program. `None`: the
/// memory of the take shows that it was never made.
pub(super) fn not_continued(unusable: &Unusable, take: &Take, spool: Option<&FoundSpool>) -> Option<String> {
    match unusable.found {
        AtPlace::Nothing if spool.is_some() => None,
        // The copy of the session in an overflow folder still lists it.
        AtPlace::Nothing if take.folder.is_some() => {
            Some(format!("{}; if it was never made, nothing is missing", unusable.reason))
        }
        AtPlace::Nothing => Some(format!(
            "{}: the file in which this take was to continue is gone, and the session does not list it any more; if it was made, its sound is missing",
            take.file
        )),
        AtPlace::Foreign | AtPlace::Unknown => Some(format!("{}; the take does not continue in it", unusable.reason)),
    }
}

/// The message for the copy of a take that a killed program was putting back, and that has the take's name now. `aside`: the name
/// that the file of another program has now, which had the take's name.
pub(super) fn part_taken(part: &Path, take: &Take, aside: Option<&str>) -> String {
    let other =
        aside.map_or_else(String::new, |name| format!("; the file that another program had put there is '{name}' now"));
    format!("{}: it has the sound of the take, and is '{}' again{other}", part.display(), take.file)
}

/// The message for the copy of a take that a killed program was putting back, and that has no more than the file of the take.
pub(super) fn part_left(part: &Path, take: &Take) -> String {
    format!(
        "{}: kept; it has no more sound than '{}'; listen to both, and delete it if you do not need it",
        part.display(),
        take.file
    )
}

/// The message for the copy of a take that cannot be used.
pub(super) fn part_not_taken(part: &Path, take: &Take, reason: &str) -> String {
    format!(
        "{}: kept; it may have more sound than '{}': {reason}; remove the cause, and open the session again",
        part.display(),
        take.file
    )
}

/// An error with the path before it.
pub(super) fn at(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}
