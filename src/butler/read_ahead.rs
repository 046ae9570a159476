//! The read-ahead: makes playback windows ahead of the playhead, and collects played windows behind it. Thread:
//! read-ahead. It waits for disk reads in place of the audio thread.
//!
//! It maps the next windows of a track early ([`UPCOMING_WINDOWS`]) and asks the disk for them. It populates, locks and
//! hands over a window when its pages have arrived, so that one slow track does not delay the others. A read-only
//! mapping needs no more than `mlock`: the kernel neither takes its pages back nor write-protects them.

use super::capabilities::Capabilities;
use super::plan::{self, Lead, PlaySpan, Share};
use super::played_file::{PlayedFile, open_file, refusal};
use crate::host::{self, disk};
use crate::limits;
use crate::message::disk::{DiskEvent, ReaderCommand};
use crate::message::published::Published;
use crate::message::stats::DiskPublished;
use crate::message::{PlayFile, PlayPath, PlayRegion};
use crate::residency::ledger::{Ledger, SlotLedger, SlotSpan};
use crate::time::{FramePos, Frames, SampleRate};
use crate::window::budget::LockBudget;
use crate::window::playback::{PlaybackWindow, ReaderPlaybackWindows};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
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
    pub playback_share: Share,
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

struct Track {
    slot: usize,
    entry: Arc<SlotLedger>,
    windows: ReaderPlaybackWindows,
    /// `replaces` of the command that installed the player.
    install: Option<u64>,
    regions: Vec<PlayRegion>,
    /// The file of each region. `None`: it is not played.
    files: Vec<Option<Arc<PlayedFile>>>,
    /// Bytes of the widest frame of its files.
    frame_bytes_max: usize,
    /// The key to answer with when the first windows are filled, or at a locate before that.
    announces: Option<u64>,
    /// Whether another player of the same slot is going to replace this one, or the slot is removed.
    is_leaving: bool,
    upcoming: VecDeque<Upcoming>,
    /// Stream frame from which on nothing is mapped.
    next: u64,
    /// Stream frame up to which everything is handed over.
    supplied: u64,
    /// Windows handed over since the last locate. The ring may still contain windows of the locate before.
    handed_over: usize,
    /// The reason why a window could not be mapped, and the rest of its region, until it is reported. Only the first one
    /// of a track is.
    trouble: Option<(String, Range<FramePos>)>,
    trouble_reported: bool,
}

/// A file in a list of regions, and the parts of the timeline for which it has no sound.
struct ListedFile {
    file: Arc<PlayFile>,
    /// The open file, or why it is not played.
    played: Result<Arc<PlayedFile>, String>,
    /// The frame up to which the regions that are silent in part play it.
    needed: u64,
    silent: Vec<Range<FramePos>>,
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
                    Some(_) => self.leave(slot),
                }
                let track = self.new_track(slot, windows, regions(), replaces);
                self.tracks.push(track);
            }
            ReaderCommand::Remove { slot } => self.leave(slot),
            ReaderCommand::Locate { path, epoch } => {
                (self.path, self.epoch) = (path, epoch);
                for track in &mut self.tracks {
                    track.upcoming.clear();
                    (track.next, track.supplied, track.handed_over) = (0, 0, 0);
                    track.windows.supplied_until(epoch, 0);
                    // Its ring may have windows of the locate before, which only the audio thread can take out.
                    track.announce(&self.setup.events);
                }
            }
            ReaderCommand::Quit => {}
        }
    }

    /// Supplies the players of a slot only as long as the audio thread's end of them is there.
    fn leave(&mut self, slot: usize) {
        for track in self.tracks.iter_mut().filter(|track| track.slot == slot) {
            track.is_leaving = true;
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
        let files = self.open_files(slot, announces, &regions);
        Track {
            slot,
            entry: self.setup.ledger.slot(slot, self.setup.rate.0),
            windows,
            install: announces,
            regions,
            frame_bytes_max: files.iter().flatten().map(|file| file.layout.frame_bytes()).max().unwrap_or(4),
            files,
            announces,
            is_leaving: false,
            upcoming: VecDeque::new(),
            next: self.stream(),
            supplied: 0,
            handed_over: 0,
            trouble: None,
            trouble_reported: false,
        }
    }

    /// The files of regions, each opened once. Reports each file that does not have the sound that its regions play.
    fn open_files(
        &mut self,
        slot: usize,
        install: Option<u64>,
        regions: &[PlayRegion],
    ) -> Vec<Option<Arc<PlayedFile>>> {
        if self.files.len() > 2 * self.open_file_count + regions.len() {
            self.files.retain(|_, file| file.strong_count() > 0);
            self.open_file_count = self.files.len();
        }
        let mut opened = Vec::with_capacity(regions.len());
        let mut listed: Vec<ListedFile> = Vec::new();
        let mut places: HashMap<Arc<PathBuf>, usize> = HashMap::new();
        for region in regions {
            let place = *places.entry(Arc::clone(&region.file.path)).or_insert(listed.len());
            if place == listed.len() {
                let file = Arc::clone(&region.file);
                listed.push(ListedFile { played: self.open(&file), file, needed: 0, silent: Vec::new() });
            }
            let file = &mut listed[place];
            let frames = file.played.as_ref().map_or(0, |played| played.layout.frames);
            let needed = (region.take_start + region.length).0;
            if frames < needed {
                file.needed = file.needed.max(needed);
                let heard = Frames(frames.saturating_sub(region.take_start.0));
                file.silent.push(region.start + heard..region.start + region.length);
            }
            opened.push(file.played.as_ref().ok().cloned());
        }
        for ListedFile { file, played, needed, silent } in listed {
            let found = played.and_then(|played| {
                let checked = file.sound.length_check(played.layout.frames, needed);
                checked.map_err(|defect| refusal(&file, &defect))
            });
            if let Err(reason) = found {
                host::send(&self.setup.events, DiskEvent::PlaybackTrouble { slot, install, reason, silent }).ok();
            }
        }
        opened
    }

    /// The file of a take, if it has the take's sound. A file that another track plays is open already.
    fn open(&mut self, file: &PlayFile) -> Result<Arc<PlayedFile>, String> {
        file.sound.rate_check(self.setup.rate.0).map_err(|defect| refusal(file, &defect))?;
        if let Some(open) = self.files.get(&file.path).and_then(Weak::upgrade) {
            file.sound.layout_check(&open.layout).map_err(|defect| refusal(file, &defect))?;
            return Ok(open);
        }
        let new = Arc::new(open_file(file)?);
        self.files.insert(Arc::clone(&file.path), Arc::downgrade(&new));
        Ok(new)
    }

    fn tick(&mut self) {
        let stream = self.stream();
        let lead = self.lead();
        let lead_frames = self.setup.rate.frames(Duration::from_millis(self.setup.lead_ms)).0;
        let (mut least, mut ready) = (u64::MAX, true);
        // The audio thread has given the other end back, and control has dropped it.
        self.tracks.retain(|track| !(track.is_leaving && track.windows.ring.is_abandoned()));
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
            if let Some((reason, silent)) =
                track.trouble.take().filter(|_| !std::mem::replace(&mut track.trouble_reported, true))
            {
                let (slot, install, silent) = (track.slot, track.install, vec![silent]);
                host::send(&self.setup.events, DiskEvent::PlaybackTrouble { slot, install, reason, silent }).ok();
            }
            track.hand_over(&self.setup, self.epoch, lead.windows);
            let ahead = track.supplied.saturating_sub(stream);
            // A player that is not in use yet has no lead to speak of, and neither has one that has played its last region.
            least = if track.announces.is_some() || track.supplied == u64::MAX { least } else { least.min(ahead) };
            let track_ready =
                limits::LEAD_WINDOWS_MIN <= track.handed_over || lead_frames <= ahead || track.has_nothing_left();
            if track_ready {
                track.announce(&self.setup.events);
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
        let count = self.tracks.iter().filter(|track| !track.is_leaving).count();
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
                    let edges = edges.between_jumps(path.since_jump(self.next), path.straight(self.next));
                    let mapped = take.as_ref().and_then(|take| {
                        match take.window(take_frame, frames, window_bytes, epoch, self.next) {
                            Ok(window) => window.map(|(window, span)| (PlaybackWindow { edges, ..window }, span)),
                            Err(error) => {
                                let reason = format!("cannot map it into memory: {error}");
                                let from = region.start + Frames(take_frame.saturating_sub(region.take_start.0));
                                self.trouble =
                                    Some((refusal(&region.file, &reason), from..region.start + region.length));
                                None
                            }
                        }
                    });
                    match mapped {
                        Some(window) => Upcoming { end: self.next + window.0.frames, window: Some(window), ticks: 0 },
                        // The file does not have these frames: silence. `open_files` has reported it, unless the take is
                        // being recorded.
                        None => {
                            let window_frames = window_bytes as u64 / self.frame_bytes_max as u64;
                            Upcoming { window: None, end: self.next + frames.min(window_frames.max(1)), ticks: 0 }
                        }
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

    /// Tells control that the audio thread can have a player that replaces another one, if that is still to be told.
    fn announce(&mut self, events: &Sender<DiskEvent>) {
        if let Some(key) = self.announces.take() {
            host::send(events, DiskEvent::PlayerReady { slot: self.slot, key }).ok();
        }
    }

    /// Whether the track has no more windows to come.
    fn has_nothing_left(&self) -> bool {
        self.upcoming.is_empty() && self.supplied == self.next && self.next == u64::MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::TakeFormat;
    use crate::wav::header::Header;
    use crate::wav::take_sound::{TakeProgress, TakeSound};
    use crate::wav::write::{Existing, Writer};
    use crate::window::playback::{Edges, Playable, playback_windows};
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
        let setup = setup(published, disk, receiver, unbounded().0);
        (commands, std::thread::spawn(move || Reader::new(setup).run()))
    }

    fn setup(
        published: &Arc<Published>,
        disk: &Arc<DiskPublished>,
        commands: Receiver<ReaderCommand>,
        events: Sender<DiskEvent>,
    ) -> ReaderSetup {
        ReaderSetup {
            capabilities: Capabilities::probe(&[]),
            budget: LockBudget::new(1 << 20),
            playback_share: plan::playback_share(3 << 20),
            lead_ms: 1000,
            period_frames: 64,
            rate: SampleRate(48_000),
            published: Arc::clone(published),
            disk: Arc::clone(disk),
            ledger: Arc::new(Ledger::default()),
            commands,
            events,
        }
    }

    /// A take of [`FRAMES`] frames as one region at the start of the timeline.
    fn region_of_file(folder: &std::path::Path, progress: TakeProgress) -> PlayRegion {
        let path = folder.join("t-1.wav");
        let format = TakeFormat::S24;
        let mut writer = Writer::create_new(&path, Header::new(1, 48_000, format), Existing::Keep).unwrap();
        writer.write_frames(&vec![0.25; FRAMES]).unwrap();
        writer.finish().unwrap();
        let sound = TakeSound { channels: 1, rate: 48_000, format, progress };
        let file = Arc::new(PlayFile { path: Arc::new(path), earlier_path: folder.join("trash/t-1.wav"), sound });
        let length = Frames(FRAMES as u64);
        PlayRegion { start: FramePos(0), length, take_start: FramePos(0), file, edges: Edges::NONE }
    }

    /// The events of opening the files of `regions`.
    fn told_of(regions: &[PlayRegion]) -> Vec<(String, Vec<Range<FramePos>>)> {
        let (sender, events) = unbounded();
        let (published, disk) = (Arc::new(Published::new(0)), Arc::new(DiskPublished::default()));
        Reader::new(setup(&published, &disk, unbounded().1, sender)).open_files(0, None, regions);
        let told = events.try_iter().filter_map(|event| match event {
            DiskEvent::PlaybackTrouble { reason, silent, .. } => Some((reason, silent)),
            _ => None,
        });
        told.collect()
    }

    /// A file that was cut short was silence, and nothing was said.
    #[test]
    fn a_file_that_is_too_short_is_named_once_with_the_places_that_it_leaves_silent() {
        let folder = tempfile::tempdir().unwrap();
        let whole = region_of_file(folder.path(), TakeProgress::Finished);
        assert!(told_of(std::slice::from_ref(&whole)).is_empty());
        let file = std::fs::File::options().write(true).open(&*whole.file.path).unwrap();
        file.set_len(4096 + 3 * 1000).unwrap();
        let region = |start, take_start, length| PlayRegion {
            start: FramePos(start),
            take_start: FramePos(take_start),
            length: Frames(length),
            ..whole.clone()
        };
        let regions = [region(0, 0, 1000), region(5000, 900, 200), region(9000, 4000, 50)];
        let told = told_of(&regions);
        let [(reason, silent)] = told.as_slice() else { panic!("{told:?}") };
        assert!(reason.contains("the file ends at frame 1000, and the session plays it up to frame 4050"), "{reason}");
        assert_eq!(*silent, [FramePos(5100)..FramePos(5200), FramePos(9000)..FramePos(9050)]);
        for (progress, words) in [(TakeProgress::CutOff, Some("not finished; ")), (TakeProgress::BeingRecorded, None)] {
            let sound = TakeSound { progress, ..whole.file.sound };
            let file = Arc::new(PlayFile { sound, ..(*whole.file).clone() });
            let told = told_of(&regions.clone().map(|region| PlayRegion { file: Arc::clone(&file), ..region }));
            assert_eq!(told.len(), usize::from(words.is_some()), "{told:?}");
            assert!(told.iter().all(|(reason, _)| words.is_some_and(|words| reason.contains(words))), "{told:?}");
        }
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
        let region = region_of_file(folder.path(), TakeProgress::Finished);
        let published = Arc::new(Published::new(0));
        let (commands, thread) = reader(&published);
        let (mut audio, windows) = playback_windows();
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

    /// Play and Record waited for good: the old window filled the place of the new ones, and nobody could take it out.
    #[test]
    fn a_locate_announces_a_replacing_player_that_is_filled_in_part_and_waits_for_its_new_windows() {
        let folder = tempfile::tempdir().unwrap();
        let region = region_of_file(folder.path(), TakeProgress::Finished);
        let (published, (sender, events)) = (Arc::new(Published::new(0)), unbounded());
        let share = plan::Share { bytes: 190_000, mappings: 1_000 };
        let setup = setup(&published, &Arc::default(), unbounded().1, sender);
        let mut reader = Reader::new(ReaderSetup { playback_share: share, ..setup });
        let lead = reader.lead();
        assert_eq!(lead.windows, limits::LEAD_WINDOWS_MIN);
        let (mut audio, windows) = playback_windows();
        let regions = Box::new(move || vec![region]);
        reader.apply(ReaderCommand::Install { slot: 0, windows, regions, replaces: Some(7) });
        reader.tracks[0].map_ahead(&PlayPath::default(), 0, lead.window_bytes, FRAMES as u64);
        while reader.tracks[0].handed_over == 0 {
            reader.tracks[0].hand_over(&reader.setup, 0, 1);
        }
        reader.apply(ReaderCommand::Locate { path: PlayPath::default(), epoch: 1 });
        (0..10).for_each(|_| reader.tick());
        assert!(matches!(events.try_recv(), Ok(DiskEvent::PlayerReady { slot: 0, key: 7 })));
        assert_eq!(published.ready_epoch.load(Acquire), 0);
        assert!(matches!(audio.at(0, FRAMES as u64, 64), Playable::Silence { .. }), "left, and no dropout");
        audio.advance_to(1, 0);
        (0..10).for_each(|_| reader.tick());
        assert_eq!((published.ready_epoch.load(Acquire), events.try_iter().count()), (1, 0));
    }
}
