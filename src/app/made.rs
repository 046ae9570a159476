//! The facts of the card that shows what a recording has made. Thread: control. Pure.

use super::snapshot::Made;
use crate::control::recording::PassReport;
use crate::session::Session;
use crate::time::Frames;
use std::path::Path;

/// The card for a pass that has ended. `None` if it has no frame.
pub(super) fn made(session: &Session, folder: &Path, report: &PassReport) -> Option<Made> {
    let pass = report.pass;
    let takes: Vec<_> = session.takes().iter().filter(|take| take.pass == pass).collect();
    let first = report.takes.first().filter(|_| report.frames > 0)?;
    let folder_of = |file: &str| folder.join(file).parent().map_or_else(|| folder.to_path_buf(), Path::to_path_buf);
    let first_folder = folder_of(&first.file);
    let other_folder = report.takes.iter().map(|take| folder_of(&take.file)).find(|folder| *folder != first_folder);
    let rate = session.rate();
    Some(Made {
        pass,
        files: report.takes.len(),
        frames: Frames(report.frames),
        folder: first_folder,
        continued_in: other_folder.map_or_else(String::new, |folder| folder.display().to_string()),
        takes: takes.iter().map(|take| take.id).collect(),
        trouble: match (report.takes_troubled(), report.frames_lost) {
            (0, 0) => String::new(),
            (0, lost) => format!("{} lost", Frames(lost).text(rate)),
            (troubled, _) => format!("{troubled} not whole on the disk"),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::TakeFormat;
    use crate::session::tests::recorded;
    use crate::time::{FramePos, SampleRate};
    use uuid::Uuid;

    /// Discard moved the takes of another pass to the trash, and not those that had just been recorded.
    #[test]
    fn the_card_has_the_takes_of_the_recorded_pass_though_another_one_has_a_higher_number() {
        let mut session = Session::new(Uuid::from_u128(1), "x", "", SampleRate(48_000), TakeFormat::S24);
        let track = session.add_track("In 1", &[0]).unwrap();
        let take = recorded(&mut session, track, FramePos(0), Frames(96_000));
        // Takes of a copy in the overflow folder were taken over during the pass.
        recorded(&mut session, track, FramePos(0), Frames(500));
        let made = made(&session, Path::new("/session"), &PassReport::example(0, 80.0)).unwrap();
        assert_eq!((made.pass, made.takes), (1, vec![take]));
    }
}
