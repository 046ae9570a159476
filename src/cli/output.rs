//! Standard output and standard error of the modes that record, play or export. Thread: any but audio gives lines; output
//! writes them.
//!
//! A write to a terminal blocks while the terminal takes no text: somebody has pressed Ctrl-S, or a connection stalls. A
//! write to a full pipe blocks too. Control must not wait for that, so the thread output is the only one that writes.
//! Its queue is bounded: while it is full, notices are counted, and one line with their number takes their place. Only the
//! newest drawing of the status line waits. Results are never left out; a mode prints them at its end.
//!
//! Before [`start`], and if the system gives no thread, a line is written by the thread that prints it.

use super::{end_on_signals, is_set, note_output};
use crate::limits;
use crate::lock::lock;
use nix::unistd::{getpgrp, tcgetpgrp};
use std::backtrace::{Backtrace, BacktraceStatus};
use std::collections::VecDeque;
use std::io::{IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Texts that may wait. A burst of messages about 1,024 takes fits.
const TEXTS_MAX: usize = 4096;

/// Bytes of one write. A slow terminal shows progress after each of them.
const PIECE_BYTES: usize = 1024;

/// Time without progress after which the program ends although the terminal has not taken all of its text.
const STALL_LIMIT: Duration = Duration::from_secs(3);

/// Time after which a flush reacts to signals. Almost every flush ends earlier.
const SIGNALS_AFTER: Duration = Duration::from_millis(200);

/// Time between two looks at a flush that waits.
const FLUSH_PACE: Duration = Duration::from_millis(50);

/// Erases a line that is redrawn in place.
const ERASE: &str = "\r\x1b[K";

/// Makes the text of a line that is redrawn in place. The thread output calls it, because it asks the terminal for its
/// width. `None`: nothing is drawn now.
pub type Drawing = Box<dyn FnOnce() -> Option<String> + Send>;

/// One of the two outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Standard output: results.
    Results,
    /// Standard error: everything else.
    Messages,
}

/// One step of the thread.
enum Work {
    Text(Target, String),
    Draw(Drawing),
    Erase,
}

/// Everything that waits to be written.
#[derive(Default)]
struct Queue {
    texts: VecDeque<(Target, String)>,
    /// Notices that found the queue full, since the last line with their number.
    left_out: u64,
    drawing: Option<Drawing>,
    erases: bool,
    /// The target that the thread is writing to.
    writing: Option<Target>,
    /// Pieces that were written so far.
    pieces: u64,
    /// The pieces at the time when a flush has given up.
    given_up_at: Option<u64>,
}

impl Queue {
    /// Adds a text. If the queue is full, a text that is no `result` is left out.
    fn push(&mut self, target: Target, text: String, is_result: bool) {
        if TEXTS_MAX <= self.texts.len() && !is_result {
            self.left_out += 1;
            return;
        }
        let number = self.number_left_out();
        self.texts.extend(number);
        self.texts.push_back((target, text));
    }

    /// The line with the number of the notices that were left out.
    fn number_left_out(&mut self) -> Option<(Target, String)> {
        let number = std::mem::take(&mut self.left_out);
        let lines = if number == 1 { "one line is" } else { &format!("{number} lines are") };
        let text =
            format!("note: {lines} left out here, because this output took no text; events.jsonl lists losses\n");
        (0 < number).then_some((Target::Messages, text))
    }

    /// The next step. Texts come first, so a drawing never delays them.
    fn pop(&mut self) -> Option<Work> {
        if let Some((target, text)) = self.texts.pop_front().or_else(|| self.number_left_out()) {
            return Some(Work::Text(target, text));
        }
        if std::mem::take(&mut self.erases) {
            return Some(Work::Erase);
        }
        self.drawing.take().map(Work::Draw)
    }

    /// Whether everything is written that a flush waits for.
    fn is_written(&self) -> bool {
        self.texts.is_empty() && self.left_out == 0 && !self.erases && self.writing.is_none()
    }

    /// The target that delays the rest.
    fn delayed_by(&self) -> Target {
        let next = self.texts.front().map(|(target, _)| *target);
        self.writing.or(next).unwrap_or(Target::Messages)
    }
}

/// The queue, and the bell for everybody who waits for a change of it.
#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

struct Output {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

/// The thread, once it is started. `None` inside: the system gave none.
static OUTPUT: OnceLock<Option<Output>> = OnceLock::new();

/// Starts the thread. From now on no other thread of the program waits for its outputs.
pub fn start() {
    OUTPUT.get_or_init(|| {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("output".to_owned())
            .stack_size(limits::HELPER_STACK_BYTES)
            .spawn(move || run(&of_thread))
            .ok()?;
        // The hook of the standard library writes on the thread that panics.
        std::panic::set_hook(Box::new(print_panic));
        Some(Output { shared, thread })
    });
}

/// Writes a text with its line ends. It does not wait if the thread runs. If the queue is full, a text that is no `result`
/// is left out.
pub fn write(target: Target, text: String, is_result: bool) {
    match OUTPUT.get() {
        Some(Some(output)) => {
            lock(&output.shared.queue).push(target, text, is_result);
            output.shared.changed.notify_all();
        }
        _ => write_pieces(target, &text, || ()),
    }
}

/// Draws a line in place, unless a newer drawing comes first. Without the thread nothing is drawn.
pub fn draw(drawing: Drawing) {
    if let Some(Some(output)) = OUTPUT.get() {
        // The old drawing is dropped after the lock is released.
        let old = lock(&output.shared.queue).drawing.replace(drawing);
        drop(old);
        output.shared.changed.notify_all();
    }
}

/// Erases the line that is drawn in place.
pub fn erase() {
    if let Some(Some(output)) = OUTPUT.get() {
        let mut queue = lock(&output.shared.queue);
        let old = queue.drawing.take();
        queue.erases = true;
        drop(queue);
        drop(old);
        output.shared.changed.notify_all();
    }
}

/// Waits until everything is written. It gives up when a terminal has taken nothing for a while. The reader of a pipe may
/// need its time for the results: the program waits for it until a signal comes.
pub fn flush() {
    let Some(Some(Output { shared, thread })) = OUTPUT.get() else { return };
    let is_patient = !std::io::stdout().is_terminal();
    let began = Instant::now();
    let (mut signalled, mut pieces, mut progressed) = (None, None, began);
    let mut queue = lock(&shared.queue);
    while !queue.is_written() && !thread.is_finished() && queue.given_up_at != Some(queue.pieces) {
        if pieces.replace(queue.pieces) != Some(queue.pieces) {
            progressed = Instant::now();
        }
        let waits = is_patient && queue.delayed_by() == Target::Results || progressed.elapsed() < STALL_LIMIT;
        if SIGNALS_AFTER < began.elapsed() && signalled.is_none() {
            signalled = Some(end_on_signals());
        }
        if !waits || signalled.as_ref().is_some_and(|flag| is_set(flag)) {
            queue.given_up_at = Some(queue.pieces);
            return;
        }
        queue = shared.changed.wait_timeout(queue, FLUSH_PACE).unwrap_or_else(PoisonError::into_inner).0;
    }
}

/// Ends the program, after a flush.
pub fn exit(status: i32) -> ! {
    flush();
    std::process::exit(status)
}

/// Whether another job has the terminal. A terminal that does not control this process has no jobs.
pub fn is_in_background() -> bool {
    tcgetpgrp(std::io::stderr()).is_ok_and(|group| group != getpgrp())
}

/// The thread. It ends with the program.
fn run(shared: &Shared) {
    // Whether a drawing is on the terminal.
    let mut is_drawn = false;
    loop {
        let mut queue = lock(&shared.queue);
        let work = loop {
            match queue.pop() {
                Some(work) => break work,
                None => queue = shared.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
            }
        };
        let target = if let Work::Text(target, _) = &work { *target } else { Target::Messages };
        queue.writing = Some(target);
        drop(queue);
        let note_piece = || lock(&shared.queue).pieces += 1;
        if !matches!(work, Work::Draw(_)) && std::mem::take(&mut is_drawn) && !is_in_background() {
            write_pieces(Target::Messages, ERASE, note_piece);
        }
        match work {
            Work::Text(target, text) => write_pieces(target, &text, note_piece),
            Work::Draw(drawing) => {
                if let Some(text) = drawing() {
                    write_pieces(Target::Messages, &text, note_piece);
                    is_drawn = true;
                }
            }
            Work::Erase => {}
        }
        lock(&shared.queue).writing = None;
        shared.changed.notify_all();
    }
}

/// Writes a text and calls `note_piece` after each piece of it. Errors of standard error are ignored.
fn write_pieces(target: Target, text: &str, note_piece: impl Fn()) {
    for piece in text.as_bytes().chunks(PIECE_BYTES) {
        let written = match target {
            Target::Messages => std::io::stderr().write_all(piece).or(Ok(())),
            Target::Results => {
                let mut out = std::io::stdout().lock();
                out.write_all(piece).and_then(|()| out.flush())
            }
        };
        let failed = written.is_err();
        note_output(written);
        note_piece();
        if failed {
            return;
        }
    }
}

/// Prints a panic as the standard library does. A panic of the main thread ends the program, so its text is flushed.
fn print_panic(info: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("<unnamed>");
    let place = info.location().map_or_else(String::new, ToString::to_string);
    let message = info.payload_as_str().unwrap_or("Box<dyn Any>");
    let mut text = format!("\nthread '{name}' panicked at {place}:\n{message}\n");
    let trace = Backtrace::capture();
    if trace.status() == BacktraceStatus::Captured {
        text.push_str(&format!("stack backtrace:\n{trace}\n"));
    }
    write(Target::Messages, text, false);
    if name == "main" {
        flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(queue: &mut Queue) -> Vec<String> {
        let text = |work| match work {
            Work::Text(_, text) => text,
            Work::Erase => "erase".to_owned(),
            Work::Draw(drawing) => drawing().unwrap_or_default(),
        };
        std::iter::from_fn(|| queue.pop().map(text)).collect()
    }

    #[test]
    fn a_full_queue_counts_the_notices_that_it_leaves_out_and_keeps_the_results() {
        let mut queue = Queue::default();
        for at in 0..TEXTS_MAX + 7 {
            queue.push(Target::Messages, format!("{at}\n"), false);
        }
        assert_eq!((queue.texts.len(), queue.left_out), (TEXTS_MAX, 7));
        queue.push(Target::Results, "summary\n".to_owned(), true);
        let texts = texts(&mut queue);
        let end: Vec<&str> = texts[TEXTS_MAX - 1..].iter().map(String::as_str).collect();
        let [last, left_out, summary] = end[..] else { panic!("{end:?}") };
        assert!(
            last == format!("{}\n", TEXTS_MAX - 1) && left_out.starts_with("note: 7 lines are left out"),
            "{end:?}"
        );
        assert!(summary == "summary\n" && queue.is_written());
    }

    #[test]
    fn the_number_of_left_out_notices_follows_when_nothing_else_does() {
        let mut queue = Queue::default();
        (0..=TEXTS_MAX).for_each(|_| queue.push(Target::Messages, "x\n".to_owned(), false));
        let texts = texts(&mut queue);
        assert!(texts.len() == TEXTS_MAX + 1 && texts[TEXTS_MAX].starts_with("note: one line is left out"));
        assert!(queue.is_written());
    }

    #[test]
    fn texts_come_before_the_newest_drawing() {
        let mut queue = Queue::default();
        for line in ["old", "new"] {
            queue.drawing = Some(Box::new(move || Some(line.to_owned())));
        }
        queue.push(Target::Messages, "note\n".to_owned(), false);
        assert_eq!(texts(&mut queue), ["note\n", "new"]);
    }
}
