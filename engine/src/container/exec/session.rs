//! Which programs `exec` runs in a container: a file for each, below what the container has while
//! it runs, that holds the process's identity. `inspect` shows those that are alive.

use std::fs;
use std::path::{Path, PathBuf};

use libcontainer::state::process::ProcessId;

use crate::container::{names, read_json, write_json};

/// A program that is told of until this is dropped.
#[derive(Debug)]
pub(super) struct Session(Option<PathBuf>);

impl Session {
    /// Writes down that process `pid` runs in the container whose directory `live` is. It is only
    /// for `inspect`: what fails here is no reason to end the program.
    pub(super) fn begin(live: &Path, pid: i32) -> Option<Self> {
        let dir = live.join("exec");
        fs::create_dir_all(&dir).ok()?;
        sweep(&dir);
        let path = dir.join(names::new_id().ok()?);
        write_json(&path, &ProcessId::of(pid).ok()?, false).ok()?;
        Some(Self(Some(path)))
    }

    /// Leaves it to the program's end: nobody waits for that one.
    pub(super) fn leave(mut self) {
        self.0 = None;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(path) = &self.0 else { return };
        // The container may have ended and taken it along.
        let _ = fs::remove_file(path);
    }
}

/// Ids of the programs that are alive, sorted.
pub(in crate::container) fn ids(live: &Path) -> Vec<String> {
    let mut ids: Vec<String> = entries(&live.join("exec"))
        .filter(|(_, alive)| *alive)
        .filter_map(|(path, _)| Some(path.file_name()?.to_str()?.to_owned()))
        .collect();
    ids.sort();
    ids
}

/// Programs that were left to themselves and have ended.
fn sweep(dir: &Path) {
    for (path, _) in entries(dir).filter(|(_, alive)| !alive) {
        let _ = fs::remove_file(path);
    }
}

/// Every whole file, and whether its process is alive.
fn entries(dir: &Path) -> impl Iterator<Item = (PathBuf, bool)> {
    let files = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let process = |path: PathBuf| {
        let process: ProcessId = read_json(&path).ok()?;
        Some((path, process.is_alive()))
    };
    files.filter(|path| path.extension().is_none()).filter_map(process)
}
