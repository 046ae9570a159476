//! Capture in each scheme. Thread: audio (`Cycle`), butler, committer (`commit`), bench (`row`).
//!
//! The schemes differ in who maps the files and who writes them to the disk. Afterwards the files are compared with the
//! signal.

use super::paced::{Cycle, Gate, Measurements, RunContext, perform};
use super::scheme::{
    BUTLER_PAUSE, Card, LEAD_WINDOWS, OwnMaps, SAMPLE_BYTES, Scheme, Shape, WINDOW_BYTES, WINDOW_FRAMES, wrong_frames,
};
use super::{BenchError, at_path};
use crate::limits::{self, DATA_OFFSET};
use crate::time::{FramePos, Frames};
use crate::window::budget::LockBudget;
use crate::window::capture::{AudioCaptureWindows, ButlerCaptureWindows, CaptureWindow, capture_windows};
use crate::window::map::{Mapping, Populate, write_behind};
use crossbeam_channel::{Receiver, Sender};
use nix::fcntl::{FallocateFlags, PosixFadviseAdvice, fallocate, posix_fadvise};
use rtrb::{Consumer, RingBuffer};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

/// Bytes that the audio thread maps at a time in [`Scheme::Touch`], as in the scheme of 2000.
const TOUCH_BYTES: usize = 32 * 1024;
/// Distance behind the record position at which [`Scheme::InPlace`] starts to write back.
const BEHIND_BYTES: u64 = 2 * 1024 * 1024;

/// Measures one scheme, compares its files, and removes them. Returns a note for the row, too.
pub(super) fn row(context: &RunContext<'_>, scheme: Scheme) -> Result<(Measurements, String), BenchError> {
    let takes = (0..context.shape.tracks).map(|track| Take::create(context, scheme, track));
    let takes = takes.collect::<Result<Vec<_>, _>>()?;
    let paths: Vec<PathBuf> = takes.iter().map(|take| take.path.clone()).collect();
    let (mut measurements, note) = match scheme {
        Scheme::Touch => touch(context, takes)?,
        _ => windowed(context, scheme, takes)?,
    };
    let frames = measurements.cycle_nanos.len() as u64 * context.shape.period as u64;
    for (track, path) in paths.iter().enumerate() {
        if context.cancel.load(Ordering::Relaxed) {
            return Err(BenchError::Cancelled);
        }
        measurements.frames_wrong += wrong_in_file(track, path, frames).map_err(at_path(path, "cannot verify"))?;
        std::fs::remove_file(path).map_err(at_path(path, "cannot remove"))?;
    }
    Ok((measurements, note))
}

/// The WAV file of one track, with reserved blocks, and its spool file.
struct Take {
    path: PathBuf,
    wav: File,
    /// The WAV file opened with `O_DIRECT`; `None`: the file system refuses that.
    unbuffered: Option<File>,
    spool: Option<File>,
}

impl Take {
    fn create(context: &RunContext<'_>, scheme: Scheme, track: usize) -> Result<Take, BenchError> {
        let path = context.folder.join(format!("capture-{scheme}-{track:04}.wav"));
        let bytes = context.shape.file_bytes();
        let wav = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
        let wav = wav.map_err(at_path(&path, "cannot create"))?;
        // Reserve the blocks first. On a full disk, a store into a hole of the file would raise SIGBUS.
        fallocate(&wav, FallocateFlags::empty(), 0, bytes as i64)
            .map_err(|error| at_path(&path, "cannot reserve its blocks")(error.into()))?;
        let (mut unbuffered, mut spool) = (None, None);
        if scheme == Scheme::Spool {
            unbuffered = OpenOptions::new().write(true).custom_flags(libc::O_DIRECT).open(&path).ok();
            spool = Some(spool_file(context, bytes).map_err(at_path(context.spool, "cannot create a spool file"))?);
        }
        Ok(Take { path, wav, unbuffered, spool })
    }
}

/// Makes a spool file without a name, so that the kernel removes it however the bench ends.
fn spool_file(context: &RunContext<'_>, bytes: u64) -> io::Result<File> {
    let file =
        OpenOptions::new().read(true).write(true).mode(0o600).custom_flags(libc::O_TMPFILE).open(context.spool)?;
    file.set_len(bytes)?;
    Ok(file)
}

/// The scheme of 2000: the audio thread maps the file and stores into it. The butler unmaps.
struct TouchScheme {
    card: Card,
    files: Vec<File>,
    maps: OwnMaps,
}

impl Cycle for TouchScheme {
    fn before(&mut self, at: u64) {
        self.card.record(at);
    }

    fn cycle(&mut self, at: u64) -> u64 {
        let mut missing = 0;
        for (track, card) in self.card.tracks().enumerate() {
            let mut copied = 0;
            while copied < card.len() {
                let frame = at + (copied / SAMPLE_BYTES) as u64;
                let file = &self.files[track];
                let mapped = self.maps.at(track, frame, |offset, bytes| Mapping::writable(file, offset, bytes));
                let Some((map, from)) = mapped else {
                    missing += 1;
                    break;
                };
                let memory = &mut map.bytes_mut()[from..];
                let count = memory.len().min(card.len() - copied);
                memory[..count].copy_from_slice(&card[copied..copied + count]);
                copied += count;
            }
        }
        missing
    }

    fn after(&mut self, _at: u64) -> u64 {
        0
    }

    fn end(&mut self, _at: u64) {
        self.maps.end();
    }
}

fn touch(context: &RunContext<'_>, takes: Vec<Take>) -> Result<(Measurements, String), BenchError> {
    let (done, mut collected): (_, Consumer<Mapping>) = RingBuffer::new(4 * takes.len());
    let files: Vec<File> = takes.into_iter().map(|take| take.wav).collect();
    let current = files.iter().map(|_| None).collect();
    let maps = OwnMaps { current, done, bytes: TOUCH_BYTES };
    let mut audio = TouchScheme { card: Card::new(context.shape), files, maps };
    let (measurements, ()) = perform(context, &mut audio, |gate| {
        gate.primed();
        loop {
            // Read the flag before the ring, so that the last round collects every mapping.
            let over = gate.is_over();
            while collected.pop().is_ok() {}
            if over {
                return Ok(());
            }
            thread::sleep(BUTLER_PAUSE);
        }
    })?;
    Ok((measurements, format!("maps {} KiB at a time on the audio thread", TOUCH_BYTES / 1024)))
}

/// The audio thread fills windows that the butler supplies.
struct WindowFiller {
    card: Card,
    windows: Vec<AudioCaptureWindows>,
}

impl Cycle for WindowFiller {
    fn before(&mut self, at: u64) {
        self.card.record(at);
    }

    fn cycle(&mut self, at: u64) -> u64 {
        let mut missing = 0;
        for (windows, card) in self.windows.iter_mut().zip(self.card.tracks()) {
            let mut copied = 0;
            while copied < card.len() {
                let frame = FramePos(at + (copied / SAMPLE_BYTES) as u64);
                let Some(memory) = windows.span(frame, Frames(((card.len() - copied) / SAMPLE_BYTES) as u64)) else {
                    missing += 1;
                    break;
                };
                memory.copy_from_slice(&card[copied..copied + memory.len()]);
                copied += memory.len();
            }
        }
        missing
    }

    fn after(&mut self, _at: u64) -> u64 {
        0
    }

    fn end(&mut self, at: u64) {
        for windows in &mut self.windows {
            windows.end(FramePos(at));
        }
    }
}

fn windowed(context: &RunContext<'_>, scheme: Scheme, takes: Vec<Take>) -> Result<(Measurements, String), BenchError> {
    let (windows, rings): (Vec<_>, Vec<_>) = takes.iter().map(|_| capture_windows(SAMPLE_BYTES)).unzip();
    let mut audio = WindowFiller { card: Card::new(context.shape), windows };
    let tracks = takes.into_iter().zip(rings);
    let tracks = tracks.map(|(take, ring)| Track { take: Arc::new(take), ring, next: 0, behind: 0 }).collect();
    let refused = context.budget.refused();
    let (send, receive) = crossbeam_channel::bounded(limits::CHANNEL_MESSAGES);
    let mut butler = Butler { tracks, scheme, shape: context.shape, budget: Arc::clone(context.budget), commit: send };
    let (measurements, (behind, buffered)) = perform(context, &mut audio, |gate| {
        thread::scope(|scope| {
            let committer = scope.spawn(move || commit(&receive));
            let behind = butler.serve(gate);
            // Dropping the butler closes the channel, which ends the committer.
            drop(butler);
            let buffered = committer.join().map_err(|_| BenchError::Lost("committer"))??;
            Ok((behind?, buffered))
        })
    })?;
    let mut notes = Vec::new();
    match scheme {
        Scheme::InPlace if behind == 0 => {
            notes.push("too short for write-behind: 2 MiB a track are 11 s".to_owned());
        }
        Scheme::InPlace => notes.push(format!("{} MiB written behind", behind >> 20)),
        Scheme::Spool if buffered > 0 => {
            notes.push(format!("{buffered} buffers committed through the page cache: O_DIRECT refused"));
        }
        Scheme::Spool => notes.push("committed with O_DIRECT".to_owned()),
        _ => {}
    }
    match context.budget.refused() - refused {
        0 => {}
        count => notes.push(format!("{count} buffers went out unlocked: RLIMIT_MEMLOCK")),
    }
    Ok((measurements, notes.join("; ")))
}

struct Track {
    take: Arc<Take>,
    ring: ButlerCaptureWindows,
    /// Index of the next window to supply.
    next: u64,
    /// Bytes of sound whose write-back was started.
    behind: u64,
}

/// The butler of the windowed schemes. It supplies and collects windows.
struct Butler {
    tracks: Vec<Track>,
    scheme: Scheme,
    shape: Shape,
    budget: Arc<LockBudget>,
    commit: Sender<(Arc<Take>, CaptureWindow)>,
}

impl Butler {
    /// Supplies windows until the run is over and every window is back. Returns the bytes that were written behind.
    fn serve(&mut self, gate: &Gate) -> Result<u64, BenchError> {
        let failed = |track: &Track, error| at_path(&track.take.path, "cannot supply a buffer")(error);
        loop {
            let over = gate.is_over();
            for index in 0..self.tracks.len() {
                self.collect(index).map_err(|error| failed(&self.tracks[index], error))?;
            }
            // Supply every track with one window before any track gets its next one.
            for lead in 1..=LEAD_WINDOWS {
                for index in 0..self.tracks.len() {
                    if !over && self.tracks[index].ring.waiting() < lead {
                        self.supply(index).map_err(|error| failed(&self.tracks[index], error))?;
                    }
                }
            }
            gate.primed();
            if over {
                return Ok(self.tracks.iter().map(|track| track.behind).sum());
            }
            thread::sleep(BUTLER_PAUSE);
        }
    }

    fn supply(&mut self, index: usize) -> io::Result<()> {
        let track = &mut self.tracks[index];
        if track.next == self.shape.windows() {
            return Ok(());
        }
        let file = track.take.spool.as_ref().unwrap_or(&track.take.wav);
        let start = track.next * WINDOW_FRAMES;
        let mut map = Mapping::writable(file, DATA_OFFSET + start * SAMPLE_BYTES as u64, WINDOW_BYTES)?;
        map.populate(Populate::Advise)?;
        if self.scheme.locks() {
            map.lock(&self.budget);
        }
        let (start, frames) = (FramePos(start), Frames(WINDOW_FRAMES));
        let window = CaptureWindow { map, start, frames, recorded: Frames(0), touched: false };
        // A window that the full ring refuses is dropped, and made again in a later round.
        if track.ring.hand_over(window).is_ok() {
            track.next += 1;
        }
        Ok(())
    }

    fn collect(&mut self, index: usize) -> io::Result<()> {
        let track = &mut self.tracks[index];
        while let Some(mut window) = track.ring.collect() {
            if self.scheme == Scheme::Spool {
                window.map.unlock();
                if window.touched && self.commit.send((Arc::clone(&track.take), window)).is_err() {
                    return Err(io::Error::other("the committer is gone"));
                }
                continue;
            }
            let end = (window.start + window.recorded).0 * SAMPLE_BYTES as u64;
            // Unmap first. Writing back a page that is mapped writable interrupts the CPU of the audio thread.
            drop(window);
            let until = end.saturating_sub(BEHIND_BYTES);
            if self.scheme == Scheme::InPlace && track.behind < until {
                write_behind(&track.take.wav, DATA_OFFSET + track.behind, until - track.behind)?;
                track.behind = until;
            }
        }
        Ok(())
    }
}

/// Writes spool windows into the WAV files and punches them out of the spool. Returns how many windows went through the
/// page cache because the file system refused `O_DIRECT`.
fn commit(windows: &Receiver<(Arc<Take>, CaptureWindow)>) -> Result<u64, BenchError> {
    let mut buffered = 0;
    for (take, window) in windows {
        let offset = DATA_OFFSET + window.start.0 * SAMPLE_BYTES as u64;
        let o_direct = take.unbuffered.as_ref().map(|file| file.write_all_at(window.map.bytes(), offset));
        let done = match o_direct {
            None => Err(io::ErrorKind::InvalidInput.into()),
            Some(done) => done,
        };
        let done = match done {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                buffered += 1;
                take.wav.write_all_at(window.map.bytes(), offset)
            }
            done => done,
        };
        done.map_err(at_path(&take.path, "cannot commit a buffer"))?;
        let bytes = window.map.len() as i64;
        drop(window);
        if let Some(spool) = &take.spool {
            let punch = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
            fallocate(spool, punch, offset as i64, bytes)
                .map_err(|error| at_path(&take.path, "cannot free its spool")(error.into()))?;
        }
    }
    Ok(buffered)
}

/// Number of frames of the file that differ from the ramp. The file is dropped from the page cache first, so that as
/// much as possible is read from the disk.
fn wrong_in_file(track: usize, path: &PathBuf, frames: u64) -> io::Result<u64> {
    let mut file = File::open(path)?;
    file.sync_all()?;
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
    file.seek(SeekFrom::Start(DATA_OFFSET))?;
    let mut bytes = vec![0; WINDOW_BYTES];
    let (mut frame, mut wrong) = (0, 0);
    while frame < frames {
        let count = (frames - frame).min(WINDOW_FRAMES);
        let span = &mut bytes[..count as usize * SAMPLE_BYTES];
        file.read_exact(span)?;
        wrong += wrong_frames(track, frame, span);
        frame += count;
    }
    Ok(wrong)
}
