//! The link between the window's process and the engine's process: messages, sockets, both ends. Thread: see each file.
//!
//! ```text
//!   window --- requests: commands, "the next snapshot" ---> engine: AppHandle
//!          <-- snapshots, by what has changed ------------
//!          <== the live page, read-only ================== engine: control
//! ```
//!
//! The [live page](crate::app::live) has what changes with every picture, so a picture costs no message.
//!
//! The window can die, stop or hang, and the recording continues. The engine can die, and the window starts another one.
//! [`Recorder`] is what a window uses, whether the engine is in another process or in its own.

mod answers;
pub mod client;
mod client_of_server;
mod death;
mod notification;
pub mod place;
pub mod protocol;
mod requests;
mod samples;
pub mod server;
pub mod start;
pub mod visit;

use crate::app::command::Command;
use crate::app::handle::{AppHandle, Phase};
use crate::app::report::ReportFigures;
use crate::app::snapshot::Snapshot;
use crate::app::{Questions, Wake};
use crate::diagnostics::trace::Trace;
use crate::residency::watcher::ResidencySamples;
use client::Client;
use std::sync::Arc;
use std::time::Duration;

/// A recorder as a window uses it.
#[derive(Clone)]
pub enum Recorder {
    /// The engine runs in this process and ends with it.
    InProcess(AppHandle),
    /// The engine has a process of its own.
    Remote(Client),
}

impl Recorder {
    /// Sets what is called when there is something new to show. An engine in this process has it from its start.
    pub fn set_wake(&self, wake: Wake) {
        if let Recorder::Remote(client) = self {
            client.set_wake(wake);
        }
    }

    /// Waits until the recorder has something to show, at most for `limit`.
    pub fn wait_for_first(&self, limit: Duration) {
        if let Recorder::Remote(client) = self {
            client.wait_for_first(limit);
        }
    }

    /// Whether the recording can continue without the window.
    pub fn can_outlive_window(&self) -> bool {
        matches!(self, Recorder::Remote(_))
    }

    /// Gives a command. Does not wait. `false`: the command is not carried out.
    #[must_use]
    pub fn apply(&self, command: Command) -> bool {
        match self {
            Recorder::InProcess(app) => app.apply(command),
            Recorder::Remote(client) => client.apply(command),
        }
    }

    /// Whether a command that was given has been refused since, because control does not answer.
    pub fn take_refusal(&self) -> bool {
        matches!(self, Recorder::Remote(client) if client.take_refusal())
    }

    /// Whether the recorder answers in time.
    pub fn answers(&self) -> bool {
        !matches!(self, Recorder::Remote(client) if !client.answers())
    }

    /// Whether the window goes and lets a recording in another process be.
    pub fn has_left(&self) -> bool {
        matches!(self, Recorder::Remote(client) if client.has_left())
    }

    /// The newest state. The recorder makes the next one.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        match self {
            Recorder::InProcess(app) => app.snapshot(),
            Recorder::Remote(client) => client.snapshot(),
        }
    }

    /// Whether `snapshot` shows the effect of every command that was given.
    pub fn is_up_to_date(&self, snapshot: &Snapshot) -> bool {
        match self {
            Recorder::InProcess(app) => app.is_up_to_date(snapshot),
            Recorder::Remote(client) => client.is_up_to_date(snapshot),
        }
    }

    /// Waits, at most for `limit`, until every command given so far is carried out.
    pub fn settled(&self, limit: Duration) -> Arc<Snapshot> {
        match self {
            Recorder::InProcess(app) => app.settled(limit),
            Recorder::Remote(client) => client.settled(limit),
        }
    }

    /// The residency samples; `None` while no session is open in this process, and shortly after the first call.
    pub fn samples(&self) -> Option<Arc<dyn ResidencySamples>> {
        match self {
            Recorder::InProcess(app) => app.watcher().map(|watcher| watcher as Arc<dyn ResidencySamples>),
            Recorder::Remote(client) => Some(client.samples()),
        }
    }

    /// How far the recorder is from its end.
    pub fn phase(&self) -> Phase {
        match self {
            Recorder::InProcess(app) => app.phase(),
            Recorder::Remote(client) => client.phase(),
        }
    }

    /// Whether everything is closed and on the disk.
    pub fn is_closed(&self) -> bool {
        self.phase() == Phase::Closed
    }

    /// Begins to close everything. A pass that is on ends first. Does not wait.
    pub fn shutdown(&self) {
        match self {
            Recorder::InProcess(app) => app.shutdown(),
            Recorder::Remote(client) => client.shutdown(),
        }
    }

    /// Closes everything in order, and waits. Returns whether everything is on the disk.
    pub fn close_within(&self, limit: Duration) -> bool {
        match self {
            Recorder::InProcess(app) => app.close_within(limit),
            Recorder::Remote(client) => client.close_within(limit),
        }
    }

    /// Leaves an engine of another process, which records on. Does nothing where the engine would end too.
    pub fn leave(&self) {
        if let Recorder::Remote(client) = self {
            client.leave();
        }
    }

    /// Whether the recording continues when the window ends now.
    fn continues(&self) -> bool {
        let Recorder::Remote(client) = self else { return false };
        client.has_left() || (client.phase() == Phase::Running && client.records())
    }

    /// Whether a recorder in another process records, also if its first state has not come yet.
    pub fn records(&self) -> bool {
        matches!(self, Recorder::Remote(client) if client.records())
    }

    /// Begins to close what must end with the window. Does not wait.
    pub fn begin_end_with_window(&self) {
        if !self.continues() {
            self.shutdown();
        }
    }

    /// Closes what must end with the window, and waits. Where another process records, that is nothing.
    pub fn end_with_window(&self, limit: Duration) -> Ended {
        if self.continues() {
            return Ended::Continues;
        }
        match self.close_within(limit) {
            // The window had not heard before that its engine records.
            _ if self.has_left() => Ended::Continues,
            true => Ended::Saved,
            false => Ended::NotSaved,
        }
    }
}

/// Time for the answer to a question.
const QUESTION_LIMIT: Duration = Duration::from_secs(5);

impl Questions for Recorder {
    fn trace(&self) -> Result<Trace, String> {
        let trace = match self {
            Recorder::InProcess(app) => app.trace(QUESTION_LIMIT),
            Recorder::Remote(client) => {
                let answer = client.trace(QUESTION_LIMIT);
                answer.ok_or("the recorder does not answer")?
            }
        };
        trace.ok_or_else(|| "no session is open".to_owned())
    }

    fn figures(&self) -> ReportFigures {
        let deltas = match self {
            Recorder::InProcess(app) => app.watcher().map(|watcher| watcher.kernel_deltas()),
            // The figures that the window lacks come before the answer.
            Recorder::Remote(client) => client.kernel_deltas(QUESTION_LIMIT),
        };
        let Some(samples) = self.samples() else { return ReportFigures { deltas, ..ReportFigures::default() } };
        ReportFigures {
            deltas,
            rates: samples.rates(),
            faults: samples.faults(),
            no_faults_because: samples.no_faults_because().map(|reason| reason.to_string()),
            disk_work: samples.disk_work(),
            no_disk_work_because: samples.no_disk_work_because().map(|reason| reason.to_string()),
            disk_work_gaps: samples.disk_work_gaps().map(|gaps| gaps.to_string()),
        }
    }
}

/// How a recorder is when its window has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Saved,
    /// A recording continues in another process.
    Continues,
    NotSaved,
}
