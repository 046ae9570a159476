//! What a user has settled: kept as JSON in the configuration folder. Thread: control.

use crate::butler::capabilities::CapturePath;
use crate::control::Severity;
use crate::format::TakeFormat;
use crate::limits;
use crossbeam_channel::{Receiver, Sender, unbounded};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread::JoinHandle;

/// See the module. A field that is missing or cannot be read has its default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// The device; `None`: the best there is.
    pub device: Option<String>,
    /// Frames a second of new sessions.
    pub rate: u32,
    /// Frames of a period.
    pub period: usize,
    /// Input channels to open; `None`: all.
    pub inputs: Option<usize>,
    /// Where new sessions are made; `None`: `Faultless` in the user's music folder.
    pub sessions: Option<PathBuf>,
    /// The session that was open last.
    pub last_session: Option<PathBuf>,
    /// Where a second copy of every take is written; `None`: nowhere.
    pub mirror: Option<PathBuf>,
    /// Where takes go on when their disk is full or fails; `None`: they wait in memory.
    pub overflow: Option<PathBuf>,
    /// How new takes are stored.
    pub format: TakeFormat,
    /// Milliseconds of lead to aim at.
    pub lead_ms: u64,
    /// KiB of memory that may be locked; `None`: what the system allows, up to a default.
    pub lock_kib: Option<u64>,
    /// MiB that the spool may hold; `None`: a quarter of memory.
    pub spool_mib: Option<u64>,
    /// Where captured sound goes first.
    pub capture_path: CapturePath,
    /// Milliseconds to roll before a punch.
    pub pre_roll_ms: u64,
    /// Light or dark.
    pub theme: ThemeChoice,
    /// Magnification of the window, 1.0 for none.
    pub zoom: f32,
    /// How places of the timeline are written.
    pub time: TimeFormat,
    /// Beats a minute and beats a bar, for bars.
    pub tempo: (f32, u32),
    /// Shortcuts that differ from the defaults: action to keys.
    pub keys: BTreeMap<String, String>,
    /// Whether inputs of armed tracks are heard where a track says "auto"; `None`: with an interface of more than two
    /// inputs. A microphone beside loudspeakers would howl.
    pub monitors: Option<bool>,
    /// Whether the view goes with the playhead.
    pub follow: bool,
    /// Whether track rows are tall.
    pub tall: bool,
}

/// Light or dark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ThemeChoice {
    /// Dark.
    #[default]
    Dark,
    /// Light.
    Light,
    /// As the desktop has it.
    System,
}

/// How places of the timeline are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimeFormat {
    /// `hh:mm:ss.mmm`.
    #[default]
    Clock,
    /// Frames.
    Samples,
    /// Bars and beats.
    Bars,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            device: None,
            rate: 48_000,
            period: 64,
            inputs: None,
            sessions: None,
            last_session: None,
            mirror: None,
            overflow: None,
            format: TakeFormat::S24,
            lead_ms: crate::limits::LEAD_MS_DEFAULT,
            lock_kib: None,
            spool_mib: None,
            capture_path: CapturePath::Spool,
            pre_roll_ms: 2000,
            theme: ThemeChoice::Dark,
            zoom: 1.0,
            time: TimeFormat::Clock,
            tempo: (120.0, 4),
            keys: BTreeMap::new(),
            monitors: None,
            follow: true,
            tall: true,
        }
    }
}

impl Settings {
    /// Every value within what there is.
    #[must_use]
    pub fn clamped(mut self) -> Settings {
        self.rate = self.rate.clamp(limits::RATE_HZ_MIN, limits::RATE_HZ_MAX);
        self.period = self.period.clamp(limits::PERIOD_FRAMES_MIN, limits::PERIOD_FRAMES_MAX);
        self.inputs = self.inputs.map(|inputs| inputs.clamp(1, limits::CHANNEL_COUNT_MAX));
        self.lead_ms = self.lead_ms.clamp(20, 60_000);
        self.pre_roll_ms = self.pre_roll_ms.min(60_000);
        self.zoom = if self.zoom.is_finite() { self.zoom.clamp(0.6, 3.0) } else { 1.0 };
        self.tempo.0 = if self.tempo.0.is_finite() { self.tempo.0.clamp(20.0, 400.0) } else { 120.0 };
        self.tempo.1 = self.tempo.1.clamp(1, 32);
        self
    }
}

/// Bytes that the settings' file may have.
const BYTES_MAX: u64 = 1 << 20;

/// Where the settings are kept; a thread writes them.
pub(super) struct SettingsStore {
    saves: Option<Sender<Arc<Settings>>>,
    problems: Receiver<String>,
    waiting: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl SettingsStore {
    /// Reads them from `folder`, or the user's own configuration folder. What cannot be read is put aside, and told.
    pub(super) fn load(folder: Option<PathBuf>) -> (SettingsStore, Settings, Option<String>) {
        let folder = folder.or_else(|| dirs::config_dir().map(|config| config.join("faultless")));
        let Some(path) = folder.map(|folder| folder.join("settings.json")) else {
            return (
                SettingsStore::start(None),
                Settings::default(),
                Some("settings: there is no home to keep them in".to_owned()),
            );
        };
        let (settings, note) = match read(&path) {
            Ok(Some(settings)) => (settings, None),
            Ok(None) => (Settings::default(), None),
            Err(reason) => {
                let aside = path.with_extension("json.damaged");
                fs::rename(&path, &aside).ok();
                let note = format!(
                    "{}: {reason}; it was put aside as {} and everything is as at first",
                    path.display(),
                    aside.display()
                );
                (Settings::default(), Some(note))
            }
        };
        (SettingsStore::start(Some(path)), settings, note)
    }

    fn start(path: Option<PathBuf>) -> SettingsStore {
        let (saves, versions) = unbounded::<Arc<Settings>>();
        let (tell, problems) = unbounded();
        let waiting = Arc::new(AtomicUsize::new(0));
        let left = Arc::clone(&waiting);
        let thread = std::thread::Builder::new().name("settings".to_owned()).spawn(move || {
            while let Ok(mut settings) = versions.recv() {
                let mut taken = 1;
                while let Ok(newer) = versions.try_recv() {
                    settings = newer;
                    taken += 1;
                }
                if let Some(path) = &path
                    && let Err(error) = write(path, &settings)
                {
                    tell.send(format!("{}: cannot be saved: {error}", path.display())).ok();
                }
                left.fetch_sub(taken, SeqCst);
            }
        });
        SettingsStore { saves: Some(saves), problems, waiting, thread: thread.ok() }
    }

    /// Has them saved, soon.
    pub(super) fn save(&self, settings: &Arc<Settings>) {
        if let Some(saves) = &self.saves
            && self.thread.is_some()
        {
            self.waiting.fetch_add(1, SeqCst);
            saves.send(Arc::clone(settings)).ok();
        }
    }

    /// Whether everything is on the disk.
    pub(super) fn is_saved(&self) -> bool {
        self.waiting.load(SeqCst) == 0
    }

    /// What went wrong since the last call.
    pub(super) fn problems(&self) -> Vec<(Severity, String)> {
        self.problems.try_iter().map(|text| (Severity::Caution, text)).collect()
    }
}

impl Drop for SettingsStore {
    fn drop(&mut self) {
        self.saves = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn read(path: &Path) -> Result<Option<Settings>, String> {
    // A pipe that nobody writes to would otherwise hold the window up.
    let file = match OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    if !file.metadata().is_ok_and(|meta| meta.is_file()) {
        return Err("it is no ordinary file".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    parse(&bytes).map(Some)
}

/// Reads settings as they are kept, every value within what there is. The reason why not is one line.
pub fn parse(bytes: &[u8]) -> Result<Settings, String> {
    let told = |error: serde_json::Error| error.to_string().replace(char::is_control, "\u{fffd}");
    serde_json::from_slice(bytes).map(Settings::clamped).map_err(told)
}

fn write(path: &Path, settings: &Settings) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let new = path.with_extension("json.new");
    // What a killed program left of that name goes, whatever it is: a link would be written through.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(&new)?;
    file.write_all(&serde_json::to_vec_pretty(settings)?)?;
    file.sync_data()?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_back_as_they_were_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (kept, first, note) = SettingsStore::load(Some(folder.path().to_path_buf()));
        assert!(first == Settings::default() && note.is_none());
        let changed = Settings { period: 256, theme: ThemeChoice::Light, ..first };
        kept.save(&Arc::new(changed.clone()));
        drop(kept);
        let (_, again, note) = SettingsStore::load(Some(folder.path().to_path_buf()));
        assert!(again == changed && note.is_none());
    }

    #[test]
    fn a_damaged_file_is_put_aside_and_told() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["{\"period\": ", "[1,2]", "{\"zoom\": \"large\"}", "\u{0}\u{0}"] {
            std::fs::write(folder.path().join("settings.json"), text).unwrap();
            let (_, settings, note) = SettingsStore::load(Some(folder.path().to_path_buf()));
            assert!(settings == Settings::default() && note.is_some_and(|note| note.contains("put aside")), "{text}");
            assert_eq!(std::fs::read_to_string(folder.path().join("settings.json.damaged")).unwrap(), text);
        }
    }

    #[test]
    fn a_pipe_a_folder_or_a_device_in_the_place_of_the_file_holds_nothing_up() {
        type Make = fn(&Path);
        let kinds: [Make; 3] = [
            |path| nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap(),
            |path| fs::create_dir(path).unwrap(),
            |path| std::os::unix::fs::symlink("/dev/zero", path).unwrap(),
        ];
        for make in kinds {
            let folder = tempfile::tempdir().unwrap();
            make(&folder.path().join("settings.json"));
            let (kept, settings, note) = SettingsStore::load(Some(folder.path().to_path_buf()));
            assert!(settings == Settings::default() && note.is_some_and(|note| note.contains("no ordinary file")));
            kept.save(&Arc::new(Settings { period: 256, ..settings }));
            drop(kept);
            assert_eq!(SettingsStore::load(Some(folder.path().to_path_buf())).1.period, 256);
        }
    }

    #[test]
    fn a_link_in_the_place_of_the_new_file_is_not_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let letter = folder.path().join("letter");
        fs::write(&letter, "dear").unwrap();
        std::os::unix::fs::symlink(&letter, folder.path().join("settings.json.new")).unwrap();
        let (kept, settings, _) = SettingsStore::load(Some(folder.path().to_path_buf()));
        kept.save(&Arc::new(Settings { period: 256, ..settings }));
        drop(kept);
        assert_eq!(fs::read_to_string(letter).unwrap(), "dear");
        assert_eq!(SettingsStore::load(Some(folder.path().to_path_buf())).1.period, 256);
    }

    #[test]
    fn what_is_wrong_is_told_in_one_plain_line() {
        let reason = parse(b"{\"theme\": \"dark\\n\\u001b[2J\"}").unwrap_err();
        assert!(reason.contains("unknown variant") && !reason.contains(char::is_control), "{reason:?}");
    }

    #[test]
    fn values_out_of_range_are_brought_into_it_and_unknown_fields_are_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let text = r#"{"period": 1, "rate": 999999999, "zoom": 1e9, "tempo": [0.0, 0], "newer": true}"#;
        std::fs::write(folder.path().join("settings.json"), text).unwrap();
        let (_, settings, note) = SettingsStore::load(Some(folder.path().to_path_buf()));
        assert!(note.is_none() && settings == settings.clone().clamped() && settings.zoom == 3.0, "{settings:?}");
    }
}
