//! The running kernel's version.
//!
//! The one number that decides is [`OLDEST`]: what later kernels add is tried where it is used,
//! and its absence is told from the answer (`ENOSYS`, a missing file).

use serde::Serialize;

use crate::error::{At, Error, Result, Step};
use crate::sys::calls::CALLS;

/// The oldest kernel that has every call of the create path: mount_setattr(2) came with 5.12;
/// openat2(2), clone3(2) into a cgroup, time namespaces and `CLOSE_RANGE_CLOEXEC` before it.
pub const OLDEST: (u32, u32) = (5, 12);

/// The kernel's version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Version {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
    /// The whole release, as `uname -r` prints it.
    pub release: String,
}

impl Version {
    /// Asks the kernel (uname(2)).
    ///
    /// # Errors
    /// Those of uname(2): none in practice.
    pub fn probe() -> Result<Self> {
        let names = nix::sys::utsname::uname().at(Step::ProbeHost, || "uname")?;
        Ok(Self::parse(&names.release().to_string_lossy()))
    }

    /// Reads a release such as `6.1.0-18-amd64`; what is not a number counts as 0.
    pub fn parse(release: &str) -> Self {
        let mut numbers = release
            .split(|c: char| !c.is_ascii_digit())
            .map(|digits| digits.parse::<u32>().unwrap_or(0));
        let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        Self { major, minor, release: release.to_owned() }
    }

    /// Whether this kernel is `major.minor` or later.
    pub fn at_least(&self, (major, minor): (u32, u32)) -> bool {
        (self.major, self.minor) >= (major, minor)
    }
}

/// What to tell of a call that failed because it is not there: which are missing, and the Linux that
/// brought them. `None` for other failures.
///
/// Looked at only when something has failed, so that a start that works asks nothing.
pub fn explain_missing(error: &Error) -> Option<String> {
    if error.errno() != Some(libc::ENOSYS) {
        return None;
    }
    let missing = CALLS.iter().filter(|call| !call.exists());
    let names: Vec<String> = missing
        .map(|call| format!("{} (Linux {}.{})", call.name, call.since.0, call.since.1))
        .collect();
    if names.is_empty() {
        return None;
    }
    Some(format!(
        "not there: {}; the kernel is older, or a system call filter around this runtime hides it: it needs \
         what Linux {}.{} has",
        names.join(", "),
        OLDEST.0,
        OLDEST.1
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_missing_calls_are_explained() {
        let error = |errno| Error::io(Step::Clone, "x", std::io::Error::from_raw_os_error(errno));
        assert_eq!(explain_missing(&error(libc::EPERM)), None);
        // This kernel has them all.
        assert_eq!(explain_missing(&error(libc::ENOSYS)), None);
    }

    #[test]
    fn releases_of_distributions_are_read() {
        for (release, major, minor) in [
            ("6.18.0", 6, 18),
            ("6.1.0-18-amd64", 6, 1),
            ("5.15-generic", 5, 15),
            ("4.18.0-553.el8_10.x86_64", 4, 18),
            ("6.12-rc1", 6, 12),
            ("", 0, 0),
            ("7", 7, 0),
        ] {
            let version = Version::parse(release);
            assert_eq!((version.major, version.minor), (major, minor), "{release}");
        }
    }

    #[test]
    fn versions_are_compared_by_number() {
        for (release, enough) in
            [("5.11.22", false), ("5.12.0", true), ("5.9", false), ("6.0", true), ("10.1", true)]
        {
            assert_eq!(Version::parse(release).at_least(OLDEST), enough, "{release}");
        }
    }
}
