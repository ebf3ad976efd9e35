//! `pier pull` against registries on loopback: Debian's docker-registry, filled by skopeo, and
//! servers of the test that answer as Docker Hub does, or wrongly.
//!
//! Nothing leaves this machine. A test says so and passes over where docker-registry, skopeo,
//! htpasswd or openssl is missing; `scripts/setup build test` installs them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::needless_pass_by_value,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

mod answers;
mod crash;
mod image;
mod judges;
mod lab;
mod logins;
mod names;
#[path = "../crash/points.rs"]
mod points;
mod server;
