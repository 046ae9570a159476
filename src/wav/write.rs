//! Writes a WAV file from start to end, for exports. The file gets its name when it is complete. Thread: export,
//! or main in `faultless export`.

use crate::host::disk;
use crate::limits::DATA_OFFSET;
use crate::wav::WavError;
use crate::wav::header::Header;
use crate::wav::sample::{self, Dither};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes per write.
const BUFFER_BYTES: usize = 256 * 1024;
/// Samples per conversion.
const PIECE_SAMPLES: usize = 16 * 1024;
/// A temporary name is this, the number of the process, a hyphen, a number and [`TEMP_TAIL`].
const TEMP_HEAD: &str = ".faultless-";
const TEMP_TAIL: &str = ".part";
/// Number of temporary names to try.
const TEMP_NAMES: usize = 100;

/// Treatment of a file that exists under the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Keep the file, and fail with [`WavError::Exists`].
    Keep,
    /// Replace the file, in one step in [`Writer::finish`].
    Replace,
}

/// Writes a WAV file under a temporary name in the target folder. Drop before [`Writer::finish`] removes the file.
#[derive(Debug)]
pub struct Writer {
    file: BufWriter<File>,
    temp: TempFile,
    path: PathBuf,
    existing: Existing,
    header: Header,
    piece: Vec<u8>,
}

impl Writer {
    /// Creates the temporary file for `path`. `header.data_bytes` is ignored.
    pub fn create_new(path: &Path, header: Header, existing: Existing) -> Result<Writer, WavError> {
        create(path, header, existing).map_err(|reason| reason.at(path))
    }

    /// Frames written so far.
    pub fn frames(&self) -> u64 {
        self.header.data_bytes / self.header.frame_bytes() as u64
    }

    /// Appends whole interleaved frames, full scale 1.0. Rounds to the nearest value and clamps.
    pub fn write_frames(&mut self, samples: &[f32]) -> Result<(), WavError> {
        self.convert(samples, sample::encode_f32_to)
    }

    /// Like [`Writer::write_frames`], but adds dither before rounding.
    pub fn write_frames_dithered(&mut self, samples: &[f32], dither: &mut Dither) -> Result<(), WavError> {
        self.convert(samples, |format, samples, bytes| sample::encode_f32_dithered(format, samples, bytes, dither))
    }

    /// Appends whole frames that have the format of the header.
    pub fn write_bytes(&mut self, bytes: &[u8]) -> Result<(), WavError> {
        assert!(bytes.len().is_multiple_of(self.header.frame_bytes()), "frames are written whole");
        self.append(bytes)
    }

    /// Writes the header, syncs the file and renames it to its final name. Returns the number of frames.
    ///
    /// After an error the temporary file is removed and the final name is unchanged, with one exception: if only the
    /// sync of the folder failed, the complete file has replaced the one of its name, but a power cut may undo that.
    pub fn finish(mut self) -> Result<u64, WavError> {
        self.complete().map_err(|reason| reason.at(&self.path))?;
        Ok(self.frames())
    }

    fn convert(
        &mut self,
        samples: &[f32],
        mut encode: impl FnMut(crate::format::TakeFormat, &[f32], &mut [u8]),
    ) -> Result<(), WavError> {
        assert!(samples.len().is_multiple_of(usize::from(self.header.channels)), "frames are written whole");
        let mut piece = std::mem::take(&mut self.piece);
        for samples in samples.chunks(PIECE_SAMPLES) {
            piece.resize(samples.len() * self.header.format.bytes(), 0);
            encode(self.header.format, samples, &mut piece);
            self.append(&piece)?;
        }
        self.piece = piece;
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), WavError> {
        self.file.write_all(bytes).map_err(|error| WavError::io("write the sound")(error).at(&self.path))?;
        self.header.data_bytes += bytes.len() as u64;
        Ok(())
    }

    fn complete(&mut self) -> Result<(), WavError> {
        if !self.header.data_bytes.is_multiple_of(2) {
            self.file.write_all(&[0]).map_err(WavError::io("write the sound"))?;
        }
        self.file.flush().map_err(WavError::io("write the sound"))?;
        let file = self.file.get_ref();
        file.write_all_at(&self.header.build()[..], 0).map_err(WavError::io("write the header"))?;
        file.sync_all().map_err(WavError::io("make the file durable"))?;
        let is_new = self.path.symlink_metadata().is_err();
        self.temp.rename(&self.path, self.existing)?;
        disk::sync_folder_at(folder_of(&self.path)).map_err(|error| {
            if is_new && is_at(self.file.get_ref(), &self.path) {
                fs::remove_file(&self.path).ok();
            }
            WavError::io("make its name durable")(error)
        })
    }
}

/// Removes the temporary files of writers that were killed from a folder: files with a name of [`TempFile`] that no writer
/// has locked. Errors are ignored, because such a file costs only space.
pub fn remove_abandoned(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if !is_temp_name(&entry.file_name().to_string_lossy()) || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        // Network file systems give a lock only on a file that is open for writing.
        let Ok(file) = OpenOptions::new().write(true).custom_flags(flags).open(&path) else { continue };
        if file.try_lock().is_ok() && is_at(&file, &path) {
            fs::remove_file(&path).ok();
        }
    }
}

fn is_temp_name(name: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let numbers = name.strip_prefix(TEMP_HEAD).and_then(|rest| rest.strip_suffix(TEMP_TAIL));
    numbers.and_then(|numbers| numbers.split_once('-')).is_some_and(|(process, file)| number(process) && number(file))
}

/// Whether `path` is the name of the open file.
fn is_at(file: &File, path: &Path) -> bool {
    let identity = |found: io::Result<fs::Metadata>| found.map(|found| (found.dev(), found.ino())).ok();
    identity(file.metadata()).is_some_and(|open| identity(path.symlink_metadata()) == Some(open))
}

fn create(path: &Path, header: Header, existing: Existing) -> Result<Writer, WavError> {
    if existing == Existing::Keep && path.symlink_metadata().is_ok() {
        return Err(WavError::Exists);
    }
    let header = Header { data_bytes: 0, ..header };
    let (mut file, temp) = TempFile::create(folder_of(path)).map_err(WavError::io("create it"))?;
    // Leave space for the header. It is written last, so that no program can mistake an incomplete file for a complete
    // one.
    file.seek(SeekFrom::Start(DATA_OFFSET)).map_err(WavError::io("create it"))?;
    let file = BufWriter::with_capacity(BUFFER_BYTES, file);
    Ok(Writer { file, temp, path: path.to_owned(), existing, header, piece: Vec::new() })
}

/// The temporary name of a file. Drop removes the file, unless it was renamed.
#[derive(Debug)]
struct TempFile {
    path: PathBuf,
    /// The file has its final name.
    renamed: bool,
}

impl TempFile {
    fn create(folder: &Path) -> io::Result<(File, TempFile)> {
        static NAMES: AtomicU64 = AtomicU64::new(0);
        let mut refusal = io::Error::from(io::ErrorKind::AlreadyExists);
        for _ in 0..TEMP_NAMES {
            let number = NAMES.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!("{TEMP_HEAD}{}-{number}{TEMP_TAIL}", std::process::id()));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                // The lock lasts as long as the file is open: it tells other exports that this file is not abandoned.
                // One that removes abandoned files may have been quicker; then this file has no name any more.
                Ok(file) if file.try_lock().is_ok() && !is_at(&file, &path) => {}
                // A file system without locks never lets `remove_abandoned` lock a file either.
                Ok(file) => return Ok((file, TempFile { path, renamed: false })),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => refusal = error,
                Err(error) => return Err(error),
            }
        }
        Err(refusal)
    }

    /// Renames the file to `target`. After an error it still has its temporary name.
    fn rename(&mut self, target: &Path, existing: Existing) -> Result<(), WavError> {
        match existing {
            Existing::Replace => fs::rename(&self.path, target).map_err(WavError::io("give the file its name"))?,
            Existing::Keep => {
                match renameat2(AT_FDCWD, &self.path, AT_FDCWD, target, RenameFlags::RENAME_NOREPLACE) {
                    Ok(()) => {}
                    Err(Errno::EEXIST) => return Err(WavError::Exists),
                    // The file system does not support the flag. A hard link does not replace a file either.
                    Err(Errno::EINVAL | Errno::ENOSYS | Errno::ENOTSUP) => return self.link(target),
                    Err(errno) => return Err(WavError::io("give the file its name")(errno.into())),
                }
            }
        }
        self.renamed = true;
        Ok(())
    }

    /// Adds the name `target` with a hard link. Drop removes the temporary name.
    fn link(&mut self, target: &Path) -> Result<(), WavError> {
        match fs::hard_link(&self.path, target) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(WavError::Exists),
            // The file system has no hard links either (FAT, exFAT).
            Err(_) => self.reserve_and_rename(target),
        }
    }

    /// Creates an empty file `target`, which fails if the name exists, and then replaces it with our file.
    fn reserve_and_rename(&mut self, target: &Path) -> Result<(), WavError> {
        let naming = WavError::io("give the file its name");
        match OpenOptions::new().write(true).create_new(true).open(target) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(WavError::Exists),
            Err(error) => return Err(naming(error)),
        }
        fs::rename(&self.path, target).map_err(|error| {
            fs::remove_file(target).ok();
            naming(error)
        })?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if !self.renamed {
            // An error here cannot be reported, and a hidden file that remains does no harm.
            drop(fs::remove_file(&self.path));
        }
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::TakeFormat;
    use crate::host::refusing::without_folder_syncs;
    use crate::wav::read::Reader;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn write(path: &Path, existing: Existing, samples: &[f32]) -> Result<u64, WavError> {
        let mut writer = Writer::create_new(path, Header::new(1, 48_000, TakeFormat::S24), existing)?;
        writer.write_frames(samples)?;
        writer.finish()
    }

    #[test]
    fn hound_and_our_reader_find_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        for (format, frames) in [(TakeFormat::S16, 40_001), (TakeFormat::S24, 40_001), (TakeFormat::F32, 3)] {
            let path = folder.path().join(format!("{format}.wav"));
            let samples: Vec<f32> = (0..frames).map(|n| (n - 20_000) as f32 / 32_768.0).collect();
            let header = Header { track_name: "Cello".into(), ..Header::new(1, 44_100, format) };
            let mut writer = Writer::create_new(&path, header.clone(), Existing::Keep).unwrap();
            for part in samples.chunks(17_001) {
                writer.write_frames(part).unwrap();
            }
            assert_eq!(writer.finish().unwrap(), frames as u64);

            let mut back = vec![0.0; samples.len()];
            let mut reader = Reader::open(&path).unwrap();
            assert_eq!((reader.layout().frames, reader.layout().truncated), (frames as u64, false));
            assert_eq!(reader.read_frames(0, &mut back).unwrap(), samples.len());
            assert_eq!(back, samples);
            let bytes = fs::metadata(&path).unwrap().len();
            assert_eq!(bytes % 2, 0);

            let mut hound = hound::WavReader::open(&path).unwrap();
            let scale = f64::from(1u32 << (format.bits() - 1));
            let decoded: Vec<f32> = if format == TakeFormat::F32 {
                hound.samples::<f32>().map(Result::unwrap).collect()
            } else {
                hound.samples::<i32>().map(|s| (f64::from(s.unwrap()) / scale) as f32).collect()
            };
            assert_eq!(decoded, samples);
        }
        assert_eq!(names(folder.path()).len(), 3);
    }

    #[test]
    fn bytes_and_frames_give_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a.wav"), folder.path().join("b.wav"));
        write(&a, Existing::Keep, &[0.25, -0.25, 0.5]).unwrap();
        let mut bytes = [0; 9];
        Reader::open(&a).unwrap().read_bytes(0, &mut bytes).unwrap();
        let mut writer = Writer::create_new(&b, Header::new(1, 48_000, TakeFormat::S24), Existing::Keep).unwrap();
        writer.write_bytes(&bytes).unwrap();
        writer.finish().unwrap();
        assert_eq!(fs::read(a).unwrap(), fs::read(b).unwrap());
    }

    #[test]
    fn an_export_of_more_than_4_gib_is_rf64() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long.wav");
        let mut writer = Writer::create_new(&path, Header::new(1, 48_000, TakeFormat::S24), Existing::Keep).unwrap();
        // The first 4.5 GiB of silence are a hole.
        writer.header.data_bytes = 3 * (3 << 29);
        writer.file.seek(SeekFrom::Start(DATA_OFFSET + writer.header.data_bytes)).unwrap();
        writer.write_frames(&[0.5]).unwrap();
        assert_eq!(writer.finish().unwrap(), (3 << 29) + 1);
        let mut reader = Reader::open(&path).unwrap();
        assert_eq!((reader.layout().frames, reader.layout().truncated), ((3 << 29) + 1, false));
        let mut out = [1.0; 4];
        assert_eq!(reader.read_frames((3 << 29) - 1, &mut out).unwrap(), 2);
        assert_eq!(out.map(f32::to_bits), [0.0f32, 0.5, 1.0, 1.0].map(f32::to_bits));
    }

    #[test]
    fn an_abandoned_export_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mix.wav");
        let mut writer = Writer::create_new(&path, Header::new(2, 48_000, TakeFormat::F32), Existing::Keep).unwrap();
        writer.write_frames(&vec![0.0; 200_000]).unwrap();
        assert_eq!(names(folder.path()).len(), 1);
        drop(writer);
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn half_files_of_killed_writers_are_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mix.wav");
        let writer = Writer::create_new(&path, Header::new(1, 48_000, TakeFormat::S16), Existing::Keep).unwrap();
        let at_work = writer.temp.path.file_name().unwrap().to_str().unwrap().to_owned();
        let kept = [".faultless-1-.part", ".faultless-1.part", ".faultless-a-1.part", "faultless-1-1.part", ".x.part"];
        for name in kept.into_iter().chain([".faultless-1-0.part", ".faultless-4194304-12.part"]) {
            fs::write(folder.path().join(name), "half").unwrap();
        }
        std::os::unix::fs::symlink("mix.wav", folder.path().join(".faultless-2-0.part")).unwrap();
        remove_abandoned(folder.path());
        let mut left = names(folder.path());
        left.sort();
        let mut wanted: Vec<&str> = kept.into_iter().chain([".faultless-2-0.part", at_work.as_str()]).collect();
        wanted.sort_unstable();
        assert_eq!(left, wanted);
        writer.finish().unwrap();
        assert!(path.exists());
    }

    #[test]
    fn an_existing_file_is_kept_unless_it_may_be_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mix.wav");
        write(&path, Existing::Keep, &[0.5]).unwrap();
        assert!(matches!(write(&path, Existing::Keep, &[]).unwrap_err().reason(), WavError::Exists));
        assert_eq!(Reader::open(&path).unwrap().layout().frames, 1);
        write(&path, Existing::Replace, &[0.5, 0.5]).unwrap();
        assert_eq!(Reader::open(&path).unwrap().layout().frames, 2);
    }

    #[test]
    fn a_file_that_appears_while_we_write_is_kept_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mix.wav");
        let writer = Writer::create_new(&path, Header::new(1, 48_000, TakeFormat::S16), Existing::Keep).unwrap();
        fs::write(&path, "mine").unwrap();
        assert!(matches!(writer.finish().unwrap_err().reason(), WavError::Exists));
        assert_eq!(fs::read(&path).unwrap(), b"mine");
        assert_eq!(names(folder.path()), ["mix.wav"]);
    }

    #[test]
    fn without_the_rename_flag_an_existing_file_is_kept_too() {
        let folder = tempfile::tempdir().unwrap();
        let (taken, free) = (folder.path().join("taken.wav"), folder.path().join("free.wav"));
        fs::write(&taken, "mine").unwrap();
        let (_, mut temp) = TempFile::create(folder.path()).unwrap();
        assert!(matches!(temp.link(&taken), Err(WavError::Exists)));
        assert!(matches!(temp.reserve_and_rename(&taken), Err(WavError::Exists)));
        temp.link(&free).unwrap();
        drop(temp);
        assert!(free.exists());
        assert_eq!(names(folder.path()).len(), 2);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let text = write(Path::new("/nonexistent/mix.wav"), Existing::Keep, &[]).unwrap_err().to_string();
        assert!(text.starts_with("/nonexistent/mix.wav: cannot create it: "), "{text}");
    }

    /// The export said that it had removed its files, and this one stayed.
    #[test]
    fn a_new_file_whose_name_cannot_be_made_durable_is_removed_and_one_that_replaced_another_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wav");
        for (errno, existing, is_written, stays) in [
            (Errno::EIO, Existing::Keep, false, false),
            (Errno::EINVAL, Existing::Keep, true, true),
            (Errno::EIO, Existing::Replace, false, true),
        ] {
            let installed = without_folder_syncs(errno);
            let written = write(&path, existing, &[0.5]);
            drop(installed);
            assert_eq!((written.is_ok(), path.exists()), (is_written, stays), "{errno} {existing:?}");
        }
    }
}
