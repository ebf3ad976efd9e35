//! Carries out the list of mounts.

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};

use super::pivot::explain_detached;
use super::root::{RootFd, Target, Want};
use super::{Work, bind, cgroup, failure, fs, is_errno, refusal, refused};
use crate::create::report::Failure;
use crate::error::Step;
use crate::plan::mount_options::{Attrs, Propagate, attr};
use crate::plan::mounts::{Action, Fs, MountOp, Mounts};
use crate::plan::paths::PATH_MAX;
use crate::sys::fd::{PROC_FD_PATH, fs_magic, fstat, proc_fd_path, statx_mnt_id};
use crate::sys::mount::{
    AT_EMPTY_PATH, AT_RECURSIVE, FSPICK_EMPTY_PATH, MountAttr, fsconfig_flag, fsconfig_reconfigure,
    fspick, mount, mount_setattr, move_mount_fd,
};

/// Makes the mounts `range` of the list, in order.
///
/// # Errors
/// [`Step::Mount`] with the mount's index.
pub fn mount_all(plan: &Mounts, work: &mut Work, range: Range<usize>) -> Result<(), Failure> {
    for index in range {
        let Some(op) = plan.list.get(index) else { break };
        one(plan, work, index, op)
            .map_err(|error| explain_detached(plan, error))
            .map_err(failure(Step::Mount, index))?;
    }
    Ok(())
}

fn one(plan: &Mounts, work: &mut Work, index: usize, op: &MountOp) -> io::Result<()> {
    let source = match &op.action {
        Action::Bind(bind) => Some(bind::source(work, index, bind)?),
        _ => None,
    };
    let root = work.root()?;
    let made = match &op.action {
        Action::Fs(fs) => fs::mount(plan, root, op, fs)?,
        Action::Bind(bind) => match source {
            Some(tree) => bind::mount(root, op, bind, tree)?,
            None => return refused(refusal::NOT_PREPARED),
        },
        Action::Remount(fs) => remount(root, op, fs)?,
        Action::CgroupV1(v1) => cgroup::mount_v1(plan, root, op, v1)?,
        Action::CgroupV2(v2) => cgroup::mount_v2(root, op, v2)?,
    };
    if plan.namespace {
        // Once more: a shared parent has made it shared.
        propagate(&made, &op.propagation)?;
    }
    if let (true, Some(slot)) = (op.late_readonly, work.late.get_mut(index)) {
        *slot = Some(made);
    }
    Ok(())
}

/// Makes read-only what had to stay writable while the tree was built.
///
/// # Errors
/// [`Step::Mount`] with the mount's index.
pub fn close_readonly(plan: &Mounts, work: &Work) -> Result<(), Failure> {
    for (index, _) in plan.list.iter().enumerate().filter(|(_, op)| op.late_readonly) {
        let closed = match work.late.get(index) {
            Some(Some(made)) => close(plan, made),
            _ => refused(refusal::CHANGED),
        };
        closed.map_err(failure(Step::Mount, index))?;
    }
    Ok(())
}

/// Makes a tmpfs, or what else we have mounted at `/dev`, read-only.
///
/// # Errors
/// Those of mount_setattr(2), fsconfig(2); [`refusal::NEEDS_NAMESPACE`].
pub(super) fn close(plan: &Mounts, made: &OwnedFd) -> io::Result<()> {
    if plan.namespace {
        return set_attrs(made, Attrs { set: attr::RDONLY, clear: 0 }, false);
    }
    // The kernel changes no mount inside a tree that is attached nowhere; a tmpfs is ours alone,
    // so the file system itself can be changed.
    if fs_magic(made)? != libc::TMPFS_MAGIC {
        return refused(refusal::NEEDS_NAMESPACE);
    }
    let context = fspick(made, c"", FSPICK_EMPTY_PATH)?;
    fsconfig_flag(&context, c"ro")?;
    fsconfig_reconfigure(&context)
}

/// Changes attributes of a mount, or of a whole tree.
///
/// # Errors
/// Those of mount_setattr(2).
pub(super) fn set_attrs(tree: impl AsFd, attrs: Attrs, recursive: bool) -> io::Result<()> {
    if attrs == Attrs::default() {
        return Ok(());
    }
    let attr = MountAttr { set: attrs.set, clear: attrs.clear, ..MountAttr::default() };
    let all = if recursive { AT_RECURSIVE } else { 0 };
    mount_setattr(tree, c"", AT_EMPTY_PATH | all, &attr)
}

/// Sets propagation types, in order.
///
/// # Errors
/// Those of mount_setattr(2).
pub(super) fn propagate(tree: impl AsFd, types: &[Propagate]) -> io::Result<()> {
    for kind in types {
        let attr = MountAttr { propagation: kind.kind.bits(), ..MountAttr::default() };
        let all = if kind.recursive { AT_RECURSIVE } else { 0 };
        mount_setattr(&tree, c"", AT_EMPTY_PATH | all, &attr)?;
    }
    Ok(())
}

/// Moves a finished tree to its place, with attributes and propagation of the whole tree set.
///
/// # Errors
/// Those of mount_setattr(2), move_mount(2); `ENOTDIR` when only one of both is a directory, as
/// mount(2) says it (move_mount(2) has `EINVAL` for that).
pub(super) fn attach(tree: &OwnedFd, op: &MountOp, target: &Target) -> io::Result<()> {
    set_attrs(tree, op.recursive, true)?;
    propagate(tree, &op.propagation)?;
    let moved = move_mount_fd(tree, &target.fd);
    let directory = |fd: &OwnedFd| fstat(fd).map(|stat| stat.is(libc::S_IFDIR));
    if is_errno(&moved, libc::EINVAL) && directory(tree)? != directory(&target.fd)? {
        return Err(io::Error::from_raw_os_error(libc::ENOTDIR));
    }
    moved
}

/// Changes what is mounted at the target already.
fn remount(root: &RootFd, op: &MountOp, fs: &Fs) -> io::Result<OwnedFd> {
    let target = root.target(&op.target, op.place, Want::Directory)?;
    let mut path = [0; PROC_FD_PATH];
    let path = proc_fd_path(&target.fd, &mut path);
    mount(None, path, None, fs.flags, Some(&fs.data))?;
    set_attrs(&target.fd, op.recursive, true)?;
    Ok(target.fd)
}

/// mount(2), for what the new calls cannot do; gives the new mount's root.
///
/// `mode` is put before the data. The descriptor of the new mount is looked up again: checked to
/// be another mount than the one covered, or refused.
///
/// # Errors
/// Those of mount(2); [`refusal::CHANGED`].
pub(super) fn mount_by_path(
    root: &RootFd,
    op: &MountOp,
    fs: &Fs,
    mode: Option<u32>,
    target: &Target,
) -> io::Result<OwnedFd> {
    let mut path = [0; PROC_FD_PATH];
    let path = proc_fd_path(&target.fd, &mut path);
    let mut data = [0; PATH_MAX];
    let data = fs::data_with_mode(&mut data, fs, mode)?;
    mount(Some(&fs.source), path, Some(&fs.fstype), fs.flags, Some(data))?;
    let made = root.target(&op.target, op.place, Want::Directory)?.fd;
    if statx_mnt_id(&made)? == statx_mnt_id(&target.fd)? {
        return refused(refusal::CHANGED);
    }
    set_attrs(&made, op.recursive, true)?;
    Ok(made)
}
