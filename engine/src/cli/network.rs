//! Verbs about networks.

use super::{Verb, verb};
use crate::net::verbs::{InspectArgs, LsArgs, PruneArgs, inspect, ls, prune};

/// Rows of this group.
pub(super) static VERBS: &[Verb] = &[
    verb!(["network inspect"], InspectArgs, inspect, "Show all about networks"),
    verb!(["network ls", "network list"], LsArgs, ls, "List networks"),
    verb!(["network prune"], PruneArgs, prune, "Remove unused networks"),
];
