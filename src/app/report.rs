//! The report file for support: residency, events, the machine, and the accounts of the takes, as JSON. Thread: control
//! makes the draft, a thread of its own finishes each report.

use super::kernel_facts;
use super::snapshot::{EngineFigures, EventEntry, Snapshot};
use crate::control::Severity;
use crate::file_system::mount_of;
use crate::flight::facts;
use crate::residency::KernelDeltas;
use crate::residency::disk_work::SeenWork;
use crate::residency::faults::SeenFault;
use crate::residency::picture::picture;
use crate::residency::rates::RatePoint;
use crate::residency::report::{Report, report};
use crate::residency::sample::{RowKey, Sample};
use crate::session::{Session, Take, Track};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

/// A report lists at most this many takes, the last ones.
const TAKES_MAX: usize = 2048;

/// Figures of a report that the recorder is asked for.
#[derive(Clone, Debug, Default)]
pub struct ReportFigures {
    /// The change of the kernel's counters; `None` if the recorder did not answer.
    pub deltas: Option<KernelDeltas>,
    /// Figures over the last minute in which something rolled, oldest first.
    pub rates: Vec<RatePoint>,
    /// The last page faults of the audio thread, oldest first.
    pub faults: Vec<SeenFault>,
    /// Why page faults are not attributed; `None` if they are.
    pub no_faults_because: Option<String>,
    /// The last syncs and writeback by others, oldest first.
    pub disk_work: Vec<SeenWork>,
    /// Why those are not known; `None` if they are.
    pub no_disk_work_because: Option<String>,
    /// The gaps in those, in words; `None`: there are none.
    pub disk_work_gaps: Option<String>,
}

/// The part of a report that needs no waiting.
pub struct Draft {
    snapshot: Snapshot,
    samples: Vec<Arc<Sample>>,
    residency: Report,
}

impl Draft {
    /// Takes the state from a snapshot, and the residency from samples, the oldest first.
    pub fn new(snapshot: &Snapshot, samples: &[Arc<Sample>]) -> Draft {
        let session = &snapshot.session;
        let name = |key: &RowKey| track_name(session, key);
        Draft { snapshot: snapshot.clone(), samples: samples.to_vec(), residency: report(samples, &name) }
    }

    /// A picture of the map as of the last sample, with the figures above it, as SVG. `None`: there is no sample.
    pub fn map(&self, figures: &ReportFigures) -> Option<String> {
        let name = |key: &RowKey| track_name(&self.snapshot.session, key);
        picture(&self.samples, &figures.rates, &figures.faults, &name)
    }

    /// The whole report. It asks the kernel about the machine and may wait.
    pub fn finish(self, figures: &ReportFigures) -> Value {
        let snapshot = &self.snapshot;
        let session = &snapshot.session;
        let takes = session.takes();
        json!({
            "kind": "faultless-report",
            "version": 1,
            "saved": jiff::Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            "program": env!("CARGO_PKG_VERSION"),
            "machine": machine(&snapshot.folder),
            "session": {
                "folder": snapshot.folder,
                "name": session.name(),
                "rate": session.rate(),
                "tracks": session.tracks().len(),
            },
            "device": {
                "name": snapshot.device.name,
                "title": snapshot.device.title,
                "inputs": snapshot.device.inputs,
                "outputs": snapshot.device.outputs,
                "period": snapshot.device.period,
            },
            "health": { "head": snapshot.health.head, "parts": snapshot.health.parts, "advice": snapshot.health.advice },
            "room": snapshot.disk_space.as_ref().map(|disk_space| json!({ "free_bytes": disk_space.free_bytes, "seconds": disk_space.seconds })),
            "figures": engine_figures(&snapshot.figures),
            "doctor": snapshot.doctor.clone().flatten().as_deref(),
            "stress_lab": *snapshot.stress.rows,
            "events": events(&snapshot.notices),
            "earlier_events": events(&snapshot.earlier),
            "takes": takes[takes.len().saturating_sub(TAKES_MAX)..].iter().map(|of| take(session, of)).collect::<Vec<Value>>(),
            "residency": self.residency,
            "rates": figures.rates,
            "page_faults": { "last": figures.faults, "not_attributed_because": figures.no_faults_because },
            "work_of_others": {
                "last": figures.disk_work,
                "not_known_because": figures.no_disk_work_because,
                "gaps": figures.disk_work_gaps,
            },
            "kernel": kernel_facts::settings(&snapshot.folder),
            "kernel_deltas": figures.deltas,
        })
    }
}

/// The name of the track that a row of the map shows.
pub fn track_name(session: &Session, key: &RowKey) -> Option<String> {
    let track = match key {
        RowKey::Take { uuid, .. } => {
            session.takes().iter().rev().find(|take| take.uuid == *uuid).and_then(|take| session.track(take.track))
        }
        RowKey::Slot(slot) => session.tracks().get(*slot),
    };
    track.map(|track| track.name().to_owned())
}

fn machine(folder: &Path) -> Value {
    let mount = mount_of(folder);
    json!({
        "kernel": facts::kernel(),
        "processors": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        "memory_bytes": crate::rt::process::memory_bound().ok(),
        // In a chroot the kernel's table does not list what the root folder is mounted from.
        "file_system": mount.as_ref().map_or("unknown", |mount| &mount.kind),
        "disk": mount.as_ref().map_or("unknown", |mount| &mount.source),
    })
}

fn engine_figures(figures: &EngineFigures) -> Value {
    json!({
        "scheduling": figures.scheduling,
        "capture_path": figures.capture_path,
        "minor_faults": figures.minor_faults,
        "major_faults": figures.major_faults,
        "xruns": figures.xruns,
        "frames_lost": figures.frames_lost,
        "frames_dropped": figures.frames_dropped,
        "lead_s": figures.lead_s,
        "lead_min_s": figures.lead_min_s,
        "lead_aim_s": figures.lead_aim_s,
        "cycle_us_max": figures.cycles.as_deref().map(crate::histogram::Counts::max_us),
        "deadline_us": figures.deadline_us,
        "locked_bytes": figures.locked_bytes,
        "locked_limit": figures.locked_limit,
        "commit_us_max": figures.commit_us_max,
        "sync_us_max": figures.sync_us_max,
        "supply_us_max": figures.supply_us_max,
        "backlog_bytes": figures.backlog_bytes,
        "spool_bytes": figures.spool_bytes,
        "spool_bytes_max": figures.spool_bytes_max,
    })
}

fn events(entry: &[EventEntry]) -> Vec<Value> {
    let value = |entry: &EventEntry| {
        let severity = match entry.severity {
            Severity::Info => "info",
            Severity::Caution => "caution",
            Severity::Loss => "loss",
        };
        json!({ "clock": entry.clock, "severity": severity, "text": entry.text })
    };
    entry.iter().map(value).collect()
}

fn take(session: &Session, take: &Take) -> Value {
    json!({
        "track": session.track(take.track).map(Track::name),
        "file": take.path(),
        "pass": take.pass,
        "state": take.state,
        "started": take.started,
        "frames": take.frames,
        "format": take.format,
        "accounts": take.accounts,
        "losses": take.losses,
        "losses_unlisted": take.losses_unlisted,
    })
}
