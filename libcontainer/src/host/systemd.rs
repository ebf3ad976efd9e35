//! What the plan must know of systemd: asked only when its driver is to make the cgroup.

use std::path::PathBuf;

use serde::Serialize;

use crate::cgroup::systemd;
use crate::error::Result;

/// A manager that answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Systemd {
    /// Its version: properties came one by one.
    pub version: u32,
    /// It is the user's own, not the system's.
    pub user: bool,
    /// Its cgroup, relative to the mount of each hierarchy; empty on a machine of its own.
    pub root: PathBuf,
}

impl Systemd {
    /// Asks the system's manager, or the user's.
    ///
    /// # Errors
    /// Nobody answers on the bus.
    pub fn probe(user: bool) -> Result<Self> {
        let (version, cgroup) = systemd::facts(user)?;
        Ok(Self {
            version: self::version(&version),
            user,
            root: cgroup.trim_start_matches('/').into(),
        })
    }
}

/// Whether the machine's systemd is ours: PID 1, with an owner that is root to us. Below a host's systemd
/// its owner is an id that is not mapped.
pub(super) fn is_own() -> bool {
    use std::os::unix::fs::MetadataExt;
    let comm = std::fs::read("/proc/1/comm").is_ok_and(|name| name == b"systemd\n");
    comm && std::fs::metadata("/proc/1").is_ok_and(|dir| dir.uid() == 0)
}

/// The first number of `252.39-1~deb12u1`, `v245.4` or `255`; 0, the oldest, without any.
fn version(text: &str) -> u32 {
    let digits = text.trim_start_matches('v');
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_distributions_are_numbers() {
        for (text, number) in
            [("252.39-1~deb12u1", 252), ("v245.4-1.fc32", 245), ("257", 257), ("main", 0)]
        {
            assert_eq!(version(text), number, "{text}");
        }
    }
}
