//! File descriptors: opening, reading, directories, links, attributes, passing to others.
//!
//! Paths are C strings relative to a directory fd ([`CWD`] for the working directory). Every fd
//! made here is close-on-exec.

mod attr;
mod dir;
mod file;
mod open;
mod socket;

pub use attr::{
    Stat, fchmod, fchown, fchownat, fgetxattr, fs_flags, fs_magic, fsetxattr, fstat, fstatat,
    fstatat_link, statx_mnt_id, utimens,
};
pub use dir::{DirEntry, DirReader};
pub use file::{
    CLOSE_RANGE_CLOEXEC, CLOSE_RANGE_UNSHARE, PollFd, close_each, close_range, copy_file_range,
    dup3, fcntl_getfl, fcntl_setfl, fdatasync, ftruncate, is_inheritable, is_open, lseek, memfd,
    pipe, poll, pread, proc_fd_path, pwrite, read, seal, seals, sendfile, set_cloexec, stdio,
    write, write_all,
};
pub use open::{
    CWD, RESOLVE_BENEATH, RESOLVE_CACHED, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV, STDIO, linkat, mkdirat, mkfifoat, mknodat, open, openat,
    openat2, readlinkat, renameat, symlinkat, unlinkat,
};
pub use socket::{
    bind_unix, connect_unix, recv_with_fd, send_with_fd, seqpacket_pair, unix_datagram, unix_stream,
};

/// Length of the buffer for [`proc_fd_path`].
pub const PROC_FD_PATH: usize = 32;
