//! What one test owns on this machine: an id, a directory, a state root; and the last look around.
//!
//! Dropping the last handle of a [`Place`] deletes what is left in the state root and then asserts
//! that no process, mount, cgroup or state entry bears the id any more ([`leftovers`]).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::leftovers::{self, Leftovers};
use crate::runtime::Runtime;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// The ground one test stands on.
#[derive(Debug)]
pub struct Place {
    id: String,
    dir: PathBuf,
    check: bool,
}

impl Place {
    /// Makes a directory of its own; the id is unique among all tests of all runs.
    ///
    /// The id ends in a letter, so that no id is the beginning of another.
    #[must_use]
    pub fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let id = format!("cit-{}-{number}z", std::process::id());
        let base = std::env::var_os("CORTEN_TEST_DIR").map_or_else(std::env::temp_dir, Into::into);
        let dir = base.join(&id);
        fs::create_dir_all(dir.join("root")).expect("the test's directory");
        Self { id, dir, check: true }
    }

    /// The test's id: also the container's id and part of every path and cgroup name.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The test's directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The state root given to the runtime (`--root`).
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.dir.join("root")
    }

    /// A path in the test's directory.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// What still bears the id now.
    #[must_use]
    pub fn census(&self) -> Leftovers {
        leftovers::census(&self.id, &self.root())
    }

    /// The census, given a moment for killed processes to vanish.
    #[must_use]
    pub fn settled(&self) -> Leftovers {
        let end = Instant::now() + Duration::from_secs(2);
        loop {
            let left = self.census();
            if left.is_empty() || Instant::now() > end {
                return left;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Deletes (`--force`) every container in the state root.
    fn delete_all(&self) {
        let Ok(entries) = fs::read_dir(self.root()) else { return };
        if !crate::runtime::path().exists() {
            return;
        }
        for entry in entries.flatten() {
            let id = entry.file_name().to_string_lossy().into_owned();
            // This may be the drop of a test that failed: a second panic would end all tests.
            let delete = || Runtime::new(self).call(&["delete", "--force", &id]);
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(delete));
        }
    }

    /// Removes the directory, never crossing into another file system.
    fn remove(&self) {
        let _ = Command::new("rm").args(["-rf", "--one-file-system"]).arg(&self.dir).status();
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.delete_all();
        let left = if self.check { self.settled() } else { Leftovers::default() };
        if left.is_empty() {
            if std::env::var_os("CORTEN_TEST_KEEP").is_none() || !thread::panicking() {
                self.remove();
            }
            return;
        }
        left.clear();
        if self.census().mounts.is_empty() {
            self.remove();
        }
        if thread::panicking() {
            eprintln!("left behind by {} (the test failed before):\n{left}", self.id);
        } else {
            panic!("left behind by {}:\n{left}", self.id);
        }
    }
}
