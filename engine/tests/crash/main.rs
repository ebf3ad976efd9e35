//! What is left when something goes wrong in the middle: commands and monitors that are killed,
//! commands at the same time, reboots, full disks, damaged files.
//!
//! Every test has roots, a network namespace and a mount namespace of its own. Root, busybox,
//! strace, `ip` and `nft` are needed; without, a test says so and passes over.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod damage;
mod disk;
mod host;
mod kills;
mod points;
mod races;
mod reboot;
mod record;
