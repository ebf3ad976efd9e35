//! A machine of a test's own: roots, a network namespace, a mount namespace, an image; and the look
//! at what is left on it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const APPLETS: [&str; 8] = ["cat", "echo", "false", "ls", "sh", "sleep", "touch", "true"];

/// The machine, until it is dropped.
pub(crate) struct Host {
    dir: PathBuf,
    /// Keeps the namespaces.
    keeper: Child,
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code().unwrap_or(-1),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }
}

impl Host {
    /// A machine with the image `app`, `None` where these tests cannot run.
    pub(crate) fn new() -> Option<Self> {
        let host = Self::bare()?;
        host.import("app");
        Some(host)
    }

    /// The same without an image.
    pub(crate) fn bare() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !can() {
            return None;
        }
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("pier-crash-{}-{number}", std::process::id()));
        fs::create_dir_all(dir.join("tree/bin")).unwrap();
        for sub in ["data", "dev", "etc", "proc", "sys", "tmp"] {
            fs::create_dir(dir.join("tree").join(sub)).unwrap();
        }
        let busybox =
            ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|p| Path::new(p).exists());
        run("cp", &[busybox.unwrap(), &dir.join("tree/bin/busybox").display().to_string()]);
        for applet in APPLETS {
            symlink("busybox", dir.join("tree/bin").join(applet)).unwrap();
        }
        fs::write(dir.join("tree/data/seed"), "of the image").unwrap();
        run(
            "tar",
            &[
                "-C",
                &dir.join("tree").display().to_string(),
                "-cf",
                &dir.join("app.tar").display().to_string(),
                ".",
            ],
        );
        Some(Self { dir, keeper: keeper() })
    }

    /// Power off and on: no process of a container, no cgroup, no network, no run root any more.
    pub(crate) fn reboot(&mut self) {
        let ids = self.ids();
        for id in ids.iter().filter(|id| !cgroups(id).is_empty()) {
            kill(self.monitor(id));
            until("the end of a container", || cgroups(id).iter().all(|dir| end_all(dir)));
        }
        self.keeper.kill().unwrap();
        self.keeper.wait().unwrap();
        fs::remove_dir_all(self.dir.join("run")).unwrap();
        self.keeper = keeper();
    }

    /// Makes the image.
    pub(crate) fn import(&self, name: &str) {
        self.good(&format!("import app.tar {name}"));
    }

    /// A path of the test's own, as the machine sees it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.keeper.id()));
        root.join(self.dir.strip_prefix("/").unwrap()).join(name)
    }

    /// A path of the test's own, in words for the machine.
    pub(crate) fn name(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    /// A program on this machine.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.keeper.id().to_string(), "-n", "-m", "--wd=."]);
        command.arg(program).current_dir(&self.dir).stdin(Stdio::null());
        command.env("PIER_ROOT", self.dir.join("root")).env("PIER_RUN_ROOT", self.dir.join("run"));
        command.env("PIER_REGISTRIES", self.dir.join("none.json"));
        command
    }

    /// The engine with words separated by blanks; `~` is a blank in a word.
    pub(crate) fn pier(&self, line: &str) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_pier"));
        command.args(line.split(' ').map(|word| word.replace('~', " ")));
        command
    }

    pub(crate) fn say(&self, line: &str) -> Said {
        self.pier(line).output().unwrap().into()
    }

    /// What it prints when all goes well, without the last line end.
    pub(crate) fn good(&self, line: &str) -> String {
        let said = self.say(line);
        assert_eq!(said.code, 0, "{line}: {said:?}");
        said.out.trim_end().to_owned()
    }

    /// What it says when it fails, as it should.
    pub(crate) fn bad(&self, line: &str) -> String {
        let said = self.say(line);
        assert!(said.code > 0, "{line}: {said:?}");
        assert!(said.err.starts_with("pier: ") && !said.err.contains("panicked"), "{said:?}");
        said.err
    }

    /// A shell's output on this machine.
    pub(crate) fn sh(&self, line: &str) -> String {
        let said = Said::from(self.command("sh").args(["-c", line]).output().unwrap());
        assert_eq!(said.code, 0, "{line}: {said:?}");
        said.out.trim_end().to_owned()
    }

    /// Runs pier under strace, which traces `calls` and does what `inject` says; what it wrote.
    /// It ends when the command, its monitor and its container have ended.
    pub(crate) fn strace(&self, line: &str, options: &[&str]) -> (Said, String) {
        let mut strace = self.command("strace");
        strace.args(["-f", "-qq", "-o", &self.name("trace")]).args(options);
        strace.arg(env!("CARGO_BIN_EXE_pier")).args(line.split(' '));
        let said = Said::from(strace.output().unwrap());
        (said, fs::read_to_string(self.path("trace")).unwrap_or_default())
    }

    /// Names in a directory, but for locks.
    pub(crate) fn list(&self, dir: &str) -> BTreeSet<String> {
        let entries = fs::read_dir(self.path(dir)).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter(|name| !matches!(name.as_str(), ".lock" | "lock")).collect()
    }

    /// Ids of containers, whole or not.
    pub(crate) fn ids(&self) -> BTreeSet<String> {
        let dirs = ["root/containers", "root/making", "root/going", "run"];
        let ids = dirs.iter().flat_map(|dir| self.list(dir));
        ids.filter_map(|name| name.get(..64).map(str::to_owned)).collect()
    }

    /// The monitor's pid of a container that runs.
    pub(crate) fn monitor(&self, id: &str) -> i32 {
        let text = fs::read(self.path(&format!("root/containers/{id}/state.json"))).unwrap();
        let state: serde_json::Value = serde_json::from_slice(&text).unwrap();
        state["monitor"]["pid"].as_i64().unwrap().try_into().unwrap()
    }

    /// Waits until nothing is left of containers, but these volumes: a monitor may be at its last
    /// lines when its command has ended.
    pub(crate) fn is_clean(&self, ids: &BTreeSet<String>, volumes: &[&str], when: &str) {
        let begun = Instant::now();
        while let Some(left) = self.left(ids, volumes) {
            assert!(begun.elapsed() < Duration::from_secs(60), "{when}: {left} is left");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn left(&self, ids: &BTreeSet<String>, volumes: &[&str]) -> Option<String> {
        let of_container = |name: &&String| name.len() > 60 || name.starts_with('.');
        for dir in ["making", "going", "containers", "names", "staging"] {
            if let Some(name) = self.list(&format!("root/{dir}")).first() {
                return Some(format!("{dir}/{name}"));
            }
        }
        for dir in ["", "runtime", "net", "ipam/bridge"] {
            // What the bridge itself needs stays until the machine goes down.
            let names = self.list(&format!("run/{dir}"));
            let address = |name: &&String| dir.starts_with("ipam") && !name.is_empty();
            if let Some(name) = names.iter().find(|name| of_container(name) || address(name)) {
                return Some(format!("run/{dir}/{name}"));
            }
        }
        let kept = self.list("root/volumes");
        if kept != volumes.iter().map(|volume| (*volume).to_owned()).collect() {
            return Some(format!("of volumes {kept:?}"));
        }
        if let Some(cgroup) = ids.iter().flat_map(|id| cgroups(id)).next() {
            return Some(cgroup.display().to_string());
        }
        let (mounts, run) = (self.sh("cat /proc/self/mounts"), self.name("run/"));
        let network = self.sh("ip -o link; nft list ruleset");
        let mount = mounts.lines().find(|line| line.contains(&run));
        let net = network.lines().find(|line| line.contains("veth") || line.contains("8080"));
        mount.or(net).map(str::to_owned)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let ids = self.ids();
        for id in &ids {
            self.say(&format!("rm -fv {id}"));
        }
        let left: Vec<_> = ids.iter().flat_map(|id| cgroups(id)).collect();
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
        if std::thread::panicking() {
            eprintln!("{} is kept", self.dir.display());
            return;
        }
        assert!(left.is_empty(), "{left:?}");
        fs::remove_dir_all(&self.dir).unwrap();
    }
}

/// A process that keeps new namespaces.
fn keeper() -> Child {
    let mut keeper = Command::new("unshare");
    keeper.args(["-n", "-m", "--propagation", "slave", "sh", "-c"]);
    // It ends when the test does, however that ends.
    keeper.arg("ip link set lo up && echo ready && read -r end");
    keeper.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut keeper = keeper.spawn().unwrap();
    let mut ready = [0; 6];
    std::io::Read::read_exact(keeper.stdout.as_mut().unwrap(), &mut ready).unwrap();
    keeper
}

/// Kills what is in a cgroup and removes it; `false` when it must be said again.
fn end_all(cgroup: &Path) -> bool {
    let pids = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    for pid in pids.lines().filter_map(|pid| rustix::process::Pid::from_raw(pid.parse().ok()?)) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
    fs::remove_dir(cgroup).is_ok() || !cgroup.exists()
}

/// The cgroups of a container: as long as a process of it lives there is one.
pub(crate) fn cgroups(id: &str) -> Vec<PathBuf> {
    let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    let dirs = hierarchies.map(|dir| dir.path()).chain([PathBuf::from("/sys/fs/cgroup")]);
    dirs.map(|dir| dir.join("pier").join(id)).filter(|dir| dir.exists()).collect()
}

/// Ends a process, and waits until it is no more.
pub(crate) fn kill(pid: i32) {
    signal(pid, rustix::process::Signal::KILL);
    until("the end of a process", || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_none_or(|(_, fields)| fields.starts_with('Z'))
    });
}

/// Sends a signal.
pub(crate) fn signal(pid: i32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// Waits for what comes soon.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what} does not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {output:?}");
}

fn can() -> bool {
    let lacks = |what: &str| {
        assert!(std::env::var_os("CI").is_none(), "in CI nothing is passed over: needs {what}");
        eprintln!("passed over: needs {what}");
        false
    };
    if !rustix::process::geteuid().is_root() {
        return lacks("root");
    }
    let has = |program: &&&str| {
        ["/usr/sbin", "/usr/bin", "/sbin", "/bin"]
            .iter()
            .any(|dir| Path::new(dir).join(program).exists())
    };
    let programs = ["busybox", "ip", "nft", "nsenter", "strace", "tar", "unshare"];
    programs.iter().find(|program| !has(program)).is_none_or(|missing| lacks(missing))
}
