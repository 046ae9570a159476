//! Changes of single settings. Thread: the front end makes them, control applies them.
//!
//! The front end sends what the user changed, and not all settings: it draws a state that may be one picture old, and a
//! change must not undo another one that it has not seen yet.

use super::settings::{Settings, ThemeChoice, TimeFormat};
use crate::butler::capabilities::CapturePath;
use crate::format::TakeFormat;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A change of one setting. [`Settings`] says what each means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum SettingsChange {
    Device(Option<String>),
    Rate(u32),
    Period(usize),
    Inputs(Option<usize>),
    Sessions(#[serde(with = "crate::serial::optional_path")] Option<PathBuf>),
    LastSession(#[serde(with = "crate::serial::optional_path")] Option<PathBuf>),
    Mirror(#[serde(with = "crate::serial::optional_path")] Option<PathBuf>),
    Overflow(#[serde(with = "crate::serial::optional_path")] Option<PathBuf>),
    Format(TakeFormat),
    LeadMs(u64),
    LockKib(Option<u64>),
    SpoolMib(Option<u64>),
    CapturePath(CapturePath),
    PreRollMs(u64),
    Theme(ThemeChoice),
    Zoom(f32),
    Time(TimeFormat),
    /// Beats per minute.
    Tempo(f32),
    BeatsInBar(u32),
    /// The keys of one action; `None`: its default keys.
    Keys {
        action: String,
        keys: Option<String>,
    },
    /// The offset of one device.
    Offset {
        key: String,
        offset: i64,
    },
    Monitors(Option<bool>),
    Follow(bool),
    Tall(bool),
}

impl Settings {
    /// Applies a change.
    pub fn apply(&mut self, change: SettingsChange) {
        match change {
            SettingsChange::Device(device) => self.device = device,
            SettingsChange::Rate(rate) => self.rate = rate,
            SettingsChange::Period(period) => self.period = period,
            SettingsChange::Inputs(inputs) => self.inputs = inputs,
            SettingsChange::Sessions(sessions) => self.sessions = sessions,
            SettingsChange::LastSession(session) => self.last_session = session,
            SettingsChange::Mirror(mirror) => self.mirror = mirror,
            SettingsChange::Overflow(overflow) => self.overflow = overflow,
            SettingsChange::Format(format) => self.format = format,
            SettingsChange::LeadMs(lead_ms) => self.lead_ms = lead_ms,
            SettingsChange::LockKib(lock_kib) => self.lock_kib = lock_kib,
            SettingsChange::SpoolMib(spool_mib) => self.spool_mib = spool_mib,
            SettingsChange::CapturePath(path) => self.capture_path = path,
            SettingsChange::PreRollMs(pre_roll_ms) => self.pre_roll_ms = pre_roll_ms,
            SettingsChange::Theme(theme) => self.theme = theme,
            SettingsChange::Zoom(zoom) => self.zoom = zoom,
            SettingsChange::Time(time) => self.time = time,
            SettingsChange::Tempo(tempo) => self.tempo.0 = tempo,
            SettingsChange::BeatsInBar(beats) => self.tempo.1 = beats,
            SettingsChange::Keys { action, keys: Some(keys) } => drop(self.keys.insert(action, keys)),
            SettingsChange::Keys { action, keys: None } => drop(self.keys.remove(&action)),
            SettingsChange::Offset { key, offset } => self.set_offset(key, offset),
            SettingsChange::Monitors(monitors) => self.monitors = monitors,
            SettingsChange::Follow(follow) => self.follow = follow,
            SettingsChange::Tall(tall) => self.tall = tall,
        }
    }

    /// The changes that make these settings of `before`.
    pub fn changes_since(&self, before: &Settings) -> Vec<SettingsChange> {
        // Without `..`, so that a new setting does not compile until it is compared here.
        let Settings {
            device,
            rate,
            period,
            inputs,
            sessions,
            last_session,
            mirror,
            overflow,
            format,
            lead_ms,
            lock_kib,
            spool_mib,
            capture_path,
            pre_roll_ms,
            theme,
            zoom,
            time,
            tempo: (tempo, beats),
            keys,
            monitors,
            offsets,
            follow,
            tall,
        } = self;
        let mut changes = vec![
            (*device != before.device).then(|| SettingsChange::Device(device.clone())),
            (*rate != before.rate).then_some(SettingsChange::Rate(*rate)),
            (*period != before.period).then_some(SettingsChange::Period(*period)),
            (*inputs != before.inputs).then_some(SettingsChange::Inputs(*inputs)),
            (*sessions != before.sessions).then(|| SettingsChange::Sessions(sessions.clone())),
            (*last_session != before.last_session).then(|| SettingsChange::LastSession(last_session.clone())),
            (*mirror != before.mirror).then(|| SettingsChange::Mirror(mirror.clone())),
            (*overflow != before.overflow).then(|| SettingsChange::Overflow(overflow.clone())),
            (*format != before.format).then_some(SettingsChange::Format(*format)),
            (*lead_ms != before.lead_ms).then_some(SettingsChange::LeadMs(*lead_ms)),
            (*lock_kib != before.lock_kib).then_some(SettingsChange::LockKib(*lock_kib)),
            (*spool_mib != before.spool_mib).then_some(SettingsChange::SpoolMib(*spool_mib)),
            (*capture_path != before.capture_path).then_some(SettingsChange::CapturePath(*capture_path)),
            (*pre_roll_ms != before.pre_roll_ms).then_some(SettingsChange::PreRollMs(*pre_roll_ms)),
            (*theme != before.theme).then_some(SettingsChange::Theme(*theme)),
            (*zoom != before.zoom).then_some(SettingsChange::Zoom(*zoom)),
            (*time != before.time).then_some(SettingsChange::Time(*time)),
            (*tempo != before.tempo.0).then_some(SettingsChange::Tempo(*tempo)),
            (*beats != before.tempo.1).then_some(SettingsChange::BeatsInBar(*beats)),
            (*monitors != before.monitors).then_some(SettingsChange::Monitors(*monitors)),
            (*follow != before.follow).then_some(SettingsChange::Follow(*follow)),
            (*tall != before.tall).then_some(SettingsChange::Tall(*tall)),
        ];
        let actions = keys.keys().chain(before.keys.keys().filter(|action| !keys.contains_key(*action)));
        changes.extend(actions.map(|action| {
            let now = keys.get(action);
            let change = || SettingsChange::Keys { action: action.clone(), keys: now.cloned() };
            (now != before.keys.get(action)).then(change)
        }));
        let devices = offsets.keys().chain(before.offsets.keys().filter(|key| !offsets.contains_key(*key)));
        changes.extend(devices.map(|key| {
            let offset = self.offset_of(key);
            let change = || SettingsChange::Offset { key: key.clone(), offset };
            (offset != before.offset_of(key)).then(change)
        }));
        changes.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_changes_that_were_made_from_one_picture_both_survive() {
        let shown = Settings { keys: [("Mark".to_owned(), "M".to_owned())].into(), ..Settings::default() };
        let other = |change: fn(&mut Settings)| {
            let mut changed = shown.clone();
            change(&mut changed);
            changed.changes_since(&shown)
        };
        let first = other(|settings| {
            (settings.period, settings.tempo.0) = (256, 90.0);
            settings.keys.insert("Stop".to_owned(), "X".to_owned());
        });
        let second = other(|settings| {
            (settings.theme, settings.tempo.1) = (ThemeChoice::Light, 3);
            settings.keys.remove("Mark");
        });
        let mut settings = shown.clone();
        for change in first.into_iter().chain(second) {
            settings.apply(change);
        }
        let keys = [("Stop".to_owned(), "X".to_owned())].into();
        let wanted = Settings { period: 256, tempo: (90.0, 3), theme: ThemeChoice::Light, keys, ..shown };
        assert_eq!(settings, wanted);
    }

    #[test]
    fn every_setting_is_among_the_changes() {
        let text = r#"{"device": "virtual", "rate": 96000, "period": 256, "inputs": 3, "sessions": "/s",
            "last_session": "/l", "mirror": "/m", "overflow": "/o", "format": "f32", "lead_ms": 500, "lock_kib": 64,
            "spool_mib": 99, "capture_path": "in-place", "pre_roll_ms": 1, "theme": "light", "zoom": 2.0,
            "time": "bars", "tempo": [90.0, 3], "keys": {"Stop": "X"}, "monitors": true, "follow": false,
            "tall": false, "offsets": {"virtual, 48000 Hz, 64 frames": -72}}"#;
        let other = super::super::settings::parse(text.as_bytes()).unwrap().settings;
        let changes = other.changes_since(&Settings::default());
        assert_eq!(changes.len(), 24);
        let mut settings = Settings::default();
        for change in changes {
            settings.apply(change);
        }
        assert_eq!(settings, other);
        assert!(other.changes_since(&other).is_empty());
    }
}
