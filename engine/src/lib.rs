//! pier: images in, containers out, Docker's words, no daemon.
//!
//! Reading order: [`error`] (three parts: what, why, what to do) → [`paths`] (where everything is
//! on disk) → [`cli`] (every word of the command line; its rows name the modules that do the
//! work). A verb is a function `fn(&Context, &Args) -> Result<u8>`; the number is the exit code.

pub mod bundle;
pub mod cli;
pub mod container;
pub mod error;
pub mod format;
pub mod fsutil;
pub mod image;
pub mod init;
pub mod layer;
pub mod monitor;
pub mod net;
pub mod paths;
pub mod reference;
pub mod registry;
pub mod store;
pub mod system;
pub mod volume;

#[cfg(test)]
mod testing;

pub use error::{Error, Result};
pub use paths::Paths;

/// What every verb needs to know.
#[derive(Debug, Clone)]
pub struct Context {
    /// Where things are.
    pub paths: Paths,
}
