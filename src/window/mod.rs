//! Windows: page-aligned, mapped, populated and locked spans of one take's file, each with one owner at a
//! time. Thread: butler and read-ahead build them, audio fills or plays them, butler takes them back.
//!
//! This is the one module that may say `unsafe`: [`map`] maps, populates and locks, [`guard`] catches the
//! SIGBUS of a file that shrank, [`process`] populates the program's own memory, [`residency`] asks the kernel
//! about pages. The two ends of a ring of windows ([`capture`], [`playback`]) and the page that says how far a
//! pass has come ([`progress_page`]) are safe code.
#![warn(missing_docs)]

pub mod budget;
pub mod capture;
pub mod guard;
pub mod lock_limit;
pub mod map;
pub mod playback;
pub mod process;
pub mod kernel_pages;
pub mod progress_page;
pub mod ring;

use crate::limits;
use std::io;

/// Refuses a kernel whose pages are not the ones that file layout and windows are built on.
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
