//! Checks `ociVersion`: SemVer 2.0.0, major version 1.

use std::path::Path;

use super::fault;
use crate::error::{Error, Result};

/// Refuses a version that this runtime does not implement (config.md, "Specification version").
///
/// Minor versions are forward compatible within a major one, so every 1.x is accepted; fields of
/// a later 1.x are unknown properties, which must be ignored.
///
/// # Errors
/// The version is empty (missing), not SemVer 2.0.0, or of another major version.
pub(super) fn check(path: &Path, version: &str) -> Result<()> {
    match major(version) {
        Some(1) => Ok(()),
        _ if version.is_empty() => Err(fault(path, "ociVersion: required field is missing")),
        Some(_) => Err(refused(path, version, "is not supported, only 1.x is")),
        None => Err(refused(path, version, "is not in SemVer 2.0.0 format")),
    }
}

fn refused(path: &Path, version: &str, why: &str) -> Error {
    fault(path, format!("ociVersion: {version:?} {why}"))
        .hint("set ociVersion to the version of the specification, e.g. \"1.3.0\"")
}

/// The major version of a SemVer 2.0.0 string.
fn major(version: &str) -> Option<u64> {
    let (rest, build) = split(version, '+');
    let (core, pre) = split(rest, '-');
    let tags_fit = [build, pre].into_iter().flatten().all(|tag| {
        let fits = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        tag.split('.').all(fits)
    });
    let numbers: Vec<u64> = core.split('.').map_while(number).collect();
    (tags_fit && numbers.len() == 3 && core.split('.').count() == 3).then(|| numbers[0])
}

fn split(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(head, tail)| (head, Some(tail)))
}

/// A decimal number without sign, blanks or leading zeros.
fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit());
    let canonical = text == "0" || !text.starts_with('0');
    (plain && canonical).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_1_x_is_accepted() {
        for version in ["1.0.0", "1.0.2-dev", "1.3.0", "1.3.0+dev", "1.99.1-rc.1+b.2", "1.0.0-rc5"]
        {
            assert!(check(Path::new("c"), version).is_ok(), "{version}");
        }
    }

    #[test]
    fn others_are_refused_with_the_reason() {
        for (version, why) in [
            ("", "missing"),
            ("2.0.0", "only 1.x"),
            ("0.5.0", "only 1.x"),
            ("1.0", "SemVer"),
            ("1", "SemVer"),
            ("v1.0.0", "SemVer"),
            ("1.0.0-", "SemVer"),
            ("1.0.0+a..b", "SemVer"),
            ("1.01.0", "SemVer"),
            ("1.0.0.0", "SemVer"),
            (" 1.0.0", "SemVer"),
            ("1.0.99999999999999999999999", "SemVer"),
        ] {
            let error = check(Path::new("c"), version).unwrap_err().to_string();
            assert!(error.contains(why), "{version}: {error}");
        }
    }
}
