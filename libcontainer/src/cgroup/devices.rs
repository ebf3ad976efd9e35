//! Makes the device rules effective: `devices.allow` and `devices.deny` on v1, a program on v2.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::fs::{Dir, is_denied};
use super::make::Made;
use crate::error::{At, Cause, Error, Result, Step};
use crate::plan::cgroup::devices::DeviceList;
use crate::plan::cgroup::filter::Program;
use crate::plan::cgroup::{CgroupPlan, DevicePlan, DirPlan};
use crate::sys::{bpf, fd, sched};

const FIELD: &str = "linux.resources.devices";
/// Programs a cgroup can have (`BPF_CGROUP_MAX_PROGS`).
const PROGRAMS_MAX: usize = 64;
/// Room for the verifier's words.
const LOG: usize = 64 * 1024;

/// What is left to do about devices once the directories exist.
#[derive(Debug)]
pub(super) struct Todo {
    rules: DevicePlan,
    dir: DirPlan,
    /// The directory was there before, and may have a program. (One of systemd's stays beside ours.)
    reused: bool,
    /// Rootless: runc tolerates any failure.
    optional: bool,
}

impl Todo {
    pub(super) fn new(plan: &CgroupPlan, made: &Made) -> Option<Self> {
        let rules = plan.devices.clone()?;
        let at = match &rules {
            DevicePlan::List { dir, .. } => *dir,
            DevicePlan::Program { .. } => 0,
        };
        // No directory for lack of rights.
        made.dirs.get(at)?.as_ref()?;
        let dir = plan.dirs.get(at)?.clone();
        let (reused, optional) = (made.reused_v2, plan.devices_optional);
        Some(Self { rules, dir, reused, optional })
    }

    pub(super) fn is_program(&self) -> bool {
        matches!(self.rules, DevicePlan::Program { .. })
    }

    pub(super) fn carry_out(&self, v2: Option<&Dir>) -> Result<()> {
        let done = match (&self.rules, v2) {
            (DevicePlan::List { list, .. }, _) => self.write_list(list),
            (DevicePlan::Program { program, .. }, Some(v2)) if self.dir.is_v2() => {
                self.attach(v2, program.as_ref())
            }
            (DevicePlan::Program { .. }, _) => Ok(()),
        };
        match done {
            Err(error) if self.tolerates(&error) => Ok(()),
            other => other,
        }
    }

    /// As runc: rootless, or in a user namespace where the kernel gives nobody this right, or when
    /// no rule of the bundle takes anything away.
    fn tolerates(&self, error: &Error) -> bool {
        let refused = matches!(&error.cause, Cause::Io(e) if is_denied(e)
            || matches!(e.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL)));
        let only_allows = matches!(self.rules, DevicePlan::Program { only_allows: true, .. });
        self.optional || refused && (only_allows || in_user_namespace())
    }

    fn write_list(&self, target: &DeviceList) -> Result<()> {
        let on = || format!("{FIELD}: {}", self.dir.host_dir().display());
        let Some(dir) = Dir::find(&self.dir).at(Step::Cgroup, on)? else {
            return Err(Error::rule(Step::Cgroup, on(), "the cgroup is gone"));
        };
        let now = DeviceList::parse(&dir.read("devices.list").at(Step::Cgroup, on)?)?;
        let (mut open, mut file) = ("", None::<OwnedFd>);
        for (name, value) in now.transition(target) {
            let on = || format!("{}/{name} {value:?}", on());
            if open != name {
                file = Some(dir.open(name, libc::O_WRONLY).at(Step::Cgroup, on)?);
                open = name;
            }
            if let Some(file) = &file {
                let hint = "a cgroup above does not allow this device (nested container?)";
                fd::write(file, value.as_bytes()).at(Step::Cgroup, on).map_err(|e| e.hint(hint))?;
            }
        }
        // The kernel takes some rules without heeding them; what it says now must be the target.
        let after = DeviceList::parse(&dir.read("devices.list").at(Step::Cgroup, on)?)?;
        let all = |a: &DeviceList, b: &DeviceList| {
            a.exceptions.iter().all(|exception| b.exceptions.contains(exception))
        };
        let same = after.default_allow == target.default_allow
            && (target.default_allow || all(&after, target) && all(target, &after));
        if same {
            return Ok(());
        }
        Err(Error::rule(Step::Cgroup, on(), "the devices cgroup does not say what it was told to"))
    }

    fn attach(&self, dir: &Dir, program: Option<&Program>) -> Result<()> {
        let on = || format!("{FIELD}: device program on {}", self.dir.host_dir().display());
        // A new directory has none of its own.
        let old = if self.reused { attached(dir).at(Step::Cgroup, on)? } else { Vec::new() };
        if let Some(program) = program {
            let new = load(program)?;
            let replace = if old.len() == 1 { old.first() } else { None };
            bpf::attach_device_program(dir, &new, replace).at(Step::Cgroup, on)?;
            if replace.is_some() {
                return Ok(());
            }
        }
        for program in &old {
            bpf::detach_device_program(dir, program).at(Step::Cgroup, on)?;
        }
        Ok(())
    }
}

/// Programs of this cgroup that we may handle. Others (a security module's) only restrict more.
fn attached(dir: &Dir) -> io::Result<Vec<OwnedFd>> {
    let mut ids = [0; PROGRAMS_MAX];
    let count = bpf::query_device_programs(dir, &mut ids)?;
    let mut programs = Vec::new();
    for id in ids.iter().take(count) {
        match bpf::program_by_id(*id) {
            Ok(program) => programs.push(program),
            Err(e) if is_denied(&e) || e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(programs)
}

fn load(program: &Program) -> Result<impl AsFd + use<>> {
    let on = || format!("{FIELD}: loading the device program");
    let instructions = program.instructions();
    let first = bpf::load_device_program(instructions, &mut []);
    // Before Linux 5.11 programs count as locked memory.
    let first = match first {
        Err(e) if e.raw_os_error() == Some(libc::EPERM) => with_locked_memory(instructions),
        other => other,
    };
    let error = match first {
        Ok(loaded) => return Ok(loaded),
        Err(error) => error,
    };
    if is_denied(&error) && error.raw_os_error() != Some(libc::EACCES) {
        return Err(error).at(Step::Cgroup, on).map_err(|e| {
            e.hint(
                "bpf(2) needs CAP_BPF or CAP_SYS_ADMIN over the host (cgroup v2 has no other \
                    device rules)",
            )
        });
    }
    let mut log = vec![0; LOG];
    let again = bpf::load_device_program(instructions, &mut log);
    let end = log.iter().position(|b| *b == 0).unwrap_or(log.len());
    let words = String::from_utf8_lossy(&log[..end]).trim().to_owned();
    match again {
        Ok(loaded) => Ok(loaded),
        Err(_) if words.is_empty() => Err(error).at(Step::Cgroup, on),
        Err(_) => Err(error).at(Step::Cgroup, on).map_err(|e| e.hint(words)),
    }
}

fn with_locked_memory(instructions: &[[u8; 8]]) -> io::Result<OwnedFd> {
    let denied = || io::Error::from_raw_os_error(libc::EPERM);
    let (soft, hard) = sched::getrlimit(libc::RLIMIT_MEMLOCK)?;
    if soft == libc::RLIM_INFINITY {
        return Err(denied());
    }
    sched::setrlimit(libc::RLIMIT_MEMLOCK, libc::RLIM_INFINITY, libc::RLIM_INFINITY)
        .map_err(|_| denied())?;
    let loaded = bpf::load_device_program(instructions, &mut []);
    // Processes made later must not inherit it.
    sched::setrlimit(libc::RLIMIT_MEMLOCK, soft, hard)?;
    loaded
}

fn in_user_namespace() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    !map.is_empty() && !map.split_whitespace().eq(["0", "0", "4294967295"])
}
