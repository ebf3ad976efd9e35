//! The freezer: stops every process of a container and lets them run again.
//!
//! v2 tells in `cgroup.events` when the last process has stopped, and lets a frozen one be killed.
//! v1 has a freezer that may not get there while processes keep coming, and that keeps killed
//! processes alive, also those of a sub-cgroup with a freezer state of its own (a container in
//! the container).

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::Cgroup;
use super::fs::{Dir, is_gone, walk};
use crate::error::{At, Error, Result, Step};
use crate::host::cgroup::CgroupMode;
use crate::plan::cgroup::DirPlan;
use crate::sys::fd;

/// How long freezing may take.
const FREEZE_MAX: Duration = Duration::from_secs(10);

impl Cgroup {
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
        frozen.at(Step::Cgroup, || format!("freeze {}", plan.host_dir().display())).map_err(|e| {
            match e.errno() {
                Some(libc::ETIMEDOUT) => e.hint(
                    "a process is in an uninterruptible wait (state D) or keeps forking; the \
                     container runs on: try again later",
                ),
                _ => e,
            }
        })
    }

    /// Lets the container's processes run again.
    ///
    /// # Errors
    /// No freezer, or it cannot be written.
    pub fn thaw(&self) -> Result<()> {
        let (plan, dir) = self.freezer()?;
        set_frozen(plan, &dir, false).at(Step::Cgroup, || thawing(plan))
    }

    /// Thaws the sub-cgroups too: a nested container's own freezer would keep it alive for ever.
    pub(super) fn thaw_all(&self) -> Result<()> {
        // Without a freezer there is nothing to thaw with, and nothing was frozen with it.
        let Ok((plan, dir)) = self.freezer() else { return Ok(()) };
        thaw_below(plan, &dir).at(Step::Cgroup, || thawing(plan))
    }

    /// Lets die what was killed: thaws a frozen container with all sub-cgroups, and on v1 frozen
    /// sub-cgroups of one that runs, for which init's end would wait without end.
    ///
    /// # Errors
    /// The container is frozen and cannot be thawed.
    pub fn thaw_killed(&self) -> Result<()> {
        let Ok((plan, dir)) = self.freezer() else { return Ok(()) };
        if is_frozen(plan, &dir).at(Step::Cgroup, || plan.host_dir().display().to_string())? {
            return thaw_below(plan, &dir).at(Step::Cgroup, || thawing(plan));
        }
        if !plan.is_v2() && dir.has_children() {
            // The container's own affair: what cannot be thawed was not frozen by us.
            let _ = thaw_below(plan, &dir);
        }
        Ok(())
    }

    /// Whether the container is frozen, or about to be. Without a freezer it is not, and neither
    /// is one that only stands still because a cgroup above it is frozen (as in runc).
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn frozen(&self) -> Result<bool> {
        let Some(plan) = self.freezer_plan() else { return Ok(false) };
        let on = || plan.host_dir().display().to_string();
        let Some(dir) = Dir::find(plan).at(Step::Cgroup, on)? else { return Ok(false) };
        is_frozen(plan, &dir).at(Step::Cgroup, on)
    }

    fn freezer_plan(&self) -> Option<&DirPlan> {
        let unified = self.record.mode == CgroupMode::Unified;
        self.plan_of(if unified { "" } else { "freezer" })
    }

    fn freezer(&self) -> Result<(&DirPlan, Dir)> {
        let missing = || {
            let words = "cannot toggle freezer: cgroups not configured for container";
            Error::rule(Step::Cgroup, self.subject(), words).hint(match self.is_none() {
                true => super::WITHOUT,
                false => "mount the v1 freezer controller or use cgroup v2, and create it again",
            })
        };
        let plan = self.freezer_plan().ok_or_else(missing)?;
        let found = Dir::find(plan).at(Step::Cgroup, || plan.host_dir().display().to_string())?;
        Ok((plan, found.ok_or_else(missing)?))
    }
}

fn thawing(plan: &DirPlan) -> String {
    format!("thaw {}", plan.host_dir().display())
}

fn thaw_below(plan: &DirPlan, dir: &Dir) -> io::Result<()> {
    match walk(dir, |dir| set_frozen(plan, dir, false), |_, _| Ok(())) {
        Err(e) if is_gone(&e) => Ok(()),
        thawed => thawed,
    }
}

fn set_frozen(plan: &DirPlan, dir: &Dir, frozen: bool) -> io::Result<()> {
    match (plan.is_v2(), frozen) {
        (true, true) => dir.write("cgroup.freeze", "1"),
        (true, false) => dir.write("cgroup.freeze", "0"),
        (false, true) => dir.write("freezer.state", "FROZEN"),
        (false, false) => dir.write("freezer.state", "THAWED"),
    }
}

fn is_frozen(plan: &DirPlan, dir: &Dir) -> io::Result<bool> {
    let read = |file| match dir.read(file) {
        Err(e) if is_gone(&e) => Ok(String::new()),
        read => read,
    };
    if plan.is_v2() {
        return Ok(read("cgroup.freeze")?.trim() == "1");
    }
    // FREEZING or FROZEN; a file that is missing (Linux before 3.15) leaves the doubt.
    Ok(!matches!(read("freezer.state")?.trim(), "THAWED" | "")
        && read("freezer.self_freezing")?.trim() != "0")
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
