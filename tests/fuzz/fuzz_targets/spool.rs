//! libFuzzer on `spool` of `targets.rs`. Thread: main.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| faultless_fuzz::spool(bytes));
