//! Reads the Test Anything Protocol, and what the validation tests make of it.
//!
//! Several of those tests print a plan that does not fit (`1..0` after a hundred assertions, or
//! after none): a reader that trusts the plan or the exit code alone calls them passed or failed
//! without having seen anything. So all four are kept: assertions, plan, bail-out, exit code.

use std::fmt;

/// What one test printed and how it ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tap {
    pub(crate) ok: u32,
    pub(crate) not_ok: u32,
    /// Assertions that were passed over (`# SKIP`, `# TODO`), not in `ok`.
    pub(crate) skipped: u32,
    plan: Option<u32>,
    bailed: bool,
    /// What the failed assertions say.
    pub(crate) failures: Vec<String>,
}

impl Tap {
    /// Counts the top-level lines; indented ones belong to explanations.
    pub(crate) fn parse(text: &str) -> Self {
        let mut tap = Self::default();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("not ok") {
                tap.assertion(rest, false);
            } else if let Some(rest) = line.strip_prefix("ok") {
                tap.assertion(rest, true);
            } else if let Some(count) = line.strip_prefix("1..") {
                tap.plan = count.split_whitespace().next().and_then(|n| n.parse().ok());
            } else if line.starts_with("Bail out!") {
                tap.bailed = true;
            }
        }
        tap
    }

    fn assertion(&mut self, rest: &str, ok: bool) {
        if !(rest.is_empty() || rest.starts_with(' ')) {
            return;
        }
        let (words, directive) = rest.split_once('#').unwrap_or((rest, ""));
        let directive = directive.trim().to_ascii_uppercase();
        if directive.starts_with("SKIP") || directive.starts_with("TODO") {
            self.skipped += 1;
        } else if ok {
            self.ok += 1;
        } else {
            self.not_ok += 1;
            self.failures.push(words.trim().to_owned());
        }
    }

    /// The verdict with the test's exit code.
    pub(crate) fn result(&self, exit: Option<i32>) -> Result {
        let seen = self.ok + self.not_ok + self.skipped;
        if self.not_ok > 0 || self.bailed || exit != Some(0) {
            return Result::Fail;
        }
        match (self.plan, seen) {
            (None, 0) => Result::NoTap,
            (_, 0) => Result::Vacuous,
            (Some(plan), seen) if plan == seen => Result::Pass,
            _ => Result::BadPlan,
        }
    }
}

/// The verdict on one test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Result {
    /// Assertions, all held, as many as planned.
    Pass,
    /// An assertion did not hold, or the test ended with an error.
    Fail,
    /// Asserted nothing and said so: no evidence.
    Vacuous,
    /// Assertions, all held, but the plan says another number.
    BadPlan,
    /// Ended well without a line of the protocol.
    NoTap,
    /// Did not end in time.
    TimeOut,
}

impl fmt::Display for Result {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Vacuous => "vacuous",
            Self::BadPlan => "badplan",
            Self::NoTap => "notap",
            Self::TimeOut => "timeout",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assertions_are_counted_and_explanations_are_not() {
        let text = "TAP version 13\nok 1 - a\n  ---\n  ok 7 inside\n  ...\nnot ok 2 - b\nok 3 # SKIP no\n1..3\n";
        let tap = Tap::parse(text);
        assert_eq!((tap.ok, tap.not_ok, tap.skipped), (1, 1, 1));
        assert_eq!(tap.failures, ["2 - b"]);
        assert_eq!(tap.result(Some(0)), Result::Fail);
    }

    #[test]
    fn a_plan_of_nothing_is_vacuous_only_without_assertions() {
        assert_eq!(Tap::parse("TAP version 13\n1..0\n").result(Some(0)), Result::Vacuous);
        assert_eq!(Tap::parse("1..0\nok 1 - a\n").result(Some(0)), Result::BadPlan);
        assert_eq!(Tap::parse("ok 1 - a\n1..1\n").result(Some(0)), Result::Pass);
        assert_eq!(Tap::parse("ok 1 - a\n1..1\n").result(Some(1)), Result::Fail);
        assert_eq!(Tap::parse("").result(Some(0)), Result::NoTap);
        assert_eq!(Tap::parse("").result(Some(1)), Result::Fail);
        assert_eq!(Tap::parse("ok 1 - a\nBail out!\n").result(Some(0)), Result::Fail);
    }

    #[test]
    fn words_that_begin_with_ok_are_no_assertions() {
        assert_eq!(Tap::parse("okay\nnot okay\n"), Tap::default());
    }
}
