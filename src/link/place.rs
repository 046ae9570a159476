//! Where the sockets of engines are, and who is on the other side of one. Thread: any that may wait for the disk.
//!
//! Each engine has one socket, `engine-PID.sock`, in a folder that only this user can enter. An engine that dies leaves
//! its socket behind; the next program that finds nobody behind it removes it.

use super::protocol::{self, Answer, Facts, LinkError};
use crate::butler::spool;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::getuid;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The folder for sockets, in the runtime folder of the user or beside the spool.
const FOLDER: &str = "faultless";

/// Time in which an engine must answer a program that looks for one.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// The folders in which engines of this user may have sockets, the preferred one first.
fn candidates() -> impl Iterator<Item = PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    runtime.into_iter().chain(spool::folders()).map(|folder| folder.join(FOLDER))
}

/// A listening socket.
#[derive(Debug)]
pub struct Place {
    pub listener: UnixListener,
    path: PathBuf,
}

impl Place {
    /// Makes the socket of this process.
    pub fn make() -> io::Result<Place> {
        // Makes the folder beside which the last candidate is.
        spool::folder();
        let mut failure =
            io::Error::other("there is no folder for it: neither XDG_RUNTIME_DIR nor /dev/shm can be used");
        for folder in candidates() {
            match Place::make_in(&folder) {
                Ok(place) => return Ok(place),
                Err(error) => failure = io::Error::new(error.kind(), format!("{}: {error}", folder.display())),
            }
        }
        Err(failure)
    }

    fn make_in(folder: &Path) -> io::Result<Place> {
        DirBuilder::new().mode(0o700).create(folder).ok();
        if !spool::is_ours(folder) {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is not a private folder of this user"));
        }
        let pid = std::process::id();
        let (path, new) = (folder.join(name(pid)), folder.join(format!("new-{pid}")));
        // No other process has this number, so the file was left behind.
        fs::remove_file(&new).ok();
        let listener = UnixListener::bind(&new)?;
        fs::set_permissions(&new, Permissions::from_mode(0o600))?;
        // The socket gets its name when it listens. Another program that connected before would be refused, and would
        // remove it as that of a dead engine.
        fs::rename(&new, &path)?;
        Ok(Place { listener, path })
    }
}

impl Place {
    /// The path of the socket.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the socket, so that nobody looks for this engine any more.
    pub fn remove(&self) {
        fs::remove_file(&self.path).ok();
    }
}

fn name(pid: u32) -> String {
    format!("engine-{pid}.sock")
}

/// Whether the process on the other side belongs to this user.
pub fn is_of_this_user(stream: &UnixStream) -> bool {
    getsockopt(stream, PeerCredentials).is_ok_and(|peer| peer.uid() == getuid().as_raw())
}

/// A connection to an engine that has told its facts.
#[derive(Debug)]
pub struct Found {
    pub stream: UnixStream,
    pub facts: Facts,
}

/// Connects to the engine of process `pid`. `None`: it has no socket, so it is no engine or has not got that far.
pub fn connect(pid: u32) -> Option<Result<Found, LinkError>> {
    let met = candidates().find_map(|folder| connect_to(&folder.join(name(pid))));
    met.map(|met| met.map_err(|error| error.of_process(pid)))
}

/// Every engine of this user that answers. Engines of another version are left out.
pub fn engines() -> Vec<Found> {
    let mut folders: Vec<PathBuf> = candidates().collect();
    folders.dedup();
    let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let sockets = entries.map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.strip_prefix("engine-").and_then(|name| name.strip_suffix(".sock")).is_some()
    });
    let mut found: Vec<Found> = sockets.filter_map(|path| connect_to(&path)?.ok()).collect();
    // Two candidates can be the same folder.
    found.sort_by_key(|found| found.facts.pid);
    found.dedup_by_key(|found| found.facts.pid);
    found
}

/// Connects to a socket, and removes it if nobody is behind it.
fn connect_to(path: &Path) -> Option<Result<Found, LinkError>> {
    let folder = path.parent()?;
    if !spool::is_ours(folder) {
        return None;
    }
    match UnixStream::connect(path) {
        Ok(stream) if is_of_this_user(&stream) => Some(meet(stream)),
        Ok(_) => None,
        Err(error) => {
            if error.kind() == io::ErrorKind::ConnectionRefused {
                fs::remove_file(path).ok();
            }
            None
        }
    }
}

/// Exchanges greetings, and reads the facts of the engine.
fn meet(mut stream: UnixStream) -> Result<Found, LinkError> {
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    stream.set_write_timeout(Some(ANSWER_LIMIT))?;
    protocol::send(&mut stream, &protocol::greeting())?;
    protocol::read_greeting(&mut stream)?;
    let mut bytes = Vec::new();
    protocol::receive(&mut stream, protocol::ANSWER_BYTES_MAX, &mut bytes)?;
    let facts = match protocol::parse(&bytes)? {
        Answer::Facts(facts) => facts,
        Answer::Full(reason) => return Err(LinkError::Full(reason)),
        _ => return Err(LinkError::Garbled),
    };
    stream.set_read_timeout(None)?;
    stream.set_write_timeout(None)?;
    Ok(Found { stream, facts })
}
