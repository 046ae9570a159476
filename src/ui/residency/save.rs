//! The report: the last minute as JSON, and the window as it stands as a picture. Thread: ui, and one a report.

use crate::ui::cx::Cx;
use crate::watch::report::report;
use crate::watch::sample::Sample;
use egui::{ColorImage, Ui};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// What was told of the last report, for a while.
#[derive(Clone, Default)]
pub(super) struct Saver {
    told: Arc<Mutex<Option<String>>>,
}

impl Saver {
    /// Begins to save, of `samples` or of the watcher's own last minute. Nothing waits.
    pub(super) fn ask(&self, ui: &Ui, cx: &Cx<'_>, samples: Option<Vec<Arc<Sample>>>) {
        let samples = samples.or_else(|| cx.watcher.map(crate::watch::watcher::Watcher::history)).unwrap_or_default();
        let time = jiff::Zoned::now().strftime("%Y-%m-%d %H.%M.%S").to_string();
        let base = cx.snapshot.folder.join("reports").join(format!("residency {time}"));
        let (told, ctx) = (Arc::clone(&self.told), ui.ctx().clone());
        ui.request_screenshot(move |picture: Arc<ColorImage>| {
            let spawned = std::thread::Builder::new().name("report".to_owned()).spawn(move || {
                let text = match write(&base, &samples, &picture) {
                    Ok(()) => format!("Saved as {}.json and .png", base.display()),
                    Err(reason) => format!("{}: cannot be saved: {reason}", base.display()),
                };
                if let Ok(mut told) = told.lock() {
                    *told = Some(text);
                }
                ctx.request_repaint();
            });
            drop(spawned);
        });
        ui.request_repaint();
    }

    /// What to tell.
    pub(super) fn told(&self) -> Option<String> {
        self.told.try_lock().ok().and_then(|told| told.clone())
    }
}

fn with(base: &Path, ending: &str) -> PathBuf {
    let mut name = base.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn write(base: &Path, samples: &[Arc<Sample>], picture: &ColorImage) -> Result<(), String> {
    if let Some(folder) = base.parent() {
        std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    }
    let json = serde_json::to_vec(&report(samples)).map_err(|error| error.to_string())?;
    std::fs::write(with(base, ".json"), json).map_err(|error| error.to_string())?;
    let [width, height] = picture.size.map(|side| side as u32);
    let bytes = picture.pixels.iter().flat_map(egui::Color32::to_array).collect();
    let image = image::RgbaImage::from_raw(width, height, bytes).ok_or("the picture is not whole")?;
    image.save(with(base, ".png")).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_a_picture_and_json_beside_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("reports/residency 2026-11-23 01.02.03");
        write(&base, &[], &ColorImage::filled([4, 3], egui::Color32::RED)).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&std::fs::read(with(&base, ".json")).unwrap()).unwrap();
        assert!(json.is_object());
        assert_eq!(image::open(with(&base, ".png")).unwrap().width(), 4);
    }
}
