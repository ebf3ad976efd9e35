//! What follows an end: `--restart`.

use std::time::Duration;

use crate::error::{Error, Result};

/// The restart policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// It stays as it ended.
    No,
    /// It is started again after an exit code that is not 0, at most so often.
    OnFailure(Option<u32>),
    /// It is started again.
    Always,
    /// It is started again unless somebody stopped it.
    UnlessStopped,
}

/// How an end came about.
#[derive(Debug, Clone, Copy)]
pub struct End {
    /// Exit code.
    pub code: i32,
    /// `stop` or `kill` did it.
    pub on_purpose: bool,
    /// How often the policy has started it already.
    pub count: u32,
}

impl Policy {
    /// Reads `no`, `on-failure[:N]`, `always`, `unless-stopped`.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |why: &str| {
            Error::new(format!("invalid restart policy '{text}'"))
                .why(why)
                .fix("policies are no, on-failure[:N], always and unless-stopped")
        };
        match text.split_once(':').map_or((text, None), |(name, count)| (name, Some(count))) {
            ("no" | "", None) => Ok(Self::No),
            ("always", None) => Ok(Self::Always),
            ("unless-stopped", None) => Ok(Self::UnlessStopped),
            ("on-failure", None) => Ok(Self::OnFailure(None)),
            ("on-failure", Some(count)) => {
                let count = count.parse().map_err(|_| bad("the count is no number"))?;
                Ok(Self::OnFailure(Some(count).filter(|count| *count > 0)))
            }
            ("no" | "always" | "unless-stopped", Some(_)) => {
                Err(bad("a maximum of restarts belongs to on-failure only"))
            }
            _ => Err(bad("there is no such policy")),
        }
    }

    /// Whether the container is started again.
    pub fn again(self, end: End) -> bool {
        if end.on_purpose {
            return false;
        }
        match self {
            Self::No => false,
            Self::Always | Self::UnlessStopped => true,
            Self::OnFailure(most) => end.code != 0 && most.is_none_or(|most| end.count < most),
        }
    }

    /// Docker's name, and its maximum.
    pub fn words(self) -> (&'static str, u32) {
        match self {
            Self::No => ("no", 0),
            Self::OnFailure(most) => ("on-failure", most.unwrap_or(0)),
            Self::Always => ("always", 0),
            Self::UnlessStopped => ("unless-stopped", 0),
        }
    }
}

/// Waits between restarts: Docker's 100 ms, doubled to a minute, from the start again after the
/// container ran for ten seconds.
#[derive(Debug, Default)]
pub struct Backoff(Option<Duration>);

impl Backoff {
    /// How long to wait after a run of this length.
    pub fn next(&mut self, ran: Duration) -> Duration {
        const FIRST: Duration = Duration::from_millis(100);
        const LAST: Duration = Duration::from_secs(60);
        let next = match self.0 {
            Some(last) if ran < Duration::from_secs(10) => (last * 2).min(LAST),
            _ => FIRST,
        };
        self.0 = Some(next);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_dockers() {
        let of = |text: &str| Policy::parse(text).unwrap();
        let end = |code, on_purpose, count| End { code, on_purpose, count };
        assert!(!of("no").again(end(1, false, 0)));
        assert!(of("always").again(end(0, false, 9)));
        assert!(!of("always").again(end(0, true, 0)));
        assert!(of("unless-stopped").again(end(0, false, 0)));
        assert!(!of("on-failure").again(end(0, false, 0)));
        assert!(of("on-failure:2").again(end(1, false, 1)));
        assert!(!of("on-failure:2").again(end(1, false, 2)));
        for text in ["sometimes", "always:3", "on-failure:x"] {
            assert!(Policy::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn waits_double_and_begin_anew() {
        let mut backoff = Backoff::default();
        let short = Duration::from_secs(1);
        let waits: Vec<_> = (0..12).map(|_| backoff.next(short).as_millis()).collect();
        assert_eq!(waits[..4], [100, 200, 400, 800]);
        assert_eq!(waits[11], 60_000);
        assert_eq!(backoff.next(Duration::from_secs(10)).as_millis(), 100);
    }
}
