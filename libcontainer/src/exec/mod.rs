//! Carries out an [`ExecPlan`]: a further process in a container that exists.
//!
//! This file is the parent's side, `child` the other. One clone3 makes the process: in the
//! container's v2 cgroup, and in its pid namespace, which for that one call is the namespace of
//! our own children. So nobody stands in between, and a container whose limit leaves room for one
//! process can have it. Where we may not do that for lack of rights (rootless), a bridge enters
//! everything first and makes the process as our child.
//!
//! ```text
//! parent                                        process
//!   clone3, pid namespace, v2 cgroup ─────────▶ born, signals blocked, not dumpable
//!          ── Go::Placed ─────────────────────▶ only from a session where systemd must move it
//!                                               joins v1 cgroups, CPUs; closes what is not its own
//!                                               setns with the pidfd of init: all namespaces at once
//!                              ◀─ Console+fd ─  only with a terminal: the pty master
//!                              ◀─ Listener ───  only when the seccomp filter notifies
//!                              ◀─ Ready ──────  everything is done but the execve
//!   oom_score_adj, rlimits, sockets             waits
//!          ── Go::Start ──────────────────────▶ seccomp, execve
//!                              ◀─ end of file   execve happened
//! ```
//! Messages, failures and their words are `create`'s (`create/protocol.rs`, `create/report.rs`).

mod child;

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use crate::cgroup::{CgroupRecord, Entry};
use crate::create::init::Run;
use crate::create::kit::{self, Gate, Kit};
use crate::create::parent::InitProcess;
use crate::create::protocol::{Go, Said};
use crate::create::{self, Sockets, StepTime, stage, timing};
use crate::error::{At, Error, Result, Step};
use crate::plan::exec::{ExecPlan, Recorded};
use crate::plan::namespaces::Kind;
use crate::seal;
use crate::state::Store;
use crate::sys::argv::ArgV;
use crate::sys::clone::{self, CloneArgs};
use crate::sys::fd::PollFd;
use crate::sys::{cred, fd, sched};
use child::Birth;

/// A container that processes can join: it is there and runs.
#[derive(Debug)]
pub struct Target {
    /// What its records say.
    pub recorded: Recorded,
    /// Its init; the number cannot be another's any more.
    init: OwnedFd,
}

impl Target {
    /// Finds container `id`; a paused one only with `ignore_paused`.
    ///
    /// # Errors
    /// `container does not exist`, `cannot exec in a stopped container`, `cannot exec in a paused
    /// container`.
    pub fn find(store: &Store, id: &str, ignore_paused: bool) -> Result<Self> {
        let recorded = store.load_for_exec(id)?;
        let state = &recorded.state;
        let Some(init) = state.init.open().at(Step::Exec, || id)? else { return Err(stopped()) };
        if !ignore_paused && state.is_paused()? {
            let why = "cannot exec in a paused container (use --ignore-paused to override)";
            return Err(Error::rule(Step::Exec, "", why));
        }
        Ok(Self { recorded, init })
    }

    /// A container that ends meanwhile takes its processes along, at any point and with any
    /// errno: that is the reason to give. What can mean it is waited for; the namespaces of a
    /// process go before it has ended.
    fn explain(&self, error: Error) -> Error {
        let gone = matches!(error.errno(), Some(libc::ESRCH | libc::ENOMEM | libc::EINVAL));
        // `create`'s step for a process that went away.
        let silent = error.step == Step::Clone;
        let patience = if gone || silent { DEATH_MS } else { 0 };
        let ended = fd::poll(&mut [PollFd::new(self.init.as_fd(), libc::POLLIN)], patience);
        match ended {
            Ok(1..) => stopped().hint(format!("it ended meanwhile: {error}")),
            _ if silent => Error { step: Step::Exec, on: "process".into(), ..error },
            _ => error,
        }
    }

    fn cgroup(&self) -> CgroupRecord {
        self.recorded.state.cgroup.clone().unwrap_or_default()
    }
}

/// How long a process that is about to end may take, in milliseconds.
const DEATH_MS: i32 = 500;

fn stopped() -> Error {
    Error::rule(Step::Exec, "", "cannot exec in a stopped container")
}

/// A process in the container that waits for [`Joined::start`]. Dropped before
/// [`Joined::release`], it is killed.
#[derive(Debug)]
pub struct Joined<'a> {
    /// The pty master, when there is a terminal and no console socket.
    pub console: Option<OwnedFd>,
    /// When each step ran; empty unless asked for.
    pub times: Vec<StepTime>,
    process: InitProcess,
    target: &'a Target,
}

impl Joined<'_> {
    /// The process's pid in our pid namespace.
    pub fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// A pidfd of it.
    pub fn pidfd(&self) -> Option<&OwnedFd> {
        self.process.child().map(|child| &child.pidfd)
    }

    /// Lets the program run.
    ///
    /// # Errors
    /// It could not be executed; the container ended meanwhile.
    pub fn start(&mut self, plan: &ExecPlan) -> Result<()> {
        let told = self.process.tell(Go::Start);
        let ran = self.process.expect_exec(&plan.process);
        // What the process said last is better than that it does not listen.
        ran.and(told).map_err(|error| {
            // Not before its processes are reaped is a pid namespace gone, and its init ended.
            self.process.end();
            self.target.explain(error)
        })
    }

    /// The process outlives this value.
    pub fn release(&mut self) {
        self.process.release();
    }
}

/// Puts the process of `plan` into the container; it waits for [`Joined::start`].
///
/// # Errors
/// Any step, see the header; nothing of the process is left. The program that calls has not been
/// sealed, see [`crate::seal()`].
pub fn join<'a>(plan: &ExecPlan, target: &'a Target) -> Result<Joined<'a>> {
    create::must_be_sealed()?;
    let sockets = Sockets::connect(&plan.process)?; // a caller that does not listen is told at once
    let (ours, theirs) = fd::seqpacket_pair().at(Step::Exec, || "sync socket")?;
    let mut kit = Kit::open(&plan.process, theirs, Gate::Sync)?;
    kit.parents_end = ours.as_raw_fd().unsigned_abs();
    if let (1.., Some(process)) = (plan.listen_fds, &plan.process.process) {
        kit.envp = ArgV::with_slots(&process.env, 2 + usize::from(process.find_home), kit::HOME);
    }
    let process = InitProcess::new(ours, &plan.process).joining(plan.patient);
    let climb = || -> Result<Joined<'a>> {
        let mut process = spawn(plan, target, &mut kit, process)?;
        let times = kit.times.take();
        drop(kit); // the process has its copies
        seal::let_go();
        if let Some(class) = &target.recorded.state.resctrl {
            class.place(process.pid())?; // a child of ours, it is in our class
        }
        process.expect(Said::Ready, &plan.process)?;
        create::oom_score_adj(&plan.process, process.pid())?;
        create::rlimits(&plan.process, process.pid())?;
        let console = sockets.send(&mut process, "setns")?;
        let times = timing::collect(times.as_ref(), STEPS);
        Ok(Joined { console, times, process, target })
    };
    climb().map_err(|error| target.explain(error))
}

/// The order of the steps after the namespaces are entered.
pub static STEPS: &[(Step, Run)] = child::STEPS;

/// Makes the process; it works on its steps from here on.
fn spawn(
    plan: &ExecPlan,
    target: &Target,
    kit: &mut Kit,
    process: InitProcess,
) -> Result<InitProcess> {
    let record = target.cgroup();
    let init = target.recorded.state.init.pid;
    let mut entry = Entry::open(&record, &plan.subs, init)?;
    let root = root(plan, init)?;
    // Children are born so: nobody in the container can look into them (CVE-2016-9962).
    let _undumpable = Undumpable::begin().at(Step::Exec, || "dumpable")?;
    let _cpus = Cpus::begin(plan)?;
    let enters_pid = plan.process.namespaces.enter.contains(&Kind::Pid);
    let children = if enters_pid { Children::within(&target.init)? } else { None };
    let bridged = enters_pid && children.is_none();
    let work: fn(&mut Birth<'_>) -> ! = if bridged { child::bridge } else { child::run };
    let mut clone = |entry: &Entry, by_unit: bool| {
        let cgroup = entry.clone_into();
        let args = CloneArgs { flags: 0, cgroup, exit_signal: libc::SIGCHLD };
        let (kit, tasks, root) = (&mut *kit, entry.join_fds(), root.as_ref());
        let init = &target.init;
        let mut birth = Birth { plan, kit, tasks, by_unit, init, root, procfs: None };
        clone::spawn(&args, &mut birth, work).at(Step::Exec, || "process")
    };
    let mut unit = None;
    let cloned = match clone(&entry, false) {
        Err(e) if divided(&e) && plan.subs.is_empty() => {
            entry.at_init(&record, init)?;
            clone(&entry, false)
        }
        Err(e) if e.errno() == Some(libc::EACCES) && record.unit.is_some() => {
            unit = record.unit.as_ref();
            entry.leave_to_unit();
            clone(&entry, true)
        }
        cloned => cloned,
    };
    let cloned = cloned.map_err(|error| explain_clone(entry.explain_clone(error)))?;
    let mut process = process;
    process.adopt(cloned);
    if let Some(unit) = unit {
        Entry::attach(&record, unit, &plan.subs, (process.pid(), init))?;
        process.tell(Go::Placed)?;
    }
    if bridged { stage::cross(&plan.process, process) } else { Ok(process) }
}

/// A v2 cgroup that takes no processes any more. (`EACCES` is another session's: the cgroup above both is not
/// ours, and systemd moves the process.)
fn divided(error: &Error) -> bool {
    matches!(error.errno(), Some(libc::EBUSY | libc::EOPNOTSUPP | libc::ENODEV))
}

fn explain_clone(error: Error) -> Error {
    match error.errno() {
        Some(libc::EAGAIN) => {
            error.hint("a limit on processes is reached (pids.max of the container, RLIMIT_NPROC)")
        }
        _ => error,
    }
}

/// The container's root, where no mount namespace leads to it.
fn root(plan: &ExecPlan, init: i32) -> Result<Option<OwnedFd>> {
    if plan.process.namespaces.has(Kind::Mount) {
        return Ok(None);
    }
    let path = format!("/proc/{init}/root");
    let name = CString::new(path.as_str()).map_err(io::Error::from);
    let opened = name.and_then(|name| fd::open(&name, libc::O_PATH | libc::O_DIRECTORY));
    opened.map(Some).at(Step::Rootfs, || path)
}

/// We, and so our children, are not dumpable while this lives.
struct Undumpable {
    before: bool,
}

impl Undumpable {
    fn begin() -> io::Result<Self> {
        let before = cred::is_dumpable()?;
        cred::set_dumpable(false)?;
        Ok(Self { before })
    }
}

impl Drop for Undumpable {
    fn drop(&mut self) {
        if self.before {
            // Fails for no known reason; what stays is the stricter setting.
            let _ = cred::set_dumpable(true);
        }
    }
}

/// This thread, and so its children, run on the CPUs of `execCPUAffinity.initial`.
struct Cpus {
    before: [u8; 1024],
}

impl Cpus {
    fn begin(plan: &ExecPlan) -> Result<Option<Self>> {
        let Some(first) = &plan.first_cpus else { return Ok(None) };
        let on = || "initial CPU affinity (execCPUAffinity)";
        let mut before = [0; 1024];
        sched::sched_getaffinity(&mut before).at(Step::Scheduler, on)?;
        sched::sched_setaffinity(first).at(Step::Scheduler, on)?;
        Ok(Some(Self { before }))
    }
}

impl Drop for Cpus {
    fn drop(&mut self) {
        // CPUs may have gone offline meanwhile; then the kernel has chosen others for us.
        let _ = sched::sched_setaffinity(&self.before);
    }
}

/// Children of this thread are born in another pid namespace while this lives.
struct Children {
    own: OwnedFd,
}

impl Children {
    /// `None` without the rights for it: those of the container's user namespace must be taken
    /// first then.
    fn within(init: &OwnedFd) -> Result<Option<Self>> {
        let on = || "pid";
        let own = fd::open(c"/proc/thread-self/ns/pid_for_children", libc::O_RDONLY)
            .at(Step::Namespace, on)?;
        match clone::setns(init, Kind::Pid.flag()) {
            Err(e) if e.raw_os_error() == Some(libc::EPERM) => Ok(None),
            entered => entered.map(|()| Some(Self { own })).at(Step::Namespace, on),
        }
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        // To our own namespace we have every right that it took to leave it.
        let _ = clone::setns(&self.own, Kind::Pid.flag());
    }
}
