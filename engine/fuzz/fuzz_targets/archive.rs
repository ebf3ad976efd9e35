//! libFuzzer's door to [`entry::archive`].
#![no_main]
#![allow(dead_code, reason = "the other door has a target of its own")]

#[path = "../entry.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    entry::archive(data);
});
