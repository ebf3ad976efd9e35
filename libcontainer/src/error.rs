//! The one error type of the library: which step failed, on what, why, and what to do.
//!
//! `sys` returns plain errnos. Exactly one [`At::at`] is added where the subject is known, so a
//! chain never repeats itself. Errors are returned, never logged here: the binary prints them once.

use std::fmt;
use std::io;

/// Result of every fallible function of the library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What was being done: shared by errors, logs, timings, docs and tests.
///
/// The discriminant travels through the pipe from the init stage to the parent, see
/// `create::report`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Step {
    /// Reading and parsing `config.json`.
    ReadConfig,
    /// Checking the configuration against the specification and the host.
    CheckConfig,
    /// Finding out what the kernel offers.
    ProbeHost,
    /// Reading or writing the state directory.
    State,
    /// Making our own program unreachable for writing (CVE-2019-5736).
    Seal,
    /// Making, filling or removing a control group.
    Cgroup,
    /// Creating the init process.
    Clone,
    /// Writing uid and gid mappings.
    IdMap,
    /// Creating or joining a namespace.
    Namespace,
    /// Loopback and moved network devices.
    Network,
    /// Preparing the root file system.
    Rootfs,
    /// A mount of the configuration.
    Mount,
    /// A device node or link below `/dev`.
    Device,
    /// Changing the root directory.
    PivotRoot,
    /// Masked and read-only paths.
    Mask,
    /// The pseudo terminal.
    Console,
    /// Host and domain name.
    Hostname,
    /// Kernel parameters.
    Sysctl,
    /// AppArmor, SELinux.
    Label,
    /// Session keyring.
    Keyring,
    /// Resource limits.
    Rlimit,
    /// Scheduler, affinity, I/O priority, memory policy.
    Scheduler,
    /// User, groups, umask.
    User,
    /// Capabilities.
    Capabilities,
    /// System call filter.
    Seccomp,
    /// Working directory.
    Cwd,
    /// Execution domain.
    Personality,
    /// Cache and memory bandwidth classes.
    IntelRdt,
    /// Inherited file descriptors and stdio.
    Fds,
    /// A hook.
    Hook,
    /// Executing the container's program.
    Exec,
    /// Starting a created container.
    Start,
    /// Sending a signal.
    Kill,
    /// Removing a container.
    Delete,
    /// Readiness notification.
    Notify,
    /// The pid file, pidfd socket or another file for the caller.
    Output,
    /// Waiting for a process.
    Wait,
    /// Stopping a container with the freezer, and letting it run again.
    Pause,
    /// Listing processes.
    Ps,
    /// Changing the limits of a container.
    Update,
    /// Statistics and notifications of a container.
    Events,
}

impl Step {
    /// Every step, in the order of their numbers.
    pub const ALL: &[Step] = &[
        Step::ReadConfig,
        Step::CheckConfig,
        Step::ProbeHost,
        Step::State,
        Step::Seal,
        Step::Cgroup,
        Step::Clone,
        Step::IdMap,
        Step::Namespace,
        Step::Network,
        Step::Rootfs,
        Step::Mount,
        Step::Device,
        Step::PivotRoot,
        Step::Mask,
        Step::Console,
        Step::Hostname,
        Step::Sysctl,
        Step::Label,
        Step::Keyring,
        Step::Rlimit,
        Step::Scheduler,
        Step::User,
        Step::Capabilities,
        Step::Seccomp,
        Step::Cwd,
        Step::Personality,
        Step::IntelRdt,
        Step::Fds,
        Step::Hook,
        Step::Exec,
        Step::Start,
        Step::Kill,
        Step::Delete,
        Step::Notify,
        Step::Output,
        Step::Wait,
        Step::Pause,
        Step::Ps,
        Step::Update,
        Step::Events,
    ];

    /// The step with this number, as it travels from the init stage.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The words used in messages.
    pub const fn words(self) -> &'static str {
        match self {
            Step::ReadConfig => "read config",
            Step::CheckConfig => "invalid config",
            Step::ProbeHost => "probe host",
            Step::State => "container state",
            Step::Seal => "seal runtime binary",
            Step::Cgroup => "cgroup",
            Step::Clone => "create init process",
            Step::IdMap => "map ids",
            Step::Namespace => "namespace",
            Step::Network => "network",
            Step::Rootfs => "prepare rootfs",
            Step::Mount => "mount",
            Step::Device => "device",
            Step::PivotRoot => "pivot_root",
            Step::Mask => "mask",
            Step::Console => "console",
            Step::Hostname => "hostname",
            Step::Sysctl => "sysctl",
            Step::Label => "security label",
            Step::Keyring => "session keyring",
            Step::Rlimit => "rlimit",
            Step::Scheduler => "scheduler",
            Step::User => "user",
            Step::Capabilities => "capabilities",
            Step::Seccomp => "seccomp",
            Step::Cwd => "chdir to cwd",
            Step::Personality => "personality",
            Step::IntelRdt => "intelRdt",
            Step::Fds => "file descriptors",
            Step::Hook => "hook",
            Step::Exec => "exec",
            Step::Start => "start",
            Step::Kill => "kill",
            Step::Delete => "delete",
            Step::Notify => "notify",
            Step::Output => "write",
            Step::Wait => "wait",
            Step::Pause => "pause",
            Step::Ps => "ps",
            Step::Update => "update",
            Step::Events => "events",
        }
    }
}

/// Why a step failed.
#[derive(Debug)]
pub enum Cause {
    /// The kernel said no.
    Io(io::Error),
    /// A rule of the specification or of this runtime was broken; a whole sentence without a stop.
    Rule(String),
    /// The kernel said no, told in the words that callers know instead of strerror's.
    Worded(i32, String),
}

/// A failure: step, subject, cause and, where one is known, the remedy.
///
/// Prints as `mount /proc: operation not permitted`; errno texts are lower case because callers
/// grep for runc's words (`docs/callers.md`).
#[derive(Debug)]
pub struct Error {
    /// What was being done.
    pub step: Step,
    /// On what: a path, a name, an id. May be empty.
    pub on: String,
    /// Why it failed.
    pub cause: Cause,
    /// What the user can do about it.
    pub hint: Option<String>,
}

impl Error {
    /// An error whose cause is a broken rule.
    pub fn rule(step: Step, on: impl fmt::Display, cause: impl Into<String>) -> Self {
        Self { step, on: on.to_string(), cause: Cause::Rule(cause.into()), hint: None }
    }

    /// An error that the kernel gave, where [`At::at`] has no result at hand.
    pub fn io(step: Step, on: impl fmt::Display, cause: io::Error) -> Self {
        Self { step, on: on.to_string(), cause: Cause::Io(cause), hint: None }
    }

    /// Adds the remedy.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The errno, when the kernel refused.
    pub fn errno(&self) -> Option<i32> {
        match &self.cause {
            Cause::Io(e) => e.raw_os_error(),
            Cause::Worded(errno, _) => Some(*errno),
            Cause::Rule(_) => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.step, self.on.is_empty()) {
            // A broken rule of a verb is a whole sentence in runc's words; the verb adds nothing.
            (_, true) if !matches!(self.cause, Cause::Io(_)) => {}
            (step, true) => write!(f, "{}: ", step.words())?,
            // The words that users know from runc.
            (Step::Mount, false) => write!(f, "error mounting {}: ", self.on)?,
            (step, false) => write!(f, "{} {}: ", step.words(), self.on)?,
        }
        match &self.cause {
            Cause::Io(e) => f.write_str(&errno_words(e)),
            Cause::Rule(words) | Cause::Worded(_, words) => f.write_str(words),
        }
    }
}

impl std::error::Error for Error {}

/// The text of an errno as Go prints it: strerror's words, first letter in lower case.
pub fn errno_words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    match text.as_bytes() {
        // "RFS specific error" and its like keep their capitals.
        [first, second, ..] if first.is_ascii_uppercase() && !second.is_ascii_uppercase() => {
            let mut lower = text.to_owned();
            lower[..1].make_ascii_lowercase();
            lower
        }
        _ => text.to_owned(),
    }
}

/// Adds step and subject to a plain errno, once.
pub trait At<T> {
    /// `fs::read(&path).at(Step::ReadConfig, || path.display())?`
    ///
    /// # Errors
    /// The same failure, now with its step and subject.
    fn at<D: fmt::Display>(self, step: Step, on: impl FnOnce() -> D) -> Result<T>;
}

impl<T, E: Into<io::Error>> At<T> for std::result::Result<T, E> {
    fn at<D: fmt::Display>(self, step: Step, on: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|e| Error {
            step,
            on: on().to_string(),
            cause: Cause::Io(e.into()),
            hint: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_places_in_the_table() {
        for (number, step) in Step::ALL.iter().enumerate() {
            assert_eq!(*step as usize, number);
        }
    }

    #[test]
    fn errno_prints_as_go_prints_it() {
        let error = io::Error::from_raw_os_error(libc::EPERM);
        let error = Err::<(), _>(error).at(Step::Mount, || "/proc").unwrap_err();
        assert_eq!(error.to_string(), "error mounting /proc: operation not permitted");
    }

    #[test]
    fn rule_without_subject_is_the_sentence_alone() {
        assert_eq!(
            Error::rule(Step::Kill, "", "container not running").to_string(),
            "container not running"
        );
    }
}
