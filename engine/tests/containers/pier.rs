//! One engine of a test's own: roots, a root file system, and the look at what is left.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Names that busybox answers to in the tests.
const APPLETS: [&str; 18] = [
    "cat", "echo", "env", "false", "grep", "head", "hostname", "id", "ls", "mount", "ps", "pwd",
    "seq", "sh", "sleep", "stty", "touch", "true",
];

/// The engine.
pub(crate) struct Pier {
    dir: PathBuf,
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Pier {
    /// A new engine, `None` where it cannot work.
    pub(crate) fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let busybox = which("busybox")?;
        if !rustix::process::geteuid().is_root() {
            return passed_over("not root");
        }
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("pier-test-{}-{number}", std::process::id()));
        let rootfs = dir.join("rootfs");
        for sub in ["bin", "dev", "etc", "proc", "sys", "tmp"] {
            fs::create_dir_all(rootfs.join(sub)).unwrap();
        }
        copy(&busybox, &rootfs.join("bin/busybox"));
        copy_libraries(&busybox, &rootfs);
        for applet in APPLETS {
            symlink("busybox", rootfs.join("bin").join(applet)).unwrap();
        }
        fs::write(rootfs.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\nweb:x:33:34::/:\n")
            .unwrap();
        fs::write(rootfs.join("etc/group"), "root:x:0:\nwww:x:34:\nextra:x:44:web\n").unwrap();
        Some(Self { dir })
    }

    /// The root file system.
    pub(crate) fn rootfs(&self) -> String {
        self.dir.join("rootfs").display().to_string()
    }

    /// A path of the test's own.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pier"));
        command.arg("--root").arg(self.dir.join("root"));
        command.arg("--run-root").arg(self.dir.join("run")).args(args);
        command
    }

    /// Says something to the engine.
    pub(crate) fn say(&self, args: &[&str]) -> Said {
        self.say_with(args, b"")
    }

    /// The same, with something on stdin.
    pub(crate) fn say_with(&self, args: &[&str], input: &[u8]) -> Said {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said {
            code: output.status.code().unwrap_or(-1),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    /// What it prints when all goes well, without the last line end.
    pub(crate) fn out(&self, args: &[&str]) -> String {
        let said = self.say(args);
        assert_eq!(said.code, 0, "{args:?}: {}", said.err);
        said.out.trim_end().to_owned()
    }

    /// `run FLAGS --network none ROOTFS COMMAND` with a shell's line as the command.
    pub(crate) fn sh(&self, flags: &[&str], line: &str) -> Said {
        self.sh_with(flags, line, b"")
    }

    /// The same, with something on stdin.
    pub(crate) fn sh_with(&self, flags: &[&str], line: &str, input: &[u8]) -> Said {
        let rootfs = self.rootfs();
        let mut args = vec!["run", "--network", "none", "--rootfs"];
        args.extend(flags);
        args.extend([rootfs.as_str(), "sh", "-c", line]);
        self.say_with(&args, input)
    }

    /// A container that runs in the background; its id.
    pub(crate) fn start(&self, name: &str, flags: &[&str], line: &str) -> String {
        let flags = [&["-d", "--name", name], flags].concat();
        let said = self.sh(&flags, line);
        assert_eq!(said.code, 0, "{}", said.err);
        said.out.trim().to_owned()
    }

    /// A member of `inspect`.
    pub(crate) fn inspect(&self, name: &str, member: &str) -> String {
        self.out(&["inspect", "--format", &format!("{{{{.{member}}}}}"), name])
    }

    /// Waits until a member of `inspect` has this value.
    pub(crate) fn until(&self, name: &str, member: &str, value: &str) {
        let begun = Instant::now();
        while self.inspect(name, member) != value {
            assert!(begun.elapsed() < Duration::from_secs(20), "{member} never is {value}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Pier {
    fn drop(&mut self) {
        let all = self.say(&["ps", "-aq", "--no-trunc"]).out;
        for id in all.lines() {
            self.say(&["rm", "-fv", id]);
        }
        if std::thread::panicking() {
            return;
        }
        let names = |dir: &Path| -> Vec<_> {
            let entries = fs::read_dir(dir).into_iter().flatten().flatten();
            entries.map(|entry| entry.file_name()).filter(|name| name != ".lock").collect()
        };
        let left = |dir: PathBuf| assert_eq!(names(&dir).len(), 0, "{}", dir.display());
        // A monitor may still be at the last line of its work.
        std::thread::sleep(Duration::from_millis(100));
        left(self.dir.join("root/containers"));
        left(self.dir.join("root/names"));
        left(self.dir.join("run/runtime"));
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let ours = self.dir.display().to_string();
        assert!(!mounts.contains(&ours), "a mount is left: {mounts}");
        for id in all.lines() {
            let cgroup = Path::new("/sys/fs/cgroup/memory/pier").join(id);
            assert!(!cgroup.exists(), "{}", cgroup.display());
        }
        fs::remove_dir_all(&self.dir).unwrap();
    }
}

/// Says why a test does not run; where everything must run it fails.
fn passed_over<T>(why: &str) -> Option<T> {
    assert!(std::env::var_os("CI").is_none(), "in CI nothing is passed over: {why}");
    eprintln!("passed over: {why}");
    None
}

/// Where a program is that a test needs.
pub(crate) fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let found =
        std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.exists());
    found.or_else(|| passed_over(&format!("no {program}")))
}

/// Copies a program by another process: a descriptor open for writing here would be inherited by what other
/// tests fork in that moment, and until those execute, execve(2) of the file fails (`ETXTBSY`).
fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg(from).arg(to).status().unwrap();
    assert!(copied.success(), "{}", to.display());
}

/// Debian's busybox is linked with the C library, busybox-static is not.
fn copy_libraries(program: &Path, rootfs: &Path) {
    let listed = Command::new("ldd").arg(program).output().unwrap();
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    for library in text.split_whitespace().filter(|word| word.starts_with('/')) {
        let to = rootfs.join(library.trim_start_matches('/'));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        copy(Path::new(library), &to);
    }
}
