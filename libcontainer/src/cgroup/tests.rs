//! Effects on real control groups, as root: on the v1 hierarchies of this host where there are
//! some, and on a v2 mount of a private mount namespace.
//!
//! Every cgroup is called `corten-test-PID-N` and is gone afterwards, whatever happens.
#![expect(clippy::needless_pass_by_value, reason = "json!() reads best in place")]

mod v1;
mod v2;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use super::*;
use crate::host::{CgroupLayout, Host};
use crate::plan::Options;
use crate::spec::Spec;

/// Says why a test did nothing.
fn skip(why: &str) {
    eprintln!("skipped: {why}");
}

fn root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A plan below a directory of its own, which disappears with it.
struct Fixture {
    name: String,
    host: Host,
}

impl Fixture {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("corten-test-{}-{next}", std::process::id());
        let cgroup = CgroupLayout::probe().unwrap();
        Self { name, host: Host { cgroup, ..Host::ideal() } }
    }

    fn plan(&self, path: &str, resources: Value) -> CgroupPlan {
        let config = json!({"ociVersion": "1.3.0",
            "linux": {"cgroupsPath": format!("/{}{path}", self.name), "resources": resources}});
        let spec = Spec::parse(Path::new("c"), config.to_string().as_bytes()).unwrap();
        let options = Options { id: "x".into(), ..Options::default() };
        crate::plan::cgroup::build(&spec, &self.host, &options).unwrap()
    }

    fn create(&self, resources: Value) -> Result<Cgroup> {
        Cgroup::create(&self.plan("", resources))
    }

    /// The directories on the host.
    fn dirs(&self) -> Vec<PathBuf> {
        self.host.cgroup.hierarchies.iter().map(|h| h.mount.join(&self.name)).collect()
    }

    /// A file of the first directory that has it.
    fn read(&self, file: &str) -> String {
        let found = self.dirs().iter().find_map(|d| std::fs::read_to_string(d.join(file)).ok());
        found.unwrap_or_else(|| panic!("no {file}")).trim().to_owned()
    }

    fn any_left(&self) -> bool {
        self.dirs().iter().any(|dir| dir.exists())
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let dirs = self.host.cgroup.hierarchies.iter().map(|h| DirPlan {
            controllers: h.controllers.clone(),
            mount: h.mount.clone(),
            path: self.name.clone().into(),
        });
        let mode = self.host.cgroup.mode;
        let all = CgroupRecord { mode, dirs: dirs.collect(), ..CgroupRecord::default() };
        let all = Cgroup::open(&all);
        let done = all.kill(libc::SIGKILL).and_then(|_| all.remove());
        if !std::thread::panicking() {
            done.unwrap();
        }
    }
}

/// A process that sleeps; killed and reaped at the end.
struct Sleeper(Child);

impl Sleeper {
    fn new() -> Self {
        let child = Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap();
        Self(child)
    }

    /// One that moves itself with the words of `Cgroup::join_fds`.
    fn joining(fixture: &Fixture) -> Self {
        let script: String = fixture
            .dirs()
            .iter()
            .map(|dir| dir.join("tasks"))
            .filter(|tasks| tasks.exists())
            .map(|tasks| format!("echo 0 > {} && ", tasks.display()))
            .collect();
        let child = Command::new("sh").args(["-c", &format!("{script}exec sleep 600")]).spawn();
        let sleeper = Self(child.unwrap());
        let comm = format!("/proc/{}/comm", sleeper.pid());
        while std::fs::read_to_string(&comm).unwrap().trim() != "sleep" {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        sleeper
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).unwrap()
    }

    /// Waits for the end; the signal that ended it.
    fn signal(&mut self) -> Option<i32> {
        use std::os::unix::process::ExitStatusExt;
        self.0.wait().unwrap().signal()
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn nothing_is_needed_without_cgroups() {
    let none = Cgroup::create(&CgroupPlan::default()).unwrap();
    assert!(none.is_none() && none.clone_into().is_none() && none.join_fds().is_empty());
    none.limit_devices().unwrap();
    assert_eq!(none.pids().unwrap(), [0; 0]);
    assert!(!none.kill(9).unwrap() && !none.frozen().unwrap() && !none.oom_killed());
    assert!(!none.exists().unwrap());
    none.remove().unwrap();
    assert!(none.freeze().unwrap_err().to_string().contains("cannot toggle freezer"));
    let error = Error::io(Step::Clone, "", std::io::Error::from_raw_os_error(libc::EBUSY));
    assert_eq!(none.explain_clone(error).step, Step::Clone);
}

#[test]
fn record_survives_a_round_trip() {
    let plan = Fixture::new().plan("/a", json!({}));
    let record = CgroupRecord::from(&plan);
    let text = serde_json::to_string(&record).unwrap();
    assert_eq!(serde_json::from_str::<CgroupRecord>(&text).unwrap(), record);
    // An intent whose directories were never made.
    let intent = Cgroup::open(&record);
    assert!(!intent.exists().unwrap() && intent.pids().unwrap().is_empty());
    intent.remove().unwrap();
}
