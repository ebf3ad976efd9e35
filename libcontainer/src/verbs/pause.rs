//! `pause` and `resume`: the freezer of the container's cgroup. The status follows from it.

use crate::cgroup::Cgroup;
use crate::error::{Error, Result, Step};
use crate::state::{State, Status, Store};

/// Stops every process of container `id`, which is created or running, until [`resume`].
///
/// # Errors
/// `container not running`, also when it is paused already (runc's words); `container does not
/// exist`; no freezer, or a process that does not stop within ten seconds, and then the container
/// runs on.
pub fn pause(store: &Store, id: &str) -> Result<()> {
    let _lock = store.lock(id)?;
    let state = store.load(id)?;
    let refuse = || Error::rule(Step::Pause, "", "container not running");
    match state.status()? {
        Status::Created | Status::Running => cgroup(&state).freeze(),
        Status::Paused => Err(refuse().hint("it is paused already: `resume` lets it run")),
        Status::Creating | Status::Stopped => Err(refuse()),
    }
}

/// Lets a paused container run again.
///
/// # Errors
/// `container not paused`; `container does not exist`; the freezer cannot be written.
pub fn resume(store: &Store, id: &str) -> Result<()> {
    let _lock = store.lock(id)?;
    let state = store.load(id)?;
    match state.status()? {
        Status::Paused => cgroup(&state).thaw(),
        _ => Err(Error::rule(Step::Pause, "", "container not paused")),
    }
}

/// Without any cgroup: the freezer says that it is missing.
fn cgroup(state: &State) -> Cgroup {
    Cgroup::open(&state.cgroup.clone().unwrap_or_default())
}
