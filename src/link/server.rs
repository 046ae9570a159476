//! The engine's side: takes connections, and ends the engine when nobody needs it. Thread: link-accept takes connections;
//! each client has a thread of its own that reads ([`super::client_of_server`] writes); the main thread of the engine waits
//! in [`Server::wait_for_end`].
//!
//! No client can make control wait: commands go into a bounded queue, snapshots are pointers, and a write that blocks
//! blocks the thread of that client only. Nothing grows for a client that does not read, because a client gets a
//! snapshot only when it has asked for one.

use super::client_of_server::{Client, write};
use super::notification;
use super::place::{Place, is_of_this_user};
use super::protocol::{self, AnswerRef, Facts, LinkError, Request, is_possible};
use crate::app::Wake;
use crate::app::command::Command;
use crate::app::handle::{AppHandle, Phase};
use crate::app::settings;
use crate::app::snapshot::Snapshot;
use crate::control::Severity;
use crate::limits;
use crate::lock::lock;
use crate::shell_word::for_shell;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Windows that may be attached at one time.
pub const WINDOWS_MAX: usize = 4;

/// Connections at one time: the windows, and programs that look for an engine or end one.
pub const CLIENTS_MAX: usize = 8;

/// Time for a new client to say what it wants.
const WISH_LIMIT: Duration = Duration::from_secs(5);

/// Time for the first window to attach.
const START_LIMIT: Duration = Duration::from_secs(20);

/// Time for which an engine without a pass waits for another window.
pub const LONELY_LIMIT: Duration = Duration::from_secs(5);

/// Time for the clients to hear that everything is saved.
const END_LIMIT: Duration = Duration::from_secs(1);

/// Stack of a thread of a client, in bytes. A session is encoded on it.
const STACK_BYTES: usize = 512 * 1024;

/// Wakes everything that waits for the app: the writers of the clients, and the engine's main thread.
#[derive(Clone)]
pub struct Bells(Arc<BellsShared>);

struct BellsShared {
    clients: Mutex<Vec<Arc<Client>>>,
    main: Sender<()>,
    rung: Receiver<()>,
}

impl Default for Bells {
    fn default() -> Bells {
        let (main, rung) = bounded(1);
        Bells(Arc::new(BellsShared { clients: Mutex::default(), main, rung }))
    }
}

impl Bells {
    /// The function that the app calls when something has changed.
    pub fn wake(&self) -> Wake {
        let bells = self.clone();
        Arc::new(move || {
            for client in lock(&bells.0.clients).iter() {
                client.is_changed.store(true, SeqCst);
                client.ring();
            }
            bells.ring_main();
        })
    }

    fn ring_main(&self) {
        // A full bell has rung already.
        self.0.main.try_send(()).ok();
    }
}

/// Who shows the recorder besides the windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Nobody. The user hears when the last window is gone and the recording continues.
    Windows,
    /// A terminal, which says everything itself, and ends the engine.
    Terminal,
}

/// The engine's side of all links.
pub struct Server {
    shared: Arc<Shared>,
    place: Arc<Place>,
}

/// The state that the threads of all clients share.
pub(super) struct Shared {
    pub(super) app: AppHandle,
    bells: Bells,
    /// The session that the engine was started for.
    wanted: PathBuf,
    windows: AtomicUsize,
    owner: Owner,
    /// Whether a window was attached at any time.
    had_window: AtomicBool,
    /// Prints a line for the user.
    print: Box<dyn Fn(&str) + Send + Sync>,
}

impl Server {
    /// Takes connections from now on. `wanted`: the session that the engine was started for, until it is open. `print`
    /// prints a line for the user.
    pub fn start(
        place: Place,
        app: AppHandle,
        bells: Bells,
        wanted: Option<&Path>,
        owner: Owner,
        print: impl Fn(&str) + Send + Sync + 'static,
    ) -> io::Result<Server> {
        let shared = Arc::new(Shared {
            app,
            bells,
            // Another program may have another working folder.
            wanted: wanted.and_then(|folder| std::path::absolute(folder).ok()).unwrap_or_default(),
            windows: AtomicUsize::new(0),
            owner,
            had_window: AtomicBool::new(false),
            print: Box::new(print),
        });
        let place = Arc::new(place);
        let (taker, listening) = (Arc::clone(&shared), Arc::clone(&place));
        std::thread::Builder::new().name("link-accept".to_owned()).stack_size(limits::HELPER_STACK_BYTES).spawn(
            move || {
                for stream in listening.listener.incoming() {
                    match stream {
                        Ok(stream) => taker.take(stream),
                        // No file descriptor is left, for example. Some may be free later.
                        Err(_) => std::thread::sleep(Duration::from_millis(100)),
                    }
                }
            },
        )?;
        Ok(Server { shared, place })
    }

    /// Waits until the app is closed. Closes it when there is neither a window nor a pass for some seconds. Returns
    /// whether everything is on the disk.
    pub fn wait_for_end(&self) -> bool {
        let shared = &self.shared;
        let mut lonely_since = None;
        loop {
            let phase = shared.app.phase();
            if matches!(phase, Phase::Closed | Phase::Failed) {
                return phase == Phase::Closed;
            }
            let is_lonely = shared.windows.load(SeqCst) == 0 && phase == Phase::Running && !is_busy(&shared.app.look());
            let limit = if shared.had_window.load(SeqCst) { LONELY_LIMIT } else { START_LIMIT };
            let deadline = is_lonely.then(|| *lonely_since.get_or_insert_with(Instant::now) + limit);
            if deadline.is_none() {
                lonely_since = None;
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                shared.app.shutdown();
            }
            let bell = &shared.bells.0.rung;
            let rung = match deadline {
                Some(deadline) if Instant::now() < deadline => bell.recv_deadline(deadline),
                _ => bell.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            if rung == Err(RecvTimeoutError::Disconnected) {
                return false;
            }
        }
    }

    /// Gives the clients a moment to hear how it ended.
    pub fn tell_end(&self) {
        let until = Instant::now() + END_LIMIT;
        let phase = self.shared.app.phase();
        for client in lock(&self.shared.bells.0.clients).iter() {
            client.ring();
        }
        let waits = || lock(&self.shared.bells.0.clients).iter().any(|client| !client.has_heard(phase));
        while waits() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.place.remove();
    }
}

/// Whether the engine has work that must not end with its window.
fn is_busy(snapshot: &Snapshot) -> bool {
    snapshot.transport.pass.is_some() || snapshot.export.progress.is_some()
}

/// How a client went away.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Departure {
    /// The server has answered that the client may go: the client left, its window closed, or the server refused it.
    Said,
    /// The connection has ended without that answer: the client died, or sent bytes that are no request.
    Vanished,
}

impl Shared {
    /// Serves a new client on a thread of its own, or sends it away.
    fn take(self: &Arc<Shared>, stream: UnixStream) {
        if !is_of_this_user(&stream) {
            return;
        }
        let mut clients = lock(&self.bells.0.clients);
        if CLIENTS_MAX <= clients.len() {
            drop(clients);
            // It may be gone already.
            refuse(stream, "the recorder takes no further connection; close a window, then try again").ok();
            return;
        }
        let Ok(client) = Client::new(&stream).map(Arc::new) else { return };
        clients.push(Arc::clone(&client));
        drop(clients);
        let (shared, kept) = (Arc::clone(self), Arc::clone(&client));
        let serve = move || {
            shared.serve(stream, &client);
            client.leave();
            lock(&shared.bells.0.clients).retain(|other| !Arc::ptr_eq(other, &client));
            shared.bells.ring_main();
        };
        // Without a thread, the closure is dropped, and the connection with it.
        if std::thread::Builder::new().name("link-read".to_owned()).stack_size(STACK_BYTES).spawn(serve).is_err() {
            lock(&self.bells.0.clients).retain(|other| !Arc::ptr_eq(other, &kept));
        }
    }

    /// Speaks with a client until it goes.
    fn serve(self: &Arc<Shared>, mut stream: UnixStream, client: &Arc<Client>) {
        if self.greet(&mut stream).is_err() {
            return;
        }
        let Ok(to) = stream.try_clone() else { return };
        let (writer, shared) = (Arc::clone(client), Arc::clone(self));
        let write = move || write(&shared.app, &writer, to);
        if std::thread::Builder::new().name("link-write".to_owned()).stack_size(STACK_BYTES).spawn(write).is_err() {
            return;
        }
        let departure = self.apply_requests(&mut stream, client).unwrap_or(Departure::Vanished);
        if client.is_window.load(SeqCst) {
            self.uncount(client);
            if departure == Departure::Vanished {
                self.window_vanished();
            }
        }
    }

    /// Counts the client as a window no longer, before it hears that it may go: of two windows that close one after the
    /// other, the second one must find that it is the last. Returns the number of the other windows.
    fn uncount(&self, client: &Client) -> usize {
        if client.is_window.swap(false, SeqCst) {
            self.windows.fetch_sub(1, SeqCst) - 1
        } else {
            self.windows.load(SeqCst)
        }
    }

    fn greet(&self, stream: &mut UnixStream) -> Result<(), LinkError> {
        stream.set_read_timeout(Some(WISH_LIMIT))?;
        stream.set_write_timeout(Some(WISH_LIMIT))?;
        protocol::send(stream, &protocol::greeting())?;
        protocol::send(stream, &protocol::message(&AnswerRef::Facts(&self.facts()))?)?;
        protocol::read_greeting(stream)?;
        stream.set_write_timeout(None)?;
        Ok(())
    }

    fn facts(&self) -> Facts {
        let snapshot = self.app.look();
        let is_open = !snapshot.folder.as_os_str().is_empty();
        Facts {
            pid: std::process::id(),
            folder: if is_open { &snapshot.folder } else { &self.wanted }.clone(),
            settings: settings::user_folder().unwrap_or_default(),
            records: snapshot.transport.pass.is_some(),
            windows: self.windows.load(SeqCst),
            ends: self.app.phase() != Phase::Running,
            is_of_terminal: self.owner == Owner::Terminal,
        }
    }

    /// Carries out the requests of a client until it goes. An error: the client is gone, or what it sent is no request.
    fn apply_requests(&self, stream: &mut UnixStream, client: &Client) -> Result<Departure, LinkError> {
        let mut bytes = Vec::new();
        loop {
            protocol::receive(stream, protocol::REQUEST_BYTES_MAX, &mut bytes)?;
            let request: Request = protocol::parse(&bytes)?;
            bytes.shrink_to(4096);
            match request {
                Request::Attach => {
                    if client.is_window.load(SeqCst) {
                        return Err(LinkError::Garbled);
                    }
                    let before = self.windows.fetch_add(1, SeqCst);
                    client.is_window.store(true, SeqCst);
                    if WINDOWS_MAX <= before {
                        client.refuse(
                            "four windows show the recorder already; close one of them, then start this one again",
                        );
                        return Ok(Departure::Said);
                    }
                    self.had_window.store(true, SeqCst);
                    stream.set_read_timeout(None)?;
                    self.bells.ring_main();
                }
                Request::Command(command) => {
                    let number = is_possible(&command).then(|| self.app.apply_numbered(command)).flatten();
                    client.count_command(number.unwrap_or_else(|| self.app.given()), number.is_some());
                }
                Request::Close if 0 < self.uncount(client) || self.owner == Owner::Terminal => {
                    // Another window shows the session, or a terminal owns it. A window ends a terminal's recording by Stop.
                    client.dismiss(Phase::Closed);
                    return Ok(Departure::Said);
                }
                Request::Close => self.app.shutdown(),
                Request::Stop => {
                    stream.set_read_timeout(None)?;
                    // Closing ends a pass too; the command says so in the events.
                    if !self.app.apply(Command::Stop) {
                        client.count_command(self.app.given(), false);
                    }
                    self.app.shutdown();
                }
                Request::Leave => {
                    self.uncount(client);
                    client.dismiss(Phase::Closed);
                    return Ok(Departure::Said);
                }
                other => client.note(&other),
            }
        }
    }

    /// Tells the user that a window is gone and that the recording continues, unless another window shows it.
    fn window_vanished(&self) {
        let snapshot = self.app.look();
        let is_shown = 0 < self.windows.load(SeqCst) || self.owner == Owner::Terminal;
        if is_shown || self.app.phase() != Phase::Running || snapshot.transport.pass.is_none() {
            return;
        }
        let text = continues(&snapshot.folder, std::process::id());
        (self.print)(&text);
        let event = "the window is gone; the recording continues without it".to_owned();
        if !self.app.apply(Command::Notice(Severity::Caution, event)) {
            (self.print)("the event cannot be stored: control does not answer");
        }
        notification::show("The window of Faultless is gone", &text);
    }
}

/// Sends a client away with a reason.
fn refuse(mut stream: UnixStream, reason: &str) -> Result<(), LinkError> {
    stream.set_write_timeout(Some(WISH_LIMIT))?;
    protocol::send(&mut stream, &protocol::greeting())?;
    protocol::send(&mut stream, &protocol::message(&AnswerRef::Full(reason.to_owned()))?)
}

/// The sentence about a recording that continues without its window.
pub fn continues(folder: &Path, pid: u32) -> String {
    let session = for_shell(folder);
    format!(
        "the window is gone, and the recording continues in process {pid}; to see it: faultless {session}; to end it: \
         faultless stop {session}"
    )
}
