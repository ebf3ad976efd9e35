//! Mounts: the calls that work on fds, and the old ones.
//!
//! Numbers are those of `linux/mount.h`; each says since when.

use std::ffi::{CStr, c_char};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr;

use super::{done, done_long, fd, owned_long, raw};

/// Detach a copy instead of opening the place itself (`open_tree(2)`, Linux 5.2).
pub const OPEN_TREE_CLONE: u32 = 1;
/// Close-on-exec; always added.
pub const OPEN_TREE_CLOEXEC: u32 = 0o2_000_000;
/// With submounts, for [`open_tree`] and [`mount_setattr`].
pub const AT_RECURSIVE: u32 = 0x8000;
/// The path is empty: the fd itself.
pub const AT_EMPTY_PATH: u32 = 0x1000;
/// Do not follow a link in the last component.
pub const AT_SYMLINK_NOFOLLOW: u32 = 0x100;

/// Follow links on the source path (`move_mount(2)`, Linux 5.2).
pub const MOVE_MOUNT_F_SYMLINKS: u32 = 0x01;
/// The source path is empty.
pub const MOVE_MOUNT_F_EMPTY_PATH: u32 = 0x04;
/// Follow links on the target path.
pub const MOVE_MOUNT_T_SYMLINKS: u32 = 0x10;
/// The target path is empty.
pub const MOVE_MOUNT_T_EMPTY_PATH: u32 = 0x40;
/// Make the source a member of the target's peer group (Linux 5.15).
pub const MOVE_MOUNT_SET_GROUP: u32 = 0x100;
/// Mount below the topmost mount of the target (Linux 6.5).
pub const MOVE_MOUNT_BENEATH: u32 = 0x200;

/// Read-only (`mount_setattr(2)`, `fsmount(2)`).
pub const MOUNT_ATTR_RDONLY: u64 = 0x01;
/// Ignore set-user-ID bits and file capabilities.
pub const MOUNT_ATTR_NOSUID: u64 = 0x02;
/// No device nodes.
pub const MOUNT_ATTR_NODEV: u64 = 0x04;
/// No execution.
pub const MOUNT_ATTR_NOEXEC: u64 = 0x08;
/// The bits of the three kinds of access times; clear them all to change the kind.
pub const MOUNT_ATTR__ATIME: u64 = 0x70;
/// Access times relative to modification times.
pub const MOUNT_ATTR_RELATIME: u64 = 0x00;
/// No access times.
pub const MOUNT_ATTR_NOATIME: u64 = 0x10;
/// All access times.
pub const MOUNT_ATTR_STRICTATIME: u64 = 0x20;
/// No access times of directories.
pub const MOUNT_ATTR_NODIRATIME: u64 = 0x80;
/// Ids are mapped through the user namespace of [`MountAttr::userns_fd`] (Linux 5.12).
pub const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;
/// Do not follow symbolic links (Linux 5.14).
pub const MOUNT_ATTR_NOSYMFOLLOW: u64 = 0x0020_0000;

/// Close-on-exec; always added (`fsopen(2)`, Linux 5.2).
pub const FSOPEN_CLOEXEC: u32 = 1;
/// Close-on-exec; always added (`fsmount(2)`, Linux 5.2).
pub const FSMOUNT_CLOEXEC: u32 = 1;
/// Close-on-exec; always added (`fspick(2)`, Linux 5.2).
pub const FSPICK_CLOEXEC: u32 = 1;
/// The path is empty (`fspick(2)`).
pub const FSPICK_EMPTY_PATH: u32 = 8;
/// Set a parameter without value (`fsconfig(2)`, Linux 5.2).
pub const FSCONFIG_SET_FLAG: u32 = 0;
/// Set a parameter to a string.
pub const FSCONFIG_SET_STRING: u32 = 1;
/// Set a parameter to an open fd.
pub const FSCONFIG_SET_FD: u32 = 5;
/// Make the superblock, or take one that fits.
pub const FSCONFIG_CMD_CREATE: u32 = 6;
/// Change the superblock.
pub const FSCONFIG_CMD_RECONFIGURE: u32 = 7;
/// Make a new superblock or fail (Linux 6.6).
pub const FSCONFIG_CMD_CREATE_EXCL: u32 = 8;

/// Begins a new file system (`fsopen(2)`, Linux 5.2).
///
/// # Errors
/// `ENODEV` for a type the kernel lacks; `EPERM`; `ENOSYS`.
pub fn fsopen(fstype: &CStr) -> io::Result<OwnedFd> {
    // SAFETY: `fstype` ends in NUL.
    owned_long(unsafe { libc::syscall(libc::SYS_fsopen, fstype.as_ptr(), FSOPEN_CLOEXEC) })
}

/// Begins changing the file system that `path` below `dir` lies on (`fspick(2)`, Linux 5.2).
///
/// # Errors
/// `EINVAL` when it is not the root of a mount; `EPERM`.
pub fn fspick(dir: impl AsFd, path: &CStr, flags: u32) -> io::Result<OwnedFd> {
    let flags = flags | FSPICK_CLOEXEC;
    // SAFETY: `path` ends in NUL.
    owned_long(unsafe { libc::syscall(libc::SYS_fspick, raw(&dir), path.as_ptr(), flags) })
}

fn fsconfig(
    context: &impl AsFd,
    command: u32,
    key: *const c_char,
    value: *const c_char,
    aux: i32,
) -> io::Result<()> {
    // SAFETY: key and value are null or end in NUL: the callers below pass only these.
    done_long(unsafe { libc::syscall(libc::SYS_fsconfig, raw(context), command, key, value, aux) })
}

/// Sets a parameter to a string; `source` is one (`fsconfig(2)`).
///
/// # Errors
/// `EINVAL` for what the file system does not know; [`fs_context_log`] has the kernel's words.
pub fn fsconfig_string(context: impl AsFd, key: &CStr, value: &CStr) -> io::Result<()> {
    fsconfig(&context, FSCONFIG_SET_STRING, key.as_ptr(), value.as_ptr(), 0)
}

/// Sets a parameter that has no value (`fsconfig(2)`).
///
/// # Errors
/// As [`fsconfig_string`].
pub fn fsconfig_flag(context: impl AsFd, key: &CStr) -> io::Result<()> {
    fsconfig(&context, FSCONFIG_SET_FLAG, key.as_ptr(), ptr::null(), 0)
}

/// Sets a parameter to an open fd (`fsconfig(2)`).
///
/// # Errors
/// As [`fsconfig_string`].
pub fn fsconfig_fd(context: impl AsFd, key: &CStr, value: impl AsFd) -> io::Result<()> {
    fsconfig(&context, FSCONFIG_SET_FD, key.as_ptr(), ptr::null(), raw(&value))
}

/// Makes the superblock (`fsconfig(2)`).
///
/// # Errors
/// Those of the file system; [`fs_context_log`] has the kernel's words.
pub fn fsconfig_create(context: impl AsFd) -> io::Result<()> {
    fsconfig(&context, FSCONFIG_CMD_CREATE, ptr::null(), ptr::null(), 0)
}

/// Changes the superblock (`fsconfig(2)`).
///
/// # Errors
/// As [`fsconfig_create`].
pub fn fsconfig_reconfigure(context: impl AsFd) -> io::Result<()> {
    fsconfig(&context, FSCONFIG_CMD_RECONFIGURE, ptr::null(), ptr::null(), 0)
}

/// Reads one message that the kernel left about a failed [`fsconfig_create`] and its like, such
/// as `e tmpfs: Bad value for 'size'`; returns its length, 0 when there is none.
///
/// # Errors
/// `EMSGSIZE` when the buffer is too small.
pub fn fs_context_log(context: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    match fd::read(context, buffer) {
        Err(e) if e.raw_os_error() == Some(libc::ENODATA) => Ok(0),
        other => other,
    }
}

/// Makes a detached mount of a created superblock; `MOUNT_ATTR_*` in `attr` (`fsmount(2)`,
/// Linux 5.2). It is unmounted when the fd is closed before [`move_mount`].
///
/// # Errors
/// `EINVAL` before [`fsconfig_create`]; `EPERM`, also where a locked procfs or sysfs would show
/// too much (`user_namespaces(7)`).
pub fn fsmount(context: impl AsFd, attr: u64) -> io::Result<OwnedFd> {
    // SAFETY: takes no pointers.
    owned_long(unsafe { libc::syscall(libc::SYS_fsmount, raw(&context), FSMOUNT_CLOEXEC, attr) })
}

/// Opens the place at `path`, or with [`OPEN_TREE_CLONE`] detaches a copy of the mount there
/// (`open_tree(2)`, Linux 5.2).
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN` over the mount namespace; `EINVAL` for an unbindable mount or
/// one of another namespace; `ENOENT`; `ENOSYS`.
pub fn open_tree(dir: impl AsFd, path: &CStr, flags: u32) -> io::Result<OwnedFd> {
    let flags = flags | OPEN_TREE_CLOEXEC;
    // SAFETY: `path` ends in NUL.
    owned_long(unsafe { libc::syscall(libc::SYS_open_tree, raw(&dir), path.as_ptr(), flags) })
}

/// Attaches a detached mount, or moves an attached one (`move_mount(2)`, Linux 5.2).
///
/// # Errors
/// `EINVAL` for a target that is no mount namespace of ours, or a move out of a shared parent;
/// `ENOTDIR` when one is a directory and the other is not; `ELOOP` into itself.
pub fn move_mount(
    from: impl AsFd,
    from_path: &CStr,
    to: impl AsFd,
    to_path: &CStr,
    flags: u32,
) -> io::Result<()> {
    // SAFETY: both paths end in NUL.
    done_long(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            raw(&from),
            from_path.as_ptr(),
            raw(&to),
            to_path.as_ptr(),
            flags,
        )
    })
}

/// [`move_mount`] from one fd onto another, without paths.
///
/// # Errors
/// As [`move_mount`].
pub fn move_mount_fd(from: impl AsFd, to: impl AsFd) -> io::Result<()> {
    move_mount(from, c"", to, c"", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH)
}

/// A change of a mount's attributes, laid out as `struct mount_attr`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct MountAttr {
    /// `MOUNT_ATTR_*` to set.
    pub set: u64,
    /// `MOUNT_ATTR_*` to clear, first.
    pub clear: u64,
    /// `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE`, `MS_UNBINDABLE`, or 0 for as it is.
    pub propagation: u64,
    /// User namespace for [`MOUNT_ATTR_IDMAP`].
    pub userns_fd: u64,
}

/// Changes a mount, with [`AT_RECURSIVE`] a whole tree or none of it (`mount_setattr(2)`,
/// Linux 5.12). [`AT_EMPTY_PATH`], [`AT_SYMLINK_NOFOLLOW`] in `at_flags`.
///
/// # Errors
/// `EPERM` for an attribute that is locked; `EBUSY` for read-only over open writers; `EINVAL` for
/// an unknown attribute, a place that is no mount, or a file system that cannot be id-mapped.
pub fn mount_setattr(
    dir: impl AsFd,
    path: &CStr,
    at_flags: u32,
    attr: &MountAttr,
) -> io::Result<()> {
    // SAFETY: `path` ends in NUL; `attr` is a whole mount_attr of the size passed.
    done_long(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            raw(&dir),
            path.as_ptr(),
            at_flags,
            ptr::from_ref(attr),
            size_of::<MountAttr>(),
        )
    })
}

fn or_null(text: Option<&CStr>) -> *const c_char {
    text.map_or(ptr::null(), CStr::as_ptr)
}

/// The call that did it all (`mount(2)`): `MS_*` in `flags`.
///
/// # Errors
/// `EPERM`, `EINVAL`, `ENODEV`, `EBUSY`, `ENOENT` and more, see the man page.
pub fn mount(
    source: Option<&CStr>,
    target: &CStr,
    fstype: Option<&CStr>,
    flags: u64,
    data: Option<&CStr>,
) -> io::Result<()> {
    let (source, fstype, data) = (or_null(source), or_null(fstype), or_null(data));
    // SAFETY: every pointer is null or to a string that ends in NUL.
    done(unsafe { libc::mount(source, target.as_ptr(), fstype, flags, data.cast()) })
}

/// Unmounts; `MNT_DETACH`, `UMOUNT_NOFOLLOW` in `flags` (`umount2(2)`).
///
/// # Errors
/// `EINVAL` when it is no mount point or locked; `EBUSY`.
pub fn umount2(target: &CStr, flags: i32) -> io::Result<()> {
    // SAFETY: `target` ends in NUL.
    done(unsafe { libc::umount2(target.as_ptr(), flags) })
}

/// Makes `new` the root mount and puts the old one at `old` (`pivot_root(2)`).
///
/// # Errors
/// `EINVAL` when `new` is no mount point or propagation forbids it; `EBUSY`; `ENOTDIR`.
pub fn pivot_root(new: &CStr, old: &CStr) -> io::Result<()> {
    // SAFETY: both paths end in NUL.
    done_long(unsafe { libc::syscall(libc::SYS_pivot_root, new.as_ptr(), old.as_ptr()) })
}

/// Changes the root directory of this process (`chroot(2)`).
///
/// # Errors
/// `EPERM`, `ENOENT`, `ENOTDIR`.
pub fn chroot(path: &CStr) -> io::Result<()> {
    // SAFETY: `path` ends in NUL.
    done(unsafe { libc::chroot(path.as_ptr()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::clone::CLONE_NEWNS;
    use crate::sys::fd::{CWD, fs_magic, mkdirat, open};
    use crate::sys::testing::{hold, in_namespaces, root};

    fn in_mount_namespace(work: fn() -> io::Result<()>) -> i32 {
        in_namespaces(CLONE_NEWNS, || {
            mount(None, c"/", None, libc::MS_REC | libc::MS_PRIVATE, None).and_then(|()| work())
        })
    }

    fn tmpfs(size: &CStr) -> io::Result<OwnedFd> {
        let context = fsopen(c"tmpfs")?;
        fsconfig_string(&context, c"size", size)?;
        fsconfig_flag(&context, c"inode64")?;
        fsconfig_create(&context)?;
        fsmount(&context, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
    }

    fn detached_mount_is_moved_in() -> io::Result<()> {
        let made = tmpfs(c"64k")?;
        mkdirat(&made, c"sub", 0o755)?;
        let place = open(c"/mnt", libc::O_PATH | libc::O_DIRECTORY)?;
        move_mount_fd(&made, &place)?;
        hold(fs_magic(open(c"/mnt/sub", libc::O_PATH)?)? == libc::TMPFS_MAGIC)?;
        let copy = open_tree(CWD, c"/mnt", OPEN_TREE_CLONE | AT_RECURSIVE)?;
        let attr = MountAttr { set: MOUNT_ATTR_RDONLY, ..MountAttr::default() };
        mount_setattr(&copy, c"", AT_EMPTY_PATH, &attr)?;
        let refused = mkdirat(&copy, c"refused", 0o755).err().and_then(|e| e.raw_os_error());
        hold(refused == Some(libc::EROFS))?;
        mkdirat(&made, c"allowed", 0o755)?;
        umount2(c"/mnt", libc::MNT_DETACH)
    }

    fn pivot_leaves_the_old_root() -> io::Result<()> {
        let made = tmpfs(c"64k")?;
        mkdirat(&made, c"old", 0o755)?;
        let place = open(c"/mnt", libc::O_PATH | libc::O_DIRECTORY)?;
        move_mount_fd(&made, &place)?;
        pivot_root(c"/mnt", c"/mnt/old")?;
        open(c"/old/mnt", libc::O_PATH)?;
        umount2(c"/old", libc::MNT_DETACH)?;
        chroot(c"/old")
    }

    fn kernel_tells_its_reason() -> io::Result<()> {
        let context = fsopen(c"tmpfs")?;
        let refused = fsconfig_string(&context, c"size", c"many").err();
        let mut words = [0; 256];
        let n = fs_context_log(&context, &mut words)?;
        let told = words[..n].windows(4).any(|part| part == b"size");
        hold(told && refused.and_then(|e| e.raw_os_error()) == Some(libc::EINVAL))
    }

    #[test]
    fn mounts_made_by_fd() {
        assert_eq!(in_mount_namespace(kernel_tells_its_reason), 0);
        if !root() {
            eprintln!("skipped: files in a tmpfs of ours need mapped ids");
            return;
        }
        assert_eq!(in_mount_namespace(detached_mount_is_moved_in), 0);
        assert_eq!(in_mount_namespace(pivot_leaves_the_old_root), 0);
    }

    #[test]
    fn unknown_file_system_is_enodev() {
        let refused = fsopen(c"no such file system").unwrap_err();
        assert!(matches!(refused.raw_os_error(), Some(libc::ENODEV | libc::EPERM)), "{refused}");
    }
}
