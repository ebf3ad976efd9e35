//! Reading, writing, waiting, and the fd table itself.

use std::ffi::CStr;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use libc::{c_int, c_uint};

use super::PROC_FD_PATH;
use crate::sys::{check, done, done_long, errno, owned, raw, retry, size};

/// Take a private copy of the fd table first (`close_range(2)`).
pub const CLOSE_RANGE_UNSHARE: u32 = 1 << 1;
/// Mark instead of closing (`close_range(2)`, Linux 5.11).
pub const CLOSE_RANGE_CLOEXEC: u32 = 1 << 2;

/// Reads once; 0 is the end (`read(2)`).
///
/// # Errors
/// `EAGAIN` for a non-blocking fd without data, and those of `read(2)`.
pub fn read(fd: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the kernel writes at most `buffer.len()` bytes.
    retry(|| size(unsafe { libc::read(raw(&fd), buffer.as_mut_ptr().cast(), buffer.len()) }))
}

/// Writes once, maybe a part (`write(2)`).
///
/// # Errors
/// `EAGAIN` for a non-blocking fd that is full, `EPIPE`, and those of `write(2)`.
pub fn write(fd: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: the kernel reads `bytes.len()` bytes.
    retry(|| size(unsafe { libc::write(raw(&fd), bytes.as_ptr().cast(), bytes.len()) }))
}

/// Writes all of it.
///
/// # Errors
/// As [`write()`]; `EIO` when nothing more is taken.
pub fn write_all(fd: impl AsFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match write(&fd, bytes)? {
            0 => return Err(errno(libc::EIO).into()),
            n => bytes = bytes.get(n..).unwrap_or_default(),
        }
    }
    Ok(())
}

/// Writes at an offset (`pwrite(2)`).
///
/// # Errors
/// As [`write()`]; `ESPIPE` for a pipe.
pub fn pwrite(fd: impl AsFd, bytes: &[u8], offset: i64) -> io::Result<usize> {
    // SAFETY: the kernel reads `bytes.len()` bytes.
    retry(|| size(unsafe { libc::pwrite(raw(&fd), bytes.as_ptr().cast(), bytes.len(), offset) }))
}

/// Reads at an offset, leaving the position alone (`pread(2)`).
///
/// # Errors
/// As [`read`]; `ESPIPE` for what has no position.
pub fn pread(fd: impl AsFd, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let offset = i64::try_from(offset).map_err(|_| errno(libc::EINVAL))?;
    let (start, length) = (buffer.as_mut_ptr().cast(), buffer.len());
    // SAFETY: the kernel writes at most `length` bytes, which `buffer` has.
    retry(|| size(unsafe { libc::pread(raw(&fd), start, length, offset) }))
}

/// Moves the position; returns the new one (`lseek(2)`).
///
/// # Errors
/// `ESPIPE`, `EINVAL`; `ENXIO` for `SEEK_DATA` past the last data.
pub fn lseek(fd: impl AsFd, offset: i64, whence: i32) -> io::Result<u64> {
    // SAFETY: takes no pointers.
    let at = unsafe { libc::lseek(raw(&fd), offset, whence) };
    u64::try_from(at).map_err(|_| io::Error::last_os_error())
}

/// Copies up to `length` bytes inside the kernel, from both positions on; 0 is the end
/// (`copy_file_range(2)`).
///
/// # Errors
/// `EXDEV`, `EINVAL`, `EOPNOTSUPP` where the file systems cannot: use [`sendfile`] then.
pub fn copy_file_range(from: impl AsFd, to: impl AsFd, length: usize) -> io::Result<usize> {
    let here = std::ptr::null_mut();
    // SAFETY: null offsets mean the fds' own positions.
    retry(|| size(unsafe { libc::copy_file_range(raw(&from), here, raw(&to), here, length, 0) }))
}

/// Copies up to `length` bytes from a file; 0 is the end (`sendfile(2)`).
///
/// # Errors
/// `EINVAL` for fds that cannot, and those of `write(2)`.
pub fn sendfile(from: impl AsFd, to: impl AsFd, length: usize) -> io::Result<usize> {
    let here = std::ptr::null_mut();
    // SAFETY: a null offset means the fd's own position.
    retry(|| size(unsafe { libc::sendfile(raw(&to), raw(&from), here, length) }))
}

/// Sets the length (`ftruncate(2)`).
///
/// # Errors
/// `EINVAL`, `EFBIG`, `EPERM` for a sealed file.
pub fn ftruncate(fd: impl AsFd, length: i64) -> io::Result<()> {
    // SAFETY: takes no pointers.
    retry(|| done(unsafe { libc::ftruncate(raw(&fd), length) }))
}

/// Waits until the data is on the disk (`fdatasync(2)`).
///
/// # Errors
/// `EIO`, `ENOSPC`.
pub fn fdatasync(fd: impl AsFd) -> io::Result<()> {
    // SAFETY: takes no pointers.
    retry(|| done(unsafe { libc::fdatasync(raw(&fd)) }))
}

/// Closes, or marks with [`CLOSE_RANGE_CLOEXEC`], all fds from `first` to `last`, both included
/// (`close_range(2)`, Linux 5.9).
///
/// Closing takes fds away from their owners: for the child only, which runs no destructors.
///
/// # Errors
/// `EINVAL` for an empty range or an unknown flag; `ENOSYS`.
pub fn close_range(first: u32, last: u32, flags: u32) -> io::Result<()> {
    // SAFETY: takes no pointers; the process that closes fds of others is the child, see above.
    done_long(unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) })
}

/// Closes every fd from `first` to `last`, open or not (`close(2)`), where [`close_range`] cannot
/// be had.
pub fn close_each(first: u32, last: u32) {
    for number in first..=last {
        // SAFETY: takes no pointers; the process that closes fds of others is the child, see above.
        unsafe { libc::syscall(libc::SYS_close, number) };
    }
}

/// Makes fd number `new` a copy of `fd`, whatever it was before; `O_CLOEXEC` or 0 in `flags`
/// (`dup3(2)`). Where both are the same only the flag is changed.
///
/// # Errors
/// `EBADF` above the limit; `EBUSY` in a race with an open.
pub fn dup3(fd: impl AsFd, new: RawFd, flags: i32) -> io::Result<()> {
    if raw(&fd) == new {
        return set_cloexec(fd, flags & libc::O_CLOEXEC != 0);
    }
    // SAFETY: takes no pointers; `new` is a number that the caller has set aside.
    retry(|| done(unsafe { libc::dup3(raw(&fd), new, flags) }))
}

/// Sets or clears close-on-exec (`fcntl(2)`).
///
/// # Errors
/// `EBADF`.
pub fn set_cloexec(fd: impl AsFd, on: bool) -> io::Result<()> {
    let flags = if on { libc::FD_CLOEXEC } else { 0 };
    // SAFETY: takes no pointers.
    done(unsafe { libc::fcntl(raw(&fd), libc::F_SETFD, flags) })
}

/// The status flags, `O_*` (`fcntl(2)`).
///
/// # Errors
/// `EBADF`.
pub fn fcntl_getfl(fd: impl AsFd) -> io::Result<i32> {
    // SAFETY: takes no pointers.
    check(unsafe { libc::fcntl(raw(&fd), libc::F_GETFL) })
}

/// Changes the status flags, such as `O_NONBLOCK` (`fcntl(2)`).
///
/// # Errors
/// `EPERM` for `O_APPEND` or `O_NOATIME` that may not change.
pub fn fcntl_setfl(fd: impl AsFd, flags: i32) -> io::Result<()> {
    // SAFETY: takes no pointers.
    done(unsafe { libc::fcntl(raw(&fd), libc::F_SETFL, flags) })
}

/// Whether fd number `fd` is open; for numbers that came with us through execve.
pub fn is_open(fd: RawFd) -> bool {
    // SAFETY: takes no pointers; F_GETFD only looks.
    unsafe { libc::fcntl(fd, libc::F_GETFD) != -1 }
}

/// Whether fd number `number` is open and passes execve: left there by the caller, not by us.
pub fn is_inheritable(number: u32) -> bool {
    // SAFETY: takes no pointers; F_GETFD only looks.
    let flags = unsafe { libc::fcntl(number.cast_signed(), libc::F_GETFD) };
    flags != -1 && flags & libc::FD_CLOEXEC == 0
}

/// Standard input, output or error (0 to 2), when it is open.
pub fn stdio(number: RawFd) -> Option<BorrowedFd<'static>> {
    if !(0..3).contains(&number) || !is_open(number) {
        return None;
    }
    // SAFETY: it is open, and nobody in this program closes stdio.
    Some(unsafe { BorrowedFd::borrow_raw(number) })
}

/// A file in memory (`memfd_create(2)`); `MFD_*` in `flags`.
///
/// # Errors
/// `EINVAL` for an unknown flag, `EACCES` where `MFD_EXEC` is forbidden by sysctl.
pub fn memfd(name: &CStr, flags: u32) -> io::Result<OwnedFd> {
    // SAFETY: `name` ends in NUL.
    owned(unsafe { libc::memfd_create(name.as_ptr(), flags | libc::MFD_CLOEXEC) })
}

/// Forbids changes to a memfd made with `MFD_ALLOW_SEALING`: `F_SEAL_*` (`fcntl(2)`).
///
/// # Errors
/// `EPERM` when sealing itself is sealed; `EBUSY` while it is mapped writable.
pub fn seal(fd: impl AsFd, seals: i32) -> io::Result<()> {
    // SAFETY: takes no pointers.
    done(unsafe { libc::fcntl(raw(&fd), libc::F_ADD_SEALS, seals) })
}

/// The seals of a memfd: `F_SEAL_*` (`fcntl(2)`).
///
/// # Errors
/// `EINVAL` for a file that cannot be sealed.
pub fn seals(fd: impl AsFd) -> io::Result<i32> {
    // SAFETY: takes no pointers.
    check(unsafe { libc::fcntl(raw(&fd), libc::F_GET_SEALS) })
}

/// A pipe: reading end, writing end (`pipe2(2)`).
///
/// # Errors
/// `EMFILE`, `ENFILE`.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends: [c_int; 2] = [-1; 2];
    // SAFETY: the kernel stores two fds.
    done(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    // SAFETY: both are new and nobody else's.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// An fd to wait for, laid out as `struct pollfd`.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct PollFd<'a> {
    raw: libc::pollfd,
    fd: PhantomData<BorrowedFd<'a>>,
}

impl<'a> PollFd<'a> {
    /// Waits for `POLL*` in `events`; errors and hang-ups are always told.
    pub fn new(fd: BorrowedFd<'a>, events: i16) -> Self {
        let raw = libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 };
        Self { raw, fd: PhantomData }
    }

    /// What happened.
    pub const fn revents(&self) -> i16 {
        self.raw.revents
    }

    /// Whether reading will not block: data, the end, or an error.
    pub const fn is_ready(&self) -> bool {
        self.raw.revents != 0
    }
}

/// Waits for events; returns how many fds have some, 0 after `timeout_ms`; -1 waits for ever
/// (`poll(2)`). Interruptions do not lengthen the wait.
///
/// # Errors
/// `EINVAL` for more fds than the limit allows.
pub fn poll(fds: &mut [PollFd<'_>], timeout_ms: i32) -> io::Result<usize> {
    let count = libc::nfds_t::try_from(fds.len()).map_err(|_| errno(libc::EINVAL))?;
    let limit = u64::try_from(timeout_ms).ok().map(Duration::from_millis);
    let begun = Instant::now();
    let mut left = timeout_ms;
    loop {
        // SAFETY: PollFd is a transparent pollfd and there are `count` of them.
        match check(unsafe { libc::poll(fds.as_mut_ptr().cast(), count, left) }) {
            Err(e) if e.raw_os_error() == Some(libc::EINTR) => {}
            other => return other.map(|n| usize::try_from(n).unwrap_or(0)),
        }
        if let Some(limit) = limit {
            let rest = limit.saturating_sub(begun.elapsed()).as_millis();
            left = i32::try_from(rest).unwrap_or(i32::MAX);
        }
    }
}

/// Writes `/proc/self/fd/N` into the buffer: a path for calls that take no fd.
pub fn proc_fd_path(fd: impl AsFd, buffer: &mut [u8; PROC_FD_PATH]) -> &CStr {
    const PREFIX: &[u8] = b"/proc/self/fd/";
    let mut number: c_uint = raw(&fd).cast_unsigned();
    let mut digits = [0_u8; 10];
    let mut used = 0;
    for digit in &mut digits {
        *digit = b"0123456789"[(number % 10) as usize];
        number /= 10;
        used += 1;
        if number == 0 {
            break;
        }
    }
    *buffer = [0; PROC_FD_PATH];
    let text = PREFIX.iter().chain(digits[..used].iter().rev());
    for (to, from) in buffer.iter_mut().zip(text) {
        *to = *from;
    }
    // 14 + 10 characters: the last of 32 bytes is always NUL.
    CStr::from_bytes_until_nul(buffer).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fd::{fstat, open};
    use crate::sys::testing::{hold, in_namespaces};

    #[test]
    fn proc_path_leads_back() {
        let mut buffer = [0; PROC_FD_PATH];
        assert_eq!(proc_fd_path(io::stdout(), &mut buffer), c"/proc/self/fd/1");
        let file = memfd(c"path", 0).unwrap();
        let again = open(proc_fd_path(&file, &mut buffer), libc::O_RDONLY).unwrap();
        assert_eq!(fstat(&again).unwrap().ino, fstat(&file).unwrap().ino);
        // SAFETY: never used as an fd, only printed.
        let large = unsafe { BorrowedFd::borrow_raw(i32::MAX) };
        assert_eq!(proc_fd_path(large, &mut buffer), c"/proc/self/fd/2147483647");
    }

    #[test]
    fn pipe_and_poll() {
        let (reader, writer) = pipe().unwrap();
        let mut fds = [PollFd::new(reader.as_fd(), libc::POLLIN)];
        let begun = Instant::now();
        assert_eq!(poll(&mut fds, 20).unwrap(), 0);
        assert!(begun.elapsed() >= Duration::from_millis(20));
        write_all(&writer, b"x").unwrap();
        assert_eq!(poll(&mut fds, -1).unwrap(), 1);
        assert!(fds[0].is_ready() && fds[0].revents() & libc::POLLIN != 0);
        assert_eq!(read(&reader, &mut [0; 4]).unwrap(), 1);
        drop(writer);
        assert_eq!(read(&reader, &mut [0; 4]).unwrap(), 0);
    }

    #[test]
    fn files_copy_and_seal() {
        let from = memfd(c"from", libc::MFD_ALLOW_SEALING).unwrap();
        let to = memfd(c"to", 0).unwrap();
        write_all(&from, b"0123456789").unwrap();
        assert_eq!(lseek(&from, 2, libc::SEEK_SET).unwrap(), 2);
        assert_eq!(sendfile(&from, &to, 100).unwrap(), 8);
        assert_eq!(lseek(&from, 0, libc::SEEK_SET).unwrap(), 0);
        assert_eq!(copy_file_range(&from, &to, 3).unwrap(), 3);
        assert_eq!(fstat(&to).unwrap().size, 11);
        ftruncate(&to, 4).unwrap();
        assert_eq!(pwrite(&to, b"ab", 3).unwrap(), 2);
        assert_eq!(fstat(&to).unwrap().size, 5);
        seal(&from, libc::F_SEAL_WRITE | libc::F_SEAL_SEAL).unwrap();
        assert_eq!(write(&from, b"x").unwrap_err().raw_os_error(), Some(libc::EPERM));
        fdatasync(&to).unwrap();
    }

    fn table() -> io::Result<()> {
        let file = memfd(c"table", 0)?;
        let number = 900;
        dup3(&file, number, 0)?;
        hold(is_open(number))?;
        // SAFETY: dup3 has just made it and nobody else owns it.
        let copy = unsafe { OwnedFd::from_raw_fd(number) };
        // SAFETY: takes no pointers.
        let cloexec = || unsafe { libc::fcntl(number, libc::F_GETFD) } & libc::FD_CLOEXEC != 0;
        hold(!cloexec())?;
        close_range(900, 900, CLOSE_RANGE_CLOEXEC)?;
        hold(cloexec())?;
        dup3(&copy, number, 0)?;
        hold(!cloexec())?;
        let flags = fcntl_getfl(&copy)?;
        fcntl_setfl(&copy, flags | libc::O_NONBLOCK)?;
        hold(fcntl_getfl(&file)? & libc::O_NONBLOCK != 0)?;
        drop(copy);
        hold(!is_open(number))
    }

    #[test]
    fn table_of_fds() {
        // In a process of its own: numbers are shared by all threads.
        assert_eq!(in_namespaces(0, table), 0);
    }
}
