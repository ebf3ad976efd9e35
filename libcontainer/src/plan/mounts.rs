//! Turns `root`, `mounts`, masked and read-only paths into the list that init will run.
//!
//! Nothing is mounted here: a [`MountOp`] says *what*, `create::rootfs` knows *how*. Order is
//! the specification's order; devices come after the mounts so that they land on the mounted
//! `/dev`, masked and read-only paths last.
//!
//! - [`build`]`(&Request) -> Result<Mounts>`: the whole decision.
//! - [`Mounts::first_cgroup`]: up to there mounts need not wait for the cgroup's placing.
//! - [`op`]: one entry of `mounts`; [`cgroup`]: the entry of type `cgroup`.
//!
//! The rules about `/proc` are runc's (CVE-2019-16884, CVE-2019-19921, CVE-2025-52881): only a
//! procfs may cover it, and below it only files that a fake may replace harmlessly.

pub mod bind;
pub mod cgroup;
pub(crate) mod mappings;
pub mod op;

use std::ffi::CString;
use std::path::Path;

use oci_spec::runtime::{LinuxIdMapping, LinuxNamespaceType, Mount, Root, Spec};
use serde::Serialize;

pub use bind::{Bind, IdMap, UserNamespace};
pub use cgroup::{CgroupHierarchy, CgroupMounts};
pub use op::{Action, Fs, MountOp, Param, Place};

use super::devices::{self, Dev};
use super::mount_options::{self, Propagate};
use super::paths::{self, InRoot};
use crate::error::{Error, Result, Step};

/// What the decision needs to know.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The configuration.
    pub spec: &'a Spec,
    /// A mount of our own, after all others.
    pub last: Option<&'a Mount>,
    /// Absolute, canonical path of the root file system on the host.
    pub rootfs: &'a Path,
    /// Absolute path of the bundle: relative bind sources are below it.
    pub bundle: &'a Path,
    /// The container has a mount namespace other than ours (new or joined).
    pub mount_namespace: bool,
    /// Init runs in a user namespace other than the host's: mknod(2) is never allowed there.
    pub user_namespace: bool,
    /// We are not root over the host: idmapped mounts are out of reach.
    pub rootless: bool,
    /// `--no-pivot`.
    pub no_pivot: bool,
    /// Facts for mounts of type `cgroup`.
    pub cgroup: &'a CgroupMounts,
}

/// Everything about the container's file system tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Mounts {
    /// The root file system on the host.
    #[serde(serialize_with = "super::text::one")]
    pub rootfs: CString,
    /// Make `/` read-only at the end.
    pub readonly: bool,
    /// `linux.rootfsPropagation`.
    pub propagation: Option<Propagate>,
    /// The container has a mount namespace of its own.
    pub namespace: bool,
    /// Move the mount and chroot instead of pivot_root.
    pub no_pivot: bool,
    /// Init is root of a user namespace and we are root of the host: sources that init cannot
    /// reach, and ids that it cannot map, are taken for it.
    pub host_rights: bool,
    /// Mounts, in order.
    pub list: Vec<MountOp>,
    /// `None` when the caller has bind mounted a `/dev` of its own.
    pub dev: Option<Dev>,
    /// Paths made read-only, with everything below.
    pub readonly_paths: Vec<InRoot>,
    /// Paths made to read as empty.
    pub masked: Vec<InRoot>,
    /// SELinux context for mounts made by the runtime.
    #[serde(serialize_with = "op::some_text")]
    pub label: Option<CString>,
    /// What the user should know, though nothing is wrong enough to stop.
    pub notes: Vec<String>,
}

impl Mounts {
    /// Index of the first mount that shows cgroups (the list's length when there is none): init
    /// must be in its cgroup, and the cgroup namespace made, before it.
    pub fn first_cgroup(&self) -> usize {
        self.list.iter().position(MountOp::needs_cgroup).unwrap_or(self.list.len())
    }
}

/// Decides the whole tree.
///
/// # Errors
/// Any entry that cannot or must not be carried out, with the field's name.
pub fn build(request: &Request<'_>) -> Result<Mounts> {
    let spec = request.spec;
    let linux = spec.linux().as_ref();
    let mut notes = Vec::new();
    let label = match linux.and_then(|linux| linux.mount_label().as_deref()) {
        Some(label) if !label.is_empty() => Some(paths::text(label)?),
        _ => None,
    };
    let container = container_user_namespace(spec)?;
    let context = op::Context { request, label: label.as_deref(), container: container.as_ref() };
    let mut list = Vec::new();
    for (index, mount) in spec.mounts().iter().flatten().chain(request.last).enumerate() {
        let op = op::build(&context, mount, &mut notes).map_err(|error| name(error, index))?;
        list.push(op);
    }
    let own_dev = list.iter().any(|op| op.is_bind() && op.target.is("dev"));
    let asked = linux.and_then(|linux| linux.devices().as_deref()).unwrap_or_default();
    let dev = match own_dev {
        true => None,
        false => Some(devices::build(asked, request.user_namespace)?),
    };
    let masked = linux.and_then(|linux| linux.masked_paths().as_deref()).unwrap_or_default();
    let readonly = linux.and_then(|linux| linux.readonly_paths().as_deref()).unwrap_or_default();
    let restricts = !masked.is_empty() || !readonly.is_empty();
    if restricts && !request.mount_namespace {
        return Err(Error::rule(
            Step::CheckConfig,
            "linux",
            "unable to restrict sys entries without a private MNT namespace",
        )
        .hint("add a namespace of type \"mount\", or drop maskedPaths and readonlyPaths"));
    }
    Ok(Mounts {
        rootfs: paths::host(request.bundle, request.rootfs)?,
        readonly: spec.root().as_ref().and_then(Root::readonly).unwrap_or(false),
        propagation: propagation(request)?,
        namespace: request.mount_namespace,
        no_pivot: request.no_pivot,
        host_rights: request.user_namespace && !request.rootless,
        list,
        dev,
        readonly_paths: all_in_root("linux.readonlyPaths", readonly)?,
        masked: all_in_root("linux.maskedPaths", masked)?,
        label,
        notes,
    })
}

fn name(error: Error, index: usize) -> Error {
    let at = format!("mounts[{index}] {}", error.on);
    Error { on: at, ..error }
}

fn propagation(request: &Request<'_>) -> Result<Option<Propagate>> {
    let linux = request.spec.linux().as_ref();
    let word = match linux.and_then(|linux| linux.rootfs_propagation().as_deref()) {
        None | Some("") => return Ok(None),
        Some(word) => word,
    };
    let refuse = |why: String| Error::rule(Step::CheckConfig, "linux.rootfsPropagation", why);
    let found = mount_options::propagation(word).ok_or_else(|| {
        refuse(format!("rootfsPropagation={word} is not supported"))
            .hint("use shared, slave, private, unbindable, or one of them with a leading r")
    })?;
    // The host's procfs would stay reachable below the moved root.
    if request.no_pivot && found.kind == mount_options::Propagation::Private {
        return Err(refuse(
            "rootfsPropagation of [r]private is not safe without pivot_root".into(),
        ));
    }
    Ok(Some(found))
}

/// Cleans, refuses the root itself, drops what stands there twice.
fn all_in_root(field: &str, texts: &[String]) -> Result<Vec<InRoot>> {
    let mut all: Vec<InRoot> = Vec::with_capacity(texts.len());
    for text in texts {
        let path = InRoot::new(text)?;
        if path.is_root() {
            return Err(Error::rule(
                Step::CheckConfig,
                field,
                format!("{text:?} is the root directory itself"),
            )
            .hint("root.readonly makes the root file system read-only"));
        }
        if !all.contains(&path) {
            all.push(path);
        }
    }
    Ok(all)
}

/// The ids that `idmap` without mappings of its own means: the container's user namespace.
fn container_user_namespace(spec: &Spec) -> Result<Option<UserNamespace>> {
    let Some(linux) = spec.linux() else { return Ok(None) };
    let user = linux
        .namespaces()
        .iter()
        .flatten()
        .find(|namespace| namespace.typ() == LinuxNamespaceType::User);
    let Some(user) = user else { return Ok(None) };
    if let Some(path) = user.path().as_ref().filter(|path| !path.as_os_str().is_empty()) {
        return Ok(Some(UserNamespace::Path(paths::host(Path::new("/"), path)?)));
    }
    let lines = |maps: &Option<Vec<LinuxIdMapping>>| map_lines(maps.as_deref().unwrap_or_default());
    let (uid, gid) = (lines(linux.uid_mappings()), lines(linux.gid_mappings()));
    Ok((!uid.is_empty() && !gid.is_empty()).then_some(UserNamespace::Maps { uid, gid }))
}

/// The text of a map file (user_namespaces(7)).
pub(crate) fn map_lines(maps: &[LinuxIdMapping]) -> String {
    maps.iter()
        .map(|map| format!("{} {} {}\n", map.container_id(), map.host_id(), map.size()))
        .collect()
}

#[cfg(test)]
mod tests;
