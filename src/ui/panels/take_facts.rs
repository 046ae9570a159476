//! Facts about a take as text: length, faults and losses of the recording, file. Thread: ui.

use crate::control::recording::frames_and_time;
use crate::session::{Take, TakeState};
use crate::ui::format;
use crate::ui::theme::Theme;
use egui::{Color32, RichText, Ui};

/// Hour and minute of an RFC 3339 time: "20:14". Empty for another text.
pub fn hour(started: &str) -> String {
    let hour = started.get(11..16).filter(|hour| hour.as_bytes()[2] == b':');
    hour.unwrap_or_default().to_owned()
}

/// Length as text: "42:17" or "1:02:17".
pub fn length(take: &Take) -> String {
    let seconds = take.frames.0 / u64::from(take.rate.0.max(1));
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// Number of lost frames. The take has silence in their place.
fn lost(take: &Take) -> u64 {
    let listed = take.losses.iter().map(|loss| loss.frames.0).sum();
    take.accounts.as_ref().map_or(listed, |accounts| accounts.frames_lost.max(listed))
}

fn lost_time(take: &Take) -> String {
    format::micros(lost(take) as f64 * 1e6 / f64::from(take.rate.0.max(1)))
}

/// The quality of the recording in a few words, and its colour. Loss, xruns and a take in recording are red. A take that may
/// have silence or other sound in place of its source's, as a sound server gave it, is no good one either.
pub fn badge(take: &Take, theme: &Theme) -> (String, Color32) {
    if take.state == TakeState::Recording {
        return ("recording".to_owned(), theme.record);
    }
    if lost(take) > 0 {
        return (format!("{} lost", lost_time(take)), theme.record);
    }
    let Some(accounts) = &take.accounts else {
        return match take.state {
            TakeState::Recovered => ("recovered".to_owned(), theme.caution),
            _ if take.inputs.is_empty() => ("imported".to_owned(), theme.quiet),
            _ => ("no figures".to_owned(), theme.quiet),
        };
    };
    if !accounts.source_losses.is_empty() {
        return ("source lost".to_owned(), theme.caution);
    }
    let faults = accounts.minor_faults.saturating_add(accounts.major_faults);
    match (accounts.xruns, faults) {
        (0, 0) => ("0 faults".to_owned(), theme.good),
        (0, faults) => (counted(faults, "fault"), theme.caution),
        (xruns, _) => (counted(xruns, "xrun"), theme.record),
    }
}

fn counted(n: u64, thing: &str) -> String {
    format::count(usize::try_from(n).unwrap_or(usize::MAX), thing)
}

/// All facts, as name and value.
pub(super) fn lines(take: &Take) -> Vec<(&'static str, String)> {
    let (start, ms) = format::clock(take.place().start, take.rate);
    let mut lines = vec![("Begins at", start + &ms)];
    if take.latency.0 > 0 {
        lines.push(("Placed earlier by", frames_and_time(take.latency.0, take.rate)));
    }
    if let Some(accounts) = &take.accounts {
        if !accounts.placing.is_empty() {
            lines.push(("Placing", format!("inexact: {}", accounts.placing)));
        }
        let (minor, major) = (format::grouped(accounts.minor_faults), format::grouped(accounts.major_faults));
        lines.push(("Page faults", format!("{minor} minor, {major} major")));
        lines.push(("Xruns", format::grouped(accounts.xruns)));
        lines.push(("Worst cycle", format::micros(accounts.cycle_us_max as f64)));
        lines.push(("Capture path", accounts.capture_path.clone()));
        lines.push(("Device", accounts.device.clone()));
        lines.extend(accounts.source_losses.iter().map(|text| ("Inputs", text.clone())));
    }
    if lost(take) > 0 || take.accounts.is_some() {
        let frames = format::grouped(lost(take));
        lines.insert(
            1,
            ("Frames lost", if lost(take) > 0 { format!("{frames} ({})", lost_time(take)) } else { frames }),
        );
    }
    if !take.started.is_empty() {
        lines.push(("Recorded", take.started.get(..16).unwrap_or(&take.started).replace('T', ", ")));
    }
    lines.push(("File", take.path()));
    lines.retain(|(_, value)| !value.is_empty());
    lines
}

/// Draws the tooltip of a take: track name, all facts, and `note` last.
pub fn tooltip(ui: &mut Ui, track: &str, take: &Take, note: Option<&str>) {
    ui.label(RichText::new(format!("{track}, pass {}, {}", take.pass, length(take))).font(Theme::semi(12.5)));
    egui::Grid::new("accounts").num_columns(2).spacing([16.0, 4.0]).show(ui, |ui| {
        for (name, value) in lines(take) {
            ui.label(RichText::new(name).weak());
            ui.label(value);
            ui.end_row();
        }
    });
    if take.state == TakeState::Recovered {
        ui.label("Put together from its file and its spool after a crash.");
    }
    if let Some(note) = note {
        ui.label(RichText::new(note).weak());
    }
}
