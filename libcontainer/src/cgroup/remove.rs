//! Removes a container's cgroups, with everything nested below them.
//!
//! A cgroup cannot be removed while a process is in it, and a killed one stays for as long as its
//! exit takes; so a refusal is repeated, for up to ten seconds, with growing pauses. Nothing is
//! killed here: that is the caller's decision ([`Cgroup::kill`]), who may have no right to it, as
//! after a crash between writing the intent and finding the cgroup in use.

use std::ffi::CStr;
use std::io;
use std::time::{Duration, Instant};

use super::fs::{Dir, is_gone, text, walk};
use super::{Cgroup, systemd};
use crate::error::{Error, Result, Step};
use crate::plan::cgroup::DirPlan;
use crate::sys::fd;

/// How long a dying process is waited for.
const WAIT_MAX: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_micros(200);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

impl Cgroup {
    /// Ends the unit, if there is one, and removes the directories of every hierarchy; those above
    /// them stay. Already removed ones are fine.
    ///
    /// # Errors
    /// A process is still there after ten seconds, or a directory cannot be removed; the others
    /// are removed all the same. systemd does not end the unit.
    pub fn remove(&self) -> Result<()> {
        let deadline = Instant::now() + WAIT_MAX;
        if !self.begun.get() {
            return Ok(());
        }
        let mut first = self.record.unit.as_ref().map_or(Ok(()), systemd::stop);
        for plan in &self.record.dirs {
            let removed = remove(plan, deadline).map_err(|e| explain(plan, e));
            if first.is_ok() {
                first = removed;
            }
        }
        first
    }
}

fn remove(plan: &DirPlan, deadline: Instant) -> io::Result<()> {
    let mut pause = FIRST_PAUSE;
    loop {
        match attempt(plan) {
            Err(e) if e.raw_os_error() == Some(libc::EBUSY) && Instant::now() < deadline => {
                std::thread::sleep(pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            Err(e) if is_gone(&e) => return Ok(()),
            other => return other,
        }
    }
}

fn attempt(plan: &DirPlan) -> io::Result<()> {
    let mount = Dir::mount(&plan.mount)?;
    let path = text(&plan.path)?;
    let busy = match rmdir(&mount, &path) {
        Err(e) if e.raw_os_error() == Some(libc::EBUSY) => e,
        // A read-only mount says EROFS even of what does not exist.
        Err(e) => return mount.dir(&path).map_or_else(Err, |_| Err(e)),
        Ok(()) => return Ok(()),
    };
    let dir = mount.dir(&path)?;
    let mut nested = false;
    walk(
        &dir,
        |_| Ok(()),
        |above, name| {
            nested = true;
            match rmdir(above, name) {
                Err(e) if is_gone(&e) => Ok(()),
                other => other,
            }
        },
    )?;
    if nested { rmdir(&mount, &path) } else { Err(busy) }
}

fn rmdir(dir: &Dir, path: &CStr) -> io::Result<()> {
    fd::unlinkat(dir, path, libc::AT_REMOVEDIR)
}

fn explain(plan: &DirPlan, error: io::Error) -> Error {
    let dir = plan.host_dir();
    if error.raw_os_error() == Some(libc::EBUSY) {
        let count = Dir::find(plan).ok().flatten().and_then(|dir| dir.processes().ok());
        let count = count.map_or(0, |pids| pids.len());
        return Error::rule(
            Step::Cgroup,
            dir.display(),
            format!("still in use after 10 seconds ({count} process(es) in it)"),
        )
        .hint("a process in an uninterruptible wait (state D) delays its exit: try again later");
    }
    Error::io(Step::Cgroup, format!("remove {}", dir.display()), error)
}
