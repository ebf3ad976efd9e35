//! The place of the container's cgroup: `linux.cgroupsPath`, cleaned and put into the hierarchies.
//!
//! As runc's cgroupfs driver does it, so that callers find the container where they look:
//!
//! | `cgroupsPath` | v1 and hybrid | v2 |
//! |---|---|---|
//! | absolute | below each mount | below the mount |
//! | relative | below our own cgroup of each hierarchy | beside our own cgroup |
//! | absent | the same with the container's id | the same with the container's id |
//!
//! Beside, because a v2 cgroup with processes (us) cannot enable controllers for children. The
//! hybrid v2 directory of a relative path is below the mount. `slice:prefix:name` is a name like
//! any other here: only the systemd driver reads it as three ([`super::systemd`]).
//!
//! Cleaning is lexical and happens before anything is joined: `..` cannot leave the hierarchy.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use oci_spec::runtime::LinuxNamespaceType;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, Step};
use crate::host::CgroupLayout;
use crate::host::cgroup::{CgroupMode, Hierarchy, ROOT};
use crate::plan::paths::InRoot;
use crate::spec::Spec;

/// The container's directory in one hierarchy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirPlan {
    /// v1: the controllers or the name of the hierarchy. Empty for v2.
    pub controllers: Vec<String>,
    /// Where the hierarchy is mounted.
    pub mount: PathBuf,
    /// The directory, relative to the mount: clean and never empty.
    pub path: PathBuf,
}

impl DirPlan {
    /// Whether the directory is in the v2 hierarchy.
    pub fn is_v2(&self) -> bool {
        self.controllers.is_empty()
    }

    /// The directory on the host.
    pub fn host_dir(&self) -> PathBuf {
        self.mount.join(&self.path)
    }

    /// Name of the hierarchy's directory below a v1 `/sys/fs/cgroup`: the one it has on the host
    /// (`cpu,cpuacct`, `systemd`).
    pub fn mount_name(&self) -> String {
        match self.mount.file_name() {
            Some(name) => name.to_string_lossy().into_owned(),
            None => self.controllers.join(","),
        }
    }

    /// Further names below `/sys/fs/cgroup` that lead to [`DirPlan::mount_name`]: the controllers
    /// of a hierarchy that carries several (`cpu` and `cpuacct` → `cpu,cpuacct`).
    pub fn links(&self) -> impl Iterator<Item = &str> {
        let several = self.controllers.len() > 1;
        let name = self.mount_name();
        self.controllers.iter().map(String::as_str).filter(move |c| several && *c != name)
    }

    /// What `mount -t cgroup -o …` wants to hear for this v1 hierarchy.
    pub fn mount_data(&self) -> String {
        match self.controllers.as_slice() {
            [name] if name.starts_with("name=") => format!("none,{name}"),
            controllers => controllers.join(","),
        }
    }
}

/// A cleaned `cgroupsPath`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Relative to the mounts.
    Absolute(PathBuf),
    /// Relative to our own cgroup.
    Relative(PathBuf),
    /// The container's id, relative to our own cgroup.
    Default(PathBuf),
}

impl Place {
    /// Cleans what was asked for.
    ///
    /// # Errors
    /// The path names the root of the hierarchy, or holds a byte that no cgroup can have.
    pub(super) fn resolve(asked: Option<&Path>, id: &str) -> Result<Self> {
        let asked = asked.unwrap_or_else(|| Path::new(""));
        let field = || format!("linux.cgroupsPath {}", asked.display());
        let clean = InRoot::new(asked)?;
        // `/proc/PID/cgroup` is a list of lines, so the kernel takes no such name.
        if clean.as_bytes().contains(&b'\n') {
            return Err(Error::rule(Step::CheckConfig, field(), "the path contains a newline"));
        }
        let path = PathBuf::from(OsStr::from_bytes(clean.as_bytes()));
        match (clean.is_root(), asked.is_absolute()) {
            (true, true) => Err(Error::rule(
                Step::CheckConfig,
                field(),
                "a container cannot live in the root of the cgroup hierarchy",
            )
            .hint("name a cgroup below it, or leave cgroupsPath out")),
            (true, false) => Ok(Self::Default(id.into())),
            (false, true) => Ok(Self::Absolute(path)),
            (false, false) => Ok(Self::Relative(path)),
        }
    }

    /// Whether the bundle left the place to us.
    pub(super) fn is_default(&self) -> bool {
        matches!(self, Self::Default(_))
    }

    /// The directory in every hierarchy.
    pub(super) fn dirs(&self, layout: &CgroupLayout) -> Vec<DirPlan> {
        let dir = |hierarchy: &Hierarchy| {
            let path = match self {
                Self::Absolute(path) => path.clone(),
                Self::Relative(path) | Self::Default(path) => {
                    parent(hierarchy, layout.mode).join(path)
                }
            };
            let Hierarchy { controllers, mount, .. } = hierarchy.clone();
            DirPlan { controllers, mount, path }
        };
        layout.hierarchies.iter().map(dir).collect()
    }
}

/// What a relative path is relative to, see the header.
fn parent(hierarchy: &Hierarchy, mode: CgroupMode) -> &Path {
    match (hierarchy.is_v2(), mode) {
        (true, CgroupMode::Unified) => hierarchy.own.parent().unwrap_or_else(|| Path::new("")),
        (true, _) => Path::new(""),
        (false, _) => &hierarchy.own,
    }
}

/// Host uid that gets the v2 directory: that of the container's process, if the container has a
/// cgroup namespace of its own and mounts it read-write (config-linux.md, "Cgroup ownership").
pub(super) fn owner(spec: &Spec) -> Option<u32> {
    let linux = spec.oci.linux().as_ref()?;
    let namespaces = linux.namespaces().as_deref().unwrap_or_default();
    let new = |typ| namespaces.iter().find(|n| n.typ() == typ).map(|n| n.path().is_none());
    if new(LinuxNamespaceType::Cgroup) != Some(true) {
        return None;
    }
    let writable = |mount: &&oci_spec::runtime::Mount| {
        let source = mount.source().as_deref() == Some(Path::new("cgroup"));
        let here = InRoot::new(mount.destination()).is_ok_and(|d| d.is(&ROOT[1..]));
        let ro = mount.options().as_ref().is_some_and(|o| o.iter().any(|o| o == "ro"));
        source && here && !ro
    };
    spec.oci.mounts().as_deref().unwrap_or_default().iter().find(writable)?;
    let uid = spec.oci.process().as_ref().map_or(0, |p| p.user().uid());
    match new(LinuxNamespaceType::User) {
        None => Some(uid),
        // The ids of a joined namespace are its own; ours say nothing about it.
        Some(false) => None,
        Some(true) => linux.uid_mappings().as_deref().unwrap_or_default().iter().find_map(|map| {
            let distance = uid.checked_sub(map.container_id())?;
            if distance < map.size() { map.host_id().checked_add(distance) } else { None }
        }),
    }
}
