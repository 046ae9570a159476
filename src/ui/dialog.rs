//! A dialog for a folder: that of the desktop, or a text field where the desktop has none. The desktop's dialog blocks, so
//! it has its own thread. Thread: ui, and one thread for each dialog.

use super::icon::Icon;
use super::theme::Theme;
use super::widget::{Button, Look};
use crossbeam_channel::{Receiver, TryRecvError, bounded};
use egui::{Align, Key, Layout, RichText, TextEdit, Ui, vec2};
use std::path::PathBuf;

/// The answer of the desktop's dialog.
enum Answer {
    Chosen(PathBuf),
    Cancelled,
    /// The desktop has no dialog for folders.
    Missing,
}

/// A dialog that is open or not. A second request while one is open is ignored.
#[derive(Default)]
pub struct Dialog {
    open: Option<Receiver<Answer>>,
    title: &'static str,
    start: Option<PathBuf>,
    /// The text field in place of a dialog that is missing.
    typed: Option<Typed>,
}

/// A folder that the user types.
struct Typed {
    text: String,
    /// Whether the field still needs the focus.
    is_new: bool,
    refusal: &'static str,
}

impl Dialog {
    /// Opens the dialog for the folder of a session.
    pub fn open_session(&mut self, ctx: &egui::Context) {
        self.folder(ctx, "Open a session", None);
    }

    /// Opens the dialog for a folder, at `start`.
    pub fn folder(&mut self, ctx: &egui::Context, title: &'static str, start: Option<PathBuf>) {
        if self.open.is_some() || self.typed.is_some() {
            return;
        }
        let (tell, chosen) = bounded(1);
        let ctx = ctx.clone();
        (self.title, self.start) = (title, start.clone());
        let asked = std::thread::Builder::new().name("dialog".to_owned()).spawn(move || {
            tell.send(ask(title, start)).ok();
            ctx.request_repaint();
        });
        match asked {
            Ok(_) => self.open = Some(chosen),
            Err(_) => self.type_instead(),
        }
    }

    fn type_instead(&mut self) {
        let text = self.start.as_ref().map_or_else(String::new, |start| start.display().to_string());
        self.typed = Some(Typed { text, is_new: true, refusal: "" });
    }

    /// Draws the text field if there is one. Returns the folder that the user chose since the last call. `None` also if
    /// the user cancelled.
    pub fn show(&mut self, ui: &Ui, theme: &Theme) -> Option<PathBuf> {
        match self.open.as_ref().map(Receiver::try_recv) {
            None | Some(Err(TryRecvError::Empty)) => {}
            Some(answer) => {
                self.open = None;
                match answer {
                    Ok(Answer::Chosen(folder)) => return Some(folder),
                    Ok(Answer::Cancelled) => {}
                    Ok(Answer::Missing) | Err(_) => self.type_instead(),
                }
            }
        }
        self.typed.as_ref()?;
        let folder = self.show_field(ui, theme);
        note_field(ui.ctx(), self.typed.is_some());
        folder
    }

    fn show_field(&mut self, ui: &Ui, theme: &Theme) -> Option<PathBuf> {
        let typed = self.typed.as_mut()?;
        let (mut uses, mut cancels) = (false, ui.input(|input| input.key_pressed(Key::Escape)));
        let width = (ui.ctx().content_rect().width() - 64.0).clamp(200.0, 520.0);
        egui::Area::new(egui::Id::unique("type a folder"))
            .order(egui::Order::Foreground)
            .anchor(egui::Align2::CENTER_CENTER, vec2(0.0, -40.0))
            .show(ui, |ui| {
                egui::Frame::popup(ui.style()).inner_margin(16).show(ui, |ui| {
                    ui.set_width(width);
                    cancels |= title(ui, self.title, theme);
                    let text = "This desktop has no dialog for folders (neither a portal nor zenity). Type the folder:";
                    ui.label(RichText::new(text).color(theme.quiet));
                    let field =
                        TextEdit::singleline(&mut typed.text).hint_text("/media/disk/folder").desired_width(width);
                    let field = ui.add(field).accessible_name("Folder");
                    if std::mem::take(&mut typed.is_new) {
                        field.request_focus();
                    }
                    uses |= field.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
                    if !typed.refusal.is_empty() {
                        ui.label(RichText::new(typed.refusal).color(theme.caution));
                    }
                    ui.horizontal(|ui| {
                        let button = Button::text("Use this folder", "Use this folder").look(Look::Filled(theme.mute));
                        uses |= button.size(0.0, 30.0).show(ui, theme).clicked();
                        cancels |= Button::text("Cancel", "Cancel").size(0.0, 30.0).show(ui, theme).clicked();
                    });
                });
            });
        if cancels {
            self.typed = None;
            return None;
        }
        if !uses {
            return None;
        }
        let Some(folder) = whole_path(&typed.text) else {
            typed.refusal = NOT_WHOLE;
            typed.is_new = true;
            return None;
        };
        self.typed = None;
        Some(folder)
    }
}

/// The heading of a sheet, with a button that closes it. Returns whether the user pressed it.
pub fn title(ui: &mut Ui, text: &str, theme: &Theme) -> bool {
    ui.horizontal(|ui| {
        ui.label(RichText::new(text).font(Theme::semi(16.0)).color(theme.strong));
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let button = Button::icon("Close", Icon::Close).look(Look::Quiet).size(28.0, 28.0);
            button.tip("Close (Esc)").show(ui, theme).clicked()
        })
        .inner
    })
    .inner
}

fn modal_id() -> egui::Id {
    egui::Id::unique("a folder is typed")
}

/// Whether a field for a folder is on the screen. It takes the Esc key. A field whose panel is not shown takes no key.
pub fn is_modal(ctx: &egui::Context) -> bool {
    let drawn = ctx.data(|data| data.get_temp::<u64>(modal_id()));
    drawn.is_some_and(|picture| ctx.cumulative_pass_nr() <= picture + 1)
}

/// Notes that this picture has a field for a folder, or that the field has just been closed.
fn note_field(ctx: &egui::Context, is_open: bool) {
    let picture = ctx.cumulative_pass_nr();
    ctx.data_mut(|data| {
        if is_open {
            data.insert_temp(modal_id(), picture);
        } else {
            data.remove::<u64>(modal_id());
        }
    });
}

/// The answer to a folder that is not a whole path.
pub const NOT_WHOLE: &str = "Type the whole path, from the first /";

/// The path that a user has typed, with the home folder in place of a leading `~`. `None`: it is not a whole path.
pub fn whole_path(text: &str) -> Option<PathBuf> {
    let text = text.trim();
    let below_home = text.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let path = match (below_home, dirs::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest.trim_start_matches('/')),
        _ => PathBuf::from(text),
    };
    path.is_absolute().then_some(path)
}

/// Asks with the desktop's dialog. Waits for the user.
fn ask(title: &str, start: Option<PathBuf>) -> Answer {
    if !has_chooser() {
        return Answer::Missing;
    }
    let mut dialog = rfd::FileDialog::new().set_title(title);
    if let Some(start) = start {
        dialog = dialog.set_directory(start);
    }
    dialog.pick_folder().map_or(Answer::Cancelled, Answer::Chosen)
}

/// Whether the desktop has a portal, or zenity is installed.
pub fn has_chooser() -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join("zenity").is_file()) || has_portal().unwrap_or(false)
}

fn has_portal() -> zbus::Result<bool> {
    const PORTAL: &str = "org.freedesktop.portal.Desktop";
    let bus = zbus::blocking::Connection::session()?;
    let names = zbus::blocking::fdo::DBusProxy::new(&bus)?;
    let is = |found: &[zbus::names::OwnedBusName]| found.iter().any(|name| name.as_str() == PORTAL);
    Ok(is(&names.list_activatable_names()?) || is(&names.list_names()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typed_folder_may_begin_at_the_home_folder_and_must_be_a_whole_path() {
        let home = dirs::home_dir().expect("a home folder");
        assert_eq!(whole_path(" ~/takes "), Some(home.join("takes")));
        assert_eq!(whole_path("~"), Some(home.clone()));
        assert_eq!(whole_path("/media/disk"), Some(PathBuf::from("/media/disk")));
        for text in ["", "takes", "~other/takes", "./takes"] {
            assert_eq!(whole_path(text), None, "{text}");
        }
    }
}
