//! `state`: one container as JSON.

use libcontainer::state::Store;
use libcontainer::{At, Result, Step, verbs};

use crate::cli::Container;
use crate::settings::Settings;

/// The text for stdout.
///
/// # Errors
/// `container does not exist`; a damaged record.
pub(crate) fn state(args: &Container, settings: &Settings) -> Result<String> {
    let view = verbs::state(&Store::new(&settings.root), &args.id)?;
    let text = serde_json::to_string_pretty(&view).map_err(std::io::Error::from);
    Ok(text.at(Step::State, || &args.id)? + "\n")
}
