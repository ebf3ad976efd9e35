//! A container that was created, and the end of one that was run.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::Value;

use crate::bundle::Bundle;
use crate::facts::Facts;
use crate::host::{self, eventually};
use crate::place::Place;
use crate::runtime::{Output, Runtime, lossy};

/// What a foreground `run` left to look at.
#[derive(Debug)]
pub struct Finished {
    /// The call.
    pub output: Output,
    /// What the probe said.
    pub facts: Facts,
    place: Arc<Place>,
}

impl Finished {
    pub(crate) fn new(place: Arc<Place>, output: Output) -> Self {
        let facts = Facts::parse(&output.stdout);
        Self { output, facts, place }
    }

    /// The exit code of the runtime.
    #[must_use]
    pub fn code(&self) -> i32 {
        self.output.code.unwrap_or_else(|| panic!("killed: {:#?}", self.output))
    }

    /// A fact as text; see [`Facts::text`].
    #[must_use]
    pub fn fact(&self, key: &str) -> String {
        self.facts.text(key)
    }

    /// A fact as JSON.
    #[must_use]
    pub fn value(&self, key: &str) -> &Value {
        self.facts.value(key)
    }

    /// The error the probe met; empty when there was none.
    #[must_use]
    pub fn errno(&self, key: &str) -> String {
        self.facts.errno(key)
    }

    /// Standard output.
    #[must_use]
    pub fn stdout(&self) -> &str {
        &self.output.stdout
    }

    /// The place, to look around after the container.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// A path of the test outside the bundle.
    #[must_use]
    pub fn outside(&self, path: &str) -> PathBuf {
        self.place.path(path)
    }

    /// A path below the root file system, seen from the host.
    #[must_use]
    pub fn rootfs(&self, path: &str) -> PathBuf {
        self.place.path("bundle/rootfs").join(path.trim_start_matches('/'))
    }
}

/// A created container. Dropping it deletes it by force and asserts that this worked.
#[derive(Debug)]
pub struct Container {
    id: String,
    runtime: Runtime,
    /// The `create` call.
    pub created: Output,
    bundle: PathBuf,
    place: Arc<Place>,
    deleted: bool,
}

impl Container {
    pub(crate) fn new(bundle: &Bundle, created: Output) -> Self {
        Self {
            id: bundle.id().to_owned(),
            runtime: bundle.runtime().plain(),
            created,
            bundle: bundle.dir().to_owned(),
            place: bundle.place(),
            deleted: false,
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The place it lives in.
    #[must_use]
    pub fn place(&self) -> Arc<Place> {
        Arc::clone(&self.place)
    }

    /// A path below the root file system, seen from the host.
    #[must_use]
    pub fn rootfs(&self, path: &str) -> PathBuf {
        self.bundle.join("rootfs").join(path.trim_start_matches('/'))
    }

    /// The runtime that knows this container.
    #[must_use]
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Calls a verb with this container's id: `words` is the verb and its flags.
    #[must_use]
    pub fn call(&self, words: &[&str]) -> Output {
        let mut all = words.to_vec();
        all.push(&self.id);
        self.runtime.call(&all)
    }

    /// `exec` with flags.
    #[must_use]
    pub fn exec(&self, flags: &[&str], program: &[&str]) -> Output {
        self.runtime.call(&[&["exec"], flags, &[&self.id], program].concat())
    }

    /// Asks the probe in a further process; asserts success.
    #[must_use]
    pub fn ask(&self, flags: &[&str], questions: &[&str]) -> Facts {
        let output = self.exec(flags, &[&["/bin/probe"], questions].concat()).ok();
        Facts::parse(&output.stdout)
    }

    /// Asserts that `exec` was refused as callers want it: exit 255, the words on stderr and in the
    /// log, runc's prefix. Gives the message without it.
    #[must_use]
    pub fn exec_refused(&self, flags: &[&str], program: &[&str]) -> String {
        let output = self.exec(flags, program);
        assert_eq!(output.code, Some(255), "a failed exec exits with 255: {output:#?}");
        let logged = output.logged();
        assert!(output.stderr.contains(&logged), "{output:#?}");
        let words = logged.strip_prefix("exec failed: ");
        words.unwrap_or_else(|| panic!("no prefix: {logged}")).to_owned()
    }

    /// `start`; asserts success.
    pub fn start(&self) {
        let _ = self.call(&["start"]).ok();
    }

    /// `state`, parsed.
    #[must_use]
    pub fn state(&self) -> Value {
        self.call(&["state"]).ok().json()
    }

    /// The status word of `state`.
    #[must_use]
    pub fn status(&self) -> String {
        self.state()["status"].as_str().unwrap_or_default().to_owned()
    }

    /// The pid of the container's first process.
    #[must_use]
    pub fn pid(&self) -> i32 {
        let pid = self.state()["pid"].as_i64().unwrap_or_default();
        i32::try_from(pid).expect("a pid")
    }

    /// `kill ID SIGNAL`.
    #[must_use]
    pub fn kill(&self, signal: &str) -> Output {
        self.runtime.call(&["kill", &self.id, signal])
    }

    /// Kills it and waits until the runtime says so.
    pub fn stop(&self) {
        let pid = self.pid();
        let _ = self.kill("KILL").ok();
        wait_exit(pid);
    }

    /// Waits until the first process has ended by itself, then until `state` says so.
    pub fn wait(&self) {
        let pid = self.pid();
        if pid > 0 {
            wait_exit(pid);
        }
        let stopped = eventually(Duration::from_secs(10), || self.status() == "stopped");
        assert!(stopped, "the container does not stop: {}", self.state());
    }

    /// What the container wrote to its standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        lossy(&self.created.out)
    }

    /// What the probe said so far.
    #[must_use]
    pub fn facts(&self) -> Facts {
        Facts::parse(&self.stdout())
    }

    /// Waits until the container has written `word`.
    pub fn wait_for(&self, word: &str) {
        let seen = eventually(Duration::from_secs(10), || self.stdout().contains(word));
        assert!(seen, "no `{word}` in: {}", self.stdout());
    }

    /// `delete` (with flags); asserts success.
    pub fn delete(&mut self, flags: &[&str]) {
        let mut words = vec!["delete"];
        words.extend(flags);
        let _ = self.call(&words).ok();
        self.deleted = true;
    }

    /// Says that a test took care of the deletion itself.
    pub fn forget(&mut self) {
        self.deleted = true;
    }

    /// The content of a file below `/proc/PID` of the first process.
    #[must_use]
    pub fn proc(&self, file: &str) -> String {
        lossy(&PathBuf::from(format!("/proc/{}/{file}", self.pid())))
    }

    /// A namespace of the first process.
    #[must_use]
    pub fn namespace(&self, name: &str) -> String {
        host::namespace(&self.pid().to_string(), name)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if self.deleted {
            return;
        }
        let output = self.call(&["delete", "--force"]);
        if !std::thread::panicking() {
            assert!(output.code == Some(0), "delete --force failed: {output:#?}");
        }
    }
}

/// Waits until a process, which need not be our child, has ended.
pub fn wait_exit(pid: i32) {
    let Some(fd) = Pid::from_raw(pid).and_then(|p| pidfd_open(p, PidfdFlags::empty()).ok()) else {
        return;
    };
    let limit = Timespec { tv_sec: 20, tv_nsec: 0 };
    let ready = poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&limit)).expect("poll");
    assert!(ready == 1, "process {pid} does not end");
}
