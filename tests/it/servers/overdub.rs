//! A take that is recorded while a session plays through a server is placed where that was heard. The recording hears the server's own
//! monitor, so that every sample tells when it was played. Thread: test.

use super::{FRAMES, Server};
use crate::util::{faultless, place, read_wav, run, two_sides_of_the_ramp};
use faultless::session::session_file::open_read_only;
use std::collections::BTreeMap;
use std::path::Path;

/// Where a sound lies that the session plays at its position 0, and what the program says.
#[derive(Debug)]
pub(super) struct Found {
    /// Frames by which the recording was late, and is late after it was placed.
    before: i64,
    after: i64,
    /// Frames that agree on that, of those that were compared.
    agree: usize,
    compared: usize,
    /// Frames by which the program has placed the takes earlier.
    told: u64,
    /// The member `latency` of the report.
    report: serde_json::Value,
    /// The messages that the program printed beside the report.
    pub(super) messages: String,
    /// The reason in the account of the take.
    placing: String,
}

/// The words of a report that is not the true delay.
const TOO_EARLY_OR_LATE: [&str; 2] = ["the takes may be ", "the takes are at least "];

/// The words of other reasons to lie too early or too late, which a busy machine has.
const OF_A_LATE_SERVER: [&str; 2] = ["were restarted", "changed its latency"];

impl Found {
    /// The report names `reporter` for both sides. The program tells of a report that is not the true delay once, and is silent
    /// about a true one. `says`: it tells of this one.
    #[track_caller]
    pub(super) fn tells(&self, reporter: &str, complete: bool, says: bool) {
        let of = |name: &str| self.report[name].as_str().unwrap().to_owned();
        assert_eq!([of("output_from"), of("input_from")], [reporter, reporter], "{self:?}");
        assert_eq!(self.report["complete"], complete, "{self:?}");
        let is_told = |line: &&str| {
            TOO_EARLY_OR_LATE.iter().any(|words| line.contains(words))
                && !OF_A_LATE_SERVER.iter().any(|words| line.contains(words))
        };
        let lines = self.messages.lines().filter(is_told).count();
        assert_eq!((lines, self.placing.is_empty()), (usize::from(says), !says), "{self:?}");
    }
}

/// Records two channels of the monitor while the session plays.
fn overdub(server: &dyn Server, folder: &Path, arguments: &str) -> Option<Found> {
    two_sides_of_the_ramp(folder, 2 * FRAMES as u64);
    let device = format!("alsa:{},{}", server.monitor().0, server.output());
    let arguments = format!("--json --play-along --device {device} --inputs 2 --seconds 2.5 {arguments}");
    let mut recorder = faultless("record", folder, &arguments);
    server.hear(server.lead(&mut recorder)).env("XDG_CONFIG_HOME", folder.with_extension("config"));
    let ended = run(recorder);
    if ended.code != Some(0) {
        println!("status {:?}\n{}{}", ended.code, ended.out, ended.err);
        return None;
    }
    let session = open_read_only(folder).unwrap();
    let take = session.takes().iter().find(|take| take.inputs == [0] && take.pass == 2).unwrap();
    let region = &session.track(take.track).unwrap().regions()[0];
    let (_, samples) = read_wav(&folder.join(take.path()));
    let mut votes: BTreeMap<(i64, i64), usize> = BTreeMap::new();
    let mut compared = 0;
    for at in region.start.0 + 12_000..region.end().0.min(2 * FRAMES as u64 - 4_000) {
        let frame = region.take_start.0 + at - region.start.0;
        let played = i64::from(samples[frame as usize]) + (1 << 23);
        *votes.entry(((take.start.0 + frame) as i64 - played, at as i64 - played)).or_default() += 1;
        compared += 1;
    }
    let ((before, after), agree) = votes.into_iter().max_by_key(|(_, count)| *count)?;
    let told = ended.json()["latency"]["frames"].as_u64().unwrap();
    println!("{}{}", ended.out, ended.err);
    let placing = take.accounts.as_ref().map_or_else(String::new, |accounts| accounts.placing.clone());
    let report = ended.json()["latency"].clone();
    Some(Found { before, after, agree, compared, told, report, messages: ended.err, placing })
}

/// Overdubs at each of `periods` (0: the program's choice). The takes may be `jitter` frames too early or too late: what
/// the server does not tell.
#[track_caller]
pub(super) fn lies_where_it_was_heard(server: &dyn Server, periods: &[usize], jitter: i64) -> Vec<Found> {
    let arguments = |period: &usize| if *period == 0 { String::new() } else { format!("--period {period}") };
    periods.iter().map(|period| lies_where_it_was_heard_with(server, jitter, &arguments(period))).collect()
}

/// The same with other arguments.
#[track_caller]
pub(super) fn lies_where_it_was_heard_with(server: &dyn Server, jitter: i64, arguments: &str) -> Found {
    one_round_lies_where_it_was_heard(jitter, arguments, |folder| overdub(server, folder, arguments))
}

/// Overdubs through a server that `start` starts for each round.
#[track_caller]
pub(super) fn lies_where_it_was_heard_on_new<S: Server>(jitter: i64, mut start: impl FnMut() -> S) -> Found {
    one_round_lies_where_it_was_heard(jitter, "", |folder| overdub(&start(), folder, ""))
}

/// A busy machine makes the server itself lose sound, so one of five rounds must be in place.
#[track_caller]
fn one_round_lies_where_it_was_heard(
    jitter: i64,
    arguments: &str,
    mut round: impl FnMut(&Path) -> Option<Found>,
) -> Found {
    let mut rounds = Vec::new();
    for _ in 0..5 {
        let place = place();
        let found = round(&place.path().join("session"));
        println!("OVERDUB {arguments}: {found:?}");
        let is_placed =
            found.as_ref().is_some_and(|found| found.after.abs() <= jitter && found.compared < 2 * found.agree);
        rounds.push(found);
        if is_placed {
            break;
        }
    }
    let Some(Some(last)) = rounds.pop() else { panic!("{arguments}: {rounds:?}") };
    assert!(last.after.abs() <= jitter, "{arguments}: {rounds:?}");
    assert_eq!(last.before - last.after, last.told as i64, "{arguments}: what is told is what is done");
    last
}
