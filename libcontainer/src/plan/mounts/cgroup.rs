//! Decides mounts of type `cgroup`: what they show depends on the host's layout and on the
//! cgroup namespace.
//!
//! | host | cgroup namespace | what the container sees |
//! |---|---|---|
//! | v2 | own | a cgroup2 mount, rooted at the namespace |
//! | v2 | host's | a cgroup2 mount; where refused, a bind of the host's |
//! | v1 | own | a tmpfs with one cgroup mount a hierarchy |
//! | v1 | host's | a tmpfs with one bind a hierarchy, of the container's own directory |
//!
//! With `ro` all of it is read-only, the tmpfs too (CVE-2023-25809).

use std::ffi::CString;
use std::path::PathBuf;

use serde::Serialize;

use super::op::{Action, Context, Fs};
use crate::error::Result;
use crate::plan::mount_options::{Parsed, attr, ms};
use crate::plan::paths;

/// Facts about the host's cgroups and the container's place in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CgroupMounts {
    /// The host has cgroup v2 alone at `/sys/fs/cgroup`.
    pub unified: bool,
    /// The container has a cgroup namespace other than the host's.
    pub namespace: bool,
    /// v2: the container's own directory on the host, when it is known.
    pub own: Option<PathBuf>,
    /// v1: one entry a mounted hierarchy, in the host's order.
    pub hierarchies: Vec<CgroupHierarchy>,
    /// Without rights over cgroups a missing directory is masked, not an error.
    pub rootless: bool,
}

/// One v1 hierarchy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CgroupHierarchy {
    /// The mount point's last component on the host, such as `cpu,cpuacct`.
    pub name: String,
    /// Mount data that selects it: `cpu,cpuacct` or `name=systemd`.
    pub data: String,
    /// The container's directory in it, on the host.
    pub dir: PathBuf,
}

/// A v1 hierarchy in the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hierarchy {
    /// Directory below the tmpfs.
    #[serde(serialize_with = "crate::plan::text::one")]
    pub name: CString,
    /// One link a controller when several share the hierarchy.
    #[serde(serialize_with = "crate::plan::text::list")]
    pub links: Vec<CString>,
    /// How it is mounted in a cgroup namespace.
    pub fs: Fs,
    /// What is bound otherwise.
    #[serde(serialize_with = "crate::plan::text::one")]
    pub dir: CString,
}

/// Mounts of v1 hierarchies below one tmpfs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct V1 {
    /// The directory they stand in.
    pub tmpfs: Fs,
    /// `ro` was asked.
    pub readonly: bool,
    /// Mount (true) or bind the container's own directory.
    pub namespace: bool,
    /// One entry a hierarchy.
    pub hierarchies: Vec<Hierarchy>,
    /// [`attr`] bits of each bind.
    pub attrs: u64,
}

/// The v2 mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct V2 {
    /// The mount to try.
    pub fs: Fs,
    /// What to bind where the kernel refuses: a user namespace without a cgroup namespace
    /// (runc #2158).
    #[serde(serialize_with = "crate::plan::text::one")]
    pub fallback: CString,
    /// Cover the place when the fallback does not exist.
    pub mask_missing: bool,
}

const SAFE: u64 = attr::NOSUID | attr::NODEV | attr::NOEXEC;

/// Decides a mount of type `cgroup`.
pub(super) fn build(
    context: &Context<'_>,
    options: &Parsed,
    source: &CString,
    notes: &mut Vec<String>,
) -> Result<Action> {
    let facts = context.request.cgroup;
    if facts.unified {
        let fallback = match &facts.own {
            Some(own) if facts.namespace => own.clone(),
            _ => PathBuf::from("/sys/fs/cgroup"),
        };
        return Ok(Action::CgroupV2(V2 {
            fs: Fs::new(c"cgroup2", source, options.flags, &options.data, None)?,
            fallback: paths::host(&PathBuf::from("/"), &fallback)?,
            mask_missing: facts.rootless,
        }));
    }
    if !options.data.is_empty() {
        let data = options.data.join(",");
        notes.push(format!("mounts: a cgroup v1 mount ignores file system options {data:?}"));
    }
    let readonly = options.flags & ms::RDONLY != 0;
    let flags = ms::NOSUID | ms::NODEV | ms::NOEXEC | options.flags & ms::RDONLY;
    let hierarchies = facts.hierarchies.iter().map(|hierarchy| {
        let words: Vec<String> = hierarchy.data.split(',').map(str::to_owned).collect();
        let source = match hierarchy.data.starts_with("name=systemd") {
            true => c"systemd",
            false => c"cgroup",
        };
        let several = hierarchy.name.contains(',');
        let links = hierarchy.name.split(',').filter(|_| several);
        Ok(Hierarchy {
            name: paths::text(&hierarchy.name)?,
            links: links.map(paths::text).collect::<Result<_>>()?,
            fs: Fs::new(c"cgroup", source, flags, &words, None)?,
            dir: paths::host(&PathBuf::from("/"), &hierarchy.dir)?,
        })
    });
    let safe = ms::NOSUID | ms::NODEV | ms::NOEXEC;
    Ok(Action::CgroupV1(V1 {
        tmpfs: Fs::new(c"tmpfs", c"tmpfs", safe, &["mode=755".to_owned()], context.label)?,
        readonly,
        namespace: facts.namespace,
        hierarchies: hierarchies.collect::<Result<_>>()?,
        attrs: options.attrs() | SAFE,
    }))
}
