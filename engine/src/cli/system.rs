//! Verbs about the engine itself.

use clap::Args;

use super::{Verb, print, verb};
use crate::Context;
use crate::error::Result;

/// Rows of this group.
pub(super) static VERBS: &[Verb] =
    &[verb!(["version", "system version"], Version, version, "Show which build this is")];

/// Commit of this build; the Makefile sets it.
const COMMIT: &str = match option_env!("CORTEN_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// `version`.
#[derive(Args, Debug)]
struct Version {}

/// What `--version` prints.
pub(super) fn version_line() -> String {
    format!("pier version {}, build {COMMIT}", env!("CARGO_PKG_VERSION"))
}

fn version(_: &Context, _: &Version) -> Result<u8> {
    print(&format!("{}\n", version_line()))?;
    Ok(0)
}
