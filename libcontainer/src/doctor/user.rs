//! Facts about the user whose containers run without root, and about programs that help.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::facts::manager;
use crate::state::owner;
use crate::sys::fd;

/// Where programs are, should PATH not say so.
const USUAL: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// An ordinary user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The number.
    pub uid: u32,
    /// The name, `#uid` without one.
    pub name: String,
    /// The runtime directory, `XDG_RUNTIME_DIR` or systemd's: its path, and owner and permissions
    /// when it is there.
    pub runtime_dir: (String, Option<(u32, u32)>),
    /// The version of the user's own systemd, or why it does not answer.
    pub systemd: Result<u32, String>,
    /// It keeps running when the user has logged out.
    pub linger: bool,
}

/// A program that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Where.
    pub path: String,
    /// Who owns it.
    pub owner: u32,
    /// Its permissions, the setuid bit among them.
    pub mode: u32,
    /// It has capabilities of its own (capabilities(7), "File capabilities").
    pub caps: bool,
}

impl User {
    /// Ourselves; for root the one who called sudo(8) or pkexec(1), if any.
    pub(super) fn probe(euid: u32) -> Option<Self> {
        let number = |name: &str| env::var(name).ok()?.parse().ok();
        let caller = || number("SUDO_UID").or_else(|| number("PKEXEC_UID"));
        let uid = if euid == 0 { caller().filter(|uid| *uid != 0)? } else { euid };
        let own = (euid == uid).then(|| env::var("XDG_RUNTIME_DIR").ok()).flatten();
        let dir = own.filter(|dir| !dir.is_empty()).unwrap_or_else(|| format!("/run/user/{uid}"));
        let meta = fs::metadata(&dir).ok();
        let name = owner::name(uid);
        let systemd = match euid == uid {
            true => manager(true),
            // Another user's bus does not take us: a socket is all that can be seen.
            false if Path::new(&dir).join("systemd/private").exists() => Ok(0),
            false => Err(format!("{dir}/systemd/private is not there")),
        };
        Some(Self {
            uid,
            systemd,
            linger: Path::new("/var/lib/systemd/linger").join(&name).exists(),
            runtime_dir: (dir, meta.map(|meta| (meta.uid(), meta.mode()))),
            name,
        })
    }

    /// Tells which controllers the user's manager got.
    pub(super) fn controllers(&self) -> String {
        let uid = self.uid;
        format!("/sys/fs/cgroup/user.slice/user-{uid}.slice/user@{uid}.service/cgroup.controllers")
    }
}

impl Program {
    /// Looks for a program on PATH and at the usual places.
    pub(super) fn find(name: &str) -> Option<Self> {
        let path = env::var_os("PATH").unwrap_or_default();
        let usual = OsString::from(USUAL);
        let dirs = env::split_paths(&path).chain(env::split_paths(&usual));
        let found = |dir: PathBuf| {
            let path = dir.join(name);
            let meta = fs::metadata(&path).ok().filter(|m| m.is_file() && m.mode() & 0o111 != 0)?;
            Some((path, meta))
        };
        let (path, meta) = dirs.filter(|dir| dir.is_absolute()).find_map(found)?;
        let mut value = [0; 64];
        let file = File::open(&path);
        let caps = file.is_ok_and(|f| fd::fgetxattr(f, c"security.capability", &mut value).is_ok());
        let path = path.display().to_string();
        Some(Self { path, owner: meta.uid(), mode: meta.mode(), caps })
    }
}
