//! The layout of the records of a tracepoint, as the kernel describes it in tracefs. Thread: watcher, never audio. Pure.
//!
//! Kernels differ in the fields of their tracepoints and in the numbers of their words, so nothing of it is built in.

use std::fs;
use std::io;
use std::path::Path;

/// The fields of a tracepoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracepointFormat {
    /// The number by which `perf_event_open` knows it.
    pub id: u64,
    fields: Vec<Field>,
    /// Words for the numbers of fields: the field, the number, the word.
    words: Vec<(String, i64, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    name: String,
    offset: usize,
    size: usize,
    is_signed: bool,
}

impl TracepointFormat {
    /// Reads the description of a tracepoint in its folder in tracefs.
    pub fn read(folder: &Path) -> io::Result<TracepointFormat> {
        let text = fs::read_to_string(folder.join("format"))?;
        TracepointFormat::parse(&text).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn parse(text: &str) -> Option<TracepointFormat> {
        let id = text.lines().find_map(|line| line.strip_prefix("ID:"))?.trim().parse().ok()?;
        let fields = text.lines().filter_map(field).collect();
        Some(TracepointFormat { id, fields, words: words(text) })
    }

    fn bytes<'a>(&self, record: &'a [u8], name: &str) -> Option<(&Field, &'a [u8])> {
        let field = self.fields.iter().find(|field| field.name == name)?;
        Some((field, record.get(field.offset..field.offset.checked_add(field.size)?)?))
    }

    /// The value of a field of a record; `None` if this kernel's tracepoint has none of that name.
    pub fn number(&self, record: &[u8], name: &str) -> Option<i64> {
        let (field, bytes) = self.bytes(record, name)?;
        Some(match (bytes.len(), field.is_signed) {
            (8, _) => i64::from_ne_bytes(bytes.try_into().ok()?),
            (4, true) => i64::from(i32::from_ne_bytes(bytes.try_into().ok()?)),
            (4, false) => i64::from(u32::from_ne_bytes(bytes.try_into().ok()?)),
            _ => return None,
        })
    }

    /// The text of a field of fixed length.
    pub fn text(&self, record: &[u8], name: &str) -> Option<String> {
        let (_, bytes) = self.bytes(record, name)?;
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        Some(String::from_utf8_lossy(&bytes[..end]).into_owned())
    }

    /// The kernel's word for the value of a field of a record.
    pub fn word(&self, record: &[u8], name: &str) -> Option<&str> {
        let value = self.number(record, name)?;
        self.words.iter().find(|(field, number, _)| field == name && *number == value).map(|(_, _, word)| &**word)
    }
}

/// Parses a line as `field:unsigned long ino; offset:16; size:8; signed:0;`, with a tab in front of each part.
fn field(line: &str) -> Option<Field> {
    let mut parts = line.trim().strip_prefix("field:")?.split(';').map(str::trim);
    let name = parts.next()?.rsplit([' ', '*']).next()?;
    let name = name.split('[').next()?.to_owned();
    let mut value = |key: &str| parts.next()?.strip_prefix(key)?.parse::<usize>().ok();
    Some(Field { name, offset: value("offset:")?, size: value("size:")?, is_signed: value("signed:")? != 0 })
}

/// The words in the description of the output: `__print_symbolic(REC->reason, { 0, "background" }, ...)`.
fn words(text: &str) -> Vec<(String, i64, String)> {
    let mut found = Vec::new();
    for part in text.split("__print_symbolic(REC->").skip(1) {
        let Some((name, rest)) = part.split_once(',') else { continue };
        let list = rest.split_once(')').map_or(rest, |(list, _)| list);
        for entry in list.split('{').skip(1) {
            let entry = entry.split_once('}').map_or(entry, |(entry, _)| entry);
            let Some((number, word)) = entry.split_once(',') else { continue };
            if let Ok(number) = number.trim().parse() {
                found.push((name.trim().to_owned(), number, word.trim().trim_matches('"').to_owned()));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a kernel 6.18 describes it, shortened.
    const START: &str = "name: writeback_start\nID: 995\nformat:\n\
        \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
        \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n\
        \tfield:char name[8];\toffset:8;\tsize:8;\tsigned:0;\n\
        \tfield:long nr_pages;\toffset:16;\tsize:8;\tsigned:1;\n\
        \tfield:dev_t sb_dev;\toffset:24;\tsize:4;\tsigned:0;\n\
        \tfield:int reason;\toffset:28;\tsize:4;\tsigned:1;\n\
        \tfield:void * caller_ip;\toffset:32;\tsize:8;\tsigned:0;\n\n\
        print fmt: \"bdi %s: reason=%s\", REC->name, __print_symbolic(REC->reason, { 0, \"background\" }, \
        { 2, \"sync\" }, { 7, \"foreign_flush\" }), (unsigned long)REC->cgroup_ino\n";

    #[test]
    fn the_fields_of_a_record_and_the_words_for_them_are_found_by_name() {
        let format = TracepointFormat::parse(START).unwrap();
        let mut record = vec![0_u8; 40];
        record[8..13].copy_from_slice(b"252:0");
        record[16..24].copy_from_slice(&(-5_i64).to_ne_bytes());
        record[24..28].copy_from_slice(&0xFFF0_0000_u32.to_ne_bytes());
        record[28..32].copy_from_slice(&2_i32.to_ne_bytes());
        assert_eq!((format.id, format.text(&record, "name").as_deref()), (995, Some("252:0")));
        assert_eq!(format.number(&record, "nr_pages"), Some(-5));
        assert_eq!(format.number(&record, "sb_dev"), Some(0xFFF0_0000));
        assert_eq!(format.word(&record, "reason"), Some("sync"));
        assert_eq!(format.number(&record, "caller_ip"), Some(0));
        record[28] = 9;
        assert_eq!(format.word(&record, "reason"), None, "a number without a word");
        // A record that is shorter than its description, and a field of another kernel.
        assert_eq!((format.number(&record[..20], "nr_pages"), format.number(&record, "wrote")), (None, None));
    }

    #[test]
    fn a_description_that_is_none_is_refused() {
        assert_eq!(TracepointFormat::parse("name: x\nformat:\n"), None);
        assert_eq!(TracepointFormat::parse("ID: many\n"), None);
        let odd = TracepointFormat::parse("ID: 1\nfield:;\nfield:int a;\toffset:x;\n").unwrap();
        assert_eq!(odd.number(&[0; 64], "a"), None);
    }
}
