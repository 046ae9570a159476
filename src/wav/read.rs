//! Reads frames at any position of a WAV file. Thread: peaks-build, peaks-live, peaks-read, export and stress; main in
//! the modes without a window.

use crate::wav::WavError;
use crate::wav::parse::{Layout, parse};
use crate::wav::sample;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Maximum number of bytes per read that is converted.
const PIECE_BYTES: usize = 64 * 1024;

/// An open WAV file. It has no read position: each call names the frame.
#[derive(Debug)]
pub struct Reader {
    file: File,
    path: PathBuf,
    layout: Layout,
    piece: Vec<u8>,
}

impl Reader {
    /// Opens `path` and reads the header.
    pub fn open(path: &Path) -> Result<Reader, WavError> {
        open(path).and_then(|file| Reader::from_file(file, path)).map_err(|reason| reason.at(path))
    }

    /// Reads the header of an open file. `path` is only for error messages.
    pub fn from_file(file: File, path: &Path) -> Result<Reader, WavError> {
        let data = file.metadata().map_err(WavError::io("read its length"))?;
        if !data.is_file() {
            return Err(WavError::NotAFile);
        }
        let layout = parse(&mut &file, data.len())?;
        Ok(Reader { file, path: path.to_owned(), layout, piece: Vec::new() })
    }

    /// Format, length and position of the sound.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads interleaved frames from frame `at` on into `out`, full scale 1.0. Returns the number of frames: as many
    /// whole frames as `out` holds, fewer at the end of the sound. The rest of `out` is unchanged.
    pub fn read_frames(&mut self, at: u64, out: &mut [f32]) -> Result<usize, WavError> {
        let channels = usize::from(self.layout.channels);
        let frame_bytes = self.layout.frame_bytes();
        let frames = self.frames_ahead(at, out.len() / channels);
        let mut piece = std::mem::take(&mut self.piece);
        piece.resize(PIECE_BYTES / frame_bytes * frame_bytes, 0);
        let mut done = 0;
        for out in out[..frames * channels].chunks_mut(piece.len() / self.layout.encoding.bytes()) {
            let bytes = &mut piece[..out.len() * self.layout.encoding.bytes()];
            self.read_exact(at + done, bytes)?;
            sample::decode_to_f32(self.layout.encoding, bytes, out);
            done += (out.len() / channels) as u64;
        }
        self.piece = piece;
        Ok(frames)
    }

    /// Reads whole frames from frame `at_frame` on without conversion. Returns the number of bytes.
    pub fn read_bytes(&self, at_frame: u64, out: &mut [u8]) -> Result<usize, WavError> {
        let frame_bytes = self.layout.frame_bytes();
        let bytes = self.frames_ahead(at_frame, out.len() / frame_bytes) * frame_bytes;
        self.read_exact(at_frame, &mut out[..bytes])?;
        Ok(bytes)
    }

    /// Frames from `at` to the end, at most `max`.
    fn frames_ahead(&self, at: u64, max: usize) -> usize {
        self.layout.frames.saturating_sub(at).min(max as u64) as usize
    }

    /// Fills `bytes` from frame `at`. The range must lie within the sound that the file had when it was opened.
    fn read_exact(&self, at: u64, bytes: &mut [u8]) -> Result<(), WavError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let offset = self.layout.data_offset + at * self.layout.frame_bytes() as u64;
        match self.file.read_exact_at(bytes, offset) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                let file_bytes = self.file.metadata().map_or(0, |data| data.len());
                let left = file_bytes.saturating_sub(self.layout.data_offset);
                Err(WavError::Shrunk { frame: left / self.layout.frame_bytes() as u64 }.at(&self.path))
            }
            Err(error) => Err(WavError::io("read the sound")(error).at(&self.path)),
        }
    }
}

fn open(path: &Path) -> Result<File, WavError> {
    // Without O_NONBLOCK, opening a pipe without a writer would block the thread.
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(WavError::io("open it"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::TakeFormat;
    use crate::wav::header::Header;

    /// Writes a file in which sample `n` has the value `n`.
    fn counting(path: &Path, channels: u16, frames: u64) -> Header {
        let mut header = Header::new(channels, 48_000, TakeFormat::S24);
        header.data_bytes = frames * header.frame_bytes() as u64;
        let mut file = header.build().to_vec();
        for n in 0..frames * u64::from(channels) {
            file.extend_from_slice(&n.to_le_bytes()[..3]);
        }
        std::fs::write(path, file).unwrap();
        header
    }

    #[test]
    fn frames_are_read_from_the_requested_position() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wav");
        counting(&path, 2, 50_000);
        let mut reader = Reader::open(&path).unwrap();
        let mut out = vec![-1.0; 2 * 30_000 + 1];
        assert_eq!(reader.read_frames(10_000, &mut out).unwrap(), 30_000);
        let expected = |n: usize| n as f32 / 8_388_608.0;
        assert!((0..60_000).all(|n| out[n].to_bits() == expected(20_000 + n).to_bits()));
        assert_eq!(out[60_000].to_bits(), (-1.0f32).to_bits());

        assert_eq!(reader.read_frames(49_999, &mut out).unwrap(), 1);
        assert_eq!(reader.read_frames(50_000, &mut out).unwrap(), 0);
        assert_eq!(reader.read_frames(u64::MAX, &mut out).unwrap(), 0);

        let mut bytes = [0; 13];
        assert_eq!(reader.read_bytes(1, &mut bytes).unwrap(), 12);
        assert_eq!(bytes, [2, 0, 0, 3, 0, 0, 4, 0, 0, 5, 0, 0, 0]);
        assert_eq!(reader.read_bytes(u64::MAX, &mut bytes).unwrap(), 0);
    }

    #[test]
    fn sound_that_vanishes_while_it_is_read_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wav");
        counting(&path, 1, 1000);
        let mut reader = Reader::open(&path).unwrap();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(4096 + 300).unwrap();
        let error = reader.read_frames(0, &mut [0.0; 1000]).unwrap_err();
        assert!(matches!(error.reason(), WavError::Shrunk { frame: 100 }), "{error}");
        assert_eq!(reader.read_frames(0, &mut [0.0; 100]).unwrap(), 100);
    }

    #[test]
    fn folders_pipes_and_absent_files_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Reader::open(folder.path()).unwrap_err().reason(), WavError::NotAFile));
        let pipe = folder.path().join("pipe.wav");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(matches!(Reader::open(&pipe).unwrap_err().reason(), WavError::NotAFile));
        let absent = folder.path().join("absent.wav");
        let text = Reader::open(&absent).unwrap_err().to_string();
        assert!(text.starts_with(&format!("{}: cannot open it: ", absent.display())), "{text}");
        assert!(text.ends_with("; check the name"), "{text}");
    }
}
