//! Calls the runtime under test: arguments, environment, a wrapper in front, and a time limit.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::host;
use crate::place::Place;

/// How long any call may take before the test fails; tests of time limits set their own.
pub const PATIENCE: Duration = Duration::from_secs(30);

static CALL: AtomicU32 = AtomicU32::new(0);

/// The path of the runtime under test.
#[must_use]
pub fn path() -> PathBuf {
    std::env::var_os("CORTEN_TEST_RUNTIME").map_or_else(|| host::built("corten"), PathBuf::from)
}

/// One way of calling the runtime, for one state root.
#[derive(Debug, Clone)]
pub struct Runtime {
    id: String,
    dir: PathBuf,
    root: PathBuf,
    /// The file that is called: the runtime under test, or a link to it.
    pub program: PathBuf,
    /// Words put in front of the runtime's path (`unshare -n …`).
    pub wrapper: Vec<String>,
    /// Global flags, after `--root` and before the verb.
    pub global: Vec<String>,
    /// Environment added to the runtime's.
    pub env: Vec<(String, String)>,
    /// Names taken out of the runtime's environment.
    pub unset: Vec<String>,
    /// The call fails the test after this.
    pub patience: Duration,
    /// Working directory of the runtime.
    pub cwd: Option<PathBuf>,
}

impl Runtime {
    /// The runtime with the state root of `place`.
    #[must_use]
    pub fn new(place: &Place) -> Self {
        Self {
            id: place.id().to_owned(),
            dir: place.dir().to_owned(),
            root: place.root(),
            program: path(),
            wrapper: Vec::new(),
            global: Vec::new(),
            env: Vec::new(),
            unset: Vec::new(),
            patience: PATIENCE,
            cwd: None,
        }
    }

    /// The same without wrapper, added flags and environment: for verbs after `create`.
    #[must_use]
    pub fn plain(&self) -> Self {
        Self {
            wrapper: Vec::new(),
            global: Vec::new(),
            env: Vec::new(),
            unset: Vec::new(),
            patience: PATIENCE,
            cwd: None,
            ..self.clone()
        }
    }

    /// The command line for `args`, not started.
    #[must_use]
    pub fn command<S: AsRef<str>>(&self, args: &[S]) -> Command {
        let mut words: Vec<OsString> = self.wrapper.iter().map(Into::into).collect();
        words.push(self.program.clone().into());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg("--root").arg(&self.root).args(&self.global);
        command.args(args.iter().map(AsRef::as_ref));
        // A caller's own NOTIFY_SOCKET or LISTEN_FDS is no part of a test.
        for name in ["NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"] {
            command.env_remove(name);
        }
        command.env("CORTEN_TEST_ID", &self.id);
        command.envs(self.env.iter().map(|(k, v)| (k, v)));
        for name in &self.unset {
            command.env_remove(name);
        }
        if let Some(cwd) = &self.cwd {
            command.current_dir(cwd);
        }
        command
    }

    /// Starts a call with files for its output, so that a detached container never blocks the test.
    #[must_use]
    pub fn spawn<S: AsRef<str>>(&self, args: &[S]) -> Call {
        let number = CALL.fetch_add(1, Ordering::Relaxed);
        let name = |what: &str| self.dir.join(format!("{what}.{number}"));
        let (log, out, err) = (name("log"), name("out"), name("err"));
        let mut with_log = self.clone();
        let logging = ["--log", &log.to_string_lossy(), "--log-format", "json"].map(String::from);
        with_log.global.splice(0..0, logging);
        let mut command = with_log.command(args);
        command
            .stdin(Stdio::null())
            .stdout(File::create(&out).expect("output file"))
            .stderr(File::create(&err).expect("output file"));
        let words = format!("{command:?}");
        let child = spawn_patiently(&mut command).unwrap_or_else(|e| panic!("{words}: {e}"));
        Call { child, words, log, out, err, end: Instant::now() + self.patience }
    }

    /// Runs a call to its end.
    #[must_use]
    pub fn call<S: AsRef<str>>(&self, args: &[S]) -> Output {
        self.spawn(args).wait()
    }
}

/// Starts a program; a busy file (`ETXTBSY`, another thread forked while it was written) is tried again.
fn spawn_patiently(command: &mut Command) -> io::Result<Child> {
    for _ in 0..50 {
        match command.spawn() {
            Err(e) if e.kind() == io::ErrorKind::ExecutableFileBusy => {
                std::thread::sleep(Duration::from_millis(10));
            }
            other => return other,
        }
    }
    command.spawn()
}

/// A call under way.
#[derive(Debug)]
pub struct Call {
    /// The runtime's process (or its wrapper's).
    pub child: Child,
    words: String,
    log: PathBuf,
    out: PathBuf,
    err: PathBuf,
    end: Instant,
}

impl Call {
    /// Waits for the end. Panics, after killing the runtime, when patience is over.
    #[must_use]
    pub fn wait(mut self) -> Output {
        let mut status = None;
        let left = self.end.saturating_duration_since(Instant::now());
        let done = host::eventually(left, || {
            status = self.child.try_wait().expect("wait for the runtime");
            status.is_some()
        });
        if !done {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        let output = self.output(status.unwrap_or_default());
        assert!(done, "timed out: {}\n{output:?}", self.words);
        output
    }

    /// What has been written so far.
    #[must_use]
    pub fn output(&self, status: ExitStatus) -> Output {
        Output {
            words: self.words.clone(),
            code: status.code(),
            signal: status.signal(),
            stdout: lossy(&self.out),
            stderr: lossy(&self.err),
            log: lossy(&self.log),
            out: self.out.clone(),
        }
    }
}

/// A file as text; a missing one is empty.
#[must_use]
pub fn lossy(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// The end of a call.
#[derive(Debug, Clone)]
pub struct Output {
    /// The command line.
    pub words: String,
    /// Exit code; none when a signal killed it.
    pub code: Option<i32>,
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// The `--log` file.
    pub log: String,
    /// Where standard output went: a detached container keeps writing there.
    pub out: PathBuf,
}

impl Output {
    /// Asserts success and hands itself on.
    #[must_use]
    pub fn ok(self) -> Self {
        assert!(self.code == Some(0), "the runtime failed: {self:#?}");
        self
    }

    /// Asserts that the call was refused as it must be: exit 1, the words on stderr in one line,
    /// and the same in one JSON object in the log. Gives the message back.
    #[must_use]
    pub fn refused(&self) -> String {
        assert_eq!(self.code, Some(1), "a refusal exits with 1: {self:#?}");
        let lines: Vec<&str> = self.stderr.lines().filter(|l| !l.trim().is_empty()).collect();
        assert!(!lines.is_empty(), "a refusal says why on stderr: {self:#?}");
        for panic in ["panicked at", "goroutine ", "SIGSEGV", "RUST_BACKTRACE"] {
            assert!(!self.stderr.contains(panic), "a crash is no refusal: {self:#?}");
        }
        self.logged()
    }

    /// The `msg` of the last error in the log; asserts that the log is the JSON that callers parse.
    #[must_use]
    pub fn logged(&self) -> String {
        let mut message = None;
        for line in self.log.lines() {
            let entry: Value = serde_json::from_str(line)
                .unwrap_or_else(|e| panic!("a log line is no JSON ({e}): {line}"));
            if entry["level"] == "error" {
                assert!(entry["time"].is_string(), "a log entry has a time: {line}");
                message = entry["msg"].as_str().map(str::to_owned);
            }
        }
        message.unwrap_or_else(|| panic!("no error in the log: {self:#?}"))
    }

    /// Standard output as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("no JSON ({e}): {self:#?}"))
    }
}
