//! The bundle under test: the default configuration with `/bin/true` of a static busybox.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// A bundle in a temporary directory.
pub(crate) struct Bundle {
    dir: PathBuf,
    v2: bool,
}

impl Bundle {
    /// Writes it.
    pub(crate) fn new(v2: bool) -> Result<Self> {
        Self::with(v2, None)
    }

    /// Writes one with a seccomp profile, or without.
    pub(crate) fn with(v2: bool, seccomp: Option<&Value>) -> Result<Self> {
        let kind = if seccomp.is_some() { "-seccomp" } else { "" };
        let dir = std::env::temp_dir().join(format!("corten-bench-{}{kind}", std::process::id()));
        let bin = dir.join("rootfs/bin");
        fs::create_dir_all(&bin)?;
        fs::copy("/bin/busybox", bin.join("busybox")).context("install busybox-static")?;
        symlink("busybox", bin.join("true"))?;
        for name in ["dev", "proc", "sys"] {
            fs::create_dir_all(dir.join("rootfs").join(name))?;
        }
        let mut config = config(v2);
        if let Some(profile) = seccomp {
            config["linux"]["seccomp"] = profile.clone();
        }
        fs::write(dir.join("config.json"), serde_json::to_vec_pretty(&config)?)?;
        Ok(Self { dir, v2 })
    }

    /// The same with a program that waits until it is killed.
    pub(crate) fn waiting(self) -> Result<Self> {
        let mut config = config(self.v2);
        config["process"]["args"] = json!(["/bin/busybox", "sleep", "100000"]);
        fs::write(self.dir.join("config.json"), serde_json::to_vec_pretty(&config)?)?;
        Ok(self)
    }

    /// Its directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The state directory of a runtime.
    pub(crate) fn state_of(&self, runtime: &Path) -> PathBuf {
        self.dir.join("state").join(runtime.file_name().unwrap_or_default())
    }

    /// `run` of a runtime; the id is added by the caller.
    pub(crate) fn run(&self, runtime: &Path) -> Vec<String> {
        let state = self.state_of(runtime);
        let text = |path: &Path| path.display().to_string();
        vec![
            text(runtime),
            "--root".into(),
            text(&state),
            "run".into(),
            "--bundle".into(),
            text(&self.dir),
            "bench".into(),
        ]
    }

    /// The floor's command line for the same bundle.
    pub(crate) fn floor(&self) -> Result<Vec<String>> {
        let own = std::env::current_exe()?.display().to_string();
        let mut command = vec![own, "floor".into(), self.dir.join("rootfs").display().to_string()];
        if self.v2 {
            command.push("/sys/fs/cgroup".into());
        } else {
            command.extend(v1_hierarchies());
        }
        Ok(command)
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        // Nothing is mounted below it: every mount was made in a namespace that has ended.
        if let Err(e) = fs::remove_dir_all(&self.dir) {
            eprintln!("{}: {e}", self.dir.display());
        }
    }
}

fn v1_hierarchies() -> Vec<String> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let cgroups = mounts.lines().filter(|line| line.split(' ').nth(2) == Some("cgroup"));
    cgroups.filter_map(|line| line.split(' ').nth(1).map(str::to_owned)).collect()
}

/// What `runc spec` writes, for `/bin/true` without a terminal.
fn config(v2: bool) -> Value {
    let caps = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
    let mut namespaces: Vec<Value> = ["pid", "network", "ipc", "uts", "mount"]
        .iter()
        .map(|kind| json!({ "type": kind }))
        .collect();
    if v2 {
        namespaces.push(json!({ "type": "cgroup" }));
    }
    // On v2 the device rule is a program, for which crun wants a right that not every root has
    // (CAP_SYS_RESOURCE): left out for everybody there.
    let resources = match v2 {
        true => json!({}),
        false => json!({ "devices": [{ "allow": false, "access": "rwm" }] }),
    };
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": { "uid": 0, "gid": 0 }, "args": ["/bin/true"], "cwd": "/",
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "capabilities": { "bounding": caps, "effective": caps, "permitted": caps },
            "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024 }],
            "noNewPrivileges": true,
        },
        "root": { "path": "rootfs", "readonly": true },
        "hostname": "runc",
        "mounts": mounts(),
        "linux": {
            "resources": resources,
            "namespaces": namespaces,
            "maskedPaths": ["/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys",
                "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
                "/proc/sched_debug", "/sys/firmware", "/proc/scsi"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                "/proc/sysrq-trigger"],
        },
    })
}

fn mounts() -> Value {
    let safe = ["nosuid", "noexec", "nodev"];
    json!([
        { "destination": "/proc", "type": "proc", "source": "proc" },
        { "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
          "options": ["nosuid", "strictatime", "mode=755", "size=65536k"] },
        { "destination": "/dev/pts", "type": "devpts", "source": "devpts",
          "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"] },
        { "destination": "/dev/shm", "type": "tmpfs", "source": "shm",
          "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"] },
        { "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": safe },
        { "destination": "/sys", "type": "sysfs", "source": "sysfs",
          "options": ["nosuid", "noexec", "nodev", "ro"] },
        { "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
          "options": ["nosuid", "noexec", "nodev", "relatime", "ro"] },
    ])
}
