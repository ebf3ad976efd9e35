//! `delete`: removes what `create` made (runtime.md, "Delete").
//!
//! Every step may have been done before by a command that was killed, so each is the same when
//! done again: end the processes, remove the cgroups, free the id, run `poststop`. What `create`
//! left when *it* was killed is found by its intent record.

use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use crate::cgroup::{Cgroup, CgroupRecord};
use crate::error::{At, Error, Result, Step};
use crate::hooks;
use crate::plan::hooks::Kind;
use crate::state::oci::HookState;
use crate::state::process::ProcessId;
use crate::state::{Found, Intent, Lock, State, Status, Store, gate};
use crate::sys::clone;
use crate::sys::fd::{self, PollFd};
use crate::verbs::kill;

/// How long to wait for a process to end, or for a `create` at work.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a directory may stay without an intent record: `create` writes it at once.
const FIRST_MOMENT: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(10);

/// Removes container `id`. A stopped one, or a created one, which is killed as runc does; any
/// with `force`, also what a killed `create` left, a damaged record, or nothing at all.
///
/// Returns warnings: `poststop` hooks that failed, a cgroup that somebody else uses.
///
/// # Errors
/// `container does not exist`; `cannot delete container ID that is not stopped: STATUS`; a
/// process or cgroup that stays for ten seconds. The container can be deleted again then.
pub fn delete(store: &Store, id: &str, force: bool) -> Result<Vec<String>> {
    match locked(store, id, force) {
        // It never was there, or another command removed it meanwhile.
        Err(_) if force && is_gone(store, id)? => Ok(Vec::new()),
        deleted => deleted,
    }
}

fn is_gone(store: &Store, id: &str) -> Result<bool> {
    let dir = store.dir(id)?;
    match dir.symlink_metadata() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(true),
        looked => looked.map(|_| false).at(Step::Delete, || dir.display()),
    }
}

fn locked(store: &Store, id: &str, force: bool) -> Result<Vec<String>> {
    let lock = store.lock(id)?;
    match settled(store, id, force)? {
        Found::Published(state) => published(store, &state, force, lock),
        _ if !force => store.load(id).map(|_| Vec::new()),
        Found::Unfinished(intent, init) => {
            leftovers(store, id, (Some(&intent), init.as_ref()), lock)
        }
        Found::Damaged { intent, init, .. } => {
            leftovers(store, id, (intent.as_deref(), init.as_ref()), lock)
        }
        Found::Empty => leftovers(store, id, (None, None), lock),
    }
}

/// What there is of the container once nobody creates it any more. Who does not insist is told at
/// once.
fn settled(store: &Store, id: &str, force: bool) -> Result<Found> {
    let begun = Instant::now();
    loop {
        let found = store.find(id)?;
        let patience = match &found {
            Found::Unfinished(intent, _) if force && intent.owner.is_alive() => PATIENCE,
            Found::Empty if force => FIRST_MOMENT,
            _ => return Ok(found),
        };
        if begun.elapsed() >= patience {
            return match found {
                Found::Unfinished(intent, _) => {
                    let why = format!("is still being created by process {}", intent.owner.pid);
                    Err(Error::rule(Step::Delete, id, why)
                        .hint("wait for it, or end that process; most likely a hook hangs"))
                }
                found => Ok(found),
            };
        }
        thread::sleep(PAUSE);
    }
}

fn published(store: &Store, state: &State, force: bool, lock: Lock) -> Result<Vec<String>> {
    match state.status()? {
        _ if force => {}
        Status::Stopped | Status::Created => {}
        status => {
            let why = format!("cannot delete container {} that is not stopped: {status}", state.id);
            return Err(Error::rule(Step::Delete, "", why)
                .hint("stop it with `kill` first, or pass --force"));
        }
    }
    let init = state.init.open().at(Step::Delete, || &state.id)?;
    kill::signal_init(state, libc::SIGKILL)?;
    // Others outlive init where the pid namespace is shared, or joined the cgroup from outside.
    if force || !state.own_pid_namespace {
        kill::signal_all(state, libc::SIGKILL)?;
    }
    if let Some(pidfd) = init {
        wait_for_end(&pidfd)?;
    }
    if let Some(record) = &state.cgroup {
        Cgroup::open(record).remove()?;
    }
    if let Some(resctrl) = &state.resctrl {
        resctrl.remove()?;
    }
    store.remove(&state.id)?;
    drop(lock);
    Ok(hooks::run_all_warning(Kind::Poststop, &state.poststop, &HookState::of(state)))
}

/// Removes what is left of a container without a readable state.
pub(super) fn leftovers(
    store: &Store,
    id: &str,
    (intent, init): (Option<&Intent>, Option<&ProcessId>),
    lock: Lock,
) -> Result<Vec<String>> {
    let dir = store.dir(id)?;
    let mut warnings = Vec::new();
    // An init without its parent that waits at the gate ends when it is told to.
    gate::abort(&dir).at(Step::Delete, || dir.display())?;
    if let Some(pidfd) = init.map(ProcessId::open).transpose().at(Step::Delete, || id)?.flatten() {
        end(&pidfd)?;
    }
    if let Some(record) = intent.and_then(|intent| intent.cgroup.as_ref()) {
        warnings.extend(remove_cgroup(record, store.owns_cgroup(id)?)?);
    }
    if let Some(class) = intent.and_then(|intent| intent.resctrl.as_ref()) {
        class.remove()?;
    }
    store.remove(id)?;
    drop(lock);
    if let Some(intent) = intent {
        let none = std::collections::BTreeMap::new();
        let state = HookState { id, bundle: &intent.bundle, annotations: &none };
        warnings.extend(hooks::run_all_warning(Kind::Poststop, &intent.poststop, &state));
    }
    Ok(warnings)
}

/// Removes the cgroups of an intent. Unless `create` had come to own them, processes in there
/// are somebody else's: then everything stays.
fn remove_cgroup(record: &CgroupRecord, ours: bool) -> Result<Option<String>> {
    let cgroup = Cgroup::open(record);
    if !ours && record.unit.is_some() {
        // systemd had not begun it: a unit of that name is another's. An empty scope ends by itself.
        return Ok(None);
    }
    if ours {
        cgroup.kill(libc::SIGKILL)?;
    } else {
        // Our own init, which was just told to end, may still be in there.
        let deadline = Instant::now() + FIRST_MOMENT;
        while !cgroup.pids()?.is_empty() {
            if Instant::now() >= deadline {
                let path = cgroup.host_dir().unwrap_or_default();
                let path = path.display();
                return Ok(Some(format!("cgroup {path} stays: it has processes of others")));
            }
            thread::sleep(PAUSE);
        }
    }
    cgroup.remove().map(|()| None)
}

/// Kills a process and waits for its end.
fn end(pidfd: &OwnedFd) -> Result<()> {
    match clone::pidfd_send_signal(pidfd, libc::SIGKILL) {
        Err(e) if e.raw_os_error() == Some(libc::ESRCH) => return Ok(()),
        sent => sent.at(Step::Delete, || "init")?,
    }
    wait_for_end(pidfd)
}

/// Waits until a killed process has ended, reaped or not.
fn wait_for_end(pidfd: &OwnedFd) -> Result<()> {
    let mut ready = [PollFd::new(pidfd.as_fd(), libc::POLLIN)];
    let left = i32::try_from(PATIENCE.as_millis()).unwrap_or(i32::MAX);
    if fd::poll(&mut ready, left).at(Step::Delete, || "init")? == 0 {
        return Err(Error::rule(Step::Delete, "", "container init still running")
            .hint("it is in an uninterruptible wait (state D): try again later"));
    }
    Ok(())
}
