//! System calls: the only unsafe code of the project.
//!
//! Wrappers are named for their use, take borrowed fds and C strings, return owned fds (always
//! close-on-exec) and plain errnos; words are added by the caller (`error::At`).
//!
//! **Everything here may be called between clone and execve**: nothing allocates, locks, logs or
//! reads the environment. Calls that glibc forwards to all threads of a process (`setresuid(2)`
//! and its like) are made directly, because the child is a process of one thread with the memory
//! of many.
//!
//! Reading order: [`fd`] → [`clone`] → [`mount`] → [`cred`] → [`sched`] → [`signal`] → [`tty`].
#![allow(unsafe_code, reason = "this module is the project's one door to the kernel")]

#[cfg(not(target_pointer_width = "64"))]
compile_error!("the credential calls of 32-bit kernels take 16-bit ids under the same names");

pub mod answers;
pub mod argv;
pub mod bpf;
pub mod calls;
pub mod clone;
pub mod cred;
pub mod exec;
pub mod fd;
pub mod image;
pub mod mount;
pub mod netlink;
pub mod sched;
pub mod seccomp;
pub mod shared;
pub mod signal;
pub mod supervise;
#[cfg(test)]
pub(crate) mod testing;
pub mod tty;

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use libc::{c_int, c_long};

/// `-1` becomes the errno, anything else is the value.
fn check(result: c_int) -> io::Result<c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// [`check`] for calls made through `syscall(2)`.
fn check_long(result: c_long) -> io::Result<c_long> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// [`check`] for calls whose value means nothing.
fn done(result: c_int) -> io::Result<()> {
    check(result).map(drop)
}

/// [`done`] for calls made through `syscall(2)`.
fn done_long(result: c_long) -> io::Result<()> {
    check_long(result).map(drop)
}

/// [`check`] for calls that count bytes.
fn size(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Takes ownership of an fd that the kernel has just made.
fn owned(result: c_int) -> io::Result<OwnedFd> {
    let raw = check(result)?;
    // SAFETY: a successful call returned `raw` as a new fd, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// [`owned`] for calls made through `syscall(2)`.
fn owned_long(result: c_long) -> io::Result<OwnedFd> {
    let raw = check_long(result)?;
    owned(c_int::try_from(raw).map_err(|_| errno(libc::EBADF))?)
}

/// An error of our own in the kernel's vocabulary.
const fn errno(number: c_int) -> Errno {
    Errno(number)
}

/// Converts into [`io::Error`] where `?` or `.into()` wants one.
struct Errno(c_int);

impl From<Errno> for io::Error {
    fn from(errno: Errno) -> Self {
        Self::from_raw_os_error(errno.0)
    }
}

/// Repeats a call that a signal interrupted.
fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(e) if e.raw_os_error() == Some(libc::EINTR) => {}
            other => return other,
        }
    }
}

/// The number of a borrowed fd, for the length of one call.
fn raw(fd: &impl AsFd) -> RawFd {
    fd.as_fd().as_raw_fd()
}
