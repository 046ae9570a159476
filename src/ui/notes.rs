//! Cards over the lower end of the timeline, one at a time: why the last command was refused, what it did where the user
//! may not see it, and what the last recording has made. Thread: ui.

use super::action::Action;
use super::announce;
use super::health_line;
use super::icon::Icon;
use super::panel_context::PanelContext;
use super::theme::{RADIUS, Theme};
use super::widget::{Button, Look, sign};
use super::{format, panel_context};
use crate::app::command::Command;
use crate::app::snapshot::{Made, Note, Refusal, Snapshot};
use crate::control::Severity;
use crate::control::edit::Edit;
use crate::message::Motion;
use crate::session::Track;
use egui::accesskit::Live;
use egui::{Align2, Area, Frame, Margin, Rect, RichText, Stroke, Ui, vec2};
use std::path::Path;

/// Seconds for which a refusal or a note is shown.
const SHOWN_SECONDS: f64 = 8.0;

/// Height of the buttons of a card, in points.
const BUTTON: f32 = 26.0;

/// Least space between a card and the edge of the window, in points.
const EDGE: f32 = 8.0;

/// State that the cards keep between pictures.
#[derive(Default)]
pub struct NotesState {
    /// The number of the refusal or note that is shown, and since when.
    answer: Option<(u64, f64)>,
    /// The refusal or note that the user has closed, or that was shown long enough.
    answer_closed: u64,
    /// Session and pass of the recording whose card the user has closed.
    made_closed: Option<(uuid::Uuid, u32)>,
    /// Session and pass of the recording that had regions when its card was drawn last.
    made_placed: Option<(uuid::Uuid, u32)>,
    is_shown: bool,
}

impl NotesState {
    /// Closes the card that is shown. Returns whether there was one.
    pub fn close(&mut self, snapshot: &Snapshot) -> bool {
        if !std::mem::take(&mut self.is_shown) {
            return false;
        }
        if let Some((number, _)) = self.answer.take() {
            self.answer_closed = number;
        } else if let Some(made) = &snapshot.made {
            self.made_closed = Some((snapshot.session.id, made.pass));
        }
        true
    }

    /// Whether a card will vanish by itself.
    pub fn moves(&self) -> bool {
        self.answer.is_some()
    }

    /// Closes the card of a recording whose regions are gone: it was undone, or removed.
    fn follow(&mut self, snapshot: &Snapshot, made: &Made) {
        let key = Some((snapshot.session.id, made.pass));
        let regions = || snapshot.session.tracks().iter().flat_map(Track::regions);
        if regions().any(|region| made.takes.contains(&region.take)) {
            self.made_placed = key;
        } else if self.made_placed == key {
            self.made_closed = key;
        }
    }
}

/// The content of the card about a command.
enum Answer<'a> {
    Refused(&'a Refusal),
    Noted(&'a Note),
}

/// Draws the card into the lower end of `lanes`, or where these are low, over the panel below them, but not above the y `top`. A
/// refusal or a note comes before the last recording.
pub fn show(ui: &Ui, state: &mut NotesState, (lanes, top): (Rect, f32), context: &mut PanelContext<'_>) {
    let snapshot = context.snapshot;
    state.is_shown = false;
    let answer = match (&snapshot.refusal, &snapshot.note) {
        (Some(refusal), _) => Some((refusal.number, Answer::Refused(refusal))),
        (None, Some(note)) => Some((note.number, Answer::Noted(note))),
        (None, None) => {
            // Another engine counts its answers from one again.
            state.answer_closed = 0;
            None
        }
    };
    if let Some((number, answer)) = answer.filter(|(number, _)| *number != state.answer_closed) {
        let since = match state.answer {
            Some((shown, since)) if shown == number => since,
            _ => context.now,
        };
        state.answer = Some((number, since));
        if context.now - since < SHOWN_SECONDS {
            state.is_shown = true;
            let closed = card(ui, "refusal", (lanes, top), context, |ui, context| match answer {
                Answer::Refused(refusal) => refused(ui, refusal, context),
                Answer::Noted(note) => noted(ui, note, context),
            });
            if closed {
                state.close(snapshot);
            }
            return;
        }
        state.answer_closed = number;
    }
    state.answer = None;
    // While it plays, the card would lie over the lanes that the user watches.
    let is_idle = snapshot.transport.pass.is_none() && snapshot.transport.motion != Motion::Rolling;
    let made =
        snapshot.made.as_ref().filter(|made| is_idle && state.made_closed != Some((snapshot.session.id, made.pass)));
    if let Some(made) = made {
        state.follow(snapshot, made);
        if state.made_closed == Some((snapshot.session.id, made.pass)) {
            return;
        }
        state.is_shown = true;
        if card(ui, "made", (lanes, top), context, |ui, context| finished(ui, made, context)) {
            state.close(snapshot);
        }
    }
}

/// A card in the middle of the lower end of `lanes`, below the y `top`. Returns whether the user closed it, or `add` did.
fn card<'a>(
    ui: &Ui,
    name: &str,
    (lanes, top): (Rect, f32),
    context: &mut PanelContext<'a>,
    add: impl FnOnce(&mut Ui, &mut PanelContext<'a>) -> bool,
) -> bool {
    let theme = context.theme;
    let at = lanes.center_bottom() - vec2(0.0, 18.0);
    let mut closed = false;
    let mut place = ui.ctx().content_rect().shrink(EDGE);
    place.min.y = place.min.y.max(top);
    Area::new(egui::Id::unique(name)).pivot(Align2::CENTER_BOTTOM).fixed_pos(at).constrain_to(place).show(ui, |ui| {
        let frame = Frame::new()
            .fill(theme.card)
            .stroke(Stroke::new(1.0, theme.line))
            .corner_radius(RADIUS)
            .shadow(ui.style().visuals.popup_shadow)
            .inner_margin(Margin::symmetric(12, 8));
        frame.show(ui, |ui| {
            ui.set_max_width((ui.ctx().content_rect().width() - 48.0).min(820.0));
            ui.horizontal_wrapped(|ui| {
                ui.spacing_mut().item_spacing = vec2(8.0, 6.0);
                closed = add(ui, context);
                let close = Button::icon("Close the card", Icon::Close).look(Look::Quiet).size(BUTTON, BUTTON);
                closed |= close.tip("Close (Esc)").show(ui, theme).clicked();
            });
        });
    });
    closed
}

fn refused(ui: &mut Ui, refusal: &Refusal, context: &mut PanelContext<'_>) -> bool {
    sign(ui, Severity::Caution, context.theme);
    let text = sentence(&refusal.text, context.snapshot);
    let label = ui.label(RichText::new(text).font(Theme::medium(12.5)).color(context.theme.text));
    announce::live(&label, Live::Assertive);
    let Some(cure) = &refusal.cure else { return false };
    let label = cure.label();
    let clicked = Button::text(&label, &label).size(0.0, BUTTON).show(ui, context.theme).clicked();
    if clicked {
        health_line::apply(cure, context);
    }
    clicked
}

fn noted(ui: &mut Ui, note: &Note, context: &PanelContext<'_>) -> bool {
    sign(ui, Severity::Info, context.theme);
    let label = ui.label(RichText::new(&note.text).font(Theme::medium(12.5)).color(context.theme.text));
    announce::live(&label, Live::Polite);
    false
}

/// The files of the recording, and buttons for them.
fn finished(ui: &mut Ui, made: &Made, context: &mut PanelContext<'_>) -> bool {
    let theme = context.theme;
    sign(ui, if made.trouble.is_empty() { Severity::Info } else { Severity::Loss }, theme);
    let length = length_text(made.frames.duration(context.snapshot.transport.rate).as_secs());
    let what = format!("{}, {length}", format::count(made.files, "file"));
    let label = ui.label(RichText::new(what).font(Theme::semi(13.0)).color(theme.strong));
    announce::live(&label, Live::Polite);
    if !made.trouble.is_empty() {
        let label = ui.label(RichText::new(&made.trouble).color(theme.record));
        announce::live(&label, Live::Assertive);
    }
    let (place, whole) = places_text(made);
    ui.label(RichText::new(place).color(theme.quiet)).on_hover_text(whole);
    let button = |ui: &mut Ui, name: &str, text: &str, tip: &str| {
        Button::text(name, text).size(0.0, BUTTON).tip(tip).show(ui, theme).clicked()
    };
    if button(ui, "Open folder", "Open folder", "Show the files in the file manager") {
        context.open_folder(made.folder.clone());
    }
    let plays = button(ui, "Play the recording", "Play", "Play it from its start");
    if plays {
        context.send(Command::Play);
    }
    if button(ui, "Rename session", "Rename session", "Name the session") {
        context.act(Action::RenameSession);
    }
    let tip = "Move its files to the trash of the session; undo brings them back";
    let discards = button(ui, "Discard the recording", "Discard", tip);
    if discards {
        context.send(Command::Edit(Edit::TrashTakes(made.takes.clone())));
    }
    plays || discards
}

/// The folders of the files: short, and in full.
fn places_text(made: &Made) -> (String, String) {
    let whole = made.folder.display().to_string();
    if made.continued_in.is_empty() {
        return (format!("in {}", panel_context::short_path(&made.folder)), whole);
    }
    // Both folders end in the names of the session and of the folder of its takes.
    let short = |folder: &Path| panel_context::short_path_of(folder, 3);
    let other = short(Path::new(&made.continued_in));
    (format!("in {} and {other}", short(&made.folder)), format!("{whole}\n{}", made.continued_in))
}

/// A length for a person: "0:51" or "1:02:03".
fn length_text(seconds: u64) -> String {
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if h > 0 { format!("{h}:{m:02}:{s:02}") } else { format!("{m}:{s:02}") }
}

/// A reason as a sentence: its first letter is a capital, unless it belongs to a name of the user's.
fn sentence(text: &str, snapshot: &Snapshot) -> String {
    let session = &snapshot.session;
    let mut names = session.tracks().iter().map(Track::name).chain([session.name(), snapshot.device.title.as_str()]);
    if names.any(|name| !name.is_empty() && text.starts_with(name)) {
        return text.to_owned();
    }
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
#[cfg(feature = "gui-tests")]
mod tests {
    use super::*;
    use crate::ui::demo;
    use crate::ui::panel_context::test_panel::Surroundings;
    use std::sync::Arc;

    /// Draws the cards. Returns whether a card is shown.
    fn shows(state: &mut NotesState, snapshot: &Snapshot, now: f64) -> bool {
        let mut surroundings = Surroundings::new(snapshot.clone());
        let ctx = egui::Context::default();
        crate::ui::theme::install_fonts(&ctx);
        drop(ctx.run_ui(egui::RawInput::default(), |_| {}));
        let out = ctx.run_ui(egui::RawInput::default(), |ui| {
            show(ui, state, (ui.max_rect(), 0.0), &mut surroundings.context(now));
        });
        drop(out);
        state.is_shown
    }

    /// The first refusal of a new engine had the number of the last one of the engine before, which the user had closed.
    #[test]
    fn a_refusal_of_another_engine_is_shown_although_one_of_its_number_was_closed() {
        let mut snapshot = demo::stopped(1, 0);
        let refusal = Some(Refusal { number: 1, text: "nothing to undo".to_owned(), cure: None });
        let mut state = NotesState::default();
        snapshot.refusal.clone_from(&refusal);
        assert!(shows(&mut state, &snapshot, 0.0));
        assert!(state.close(&snapshot));
        assert!(!shows(&mut state, &snapshot, 0.1), "it stays closed");
        // The snapshots of a new engine have no answer at first.
        snapshot.refusal = None;
        assert!(!shows(&mut state, &snapshot, 0.2));
        snapshot.refusal = refusal;
        assert!(shows(&mut state, &snapshot, 0.3));
    }

    #[test]
    fn a_name_of_the_user_keeps_its_case_at_the_start_of_a_sentence() {
        let mut snapshot = demo::stopped(1, 0);
        let session = Arc::make_mut(&mut snapshot.session);
        let track = session.track_ids().next().unwrap();
        session.track_mut(track).unwrap().rename("ncode");
        assert_eq!(sentence("ncode: no such input", &snapshot), "ncode: no such input");
        assert_eq!(sentence("nothing to undo", &snapshot), "Nothing to undo");
    }

    /// After takes had continued on another disk, the card said that all 48 files were in the session's own folder.
    #[test]
    fn a_recording_that_continued_in_another_folder_names_both() {
        let mut made = Made {
            pass: 1,
            files: 48,
            frames: crate::time::Frames(1),
            folder: "/media/small/gig/audio".into(),
            continued_in: String::new(),
            takes: Vec::new(),
            trouble: String::new(),
        };
        assert_eq!(places_text(&made).0, "in \u{2026}/gig/audio");
        made.continued_in = "/media/large/gig/audio".to_owned();
        let (short, whole) = places_text(&made);
        assert_eq!(short, "in \u{2026}/small/gig/audio and \u{2026}/large/gig/audio");
        assert_eq!(whole, "/media/small/gig/audio\n/media/large/gig/audio");
    }
}
