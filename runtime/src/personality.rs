//! Who we are for our callers, by the name they call: corten, or `runc` or `crun` in their place.
//!
//! Tools key on the name of a runtime's file, and those that expect runc or crun behind it read
//! its version line, look into its state directory and search for its words. A link or a copy
//! named `runc` or `crun` answers as they do; every other name is corten's.

use std::env;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::OnceLock;

use crate::NAME;
use crate::version::{COMMIT, SPEC, SYSTEMD, VERSION};

/// The runc whose command line and words are spoken.
const RUNC: &str = "1.5.0";
/// The crun whose flags are taken.
const CRUN: &str = "1.29.1";

/// One of the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Personality {
    Corten,
    Runc,
    Crun,
}

/// The one of this process, by `argv[0]`.
pub(crate) fn own() -> Personality {
    static OWN: OnceLock<Personality> = OnceLock::new();
    *OWN.get_or_init(|| Personality::of(&env::args_os().next().unwrap_or_default()))
}

impl Personality {
    /// By the last component of `argv[0]`.
    fn of(argv0: &OsStr) -> Self {
        match Path::new(argv0).file_name().and_then(OsStr::to_str) {
            Some("runc") => Personality::Runc,
            Some("crun") => Personality::Crun,
            _ => Personality::Corten,
        }
    }

    /// The runtime's name: of its directories, in its help and its messages.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Personality::Corten => NAME,
            Personality::Runc => "runc",
            Personality::Crun => "crun",
        }
    }

    /// Our version, behind that of the runtime whose place is taken: a tool that wants runc 1.1
    /// or newer compares the first, people see the second (semver's build metadata).
    pub(crate) fn version(self) -> String {
        match self {
            Personality::Corten => VERSION.to_owned(),
            Personality::Runc => format!("{RUNC}+{NAME}.{VERSION}"),
            Personality::Crun => format!("{CRUN}+{NAME}.{VERSION}"),
        }
    }

    /// What `--version` prints.
    ///
    /// containerd and nerdctl want three words on the first line, the first of them `runc`;
    /// Docker takes the last line that contains "version", so no other line may. podman looks
    /// for `+WORD`s of crun that we have not (`+WASM`, `+LIBKRUN`).
    pub(crate) fn version_lines(self) -> String {
        let (name, version) = (self.name(), self.version());
        let first = format!("{name} version {version}\ncommit: {COMMIT}\n");
        match self {
            Personality::Crun => {
                let systemd = if SYSTEMD { "+SYSTEMD " } else { "" };
                let words = "+SELINUX +APPARMOR +CAP +SECCOMP +EBPF";
                format!("{first}rundir: /run/{name}\nspec: {SPEC}\n{systemd}{words}\n")
            }
            _ => format!("{first}spec: {SPEC}\n"),
        }
    }

    /// The annotations of `features` that tell our name.
    pub(crate) const fn feature_prefix(self) -> &'static str {
        match self {
            Personality::Corten => "org.corten",
            Personality::Runc => "org.opencontainers.runc",
            Personality::Crun => "run.oci.crun",
        }
    }

    /// crun keeps warnings to itself unless they are asked for.
    pub(crate) const fn warns(self) -> bool {
        !matches!(self, Personality::Crun)
    }

    /// crun tells a failure without the verb that failed.
    pub(crate) const fn names_verb(self) -> bool {
        !matches!(self, Personality::Crun)
    }

    /// The name of a container's process before it executes its program: security tools (Falco,
    /// Tracee, the Security Profiles Operator) know runc's `runc:[2:INIT]`.
    pub(crate) fn init_name(self) -> String {
        format!("{}:[2:INIT]", self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_component_of_the_name_counts() {
        for (argv0, personality) in [
            ("runc", Personality::Runc),
            ("/usr/sbin/runc", Personality::Runc),
            ("./crun", Personality::Crun),
            ("corten", Personality::Corten),
            ("/runc/corten", Personality::Corten),
            ("docker-runc", Personality::Corten),
            ("runc-1.5", Personality::Corten),
            ("", Personality::Corten),
        ] {
            assert_eq!(Personality::of(OsStr::new(argv0)), personality, "{argv0}");
        }
    }

    #[test]
    fn first_line_has_three_words_and_alone_says_version() {
        for personality in [Personality::Corten, Personality::Runc, Personality::Crun] {
            let text = personality.version_lines();
            let lines: Vec<_> = text.lines().collect();
            let words: Vec<_> = lines[0].split(' ').collect();
            assert_eq!(words, [personality.name(), "version", &personality.version()]);
            assert!(lines[1].starts_with("commit: "));
            assert!(lines[2..].contains(&"spec: 1.3.0"));
            assert_eq!(text.matches("version").count(), 1);
            assert!(personality.version().ends_with(VERSION));
        }
    }

    #[test]
    fn init_s_name_is_not_cut_by_the_kernel() {
        // TASK_COMM_LEN with the NUL.
        for personality in [Personality::Corten, Personality::Runc, Personality::Crun] {
            assert!(personality.init_name().len() < 16, "{}", personality.init_name());
        }
        assert_eq!(Personality::Runc.init_name(), "runc:[2:INIT]");
    }
}
