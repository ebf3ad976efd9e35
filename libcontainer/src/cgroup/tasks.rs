//! The processes of a container: listing and signalling; [`super::freezer`] stops them.
//!
//! A signal reaches every process, also those that fork meanwhile: v2 has `cgroup.kill` for
//! SIGKILL (Linux 5.14); everything else is done while the cgroup is frozen. Whatever fails on the
//! way, a cgroup that was not frozen before is thawed again.

use std::collections::BTreeSet;
use std::io;

use super::Cgroup;
use super::fs::{Dir, is_gone, walk};
use crate::error::{At, Result, Step};
use crate::host::cgroup::CgroupMode;
use crate::sys::clone;

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

    pub(super) fn main_dir(&self) -> Result<Option<Dir>> {
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
