//! A procfs of our own, for every write to `/proc`.
//!
//! The container's `/proc` is never believed: a fake one swallows labels (CVE-2019-16884), one
//! with something mounted over a file sends the write elsewhere (CVE-2025-52881). This one is
//! mounted by us, attached nowhere, checked, and walked without links, without leaving it and
//! without crossing a mount.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::{refusal, refused};
use crate::plan::mount_options::attr;
use crate::sys::fd::{
    CWD, RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV, fs_magic,
    fstat, openat2, readlinkat, write,
};
use crate::sys::mount::{
    AT_RECURSIVE, OPEN_TREE_CLONE, fsconfig_create, fsmount, fsopen, open_tree,
};

/// Only the root of a procfs has this inode (`PROC_ROOT_INO`, `linux/proc_ns.h`).
const ROOT_INODE: u64 = 1;

/// The whole walk stays in the one mount, with no link of any kind.
const RESOLVE: u64 =
    RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;

/// A checked procfs that nobody else can reach.
#[derive(Debug)]
pub struct ProcFs(OwnedFd);

/// Mounts a procfs of the caller's pid namespace, attached nowhere.
///
/// Where the kernel refuses a new one (inside a container whose `/proc` is partly covered) the
/// `/proc` seen from here is copied instead: call it before the pivot.
///
/// # Errors
/// `EPERM` where neither is allowed; [`refusal::UNSAFE_PROC`] when `/proc` is not a procfs.
pub fn open_private() -> io::Result<ProcFs> {
    let own = fsopen(c"proc").and_then(|context| {
        fsconfig_create(&context)?;
        fsmount(&context, attr::NOSUID | attr::NODEV | attr::NOEXEC)
    });
    let tree = match own {
        Ok(tree) => tree,
        // Locked mounts below forbid a copy without them; then they are copied, and never crossed.
        Err(_) => open_tree(CWD, c"/proc", OPEN_TREE_CLONE)
            .or_else(|_| open_tree(CWD, c"/proc", OPEN_TREE_CLONE | AT_RECURSIVE))?,
    };
    if fs_magic(&tree)? != libc::PROC_SUPER_MAGIC || fstat(&tree)?.ino != ROOT_INODE {
        return refused(refusal::UNSAFE_PROC);
    }
    Ok(ProcFs(tree))
}

/// Writes `bytes` in one call to `path`, relative to the procfs.
///
/// # Errors
/// `EXDEV` or `ELOOP` when something lies over the path; those of openat2(2) and write(2); `EIO`
/// for a short write.
pub fn write_proc(proc: &ProcFs, path: &CStr, bytes: &[u8]) -> io::Result<()> {
    put(proc.as_fd(), path, bytes)
}

/// Writes `bytes` in one call to a file of this very process, such as `attr/exec`.
///
/// # Errors
/// As [`write_proc`].
pub fn write_self(proc: &ProcFs, path: &CStr, bytes: &[u8]) -> io::Result<()> {
    put(proc.own()?.as_fd(), path, bytes)
}

fn put(dir: BorrowedFd<'_>, path: &CStr, bytes: &[u8]) -> io::Result<()> {
    let file = openat2(dir, path, libc::O_WRONLY | libc::O_NOFOLLOW, 0, RESOLVE)?;
    if fs_magic(&file)? != libc::PROC_SUPER_MAGIC {
        return refused(refusal::UNSAFE_PROC);
    }
    match write(&file, bytes)? {
        length if length == bytes.len() => Ok(()),
        _ => Err(io::Error::from_raw_os_error(libc::EIO)),
    }
}

impl ProcFs {
    /// The procfs's root.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    /// As [`write_proc`].
    pub fn open(&self, path: &CStr) -> io::Result<OwnedFd> {
        openat2(&self.0, path, libc::O_RDONLY | libc::O_NOFOLLOW, 0, RESOLVE)
    }

    /// This process's directory. Its name comes from the procfs itself, because a copied one
    /// counts in another pid namespace than we do.
    fn own(&self) -> io::Result<OwnedFd> {
        let mut name = [0; 16];
        let length = readlinkat(&self.0, c"self", &mut name)?;
        let digits = name.get(..length).is_some_and(|name| name.iter().all(u8::is_ascii_digit));
        match CStr::from_bytes_until_nul(&name) {
            Ok(name) if digits => {
                openat2(&self.0, name, libc::O_PATH | libc::O_DIRECTORY, 0, RESOLVE)
            }
            _ => refused(refusal::UNSAFE_PROC),
        }
    }
}
