//! Saving a report: one JSON file with events, figures and takes, a picture of the residency map, and one of the window; and
//! saving a trace. Thread: ui, and short-lived threads for each file.

use super::panel_context::PanelContext;
use crate::app::report::{Draft, ReportFigures};
use crate::diagnostics::trace;
use crate::lock::lock;
use crate::residency::sample::Sample;
use crate::session::names::REPORTS;
use egui::{ColorImage, Ui};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Saves reports, and keeps the outcome of the last one for display.
#[derive(Clone, Default)]
pub struct ReportSaver {
    result: Arc<Mutex<Option<String>>>,
}

impl ReportSaver {
    /// Starts to save a report with `samples`, or with the watcher's last minute if `None`. Does not wait.
    pub(super) fn start(&self, ui: &Ui, context: &PanelContext<'_>, samples: Option<Vec<Arc<Sample>>>) {
        let samples = samples
            .or_else(|| context.watcher.map(super::super::residency::watcher::ResidencySamples::history))
            .unwrap_or_default();
        let time = jiff::Zoned::now().strftime("%Y-%m-%d %H.%M.%S").to_string();
        let base = context.snapshot.folder.join(REPORTS).join(format!("report {time}"));
        let draft = Draft::new(context.snapshot, &samples);
        *lock(&self.result) = None;
        let outcome = self.outcome(ui, with_ending(&base, ".json"));
        let (questions, own) = (context.questions.cloned(), base.clone());
        // If the system gives no thread, the closure is dropped, and the outcome in it says so.
        spawn(move || {
            let figures = questions.map(|questions| questions.figures()).unwrap_or_default();
            let saved = write_map(&own, &draft, &figures).and_then(|()| write_json(&own, draft, &figures));
            outcome.set(&saved);
        });
        // The picture arrives after the next drawing, or never. The JSON file does not wait for it.
        ui.request_screenshot(move |picture: Arc<ColorImage>| {
            let base = base.clone();
            spawn(move || drop(write_picture(&base, &picture)));
        });
        ui.request_repaint();
    }

    /// Starts to save the last minute as a trace. Does not wait.
    pub(super) fn start_trace(&self, ui: &Ui, context: &PanelContext<'_>) {
        let path = context.snapshot.folder.join(REPORTS).join(trace::file_name());
        *lock(&self.result) = None;
        let outcome = self.outcome(ui, path.clone());
        let questions = context.questions.cloned();
        spawn(move || {
            let trace = questions.map_or_else(|| Err("there is no recorder".to_owned()), |questions| questions.trace());
            outcome.set(&trace.and_then(|trace| trace.save(&path).map_err(|error| error.to_string())));
        });
    }

    fn outcome(&self, ui: &Ui, path: PathBuf) -> Outcome {
        Outcome { result: Arc::clone(&self.result), ctx: ui.ctx().clone(), path }
    }

    /// Text about the last report or trace that ended.
    pub(super) fn result(&self) -> Option<String> {
        self.result.try_lock().ok().and_then(|result| result.clone())
    }
}

/// The outcome of a report or a trace, for display. One that is dropped without a result says that it is lost.
struct Outcome {
    result: Arc<Mutex<Option<String>>>,
    ctx: egui::Context,
    path: PathBuf,
}

impl Outcome {
    fn set(&self, saved: &Result<(), String>) {
        let text = match saved {
            Ok(()) => format!("Saved as {}", self.path.display()),
            Err(reason) => format!("{}: cannot be saved: {reason}", self.path.display()),
        };
        *lock(&self.result) = Some(text);
        self.ctx.request_repaint();
    }
}

impl Drop for Outcome {
    fn drop(&mut self) {
        let is_set = lock(&self.result).is_some();
        if !is_set {
            self.set(&Err("its thread could not be started, or failed; try again".to_owned()));
        }
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) {
    drop(std::thread::Builder::new().name("report".to_owned()).spawn(work));
}

fn with_ending(base: &Path, ending: &str) -> PathBuf {
    let mut name = base.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn make_folder(base: &Path) -> Result<(), String> {
    base.parent().map_or(Ok(()), |folder| std::fs::create_dir_all(folder).map_err(|error| error.to_string()))
}

/// Writes the picture of the map, if there are samples.
fn write_map(base: &Path, draft: &Draft, figures: &ReportFigures) -> Result<(), String> {
    let Some(map) = draft.map(figures) else { return Ok(()) };
    make_folder(base)?;
    write_new(&with_ending(base, " map.svg"), map.as_bytes())
}

fn write_json(base: &Path, draft: Draft, figures: &ReportFigures) -> Result<(), String> {
    make_folder(base)?;
    let json = serde_json::to_vec(&draft.finish(figures)).map_err(|error| error.to_string())?;
    write_new(&with_ending(base, ".json"), &json)
}

/// Writes a new file: a second report within the same second fails instead of replacing the first one.
fn write_new(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
    file.and_then(|mut file| file.write_all(bytes)).map_err(|error| error.to_string())
}

fn write_picture(base: &Path, picture: &ColorImage) -> Result<(), String> {
    make_folder(base)?;
    let [width, height] = picture.size.map(|side| side as u32);
    let bytes = picture.pixels.iter().flat_map(egui::Color32::to_array).collect();
    let image = image::RgbaImage::from_raw(width, height, bytes).ok_or("the picture is not whole")?;
    image.save(with_ending(base, ".png")).map_err(|error| error.to_string())
}

#[cfg(test)]
#[cfg(feature = "gui-tests")]
mod tests {
    use super::*;

    #[test]
    fn a_report_whose_thread_is_lost_is_reported() {
        let result = Arc::default();
        drop(Outcome {
            result: Arc::clone(&result),
            ctx: egui::Context::default(),
            path: PathBuf::from("/x/report.json"),
        });
        assert!(
            lock(&result).as_ref().is_some_and(|text| text.starts_with("/x/report.json: cannot be saved: its thread"))
        );
    }

    #[test]
    fn a_report_is_one_file_with_everything_and_a_picture_next_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("reports/report 2026-11-23 01.02.03");
        let mut snapshot = crate::ui::demo::stopped(3, 60);
        snapshot.folder = folder.path().to_path_buf();
        let notice = |text: &str| crate::app::snapshot::EventEntry {
            at: std::time::Duration::ZERO,
            clock: "20:14:03".to_owned(),
            severity: crate::control::Severity::Caution,
            text: text.to_owned(),
            seen: false,
            headline: None,
        };
        snapshot.notices = Arc::new(vec![notice("now")]);
        snapshot.earlier = Arc::new(vec![notice("then")]);
        let point = crate::residency::rates::RatePoint { at_ms: 500, ..Default::default() };
        let deltas = Some(crate::residency::KernelDeltas::default());
        let figures = ReportFigures { deltas, rates: vec![point], ..ReportFigures::default() };
        write_map(&base, &Draft::new(&snapshot, &[]), &figures).unwrap();
        write_json(&base, Draft::new(&snapshot, &[]), &figures).unwrap();
        write_picture(&base, &ColorImage::filled([4, 3], egui::Color32::RED)).unwrap();
        let again = write_json(&base, Draft::new(&snapshot, &[]), &figures);
        assert!(again.is_err(), "a report that is there is not replaced");
        let json: serde_json::Value =
            serde_json::from_slice(&std::fs::read(with_ending(&base, ".json")).unwrap()).unwrap();
        assert_eq!(
            (&json["kind"], &json["residency"]["kind"]),
            (&"faultless-report".into(), &"faultless-residency".into())
        );
        assert_eq!((&json["events"][0]["text"], &json["earlier_events"][0]["text"]), (&"now".into(), &"then".into()));
        assert_eq!(json["takes"].as_array().map(Vec::len), Some(3));
        assert_eq!(json["takes"][0]["frames"], 60 * 48_000);
        assert_eq!((&json["rates"][0]["at_ms"], &json["kernel_deltas"]["since_open_ms"]), (&500.into(), &0.into()));
        assert!(json["kernel"]["vm"]["dirty_ratio"].is_string() && json["kernel"]["mount_options"].is_string());
        assert!(
            json["machine"]["kernel"].is_string() && json["machine"]["file_system"].is_string(),
            "{}",
            json["machine"]
        );
        assert_eq!(image::open(with_ending(&base, ".png")).unwrap().width(), 4);
    }
}
