//! `kill`: a signal for the container's first process, or for all of them.

use libcontainer::state::Store;
use libcontainer::{Result, verbs};

use crate::cli::Kill;
use crate::cmd::{each, list};
use crate::settings::Settings;

/// Sends it.
///
/// # Errors
/// `container not running`, `container does not exist`, no such signal.
pub(crate) fn kill(args: &Kill, settings: &Settings) -> Result<()> {
    let signal = verbs::parse_signal(&args.signal)?;
    let store = Store::new(&settings.root);
    let kill = |id: &str| verbs::kill(&store, id, signal, args.all);
    if args.regex {
        return each(&list::matching(&args.id, settings)?, settings, kill);
    }
    kill(&args.id)
}
