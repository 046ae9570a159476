//! Playback in each scheme. Thread: audio (`Cycle`), butler, bench (`row`).
//!
//! The schemes differ in who maps the files and who brings their pages into memory.

use super::paced::{Cycle, Gate, Measurements, RunContext, perform};
use super::scheme::{
    BUTLER_PAUSE, Card, LEAD_WINDOWS, OwnMaps, SAMPLE_BYTES, Scheme, WINDOW_BYTES, WINDOW_FRAMES, fill_ramp,
};
use super::{BenchError, at_path};
use crate::format::TakeFormat;
use crate::limits::DATA_OFFSET;
use crate::window::map::{Mapping, Populate};
use crate::window::playback::{
    AudioPlaybackWindows, Edges, Playable, PlaybackWindow, ReaderPlaybackWindows, playback_windows,
};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use rtrb::RingBuffer;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::thread;

/// Frames that the butler of the scheme of 2000 touches ahead of the play position.
const AHEAD_FRAMES: u64 = WINDOW_FRAMES;

/// Writes the files that the playback schemes read.
pub(super) fn prepare(context: &RunContext<'_>) -> Result<Vec<PathBuf>, BenchError> {
    let mut bytes = vec![0; WINDOW_BYTES];
    let mut paths = Vec::with_capacity(context.shape.tracks);
    for track in 0..context.shape.tracks {
        if context.cancel.load(Ordering::Relaxed) {
            return Err(BenchError::Cancelled);
        }
        let path = context.folder.join(format!("playback-{track:04}.wav"));
        let written = (|| -> io::Result<()> {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            file.write_all(&[0; DATA_OFFSET as usize])?;
            for window in 0..context.shape.windows() {
                fill_ramp(track, window * WINDOW_FRAMES, &mut bytes);
                file.write_all(&bytes)?;
            }
            file.sync_all()
        })();
        written.map_err(at_path(&path, "cannot write"))?;
        paths.push(path);
    }
    Ok(paths)
}

/// Measures one scheme on the prepared files, from a cold cache.
pub(super) fn row(
    context: &RunContext<'_>,
    scheme: Scheme,
    paths: &[PathBuf],
) -> Result<(Measurements, String), BenchError> {
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        let file = File::open(path).map_err(at_path(path, "cannot open"))?;
        posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)
            .map_err(|error| at_path(path, "cannot drop from the cache")(error.into()))?;
        files.push((path.clone(), file));
    }
    match scheme {
        Scheme::Touch => touch(context, files),
        _ => windowed(context, scheme, files),
    }
}

/// The scheme of 2000: the butler touches the pages through its own mapping, and the audio thread maps the file again.
struct TouchScheme {
    card: Card,
    files: Vec<File>,
    maps: OwnMaps,
}

impl Cycle for TouchScheme {
    fn before(&mut self, _at: u64) {
        self.card.bytes.fill(0);
    }

    fn cycle(&mut self, at: u64) -> u64 {
        let mut missing = 0;
        for (track, out) in self.card.tracks().enumerate() {
            let mut copied = 0;
            while copied < out.len() {
                let frame = at + (copied / SAMPLE_BYTES) as u64;
                let file = &self.files[track];
                let mapped = self.maps.at(track, frame, |offset, bytes| Mapping::readable(file, offset, bytes));
                let Some((map, from)) = mapped else {
                    missing += 1;
                    break;
                };
                let count = (map.len() - from).min(out.len() - copied);
                map.copy_out(from, &mut out[copied..copied + count]);
                copied += count;
            }
        }
        missing
    }

    fn after(&mut self, at: u64) -> u64 {
        self.card.wrong(at)
    }

    fn end(&mut self, _at: u64) {
        self.maps.end();
    }
}

fn touch(context: &RunContext<'_>, files: Vec<(PathBuf, File)>) -> Result<(Measurements, String), BenchError> {
    let (done, mut collected) = RingBuffer::new(4 * files.len());
    let opened = files.iter().map(|(path, _)| File::open(path));
    let opened = opened.collect::<io::Result<Vec<_>>>().map_err(at_path(context.folder, "cannot open its files"))?;
    let current = files.iter().map(|_| None).collect();
    let maps = OwnMaps { current, done, bytes: WINDOW_BYTES };
    let mut audio = TouchScheme { card: Card::new(context.shape), files: opened, maps };
    let windows = context.shape.windows();
    let (measurements, ()) = perform(context, &mut audio, move |gate| {
        // The butler's own mappings for each track, with the index of the window, oldest first.
        let mut touched: Vec<Vec<(u64, Mapping)>> = files.iter().map(|_| Vec::new()).collect();
        let mut next = 0;
        loop {
            let over = gate.is_over();
            while collected.pop().is_ok() {}
            let position = gate.position();
            while next < windows && next * WINDOW_FRAMES <= position + AHEAD_FRAMES {
                for ((path, file), touched) in files.iter().zip(&mut touched) {
                    let offset = DATA_OFFSET + next * WINDOW_BYTES as u64;
                    let mut map = Mapping::readable(file, offset, WINDOW_BYTES).map_err(at_path(path, "cannot map"))?;
                    map.populate(Populate::Touch).map_err(at_path(path, "cannot touch"))?;
                    touched.push((next, map));
                }
                next += 1;
            }
            for touched in &mut touched {
                touched.retain(|(window, _)| position < (window + 1) * WINDOW_FRAMES);
            }
            gate.primed();
            if over {
                return Ok(());
            }
            thread::sleep(BUTLER_PAUSE);
        }
    })?;
    Ok((measurements, format!("butler touches {} KiB ahead, audio maps again", WINDOW_BYTES / 1024)))
}

/// The audio thread copies from windows that the butler supplies.
struct WindowPlayer {
    card: Card,
    windows: Vec<AudioPlaybackWindows>,
}

impl Cycle for WindowPlayer {
    fn before(&mut self, _at: u64) {
        self.card.bytes.fill(0);
    }

    fn cycle(&mut self, at: u64) -> u64 {
        let mut missing = 0;
        for (windows, out) in self.windows.iter_mut().zip(self.card.tracks()) {
            let mut copied = 0;
            while copied < out.len() {
                let frame = at + (copied / SAMPLE_BYTES) as u64;
                let Playable::Sound { window, at, frames } = windows.at(0, frame, (out.len() - copied) / SAMPLE_BYTES)
                else {
                    missing += 1;
                    break;
                };
                let count = frames * SAMPLE_BYTES;
                window.map.copy_out(at, &mut out[copied..copied + count]);
                copied += count;
            }
        }
        missing
    }

    fn after(&mut self, at: u64) -> u64 {
        self.card.wrong(at)
    }

    fn end(&mut self, _at: u64) {
        for windows in &mut self.windows {
            windows.end();
        }
    }
}

struct Track {
    path: PathBuf,
    file: File,
    windows: ReaderPlaybackWindows,
    next: u64,
}

fn windowed(
    context: &RunContext<'_>,
    scheme: Scheme,
    files: Vec<(PathBuf, File)>,
) -> Result<(Measurements, String), BenchError> {
    let (windows, rings): (Vec<_>, Vec<_>) = files.iter().map(|_| playback_windows()).unzip();
    let mut audio = WindowPlayer { card: Card::new(context.shape), windows };
    let tracks = files.into_iter().zip(rings);
    let mut tracks: Vec<_> = tracks.map(|((path, file), windows)| Track { path, file, windows, next: 0 }).collect();
    let refused = context.budget.refused();
    let (measurements, ()) = perform(context, &mut audio, |gate| read_ahead(context, scheme, &mut tracks, gate))?;
    let note = match context.budget.refused() - refused {
        0 => String::new(),
        count => format!("{count} buffers went out unlocked: RLIMIT_MEMLOCK"),
    };
    Ok((measurements, note))
}

fn read_ahead(context: &RunContext<'_>, scheme: Scheme, tracks: &mut [Track], gate: &Gate) -> Result<(), BenchError> {
    loop {
        let over = gate.is_over();
        for track in tracks.iter_mut() {
            while track.windows.ring.collect().is_some() {}
        }
        for lead in 1..=LEAD_WINDOWS {
            for track in tracks.iter_mut() {
                if !over && track.next < context.shape.windows() && track.windows.ring.waiting() < lead {
                    supply(context, scheme, track).map_err(at_path(&track.path, "cannot supply a buffer"))?;
                }
            }
        }
        gate.primed();
        if over {
            return Ok(());
        }
        thread::sleep(BUTLER_PAUSE);
    }
}

fn supply(context: &RunContext<'_>, scheme: Scheme, track: &mut Track) -> io::Result<()> {
    let mut map = Mapping::readable(&track.file, DATA_OFFSET + track.next * WINDOW_BYTES as u64, WINDOW_BYTES)?;
    map.populate(Populate::Advise)?;
    if scheme.locks() {
        map.lock(context.budget);
    }
    let start = track.next * WINDOW_FRAMES;
    let format = TakeFormat::F32;
    let edges = Edges::NONE;
    let frames = WINDOW_FRAMES;
    let window = PlaybackWindow { map, epoch: 0, start, frames, skip_bytes: 0, format, channels: 1, edges };
    if track.windows.ring.hand_over(window).is_ok() {
        track.next += 1;
    }
    Ok(())
}
