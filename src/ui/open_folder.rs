//! Opens folders in the file manager of the desktop. The window does it, because it has the display of the user who asks; the
//! recorder may have been started on another one. Thread: ui; open waits for the desktop, one thread for each folder.

use crossbeam_channel::{Receiver, Sender, bounded};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Failures that may wait for the next picture.
const FAILURES_MAX: usize = 8;

/// Time in which a program that opens folders says that it cannot.
const LAUNCH_LIMIT: Duration = Duration::from_secs(5);

/// Opens folders, and keeps the reasons why some were not opened.
pub struct FolderOpener {
    sender: Sender<String>,
    failures: Receiver<String>,
    /// Hands a folder to the desktop. A test has another function here.
    open: fn(&Path) -> io::Result<()>,
}

impl Default for FolderOpener {
    fn default() -> FolderOpener {
        // The file manager gets a session of its own, so that Ctrl-C in the terminal of the window does not end it.
        FolderOpener::with(|folder| open::that_detached_with_timeout(folder, LAUNCH_LIMIT))
    }
}

impl FolderOpener {
    fn with(open: fn(&Path) -> io::Result<()>) -> FolderOpener {
        let (sender, failures) = bounded(FAILURES_MAX);
        FolderOpener { sender, failures, open }
    }

    /// Opens a folder. Does not wait. Draws a picture if that fails.
    pub fn open(&self, ctx: &egui::Context, folder: PathBuf) {
        let (sender, ctx, open) = (self.sender.clone(), ctx.clone(), self.open);
        let fail = move |folder: &Path, error: &io::Error| {
            let text = failure_text(folder, error);
            // Where so many failures wait, the user knows.
            sender.try_send(text).ok();
            ctx.request_repaint();
        };
        let (name, told) = (folder.clone(), fail.clone());
        let spawned = std::thread::Builder::new().name("open".to_owned()).spawn(move || {
            if let Err(error) = open(&folder) {
                told(&folder, &error);
            }
        });
        if let Err(error) = spawned {
            fail(&name, &error);
        }
    }

    /// The message about a folder that was not opened. Each message is returned once.
    pub fn failure(&self) -> Option<String> {
        self.failures.try_recv().ok()
    }
}

/// The message about a folder that was not opened. It contains the launcher's reason only if that is a sentence, because some
/// launchers give a command line and an exit status.
fn failure_text(folder: &Path, error: &io::Error) -> String {
    let reason = error.to_string();
    let reason = if reason.starts_with("Launcher ") { String::new() } else { format!(" ({reason})") };
    format!("{}: no file manager opens it here{reason}. Install one, or open the folder by hand", folder.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_no_file_manager_opens_is_named_once() {
        let opener =
            FolderOpener::with(
                |folder| {
                    if folder.ends_with("gig") { Ok(()) } else { Err(io::Error::other("there is none")) }
                },
            );
        let ctx = egui::Context::default();
        opener.open(&ctx, PathBuf::from("/music/gig"));
        opener.open(&ctx, PathBuf::from("/music/other"));
        let text = opener.failures.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!(
            text,
            "/music/other: no file manager opens it here (there is none). Install one, or open the folder by hand"
        );
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(opener.failure(), None);
    }

    /// "Launcher \"gio\" \"open\" \"/music/other\" failed with ExitStatus(unix_wait_status(512))" was on the screen.
    #[test]
    fn the_command_line_of_a_launcher_is_not_told() {
        let error = io::Error::other("Launcher \"gio\" \"open\" failed with ExitStatus(unix_wait_status(512))");
        let text = failure_text(Path::new("/music/other"), &error);
        assert_eq!(text, "/music/other: no file manager opens it here. Install one, or open the folder by hand");
    }
}
