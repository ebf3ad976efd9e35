//! `pause` and `resume`: stop a container where it is, and let it go on.

use libcontainer::state::Store;
use libcontainer::{Result, verbs};

use crate::cli::Container;
use crate::settings::Settings;

/// Stops every process of the container.
///
/// # Errors
/// `container not running`, `container does not exist`; no freezer.
pub(crate) fn pause(args: &Container, settings: &Settings) -> Result<()> {
    verbs::pause(&Store::new(&settings.root), &args.id)
}

/// Lets them run again.
///
/// # Errors
/// `container not paused`, `container does not exist`.
pub(crate) fn resume(args: &Container, settings: &Settings) -> Result<()> {
    verbs::resume(&Store::new(&settings.root), &args.id)
}
