//! The end of a session: the pass, the threads, the last save. Thread: control. It waits for the disk.

use super::recording::{Event, PassReport, counted};
use super::{Control, Notice};
use crate::butler::spool::{self, SpoolPlace};
use crate::host::{self, disk};
use crate::recovery::viewpoint::spool_record;
use crate::session::session_file::is_in_use;
use crate::session::{Session, Take, TakeState, TrackId};
use crate::time::Frames;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The rest of a session that is closed.
pub struct Closed {
    /// Reports that nobody has fetched.
    pub reports: Vec<PassReport>,
    /// Notices that nobody has fetched.
    pub notices: Vec<Notice>,
    /// Why not everything is on the disk, path first. `None`: everything is.
    pub unsaved: Option<String>,
}

impl Control {
    /// Ends the pass, finishes its takes, saves the session and ends all threads. Waits for the disk without a limit.
    /// Returns the reports and notices that nobody has fetched.
    pub fn close(self) -> (Vec<PassReport>, Vec<Notice>) {
        let Closed { reports, notices, unsaved: _ } = self.end();
        (reports, notices)
    }

    /// As [`Control::close`]. Says also whether everything is on the disk.
    pub fn end(mut self) -> Closed {
        // The pass first, while the audio thread can end it.
        while self.pass.is_some() {
            self.on_pass_event(Event::Stop);
            self.poll();
            host::sleep(Duration::from_millis(5));
        }
        if let Some(lost_device) = self.lost_device.take() {
            lost_device.finish();
        }
        self.outputs_watch.finish();
        self.naming.give_up();
        self.running.end_audio();
        self.poll();
        self.running.end_disk();
        self.poll();
        self.finish_saving();
        self.show_held_losses();
        self.close_events();
        let unsaved = self.unsaved();
        Closed { reports: self.reports.drain(..).collect(), notices: self.notices.drain(..).collect(), unsaved }
    }

    /// Why not everything is on the disk after the last save. The takes of the session tell it, and not the passes of this run:
    /// an earlier run may have left takes in memory that the recovery at the start could not write.
    fn unsaved(&self) -> Option<String> {
        // Another program records takes of a session that is only played here, or recovers them.
        if self.is_read_only() && is_in_use(&self.folder) {
            return None;
        }
        let trouble_of = |take: &Take| {
            let found = self.troubled_takes.iter().find(|(id, _)| *id == take.id);
            found.map(|(_, trouble)| trouble.as_str())
        };
        let reason = LeftTakes::of(&self.session, trouble_of).reason(&self.folder);
        if reason.is_some() {
            return reason;
        }
        (self.saved_revision() < self.session.revision()).then(|| {
            let reason = self.save_failure();
            format!(
                "{reason}; the last changes are not saved; the takes are on the disk, and the next start finds them"
            )
        })
    }
}

/// Why the session in `folder`, which no program has open, is not on the disk as a whole: the sound of takes that were cut off
/// is in memory. Waits for the disk.
pub(crate) fn left_in_memory(folder: &Path, session: &Session) -> Option<String> {
    if is_in_use(folder) {
        return None;
    }
    LeftTakes::of(session, |_| None).reason(folder)
}

/// The takes of a session that are not finished, as far as something can or must be done about them.
struct LeftTakes<'a> {
    /// Takes whose missing sound is in memory, by pass and track: the files of a track in one pass are one take.
    in_memory: BTreeSet<(u32, TrackId)>,
    /// The troubles of files whose missing sound is not in memory.
    troubles: Vec<&'a str>,
}

impl<'a> LeftTakes<'a> {
    /// `trouble_of`: the trouble that a take of this run has had.
    fn of(session: &'a Session, trouble_of: impl Fn(&Take) -> Option<&'a str>) -> LeftTakes<'a> {
        let mut left = LeftTakes { in_memory: BTreeSet::new(), troubles: Vec::new() };
        for take in session.takes().iter().filter(|take| take.state == TakeState::Recording) {
            let spool = spool_in_memory(session, take);
            let trouble = trouble_of(take);
            // The spool file stays when a file is not whole, whether or not it has what the file lacks. The trouble names it
            // only if it has.
            let is_named =
                |trouble: &str| spool.as_ref().is_some_and(|path| trouble.contains(&*path.to_string_lossy()));
            match trouble {
                Some(trouble) if !is_named(trouble) => left.troubles.push(trouble),
                _ if spool.is_some() => {
                    left.in_memory.insert((take.pass, take.track));
                }
                // The memory of an earlier run is gone, and the recovery has told why the take is left as it is.
                _ => {}
            }
        }
        left.troubles.dedup();
        left
    }

    fn reason(&self, folder: &Path) -> Option<String> {
        let in_memory = (!self.in_memory.is_empty()).then(|| {
            let (folder, takes) = (folder.display(), counted(self.in_memory.len() as u64, "take"));
            let are = if self.in_memory.len() == 1 { "is" } else { "are" };
            format!(
                "{folder}: {takes} {are} not whole on the disk, and the rest of the sound is in memory; make room, and start \
                 again before you switch the machine off, so that it is recovered"
            )
        });
        let trouble = self.troubles.first().map(|first| match self.troubles.len() - 1 {
            0 => (*first).to_owned(),
            1 => format!("{first}; 1 other file is not whole either"),
            others => format!("{first}; {others} other files are not whole either"),
        });
        let reasons: Vec<String> = in_memory.into_iter().chain(trouble).collect();
        (!reasons.is_empty()).then(|| reasons.join(". "))
    }
}

/// The spool file of a take that is not finished, if it is there. A file that this user may not look at counts, unless the
/// memory of that boot or machine is certainly not the memory of this one.
pub(super) fn spool_in_memory(session: &Session, take: &Take) -> Option<PathBuf> {
    let record = take.spool.as_ref()?;
    let path = spool_path(session, take)?;
    let is_there = match disk::link_metadata(&path) {
        Ok(_) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(_) => {
            let here = spool_record(&SpoolPlace::Memory, None);
            (&here.boot, &here.machine) == (&record.boot, &record.machine)
        }
    };
    is_there.then_some(path)
}

/// The path of the spool file of a take, whether or not the file is there. All files of a track in one pass share the spool
/// file of the first one.
fn spool_path(session: &Session, take: &Take) -> Option<PathBuf> {
    let folder = take.spool.as_ref()?.folder.as_deref()?;
    let is_first = |first: &&Take| (first.pass, first.track, first.offset) == (take.pass, take.track, Frames(0));
    let first = session.takes().iter().find(is_first).unwrap_or(take);
    Some(spool::path_of(Path::new(folder), first.uuid))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::control::setup::test_setup;
    use crate::control::{Purpose, Setup};
    use crate::format::TakeFormat;
    use crate::limits;
    use crate::message::spool_file::SpoolFile;
    use crate::message::take::{TakeKey, TakePlan};
    use crate::session::session_file::{OpenSession, open_read_only};
    use crate::session::tests::recording;
    use crate::time::{FramePos, SampleRate};
    use crate::wav::header::Header;

    /// A session of 48 kHz with a take that was cut off. No recovery can write the take before this is dropped, as on a disk
    /// that is full.
    pub(crate) struct CutOff {
        pub(crate) folder: PathBuf,
        spool: SpoolFile,
    }

    impl CutOff {
        /// In a new folder `name` of `place`.
        pub(crate) fn new(place: &Path, name: &str) -> CutOff {
            let (folder, memory) = (place.join(name), place.join(format!("{name} memory")));
            disk::make_private_folder(&memory).unwrap();
            let memory = SpoolPlace::Folder(memory);
            let (rate, format) = (SampleRate(48_000), TakeFormat::S24);
            let (mut store, mut session) = OpenSession::create(&folder, name, rate, format).unwrap();
            let track = session.add_track("In 1", &[0]).unwrap();
            let id = recording(&mut session, track, FramePos(0));
            session.set_take_spool(id, spool_record(&memory, None)).unwrap();
            store.save(&session).unwrap();
            let take = session.take(id).unwrap();
            let plan = TakePlan {
                key: TakeKey(1),
                identity: take.uuid,
                session: session.id,
                path: folder.join(take.path()),
                header: Header::new(1, rate.0, format),
                pair: None,
                head: Frames(0),
            };
            // A recovery leaves the take alone while somebody holds the lock of its memory.
            let spool = spool::create(&memory, &plan, plan.identity, limits::PAGE_BYTES).unwrap();
            CutOff { folder, spool }
        }

        /// From now on a recovery finds that the memory of the take is gone, and ends the take.
        pub(crate) fn lose_memory(&self) {
            disk::remove(self.spool.path.as_ref().unwrap()).unwrap();
        }

        pub(crate) fn open(&self, purpose: Purpose) -> Control {
            Control::open(Setup { purpose, ..test_setup(&self.folder) }).unwrap()
        }
    }

    /// The program ended with "everything is saved" and status 0, and the sound was gone when the machine was switched off.
    #[test]
    fn a_take_of_an_earlier_run_that_could_not_be_recovered_is_not_saved_at_the_end_of_this_run() {
        let place = tempfile::tempdir().unwrap();
        let cut_off = CutOff::new(place.path(), "evening");
        let wanted = format!("{}: 1 take is not whole on the disk", cut_off.folder.display());
        for purpose in [Purpose::Record, Purpose::Play] {
            let unsaved = cut_off.open(purpose).end().unsaved.unwrap_or_default();
            assert!(unsaved.starts_with(&wanted) && unsaved.contains("is in memory"), "{purpose:?}: {unsaved}");
        }
        let session = open_read_only(&cut_off.folder).unwrap();
        assert!(left_in_memory(&cut_off.folder, &session).is_some_and(|reason| reason.starts_with(&wanted)));
        cut_off.lose_memory();
        assert_eq!(left_in_memory(&cut_off.folder, &session), None, "nothing is there that could be saved");
        assert_eq!(cut_off.open(Purpose::Record).end().unsaved, None);
    }
    /// The user was told to start again before the machine is switched off, and the next start had nothing to recover.
    #[test]
    fn the_end_says_that_sound_is_in_memory_only_where_the_trouble_of_a_take_names_the_memory() {
        let place = tempfile::tempdir().unwrap();
        let cut_off = CutOff::new(place.path(), "evening");
        let (memory, session) = (cut_off.spool.path.as_ref().unwrap(), open_read_only(&cut_off.folder).unwrap());
        let reason = |trouble: &str| LeftTakes::of(&session, |_| Some(trouble)).reason(&cut_off.folder).unwrap();
        let kept =
            format!("/x/In 1-1.wav: cannot write: the disk is full; what is missing is kept in {}", memory.display());
        assert!(reason(&kept).ends_with("so that it is recovered"), "{}", reason(&kept));
        let damaged = "/x/In 1-1.wav: the disk failed while sound was made durable; parts of the take may be missing";
        assert_eq!(reason(damaged), damaged);
        // The memory had no name, so it has ended with the program.
        cut_off.lose_memory();
        assert_eq!(reason(&kept), kept);
    }

    #[test]
    fn files_that_are_not_whole_are_counted_and_the_first_one_says_why() {
        let reason = |troubles: &[&'static str]| {
            let left = LeftTakes { in_memory: BTreeSet::new(), troubles: troubles.to_vec() };
            left.reason(Path::new("/x"))
        };
        assert_eq!(reason(&[]), None);
        assert_eq!(reason(&["a: it failed"]).as_deref(), Some("a: it failed"));
        assert_eq!(reason(&["a: it failed", "b"]).as_deref(), Some("a: it failed; 1 other file is not whole either"));
        assert!(reason(&["a", "b", "c"]).is_some_and(|text| text.ends_with("2 other files are not whole either")));
    }
}
