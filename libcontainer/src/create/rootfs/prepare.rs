//! The parent's share, before clone: room for descriptors, and what only the host's root may do.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use super::mount::propagate;
use super::{Work, bind};
use crate::error::{At, Error, Result, Step};
use crate::plan::mount_options::{Propagate, Propagation, attr};
use crate::plan::mounts::{Action, Bind, IdMap, Mounts, UserNamespace};
use crate::sys::clone::{CLONE_NEWUSER, CloneArgs, exit, spawn, wait_pidfd};
use crate::sys::fd::{open, pipe, read};
use crate::sys::mount::{AT_EMPTY_PATH, AT_RECURSIVE, MountAttr, mount_setattr};

impl Work {
    /// Makes room for all descriptors and takes the id-mapped trees: mapping ids needs power over
    /// the file system, which a container's root has not.
    ///
    /// # Errors
    /// [`Step::Mount`] with the mount's words: a source that does not exist, ids that cannot be
    /// mapped, a file system that does not support it.
    pub fn prepare(plan: &Mounts) -> Result<Self> {
        let mut trees = Vec::with_capacity(plan.list.len());
        for op in &plan.list {
            trees.push(match &op.action {
                Action::Bind(Bind { id_map: Some(map), .. }) => {
                    let Action::Bind(bind) = &op.action else { continue };
                    Some(mapped(plan, bind, map).map_err(|error| named(error, op))?)
                }
                _ => None,
            });
        }
        Ok(Self {
            root: None,
            trees,
            late: plan.list.iter().map(|_| None).collect(),
            host_kernel_mounts: if plan.no_pivot { kernel_mounts(plan)? } else { Vec::new() },
            null: None,
        })
    }
}

fn named(error: Error, op: &impl ToString) -> Error {
    Error { on: op.to_string(), ..error }
}

fn mapped(plan: &Mounts, bind: &Bind, map: &IdMap) -> Result<OwnedFd> {
    let at = || bind.source.to_string_lossy().into_owned();
    let tree = bind::take(bind).at(Step::Mount, at)?;
    // Taken in the host's namespace, it would pass on to the host what is mounted below it.
    let receives = !plan.propagation.is_some_and(|to| to.kind == Propagation::Shared);
    if plan.namespace && receives {
        let slave = [Propagate { kind: Propagation::Slave, recursive: true }];
        propagate(&tree, &slave).at(Step::Mount, at)?;
    }
    let ids = user_namespace(&map.user_namespace)?;
    let attr = MountAttr {
        set: attr::IDMAP,
        userns_fd: u64::from(ids.as_raw_fd().unsigned_abs()),
        ..MountAttr::default()
    };
    let all = if map.recursive { AT_RECURSIVE } else { 0 };
    let set = mount_setattr(&tree, c"", AT_EMPTY_PATH | all, &attr);
    match set.as_ref().map_err(io::Error::raw_os_error) {
        Ok(()) => Ok(tree),
        Err(Some(libc::EINVAL)) => {
            Err(Error::rule(Step::Mount, at(), "failed to set MOUNT_ATTR_IDMAP: invalid argument")
                .hint("the file system may not support id-mapped mounts on this kernel"))
        }
        Err(_) => set.at(Step::Mount, at).map(|()| tree),
    }
}

/// Opens the user namespace whose ids count.
fn user_namespace(of: &UserNamespace) -> Result<OwnedFd> {
    match of {
        UserNamespace::Path(path) => {
            open(path, libc::O_RDONLY).at(Step::IdMap, || path.to_string_lossy().into_owned())
        }
        UserNamespace::Maps { uid, gid } => new_user_namespace(uid, gid),
    }
}

/// Makes a user namespace with these maps; it lives as long as the descriptor.
fn new_user_namespace(uid: &str, gid: &str) -> Result<OwnedFd> {
    let at = || "user namespace for an id-mapped mount";
    let (wait, go) = pipe().at(Step::IdMap, at)?;
    let args = CloneArgs { flags: CLONE_NEWUSER, cgroup: None, exit_signal: libc::SIGCHLD };
    let mut ends = Ends { wait, go: Some(go) };
    let holder = spawn(&args, &mut ends, hold).at(Step::IdMap, at)?;
    let opened = map(holder.pid, uid, gid);
    drop(ends);
    // It ends with the pipe's last writer; its status says nothing.
    let _ = wait_pidfd(&holder.pidfd);
    opened
}

/// The pipe that keeps the holder of a new user namespace alive.
struct Ends {
    wait: OwnedFd,
    go: Option<OwnedFd>,
}

/// In the holder: waits until the parent is done, or gone.
fn hold(ends: &mut Ends) -> ! {
    drop(ends.go.take());
    let _ = read(&ends.wait, &mut [0]);
    exit(0)
}

fn map(pid: i32, uid: &str, gid: &str) -> Result<OwnedFd> {
    for (file, text) in [("uid_map", uid), ("gid_map", gid)] {
        let path = format!("/proc/{pid}/{file}");
        std::fs::write(&path, text).at(Step::IdMap, || format!("{file} {:?}", text.trim_end()))?;
    }
    let path = format!("/proc/{pid}/ns/user");
    File::open(&path).at(Step::IdMap, || path).map(OwnedFd::from)
}

/// Mount points of whole procfs and sysfs mounts outside the rootfs, for `--no-pivot`.
fn kernel_mounts(plan: &Mounts) -> Result<Vec<CString>> {
    const FILE: &str = "/proc/self/mountinfo";
    let table = std::fs::read(FILE).at(Step::PivotRoot, || FILE)?;
    let lines = table.split(|byte| *byte == b'\n');
    let rootfs = plan.rootfs.as_bytes();
    let outside = |point: &CString| !point.as_bytes().starts_with(rootfs);
    Ok(lines.filter_map(kernel_mount).filter(outside).collect())
}

/// The mount point of one line of mountinfo (proc(5)), when it is a whole procfs or sysfs.
fn kernel_mount(line: &[u8]) -> Option<CString> {
    let mut words = line.split(|byte| *byte == b' ');
    let (root, point) = (words.nth(3)?, words.next()?);
    let fstype = words.skip_while(|word| *word != b"-").nth(1)?;
    let whole = root == b"/" && (fstype == b"proc" || fstype == b"sysfs");
    if whole { CString::new(unescape(point)).ok() } else { None }
}

/// mountinfo writes blanks and backslashes as three octal digits.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if first == b'\\' => {
                plain.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            _ => {
                plain.push(first);
                rest = after;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_kernel_mounts_are_found() {
        let line = b"25 30 0:23 / /a\\040b/proc rw,nosuid shared:13 master:2 - proc proc rw";
        assert_eq!(kernel_mount(line), Some(c"/a b/proc".to_owned()));
        assert_eq!(kernel_mount(b"25 30 0:23 /sys /proc/sys ro - proc proc rw"), None);
        assert_eq!(kernel_mount(b"25 30 0:23 / /x rw - tmpfs - rw"), None);
        assert_eq!(
            kernel_mount(b"25 30 0:21 / /sys rw - sysfs sysfs rw"),
            Some(c"/sys".to_owned())
        );
        assert_eq!(kernel_mount(b""), None);
        assert_eq!(unescape(b"a\\134b\\"), b"a\\b\\");
    }
}
