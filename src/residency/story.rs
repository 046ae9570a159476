//! The history of a page in plain words. Thread: any.

use super::sample::{Row, RowKey, Sample};
use super::state::{Cell, PageState, span_at};
use crate::limits::PAGE_BYTES;
use crate::residency::ledger::{Actor, Ledger, LedgerSpan, SlotLedger, SlotSpan, Stamp, TakeLedger};
use crate::time::{Clock, Frames, SampleRate};

/// The history, as of `now`, of the page that contains offset `byte` of a row's file, one line for each event. Empty if
/// the sample has no such row.
pub fn page_story(ledger: &Ledger, sample: &Sample, now: Stamp, key: &RowKey, byte: u64) -> Vec<String> {
    let Some(row) = sample.row(key) else { return Vec::new() };
    let mut lines = vec![if row.slots.is_some() { slot_position(row, byte) } else { page_position(row, byte) }];
    lines.extend(row.cell_at(byte).map(cell_words));
    // The history is that of the part of the take that the slot holds.
    let Some(byte) = row.slots.as_ref().map_or(Some(byte), |slots| slots.take_byte(byte)) else { return lines };
    let rest = match key {
        RowKey::Take { key, .. } => {
            ledger.takes().iter().find(|take| take.key == *key).map(|take| take_story(take, byte, now))
        }
        RowKey::Slot(slot) => {
            ledger.slots().iter().find(|entry| entry.slot == *slot).map(|entry| slot_story(entry, row, byte, now))
        }
    };
    lines.extend(rest.unwrap_or_else(|| vec!["it is over; what became of its pages is kept no longer".to_owned()]));
    lines
}

fn cell_words(cell: Cell) -> String {
    let believed = match cell.believed() {
        PageState::None => "nothing is believed".to_owned(),
        state => format!("believed: {}", state.words()),
    };
    let verdict = if cell.disagrees() { " - they disagree" } else { "" };
    format!("{believed}; the kernel: {}{verdict}", cell.kernel().words())
}

fn take_story(take: &TakeLedger, byte: u64, now: Stamp) -> Vec<String> {
    let view = take.view(byte, byte + 1);
    match span_at(&view.spans, byte) {
        Some(span) if span.supplied <= now => span_story(span, &view.marks.last, now),
        None if byte < view.marks.supplied => {
            vec!["older than what is kept, or lost before memory was ready".to_owned()]
        }
        _ => vec!["no memory had been made ready for it".to_owned()],
    }
}

fn span_story(span: &LedgerSpan, last: &(Actor, Stamp), now: Stamp) -> Vec<String> {
    // Leave out events after `now`.
    let ago = |stamp: Stamp| (stamp <= now).then(|| ago(now.0.saturating_sub(stamp.0)));
    let mut lines = Vec::new();
    if let Some(ago) = ago(span.supplied) {
        let kind = if span.locked { "locked" } else { "resident, not locked" };
        lines.push(format!("supplied {ago} by the butler, {kind} ({} KiB at {:#x})", span.bytes / 1024, span.address));
    }
    match (ago(span.collected), ago(span.committed)) {
        (None, _) => lines.push("with the audio thread since".to_owned()),
        (Some(ago), _) if !span.touched => lines.push(format!("given back {ago}, never written to: silence")),
        (Some(ago), None) => lines.push(format!("filled by the audio thread, given back {ago}; it waits for the disk")),
        (Some(ago), Some(_)) => lines.push(format!("filled by the audio thread, given back {ago}")),
    }
    if let Some(ago) = ago(span.committed) {
        let took = f64::from(span.commit_us) / 1000.0;
        lines.push(format!("committed {ago} by the committer, in {took:.1} ms"));
    }
    if let Some(ago) = ago(span.durable) {
        lines.push(format!("durable {ago}, by the sync"));
    }
    let actor = match last.0 {
        Actor::Nobody => return lines,
        Actor::Butler => "the butler",
        Actor::Audio => "the audio thread",
        Actor::Committer => "the committer",
        Actor::Sync => "the sync",
    };
    lines.extend(ago(last.1).map(|ago| format!("the take was last touched by {actor}, {ago}")));
    lines
}

fn slot_story(slot: &SlotLedger, row: &Row, byte: u64, now: Stamp) -> Vec<String> {
    let (spans, _) = slot.view();
    let shows =
        |span: &&SlotSpan| span.path == row.path && (span.offset..span.end()).contains(&byte) && span.supplied <= now;
    vec![match spans.iter().find(shows) {
        Some(span) => {
            let kind = if span.locked { "locked" } else { "resident, not locked" };
            let (kib, ago) = (span.bytes / 1024, ago(now.0.saturating_sub(span.supplied.0)));
            format!("supplied {ago} by the read-ahead, {kind} ({kib} KiB at {:#x})", span.address)
        }
        None => "playback has no memory for it now".to_owned(),
    }]
}

fn page_position(row: &Row, byte: u64) -> String {
    let page = byte / PAGE_BYTES as u64;
    let first = page * PAGE_BYTES as u64;
    let name = if row.slots.is_some() {
        "the take".into()
    } else {
        row.path.file_name().unwrap_or_default().to_string_lossy()
    };
    let frame = Frames(first.saturating_sub(row.data_offset) / row.frame_bytes.max(1) as u64);
    let at = Clock((Frames(row.start.0) + frame - row.head).duration(SampleRate(row.rate)));
    let of = if row.is_recorded() { "on the timeline" } else { "of the file" };
    format!("page {page} of {name}, bytes {first} to {}, {at} {of}", first + PAGE_BYTES as u64 - 1)
}

fn slot_position(row: &Row, byte: u64) -> String {
    let Some(slots) = &row.slots else { return String::new() };
    let slot = slots.slot_at(byte);
    let bytes = format!("slot {slot} of {} in the spool, {} KiB", slots.parts.len(), slots.slot_bytes / 1024);
    match slots.take_byte(byte) {
        Some(byte) => format!("{bytes}; it holds {}", page_position(row, byte)),
        None => format!("{bytes}; it holds nothing here"),
    }
}

/// A duration as text: `4.1 s ago`.
fn ago(ms: u64) -> String {
    format!("{:.1} s ago", ms as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_names_actor_event_and_age() {
        let span = LedgerSpan {
            offset: 4096,
            bytes: 61_440,
            address: 0x7000,
            locked: true,
            touched: true,
            commit_us: 3120,
            supplied: Stamp(1000),
            collected: Stamp(2900),
            committed: Stamp(4000),
            durable: Stamp(4500),
        };
        let story = span_story(&span, &(Actor::Sync, Stamp(4500)), Stamp(5100));
        assert_eq!(
            story,
            [
                "supplied 4.1 s ago by the butler, locked (60 KiB at 0x7000)",
                "filled by the audio thread, given back 2.2 s ago",
                "committed 1.1 s ago by the committer, in 3.1 ms",
                "durable 0.6 s ago, by the sync",
                "the take was last touched by the sync, 0.6 s ago",
            ]
        );
        let out = LedgerSpan { collected: Stamp::NEVER, committed: Stamp::NEVER, durable: Stamp::NEVER, ..span };
        let story = span_story(&out, &(Actor::Nobody, Stamp::NEVER), Stamp(5100));
        assert_eq!(story[1..], ["with the audio thread since"]);
        // The same page at an earlier moment.
        let then = span_story(&span, &(Actor::Sync, Stamp(4500)), Stamp(3000));
        assert_eq!(then[1..], ["filled by the audio thread, given back 0.1 s ago; it waits for the disk"]);
    }
}
