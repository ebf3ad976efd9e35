//! What a numbered requirement is: its quotation, and how it is checked.
//!
//! A [`Case`] quotes one sentence of the specification. A sentence that a runtime can break is
//! [`Check::Run`]; one that only the bundle's author can break is [`Check::Author`], listed so that
//! the numbering is complete and counted apart, never as a pass.

use std::{fmt, io};

use crate::runtime::Runtime;

/// How strong the quoted sentence is (RFC 2119; REQUIRED and SHALL are MUST, RECOMMENDED is SHOULD).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Must,
    Should,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
        })
    }
}

/// Why a check did not pass.
#[derive(Debug)]
pub(crate) enum Not {
    /// The runtime broke the sentence; what was seen.
    Fail(String),
    /// This host cannot show it; what it lacks.
    Skip(String),
}

impl From<io::Error> for Not {
    fn from(e: io::Error) -> Self {
        match e.kind() {
            io::ErrorKind::TimedOut => Self::Fail(e.to_string()),
            _ => Self::Fail(format!("the check itself could not work: {e}")),
        }
    }
}

impl From<nix::Error> for Not {
    fn from(e: nix::Error) -> Self {
        io::Error::from(e).into()
    }
}

impl From<serde_json::Error> for Not {
    fn from(e: serde_json::Error) -> Self {
        Self::Fail(format!("not the JSON that was expected: {e}"))
    }
}

/// `Ok` is a pass.
pub(crate) type Verdict = Result<(), Not>;

/// How a case is decided.
#[derive(Clone, Copy)]
pub(crate) enum Check {
    /// A check of its own.
    Run(fn(&Runtime) -> Verdict),
    /// One check for a table of words: the word is this case's row.
    Of(fn(&Runtime, &'static str) -> Verdict, &'static str),
    /// Binds somebody else than the runtime; who.
    Author(&'static str),
}

/// One sentence of the specification with its number.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    /// `document/number`, in the order of the document.
    pub(crate) id: &'static str,
    /// The section's heading, as the fragment of its link.
    pub(crate) section: &'static str,
    /// Strength of the sentence.
    pub(crate) level: Level,
    /// The sentence without its markup, shortened only at its ends.
    pub(crate) text: &'static str,
    /// What the check looks at, in our words.
    pub(crate) what: &'static str,
    /// The check.
    pub(crate) check: Check,
}

impl Case {
    /// The document that is quoted: `config-linux` of `config-linux/012`.
    pub(crate) fn document(&self) -> &'static str {
        self.id.split('/').next().unwrap_or(self.id)
    }

    /// Runs the check.
    pub(crate) fn outcome(&self, runtime: &Runtime) -> Outcome {
        let verdict = match self.check {
            Check::Run(check) => check(runtime),
            Check::Of(check, word) => check(runtime, word),
            Check::Author(who) => return Outcome::NotApplicable(who.into()),
        };
        match verdict {
            Ok(()) => Outcome::Pass,
            Err(Not::Fail(seen)) => Outcome::Fail(seen),
            Err(Not::Skip(lacks)) => Outcome::Skip(lacks),
        }
    }
}

/// What came out of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Pass,
    Fail(String),
    Skip(String),
    NotApplicable(String),
}

impl Outcome {
    /// The word in tables and JSON.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail(_) => "FAIL",
            Self::Skip(_) => "skip",
            Self::NotApplicable(_) => "n/a",
        }
    }

    /// What was seen, what the host lacks, or whom the sentence binds.
    pub(crate) fn note(&self) -> &str {
        match self {
            Self::Pass => "",
            Self::Fail(s) | Self::Skip(s) | Self::NotApplicable(s) => s,
        }
    }
}

/// A MUST that a runtime can break.
pub(crate) const fn must(
    id: &'static str,
    section: &'static str,
    text: &'static str,
    what: &'static str,
    check: fn(&Runtime) -> Verdict,
) -> Case {
    Case { id, section, level: Level::Must, text, what, check: Check::Run(check) }
}

/// A SHOULD that a runtime can break.
pub(crate) const fn should(
    id: &'static str,
    section: &'static str,
    text: &'static str,
    what: &'static str,
    check: fn(&Runtime) -> Verdict,
) -> Case {
    Case { id, section, level: Level::Should, text, what, check: Check::Run(check) }
}

/// A sentence that binds somebody else: `who` says whom.
pub(crate) const fn other(
    id: &'static str,
    section: &'static str,
    text: &'static str,
    who: &'static str,
) -> Case {
    Case {
        id,
        section,
        level: Level::Must,
        text,
        what: "not for the runtime",
        check: Check::Author(who),
    }
}

/// Fails the check with these words.
macro_rules! fail {
    ($($words:tt)*) => { return Err($crate::case::Not::Fail(format!($($words)*))) };
}

/// Skips the check: this host lacks what the words say.
macro_rules! skip {
    ($($words:tt)*) => { return Err($crate::case::Not::Skip(format!($($words)*))) };
}

/// Fails the check with these words unless the condition holds.
macro_rules! ensure {
    ($holds:expr, $($words:tt)*) => { if !$holds { $crate::case::fail!($($words)*) } };
}

pub(crate) use {ensure, fail, skip};
