//! Looks for everything that bears a test's id: processes, mounts, cgroups, state.
//!
//! Zombies do not count: a dead process belongs to whoever has to reap it.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::host::{Mount, mountinfo};

/// What a test left behind.
#[derive(Debug, Default)]
pub struct Leftovers {
    /// Living processes: pid and the words that gave them away.
    pub processes: Vec<(i32, String)>,
    /// Mount points in our own mount namespace.
    pub mounts: Vec<PathBuf>,
    /// Directories in any cgroup hierarchy, the deepest first.
    pub cgroups: Vec<PathBuf>,
    /// Entries of the state root.
    pub state: Vec<PathBuf>,
}

impl Leftovers {
    /// Whether nothing was left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.processes.is_empty()
            && self.mounts.is_empty()
            && self.cgroups.is_empty()
            && self.state.is_empty()
    }

    /// Puts the machine right: kills, unmounts, removes. Only what bears the id is touched.
    pub fn clear(&self) {
        for (pid, _) in &self.processes {
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        for mount in self.mounts.iter().rev() {
            let _ = Command::new("umount").arg("-l").arg(mount).status();
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
        for dir in &self.cgroups {
            let _ = fs::remove_dir(dir);
        }
    }
}

impl fmt::Display for Leftovers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (pid, why) in &self.processes {
            writeln!(f, "  process {pid}: {why}")?;
        }
        for (what, list) in
            [("mount", &self.mounts), ("cgroup", &self.cgroups), ("state", &self.state)]
        {
            for path in list {
                writeln!(f, "  {what} {}", path.display())?;
            }
        }
        Ok(())
    }
}

/// Looks at the whole machine for `id`, and at the entries of the state root `root`.
#[must_use]
pub fn census(id: &str, root: &Path) -> Leftovers {
    let mounts = mountinfo("/proc/self/mountinfo");
    Leftovers {
        processes: processes(id),
        cgroups: cgroups(&mounts, id),
        state: fs::read_dir(root).into_iter().flatten().flatten().map(|e| e.path()).collect(),
        mounts: mounts
            .into_iter()
            .filter(|m| m.target.contains(id) || m.root.contains(id))
            .map(|m| m.target.into())
            .collect(),
    }
}

/// Living processes whose command line, environment, cgroup or mounts name the id.
fn processes(id: &str) -> Vec<(i32, String)> {
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<i32>().ok()) else {
            continue;
        };
        if pid == own || is_dead(&entry.path()) {
            continue;
        }
        if let Some(why) = gives_away(&entry.path(), id) {
            found.push((pid, why));
        }
    }
    found
}

/// A zombie, or gone since we listed it.
fn is_dead(proc: &Path) -> bool {
    let stat = fs::read_to_string(proc.join("stat")).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .is_none_or(|rest| matches!(rest.trim().chars().next(), None | Some('Z' | 'X')))
}

fn gives_away(proc: &Path, id: &str) -> Option<String> {
    for file in ["cmdline", "environ", "cgroup", "mountinfo"] {
        let text = String::from_utf8_lossy(&fs::read(proc.join(file)).unwrap_or_default())
            .replace('\0', " ");
        if let Some(line) = text.lines().find(|line| line.contains(id)) {
            // Our own mount namespace holds the mounts of every test that runs beside this one.
            if file == "mountinfo" && same_mounts(proc) {
                continue;
            }
            return Some(format!("{file}: {}", &line[..line.len().min(200)]));
        }
    }
    None
}

fn same_mounts(proc: &Path) -> bool {
    let ns = fs::read_link(proc.join("ns/mnt")).ok();
    ns.is_some() && ns == fs::read_link("/proc/self/ns/mnt").ok()
}

/// Cgroup directories with the id in their path, the deepest first so that they can be removed in order.
fn cgroups(mounts: &[Mount], id: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for mount in mounts.iter().filter(|m| m.fstype.starts_with("cgroup")) {
        walk(Path::new(&mount.target), id, 5, &mut found);
    }
    found
}

fn walk(dir: &Path, id: &str, depth: u32, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|t| t.is_dir()) {
            continue;
        }
        let path = entry.path();
        if depth > 0 {
            walk(&path, id, depth - 1, found);
        }
        if path.to_string_lossy().contains(id) {
            found.push(path);
        }
    }
}
