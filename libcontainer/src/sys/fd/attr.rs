//! What a file is: type, owner, mount, file system, extended attributes.

use std::ffi::CStr;
use std::io;
use std::os::fd::AsFd;

use crate::sys::{done, errno, raw, size};

/// The parts of `struct stat` that decisions are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Type and permissions.
    pub mode: u32,
    /// Device of the file system.
    pub dev: u64,
    /// Which device this node is, for device nodes.
    pub rdev: u64,
    /// Inode number.
    pub ino: u64,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes.
    pub size: u64,
    /// Number of names.
    pub nlink: u64,
}

impl Stat {
    /// Whether the type bits are this `S_IF*`.
    pub const fn is(&self, kind: u32) -> bool {
        self.mode & libc::S_IFMT == kind
    }

    /// Whether both are the same file.
    pub const fn same_file(&self, other: &Self) -> bool {
        self.dev == other.dev && self.ino == other.ino
    }
}

fn stat_with(call: impl FnOnce(*mut libc::stat) -> libc::c_int) -> io::Result<Stat> {
    // SAFETY: struct stat is plain data for which all zeroes are valid.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    done(call(&raw mut stat))?;
    #[allow(
        clippy::unnecessary_cast,
        clippy::useless_conversion,
        reason = "the width of these fields differs between architectures"
    )]
    Ok(Stat {
        mode: stat.st_mode,
        dev: stat.st_dev,
        rdev: stat.st_rdev,
        ino: stat.st_ino,
        uid: stat.st_uid,
        gid: stat.st_gid,
        size: u64::try_from(stat.st_size).unwrap_or(0),
        nlink: u64::from(stat.st_nlink),
    })
}

/// What `fd` is (`fstat(2)`); also for `O_PATH` fds.
///
/// # Errors
/// `EBADF`.
pub fn fstat(fd: impl AsFd) -> io::Result<Stat> {
    // SAFETY: the pointer is to a whole struct stat.
    stat_with(|stat| unsafe { libc::fstat(raw(&fd), stat) })
}

/// What `path` below `dir` is; `AT_SYMLINK_NOFOLLOW`, `AT_EMPTY_PATH` in `flags` (`fstatat(2)`).
///
/// # Errors
/// `ENOENT` and those of `stat(2)`.
pub fn fstatat(dir: impl AsFd, path: &CStr, flags: i32) -> io::Result<Stat> {
    // SAFETY: `path` ends in NUL; the pointer is to a whole struct stat.
    stat_with(|stat| unsafe { libc::fstatat(raw(&dir), path.as_ptr(), stat, flags) })
}

/// What `path` itself is, link or not.
///
/// # Errors
/// As [`fstatat`].
pub fn fstatat_link(dir: impl AsFd, path: &CStr) -> io::Result<Stat> {
    fstatat(dir, path, libc::AT_SYMLINK_NOFOLLOW)
}

/// The id of the mount that `fd` lies on (`statx(2)`, `STATX_MNT_ID`, Linux 5.8).
///
/// # Errors
/// `ENOSYS` where the kernel does not say.
pub fn statx_mnt_id(fd: impl AsFd) -> io::Result<u64> {
    const STATX_MNT_ID: u32 = 0x1000;
    let flags = libc::AT_EMPTY_PATH | libc::AT_STATX_DONT_SYNC;
    // SAFETY: struct statx is plain data for which all zeroes are valid.
    let mut stat: libc::statx = unsafe { std::mem::zeroed() };
    // SAFETY: the path is an empty C string; the pointer is to a whole struct statx.
    done(unsafe { libc::statx(raw(&fd), c"".as_ptr(), flags, STATX_MNT_ID, &raw mut stat) })?;
    if stat.stx_mask & STATX_MNT_ID == 0 {
        return Err(errno(libc::ENOSYS).into());
    }
    Ok(stat.stx_mnt_id)
}

/// The file system's magic number (`statfs(2)`), such as `libc::PROC_SUPER_MAGIC`.
///
/// # Errors
/// `EBADF`.
pub fn fs_magic(fd: impl AsFd) -> io::Result<i64> {
    // SAFETY: struct statfs is plain data for which all zeroes are valid.
    let mut stat: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a whole struct statfs.
    done(unsafe { libc::fstatfs(raw(&fd), &raw mut stat) })?;
    #[allow(clippy::useless_conversion, reason = "narrower on some architectures")]
    Ok(i64::from(stat.f_type))
}

/// The mount's flags as `ST_*` (`statvfs(3)`): `ST_RDONLY`, `ST_NOSUID`, ...
///
/// # Errors
/// `EBADF`.
pub fn fs_flags(fd: impl AsFd) -> io::Result<u64> {
    // SAFETY: struct statvfs is plain data for which all zeroes are valid.
    let mut stat: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a whole struct statvfs. The C library makes one fstatfs call of
    // it, and has asked nobody else since the kernel gives the flags (2.6.36).
    done(unsafe { libc::fstatvfs(raw(&fd), &raw mut stat) })?;
    Ok(stat.f_flag)
}

/// Changes owner and group (`fchown(2)`); not for `O_PATH` fds.
///
/// # Errors
/// `EPERM`, `EROFS`; `EINVAL` for an id without a mapping here.
pub fn fchown(fd: impl AsFd, uid: u32, gid: u32) -> io::Result<()> {
    // SAFETY: takes no pointers.
    done(unsafe { libc::fchown(raw(&fd), uid, gid) })
}

/// Changes owner and group; `AT_EMPTY_PATH`, `AT_SYMLINK_NOFOLLOW` in `flags` (`fchownat(2)`).
///
/// # Errors
/// As [`fchown`].
pub fn fchownat(dir: impl AsFd, path: &CStr, uid: u32, gid: u32, flags: i32) -> io::Result<()> {
    // SAFETY: `path` ends in NUL.
    done(unsafe { libc::fchownat(raw(&dir), path.as_ptr(), uid, gid, flags) })
}

/// Changes the permissions (`fchmod(2)`); not for `O_PATH` fds.
///
/// # Errors
/// `EPERM`, `EROFS`, `EBADF` for `O_PATH`.
pub fn fchmod(fd: impl AsFd, mode: u32) -> io::Result<()> {
    // SAFETY: takes no pointers.
    done(unsafe { libc::fchmod(raw(&fd), mode) })
}

/// Sets access and modification time, seconds and nanoseconds each (`utimensat(2)`).
///
/// # Errors
/// `EPERM`, `EROFS`.
pub fn utimens(fd: impl AsFd, access: (i64, i64), modify: (i64, i64)) -> io::Result<()> {
    let times = [access, modify].map(|(tv_sec, tv_nsec)| libc::timespec { tv_sec, tv_nsec });
    // SAFETY: the pointer is to two timespecs.
    done(unsafe { libc::futimens(raw(&fd), times.as_ptr()) })
}

/// Reads an extended attribute; returns its length (`fgetxattr(2)`).
///
/// # Errors
/// `ENODATA` without it; `ERANGE` when the buffer is too small; `EOPNOTSUPP`.
pub fn fgetxattr(fd: impl AsFd, name: &CStr, value: &mut [u8]) -> io::Result<usize> {
    // SAFETY: `name` ends in NUL; the kernel writes at most `value.len()` bytes.
    size(unsafe {
        libc::fgetxattr(raw(&fd), name.as_ptr(), value.as_mut_ptr().cast(), value.len())
    })
}

/// Writes an extended attribute, made or replaced (`fsetxattr(2)`).
///
/// # Errors
/// `EOPNOTSUPP`, `EPERM`, `ENOSPC`.
pub fn fsetxattr(fd: impl AsFd, name: &CStr, value: &[u8]) -> io::Result<()> {
    // SAFETY: `name` ends in NUL; the kernel reads `value.len()` bytes.
    done(unsafe { libc::fsetxattr(raw(&fd), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fd::{CWD, open};

    #[test]
    fn proc_is_known_by_magic_and_mount() {
        let proc = open(c"/proc", libc::O_PATH | libc::O_DIRECTORY).unwrap();
        let root = open(c"/", libc::O_PATH | libc::O_DIRECTORY).unwrap();
        assert_eq!(fs_magic(&proc).unwrap(), libc::PROC_SUPER_MAGIC);
        assert_ne!(statx_mnt_id(&proc).unwrap(), statx_mnt_id(&root).unwrap());
        assert!(fs_flags(&proc).is_ok());
    }

    #[test]
    fn null_is_char_one_three() {
        let null = fstatat(CWD, c"/dev/null", 0).unwrap();
        assert!(null.is(libc::S_IFCHR));
        assert_eq!(null.rdev, libc::makedev(1, 3));
        let opened = fstat(open(c"/dev/null", libc::O_PATH).unwrap()).unwrap();
        assert!(opened.same_file(&null));
    }

    #[test]
    fn owner_and_mode_of_a_memfd() {
        let file = crate::sys::fd::memfd(c"attr", 0).unwrap();
        fchmod(&file, 0o640).unwrap();
        let stat = fstat(&file).unwrap();
        assert_eq!(stat.mode & 0o7777, 0o640);
        fchown(&file, stat.uid, stat.gid).unwrap();
        fchownat(&file, c"", stat.uid, stat.gid, libc::AT_EMPTY_PATH).unwrap();
        utimens(&file, (1, 0), (2, 0)).unwrap();
        let none = fgetxattr(&file, c"trusted.corten", &mut [0; 8]).unwrap_err();
        assert!(matches!(none.raw_os_error(), Some(libc::ENODATA | libc::EOPNOTSUPP)), "{none}");
    }
}
