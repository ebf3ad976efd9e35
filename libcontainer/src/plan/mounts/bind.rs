//! Decides a bind mount: its source, its flags, its ids.

use std::ffi::CString;
use std::path::Path;

use oci_spec::runtime::Mount;
use serde::Serialize;

use super::op::Context;
use super::{map_lines, mappings};
use crate::error::Result;
use crate::plan::mount_options::{Attrs, Parsed, attr, attrs_of, ms};
use crate::plan::paths::{self, InRoot};

/// A bind mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bind {
    /// Absolute path on the host.
    #[serde(serialize_with = "crate::plan::text::one")]
    pub source: CString,
    /// With submounts.
    pub recursive: bool,
    /// Exactly these flags, as `mount --bind -o` gives; `None` when none was named.
    pub exact: Option<Attrs>,
    /// What was named, on top of the source's own flags, which a user namespace may lock.
    pub named: Attrs,
    /// Mapped ids.
    pub id_map: Option<IdMap>,
    /// The source must be a procfs: it covers `/proc`.
    pub procfs_only: bool,
    /// The source holds the root file system: take it before anything is mounted there
    /// (runc #4767).
    pub early: bool,
}

/// An idmapped mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IdMap {
    /// Submounts too (`ridmap`).
    pub recursive: bool,
    /// Whose ids.
    pub user_namespace: UserNamespace,
}

/// A user namespace that gives ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UserNamespace {
    /// An existing one.
    #[serde(serialize_with = "crate::plan::text::one")]
    Path(CString),
    /// One made for it: the texts of its map files.
    Maps {
        /// `uid_map`.
        uid: String,
        /// `gid_map`.
        gid: String,
    },
}

/// Decides a bind mount.
pub(super) fn build(
    context: &Context<'_>,
    mount: &Mount,
    target: &InRoot,
    options: &Parsed,
) -> Result<Bind, String> {
    let request = context.request;
    let source = match mount.source() {
        Some(source) if !source.as_os_str().is_empty() => source,
        _ => return Err("the bind mount has no source".into()),
    };
    let recursive = options.flags & ms::REC != 0;
    let clean = |path: &Path| InRoot::new(path).map_err(|error| error.to_string());
    let (whole, rootfs) = (clean(&request.bundle.join(source))?, clean(request.rootfs)?);
    let (exact, named) = bind_attrs(options);
    Ok(Bind {
        source: paths::host(request.bundle, source).map_err(|error| error.to_string())?,
        recursive,
        exact,
        named,
        id_map: id_map(context, mount, options)?,
        procfs_only: target.is("proc"),
        early: recursive && rootfs.is_within(&whole),
    })
}

/// Flags of a bind mount: exactly the named ones, else (locked by a user namespace) the source's
/// own with the named ones on top.
///
/// As with mount(8) and runc, access times change only where a mode or `nodiratime` is named;
/// `nosymfollow` cannot be locked, so it goes unless named (mount_namespaces(7)).
fn bind_attrs(options: &Parsed) -> (Option<Attrs>, Attrs) {
    let flags = options.flags & !(ms::BIND | ms::REC | ms::REMOUNT);
    let atime = match flags & (ms::ATIME_MODES | ms::NODIRATIME) {
        0 => 0,
        _ => attr::ATIME | attr::NODIRATIME,
    };
    let set = attrs_of(flags);
    let all = attr::RDONLY | attr::NOSUID | attr::NODEV | attr::NOEXEC | attr::NOSYMFOLLOW;
    let cleared = attrs_of(options.cleared) & all;
    let named = Attrs { set, clear: cleared | atime | attr::NOSYMFOLLOW & !set };
    if flags == 0 && options.cleared == 0 {
        return (None, named);
    }
    (Some(Attrs { set, clear: all & !set | atime }), named)
}

fn id_map(context: &Context<'_>, mount: &Mount, options: &Parsed) -> Result<Option<IdMap>, String> {
    let own = mappings::of(mount, context.request.spec.linux().as_ref())?;
    let user_namespace = match own {
        None if options.id_map.is_none() => return Ok(None),
        _ if context.request.rootless => {
            return Err("id-mapped mounts are not supported for rootless containers".into());
        }
        None => context.container.cloned().ok_or(
            "id-mapped mounts must have both uid and gid mappings specified, \
             or a container with a user namespace",
        )?,
        Some(own) => UserNamespace::Maps { uid: map_lines(&own.uids), gid: map_lines(&own.gids) },
    };
    Ok(Some(IdMap { recursive: options.id_map == Some(true), user_namespace }))
}
