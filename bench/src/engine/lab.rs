//! Stores of our own for pier and podman, an image of a static busybox in both, and the bundle
//! that bare crun gets: the very configuration that pier makes of that image.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::measure::{self, Command};

/// The image's name, in all stores.
pub(crate) const IMAGE: &str = "localhost/bench:1";

/// Directories, and whose programs.
pub(crate) struct Lab {
    pub(crate) dir: PathBuf,
    pier: PathBuf,
}

/// Runtimes that get a ready bundle: `CORTEN_BENCH_RUNTIMES`, names or paths with colons between;
/// Debian's crun without.
pub(crate) fn runtimes() -> Vec<PathBuf> {
    let list = std::env::var_os("CORTEN_BENCH_RUNTIMES").unwrap_or_else(|| "crun".into());
    std::env::split_paths(&list).collect()
}

/// Runs a program and returns what it printed.
pub(crate) fn output(line: &[String]) -> Result<String> {
    let (program, args) = line.split_first().context("a program")?;
    let output = process::Command::new(program).args(args).output();
    let output = output.with_context(|| program.clone())?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{line:?}: {}", words.trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

impl Lab {
    /// Makes everything but podman's store, which its first command makes.
    pub(crate) fn new(pier: PathBuf) -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("corten-bench-{}-engine", process::id()));
        let rootfs = dir.join("rootfs");
        for name in ["bin", "dev", "etc", "proc", "sys", "tmp"] {
            fs::create_dir_all(rootfs.join(name))?;
        }
        fs::copy("/bin/busybox", rootfs.join("bin/busybox")).context("install busybox-static")?;
        for name in ["sleep", "true"] {
            symlink("busybox", rootfs.join("bin").join(name))?;
        }
        // Mount points, so that no runtime has to make them in its first round.
        for name in ["hosts", "hostname", "resolv.conf"] {
            fs::write(rootfs.join("etc").join(name), "")?;
        }
        fs::write(rootfs.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\n")?;
        let lab = Self { dir, pier };
        let archive = lab.archive();
        let tar = ["tar".to_owned(), "-C".into(), text(&rootfs), "-cf".into(), archive.clone()];
        output(&[&tar[..], &[".".into()]].concat())?;
        output(&lab.pier(&["import", &archive, IMAGE]))?;
        Ok(lab)
    }

    fn archive(&self) -> String {
        text(&self.dir.join("image.tar"))
    }

    /// A command line of pier.
    pub(crate) fn pier(&self, args: &[&str]) -> Vec<String> {
        let (root, run) = (self.dir.join("root"), self.dir.join("run"));
        let flags =
            [text(&self.pier), "--root".into(), text(&root), "--run-root".into(), text(&run)];
        flags.into_iter().chain(args.iter().map(|arg| (*arg).to_owned())).collect()
    }

    /// `run` of a runtime with what pier gives to its own: the same seccomp profile, capabilities,
    /// mounts, masks and limits. The root file system is a directory, not an overlay.
    pub(crate) fn bundle(&self, runtime: &Path) -> Result<Vec<String>> {
        let mut config = self.config()?;
        let dir = self.dir.join("bundle");
        // Debian's crun refuses later ones.
        config["ociVersion"] = "1.0.2".into();
        config["root"]["path"] = text(&self.dir.join("rootfs")).into();
        config["process"]["args"] = json!(["true"]);
        config["linux"]["cgroupsPath"] = "/bench".into();
        if fs::exists("/sys/fs/cgroup/cgroup.controllers")? {
            // There the device rules are a program, for which crun wants CAP_SYS_RESOURCE.
            config["linux"]["resources"]["devices"] = json!([]);
        }
        fs::create_dir_all(&dir)?;
        fs::write(dir.join("config.json"), config.to_string())?;
        let state = text(&self.dir.join("state"));
        let words = ["--root", &state, "run", "--bundle", &text(&dir), "bench"].map(str::to_owned);
        Ok([text(runtime)].into_iter().chain(words).collect())
    }

    /// The configuration of a container of pier's, as it hands it to another runtime; what is
    /// bound from the container's directory is copied.
    fn config(&self) -> Result<Value> {
        let own = ["runc", "crun"].iter().find_map(|name| measure::find(name));
        let runtime = text(&own.context("neither runc nor crun is here")?);
        let sleep = ["--network", "none", IMAGE, "sleep", "1000"];
        let id = output(&self.pier(&[&["run", "-d", "--runtime", &runtime][..], &sleep].concat()));
        let id = id.or_else(|_| output(&self.pier(&[&["run", "-d"][..], &sleep].concat())))?;
        let container = self.dir.join("root/containers").join(&id);
        let config = fs::read(container.join("bundle/config.json"))?;
        let mut config: Value = serde_json::from_slice(&config)?;
        for mount in config["mounts"].as_array_mut().into_iter().flatten() {
            let source = PathBuf::from(mount["source"].as_str().unwrap_or_default());
            if let Some(name) = source.strip_prefix(&container).ok().and_then(Path::file_name) {
                let copy = self.dir.join(name);
                fs::copy(&source, &copy)?;
                mount["source"] = text(&copy).into();
            }
        }
        output(&self.pier(&["rm", "-f", &id]))?;
        Ok(config)
    }

    /// A command of podman's, when there is one: Debian's runtime crun, everything on paths of
    /// our own.
    pub(crate) fn podman(&self, args: &[&str]) -> Option<Command> {
        let program = measure::find("podman")?;
        let dir = self.dir.join("podman");
        let (conf, root) = (dir.join("containers.conf"), dir.join("root"));
        let at = |name: &str| text(&dir.join(name));
        let mut line = vec![text(&program), "--root".into(), text(&root)];
        for (flag, value) in [
            ("--runroot", at("runroot")),
            ("--tmpdir", at("tmp")),
            ("--network-config-dir", at("net")),
            ("--cgroup-manager", "cgroupfs".into()),
            ("--storage-driver", "overlay".into()),
            ("--runtime", "crun".into()),
        ] {
            line.extend([flag.to_owned(), value]);
        }
        let command = |args: &[&str]| {
            let words = args.iter().map(|arg| (*arg).to_owned());
            let line = line.iter().cloned().chain(words).collect();
            Command::new("podman", line).with(&[("CONTAINERS_CONF", &text(&conf))])
        };
        if !root.exists() {
            let limits = "default_ulimits = [\"nofile=1024:1024\", \"nproc=2048:2048\"]";
            let engine = "[engine]\nevents_logger = \"file\"\nlock_type = \"file\"";
            let written = fs::create_dir_all(dir.join("net"))
                .and_then(|()| fs::write(&conf, format!("[containers]\n{limits}\n{engine}\n")));
            if written.is_err() || !command(&["import", &self.archive(), IMAGE]).takes_part() {
                return None;
            }
        }
        Some(command(args))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Ok(all) = output(&self.pier(&["ps", "-aq"])) {
            for id in all.lines() {
                let _ = output(&self.pier(&["rm", "-f", id]));
            }
        }
        // Podman mounts its store upon itself.
        let store = text(&self.dir.join("podman/root/overlay"));
        let _ = output(&["umount", "-l", &store].map(str::to_owned));
        let gone = ["rm", "-rf", "--one-file-system", &text(&self.dir)].map(str::to_owned);
        if let Err(error) = output(&gone) {
            eprintln!("{error:#}");
        }
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
