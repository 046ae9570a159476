//! The kept versions of `session.json`. Thread: any that may wait for the disk.
//!
//! Every save keeps the file that it replaces. Ten versions remain, and they thin out with their age: the last seconds,
//! minutes, hours and days have some each, however many saves there were.

use super::folder::Folder;
use super::{SessionError, folder_of};
use crate::host;
use crate::session::names::HISTORY;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Earlier versions that are kept.
pub const VERSION_COUNT_MAX: usize = 10;

/// The highest number of a kept version. A file with a higher number was not made by this program and is ignored.
const VERSION_NUMBER_MAX: u32 = 1_000_000_000;

/// An earlier version of a session's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptVersion {
    /// Number of the version. The highest is the newest.
    pub number: u32,
    /// Bytes of the file.
    pub bytes: u64,
    /// Time at which it was saved, if the file system has times.
    pub saved: Option<SystemTime>,
}

/// The earlier versions of a session's file, oldest first.
pub fn kept_versions(path: &Path) -> Result<Vec<KeptVersion>, SessionError> {
    let folder = Folder::open(folder_of(path))?;
    let Some(history) = folder.subfolder(HISTORY)? else { return Ok(Vec::new()) };
    let mut versions = Vec::new();
    for number in numbers(&folder)? {
        let Some(file) = history.open_file(&version_name(number))? else { continue };
        let stat = file.metadata().map_err(|error| history.io_error(&version_name(number), "stat", error))?;
        versions.push(KeptVersion { number, bytes: stat.len(), saved: stat.modified().ok() });
    }
    Ok(versions)
}

/// Numbers of the kept versions, oldest first.
pub(super) fn numbers(folder: &Folder) -> Result<Vec<u32>, SessionError> {
    let Some(history) = folder.subfolder(HISTORY)? else { return Ok(Vec::new()) };
    let mut numbers: Vec<u32> = history.names()?.iter().filter_map(|name| version_number(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

pub(super) fn version_name(number: u32) -> String {
    format!("session-{number}.json")
}

/// Whether a file of this name in the folder of kept versions is one of them.
pub fn is_kept_version(name: &str) -> bool {
    version_number(name).is_some()
}

fn version_number(name: &str) -> Option<u32> {
    let number = name.strip_prefix("session-")?.strip_suffix(".json")?.parse().ok()?;
    (number < VERSION_NUMBER_MAX && version_name(number) == name).then_some(number)
}

/// Removes versions until [`VERSION_COUNT_MAX`] remain.
pub(super) fn thin_out(folder: &Folder) -> Result<(), SessionError> {
    let Some(history) = folder.subfolder(HISTORY)? else { return Ok(()) };
    let mut numbers = numbers(folder)?;
    if numbers.len() <= VERSION_COUNT_MAX {
        return Ok(());
    }
    let now = SystemTime::from(host::timestamp());
    let saved = |number: &u32| history.modified(&version_name(*number)).ok().flatten();
    let mut ages: Vec<Duration> = numbers
        .iter()
        .map(|number| saved(number).and_then(|saved| now.duration_since(saved).ok()).unwrap_or_default())
        .collect();
    while VERSION_COUNT_MAX < numbers.len() {
        let at = superfluous(&ages);
        ages.remove(at);
        history.remove(&version_name(numbers.remove(at)))?;
    }
    Ok(())
}

/// Index of the version that is missed least, from the ages of all versions, oldest first: the one whose neighbours are
/// closest to each other in proportion to their ages. The oldest and the newest version remain. Ages that contradict the
/// order, because the clock was set, count as those of newer versions.
fn superfluous(ages: &[Duration]) -> usize {
    let seconds = |at: usize| ages[at..].iter().max().map_or(0.0, Duration::as_secs_f64) + 1.0;
    let gap = |at: &usize| seconds(at - 1) / seconds(at + 1);
    (1..ages.len().saturating_sub(1)).min_by(|a, b| gap(a).total_cmp(&gap(b))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ages in seconds of the versions that remain after a save at each of these times, oldest first.
    fn kept(times: impl Iterator<Item = u64>) -> Vec<u64> {
        let (mut saved, mut now) = (Vec::new(), 0);
        for time in times {
            now = time;
            saved.push(time);
            while VERSION_COUNT_MAX < saved.len() {
                let ages: Vec<Duration> = saved.iter().map(|time| Duration::from_secs(now - time)).collect();
                saved.remove(superfluous(&ages));
            }
        }
        saved.iter().map(|time| now - time).collect()
    }

    #[test]
    fn after_a_day_of_saves_each_second_there_are_versions_of_seconds_minutes_and_hours() {
        for seconds in [600, 3600, 86_400, 3 * 86_400] {
            let ages = kept(0..=seconds);
            assert_eq!((ages.len(), ages[0], ages[VERSION_COUNT_MAX - 1]), (VERSION_COUNT_MAX, seconds, 0));
            for pair in ages.windows(2) {
                let ratio = (pair[0] + 1) as f64 / (pair[1] + 1) as f64;
                assert!(ratio < 10.0, "{seconds} s: {ages:?}");
            }
        }
    }

    #[test]
    fn many_saves_in_a_few_seconds_do_not_push_out_yesterdays_version() {
        let day = 86_400;
        let ages = kept([0, day / 2, day, day + 60].into_iter().chain(day + 3600..day + 3900));
        assert!(ages.contains(&(day + 3899)) && ages.contains(&(day / 2 + 3899)) && ages.contains(&3899), "{ages:?}");
        assert!(ages[VERSION_COUNT_MAX - 2] <= 3, "{ages:?}");
    }

    #[test]
    fn versions_of_one_time_and_of_a_clock_that_was_set_back_are_thinned_out_too() {
        assert_eq!(superfluous(&[Duration::ZERO; 11]), 1);
        let ages: Vec<Duration> = (0..11).map(Duration::from_secs).collect();
        assert!((1..10).contains(&superfluous(&ages)));
        assert_eq!(superfluous(&[Duration::ZERO; 2]), 0);
    }
}
