//! `list`: every container with its state, or why it has none.

use crate::error::Result;
use crate::state::{Store, View};

/// All containers in the order of their ids. A damaged one is in the list as an error, so that
/// the caller can say so and show the others; one that goes away meanwhile is left out.
///
/// # Errors
/// The root directory cannot be read; `ENOENT` when no container was ever made there.
pub fn list(store: &Store) -> Result<Vec<(String, Result<View>)>> {
    store.list()
}
