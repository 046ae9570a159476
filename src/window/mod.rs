//! Windows: page-aligned spans of one take's file, mapped, populated and locked, each with one owner at a time. Thread:
//! butler and read-ahead make them, audio fills or plays them, butler and read-ahead collect them.
//!
//! Most of the program's `unsafe` code is in this module; `UNSAFE_ALLOWED` in `tests/it/tidy/mod.rs` lists the other
//! files. [`map`] maps, populates and locks, [`guard`] handles the SIGBUS of a file that was cut short, `wipe` fills
//! memory with zeros, [`process`] populates the program's own memory, [`kernel_pages`] asks the kernel about pages. The
//! rings of windows ([`ring`], [`capture`], [`playback`]) and the progress page ([`progress_page`], [`overrun_places`])
//! are safe code.
#![warn(missing_docs)]

pub mod budget;
pub mod capture;
pub mod guard;
pub mod lock_limit;
pub mod map;
pub mod overrun_places;
pub mod playback;
pub mod process;
pub mod kernel_pages;
pub mod progress_page;
pub mod ring;
pub mod shared_words;
mod wipe;

use crate::limits;
use std::io;

/// Returns an error if the kernel's page size is not the one that file layout and windows are built on.
pub fn page_bytes_check() -> io::Result<()> {
    let found = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)?.unwrap_or(0);
    if found == limits::PAGE_BYTES as i64 {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "the kernel's pages have {found} bytes; this program is built for {}",
        limits::PAGE_BYTES
    )))
}
