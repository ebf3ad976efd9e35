//! Images and their store, with outside judges: skopeo, umoci and podman read what pier writes
//! and the reverse; archives that mean harm; `kill -9` at every system call that changes a file.
//!
//! Needs root; a test says so and passes over where root or a judge is missing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod crash;
#[path = "../../fuzz/entry.rs"]
mod entry;
mod fuzz;
mod hostile;
mod judges;
mod lab;
mod layers;
mod verbs;
