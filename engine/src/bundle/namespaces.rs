//! `linux.namespaces`: what is the container's own, the host's, or another container's.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::Facts;
use crate::container::record::Record;
use crate::error::{Error, Result};
use crate::net::flags;

/// Namespaces of others that are joined; `None` for a new one.
#[derive(Debug, Clone, Default)]
pub struct Joined {
    /// Network: of another container, or one that the network was set up in.
    pub net: Option<PathBuf>,
    /// IPC of another container.
    pub ipc: Option<PathBuf>,
    /// Its `/dev/shm`.
    pub shm: Option<PathBuf>,
    /// PID of another container.
    pub pid: Option<PathBuf>,
}

/// What a mode flag asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// A namespace of its own.
    Own,
    /// The host's.
    Host,
    /// That of the container of this name.
    Of(String),
}

/// `--network`.
pub fn net(record: &Record) -> Mode {
    match &record.net.mode {
        flags::Mode::Bridge | flags::Mode::None => Mode::Own,
        flags::Mode::Host => Mode::Host,
        flags::Mode::Container(id) => Mode::Of(id.clone()),
    }
}

/// `--pid`.
///
/// # Errors
/// A word that is no mode.
pub fn pid(record: &Record) -> Result<Mode> {
    mode("pid", record.flags.isolation.pid.as_deref(), &[])
}

/// `--ipc`.
///
/// # Errors
/// A word that is no mode.
pub fn ipc(record: &Record) -> Result<Mode> {
    mode("ipc", record.flags.isolation.ipc.as_deref(), &["private", "shareable", "none"])
}

/// Whether the container has a host name of its own.
pub fn own_uts(record: &Record) -> bool {
    record.flags.isolation.uts.as_deref() != Some("host")
}

fn mode(flag: &str, text: Option<&str>, own: &[&str]) -> Result<Mode> {
    match text {
        None | Some("") => Ok(Mode::Own),
        Some("host") => Ok(Mode::Host),
        Some(word) if own.contains(&word) => Ok(Mode::Own),
        Some(word) => match word.strip_prefix("container:").filter(|name| !name.is_empty()) {
            Some(name) => Ok(Mode::Of(name.into())),
            None => Err(Error::new(format!("invalid argument \"{word}\" for --{flag}"))
                .why("there is no such mode")
                .fix(format!("modes are {} host container:NAME", own.join(" ")))),
        },
    }
}

/// The list.
///
/// # Errors
/// A mode that does not exist.
pub fn list(record: &Record, facts: &Facts) -> Result<Value> {
    let mut out = vec![json!({ "type": "mount" })];
    let mut add = |kind: &str, mode: Mode, path: &Option<PathBuf>| match (mode, path) {
        (Mode::Host, _) => {}
        (_, Some(path)) => out.push(json!({ "type": kind, "path": path })),
        (_, None) => out.push(json!({ "type": kind })),
    };
    add("network", net(record), &facts.joined.net);
    add("ipc", ipc(record)?, &facts.joined.ipc);
    add("pid", pid(record)?, &facts.joined.pid);
    let isolation = &record.flags.isolation;
    add("uts", mode_or_host("uts", isolation.uts.as_deref())?, &None);
    mode_or_host("userns", isolation.userns.as_deref())?;
    let cgroup = match isolation.cgroupns.as_deref() {
        None if facts.unified && !isolation.privileged => Mode::Own,
        None | Some("host") => Mode::Host,
        Some("private") => Mode::Own,
        Some(word) => return Err(only("cgroupns", word, "host or private")),
    };
    add("cgroup", cgroup, &None);
    Ok(out.into())
}

fn mode_or_host(flag: &str, text: Option<&str>) -> Result<Mode> {
    match text {
        None | Some("") => Ok(Mode::Own),
        Some("host") => Ok(Mode::Host),
        Some(word) => Err(only(flag, word, "host")),
    }
}

fn only(flag: &str, word: &str, words: &str) -> Error {
    Error::new(format!("invalid argument \"{word}\" for --{flag}"))
        .why(format!("it can only be {words}"))
}

/// Finds modes that do not exist, before anything is made.
///
/// # Errors
/// As [`list`].
pub fn check(record: &Record) -> Result<()> {
    list(record, &Facts::default()).map(drop)
}
