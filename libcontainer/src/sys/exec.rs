//! Becoming another program, and whether that can work.

use std::ffi::{CStr, c_char};
use std::io;
use std::os::fd::AsFd;

use super::argv::ArgV;
use super::{done_long, raw};

/// Becomes another program (`execve(2)`); returns only to say why not.
///
/// # Safety
/// `argv` and `envp` are null-terminated arrays of pointers to C strings.
pub unsafe fn execve(
    path: &CStr,
    argv: *const *const c_char,
    envp: *const *const c_char,
) -> io::Error {
    // SAFETY: `path` ends in NUL; the arrays are our caller's promise.
    unsafe { libc::execve(path.as_ptr(), argv, envp) };
    io::Error::last_os_error()
}

/// [`execve`] with vectors that were made ready before clone3.
pub fn exec(path: &CStr, argv: &ArgV, envp: &ArgV) -> io::Error {
    // SAFETY: an ArgV is a null-terminated array of C strings that it owns.
    unsafe { execve(path, argv.as_ptr(), envp.as_ptr()) }
}

/// Becomes the program that `file` is open on, with vectors as for [`exec`].
pub fn exec_fd(file: impl AsFd, argv: &ArgV, envp: &ArgV) -> io::Error {
    // SAFETY: an ArgV is a null-terminated array of C strings that it owns.
    unsafe { execveat(file, c"", argv.as_ptr(), envp.as_ptr(), libc::AT_EMPTY_PATH) }
}

/// Becomes the program of an fd, with `AT_EMPTY_PATH` and an empty path (`execveat(2)`,
/// Linux 3.19); returns only to say why not.
///
/// # Safety
/// As [`execve`].
pub unsafe fn execveat(
    dir: impl AsFd,
    path: &CStr,
    argv: *const *const c_char,
    envp: *const *const c_char,
    flags: i32,
) -> io::Error {
    // SAFETY: `path` ends in NUL; the arrays are our caller's promise.
    unsafe { libc::syscall(libc::SYS_execveat, raw(&dir), path.as_ptr(), argv, envp, flags) };
    io::Error::last_os_error()
}

/// Whether we may execute `path` below `dir`: by our real ids (`faccessat(2)`), which are the
/// effective ones too in an init stage; or else by our capabilities, for which only faccessat2
/// has an eye (Linux 5.8). That comes second because old seccomp profiles do not know it.
///
/// # Errors
/// `EACCES` when not, and on a noexec mount; `ENOENT`.
pub fn access_x(dir: impl AsFd, path: &CStr) -> io::Result<()> {
    let (dir, x, name) = (raw(&dir), libc::X_OK, path.as_ptr());
    // SAFETY: `path` ends in NUL.
    let by_ids = done_long(unsafe { libc::syscall(libc::SYS_faccessat, dir, name, x) });
    if !by_ids.as_ref().is_err_and(|e| e.raw_os_error() == Some(libc::EACCES)) {
        return by_ids;
    }
    let (call, flags) = (libc::SYS_faccessat2, libc::AT_EACCESS);
    // SAFETY: as above.
    done_long(unsafe { libc::syscall(call, dir, name, x, flags) }).or(by_ids)
}

/// Whether the kernel knows this `SECCOMP_RET_*` action (`seccomp(2)`, Linux 4.14).
pub fn seccomp_get_action_avail(action: u32) -> bool {
    let get = libc::SECCOMP_GET_ACTION_AVAIL;
    // SAFETY: the kernel reads one u32.
    done_long(unsafe { libc::syscall(libc::SYS_seccomp, get, 0, &raw const action) }).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::clone::WaitStatus;
    use crate::sys::fd::CWD;
    use crate::sys::testing::in_child;

    fn become_shell() -> i32 {
        let argv = [c"sh".as_ptr(), c"-c".as_ptr(), c"exit 9".as_ptr(), std::ptr::null()];
        let envp = [std::ptr::null()];
        // SAFETY: both arrays end in null and hold C strings.
        let why = unsafe { execve(c"/no/such", argv.as_ptr(), envp.as_ptr()) };
        if why.raw_os_error() != Some(libc::ENOENT) {
            return 1;
        }
        // SAFETY: as above.
        unsafe { execveat(CWD, c"/bin/sh", argv.as_ptr(), envp.as_ptr(), 0) };
        2
    }

    #[test]
    fn execve_becomes_or_says_why() {
        assert_eq!(in_child(0, become_shell), WaitStatus::Exited(9));
    }

    #[test]
    fn what_may_be_executed() {
        assert!(access_x(CWD, c"/bin/sh").is_ok());
        let refused = access_x(CWD, c"/etc/passwd").unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EACCES));
        assert!(seccomp_get_action_avail(libc::SECCOMP_RET_ERRNO));
        assert!(!seccomp_get_action_avail(0x7ffe_0001));
    }
}
