//! What the running kernel offers, by version.
//!
//! One row per feature that the plan has a choice about. A feature that a filter around us refuses
//! is found at use: `sys` returns `ENOSYS` and the error says so.

use serde::Serialize;

use crate::error::{At, Result, Step};

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
    pub fn at_least(&self, major: u32, minor: u32) -> bool {
        (self.major, self.minor) >= (major, minor)
    }
}

macro_rules! features {
    ($($(#[$doc:meta])* $name:ident: ($major:literal, $minor:literal),)*) => {
        /// Kernel features that the plan chooses by.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
        pub struct Features {
            $($(#[$doc])* pub $name: bool,)*
        }

        impl Features {
            /// The features of the running kernel.
            pub fn probe(kernel: &Version) -> Self {
                Self { $($name: kernel.at_least($major, $minor),)* }
            }

            /// Every feature: for tests.
            pub const fn all() -> Self {
                Self { $($name: true,)* }
            }

            /// Name, first version and presence of each, for `features` and `explain`.
            pub fn rows(&self) -> Vec<(&'static str, (u32, u32), bool)> {
                vec![$((stringify!($name), ($major, $minor), self.$name),)*]
            }
        }
    };
}

features! {
    /// clone3(2).
    clone3: (5, 3),
    /// `CLONE_INTO_CGROUP` of clone3(2), cgroup v2 only.
    clone_into_cgroup: (5, 7),
    /// pidfd_open(2), and waiting on a pidfd (`P_PIDFD`, 5.4).
    pidfd: (5, 4),
    /// openat2(2).
    openat2: (5, 6),
    /// time_namespaces(7).
    time_namespace: (5, 6),
    /// statx(2) returns the mount id.
    statx_mnt_id: (5, 8),
    /// procfs options per mount: `subset=pid`, `hidepid`.
    proc_subset: (5, 8),
    /// close_range(2); its `CLOSE_RANGE_CLOEXEC` is 5.11.
    close_range: (5, 11),
    /// `nosymfollow` of mount(2); `MOUNT_ATTR_NOSYMFOLLOW` is 5.14.
    nosymfollow: (5, 10),
    /// mount_setattr(2), idmapped mounts, recursive mount options.
    mount_setattr: (5, 12),
    /// `cgroup.kill`.
    cgroup_kill: (5, 14),
    /// `cpu.max.burst` and `cpu.cfs_burst_us`.
    cpu_burst: (5, 14),
    /// `cpu.idle`.
    cpu_idle: (5, 15),
    /// tmpfs and most other file systems in a user namespace may be idmapped.
    idmapped_tmpfs: (6, 3),
    /// pidfs: a pidfd has an inode number that is never used twice.
    pidfs: (6, 9),
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn features_follow_the_version() {
        let debian_11 = Features::probe(&Version::parse("5.10.0-28-amd64"));
        assert!(debian_11.clone3 && debian_11.openat2 && debian_11.nosymfollow);
        assert!(!debian_11.mount_setattr && !debian_11.cgroup_kill && !debian_11.close_range);
        assert_eq!(Features::probe(&Version::parse("99.0")), Features::all());
        assert!(debian_11.rows().contains(&("mount_setattr", (5, 12), false)));
    }
}
