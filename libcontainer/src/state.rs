//! What is known about each container between two commands: one directory per container.
//!
//! The directory is the lock for the id. The intent record is written before anything is made,
//! so that `delete --force` finds what a killed `create` left; `state.json` makes the container
//! exist for others. Each is written by one rename. The status is never stored: it is derived
//! from the process, the start gate and the freezer ([`State::status`]).
//!
//! ```text
//! ROOT/ID/intent.json    what create is about to make; stays for the day state.json is damaged
//!         cgroup.ours    create has found the cgroups empty: who is in them is the container's
//!         init.json      init, while hooks of create run
//!         exec.json      what further processes take over; seccomp.bpf beside it
//!         exec.fifo      the start gate, see [`gate`]; exec.result beside it
//!         state.json     the container exists
//! ```

pub mod gate;
mod inherit;
pub mod oci;
pub(crate) mod owner;
pub mod process;
mod record;
mod store;
pub mod time;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::cgroup::Cgroup;
use crate::cgroup::resctrl::Resctrl;
use crate::error::{Error, Result, Step};
use crate::plan::hooks::Hook;
use process::ProcessId;

pub use crate::cgroup::CgroupRecord;
pub use oci::View;
pub use store::{Claim, Draft, Found, Lock, Store};

/// The version of the specification that our states follow.
pub const OCI_VERSION: &str = "1.3.0";

/// The format of our records; a later format is refused, not guessed.
const FORMAT: u32 = 1;

/// A published container: all that later commands need, without reading `config.json` again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// Format of this record.
    pub format: u32,
    /// Version of the specification.
    pub oci_version: String,
    /// The container's id.
    pub id: String,
    /// Absolute path of the bundle.
    pub bundle: PathBuf,
    /// Absolute path of the root file system, on the host.
    pub rootfs: PathBuf,
    /// When the container was created.
    #[serde(with = "time::rfc3339")]
    pub created: SystemTime,
    /// The configuration's annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The container's first process.
    pub init: ProcessId,
    /// Whether the container has a pid namespace of its own: the kernel then ends the others
    /// with init.
    pub own_pid_namespace: bool,
    /// Namespace files by the specification's type, for those who join later.
    #[serde(default)]
    pub namespaces: BTreeMap<String, PathBuf>,
    /// The program's name, for the error of a `start` that fails.
    #[serde(default)]
    pub program: Option<String>,
    /// Whether `start` waits for `startContainer` hooks, which may take their time.
    #[serde(default)]
    pub start_hooks: bool,
    /// Where the container's processes are, when it has a cgroup.
    pub cgroup: Option<CgroupRecord>,
    /// Its class of cache and memory bandwidth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resctrl: Option<Resctrl>,
    /// Hooks for `start`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub poststart: Vec<Hook>,
    /// Hooks for `delete`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub poststop: Vec<Hook>,
    /// The container's directory; not stored.
    #[serde(skip)]
    pub dir: PathBuf,
}

/// What a `create` is about to make. It stays beside `state.json`, for the day that is damaged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// Format of this record.
    pub format: u32,
    /// The container's id.
    pub id: String,
    /// Absolute path of the bundle.
    pub bundle: PathBuf,
    /// When `create` began.
    #[serde(with = "time::rfc3339")]
    pub created: SystemTime,
    /// The process that creates the container.
    pub owner: ProcessId,
    /// The cgroups that it is about to make.
    pub cgroup: Option<CgroupRecord>,
    /// The class of cache and memory bandwidth that it is about to make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resctrl: Option<Resctrl>,
    /// Hooks that run when it is removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub poststop: Vec<Hook>,
}

impl Intent {
    /// The intent of this process to make container `id`, now.
    ///
    /// # Errors
    /// `/proc` is not readable.
    pub fn new(id: &str, bundle: &Path) -> Result<Self> {
        Ok(Self {
            format: FORMAT,
            id: id.to_owned(),
            bundle: bundle.to_owned(),
            created: SystemTime::now(),
            owner: ProcessId::current()?,
            cgroup: None,
            resctrl: None,
            poststop: Vec::new(),
        })
    }

    /// The state of the container that this intent became, with `init` as its first process; the
    /// caller fills in what else the plan has.
    pub fn fulfil(&self, init: ProcessId, rootfs: &Path) -> State {
        State {
            format: FORMAT,
            oci_version: OCI_VERSION.to_owned(),
            id: self.id.clone(),
            bundle: self.bundle.clone(),
            rootfs: rootfs.to_owned(),
            created: self.created,
            annotations: BTreeMap::new(),
            init,
            own_pid_namespace: false,
            namespaces: BTreeMap::new(),
            program: None,
            start_hooks: false,
            cgroup: self.cgroup.clone(),
            resctrl: None,
            poststart: Vec::new(),
            poststop: self.poststop.clone(),
            dir: PathBuf::new(),
        }
    }
}

/// Where a container is in its life (runtime.md, "State"; `paused` is ours and runc's).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// `create` is at work.
    Creating,
    /// Waiting for `start`.
    Created,
    /// The program runs.
    Running,
    /// Its cgroup is frozen.
    Paused,
    /// The first process has ended.
    Stopped,
}

impl Status {
    /// The specification's word.
    pub const fn word(self) -> &'static str {
        match self {
            Status::Creating => "creating",
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Stopped => "stopped",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl State {
    /// Where the container is now.
    ///
    /// # Errors
    /// The freezer of its cgroup cannot be read.
    pub fn status(&self) -> Result<Status> {
        if !self.init.is_alive() {
            return Ok(Status::Stopped);
        }
        if self.is_paused()? {
            return Ok(Status::Paused);
        }
        if gate::is_waiting(&self.dir) {
            return Ok(Status::Created);
        }
        // Init may have passed the gate, or died, between the looks.
        Ok(if self.init.is_alive() { Status::Running } else { Status::Stopped })
    }

    /// Whether its cgroup is frozen.
    ///
    /// # Errors
    /// The freezer cannot be read.
    pub fn is_paused(&self) -> Result<bool> {
        self.cgroup.as_ref().map_or(Ok(false), |record| Cgroup::open(record).frozen())
    }
}

/// Refuses what is no container id, in runc's words.
///
/// Letters, digits, `_`, `+`, `-` and `.`; not `.` or `..`. At most 255 bytes, since the id is the
/// name of a directory.
///
/// # Errors
/// `invalid container ID format`, `container id cannot be empty`.
pub fn check_id(id: &str) -> Result<()> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte);
    if id.is_empty() {
        return Err(Error::rule(Step::State, "", "container id cannot be empty"));
    }
    if id == "." || id == ".." || id.len() > 255 || !id.bytes().all(legal) {
        return Err(Error::rule(Step::State, "", "invalid container ID format")
            .hint("use letters, digits and _ + - . only, at most 255 of them"));
    }
    Ok(())
}

/// The error for an id that nobody has.
pub(crate) fn does_not_exist() -> Error {
    Error::rule(Step::State, "", "container does not exist")
}

#[cfg(test)]
mod tests;
