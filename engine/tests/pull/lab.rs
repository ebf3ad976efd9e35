//! One pull's surroundings: a root of its own, an environment of its own, and what it printed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A directory that is gone when the test is.
pub struct Lab {
    pub dir: PathBuf,
    env: Vec<(String, String)>,
}

impl Lab {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("pier-pull-{}-{number}", std::process::id()));
        std::fs::create_dir_all(dir.join("home")).unwrap();
        Self { dir, env: Vec::new() }
    }

    pub fn env(&mut self, name: &str, value: impl ToString) -> &mut Self {
        self.env.push((name.to_owned(), value.to_string()));
        self
    }

    /// Writes a file of the lab.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The registries' file of this lab.
    pub fn registries(&mut self, json: &str) -> &mut Self {
        let path = self.write("registries.json", json);
        self.env("PIER_REGISTRIES", path.display())
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pier"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.env("HOME", self.dir.join("home"));
        command.env("PIER_ROOT", self.dir.join("root")).env("PIER_RUN_ROOT", self.dir.join("run"));
        command.env("PIER_REGISTRIES", self.dir.join("none.json"));
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn pier(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// A pull that works; what it printed.
    pub fn pull(&self, args: &[&str]) -> String {
        let output = self.pier(&[&["pull"], args].concat());
        assert!(output.status.success(), "pull {args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// A pull that fails; what it said.
    pub fn fail(&self, args: &[&str]) -> String {
        let output = self.pier(&[&["pull"], args].concat());
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "pull {args:?}: {text}");
        assert!(text.starts_with("pier: "), "{text}");
        text
    }

    /// Files that were unpacked, of all layers.
    pub fn unpacked(&self, name: &str) -> Vec<Vec<u8>> {
        let Ok(layers) = std::fs::read_dir(self.dir.join("root/layers")) else { return Vec::new() };
        let file = |entry: std::io::Result<std::fs::DirEntry>| {
            std::fs::read(entry.unwrap().path().join("fs").join(name)).ok()
        };
        layers.filter_map(file).collect()
    }

    /// Blobs in place.
    pub fn blobs(&self) -> usize {
        std::fs::read_dir(self.dir.join("root/image/blobs/sha256")).map_or(0, Iterator::count)
    }

    /// Bytes of the longest blob that waits for the next pull.
    pub fn partial(&self) -> u64 {
        let Ok(files) = std::fs::read_dir(self.dir.join("root/partial")) else { return 0 };
        files.map(|file| file.unwrap().metadata().unwrap().len()).max().unwrap_or(0)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A program that ends with the test.
pub struct Service(Child);

impl Service {
    pub fn start(mut command: Command) -> Self {
        Self(
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        )
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for something that comes soon.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what} does not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether all programs are there; where one is missing the test is passed over.
pub fn need(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap();
    let there =
        |program: &&&str| std::env::split_paths(&path).any(|dir| dir.join(program).exists());
    let missing: Vec<_> = programs.iter().filter(|program| !there(program)).collect();
    assert!(missing.is_empty() || std::env::var_os("CI").is_none(), "missing: {missing:?}");
    if !missing.is_empty() {
        eprintln!("passed over: {missing:?} missing");
    }
    missing.is_empty()
}

/// Runs a program that must succeed.
pub fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
