//! Loading a system call filter.

use std::io;
use std::os::fd::OwnedFd;

use corten_seccomp::{FLAG_NEW_LISTENER, Insn};

use super::{check_long, owned_long};

/// `struct sock_fprog` of linux/filter.h.
#[repr(C)]
struct Program {
    len: u16,
    filter: *const Insn,
}

/// Puts this thread, and what it becomes, under a filter (`seccomp(2)`, `SET_MODE_FILTER`);
/// returns the descriptor of its notifications when `flags` asks for one.
///
/// # Errors
/// `EACCES` without `CAP_SYS_ADMIN` or no_new_privs; `EINVAL` for a program or flag that this
/// kernel does not know, or a kernel without filters; `EBUSY` when a filter of this thread has a
/// listener already; `ENOMEM` when all its filters together are too long.
pub fn set_filter(filter: &[Insn], flags: u64) -> io::Result<Option<OwnedFd>> {
    let len = u16::try_from(filter.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = Program { len, filter: filter.as_ptr() };
    let set = || {
        let mode = libc::SECCOMP_SET_MODE_FILTER;
        // SAFETY: the kernel reads `len` instructions, which `filter` has; Insn is laid out as
        // `struct sock_filter` is.
        unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program) }
    };
    if flags & FLAG_NEW_LISTENER != 0 {
        return owned_long(set()).map(Some);
    }
    check_long(set()).map(|_| None)
}

/// Whether this kernel knows a `SECCOMP_FILTER_FLAG_*`: it looks at the flags before it looks for
/// the program, which is not there.
pub fn knows_flag(flag: u64) -> bool {
    // Only with a listener is there anything to wait for.
    let flags = if flag == WAIT_KILLABLE_RECV { flag | FLAG_NEW_LISTENER } else { flag };
    let nothing = std::ptr::null::<Program>();
    let mode = libc::SECCOMP_SET_MODE_FILTER;
    // SAFETY: the kernel answers a null program with EFAULT and loads nothing.
    let answer = check_long(unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, nothing) });
    answer.is_err_and(|e| e.raw_os_error() == Some(libc::EFAULT))
}

/// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV` (Linux 5.19).
pub const WAIT_KILLABLE_RECV: u64 = 1 << 5;

#[cfg(test)]
mod tests;
