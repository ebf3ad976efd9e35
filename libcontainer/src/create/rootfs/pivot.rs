//! The root file system as a mount of its own, and the change into it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::mount::{propagate, set_attrs};
use super::root::RootFd;
use super::{Work, bind, failure, is_errno, refusal, refused, restrict};
use crate::create::report::Failure;
use crate::error::Step;
use crate::plan::mount_options::{Attrs, Propagate, Propagation, attr};
use crate::plan::mounts::{Action, Mounts};
use crate::plan::paths::PATH_MAX;
use crate::sys::cred::{chdir, fchdir, umask};
use crate::sys::fd::{CWD, fstat, open, openat};
use crate::sys::mount::{
    AT_EMPTY_PATH, AT_RECURSIVE, MOVE_MOUNT_F_EMPTY_PATH, MountAttr, OPEN_TREE_CLONE, chroot,
    mount, mount_setattr, move_mount, move_mount_fd, open_tree, pivot_root, umount2,
};

const DIRECTORY: i32 = libc::O_PATH | libc::O_DIRECTORY;

/// What the host's mounts become in our namespace unless the configuration says otherwise:
/// what the host mounts arrives, what we mount stays here.
const RECEIVE: Propagate = Propagate { kind: Propagation::Slave, recursive: true };

/// Cuts the tree off the host's and makes the root file system a mount of its own.
///
/// Sets the umask to 0 so that every mode here is exact; the caller sets the container's later.
///
/// # Errors
/// [`Step::Rootfs`]; item 0 propagation, 1 the root, 2 its parent, 3 its copy, 4 the null device.
/// [`Step::Mount`] with a mount's index for a source taken here.
pub fn open_root(plan: &Mounts, work: &mut Work) -> Result<(), Failure> {
    umask(0);
    let at = |item| failure(Step::Rootfs, item);
    if plan.namespace {
        propagate_all(first_propagation(plan)).map_err(at(0))?;
    }
    let place = open(&plan.rootfs, DIRECTORY).map_err(at(1))?;
    if plan.namespace {
        // pivot_root(2) refuses a shared parent, and our mount would travel to the host.
        close_parent(plan, &place).map_err(at(2))?;
    }
    for (index, op) in plan.list.iter().enumerate() {
        if let Action::Bind(bind) = &op.action
            && bind.early
        {
            let tree = bind::source(work, index, bind).map_err(failure(Step::Mount, index))?;
            if let Some(slot) = work.trees.get_mut(index) {
                *slot = Some(tree);
            }
        }
    }
    let all = OPEN_TREE_CLONE | AT_RECURSIVE | AT_EMPTY_PATH;
    let tree = open_tree(&place, c"", all).map_err(at(3))?;
    if plan.namespace {
        move_mount_fd(&tree, &place).map_err(at(3))?;
    } else {
        // The host's own namespace: the tree stays detached, nothing of it is ever seen there,
        // and it goes with the container's last process.
        let private = [Propagate { kind: Propagation::Private, recursive: true }];
        propagate(&tree, &private).map_err(at(3))?;
    }
    work.root = Some(RootFd::new(tree));
    if !plan.masked.is_empty() {
        work.null = Some(restrict::take_null().map_err(at(4))?);
    }
    Ok(())
}

/// What all mounts get before the first one of ours. Unbindable is for the new root alone: sources
/// of bind mounts must stay bindable until they are bound.
fn first_propagation(plan: &Mounts) -> Propagate {
    match plan.propagation {
        Some(to) if to.kind != Propagation::Unbindable => to,
        _ => RECEIVE,
    }
}

fn propagate_all(to: Propagate) -> io::Result<()> {
    let all = if to.recursive { libc::MS_REC } else { 0 };
    mount(None, c"/", None, to.kind.bits() | all, None)
}

/// Makes the mount that holds the rootfs private (or slave, where asked): goes up to its root.
fn close_parent(plan: &Mounts, place: &OwnedFd) -> io::Result<()> {
    let slave = plan.propagation.is_some_and(|to| to.kind == Propagation::Slave);
    let kind = if slave { Propagation::Slave } else { Propagation::Private };
    let attr = MountAttr { propagation: kind.bits(), ..MountAttr::default() };
    let mut at = openat(place, c".", DIRECTORY, 0)?;
    for _ in 0..PATH_MAX / 2 {
        let set = mount_setattr(&at, c"", AT_EMPTY_PATH, &attr);
        if !is_errno(&set, libc::EINVAL) {
            return set;
        }
        let above = openat(&at, c"..", DIRECTORY, 0)?;
        if fstat(&above)?.same_file(&fstat(&at)?) {
            return set;
        }
        at = above;
    }
    Err(io::Error::from_raw_os_error(libc::ELOOP))
}

/// Makes the tree the root of this process, and the host's unreachable.
///
/// # Errors
/// [`Step::PivotRoot`]; item 0 the change, 1 the old root, 2 the new root's propagation.
pub fn pivot(plan: &Mounts, work: &mut Work) -> Result<(), Failure> {
    let at = |item| failure(Step::PivotRoot, item);
    work.helper = None; // nobody asks any more
    let root = work.root().map_err(at(0))?;
    if !plan.namespace {
        return enter(root).map_err(at(0));
    }
    if plan.no_pivot {
        hide_kernel_mounts(work).map_err(at(1))?;
        let target = move_mount(root.as_fd(), c"", CWD, c"/", MOVE_MOUNT_F_EMPTY_PATH);
        target.and_then(|()| enter(root)).map_err(at(0))?;
    } else {
        let old = open(c"/", DIRECTORY).map_err(at(0))?;
        fchdir(root.as_fd()).and_then(|()| pivot_root(c".", c".")).map_err(at(0))?;
        leave(&old).map_err(at(1))?;
    }
    // Private and slave are what the parent gave it already.
    match plan.propagation {
        Some(to) if !matches!(to.kind, Propagation::Private | Propagation::Slave) => {
            propagate(root.as_fd(), &[to]).map_err(at(2))
        }
        _ => Ok(()),
    }
}

fn enter(root: &RootFd) -> io::Result<()> {
    fchdir(root.as_fd())?;
    chroot(c".")?;
    chdir(c"/")
}

/// Unmounts the old root, which pivot_root put over the new one.
fn leave(old: &OwnedFd) -> io::Result<()> {
    // Slave, so that unmounting here unmounts nothing on the host; not private, which would keep
    // mounts busy that the host wants to unmount meanwhile.
    let slave = [RECEIVE];
    propagate(old.as_fd(), &slave)?;
    fchdir(old)?;
    umount2(c".", libc::MNT_DETACH)?;
    chdir(c"/")
}

/// chroot(2) leaves the host's mounts in the namespace, and the kernel allows a new procfs or
/// sysfs only where an uncovered one is seen: so take them away, or cover them.
fn hide_kernel_mounts(work: &Work) -> io::Result<()> {
    for path in &work.host_kernel_mounts {
        let slave = mount(None, path, None, libc::MS_SLAVE | libc::MS_REC, None);
        if is_errno(&slave, libc::ENOENT) || is_errno(&slave, libc::EINVAL) {
            continue; // It went with one above it.
        }
        slave?;
        let gone = umount2(path, libc::MNT_DETACH);
        match gone.as_ref().map_err(io::Error::raw_os_error) {
            Err(Some(libc::EINVAL | libc::EPERM)) => {
                mount(Some(c"tmpfs"), path, Some(c"tmpfs"), 0, None)?;
            }
            _ => gone?,
        }
    }
    Ok(())
}

/// Makes the root read-only, where the configuration says so.
///
/// # Errors
/// [`Step::Rootfs`], item 5.
pub fn readonly_root(plan: &Mounts, work: &Work) -> Result<(), Failure> {
    if !plan.readonly {
        return Ok(());
    }
    let readonly = Attrs { set: attr::RDONLY, clear: 0 };
    let root = work.root().map_err(failure(Step::Rootfs, 5))?;
    set_attrs(root.as_fd(), readonly, false).map_err(failure(Step::Rootfs, 5))
}

/// Says why mounts cannot be made in a tree that is attached nowhere.
pub(super) fn explain_detached(plan: &Mounts, error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::EINVAL) if !plan.namespace => {
            let refused: io::Result<()> = refused(refusal::NEEDS_NAMESPACE);
            refused.err().unwrap_or(error)
        }
        _ => error,
    }
}
