//! Notification when a process of the container was killed for lack of memory.
//!
//! v1 writes into an eventfd, which it also does when the cgroup is removed; v2 wakes whoever
//! polls `memory.events`. Both count the kills, so that the last one, which may have ended the
//! container, is not lost between two looks.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::Cgroup;
use super::fs::{Dir, is_gone};
use crate::error::{At, Result, Step};
use crate::host::cgroup::CgroupMode;
use crate::sys::fd;

/// A watch over one container.
#[derive(Debug)]
pub struct OomWatch {
    dir: Dir,
    source: Source,
    /// Kills before the watch began.
    before: u64,
    /// Kills that were told of.
    told: u64,
}

#[derive(Debug)]
enum Source {
    /// v1.
    Eventfd(EventFd),
    /// v2: `memory.events`.
    Events(OwnedFd),
}

impl Cgroup {
    /// Begins to watch; `None` when the container has no memory controller.
    ///
    /// # Errors
    /// The files cannot be opened, or the kernel refuses the watch.
    pub fn watch_oom(&self) -> Result<Option<OomWatch>> {
        let unified = self.record.mode == CgroupMode::Unified;
        let Some(plan) = self.plan_of(if unified { "" } else { "memory" }) else { return Ok(None) };
        let on = || format!("watch {} for lack of memory", plan.host_dir().display());
        let Some(dir) = Dir::find(plan).at(Step::Events, on)? else { return Ok(None) };
        let source = if unified { events(&dir) } else { eventfd(&dir).map(Some) };
        let Some(source) = source.at(Step::Events, on)? else { return Ok(None) };
        let mut watch = OomWatch { dir, source, before: 0, told: 0 };
        match watch.kills() {
            Err(e) if is_gone(&e) => return Ok(None),
            kills => watch.before = kills.at(Step::Events, on)?,
        }
        Ok(Some(watch))
    }
}

impl OomWatch {
    /// What to poll, and for which events.
    pub fn poll(&self) -> (BorrowedFd<'_>, i16) {
        match &self.source {
            Source::Eventfd(eventfd) => (eventfd.as_fd(), libc::POLLIN),
            Source::Events(file) => (file.as_fd(), libc::POLLPRI),
        }
    }

    /// Call it when the descriptor is ready: whether there was a kill, or `None` when the cgroup
    /// is gone and with it the watch.
    ///
    /// # Errors
    /// The kernel's count cannot be read: the watch is blind.
    pub fn woken(&mut self) -> io::Result<Option<bool>> {
        match self.look() {
            Err(e) if is_gone(&e) => Ok(None),
            looked => looked.map(Some),
        }
    }

    fn look(&mut self) -> io::Result<bool> {
        match &self.source {
            Source::Eventfd(eventfd) => {
                // Told before the kill, so its number may follow later.
                let told = eventfd.read().is_ok();
                self.kills()?;
                self.told += u64::from(told);
                Ok(told)
            }
            Source::Events(_) => {
                let kills = self.kills()?.saturating_sub(self.before);
                let new = kills > self.told;
                self.told = kills;
                Ok(new)
            }
        }
    }

    /// Call it when the container has ended: whether there was a kill that nobody was told of.
    pub fn last(&self) -> bool {
        self.kills().is_ok_and(|kills| kills.saturating_sub(self.before) > self.told)
    }

    /// The kernel's count.
    fn kills(&self) -> io::Result<u64> {
        let count = match &self.source {
            Source::Eventfd(..) => self.dir.value_of("memory.oom_control", "oom_kill"),
            // Reading makes the file ready for the next poll.
            Source::Events(file) => read_kills(file),
        };
        // Before Linux 4.13 v1 does not count.
        count.map(Option::unwrap_or_default)
    }
}

fn eventfd(dir: &Dir) -> io::Result<Source> {
    let control = dir.open("memory.oom_control", libc::O_RDONLY)?;
    let eventfd = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
    let order = format!("{} {}", eventfd.as_fd().as_raw_fd(), control.as_raw_fd());
    dir.write("cgroup.event_control", &order)?;
    Ok(Source::Eventfd(eventfd))
}

fn events(dir: &Dir) -> io::Result<Option<Source>> {
    match dir.open("memory.events", libc::O_RDONLY) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => Ok(Some(Source::Events(opened?))),
    }
}

fn read_kills(file: &OwnedFd) -> io::Result<Option<u64>> {
    let mut buffer = [0; 1024];
    let length = fd::pread(file, &mut buffer, 0)?;
    let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned();
    Ok(text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fd::open;

    fn watch(file: OwnedFd) -> OomWatch {
        let dir = Dir::plain(std::path::Path::new("/")).unwrap();
        OomWatch { dir, source: Source::Events(file), before: 1, told: 0 }
    }

    #[test]
    fn a_count_that_cannot_be_read_is_no_zero() {
        let mut watch = watch(open(c"/dev/null", libc::O_WRONLY).unwrap());
        assert_eq!(watch.woken().unwrap_err().raw_os_error(), Some(libc::EBADF));
        assert!(!watch.last());
    }

    #[test]
    fn kills_since_the_beginning_are_told_once() {
        let file = fd::memfd(c"events", libc::MFD_CLOEXEC).unwrap();
        let say = |count: u8| fd::pwrite(&file, format!("oom 9\noom_kill {count}\n").as_bytes(), 0);
        say(1).unwrap();
        let mut watch = watch(file.try_clone().unwrap());
        assert_eq!(watch.woken().unwrap(), Some(false));
        say(2).unwrap();
        assert!(watch.last());
        assert_eq!(watch.woken().unwrap(), Some(true));
        assert_eq!(watch.woken().unwrap(), Some(false));
        assert!(!watch.last());
    }
}
