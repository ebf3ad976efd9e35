//! What the caller of `exec` asks for: a process of its own, changes to the container's, sockets.

use std::path::PathBuf;
use std::str::FromStr;

use oci_spec::runtime::{Capabilities, Capability, LinuxCapabilities, Process};

use super::Inherit;
use crate::error::{Error, Result, Step};
use crate::spec::Spec;

/// The flags of `exec`.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The process as a whole (`--process`); the container's own without.
    pub whole: Option<Spec>,
    /// What is different.
    pub changes: Changes,
    /// The caller does not wait for the process (`--detach`).
    pub detach: bool,
    /// Unix socket that receives the pty master (`--console-socket`).
    pub console_socket: Option<PathBuf>,
    /// Unix socket that receives a pidfd of the process (`--pidfd-socket`).
    pub pidfd_socket: Option<PathBuf>,
    /// Descriptors from 3 on that the process inherits, [`Request::listen_fds`] not included.
    pub preserve_fds: u32,
    /// Inherited sockets that are announced to the program (sd_listen_fds(3)).
    pub listen_fds: u32,
    /// `--cgroup`, as given.
    pub cgroup: Vec<String>,
    /// A paused container is no reason to refuse (`--ignore-paused`).
    pub ignore_paused: bool,
    /// Time every step (`--timings`).
    pub timings: bool,
    /// Name of the process until its program runs (`/proc/PID/comm`); the runtime's own without.
    pub init_name: Option<String>,
}

/// Changes to a process; what is empty or `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The program and its arguments.
    pub args: Vec<String>,
    /// Added variables, `NAME=VALUE`; they win.
    pub env: Vec<String>,
    /// The working directory.
    pub cwd: Option<String>,
    /// A terminal.
    pub terminal: bool,
    /// The user.
    pub user: Option<User>,
    /// Added supplementary groups.
    pub groups: Vec<u32>,
    /// Added capabilities, by name.
    pub capabilities: Vec<String>,
    /// no_new_privs.
    pub no_new_privileges: Option<bool>,
    /// AppArmor profile.
    pub apparmor: Option<String>,
    /// SELinux label.
    pub label: Option<String>,
}

/// `UID[:GID]`; without a gid that of the process stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// User id in the container.
    pub uid: u32,
    /// Group id in the container.
    pub gid: Option<u32>,
}

impl FromStr for User {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (uid, gid) = match text.split_once(':') {
            Some((uid, gid)) => (uid, Some(gid)),
            None => (text, None),
        };
        Ok(Self { uid: id("uid", uid)?, gid: gid.map(|gid| id("gid", gid)).transpose()? })
    }
}

/// An id: digits only, and never the number that the kernel takes for "leave as it is".
///
/// # Errors
/// Anything else, names too.
pub fn id(what: &str, text: &str) -> Result<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|id| digits && *id != u32::MAX);
    number.ok_or_else(|| {
        Error::rule(Step::CheckConfig, "", format!("bad {what}: {text:?} is no id"))
            .hint("give numbers from 0 to 4294967294; names of the container are not looked up")
    })
}

impl Request {
    /// The process that will run: whole, or the container's own, with the changes.
    ///
    /// # Errors
    /// No program; a capability that no kernel has.
    pub(super) fn process(&self, inherit: &Inherit) -> Result<Spec> {
        let Some(whole) = &self.whole else {
            let mut process = inherit.process();
            process.set_terminal(Some(false));
            self.changes.apply(&mut process)?;
            return Ok(Spec::of_process(process));
        };
        let mut spec = whole.clone();
        if let Some(mut process) = spec.oci.process().clone() {
            inherit.complete(&mut process);
            self.changes.apply(&mut process)?;
            spec.oci.set_process(Some(process));
        }
        Ok(spec)
    }

    /// Descriptors after stdio that the process keeps.
    ///
    /// # Errors
    /// More than there can be.
    pub(super) fn inherited_fds(&self) -> Result<u32> {
        let count = self.preserve_fds.checked_add(self.listen_fds);
        count
            .filter(|count| *count < 1 << 30)
            .ok_or_else(|| Error::rule(Step::Fds, "--preserve-fds", "is too large"))
    }
}

impl Changes {
    fn apply(&self, process: &mut Process) -> Result<()> {
        if !self.args.is_empty() {
            process.set_args(Some(self.args.clone()));
        }
        if process.args().as_ref().is_none_or(Vec::is_empty) {
            return Err(Error::rule(Step::CheckConfig, "", "exec args cannot be empty")
                .hint("name a program after the container's id, or pass --process"));
        }
        if !self.env.is_empty() {
            let mut env = process.env().clone().unwrap_or_default();
            env.extend(self.env.iter().cloned());
            process.set_env(Some(env));
        }
        if let Some(cwd) = &self.cwd {
            process.set_cwd(cwd.into());
        }
        if self.terminal {
            process.set_terminal(Some(true));
        }
        if self.no_new_privileges.is_some() {
            process.set_no_new_privileges(self.no_new_privileges);
        }
        if self.apparmor.is_some() {
            process.set_apparmor_profile(self.apparmor.clone());
        }
        if self.label.is_some() {
            process.set_selinux_label(self.label.clone());
        }
        self.apply_user(process);
        self.apply_capabilities(process)
    }

    fn apply_user(&self, process: &mut Process) {
        let user = process.user_mut();
        if let Some(User { uid, gid }) = self.user {
            user.set_uid(uid);
            user.set_gid(gid.unwrap_or_else(|| user.gid()));
        }
        if !self.groups.is_empty() {
            let mut groups = user.additional_gids().clone().unwrap_or_default();
            groups.extend(&self.groups);
            user.set_additional_gids(Some(groups));
        }
    }

    /// Never the inheritable set (CVE-2022-29162); ambient only where the process has an
    /// inheritable set already, as runc does.
    fn apply_capabilities(&self, process: &mut Process) -> Result<()> {
        if self.capabilities.is_empty() {
            return Ok(());
        }
        let added = self.capabilities.iter().map(|name| {
            serde_json::from_value::<Capability>(name.as_str().into()).map_err(|_| {
                Error::rule(Step::CheckConfig, "--cap", format!("{name:?} is no capability"))
                    .hint("names stand in capabilities(7), such as CAP_NET_RAW")
            })
        });
        let added: Capabilities = added.collect::<Result<_>>()?;
        let and = |set: &Option<Capabilities>| {
            Some(set.iter().flatten().chain(&added).copied().collect::<Capabilities>())
        };
        let none = || {
            let mut none = LinuxCapabilities::default();
            none.set_bounding(None).set_effective(None).set_permitted(None);
            none.set_inheritable(None).set_ambient(None);
            none
        };
        let mut caps = process.capabilities().clone().unwrap_or_else(none);
        let (bounding, effective) = (and(caps.bounding()), and(caps.effective()));
        let (permitted, ambient) = (and(caps.permitted()), and(caps.ambient()));
        caps.set_bounding(bounding).set_effective(effective).set_permitted(permitted);
        if caps.inheritable().is_some() {
            caps.set_ambient(ambient);
        }
        process.set_capabilities(Some(caps));
        Ok(())
    }
}
