//! `state`: where a container is in its life (runtime.md, "Query State").

use crate::error::Result;
use crate::state::{Store, View};

/// The state of container `id`, as the specification and runc print it.
///
/// # Errors
/// `container does not exist`, `invalid container ID format`, or a damaged record.
pub fn state(store: &Store, id: &str) -> Result<View> {
    store.view(id)
}
