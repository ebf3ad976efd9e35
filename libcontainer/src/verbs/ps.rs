//! `ps`: the processes of a container, by their pids in our pid namespace.

use std::collections::BTreeSet;
use std::fs;
use std::io;

use crate::cgroup::Cgroup;
use crate::error::{At, Error, Result, Step};
use crate::state::{State, Store, process};

/// Every process of container `id`: those of its cgroup and its sub-cgroups. Empty once it has
/// stopped.
///
/// A container without a cgroup (rootless, `--cgroup-manager disabled`) has the processes of its
/// pid namespace and their descendants.
///
/// # Errors
/// `container does not exist`; the cgroup or `/proc` cannot be read; a container with neither a
/// cgroup nor a pid namespace of its own.
pub fn ps(store: &Store, id: &str) -> Result<Vec<i32>> {
    let state = store.load(id)?;
    match state.cgroup.as_ref().map(Cgroup::open).filter(|cgroup| !cgroup.is_none()) {
        Some(cgroup) => cgroup.pids(),
        None => without_cgroup(&state),
    }
}

fn without_cgroup(state: &State) -> Result<Vec<i32>> {
    if !state.own_pid_namespace {
        let words = "unable to get all container pids: cgroups not configured for container";
        return Err(Error::rule(Step::Ps, "", words)
            .hint("give the container a cgroup, or a pid namespace of its own"));
    }
    if !state.init.is_alive() {
        return Ok(Vec::new());
    }
    let seen = processes().at(Step::Ps, || "/proc")?;
    let Some(init) = seen.iter().find(|seen| seen.pid == state.init.pid) else {
        return Ok(Vec::new());
    };
    let mut ours: BTreeSet<i32> = seen
        .iter()
        .filter(|one| one.namespace.is_some() && one.namespace == init.namespace)
        .map(|one| one.pid)
        .collect();
    // What made a pid namespace of its own inside descends from one that is ours.
    loop {
        let before = ours.len();
        ours.extend(
            seen.iter()
                .filter(|one| ours.contains(&one.parent))
                .map(|one| one.pid)
                .collect::<Vec<_>>(),
        );
        if ours.len() == before {
            return Ok(ours.into_iter().collect());
        }
    }
}

/// What tells whose a process is.
struct Seen {
    pid: i32,
    parent: i32,
    /// Device and inode of its pid namespace; `None` where we may not look.
    namespace: Option<(u64, u64)>,
}

/// Every process that does not end while it is looked at.
fn processes() -> io::Result<Vec<Seen>> {
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let pid = entry?.file_name().to_str().and_then(|name| name.parse().ok());
        let seen = pid.and_then(|pid| {
            let parent = process::parent(pid).ok()?;
            Some(Seen { pid, parent, namespace: process::namespace(pid, "pid") })
        });
        all.extend(seen);
    }
    Ok(all)
}
