//! The events panel: events of this start, the latest first, and below them events of earlier starts. If the session
//! cannot be opened, the panel also offers its kept versions. Thread: ui.

use crate::app::command::Command;
use crate::app::snapshot::{EventEntry, Stage};
use crate::control::Severity;
use crate::session::session_file::KeptVersion;
use crate::ui::format;
use crate::ui::health_line;
use crate::ui::panel_context::PanelContext;
use crate::ui::save_report::ReportSaver;
use crate::ui::theme::{GRID, Theme};
use crate::ui::widget::{Button, Look, card, elided, text_at};
use egui::{Align, Align2, Layout, Margin, Rect, Role, ScrollArea, Sense, Ui, WidgetInfo, pos2, vec2};
use std::time::SystemTime;

/// Height of the row of filters, in points.
const HEAD: f32 = 26.0;

/// Height of the card of a kept version, in points.
const VERSION: f32 = 40.0;

/// Width in points from which the filters and the buttons for all events are in one line.
const ONE_LINE: f32 = 640.0;

/// Left edge of an event's text, in points. Sign and time are left of it.
const TEXT_FROM: f32 = 126.0;

/// The events that the panel shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Filter {
    #[default]
    All,
    Cautions,
    Losses,
}

const FILTERS: [(Filter, &str); 3] = [(Filter::All, "All"), (Filter::Cautions, "Cautions"), (Filter::Losses, "Losses")];

impl Filter {
    fn accepts(self, event: &EventEntry) -> bool {
        match self {
            Filter::All => true,
            Filter::Cautions => event.severity == Severity::Caution,
            Filter::Losses => event.severity == Severity::Loss,
        }
    }

    fn empty_text(self) -> &'static str {
        match self {
            Filter::All => "Nothing has happened that you need to know of.",
            Filter::Cautions => "No cautions: there was always margin enough.",
            Filter::Losses => "No losses: every sound that came in was kept.",
        }
    }
}

/// State that the panel keeps between pictures.
#[derive(Default)]
pub struct EventsState {
    filter: Filter,
    saver: ReportSaver,
}

/// Draws the panel into the rest of `ui`.
pub fn show(ui: &mut Ui, state: &mut EventsState, context: &mut PanelContext<'_>) {
    egui::Frame::new().inner_margin(Margin { left: 16, right: 16, top: 16, bottom: 8 }).show(ui, |ui| {
        head(ui, state, context);
        ui.add_space(GRID - ui.spacing().item_spacing.y);
        ScrollArea::vertical().id_salt("events").auto_shrink(false).show(ui, |ui| {
            if let Stage::NoSession { reason, versions } = &context.snapshot.stage
                && !versions.is_empty()
            {
                kept_versions(ui, reason, versions, context);
            }
            list(ui, state.filter, context);
        });
    });
}

/// Draws the filters at the left, and buttons for all events at the right. In a narrow panel they follow one another, in
/// as many lines as they need.
fn head(ui: &mut Ui, state: &mut EventsState, context: &mut PanelContext<'_>) {
    if ui.available_width() < ONE_LINE {
        ui.horizontal_wrapped(|ui| {
            filters(ui, state, context);
            buttons(ui, state, context);
            if let Some(text) = state.saver.result() {
                ui.label(egui::RichText::new(text).font(Theme::font(11.5)).color(context.theme.quiet));
            }
        });
        return;
    }
    ui.allocate_ui_with_layout(vec2(ui.available_width(), HEAD), Layout::left_to_right(Align::Center), |ui| {
        filters(ui, state, context);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            buttons(ui, state, context);
            if let Some(text) = state.saver.result() {
                let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), HEAD), Sense::hover());
                response.widget_info(|| WidgetInfo::labeled(Role::Label, true, text.clone()));
                let at = rect.right_center();
                text_at(ui, at, Align2::RIGHT_CENTER, &text, Theme::font(11.5), context.theme.quiet, rect.width());
                response.on_hover_text(text);
            }
        });
    });
}

fn filters(ui: &mut Ui, state: &mut EventsState, context: &PanelContext<'_>) {
    let (notices, earlier) = (&context.snapshot.notices, &context.snapshot.earlier);
    for (filter, name) in FILTERS {
        let number = notices.iter().chain(earlier.iter()).filter(|event| filter.accepts(event)).count();
        let text = format!("{name}  {number}");
        let button = Button::text(name, &text).size(64.0, HEAD).on(state.filter == filter);
        if button.show(ui, context.theme).clicked() {
            state.filter = filter;
        }
    }
}

/// The buttons for all events, the most important one first.
fn buttons(ui: &mut Ui, state: &mut EventsState, context: &mut PanelContext<'_>) {
    let (notices, earlier) = (&context.snapshot.notices, &context.snapshot.earlier);
    let unseen = notices.iter().any(|event| !event.seen);
    let button = Button::text("Acknowledge", "Acknowledge").size(0.0, HEAD).enabled(unseen);
    if button.tip("Forget the alarm: events, clip lamps and losses were seen").show(ui, context.theme).clicked() {
        context.send(Command::Acknowledge);
    }
    let button = Button::text("Copy all", "Copy all").look(Look::Quiet).size(0.0, HEAD);
    let tip = "Every event as text, the latest first, to the clipboard";
    if button.enabled(notices.len() + earlier.len() > 0).tip(tip).show(ui, context.theme).clicked() {
        ui.copy_text(as_text(notices.iter().rev().chain(earlier.iter().rev())));
    }
    let button = Button::text("Save report", "Save report").look(Look::Quiet).size(0.0, HEAD);
    let tip = "Save events, figures, takes and the last minute of residency as one file, in the session's folder \
        'reports'";
    let open = matches!(context.snapshot.stage, Stage::Open | Stage::ReadOnly(_));
    if button.enabled(open).tip(tip).show(ui, context.theme).clicked() {
        state.saver.start(ui, context, None);
    }
}

/// The events as text, one line for each.
fn as_text<'a>(events: impl Iterator<Item = &'a EventEntry>) -> String {
    let lines: Vec<String> =
        events.map(|event| format!("{}  {}  {}", event.clock, severity_name(event.severity), event.text)).collect();
    lines.join("\n")
}

fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "Note",
        Severity::Caution => "Caution",
        Severity::Loss => "Loss",
    }
}

/// Draws the events that the filter accepts.
fn list(ui: &mut Ui, filter: Filter, context: &PanelContext<'_>) {
    ui.spacing_mut().item_spacing.y = 0.0;
    let accepted = |all: &'_ [EventEntry]| {
        all.iter().rev().filter(|event| filter.accepts(event)).cloned().collect::<Vec<EventEntry>>()
    };
    let (now, earlier) = (accepted(&context.snapshot.notices), accepted(&context.snapshot.earlier));
    if now.is_empty() && earlier.is_empty() {
        ui.add_space(GRID * 3.0);
        ui.vertical_centered(|ui| ui.label(egui::RichText::new(filter.empty_text()).color(context.theme.quiet)));
        return;
    }
    for event in &now {
        row(ui, event, context);
    }
    if !earlier.is_empty() {
        ui.add_space(GRID);
        ui.label(egui::RichText::new("Earlier").font(Theme::semi(12.5)).color(context.theme.text));
        ui.add_space(GRID / 2.0);
    }
    for event in &earlier {
        row(ui, event, context);
    }
}

/// Draws sign, time and text of an event.
fn row(ui: &mut Ui, event: &EventEntry, context: &PanelContext<'_>) {
    let width = ui.available_width();
    let severity = event.severity;
    let tint = health_line::tint(severity, context.theme);
    let colour = match (event.seen, event.severity) {
        (true, _) => context.theme.quiet,
        (false, Severity::Loss) => tint.text,
        (false, _) => context.theme.text,
    };
    // Longer lines are hard to read.
    let wrap = (width - TEXT_FROM - 16.0).clamp(80.0, 960.0);
    let text = ui.painter().layout(event.text.clone(), Theme::font(12.5), colour, wrap);
    let (rect, response) = ui.allocate_exact_size(vec2(width, text.size().y + 12.0), Sense::hover());
    response.widget_info(|| {
        WidgetInfo::labeled(
            Role::ListItem,
            true,
            format!("{}, {}: {}", severity_name(event.severity), event.clock, event.text),
        )
    });
    if !ui.is_rect_visible(rect) {
        return;
    }
    let painter = ui.painter();
    painter.hline(rect.x_range(), rect.bottom() - 0.5, (1.0, context.theme.line_soft));
    let first = rect.top() + 6.0 + text.rows.first().map_or(7.0, |row| row.rect().height() / 2.0);
    health_line::sign(ui, severity, pos2(rect.left() + 8.0, first), tint);
    let clock = pos2(rect.left() + 24.0, first);
    painter.text(clock, Align2::LEFT_CENTER, &event.clock, Theme::mono(12.0), context.theme.quiet);
    painter.galley(pos2(rect.left() + TEXT_FROM, rect.top() + 6.0), text, colour);
}

/// Draws the kept versions of a session whose file is damaged.
fn kept_versions(ui: &mut Ui, reason: &str, versions: &[KeptVersion], context: &mut PanelContext<'_>) {
    ui.label(
        egui::RichText::new("Earlier versions of this session").font(Theme::semi(13.0)).color(context.theme.strong),
    );
    ui.label(egui::RichText::new(reason).color(context.theme.quiet));
    ui.add_space(GRID / 2.0);
    let now = SystemTime::now();
    for (at, version) in versions.iter().enumerate() {
        let width = ui.available_width().min(720.0);
        let (rect, _) = ui.allocate_exact_size(vec2(width, VERSION), Sense::hover());
        card(ui, rect, context.theme);
        let name = format!("Restore version {}", version.number);
        let mut inside = ui.new_child(
            egui::UiBuilder::new()
                .max_rect(rect.shrink2(vec2(8.0, 0.0)))
                .layout(Layout::right_to_left(Align::Center))
                .id_salt(("version", version.number)),
        );
        // Most users want the latest version, so its button stands out.
        let look = if at == 0 { Look::Filled(context.theme.mute) } else { Look::Plain };
        let tip = "Opens the session as it was saved then; the damaged file is kept";
        if Button::text(&name, &name).look(look).size(0.0, HEAD).tip(tip).show(&mut inside, context.theme).clicked() {
            context.send(Command::RestoreVersion(version.number));
        }
        version_text(ui, rect, version, now, context.theme);
    }
    ui.add_space(GRID);
}

/// Draws number, time, age and size of a kept version.
fn version_text(ui: &Ui, rect: Rect, version: &KeptVersion, now: SystemTime, theme: &Theme) {
    let y = rect.center().y;
    let at = pos2(rect.left() + 16.0, y);
    let galley = elided(ui, &format!("Version {}", version.number), Theme::medium(12.5), theme.text, 96.0);
    ui.painter().galley(at - vec2(0.0, galley.size().y / 2.0), galley, theme.text);
    let (when, ago) = saved(version.saved, now);
    let columns = [(120.0, when, 152.0), (280.0, ago, 112.0), (400.0, format::memory_bytes(version.bytes), 80.0)];
    for (x, text, width) in columns {
        let at = pos2(rect.left() + x, y);
        text_at(ui, at, Align2::LEFT_CENTER, &text, Theme::font(12.5), theme.quiet, width);
    }
}

/// Time and age of a version: "22 Nov 2026, 20:14:03" and "12 min ago".
fn saved(at: Option<SystemTime>, now: SystemTime) -> (String, String) {
    let Some(at) = at else {
        return ("time unknown".to_owned(), String::new());
    };
    let when = jiff::Timestamp::try_from(at).map_or_else(
        |_| "time unknown".to_owned(),
        |stamp| stamp.to_zoned(jiff::tz::TimeZone::system()).strftime("%-d %b %Y, %H:%M:%S").to_string(),
    );
    let ago =
        now.duration_since(at).map(|ago| format!("{} ago", format::duration(ago.as_secs_f64()))).unwrap_or_default();
    (when, ago)
}

#[cfg(test)]
#[cfg(feature = "gui-tests")]
mod tests {
    use super::*;
    use crate::app::snapshot::Snapshot;
    use crate::ui::demo;
    use crate::ui::panel_context::test_panel::{self, Sent};
    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable as _;
    use std::sync::Arc;
    use std::time::Duration;

    fn event(at: u64, severity: Severity, seen: bool, text: &str) -> EventEntry {
        let clock = format!("20:{:02}:{:02}", at / 60, at % 60);
        EventEntry { at: Duration::from_secs(at), clock, severity, text: text.to_owned(), seen, headline: None }
    }

    fn eventful() -> Snapshot {
        let mut snapshot = demo::stopped(24, 60);
        snapshot.notices = Arc::new(vec![
            event(3, Severity::Info, true, "Opened \u{201c}Rehearsal, 22 Nov\u{201d}: 24 tracks, 24 takes."),
            event(9, Severity::Info, true, "Scarlett 18i20 at 48 000 Hz, periods of 64 frames."),
            event(
                61,
                Severity::Caution,
                true,
                "The disk took 1.4 s for one write. Nothing is lost: 1.8 s were held in \
                memory. If this comes again, another program writes to the disk; close it, or record to another one.",
            ),
            event(
                1208,
                Severity::Loss,
                false,
                "4 096 frames (85 ms) were lost at 00:20:08.120 on all 24 tracks: the \
                device ran over. They are exact silence in the takes, and marked on the timeline.",
            ),
            event(1300, Severity::Caution, false, "The Music disk has room for 40 min of 24 tracks."),
            event(2537, Severity::Info, false, "Recorded 42 min on 24 tracks: 0 page faults, 1 xrun."),
        ]);
        snapshot
    }

    fn damaged() -> Snapshot {
        let mut snapshot = eventful();
        let reason = "session.json is damaged: it ends in the middle. Restore a version below; no take is touched.";
        let versions = (9..13_u32).rev().map(|number| KeptVersion {
            number,
            bytes: 18_400 + u64::from(number) * 100,
            saved: Some(SystemTime::now() - Duration::from_secs(u64::from(13 - number) * 1500)),
        });
        snapshot.stage = Stage::NoSession { reason: reason.to_owned(), versions: versions.collect() };
        snapshot
    }

    fn harness(snapshot: Snapshot) -> (Harness<'static>, Sent) {
        let mut state = EventsState::default();
        test_panel::harness(snapshot, [960.0, 600.0], move |ui, context| show(ui, &mut state, context))
    }

    #[test]
    fn the_filter_shows_losses_alone_and_one_click_acknowledges() {
        let (mut harness, sent) = harness(eventful());
        assert!(harness.query_by_label_contains("Caution, 20:21:40").is_some());
        harness.get_by_label("Losses").click();
        harness.run_steps(3);
        assert!(harness.query_by_label_contains("Caution, 20:21:40").is_none());
        assert!(harness.query_by_label_contains("Loss, 20:20:08").is_some());
        harness.get_by_label("Acknowledge").click();
        harness.run_steps(3);
        assert_eq!(*sent.borrow(), [Command::Acknowledge]);
    }

    #[test]
    fn events_of_earlier_starts_are_below_those_of_this_start_and_have_the_same_filter() {
        let mut snapshot = eventful();
        let mut earlier_event =
            event(0, Severity::Loss, true, "In 3 00:01: 64 frames not recorded (no memory was ready); silence");
        earlier_event.clock = "21 Nov 19:02".to_owned();
        snapshot.earlier = Arc::new(vec![earlier_event, event(0, Severity::Info, true, "closed")]);
        let (mut harness, _) = harness(snapshot);
        let at = |harness: &Harness<'_>, label: &str| harness.get_by_label_contains(label).rect().top();
        assert!(at(&harness, "Note, 20:00:03") < at(&harness, "Loss, 21 Nov 19:02"));
        assert!(at(&harness, "closed") < at(&harness, "Loss, 21 Nov 19:02"), "the latest first");
        harness.get_by_label("Losses").click();
        harness.run_steps(3);
        assert!(harness.query_by_label_contains("Loss, 21 Nov 19:02").is_some());
        assert!(harness.query_by_label_contains("closed").is_none());
    }

    #[test]
    fn a_damaged_session_offers_its_kept_versions_and_restores_the_one_that_is_clicked() {
        let (mut harness, sent) = harness(damaged());
        harness.get_by_label("Restore version 11").click();
        harness.run_steps(3);
        assert_eq!(*sent.borrow(), [Command::RestoreVersion(11)]);
    }

    #[test]
    fn the_copied_text_has_one_line_for_each_event_the_latest_first() {
        let snapshot = eventful();
        let text = as_text(snapshot.notices.iter().rev());
        assert!(text.starts_with("20:42:17  Note  Recorded 42 min") && text.lines().count() == 6, "{text}");
    }
}
