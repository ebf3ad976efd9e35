//! The fixture of the integration tests: a bundle by value, a container, and the proof that nothing stays.
//!
//! In reading order: [`Bundle`] (what is asked of the runtime), [`Runtime`] (how it is called),
//! [`Container`] and [`Finished`] (what came of it), [`Place`] (what a test owns, and the census
//! taken when it lets go), [`need!`] (what a test needs of the host).
//!
//! The runtime is `CORTEN_TEST_RUNTIME`, or the `corten` that cargo built beside the test.
#![allow(clippy::panic, clippy::expect_used, reason = "a test fails by panicking")]

pub mod bundle;
pub mod cgroup;
pub mod config;
pub mod console;
pub mod container;
pub mod facts;
pub mod host;
pub mod image;
pub mod leftovers;
pub mod need;
pub mod place;
pub mod runtime;

pub use bundle::Bundle;
pub use console::Console;
pub use container::{Container, Finished};
pub use facts::Facts;
pub use host::Holder;
pub use place::Place;
pub use runtime::{Output, Runtime};
