//! libFuzzer on `link` of `targets.rs`. Thread: main.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| faultless_fuzz::link(bytes));
