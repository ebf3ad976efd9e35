//! A process that can be found again, or known to be gone: pid, start time and boot id.
//!
//! A pid alone is used again by the kernel; together with the start time and the boot it is
//! unique. Signals go through a pidfd that was opened before the comparison, so that no reuse can
//! come in between.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::error::{At, Result, Step};
use crate::host::read_proc;
use crate::sys::clone;
use crate::sys::fd::{self, PollFd};

/// Identity of a process of this host, as seen from our pid namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessId {
    /// Its pid.
    pub pid: i32,
    /// Clock ticks from boot to its start (`/proc/PID/stat`, field 22).
    pub start_time: u64,
    /// `/proc/sys/kernel/random/boot_id`: containers do not survive a reboot.
    pub boot_id: String,
}

impl ProcessId {
    /// The identity of the process that has `pid` now.
    ///
    /// # Errors
    /// There is none, or `/proc` is not readable.
    pub fn of(pid: i32) -> Result<Self> {
        let stat = Stat::of(pid).at(Step::State, || format!("/proc/{pid}/stat"))?;
        Ok(Self { pid, start_time: stat.start_time, boot_id: boot_id()?.to_owned() })
    }

    /// The identity of a child of ours, which runs in the same boot as `self`.
    ///
    /// # Errors
    /// As [`ProcessId::of`].
    pub fn child(&self, pid: i32) -> Result<Self> {
        let stat = Stat::of(pid).at(Step::State, || format!("/proc/{pid}/stat"))?;
        Ok(Self { pid, start_time: stat.start_time, boot_id: self.boot_id.clone() })
    }

    /// Our own identity.
    ///
    /// # Errors
    /// `/proc` is not readable.
    pub fn current() -> Result<Self> {
        Self::of(clone::getpid())
    }

    /// Whether the process still runs. One that has ended but was not reaped yet does not.
    pub fn is_alive(&self) -> bool {
        match Stat::of(self.pid) {
            Ok(stat) if stat.start_time != self.start_time || !self.is_this_boot() => false,
            // The first thread may end before the others: the pidfd knows about the whole process.
            Ok(stat) if stat.is_zombie => self.open().is_ok_and(|pidfd| pidfd.is_some()),
            Ok(_) => true,
            Err(_) => false,
        }
    }

    /// A pidfd of the process, `None` when it has ended.
    ///
    /// # Errors
    /// `ENOSYS` before Linux 5.3; `EMFILE`.
    pub fn open(&self) -> io::Result<Option<OwnedFd>> {
        let pidfd = match clone::pidfd_open(self.pid) {
            // EINVAL: the pid is a thread's now.
            Err(e) if matches!(e.raw_os_error(), Some(libc::ESRCH | libc::EINVAL)) => {
                return Ok(None);
            }
            opened => opened?,
        };
        let same = Stat::of(self.pid).is_ok_and(|stat| stat.start_time == self.start_time);
        Ok((same && self.is_this_boot() && !has_ended(&pidfd)?).then_some(pidfd))
    }

    fn is_this_boot(&self) -> bool {
        boot_id().is_ok_and(|boot| boot == self.boot_id)
    }
}

/// Whether the process of a pidfd has ended, reaped or not.
pub(crate) fn has_ended(pidfd: &OwnedFd) -> io::Result<bool> {
    Ok(fd::poll(&mut [PollFd::new(pidfd.as_fd(), libc::POLLIN)], 0)? > 0)
}

/// The parent of the process that has `pid` now.
///
/// # Errors
/// There is no such process.
pub(crate) fn parent(pid: i32) -> io::Result<i32> {
    Stat::of(pid).map(|stat| stat.parent)
}

/// Device and inode of a namespace of the process that has `pid` now, by its name in `/proc`;
/// `None` where we may not look.
pub(crate) fn namespace(pid: i32, name: &str) -> Option<(u64, u64)> {
    let meta = fs::metadata(format!("/proc/{pid}/ns/{name}")).ok()?;
    Some((meta.dev(), meta.ino()))
}

/// Read once: no process lives longer than the boot that it is of.
fn boot_id() -> Result<&'static str> {
    const PATH: &str = "/proc/sys/kernel/random/boot_id";
    static KNOWN: OnceLock<String> = OnceLock::new();
    if let Some(known) = KNOWN.get() {
        return Ok(known);
    }
    let text = read_proc(PATH).at(Step::State, || PATH)?;
    Ok(KNOWN.get_or_init(|| text.trim_end().to_owned()))
}

/// What we need of `/proc/PID/stat`.
struct Stat {
    is_zombie: bool,
    parent: i32,
    start_time: u64,
}

impl Stat {
    fn of(pid: i32) -> io::Result<Self> {
        let text = read_proc(&format!("/proc/{pid}/stat"))?;
        Self::parse(&text).ok_or_else(|| io::Error::from_raw_os_error(libc::EPROTO))
    }

    /// The name in parentheses may hold anything, parentheses and blanks too: fields are counted
    /// from the last one on (proc_pid_stat(5)).
    fn parse(text: &str) -> Option<Self> {
        let (_, fields) = text.rsplit_once(") ")?;
        let mut fields = fields.split_ascii_whitespace();
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        let start_time = fields.nth(17)?.parse().ok()?;
        Some(Self { is_zombie: matches!(state, "Z" | "X"), parent, start_time })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn hostile_process_names_are_read() {
        let tail = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20";
        for name in ["sh", "a) Z 1 2", "((", ") ", "x\ny"] {
            let stat = Stat::parse(&format!("12 ({name}) {tail}")).unwrap();
            let found = (stat.is_zombie, stat.parent, stat.start_time);
            assert_eq!(found, (false, 1, 777), "{name}");
        }
        assert!(Stat::parse("").is_none() && Stat::parse("1 (x) S 1 2").is_none());
    }

    #[test]
    fn a_child_is_alive_until_it_ends_reaped_or_not() {
        let mut child = Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let id = ProcessId::of(i32::try_from(child.id()).unwrap()).unwrap();
        assert!(id.is_alive() && id.open().unwrap().is_some());
        assert!(!ProcessId { start_time: id.start_time + 1, ..id.clone() }.is_alive());
        assert!(!ProcessId { boot_id: "other".into(), ..id.clone() }.is_alive());
        assert!(ProcessId { start_time: 1, ..id.clone() }.open().unwrap().is_none());
        let pidfd = id.open().unwrap().unwrap();
        child.kill().unwrap();
        // Ended, but a zombie: nobody has waited for it.
        fd::poll(&mut [PollFd::new(pidfd.as_fd(), libc::POLLIN)], 5000).unwrap();
        assert!(!id.is_alive() && id.open().unwrap().is_none());
        child.wait().unwrap();
        assert!(!id.is_alive() && id.open().unwrap().is_none());
    }

    #[test]
    fn a_process_cannot_hide_behind_its_name() {
        use std::os::unix::ffi::OsStringExt as _;
        // Not UTF-8, and it looks like the end of a zombie.
        let name = std::ffi::OsString::from_vec(b"x\xff) Z 1 \n".to_vec());
        let dir = std::env::temp_dir().join(format!("corten-comm-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        // Not by us: another test's child would hold the file open for writing for a moment (`ETXTBSY`).
        let copied = Command::new("cp").arg("/bin/sleep").arg(dir.join(&name)).status();
        assert!(copied.unwrap().success());
        let mut child = Command::new(dir.join(&name)).arg("60").spawn().unwrap();
        let id = ProcessId::of(i32::try_from(child.id()).unwrap()).unwrap();
        assert!(id.is_alive());
        child.kill().unwrap();
        child.wait().unwrap();
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn our_own_pidfd_says_that_we_live() {
        let id = ProcessId::current().unwrap();
        assert!(id.open().unwrap().is_some_and(|pidfd| !has_ended(&pidfd).unwrap()));
        assert_eq!(id.child(id.pid).unwrap(), id);
    }
}
