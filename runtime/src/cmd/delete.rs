//! `delete`: removes a container and all that it holds.

use libcontainer::state::Store;
use libcontainer::{Result, verbs};

use crate::cli::Delete;
use crate::cmd::{each, list};
use crate::output::Level;
use crate::settings::Settings;

/// Removes it.
///
/// # Errors
/// `container does not exist`, unless forced; a running container, unless forced.
pub(crate) fn delete(args: &Delete, settings: &Settings) -> Result<()> {
    let store = Store::new(&settings.root);
    let delete = |id: &str| {
        for warning in verbs::delete(&store, id, args.force)? {
            settings.log.say(Level::Warning, &warning);
        }
        Ok(())
    };
    if args.regex {
        return each(&list::matching(&args.id, settings)?, settings, delete);
    }
    delete(&args.id)
}
