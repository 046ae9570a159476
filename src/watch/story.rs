//! What a page went through, in plain words. Thread: any.

use super::sample::{RowKey, Sample, Sources};
use super::state::{Cell, PageState, span_at};
use crate::limits::{DATA_OFFSET, PAGE_BYTES};
use crate::message::belief::{Hand, SlotBelief, Span, Stamp, TakeBelief};
use crate::time::{Clock, Frames, SampleRate};
use std::path::Path;

/// The story of the page of a row in which byte `byte` of its file lies, a line each; `seen`: the sample that shows it.
/// Empty for a row that is gone.
pub fn page_story(sources: &Sources, seen: Option<&Sample>, key: &RowKey, byte: u64) -> Vec<String> {
    let now = sources.beliefs.now();
    let cell = seen.and_then(|sample| sample.row(key)?.cell_at(byte));
    let mut lines = match key {
        RowKey::Take { key, .. } => {
            let takes = sources.beliefs.takes();
            takes.iter().find(|take| take.key == *key).map(|take| take_story(take, byte, now))
        }
        RowKey::Slot(slot) => {
            let slots = sources.beliefs.slots();
            slots.iter().find(|belief| belief.slot == *slot).and_then(|belief| slot_story(belief, byte, now))
        }
    }
    .unwrap_or_default();
    if let Some(cell) = cell.filter(|_| !lines.is_empty()) {
        lines.insert(1, cell_words(cell));
    }
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

fn take_story(take: &TakeBelief, byte: u64, now: Stamp) -> Vec<String> {
    let frame = byte.saturating_sub(DATA_OFFSET) / take.frame_bytes.max(1) as u64;
    let at = Clock((Frames(take.start.0) + Frames(frame)).duration(SampleRate(take.rate)));
    let mut lines = vec![place(byte, &take.path, &format!("{at} on the timeline"))];
    let view = take.view(byte, byte + 1);
    match span_at(&view.spans, byte) {
        Some(span) => lines.extend(span_story(span, byte, &view.marks.last, now)),
        None if view.marks.supplied <= byte => lines.push("no window has been made for it yet".to_owned()),
        None => lines.push("older than the history that is kept".to_owned()),
    }
    lines
}

fn span_story(span: &Span, byte: u64, last: &(Hand, Stamp), now: Stamp) -> Vec<String> {
    let ago = |stamp: Stamp| stamp.age_ms(now).map(ago);
    let mut lines = Vec::new();
    if let Some(ago) = ago(span.supplied) {
        let kind = if span.locked { "locked" } else { "resident, not locked" };
        lines.push(format!("supplied {ago} by the butler, {kind} ({} KiB at {:#x})", span.bytes / 1024, span.address));
    }
    match ago(span.collected) {
        None => lines.push("with the audio thread since".to_owned()),
        Some(ago) if span.touched => lines.push(format!("filled by the audio thread and given back {ago}")),
        Some(ago) => lines.push(format!("given back {ago}, never written to: silence")),
    }
    if let Some(ago) = ago(span.committed) {
        let took = f64::from(span.commit_us) / 1000.0;
        lines.push(format!("committed {ago} by the committer, in {took:.1} ms"));
    } else if !span.is_out() {
        lines.push(format!("byte {byte} waits for the disk"));
    }
    if let Some(ago) = ago(span.durable) {
        lines.push(format!("durable {ago}, by the beat"));
    }
    let hand = match last.0 {
        Hand::Nobody => return lines,
        Hand::Butler => "the butler",
        Hand::Audio => "the audio thread",
        Hand::Committer => "the committer",
        Hand::Beat => "the beat",
    };
    lines.extend(ago(last.1).map(|ago| format!("the take was last touched by {hand}, {ago}")));
    lines
}

fn slot_story(slot: &SlotBelief, byte: u64, now: Stamp) -> Option<Vec<String>> {
    let (spans, _) = slot.view();
    let inside = spans.iter().find(|span| (span.offset..span.end()).contains(&byte));
    let any = inside.or(spans.first())?;
    let frame = byte.saturating_sub(any.data_offset) / any.frame_bytes.max(1) as u64;
    let at = Clock(Frames(frame).duration(SampleRate(slot.rate)));
    let mut lines = vec![place(byte, &any.path, &format!("{at} of the file"))];
    lines.push(match inside {
        Some(span) => {
            let kind = if span.locked { "locked" } else { "resident, not locked" };
            let ago = span.supplied.age_ms(now).map_or_else(String::new, ago);
            format!("supplied {ago} by the read-ahead, {kind} ({} KiB at {:#x})", span.bytes / 1024, span.address)
        }
        None => "no window shows it now".to_owned(),
    });
    Some(lines)
}

fn place(byte: u64, path: &Path, at: &str) -> String {
    let page = byte / PAGE_BYTES as u64;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let first = page * PAGE_BYTES as u64;
    format!("page {page} of {name}, bytes {first} to {}, {at}", first + PAGE_BYTES as u64 - 1)
}

/// `4.1 s ago`.
fn ago(ms: u64) -> String {
    format!("{:.1} s ago", ms as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_who_did_what_and_when() {
        let span = Span {
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
        let story = span_story(&span, 4096, &(Hand::Beat, Stamp(4500)), Stamp(5100));
        assert_eq!(
            story,
            [
                "supplied 4.1 s ago by the butler, locked (60 KiB at 0x7000)",
                "filled by the audio thread and given back 2.2 s ago",
                "committed 1.1 s ago by the committer, in 3.1 ms",
                "durable 0.6 s ago, by the beat",
                "the take was last touched by the beat, 0.6 s ago",
            ]
        );
        let out = Span { collected: Stamp::NEVER, committed: Stamp::NEVER, durable: Stamp::NEVER, ..span };
        let story = span_story(&out, 4096, &(Hand::Nobody, Stamp::NEVER), Stamp(5100));
        assert_eq!(story[1..], ["with the audio thread since"]);
    }
}
