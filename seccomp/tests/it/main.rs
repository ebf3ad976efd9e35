//! What a compiled filter does, against the rules themselves and against libseccomp.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod clients;
mod crosscheck;
mod differential;
mod fuzz;
mod generate;
mod naive;
mod oracle;
mod profiles;
mod programs;
