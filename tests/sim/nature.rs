//! Other programs of the simulated machine: they replace and remove files of the session. Thread: the one of the run.

use crate::disk::Name;
use crate::image::PAGE;
use crate::random::Random;
use crate::world::{Kill, World};
use faultless::host::disk::DiskCall;
use faultless::wav::read::Reader;
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What another program does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// It saves a WAV file again: a copy with the same content replaces the file, as an editor or a sync client does.
    Replaces,
    /// It removes the newest WAV file that grows.
    Removes,
    /// It cuts the newest WAV file that grows, as a program does that opens it to write it again.
    Cuts,
    /// It puts a file into the folder of takes whose name the next take would get.
    TakesName,
}

/// An act with its moment and its disk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deed {
    pub(crate) at: Duration,
    pub(crate) disk: Name,
    pub(crate) act: Act,
    /// For the choice of the file.
    pub(crate) number: u64,
}

impl Deed {
    pub(crate) fn new(random: &mut Random, at: Duration) -> Deed {
        let disk = *random.pick(&[Name::Session, Name::Session, Name::Mirror, Name::Overflow]);
        let act = *random.pick(&[Act::Replaces, Act::Replaces, Act::Removes, Act::TakesName]);
        Deed { at, disk, act, number: random.next() }
    }

    /// Carries the act out.
    pub(crate) fn happen(self, world: &World) {
        let audio = world.disks.borrow().root(self.disk).join("song/audio");
        let files = wav_files(&audio);
        let chosen = files.get((self.number % files.len().max(1) as u64) as usize);
        let grows = |file: &&PathBuf| world.disks.borrow().is_open_for_sound(file);
        let newest = files.iter().rev().find(grows);
        match (self.act, chosen) {
            (Act::Replaces, Some(file)) => replace(world, file),
            (Act::Removes, _) => {
                if let Some(file) = newest {
                    say(world, "removes", file);
                    fs::remove_file(file).ok();
                    world.disks.borrow_mut().foreign_remove(file);
                }
            }
            (Act::Cuts, _) => {
                if let Some(file) = newest {
                    cut(world, file, self.number);
                }
            }
            (Act::TakesName, Some(file)) => {
                if let Some(next) = next_name(file).filter(|next| !next.exists()) {
                    say(world, "makes", &next);
                    fs::write(&next, "of another program").ok();
                    world.disks.borrow_mut().foreign_file(&next);
                }
            }
            (_, None) => {}
        }
    }
}

impl World {
    /// Another program may wait for this write of sound. It replaces the file just before it.
    pub(crate) fn ambush(&self, call: &DiskCall<'_>) {
        let DiskCall::Write { file, offset, .. } = call else { return };
        let is_due = self.ambushes.borrow().last().is_some_and(|from| *from <= self.time());
        if !is_due || *offset < PAGE || ["main", "simulator"].contains(&self.name_of_current()) {
            return;
        }
        let Ok(path) = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())) else { return };
        let is_take = path.extension().is_some_and(|it| it == "wav");
        if is_take && !path.starts_with(self.disks.borrow().root(Name::Mirror)) {
            self.ambushes.borrow_mut().pop();
            replace(self, &path);
            self.count_from_here(Kill::AfterReplacing);
        }
    }
}

fn say(world: &World, what: &str, file: &Path) {
    let name = world.disks.borrow().short_name(file);
    world.note("other program", format_args!("{what} {name}"));
}

/// The user gives a WAV file of a disk another name while the program does not run.
pub(crate) fn rename_by_hand(world: &World, disk: Name, random: &mut Random) {
    let audio = world.disks.borrow().root(disk).join("song/audio");
    // A file without an identity cannot be found again: a power cut has taken its header.
    let has_identity = |file: &PathBuf| {
        Reader::open(file)
            .is_ok_and(|reader| reader.layout().bext.as_ref().is_some_and(|bext| !bext.originator_reference.is_empty()))
    };
    let mut files = wav_files(&audio);
    files.retain(has_identity);
    // A copy that another program has put into the place of a take has the identity of that take, too.
    let is_copy = |file: &PathBuf| file.to_string_lossy().contains("(of another program");
    if files.is_empty() || files.iter().any(is_copy) {
        return;
    }
    let file = random.pick(&files).clone();
    let to = file.with_file_name(format!("By hand {}.wav", random.below(1_000_000)));
    say(world, "renames", &file);
    if fs::rename(&file, &to).is_ok() {
        world.disks.borrow_mut().foreign_rename(&file, &to);
    }
}

fn replace(world: &World, file: &Path) {
    say(world, "replaces", file);
    let part = file.with_extension("part");
    if fs::copy(file, &part).is_err() || fs::rename(&part, file).is_err() {
        return;
    }
    world.disks.borrow_mut().foreign_file(file);
}

/// Cuts a file to nothing, or somewhere behind its header.
fn cut(world: &World, file: &Path, number: u64) {
    let Ok(found) = fs::metadata(file) else { return };
    let length = match number % 3 {
        0 => 0,
        _ => (PAGE + number % found.len().max(1)).min(found.len()),
    };
    say(world, "cuts", file);
    if fs::File::options().write(true).open(file).and_then(|file| file.set_len(length)).is_ok() {
        let mut disks = world.disks.borrow_mut();
        disks.foreign_cut(file, length);
        disks.last_cut = Some(world.time());
    }
}

/// The name that the next take of the same track would get.
fn next_name(file: &Path) -> Option<PathBuf> {
    let (name, number) = file.file_stem()?.to_str()?.rsplit_once('-')?;
    Some(file.with_file_name(format!("{name}-{}.wav", number.parse::<u32>().ok()? + 1)))
}

/// WAV files, the oldest first.
fn wav_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|it| it == "wav")).collect();
    files.sort_by_key(|path| fs::metadata(path).map_or(0, |data| data.ino()));
    files
}
