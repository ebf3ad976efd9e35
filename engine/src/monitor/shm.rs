//! `--ipc container:NAME`: the other container's `/dev/shm`, as the mount that it is.
//!
//! It is taken out of the other's mount namespace by descriptor and put down in the monitor's own,
//! so that it keeps its size and nothing of it shows on the host. The lookup happens inside of the
//! other container, by a thread that was moved there: what it has made of its `/dev/shm` leads to
//! nothing but its own files.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::thread;

use libcontainer::sys::clone::{CLONE_NEWNS, setns, unshare};
use libcontainer::sys::mount::{AT_EMPTY_PATH, OPEN_TREE_CLONE, open_tree};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::mount::{MoveMountFlags, UnmountFlags, move_mount, unmount};

use crate::container::record::Record;
use crate::error::{Error, Result, What};

/// Its directory below what the container needs while it runs.
const SHM: &str = "shm";
/// The thread's root and working directory are its own (`clone(2)`).
const CLONE_FS: u64 = 0x200;

/// Whether others may join the container's IPC namespace.
pub(super) fn shared(record: &Record) -> bool {
    record.flags.isolation.ipc.as_deref() == Some("shareable")
}

/// Puts the shared memory of `other`, whose first process is `pid`, below `live`; where it is.
///
/// # Errors
/// That container does not share, or has ended.
pub(super) fn join(live: &Path, (name, other, pid): (&str, &Record, i32)) -> Result<PathBuf> {
    let what = || format!("cannot join the IPC of container {name}");
    if !shared(other) {
        return Err(Error::new(what())
            .why("non-shareable IPC")
            .fix("start that container with --ipc shareable"));
    }
    let taken = thread::spawn(move || take(pid)).join();
    let memory = taken.unwrap_or_else(|_| Err(io::ErrorKind::Other.into())).what(what)?;
    let target = live.join(SHM);
    fs::create_dir_all(&target).what(what)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(&memory, c"", CWD, &target, flags).what(what)?;
    Ok(target)
}

/// Takes it off again, so that the directory can go.
pub(super) fn leave(live: &Path) {
    // Not mounted: the container has joined nobody's.
    let _ = unmount(live.join(SHM), UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
}

/// A detached copy of the mount `/dev/shm` of a process; the calling thread is at its place then.
fn take(pid: i32) -> io::Result<OwnedFd> {
    let theirs = File::open(format!("/proc/{pid}/ns/mnt"))?;
    unshare(CLONE_FS)?;
    setns(&theirs, CLONE_NEWNS)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let plain = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let memory = openat2(CWD, "/dev/shm", flags, Mode::empty(), plain)?;
    open_tree(&memory, c"", OPEN_TREE_CLONE | AT_EMPTY_PATH)
}
