//! Starts a hook's program from any process, the init stage included: nothing is allocated, in
//! the caller or in the child.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::sys::argv::ArgV;
use crate::sys::clone::{self, Child, CloneArgs};
use crate::sys::{cred, exec, fd, signal};

/// Up to here descriptors are closed without close_range(2): a usual limit of open files.
const LAST: u32 = 4096;

/// The program and what it gets.
#[derive(Debug)]
pub(super) struct Launch<'a> {
    /// The file to execute, resolved in the caller's mount namespace and root.
    pub(super) path: &'a CStr,
    /// argv.
    pub(super) argv: &'a ArgV,
    /// envp.
    pub(super) envp: &'a ArgV,
    /// Where it starts, if that is there: a bundle may be gone by the time of `poststop`.
    pub(super) cwd: Option<&'a CStr>,
    /// Becomes fd 0.
    pub(super) stdin: BorrowedFd<'a>,
    /// Becomes fd 1 and 2.
    pub(super) output: BorrowedFd<'a>,
    /// A pipe: gets the errno, four bytes, when the program cannot be executed, and the end of
    /// file when it was.
    pub(super) failed: BorrowedFd<'a>,
}

impl Launch<'_> {
    /// Starts it in a session and process group of its own, with default signals and none of
    /// the caller's descriptors.
    ///
    /// # Errors
    /// Those of [`clone::spawn`]; a failed execve arrives through `failed`.
    pub(super) fn start(&mut self) -> io::Result<Child> {
        let args = CloneArgs { flags: 0, cgroup: None, exit_signal: libc::SIGCHLD };
        clone::spawn(&args, self, |launch| {
            let error = launch.become_program();
            let errno = error.raw_os_error().unwrap_or(libc::EIO);
            // The caller that cannot be told sees exit code 127.
            let _ = fd::write(launch.failed, &errno.to_ne_bytes());
            clone::exit(127)
        })
    }

    /// The child's part: returns only to say why not.
    fn become_program(&self) -> io::Error {
        let prepared = cred::setsid()
            .map(drop)
            .and_then(|()| fd::dup3(self.stdin, 0, 0))
            .and_then(|()| fd::dup3(self.output, 1, 0))
            .and_then(|()| fd::dup3(self.output, 2, 0))
            .and_then(|()| self.close_others())
            .and_then(|()| signal::reset_all());
        let _gone = self.cwd.map(cred::chdir);
        match prepared {
            Err(error) => error,
            Ok(()) => exec::exec(self.path, self.argv, self.envp),
        }
    }

    /// No descriptor of the caller's reaches the program (CVE-2024-21626). Closing, and not
    /// marking, works since Linux 5.9; [`Launch::failed`] is close-on-exec from birth.
    fn close_others(&self) -> io::Result<()> {
        let keep = self.failed.as_raw_fd().unsigned_abs();
        if keep < 3 {
            return Err(io::Error::from_raw_os_error(libc::EBADF));
        }
        let ranges = [(3, keep - 1), (keep + 1, u32::MAX)];
        for (first, last) in ranges.into_iter().filter(|(first, last)| first <= last) {
            if let Err(error) = fd::close_range(first, last, 0) {
                match error.raw_os_error() {
                    // A filter that we run under is older than the call: one by one.
                    Some(libc::ENOSYS | libc::EPERM) => fd::close_each(first, last.min(LAST)),
                    _ => return Err(error),
                }
            }
        }
        Ok(())
    }
}
