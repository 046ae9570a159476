//! Work that takes its time, on threads of its own: export, doctor, stress lab. Thread: control, and one a job.

use super::Wake;
use crate::bench;
use crate::bench::report::Row;
use crate::bench::scheme::{Scheme, Side};
use crate::bench::stress::StressKind;
use crate::control::Severity;
use crate::doctor::{self, Finding};
use crate::export::{self, ExportOptions};
use crate::format::TakeFormat;
use crate::session::{Session, TrackId};
use crate::time::FramePos;
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

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

/// What the stress lab is to run.
#[derive(Clone, Debug, PartialEq)]
pub struct StressRequest {
    /// What goes on beside.
    pub kinds: Vec<StressKind>,
    /// Tracks.
    pub tracks: usize,
    /// Seconds of each.
    pub seconds: f64,
}

/// What is known of the stress lab.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StressView {
    /// The part that is done, 0 to 1; `None` while it does not run.
    pub progress: Option<f32>,
    /// What it does now.
    pub doing: String,
    /// The sheet so far.
    pub rows: Arc<Vec<StressRow>>,
    /// Why it ended early.
    pub failed: Option<String>,
}

/// A line of the sheet.
#[derive(Clone, Debug, PartialEq)]
pub struct StressRow {
    /// What went on beside.
    pub stress: String,
    /// Which way of keeping pages was measured.
    pub scheme: String,
    /// Whether it is one that the program uses, and must pass.
    pub ours: bool,
    /// Faults of the audio thread.
    pub faults: u64,
    /// The longest cycle, in microseconds.
    pub worst_us: f64,
    /// Microseconds it had.
    pub deadline_us: f64,
    /// Frames lost.
    pub frames_lost: u64,
    /// No fault, no loss, in time.
    pub passed: bool,
    /// The same in words.
    pub finding: String,
}

/// What the doctor found: not asked, looking, found.
pub type Looked = Option<Option<Arc<Vec<Finding>>>>;

/// What a job tells.
enum News {
    Exporting { part: f32, file: String },
    Exported(Result<Arc<Vec<PathBuf>>, String>),
    Examined(Vec<Finding>),
    Stressing { part: f32, doing: String },
    Stressed(Vec<StressRow>),
    StressOver(Result<(), String>),
    Told(Severity, String),
}

/// See the module.
pub(super) struct Jobs {
    wake: Wake,
    tell: Sender<News>,
    news: Receiver<News>,
    export: ExportView,
    stress: StressView,
    doctor: Looked,
    cancel_export: Arc<AtomicBool>,
    cancel_stress: Arc<AtomicBool>,
}

impl Drop for Jobs {
    fn drop(&mut self) {
        self.cancel_export.store(true, Relaxed);
        self.cancel_stress.store(true, Relaxed);
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
            cancel_stress: Arc::default(),
        }
    }

    pub(super) fn export_view(&self) -> ExportView {
        self.export.clone()
    }

    pub(super) fn stress_view(&self) -> StressView {
        self.stress.clone()
    }

    pub(super) fn doctor_view(&self) -> Looked {
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
                News::Stressed(rows) => Arc::make_mut(&mut self.stress.rows).extend(rows),
                News::StressOver(ended) => {
                    self.stress.progress = None;
                    self.stress.failed = ended.err();
                }
                News::Told(severity, text) => told.push((severity, text)),
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
            self.tell.send(News::Told(Severity::Caution, format!("{name} thread: cannot be started: {error}"))).ok();
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

    /// One stress after the other, in a folder of its own below `base` that is removed afterwards.
    pub(super) fn stress(&mut self, request: StressRequest, base: PathBuf, period: usize) {
        if self.stress.progress.is_some() || request.kinds.is_empty() {
            return;
        }
        self.stress = StressView { progress: Some(0.0), doing: "preparing".to_owned(), ..StressView::default() };
        self.cancel_stress = Arc::default();
        let cancel = Arc::clone(&self.cancel_stress);
        self.spawn("stress", move |tell| {
            // Rows of all schemes, and the files that are played.
            let steps_each = (Scheme::CAPTURE.len() + Scheme::PLAYBACK.len() + 2) as f32;
            let steps = steps_each * request.kinds.len() as f32;
            let mut step = 0.0;
            for kind in &request.kinds {
                let options = bench::Options {
                    tracks: request.tracks,
                    period,
                    seconds: request.seconds,
                    stress: *kind,
                    ..bench::Options::new(base.clone())
                };
                let mut progress = |doing: &str| {
                    tell(News::Stressing { part: step / steps, doing: format!("{kind}: {doing}") });
                    step += 1.0;
                };
                match bench::run(&options, &mut progress, &cancel) {
                    Ok(report) => {
                        let deadline_us = period as f64 / 48_000.0 * 1e6;
                        let rows = report.rows.iter().map(|row| line(row, &kind.to_string(), deadline_us));
                        tell(News::Stressed(rows.collect()));
                    }
                    Err(error) => {
                        tell(News::StressOver(Err(error.to_string())));
                        return;
                    }
                }
            }
            tell(News::StressOver(Ok(())));
        });
    }

    pub(super) fn cancel_stress(&mut self) {
        self.cancel_stress.store(true, Relaxed);
    }

    pub(super) fn open_folder(&self, folder: PathBuf) {
        self.spawn("open", move |tell| {
            if let Err(error) = open::that(&folder) {
                tell(News::Told(
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

/// A row of the bench as a line of the sheet.
fn line(row: &Row, stress: &str, deadline_us: f64) -> StressRow {
    let ours = matches!((row.side, row.scheme), (Side::Capture, Scheme::Spool) | (Side::Playback, Scheme::Locked));
    // A processor that was taken away by somebody else is the machine's, not the scheme's.
    let late = row.misses - row.woken_late.min(row.misses);
    StressRow {
        stress: stress.to_owned(),
        scheme: format!("{} {}", row.side, row.scheme),
        ours,
        faults: row.faults(),
        worst_us: row.cycle_us_max,
        deadline_us,
        frames_lost: row.frames_wrong,
        passed: row.faults() == 0 && row.frames_wrong == 0 && row.windows_missing == 0 && late == 0,
        finding: row.finding(),
    }
}
