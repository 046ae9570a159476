//! The troubles of a simulated disk, the calls that it judges, and the defects that a test plants. Thread: the one of the
//! run.

use crate::wrong_fact::WrongFact;
use std::path::PathBuf;
use std::time::Duration;

/// What a disk does from one moment to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Each call takes up to this much longer.
    Slow(Duration),
    /// No call returns.
    Stands,
    /// Another program has filled the disk, except for so many bytes.
    Full(u64),
    /// The next call that changes something fails, once.
    FailsOnce(i32),
    /// Every call that changes something fails.
    Fails(i32),
    /// About half of the calls that change something fail.
    Flaky(i32),
    /// The content of every n-th file cannot be read.
    Unreadable(u64),
    /// No file can be made.
    NoNewFiles,
    /// No file can get another name.
    KeepsNames,
    /// The first page of no take can be written.
    Headers(i32),
    /// No folder can be made durable.
    FolderSyncs(i32),
    /// A call of this name fails, which changes nothing: open, list, stat or lock.
    AskFails(&'static str),
    /// The disk does not say how much room it has.
    RoomUnknown,
    /// The disk says after a time of up to so much how much room it has.
    RoomSlow(Duration),
    /// The disk says that it is full, and it is not.
    SaysFull,
}

/// A trouble with its time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) from: Duration,
    pub(crate) to: Duration,
    pub(crate) trouble: Trouble,
}

/// A call of the program.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Create,
    Open,
    Write {
        offset: u64,
        bytes: u64,
    },
    SyncFile,
    SyncFolder,
    SetLength(u64),
    Reserve {
        offset: u64,
        bytes: u64,
    },
    Punch {
        offset: u64,
        bytes: u64,
    },
    Rename(PathBuf),
    Link(PathBuf),
    Remove,
    MakeFolder,
    /// A call that changes nothing, by name.
    Ask(&'static str),
}

impl Op {
    pub(crate) fn changes(&self) -> bool {
        !matches!(self, Op::Ask(_) | Op::Open)
    }

    /// The name of the call for the trace.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Op::Create => "create",
            Op::Open => "open",
            Op::Write { .. } => "write",
            Op::SyncFile => "sync",
            Op::SyncFolder => "sync-folder",
            Op::SetLength(_) => "set-length",
            Op::Reserve { .. } => "reserve",
            Op::Punch { .. } => "punch",
            Op::Rename(_) => "rename",
            Op::Link(_) => "link",
            Op::Remove => "remove",
            Op::MakeFolder => "make-folder",
            Op::Ask(name) => name,
        }
    }
}

/// The decision about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Go,
    /// Only so many bytes of a write fit.
    Short(u64),
    Fail(i32),
    /// The call waits until this moment and is then judged again.
    Wait(Duration),
}

/// A defect that a test plants, so that the oracle can show that it finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Planted {
    /// The n-th write of sound is reported as done and does nothing.
    SkippedWrite(u64),
    /// The n-th write of sound goes one page further.
    WrongOffset(u64),
    /// From the n-th on, each sync reports success and makes nothing durable.
    IdleSync(u64),
    /// A call of a batch fails, and its result says that it succeeded.
    HiddenFailure,
    /// There is a file with sound that the session does not list.
    UnlistedFile,
    /// A fact is wrong when the oracle looks.
    WrongFact(WrongFact),
    /// The file of the session is not what the program has in memory when it ends.
    OtherFile,
    /// The first recovery has left something to do for the second one.
    CutOffAgain,
    /// Each edit and each step of undo changes a take.
    EditChangesTake,
}
