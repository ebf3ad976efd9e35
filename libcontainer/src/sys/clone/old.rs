//! Making a process where a seccomp filter knows clone(2) only.

use std::io;

use libc::c_int;

use super::{CLONE_PIDFD, Forked, forked};
use crate::sys::check_long;

/// [`super::clone3`] without namespaces or cgroup, by the older call (`clone(2)`, `CLONE_PIDFD`).
///
/// # Errors
/// `EAGAIN` at a process limit; `ENOMEM`.
///
/// # Safety
/// As [`super::clone3`].
pub(super) unsafe fn plain_clone(exit_signal: c_int) -> io::Result<Forked> {
    let mut pidfd: c_int = -1;
    let flags = CLONE_PIDFD | u64::from(exit_signal.cast_unsigned());
    let (stack, none) = (0_u64, 0_u64);
    // s390 has the stack first.
    let swapped = cfg!(target_arch = "s390x");
    let (first, second) = if swapped { (stack, flags) } else { (flags, stack) };
    // SAFETY: the kernel writes `pidfd`, which outlives the call; no memory is shared, so that the
    // child has its own stack; the rest is our caller's promise.
    let pid = check_long(unsafe {
        libc::syscall(libc::SYS_clone, first, second, &raw mut pidfd, none, none)
    })?;
    // SAFETY: the kernel stored a new fd because CLONE_PIDFD was asked for.
    unsafe { forked(pid, pidfd) }
}

#[cfg(test)]
mod tests {
    use corten_seccomp::Insn;

    use crate::sys::clone::{CloneArgs, WaitStatus, exit, spawn, wait_pidfd};
    use crate::sys::cred;
    use crate::sys::seccomp::set_filter;
    use crate::sys::testing::in_child;

    /// Spawns under `if nr == clone3: errno, else allow`; the child ends with 7.
    fn spawns_without_clone3(errno: u32) -> i32 {
        let insn = |code, jt, jf, k| Insn { code, jt, jf, k };
        let filter = [
            insn(0x20, 0, 0, 0),
            insn(0x15, 0, 1, u32::try_from(libc::SYS_clone3).unwrap_or(0)),
            insn(0x06, 0, 0, 0x0005_0000 | errno),
            insn(0x06, 0, 0, 0x7fff_0000),
        ];
        if cred::set_no_new_privs().is_err() || set_filter(&filter, 0).is_err() {
            return 1;
        }
        let args = CloneArgs { flags: 0, cgroup: None, exit_signal: libc::SIGCHLD };
        let Ok(child) = spawn(&args, &mut (), |()| exit(7)) else { return 2 };
        match wait_pidfd(&child.pidfd) {
            Ok(WaitStatus::Exited(code)) => code,
            _ => 3,
        }
    }

    #[test]
    fn a_process_is_made_where_a_filter_hides_clone3() {
        for errno in [38, 1] {
            let end = in_child(0, || spawns_without_clone3(errno));
            assert_eq!(end, WaitStatus::Exited(7), "{errno}");
        }
        // Another errno is an answer.
        assert_eq!(in_child(0, || spawns_without_clone3(12)), WaitStatus::Exited(2));
    }
}
