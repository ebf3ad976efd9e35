//! The identity of this build. How it is told is [`crate::personality`]'s.

/// Version of this build.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Commit of this build; the Makefile sets it.
pub(crate) const COMMIT: &str = match option_env!("CORTEN_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};
/// Oldest runtime specification that is understood.
pub(crate) const SPEC_MIN: &str = "1.0.0";
/// Newest runtime specification that is understood.
pub(crate) const SPEC: &str = "1.3.0";
/// Whether the systemd cgroup driver is there.
pub(crate) const SYSTEMD: bool = true;
