//! What is probably not meant: rules that never decide, names that nothing has, holes.
//!
//! `rules` looks at each rule and at how rules meet, `holes` at what the whole lets through or
//! keeps from starting; the facts it needs about calls are the tables of `facts`.

mod facts;
mod holes;
mod rules;

use serde::Serialize;

use crate::arch::Arch;
use crate::profile::Profile;
use crate::tools::Filter;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The profile cannot be used.
    Error,
    /// It does something else than it says, or less than it could.
    Warning,
    /// Harmless, but no use.
    Note,
}

/// Something found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// A word that does not change, for programs.
    pub code: &'static str,
    /// The member of the profile, as `syscalls[3].names[0]`; empty for the whole.
    pub at: String,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

impl Finding {
    fn new(code: &'static str, at: impl Into<String>, problem: impl Into<String>) -> Self {
        let (at, problem) = (at.into(), problem.into());
        Self { severity: Severity::Warning, code, at, problem, remedy: String::new() }
    }

    fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    fn note(self) -> Self {
        Self { severity: Severity::Note, ..self }
    }

    fn error(self) -> Self {
        Self { severity: Severity::Error, ..self }
    }
}

/// Looks at a profile for containers on `host` with this kernel (major and minor version); the
/// worst comes first.
pub fn lint(profile: &Profile, host: &'static Arch, kernel: (u32, u32)) -> Vec<Finding> {
    let mut found = Vec::new();
    rules::words(profile, host, &mut found);
    match Filter::new(profile.clone(), host) {
        Ok(filter) => {
            rules::meetings(&filter, &mut found);
            holes::look(&filter, host, kernel, &mut found);
        }
        Err(error) => {
            found.push(
                Finding::new("invalid", error.field, error.problem).error().remedy(error.hint),
            );
        }
    }
    found.sort_by_key(|finding| finding.severity);
    found
}

/// `a`, `a and b`, `a, b and 3 more`.
fn list(names: &[&str]) -> String {
    const MOST: usize = 6;
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [.., last] if names.len() <= MOST => {
            format!("{} and {last}", names[..names.len() - 1].join(", "))
        }
        _ => format!("{} and {} more", names[..MOST].join(", "), names.len() - MOST),
    }
}

#[cfg(test)]
mod tests;
