//! What containers that crashed left behind: found, and removed on request.
//!
//! Everything of ours stands in a record before it is made, so records are where leftovers are
//! looked for. Removed is only what is surely ours and surely dead: what a `create` left whose
//! process has ended (pid, start time, boot), decided again while the container is locked. A
//! container that has stopped and was not deleted is no leftover: its engine may still ask for it.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::delete;
use crate::cgroup::{Cgroup, systemd};
use crate::doctor::{self, Finding, Status};
use crate::error::{At, Error, Result, Step};
use crate::state::process::ProcessId;
use crate::state::{Found, Intent, Lock, Store};
use crate::sys::mount;

/// A temporary file of a record that is older was left by a command that was killed.
const STALE: Duration = Duration::from_secs(10);
/// A directory without a record may be in the first moment of `create`.
const YOUNG: Duration = Duration::from_secs(1);

/// What there is below an id.
enum Kind {
    /// A container.
    Alive,
    /// A `create` at work, which may have files of its own in there.
    Making,
    /// Its init has ended; it waits for `delete`.
    Stopped,
    /// `create` was killed; or `state.json` is damaged, and nothing of the container runs.
    Dead(&'static str, Option<Box<Intent>>, Option<ProcessId>),
    /// Not for us to judge: why.
    Unknown(String),
}

/// Looks for leftovers below the root of `store` and, when it is to `repair`, removes them.
/// `manager` says whose systemd is asked for failed units of ours: the user's (true), the
/// system's, or nobody's.
///
/// # Errors
/// The root directory cannot be read. What cannot be removed is a finding.
pub fn leftovers(store: &Store, repair: bool, manager: Option<bool>) -> Result<Vec<Finding>> {
    let ids = match store.ids() {
        Err(error) if error.errno() == Some(libc::ENOENT) => Vec::new(),
        ids => ids?,
    };
    let mut found = Vec::new();
    let mut alive = 0;
    for id in &ids {
        let before = found.len();
        container(store, id, repair, &mut found);
        alive += usize::from(found.len() == before);
    }
    foreign_mounts(store, &ids, &mut found);
    if found.iter().all(|finding| finding.status == Status::Info) {
        let what = format!("nothing below {}; containers alive: {alive}", store.root().display());
        found.insert(0, finding("leftovers", Status::Ok, what, ""));
    }
    if let Some(user) = manager {
        units(user, repair, &mut found);
    }
    Ok(found)
}

/// A finding of this group; the reason goes with the name.
fn finding(
    id: &'static str,
    status: Status,
    what: impl Into<String>,
    fix: impl Into<String>,
) -> Finding {
    let why = match id {
        "stopped-container" => "its engine may still ask for its state",
        "unknown-state" => "it may belong to a container that is alive",
        "foreign-mount" => "nothing of ours mounts there",
        "failed-unit" => "systemd keeps the name of a unit that failed",
        _ => "crashed containers hold cgroups, memory and their ids",
    };
    Finding { group: "leftovers", id, status, what: what.into(), why, fix: fix.into().into() }
}

fn container(store: &Store, id: &str, repair: bool, found: &mut Vec<Finding>) {
    let dir = store.root().join(id);
    let by_hand = || format!("corten --root {} delete --force {id}", store.root().display());
    let kind = match classify(store, id, repair) {
        Ok(kind) => kind,
        // It went away meanwhile.
        Err(_) if !dir.exists() => return,
        Err(error) => Kind::Unknown(error.to_string()),
    };
    match kind {
        Kind::Alive | Kind::Stopped if stale_files(&dir).next().is_some() => {
            let what = format!("{}: temporary files of a killed command", dir.display());
            found.push(removed("temporary-file", what, repair, || files(store, id)));
        }
        Kind::Alive | Kind::Making => {}
        Kind::Stopped => {
            let fix = format!("corten --root {} delete {id}", store.root().display());
            let what = format!("container {id} has stopped and is not deleted");
            found.push(finding("stopped-container", Status::Info, what, fix));
        }
        Kind::Dead(name, intent, _) => {
            let what = format!("{}{}", dir.display(), describe(name, intent.as_deref()));
            found.push(removed(name, what, repair, || remove(store, id)));
        }
        Kind::Unknown(why) => {
            let what = format!("{}: {why}", dir.display());
            found.push(finding("unknown-state", Status::Warn, what, by_hand()));
        }
    }
}

/// What a leftover is and holds.
fn describe(name: &str, intent: Option<&Intent>) -> String {
    let mut text = match name {
        "damaged-state" => ": its state is damaged, and nothing of it runs".to_owned(),
        _ => ": the create of this container was killed".to_owned(),
    };
    if let Some(record) = intent.and_then(|intent| intent.cgroup.as_ref()) {
        let cgroup = Cgroup::open(record);
        if cgroup.exists().unwrap_or(true) {
            let dir = cgroup.host_dir().unwrap_or_default();
            text += &format!("; cgroup {}", dir.display());
        }
        text.extend(record.unit.iter().map(|unit| format!("; unit {}", unit.name)));
    }
    text
}

/// Removes something, or says that `--repair` does.
fn removed(
    id: &'static str,
    what: String,
    repair: bool,
    remove: impl FnOnce() -> Result<Vec<String>>,
) -> Finding {
    if !repair {
        return finding(id, Status::Warn, what, "corten doctor --repair");
    }
    match remove() {
        Ok(warnings) => {
            let warnings: String = warnings.iter().map(|text| format!("; {text}")).collect();
            finding(id, Status::Repaired, format!("{what}: removed{warnings}"), "")
        }
        Err(error) => {
            let hint = error.hint.clone();
            let fix =
                hint.unwrap_or_else(|| "corten doctor --repair, once the cause is gone".into());
            finding(id, Status::Failed, format!("{what}: not removed: {error}"), fix)
        }
    }
}

/// What there is of a container. `wait` gives a directory without records the time to get some.
fn classify(store: &Store, id: &str, wait: bool) -> Result<Kind> {
    let running = |init: &Option<ProcessId>| init.as_ref().is_some_and(ProcessId::is_alive);
    Ok(match store.find(id)? {
        Found::Published(state) if state.init.is_alive() => Kind::Alive,
        Found::Published(_) => Kind::Stopped,
        Found::Unfinished(intent, _) if intent.owner.is_alive() => Kind::Making,
        Found::Unfinished(intent, init) => Kind::Dead("crashed-create", Some(intent), init),
        Found::Damaged { init, .. } if running(&init) => {
            Kind::Unknown("its state is damaged, and its init runs".to_owned())
        }
        Found::Damaged { why, intent, init } => match &intent {
            // A later version of us may have written records that we cannot read.
            None => Kind::Unknown(format!("its state cannot be read: {why}")),
            Some(intent) if intent.owner.is_alive() => Kind::Making,
            Some(known) if is_over(known, init.is_some())? => {
                Kind::Dead("damaged-state", intent, init)
            }
            Some(_) => Kind::Unknown(format!("its state is damaged, and it may run: {why}")),
        },
        Found::Empty => {
            let dir = store.root().join(id);
            match age(&dir).map(|age| age < YOUNG) {
                Some(true) if wait => {
                    thread::sleep(YOUNG);
                    return classify(store, id, false);
                }
                None | Some(true) => Kind::Making,
                Some(false) if is_bare(&dir)? => Kind::Dead("crashed-create", None, None),
                Some(false) => Kind::Unknown("it has no record that can be read".to_owned()),
            }
        }
    })
}

/// Whether no process of a container with a damaged state is left: by its cgroup, or because its
/// init is on record, and has ended.
fn is_over(intent: &Intent, init_known: bool) -> Result<bool> {
    match intent.cgroup.as_ref().filter(|record| !record.dirs.is_empty()) {
        Some(record) => Ok(Cgroup::open(record).pids()?.is_empty()),
        None => Ok(init_known),
    }
}

/// How long nothing was made or removed in a directory, or written to a file.
fn age(path: &Path) -> Option<Duration> {
    fs::symlink_metadata(path).ok()?.modified().ok()?.elapsed().ok()
}

fn is_temporary(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(".tmp")
}

fn temporary_files(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter(|e| e.file_name().to_str().is_some_and(is_temporary)).map(|e| e.path())
}

fn stale_files(dir: &Path) -> impl Iterator<Item = PathBuf> {
    temporary_files(dir).filter(|path| age(path).is_some_and(|age| age >= STALE))
}

/// Whether a directory holds nothing but a record that was never finished.
fn is_bare(dir: &Path) -> Result<bool> {
    let entries = fs::read_dir(dir).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let entries = entries.at(Step::State, || dir.display())?;
    Ok(entries.iter().all(|entry| entry.file_name().to_str().is_some_and(is_temporary)))
}

/// Removes what [`classify`] finds dead once more while nobody else works on it.
fn remove(store: &Store, id: &str) -> Result<Vec<String>> {
    let lock = store.lock(id)?;
    let dir = store.dir(id)?;
    match classify(store, id, true)? {
        Kind::Dead(_, None, None) => remove_bare(&dir, &lock).map(|()| Vec::new()),
        Kind::Dead(_, intent, init) => {
            unmount_below(&dir)?;
            delete::leftovers(store, id, (intent.as_deref(), init.as_ref()), lock)
        }
        _ => Err(Error::rule(Step::Delete, id, "it is alive again")),
    }
}

/// A `create` that is in its first moment after all finds its directory gone, and says so: nothing
/// is taken from it that it has made meanwhile.
fn remove_bare(dir: &Path, _held: &Lock) -> Result<()> {
    for file in temporary_files(dir) {
        fs::remove_file(&file).at(Step::State, || file.display().to_string())?;
    }
    fs::remove_dir(dir).at(Step::State, || dir.display())
}

fn files(store: &Store, id: &str) -> Result<Vec<String>> {
    let _lock = store.lock(id)?;
    if !matches!(classify(store, id, false)?, Kind::Alive | Kind::Stopped) {
        return Err(Error::rule(Step::State, id, "it is being made anew"));
    }
    for file in stale_files(&store.dir(id)?) {
        match fs::remove_file(&file) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            removed => removed.at(Step::State, || file.display().to_string())?,
        }
    }
    Ok(Vec::new())
}

/// Mount points below a directory, the innermost first.
fn mounts_below(dir: &Path) -> Result<Vec<String>> {
    const MOUNTS: &str = "/proc/self/mountinfo";
    let text = fs::read_to_string(MOUNTS).at(Step::Mount, || MOUNTS)?;
    let points = doctor::mounts(&text).into_iter().rev().map(|mount| mount.point);
    let below = |point: &String| Path::new(point) != dir && Path::new(point).starts_with(dir);
    Ok(points.filter(below).collect())
}

/// Removing a directory must not reach into what somebody mounted there: who cannot see the mounts
/// removes nothing.
fn unmount_below(dir: &Path) -> Result<()> {
    for point in mounts_below(dir)? {
        let path = CString::new(PathBuf::from(&point).into_os_string().into_vec());
        let flags = libc::MNT_DETACH | libc::UMOUNT_NOFOLLOW;
        let done = path.map_err(io::Error::from).and_then(|path| mount::umount2(&path, flags));
        done.at(Step::Mount, || point)?;
    }
    Ok(())
}

/// Mounts below the root: those of containers that are still there, dead or alive.
fn foreign_mounts(store: &Store, ids: &[String], found: &mut Vec<Finding>) {
    let below = |point: &String| {
        let whose = ids.iter().find(|id| Path::new(point).starts_with(store.root().join(id)));
        whose.is_none_or(|id| store.root().join(id).exists())
    };
    // Told only; that the mounts cannot be read is told where something would be removed.
    for point in mounts_below(store.root()).unwrap_or_default().into_iter().filter(below) {
        let what = format!("{point} is a mount below the directory of containers");
        found.push(finding("foreign-mount", Status::Info, what, format!("umount {point}")));
    }
}

/// Units of ours that failed. One that is alive, or was made anew, is not touched by forgetting.
fn units(user: bool, repair: bool, found: &mut Vec<Finding>) {
    // That systemd does not answer is another finding.
    for (name, description) in systemd::failed(user).unwrap_or_default() {
        let what = format!("{name} ({description}) has failed");
        let forget = || systemd::forget(&name, user).map(|()| Vec::new());
        found.push(removed("failed-unit", what, repair, forget));
    }
}
