//! Bind mounts: a copy of the source's mount, detached, flagged, then moved in.

use std::io;
use std::os::fd::OwnedFd;

use super::mount::{attach, set_attrs};
use super::root::{RootFd, Want};
use super::{Work, helper, is_errno, refusal, refused};
use crate::plan::mounts::{Bind, MountOp};
use crate::sys::fd::{CWD, fs_magic, fstat};
use crate::sys::mount::{AT_RECURSIVE, OPEN_TREE_CLONE, open_tree};

/// Takes a detached copy of the source, as seen from here.
///
/// # Errors
/// Those of open_tree(2).
pub(super) fn take(bind: &Bind) -> io::Result<OwnedFd> {
    let all = if bind.recursive { AT_RECURSIVE } else { 0 };
    open_tree(CWD, &bind.source, OPEN_TREE_CLONE | all)
}

/// The source's tree: taken early, by ourselves, or by the helper where only the host may.
pub(super) fn source(work: &mut Work, index: usize, bind: &Bind) -> io::Result<OwnedFd> {
    if let Some(tree) = work.trees.get_mut(index).and_then(Option::take) {
        return Ok(tree);
    }
    let Some(helper) = &work.helper else { return helper::mapped(bind, &work.ids) };
    if bind.id_map.is_some() {
        return helper.ask(index);
    }
    match take(bind) {
        Err(error) if error.raw_os_error() == Some(libc::EACCES) => helper.ask(index),
        taken => taken,
    }
}

/// Binds a source's tree at its place.
pub(super) fn mount(
    root: &RootFd,
    op: &MountOp,
    bind: &Bind,
    tree: OwnedFd,
) -> io::Result<OwnedFd> {
    if bind.procfs_only && fs_magic(&tree)? != libc::PROC_SUPER_MAGIC {
        return refused(refusal::NOT_PROC);
    }
    set_flags(&tree, bind)?;
    let want = match fstat(&tree)?.is(libc::S_IFDIR) {
        true => Want::Directory,
        false => Want::File,
    };
    let target = root.target(&op.target, op.place, want)?;
    attach(&tree, op, &target)?;
    Ok(tree)
}

/// The flags that were named and no others; where a user namespace locks the source's own
/// (mount_namespaces(7)), these with the named ones on top. A word against a locked flag fails.
fn set_flags(tree: &OwnedFd, bind: &Bind) -> io::Result<()> {
    let Some(exact) = bind.exact else { return Ok(()) };
    let set = set_attrs(tree, exact, false);
    match is_errno(&set, libc::EPERM) {
        true => set_attrs(tree, bind.named, false),
        false => set,
    }
}
