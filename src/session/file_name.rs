//! File names of takes, made from the names of their tracks. Thread: any; pure.
//!
//! A file name is always one component of a path. It stays unique on file systems that ignore case, and valid on
//! systems that reserve names, because sessions are copied to other people's disks.

use super::TrackId;
use std::collections::{HashMap, HashSet};

/// Bytes of the longest file name that is made here.
pub const FILE_NAME_BYTES_MAX: usize = 200;

/// Stands in for a track name of which nothing usable is left.
const NAMELESS: &str = "Track";

/// Names that some systems reserve for devices, in any case and with any extension.
const RESERVED: [&str; 22] = [
    "con", "prn", "aux", "nul", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8", "com9", "lpt1", "lpt2",
    "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9",
];

/// File names that are in use. Upper and lower case count as the same.
#[derive(Clone, Debug, Default)]
pub struct TakenNames {
    names: HashSet<String>,
    /// The largest number of a take of each track that has takes; `None`: not known.
    numbers: Option<HashMap<TrackId, u32>>,
}

impl TakenNames {
    /// Adds a name.
    pub fn insert(&mut self, name: &str) {
        self.names.insert(name.to_lowercase());
    }

    /// Whether a name is in use.
    pub fn contains(&self, name: &str) -> bool {
        self.names.contains(&name.to_lowercase())
    }

    /// Adds the largest numbers of the takes of all tracks, so that [`TakenNames::last_number`] knows them.
    pub(super) fn set_numbers(&mut self, takes: impl Iterator<Item = (TrackId, u32)>) {
        let mut numbers = HashMap::new();
        for (track, number) in takes {
            let last = numbers.entry(track).or_insert(number);
            *last = number.max(*last);
        }
        self.numbers = Some(numbers);
    }

    /// The largest number of a take of the track, 0 if it has none. `None` if the numbers were never set.
    pub(super) fn last_number(&self, track: TrackId) -> Option<u32> {
        self.numbers.as_ref().map(|numbers| numbers.get(&track).copied().unwrap_or(0))
    }

    /// Notes the number of a new take.
    pub(super) fn note_number(&mut self, track: TrackId, number: u32) {
        if let Some(numbers) = &mut self.numbers {
            numbers.insert(track, number);
        }
    }

    /// The first number from `number` on whose file name is free, and that name.
    pub fn choose(&self, track_name: &str, number: u32) -> (u32, String) {
        // There is one candidate more than there are names, so one is free. The caller refuses a number at its
        // maximum.
        (0..=self.names.len())
            .map(|step| number.saturating_add(u32::try_from(step).unwrap_or(u32::MAX)))
            .map(|number| (number, take_file_name(track_name, number)))
            .find(|(_, name)| !self.contains(name))
            .unwrap_or_else(|| (u32::MAX, take_file_name(track_name, u32::MAX)))
    }
}

impl<'a> FromIterator<&'a str> for TakenNames {
    fn from_iter<I: IntoIterator<Item = &'a str>>(names: I) -> Self {
        TakenNames { names: names.into_iter().map(str::to_lowercase).collect(), numbers: None }
    }
}

impl<'a> Extend<&'a str> for TakenNames {
    fn extend<I: IntoIterator<Item = &'a str>>(&mut self, names: I) {
        self.names.extend(names.into_iter().map(str::to_lowercase));
    }
}

/// `NAME-NUMBER.wav`, with every character of the name replaced that file names cannot or should not contain.
pub fn take_file_name(track_name: &str, number: u32) -> String {
    let tail = format!("-{number}.wav");
    format!("{}{tail}", file_stem(track_name, FILE_NAME_BYTES_MAX - tail.len()))
}

/// A name as one component of a path: at most `bytes_max` bytes and never empty.
pub fn file_stem(name: &str, bytes_max: usize) -> String {
    let cleaned: String = name.trim().chars().map(|c| if is_unfit(c) { '_' } else { c }).collect();
    let dots = cleaned.len() - cleaned.trim_start_matches('.').len();
    let mut stem = format!("{}{}", "_".repeat(dots), &cleaned[dots..]);
    let first = stem.split('.').next().unwrap_or_default().trim_end().to_lowercase();
    if RESERVED.contains(&first.as_str()) {
        stem.insert(0, '_');
    }
    stem.truncate(stem.floor_char_boundary(bytes_max));
    stem.truncate(stem.trim_end().len());
    if stem.is_empty() { NAMELESS.into() } else { stem }
}

/// Whether a file name from `session.json` may be used. Every name that is made here may.
pub fn is_file_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 255 && !name.starts_with('.') && !name.contains(|c| c == '/' || is_invisible(c))
}

/// Separators, characters that other systems refuse, and invisible characters.
fn is_unfit(c: char) -> bool {
    matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|') || is_invisible(c)
}

/// Control characters and those that change the direction of text, which make a name read as another.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::{Component, Path};

    #[test]
    fn unicode_stays_as_it_is() {
        assert_eq!(take_file_name("Gesang (Zoë) 歌", 3), "Gesang (Zoë) 歌-3.wav");
    }

    #[test]
    fn a_name_that_means_a_place_means_none_afterwards() {
        assert_eq!(take_file_name("../../etc/passwd", 1), "___.._etc_passwd-1.wav");
        assert_eq!(take_file_name("..", 1), "__-1.wav");
        assert_eq!(take_file_name("a\0b\nc", 1), "a_b_c-1.wav");
        assert_eq!(take_file_name(" \t", 1), "Track-1.wav");
        assert_eq!(take_file_name(".hidden", 1), "_hidden-1.wav");
    }

    #[test]
    fn a_name_that_reads_as_another_does_not() {
        assert_eq!(take_file_name("a\u{202e}b", 1), "a_b-1.wav");
    }

    #[test]
    fn names_of_devices_are_avoided() {
        assert_eq!(take_file_name("con.x", 1), "_con.x-1.wav");
        assert_eq!(take_file_name("Contrabass", 1), "Contrabass-1.wav");
    }

    #[test]
    fn names_in_use_are_passed_over_whatever_their_case() {
        let names: TakenNames = ["kick-1.WAV", "Kick-3.wav"].into_iter().collect();
        assert_eq!(names.choose("Kick", 1), (2, "Kick-2.wav".into()));
        assert_eq!(names.choose("KICK", 3), (4, "KICK-4.wav".into()));
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        let name = take_file_name(&"歌".repeat(300), u32::MAX);
        assert!(name.len() <= FILE_NAME_BYTES_MAX, "{}", name.len());
        assert!(name.ends_with("歌-4294967295.wav"));
    }

    proptest! {
        #[test]
        fn a_file_name_is_always_one_component(name in any::<String>(), number in any::<u32>()) {
            let file = take_file_name(&name, number);
            prop_assert!(file.len() <= FILE_NAME_BYTES_MAX);
            prop_assert!(is_file_name(&file));
            let parts: Vec<_> = Path::new(&file).components().collect();
            prop_assert_eq!(parts, vec![Component::Normal(file.as_ref())]);
        }
    }
}
