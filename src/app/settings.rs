//! The user's settings, stored as JSON in the configuration folder. Thread: control owns them; settings writes the
//! file.

use super::Wake;
use crate::butler::capabilities::CapturePath;
use crate::control::Severity;
use crate::control::recording::LATENCY_OFFSET_MAX;
use crate::format::TakeFormat;
use crate::limits;
use crate::mailbox::{Poster, mailbox};
use crossbeam_channel::{Receiver, bounded};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread::JoinHandle;

/// The user's settings. A field that is missing in the file has its default value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// The device; `None`: the best one that is present.
    pub device: Option<String>,
    /// Sample rate of new sessions, in Hz.
    pub rate: u32,
    /// Frames in a period.
    pub period: usize,
    /// Number of input channels to open; `None`: all.
    pub inputs: Option<usize>,
    /// The folder for new sessions; `None`: `Faultless` in the user's music folder.
    #[serde(with = "crate::serial::optional_path")]
    pub sessions: Option<PathBuf>,
    /// The session that was open last.
    #[serde(with = "crate::serial::optional_path")]
    pub last_session: Option<PathBuf>,
    /// The folder for a second copy of every take; `None`: no mirror.
    #[serde(with = "crate::serial::optional_path")]
    pub mirror: Option<PathBuf>,
    /// The folder in which takes continue when their disk is full or fails; `None`: their sound waits in memory.
    #[serde(with = "crate::serial::optional_path")]
    pub overflow: Option<PathBuf>,
    /// The sample format of new takes.
    pub format: TakeFormat,
    /// The lead that the butler aims at.
    pub lead_ms: u64,
    /// Memory that may be locked; `None`: the system's limit, but at most a default.
    pub lock_kib: Option<u64>,
    /// Memory that the spool may hold; `None`: a quarter of the machine's memory.
    pub spool_mib: Option<u64>,
    /// Whether captured sound goes into the spool first or directly into the file.
    pub capture_path: CapturePath,
    /// Pre-roll before a punch-in.
    pub pre_roll_ms: u64,
    pub theme: ThemeChoice,
    /// Zoom factor of the GUI; 1.0 is the normal size.
    pub zoom: f32,
    /// The format of positions on the timeline.
    pub time: TimeFormat,
    /// Tempo for [`TimeFormat::Bars`]: beats per minute, and beats per bar.
    pub tempo: (f32, u32),
    /// Shortcuts that differ from the defaults: from action to keys.
    pub keys: BTreeMap<String, String>,
    /// Whether armed tracks set to "auto" use input monitoring; `None`: only on a device with more than two inputs. A
    /// device with one or two inputs is often a laptop, whose microphone would feed back from its speakers.
    pub monitors: Option<bool>,
    /// Frames by which takes that were recorded while something played are placed earlier than the device tells, by device,
    /// rate and period ([`Control::offset_key`](crate::control::Control::offset_key)).
    pub offsets: BTreeMap<String, i64>,
    /// Whether the timeline scrolls with the playhead.
    pub follow: bool,
    /// Whether track rows are tall.
    pub tall: bool,
}

/// The colours of the GUI.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ThemeChoice {
    #[default]
    Dark,
    Light,
    /// The desktop's choice.
    System,
}

/// The format of positions on the timeline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimeFormat {
    /// A time such as `hh:mm:ss.mmm`.
    #[default]
    Clock,
    /// The number of the frame.
    Samples,
    /// Bars and beats of the tempo.
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
            offsets: BTreeMap::new(),
            follow: true,
            tall: true,
        }
    }
}

impl Settings {
    /// The settings with every number brought into its range.
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
        let most = LATENCY_OFFSET_MAX;
        self.offsets.values_mut().for_each(|offset| *offset = (*offset).clamp(-most, most));
        self
    }

    /// The offset of a device, see [`Settings::offsets`].
    pub fn offset_of(&self, key: &str) -> i64 {
        self.offsets.get(key).copied().unwrap_or(0)
    }

    /// Sets the offset of a device; 0 forgets it.
    pub(super) fn set_offset(&mut self, key: String, offset: i64) {
        match offset {
            0 => drop(self.offsets.remove(&key)),
            offset => drop(self.offsets.insert(key, offset)),
        }
    }
}

/// Reads the offset of a device from the user's settings file, see [`Settings::offsets`].
pub fn stored_offset(key: &str) -> Result<i64, String> {
    let Some(path) = user_folder().map(|folder| folder.join(FILE)) else { return Ok(0) };
    let found = read(&path).map_err(|unread| format!("{}: {}", path.display(), unread.reason()))?;
    Ok(found.map_or(0, |found| found.settings.offset_of(key)))
}

/// Writes the offset of a device into the user's settings file. The other settings stay; a file of which a part cannot be
/// read is left as it is.
pub fn store_offset(key: &str, offset: i64) -> Result<(), String> {
    let folder = user_folder().ok_or("settings: there is no home to keep them in")?;
    store_offset_in(&folder, key, offset)
}

fn store_offset_in(folder: &Path, key: &str, offset: i64) -> Result<(), String> {
    let path = folder.join(FILE);
    let named = |reason: &str| format!("{}: {reason}", path.display());
    let found = read(&path).map_err(|unread| named(unread.reason()))?.unwrap_or_default();
    if let Some(reason) = found.left_out_text() {
        return Err(named(&reason));
    }
    let mut settings = found.settings;
    settings.set_offset(key.to_owned(), offset);
    write(&path, &settings.clamped()).map_err(|error| format!("{}: cannot be saved: {error}", path.display()))
}

/// The name of the settings file.
const FILE: &str = "settings.json";

/// The name of Stop in [`Settings::keys`].
pub const STOP_KEYS: &str = "Stop";

/// The folder of the user's settings file.
pub fn user_folder() -> Option<PathBuf> {
    dirs::config_dir().map(|config| config.join("faultless"))
}

/// Limit for the size of the settings file.
const BYTES_MAX: u64 = 1 << 20;

/// Errors that may wait for control. Each is the failure of one save; where they do not fit, the older ones say enough.
const PROBLEMS_MAX: usize = 4;

/// The treatment of a settings file that holds no settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DamagedFile {
    /// The file is renamed, and the next save makes a new one. Windows use this, because the user changes settings there.
    PutAside,
    /// The file stays. `faultless record` uses this, because it only reads the file.
    Leave,
}

/// The settings file and the thread that writes it.
pub(super) struct SettingsStore {
    /// Of settings that wait, only the newest are written.
    saves: Option<Poster<(u64, Arc<Settings>)>>,
    problems: Receiver<String>,
    /// Number of the last save that was asked for.
    asked: u64,
    /// Number of the last save that the thread has handled.
    handled: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl SettingsStore {
    /// Reads the settings file in `folder`, or in the user's configuration folder. The returned text names what could not
    /// be read. `wake` is called after each save.
    ///
    /// `damaged`: what happens to a file that holds no settings. A file that cannot be opened or read may be intact: it is
    /// never renamed, and no save replaces it.
    pub(super) fn load(
        folder: Option<PathBuf>,
        damaged: DamagedFile,
        wake: Wake,
    ) -> (SettingsStore, Settings, Option<String>) {
        let folder = folder.or_else(user_folder);
        let Some(path) = folder.map(|folder| folder.join(FILE)) else {
            return (
                SettingsStore::start(None, wake),
                Settings::default(),
                Some("settings: there is no home to keep them in".to_owned()),
            );
        };
        let shown = path.display();
        match read(&path).map(Option::unwrap_or_default) {
            Ok(found) => {
                let note = found.left_out_text().map(|text| format!("{shown}: {text}"));
                (SettingsStore::start(Some(path), wake), found.settings, note)
            }
            Err(Unread::Damaged(reason)) if damaged == DamagedFile::PutAside => {
                let aside = path.with_extension("json.damaged");
                if let Err(error) = fs::rename(&path, &aside) {
                    let note = left_as_it_is(&path, &format!("{reason}; it cannot be put aside: {error}"));
                    return (SettingsStore::start(None, wake), Settings::default(), Some(note));
                }
                let aside = aside.display();
                let note = format!(
                    "{shown}: {reason}; it was put aside as {aside}, and all settings have their default values"
                );
                (SettingsStore::start(Some(path), wake), Settings::default(), Some(note))
            }
            Err(Unread::Damaged(reason) | Unread::Refused(reason)) => {
                let note = left_as_it_is(&path, &reason);
                (SettingsStore::start(None, wake), Settings::default(), Some(note))
            }
        }
    }

    fn start(path: Option<PathBuf>, wake: Wake) -> SettingsStore {
        let (saves, versions) = mailbox::<(u64, Arc<Settings>)>();
        let (sender, problems) = bounded(PROBLEMS_MAX);
        let handled = Arc::new(AtomicU64::new(0));
        let (reached, refusals) = (Arc::clone(&handled), sender.clone());
        let thread = std::thread::Builder::new()
            .name("settings".to_owned())
            .stack_size(limits::HELPER_STACK_BYTES)
            .spawn(move || {
                while let Ok((number, settings)) = versions.take(None) {
                    if let Some(path) = &path
                        && let Err(error) = write(path, &settings)
                    {
                        sender.try_send(format!("{}: cannot be saved: {error}", path.display())).ok();
                    }
                    reached.store(number, SeqCst);
                    wake();
                }
            });
        if let Err(error) = &thread {
            refusals.try_send(format!("settings thread: cannot be started: {error}; changes are not saved")).ok();
        }
        SettingsStore { saves: Some(saves), problems, asked: 0, handled, thread: thread.ok() }
    }

    /// Sends the settings to the thread, which writes them. Does not wait.
    pub(super) fn save(&mut self, settings: &Arc<Settings>) {
        if let Some(saves) = &self.saves
            && saves.post((self.asked + 1, Arc::clone(settings)))
        {
            self.asked += 1;
        }
    }

    /// Whether the thread has handled all settings that it was sent. A thread that has ended handles no more.
    pub(super) fn is_saved(&self) -> bool {
        self.asked <= self.handled.load(SeqCst) || self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// The errors since the last call.
    pub(super) fn problems(&self) -> Vec<(Severity, String)> {
        self.problems.try_iter().map(|text| (Severity::Caution, text)).collect()
    }
}

/// The note about a settings file that is not read and that no save replaces.
fn left_as_it_is(path: &Path, reason: &str) -> String {
    let shown = path.display();
    format!(
        "{shown}: {reason}; all settings have their default values, and changes are not saved; repair or remove the file"
    )
}

impl Drop for SettingsStore {
    fn drop(&mut self) {
        self.saves = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// The reason why a settings file gives no settings.
#[derive(Debug)]
enum Unread {
    /// It holds something else.
    Damaged(String),
    /// The system does not open or read it now. It may be intact.
    Refused(String),
}

impl Unread {
    fn reason(&self) -> &str {
        let (Unread::Damaged(reason) | Unread::Refused(reason)) = self;
        reason
    }
}

/// Settings as a file holds them.
#[derive(Debug, Default)]
pub struct Parsed {
    pub settings: Settings,
    /// A line for each field that is unknown or has a value that cannot be used.
    pub left_out: Vec<String>,
}

impl Parsed {
    /// A sentence about the fields that were left out. `None`: there are none.
    fn left_out_text(&self) -> Option<String> {
        let shown = self.left_out.iter().take(LEFT_OUT_SHOWN).map(String::as_str).collect::<Vec<_>>().join("; ");
        let more = self.left_out.len().saturating_sub(LEFT_OUT_SHOWN);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        (!shown.is_empty()).then(|| format!("{shown}{more}; the other settings count"))
    }
}

/// Fields that a sentence about the settings file names.
const LEFT_OUT_SHOWN: usize = 3;

/// Letters of a line about one field.
const LEFT_OUT_LETTERS: usize = 160;

fn read(path: &Path) -> Result<Option<Parsed>, Unread> {
    // Without O_NONBLOCK, opening a pipe without a writer would block the start of the program.
    let file = match OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Unread::Refused(error.to_string())),
    };
    let refused = |error: io::Error| Unread::Refused(error.to_string());
    if !file.metadata().map_err(refused)?.is_file() {
        return Err(Unread::Damaged("it is no ordinary file".to_owned()));
    }
    let mut bytes = Vec::new();
    file.take(BYTES_MAX).read_to_end(&mut bytes).map_err(refused)?;
    parse(&bytes).map(Some).map_err(Unread::Damaged)
}

/// Parses the settings file and brings every number into its range. A field that is unknown, or whose value cannot be used,
/// costs only itself. Each text is one line without control characters.
pub fn parse(bytes: &[u8]) -> Result<Parsed, String> {
    let one_line = |text: &str| {
        let text: String = text.chars().take(LEFT_OUT_LETTERS).collect();
        text.replace(char::is_control, "\u{fffd}")
    };
    let fields: Map<String, Value> = serde_json::from_slice(bytes).map_err(|error| one_line(&error.to_string()))?;
    let known = serde_json::to_value(Settings::default()).unwrap_or_default();
    let (mut usable, mut left_out) = (Map::new(), Vec::new());
    for (name, value) in fields {
        let alone = Map::from_iter([(name.clone(), value.clone())]);
        if known.get(&name).is_none() {
            left_out.push(one_line(&format!("'{name}' is an unknown setting")));
        } else if let Err(error) = serde_json::from_value::<Settings>(Value::Object(alone)) {
            left_out.push(one_line(&format!("'{name}' cannot be used: {error}")));
        } else {
            usable.insert(name, value);
        }
    }
    let settings = serde_json::from_value::<Settings>(Value::Object(usable));
    let settings = settings.map_err(|error| one_line(&error.to_string()))?.clamped();
    Ok(Parsed { settings, left_out })
}

/// The device that the user chose last in the window. `None` without a settings file that can be read.
pub fn last_device() -> Option<String> {
    let file = dirs::config_dir()?.join("faultless").join("settings.json");
    read(&file).ok()??.settings.device
}

fn write(path: &Path, settings: &Settings) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let new = path.with_extension("json.new");
    // Remove a leftover of that name, whatever it is. Writing through a symlink would change another file.
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
mod tests;
