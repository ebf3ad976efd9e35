//! Makes the directories: one loop over the hierarchies, undone on error to the last one.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::fs::{Dir, is_denied, text, walk};
use crate::error::{At, Cause, Error, Result, Step};
use crate::host::cgroup::CgroupMode;
use crate::plan::cgroup::{CgroupPlan, DirPlan};
use crate::sys::fd;

/// Who may write which files of a delegated cgroup is the kernel's to say (Linux 4.15).
const DELEGATE: &str = "/sys/kernel/cgroup/delegate";
/// What config-linux.md ("Cgroup ownership") says for older kernels.
const DELEGATE_BEFORE: &str = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n";

/// The directories while the cgroup is being made. Dropped, it takes back what it made.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// One per directory of the plan; `None` where rights were missing and are not needed.
    pub(super) dirs: Vec<Option<Dir>>,
    /// Whether the v2 directory was there before.
    pub(super) reused_v2: bool,
    host_dir: PathBuf,
    v2: Option<usize>,
    /// Mount and path of each directory made, in order.
    undo: Vec<(PathBuf, PathBuf)>,
}

impl Made {
    /// The v2 directory.
    pub(super) fn v2(&self) -> Option<&Dir> {
        self.dirs.get(self.v2?)?.as_ref()
    }

    /// The v1 directories and their places in the plan.
    pub(super) fn v1(&self) -> impl Iterator<Item = (usize, &Dir)> {
        let all = self.dirs.iter().enumerate();
        all.filter(|(at, _)| Some(*at) != self.v2).filter_map(|(at, d)| Some((at, d.as_ref()?)))
    }

    /// For messages.
    pub(super) fn host_dir(&self) -> &Path {
        &self.host_dir
    }

    /// All went well: the directories stay. Those that exist, and the v2 one, open.
    pub(super) fn keep(mut self, plan: &CgroupPlan) -> (Vec<DirPlan>, Option<Dir>) {
        self.undo.clear();
        let present = self.dirs.iter().zip(&plan.dirs);
        let plans =
            present.filter(|(dir, _)| dir.is_some()).map(|(_, plan)| plan.clone()).collect();
        let v2 = self.v2.and_then(|at| self.dirs.get_mut(at)?.take());
        (plans, v2)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        self.dirs.clear();
        for (mount, path) in self.undo.drain(..).rev() {
            // The first failure is the one to report; a directory in use is somebody's by now.
            let _ = fs::remove_dir(mount.join(path));
        }
    }
}

/// Makes every directory of the plan, or finds it empty.
///
/// # Errors
/// See [`super::Cgroup::create`].
pub(super) fn directories(plan: &CgroupPlan) -> Result<Made> {
    let mut made = Made::default();
    for (at, dir) in plan.dirs.iter().enumerate() {
        made.host_dir = dir.host_dir();
        if dir.is_v2() {
            made.v2 = Some(at);
        }
        let opened = directory(dir, plan, &mut made);
        let denied = opened.as_ref().is_err_and(is_denied_error);
        let opened = match opened {
            Ok(opened) => Some(opened),
            Err(_) if denied && may_lack(plan, at) => None,
            Err(e) if denied && plan.forgiving => return Err(needs_rights(plan, at, &e)),
            Err(e) => return Err(e),
        };
        made.dirs.push(opened);
    }
    Ok(made)
}

fn is_denied_error(error: &Error) -> bool {
    matches!(&error.cause, Cause::Io(e) if is_denied(e))
}

/// Whether the container can do without this directory when we may not make it.
fn may_lack(plan: &CgroupPlan, at: usize) -> bool {
    // Named hierarchies limit nothing; runc never insists on them.
    let named = plan.dirs[at].controllers.iter().any(|c| c.starts_with("name="));
    named || plan.forgiving && plan.writes.iter().all(|write| write.dir != at)
}

fn needs_rights(plan: &CgroupPlan, at: usize, cause: &Error) -> Error {
    let field = plan.writes.iter().find(|w| w.dir == at).map_or("", |w| &w.field);
    let controller = plan.writes.iter().find(|w| w.dir == at).map_or("", |w| &w.controller);
    let words = match plan.mode {
        CgroupMode::Unified => format!(
            "rootless needs no limits + no cgrouppath when no permission is granted for cgroups: \
             {cause}"
        ),
        _ => format!(
            "cannot set {controller} limit: container could not join or create cgroup: {cause}"
        ),
    };
    Error::rule(Step::Cgroup, field, words).hint(match plan.mode {
        CgroupMode::Unified => {
            "no cgroup here is delegated to this user: use --systemd-cgroup with a systemd of the \
             user's own, or start under `systemd-run --user --scope -p Delegate=yes`"
        }
        _ => "delegate a cgroup to this user, or leave the limits out",
    })
}

fn directory(plan: &DirPlan, all: &CgroupPlan, made: &mut Made) -> Result<Dir> {
    let on = || format!("{}: unable to apply cgroup configuration", plan.host_dir().display());
    let mount = Dir::mount(&plan.mount).at(Step::Cgroup, || plan.mount.display().to_string())?;
    let unified = all.mode == CgroupMode::Unified;
    let fresh = make_path(&mount, plan, unified, made).at(Step::Cgroup, on).map_err(full)?;
    let dir = text(&plan.path).and_then(|path| mount.dir(&path)).at(Step::Cgroup, on)?;
    // One that systemd made has the process already.
    if !fresh && all.unit.is_none() {
        must_be_idle(&dir, plan, all)?;
        made.reused_v2 |= plan.is_v2();
    }
    if unified {
        must_take_processes(&mount, &dir, plan, all)?;
    }
    if plan.controllers.iter().any(|c| c == "cpuset") {
        inherit_cpuset(&mount, plan).at(Step::Cgroup, on)?;
    }
    Ok(dir)
}

/// Some limits on cgroups themselves have misleading names.
fn full(error: Error) -> Error {
    match error.errno() {
        Some(libc::EAGAIN) => {
            error.hint("a cgroup above has reached its cgroup.max.descendants or cgroup.max.depth")
        }
        Some(libc::ENOSPC) => error.hint(
            "the kernel has no ids left for memory cgroups (65535, removed ones with cached \
             pages included)",
        ),
        _ => error,
    }
}

/// Makes the directory and those above it that are missing; says whether the last one is new.
///
/// The v2 hierarchy of a hybrid host only groups processes: no controllers are handed down there,
/// which would keep processes out of the cgroups above.
fn make_path(mount: &Dir, plan: &DirPlan, unified: bool, made: &mut Made) -> io::Result<bool> {
    let controllers = if unified { missing_controllers(mount, plan)? } else { Vec::new() };
    let mut make = |path: &Path| match fd::mkdirat(mount, &text(path)?, 0o755) {
        Ok(()) => {
            made.undo.push((plan.mount.clone(), path.to_owned()));
            Ok(true)
        }
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(e),
    };
    if controllers.is_empty() {
        match make(&plan.path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
    }
    let mut fresh = false;
    for depth in prefixes(&plan.path) {
        if !controllers.is_empty() {
            let above = depth.parent().unwrap_or_else(|| Path::new(""));
            enable(&below(mount, above)?, &controllers);
        }
        fresh = make(&depth)?;
    }
    Ok(fresh)
}

/// `a`, `a/b`, `a/b/c`.
fn prefixes(path: &Path) -> impl Iterator<Item = PathBuf> {
    path.components().scan(PathBuf::new(), |prefix, component| match component {
        Component::Normal(name) => {
            prefix.push(name);
            Some(prefix.clone())
        }
        _ => None,
    })
}

fn below(mount: &Dir, path: &Path) -> io::Result<Dir> {
    if path.as_os_str().is_empty() { mount.dir(c".") } else { mount.dir(&text(path)?) }
}

/// The controllers of the host, unless the cgroup above the container's already hands all of
/// them down: then those above it do so too.
fn missing_controllers(mount: &Dir, plan: &DirPlan) -> io::Result<Vec<String>> {
    let all = mount.read("cgroup.controllers")?;
    let mut all: Vec<String> = all.split_whitespace().map(str::to_owned).collect();
    if !all.is_empty() {
        let above = plan.path.parent().unwrap_or_else(|| Path::new(""));
        let enabled = below(mount, above).and_then(|dir| dir.read("cgroup.subtree_control"));
        let enabled = enabled.unwrap_or_default();
        if all.iter().all(|c| enabled.split_whitespace().any(|e| e == c)) {
            all.clear();
        }
    }
    Ok(all)
}

/// Hands controllers down to the children of `dir`. What cannot be had is no error yet: the word
/// that needs it will say so.
fn enable(dir: &Dir, controllers: &[String]) {
    let all: Vec<String> = controllers.iter().map(|c| format!("+{c}")).collect();
    if dir.write("cgroup.subtree_control", &all.join(" ")).is_err() {
        for one in &all {
            let _ = dir.write("cgroup.subtree_control", one);
        }
    }
}

/// A cgroup that is already there must be ours alone: checked where runc checks it.
fn must_be_idle(dir: &Dir, plan: &DirPlan, all: &CgroupPlan) -> Result<()> {
    let unified = all.mode == CgroupMode::Unified;
    let has = |name: &str| plan.controllers.iter().any(|c| c == name);
    let on = || plan.host_dir().display().to_string();
    if unified || has("devices") {
        let mut count = 0;
        let counted = walk(
            dir,
            |dir| {
                count += dir.processes()?.len();
                Ok(())
            },
            |_, _| Ok(()),
        );
        counted.at(Step::Cgroup, on)?;
        if count != 0 {
            return Err(Error::rule(
                Step::Cgroup,
                "",
                format!("container's cgroup is not empty: {count} process(es) found"),
            )
            .hint(format!("give the container a cgroupsPath of its own, or empty {}", on())));
        }
    }
    let frozen = match (unified, has("freezer")) {
        (true, _) => dir.number("cgroup.freeze").unwrap_or(None) == Some(1),
        (_, true) => dir.read("freezer.state").at(Step::Cgroup, on)?.trim() != "THAWED",
        _ => false,
    };
    if frozen {
        return Err(Error::rule(Step::Cgroup, "", "container's cgroup unexpectedly frozen")
            .hint(format!("thaw {} first", on())));
    }
    Ok(())
}

/// Below a threaded cgroup a new one takes no processes until it is threaded too (cgroups(7),
/// "Thread mode"), and then has no memory or io controller.
fn must_take_processes(mount: &Dir, dir: &Dir, plan: &DirPlan, all: &CgroupPlan) -> Result<()> {
    if plan.path.components().count() < 2 {
        return Ok(());
    }
    let kind = dir.read("cgroup.type").unwrap_or_default();
    let on = || plan.host_dir().display().to_string();
    let domain = |w: &&str| matches!(*w, "memory" | "io" | "hugetlb" | "rdma");
    let asked = all.writes.iter().map(|w| &*w.controller).find(domain);
    match (kind.trim(), asked) {
        ("domain invalid" | "threaded" | "domain threaded", Some(controller)) => {
            let words = format!("cannot limit {controller}: the cgroup is {}", kind.trim());
            let error = Error::rule(Step::Cgroup, on(), words);
            Err(match occupied(mount, plan) {
                Some(above) => error.hint(format!(
                    "{} has processes of its own, so it hands no such controllers down: move them \
                     into a sub-cgroup, or choose another cgroupsPath",
                    above.display()
                )),
                None => error.hint(
                    "a threaded cgroup tree has no such controllers: choose another cgroupsPath",
                ),
            })
        }
        ("domain invalid", None) => dir.write("cgroup.type", "threaded").at(Step::Cgroup, on),
        _ => Ok(()),
    }
}

/// The nearest cgroup above, but the root, that has processes.
fn occupied(mount: &Dir, plan: &DirPlan) -> Option<PathBuf> {
    let named = plan.path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty());
    let has = |above: &&Path| {
        let processes = below(mount, above).and_then(|dir| dir.processes());
        processes.is_ok_and(|processes| !processes.is_empty())
    };
    named.into_iter().find(has).map(|above| plan.mount.join(above))
}

/// A v1 cpuset takes no process before it has cpus and memory nodes: those of the cgroup above,
/// from the root of the hierarchy down, wherever there are none.
fn inherit_cpuset(mount: &Dir, plan: &DirPlan) -> io::Result<()> {
    for (name, noprefix) in [("cpuset.cpus", "cpus"), ("cpuset.mems", "mems")] {
        let read = |dir: &Dir| match dir.read(name) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok((noprefix, dir.read(noprefix)?)),
            other => Ok::<_, io::Error>((name, other?)),
        };
        let (_, mut inherited) = read(mount)?;
        for depth in prefixes(&plan.path) {
            let dir = below(mount, &depth)?;
            let (file, own) = read(&dir)?;
            if own.trim().is_empty() {
                dir.write(file, inherited.trim())?;
            } else {
                inherited = own;
            }
        }
    }
    Ok(())
}

/// Gives the directory, and what the kernel lists as safe in it, to a host uid.
///
/// # Errors
/// `EPERM` without the right to give files away.
pub(super) fn give(dir: &Dir, owner: u32) -> io::Result<()> {
    const SAME: u32 = u32::MAX;
    let change = |name: &CString, flags| match fd::fchownat(dir, name, owner, SAME, flags) {
        // Not every file is in every cgroup.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    if fd::fstat(dir)?.uid == owner {
        return Ok(());
    }
    change(&CString::default(), libc::AT_EMPTY_PATH)?;
    let files = fs::read(DELEGATE).unwrap_or_else(|_| DELEGATE_BEFORE.into());
    for name in files.split(|b| *b == b'\n').filter(|name| !name.is_empty()) {
        let name = Path::new(std::ffi::OsStr::from_bytes(name));
        change(&text(name)?, libc::AT_SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}
