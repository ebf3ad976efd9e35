//! Masked and read-only paths.
//!
//! What covers a path never comes from the container: files are covered by the host's
//! `/dev/null`, taken before anything of the container was mounted and checked by its number
//! (CVE-2025-31133); directories by one empty, read-only tmpfs, bound as often as needed. Only a
//! *target* that does not exist is passed over.

use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;

use super::devices::is_null;
use super::mount::set_attrs;
use super::root::RootFd;
use super::{Work, failure, is_errno, refusal, refused};
use crate::create::report::Failure;
use crate::error::Step;
use crate::plan::mount_options::{Attrs, attr};
use crate::plan::mounts::Mounts;
use crate::plan::paths::InRoot;
use crate::sys::fd::{CWD, fstat};
use crate::sys::mount::{
    AT_EMPTY_PATH, AT_RECURSIVE, OPEN_TREE_CLONE, fsconfig_create, fsconfig_flag, fsconfig_string,
    fsmount, fsopen, move_mount_fd, open_tree,
};

/// Makes the read-only paths read-only, then masks the masked ones.
///
/// # Errors
/// [`Step::Mask`]; the item counts read-only paths first, then masked ones.
pub fn restrict(plan: &Mounts, work: &mut Work) -> Result<(), Failure> {
    let null = work.null.take();
    let root = work.root().map_err(failure(Step::Mask, 0))?;
    for (index, path) in plan.readonly_paths.iter().enumerate() {
        readonly(root, path).map_err(failure(Step::Mask, index))?;
    }
    let mut files = Cover { source: null, used: false };
    let mut directories = Cover { source: None, used: false };
    for (index, path) in plan.masked.iter().enumerate() {
        let item = plan.readonly_paths.len() + index;
        mask(plan, root, path, &mut files, &mut directories).map_err(failure(Step::Mask, item))?;
    }
    Ok(())
}

/// Opens a path of the container; `None` when it does not exist.
fn find(root: &RootFd, path: &InRoot) -> io::Result<Option<OwnedFd>> {
    let found = root.open(path, libc::O_PATH);
    if is_errno(&found, libc::ENOENT) { Ok(None) } else { found.map(Some) }
}

fn readonly(root: &RootFd, path: &InRoot) -> io::Result<()> {
    let Some(place) = find(root, path)? else { return Ok(()) };
    let tree = open_tree(&place, c"", OPEN_TREE_CLONE | AT_RECURSIVE | AT_EMPTY_PATH)?;
    set_attrs(&tree, Attrs { set: attr::RDONLY, clear: 0 }, true)?;
    move_mount_fd(tree, place)
}

/// Something that covers many places: the first place gets the mount itself, the others copies
/// (a copy of a mount that is attached nowhere needs Linux 6.15).
struct Cover {
    source: Option<OwnedFd>,
    used: bool,
}

impl Cover {
    fn put(&mut self, place: &OwnedFd) -> io::Result<()> {
        match &self.source {
            None => Err(io::Error::from_raw_os_error(libc::EBADF)),
            Some(source) if self.used => {
                move_mount_fd(open_tree(source, c"", OPEN_TREE_CLONE | AT_EMPTY_PATH)?, place)
            }
            Some(source) => {
                move_mount_fd(source, place)?;
                self.used = true;
                Ok(())
            }
        }
    }
}

fn mask(
    plan: &Mounts,
    root: &RootFd,
    path: &InRoot,
    files: &mut Cover,
    directories: &mut Cover,
) -> io::Result<()> {
    let Some(place) = find(root, path)? else { return Ok(()) };
    if !fstat(&place)?.is(libc::S_IFDIR) {
        return files.put(&place);
    }
    if directories.source.is_none() {
        directories.source = Some(empty_directory(plan)?);
    }
    directories.put(&place)
}

/// Takes the host's null device for masked files; refuses anything else at its path.
///
/// # Errors
/// Those of open_tree(2); [`refusal::OTHER_DEVICE`].
pub(super) fn take_null() -> io::Result<OwnedFd> {
    let tree = open_tree(CWD, c"/dev/null", OPEN_TREE_CLONE)?;
    match is_null(&fstat(&tree)?) {
        true => Ok(tree),
        false => refused(refusal::OTHER_DEVICE),
    }
}

/// A detached, empty, read-only directory with the plan's label.
pub(super) fn empty_directory(plan: &Mounts) -> io::Result<OwnedFd> {
    empty_tmpfs(plan.label.as_deref())
}

/// A detached, empty, read-only directory.
///
/// # Errors
/// Those of fsopen(2) to fsmount(2).
pub(super) fn empty_tmpfs(label: Option<&CStr>) -> io::Result<OwnedFd> {
    let with = |inodes: &CStr| {
        let context = fsopen(c"tmpfs")?;
        fsconfig_string(&context, c"source", c"tmpfs")?;
        fsconfig_string(&context, c"nr_blocks", c"1")?;
        fsconfig_string(&context, c"nr_inodes", inodes)?;
        fsconfig_flag(&context, c"ro")?;
        if let Some(label) = label {
            fsconfig_string(&context, c"context", label)?;
        }
        fsconfig_create(&context)?;
        fsmount(&context, attr::RDONLY | attr::NOSUID | attr::NODEV | attr::NOEXEC)
    };
    // Ubuntu 20.04's kernel refuses a tmpfs of one inode (runc #5348).
    with(c"1").or_else(|_| with(c"2"))
}
