//! The recovery of a session when it is opened, and its notices. Thread: control. It waits for the disk.
//!
//! A recovery gives its notices once: the next start finds nothing to recover. So no error after it may hide them.

use super::events::EventLog;
use super::{ControlError, Notice, Severity};
use crate::butler::spool;
use crate::host;
use crate::recovery;
use crate::recovery::found_files::find_files;
use crate::session::Session;
use crate::session::session_file::{OpenSession, folder_of, is_in_use};
use crate::shell_word::for_shell;
use std::path::{Path, PathBuf};

/// A session that was recovered and is not open yet.
pub(super) struct Recovered {
    pub(super) notices: Vec<Notice>,
    folder: PathBuf,
    /// Whether the session was opened to be written.
    writes: bool,
}

impl Recovered {
    /// Recovers what was cut off in a session. Without a `store`, the session is only played.
    pub(super) fn of(folder: &Path, mut store: Option<&mut OpenSession>, session: &mut Session) -> Recovered {
        let notices = recover_cut_off(folder, store.as_deref_mut(), session);
        Recovered { notices, folder: folder_of(folder).to_owned(), writes: store.is_some() && !host::is_simulated() }
    }

    /// The error of a session that could not be opened after its recovery, with the notices. Writes them into the events of the
    /// session, because no control is left to do so.
    pub(super) fn not_opened(self, error: ControlError) -> ControlError {
        let Recovered { notices, folder, writes } = self;
        if notices.is_empty() {
            return error;
        }
        if writes {
            EventLog::start(&folder, true).recovered(&notices);
        }
        ControlError::Recovered { error: Box::new(error), notices }
    }
}

/// Recovers the passes that a killed program left unfinished. Returns one notice for each pass and each problem.
/// Without a `store` (the session is only played) nothing is recovered; the notice then says that there is something to
/// recover.
fn recover_cut_off(folder: &Path, store: Option<&mut OpenSession>, session: &mut Session) -> Vec<Notice> {
    let notice = |severity, text| Notice { severity, text };
    let Some(store) = store else {
        let searched = find_files(folder, session);
        let mut notices: Vec<Notice> = searched.found.into_iter().map(|text| notice(Severity::Info, text)).collect();
        notices.extend(searched.troubles.into_iter().map(|text| notice(Severity::Caution, text)));
        // While another program has the session open, takes in state `Recording` are being recorded and not cut off.
        if is_in_use(folder) {
            return notices;
        }
        let (name, word) = (folder.display(), for_shell(folder));
        let text = |reason| format!("{name}: {reason}; open it to record, or: faultless recover {word}");
        let gain = recovery::gain(folder, session).into_iter();
        notices.extend(gain.map(|reason| notice(Severity::Caution, text(reason))));
        return notices;
    };
    let report = recovery::recover(store, session, &spool::folders());
    let passes = report
        .passes
        .iter()
        .map(|pass| notice(if pass.is_short() { Severity::Loss } else { Severity::Info }, pass.to_string()));
    let found = report.found.iter().map(|text| notice(Severity::Info, text.clone()));
    let troubles = report.troubles.iter().map(|text| notice(Severity::Caution, text.clone()));
    found.chain(passes).chain(troubles).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::butler::capabilities::CapturePath;
    use crate::control::setup::{self, DeviceRequest, UserLimits};
    use crate::control::{Control, Purpose, Setup};
    use crate::device::signal::Signal;
    use crate::flight::read;
    use crate::format::TakeFormat;
    use crate::limits;
    use crate::session::TakeState;
    use crate::session::tests::recording;
    use crate::time::{FramePos, SampleRate};

    /// A session of 48 kHz whose recording was cut off before its file was made.
    fn cut_off(folder: &Path) {
        let (rate, format) = (SampleRate(48_000), TakeFormat::S24);
        let (mut store, mut session) = OpenSession::create(folder, "evening", rate, format).unwrap();
        let track = session.add_track("In 1", &[0]).unwrap();
        recording(&mut session, track, FramePos(0));
        store.save(&session).unwrap();
    }

    /// The refusal was all that the user saw, and the next start had nothing to recover.
    #[test]
    fn a_device_with_another_rate_is_refused_before_the_session_is_recovered() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("evening");
        cut_off(&folder);
        let wanted = DeviceRequest {
            name: "virtual:free".to_owned(),
            rate: SampleRate(44_100),
            period: None,
            buffer: None,
            channels: (Some(1), Some(0)),
            take_format: TakeFormat::S24,
            signal: Signal::Ramp,
        };
        let allowed = UserLimits { lock_kib: None, spool_mib: None, lead_ms: limits::LEAD_MS_DEFAULT };
        let refused = Control::open(Setup {
            folder: folder.clone(),
            purpose: Purpose::Record,
            device: setup::device_spec(wanted),
            format: TakeFormat::S24,
            run: setup::threads_setup(allowed, CapturePath::Spool),
        });
        let text = refused.err().unwrap().to_string();
        assert!(text.contains("the session's rate"), "{text}");
        let (_, session) = OpenSession::open(&folder).unwrap();
        assert_eq!(session.takes()[0].state, TakeState::Recording, "the next start has something to say");
    }

    #[test]
    fn an_error_after_a_recovery_carries_its_notices_and_the_events_have_them() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("evening");
        cut_off(&folder);
        let (mut store, mut session) = OpenSession::open(&folder).unwrap();
        let recovered = Recovered::of(&folder, Some(&mut store), &mut session);
        assert_eq!(session.takes()[0].state, TakeState::Recovered);
        let error = recovered.not_opened(ControlError::State("the device did not start".to_owned()));
        assert_eq!(error.to_string(), "the device did not start");
        let ControlError::Recovered { notices, .. } = &error else { panic!("{error:?}") };
        let [notice] = &notices[..] else { panic!("{notices:?}") };
        assert!(notice.text.contains("cut off"), "{}", notice.text);
        let events = read::last(&folder, 10);
        assert!(events.iter().any(|event| event.text == notice.text), "{events:?}");
        // Nothing was recovered now.
        let recovered = Recovered::of(&folder, Some(&mut store), &mut session);
        let error = recovered.not_opened(ControlError::State("again".to_owned()));
        assert!(matches!(error, ControlError::State(_)), "{error:?}");
    }
}
