//! `config-linux.md`: control groups, and where the cgroups of the checks are.
use std::{fs, path::PathBuf};

use crate::{
    case::{Verdict, ensure},
    runtime::Runtime,
};

/// The directory below each hierarchy under which all our cgroups are made.
const PARENT: &str = "oci-conformance";

/// An absolute `cgroupsPath` that no other container has.
pub(crate) fn some_path(runtime: &Runtime) -> String {
    format!("/{PARENT}-{}/c{}", std::process::id(), runtime.number())
}

/// The directories of a `cgroupsPath`, those that exist.
pub(crate) fn directories(runtime: &Runtime, path: &str) -> Vec<PathBuf> {
    let below = |top: &std::path::Path| top.join(path.trim_start_matches('/'));
    runtime.host.hierarchies().map(below).filter(|dir| dir.exists()).collect()
}

/// No cgroup of this path may exist.
///
/// # Errors
/// Those that do.
pub(crate) fn gone(runtime: &Runtime, path: &str) -> Verdict {
    let left = directories(runtime, path);
    ensure!(left.is_empty(), "cgroups are left: {left:?}");
    Ok(())
}

/// Removes what the run has left empty of its parent directory in each hierarchy.
pub(crate) fn remove_parents(runtime: &Runtime) {
    for dir in directories(runtime, &format!("/{PARENT}-{}", std::process::id())) {
        if let Err(e) = fs::remove_dir(&dir) {
            eprintln!("oci-conformance: leaves {}: {e}", dir.display());
        }
    }
}
