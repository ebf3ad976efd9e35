//! Opening, making and removing names below a directory.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::sys::{done, errno, owned, owned_long, raw, retry, size};

/// The working directory, for calls that take a directory.
// SAFETY: AT_FDCWD is not -1 and every *at call accepts it as long as the program runs.
pub const CWD: BorrowedFd<'static> = unsafe { BorrowedFd::borrow_raw(libc::AT_FDCWD) };

/// Standard input, output and error, which are open whenever an init stage runs; in a process
/// that closed one of them, calls with it give `EBADF`.
// SAFETY: 0 to 2 are not -1, and nobody owns them who could close them meanwhile.
pub const STDIO: [BorrowedFd<'static>; 3] =
    unsafe { [BorrowedFd::borrow_raw(0), BorrowedFd::borrow_raw(1), BorrowedFd::borrow_raw(2)] };

/// Do not cross mount points (`openat2(2)`).
pub const RESOLVE_NO_XDEV: u64 = 0x01;
/// No magic links such as `/proc/self/fd/N` (`openat2(2)`).
pub const RESOLVE_NO_MAGICLINKS: u64 = 0x02;
/// No symbolic links at all (`openat2(2)`).
pub const RESOLVE_NO_SYMLINKS: u64 = 0x04;
/// Leaving the directory, even for a moment, is an error (`openat2(2)`).
pub const RESOLVE_BENEATH: u64 = 0x08;
/// The directory is `/` for `..` and absolute links (`openat2(2)`).
pub const RESOLVE_IN_ROOT: u64 = 0x10;
/// Only what needs no disk (`openat2(2)`, Linux 5.12).
pub const RESOLVE_CACHED: u64 = 0x20;

/// How often a lookup below a root is repeated when renames elsewhere disturb it. The kernel
/// gives `EAGAIN` for any rename or mount on the machine while it walks `..`, so a busy host
/// needs a few turns; an attacker who renames without end gets an error.
const DISTURBED_MAX: u32 = 128;

/// Opens `path` below `dir` under the rules of `resolve` (`openat2(2)`, Linux 5.6).
///
/// `mode` counts only with `O_CREAT` or `O_TMPFILE`. Repeats what a rename elsewhere disturbed.
///
/// # Errors
/// `EXDEV` or `ELOOP` when the path breaks a rule of `resolve`; `EAGAIN` when it stays disturbed;
/// `EINVAL` for unknown flags; `ENOSYS` before Linux 5.6; those of `open(2)`.
pub fn openat2(
    dir: impl AsFd,
    path: &CStr,
    flags: i32,
    mode: u32,
    resolve: u64,
) -> io::Result<OwnedFd> {
    let makes = flags & libc::O_CREAT != 0 || flags & libc::O_TMPFILE == libc::O_TMPFILE;
    // SAFETY: open_how is plain data for which all zeroes are valid.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = u64::from((flags | libc::O_CLOEXEC).cast_unsigned());
    how.mode = if makes { u64::from(mode) } else { 0 };
    how.resolve = resolve;
    let mut disturbed = 0;
    loop {
        let opened = retry(|| {
            // SAFETY: `path` ends in NUL; `how` is a whole open_how of the size passed.
            owned_long(unsafe {
                libc::syscall(
                    libc::SYS_openat2,
                    raw(&dir),
                    path.as_ptr(),
                    &raw const how,
                    size_of::<libc::open_how>(),
                )
            })
        });
        match opened {
            Err(e) if e.raw_os_error() == Some(libc::EAGAIN) && disturbed < DISTURBED_MAX => {
                disturbed += 1;
            }
            other => return other,
        }
    }
}

/// Opens `path` below `dir` (`openat(2)`); links and `..` lead anywhere.
///
/// # Errors
/// Those of `open(2)`.
pub fn openat(dir: impl AsFd, path: &CStr, flags: i32, mode: u32) -> io::Result<OwnedFd> {
    let flags = flags | libc::O_CLOEXEC;
    // SAFETY: `path` ends in NUL.
    retry(|| owned(unsafe { libc::openat(raw(&dir), path.as_ptr(), flags, mode) }))
}

/// Opens `path` as seen from the working directory (`open(2)`); makes nothing.
///
/// # Errors
/// Those of `open(2)`.
pub fn open(path: &CStr, flags: i32) -> io::Result<OwnedFd> {
    openat(CWD, path, flags & !libc::O_CREAT, 0)
}

/// Makes a directory (`mkdirat(2)`); the umask applies.
///
/// # Errors
/// `EEXIST` and those of `mkdir(2)`.
pub fn mkdirat(dir: impl AsFd, path: &CStr, mode: u32) -> io::Result<()> {
    // SAFETY: `path` ends in NUL.
    done(unsafe { libc::mkdirat(raw(&dir), path.as_ptr(), mode) })
}

/// Makes a device node, fifo or plain file; `mode` includes the type (`mknodat(2)`); the umask
/// applies. Never follows a link in the last component.
///
/// # Errors
/// `EEXIST`; `EPERM` for a device without `CAP_MKNOD`, or in a user namespace.
pub fn mknodat(dir: impl AsFd, path: &CStr, mode: u32, dev: u64) -> io::Result<()> {
    // SAFETY: `path` ends in NUL.
    done(unsafe { libc::mknodat(raw(&dir), path.as_ptr(), mode, dev) })
}

/// Makes a fifo (`mkfifoat(3)`); the umask applies.
///
/// # Errors
/// `EEXIST` and those of `mknod(2)`.
pub fn mkfifoat(dir: impl AsFd, path: &CStr, mode: u32) -> io::Result<()> {
    mknodat(dir, path, libc::S_IFIFO | (mode & 0o7777), 0)
}

/// Makes `path` a symbolic link to `target` (`symlinkat(2)`).
///
/// # Errors
/// `EEXIST` and those of `symlink(2)`.
pub fn symlinkat(target: &CStr, dir: impl AsFd, path: &CStr) -> io::Result<()> {
    // SAFETY: both strings end in NUL.
    done(unsafe { libc::symlinkat(target.as_ptr(), raw(&dir), path.as_ptr()) })
}

/// Gives an open file a name: `AT_EMPTY_PATH` or `AT_SYMLINK_FOLLOW` in `flags` (`linkat(2)`).
///
/// # Errors
/// `EEXIST`, `EXDEV` and those of `link(2)`.
pub fn linkat(
    from: impl AsFd,
    from_path: &CStr,
    to: impl AsFd,
    to_path: &CStr,
    flags: i32,
) -> io::Result<()> {
    // SAFETY: both strings end in NUL.
    done(unsafe { libc::linkat(raw(&from), from_path.as_ptr(), raw(&to), to_path.as_ptr(), flags) })
}

/// Renames, replacing the target at once (`renameat(2)`).
///
/// # Errors
/// Those of `rename(2)`.
pub fn renameat(from: impl AsFd, old: &CStr, to: impl AsFd, new: &CStr) -> io::Result<()> {
    // SAFETY: both strings end in NUL.
    done(unsafe { libc::renameat(raw(&from), old.as_ptr(), raw(&to), new.as_ptr()) })
}

/// Removes a name; with `AT_REMOVEDIR` an empty directory (`unlinkat(2)`).
///
/// # Errors
/// `ENOENT`, `ENOTEMPTY`, `EBUSY` for a mount point, and those of `unlink(2)`.
pub fn unlinkat(dir: impl AsFd, path: &CStr, flags: i32) -> io::Result<()> {
    // SAFETY: `path` ends in NUL.
    done(unsafe { libc::unlinkat(raw(&dir), path.as_ptr(), flags) })
}

/// Reads a symbolic link; returns its length, never more than the buffer's (`readlinkat(2)`).
/// An empty `path` reads the link that `dir` was opened on with `O_PATH | O_NOFOLLOW`.
///
/// # Errors
/// `ENAMETOOLONG` when the buffer may have cut it; `EINVAL` when it is no link; `ENOENT`.
pub fn readlinkat(dir: impl AsFd, path: &CStr, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: `path` ends in NUL; the kernel writes at most `buffer.len()` bytes.
    let length = size(unsafe {
        libc::readlinkat(raw(&dir), path.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len())
    })?;
    if length == buffer.len() { Err(errno(libc::ENAMETOOLONG).into()) } else { Ok(length) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fd::{fstatat_link, read, write_all};

    fn scratch(name: &str) -> (std::path::PathBuf, OwnedFd) {
        let path = std::env::temp_dir().join(format!("corten-open-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        let c = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
        let dir = open(&c, libc::O_PATH | libc::O_DIRECTORY).unwrap();
        (path, dir)
    }

    #[test]
    fn links_stay_below_the_root() {
        let (path, dir) = scratch("root");
        mkdirat(&dir, c"etc", 0o755).unwrap();
        let made = openat(&dir, c"etc/name", libc::O_CREAT | libc::O_WRONLY, 0o600).unwrap();
        write_all(&made, b"inside").unwrap();
        symlinkat(c"/etc/name", &dir, c"absolute").unwrap();
        symlinkat(c"../../../../etc/name", &dir, c"dots").unwrap();
        for link in [c"absolute", c"dots"] {
            let found = openat2(&dir, link, libc::O_RDONLY, 0o777, RESOLVE_IN_ROOT).unwrap();
            let mut text = [0; 16];
            let n = read(&found, &mut text).unwrap();
            assert_eq!(&text[..n], b"inside");
            let refused = openat2(&dir, link, libc::O_RDONLY, 0, RESOLVE_NO_SYMLINKS).unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(libc::ELOOP));
            let refused = openat2(&dir, link, libc::O_RDONLY, 0, RESOLVE_BENEATH).unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(libc::EXDEV));
        }
        std::fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn names_come_and_go() {
        let (path, dir) = scratch("names");
        mkfifoat(&dir, c"fifo", 0o600).unwrap();
        let fifo = fstatat_link(&dir, c"fifo").unwrap();
        assert_eq!(fifo.mode & libc::S_IFMT, libc::S_IFIFO);
        renameat(&dir, c"fifo", &dir, c"pipe").unwrap();
        linkat(&dir, c"pipe", &dir, c"twin", 0).unwrap();
        assert_eq!(fstatat_link(&dir, c"twin").unwrap().nlink, 2);
        symlinkat(c"four", &dir, c"link").unwrap();
        let mut text = [0; 8];
        assert_eq!(readlinkat(&dir, c"link", &mut text).unwrap(), 4);
        let cut = readlinkat(&dir, c"link", &mut text[..4]).unwrap_err();
        assert_eq!(cut.raw_os_error(), Some(libc::ENAMETOOLONG));
        for name in [c"pipe", c"twin", c"link"] {
            unlinkat(&dir, name, 0).unwrap();
        }
        mkdirat(&dir, c"sub", 0o700).unwrap();
        unlinkat(&dir, c"sub", libc::AT_REMOVEDIR).unwrap();
        std::fs::remove_dir(path).unwrap();
    }
}
