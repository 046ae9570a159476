//! The line that the window prints when its X server dies. Thread: ui.
//!
//! libX11 ends the program by itself then, with two lines of its own. It lets a program have a function in place of these
//! lines. No crate has a safe call for that.
#![expect(unsafe_code, reason = "a call of libX11 that no crate has in a safe form")]

use super::{display, print_stderr};
use std::ffi::c_int;
use x11_dl::xlib::{Display, Xlib};

/// Prints one line about a display that is gone, and ends the program. libX11 calls it on the thread that uses the display.
unsafe extern "C" fn end(_: *mut Display) -> c_int {
    print_stderr(&format!("faultless: {}", display::GONE));
    std::process::exit(1)
}

/// Makes the end of the X server one line. Does nothing where libX11 is not installed.
pub fn prepare() {
    let Ok(xlib) = Xlib::open() else { return };
    // SAFETY: the call only stores the function's address, and the function lives as long as the program. The library stays
    // loaded, because the toolkit has loaded it too, or loads it before it calls the function.
    unsafe {
        (xlib.XSetIOErrorHandler)(Some(end));
    }
}
