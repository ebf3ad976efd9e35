//! Device nodes, links and the console below `/dev`.
//!
//! `/dev` may be a link of the image, and with a shared volume it may change while we work: every
//! name here is made in a directory descriptor found in the root (CVE-2026-41579), and what was
//! made is opened once, checked, and only then given its owner (CVE-2025-52565).

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::root::{RootFd, open_at};
use super::{Work, failure, is_errno, refusal, refused};
use crate::create::report::Failure;
use crate::error::Step;
use crate::plan::devices::{Kind, Link, Node, device_number};
use crate::plan::mounts::Mounts;
use crate::sys::fd::{
    CWD, STDIO, dup3, fchownat, fs_magic, fstat, fstatat, mknodat, openat2, symlinkat, unlinkat,
};
use crate::sys::mount::{AT_EMPTY_PATH, OPEN_TREE_CLONE, move_mount_fd, open_tree};

/// Makes the nodes, then the links.
///
/// # Errors
/// [`Step::Device`]; the item counts nodes first, then links.
pub fn make_devices(plan: &Mounts, work: &Work) -> Result<(), Failure> {
    let Some(dev) = &plan.dev else { return Ok(()) };
    let root = work.root().map_err(failure(Step::Device, 0))?;
    let mut parent = Parent::default();
    for (index, node) in dev.nodes.iter().enumerate() {
        make_node(root, &mut parent, node).map_err(failure(Step::Device, index))?;
    }
    for (index, link) in dev.links.iter().enumerate() {
        let item = dev.nodes.len() + index;
        make_link(root, &mut parent, link).map_err(failure(Step::Device, item))?;
    }
    Ok(())
}

/// The directory that the last name was made in: nearly always `/dev` again.
#[derive(Default)]
struct Parent<'a> {
    dir: Option<(&'a [u8], OwnedFd)>,
}

impl<'a> Parent<'a> {
    fn find(
        &mut self,
        root: &RootFd,
        path: &'a crate::plan::paths::InRoot,
    ) -> io::Result<(BorrowedFd<'_>, &'a CStr)> {
        let bytes = path.as_c_str().to_bytes_with_nul();
        let cut = path.as_bytes().iter().rposition(|byte| *byte == b'/');
        let dir = bytes.get(..cut.unwrap_or(0)).unwrap_or_default();
        let last = bytes.get(cut.map_or(0, |cut| cut + 1)..).unwrap_or_default();
        if self.dir.as_ref().is_none_or(|(known, _)| *known != dir) {
            self.dir = Some((dir, root.parent(path)?.0));
        }
        match (&self.dir, CStr::from_bytes_with_nul(last)) {
            (Some((_, fd)), Ok(last)) => Ok((fd.as_fd(), last)),
            _ => Err(io::Error::from_raw_os_error(libc::EINVAL)),
        }
    }
}

fn make_node<'a>(root: &RootFd, parent: &mut Parent<'a>, node: &'a Node) -> io::Result<()> {
    let (dir, name) = parent.find(root, &node.path)?;
    if node.bind {
        return bind_node(dir, name, node);
    }
    let made = mknodat(dir, name, node.kind.file_type() | node.mode, node.rdev);
    match made.as_ref().map_err(io::Error::raw_os_error) {
        Ok(()) if node.uid == 0 && node.gid == 0 => return Ok(()),
        Ok(()) => {}
        Err(Some(libc::EEXIST)) => match open_at(dir, name, libc::O_PATH | libc::O_NOFOLLOW) {
            Ok(fd) if is_device(&fd, node)? => {}
            Ok(_) if node.default => return bind_node(dir, name, node),
            Err(error) if error.raw_os_error() != Some(libc::ELOOP) => return Err(error),
            _ => return refused(refusal::OTHER_FILE),
        },
        Err(Some(libc::EPERM)) => return bind_node(dir, name, node),
        Err(_) => return made,
    }
    let fd = open_at(dir, name, libc::O_PATH | libc::O_NOFOLLOW)?;
    if !is_device(&fd, node)? {
        return refused(refusal::CHANGED);
    }
    if node.default {
        return Ok(());
    }
    fchownat(&fd, c"", node.uid, node.gid, libc::AT_EMPTY_PATH)
}

/// Whether this is the node asked for; pipes have no number.
fn is_device(fd: impl AsFd, node: &Node) -> io::Result<bool> {
    let stat = fstat(fd)?;
    Ok(stat.is(node.kind.file_type()) && (node.kind == Kind::Fifo || stat.rdev == node.rdev))
}

/// Puts the host's node over a file, where nodes cannot be made.
fn bind_node(dir: BorrowedFd<'_>, name: &CStr, node: &Node) -> io::Result<()> {
    let tree = open_tree(CWD, &node.host, OPEN_TREE_CLONE)?;
    if !is_device(&tree, node)? {
        return refused(refusal::OTHER_DEVICE);
    }
    let made = mknodat(dir, name, libc::S_IFREG, 0);
    if !is_errno(&made, libc::EEXIST) {
        made?;
    }
    cover(dir, name, tree)
}

/// Moves a file's mount over a file; links and directories are no places for devices.
fn cover(dir: BorrowedFd<'_>, name: &CStr, tree: OwnedFd) -> io::Result<()> {
    let place = open_at(dir, name, libc::O_PATH | libc::O_NOFOLLOW);
    if is_errno(&place, libc::ELOOP) {
        return refused(refusal::OTHER_FILE);
    }
    let place = place?;
    let stat = fstat(&place)?;
    if stat.is(libc::S_IFLNK) || stat.is(libc::S_IFDIR) {
        return refused(refusal::OTHER_FILE);
    }
    move_mount_fd(tree, place)
}

fn make_link<'a>(root: &RootFd, parent: &mut Parent<'a>, link: &'a Link) -> io::Result<()> {
    if link.if_exists && fstatat(CWD, &link.target, 0).is_err() {
        return Ok(());
    }
    let (dir, name) = parent.find(root, &link.path)?;
    if link.replace {
        let gone = unlinkat(dir, name, 0);
        if !is_errno(&gone, libc::ENOENT) {
            gone?;
        }
    }
    let made = symlinkat(&link.target, dir, name);
    if is_errno(&made, libc::EEXIST) && !link.replace { Ok(()) } else { made }
}

/// Opens the container's `/dev/pts` and checks that it is a devpts.
///
/// # Errors
/// [`Step::Console`].
pub fn devpts(work: &Work) -> Result<OwnedFd, Failure> {
    let open = || {
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        let strict = crate::sys::fd::RESOLVE_IN_ROOT
            | crate::sys::fd::RESOLVE_NO_MAGICLINKS
            | crate::sys::fd::RESOLVE_NO_SYMLINKS;
        let dir = openat2(work.root()?.as_fd(), c"dev/pts", flags, 0, strict)?;
        if fs_magic(&dir)? != libc::DEVPTS_SUPER_MAGIC {
            return refused(refusal::NOT_DEVPTS);
        }
        let ptmx = open_at(&dir, c"ptmx", libc::O_PATH | libc::O_NOFOLLOW)?;
        let stat = fstat(&ptmx)?;
        match stat.is(libc::S_IFCHR) && stat.rdev == device_number(5, 2) {
            true => Ok(dir),
            false => refused(refusal::NOT_DEVPTS),
        }
    };
    open().map_err(failure(Step::Console, 0))
}

/// Puts the terminal's other side over `/dev/console`.
///
/// # Errors
/// [`Step::Console`].
pub fn bind_console(work: &Work, terminal: BorrowedFd<'_>) -> Result<(), Failure> {
    let bind = || {
        let tree = open_tree(terminal, c"", OPEN_TREE_CLONE | AT_EMPTY_PATH)?;
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        let strict = crate::sys::fd::RESOLVE_IN_ROOT | crate::sys::fd::RESOLVE_NO_MAGICLINKS;
        let dev = openat2(work.root()?.as_fd(), c"dev", flags, 0, strict)?;
        let made = mknodat(&dev, c"console", libc::S_IFREG | 0o600, 0);
        if !is_errno(&made, libc::EEXIST) {
            made?;
        }
        cover(dev.as_fd(), c"console", tree)
    };
    bind().map_err(failure(Step::Console, 1))
}

/// Standard streams that are the host's `/dev/null` become the container's, so that a host's
/// device (and its file system) is not what the container holds.
///
/// # Errors
/// [`Step::Fds`].
pub fn reopen_null(plan: &Mounts, work: &Work) -> Result<(), Failure> {
    if plan.dev.is_none() {
        return Ok(());
    }
    let reopen = || {
        let mut null = None;
        for (number, stream) in (0..).zip(STDIO) {
            if !fstat(stream).is_ok_and(|stat| is_null(&stat)) {
                continue;
            }
            if null.is_none() {
                null = Some(open_null(work.root()?)?);
            }
            if let Some(null) = &null {
                dup3(null, number, 0)?;
            }
        }
        Ok(())
    };
    reopen().map_err(failure(Step::Fds, 0))
}

fn open_null(root: &RootFd) -> io::Result<OwnedFd> {
    let strict = crate::sys::fd::RESOLVE_IN_ROOT | crate::sys::fd::RESOLVE_NO_MAGICLINKS;
    // Looked at before it is opened: opening a hostile FIFO or device would do something.
    let seen = openat2(root.as_fd(), c"dev/null", libc::O_PATH | libc::O_NOFOLLOW, 0, strict)?;
    if !is_null(&fstat(&seen)?) {
        return refused(refusal::OTHER_FILE);
    }
    let flags = libc::O_RDWR | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let null = openat2(root.as_fd(), c"dev/null", flags, 0, strict)?;
    match is_null(&fstat(&null)?) {
        true => Ok(null),
        false => refused(refusal::CHANGED),
    }
}

/// The null device, by number.
pub(super) fn is_null(stat: &crate::sys::fd::Stat) -> bool {
    stat.is(libc::S_IFCHR) && stat.rdev == device_number(1, 3)
}
