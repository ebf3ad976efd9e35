//! The numbered cases, in the order of the documents.

mod kit;
pub(crate) mod linux_cgroup;
mod runtime_lifecycle;
mod runtime_operations;
mod runtime_state;

use crate::case::Case;

const TABLES: &[&[Case]] =
    &[runtime_state::CASES, runtime_lifecycle::CASES, runtime_operations::CASES];

/// Every case.
pub(crate) fn all() -> Vec<Case> {
    TABLES.iter().flat_map(|table| table.iter().copied()).collect()
}
