//! A bundle by value: changed step by step, then created or run.

use std::fs;
use std::iter;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::config;
use crate::container::{Container, Finished};
use crate::host::built;
use crate::image::{make_rootfs, write_file};
use crate::place::Place;
use crate::runtime::{Output, Runtime};

/// A bundle and the way it is to be run.
#[derive(Debug)]
pub struct Bundle {
    place: Arc<Place>,
    id: String,
    dir: PathBuf,
    config: Value,
    raw: Option<Vec<u8>>,
    runtime: Runtime,
    flags: Vec<String>,
}

impl Default for Bundle {
    fn default() -> Self {
        Self::new()
    }
}

impl Bundle {
    /// A bundle in a place of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::at(Arc::new(Place::new()), "")
    }

    /// A second bundle in the place, and so in the state root, of another; `suffix` ends its id.
    #[must_use]
    pub fn at(place: Arc<Place>, suffix: &str) -> Self {
        let id = format!("{}{suffix}", place.id());
        let dir = place.path(&format!("bundle{suffix}"));
        make_rootfs(&dir.join("rootfs"));
        let runtime = Runtime::new(&place);
        let config = config::default_config(&id);
        Self { place, id, dir, config, raw: None, runtime, flags: Vec::new() }
    }

    /// The place the bundle lives in.
    #[must_use]
    pub fn place(&self) -> Arc<Place> {
        Arc::clone(&self.place)
    }

    /// The container's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Gives the container another id. The new one should contain the place's id.
    #[must_use]
    pub fn named(mut self, id: &str) -> Self {
        id.clone_into(&mut self.id);
        self
    }

    /// The bundle's directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A path below the root file system, seen from the host.
    #[must_use]
    pub fn rootfs(&self, path: &str) -> PathBuf {
        self.dir.join("rootfs").join(path.trim_start_matches('/'))
    }

    /// A path of the test outside the bundle: a place for bind sources and for what must not change.
    #[must_use]
    pub fn outside(&self, path: &str) -> PathBuf {
        self.place.path(path)
    }

    /// Sets the value at a JSON pointer; objects on the way are made.
    #[must_use]
    pub fn set(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        *self.at_pointer(pointer) = value.into();
        self
    }

    /// Appends to the array at a JSON pointer; it is made when missing.
    #[must_use]
    pub fn push(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        let list = self.at_pointer(pointer);
        if list.is_null() {
            *list = json!([]);
        }
        list.as_array_mut().expect("an array").push(value.into());
        self
    }

    /// Takes the value at a JSON pointer out of its object.
    #[must_use]
    pub fn unset(mut self, pointer: &str) -> Self {
        let (parent, key) = pointer.rsplit_once('/').expect("a JSON pointer");
        if let Some(object) = self.config.pointer_mut(parent).and_then(Value::as_object_mut) {
            object.remove(key);
        }
        self
    }

    fn at_pointer(&mut self, pointer: &str) -> &mut Value {
        let mut at = &mut self.config;
        for key in pointer.split('/').skip(1) {
            at = match key.parse::<usize>() {
                Ok(index) if at.is_array() => &mut at[index],
                _ => &mut at[key],
            };
        }
        at
    }

    /// Changes the configuration freely.
    #[must_use]
    pub fn edit(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.config);
        self
    }

    /// The configuration as it stands.
    #[must_use]
    pub fn config(&self) -> &Value {
        &self.config
    }

    /// Writes these bytes as `config.json` instead.
    #[must_use]
    pub fn raw_config(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.raw = Some(bytes.into());
        self
    }

    /// The program to run.
    #[must_use]
    pub fn args<S: AsRef<str>>(self, args: &[S]) -> Self {
        let args: Vec<&str> = args.iter().map(AsRef::as_ref).collect();
        self.set("/process/args", json!(args))
    }

    /// Runs a shell script.
    #[must_use]
    pub fn sh(self, script: &str) -> Self {
        self.args(&["/bin/sh", "-c", script])
    }

    /// Runs the probe; see its own help for the words. Several questions are parted by `--`.
    #[must_use]
    pub fn probe<'a>(self, questions: impl IntoIterator<Item = &'a str>) -> Self {
        let args: Vec<_> = iter::once("/bin/probe").chain(questions).collect();
        self.args(&args)
    }

    /// Gives the process `caps` in the sets that count without a change of user.
    #[must_use]
    pub fn capabilities(self, caps: &[&str]) -> Self {
        let sets = json!({ "bounding": caps, "effective": caps, "permitted": caps });
        self.set("/process/capabilities", sets)
    }

    /// A container that waits until it is killed (TERM ends it at once).
    #[must_use]
    pub fn sleeper(self) -> Self {
        self.args(&["/bin/probe", "wait", "TERM"])
    }

    /// Adds a mount.
    #[must_use]
    pub fn mount(self, kind: &str, source: &str, destination: &str, options: &[&str]) -> Self {
        self.push(
            "/mounts",
            json!({ "destination": destination, "type": kind, "source": source, "options": options }),
        )
    }

    /// Adds a bind mount of a path of the host.
    #[must_use]
    pub fn bind(self, source: &Path, destination: &str, options: &[&str]) -> Self {
        let mut all = vec!["bind"];
        all.extend(options);
        self.mount("bind", &source.to_string_lossy(), destination, &all)
    }

    /// Adds a masked path.
    #[must_use]
    pub fn mask(self, path: &str) -> Self {
        self.push("/linux/maskedPaths", path)
    }

    /// Adds a namespace: new when `path` is empty, else joined.
    #[must_use]
    pub fn namespace(self, kind: &str, path: &str) -> Self {
        let without = self.without_namespace(kind);
        let entry = if path.is_empty() {
            json!({ "type": kind })
        } else {
            json!({ "type": kind, "path": path })
        };
        without.push("/linux/namespaces", entry)
    }

    /// Takes a namespace out: the container shares the caller's.
    #[must_use]
    pub fn without_namespace(self, kind: &str) -> Self {
        self.edit(|c| {
            if let Some(list) = c["linux"]["namespaces"].as_array_mut() {
                list.retain(|n| n["type"] != kind);
            }
        })
    }

    /// A new user namespace in which 0–65535 are 100000–165535, and a root file system it may write.
    #[must_use]
    pub fn user_namespace(self) -> Self {
        let map = json!([{ "containerID": 0, "hostID": 100_000, "size": 65536 }]);
        let rootfs = self.rootfs("");
        for path in [rootfs.clone(), rootfs.join("dev"), rootfs.join("tmp"), rootfs.join("sys")] {
            std::os::unix::fs::chown(path, Some(100_000), Some(100_000)).expect("chown");
        }
        self.namespace("user", "")
            .set("/linux/uidMappings", map.clone())
            .set("/linux/gidMappings", map)
    }

    /// Adds a hook that runs the probe on the host and records what it was given in `hooks.log`.
    #[must_use]
    pub fn hook(self, kind: &str, name: &str, more: &[&str]) -> Self {
        let log = self.outside("hooks.log").to_string_lossy().into_owned();
        let probe = built("probe").to_string_lossy().into_owned();
        let mut args = vec!["probe", "hook", &log, name];
        args.extend(more);
        self.push(&format!("/hooks/{kind}"), json!({ "path": probe, "args": args }))
    }

    /// Writes a file into the root file system; a script may be executed.
    #[must_use]
    pub fn file(self, path: &str, content: &str) -> Self {
        write_file(&self.rootfs(path), content);
        self
    }

    /// Makes a directory in the root file system.
    #[must_use]
    pub fn dir_in(self, path: &str) -> Self {
        fs::create_dir_all(self.rootfs(path)).expect("mkdir");
        self
    }

    /// Makes a symbolic link in the root file system; what stood there is taken away.
    #[must_use]
    pub fn link(self, target: &str, path: &str) -> Self {
        let path = self.rootfs(path);
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
        fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
        symlink(target, path).expect("symlink");
        self
    }

    /// Adds flags to `create` or `run`.
    #[must_use]
    pub fn flags(mut self, flags: &[&str]) -> Self {
        self.flags.extend(flags.iter().map(|&f| f.to_owned()));
        self
    }

    /// Adds global flags.
    #[must_use]
    pub fn global(mut self, flags: &[&str]) -> Self {
        self.runtime.global.extend(flags.iter().map(|&f| f.to_owned()));
        self
    }

    /// Puts words in front of the runtime: `unshare -n`, or `sh -c 'ulimit …; exec "$@"' sh`.
    #[must_use]
    pub fn under(mut self, words: &[&str]) -> Self {
        self.runtime.wrapper.extend(words.iter().map(|&w| w.to_owned()));
        self
    }

    /// A shell prelude run before the runtime replaces the shell.
    #[must_use]
    pub fn after(self, prelude: &str) -> Self {
        let script = format!("{prelude}\nexec \"$@\"");
        self.under(&["sh", "-c", &script, "sh"])
    }

    /// Calls the runtime by another name: a link in the place.
    #[must_use]
    pub fn called(mut self, name: &str) -> Self {
        let link = self.place.path(name);
        symlink(crate::runtime::path(), &link).expect("symlink");
        self.runtime.program = link;
        self
    }

    /// Adds a variable to the runtime's environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.runtime.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets how long `create` or `run` may take.
    #[must_use]
    pub fn patience(mut self, limit: Duration) -> Self {
        self.runtime.patience = limit;
        self
    }

    /// Writes `config.json`.
    pub fn write(&self) {
        let bytes = self.raw.clone();
        let bytes = bytes.unwrap_or_else(|| serde_json::to_vec_pretty(&self.config).expect("JSON"));
        fs::write(self.dir.join("config.json"), bytes).expect("config.json");
    }

    /// The words of a verb that takes a bundle: flags, `--bundle`, id.
    #[must_use]
    pub fn words(&self, verb: &str) -> Vec<String> {
        let mut words = vec![verb.to_owned(), "--bundle".into()];
        words.push(self.dir.to_string_lossy().into_owned());
        words.extend(self.flags.iter().cloned());
        words.push(self.id.clone());
        words
    }

    /// The runtime as this bundle calls it.
    #[must_use]
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Runs the container in the foreground; it must end with 0.
    #[must_use]
    pub fn run(self) -> Finished {
        let done = self.try_run();
        assert!(done.output.code == Some(0), "the container failed: {:#?}", done.output);
        done
    }

    /// Runs the container in the foreground, whatever comes of it.
    #[must_use]
    pub fn try_run(self) -> Finished {
        self.write();
        let output = self.runtime.call(&self.words("run"));
        Finished::new(self.place, output)
    }

    /// Creates the container.
    #[must_use]
    pub fn create(self) -> Container {
        self.write();
        let output = self.runtime.call(&self.words("create")).ok();
        Container::new(&self, output)
    }

    /// Creates and starts the container.
    #[must_use]
    pub fn start(self) -> Container {
        let container = self.create();
        container.start();
        container
    }

    /// Tries to create; expects a refusal that leaves nothing, and gives its message back.
    #[must_use]
    pub fn refused(self) -> String {
        let (message, _place) = self.refused_at();
        message
    }

    /// As [`Bundle::refused`], and keeps the place for a look around.
    #[must_use]
    pub fn refused_at(self) -> (String, Arc<Place>) {
        self.write();
        let output: Output = self.runtime.call(&self.words("create"));
        let message = output.refused();
        let left = self.place.settled();
        assert!(left.is_empty(), "a failed create undoes what it made; left:\n{left}{output:#?}");
        (message, self.place)
    }
}
