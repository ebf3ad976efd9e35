//! A bundle made for one check, and the container made of it.
//!
//! The root file system is the probe and a few empty directories. Every change to the default
//! configuration is said at the check by JSON pointer, so that a reader sees the `config.json`
//! that was tried. Dropping a bundle kills what runs, deletes the container and removes the files.

use std::{
    fs,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::{
    case::{Not, Verdict, fail},
    container::{Container, Ran},
    runtime::{Files, Runtime, Said},
    world::remove_tree,
};

/// The directories every root file system has.
const DIRS: [&str; 6] = ["proc", "sys", "dev", "tmp", "mnt", "etc"];

/// A bundle directory with its configuration, not yet written.
pub(crate) struct Bundle<'r> {
    pub(crate) runtime: &'r Runtime,
    pub(crate) dir: PathBuf,
    pub(crate) id: String,
    pub(crate) config: Value,
    pub(crate) files: Files,
}

impl<'r> Bundle<'r> {
    /// A directory with the root file system; the default configuration.
    ///
    /// # Errors
    /// The files cannot be made.
    pub(crate) fn new(runtime: &'r Runtime) -> Result<Self, Not> {
        let number = runtime.number();
        let dir = runtime.work.join(format!("b{number}"));
        let mut builder = fs::DirBuilder::new();
        builder.mode(0o755).recursive(true);
        for name in DIRS {
            builder.create(dir.join("rootfs").join(name))?;
        }
        fs::set_permissions(dir.join("rootfs/tmp"), fs::Permissions::from_mode(0o1777))?;
        fs::hard_link(runtime.probe(), dir.join("rootfs/probe"))?;
        Ok(Self {
            id: format!("oc-{}-{number}", std::process::id()),
            config: default_config(&runtime.oci_version),
            files: Files::new(&dir, number)?,
            runtime,
            dir,
        })
    }

    /// The directory that becomes the container's root.
    pub(crate) fn rootfs(&self) -> PathBuf {
        self.dir.join("rootfs")
    }

    /// What the probe is to answer inside, one question each.
    #[must_use]
    pub(crate) fn ask<S: AsRef<str>>(self, questions: impl IntoIterator<Item = S>) -> Self {
        let mut args = vec![json!("/probe")];
        args.extend(questions.into_iter().map(|q| json!(q.as_ref())));
        self.set("/process/args", Value::Array(args))
    }

    /// Sets a value; objects on the way are made.
    #[must_use]
    pub(crate) fn set(mut self, pointer: &str, value: Value) -> Self {
        *slot(&mut self.config, pointer) = value;
        self
    }

    /// Appends to an array; it is made if it is not there.
    #[must_use]
    pub(crate) fn push(mut self, pointer: &str, value: Value) -> Self {
        let slot = slot(&mut self.config, pointer);
        match slot.as_array_mut() {
            Some(list) => list.push(value),
            None => *slot = json!([value]),
        }
        self
    }

    /// Removes a property.
    #[must_use]
    pub(crate) fn without(mut self, pointer: &str) -> Self {
        if let Some((parent, name)) = pointer.rsplit_once('/')
            && let Some(object) = self.config.pointer_mut(parent).and_then(Value::as_object_mut)
        {
            object.remove(name);
        }
        self
    }

    /// Adds a mount at the end.
    #[must_use]
    pub(crate) fn mount(self, kind: &str, source: &str, to: &str, options: &[&str]) -> Self {
        self.push(
            "/mounts",
            json!({"type": kind, "source": source, "destination": to, "options": options}),
        )
    }

    /// Replaces or adds a namespace; an empty path means a new one.
    #[must_use]
    pub(crate) fn namespace(self, kind: &str, path: &str) -> Self {
        let entry = if path.is_empty() {
            json!({"type": kind})
        } else {
            json!({"type": kind, "path": path})
        };
        self.without_namespace(kind).push("/linux/namespaces", entry)
    }

    /// Leaves a namespace out.
    #[must_use]
    pub(crate) fn without_namespace(mut self, kind: &str) -> Self {
        if let Some(list) = self.config["linux"]["namespaces"].as_array_mut() {
            list.retain(|ns| ns["type"] != kind);
        }
        self
    }

    /// A new user namespace: `size` ids from `host` on, and a root file system that is theirs.
    ///
    /// # Errors
    /// The ownership cannot be changed.
    pub(crate) fn user_namespace(self, host: u32, size: u32) -> Result<Self, Not> {
        let map = json!([{"containerID": 0, "hostID": host, "size": size}]);
        for name in DIRS.iter().map(|dir| format!("rootfs/{dir}")).chain(["rootfs".into()]) {
            std::os::unix::fs::chown(self.dir.join(name), Some(host), Some(host))?;
        }
        Ok(self
            .namespace("user", "")
            .set("/linux/uidMappings", map.clone())
            .set("/linux/gidMappings", map))
    }

    /// Makes a file below the root file system, with its parents.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn file(self, path: &str, text: &str) -> Result<Self, Not> {
        write_file(&self.rootfs().join(path.trim_start_matches('/')), text)?;
        Ok(self)
    }

    /// Makes a file in the bundle directory, outside the root file system.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn outside(self, path: &str, text: &str) -> Result<Self, Not> {
        write_file(&self.dir.join(path), text)?;
        Ok(self)
    }

    /// Writes `config.json`.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn write(&self) -> Verdict {
        fs::write(self.dir.join("config.json"), serde_json::to_vec_pretty(&self.config)?)?;
        Ok(())
    }

    /// Writes the configuration and calls `create` with extra options.
    ///
    /// # Errors
    /// Files or the program; not the runtime's own refusal.
    pub(crate) fn call_create(&self, extra: &[&str]) -> Result<Said, Not> {
        self.write()?;
        let mut command = self.runtime.command(&["create", "--bundle"]);
        command.arg(&self.dir).args(extra).arg(&self.id);
        Ok(self.runtime.say(command, &self.files)?)
    }

    /// Creates the container.
    ///
    /// # Errors
    /// The runtime refused.
    pub(crate) fn create(self) -> Result<Container<'r>, Not> {
        let said = self.call_create(&[])?;
        if !said.ok() {
            fail!("`create`: {}", said.words());
        }
        Container::of(self)
    }

    /// Creates and starts the container and waits for its end.
    ///
    /// # Errors
    /// The runtime refused, or the container did not end.
    pub(crate) fn run(self) -> Result<Ran<'r>, Not> {
        let mut container = self.create()?;
        container.start()?;
        container.finish()
    }

    /// The runtime must refuse this bundle, at `create` or, if `at_start`, at the latest at
    /// `start`; after a refused `create` it must not know the container.
    ///
    /// # Errors
    /// `why` with what happened instead.
    pub(crate) fn refused(self, at_start: bool, why: &str) -> Verdict {
        let said = self.call_create(&[])?;
        if said.ok() {
            if at_start && !self.runtime.call(&["start", &self.id])?.ok() {
                return Ok(());
            }
            fail!("{why}: was accepted");
        }
        if said.code.is_none() || said.err.trim().is_empty() {
            fail!("{why}: refused without a word ({})", said.words());
        }
        if said.err.contains("panic") || said.err.contains("SIGSEGV") {
            fail!("{why}: crashed ({})", said.words());
        }
        if self.runtime.knows(&self.id)? {
            fail!("{why}: refused, but the container exists");
        }
        Ok(())
    }
}

impl Drop for Bundle<'_> {
    fn drop(&mut self) {
        // Most containers are gone by now: asking costs more than a look at the state directory.
        if self.runtime.root.join(&self.id).exists() {
            let _ = self.runtime.call(&["delete", "--force", &self.id]);
        }
        if let Err(e) = remove_tree(&self.dir) {
            eprintln!("oci-conformance: leaves {}: {e}", self.dir.display());
        }
    }
}

fn write_file(path: &Path, text: &str) -> Verdict {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, text)?;
    Ok(())
}

/// The value a pointer names, made (as null, inside objects) where it is not there.
fn slot<'v>(value: &'v mut Value, pointer: &str) -> &'v mut Value {
    pointer.split('/').skip(1).fold(value, |at, name| {
        if let Ok(index) = name.parse::<usize>()
            && at.is_array()
        {
            return &mut at[index];
        }
        if !at.is_object() {
            *at = json!({});
        }
        &mut at[name.replace("~1", "/")]
    })
}

/// A small container: all file systems that Linux programs expect, six namespaces, no limits.
fn default_config(version: &str) -> Value {
    let capabilities = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    json!({
        "ociVersion": version,
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["/probe"],
            "env": ["PATH=/bin:/"],
            "cwd": "/",
            "capabilities": {
                "bounding": capabilities, "effective": capabilities, "permitted": capabilities,
            },
        },
        "root": {"path": "rootfs", "readonly": false},
        "hostname": "conformance",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
             "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs",
             "options": ["nosuid", "noexec", "nodev", "ro"]},
        ],
        "linux": {
            "namespaces": [
                {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"},
                {"type": "mount"},
            ],
        },
    })
}
