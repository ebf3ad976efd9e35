//! Verbs about the engine itself.

use super::completion::{CompletionArgs, completion};
use super::{Verb, verb};
use crate::system::check::{CheckArgs, check};
use crate::system::df::{DfArgs, df};
use crate::system::info::{InfoArgs, info};
use crate::system::inspect;
use crate::system::prune::{PruneArgs, prune};
use crate::system::version::{COMMIT, VERSION, VersionArgs, version};

/// Rows of this group.
pub(super) static VERBS: &[Verb] = &[
    verb!(["check", "system check"], CheckArgs, check, "Say what the host lacks, and repair"),
    verb!(["completion"], CompletionArgs, completion, "Print the completion script of a shell"),
    verb!(["info", "system info"], InfoArgs, info, "Show all about engine and host"),
    verb!(
        ["inspect"],
        inspect::Args,
        inspect::inspect,
        "Show everything about containers, images, networks, volumes"
    ),
    verb!(["system df"], DfArgs, df, "Show what takes room on the disk"),
    verb!(["system prune"], PruneArgs, prune, "Remove what nobody uses"),
    verb!(["version", "system version"], VersionArgs, version, "Show which build this is"),
];

/// What `--version` prints.
pub(super) fn version_line() -> String {
    format!("pier version {VERSION}, build {COMMIT}")
}
