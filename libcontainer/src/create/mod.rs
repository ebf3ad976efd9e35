//! Carries out a plan: from nothing to a container whose init waits for `start`.
//!
//! This file is the whole path; each line is a module to open. The ladder between the two
//! processes is drawn in [`protocol`], the rules of the child's side stand in [`init`].

pub mod filter;
pub mod gate;
pub mod home;
pub mod identity;
pub mod idmap;
pub mod init;
pub mod inside;
pub mod kit;
pub mod parent;
pub mod program;
pub mod protocol;
pub mod report;
pub mod rootfs;
pub mod stage;
pub mod timing;
pub mod tree;
mod undo;

use std::os::fd::{AsRawFd, OwnedFd};

use crate::cgroup::resctrl::Resctrl;
use crate::cgroup::{Cgroup, CgroupRecord};
use crate::console::{FdSocket, Purpose};
use crate::error::{At, Error, Result, Step};
use crate::hooks;
use crate::net;
use crate::notify;
use crate::plan::Plan;
use crate::plan::hooks::Kind as HookKind;
use crate::plan::process::{Limiter, ProcessPlan};
use crate::seal;
use crate::state::oci::HookState;
use crate::state::process::ProcessId;
use crate::state::{Claim, Intent, State, Store};
use crate::sys::fd;
use crate::sys::sched;
use crate::verbs;
use kit::{Gate, Kit};
use parent::InitProcess;
use protocol::{Detail, Go, Said};
use report::Failure;
use undo::Undo;

pub use timing::StepTime;

/// A created container, in the hands of its creator.
#[derive(Debug)]
pub struct Container {
    /// What was published.
    pub state: State,
    /// The pty master, when the plan has a terminal and no console socket.
    pub console: Option<OwnedFd>,
    /// When each step of the init stage ran; empty unless the plan asks.
    pub times: Vec<StepTime>,
    init: InitProcess,
}

impl Container {
    /// Init's pid in our pid namespace.
    pub fn pid(&self) -> i32 {
        self.init.pid()
    }

    /// A pidfd of init.
    pub fn pidfd(&self) -> Option<&OwnedFd> {
        self.init.child().map(|child| &child.pidfd)
    }

    /// Starts the program of a plan that was built with [`crate::plan::Options::run`], and runs
    /// the `poststart` hooks.
    ///
    /// # Errors
    /// A hook or the execve failed: init has ended.
    pub fn start(&mut self, plan: &Plan) -> Result<()> {
        self.init.tell(Go::Start)?;
        self.init.expect_exec(plan)?;
        verbs::poststart(&self.state)
    }
}

/// Makes the container of `plan`. What fails undoes everything that it made.
///
/// # Errors
/// Any step of the ladder; the process that calls has not been sealed, see [`crate::seal()`].
pub fn create(plan: &Plan, store: &Store) -> Result<Container> {
    create_noting(plan, store, &mut Progress::default())
}

/// How far a creation came that failed.
#[derive(Debug, Default)]
pub struct Progress {
    /// Pid of init, or of the bridge before it; 0 when there was none.
    pub pid: i32,
    /// When each step of the init stage ran, the one that failed last; empty unless the plan asks.
    pub times: Vec<StepTime>,
}

/// As [`create`]; `progress` is filled when it fails.
///
/// # Errors
/// Those of [`create`].
pub fn create_noting(plan: &Plan, store: &Store, progress: &mut Progress) -> Result<Container> {
    make(plan, store, progress)
        .map_err(|error| if progress.pid > 0 { poststop(plan, error) } else { error })
}

/// A container that had begun to exist is gone again: the hooks of its end run (runtime.md,
/// lifecycle 3 to 5, 12, 13). Their failures are told beside the cause.
fn poststop(plan: &Plan, error: Error) -> Error {
    let kind = HookKind::Poststop;
    let warnings = match plan.hooks.poststop.as_slice() {
        [] => Vec::new(),
        list => hooks::run_all_warning(kind, list, &hook_state(plan)),
    };
    if warnings.is_empty() || error.hint.is_some() {
        return error;
    }
    error.hint(warnings.join("; "))
}

/// The page: each line is a module to open. `progress` has a pid once there is an init.
fn make(plan: &Plan, store: &Store, progress: &mut Progress) -> Result<Container> {
    must_be_sealed()?;
    let sockets = Sockets::connect(plan)?; // a caller that does not listen is told at once
    let intent = intent(plan)?;
    let claim = store.claim(&plan.id, &intent)?; // the id is ours, and what follows is on record
    let undo = Undo::of(&claim);
    let (init, mut kit) = open(plan, &claim)?; // every fd the child needs; nothing changed yet
    let cgroup = Cgroup::create(&plan.cgroup)?; // limits exist before the first process
    let undo = undo.and(&cgroup);
    let by_unit = plan.cgroup.unit.is_some(); // then systemd makes it, with init
    let own = |now: bool| if now { claim.own_cgroup() } else { Ok(()) };
    own(!by_unit)?; // who is in there from now on may be killed by `delete --force`
    let class = plan.intel_rdt.as_ref().map(Resctrl::create).transpose()?;
    let undo = undo.and_class(class.as_ref());
    let mut init = stage::clone(plan, &mut kit, &cgroup, init)?; // Direct or Bridge, then STEPS
    own(by_unit)?;
    progress.pid = init.pid();
    class.as_ref().map_or(Ok(()), |class| class.place(init.pid()))?;
    let times = kit.times.take();
    let _helper = kit.tree.take_helper(); // fetches sources for init, until it has pivoted
    drop(kit); // init has its copies; ours would keep the gate open
    let moved = match plan.net.devices.as_slice() {
        [] => None,
        devices => Some(net::move_devices(devices, net::netns_of(init.pid())?)?),
    };
    let finish = || -> Result<(State, Option<OwnedFd>)> {
        let identity = intent.owner.child(init.pid())?;
        // While init is at work, we are too.
        claim.leave_for_exec(plan)?;
        let mut state = state(plan, &intent, identity.clone(), &cgroup)?;
        state.resctrl.clone_from(&class);
        let draft = claim.draft(state)?;
        seal::let_go();
        climb(plan, &cgroup, &mut init, &claim, &identity)?;
        let console = sockets.send(&mut init, "init")?;
        Ok((draft.publish()?, console))
    };
    match finish() {
        Ok((state, console)) => {
            undo.forget();
            init.release();
            Ok(Container {
                state,
                console,
                times: timing::collect(times.as_ref(), init::STEPS),
                init,
            })
        }
        Err(error) => {
            // Best effort: the cause is the better error.
            let _back = moved.map(net::Moved::undo);
            progress.times = timing::collect(times.as_ref(), init::STEPS);
            Err(explain(error, &cgroup))
        }
    }
}

/// Nothing of a container runs in a copy of us whose program it could write (CVE-2019-5736).
pub(crate) fn must_be_sealed() -> Result<()> {
    if seal::is_sealed()? {
        return Ok(());
    }
    let why = "this program's own file is writable in containers";
    Err(Error::rule(Step::Seal, "", why).hint("call libcontainer::seal() at the top of main"))
}

/// An init that vanished under a memory limit was killed by it.
fn explain(error: Error, cgroup: &Cgroup) -> Error {
    if error.step == Step::Clone && error.errno().is_none() && cgroup.oom_killed() {
        return Error::rule(Step::Clone, "init", "was killed: the memory limit is too low for it")
            .hint("raise linux.resources.memory.limit");
    }
    error
}

/// The parent's side of the ladder, from a newborn init to one that waits at the gate.
fn climb(
    plan: &Plan,
    cgroup: &Cgroup,
    init: &mut InitProcess,
    claim: &Claim,
    identity: &ProcessId,
) -> Result<()> {
    oom_score_adj(plan, init.pid())?;
    let at_once = cgroup.limits_devices_at_once();
    if at_once {
        cgroup.limit_devices()?; // while init mounts
    }
    let hooks_follow = plan.hooks.before_pivot();
    if hooks_follow {
        init.expect(Said::Rootfs, plan)?;
        if !at_once {
            cgroup.limit_devices()?; // before a hook, which may allow more
        }
        claim.note_init(identity)?; // hooks may ask for our state
        for (kind, list) in [
            (HookKind::Prestart, &plan.hooks.prestart),
            (HookKind::CreateRuntime, &plan.hooks.create_runtime),
        ] {
            hooks::run(kind, list, &hook_state(plan), init.pid())?;
        }
        init.tell(Go::Pivot)?;
    }
    init.expect(Said::Ready, plan)?;
    if !hooks_follow && !at_once {
        cgroup.limit_devices()?; // init, which makes and opens devices, is done and waits
    }
    rlimits(plan, init.pid())
}

/// Init's and our end of the sync socket, the gate, and what else the child inherits.
fn open(plan: &Plan, claim: &Claim) -> Result<(InitProcess, Kit)> {
    if plan.notify_socket.is_some() {
        notify::make_dir(claim.dir())?;
    }
    let (ours, inits) = fd::seqpacket_pair().at(Step::Clone, || "sync socket")?;
    let gate = if plan.run {
        Gate::Sync
    } else {
        claim.make_gate()?;
        kit::open_fifos(claim.dir())?
    };
    let mut kit = Kit::open(plan, inits, gate)?;
    kit.parents_end = ours.as_raw_fd().unsigned_abs();
    if let Some(file) = &kit.hook_state {
        let state = hook_state(plan).json(HookKind::CreateContainer, 0);
        hooks::inside::fill(file, &state).at(Step::Hook, || "state")?;
    }
    Ok((InitProcess::new(ours, plan), kit))
}

fn hook_state(plan: &Plan) -> HookState<'_> {
    HookState { id: &plan.id, bundle: &plan.bundle, annotations: &plan.annotations }
}

/// Set from outside: in a user namespace init could not lower it (CAP_SYS_RESOURCE).
pub(crate) fn oom_score_adj(plan: &Plan, pid: i32) -> Result<()> {
    let Some(score) = plan.process.as_ref().and_then(|process| process.oom_score_adj) else {
        return Ok(());
    };
    let path = format!("/proc/{pid}/oom_score_adj");
    std::fs::write(&path, score.to_string())
        .at(Step::Rlimit, || format!("process.oomScoreAdj {score}"))
}

/// Resource limits of a container with a user namespace.
pub(crate) fn rlimits(plan: &Plan, pid: i32) -> Result<()> {
    let process = plan.process.as_ref().filter(|process| process.limiter == Limiter::Parent);
    for (item, limit) in (0..).zip(process.iter().flat_map(|process| &process.rlimits)) {
        sched::setrlimit_of(pid, limit.resource, limit.soft, limit.hard).map_err(|e| {
            let failure = Failure::new(Step::Rlimit, item, init::errno(&e));
            report::words(plan, failure, &Detail::default())
        })?;
    }
    Ok(())
}

fn intent(plan: &Plan) -> Result<Intent> {
    let mut intent = Intent::new(&plan.id, &plan.bundle)?;
    intent.cgroup = Some(CgroupRecord::from(&plan.cgroup));
    intent.resctrl = plan.intel_rdt.as_ref().and_then(Resctrl::intended);
    intent.poststop.clone_from(&plan.hooks.poststop);
    Ok(intent)
}

fn state(plan: &Plan, intent: &Intent, init: ProcessId, cgroup: &Cgroup) -> Result<State> {
    use crate::plan::namespaces::Kind;
    let pid = init.pid;
    let mut state = intent.fulfil(init, &plan.rootfs);
    state.cgroup = Some(cgroup.record().clone());
    state.annotations.clone_from(&plan.annotations);
    state.own_pid_namespace = plan.namespaces.is_new(Kind::Pid);
    state.namespaces.extend(Kind::ALL.iter().map(|kind| {
        let path = format!("/proc/{pid}/ns/{}", kind.proc_name());
        (kind.spec_name().to_owned(), path.into())
    }));
    state.start_hooks = !plan.hooks.start_container.is_empty();
    state.program = plan.process.as_ref().map(ProcessPlan::name);
    state.poststart.clone_from(&plan.hooks.poststart);
    Ok(state)
}

/// The caller's sockets, connected before anything is made.
pub(crate) struct Sockets {
    console: Option<FdSocket>,
    pidfd: Option<FdSocket>,
}

impl Sockets {
    pub(crate) fn connect(plan: &Plan) -> Result<Self> {
        let connect = |purpose, path: &Option<std::path::PathBuf>| {
            path.as_deref().map(|path| FdSocket::connect(purpose, path)).transpose()
        };
        Ok(Self {
            console: connect(Purpose::Console, &plan.console_socket)?,
            pidfd: connect(Purpose::Pidfd, &plan.pidfd_socket)?,
        })
    }

    /// Hands the pidfd and the pty master over; the master is returned when nobody else wants it.
    /// `kind` tells the caller whether it is the init of a container.
    pub(crate) fn send(self, init: &mut InitProcess, kind: &str) -> Result<Option<OwnedFd>> {
        if let (Some(socket), Some(child)) = (self.pidfd, init.child()) {
            socket.send_pidfd(&child.pidfd, kind)?;
        }
        match (self.console, init.take_console()) {
            (Some(socket), Some(master)) => socket.send_master(&master).map(|()| None),
            (_, master) => Ok(master),
        }
    }
}
