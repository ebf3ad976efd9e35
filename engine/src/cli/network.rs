//! Verbs about networks.

use super::{Verb, verb};
use crate::net::verbs::{Anything, InspectArgs, LsArgs, PruneArgs, inspect, ls, prune, refuse};

/// Rows of this group.
pub(super) static VERBS: &[Verb] = &[
    verb!(["network connect"], Anything, refuse, "Not supported"),
    verb!(["network create"], Anything, refuse, "Not supported"),
    verb!(["network disconnect"], Anything, refuse, "Not supported"),
    verb!(["network inspect"], InspectArgs, inspect, "Show all about networks"),
    verb!(["network ls", "network list"], LsArgs, ls, "List networks"),
    verb!(["network prune"], PruneArgs, prune, "Remove unused networks"),
    verb!(["network rm", "network remove"], Anything, refuse, "Not supported"),
];
