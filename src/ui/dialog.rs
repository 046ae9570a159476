//! Choosing a file or a folder: the desktop's own dialog, on a thread of its own. Thread: ui, and one a dialog.

use crossbeam_channel::{Receiver, bounded};
use std::path::PathBuf;

/// At most one dialog at a time.
#[derive(Default)]
pub struct Dialog {
    open: Option<Receiver<Option<PathBuf>>>,
}

impl Dialog {
    /// Asks for a session's folder.
    pub fn open_session(&mut self, ctx: &egui::Context) {
        self.folder(ctx, "Open a session", None);
    }

    /// Asks for a folder, from `start` on.
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

    /// What was chosen since the last call.
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
