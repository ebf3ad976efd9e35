//! What the parent says about a failed step of the tree: it holds the same plan.

use std::ffi::CStr;
use std::io;

use super::refusal;
use crate::create::report::Failure;
use crate::error::{Cause, Error, Step};
use crate::plan::devices::Dev;
use crate::plan::mounts::{Action, MountOp, Mounts};
use crate::sys::fd::{open, statx_mnt_id};

/// The error for a failure of one of the steps in [`super`]; `None` for others.
pub fn error(plan: &Mounts, failure: Failure) -> Option<Error> {
    let item = usize::try_from(failure.item).unwrap_or(usize::MAX);
    let (on, hint) = match failure.step {
        Step::Mount => {
            let op = plan.list.get(item)?;
            (op.to_string(), mount_hint(op, failure.errno))
        }
        Step::Device => (device(plan.dev.as_ref()?, item)?, None),
        Step::Mask => {
            let readonly = plan.readonly_paths.len();
            let path = plan.readonly_paths.get(item).map(|path| format!("{path} (read-only)"));
            let masked = item.checked_sub(readonly).and_then(|item| plan.masked.get(item));
            (path.or_else(|| masked.map(ToString::to_string))?, None)
        }
        Step::Rootfs => root(plan, failure),
        Step::PivotRoot => pivot(plan, failure),
        _ => return None,
    };
    let cause = match refusal_words(failure.errno) {
        Some(words) => Cause::Rule(words_of(plan, failure, words)),
        None => Cause::Io(io::Error::from_raw_os_error(failure.errno)),
    };
    Some(Error { step: failure.step, on, cause, hint })
}

/// procfs and sysfs have runc's sentence, which callers know.
fn words_of(plan: &Mounts, failure: Failure, words: &str) -> String {
    let op = usize::try_from(failure.item).ok().and_then(|item| plan.list.get(item));
    match (failure.step, failure.errno, op) {
        (Step::Mount, refusal::NOT_A_DIRECTORY, Some(MountOp { action: Action::Fs(fs), .. })) => {
            let name = fs.fstype.to_string_lossy();
            if name != "proc" && name != "sysfs" {
                return words.to_owned();
            }
            format!("filesystem \"{name}\" must be mounted on ordinary directory")
        }
        (Step::Mount, refusal::INSIDE_PROC, Some(op)) => {
            format!("\"{}\" cannot be mounted because it is inside /proc", op.target)
        }
        (Step::Mount, refusal::NOT_PROC, Some(op)) => {
            format!("\"{}\" cannot be mounted because it is not of type proc", op.target)
        }
        _ => words.to_owned(),
    }
}

/// The sentence for an errno of ours; `None` for one of the kernel's.
pub fn refusal_words(errno: i32) -> Option<&'static str> {
    Some(match errno {
        refusal::NOT_A_DIRECTORY => "the target must be an ordinary directory, not a link",
        refusal::INSIDE_PROC => "a link in the root file system leads into /proc",
        refusal::IS_ROOT => "a link in the root file system leads to the root itself",
        refusal::NOT_PROC => "only a procfs may be mounted at /proc",
        refusal::OTHER_FILE => "another file stands there already",
        refusal::OTHER_DEVICE => "the host's node of that name is not that device",
        refusal::CHANGED => "the root file system was changed while it was being prepared",
        refusal::NEEDS_NAMESPACE => {
            "this cannot be mounted in a container without a mount namespace (before Linux 6.15 \
             nothing can)"
        }
        refusal::NOT_DEVPTS => "a terminal needs a devpts mounted at /dev/pts",
        refusal::UNREACHABLE => "the working directory is outside of the root file system",
        refusal::TOO_DEEP => "the directories to copy are nested too deeply",
        refusal::UNSAFE_PROC => "/proc is not a procfs, or something is mounted over it",
        refusal::NOT_PREPARED => "the mount was not prepared",
        refusal::NO_ID_MAP => {
            "failed to set MOUNT_ATTR_IDMAP: invalid argument (the file system may not support \
             id-mapped mounts on this kernel)"
        }
        _ => return None,
    })
}

fn mount_hint(op: &MountOp, errno: i32) -> Option<String> {
    let fstype = match &op.action {
        Action::Fs(fs) => fs.fstype.as_bytes(),
        Action::Bind(_) if errno == libc::ENOTDIR => {
            return Some(
                "source and target must both be directories, or both files: are you trying to \
                 mount a directory onto a file, or vice versa?"
                    .into(),
            );
        }
        Action::Bind(bind) if errno == libc::ENOENT => {
            let source = bind.source.to_string_lossy();
            return Some(format!("the source {source} must exist on the host"));
        }
        Action::Bind(bind) if errno == refusal::NO_ID_MAP => return Some(no_id_map(&bind.source)),
        // Seen from a user namespace mounts are locked to what they cover (mount_namespaces(7)).
        Action::Bind(bind) if errno == libc::EINVAL && !bind.recursive => {
            return Some(format!(
                "where something is mounted below {}, a user namespace can bind it only together \
                 with that: use rbind",
                bind.source.to_string_lossy()
            ));
        }
        Action::Bind(_) if errno == libc::EPERM => {
            return Some(
                "flags that the host has locked cannot be cleared in a user namespace".into(),
            );
        }
        _ => return None,
    };
    Some(match (fstype, errno) {
        (b"sysfs", libc::EPERM) => {
            "in a user namespace sysfs needs a network namespace of the container's own, or the \
             option ro"
        }
        (b"proc", libc::EPERM) => {
            "a new procfs is refused where the /proc seen from here is partly covered, as in \
             another container; or the container has no pid namespace of its own"
        }
        (b"devpts", libc::EINVAL) => "the group of option gid= must be mapped into the container",
        (_, libc::ENODEV) => "the kernel has no file system of this type (see /proc/filesystems)",
        (_, libc::EINVAL) => "an option may be unknown to this file system, or have a wrong value",
        _ => return None,
    }
    .into())
}

/// Which file system it is that cannot, and which can (`FS_ALLOW_IDMAP` in the kernel's sources).
fn no_id_map(source: &CStr) -> String {
    let kind = file_system(source).unwrap_or_else(|| "its file system".into());
    format!(
        "{} is on {kind}; ids are mapped by ext4, xfs and vfat, since Linux 5.15 by btrfs, 5.18 by f2fs, \
         5.19 by erofs, 6.2 by squashfs, 6.3 by tmpfs, 6.7 by ceph; an overlay has to be mounted from \
         mapped layers",
        source.to_string_lossy()
    )
}

/// The type of the file system that a path is on, as the kernel lists its mount.
fn file_system(path: &CStr) -> Option<String> {
    let id = statx_mnt_id(open(path, libc::O_PATH).ok()?).ok()?.to_string();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let line = mounts.lines().find(|line| line.split(' ').next() == Some(&id))?;
    Some(line.split_once(" - ")?.1.split(' ').next()?.to_owned())
}

fn device(dev: &Dev, item: usize) -> Option<String> {
    let link = || dev.links.get(item.checked_sub(dev.nodes.len())?).map(|link| &link.path);
    dev.nodes.get(item).map(|node| &node.path).or_else(link).map(ToString::to_string)
}

fn root(plan: &Mounts, failure: Failure) -> (String, Option<String>) {
    let rootfs = plan.rootfs.to_string_lossy();
    match failure.item {
        0 => ("propagation of /".into(), None),
        2 => (format!("the mount that holds {rootfs}"), None),
        4 => ("/dev/null of the host".into(), None),
        5 => ("read-only".into(), None),
        _ => (rootfs.into_owned(), None),
    }
}

fn pivot(plan: &Mounts, failure: Failure) -> (String, Option<String>) {
    let on = match failure.item {
        0 => plan.rootfs.to_string_lossy().into_owned(),
        1 => "the old root".into(),
        _ => "propagation of the new root".into(),
    };
    let ram = failure.item == 0 && failure.errno == libc::EINVAL && !plan.no_pivot;
    let hint = "where the host's root is the initramfs, use --no-pivot";
    (on, ram.then(|| hint.into()))
}
