//! What commands leave that were killed, and who takes it away.
//!
//! A container is made below `making/` under a lock and appears by one rename; it is removed by one
//! rename to `going/` and cleared there. What stands in one of the two with its lock free is left by
//! a command that died: [`sweep`], which whoever makes or removes a container calls, at the cost of
//! two directories that are not there. A container whose monitor was killed is ended by whoever
//! looks at it next ([`bury`]): its processes, cgroups, address, rules and mounts go, it is told as
//! exited with code 255, and with `--rm` it goes altogether. `ps` looks at all.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use super::record::Record;
use super::state::Status;
use super::{Container, names, rename, rm};
use crate::Context;
use crate::error::{Result, What};
use crate::fsutil::{self, Lock, remove_tree};
use crate::monitor::launch;
use crate::net;
use crate::paths::Paths;
use crate::volume::{self, Volumes};

/// Suffix in `going/` of a container whose anonymous volumes go with it.
const WITH_VOLUMES: &str = "-volumes";

/// A container that is being made.
pub(super) struct Making {
    /// Where it is made: the same files as in its place.
    pub(super) staged: Container,
    _lock: Lock,
}

impl Making {
    /// Makes the directory and takes the lock, which goes along to the container's place.
    pub(super) fn begin(context: &Context, id: &str) -> Result<Self> {
        let dir = context.paths.making().join(id);
        loop {
            fsutil::make_dirs(&dir)?;
            let lock = match Lock::exclusive(&dir.join("lock")) {
                // A sweep was faster than the lock.
                Err(_) if !dir.exists() => continue,
                lock => lock?,
            };
            if dir.join("lock").exists() {
                let staged = Container { dir, ..Container::of(context, id) };
                return Ok(Self { staged, _lock: lock });
            }
        }
    }

    /// The container is there from here on, whole; `durable`: after a power cut too.
    pub(super) fn publish(&self, context: &Context, to: &Container, durable: bool) -> Result<()> {
        let what = || format!("cannot make container {}", to.id);
        fsutil::make_dirs(&context.paths.containers())?;
        fs::rename(&self.staged.dir, &to.dir).what(what)?;
        if durable {
            fsutil::sync_dir(&context.paths.containers())?;
            fsutil::sync_dir(&context.paths.names())?;
        }
        Ok(())
    }
}

/// Moves a container to where it is cleared: it is none any more.
pub(super) fn set_aside(context: &Context, container: &Container, volumes: bool) -> Result<()> {
    let what = || format!("cannot remove container {}", container.id);
    fsutil::make_dirs(&context.paths.going())?;
    let suffix = if volumes { WITH_VOLUMES } else { "" };
    let gone = context.paths.going().join(format!("{}{suffix}", container.id));
    fs::rename(&container.dir, gone).what(what)
}

/// Removes what [`set_aside`] left, as far as it goes; the next command tries again. What says what
/// to do goes last.
pub(super) fn clear(context: &Context, id: &str, volumes: bool) {
    let suffix = if volumes { WITH_VOLUMES } else { "" };
    let dir = context.paths.going().join(format!("{id}{suffix}"));
    // A volume that is busy is told by `volume ls`.
    if let Ok(record) = super::read_json::<Record>(&dir.join("spec.json")) {
        names::release(&context.paths, id, &record.name);
        let _ = volume::release(&context.paths, id, &record.mounts, volumes);
    } else {
        let _ = release_names(&context.paths, id);
        let _ = Volumes::of(&context.paths).abandon(id, volumes);
    }
    if remove_tree(&context.paths.live(id)).is_ok() {
        let _ = remove_tree(&dir);
    }
}

/// Clears what commands left that were killed while they made or removed a container; a line for
/// each.
///
/// # Errors
/// A directory cannot be read.
pub fn sweep(context: &Context) -> Result<Vec<String>> {
    let mut swept = Vec::new();
    for (id, dir, _lock) in dead(&context.paths.making())? {
        release_names(&context.paths, &id)?;
        Volumes::of(&context.paths).abandon(&id, true)?;
        remove_tree(&dir).what(|| format!("cannot remove {}", dir.display()))?;
        swept.push(format!("container {} that was never whole", short(&id)));
    }
    for (name, _, _lock) in dead(&context.paths.going())? {
        let (id, volumes) =
            name.strip_suffix(WITH_VOLUMES).map_or((name.as_str(), false), |id| (id, true));
        let spec = context.paths.going().join(&name).join("spec.json");
        let record = super::read_json::<Record>(&spec).ok();
        launch::delete_id(context, id, record.as_ref());
        release_names(&context.paths, id)?;
        clear(context, id, volumes);
        swept.push(format!("container {} that was half removed", short(id)));
    }
    if !swept.is_empty() {
        net::sweep(&context.paths)?;
        Volumes::of(&context.paths).sweep()?;
    }
    Ok(swept)
}

/// What nobody works on of what stands in a directory: name, path, and its lock, now ours.
fn dead(dir: &Path) -> Result<Vec<(String, PathBuf, Lock)>> {
    let mut dead = Vec::new();
    for name in fsutil::names(dir)?.into_iter().filter_map(|name| name.into_string().ok()) {
        let path = dir.join(&name);
        // Made where it is missing: whoever was about to make it notices that we were here.
        let made = OpenOptions::new().create(true).append(true).open(path.join("lock"));
        if made.is_err() {
            continue;
        }
        let lock = Lock::if_free(&path.join("lock"))?;
        // Whole by now, or gone: then the lock that we have is not that of this place.
        if let Some(lock) = lock.filter(|_| path.join("lock").exists()) {
            dead.push((name, path, lock));
        }
    }
    Ok(dead)
}

fn release_names(paths: &Paths, id: &str) -> Result<()> {
    let own = names::all(paths)?.into_iter().filter(|(_, owner)| owner == id);
    own.for_each(|(name, _)| names::release(paths, id, &name));
    Ok(())
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// Ends a container whose monitor was killed: `true` when it was one. A command that holds its lock
/// knows better, and is left alone.
pub fn bury(context: &Context, container: &Container) -> bool {
    if has_monitor(container) {
        return false;
    }
    let Some(_lock) = container.lock_if_free() else { return false };
    bury_locked(context, container)
}

/// Whether its monitor is at work, by its state; by the monitor's lock where that is damaged.
fn has_monitor(container: &Container) -> bool {
    let lock = container.dir.join("monitor");
    container.read_state().map_or_else(
        |_| lock.exists() && Lock::if_free(&lock).is_ok_and(|lock| lock.is_none()),
        |state| state.has_monitor(),
    )
}

/// As [`bury`]; the caller holds the lock.
pub fn bury_locked(context: &Context, container: &Container) -> bool {
    let Ok(mut state) = container.recorded_state() else { return false };
    let lost = state.status.is_live();
    // A monitor with --rm may have been killed between its last word and the removal.
    let goes = state.rm && (lost || state.status == Status::Exited);
    if has_monitor(container) || !(lost || goes || container.live.exists()) {
        return false;
    }
    let record = container.record().ok();
    launch::delete_id(context, &container.id, record.as_ref());
    // What it claimed before it had a record of its network, what it was writing.
    let _ = net::sweep(&context.paths);
    let _ = fsutil::sweep_temporaries(&container.dir);
    if goes {
        if rm::forget(context, container, true).is_ok() {
            rm::clear(context, container, true);
        }
        return true;
    }
    if lost {
        state.lose();
        state.init = None;
        // The disk is full: the next command sees it as we did.
        let _ = container.save_state(&state);
    }
    let _ = remove_tree(&container.live);
    true
}

/// Ends every container whose monitor was killed.
///
/// # Errors
/// A directory cannot be read.
pub fn bury_all(context: &Context) -> Result<Vec<String>> {
    let mut buried = Vec::new();
    for id in names::ids(&context.paths)? {
        let container = Container::of(context, &id);
        if bury(context, &container) {
            buried.push(format!("what container {} left whose monitor was killed", short(&id)));
        }
    }
    Ok(buried)
}

/// Names that stand for no container, or for one that is called otherwise.
///
/// # Errors
/// The directory cannot be read.
pub fn wrong_names(paths: &Paths) -> Result<Vec<(String, String)>> {
    let called = |id: &str| super::read_json::<Record>(&paths.container(id).join("spec.json"));
    let wrong = |(name, id): &(String, String)| {
        !paths.has_container(id)
            || (paths.container(id).exists() && called(id).is_ok_and(|record| record.name != *name))
    };
    Ok(names::all(paths)?.into_iter().filter(wrong).collect())
}

/// Containers whose files cannot be read: what is wrong, and what can be done.
///
/// # Errors
/// A directory cannot be read.
pub fn damaged(context: &Context) -> Result<Vec<crate::error::Error>> {
    let damaged = |id: &String| {
        let container = Container::of(context, id);
        match container.record() {
            // Removed meanwhile.
            Err(_) if !container.dir.exists() => None,
            Err(error) => Some(error),
            Ok(_) => container
                .read_state()
                .err()
                .map(|error| error.fix("pier check --repair writes it anew")),
        }
    };
    Ok(names::ids(&context.paths)?.iter().filter_map(damaged).collect())
}

/// Puts containers in order: what [`sweep`] and [`bury_all`] do, names, states that cannot be read.
/// A record that cannot be read stays: nobody else knows what was asked.
///
/// # Errors
/// A directory cannot be read.
pub fn repair(context: &Context) -> Result<Vec<String>> {
    let mut done = sweep(context)?;
    done.extend(bury_all(context)?);
    for (name, id) in wrong_names(&context.paths)? {
        names::release(&context.paths, &id, &name);
        done.push(format!("the name {name}, which stood for no container"));
    }
    for id in names::ids(&context.paths)? {
        let container = Container::of(context, &id);
        fsutil::sweep_temporaries(&container.dir)?;
        let Ok(record) = container.record() else { continue };
        let Some(_lock) = container.lock_if_free() else { continue };
        if container.read_state().is_err() {
            rename::changed(&container, &record.name)?;
            done.push(format!("the damaged state of container {}", record.name));
        }
        names::restore(&context.paths, &id, &record.name)?;
    }
    Ok(done)
}
