//! Which system calls this kernel answers, asked without doing anything.
//!
//! A kernel that does not have a call says `ENOSYS`; so does many a seccomp filter that we run
//! under, others say `EPERM`.

use libc::c_long;

use super::check_long;

/// The calls that can be asked for: name and number.
///
/// Each of them refuses -1 as its flags, size, command or descriptor before it acts.
const CALLS: [(&str, c_long); 15] = [
    ("clone3", libc::SYS_clone3),
    ("openat2", libc::SYS_openat2),
    ("open_tree", libc::SYS_open_tree),
    ("move_mount", libc::SYS_move_mount),
    ("mount_setattr", libc::SYS_mount_setattr),
    ("fsopen", libc::SYS_fsopen),
    ("fsconfig", libc::SYS_fsconfig),
    ("fsmount", libc::SYS_fsmount),
    ("pidfd_open", libc::SYS_pidfd_open),
    ("pidfd_send_signal", libc::SYS_pidfd_send_signal),
    ("close_range", libc::SYS_close_range),
    ("memfd_create", libc::SYS_memfd_create),
    ("seccomp", libc::SYS_seccomp),
    ("keyctl", libc::SYS_keyctl),
    ("bpf", libc::SYS_bpf),
];

/// What each call answers to arguments that are all wrong: its name and the errno.
pub fn answers() -> [(&'static str, i32); 15] {
    const WRONG: c_long = -1;
    CALLS.map(|(name, number)| {
        // SAFETY: every call of the table refuses these arguments before it acts, and nothing is
        // mapped at the address -1, so no memory of ours is read or written.
        let answer =
            check_long(unsafe { libc::syscall(number, WRONG, WRONG, WRONG, WRONG, WRONG, WRONG) });
        (name, answer.map_or_else(|e| e.raw_os_error().unwrap_or(0), |_| 0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_of_the_table_does_anything() {
        let nonsense = [libc::EINVAL, libc::E2BIG, libc::EBADF, libc::EFAULT, libc::EOPNOTSUPP];
        let refused = [libc::EPERM, libc::EACCES, libc::ENOSYS];
        for (name, errno) in answers() {
            assert!(nonsense.contains(&errno) || refused.contains(&errno), "{name}: {errno}");
        }
    }
}
