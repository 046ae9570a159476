//! The desktop's dialog for a folder. It blocks, so it has its own thread. Thread: ui, and one thread for each dialog.

use crossbeam_channel::{Receiver, bounded};
use std::path::PathBuf;

/// A dialog that is open or not. A second request while one is open is ignored.
#[derive(Default)]
pub struct Dialog {
    open: Option<Receiver<Option<PathBuf>>>,
}

impl Dialog {
    /// Opens the dialog for the folder of a session.
    pub fn open_session(&mut self, ctx: &egui::Context) {
        self.folder(ctx, "Open a session", None);
    }

    /// Opens the dialog for a folder, at `start`.
    pub fn folder(&mut self, ctx: &egui::Context, title: &'static str, start: Option<PathBuf>) {
        if self.open.is_some() {
            return;
        }
        let (tell, chosen) = bounded(1);
        let ctx = ctx.clone();
        let asked = std::thread::Builder::new().name("dialog".to_owned()).spawn(move || {
            let mut dialog = rfd::FileDialog::new().set_title(title);
            if let Some(start) = start {
                dialog = dialog.set_directory(start);
            }
            tell.send(dialog.pick_folder()).ok();
            ctx.request_repaint();
        });
        self.open = asked.ok().map(|_| chosen);
    }

    /// The folder that the user chose since the last call. `None` also if the user cancelled.
    pub fn chosen(&mut self) -> Option<PathBuf> {
        let chosen = self.open.as_ref()?.try_recv();
        match chosen {
            Ok(chosen) => {
                self.open = None;
                chosen
            }
            Err(crossbeam_channel::TryRecvError::Disconnected) => {
                self.open = None;
                None
            }
            Err(crossbeam_channel::TryRecvError::Empty) => None,
        }
    }
}
