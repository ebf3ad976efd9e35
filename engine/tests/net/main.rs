//! The bridge network, between a host, containers and a neighbour that are network namespaces of
//! the test: nothing of this machine's network is touched.
//!
//! Needs root, `ip` and `nft`; a test says so and passes over where they are missing. The tests
//! call what the monitor calls (`net::prepare`, `up`, `down`), and speak through real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "a test fails by panicking"
)]

mod cases;
mod lab;
mod whole;
