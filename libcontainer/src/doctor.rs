//! What this host offers and lacks for containers, why it matters, and what to do about it.
//!
//! [`Facts::probe`] looks and changes nothing; [`judge`] is pure: one table of rules for each
//! group of findings ([`kernel`], [`cgroups`], [`rights`], [`runtime`], [`rootless`]). Needed is what the
//! containers of engines need: `create` or their usual configurations fail without it. What only
//! some containers ask for is a warning. What crashed containers left is found and repaired by
//! [`verbs::leftovers`](crate::verbs::leftovers), which speaks in findings too.

mod cgroups;
mod facts;
mod ideal;
mod kernel;
mod rights;
mod rootless;
mod runtime;
#[cfg(test)]
mod tests;
mod user;

use std::borrow::Cow;

pub(crate) use facts::mounts;
pub use facts::{Cgroups, Facts, Mount, Sealing, StateRoot};
pub use user::{Program, User};

/// How a finding stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is there.
    Ok,
    /// Worth knowing; nothing fails for it.
    Info,
    /// Some containers fail, or lack a limit or a protection.
    Warn,
    /// Containers cannot be made, or not as engines ask for them.
    Lack,
    /// It was left over and is removed.
    Repaired,
    /// It was left over and could not be removed.
    Failed,
}

impl Status {
    /// The word in text and JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Lack => "lack",
            Self::Repaired => "repaired",
            Self::Failed => "failed",
        }
    }

    /// Whether the answer to "can containers run here?" is no.
    pub const fn is_bad(self) -> bool {
        matches!(self, Self::Lack | Self::Failed)
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it belongs to; findings of a group follow each other.
    pub group: &'static str,
    /// Names the rule for ever: `ip-forward`.
    pub id: &'static str,
    /// How it stands.
    pub status: Status,
    /// What was seen.
    pub what: String,
    /// Why it matters.
    pub why: &'static str,
    /// The remedy: a command, or what to change; empty when nothing is to be done.
    pub fix: Cow<'static, str>,
}

/// A rule: what it looks at is a function, what it says a row.
struct Rule {
    id: &'static str,
    /// Returns nothing where the rule does not apply.
    judge: fn(&Facts) -> Option<Verdict>,
    why: &'static str,
    /// The remedy, unless the verdict has a better one.
    fix: &'static str,
}

/// What a rule found.
struct Verdict {
    status: Status,
    what: String,
    fix: Option<String>,
}

impl Verdict {
    #[expect(clippy::unnecessary_wraps, reason = "the last word of every rule")]
    fn of(status: Status, what: impl Into<String>) -> Option<Self> {
        Some(Self { status, what: what.into(), fix: None })
    }

    #[expect(clippy::unnecessary_wraps, reason = "the last word of a rule")]
    fn fixed_by(status: Status, what: impl Into<String>, fix: impl Into<String>) -> Option<Self> {
        Some(Self { status, what: what.into(), fix: Some(fix.into()) })
    }
}

fn ok(what: impl Into<String>) -> Option<Verdict> {
    Verdict::of(Status::Ok, what)
}

fn info(what: impl Into<String>) -> Option<Verdict> {
    Verdict::of(Status::Info, what)
}

fn warn(what: impl Into<String>) -> Option<Verdict> {
    Verdict::of(Status::Warn, what)
}

fn lack(what: impl Into<String>) -> Option<Verdict> {
    Verdict::of(Status::Lack, what)
}

/// The groups, in the order of the report.
const GROUPS: [(&str, &[Rule]); 8] = [
    ("kernel", kernel::RULES),
    ("namespaces", kernel::NAMESPACES),
    ("cgroups", cgroups::RULES),
    ("security", rights::SECURITY),
    ("network", rights::NETWORK),
    ("limits", rights::LIMITS),
    ("runtime", runtime::RULES),
    ("rootless", rootless::RULES),
];

/// Judges the facts by every rule that applies to them.
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let rules = GROUPS.iter().flat_map(|(group, rules)| rules.iter().map(|rule| (*group, rule)));
    let found = rules.filter_map(|(group, rule)| {
        let Verdict { status, what, fix } = (rule.judge)(facts)?;
        let fix = match fix {
            _ if status == Status::Ok => Cow::Borrowed(""),
            Some(fix) => fix.into(),
            None => rule.fix.into(),
        };
        Some(Finding { group, id: rule.id, status, what, why: rule.why, fix })
    });
    found.collect()
}
