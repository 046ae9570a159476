//! The end of a session: the pass, the threads, the last save. Thread: control. It waits for the disk.

use super::recording::{Event, PassReport, counted};
use super::{Control, Notice};
use crate::butler::spool::{self, SpoolPlace};
use crate::host::{self, disk};
use crate::recovery::viewpoint::spool_record;
use crate::session::session_file::is_in_use;
use crate::session::{Session, Take, TakeState};
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
        let is_troubled = |take: &Take| self.troubled_takes.iter().any(|(id, _)| *id == take.id);
        let left = |take: &Take| is_troubled(take) || spool_in_memory(&self.session, take).is_some();
        if let Some(reason) = not_whole(&self.folder, &self.session, left) {
            return Some(reason);
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
    not_whole(folder, session, |take| spool_in_memory(session, take).is_some())
}

/// The sentence about the takes that are not finished and of which `is_left` is true. The files of a track in one pass are one
/// take.
fn not_whole(folder: &Path, session: &Session, is_left: impl Fn(&Take) -> bool) -> Option<String> {
    let left = session.takes().iter().filter(|take| take.state == TakeState::Recording && is_left(take));
    let left: BTreeSet<_> = left.map(|take| (take.pass, take.track)).collect();
    (!left.is_empty()).then(|| {
        let (folder, takes) = (folder.display(), counted(left.len() as u64, "take"));
        let are = if left.len() == 1 { "is" } else { "are" };
        format!(
            "{folder}: {takes} {are} not whole on the disk, and the rest of the sound is in memory; make room, and start \
             again before you switch the machine off, so that it is recovered"
        )
    })
}

/// The spool file of a take that is not finished, if it is there. A file that this user may not look at counts, unless the
/// memory of that boot or machine is certainly not the memory of this one.
fn spool_in_memory(session: &Session, take: &Take) -> Option<PathBuf> {
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
    use crate::butler::capabilities::CapturePath;
    use crate::control::setup::{self, DeviceRequest, UserLimits};
    use crate::control::{Purpose, Setup};
    use crate::device::signal::Signal;
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
            let wanted = DeviceRequest {
                name: "virtual:free".to_owned(),
                rate: SampleRate(48_000),
                period: None,
                buffer: None,
                channels: (Some(1), Some(0)),
                take_format: TakeFormat::S24,
                signal: Signal::Ramp,
            };
            let allowed = UserLimits { lock_kib: None, spool_mib: None, lead_ms: limits::LEAD_MS_DEFAULT };
            let setup = Setup {
                folder: self.folder.clone(),
                purpose,
                device: setup::device_spec(wanted),
                format: TakeFormat::S24,
                run: setup::threads_setup(allowed, CapturePath::Spool),
            };
            Control::open(setup).unwrap()
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
}
