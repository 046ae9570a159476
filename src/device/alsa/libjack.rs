//! Silences the library of JACK, which prints its errors on the terminal. Thread: lister, opener, reconnect, control.
//!
//! alsa-lib's plugin for JACK loads the library when such a PCM is opened. Without a server, the library prints five lines,
//! and a hundred when a server is killed. The program reports the same with its own words. The library takes a function to
//! call in place of printing, and no crate has a safe call for that.
#![expect(unsafe_code, reason = "a call of libjack that no crate has in a safe form")]

use std::ffi::{CStr, c_char};
use std::sync::Once;

/// The library under the name by which the plugin loads it.
const LIBRARY: &CStr = c"libjack.so.0";

/// The functions that set what the library calls for an error and for a message.
const SETTERS: [&CStr; 2] = [c"jack_set_error_function", c"jack_set_info_function"];

/// A function that gets a line of text.
type Printer = extern "C" fn(*const c_char);

/// Any thread of the library may call it.
extern "C" fn ignore(_: *const c_char) {}

/// Makes libjack silent for the rest of the process. Does nothing where it is not installed.
pub(super) fn silence() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the name ends with a zero byte. The library only sets up its own memory when it is loaded, as it does when
        // the plugin loads it. It stays loaded, so that the plugin gets the same one.
        let library = unsafe { libc::dlopen(LIBRARY.as_ptr(), libc::RTLD_NOW) };
        if library.is_null() {
            return;
        }
        for setter in SETTERS {
            // SAFETY: the library is loaded, and the name ends with a zero byte.
            let address = unsafe { libc::dlsym(library, setter.as_ptr()) };
            if !address.is_null() {
                // SAFETY: both functions have this type in every version of JACK's interface.
                let set: extern "C" fn(Printer) = unsafe { std::mem::transmute(address) };
                set(ignore);
            }
        }
    });
}
