//! Silences alsa-lib on one thread. Thread: audio.
//!
//! alsa-lib and its plugins print messages about failed calls on standard error. A terminal that takes no text at that moment
//! would block the thread for as long as that lasts. The calls return their errors as values too. The handler of the `alsa`
//! crate collects the messages in memory that grows, so it is not for this thread.
#![expect(unsafe_code, reason = "a call of alsa-lib that no crate has in a form without allocation")]

use alsa_sys::__va_list_tag;
use std::ffi::{c_char, c_int};

/// Receives a message: its file, line and function, an error number, and a text with its arguments. Reads none of them.
unsafe extern "C" fn ignore(
    _: *const c_char,
    _: c_int,
    _: *const c_char,
    _: c_int,
    _: *const c_char,
    _: *mut __va_list_tag,
) {
}

/// Lets alsa-lib print nothing on the calling thread from now on. The first call of a thread may allocate the thread's
/// variables of alsa-lib, so it comes before the device is started.
pub fn silence_this_thread() {
    // SAFETY: the call stores the pointer in a variable of the calling thread and reads nothing else. `ignore` exists as long
    // as the program, and returns nothing. It reads no argument, so it is right for any form in which an architecture passes
    // a list of variable arguments. alsa-lib calls it on this thread only.
    unsafe { alsa_sys::snd_lib_error_set_local(Some(ignore)) };
}
