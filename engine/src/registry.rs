//! Registries: names become images of the store.
//!
//! Reading order: `config` (mirrors, who needs no proof) → `transport` (requests below HTTP's
//! meaning: names, proxies, certificates, redirects) → `client` (one repository: who we are, what
//! is tried again) → `manifest`, `platform` (which image) → `blob` (its parts, resumed and
//! verified) → `pull`. `refused` has the words when it fails, `progress` while it goes on.

mod blob;
mod challenge;
mod client;
mod config;
mod credentials;
mod dns;
mod manifest;
pub mod platform;
mod progress;
mod proxy;
mod pull;
mod refused;
mod resolve;
mod token;
mod transport;
mod trust;

pub use platform::Platform;
pub use progress::Style;
pub use pull::{PullOptions, Pulled, pull};

/// A fault that does not end the command.
fn warn(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "pier: warning: {text}");
}
