//! Where a further process enters the cgroups of a container that exists (`exec`).
//!
//! As for init: `CLONE_INTO_CGROUP` on v2, and on v1 the process writes itself into `tasks`.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use super::CgroupRecord;
use super::fs::{Dir, text};
use super::systemd::{self, UnitRecord};
use crate::error::{At, Error, Result, Step};
use crate::host::cgroup::CgroupMode;
use crate::plan::cgroup::DirPlan;
use crate::plan::exec::Sub;

/// The doors, open.
#[derive(Debug, Default)]
pub struct Entry {
    /// The v2 directory, for clone3.
    into: Option<Dir>,
    /// `tasks` of each v1 directory.
    join: Vec<OwnedFd>,
    /// For messages: each of the v1 directories, then that of v2.
    names: Vec<String>,
}

/// `EACCES` of clone(2) into a cgroup: cgroups(7), "Delegation containment".
pub(super) const NOT_COMMON: &str = "the cgroup above both ours and the container's must be ours to \
    write: call from a cgroup that is delegated to you, as `systemd-run --user --scope -p Delegate=yes` \
    makes one; or create the container with --systemd-cgroup, and systemd moves processes between sessions";
/// What runc says, and callers of it look for.
const ADDING: &str = "error adding pid of the process to cgroups";

impl Entry {
    /// Opens the cgroups of `record`, or what `subs` name below them. On v2 a container whose own
    /// cgroup is gone, because its init (`pid`) has moved, is met where init is.
    ///
    /// # Errors
    /// `unknown controller`; a directory that does not exist, or has no `tasks`.
    pub fn open(record: &CgroupRecord, subs: &[Sub], pid: i32) -> Result<Self> {
        for controller in subs.iter().filter_map(|sub| sub.controller.as_deref()) {
            if !record.dirs.iter().any(|dir| dir.controllers.iter().any(|c| c == controller)) {
                let why = format!("unknown controller {controller} in SubCgroupPaths");
                return Err(Error::rule(Step::Cgroup, "", why)
                    .hint("on cgroup v2 give --cgroup a path alone"));
            }
        }
        let mut entry = Self::default();
        for dir in record.dirs.iter().filter(|dir| !dir.is_v2()) {
            let plan = below(dir, subs);
            let name = plan.host_dir().display().to_string();
            let on = || format!("{ADDING}: {name}");
            let gone = || io::Error::from_raw_os_error(libc::ENOENT);
            let found = Dir::find(&plan).and_then(|found| found.ok_or_else(gone));
            let tasks = found.and_then(|found| found.open("tasks", libc::O_WRONLY));
            entry.join.push(tasks.at(Step::Cgroup, on)?);
            entry.names.push(name);
        }
        if let Some(dir) = record.dirs.iter().find(|dir| dir.is_v2()) {
            entry.open_v2(record.mode, dir, subs, pid)?;
        }
        Ok(entry)
    }

    fn open_v2(&mut self, mode: CgroupMode, dir: &DirPlan, subs: &[Sub], pid: i32) -> Result<()> {
        let plan = below(dir, subs);
        let name = plan.host_dir().display().to_string();
        let found = Dir::find(&plan).at(Step::Cgroup, || format!("{ADDING}: {name}"))?;
        self.into = match found {
            Some(found) => Some(found),
            // On a hybrid host the limits are v1's; the v2 tree there need not have the same.
            None if mode != CgroupMode::Unified => Dir::find(dir).ok().flatten(),
            None if subs.iter().any(|sub| sub.controller.is_none()) => {
                let gone = Err::<(), _>(io::Error::from_raw_os_error(libc::ENOENT));
                return gone.at(Step::Cgroup, || format!("{ADDING}: {name}"));
            }
            None => Some(init_dir(dir, pid)?),
        };
        self.names.push(name);
        Ok(())
    }

    /// The v2 directory for `CLONE_INTO_CGROUP`.
    pub fn clone_into(&self) -> Option<BorrowedFd<'_>> {
        self.into.as_ref().map(AsFd::as_fd)
    }

    /// Files that the process writes `0` into.
    pub fn join_fds(&self) -> &[OwnedFd] {
        &self.join
    }

    /// The same with the cgroup of init: for a v2 cgroup that takes no processes since the
    /// container has divided it (`EBUSY`, `EOPNOTSUPP` of clone(2)).
    ///
    /// # Errors
    /// Init's cgroup cannot be found.
    pub fn at_init(&mut self, record: &CgroupRecord, pid: i32) -> Result<()> {
        if let Some(dir) = record.dirs.iter().find(|dir| dir.is_v2()) {
            self.into = Some(init_dir(dir, pid)?);
        }
        Ok(())
    }

    /// Has systemd move the process into the unit of `record`, for one that could not be born there.
    /// Where the container has divided its cgroup, it goes where init (`init`) is.
    ///
    /// # Errors
    /// systemd does not answer or refuses.
    pub fn attach(
        record: &CgroupRecord,
        unit: &UnitRecord,
        subs: &[Sub],
        (pid, init): (i32, i32),
    ) -> Result<()> {
        let Some(dir) = record.dirs.iter().find(|dir| dir.is_v2()) else { return Ok(()) };
        let asked = below(dir, subs).path;
        let relative = |path: &Path| match path.strip_prefix(&dir.path) {
            Ok(path) if !path.as_os_str().is_empty() => format!("/{}", path.display()),
            _ => String::new(),
        };
        let attached = systemd::attach(unit, &relative(&asked), pid);
        if attached.is_ok() || !subs.is_empty() {
            return attached;
        }
        let cgroup = fs::read_to_string(format!("/proc/{init}/cgroup")).unwrap_or_default();
        let path = cgroup.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
        match relative(Path::new(path)) {
            same if same.is_empty() => attached,
            other => systemd::attach(unit, &other, pid),
        }
    }

    /// The process is not born in the v2 directory: systemd moves it there.
    pub fn leave_to_unit(&mut self) {
        self.into = None;
    }

    /// The words for a failed write into the `item`th of [`Entry::join_fds`].
    pub fn subject(&self, item: usize) -> String {
        format!("{ADDING}: {}", self.names.get(item).map_or("", String::as_str))
    }

    /// The words for a clone3 that failed for the v2 directory.
    #[must_use]
    pub fn explain_clone(&self, error: Error) -> Error {
        let about_cgroup = matches!(
            error.errno(),
            Some(libc::EBUSY | libc::EOPNOTSUPP | libc::EACCES | libc::ENODEV)
        );
        if !about_cgroup || self.into.is_none() {
            return error;
        }
        let on = self.subject(self.names.len().saturating_sub(1));
        let hint = match error.errno() {
            Some(libc::EACCES) => NOT_COMMON,
            Some(libc::EOPNOTSUPP) => "the cgroup is threaded, or below a threaded one",
            _ => "a cgroup that has sub-cgroups with controllers takes no processes",
        };
        Error { step: Step::Cgroup, on, ..error }.hint(hint)
    }
}

/// The directory that the flags mean in one hierarchy.
fn below(dir: &DirPlan, subs: &[Sub]) -> DirPlan {
    let sub = subs.iter().find(|sub| match sub.controller.as_deref() {
        None => true,
        Some(controller) => dir.controllers.iter().any(|c| c == controller),
    });
    let mut plan = dir.clone();
    if let Some(sub) = sub.filter(|sub| !sub.path.is_root()) {
        use std::os::unix::ffi::OsStrExt;
        plan.path.push(std::ffi::OsStr::from_bytes(sub.path.as_bytes()));
    }
    plan
}

/// The v2 directory that the process `pid` is in.
fn init_dir(dir: &DirPlan, pid: i32) -> Result<Dir> {
    let file = format!("/proc/{pid}/cgroup");
    let lines = fs::read_to_string(&file).at(Step::Cgroup, || &file)?;
    let path = v2_path(&lines).at(Step::Cgroup, || format!("{ADDING}: {file}"))?;
    let found = Dir::mount(&dir.mount).and_then(|mount| match path {
        "" => Ok(mount),
        path => mount.dir(&text(Path::new(path))?),
    });
    found.at(Step::Cgroup, || format!("{ADDING}: {}", dir.mount.join(path).display()))
}

/// The v2 line of `/proc/PID/cgroup` (cgroups(7)). A kernel that gives none has not said that the
/// process is in the root: it may not be entered there.
fn v2_path(lines: &str) -> io::Result<&str> {
    let path = lines.lines().find_map(|line| line.strip_prefix("0::/"));
    path.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::paths::InRoot;

    fn hierarchy(controllers: &[&str]) -> DirPlan {
        let controllers = controllers.iter().map(ToString::to_string).collect();
        DirPlan { controllers, mount: "/sys/fs/cgroup/x".into(), path: "c".into() }
    }

    fn sub(controller: Option<&str>, path: &str) -> Sub {
        let controller = controller.map(str::to_owned);
        Sub { controller, path: InRoot::new(path).unwrap() }
    }

    #[test]
    fn a_flag_is_for_the_hierarchies_of_its_controller() {
        let path = |dir: &DirPlan, subs: &[Sub]| below(dir, subs).path;
        let cpu = hierarchy(&["cpu", "cpuacct"]);
        let v2 = hierarchy(&[]);
        assert_eq!(path(&cpu, &[]), Path::new("c"));
        assert_eq!(path(&cpu, &[sub(None, "a")]), Path::new("c/a"));
        assert_eq!(path(&v2, &[sub(None, "/")]), Path::new("c"));
        let two = [sub(Some("memory"), "m"), sub(Some("cpuacct"), "a")];
        assert_eq!(path(&cpu, &two), Path::new("c/a"));
        assert_eq!(path(&v2, &two), Path::new("c"));
    }

    #[test]
    fn no_line_of_v2_is_not_the_root() {
        assert_eq!(v2_path("4:memory:/x\n0::/a/b\n").unwrap(), "a/b");
        assert_eq!(v2_path("0::/\n").unwrap(), "");
        let error = v2_path("4:memory:/x\n").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
    }

    #[test]
    fn a_controller_that_is_not_there_is_named() {
        let record = CgroupRecord { dirs: vec![hierarchy(&["cpu"])], ..CgroupRecord::default() };
        let error = Entry::open(&record, &[sub(Some("whaaat"), "/")], 1).unwrap_err();
        assert!(error.to_string().contains("unknown controller whaaat"), "{error}");
    }
}
