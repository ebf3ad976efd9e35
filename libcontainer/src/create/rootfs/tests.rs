//! Builds real trees in throw-away namespaces; needs root (without it these tests say so and
//! pass: the integration tests run on a root tier).
//!
//! Each test gives a configuration and a check that runs inside, after the pivot, with system
//! calls only. Whatever a hostile image does, a directory outside of it must stay as it was.

mod binds;
mod devices;
mod hostile;
mod kernel;
mod whole;

use std::fmt::Write as _;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::error::Error;
use crate::plan::mounts::{CgroupMounts, Request, build};
use crate::sys::clone::{
    CLONE_NEWIPC, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER, CloneArgs, exit, spawn, wait_pidfd,
};
use crate::sys::fd::{pipe, read, write_all};

/// Inside a container of its own: the usual namespaces.
const USUAL: u64 = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC;

/// A scratch directory with a `rootfs` and a `host` that nobody may touch.
struct Scene {
    dir: PathBuf,
    before: String,
}

impl Scene {
    /// `None`, with a word about it, without root.
    fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !crate::sys::testing::root() {
            eprintln!("skipped: needs root");
            return None;
        }
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("corten-rootfs-{}-{number}", std::process::id());
        let dir = fs::canonicalize(std::env::temp_dir()).unwrap().join(name);
        for sub in ["rootfs", "host/sub"] {
            fs::create_dir_all(dir.join(sub)).unwrap();
        }
        fs::write(dir.join("host/file"), "host").unwrap();
        let before = listing(&dir.join("host"));
        Some(Self { dir, before })
    }

    fn path(&self, below: &str) -> PathBuf {
        self.dir.join(below)
    }

    fn rootfs(&self, below: &str) -> PathBuf {
        self.dir.join("rootfs").join(below)
    }

    fn mkdir(&self, below: &str) -> &Self {
        fs::create_dir_all(self.rootfs(below)).unwrap();
        self
    }

    fn write(&self, below: &str, text: &str) -> &Self {
        fs::write(self.rootfs(below), text).unwrap();
        self
    }

    fn link(&self, target: impl AsRef<Path>, below: &str) -> &Self {
        std::os::unix::fs::symlink(target, self.rootfs(below)).unwrap();
        self
    }

    /// The plan; `HOST` in the JSON stands for the host directory.
    fn plan(&self, mounts: &str, linux: &str, user: bool) -> Mounts {
        self.plan_with(mounts, linux, |request| request.user_namespace = user)
    }

    fn plan_with(&self, mounts: &str, linux: &str, change: impl Fn(&mut Request<'_>)) -> Mounts {
        self.plan_in(mounts, linux, &CgroupMounts::default(), change)
    }

    fn plan_in(
        &self,
        mounts: &str,
        linux: &str,
        cgroup: &CgroupMounts,
        change: impl Fn(&mut Request<'_>),
    ) -> Mounts {
        let text = format!(
            r#"{{"ociVersion": "1.3.0", "root": {{"path": "rootfs", "readonly": true}},
                "linux": {linux}, "mounts": {mounts}}}"#
        );
        let text = text.replace("HOST", self.path("host").to_str().unwrap());
        let spec = serde_json::from_str(&text).unwrap();
        let rootfs = self.path("rootfs");
        let mut request = Request {
            spec: &spec,
            last: None,
            rootfs: &rootfs,
            bundle: &self.dir,
            mount_namespace: true,
            user_namespace: false,
            rootless: false,
            no_pivot: false,
            cgroup,
        };
        change(&mut request);
        build(&request).unwrap()
    }

    /// Builds the tree in new namespaces and runs the check inside.
    fn run(&self, plan: &Mounts, flags: u64, check: fn() -> io::Result<()>) -> Result<(), Error> {
        let work = Work::prepare(plan)?;
        run_prepared(plan, work, flags, check)
    }

    /// The usual case: it works.
    fn works(&self, mounts: &str, check: fn() -> io::Result<()>) {
        let plan = self.plan(mounts, "{}", false);
        if let Err(error) = self.run(&plan, USUAL, check) {
            panic!("{error}");
        }
    }

    /// The other case: it is refused in these words.
    fn refuses(&self, mounts: &str, words: &str) {
        let plan = self.plan(mounts, "{}", false);
        let error = self.run(&plan, USUAL, || Ok(())).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let after = listing(&self.path("host"));
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let left = mounts.contains(self.dir.to_str().unwrap());
        // Nothing is removed while something could still be mounted there.
        if !left {
            fs::remove_dir_all(&self.dir).unwrap();
        }
        if !std::thread::panicking() {
            assert_eq!(self.before, after, "the host directory was changed");
            assert!(!left, "a mount was left on the host");
        }
    }
}

/// Names, types, modes, owners and times of everything below a directory.
fn listing(dir: &Path) -> String {
    let mut text = String::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(path) = todo.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let time = (meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec());
        let facts = (meta.mode(), meta.uid(), meta.gid(), meta.len(), time);
        writeln!(text, "{} {facts:?}", path.display()).unwrap();
        if meta.is_dir() {
            let mut names: Vec<PathBuf> =
                fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).collect();
            names.sort();
            todo.extend(names);
        }
    }
    text
}

/// What the child gets.
struct Inside<'a> {
    plan: &'a Mounts,
    work: Work,
    check: fn() -> io::Result<()>,
    go: OwnedFd,
    report: OwnedFd,
}

const CHECK: u8 = u8::MAX;

fn run_prepared(
    plan: &Mounts,
    work: Work,
    flags: u64,
    check: fn() -> io::Result<()>,
) -> Result<(), Error> {
    let (go, start) = pipe().unwrap();
    let (outcome, report) = pipe().unwrap();
    let args = CloneArgs { flags, cgroup: None, exit_signal: libc::SIGCHLD };
    let mut inside = Inside { plan, work, check, go, report };
    let child = spawn(&args, &mut inside, child).unwrap();
    if flags & CLONE_NEWUSER != 0 {
        for map in ["uid_map", "gid_map"] {
            fs::write(format!("/proc/{}/{map}", child.pid), "0 0 65536").unwrap();
        }
    }
    write_all(&start, b"x").unwrap();
    let Inside { work, go, report, .. } = inside;
    drop((go, report));
    let mut record = [0; 16];
    let length = read(&outcome, &mut record).unwrap();
    wait_pidfd(&child.pidfd).unwrap();
    drop(work); // ends the helper
    assert_eq!(length, 9, "the child died");
    let word = |at: usize| u32::from_ne_bytes(record[at..at + 4].try_into().unwrap());
    let errno = i32::try_from(word(5)).unwrap();
    match record[0] {
        0 => Ok(()),
        CHECK => panic!("check inside: {}", io::Error::from_raw_os_error(errno)),
        step => {
            let steps = [
                (1, Step::Rootfs),
                (2, Step::Mount),
                (3, Step::Device),
                (4, Step::PivotRoot),
                (5, Step::Mask),
            ];
            let step = steps.iter().find(|(number, _)| *number == step);
            let Some((_, step)) = step else { panic!("unknown step, errno {errno}") };
            Err(words::error(plan, Failure::new(*step, word(1), errno)).unwrap())
        }
    }
}

fn child(inside: &mut Inside<'_>) -> ! {
    let _ = read(&inside.go, &mut [0]);
    let (step, item, errno) = match tree(inside.plan, &mut inside.work) {
        Ok(()) => match (inside.check)() {
            Ok(()) => (0, 0, 0),
            Err(error) => (CHECK, 0, error.raw_os_error().unwrap_or(libc::EIO)),
        },
        Err(failure) => {
            let step = match failure.step {
                Step::Rootfs => 1,
                Step::Mount => 2,
                Step::Device => 3,
                Step::PivotRoot => 4,
                Step::Mask => 5,
                _ => 6,
            };
            (step, failure.item, failure.errno)
        }
    };
    let mut record = [0; 9];
    record[0] = step;
    record[1..5].copy_from_slice(&item.to_ne_bytes());
    record[5..].copy_from_slice(&errno.to_ne_bytes());
    let _ = write_all(&inside.report, &record);
    exit(0)
}

fn tree(plan: &Mounts, work: &mut Work) -> Result<(), Failure> {
    open_root(plan, work)?;
    mount_all(plan, work, 0..plan.first_cgroup())?;
    mount_all(plan, work, plan.first_cgroup()..plan.list.len())?;
    make_devices(plan, work)?;
    pivot(plan, work)?;
    reopen_null(plan, work)?;
    close_readonly(plan, work)?;
    readonly_root(plan, work)?;
    restrict(plan, work)
}

/// Helpers for checks: system calls only.
mod inside {
    use std::ffi::CStr;
    use std::io;

    use crate::sys::fd::{CWD, DirReader, Stat, fstatat, mkdirat, open, read};

    /// A condition; the number says which.
    pub(super) fn hold(number: i32, condition: bool) -> io::Result<()> {
        if condition { Ok(()) } else { Err(io::Error::from_raw_os_error(20_000 + number)) }
    }

    pub(super) fn stat(path: &CStr) -> io::Result<Stat> {
        fstatat(CWD, path, libc::AT_SYMLINK_NOFOLLOW)
    }

    pub(super) fn reads(path: &CStr, text: &[u8]) -> io::Result<bool> {
        let mut buffer = [0; 64];
        let length = read(open(path, libc::O_RDONLY)?, &mut buffer)?;
        Ok(&buffer[..length] == text)
    }

    pub(super) fn gone(path: &CStr) -> bool {
        matches!(stat(path), Err(error) if error.raw_os_error() == Some(libc::ENOENT))
    }

    /// Making a directory there fails because of a read-only mount.
    pub(super) fn readonly(path: &CStr) -> bool {
        matches!(mkdirat(CWD, path, 0o700), Err(error) if error.raw_os_error() == Some(libc::EROFS))
    }

    pub(super) fn empty(path: &CStr) -> io::Result<bool> {
        use std::os::fd::AsFd;
        let dir = open(path, libc::O_RDONLY | libc::O_DIRECTORY)?;
        let mut buffer = [0; 1024];
        Ok(DirReader::new(dir.as_fd(), &mut buffer).next_entry()?.is_none())
    }
}
