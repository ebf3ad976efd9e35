//! What calls do for each other, what they are needed for, and which of them are dangerous.

/// Calls that do the same: a list of denied calls that leaves one out denies nothing.
pub(super) const EQUIVALENT: [&[&str]; 24] = [
    &["open", "openat", "openat2", "creat"],
    &["chmod", "fchmod", "fchmodat", "fchmodat2"],
    &["chown", "chown32", "fchown", "fchown32", "fchownat", "lchown", "lchown32"],
    &["mkdir", "mkdirat"],
    &["mknod", "mknodat"],
    &["link", "linkat"],
    &["symlink", "symlinkat"],
    &["unlink", "unlinkat"],
    &["rename", "renameat", "renameat2"],
    &["truncate", "truncate64", "ftruncate", "ftruncate64"],
    &["setxattr", "lsetxattr", "fsetxattr", "setxattrat"],
    &["removexattr", "lremovexattr", "fremovexattr", "removexattrat"],
    &["execve", "execveat"],
    &["fork", "vfork", "clone", "clone3"],
    &["kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal"],
    &["mount", "fsmount", "move_mount", "open_tree", "mount_setattr"],
    &["umount", "umount2"],
    &["init_module", "finit_module"],
    &["kexec_load", "kexec_file_load"],
    &["process_vm_readv", "process_vm_writev", "ptrace"],
    &["accept", "accept4"],
    &["setuid", "setuid32", "setreuid", "setreuid32", "setresuid", "setresuid32"],
    &["setgid", "setgid32", "setregid", "setregid32", "setresgid", "setresgid32"],
    &["settimeofday", "clock_settime", "clock_settime64", "adjtimex", "clock_adjtime", "stime"],
];

/// What `io_uring` does without asking a filter (io_uring_enter(2)).
pub(super) const BY_IO_URING: [&str; 16] = [
    "openat",
    "openat2",
    "connect",
    "accept4",
    "bind",
    "listen",
    "socket",
    "sendmsg",
    "recvmsg",
    "mkdirat",
    "unlinkat",
    "renameat2",
    "linkat",
    "symlinkat",
    "setxattr",
    "statx",
];

/// Calls that a list of allowed ones should not have for every argument, and why.
pub(super) const DANGEROUS: [(&str, &str); 33] = [
    ("acct", "turns process accounting of the host on or off"),
    ("add_key", "reaches keyrings, which no namespace parts"),
    ("bpf", "loads programs into the kernel"),
    ("clock_settime", "sets the host's clock"),
    ("clone3", "hides its flags from filters: user namespaces can be made"),
    ("delete_module", "unloads kernel modules"),
    ("finit_module", "loads kernel modules"),
    ("init_module", "loads kernel modules"),
    ("io_uring_setup", "does files and sockets past this filter"),
    ("ioperm", "reaches the hardware's ports"),
    ("iopl", "reaches the hardware's ports"),
    ("kexec_file_load", "replaces the kernel"),
    ("kexec_load", "replaces the kernel"),
    ("keyctl", "reaches keyrings, which no namespace parts"),
    ("lookup_dcookie", "tells paths of the host"),
    ("mount", "changes what the runtime has mounted"),
    ("move_mount", "changes what the runtime has mounted"),
    ("nfsservctl", "is of kernels that nobody maintains"),
    ("open_by_handle_at", "opens files of the host by number (the \"shocker\" escape)"),
    ("perf_event_open", "watches the host, and was the door of many escapes"),
    ("personality", "can turn address randomisation off for setuid programs"),
    ("pivot_root", "changes what the runtime has mounted"),
    ("quotactl", "changes quotas of the host"),
    ("reboot", "stops the host, from the initial pid namespace"),
    ("request_key", "reaches keyrings, which no namespace parts"),
    ("setns", "enters other namespaces"),
    ("settimeofday", "sets the host's clock"),
    ("swapon", "swaps to a file of its choice"),
    ("umount2", "uncovers what the runtime has masked"),
    ("unshare", "makes user namespaces, and with them capabilities over more of the kernel"),
    ("userfaultfd", "stops the kernel in the middle of its work, which helps to win races"),
    ("uselib", "is of kernels that nobody maintains"),
    ("vm86", "runs 16-bit code, and was a door of escapes"),
];

/// Without these no program starts that is linked to glibc or musl; one of each row is enough.
pub(super) const TO_START: [&[&str]; 9] = [
    &["brk"],
    &["mmap", "mmap2"],
    &["mprotect"],
    &["openat", "open"],
    &["read"],
    &["close"],
    &["fstat", "fstat64", "newfstatat", "fstatat64", "statx"],
    &["write", "writev"],
    &["exit_group"],
];

/// What the runtime still does under a filter that is loaded before capabilities are dropped,
/// which it must be without `noNewPrivileges`.
pub(super) const BY_RUNTIME: [&[&str]; 7] = [
    &["prctl"],
    &["capset"],
    &["setgroups", "setgroups32"],
    &["setresuid", "setresuid32"],
    &["setresgid", "setresgid32"],
    &["chdir"],
    &["faccessat", "faccessat2"],
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table;

    /// A misspelt name would never be found.
    #[test]
    fn every_name_is_one() {
        let rows = EQUIVALENT.iter().chain(&TO_START).chain(&BY_RUNTIME).copied().flatten();
        let dangerous = DANGEROUS.iter().map(|row| &row.0);
        for name in rows.chain(&BY_IO_URING).chain(dangerous) {
            assert!(table::row(name).is_some(), "{name}");
        }
    }
}
