//! The rules that every session file obeys. Thread: any; pure.
//!
//! The same check runs before every write and after every read. What other modules rely on (sorted regions inside
//! their takes, sums that cannot overflow, file names of one component) is checked here and nowhere else.

use super::file_name::is_file_name;
use super::names::name_in_audio;
use super::{
    FOLDER_BYTES_MAX, GAIN_DB_MAX, GAIN_DB_MIN, ID_MAX, LATENCY_MAX, LOSS_COUNT_MAX, MARKER_COUNT_MAX, NAME_BYTES_MAX,
    OVERFLOW_FOLDER_COUNT_MAX, POSITION_MAX, REGION_COUNT_MAX, Session, SpoolRecord, TAKE_COUNT_MAX, TAKE_NUMBER_MAX,
    Take, TakeId, Track,
};
use crate::limits::{CHANNEL_COUNT_MAX, RATE_HZ_MAX, RATE_HZ_MIN, TAKE_CHANNEL_COUNT_MAX, TRACK_COUNT_MAX};
use crate::time::{FramePos, Frames, SampleRate};
use std::collections::HashSet;
use std::path::{Component, Path};

impl Session {
    /// Checks every rule that the methods of a session keep. The error names the track, take, region or marker that
    /// breaks one.
    pub fn validate(&self) -> Result<(), String> {
        name_check("session", &self.name)?;
        name_check("created", &self.created)?;
        rate_check("session", self.rate)?;
        count_check("tracks", self.tracks.len(), TRACK_COUNT_MAX)?;
        count_check("takes", self.takes.len(), TAKE_COUNT_MAX)?;
        count_check("markers", self.markers.len(), MARKER_COUNT_MAX)?;
        count_check("folders on other disks", self.overflow_folders.len(), OVERFLOW_FOLDER_COUNT_MAX)?;
        self.overflow_folders.iter().try_for_each(|folder| folder_check(folder))?;
        self.ids_check()?;
        self.takes_check()?;
        // Side by side, because every region asks for its take.
        let takes: Vec<_> = self.takes.iter().map(|take| (take.id, take.frames, take.trashed)).collect();
        self.tracks.iter().try_for_each(|track| track_check(track, &takes))?;
        self.markers_check()
    }

    fn ids_check(&self) -> Result<(), String> {
        if ID_MAX < self.next_id {
            return Err(format!("next_id {} is above {ID_MAX}", self.next_id));
        }
        let regions = self.tracks.iter().flat_map(|track| track.regions.iter());
        let ids = (self.tracks.iter().map(|track| track.id.0))
            .chain(self.takes.iter().map(|take| take.id.0))
            .chain(regions.map(|region| region.id.0))
            .chain(self.markers.iter().map(|marker| marker.id.0));
        // Sorting is several times faster than a set.
        let mut ids: Vec<u64> = ids.collect();
        ids.sort_unstable();
        if let Some(id) = ids.last().filter(|id| self.next_id <= **id) {
            return Err(format!("id {id} is not below next_id {}", self.next_id));
        }
        match ids.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(format!("id {} stands twice", pair[0])),
            None => Ok(()),
        }
    }

    fn takes_check(&self) -> Result<(), String> {
        if !self.takes.is_sorted_by_key(|take| take.id) {
            return Err("takes are not sorted by id".into());
        }
        let (mut files, mut uuids) = (HashSet::new(), HashSet::new());
        for take in self.takes.iter() {
            take_check(take).map_err(|reason| format!("take {}: {reason}", take.id))?;
            // Two disks can each have a file of the same name: a copy that comes back names takes of its own.
            if !files.insert((take.folder.as_deref(), take.file.to_lowercase())) {
                return Err(format!("take {}: its file is another take's too", take.id));
            }
            if !uuids.insert(take.uuid) {
                return Err(format!("take {}: its uuid is another take's too", take.id));
            }
        }
        Ok(())
    }

    fn markers_check(&self) -> Result<(), String> {
        for marker in self.markers.iter() {
            name_check(&format!("marker {}", marker.id), &marker.name)?;
            end_check(marker.at, Frames(0)).map_err(|reason| format!("marker {}: {reason}", marker.id))?;
        }
        if !self.markers.is_sorted_by_key(|marker| marker.at) {
            return Err("markers are not sorted by place".into());
        }
        Ok(())
    }
}

/// `takes`: identity, length, and whether it is in the trash, of every take, sorted by identity.
fn track_check(track: &Track, takes: &[(TakeId, Frames, bool)]) -> Result<(), String> {
    let id = track.id;
    name_check(&format!("track {id}"), &track.name)?;
    inputs_check(&track.inputs, 1).map_err(|reason| format!("track {id}: {reason}"))?;
    // `contains` is false for not-a-number, so that is refused too.
    if !(GAIN_DB_MIN..=GAIN_DB_MAX).contains(&track.gain_db) {
        return Err(format!("track {id}: gain {} dB is out of range", track.gain_db));
    }
    if !(-1.0..=1.0).contains(&track.pan) {
        return Err(format!("track {id}: pan {} is out of range", track.pan));
    }
    count_check(&format!("regions of track {id}"), track.regions.len(), REGION_COUNT_MAX)?;
    let mut last_end = 0;
    for region in track.regions.iter() {
        let region_id = region.id;
        let take = takes
            .binary_search_by_key(&region.take, |take| take.0)
            .map_err(|_| format!("region {region_id}: take {} is missing", region.take))?;
        let (_, take_frames, trashed) = takes[take];
        if trashed {
            return Err(format!("region {region_id}: take {} lies in the trash", region.take));
        }
        if region.length == Frames(0) {
            return Err(format!("region {region_id}: is empty"));
        }
        let end = end_check(region.start, region.length).map_err(|reason| format!("region {region_id}: {reason}"))?;
        let take_end = end_check(region.take_start, region.length).unwrap_or(u64::MAX);
        if take_frames.0 < take_end {
            return Err(format!("region {region_id}: reaches beyond take {}", region.take));
        }
        if region.start.0 < last_end {
            return Err(format!("region {region_id}: overlaps the one before it, or stands before it"));
        }
        last_end = end;
    }
    Ok(())
}

fn take_check(take: &Take) -> Result<(), String> {
    if !name_in_audio(&take.file).is_some_and(is_file_name) {
        return Err(format!("file {:?} is not the name of a file in audio/", take.file));
    }
    if !(1..=TAKE_CHANNEL_COUNT_MAX).contains(&(take.channels as usize)) {
        return Err(format!("{} channels, where 1 or 2 can be", take.channels));
    }
    inputs_check(&take.inputs, 0)?;
    rate_check("its file", take.rate)?;
    end_check(take.start, take.frames)?;
    if take.start.0 < take.offset.0 {
        return Err("it begins before its pass".into());
    }
    if LATENCY_MAX < take.latency.0 {
        return Err(format!("latency {} is above {LATENCY_MAX}", take.latency.0));
    }
    take.folder.as_deref().map_or(Ok(()), folder_check)?;
    if TAKE_NUMBER_MAX < take.number {
        return Err(format!("number {} is above {TAKE_NUMBER_MAX}", take.number));
    }
    name_check("started", &take.started)?;
    count_check("losses", take.losses.len(), LOSS_COUNT_MAX)?;
    for loss in &take.losses {
        end_check(loss.at, loss.frames)?;
        name_check("cause", &loss.cause)?;
    }
    if let Some(accounts) = &take.accounts {
        name_check("capture_path", &accounts.capture_path)?;
        name_check("device", &accounts.device)?;
        name_check("placing", &accounts.placing)?;
        count_check("source_losses", accounts.source_losses.len(), LOSS_COUNT_MAX)?;
        accounts.source_losses.iter().try_for_each(|text| name_check("source_losses", text))?;
    }
    take.spool.as_ref().map_or(Ok(()), spool_check)
}

fn spool_check(spool: &SpoolRecord) -> Result<(), String> {
    spool.folder.iter().chain(&spool.mirror).try_for_each(|folder| folder_check(folder))?;
    for text in [&spool.boot, &spool.machine, &spool.mounts, &spool.device] {
        name_check("spool", text)?;
    }
    Ok(())
}

fn inputs_check(inputs: &[u32], count_min: usize) -> Result<(), String> {
    if !(count_min..=TAKE_CHANNEL_COUNT_MAX).contains(&inputs.len()) {
        return Err(format!("{} inputs, where 1 or 2 can be", inputs.len()));
    }
    match inputs.iter().find(|&&input| CHANNEL_COUNT_MAX <= input as usize) {
        Some(input) => Err(format!("input {input} is not below {CHANNEL_COUNT_MAX}")),
        None => Ok(()),
    }
}

fn end_check(start: FramePos, length: Frames) -> Result<u64, String> {
    match start.0.checked_add(length.0) {
        Some(end) if end <= POSITION_MAX => Ok(end),
        _ => Err(format!("{} frames from {} on reach beyond the timeline", length.0, start.0)),
    }
}

fn folder_check(folder: &str) -> Result<(), String> {
    let path = Path::new(folder);
    let plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
    if FOLDER_BYTES_MAX < folder.len() || folder.contains('\0') || !path.is_absolute() || !path.components().all(plain)
    {
        return Err(format!("folder {folder:?} is not a whole path from the root on"));
    }
    Ok(())
}

fn rate_check(what: &str, rate: SampleRate) -> Result<(), String> {
    if (RATE_HZ_MIN..=RATE_HZ_MAX).contains(&rate.0) {
        Ok(())
    } else {
        Err(format!("{what}: {rate} is no sample rate"))
    }
}

fn count_check(what: &str, count: usize, count_max: usize) -> Result<(), String> {
    if count <= count_max { Ok(()) } else { Err(format!("{count} {what}, where {count_max} can be")) }
}

fn name_check(what: &str, name: &str) -> Result<(), String> {
    if NAME_BYTES_MAX < name.len() {
        return Err(format!("{what}: a text of {} bytes, where {NAME_BYTES_MAX} can be", name.len()));
    }
    if name.contains(char::is_control) {
        return Err(format!("{what}: a text with control characters"));
    }
    Ok(())
}
