//! `start`: lets the program of a created container run (runtime.md, "Start").

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use crate::create::protocol::{LEN, Said};
use crate::create::report;
use crate::error::{At, Error, Result, Step};
use crate::hooks;
use crate::plan::hooks::Kind;
use crate::state::oci::HookState;
use crate::state::{State, Status, Store, gate};
use crate::sys::fd::{self, PollFd};
use crate::verbs::kill::signal_init;

/// How long an execve may take: a program on a slow network file system, and no hook.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a killed init may take to end.
const DEATH: Duration = Duration::from_secs(10);

/// Starts container `id`; returns when its program runs and the `poststart` hooks are done.
///
/// # Errors
/// `cannot start an already running container`, `cannot start a container that has stopped`; a
/// `startContainer` hook or the execve failed, and the container has stopped; a `poststart` hook
/// failed, and the container was killed.
pub fn start(store: &Store, id: &str) -> Result<State> {
    let lock = store.lock(id)?;
    let state = store.load(id)?;
    check(&state)?;
    pass_gate(&state)?;
    // A hook may ask for another verb on the container.
    drop(lock);
    poststart(&state)?;
    Ok(state)
}

/// Runs the hooks that follow a start; one that fails ends the container.
///
/// # Errors
/// The hook's.
pub(crate) fn poststart(state: &State) -> Result<()> {
    let (kind, pid) = (Kind::Poststart, state.init.pid);
    hooks::run(kind, &state.poststart, &HookState::of(state), pid).inspect_err(|_| stop(state))
}

fn check(state: &State) -> Result<()> {
    let refuse = |why: &str| Err(Error::rule(Step::Start, "", why));
    match state.status()? {
        Status::Created => Ok(()),
        Status::Stopped => refuse("cannot start a container that has stopped"),
        Status::Running => refuse("cannot start an already running container"),
        other => refuse(&format!("cannot start a container in the {other} state")),
    }
}

/// Opens the gate and waits for the execve: see [`gate`].
fn pass_gate(state: &State) -> Result<()> {
    let on = || state.dir.display();
    let result = gate::open_result(&state.dir).at(Step::Start, on)?;
    let opened = gate::open_start(&state.dir).at(Step::Start, on)?;
    let Some(mut fifo) = opened else {
        // Init went away since the look at its status.
        check(state)?;
        return Err(Error::rule(Step::Start, "", "init does not wait any more"));
    };
    fifo.write_all(&[gate::GO]).at(Step::Start, on)?;
    drop(fifo);
    match read_result(state, result)? {
        // The kernel closes the two fifos of init one after the other, in either order; without
        // its name the gate cannot be taken for one where somebody still waits.
        None => gate::close(&state.dir).at(Step::Start, on),
        Some(packet) => Err(explain(state, &packet)),
    }
}

/// What init says before it closes the fifo: nothing when its program runs.
fn read_result(state: &State, mut result: File) -> Result<Option<Vec<u8>>> {
    let deadline = (!state.start_hooks).then(|| Instant::now() + PATIENCE);
    let mut said = Vec::new();
    let mut buffer = [0; LEN];
    loop {
        let left = deadline.map_or(-1, |at| {
            let left = at.saturating_duration_since(Instant::now()).as_millis();
            i32::try_from(left).unwrap_or(i32::MAX)
        });
        let mut ready = [PollFd::new(result.as_fd(), libc::POLLIN)];
        if fd::poll(&mut ready, left).at(Step::Start, || &state.id)? == 0 {
            return Err(Error::rule(Step::Start, "", "the program did not start in two minutes")
                .hint("its file system hangs; `delete --force` removes the container"));
        }
        match result.read(&mut buffer) {
            Ok(0) if said.is_empty() => return Ok(None),
            Ok(0) => return Ok(Some(said)),
            Ok(length) if said.len() < LEN => said.extend_from_slice(&buffer[..length]),
            Ok(_) => return Ok(Some(said)),
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            read => read.map(drop).at(Step::Start, || &state.id)?,
        }
    }
}

fn explain(state: &State, packet: &[u8]) -> Error {
    let program = state.program.as_deref().unwrap_or_default();
    match Said::decode(packet) {
        Some(Said::Failed(failure, detail)) => report::words_after_gate(program, failure, &detail)
            .unwrap_or_else(|| {
                let error = std::io::Error::from_raw_os_error(failure.errno);
                Error::io(failure.step, program, error)
            }),
        _ => Error::rule(Step::Start, "", "init failed without saying why"),
    }
}

/// Ends a container whose `poststart` hook failed; that failure is the one to report.
fn stop(state: &State) {
    let Ok(Some(pidfd)) = state.init.open() else { return };
    if signal_init(state, libc::SIGKILL).is_ok() {
        let left = i32::try_from(DEATH.as_millis()).unwrap_or(i32::MAX);
        let _ = fd::poll(&mut [PollFd::new(pidfd.as_fd(), libc::POLLIN)], left);
    }
}
