//! libFuzzer's door to [`entry`]: reading, resolving, compiling and asking a profile.
#![no_main]

#[path = "../entry.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = entry::one(data);
});
