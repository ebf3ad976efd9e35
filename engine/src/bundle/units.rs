//! Numbers as Docker's flags write them: sizes, CPUs, ulimits.

use crate::error::{Error, Result};
use crate::format::size;

/// Bytes: `512m`, `1.5g`, `64KiB`, `100`; units are powers of 1024, letters in any case.
///
/// # Errors
/// No number, a unit that is none, more than 2⁶³.
pub fn bytes(flag: &str, text: &str) -> Result<i64> {
    let bad = || {
        Error::new(format!("invalid argument \"{text}\" for --{flag}"))
            .why("it is no size")
            .fix("write a number with b, k, m or g behind it: 512m")
    };
    size::parse(text.trim()).and_then(|value| i64::try_from(value).ok()).ok_or_else(bad)
}

/// As [`bytes`], and `-1` for "no limit".
///
/// # Errors
/// As [`bytes`].
pub fn bytes_or_unlimited(flag: &str, text: &str) -> Result<i64> {
    if text.trim() == "-1" { Ok(-1) } else { bytes(flag, text) }
}

/// A decimal number times `factor`, exact, the rest cut off.
fn scaled(number: &str, factor: i128) -> Option<i128> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && part.is_empty()) || !digits(whole) || !digits(part) || part.len() > 18 {
        return None;
    }
    let value = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<i128>().ok() };
    let of_ten = 10_i128.checked_pow(u32::try_from(part.len()).ok()?)?;
    let fraction = value(part)?.checked_mul(factor)? / of_ten;
    value(whole)?.checked_mul(factor)?.checked_add(fraction)
}

/// Billionths of a CPU: `1.5` is 1 500 000 000.
///
/// # Errors
/// No number, or nothing at all of a CPU.
pub fn nano_cpus(text: &str) -> Result<i64> {
    let value = scaled(text, 1_000_000_000).and_then(|value| i64::try_from(value).ok());
    value.ok_or_else(|| {
        Error::new(format!("invalid argument \"{text}\" for --cpus"))
            .why("it is no number of CPUs")
            .fix("write a number such as 1.5")
    })
}

/// A resource limit: name, soft, hard.
#[derive(Debug, PartialEq, Eq)]
pub struct Ulimit {
    /// `RLIMIT_NOFILE`.
    pub name: String,
    /// The soft limit; `u64::MAX` is none.
    pub soft: u64,
    /// The hard limit.
    pub hard: u64,
}

const ULIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Reads `nofile=1024:2048`.
///
/// # Errors
/// An unknown name, no number, a soft limit above the hard one.
pub fn ulimit(text: &str) -> Result<Ulimit> {
    let bad = |why: &str| Error::new(format!("invalid argument \"{text}\" for --ulimit")).why(why);
    let form = || bad("it must be NAME=SOFT[:HARD]").fix("for example --ulimit nofile=1024:2048");
    let (name, values) = text.split_once('=').ok_or_else(form)?;
    if !ULIMITS.contains(&name) {
        return Err(bad("there is no such limit").fix(format!("limits are {}", ULIMITS.join(" "))));
    }
    let value = |text: &str| match text {
        "-1" | "unlimited" => Ok(u64::MAX),
        text => text.parse::<u64>().map_err(|_| form()),
    };
    let (soft, hard) = values.split_once(':').unwrap_or((values, values));
    let (soft, hard) = (value(soft)?, value(hard)?);
    if soft > hard {
        return Err(bad("the soft limit must not be above the hard one"));
    }
    Ok(Ulimit { name: format!("RLIMIT_{}", name.to_ascii_uppercase()), soft, hard })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_dockers() {
        for (text, value) in [
            ("0", 0),
            ("512", 512),
            ("1k", 1024),
            ("64KiB", 65_536),
            ("1.5g", 1_610_612_736),
            ("10M", 10_485_760),
            ("2 mb", 2_097_152),
        ] {
            assert_eq!(bytes("memory", text).unwrap(), value, "{text}");
        }
        for text in ["", "x", "1x", "-1", "1..2", "9999999999999g", "."] {
            assert!(bytes("memory", text).is_err(), "{text}");
        }
        assert_eq!(bytes_or_unlimited("memory-swap", "-1").unwrap(), -1);
    }

    #[test]
    fn cpus_are_exact() {
        assert_eq!(nano_cpus("1.5").unwrap(), 1_500_000_000);
        assert_eq!(nano_cpus(".1").unwrap(), 100_000_000);
        assert!(nano_cpus("one").is_err());
    }

    #[test]
    fn ulimits_have_two_sides() {
        let both = ulimit("nofile=10:20").unwrap();
        assert_eq!((both.name.as_str(), both.soft, both.hard), ("RLIMIT_NOFILE", 10, 20));
        assert_eq!(ulimit("core=-1").unwrap().hard, u64::MAX);
        for text in ["nofile", "nofile=", "files=1", "nofile=3:2"] {
            assert!(ulimit(text).is_err(), "{text}");
        }
    }
}
