//! Long jobs: export, doctor, stress test, and opening a folder. Thread: control owns [`Jobs`]; each job runs on a
//! thread of its own and sends [`JobEvent`]s.

use super::Wake;
use crate::control::Severity;
use crate::control::recording::counted;
use crate::diagnostics::doctor::{self, Finding};
use crate::diagnostics::stress::StressKind;
use crate::diagnostics::stress::sheet::Row;
use crate::export::{self, ExportOptions};
use crate::format::TakeFormat;
use crate::session::{Session, TrackId};
use crate::time::FramePos;
use crate::window::process::keep_files_from_children;
use crossbeam_channel::{Receiver, Sender, bounded};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// A request to export.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExportRequest {
    /// The folder for the exported files.
    #[serde(with = "crate::serial::path")]
    pub to: PathBuf,
    /// The tracks; `None`: all.
    pub tracks: Option<Vec<TrackId>>,
    /// The range: from, until; `None`: the whole session.
    pub range: Option<(FramePos, FramePos)>,
    /// The sample format of the files; `None`: that of each take.
    pub format: Option<TakeFormat>,
    /// Export one stereo mix rather than a file for each track.
    pub mix: bool,
    /// Replace existing files.
    pub replace: bool,
}

/// The state of the export.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ExportView {
    /// Progress from 0 to 1; `None` while no export runs.
    pub progress: Option<f32>,
    /// The file being written.
    pub file: String,
    /// The result of the last export: its files, or the reason for its failure.
    #[serde(with = "crate::serial::files_or_reason")]
    pub ended: Option<Result<Arc<Vec<PathBuf>>, String>>,
}

/// A request to run the stress test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StressRequest {
    /// The stresses to run, one after the other.
    pub kinds: Vec<StressKind>,
    /// Number of inputs to record.
    pub tracks: usize,
    /// Seconds to record under each stress.
    pub seconds: f64,
}

/// The state of the stress test.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StressView {
    /// Progress from 0 to 1; `None` while the test does not run.
    pub progress: Option<f32>,
    /// The present step, for the screen.
    pub doing: String,
    /// The rows of the sheet that are complete.
    #[serde(with = "crate::serial::shared")]
    pub rows: Arc<Vec<Row>>,
    /// The reason why the test ended early.
    pub failed: Option<String>,
}

/// The doctor's findings: `None` before the first examination, `Some(None)` during one.
pub type DoctorView = Option<Option<Arc<Vec<Finding>>>>;

/// Messages that may wait for control. A report of progress that finds no place is dropped, because a later one replaces
/// it. Any other message waits on its job's thread, so none is lost.
const EVENTS_MAX: usize = 64;

/// The kinds of jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Job {
    Export,
    Doctor,
    Stress,
}

impl Job {
    /// The name of its thread.
    fn name(self) -> &'static str {
        match self {
            Job::Export => "export",
            Job::Doctor => "doctor",
            Job::Stress => "stress",
        }
    }

    /// The last message of a job that failed for `reason`.
    fn failed(self, reason: &str) -> JobEvent {
        let reason = format!("{} thread: {reason}", self.name());
        match self {
            Job::Export => JobEvent::Exported(Err(reason)),
            Job::Doctor => JobEvent::DoctorFailed(reason),
            Job::Stress => JobEvent::StressEnded(Err(reason)),
        }
    }
}

/// A message from a job's thread.
enum JobEvent {
    ExportProgress { fraction: f32, file: String },
    Exported(Result<Arc<Vec<PathBuf>>, String>),
    DoctorDone(Vec<Finding>),
    DoctorFailed(String),
    StressProgress { fraction: f32, doing: String },
    StressRow(Box<Row>),
    StressEnded(Result<(), String>),
    Notice(Severity, String),
}

impl JobEvent {
    /// Whether a later message replaces this one.
    fn is_progress(&self) -> bool {
        matches!(self, JobEvent::ExportProgress { .. } | JobEvent::StressProgress { .. })
    }
}

/// The jobs that run now, and the results of the last ones.
pub(super) struct Jobs {
    wake: Wake,
    sender: Sender<JobEvent>,
    events: Receiver<JobEvent>,
    /// The messages of jobs that could not be started, at most one of each kind.
    not_started: Vec<JobEvent>,
    export: ExportView,
    stress: StressView,
    doctor: DoctorView,
    cancel_export: Arc<AtomicBool>,
    stress_keep_alive: Arc<KeepAlive>,
}

impl Drop for Jobs {
    fn drop(&mut self) {
        self.cancel_export.store(true, Relaxed);
        self.stress_keep_alive.release();
    }
}

impl Jobs {
    pub(super) fn new(wake: Wake) -> Jobs {
        let (sender, events) = bounded(EVENTS_MAX);
        Jobs {
            wake,
            sender,
            events,
            not_started: Vec::new(),
            export: ExportView::default(),
            stress: StressView::default(),
            doctor: None,
            cancel_export: Arc::default(),
            stress_keep_alive: Arc::default(),
        }
    }

    pub(super) fn export_view(&self) -> ExportView {
        self.export.clone()
    }

    pub(super) fn stress_view(&self) -> StressView {
        self.stress.clone()
    }

    pub(super) fn doctor_view(&self) -> DoctorView {
        self.doctor.clone()
    }

    /// Whether an export runs, or was cancelled and still removes its files.
    pub(super) fn is_exporting(&self) -> bool {
        self.export.progress.is_some()
    }

    /// Whether a job runs.
    pub(super) fn is_busy(&self) -> bool {
        self.is_exporting() || self.stress.progress.is_some() || self.doctor == Some(None)
    }

    /// Takes the messages of all jobs. Returns notices for the user.
    pub(super) fn poll(&mut self) -> Vec<(Severity, String)> {
        let mut notices = Vec::new();
        while let Some(event) = self.not_started.pop().or_else(|| self.events.try_recv().ok()) {
            match event {
                JobEvent::ExportProgress { fraction, file } => {
                    (self.export.progress, self.export.file) = (Some(fraction), file);
                }
                JobEvent::Exported(ended) => {
                    match &ended {
                        Ok(files) => notices
                            .push((Severity::Info, format!("export: {} written", counted(files.len() as u64, "file")))),
                        Err(reason) => notices.push((Severity::Caution, format!("export: {reason}"))),
                    }
                    self.export = ExportView { ended: Some(ended), ..ExportView::default() };
                }
                JobEvent::DoctorDone(findings) => self.doctor = Some(Some(Arc::new(findings))),
                JobEvent::DoctorFailed(reason) => {
                    self.doctor = None;
                    notices.push((Severity::Caution, reason));
                }
                JobEvent::StressProgress { fraction, doing } => {
                    (self.stress.progress, self.stress.doing) = (Some(fraction), doing);
                }
                JobEvent::StressRow(row) => Arc::make_mut(&mut self.stress.rows).push(*row),
                JobEvent::StressEnded(ended) => {
                    self.stress.progress = None;
                    self.stress.failed = ended.err();
                }
                JobEvent::Notice(severity, text) => notices.push((severity, text)),
            }
        }
        notices
    }

    /// Starts a job. A job that panics, or for which the system gives no thread, ends with a message too. Otherwise the
    /// app would wait for it and could not be closed.
    fn spawn(&mut self, job: Job, work: impl FnOnce(&dyn Fn(JobEvent)) + Send + 'static) {
        let (sender, wake) = (self.sender.clone(), Arc::clone(&self.wake));
        let spawned = std::thread::Builder::new().name(job.name().to_owned()).spawn(move || {
            let send = |event: JobEvent| {
                if event.is_progress() {
                    sender.try_send(event).ok();
                } else {
                    sender.send(event).ok();
                }
                wake();
            };
            if catch_unwind(AssertUnwindSafe(|| work(&send))).is_err() {
                send(job.failed("it failed"));
            }
        });
        if let Err(error) = spawned {
            self.not_started.push(job.failed(&format!("cannot be started: {error}")));
            (self.wake)();
        }
    }

    pub(super) fn export(&mut self, request: ExportRequest, folder: PathBuf, session: Arc<Session>) {
        if self.is_exporting() {
            return;
        }
        self.export = ExportView { progress: Some(0.0), ..ExportView::default() };
        self.cancel_export = Arc::default();
        let cancel = Arc::clone(&self.cancel_export);
        self.spawn(Job::Export, move |send| {
            let options = options(&request, folder, &session);
            let mut last = -1.0_f32;
            let mut progress = |now: export::Progress<'_>| {
                let fraction = now.frames.0 as f32 / now.frames_total.0.max(1) as f32;
                if fraction - last > 0.005 {
                    last = fraction;
                    let file =
                        now.file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
                    send(JobEvent::ExportProgress { fraction, file });
                }
            };
            let done = export::plan::plan(&session, &options)
                .and_then(|plan| Ok((export::run::run(&plan.files, &mut progress, &cancel)?, plan.notes)))
                .map(|(made, notes)| {
                    for (severity, text) in export_notices(&made, notes) {
                        send(JobEvent::Notice(severity, text));
                    }
                    Arc::new(made.files.into_iter().map(|made| made.file).collect())
                })
                .map_err(|error| error.to_string());
            send(JobEvent::Exported(done));
        });
    }

    pub(super) fn cancel_export(&mut self) {
        self.cancel_export.store(true, Relaxed);
    }

    pub(super) fn doctor(&mut self, folder: PathBuf, tracks: usize, rate: u32, format: TakeFormat) {
        if self.doctor == Some(None) {
            return;
        }
        self.doctor = Some(None);
        self.spawn(Job::Doctor, move |send| send(JobEvent::DoctorDone(doctor::examine(&folder, tracks, rate, format))));
    }

    /// Starts the stress test as a process of its own. The process limits its own memory and moves itself into a
    /// control group, and the kernel may kill it; none of this may touch the open session. It works in a folder below
    /// `base` and removes that folder at the end.
    pub(super) fn stress(&mut self, request: StressRequest, base: &Path, period: usize, program: Option<PathBuf>) {
        if self.stress.progress.is_some() || request.kinds.is_empty() {
            return;
        }
        self.stress = StressView { progress: Some(0.0), doing: "preparing".to_owned(), ..StressView::default() };
        self.stress_keep_alive = Arc::default();
        let keep_alive = Arc::clone(&self.stress_keep_alive);
        let scratch = base.join("Stress test");
        self.spawn(Job::Stress, move |send| {
            let program = program.unwrap_or_else(|| PathBuf::from("/proc/self/exe"));
            let ended = stress(&program, &request, &scratch, period, &keep_alive, send);
            send(JobEvent::StressEnded(ended));
        });
    }

    pub(super) fn cancel_stress(&mut self) {
        self.stress_keep_alive.release();
    }
}

/// The notices of an export that wrote its files. `notes`: the sentences of its plan.
fn export_notices(made: &export::Outcome, notes: Vec<String>) -> Vec<(Severity, String)> {
    let mut notices: Vec<(Severity, String)> =
        notes.into_iter().map(|note| (Severity::Info, format!("export: {note}"))).collect();
    for file in &made.files {
        let clipped =
            file.clipped().map(|text| (Severity::Caution, format!("export: {}: {text}", file.file.display())));
        notices.extend(clipped);
        notices.extend(file.notes.iter().map(|note| (Severity::Caution, format!("export: {note}"))));
    }
    notices.extend(made.problems.iter().map(|problem| (Severity::Caution, format!("export: {problem}"))));
    notices
}

/// The options of the exporter for a request of the front end.
pub fn options(request: &ExportRequest, folder: PathBuf, session: &Session) -> ExportOptions {
    let numbers = |ids: &Vec<TrackId>| {
        let at = |id: &TrackId| session.track_ids().position(|other| other == *id).map(|at| at + 1);
        ids.iter().filter_map(at).collect()
    };
    ExportOptions {
        folder,
        to: request.to.clone(),
        tracks: request.tracks.as_ref().map(numbers),
        from: request.range.map(|(from, _)| from),
        until: request.range.map(|(_, to)| to),
        format: request.format,
        mix: request.mix,
        force: request.replace,
    }
}

/// The standard input of the stress test's process. The process runs until this is closed, and then cleans up.
#[derive(Default)]
struct KeepAlive {
    input: Mutex<Option<ChildStdin>>,
    released: AtomicBool,
}

impl KeepAlive {
    fn set_input(&self, input: Option<ChildStdin>) {
        if let Ok(mut slot) = self.input.lock() {
            *slot = input.filter(|_| !self.released.load(Relaxed));
        }
    }

    fn release(&self) {
        self.released.store(true, Relaxed);
        if let Ok(mut slot) = self.input.lock() {
            *slot = None;
        }
    }
}

/// Limit for a line of output of the stress test's process.
const OUTPUT_LINE_BYTES_MAX: u64 = 64 * 1024;

/// Runs the process of the stress test and turns each line of its output into a job event.
fn stress(
    program: &Path,
    request: &StressRequest,
    scratch: &Path,
    period: usize,
    keep_alive: &KeepAlive,
    send: &dyn Fn(JobEvent),
) -> Result<(), String> {
    let kinds: Vec<String> = request.kinds.iter().map(StressKind::to_string).collect();
    keep_files_from_children();
    let mut child = std::process::Command::new(program)
        .arg("stress")
        .arg(scratch)
        .args(["--told", "--stress", &kinds.join(","), "--seconds", &request.seconds.to_string()])
        .args(["--inputs", &request.tracks.to_string(), "--period", &period.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("stress test: {} cannot be started: {error}", program.display()))?;
    keep_alive.set_input(child.stdin.take());
    // Standard error is short enough for the pipe's buffer, so reading it after the end cannot block the process.
    let mut errors = child.stderr.take();
    let mut lines = child.stdout.take().map(BufReader::new);
    let mut line = Vec::new();
    let (mut complete, mut unreadable) = (false, None);
    while let Some(read) = &mut lines
        && read.by_ref().take(OUTPUT_LINE_BYTES_MAX).read_until(b'\n', &mut line).is_ok_and(|got| got > 0)
    {
        let value: Value = serde_json::from_slice(&line).unwrap_or_default();
        line.clear();
        if let Some(row) = value.get("row") {
            match serde_json::from_value(row.clone()) {
                Ok(row) => send(JobEvent::StressRow(Box::new(row))),
                Err(error) => {
                    unreadable = Some(format!("stress test: its table cannot be read: {error}"));
                    keep_alive.release();
                }
            }
        } else if let Some(fraction) = value["part"].as_f64() {
            let doing = value["doing"].as_str().unwrap_or_default().to_owned();
            send(JobEvent::StressProgress { fraction: fraction as f32, doing });
        }
        complete |= value.get("rows").is_some();
    }
    let status = child.wait().map_err(|error| format!("stress test: {error}"))?;
    if let Some(reason) = unreadable {
        return Err(reason);
    }
    if complete {
        // A failed test also exits with an error, but its sheet is complete and shows the failure.
        return Ok(());
    }
    let mut output = String::new();
    if let Some(errors) = &mut errors {
        errors.take(OUTPUT_LINE_BYTES_MAX).read_to_string(&mut output).ok();
    }
    let last = output.lines().last().and_then(|line| line.strip_prefix("faultless: ")).map(str::to_owned);
    Err(last.unwrap_or_else(|| format!("stress test: it ended without a table ({status})")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::tests::TestSession;
    use std::time::{Duration, Instant};

    fn poll_until(jobs: &mut Jobs, so: impl Fn(&Jobs) -> bool) -> Vec<(Severity, String)> {
        let (mut notices, deadline) = (Vec::new(), Instant::now() + Duration::from_secs(20));
        while !so(jobs) {
            assert!(Instant::now() < deadline, "the job does not end");
            notices.extend(jobs.poll());
            std::thread::sleep(Duration::from_millis(2));
        }
        notices
    }

    #[test]
    fn a_job_that_panics_ends_with_a_message() {
        let mut jobs = Jobs::new(Arc::new(|| ()));
        jobs.export.progress = Some(0.0);
        jobs.spawn(Job::Export, |_| std::panic::resume_unwind(Box::new("as intended")));
        let notices = poll_until(&mut jobs, |jobs| !jobs.is_exporting());
        assert!(notices[0].1.contains("export thread: it failed"), "{notices:?}");
        jobs.doctor = Some(None);
        jobs.spawn(Job::Doctor, |_| std::panic::resume_unwind(Box::new("as intended")));
        poll_until(&mut jobs, |jobs| !jobs.is_busy());
        assert_eq!(jobs.doctor, None, "it can be asked again");
    }

    #[test]
    fn progress_that_nobody_takes_is_dropped_and_results_are_not() {
        let mut jobs = Jobs::new(Arc::new(|| ()));
        jobs.export.progress = Some(0.0);
        let (filled, is_filled) = bounded(0);
        jobs.spawn(Job::Export, move |send| {
            for _ in 0..10 * EVENTS_MAX {
                send(JobEvent::ExportProgress { fraction: 0.5, file: String::new() });
            }
            filled.send(()).ok();
            send(JobEvent::Exported(Ok(Arc::default())));
        });
        assert_eq!(
            is_filled.recv_timeout(Duration::from_secs(20)),
            Ok(()),
            "a job ends although the queue of events is full"
        );
        assert_eq!(jobs.events.len(), EVENTS_MAX);
        poll_until(&mut jobs, |jobs| !jobs.is_exporting());
        assert!(matches!(&jobs.export.ended, Some(Ok(files)) if files.is_empty()));
    }

    /// The window showed "1 file written" and nothing else.
    #[test]
    fn an_export_that_clips_or_leaves_tracks_out_says_so_in_the_window_too() {
        let mut fixture = TestSession::new(TakeFormat::F32);
        fixture.mono("Hot", TakeFormat::F32, 0, &[2.0, -1.5, 1.0, 0.5]);
        fixture.track("Empty", &[1]);
        let exported = |format: TakeFormat, mix: bool| {
            let to = fixture.folder().join(if mix { "mix" } else { "stems" });
            let (tracks, range, format) = (None, None, Some(format));
            let request = ExportRequest { to, tracks, range, format, mix, replace: false };
            let mut jobs = Jobs::new(Arc::new(|| ()));
            jobs.export(request, fixture.folder().clone(), Arc::new(fixture.session.clone()));
            poll_until(&mut jobs, |jobs| !jobs.is_exporting())
        };
        let clipped = exported(TakeFormat::S16, false);
        let [(_, empty), (caution, hot), (_, written)] = &clipped[..] else { panic!("{clipped:?}") };
        assert_eq!(empty, "export: track 2 (Empty): no sound there, left out");
        assert!(hot.ends_with("01 Hot.wav: CLIPPED: 2 samples over full scale; lower the gain or export f32"), "{hot}");
        assert_eq!((*caution, written.as_str()), (Severity::Caution, "export: 1 file written"));
        assert_eq!(exported(TakeFormat::F32, true).len(), 1, "a float file holds samples over full scale");
    }
}
