//! What is wrong with a profile: where, what, and what to do.

use std::fmt;

/// A profile that cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The member of the profile, as `syscalls[3].args[0].index`.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
    /// What to do about it.
    pub hint: &'static str,
}

impl Error {
    pub(crate) fn new(
        field: impl Into<String>,
        problem: impl Into<String>,
        hint: &'static str,
    ) -> Self {
        Self { field: field.into(), problem: problem.into(), hint }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.field, self.problem, self.hint)
    }
}

impl std::error::Error for Error {}
