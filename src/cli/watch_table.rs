//! The table of `faultless watch`. Thread: main. Pure.

use super::live_line::columns_of;
use super::printable;
use crate::control::recording::counted;
use crate::residency::watch::{FileLook, MappedLook, ProcessLook, ThreadLook, WatchSample};

/// Threads that are shown where rows are few. Those with most faults come first.
const THREADS_SHORT: usize = 5;

/// Columns of a figure, with the space before it.
const FIGURE: usize = 10;

/// The lines of the table in at most `columns`. `rows`: the lines that there are room for; files beyond them are counted.
pub fn table(sample: &WatchSample, columns: usize, rows: Option<usize>) -> Vec<String> {
    let mut head = vec![title(sample)];
    if let Some(process) = &sample.process {
        head.extend(threads(process, rows.map_or(usize::MAX, |_| THREADS_SHORT)));
    }
    let mut tail = wrapped(&sample.legend, "  ", columns);
    tail.extend(sample.notes.iter().flat_map(|note| wrapped(&format!("note: {}", printable(note)), " ", columns)));
    head.push(file_head(sample.process.is_some()));
    let room = rows.map_or(usize::MAX, |rows| rows.saturating_sub(head.len() + tail.len() + 1));
    let (mut lines, mut shown) = (Vec::new(), 0);
    for look in &sample.files {
        let of_file = file_lines(look, sample.process.is_some(), columns);
        if room < lines.len() + of_file.len() {
            break;
        }
        lines.extend(of_file);
        shown += 1;
    }
    if shown < sample.files.len() {
        tail.insert(0, format!("{} more files do not fit; --once shows all", sample.files.len() - shown));
    }
    let all = head.into_iter().chain(lines).chain(tail);
    // A terminal of very few rows shows the beginning.
    let all = all.take(rows.map_or(usize::MAX, |rows| rows.saturating_sub(1)));
    all.map(|line| cut_end(&line, columns)).collect()
}

fn title(sample: &WatchSample) -> String {
    let time = sample.at.get(11..19).unwrap_or_default();
    let took = sample.took_us as f64 / 1000.0;
    match &sample.process {
        Some(process) => {
            format!("{}, process {}, at {time} (sampled in {took:.1} ms)", printable(&process.name), process.pid)
        }
        None => format!("{} at {time} (sampled in {took:.1} ms)", counted(sample.files.len() as u64, "file")),
    }
}

fn threads(process: &ProcessLook, most: usize) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(memory) = &process.anonymous {
        lines.push(format!(
            "memory without a file: {} in the page tables, {} locked, {} swapped out",
            bytes(memory.in_page_tables_bytes),
            bytes(memory.locked_bytes),
            bytes(memory.swapped_bytes)
        ));
    }
    lines.push("    minor faults  per s    major faults  per s       tid  thread".to_owned());
    let rate = |rate: Option<f64>| rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.0}"));
    let line = |thread: &ThreadLook| {
        format!(
            "{:>16} {:>6} {:>15} {:>6} {:>9}  {}",
            thread.minor_faults,
            rate(thread.minor_faults_per_second),
            thread.major_faults,
            rate(thread.major_faults_per_second),
            thread.tid,
            printable(&thread.name)
        )
    };
    lines.extend(process.threads.iter().take(most).map(line));
    if most < process.threads.len() {
        lines.push(format!("{:>16} threads with fewer faults are not shown", process.threads.len() - most));
    }
    lines
}

fn file_head(has_process: bool) -> String {
    let names: &[&str] = if has_process {
        &["size", "cached", "dirty", "writeback", "in tables", "locked"]
    } else {
        &["size", "cached", "dirty", "writeback"]
    };
    format!("{}  file", in_columns(names))
}

/// The texts, each at the right end of its column.
fn in_columns<T: std::fmt::Display>(texts: &[T]) -> String {
    let mut line = String::new();
    for text in texts {
        line.push_str(&format!("{text:>FIGURE$}"));
    }
    line
}

/// The figures and the lane of a file.
fn file_lines(look: &FileLook, has_process: bool, columns: usize) -> Vec<String> {
    let known = |figure: Option<u64>| figure.map_or_else(|| "?".to_owned(), bytes);
    let mut figures =
        vec![bytes(look.size_bytes), known(look.cached_bytes), known(look.dirty_bytes), known(look.writeback_bytes)];
    if look.problem.is_some() {
        figures = vec!["-".to_owned(); 4];
    }
    if has_process {
        let MappedLook { in_page_tables_bytes, locked_bytes, .. } = look.mapped.unwrap_or_default();
        figures.extend([bytes(in_page_tables_bytes), bytes(locked_bytes)]);
    }
    let figures = in_columns(&figures);
    let path = printable(&look.path);
    let width = columns.saturating_sub(columns_of(&figures) + 2);
    let mut lines = vec![format!("{figures}  {}", cut_begin(&path, width))];
    match &look.problem {
        Some(problem) => lines.push(format!("  {}", printable(problem))),
        None if look.size_bytes == 0 => lines.push("  the file is empty".to_owned()),
        None if look.cells.is_empty() => lines.push("  the mapping begins beyond the end of the file".to_owned()),
        None => {
            lines.push(format!("  {}", look.cells));
            let end = look.first_byte + look.cell_bytes * look.cells.len() as u64;
            if look.first_byte > 0 || end < look.size_bytes {
                lines.push(format!("  (bytes {} to {} of the file)", look.first_byte, end - 1));
            }
        }
    }
    lines
}

/// "4.7 MiB": binary units, as memory is counted.
fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && value < 100.0);
    format!("{value:.digits$} {}", UNITS[unit])
}

/// The end of a path that fits into `columns`, which is the part that tells files apart.
fn cut_begin(text: &str, columns: usize) -> String {
    const LEFT_OUT: &str = "...";
    if columns_of(text) <= columns {
        return text.to_owned();
    }
    let mut used = LEFT_OUT.len();
    let mut kept: Vec<char> = Vec::new();
    for c in text.chars().rev() {
        used += columns_of(c.encode_utf8(&mut [0; 4]));
        if columns < used {
            break;
        }
        kept.push(c);
    }
    LEFT_OUT.chars().chain(kept.into_iter().rev()).collect()
}

fn cut_end(text: &str, columns: usize) -> String {
    let mut used = 0;
    let fits = |c: &char| {
        used += columns_of(c.encode_utf8(&mut [0; 4]));
        used <= columns
    };
    text.chars().take_while(fits).collect()
}

/// The words of a text, separated by `gap`, in lines of at most `columns`.
fn wrapped(text: &str, gap: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(gap).filter(|word| !word.is_empty()) {
        match lines.last_mut() {
            Some(line) if columns_of(line) + columns_of(gap) + columns_of(word) <= columns => {
                line.push_str(gap);
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(files: usize, with_process: bool) -> WatchSample {
        let look = |at: usize| FileLook {
            path: format!("/home/somebody/with/a/long/path/to/sessions/gig/audio/Kick in and out-{at}.wav"),
            size_bytes: 123_456_789,
            cached_bytes: Some(4096),
            mapped: with_process.then(MappedLook::default),
            cells: "=".repeat(77),
            cell_bytes: 1 << 21,
            ..FileLook::default()
        };
        let thread = |tid| ThreadLook {
            tid,
            name: "audio".to_owned(),
            minor_faults: 12_345_678,
            major_faults: 9,
            minor_faults_per_second: Some(100.5),
            major_faults_per_second: None,
        };
        WatchSample {
            kind: String::new(),
            version: 1,
            at: "2026-11-28T18:20:01.123+00:00".to_owned(),
            took_us: 1234,
            legend: crate::residency::watch::lane::LEGEND.to_owned(),
            process: with_process.then(|| ProcessLook {
                pid: 77,
                name: "ardour\u{1b}[2J".to_owned(),
                anonymous: Some(MappedLook::default()),
                threads: (0..20).map(thread).collect(),
            }),
            files: (0..files).map(look).collect(),
            notes: vec!["dirty is not known: ".repeat(6)],
        }
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_no_table_is_longer() {
        for columns in [20, 40, 79, 100, 200] {
            for with_process in [false, true] {
                let lines = table(&sample(30, with_process), columns, Some(24));
                assert!(lines.len() < 24, "{columns}: {lines:#?}");
                for line in &lines {
                    assert!(columns_of(line) <= columns && !line.contains('\u{1b}'), "{columns}: {line}");
                }
                assert!(columns < 79 || lines.iter().any(|line| line.contains("more files do")), "{lines:#?}");
            }
        }
    }

    #[test]
    fn the_end_of_a_path_is_kept_and_unknown_figures_are_question_marks() {
        let lines = table(&sample(1, false), 79, None);
        let row = lines.iter().find(|line| line.ends_with("-0.wav")).unwrap();
        assert!(row.starts_with("   118 MiB   4.0 KiB         ?         ?  ..."), "{row}");
        assert!(lines.iter().any(|line| line.trim() == "=".repeat(77)));
    }

    #[test]
    fn sizes_have_binary_units_and_at_most_eight_columns() {
        let rows = [
            (0, "0 B"),
            (999, "999 B"),
            (4096, "4.0 KiB"),
            (1 << 20, "1.0 MiB"),
            (123_456_789, "118 MiB"),
            (3 << 40, "3.0 TiB"),
        ];
        for (count, wanted) in rows {
            assert_eq!(bytes(count), wanted);
        }
        assert!((0..50).all(|bit| bytes(1 << bit).len() <= 8 && bytes((1 << bit) - 1).len() <= 8));
    }
}
