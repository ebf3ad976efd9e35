//! What the init stage says when a step fails, and the words the parent makes of it.
//!
//! After clone3 nothing may allocate, so a failure is a small fixed record. The parent holds the
//! same [`Plan`] and turns step and item back into "which mount, which path".

use std::ffi::CString;
use std::io;

use crate::create::program::Why;
use crate::create::protocol::Detail;
use crate::create::{identity, idmap, init, rootfs, stage};
use crate::error::{Cause, Error, Step};
use crate::hooks;
use crate::plan::Plan;

/// A failed step of the init stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which step.
    pub step: Step,
    /// Which entry of the plan's list for that step; 0 where the step has no list.
    pub item: u32,
    /// The kernel's errno.
    pub errno: i32,
}

impl Failure {
    /// A failure of `step` on entry `item` of its list.
    pub const fn new(step: Step, item: u32, errno: i32) -> Self {
        Self { step, item, errno }
    }

    fn index(&self) -> usize {
        usize::try_from(self.item).unwrap_or(usize::MAX)
    }

    fn cause(&self) -> Cause {
        Cause::Io(io::Error::from_raw_os_error(self.errno))
    }
}

/// Turns a record back into words.
pub fn words(plan: &Plan, failure: Failure, detail: &Detail) -> Error {
    if let Some(error) = rootfs::words::error(&plan.mounts, failure) {
        return error;
    }
    let program = text(plan.process.as_ref().and_then(|process| process.args.first()));
    if let Some(error) = words_after_gate(&program, failure, detail) {
        return error;
    }
    let on = subject(plan, &failure);
    let error = Error { step: failure.step, on, cause: failure.cause(), hint: None };
    match hint(plan, &failure) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// The words of what can fail behind the start gate, for `start`, which has no plan: hooks inside
/// the container and the execve of `program`. `None` for other steps.
pub fn words_after_gate(program: &str, failure: Failure, detail: &Detail) -> Option<Error> {
    match failure.step {
        Step::Exec => Some(exec_words(program, failure, detail)),
        Step::Hook => Some(hooks::inside_error(failure.item, detail.as_bytes())),
        Step::Seccomp => Some(seccomp_words(failure)),
        _ => None,
    }
}

fn seccomp_words(failure: Failure) -> Error {
    let error = io::Error::from_raw_os_error(failure.errno);
    let error = Error::io(Step::Seccomp, "load filter", error);
    match failure.errno {
        libc::EACCES => error.hint("without process.noNewPrivileges it needs CAP_SYS_ADMIN"),
        libc::EINVAL | libc::ENOSYS => {
            error.hint("this kernel lacks filters, or a flag or action of linux.seccomp")
        }
        libc::EBUSY => error.hint("the caller is under a filter with a listener of its own"),
        _ => error,
    }
}

fn text(text: Option<&CString>) -> String {
    text.map(|text| text.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Which one it was.
fn subject(plan: &Plan, failure: &Failure) -> String {
    match failure.step {
        Step::Cgroup => {
            let mut v1 = plan.cgroup.dirs.iter().filter(|dir| !dir.is_v2());
            let dir = v1.nth(failure.index()).map(|dir| dir.host_dir().join("tasks"));
            dir.map(|file| file.display().to_string()).unwrap_or_default()
        }
        Step::Namespace if failure.item == stage::NEW => "new".into(),
        Step::Namespace if failure.item == stage::NEW_USER => "new user".into(),
        Step::Namespace if failure.item == stage::TIME_OFFSETS => "linux.timeOffsets".into(),
        Step::Namespace if failure.item == stage::ENTER => "of the container".into(),
        Step::Namespace => text(plan.namespaces.join.get(failure.index()).map(|join| &join.path)),
        Step::Keyring if failure.item == identity::KEY_LABEL => label(plan, 1),
        Step::Keyring => text(plan.keyring.as_ref()),
        Step::Network => "lo".into(),
        Step::Hostname if failure.item == 1 => plan.names.domainname.clone().unwrap_or_default(),
        Step::Hostname => plan.names.hostname.clone().unwrap_or_default(),
        Step::Sysctl => {
            plan.sysctls.get(failure.index()).map(|sysctl| sysctl.name.clone()).unwrap_or_default()
        }
        Step::Rlimit => {
            let limits = plan.process.as_ref().map(|process| &process.rlimits);
            limits
                .and_then(|limits| limits.get(failure.index()))
                .map(ToString::to_string)
                .unwrap_or_default()
        }
        Step::Cwd => {
            plan.process.as_ref().map(|process| process.cwd.to_string()).unwrap_or_default()
        }
        Step::Label => label(plan, failure.item),
        Step::Scheduler => ["scheduler", "ioPriority", "memoryPolicy", "execCPUAffinity"]
            .get(failure.index())
            .map_or_else(String::new, ToString::to_string),
        Step::Capabilities if failure.item == identity::NO_NEW_PRIVS => "noNewPrivileges".into(),
        Step::Capabilities => capability(failure.item),
        Step::User => ["keepcaps", "additionalGids", "gid", "uid"]
            .get(failure.index())
            .map_or_else(String::new, ToString::to_string),
        Step::Console => ["/dev", "/dev/pts/ptmx", "consoleSize", "/dev/console", "stdio"]
            .get(failure.index())
            .map_or_else(String::new, ToString::to_string),
        Step::Rootfs if failure.item == init::PROCFS => "procfs".into(),
        _ => String::new(),
    }
}

/// The profile or label that was refused, as the configuration has it.
fn label(plan: &Plan, item: u32) -> String {
    let security = plan.security.as_ref();
    let (module, label) = match item {
        0 => ("apparmor", security.and_then(|security| security.apparmor.as_ref())),
        _ => ("selinux", security.and_then(|security| security.selinux.as_ref())),
    };
    format!("{module} {}", text(label).trim_start_matches("exec ").trim_start_matches("stack "))
}

fn capability(number: u32) -> String {
    let named = caps::all().into_iter().find(|cap| u32::from(cap.index()) == number);
    named.map_or_else(|| "sets".into(), |cap| cap.to_string())
}

/// What to do about the failures that people meet.
fn hint(plan: &Plan, failure: &Failure) -> Option<String> {
    let hint = match (failure.step, failure.errno) {
        (Step::Keyring, libc::EDQUOT) => {
            "the key quota of this user is used up: raise kernel.keys.maxkeys, or pass \
             --no-new-keyring"
        }
        // sched(7), "Limiting the CPU usage of real-time and deadline processes".
        (Step::Cgroup, libc::EINVAL) => {
            "with real-time priority (chrt) a process joins only a cpu cgroup that has a budget for \
             it: set linux.resources.cpu.realtimeRuntime, or call the runtime without"
        }
        (Step::Label, libc::ENOENT) => "load the profile with apparmor_parser(8)",
        (Step::Namespace, errno) if failure.item == stage::NEW_USER => {
            return Some(idmap::namespace_hint(errno));
        }
        (Step::Namespace, libc::EINVAL) if failure.item < stage::ENTER => {
            "the path must be a namespace of the type that linux.namespaces says"
        }
        (Step::Namespace, libc::ERANGE) if failure.item == stage::TIME_OFFSETS => {
            "the offset would set the container's clock before 0 or too far ahead"
        }
        (Step::User, libc::EINVAL) if plan.namespaces.has(crate::plan::namespaces::Kind::User) => {
            "the id is not mapped in the user namespace: look at linux.uidMappings and gidMappings"
        }
        (Step::PivotRoot, libc::EINVAL) => {
            "a rootfs on the initramfs cannot be pivoted: pass --no-pivot"
        }
        (Step::Rlimit, libc::EPERM) => "raising a hard limit needs CAP_SYS_RESOURCE on the host",
        (Step::Hostname, libc::EPERM) => "add a uts namespace to linux.namespaces",
        (Step::Scheduler, libc::EPERM) if failure.item == 0 && confined_deadline(plan) => {
            "process scheduler can't be used together with AllowedCPUs: SCHED_DEADLINE needs every \
             CPU, remove linux.resources.cpu.cpus"
        }
        (Step::Scheduler, libc::EPERM) => "it needs CAP_SYS_NICE on the host",
        _ => return None,
    };
    Some(hint.into())
}

/// A deadline is guaranteed over all CPUs of a root domain (sched_setattr(2), `EPERM`).
fn confined_deadline(plan: &Plan) -> bool {
    /// `SCHED_DEADLINE` of linux/sched.h.
    const DEADLINE: u32 = 6;
    let deadline = plan.sched.scheduler.is_some_and(|attr| attr.policy == DEADLINE);
    deadline && plan.cgroup.writes.iter().any(|write| write.file == "cpuset.cpus")
}

/// The words of a program that did not run: runc's where callers grep for them, with the reason
/// and the remedy behind.
fn exec_words(name: &str, failure: Failure, detail: &Detail) -> Error {
    let why = Why::from_number(failure.item);
    let cause = crate::error::errno_words(&io::Error::from_raw_os_error(failure.errno));
    let detail = String::from_utf8_lossy(detail.as_bytes());
    let (said, hint) = match why {
        Why::NotFound if !name.contains('/') => (
            "executable file not found in $PATH".to_owned(),
            "look at process.args[0] and at PATH in process.env".to_owned(),
        ),
        Why::NotFound => {
            (format!("stat {name}: {cause}"), "look at process.args[0] and the rootfs".to_owned())
        }
        Why::Directory => ("is a directory".into(), "name a program in process.args[0]".into()),
        Why::NotExecutable => {
            (cause, "the file is not executable for process.user: look at its mode".into())
        }
        Why::NoInterpreter => (cause, format!("its interpreter {detail} is not in the rootfs")),
        Why::DosLineEnds => (
            cause,
            format!(
                "its first line ends in a carriage return, so {detail}\\r is looked for: save it with unix line ends"
            ),
        ),
        Why::NoLoader => (
            cause,
            format!(
                "its dynamic loader {detail} is not in the rootfs: install the C library it was built for"
            ),
        ),
        Why::OtherMachine => (cause, "it was built for another kind of processor".into()),
        Why::NoExecMount => (cause, "it lies on a mount with the option noexec".into()),
        Why::NoFormat => (cause, "it is neither a binary nor a script with a #! line".into()),
        Why::NoProcess => {
            let why = "the configuration has no process to start".to_owned();
            return Error::rule(Step::Start, "", why).hint("set process in config.json");
        }
        Why::Errno => (cause, String::new()),
    };
    // Go's words: those of its search along PATH, and those of execve itself.
    let looked_up = matches!(why, Why::NotFound | Why::Directory | Why::NotExecutable);
    let words =
        if looked_up { format!("exec: {name:?}: {said}") } else { format!("exec {name}: {said}") };
    let cause = Cause::Worded(failure.errno, words);
    let error = Error { step: Step::Exec, on: String::new(), cause, hint: None };
    if hint.is_empty() { error } else { error.hint(hint) }
}
