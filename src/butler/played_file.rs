//! The file of a take that is played: opening it, comparing it with the take, mapping windows of it. Thread: read-ahead.

use super::plan;
use crate::file_system::{OpenError, open_regular};
use crate::format::TakeFormat;
use crate::host::disk;
use crate::limits;
use crate::message::PlayFile;
use crate::residency::ledger::{SlotSpan, Stamp};
use crate::wav::parse::{Layout, parse};
use crate::wav::take_sound::TakeDefect;
use crate::window::map::Mapping;
use crate::window::playback::{Edges, PlaybackWindow};
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An open file that has the format of its take.
pub(super) struct PlayedFile {
    path: Arc<PathBuf>,
    file: Arc<File>,
    bytes: u64,
    pub(super) layout: Layout,
    format: TakeFormat,
}

impl PlayedFile {
    /// Maps a window of up to `frames` frames from `take_frame` on. `None`: the file has no such frame.
    pub(super) fn window(
        &self,
        take_frame: u64,
        frames: u64,
        window_bytes: usize,
        epoch: u32,
        start: u64,
    ) -> io::Result<Option<(PlaybackWindow, SlotSpan)>> {
        let frames = frames.min(self.layout.frames.saturating_sub(take_frame));
        if frames == 0 {
            return Ok(None);
        }
        let span = plan::map_span(take_frame, frames, self.layout.frame_bytes(), self.layout.data_offset, window_bytes);
        let map = Mapping::readable(&self.file, span.offset, span.bytes)?;
        let entry = SlotSpan {
            path: Arc::clone(&self.path),
            file: Arc::clone(&self.file),
            file_bytes: self.bytes,
            data_offset: self.layout.data_offset,
            frame_bytes: self.layout.frame_bytes(),
            offset: span.offset,
            skip_bytes: span.skip_bytes,
            start,
            frames: span.frames,
            epoch,
            bytes: 0,
            address: 0,
            locked: false,
            supplied: Stamp::NEVER,
        };
        let window = PlaybackWindow {
            map,
            epoch,
            start,
            frames: span.frames,
            skip_bytes: span.skip_bytes,
            format: self.format,
            channels: usize::from(self.layout.channels),
            edges: Edges::NONE,
        };
        Ok(Some((window, entry)))
    }
}

/// Why a file is not played, path first.
pub(super) fn refusal(file: &PlayFile, reason: &dyn fmt::Display) -> String {
    format!("{}: {reason}", file.path.display())
}

fn is_missing(found: &Result<File, OpenError>) -> bool {
    match found {
        Err(OpenError::Open(error)) => error.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}

/// Whether this is a folder and no link to one, which could lead out of the session.
fn is_folder(path: &Path) -> bool {
    disk::link_metadata(path).is_ok_and(|found| found.is_dir())
}

/// Opens a file and compares it with its take.
pub(super) fn open_file(file: &PlayFile) -> Result<PlayedFile, String> {
    let path = &file.path;
    let mut found = open_regular(path);
    // Undo brings a take back at once, and the session saver moves its file out of the trash after the next save. An open
    // file stays the same one when it is moved.
    if is_missing(&found) && file.earlier_path.parent().is_some_and(is_folder) {
        found = open_regular(&file.earlier_path);
        if is_missing(&found) {
            // It was moved between the two tries.
            found = open_regular(path);
        }
    }
    let opened = found.map_err(|error| match error {
        OpenError::Open(error) if error.kind() == io::ErrorKind::NotFound => refusal(file, &TakeDefect::Missing),
        OpenError::Link => refusal(file, &"it is a link"),
        OpenError::NotRegular => refusal(file, &"it is not a regular file"),
        OpenError::Open(error) | OpenError::Stat(error) => refusal(file, &error),
    })?;
    let bytes = opened.metadata().map_err(|error| refusal(file, &error))?.len();
    let layout = parse(&mut disk::Reading::of(&opened), bytes).map_err(|error| refusal(file, &error))?;
    file.sound.layout_check(&layout).map_err(|defect| refusal(file, &defect))?;
    if limits::TAKE_CHANNEL_COUNT_MAX < usize::from(layout.channels) {
        return Err(refusal(file, &format_args!("{} channels; a take is mono or stereo", layout.channels)));
    }
    Ok(PlayedFile { path: Arc::clone(path), file: Arc::new(opened), bytes, layout, format: file.sound.format })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wav::header::Header;
    use crate::wav::take_sound::{TakeProgress, TakeSound};
    use crate::wav::write::{Existing, Writer};

    /// A take of 100 frames whose file is in `trash`, and the name of the file in `audio`.
    fn take_in_trash(folder: &Path) -> PlayFile {
        let [path, earlier_path] = ["audio/t-1.wav", "trash/t-1.wav"].map(|name| folder.join(name));
        for name in ["audio", "trash"] {
            std::fs::create_dir(folder.join(name)).unwrap();
        }
        let header = Header::new(1, 48_000, TakeFormat::S24);
        let mut writer = Writer::create_new(&earlier_path, header, Existing::Keep).unwrap();
        writer.write_frames(&[0.25; 100]).unwrap();
        writer.finish().unwrap();
        let (channels, rate, format, progress) = (1, 48_000, TakeFormat::S24, TakeProgress::Finished);
        PlayFile { path: Arc::new(path), earlier_path, sound: TakeSound { channels, rate, format, progress } }
    }

    /// Undo of a discard brought the waveform back, and the track was silent until its regions changed again.
    #[test]
    fn a_take_is_played_while_its_file_is_still_in_the_trash_and_after_it_has_left_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = take_in_trash(folder.path());
        let played = open_file(&file).unwrap();
        assert_eq!(played.layout.frames, 100);
        std::fs::rename(&file.earlier_path, &*file.path).unwrap();
        let window = played.window(0, 100, 4096, 1, 0).unwrap();
        assert!(window.is_some_and(|(window, _)| window.frames == 100));
        assert!(open_file(&file).is_ok());
        std::fs::remove_file(&*file.path).unwrap();
        let refused = open_file(&file).map(drop).unwrap_err();
        assert!(refused.ends_with("audio/t-1.wav: the take's file is missing; bring it back, or remove its regions"));
    }

    #[test]
    fn a_trash_folder_that_is_a_link_leads_to_no_take() {
        let folder = tempfile::tempdir().unwrap();
        let file = take_in_trash(folder.path());
        let trash = folder.path().join("trash");
        std::fs::rename(&trash, folder.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink("elsewhere", &trash).unwrap();
        assert!(open_file(&file).map(drop).unwrap_err().contains("the take's file is missing"));
    }

    /// Files at another rate were played at another speed, and nothing was said.
    #[test]
    fn a_file_of_another_rate_or_format_or_with_other_channels_is_not_played() {
        let folder = tempfile::tempdir().unwrap();
        let file = take_in_trash(folder.path());
        let sound = file.sound;
        for other in [
            TakeSound { rate: 44_100, ..sound },
            TakeSound { channels: 2, ..sound },
            TakeSound { format: TakeFormat::F32, ..sound },
        ] {
            let refused = open_file(&PlayFile { sound: other, ..file.clone() }).map(drop).unwrap_err();
            assert!(refused.contains("t-1.wav: the file holds 1 channels, 48000 Hz, s24, and the take "), "{refused}");
        }
    }
}
