//! Exports of small sessions in temporary folders. Thread: any.

mod engine;
mod files;
mod mix;
mod stems;

use super::error::ExportError;
use super::plan::{Plan, plan};
use super::run::run;
use super::{ExportOptions, Exported, Outcome, Progress, second_reader};
use crate::format::TakeFormat;
use crate::session::{NewTake, RegionId, Session, TakeId, TakeState, TrackId};
use crate::time::{FramePos, Frames, SampleRate};
use crate::wav::header::Header;
use crate::wav::read::Reader;
use crate::wav::write::{Existing, Writer};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use tempfile::TempDir;
use uuid::Uuid;

const RATE: u32 = 48_000;
const FORMATS: [TakeFormat; 3] = [TakeFormat::S16, TakeFormat::S24, TakeFormat::F32];

/// A session in a temporary folder, which drop removes.
pub(crate) struct TestSession {
    dir: TempDir,
    pub(crate) session: Session,
}

impl TestSession {
    pub(crate) fn new(format: TakeFormat) -> TestSession {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("demo/audio")).unwrap();
        TestSession { dir, session: Session::new(Uuid::new_v4(), "Demo", "", SampleRate(RATE), format) }
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.dir.path().join("demo")
    }

    fn to(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    pub(crate) fn track(&mut self, name: &str, inputs: &[u32]) -> TrackId {
        self.session.add_track(name, inputs).unwrap()
    }

    /// Adds a finished take whose file holds `samples`. It has no region yet.
    fn take(&mut self, track: TrackId, format: TakeFormat, channels: u32, samples: &[f32]) -> TakeId {
        let mut names = self.session.taken_names();
        let new = NewTake {
            uuid: Uuid::new_v4(),
            track,
            pass: 1,
            inputs: Vec::new(),
            channels,
            rate: SampleRate(RATE),
            format,
            start: FramePos(0),
            started: String::new(),
        };
        let id = self.session.add_take(new, &mut names).unwrap();
        let header = Header::new(channels as u16, RATE, format);
        let mut writer = Writer::create_new(&self.file(id), header, Existing::Keep).unwrap();
        writer.write_frames(samples).unwrap();
        writer.finish().unwrap();
        let frames = Frames((samples.len() / channels as usize) as u64);
        self.session.finish_take(id, frames, TakeState::Complete, None).unwrap();
        id
    }

    fn place(&mut self, track: TrackId, take: TakeId, at: u64, from: u64, frames: u64) -> RegionId {
        self.session.place_region(track, take, FramePos(at), FramePos(from), Frames(frames)).unwrap()
    }

    /// Adds a mono track with one take and a region of the whole take.
    pub(crate) fn mono(&mut self, name: &str, format: TakeFormat, at: u64, samples: &[f32]) -> TrackId {
        let track = self.track(name, &[0]);
        let take = self.take(track, format, 1, samples);
        self.place(track, take, at, 0, samples.len() as u64);
        track
    }

    fn file(&self, take: TakeId) -> PathBuf {
        self.folder().join(self.session.take(take).unwrap().path())
    }

    fn options(&self) -> ExportOptions {
        ExportOptions {
            folder: self.folder(),
            to: self.to(),
            tracks: None,
            from: None,
            until: None,
            format: None,
            mix: false,
            force: false,
        }
    }

    fn range(&self, from: u64, until: u64) -> ExportOptions {
        ExportOptions { from: Some(FramePos(from)), until: Some(FramePos(until)), ..self.options() }
    }

    fn plan(&self, options: &ExportOptions) -> Result<Plan, ExportError> {
        self.session.validate().unwrap();
        plan(&self.session, options)
    }

    /// Exports a session whose takes can all be read.
    fn export(&self, options: &ExportOptions) -> Result<Vec<Exported>, ExportError> {
        let outcome = self.outcome(options)?;
        assert!(outcome.problems.is_empty(), "{:?}", outcome.problems);
        Ok(outcome.files)
    }

    fn outcome(&self, options: &ExportOptions) -> Result<Outcome, ExportError> {
        run(&self.plan(options)?.files, &mut |_| {}, &AtomicBool::new(false))
    }
}

/// The sound of a file as stored.
fn stored(path: &Path) -> Vec<u8> {
    let reader = Reader::open(path).unwrap();
    let layout = reader.layout();
    assert!(!layout.truncated);
    let mut bytes = vec![0; layout.frames as usize * layout.frame_bytes()];
    assert_eq!(reader.read_bytes(0, &mut bytes).unwrap(), bytes.len());
    bytes
}

/// The decoded samples of a file, interleaved.
fn decoded(path: &Path) -> Vec<f32> {
    let mut reader = Reader::open(path).unwrap();
    let mut samples = vec![0.0; reader.layout().frames as usize * usize::from(reader.layout().channels)];
    let frames = samples.len() / usize::from(reader.layout().channels);
    assert_eq!(reader.read_frames(0, &mut samples).unwrap(), frames);
    samples
}

/// The names in a folder, sorted. Empty if the folder does not exist.
fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Samples that `format` stores exactly and that use all of its bits.
fn noise(format: TakeFormat, samples: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let bits = if format == TakeFormat::F32 { 24 } else { u32::from(format.bits()) };
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state as i64 >> (64 - bits)) as f32 / (1_u32 << (bits - 1)) as f32
    };
    (0..samples).map(|_| next() * if format == TakeFormat::F32 { 0.037 } else { 1.0 }).collect()
}
