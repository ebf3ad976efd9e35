//! Facts of the host that tests compare with: mounts, namespaces, and processes that hold them open.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// One line of a `mountinfo` file (proc_pid_mountinfo(5)).
#[derive(Debug, Clone)]
pub struct Mount {
    /// Root of the mount within its file system.
    pub root: String,
    /// Mount point, with octal escapes kept.
    pub target: String,
    /// Options of the mount.
    pub options: String,
    /// `shared:N`, `master:N`, … joined by blanks; empty for a private mount.
    pub propagation: String,
    /// File system type.
    pub fstype: String,
    /// Mount source.
    pub source: String,
    /// Options of the super block.
    pub super_options: String,
}

/// Parses a `mountinfo` file; lines that do not parse are left out.
#[must_use]
pub fn mountinfo(path: &str) -> Vec<Mount> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(parse).collect()
}

fn parse(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let left: Vec<&str> = left.split(' ').collect();
    let mut right = right.split(' ');
    Some(Mount {
        root: (*left.get(3)?).to_owned(),
        target: (*left.get(4)?).to_owned(),
        options: (*left.get(5)?).to_owned(),
        propagation: left.get(6..)?.join(" "),
        fstype: right.next()?.to_owned(),
        source: right.next()?.to_owned(),
        super_options: right.next().unwrap_or_default().to_owned(),
    })
}

/// The inode of a namespace of a process, as `readlink /proc/PID/ns/NAME` prints it.
#[must_use]
pub fn namespace(pid: &str, name: &str) -> String {
    fs::read_link(format!("/proc/{pid}/ns/{name}"))
        .map(|l| l.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// The path of a program of this workspace built beside the running test (`probe`, `corten`).
#[must_use]
pub fn built(name: &str) -> PathBuf {
    // A sealed program's /proc/self/exe has no path any more; cargo starts tests by their full one.
    let started = std::env::args_os().next().map(PathBuf::from).filter(|p| p.is_absolute());
    let mut dir = started.unwrap_or_else(|| std::env::current_exe().expect("own path"));
    dir.pop();
    if dir.ends_with("deps") {
        dir.pop();
    }
    dir.join(name)
}

/// Polls until `done` holds, at most `limit`; says whether it did.
pub fn eventually(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    while !done() {
        if Instant::now() > end {
            return false;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    true
}

/// A file or directory bound over another until this is dropped: in the tests' own mount namespace.
#[derive(Debug)]
pub struct Covered(PathBuf);

impl Covered {
    /// Binds `with` over `what`.
    #[must_use]
    pub fn new(with: &Path, what: &Path) -> Self {
        let none = None::<&str>;
        mount(Some(with), what, none, MsFlags::MS_BIND, none).expect("a bind mount");
        Self(what.to_owned())
    }
}

impl Drop for Covered {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

/// A process that holds namespaces of its own open until it is dropped.
#[derive(Debug)]
pub struct Holder {
    child: Child,
    pid: String,
}

impl Holder {
    /// Runs `unshare FLAGS… probe hold`; returns once the namespaces exist.
    ///
    /// With `--fork` the holder is the child of unshare(1), and that child's namespaces are meant.
    #[must_use]
    pub fn unshare(flags: &[&str]) -> Self {
        let mut child = Command::new("unshare")
            .args(flags)
            .arg(built("probe"))
            .arg("hold")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare(1) of util-linux");
        let mut line = String::new();
        let out = child.stdout.take().expect("a pipe");
        BufReader::new(out).read_line(&mut line).expect("the holder's first line");
        let mut pid = child.id().to_string();
        if flags.contains(&"--fork") {
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
            pid = children.expect("children of unshare").trim().to_owned();
        }
        assert_eq!(line.trim(), "held", "the holder of {flags:?} did not start");
        Self { child, pid }
    }

    /// The path of one of its namespaces.
    #[must_use]
    pub fn path(&self, name: &str) -> String {
        format!("/proc/{}/ns/{name}", self.pid)
    }

    /// The inode of one of its namespaces.
    #[must_use]
    pub fn inode(&self, name: &str) -> String {
        namespace(&self.pid, name)
    }

    /// The pid of the process in the namespaces.
    #[must_use]
    pub fn pid(&self) -> &str {
        &self.pid
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // Its stdin ends, it ends; a holder that is stuck is killed.
        drop(self.child.stdin.take());
        if !eventually(Duration::from_secs(2), || matches!(self.child.try_wait(), Ok(Some(_)))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
