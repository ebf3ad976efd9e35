//! The processes of a container: listing, signalling, freezing.
//!
//! A signal reaches every process, also those that fork meanwhile: v2 has `cgroup.kill` for
//! SIGKILL (Linux 5.14); everything else is done while the cgroup is frozen. Whatever fails on the
//! way, a cgroup that was not frozen before is thawed again.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::Cgroup;
use super::fs::{Dir, is_gone, walk};
use crate::error::{At, Error, Result, Step};
use crate::host::cgroup::CgroupMode;
use crate::plan::cgroup::DirPlan;
use crate::sys::{clone, fd};

/// How long freezing may take.
const FREEZE_MAX: Duration = Duration::from_secs(10);
/// Rounds of signals to a cgroup that cannot be frozen and goes on forking.
const ROUNDS_MAX: u32 = 100;

impl Cgroup {
    /// Every process of the container and of its sub-cgroups that our pid namespace can name.
    /// Empty when the cgroup is gone.
    ///
    /// # Errors
    /// The cgroup cannot be read.
    pub fn pids(&self) -> Result<Vec<i32>> {
        let Some(dir) = self.main_dir()? else { return Ok(Vec::new()) };
        all_processes(&dir).at(Step::Cgroup, || self.subject())
    }

    /// Whether the container's directory exists.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn exists(&self) -> Result<bool> {
        Ok(self.main_dir()?.is_some())
    }

    /// Sends a signal to every process of the container; returns whether there was any.
    ///
    /// A frozen container gets the signal and stays frozen, unless it is SIGKILL: then it is
    /// thawed, with its sub-cgroups, to die. Dying takes time: [`Cgroup::remove`] waits for it.
    ///
    /// # Errors
    /// A process cannot be signalled (`EPERM`), or the cgroup cannot be read.
    pub fn kill(&self, signal: i32) -> Result<bool> {
        let Some(dir) = self.main_dir()? else { return Ok(false) };
        let on = || self.subject();
        if all_processes(&dir).at(Step::Cgroup, on)?.is_empty() {
            return Ok(false);
        }
        if signal == libc::SIGKILL && self.kill_v2() {
            return Ok(true);
        }
        let frozen = self.frozen()?;
        // A forker that cannot be frozen is met by several rounds; ourselves we never freeze.
        let ours = clone::getpid();
        let froze = !frozen
            && !all_processes(&dir).at(Step::Cgroup, on)?.contains(&ours)
            && self.freeze().is_ok();
        let sent = signal_all(&dir, signal).at(Step::Kill, on);
        if froze || signal == libc::SIGKILL {
            self.thaw_all()?;
        }
        sent?;
        Ok(true)
    }

    /// `cgroup.kill`, if this kernel has it. On a hybrid host processes may have left the v2
    /// hierarchy, and the v1 freezer keeps them from dying, so that is not enough there.
    fn kill_v2(&self) -> bool {
        let Some(Ok(Some(dir))) = self.plan_of("").map(Dir::find) else { return false };
        let killed = dir.write("cgroup.kill", "1").is_ok();
        killed && self.record.mode == CgroupMode::Unified
    }

    /// Stops every process of the container until [`Cgroup::thaw`].
    ///
    /// # Errors
    /// No freezer, or a process that does not stop within 10 seconds: the cgroup is thawed again.
    pub fn freeze(&self) -> Result<()> {
        let (plan, dir) = self.freezer()?;
        let frozen = if plan.is_v2() { freeze_v2(&dir) } else { freeze_v1(&dir) };
        if frozen.is_err() {
            // To stay half frozen is the worst; the cause is the failure above.
            let _ = set_frozen(plan, &dir, false);
        }
        frozen.at(Step::Cgroup, || format!("freeze {}", plan.host_dir().display()))
    }

    /// Lets the container's processes run again.
    ///
    /// # Errors
    /// No freezer, or it cannot be written.
    pub fn thaw(&self) -> Result<()> {
        let (plan, dir) = self.freezer()?;
        set_frozen(plan, &dir, false)
            .at(Step::Cgroup, || format!("thaw {}", plan.host_dir().display()))
    }

    /// Thaws the sub-cgroups too: a nested container's own freezer would keep it alive for ever.
    fn thaw_all(&self) -> Result<()> {
        let (plan, dir) = match self.freezer() {
            Ok(found) => found,
            // Nothing to thaw with, nothing was frozen with it.
            Err(_) => return Ok(()),
        };
        walk(&dir, |dir| set_frozen(plan, dir, false), |_, _| Ok(()))
            .or_else(|e| if is_gone(&e) { Ok(()) } else { Err(e) })
            .at(Step::Cgroup, || format!("thaw {}", plan.host_dir().display()))
    }

    /// Whether the container is frozen, or about to be. Without a freezer it is not.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn frozen(&self) -> Result<bool> {
        let unified = self.record.mode == CgroupMode::Unified;
        let Some(plan) = self.plan_of(if unified { "" } else { "freezer" }) else {
            return Ok(false);
        };
        let on = || plan.host_dir().display().to_string();
        let Some(dir) = Dir::find(plan).at(Step::Cgroup, on)? else { return Ok(false) };
        let state = dir.read(if unified { "cgroup.freeze" } else { "freezer.state" });
        match state {
            Ok(state) => Ok(!matches!(state.trim(), "0" | "THAWED")),
            Err(e) if is_gone(&e) => Ok(false),
            Err(e) => Err(e).at(Step::Cgroup, on),
        }
    }

    fn freezer(&self) -> Result<(&DirPlan, Dir)> {
        let unified = self.record.mode == CgroupMode::Unified;
        let missing = || {
            Error::rule(
                Step::Cgroup,
                self.subject(),
                "cannot toggle freezer: the container has \
                        no cgroup with one",
            )
            .hint("mount the v1 freezer controller, or use cgroup v2")
        };
        let plan = self.plan_of(if unified { "" } else { "freezer" }).ok_or_else(missing)?;
        let found = Dir::find(plan).at(Step::Cgroup, || plan.host_dir().display().to_string())?;
        Ok((plan, found.ok_or_else(missing)?))
    }

    fn main_dir(&self) -> Result<Option<Dir>> {
        match self.main() {
            Some(plan) => Dir::find(plan).at(Step::Cgroup, || self.subject()),
            None => Ok(None),
        }
    }
}

fn all_processes(dir: &Dir) -> io::Result<Vec<i32>> {
    let mut pids = Vec::new();
    let add = |dir: &Dir| {
        pids.extend(dir.processes()?);
        Ok(())
    };
    match walk(dir, add, |_, _| Ok(())) {
        Err(e) if !is_gone(&e) => Err(e),
        _ => Ok(pids),
    }
}

/// Rounds, until one meets no process that was not signalled before.
fn signal_all(dir: &Dir, signal: i32) -> io::Result<()> {
    let mut met = BTreeSet::new();
    for _ in 0..ROUNDS_MAX {
        let mut new = false;
        for pid in all_processes(dir)? {
            if met.insert(pid) {
                new = true;
                match clone::kill(pid, signal) {
                    Err(e) if e.raw_os_error() != Some(libc::ESRCH) => return Err(e),
                    _ => {}
                }
            }
        }
        if !new {
            break;
        }
    }
    Ok(())
}

fn set_frozen(plan: &DirPlan, dir: &Dir, frozen: bool) -> io::Result<()> {
    match (plan.is_v2(), frozen) {
        (true, true) => dir.write("cgroup.freeze", "1"),
        (true, false) => dir.write("cgroup.freeze", "0"),
        (false, true) => dir.write("freezer.state", "FROZEN"),
        (false, false) => dir.write("freezer.state", "THAWED"),
    }
}

/// Waits for `frozen 1` in `cgroup.events`, which wakes whoever polls it.
fn freeze_v2(dir: &Dir) -> io::Result<()> {
    let deadline = Instant::now() + FREEZE_MAX;
    let events = dir.open("cgroup.events", libc::O_RDONLY)?;
    dir.write("cgroup.freeze", "1")?;
    loop {
        let mut text = [0; 128];
        let length = fd::pread(&events, &mut text, 0)?;
        let text = text.get(..length).unwrap_or_default();
        if text.split(|b| *b == b'\n').any(|line| line == b"frozen 1") {
            return Ok(());
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::from_raw_os_error(libc::ETIMEDOUT));
        }
        let left = i32::try_from(left.as_millis()).unwrap_or(i32::MAX).max(1);
        fd::poll(&mut [fd::PollFd::new(events.as_fd(), libc::POLLPRI)], left)?;
    }
}

/// The v1 freezer can stay in FREEZING while processes keep coming (fork, or a move into it);
/// writing again, and a short thaw now and then, gets it there.
fn freeze_v1(dir: &Dir) -> io::Result<()> {
    let deadline = Instant::now() + FREEZE_MAX;
    let mut turn: u32 = 0;
    loop {
        dir.write("freezer.state", "FROZEN")?;
        if dir.read("freezer.state")?.trim() == "FROZEN" {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(io::Error::from_raw_os_error(libc::ETIMEDOUT));
        }
        turn += 1;
        if turn.is_multiple_of(50) {
            dir.write("freezer.state", "THAWED")?;
            std::thread::sleep(Duration::from_millis(10));
        } else if turn.is_multiple_of(25) {
            std::thread::sleep(Duration::from_micros(100));
        }
    }
}
