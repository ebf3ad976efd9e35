//! The system calls that are newer than the oldest distributions, and whether this kernel has them.
//!
//! A kernel without a call answers `ENOSYS`, and so does a system call filter that was written before
//! it: an engine's around us. Both are told the same way, after something has failed.

use libc::c_long;

/// A system call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Its name.
    pub name: &'static str,
    /// The first Linux that has it.
    pub since: (u32, u32),
    /// Private, so that [`Call::exists`] is asked only about the calls of [`CALLS`].
    number: c_long,
}

const fn call(name: &'static str, since: (u32, u32), number: c_long) -> Call {
    Call { name, since, number }
}

/// What containers are made with, and is not in every Linux since 4.x: the newest last.
pub static CALLS: [Call; 14] = [
    call("pidfd_send_signal", (5, 1), libc::SYS_pidfd_send_signal),
    call("open_tree", (5, 2), libc::SYS_open_tree),
    call("move_mount", (5, 2), libc::SYS_move_mount),
    call("fsopen", (5, 2), libc::SYS_fsopen),
    call("fsconfig", (5, 2), libc::SYS_fsconfig),
    call("fsmount", (5, 2), libc::SYS_fsmount),
    call("fspick", (5, 2), libc::SYS_fspick),
    call("pidfd_open", (5, 3), libc::SYS_pidfd_open),
    call("clone3", (5, 3), libc::SYS_clone3),
    call("openat2", (5, 6), libc::SYS_openat2),
    call("pidfd_getfd", (5, 6), libc::SYS_pidfd_getfd),
    call("faccessat2", (5, 8), libc::SYS_faccessat2),
    call("close_range", (5, 9), libc::SYS_close_range),
    call("mount_setattr", (5, 12), libc::SYS_mount_setattr),
];

impl Call {
    /// Whether the kernel, and every filter that we are under, knows it. Nothing is changed.
    pub fn exists(&self) -> bool {
        // SAFETY: every call of the table refuses these arguments before it does anything: no descriptor
        // or pid is -1, no path or structure is at address 0 or has size 0, and no range ends before it
        // begins.
        let answer = unsafe { libc::syscall(self.number, -1_i64, 0_i64, 0_i64, 0_i64, 0_i64) };
        let errno = std::io::Error::last_os_error().raw_os_error();
        answer != -1 || errno != Some(libc::ENOSYS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::kernel::{OLDEST, Version};

    #[test]
    fn this_kernel_has_what_its_version_says() {
        let kernel = Version::probe().unwrap();
        for call in CALLS.iter().filter(|call| kernel.at_least(call.since)) {
            assert!(call.exists(), "{}", call.name);
        }
    }

    #[test]
    fn a_call_that_no_kernel_has_is_missing() {
        assert!(!call("none", (0, 0), 100_000).exists());
    }

    #[test]
    fn the_oldest_kernel_has_all_of_them() {
        assert_eq!(CALLS.iter().map(|call| call.since).max(), Some(OLDEST));
        assert!(CALLS.is_sorted_by_key(|call| call.since));
    }
}
