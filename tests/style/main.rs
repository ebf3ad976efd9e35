//! The rules of the house that no compiler checks, as tests over the files of the repository.
//!
//! [`files`] looks at every source file, [`documents`] at every link, path and `make` target that a
//! document names, [`coverage`] at `docs/spec-coverage.md`: every field that oci-spec knows
//! ([`fields`]) stands in a row, and every test that a row names exists ([`names`]).
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod coverage;
mod documents;
mod fields;
mod files;
mod inventory;
mod names;
