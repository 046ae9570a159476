//! The report: everything that is known as one JSON file, and the window as it stands as a picture. Thread: ui, and one a
//! report.

use super::panel_context::PanelContext;
use crate::app::report::Draft;
use crate::residency::sample::Sample;
use egui::{ColorImage, Ui};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// What was told of the last report.
#[derive(Clone, Default)]
pub struct Saver {
    told: Arc<Mutex<Option<String>>>,
}

impl Saver {
    /// Begins to save, of `samples` or of the watcher's own last minute. Nothing waits.
    pub(super) fn ask(&self, ui: &Ui, context: &PanelContext<'_>, samples: Option<Vec<Arc<Sample>>>) {
        let samples =
            samples.or_else(|| context.watcher.map(crate::residency::watcher::Watcher::history)).unwrap_or_default();
        let time = jiff::Zoned::now().strftime("%Y-%m-%d %H.%M.%S").to_string();
        let base = context.snapshot.folder.join("reports").join(format!("report {time}"));
        let draft = Draft::new(context.snapshot, &samples);
        let (told, ctx, named) = (Arc::clone(&self.told), ui.ctx().clone(), base.clone());
        spawn(move || {
            let text = match write(&named, draft) {
                Ok(()) => format!("Saved as {}.json", named.display()),
                Err(reason) => format!("{}.json: cannot be saved: {reason}", named.display()),
            };
            if let Ok(mut told) = told.lock() {
                *told = Some(text);
            }
            ctx.request_repaint();
        });
        // It comes with the next picture that is drawn, or never: the report does not wait for it.
        ui.request_screenshot(move |picture: Arc<ColorImage>| {
            let base = base.clone();
            spawn(move || drop(draw(&base, &picture)));
        });
        ui.request_repaint();
    }

    /// What to tell.
    pub(super) fn told(&self) -> Option<String> {
        self.told.try_lock().ok().and_then(|told| told.clone())
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) {
    // A system that gives no thread saves no report, and nothing is told of one.
    drop(std::thread::Builder::new().name("report".to_owned()).spawn(work));
}

fn with(base: &Path, ending: &str) -> PathBuf {
    let mut name = base.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn folder(base: &Path) -> Result<(), String> {
    base.parent().map_or(Ok(()), |folder| std::fs::create_dir_all(folder).map_err(|error| error.to_string()))
}

fn write(base: &Path, draft: Draft) -> Result<(), String> {
    folder(base)?;
    let json = serde_json::to_vec(&draft.finish()).map_err(|error| error.to_string())?;
    // A second report within a second is one too many, and an earlier one is not touched.
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(with(base, ".json"));
    file.and_then(|mut file| file.write_all(&json)).map_err(|error| error.to_string())
}

fn draw(base: &Path, picture: &ColorImage) -> Result<(), String> {
    folder(base)?;
    let [width, height] = picture.size.map(|side| side as u32);
    let bytes = picture.pixels.iter().flat_map(egui::Color32::to_array).collect();
    let image = image::RgbaImage::from_raw(width, height, bytes).ok_or("the picture is not whole")?;
    image.save(with(base, ".png")).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_one_file_with_everything_and_a_picture_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("reports/report 2026-11-23 01.02.03");
        let mut snapshot = crate::ui::demo::stopped(3, 60);
        snapshot.folder = folder.path().to_path_buf();
        let told = |text: &str| crate::app::snapshot::EventEntry {
            at: std::time::Duration::ZERO,
            clock: "20:14:03".to_owned(),
            severity: crate::control::Severity::Caution,
            text: text.to_owned(),
            seen: false,
        };
        snapshot.notices = Arc::new(vec![told("now")]);
        snapshot.earlier = Arc::new(vec![told("then")]);
        write(&base, Draft::new(&snapshot, &[])).unwrap();
        draw(&base, &ColorImage::filled([4, 3], egui::Color32::RED)).unwrap();
        assert!(write(&base, Draft::new(&snapshot, &[])).is_err(), "a report that is there is not replaced");
        let json: serde_json::Value = serde_json::from_slice(&std::fs::read(with(&base, ".json")).unwrap()).unwrap();
        assert_eq!(
            (&json["kind"], &json["residency"]["kind"]),
            (&"faultless-report".into(), &"faultless-residency".into())
        );
        assert_eq!((&json["events"][0]["text"], &json["earlier_events"][0]["text"]), (&"now".into(), &"then".into()));
        assert_eq!(json["takes"].as_array().map(Vec::len), Some(3));
        assert_eq!(json["takes"][0]["frames"], 60 * 48_000);
        assert!(
            json["machine"]["kernel"].is_string() && json["machine"]["file_system"].is_string(),
            "{}",
            json["machine"]
        );
        assert_eq!(image::open(with(&base, ".png")).unwrap().width(), 4);
    }
}
