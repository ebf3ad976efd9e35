//! Where the cgroups of the checks are, and processes of ours in them.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command},
};

use crate::{
    case::{Not, Verdict, ensure, skip},
    runtime::Runtime,
};

/// The directory below each hierarchy under which all our cgroups are made.
fn parent() -> String {
    format!("/oci-conformance-{}", std::process::id())
}

/// An absolute `cgroupsPath` that no other container has.
pub(crate) fn some_path(runtime: &Runtime) -> String {
    format!("{}/c{}", parent(), runtime.number())
}

/// The directories of a `cgroupsPath`, those that exist.
pub(crate) fn directories(runtime: &Runtime, path: &str) -> Vec<PathBuf> {
    let below = |top: &Path| top.join(path.trim_start_matches('/'));
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
    for dir in directories(runtime, &parent()) {
        for below in fs::read_dir(&dir).into_iter().flatten().flatten() {
            // Only an empty cgroup can be removed; a file of the hierarchy cannot.
            let _ = fs::remove_dir(below.path());
        }
        if let Err(e) = fs::remove_dir(&dir) {
            eprintln!("oci-conformance: leaves {}: {e}", dir.display());
        }
    }
}

/// A process of ours in cgroups made by us: in one v1 controller, or on v2.
pub(super) struct Guest {
    pub(super) child: Child,
    dir: PathBuf,
    freezer: bool,
}

impl Guest {
    /// Puts a sleeping process there, frozen if the controller is the freezer.
    ///
    /// # Errors
    /// `Skip` without that hierarchy.
    pub(super) fn new(runtime: &Runtime, path: &str, v1: &str) -> Result<Self, Not> {
        let Some(top) = runtime.host.v1(v1).or_else(|| runtime.host.v2()) else {
            skip!("a {v1} cgroup hierarchy, or cgroup v2");
        };
        let dir = top.join(path.trim_start_matches('/'));
        fs::create_dir_all(&dir)?;
        let child = Command::new("sleep").arg("60").spawn()?;
        let guest = Self { child, dir, freezer: v1 == "freezer" };
        fs::write(guest.dir.join("cgroup.procs"), guest.child.id().to_string())?;
        if guest.freezer {
            guest.freeze("FROZEN", "1")?;
        }
        Ok(guest)
    }

    /// Writes the state of the freezer, in the words of the hierarchy there is.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn freeze(&self, v1: &str, v2: &str) -> std::io::Result<()> {
        let file = self.dir.join("freezer.state");
        let (file, word) =
            if file.exists() { (file, v1) } else { (self.dir.join("cgroup.freeze"), v2) };
        fs::File::options().write(true).open(file)?.write_all(word.as_bytes())
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if self.freezer {
            // Gone if the runtime has removed it with the container.
            let _ = self.freeze("THAWED", "0");
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir(&self.dir);
    }
}
