//! The Broadcast Audio Extension chunk `bext` (EBU Tech 3285 version 2): description, originator and time of a
//! recording. Thread: any. Pure.

use crate::format::TakeFormat;

/// Bytes of the chunk's fixed part; the coding history follows.
pub const FIXED_BYTES: usize = 602;

/// Maximum length of the coding history in files that we write. A longer history is cut at the end of a line. With this
/// bound the chunk always fits into the header page.
pub const CODING_HISTORY_BYTES_MAX: usize = 2048;

/// Maximum length of the coding history that we read from a file.
pub const CODING_HISTORY_READ_BYTES_MAX: usize = 16 * 1024;

/// The remark in the coding history of an exported file. A stem has the identity of the take that it is made from, so this
/// tells it from that take.
pub const EXPORT_REMARK: &str = "Faultless export";

/// The remark in the coding history of a take that is not finished.
pub const UNFINISHED: &str = "being recorded";

/// The remark in the coding history of a take that is not finished and whose WAV file itself is mapped to record into. Its header
/// claims sound that need not be durable.
pub const UNFINISHED_IN_PLACE: &str = "being recorded in place";

/// The remark in the coding history of a take that another program has changed while it was recorded: its header claims sound
/// that the file may lack.
pub const CHANGED_BY_OTHERS: &str = "changed by another program";

/// The begin of a second remark. The number of the byte at which that program has cut the file follows.
const CUT_AT: &str = "cut at byte ";

/// Places of cuts that are remarked. Further ones are found only by their zeros.
const CUT_COUNT_MAX: usize = 16;

const DESCRIPTION: Field = Field { at: 0, bytes: 256 };
const ORIGINATOR: Field = Field { at: 256, bytes: 32 };
const ORIGINATOR_REFERENCE: Field = Field { at: 288, bytes: 32 };
const DATE: Field = Field { at: 320, bytes: 10 };
const TIME: Field = Field { at: 330, bytes: 8 };
const TIME_REFERENCE: Field = Field { at: 338, bytes: 8 };
const VERSION: Field = Field { at: 346, bytes: 2 };
const UMID: Field = Field { at: 348, bytes: 64 };
const LOUDNESS: Field = Field { at: 412, bytes: 10 };
const RESERVED: Field = Field { at: 422, bytes: 180 };
const _: () = assert!(RESERVED.at + RESERVED.bytes == FIXED_BYTES);
const _: () = assert!((FIXED_BYTES + CODING_HISTORY_BYTES_MAX).is_multiple_of(2));
const _: () = assert!(FIXED_BYTES + CODING_HISTORY_READ_BYTES_MAX <= 64 * 1024);

/// The value for "not measured" in each of the five loudness fields.
const LOUDNESS_UNSET: i16 = 0x7fff;

#[derive(Clone, Copy)]
struct Field {
    at: usize,
    bytes: usize,
}

/// The content of the chunk. Texts may hold any character. [`Bext::build`] writes them as ASCII (see [`ascii`]), cut to
/// the length of the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bext {
    /// Name of the recording; 256 bytes in the file.
    pub description: String,
    /// Person or program that recorded; 32 bytes in the file.
    pub originator: String,
    /// The originator's identifier of the file; 32 bytes in the file.
    pub originator_reference: String,
    /// Local date of the first frame, `yyyy-mm-dd`. Empty: unknown.
    pub date: String,
    /// Local time of the first frame, `hh:mm:ss`. Empty: unknown.
    pub time: String,
    /// Position of the first frame, in frames since midnight or since the start of the timeline.
    pub time_reference: u64,
    /// SMPTE 330M identifier. All zeros: none.
    pub umid: [u8; 64],
    /// A line for each process that the sound went through (EBU R98). Lines end with `\n` here and `\r\n` in the file.
    pub coding_history: String,
}

impl Default for Bext {
    fn default() -> Self {
        Bext {
            description: String::new(),
            originator: String::new(),
            originator_reference: String::new(),
            date: String::new(),
            time: String::new(),
            time_reference: 0,
            umid: [0; 64],
            coding_history: String::new(),
        }
    }
}

impl Bext {
    /// The chunk's payload: [`FIXED_BYTES`] and at most [`CODING_HISTORY_BYTES_MAX`] of coding history. The length is
    /// even, because not every reader skips the pad byte of a chunk of odd length (`hound` does not).
    pub fn build(&self) -> Vec<u8> {
        let mut bytes = vec![0; FIXED_BYTES];
        put_text(&mut bytes, DESCRIPTION, &self.description);
        put_text(&mut bytes, ORIGINATOR, &self.originator);
        put_text(&mut bytes, ORIGINATOR_REFERENCE, &self.originator_reference);
        put_text(&mut bytes, DATE, &self.date);
        put_text(&mut bytes, TIME, &self.time);
        put(&mut bytes, TIME_REFERENCE, &self.time_reference.to_le_bytes());
        put(&mut bytes, VERSION, &2u16.to_le_bytes());
        put(&mut bytes, UMID, &self.umid);
        for value in 0..LOUDNESS.bytes / 2 {
            put(&mut bytes, Field { at: LOUDNESS.at + 2 * value, bytes: 2 }, &LOUDNESS_UNSET.to_le_bytes());
        }
        bytes.extend_from_slice(history_lines(&self.coding_history).as_bytes());
        bytes.resize(bytes.len().next_multiple_of(2), 0);
        bytes
    }

    /// Reads a payload of any version. None if it is shorter than [`FIXED_BYTES`].
    pub fn parse(payload: &[u8]) -> Option<Bext> {
        let (fixed, history) = payload.split_at_checked(FIXED_BYTES)?;
        let version = u16::from_le_bytes(get(fixed, VERSION).try_into().ok()?);
        // Version 0 had no UMID. Ignore the bytes at its offset.
        let umid = if version == 0 { [0; 64] } else { get(fixed, UMID).try_into().ok()? };
        Some(Bext {
            description: text(get(fixed, DESCRIPTION)),
            originator: text(get(fixed, ORIGINATOR)),
            originator_reference: text(get(fixed, ORIGINATOR_REFERENCE)),
            date: text(get(fixed, DATE)),
            time: text(get(fixed, TIME)),
            time_reference: u64::from_le_bytes(get(fixed, TIME_REFERENCE).try_into().ok()?),
            umid,
            coding_history: text(history).replace("\r\n", "\n").trim_end_matches('\n').to_owned(),
        })
    }

    /// Remarks that another program has changed the file, and at which byte it has cut the file, if that is known.
    pub fn note_change(&mut self, cut_at: Option<u64>) {
        self.note(CHANGED_BY_OTHERS);
        if let Some(byte) = cut_at.filter(|byte| !self.cuts().any(|cut| cut == *byte))
            && self.cuts().count() < CUT_COUNT_MAX
        {
            self.note(&format!("{CUT_AT}{byte};"));
        }
    }

    /// The bytes at which another program has cut the file.
    pub fn cuts(&self) -> impl Iterator<Item = u64> {
        let digits = |rest: &str| rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok();
        self.coding_history.split(CUT_AT).skip(1).filter_map(digits)
    }

    /// Takes over the remarks about other programs from `before`.
    pub fn keep_changes(&mut self, before: &Bext) {
        if before.coding_history.contains(CHANGED_BY_OTHERS) {
            self.note_change(None);
            before.cuts().for_each(|byte| self.note_change(Some(byte)));
        }
    }

    /// Adds a remark to the last line of the coding history, once.
    pub fn note(&mut self, remark: &str) {
        if self.coding_history.contains(remark) {
            return;
        }
        if !self.coding_history.is_empty() {
            self.coding_history.push_str("; ");
        }
        self.coding_history.push_str(remark);
    }
}

/// Changes the description in a payload. It must have the fixed part.
pub fn set_description(payload: &mut [u8], description: &str) {
    payload[DESCRIPTION.at..DESCRIPTION.at + DESCRIPTION.bytes].fill(0);
    put_text(payload, DESCRIPTION, description);
}

/// A line of coding history in the form of EBU R98. `remark` becomes the text field. Its commas become semicolons,
/// because commas separate fields.
pub fn coding_history_line(format: TakeFormat, rate: u32, channels: u16, remark: &str) -> String {
    let mode = match channels {
        1 => "mono",
        2 => "stereo",
        _ => "multi",
    };
    format!("A=PCM,F={rate},W={},M={mode},T={}", format.bits(), remark.replace(',', ";"))
}

/// Converts `text` to ASCII: letters lose their accents, typographic signs become plain ones, control characters become
/// spaces, and all other characters become `?`.
pub fn ascii(text: &str) -> String {
    /// U+00C0 to U+00FF.
    const LATIN: &[u8; 64] = b"AAAAAAACEEEEIIIIDNOOOOOxOUUUUYTsaaaaaaaceeeeiiiidnooooo/ouuuuyty";
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            ' '..='~' => plain.push(c),
            '\u{df}' => plain.push_str("ss"),
            '\u{c6}' => plain.push_str("AE"),
            '\u{e6}' => plain.push_str("ae"),
            '\u{152}' => plain.push_str("OE"),
            '\u{153}' => plain.push_str("oe"),
            '\u{c0}'..='\u{ff}' => plain.push(LATIN[c as usize - 0xc0] as char),
            '\u{2018}' | '\u{2019}' | '\u{201a}' => plain.push('\''),
            '\u{201c}' | '\u{201d}' | '\u{201e}' => plain.push('"'),
            '\u{2010}'..='\u{2015}' => plain.push('-'),
            '\u{2026}' => plain.push_str("..."),
            c if c.is_control() || c.is_whitespace() => plain.push(' '),
            _ => plain.push('?'),
        }
    }
    plain
}

/// The first lines of `history` that fit into [`CODING_HISTORY_BYTES_MAX`], each with CR LF. A first line that is too
/// long by itself is cut.
fn history_lines(history: &str) -> String {
    let mut lines = String::new();
    for line in history.lines() {
        let line = ascii(line);
        let bytes_left = CODING_HISTORY_BYTES_MAX - lines.len();
        let written =
            if line.len() + 2 <= bytes_left { &line } else { &line[..line.len().min(bytes_left.saturating_sub(2))] };
        if written.len() < line.len() && !lines.is_empty() || bytes_left < 2 {
            break;
        }
        lines.push_str(written);
        lines.push_str("\r\n");
    }
    assert!(lines.len() <= CODING_HISTORY_BYTES_MAX);
    lines
}

fn put_text(bytes: &mut [u8], field: Field, text: &str) {
    let text = ascii(text);
    put(bytes, field, &text.as_bytes()[..text.len().min(field.bytes)]);
}

fn put(bytes: &mut [u8], field: Field, value: &[u8]) {
    bytes[field.at..field.at + field.bytes][..value.len()].copy_from_slice(value);
}

fn get(bytes: &[u8], field: Field) -> &[u8] {
    &bytes[field.at..field.at + field.bytes]
}

/// The text up to the first NUL. Files of other programs may hold UTF-8 here although the standard says ASCII.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_remark_is_added_once_to_the_last_line() {
        let mut bext = Bext { coding_history: "A=PCM,T=Faultless".to_owned(), ..Bext::default() };
        bext.note(CHANGED_BY_OTHERS);
        bext.note(CHANGED_BY_OTHERS);
        assert_eq!(bext.coding_history, format!("A=PCM,T=Faultless; {CHANGED_BY_OTHERS}"));
    }

    #[test]
    fn accents_are_dropped_and_other_characters_become_question_marks() {
        assert_eq!(ascii("Flügel – „Größe“ Ærø 声\t√"), "Flugel - \"Grosse\" AEro ? ?");
        assert!((0..=0x2fff).filter_map(char::from_u32).all(|c| ascii(&c.to_string()).is_ascii()));
    }

    #[test]
    fn fields_have_the_offsets_of_tech_3285() {
        let bext = Bext {
            description: "Nagra".into(),
            originator: "Faultless".into(),
            date: "2000-04-01".into(),
            time: "12:34:56".into(),
            time_reference: 0x0102_0304_0506_0708,
            umid: [7; 64],
            coding_history: "A=PCM".into(),
            ..Bext::default()
        };
        let bytes = bext.build();
        assert_eq!(&bytes[0..6], b"Nagra\0");
        assert_eq!(&bytes[256..266], b"Faultless\0");
        assert_eq!(&bytes[320..338], b"2000-04-0112:34:56");
        assert_eq!(&bytes[338..346], &[8, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(&bytes[346..348], &[2, 0]);
        assert_eq!(&bytes[348..412], &[7; 64]);
        assert_eq!(&bytes[412..422], &[0xff, 0x7f].repeat(5)[..]);
        assert!(bytes[422..602].iter().all(|&b| b == 0));
        assert_eq!(&bytes[602..], b"A=PCM\r\n\0");
    }

    #[test]
    fn a_payload_too_short_for_its_fields_is_refused() {
        assert_eq!(Bext::parse(&[0; FIXED_BYTES - 1]), None);
        assert_eq!(Bext::parse(&[0; FIXED_BYTES]), Some(Bext::default()));
    }

    #[test]
    fn a_long_history_ends_at_the_end_of_a_line() {
        let history = "A=PCM,F=48000,W=24,M=mono,T=a line of history\n".repeat(1000);
        let bytes = Bext { coding_history: history, ..Bext::default() }.build();
        assert!(bytes.len() <= FIXED_BYTES + CODING_HISTORY_BYTES_MAX);
        assert!(bytes.ends_with(b"T=a line of history\r\n") || bytes.ends_with(b"T=a line of history\r\n\0"));

        let bytes = Bext { coding_history: "x".repeat(100_000), ..Bext::default() }.build();
        assert_eq!(bytes.len(), FIXED_BYTES + CODING_HISTORY_BYTES_MAX);
        assert!(bytes.ends_with(b"xx\r\n"));
    }

    #[test]
    fn a_remark_stays_one_field_of_its_line() {
        let line = coding_history_line(TakeFormat::S24, 48_000, 1, "faults=0, xruns=0");
        assert_eq!(line, "A=PCM,F=48000,W=24,M=mono,T=faults=0; xruns=0");
    }

    proptest! {
        #[test]
        fn ascii_text_that_fits_comes_back_unchanged(
            description in "[ -~]{0,256}", originator in "[ -~]{0,32}", originator_reference in "[ -~]{0,32}",
            date in "[0-9]{4}-[0-9]{2}-[0-9]{2}", time in "[0-9]{2}:[0-9]{2}:[0-9]{2}",
            time_reference: u64, id: u8, lines in prop::collection::vec("[ -~]{1,60}", 0..20),
        ) {
            let bext = Bext {
                description, originator, originator_reference, date, time, time_reference,
                umid: [id; 64], coding_history: lines.join("\n"),
            };
            prop_assert_eq!(Bext::parse(&bext.build()), Some(bext));
        }

        #[test]
        fn any_text_gives_a_bounded_chunk(description: String, history in "(?s).{0,5000}") {
            let bytes = Bext { description, coding_history: history, ..Bext::default() }.build();
            prop_assert!(bytes.is_ascii() || bytes[412..422].contains(&0xff));
            prop_assert!(bytes.len() <= FIXED_BYTES + CODING_HISTORY_BYTES_MAX && bytes.len().is_multiple_of(2));
            prop_assert!(Bext::parse(&bytes).is_some());
        }
    }
}
