//! Mounts of type `cgroup`, see [`crate::plan::mounts::cgroup`] for what they show and why.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::fs::create;
use super::mount::{attach, close, mount_by_path, propagate, set_attrs};
use super::root::{RootFd, Want, open_at};
use super::{is_errno, restrict};
use crate::plan::mount_options::{Attrs, attr};
use crate::plan::mounts::cgroup::{Hierarchy, V1, V2};
use crate::plan::mounts::{MountOp, Mounts};
use crate::sys::fd::{CWD, mkdirat, symlinkat};
use crate::sys::mount::{AT_RECURSIVE, OPEN_TREE_CLONE, move_mount_fd, open_tree};

/// A tmpfs with one mount a hierarchy and one link a co-mounted controller.
pub(super) fn mount_v1(plan: &Mounts, root: &RootFd, op: &MountOp, v1: &V1) -> io::Result<OwnedFd> {
    let target = root.target(&op.target, op.place, Want::Directory)?;
    let tmpfs = create(&v1.tmpfs, None)?;
    for hierarchy in &v1.hierarchies {
        mkdirat(&tmpfs, &hierarchy.name, 0o755)?;
        for link in &hierarchy.links {
            symlinkat(&hierarchy.name, &tmpfs, link)?;
        }
    }
    // Attached before it is filled: until Linux 6.15 nothing can be mounted on a detached mount.
    attach(&tmpfs, op, &target)?;
    for hierarchy in &v1.hierarchies {
        let place = open_at(&tmpfs, &hierarchy.name, libc::O_PATH | libc::O_DIRECTORY)?;
        let tree = hierarchy_tree(v1, hierarchy)?;
        set_attrs(&tree, op.recursive, true)?;
        propagate(&tree, &op.propagation)?;
        move_mount_fd(tree, place)?;
    }
    if v1.readonly {
        close(plan, &tmpfs)?;
    }
    Ok(tmpfs)
}

fn hierarchy_tree(v1: &V1, hierarchy: &Hierarchy) -> io::Result<OwnedFd> {
    if v1.namespace {
        return Ok(create(&hierarchy.fs, None)?);
    }
    bind_all(&hierarchy.dir, v1.attrs)
}

/// A new cgroup2 mount, or where the kernel refuses one a bind of what the host has.
pub(super) fn mount_v2(root: &RootFd, op: &MountOp, v2: &V2) -> io::Result<OwnedFd> {
    let target = root.target(&op.target, op.place, Want::Directory)?;
    let refused = match create(&v2.fs, None) {
        Ok(tree) => {
            attach(&tree, op, &target)?;
            return Ok(tree);
        }
        Err(super::fs::Refused::Settings(_)) => {
            return mount_by_path(root, op, &v2.fs, None, &target);
        }
        Err(super::fs::Refused::Mount(error)) => error,
    };
    if !matches!(refused.raw_os_error(), Some(libc::EPERM | libc::EBUSY)) {
        return Err(refused);
    }
    let bound = bind_all(&v2.fallback, v2.fs.attrs);
    let tree = match v2.mask_missing && is_errno(&bound, libc::ENOENT) {
        // Nothing of ours to show, and what /sys shows there would be the host's.
        true => restrict::empty_tmpfs(None)?,
        false => bound?,
    };
    attach(&tree, op, &target)?;
    Ok(tree)
}

/// A detached copy with all below it; the attributes hold for all of it (CVE-2023-25809).
fn bind_all(source: &std::ffi::CStr, attrs: u64) -> io::Result<OwnedFd> {
    let tree = open_tree(CWD, source, OPEN_TREE_CLONE | AT_RECURSIVE)?;
    set_attrs(tree.as_fd(), Attrs { set: attrs & !attr::ATIME, clear: 0 }, true)?;
    Ok(tree)
}
