//! `tmpcopyup`: a new tmpfs starts with what it covers.
//!
//! The source is the image's, so it may hold anything: links are copied as links, pipes and
//! devices are made anew, sockets are left out, and every name is opened below a descriptor
//! without following links. Memory is bounded by a depth, size by the tmpfs itself.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::root::open_at;
use super::{is_errno, refusal, refused};
use crate::plan::paths::PATH_MAX;
use crate::sys::fd::{
    DirReader, Stat, fchmod, fchown, fchownat, fstat, fstatat, mkdirat, mknodat, openat, read,
    readlinkat, sendfile, symlinkat, write_all,
};

/// Directories in each other; two descriptors and 6 KiB of stack each.
const DEPTH_MAX: u32 = 64;
const AT_ONCE: usize = 1 << 20;

/// Copies the content, owner and mode of `from` (`O_PATH`) into `to`, the root of a new mount.
///
/// # Errors
/// [`refusal::TOO_DEEP`]; `ENOSPC` when the tmpfs is too small; those of the calls.
pub(super) fn copy(from: &OwnedFd, to: &OwnedFd) -> io::Result<()> {
    let from = openat(from, c".", libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
    let to = openat(to, c".", libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
    directory(&from, &to, 0)
}

fn directory(from: &OwnedFd, to: &OwnedFd, depth: u32) -> io::Result<()> {
    if depth == DEPTH_MAX {
        return refused(refusal::TOO_DEEP);
    }
    let mut buffer = [0; 1024];
    let mut names = DirReader::new(from.as_fd(), &mut buffer);
    while let Some(entry) = names.next_entry()? {
        let stat = fstatat(from, entry.name, libc::AT_SYMLINK_NOFOLLOW)?;
        one(from.as_fd(), to.as_fd(), entry.name, &stat, depth)?;
    }
    Ok(())
}

fn one(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    name: &CStr,
    stat: &Stat,
    depth: u32,
) -> io::Result<()> {
    match stat.mode & libc::S_IFMT {
        libc::S_IFDIR => {
            let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW;
            let source = open_at(from, name, flags)?;
            mkdirat(to, name, 0o700)?;
            let made = open_at(to, name, flags)?;
            directory(&source, &made, depth + 1)?;
            owner(&made, stat)
        }
        libc::S_IFREG => file(from, to, name, stat),
        libc::S_IFLNK => {
            let mut target = [0; PATH_MAX];
            let length = readlinkat(from, name, &mut target)?;
            match target.get_mut(length) {
                Some(end) => *end = 0,
                None => return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG)),
            }
            let target = CStr::from_bytes_until_nul(&target)
                .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
            symlinkat(target, to, name)?;
            fchownat(to, name, stat.uid, stat.gid, libc::AT_SYMLINK_NOFOLLOW)
        }
        libc::S_IFIFO | libc::S_IFCHR | libc::S_IFBLK => {
            let made = mknodat(to, name, stat.mode, stat.rdev);
            if is_errno(&made, libc::EPERM) {
                return Ok(()); // Devices cannot be made in a user namespace.
            }
            made?;
            fchownat(to, name, stat.uid, stat.gid, libc::AT_SYMLINK_NOFOLLOW)
        }
        _ => Ok(()), // A socket is its owner's, a copy of it nobody's.
    }
}

fn file(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> io::Result<()> {
    // Not blocking: should a pipe take the file's place meanwhile, nobody waits for it.
    let flags = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let source = open_at(from, name, flags)?;
    if !fstat(&source)?.same_file(stat) {
        return refused(refusal::CHANGED);
    }
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;
    let made = openat(to, name, flags, 0o600)?;
    loop {
        match sendfile(&source, &made, AT_ONCE) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                by_hand(&source, &made)?;
                break;
            }
            Err(error) => return Err(error),
        }
    }
    owner(&made, stat)
}

/// For file systems without splice.
fn by_hand(from: &OwnedFd, to: &OwnedFd) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        match read(from, &mut buffer)? {
            0 => return Ok(()),
            length => write_all(to, buffer.get(..length).unwrap_or_default())?,
        }
    }
}

/// Owner first: chown(2) takes the set-id bits away.
fn owner(made: &OwnedFd, stat: &Stat) -> io::Result<()> {
    fchown(made, stat.uid, stat.gid)?;
    fchmod(made, stat.mode & 0o7777)
}
