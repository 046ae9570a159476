//! Gives the files of a pass the present names of their tracks, if tracks were renamed while it was recorded. Owns the jobs
//! that are going on. Thread: control plans the names and lists them; a thread of its own, take-names, renames the files,
//! because that may wait for a disk.
//!
//! All files of a take get the new name, or none: the session's file, those in which the take continued, and the one in the
//! mirror. Each keeps the number of its take. No file is replaced. A kill between a rename and the save that lists the new
//! name costs nothing: the next opening of the session finds the file by the identity that it carries
//! (`recovery::found_files`). The same holds for an older session.json that the user restores.
//!
//! Then each file gets the new names in its header too, in `bext` and iXML. They have places of fixed length there, and one
//! write of the page changes nothing else, so a kill or a power cut leaves a header that can be read. A header that cannot be
//! written keeps the old names, which is reported; nothing depends on them.

use super::Control;
use super::recording::{RecordingPass, RecordingTake, take_description};
use crate::host::{self, disk};
use crate::recovery::found_files::is_file_of;
use crate::session::file_name::{TakenNames, take_file_name};
use crate::session::names::audio_path;
use crate::session::session_file::{TakeFiles, TakeFolder};
use crate::session::{Session, Take, TakeId, Track};
use crate::wav::header::{HEADER_BYTES, has_reference, set_names};
use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use uuid::Uuid;

/// Stack of the thread. Small, because the program touches the whole stack in advance.
const STACK_BYTES: usize = 512 * 1024;

/// The jobs that rename files: one for a pass. More than one only if a disk hangs.
#[derive(Default)]
pub(super) struct NamingJobs {
    jobs: Vec<NamingJob>,
}

struct NamingJob {
    /// The files as the session lists them, and their new names. A take that is answered has none left.
    takes: Vec<Vec<ListedName>>,
    answers: Receiver<Answer>,
    /// Control does not wait any more. The thread gives no further file a new name.
    is_given_up: Arc<AtomicBool>,
}

/// The new name of a file in the session's list.
struct ListedName {
    id: TakeId,
    name: String,
}

/// A file that is to be renamed in the subfolder `audio` of a session folder.
struct FileToName {
    folder: PathBuf,
    identity: Uuid,
    from: String,
    to: String,
    /// Name of the track, and description of the recording, for the header.
    track: String,
    description: String,
}

/// An answer of the thread.
enum Answer {
    /// A take by its index, and why its files keep their names.
    Files(usize, Result<(), String>),
    /// Why a header keeps its names.
    OldHeader(String),
}

impl NamingJobs {
    /// Whether control waits for no job.
    pub(super) fn is_idle(&self) -> bool {
        self.jobs.iter().all(|job| job.is_given_up.load(Relaxed))
    }

    /// Waits for no job any more. A file that has its new name already is still listed under it.
    pub(super) fn give_up(&self) {
        self.jobs.iter().for_each(|job| job.is_given_up.store(true, Relaxed));
    }

    /// The names that files are going to have.
    fn names(&self) -> impl Iterator<Item = &str> {
        self.jobs.iter().flat_map(|job| job.takes.iter().flatten()).map(|listed| listed.name.as_str())
    }
}

impl Control {
    /// The names of files that no new take may get.
    pub(super) fn names_in_use(&self) -> TakenNames {
        let mut names = self.session.taken_names();
        names.extend(self.file_names_found.iter().map(String::as_str).chain(self.naming.names()));
        names
    }

    /// Whether files of takes are being renamed.
    pub fn is_naming_files(&self) -> bool {
        !self.naming.jobs.is_empty()
    }

    /// Begins to give the files of the pass the present names of their tracks. Returns whether any is to get another one.
    pub(super) fn name_files(&mut self) -> bool {
        let Some(run) = &self.pass else { return false };
        // A mirror that is not finished copies gaps from the session's files, and its disk may hang.
        if !run.mirror.is_finished() {
            return false;
        }
        // The list of all names takes milliseconds in a session of thousands of takes.
        if !run.takes.iter().any(|take| has_other_name(take, &self.session)) {
            return false;
        }
        let mut names = self.names_in_use();
        let (mut takes, mut files, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        for take in &run.takes {
            match plan(run, take, &self.session, &self.folder, &mut names) {
                Plan::Fits => {}
                Plan::Taken(file, name) => {
                    refused.push(format!("{file}: it keeps its name, because '{name}' is taken"));
                }
                Plan::Rename(listed, of_take) => {
                    takes.push(listed);
                    files.push(of_take);
                }
            }
        }
        for text in refused {
            self.caution(text);
        }
        if files.is_empty() {
            return false;
        }
        // An answer for each take, and one for each header.
        let (sender, answers) = bounded(files.len() + files.iter().map(Vec::len).sum::<usize>());
        let is_given_up = Arc::new(AtomicBool::new(false));
        let (given_up, session) = (Arc::clone(&is_given_up), self.session.id);
        let thread = host::spawn("take-names", STACK_BYTES, move || name_takes(session, &files, &sender, &given_up));
        if let Err(error) = thread {
            self.caution(format!("take-names: {error}; the files keep their names"));
            return false;
        }
        self.naming.jobs.push(NamingJob { takes, answers, is_given_up });
        true
    }

    /// Lists the names that files have got, and reports those that could not get one.
    pub(super) fn poll_naming(&mut self) {
        let (mut listed, mut refused, mut old_headers) = (Vec::new(), Vec::new(), Vec::new());
        self.naming.jobs.retain_mut(|job| {
            loop {
                match job.answers.try_recv() {
                    Ok(Answer::Files(take, Ok(()))) => listed.append(&mut job.takes[take]),
                    Ok(Answer::Files(take, Err(reason))) => {
                        job.takes[take].clear();
                        refused.push(reason);
                    }
                    Ok(Answer::OldHeader(reason)) => old_headers.push(reason),
                    Err(TryRecvError::Empty) => return true,
                    Err(TryRecvError::Disconnected) => return false,
                }
            }
        });
        let is_changed = !listed.is_empty();
        for ListedName { id, name } in listed {
            // An older session.json may list the old name, so no new take gets it.
            let before = self.session.take(id).map(|take| take.file_name().to_owned());
            if self.session.set_take_file_name(id, &name).is_ok() {
                self.file_names_found.extend(before);
            }
        }
        for reason in refused {
            self.caution(format!("{reason}; the take keeps its name"));
        }
        for reason in old_headers {
            self.caution(format!("{reason}; its header keeps the old name of the track"));
        }
        if is_changed {
            self.players_outdated = self.playback_enabled;
            // The report of the pass follows with a save of its own, unless a disk was late.
            if self.pass.is_none() {
                self.save_at_once();
            }
        }
    }
}

/// The decision about the names of a take's files.
enum Plan {
    /// They have their names.
    Fits,
    /// A file keeps its name, because another one has the name that it would get.
    Taken(String, String),
    Rename(Vec<ListedName>, Vec<FileToName>),
}

/// Whether a file of a take has another name than that of its track.
fn has_other_name(take: &RecordingTake, session: &Session) -> bool {
    take.file_ids().filter_map(|id| session.take(id)).any(|part| {
        let track = session.track(part.track);
        track.is_some_and(|track| part.file_name() != take_file_name(track.name(), part.number))
    })
}

/// Plans the names of the files of a take. The files of one that is not whole keep their names: the next start recovers it.
fn plan(run: &RecordingPass, take: &RecordingTake, session: &Session, own: &Path, names: &mut TakenNames) -> Plan {
    let parts: Vec<&Take> = take.file_ids().filter_map(|id| session.take(id)).collect();
    let Some(name) = parts.first().and_then(|first| session.track(first.track)).map(Track::name) else {
        return Plan::Fits;
    };
    if !take.finished || take.file_ids().any(|id| take.trouble_of(id).is_some()) {
        return Plan::Fits;
    }
    let (mut listed, mut files) = (Vec::new(), Vec::new());
    for (index, part) in parts.into_iter().enumerate() {
        let (from, to) = (part.file_name().to_owned(), take_file_name(name, part.number));
        if from == to {
            continue;
        }
        // A name that differs in its case only is the file's own.
        if names.contains(&to) && from.to_lowercase() != to.to_lowercase() {
            return Plan::Taken(part.path(), audio_path(&to));
        }
        let file = |folder: PathBuf| FileToName {
            folder,
            identity: part.uuid,
            from: from.clone(),
            to: to.clone(),
            track: name.to_owned(),
            description: take_description(name, part.number),
        };
        // The mirror has the whole pass in one file, with the name and the identity of the first one. It comes first,
        // because its disk is the more likely one to fail.
        if let Some(mirror) = run.mirror.folder().filter(|_| index == 0) {
            files.insert(0, file(mirror.to_owned()));
        }
        files.push(file(part.folder.as_ref().map_or_else(|| own.to_owned(), PathBuf::from)));
        listed.push(ListedName { id: part.id, name: to });
    }
    for listed in &listed {
        names.insert(&listed.name);
    }
    if files.is_empty() { Plan::Fits } else { Plan::Rename(listed, files) }
}

/// Gives the files of all takes their new names, and makes the names durable. Then gives the files the names in their headers.
fn name_takes(session: Uuid, takes: &[Vec<FileToName>], answers: &Sender<Answer>, is_given_up: &AtomicBool) {
    let mut named: Vec<&FileToName> = Vec::new();
    for (index, files) in takes.iter().enumerate() {
        if is_given_up.load(Relaxed) {
            break;
        }
        let result = name_take(session, files, is_given_up);
        if result.is_ok() {
            named.extend(files);
        }
        // There is a place for each answer.
        answers.try_send(Answer::Files(index, result)).ok();
    }
    let mut folders: Vec<&Path> = named.iter().map(|file| file.folder.as_path()).collect();
    folders.sort_unstable();
    folders.dedup();
    for folder in folders {
        // Without this, a power cut may leave a file with its old name. The next opening finds it.
        TakeFiles::with_copy_of(folder, session).and_then(|files| files.sync()).ok();
    }
    for file in named {
        if is_given_up.load(Relaxed) {
            break;
        }
        if let Err(reason) = name_header(session, file) {
            answers.try_send(Answer::OldHeader(reason)).ok();
        }
    }
}

/// Gives all files of a take their new names, or none.
fn name_take(session: Uuid, files: &[FileToName], is_given_up: &AtomicBool) -> Result<(), String> {
    for (done, file) in files.iter().enumerate() {
        let named = match is_given_up.load(Relaxed) {
            true => Err(format!("{}: its disk does not answer", file.path(&file.from))),
            false => name_file(session, file, &file.from, &file.to),
        };
        if let Err(reason) = named {
            for file in files[..done].iter().rev() {
                // A file that cannot get its name back is found by its identity.
                name_file(session, file, &file.to, &file.from).ok();
            }
            return Err(reason);
        }
    }
    Ok(())
}

fn name_file(session: Uuid, file: &FileToName, from: &str, to: &str) -> Result<(), String> {
    let files = TakeFiles::with_copy_of(&file.folder, session).map_err(|error| error.to_string())?;
    if !is_file_of(&files, TakeFolder::Audio, from, file.identity) {
        return Err(format!("{}: not there, or not the file that was recorded", file.path(from)));
    }
    files.rename(from, to).map_err(|error| error.to_string())
}

/// Gives a file that has its new name the names in its header, and makes them durable.
fn name_header(session: Uuid, file: &FileToName) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", file.path(&file.to));
    let files = TakeFiles::with_copy_of(&file.folder, session).map_err(|error| error.to_string())?;
    let opened = files.open_to_write(&file.to).map_err(|error| error.to_string())?;
    let opened = opened.ok_or_else(|| failed(&"it is gone"))?;
    let mut page = Box::new([0; HEADER_BYTES]);
    disk::read_exact_at(&opened, &mut page[..], 0).map_err(|error| failed(&error))?;
    if !has_reference(&page[..], &file.identity.simple().to_string()) {
        return Err(failed(&"it is not the file that was recorded"));
    }
    if !set_names(&mut page, &file.description, &file.track) {
        return Err(failed(&"its header has no place for the name"));
    }
    // One write of the page that holds the header, as at each sync.
    disk::write_all_at(&opened, &page[..], 0).and_then(|()| disk::sync_data(&opened)).map_err(|error| failed(&error))
}

impl FileToName {
    fn path(&self, name: &str) -> String {
        self.folder.join(audio_path(name)).display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::TakeFormat;
    use crate::session::session_file::OpenSession;
    use crate::time::SampleRate;
    use crate::wav::bext::Bext;
    use crate::wav::header::Header;
    use crate::wav::parse::parse;
    use std::fs;
    use std::io::Cursor;

    const IDENTITY: Uuid = Uuid::from_u128(7);

    /// A session and its mirror, with a file of the same take in each.
    struct Scene {
        place: tempfile::TempDir,
        session: Uuid,
        files: Vec<FileToName>,
    }

    impl Scene {
        fn new() -> Scene {
            let place = tempfile::tempdir().unwrap();
            let (own, mirror) = (place.path().join("own"), place.path().join("mirror"));
            let (_, session) = OpenSession::create(&own, "Test", SampleRate(48_000), TakeFormat::S24).unwrap();
            drop(OpenSession::open_on_other_disk(&mirror, &session).unwrap());
            let bext = Bext { originator_reference: IDENTITY.simple().to_string(), ..Bext::default() };
            let header = Header { bext, track_name: "In 1".to_owned(), ..Header::new(1, 48_000, TakeFormat::S24) };
            let (from, to) = ("In 1-1.wav".to_owned(), "Kick-1.wav".to_owned());
            let file = |folder| FileToName {
                folder,
                identity: IDENTITY,
                from: from.clone(),
                to: to.clone(),
                track: "Kick".to_owned(),
                description: "Kick take 1".to_owned(),
            };
            let files = vec![file(mirror), file(own)];
            for file in &files {
                fs::write(file.path(&file.from), &header.build()[..]).unwrap();
            }
            Scene { place, session: session.id, files }
        }

        fn name(&self) -> Result<(), String> {
            name_take(self.session, &self.files, &AtomicBool::new(false))
        }

        /// The names in the folder `audio` of the mirror and of the session.
        fn names(&self) -> [Vec<String>; 2] {
            ["mirror", "own"].map(|folder| {
                let entries = fs::read_dir(self.place.path().join(folder).join("audio")).unwrap();
                let mut names: Vec<String> =
                    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
                names.sort();
                names
            })
        }
    }

    #[test]
    fn all_files_of_a_take_get_the_new_name() {
        let scene = Scene::new();
        scene.name().unwrap();
        assert_eq!(scene.names(), [["Kick-1.wav"], ["Kick-1.wav"]]);
    }

    /// The description in the header, and whether its iXML has the name of the track.
    fn names_in(path: &str, track: &str) -> (String, bool) {
        let bytes = fs::read(path).unwrap();
        let layout = parse(&mut Cursor::new(&bytes), HEADER_BYTES as u64).unwrap();
        let name = format!("<NAME>{track}</NAME>");
        (layout.bext.unwrap().description, String::from_utf8_lossy(&bytes).contains(&name))
    }

    #[test]
    fn all_files_of_a_take_get_the_new_name_in_their_headers_and_a_foreign_file_of_that_name_is_left_alone() {
        let scene = Scene::new();
        scene.name().unwrap();
        for file in &scene.files {
            name_header(scene.session, file).unwrap();
            assert_eq!(names_in(&file.path(&file.to), "Kick"), ("Kick take 1".to_owned(), true));
        }
        let path = scene.files[1].path("Kick-1.wav");
        let foreign = vec![7; 5000];
        fs::write(&path, &foreign).unwrap();
        name_header(scene.session, &scene.files[1]).unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), foreign);
        fs::remove_file(&path).unwrap();
        let reason = name_header(scene.session, &scene.files[1]).unwrap_err();
        assert!(reason.contains("Kick-1.wav") && !Path::new(&path).exists(), "{reason}");
    }

    #[test]
    fn if_one_file_of_a_take_cannot_get_the_new_name_all_keep_the_old_one_and_no_file_is_replaced() {
        for other in ["mirror", "own"] {
            let scene = Scene::new();
            let path = scene.place.path().join(other).join("audio/Kick-1.wav");
            fs::write(&path, "of another program").unwrap();
            let reason = scene.name().unwrap_err();
            assert!(reason.contains(other), "{reason}");
            assert!(scene.names().concat().iter().filter(|name| *name == "In 1-1.wav").count() == 2);
            assert_eq!(fs::read(&path).unwrap(), b"of another program");
        }
    }

    #[test]
    fn a_file_that_is_not_the_takes_and_a_folder_of_another_session_are_left_alone() {
        let scene = Scene::new();
        fs::write(scene.files[1].path("In 1-1.wav"), "of another program").unwrap();
        scene.name().unwrap_err();
        assert_eq!(scene.names(), [["In 1-1.wav"], ["In 1-1.wav"]]);
        let scene = Scene { session: Uuid::from_u128(8), ..Scene::new() };
        scene.name().unwrap_err();
        assert_eq!(scene.names(), [["In 1-1.wav"], ["In 1-1.wav"]]);
    }

    #[test]
    fn a_job_that_control_does_not_wait_for_names_no_further_file() {
        let scene = Scene::new();
        name_take(scene.session, &scene.files, &AtomicBool::new(true)).unwrap_err();
        assert_eq!(scene.names(), [["In 1-1.wav"], ["In 1-1.wav"]]);
    }
}
