//! What a user has settled: kept as JSON in the configuration folder. Thread: control.

use crate::butler::means::CapturePath;
use crate::format::TakeFormat;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

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
            follow: true,
            tall: true,
        }
    }
}
