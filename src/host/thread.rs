//! Threads of the program. Thread: any; a [`Thread`] belongs to the thread that joins it.

use super::host;
use std::io;
use std::thread::{Builder, JoinHandle, Result};

/// A thread of a simulated machine.
pub trait HostThread: Send {
    /// Whether the thread has ended.
    fn is_finished(&self) -> bool;

    /// Suspends the caller until the thread has ended. `Err`: it ended by a panic, or its process was killed.
    fn join(self: Box<Self>) -> Result<()>;
}

/// A thread that was started with [`spawn`].
pub struct Thread {
    name: &'static str,
    handle: Handle,
}

enum Handle {
    Real(JoinHandle<()>),
    Simulated(Box<dyn HostThread>),
}

impl Thread {
    /// The name of the thread.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether the thread has ended.
    pub fn is_finished(&self) -> bool {
        match &self.handle {
            Handle::Real(thread) => thread.is_finished(),
            Handle::Simulated(thread) => thread.is_finished(),
        }
    }

    /// Waits until the thread has ended. `Err`: it ended by a panic.
    pub fn join(self) -> Result<()> {
        match self.handle {
            Handle::Real(thread) => thread.join(),
            Handle::Simulated(thread) => thread.join(),
        }
    }
}

/// Starts a thread with a stack of `stack_bytes` bytes.
pub fn spawn(name: &'static str, stack_bytes: usize, body: impl FnOnce() + Send + 'static) -> io::Result<Thread> {
    let handle = match host() {
        None => Handle::Real(Builder::new().name(name.to_owned()).stack_size(stack_bytes).spawn(body)?),
        Some(host) => Handle::Simulated(host.spawn(name, stack_bytes, Box::new(body))?),
    };
    Ok(Thread { name, handle })
}
