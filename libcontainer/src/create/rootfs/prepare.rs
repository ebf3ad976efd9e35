//! The parent's share, before clone: room for descriptors, and what only the host's root may do.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Work;
use super::helper::{Helper, Ids};
use crate::error::{At, Result, Step};
use crate::plan::mounts::{Action, Bind, Mounts, UserNamespace};
use crate::sys::clone::{CLONE_NEWUSER, CloneArgs, exit, spawn, wait_pidfd};
use crate::sys::fd::{open, pipe, read};

impl Work {
    /// Makes room for all descriptors, opens the user namespaces of id-mapped mounts, and starts
    /// the helper where the container's root may need the host's rights.
    ///
    /// # Errors
    /// [`Step::IdMap`] for ids that cannot be mapped; [`Step::Mount`] without a helper.
    pub fn prepare(plan: &Mounts) -> Result<Self> {
        let slots = || plan.list.iter().map(|_| None).collect();
        let ids = all_ids(plan)?;
        let needed = plan.host_rights && binds(plan).any(needs_rights);
        let helper = match needed {
            true => Some(Helper::start(plan, &ids).at(Step::Mount, || "helper")?),
            false => None,
        };
        Ok(Self {
            root: None,
            trees: slots(),
            late: slots(),
            ids,
            helper,
            host_kernel_mounts: if plan.no_pivot { kernel_mounts(plan)? } else { Vec::new() },
            null: None,
        })
    }
}

fn binds(plan: &Mounts) -> impl Iterator<Item = &Bind> {
    plan.list.iter().filter_map(|op| match &op.action {
        Action::Bind(bind) => Some(bind),
        _ => None,
    })
}

/// Whether the container's root may fail where the host's does not: ids to map, or a directory on
/// the way that others may not enter. A guess: init tries by itself first.
fn needs_rights(bind: &Bind) -> bool {
    let source = Path::new(OsStr::from_bytes(bind.source.as_bytes()));
    let open_to_all = |dir: &Path| {
        std::fs::metadata(dir).is_ok_and(|meta| meta.permissions().mode() & 0o001 != 0)
    };
    // The canonical path too: a link may lead behind another directory.
    let real = std::fs::canonicalize(source);
    let real = real.as_deref().unwrap_or(source);
    let ways = source.ancestors().skip(1).chain(real.ancestors().skip(1));
    bind.id_map.is_some() || !ways.filter(|dir| dir.is_absolute()).all(open_to_all)
}

/// One user namespace for each set of ids.
fn all_ids(plan: &Mounts) -> Result<Ids> {
    let mut ids = Ids::new();
    for map in binds(plan).filter_map(|bind| bind.id_map.as_ref()) {
        if !ids.iter().any(|(known, _)| *known == map.user_namespace) {
            ids.push((map.user_namespace.clone(), user_namespace(&map.user_namespace)?));
        }
    }
    Ok(ids)
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
