//! Verbs about volumes.

use super::{Verb, verb};
use crate::volume::verbs::{
    CreateArgs, InspectArgs, LsArgs, PruneArgs, RmArgs, create, inspect, ls, prune, rm,
};

/// Rows of this group.
pub(super) static VERBS: &[Verb] = &[
    verb!(["volume create"], CreateArgs, create, "Create a volume"),
    verb!(["volume inspect"], InspectArgs, inspect, "Show all about volumes"),
    verb!(["volume ls", "volume list"], LsArgs, ls, "List volumes"),
    verb!(["volume prune"], PruneArgs, prune, "Remove volumes that no container has"),
    verb!(["volume rm", "volume remove"], RmArgs, rm, "Remove volumes"),
];
