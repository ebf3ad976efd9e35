//! The container's control groups: made, filled, watched, emptied, removed.
//!
//! [`plan::cgroup`](crate::plan::cgroup) decided the words; here they are written, by one loop
//! over directories ([`make`]) and one over words ([`apply`]), whatever the version. Next:
//! [`devices`], [`tasks`] (processes, signals), [`freezer`], [`update`], [`stats`], [`oom`],
//! [`remove`], [`systemd`], and [`resctrl`], which is no cgroup but is used like one.
//!
//! # Placing a process
//!
//! ```text
//! parent  Cgroup::create          directories and limits, before there is a process
//!         clone3                  v2 and hybrid: CLONE_INTO_CGROUP with Cgroup::clone_into()
//! child   write "0" to each of Cgroup::join_fds()       v1: before anything else
//! parent  Cgroup::start_unit      systemd's driver: all of the above, around the waiting child
//! parent  Cgroup::limit_devices   while the child waits, before its program (or a hook) runs
//! ```
//!
//! Why the child moves itself: moving *another* process, or a process with several threads, takes
//! a lock over all forks and exits of the machine and waits for an RCU grace period. A thread that
//! writes `0` into a v1 `tasks` file moves only itself and takes no lock (Linux 5.4). Nine
//! hierarchies on Linux 6.18, two loaded processors, medians of 15: `cgroup.procs` written by the
//! parent 12 ms (3 to 19; all of it in the first write, the others take 0.2 ms together), `tasks`
//! written by the child 0.12 ms. The limits also hold from the child's first instant. A v2
//! directory has no such file; there `CLONE_INTO_CGROUP` does it for free (Linux 5.7).
//!
//! The v1 cgroup namespace must be unshared *after* joining: its root is where the process is.

mod apply;
mod devices;
mod enter;
mod freezer;
pub(crate) mod fs;
mod journal;
mod make;
mod oom;
mod remove;
pub mod resctrl;
pub mod stats;
pub mod systemd;
mod tasks;
mod update;

use std::cell::{Cell, OnceCell};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use self::enter::Entry;
use self::fs::Dir;
use self::systemd::UnitRecord;
use crate::error::{At, Error, Result, Step};
use crate::host::cgroup::CgroupMode;
use crate::plan::cgroup::{CgroupPlan, DirPlan};

pub use oom::OomWatch;
pub use update::Updated;

/// What to do about a container without any cgroup.
pub(crate) const WITHOUT: &str = "it was made without one, as a user without a delegated cgroup makes it: create it \
    again with --systemd-cgroup, or under `systemd-run --user --scope -p Delegate=yes`";

/// Where a container's cgroups are: what its state remembers.
///
/// It can be written before anything exists (the intent record), and everything it names may be
/// gone when it is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupRecord {
    /// How the host mounted control groups.
    pub mode: CgroupMode,
    /// One directory per hierarchy, the v2 one last.
    pub dirs: Vec<DirPlan>,
    /// `memory.swap` as it was last asked for, see [`CgroupPlan::swap`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swap: Option<i64>,
    /// The unit that systemd made for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitRecord>,
}

impl From<&CgroupPlan> for CgroupRecord {
    fn from(plan: &CgroupPlan) -> Self {
        let unit = plan.unit.as_ref().map(UnitRecord::from);
        Self { mode: plan.mode, dirs: plan.dirs.clone(), swap: plan.swap, unit }
    }
}

/// The control groups of one container.
///
/// Dropping it removes nothing: call [`Cgroup::remove`].
#[derive(Debug)]
pub struct Cgroup {
    record: CgroupRecord,
    /// What is open, once it exists.
    open: OnceCell<Open>,
    /// It is there and ours; a unit is only when systemd has begun it.
    begun: Cell<bool>,
}

/// The open side of new control groups.
#[derive(Debug, Default)]
struct Open {
    /// The v2 directory.
    v2: Option<Dir>,
    /// `tasks` of each v1 directory, for writing.
    join: Vec<OwnedFd>,
    /// What [`Cgroup::limit_devices`] has to do.
    devices: Option<devices::Todo>,
}

impl Cgroup {
    /// Makes the directories and writes every limit but those on devices
    /// ([`Cgroup::limit_devices`]).
    ///
    /// With systemd's driver nothing is made yet: [`Cgroup::start_unit`] does it.
    ///
    /// An empty cgroup that is already there is used, as runc does. A rootless container without
    /// `cgroupsPath` and without limits gets no cgroup where we lack the rights.
    ///
    /// # Errors
    /// A directory cannot be made, a controller is missing or refuses its word, the cgroup has
    /// processes or is frozen. What was made is removed again: exactly that.
    pub fn create(plan: &CgroupPlan) -> Result<Self> {
        if plan.unit.is_some() {
            let record = CgroupRecord::from(plan);
            return Ok(Self { record, open: OnceCell::new(), begun: Cell::new(false) });
        }
        let (dirs, open) = Self::make(plan)?;
        let record = CgroupRecord { dirs, ..CgroupRecord::from(plan) };
        Ok(Self { record, open: OnceCell::from(open), begun: Cell::new(true) })
    }

    /// Asks systemd for the unit of the plan, with this process in it, and fills its cgroup as
    /// [`Cgroup::create`] does; nothing without a unit. The process must wait meanwhile.
    ///
    /// # Errors
    /// systemd does not answer or refuses the unit; those of [`Cgroup::create`].
    pub fn start_unit(&self, plan: &CgroupPlan, pid: i32) -> Result<()> {
        let Some(unit) = &plan.unit else { return Ok(()) };
        systemd::start(unit, pid)?;
        self.begun.set(true);
        let systemds = |dir: &&DirPlan| dir.is_v2() || dir.controllers == ["name=systemd"];
        if let Some(dir) = plan.dirs.iter().find(systemds)
            && Dir::find(dir).at(Step::Cgroup, || dir.host_dir().display().to_string())?.is_none()
        {
            let why = format!("its cgroup {} does not exist", dir.host_dir().display());
            return Err(Error::rule(Step::Cgroup, format!("systemd unit {}", unit.name), why)
                .hint("is /sys/fs/cgroup this host's, and not a part of it?"));
        }
        let (_, open) = Self::make(plan)?;
        // systemd moves processes into scopes only, and on v1 not into every hierarchy.
        if unit.is_slice() || plan.mode != CgroupMode::Unified {
            self.place(pid)?;
        }
        let _once = self.open.set(open);
        Ok(())
    }

    fn make(plan: &CgroupPlan) -> Result<(Vec<DirPlan>, Open)> {
        let made = make::directories(plan)?;
        apply::words(plan, &made.dirs, None)?;
        if let (Some(owner), Some(v2)) = (plan.owner, made.v2()) {
            make::give(v2, owner).at(Step::Cgroup, || made.host_dir().display().to_string())?;
        }
        let mut join = Vec::with_capacity(made.dirs.len());
        for (at, dir) in made.v1().filter(|_| plan.unit.is_none()) {
            let tasks = dir.open("tasks", libc::O_WRONLY);
            join.push(tasks.at(Step::Cgroup, || {
                plan.dirs[at].host_dir().join("tasks").display().to_string()
            })?);
        }
        let devices = devices::Todo::new(plan, &made);
        let (dirs, v2) = made.keep(plan);
        Ok((dirs, Open { v2, join, devices }))
    }

    /// The cgroups that a state remembers; nothing is touched, and they may be gone.
    pub fn open(record: &CgroupRecord) -> Self {
        let open = OnceCell::from(Open::default());
        Self { record: record.clone(), open, begun: Cell::new(true) }
    }

    fn v2(&self) -> Option<&Dir> {
        self.open.get()?.v2.as_ref()
    }

    /// The words for an error of `clone3` that was about [`Cgroup::clone_into`] (clone(2)); any
    /// other comes back as it is.
    #[must_use]
    pub fn explain_clone(&self, error: Error) -> Error {
        let hint = match (error.errno(), self.v2()) {
            (Some(libc::EBUSY), Some(_)) => {
                "the cgroup hands controllers down to sub-cgroups, so it takes no processes: \
                 choose another cgroupsPath"
            }
            (Some(libc::EOPNOTSUPP), Some(_)) if self.is_crowded_above() => {
                "the cgroup above has processes of its own, and v2 allows them only in the leaves of \
                 the tree: move them into a sub-cgroup, or choose another cgroupsPath"
            }
            (Some(libc::EOPNOTSUPP), Some(_)) => {
                "the cgroup is below a threaded one and takes no processes: choose another \
                 cgroupsPath"
            }
            (Some(libc::EACCES), Some(_)) => enter::NOT_COMMON,
            _ => return error,
        };
        let on = format!("{}: unable to apply cgroup configuration", self.subject());
        Error { step: Step::Cgroup, on, ..error }.hint(hint)
    }

    /// Whether processes in the cgroup above keep ours from being a domain (cgroups(7), "no internal
    /// processes"). The root is not bound by that, and has no type.
    fn is_crowded_above(&self) -> bool {
        let above = self.host_dir().and_then(|dir| Some(dir.parent()?.to_owned()));
        above.filter(|dir| dir.join("cgroup.type").exists()).is_some_and(|dir| {
            std::fs::read(dir.join("cgroup.procs")).is_ok_and(|list| !list.is_empty())
        })
    }

    /// What the state must remember.
    pub fn record(&self) -> &CgroupRecord {
        &self.record
    }

    /// Whether the container has no cgroup of its own.
    pub fn is_none(&self) -> bool {
        self.record.dirs.is_empty()
    }

    /// The v2 directory for `CLONE_INTO_CGROUP` (clone(2)); `None` on pure v1.
    pub fn clone_into(&self) -> Option<BorrowedFd<'_>> {
        self.v2().map(AsFd::as_fd)
    }

    /// Files that a process with one thread writes `0` into to join the v1 hierarchies.
    pub fn join_fds(&self) -> &[OwnedFd] {
        self.open.get().map_or(&[], |open| &open.join)
    }

    /// Moves a process into every hierarchy: for one that could not join by itself, such as a
    /// process given to us. On v1 this waits for an RCU grace period, see the module's header.
    ///
    /// # Errors
    /// `ESRCH` when there is no such process; `EBUSY` on v2 when the cgroup has sub-cgroups with
    /// controllers; `EACCES` without rights over both cgroups.
    pub fn place(&self, pid: i32) -> Result<()> {
        let pid = pid.to_string();
        for plan in &self.record.dirs {
            let on = || format!("{}/cgroup.procs", plan.host_dir().display());
            let Some(dir) = Dir::find(plan).at(Step::Cgroup, on)? else { continue };
            dir.write("cgroup.procs", &pid).at(Step::Cgroup, on)?;
        }
        Ok(())
    }

    /// Makes the device rules effective. They may follow the process, because only our own code
    /// runs in it until it executes the container's program; they must come before a hook, which
    /// may allow more. Unless [`Cgroup::limits_devices_at_once`], call it while init waits: v1 takes
    /// one rule after the other, the first denies everything, and an init at work would meet `EPERM`
    /// at `/dev/null`.
    ///
    /// # Errors
    /// The controller refuses a rule, or the kernel a program; tolerated where runc tolerates it:
    /// without rights over the host's devices (rootless, inside a user namespace), and when every
    /// rule of the bundle only allows.
    pub fn limit_devices(&self) -> Result<()> {
        self.devices().map_or(Ok(()), |todo| todo.carry_out(self.v2()))
    }

    /// Whether the device rules become effective as one: a program of v2, which allows at any
    /// moment what init needs. Loading it takes a millisecond that init can use.
    pub fn limits_devices_at_once(&self) -> bool {
        self.devices().is_none_or(devices::Todo::is_program)
    }

    fn devices(&self) -> Option<&devices::Todo> {
        self.open.get()?.devices.as_ref()
    }

    /// Whether the kernel killed a process of the container for lack of memory: the reason to
    /// give when init vanished (`memory.events`, or `memory.oom_control` since Linux 4.13).
    pub fn oom_killed(&self) -> bool {
        let (controller, file) = match self.record.mode {
            CgroupMode::Unified => ("", "memory.events"),
            _ => ("memory", "memory.oom_control"),
        };
        let Some(Ok(Some(dir))) = self.plan_of(controller).map(Dir::find) else { return false };
        matches!(dir.value_of(file, "oom_kill"), Ok(Some(1..)))
    }

    /// The container's directory on the host: that of v2, or of the v1 `devices` controller,
    /// which stands for all as it does in runc.
    pub fn host_dir(&self) -> Option<PathBuf> {
        self.main().map(DirPlan::host_dir)
    }

    fn main(&self) -> Option<&DirPlan> {
        match self.record.mode {
            CgroupMode::Unified => self.record.dirs.first(),
            _ => self.plan_of("devices").or_else(|| self.record.dirs.first()),
        }
    }

    /// The directory with a v1 controller; that of v2 for "".
    fn plan_of(&self, controller: &str) -> Option<&DirPlan> {
        self.record.dirs.iter().find(|dir| match controller {
            "" => dir.is_v2(),
            name => dir.controllers.iter().any(|c| c == name),
        })
    }

    fn subject(&self) -> String {
        self.host_dir().unwrap_or_default().display().to_string()
    }
}

#[cfg(test)]
mod tests;
