//! The read-ahead: makes playback windows ahead of the playhead, and collects played windows behind it. Thread:
//! read-ahead. It waits for disk reads in place of the audio thread.
//!
//! It maps the next windows of a track early ([`UPCOMING_WINDOWS`]) and asks the disk for them. It populates, locks and
//! hands over a window when its pages have arrived, so that one slow track does not delay the others. A read-only
//! mapping needs no more than `mlock`: the kernel neither takes its pages back nor write-protects them.

use super::capabilities::Capabilities;
use super::plan::{self, Lead, PlaySpan};
use crate::file_system::{OpenError, open_regular};
use crate::host::{self, disk};
use crate::limits;
use crate::message::disk::{DiskEvent, ReaderCommand};
use crate::message::published::Published;
use crate::message::stats::DiskPublished;
use crate::message::{PlayPath, PlayRegion};
use crate::residency::ledger::{Ledger, SlotLedger, SlotSpan, Stamp};
use crate::time::SampleRate;
use crate::wav::parse::{Layout, parse};
use crate::window::budget::LockBudget;
use crate::window::map::Mapping;
use crate::window::playback::{Edges, PlaybackWindow, ReaderPlaybackWindows};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Time between two looks at the rings.
const TICK: Duration = Duration::from_millis(10);

/// Windows of a track that are requested from the disk and not handed over yet.
const UPCOMING_WINDOWS: usize = 3;

/// Ticks after which a window is populated even if its pages have not arrived, which waits for the disk.
const PATIENCE_TICKS: u32 = 3;

/// Everything that the read-ahead needs to start.
pub struct ReaderSetup {
    /// Capabilities that it may use.
    pub capabilities: Capabilities,
    /// The budget of locked memory.
    pub budget: Arc<LockBudget>,
    /// Bytes of the budget that playback may use.
    pub playback_share: u64,
    /// Lead to aim at, in milliseconds.
    pub lead_ms: u64,
    /// Frames of the device's period.
    pub period_frames: usize,
    /// Sample rate of the session.
    pub rate: SampleRate,
    /// Numbers that the audio thread publishes.
    pub published: Arc<Published>,
    /// Numbers that the disk side publishes.
    pub disk: Arc<DiskPublished>,
    /// The ledger of windows.
    pub ledger: Arc<Ledger>,
    /// Commands from control.
    pub commands: Receiver<ReaderCommand>,
    /// Events to control.
    pub events: Sender<DiskEvent>,
}

/// The read-ahead, with the tracks that it supplies.
pub struct Reader {
    setup: ReaderSetup,
    tracks: Vec<Track>,
    /// The open files. The tracks own them: a file that no track plays any more is closed.
    files: HashMap<Arc<PathBuf>, Weak<PlayedFile>>,
    path: PlayPath,
    epoch: u32,
    /// Number of files when closed ones were last forgotten.
    open_file_count: usize,
}

struct PlayedFile {
    path: Arc<PathBuf>,
    file: Arc<File>,
    bytes: u64,
    layout: Layout,
    format: crate::format::TakeFormat,
}

struct Track {
    slot: usize,
    entry: Arc<SlotLedger>,
    windows: ReaderPlaybackWindows,
    regions: Vec<PlayRegion>,
    /// The file of each region. `None`: it could not be opened.
    files: Vec<Option<Arc<PlayedFile>>>,
    /// Bytes of the widest frame of its files.
    frame_bytes_max: usize,
    /// The key to answer with when the first windows are filled.
    announces: Option<u64>,
    /// Whether another player of the same slot is going to replace this one.
    is_replaced: bool,
    upcoming: VecDeque<Upcoming>,
    /// Stream frame from which on nothing is mapped.
    next: u64,
    /// Stream frame up to which everything is handed over.
    supplied: u64,
    /// Windows handed over since the last locate. The ring may still contain windows of the locate before.
    handed_over: usize,
    /// The reason why a window could not be mapped, until it is reported. Only the first one of a track is.
    trouble: Option<String>,
    trouble_reported: bool,
}

/// Either a window that is on its way, or a range of silence, which only advances `supplied`.
struct Upcoming {
    window: Option<(PlaybackWindow, SlotSpan)>,
    end: u64,
    ticks: u32,
}

impl Reader {
    /// A read-ahead without tracks.
    pub fn new(setup: ReaderSetup) -> Reader {
        let (tracks, files, path) = (Vec::new(), HashMap::new(), PlayPath::default());
        Reader { setup, tracks, files, path, epoch: 0, open_file_count: 0 }
    }

    /// Runs until it received `Quit`.
    pub fn run(mut self) {
        loop {
            let command = if self.tracks.is_empty() {
                host::receive(&self.setup.commands).map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                host::receive_timeout(&self.setup.commands, TICK)
            };
            match command {
                Ok(ReaderCommand::Quit) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(command) => self.apply(command),
                Err(RecvTimeoutError::Timeout) => {}
            }
            while let Ok(command) = self.setup.commands.try_recv() {
                if matches!(command, ReaderCommand::Quit) {
                    return;
                }
                self.apply(command);
            }
            self.tick();
        }
    }

    fn apply(&mut self, command: ReaderCommand) {
        match command {
            ReaderCommand::Install { slot, windows, regions, replaces } => {
                match replaces {
                    None => self.tracks.retain(|track| track.slot != slot),
                    Some(_) => {
                        self.tracks.iter_mut().filter(|track| track.slot == slot).for_each(|track| {
                            track.is_replaced = true;
                        });
                    }
                }
                let track = self.new_track(slot, windows, regions(), replaces);
                self.tracks.push(track);
            }
            ReaderCommand::Remove { slot } => self.tracks.retain(|track| track.slot != slot),
            ReaderCommand::Locate { path, epoch } => {
                (self.path, self.epoch) = (path, epoch);
                for track in &mut self.tracks {
                    track.upcoming.clear();
                    (track.next, track.supplied, track.handed_over) = (0, 0, 0);
                }
            }
            ReaderCommand::Quit => {}
        }
    }

    /// Frames that the audio thread has played in the present epoch.
    fn stream(&self) -> u64 {
        let published = &self.setup.published;
        if published.epoch.load(Acquire) == self.epoch { published.stream.load(Relaxed) } else { 0 }
    }

    fn new_track(
        &mut self,
        slot: usize,
        windows: ReaderPlaybackWindows,
        regions: Vec<PlayRegion>,
        announces: Option<u64>,
    ) -> Track {
        let files = self.open_files(slot, &regions);
        Track {
            slot,
            entry: self.setup.ledger.slot(slot, self.setup.rate.0),
            windows,
            regions,
            frame_bytes_max: files.iter().flatten().map(|file| file.layout.frame_bytes()).max().unwrap_or(4),
            files,
            announces,
            is_replaced: false,
            upcoming: VecDeque::new(),
            next: self.stream(),
            supplied: 0,
            handed_over: 0,
            trouble: None,
            trouble_reported: false,
        }
    }

    /// The files of regions. A file that another track plays is open already; one that cannot be opened is tried once for
    /// each list of regions.
    fn open_files(&mut self, slot: usize, regions: &[PlayRegion]) -> Vec<Option<Arc<PlayedFile>>> {
        if self.files.len() > 2 * self.open_file_count + regions.len() {
            self.files.retain(|_, file| file.strong_count() > 0);
            self.open_file_count = self.files.len();
        }
        let mut opened = Vec::with_capacity(regions.len());
        let mut refused: HashSet<Arc<PathBuf>> = HashSet::new();
        for region in regions {
            let mut file = self.files.get(&region.path).and_then(Weak::upgrade);
            if file.is_none() && !refused.contains(&region.path) {
                match open_file(&region.path) {
                    Ok(new) => {
                        let new = Arc::new(new);
                        self.files.insert(Arc::clone(&region.path), Arc::downgrade(&new));
                        file = Some(new);
                    }
                    Err(reason) => {
                        refused.insert(Arc::clone(&region.path));
                        host::send(&self.setup.events, DiskEvent::PlaybackTrouble { slot, reason }).ok();
                    }
                }
            }
            opened.push(file);
        }
        opened
    }

    fn tick(&mut self) {
        let stream = self.stream();
        let lead = self.lead();
        let lead_frames = self.setup.rate.frames(Duration::from_millis(self.setup.lead_ms)).0;
        let (mut least, mut ready) = (u64::MAX, true);
        // The audio thread has the player that replaced it, and control has dropped the other end.
        self.tracks.retain(|track| !(track.is_replaced && track.windows.ring.is_abandoned()));
        for track in &mut self.tracks {
            while let Some(window) = track.windows.ring.collect() {
                track.entry.collected(&window.map);
                drop(window);
            }
            track.next = track.next.max(stream);
            track.map_ahead(
                &self.path,
                self.epoch,
                lead.window_bytes,
                stream + (8 * lead_frames).max(u64::from(self.setup.rate.0)),
            );
            if let Some(reason) = track.trouble.take().filter(|_| !std::mem::replace(&mut track.trouble_reported, true))
            {
                host::send(&self.setup.events, DiskEvent::PlaybackTrouble { slot: track.slot, reason }).ok();
            }
            track.hand_over(&self.setup, self.epoch, lead.windows);
            let ahead = track.supplied.saturating_sub(stream);
            // A player that is not in use yet has no lead to speak of, and neither has one that has played its last region.
            least = if track.announces.is_some() || track.supplied == u64::MAX { least } else { least.min(ahead) };
            let track_ready =
                limits::LEAD_WINDOWS_MIN <= track.handed_over || lead_frames <= ahead || track.has_nothing_left();
            if let Some(key) = track.announces.take_if(|_| track_ready) {
                host::send(&self.setup.events, DiskEvent::PlayerReady { slot: track.slot, key }).ok();
            }
            ready &= track_ready;
        }
        self.setup.disk.play_lead_frames.store(least, Relaxed);
        if ready {
            self.setup.published.ready_epoch.store(self.epoch, Release);
        }
    }

    /// The lead that the budget allows for the present tracks.
    fn lead(&self) -> Lead {
        let widest = self.tracks.iter().map(|track| track.frame_bytes_max).max().unwrap_or(4);
        let count = self.tracks.iter().filter(|track| !track.is_replaced).count();
        let speed = u64::from(self.setup.rate.0) * widest as u64;
        let period_bytes = self.setup.period_frames * widest;
        plan::lead(self.setup.playback_share, count, widest, speed, self.setup.lead_ms, period_bytes)
    }
}

impl Track {
    /// Maps the next windows, up to [`UPCOMING_WINDOWS`], and asks the disk for their pages.
    fn map_ahead(&mut self, path: &PlayPath, epoch: u32, window_bytes: usize, horizon: u64) {
        while self.upcoming.len() < UPCOMING_WINDOWS && self.next < horizon {
            let upcoming = match plan::play_span(&self.regions, path, self.next) {
                PlaySpan::Gap { frames } => Upcoming { window: None, end: self.next.saturating_add(frames), ticks: 0 },
                PlaySpan::Sound { region, take_frame, frames } => {
                    let (region, take) = (&self.regions[region], &self.files[region]);
                    let edges = region.edges.after(take_frame.saturating_sub(region.take_start.0));
                    let mapped = take.as_ref().and_then(|take| {
                        match take.window(take_frame, frames, window_bytes, epoch, self.next) {
                            Ok(window) => window.map(|(window, span)| (PlaybackWindow { edges, ..window }, span)),
                            Err(error) => {
                                let path = region.path.display();
                                self.trouble = Some(format!(
                                    "{path}: cannot map a window of it: {error}; the track is silent there"
                                ));
                                None
                            }
                        }
                    });
                    match mapped {
                        Some(window) => Upcoming { end: self.next + window.0.frames, window: Some(window), ticks: 0 },
                        // The file does not have these frames: silence. This was reported when the file was opened.
                        None => Upcoming { window: None, end: self.next + frames.min(window_bytes as u64), ticks: 0 },
                    }
                }
            };
            if let Some((window, _)) = &upcoming.window {
                window.map.will_need().ok();
            }
            self.next = upcoming.end;
            self.upcoming.push_back(upcoming);
        }
    }

    /// Hands over, in order, the windows whose pages have arrived.
    fn hand_over(&mut self, setup: &ReaderSetup, epoch: u32, lead_windows: usize) {
        while let Some(upcoming) = self.upcoming.front_mut() {
            if let Some((window, span)) = &mut upcoming.window {
                if lead_windows <= self.windows.ring.waiting() || self.windows.ring.free_slots() == 0 {
                    return;
                }
                upcoming.ticks += 1;
                if upcoming.ticks <= PATIENCE_TICKS && !window.map.is_cached().unwrap_or(true) {
                    return;
                }
                disk::will_read(&span.file, span.offset, window.map.len() as u64).ok();
                // Lock before populating, so that the kernel takes no page back between the two.
                if !window.map.lock(&setup.budget) {
                    setup.disk.windows_unlocked.fetch_add(1, Relaxed);
                }
                if window.map.populate(setup.capabilities.populate).is_err() {
                    // The window reaches past the end of a file that was cut short. The missing pages will read as
                    // zeros.
                    window.map.populate(crate::window::map::Populate::Touch).ok();
                }
            }
            let Some(Upcoming { window, end, .. }) = self.upcoming.pop_front() else { return };
            if let Some((window, span)) = window {
                self.handed_over += 1;
                self.entry.supplied(span, &window.map);
                if self.windows.ring.hand_over(window).is_err() {
                    debug_assert!(false, "room was asked for before");
                }
            }
            self.supplied = end;
            self.windows.supplied_until(epoch, end);
        }
    }

    /// Whether the track has no more windows to come.
    fn has_nothing_left(&self) -> bool {
        self.upcoming.is_empty() && self.supplied == self.next && self.next == u64::MAX
    }
}

impl PlayedFile {
    /// Maps a window of up to `frames` frames from `take_frame` on. `None`: the file has no such frame.
    fn window(
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

fn open_file(path: &Arc<PathBuf>) -> Result<PlayedFile, String> {
    let refusal = |reason: &dyn std::fmt::Display| format!("{}: {reason}; the track is silent there", path.display());
    let file = open_regular(path).map_err(|error| match error {
        OpenError::Link => refusal(&"it is a link"),
        OpenError::NotRegular => refusal(&"it is not a regular file"),
        OpenError::Open(error) | OpenError::Stat(error) => refusal(&error),
    })?;
    let bytes = file.metadata().map_err(|error| refusal(&error))?.len();
    let layout = parse(&mut disk::Reading::of(&file), bytes).map_err(|error| refusal(&error))?;
    let format =
        layout.encoding.take_format().ok_or_else(|| refusal(&"32-bit integer samples cannot be played yet"))?;
    if limits::TAKE_CHANNEL_COUNT_MAX < usize::from(layout.channels) {
        return Err(refusal(&format_args!("{} channels; a take is mono or stereo", layout.channels)));
    }
    Ok(PlayedFile { path: Arc::clone(path), file: Arc::new(file), bytes, layout, format })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::TakeFormat;
    use crate::time::{FramePos, Frames};
    use crate::wav::header::Header;
    use crate::wav::write::{Existing, Writer};
    use crate::window::playback::{Playable, playback_windows};
    use crossbeam_channel::unbounded;
    use std::time::Instant;

    const FRAMES: usize = 480_000;

    fn reader(published: &Arc<Published>) -> (Sender<ReaderCommand>, std::thread::JoinHandle<()>) {
        reader_with(published, &Arc::default())
    }

    fn reader_with(
        published: &Arc<Published>,
        disk: &Arc<DiskPublished>,
    ) -> (Sender<ReaderCommand>, std::thread::JoinHandle<()>) {
        let (commands, receiver) = unbounded();
        let setup = ReaderSetup {
            capabilities: Capabilities::probe(&[]),
            budget: LockBudget::new(1 << 20),
            playback_share: 1 << 20,
            lead_ms: 1000,
            period_frames: 64,
            rate: SampleRate(48_000),
            published: Arc::clone(published),
            disk: Arc::clone(disk),
            ledger: Arc::new(Ledger::default()),
            commands: receiver,
            events: unbounded().0,
        };
        (commands, std::thread::spawn(move || Reader::new(setup).run()))
    }

    fn becomes(published: &Published, epoch: u32) -> bool {
        let until = Instant::now() + Duration::from_secs(10);
        while Instant::now() < until {
            if published.ready_epoch.load(Acquire) == epoch {
                return true;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        false
    }

    /// The window showed "384307168202280.8 s lead" when playback ran past the last region.
    #[test]
    fn a_track_with_nothing_left_to_play_has_no_lead() {
        let (published, disk) = (Arc::new(Published::new(0)), Arc::new(DiskPublished::default()));
        let (commands, thread) = reader_with(&published, &disk);
        let (_audio, windows) = playback_windows();
        commands
            .send(ReaderCommand::Install { slot: 0, windows, regions: Box::new(Vec::new), replaces: None })
            .unwrap();
        commands.send(ReaderCommand::Locate { path: PlayPath::default(), epoch: 1 }).unwrap();
        assert!(becomes(&published, 1));
        published.epoch.store(1, Release);
        published.stream.store(48_000, Relaxed);
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(disk.play_lead_frames.load(Relaxed), u64::MAX);
        commands.send(ReaderCommand::Quit).unwrap();
        thread.join().unwrap();
    }

    #[test]
    fn a_locate_is_not_ready_before_its_own_windows_are_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t-1.wav");
        let mut writer = Writer::create_new(&path, Header::new(1, 48_000, TakeFormat::S24), Existing::Keep).unwrap();
        writer.write_frames(&vec![0.25; FRAMES]).unwrap();
        writer.finish().unwrap();
        let published = Arc::new(Published::new(0));
        let (commands, thread) = reader(&published);
        let (mut audio, windows) = playback_windows();
        let length = Frames(FRAMES as u64);
        let edges = Edges::NONE;
        let region = PlayRegion { start: FramePos(0), length, take_start: FramePos(0), path: Arc::new(path), edges };
        let regions = Box::new(move || vec![region]);
        commands.send(ReaderCommand::Install { slot: 0, windows, regions, replaces: None }).unwrap();
        commands.send(ReaderCommand::Locate { path: PlayPath::default(), epoch: 1 }).unwrap();
        assert!(becomes(&published, 1));
        // The ring holds the windows of the first locate until the audio thread has moved on.
        std::thread::sleep(Duration::from_millis(100));
        commands.send(ReaderCommand::Locate { path: PlayPath::default(), epoch: 2 }).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(published.ready_epoch.load(Acquire), 1);
        published.epoch.store(2, Release);
        audio.advance_to(2, 0);
        assert!(becomes(&published, 2));
        assert!(matches!(audio.at(2, 0, 64), Playable::Sound { frames: 64, .. }));
        commands.send(ReaderCommand::Quit).unwrap();
        thread.join().unwrap();
    }
}
