//! Writes the sound of leftover spool files, of which no session takes care any more, into WAV files of their own.
//! Thread: any that may wait for the disk; the command line.
//!
//! Only the user asks for it. A spool that a recovery can still bring into its take, and one of a running program, is
//! left alone. A spool is removed only on request, and only after the file with its sound is durable.

use super::evidence::{FoundProgress, FoundSpool, SpoolFolder, files_named};
use super::leftover::{is_orphan, progress_of};
use super::messages;
use crate::butler::spool::{SpoolSound, progress_path_of};
use crate::file_system::make_durable_folders;
use crate::file_system::open_regular;
use crate::format::TakeFormat;
use crate::host::disk;
use crate::limits::DATA_OFFSET;
use crate::time::{FramePos, Frames};
use crate::wav::bext::{Bext, coding_history_line};
use crate::wav::header::{HEADER_BYTES, Header};
use crate::wav::parse::{Encoding, parse};
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Bytes that are copied at once.
const PIECE_BYTES: u64 = 1 << 20;

/// Bytes of a file's name that come from the name of the take's file.
const STEM_BYTES_MAX: usize = 150;

/// The rate of a spool that does not name its rate, in frames per second.
const RATE_GUESSED: u32 = 48_000;

/// Digits of the take's identity in the name of a file.
const IDENTITY_DIGITS: usize = 8;

/// A leftover spool, and the file with its sound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Extracted {
    pub spool: PathBuf,
    /// The WAV file. `None`: the spool has no sound.
    pub wav: Option<PathBuf>,
    /// Frames of the take before the first frame of the file. They are in the take's own file.
    pub first_frame: u64,
    /// Frames of the file.
    pub frames: u64,
    /// Frames per second.
    pub rate: u32,
    /// The format is a guess, because neither the spool nor the take's file says it.
    pub format_guessed: bool,
    /// The spool was removed.
    pub removed: bool,
}

/// Writes the sound of every leftover spool in `folders` into a WAV file in the folder `to`. With `discard`, removes the
/// spools whose sound is durable there. Returns the spools, and the problems, path first.
pub fn extract(folders: &[PathBuf], to: &Path, discard: bool) -> (Vec<Extracted>, Vec<String>) {
    let (mut extracted, mut troubles) = (Vec::new(), Vec::new());
    for folder in folders.iter().map(|path| SpoolFolder::own(path)) {
        let mut passes: Vec<Uuid> = Vec::new();
        for path in files_named(&folder, "spool") {
            let Ok(spool) = FoundSpool::open(&path) else { continue };
            if !is_orphan(&spool) {
                continue;
            }
            match write(&spool, &folder, to) {
                Ok(mut one) => {
                    troubles.extend(messages::damaged_slots(&spool));
                    if discard && spool.damaged_slots() == 0 {
                        let removed = disk::remove(&path);
                        one.removed = removed.is_ok();
                        troubles.extend(removed.err().map(|error| messages::at(&path, &error)));
                        passes.push(spool.identity.pass);
                    }
                    extracted.push(one);
                }
                Err(reason) => troubles.push(reason),
            }
        }
        remove_pages(&folder, &passes);
    }
    (extracted, troubles)
}

/// Removes the progress pages of passes that have no spool any more.
fn remove_pages(folder: &SpoolFolder, passes: &[Uuid]) {
    let left: Vec<PathBuf> = files_named(folder, "spool");
    let is_wanted =
        |pass: &Uuid| left.iter().any(|path| FoundSpool::open(path).map_or(true, |spool| spool.identity.pass == *pass));
    for pass in passes.iter().filter(|pass| !is_wanted(pass)) {
        let path = progress_path_of(&folder.path, *pass);
        if FoundProgress::open_of(&path, folder.owner).is_ok() {
            // A page that remains costs a page of memory.
            disk::remove(&path).ok();
        }
    }
}

fn write(spool: &FoundSpool, folder: &SpoolFolder, to: &Path) -> Result<Extracted, String> {
    let its = &spool.identity;
    let at_spool = |error: io::Error| messages::at(&spool.path, &error);
    let progress = progress_of(folder, its.pass, its.session);
    let last = spool.last_sound().map_err(at_spool)?;
    let last = last.min(progress.as_ref().map_or(u64::MAX, |progress| progress.frames.0));
    let frame_bytes = its.frame_bytes as u64;
    let end = DATA_OFFSET + last * frame_bytes;
    let extents = spool.extents(end).map_err(at_spool)?;
    let first = extents.first().map_or(last, |(start, _)| (start - DATA_OFFSET).div_ceil(frame_bytes)).min(last);
    let unknown = || format!("{}: no take has frames of {frame_bytes} bytes; it is kept", spool.path.display());
    let (sound, format_guessed) = sound_of(spool).ok_or_else(unknown)?;
    let mut one = Extracted {
        spool: spool.path.clone(),
        wav: None,
        first_frame: first,
        frames: last - first,
        rate: sound.rate,
        format_guessed,
        removed: false,
    };
    if one.frames == 0 {
        return Ok(one);
    }
    let began = progress.and_then(|progress| progress.began).unwrap_or_default();
    let header = header_of(spool, sound, one.frames, began + Frames(first));
    // The spool may be removed afterwards.
    make_durable_folders(to).map_err(|error| messages::at(to, &error))?;
    let path = to.join(name_of(spool));
    let file = disk::create(OpenOptions::new().write(true), &path);
    let file = file.map_err(|error| messages::at(&path, &error))?;
    let from = DATA_OFFSET + first * frame_bytes;
    let written = copy(spool, &extents, from, &file, &header).and_then(|()| disk::sync_folder_at(to));
    if let Err(error) = written {
        // A file with a part of the sound would look whole. The spool still has all of it.
        disk::remove(&path).ok();
        return Err(messages::at(&path, &error));
    }
    one.wav = Some(path);
    Ok(one)
}

/// Copies the extents from spool byte `from` on, writes the header and makes the file durable.
fn copy(spool: &FoundSpool, extents: &[(u64, u64)], from: u64, file: &File, header: &Header) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES as usize];
    disk::set_length(file, header.file_bytes())?;
    for (start, hole) in extents.iter().map(|(start, hole)| ((*start).max(from), *hole)) {
        for at in (start..hole).step_by(PIECE_BYTES as usize) {
            let piece = &mut piece[..(hole - at).min(PIECE_BYTES) as usize];
            spool.read(at, piece)?;
            disk::write_all_at(file, piece, at - from + DATA_OFFSET)?;
        }
    }
    disk::write_all_at(file, &header.build()[..], 0)?;
    disk::sync_all(file)
}

fn header_of(spool: &FoundSpool, sound: SpoolSound, frames: u64, at: FramePos) -> Header {
    let its = &spool.identity;
    let bext = Bext {
        description: "Sound that a take left in memory".to_owned(),
        originator: "Faultless".to_owned(),
        originator_reference: its.take.simple().to_string(),
        time_reference: at.0,
        coding_history: coding_history_line(sound.format, sound.rate, sound.channels, "Faultless; taken from memory"),
        ..Bext::default()
    };
    let data_bytes = frames * its.frame_bytes as u64;
    Header { data_bytes, bext, ..Header::new(sound.channels, sound.rate, sound.format) }
}

/// The name of the take's file with a part of its identity, because two sessions may have files of the same name.
fn name_of(spool: &FoundSpool) -> String {
    let stem = spool.identity.wav.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let stem = &stem[..stem.floor_char_boundary(STEM_BYTES_MAX)];
    let identity = spool.identity.take.simple().to_string();
    format!("{stem}-{}.wav", &identity[..IDENTITY_DIGITS])
}

/// Format, rate and channels of a spool, and whether they are a guess. `None`: no take has frames of this size. Spools of earlier programs do not name them; the
/// header of the take's file does.
fn sound_of(spool: &FoundSpool) -> Option<(SpoolSound, bool)> {
    let its = &spool.identity;
    let fits = |sound: &SpoolSound| sound.frame_bytes() == its.frame_bytes && sound.rate > 0;
    if let Some(sound) = its.sound.filter(fits).or_else(|| sound_in_file(spool).filter(fits)) {
        return Some((sound, false));
    }
    let (channels, format) = match its.frame_bytes {
        2 => (1, TakeFormat::S16),
        4 => (1, TakeFormat::F32),
        6 => (2, TakeFormat::S24),
        8 => (2, TakeFormat::F32),
        3 => (1, TakeFormat::S24),
        _ => return None,
    };
    Some((SpoolSound { channels, rate: RATE_GUESSED, format }, true))
}

/// The format in the header of the take's own file, if the file is at the place of the time of recording.
fn sound_in_file(spool: &FoundSpool) -> Option<SpoolSound> {
    let file = open_regular(&spool.identity.wav).ok()?;
    let mut page = [0; HEADER_BYTES];
    disk::read_exact_at(&file, &mut page, 0).ok()?;
    let layout = parse(&mut Cursor::new(&page[..]), HEADER_BYTES as u64).ok()?;
    let is_own = layout.bext.as_ref()?.originator_reference == spool.identity.take.simple().to_string();
    let formats = [TakeFormat::S16, TakeFormat::S24, TakeFormat::F32];
    let format = formats.into_iter().find(|format| Encoding::from(*format) == layout.encoding)?;
    is_own.then_some(SpoolSound { channels: layout.channels, rate: layout.rate, format })
}
