//! From the caller's process to init: clone3, id maps, joined namespaces, the bridge.
//!
//! [`Route::Direct`] is one clone3. [`Route::Bridge`] has a short-lived process in between that
//! enters or makes what takes effect for children only, then makes init as *our* child
//! (`CLONE_PARENT`) and ends.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;

use crate::cgroup::Cgroup;
use crate::create::gate::{hear, say};
use crate::create::idmap;
use crate::create::init::{self, Init, Outcome, errno, fail};
use crate::create::inside;
use crate::create::kit::Kit;
use crate::create::parent::InitProcess;
use crate::create::protocol::{Detail, Go, Said};
use crate::create::report::Failure;
use crate::error::{At, Error, Result, Step};
use crate::plan::Plan;
use crate::plan::namespaces::{Kind, Route};
use crate::sys::clone::{self, CloneArgs};
use crate::sys::{cred, fd};

/// The namespaces of the clone3 that makes init. The cgroup namespace is unshared later, when
/// init is in its cgroup.
const BORN_IN: [Kind; 7] =
    [Kind::User, Kind::Pid, Kind::Time, Kind::Network, Kind::Ipc, Kind::Uts, Kind::Mount];
/// The same behind a bridge, which has made user and time namespaces itself.
const BORN_BEHIND_BRIDGE: [Kind; 5] = [Kind::Pid, Kind::Network, Kind::Ipc, Kind::Uts, Kind::Mount];

/// What a new process is born with.
pub struct Birth<'a> {
    /// What was decided.
    pub plan: &'a Plan,
    /// What was opened.
    pub kit: &'a mut Kit,
    /// `tasks` of each v1 cgroup.
    pub tasks: &'a [OwnedFd],
}

/// Makes init, in its namespaces and with its ids mapped. It works on its steps from here on.
///
/// # Errors
/// clone3 or the maps were refused; a namespace could not be entered.
pub fn clone(
    plan: &Plan,
    kit: &mut Kit,
    cgroup: &Cgroup,
    mut init: InitProcess,
) -> Result<InitProcess> {
    let bridged = plan.namespaces.route == Route::Bridge;
    let args = CloneArgs {
        flags: if bridged { 0 } else { plan.namespaces.flags(&BORN_IN) },
        cgroup: cgroup.clone_into(),
        exit_signal: libc::SIGCHLD,
    };
    let work: fn(&mut Birth<'_>) -> ! = if bridged { bridge } else { init::run };
    let child = clone::spawn(&args, &mut Birth { plan, kit, tasks: cgroup.join_fds() }, work)
        .at(Step::Clone, || "")
        .map_err(|error| explain_clone(cgroup.explain_clone(error), plan))?;
    let pid = child.pid;
    init.adopt(child);
    if plan.cgroup.unit.is_some() {
        cgroup.start_unit(&plan.cgroup, pid)?;
        init.tell(Go::Placed)?;
    }
    if bridged {
        return cross(plan, init);
    }
    if plan.namespaces.is_new(Kind::User) {
        idmap::write(init.pid(), &plan.idmap)?;
        init.tell(Go::Mapped)?;
    }
    Ok(init)
}

/// `EPERM` of a new user namespace has causes of its own: [`idmap::why_no_namespace`].
fn explain_clone(error: Error, plan: &Plan) -> Error {
    let new_user = plan.namespaces.is_new(Kind::User);
    match error.errno() {
        Some(libc::ENOSPC | libc::EPERM | libc::EACCES) if new_user => {
            idmap::why_no_namespace(error)
        }
        Some(libc::ENOSPC) => error.hint(
            "a namespace limit is reached: look at the files of /proc/sys/user, such as \
             max_mnt_namespaces",
        ),
        Some(libc::EPERM) => {
            error.hint("new namespaces need CAP_SYS_ADMIN, or a user namespace in linux.namespaces")
        }
        Some(libc::EINVAL) => match lacking(plan) {
            Some(words) => error.hint(words),
            None => error,
        },
        Some(libc::EAGAIN) => {
            error.hint("a limit on processes is reached (RLIMIT_NPROC, pids.max)")
        }
        _ => error,
    }
}

/// The kind of namespace that this kernel was built without, and its option.
fn lacking(plan: &Plan) -> Option<String> {
    let absent = |kind: &&Kind| {
        plan.namespaces.is_new(**kind)
            && fs::metadata(format!("/proc/self/ns/{}", kind.proc_name())).is_err()
    };
    let kind = BORN_IN.iter().find(absent)?;
    let option = match kind {
        Kind::Mount => "CONFIG_NAMESPACES",
        Kind::Network => "CONFIG_NET_NS",
        Kind::Pid => "CONFIG_PID_NS",
        Kind::Ipc => "CONFIG_IPC_NS",
        Kind::Uts => "CONFIG_UTS_NS",
        Kind::User => "CONFIG_USER_NS",
        Kind::Cgroup => "CONFIG_CGROUPS",
        Kind::Time => "CONFIG_TIME_NS, since Linux 5.6",
    };
    Some(format!("this kernel has no {} namespaces ({option})", kind.spec_name()))
}

/// The parent's side of the bridge: maps ids when asked, then learns init's pid.
///
/// # Errors
/// The bridge failed, or its maps.
pub fn cross(plan: &Plan, mut init: InitProcess) -> Result<InitProcess> {
    let bridge = init.pid();
    let mut said = init.next(plan)?;
    if said == Said::NeedMaps {
        idmap::write(bridge, &plan.idmap)?;
        init.tell(Go::Mapped)?;
        said = init.next(plan)?;
    }
    let Said::Born(pid) = said else { return Err(init.confused(said)) };
    // Our own child and not waited for, so the number cannot be another's.
    let pidfd = clone::pidfd_open(pid).at(Step::Clone, || "init")?;
    if let Some(bridge) = init.adopt(clone::Child { pid, pidfd }) {
        clone::wait_pidfd(&bridge.pidfd).at(Step::Wait, || "bridge")?;
    }
    init.tell(Go::Known)?;
    Ok(init)
}

/// The bridge; never returns. Rules and tools are those of the init stage.
fn bridge(birth: &mut Birth<'_>) -> ! {
    if let Err(failure) = build_bridge(birth) {
        say(birth.kit, &Said::Failed(failure, Detail::default()), None);
        clone::exit(1)
    }
    let args = CloneArgs {
        flags: birth.plan.namespaces.flags(&BORN_BEHIND_BRIDGE) | clone::CLONE_PARENT,
        cgroup: None,
        exit_signal: 0,
    };
    match clone::spawn(&args, birth, init::run) {
        Ok(child) => {
            say(birth.kit, &Said::Born(child.pid), None);
            clone::exit(0)
        }
        Err(e) => {
            let failure = Failure::new(Step::Clone, 0, errno(&e));
            say(birth.kit, &Said::Failed(failure, Detail::default()), None);
            clone::exit(1)
        }
    }
}

fn build_bridge(birth: &mut Birth<'_>) -> Outcome {
    let Birth { plan, kit, tasks } = birth;
    init::close_parents_end(kit)?;
    inside::wait_for_unit(plan, kit)?;
    inside::join_cgroups(tasks)?;
    // Before anybody in a joined namespace can see us (CVE-2016-9962).
    if !plan.namespaces.is_new(Kind::User) {
        cred::set_dumpable(false).or_else(|e| fail(Step::Clone, 0, &e))?;
    }
    // What the host's rights can enter is entered with them, the rest as the user namespace's
    // root: a path may belong to either.
    let refused = join(kit, 0, true)?;
    if plan.namespaces.is_new(Kind::User) {
        clone::unshare(Kind::User.flag()).or_else(|e| fail(Step::Namespace, NEW_USER, &e))?;
        say(kit, &Said::NeedMaps, None);
        hear(kit, Go::Mapped)?;
    } else {
        join_user(kit)?;
    }
    become_root(plan)?;
    join(kit, refused, false)?;
    time_namespace(plan)?;
    kit.entered = true;
    Ok(())
}

/// `item` of a [`Step::Namespace`] failure that was about making, not joining.
pub const NEW: u32 = u32::MAX;
/// `item` of a [`Step::Namespace`] failure about `timeOffsets`.
pub const TIME_OFFSETS: u32 = u32::MAX - 1;
/// `item` of a [`Step::Namespace`] failure about making a user namespace.
pub const NEW_USER: u32 = u32::MAX - 2;
/// `item` of a [`Step::Namespace`] failure about entering those of a running container.
pub const ENTER: u32 = u32::MAX - 3;

fn join_user(kit: &Kit) -> Outcome {
    for (item, (kind, file)) in (0..).zip(&kit.joins) {
        if *kind == Kind::User {
            clone::setns(file, kind.flag()).or_else(|e| fail(Step::Namespace, item, &e))?;
        }
    }
    Ok(())
}

/// Enters the namespaces but the user's. In the `first` pass those that refuse are remembered as
/// bits of the result; afterwards only the bits of `wanted` are tried.
fn join(kit: &Kit, wanted: u32, first: bool) -> Result<u32, Failure> {
    let mut refused = 0;
    for (item, (kind, file)) in (0u32..).zip(&kit.joins) {
        let bit = 1 << item;
        if *kind == Kind::User || !(first || wanted & bit != 0) {
            continue;
        }
        match clone::setns(file, kind.flag()) {
            Err(e) if first && errno(&e) == libc::EPERM => refused |= bit,
            Err(e) => return Err(Failure::new(Step::Namespace, item, errno(&e))),
            Ok(()) => {}
        }
    }
    Ok(refused)
}

/// A new time namespace with its offsets: they are frozen once a process lives in it.
fn time_namespace(plan: &Plan) -> Outcome {
    let namespaces = &plan.namespaces;
    if !namespaces.is_new(Kind::Time) {
        return Ok(());
    }
    clone::unshare(Kind::Time.flag()).or_else(|e| fail(Step::Namespace, NEW, &e))?;
    if namespaces.time_offsets.is_empty() {
        return Ok(());
    }
    let write = || -> io::Result<()> {
        // Having changed our ids we are not dumpable, and our own files of /proc not ours.
        cred::set_dumpable(true)?;
        let file = fd::open(c"/proc/self/timens_offsets", libc::O_WRONLY)?;
        fd::write_all(&file, &namespaces.time_offsets)?;
        cred::set_dumpable(false)
    };
    write().or_else(|e| fail(Step::Namespace, TIME_OFFSETS, &e))
}

/// The first step of init: enters what a bridge has not, and becomes root where ids are mapped.
pub fn enter(init: &mut Init<'_>) -> Outcome {
    if !init.kit.entered {
        if init.plan.namespaces.is_new(Kind::User) {
            hear(init.kit, Go::Mapped)?;
            cred::set_dumpable(false).or_else(|e| fail(Step::Clone, 0, &e))?;
            become_root(init.plan)?;
        }
        join(init.kit, u32::MAX, false)?;
    }
    init.open_procfs()
}

/// In a user namespace we are nobody until we take its ids. Of a joined one the maps are not in
/// the configuration: there an id that does not exist (`EINVAL`) is left as it is.
///
/// # Errors
/// A failure of [`Step::User`].
pub fn become_root(plan: &Plan) -> Outcome {
    let joined = plan.namespaces.has(Kind::User) && !plan.namespaces.is_new(Kind::User);
    let taken = |result: io::Result<()>| match result {
        Err(error) if joined && errno(&error) == libc::EINVAL => Ok(()),
        result => result,
    };
    if plan.idmap.root_gid || joined {
        taken(cred::setresgid(0, 0, 0)).or_else(|e| fail(Step::User, 2, &e))?;
    }
    if plan.idmap.root_uid || joined {
        taken(cred::setresuid(0, 0, 0)).or_else(|e| fail(Step::User, 3, &e))?;
    }
    Ok(())
}
