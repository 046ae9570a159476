//! Work that takes its time, on threads of its own: export, doctor, stress test. Thread: control, and one a job.

use super::Wake;
use crate::control::Severity;
use crate::diagnostics::doctor::{self, Finding};
use crate::diagnostics::stress::StressKind;
use crate::diagnostics::stress::sheet::Row;
use crate::export::{self, ExportOptions};
use crate::format::TakeFormat;
use crate::session::{Session, TrackId};
use crate::time::FramePos;
use crossbeam_channel::{Receiver, Sender, unbounded};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// What is to be exported.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportRequest {
    /// The folder for the files.
    pub to: PathBuf,
    /// Tracks; `None`: all.
    pub tracks: Option<Vec<TrackId>>,
    /// From and until; `None`: the whole session.
    pub range: Option<(FramePos, FramePos)>,
    /// Format of the files; `None`: that of the session.
    pub format: Option<TakeFormat>,
    /// One stereo mix rather than a file per track.
    pub mix: bool,
    /// Replace files that are there.
    pub replace: bool,
}

/// What is known of an export.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExportView {
    /// The part that is done, 0 to 1; `None` while none runs.
    pub progress: Option<f32>,
    /// The file being written.
    pub file: String,
    /// How the last one ended: the files, or why not.
    pub ended: Option<Result<Arc<Vec<PathBuf>>, String>>,
}

/// What the stress test is to run.
#[derive(Clone, Debug, PartialEq)]
pub struct StressRequest {
    /// What goes on beside.
    pub kinds: Vec<StressKind>,
    /// Inputs.
    pub tracks: usize,
    /// Seconds of each.
    pub seconds: f64,
}

/// What is known of the stress test.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StressView {
    /// The part that is done, 0 to 1; `None` while it does not run.
    pub progress: Option<f32>,
    /// What it does now.
    pub doing: String,
    /// The sheet so far.
    pub rows: Arc<Vec<Row>>,
    /// Why it ended early.
    pub failed: Option<String>,
}

/// What the doctor found: not asked, looking, found.
pub type DoctorView = Option<Option<Arc<Vec<Finding>>>>;

/// What a job tells.
enum News {
    Exporting { part: f32, file: String },
    Exported(Result<Arc<Vec<PathBuf>>, String>),
    Examined(Vec<Finding>),
    Stressing { part: f32, doing: String },
    Stressed(Box<Row>),
    StressOver(Result<(), String>),
    EventEntry(Severity, String),
}

/// See the module.
pub(super) struct Jobs {
    wake: Wake,
    tell: Sender<News>,
    news: Receiver<News>,
    export: ExportView,
    stress: StressView,
    doctor: DoctorView,
    cancel_export: Arc<AtomicBool>,
    stress_leash: Arc<Leash>,
}

impl Drop for Jobs {
    fn drop(&mut self) {
        self.cancel_export.store(true, Relaxed);
        self.stress_leash.release();
    }
}

impl Jobs {
    pub(super) fn new(wake: Wake) -> Jobs {
        let (tell, news) = unbounded();
        Jobs {
            wake,
            tell,
            news,
            export: ExportView::default(),
            stress: StressView::default(),
            doctor: None,
            cancel_export: Arc::default(),
            stress_leash: Arc::default(),
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

    /// Whether any runs.
    pub(super) fn is_busy(&self) -> bool {
        self.export.progress.is_some() || self.stress.progress.is_some() || self.doctor == Some(None)
    }

    /// Takes what they have told; what a user should read comes back.
    pub(super) fn poll(&mut self) -> Vec<(Severity, String)> {
        let mut told = Vec::new();
        while let Ok(news) = self.news.try_recv() {
            match news {
                News::Exporting { part, file } => (self.export.progress, self.export.file) = (Some(part), file),
                News::Exported(ended) => {
                    match &ended {
                        Ok(files) => told.push((Severity::Info, format!("export: {} files written", files.len()))),
                        Err(reason) => told.push((Severity::Caution, format!("export: {reason}"))),
                    }
                    self.export = ExportView { ended: Some(ended), ..ExportView::default() };
                }
                News::Examined(findings) => self.doctor = Some(Some(Arc::new(findings))),
                News::Stressing { part, doing } => (self.stress.progress, self.stress.doing) = (Some(part), doing),
                News::Stressed(row) => Arc::make_mut(&mut self.stress.rows).push(*row),
                News::StressOver(ended) => {
                    self.stress.progress = None;
                    self.stress.failed = ended.err();
                }
                News::EventEntry(severity, text) => told.push((severity, text)),
            }
        }
        told
    }

    fn spawn(&self, name: &str, work: impl FnOnce(&dyn Fn(News)) + Send + 'static) {
        let (tell, wake) = (self.tell.clone(), Arc::clone(&self.wake));
        let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            work(&|news| {
                tell.send(news).ok();
                wake();
            });
        });
        if let Err(error) = spawned {
            self.tell
                .send(News::EventEntry(Severity::Caution, format!("{name} thread: cannot be started: {error}")))
                .ok();
        }
    }

    pub(super) fn export(&mut self, request: ExportRequest, folder: PathBuf, session: Arc<Session>) {
        if self.export.progress.is_some() {
            return;
        }
        self.export = ExportView { progress: Some(0.0), ..ExportView::default() };
        self.cancel_export = Arc::default();
        let cancel = Arc::clone(&self.cancel_export);
        self.spawn("export", move |tell| {
            let options = options(&request, folder, &session);
            let mut last = -1.0_f32;
            let mut progress = |now: export::Progress<'_>| {
                let part = now.frames.0 as f32 / now.frames_total.0.max(1) as f32;
                if part - last > 0.005 {
                    last = part;
                    let file =
                        now.file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
                    tell(News::Exporting { part, file });
                }
            };
            let done = export::plan::plan(&session, &options)
                .and_then(|plan| export::run::run(&plan.jobs, &mut progress, &cancel))
                .map(|made| Arc::new(made.into_iter().map(|made| made.file).collect()))
                .map_err(|error| error.to_string());
            tell(News::Exported(done));
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
        self.spawn("doctor", move |tell| tell(News::Examined(doctor::examine(&folder, tracks, rate, format))));
    }

    /// One stress after the other, by a program of its own: what it does to its memory and its control group, and an end
    /// by the kernel's hand, does not reach the open session. It works in a folder below `base` that is removed afterwards.
    pub(super) fn stress(&mut self, request: StressRequest, base: &Path, period: usize, program: Option<PathBuf>) {
        if self.stress.progress.is_some() || request.kinds.is_empty() {
            return;
        }
        self.stress = StressView { progress: Some(0.0), doing: "preparing".to_owned(), ..StressView::default() };
        self.stress_leash = Arc::default();
        let leash = Arc::clone(&self.stress_leash);
        let scratch = base.join("Stress test");
        self.spawn("stress", move |tell| {
            let program = program.unwrap_or_else(|| PathBuf::from("/proc/self/exe"));
            let ended = stress(&program, &request, &scratch, period, &leash, tell);
            tell(News::StressOver(ended));
        });
    }

    pub(super) fn cancel_stress(&mut self) {
        self.stress_leash.release();
    }

    pub(super) fn open_folder(&self, folder: PathBuf) {
        self.spawn("open", move |tell| {
            if let Err(error) = open::that(&folder) {
                tell(News::EventEntry(
                    Severity::Info,
                    format!("{}: no file manager opens it here ({error})", folder.display()),
                ));
            }
        });
    }
}

/// What the export itself is told.
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

/// What keeps the stress test's program going: its standard input. Let go, it ends in good order.
#[derive(Default)]
struct Leash {
    input: Mutex<Option<ChildStdin>>,
    gone: AtomicBool,
}

impl Leash {
    fn hold(&self, input: Option<ChildStdin>) {
        if let Ok(mut held) = self.input.lock() {
            *held = input.filter(|_| !self.gone.load(Relaxed));
        }
    }

    fn release(&self) {
        self.gone.store(true, Relaxed);
        if let Ok(mut held) = self.input.lock() {
            *held = None;
        }
    }
}

/// A line that the stress test's program may print at the most.
const OUTPUT_LINE_BYTES_MAX: u64 = 64 * 1024;

/// Runs the stress test's program and passes on what it tells, line by line.
fn stress(
    program: &Path,
    request: &StressRequest,
    scratch: &Path,
    period: usize,
    leash: &Leash,
    tell: &dyn Fn(News),
) -> Result<(), String> {
    let kinds: Vec<String> = request.kinds.iter().map(StressKind::to_string).collect();
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
    leash.hold(child.stdin.take());
    // Short, and read only when it is over: a pipe holds it.
    let mut errors = child.stderr.take();
    let mut lines = child.stdout.take().map(BufReader::new);
    let mut line = Vec::new();
    let (mut whole, mut unreadable) = (false, None);
    while let Some(read) = &mut lines
        && read.by_ref().take(OUTPUT_LINE_BYTES_MAX).read_until(b'\n', &mut line).is_ok_and(|got| got > 0)
    {
        let value: Value = serde_json::from_slice(&line).unwrap_or_default();
        line.clear();
        if let Some(row) = value.get("row") {
            match serde_json::from_value(row.clone()) {
                Ok(row) => tell(News::Stressed(Box::new(row))),
                Err(error) => {
                    unreadable = Some(format!("stress test: its sheet cannot be read: {error}"));
                    leash.release();
                }
            }
        } else if let Some(part) = value["part"].as_f64() {
            let doing = value["doing"].as_str().unwrap_or_default().to_owned();
            tell(News::Stressing { part: part as f32, doing });
        }
        whole |= value.get("rows").is_some();
    }
    let status = child.wait().map_err(|error| format!("stress test: {error}"))?;
    if let Some(reason) = unreadable {
        return Err(reason);
    }
    if whole {
        // A sheet that was not passed says so itself.
        return Ok(());
    }
    let mut said = String::new();
    if let Some(errors) = &mut errors {
        errors.take(OUTPUT_LINE_BYTES_MAX).read_to_string(&mut said).ok();
    }
    let last = said.lines().last().and_then(|line| line.strip_prefix("faultless: ")).map(str::to_owned);
    Err(last.unwrap_or_else(|| format!("stress test: it ended without a sheet ({status})")))
}
