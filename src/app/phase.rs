//! How far an app is from its end. Thread: any.

/// How far the app is from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    Running = 0,
    /// A pass ends, the session is saved, the threads end.
    Closing = 1,
    /// Everything is closed and on the disk.
    Closed = 2,
    /// Control has failed. What it had open is being closed.
    Failing = 3,
    /// Nothing is open any more, and not everything is on the disk, or control has failed.
    Failed = 4,
}

impl Phase {
    /// The phase with this number; one that does not exist counts as failed.
    pub fn of(number: u8) -> Phase {
        match number {
            0 => Phase::Running,
            1 => Phase::Closing,
            2 => Phase::Closed,
            3 => Phase::Failing,
            _ => Phase::Failed,
        }
    }
}
