//! Containers from the outside: the program `pier` on directories that hold a root file system.
//!
//! Root and busybox are needed; without, the tests say so and pass over. Every test has its own
//! roots, and fails when a container, a mount, a cgroup or a file of a container is left.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod copy;
mod life;
mod limits;
mod pier;
mod shown;
mod streams;
