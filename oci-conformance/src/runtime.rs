//! The runtime under test, driven by the command line that runc, crun, youki and corten share.

use std::{
    cell::Cell,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::{
    bundle::Bundle,
    case::Not,
    host::Host,
    world::{remove_tree, wait_child, which},
};

/// No operation of a runtime may take longer.
const LIMIT: Duration = Duration::from_secs(20);

/// What one call of the runtime said.
#[derive(Debug)]
pub(crate) struct Said {
    /// Exit code; none when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// Whether it exited with 0.
    pub(crate) fn ok(&self) -> bool {
        self.code == Some(0)
    }

    /// Its error words, on one line.
    pub(crate) fn words(&self) -> String {
        let last = self.err.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("");
        match self.code {
            Some(code) => format!("exit {code}: {last}"),
            None => format!("killed: {last}"),
        }
    }
}

/// How to find and call the runtime.
pub(crate) struct Options {
    /// Name or path of the program.
    pub(crate) runtime: String,
    /// Row of `known.toml`; the program's file name if not given.
    pub(crate) name: Option<String>,
    /// Value for `--root`; a directory of our own if not given.
    pub(crate) root: Option<PathBuf>,
    /// `ociVersion` of the bundles; the runtime's own maximum if not given.
    pub(crate) oci_version: Option<String>,
    /// Where bundles are made.
    pub(crate) work: PathBuf,
}

/// A runtime with a state directory and a scratch directory of its own.
pub(crate) struct Runtime {
    pub(crate) program: PathBuf,
    pub(crate) name: String,
    /// Second half of the first line of `--version`.
    pub(crate) version: String,
    pub(crate) root: PathBuf,
    pub(crate) work: PathBuf,
    pub(crate) host: Host,
    pub(crate) oci_version: String,
    /// The answer to `features`, if the runtime has that command.
    pub(crate) features: Option<Value>,
    next: Cell<u32>,
}

impl Runtime {
    /// Finds the program, asks for its version and features, prepares the directories.
    ///
    /// # Errors
    /// There is no such program, it cannot say its version, or there is no probe beside us.
    pub(crate) fn open(options: Options) -> io::Result<Self> {
        let program = which(&options.runtime).ok_or_else(|| {
            let words =
                format!("{}: no such program (give a path or a name on PATH)", options.runtime);
            io::Error::new(io::ErrorKind::NotFound, words)
        })?;
        let file_name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let root = options.root.unwrap_or_else(|| options.work.join("state"));
        fs::create_dir_all(&root)?;
        let mut runtime = Self {
            name: options.name.unwrap_or(file_name),
            version: String::new(),
            root,
            work: options.work,
            host: Host::probe()?,
            oci_version: "1.0.2".into(),
            features: None,
            next: Cell::new(0),
            program,
        };
        install_probe(&runtime.probe())?;
        let version = runtime.call(&["--version"])?;
        let first = version.out.lines().next().unwrap_or_default();
        runtime.version = first.rsplit(' ').next().unwrap_or_default().to_owned();
        let features = runtime.call(&["features"])?;
        if features.ok() {
            runtime.features = serde_json::from_str(&features.out).ok();
        }
        let newest = runtime.feature("/ociVersionMax").and_then(Value::as_str);
        if let Some(version) = options.oci_version.as_deref().or(newest) {
            runtime.oci_version = version.split('-').next().unwrap_or(version).to_owned();
        }
        Ok(runtime)
    }

    /// The static probe on the host side; bundles hold a link to it.
    pub(crate) fn probe(&self) -> PathBuf {
        self.work.join("probe")
    }

    /// A part of the features structure, by JSON pointer; `null` counts as absent.
    pub(crate) fn feature(&self, pointer: &str) -> Option<&Value> {
        self.features.as_ref()?.pointer(pointer).filter(|value| !value.is_null())
    }

    /// The strings of an array in the features structure.
    pub(crate) fn feature_words(&self, pointer: &str) -> Option<Vec<String>> {
        let list = self.feature(pointer)?.as_array()?;
        Some(list.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect())
    }

    /// A number that no other bundle of this run has.
    pub(crate) fn number(&self) -> u32 {
        self.next.set(self.next.get() + 1);
        self.next.get()
    }

    /// The runtime with its global options, ready for a verb.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg("--root")
            .arg(&self.root)
            .args(args)
            .stdin(Stdio::null())
            .env_remove("NOTIFY_SOCKET");
        command
    }

    /// Calls a verb. Its outputs are files: a container may inherit them and keep them open.
    ///
    /// # Errors
    /// The program cannot be run, or has not ended in time.
    pub(crate) fn call(&self, args: &[&str]) -> io::Result<Said> {
        let files = Files::new(&self.work, self.number())?;
        self.say(self.command(args), &files)
    }

    /// Calls a prepared command with these output files.
    ///
    /// # Errors
    /// The program cannot be run, or has not ended in time.
    pub(crate) fn say(&self, mut command: Command, files: &Files) -> io::Result<Said> {
        let out = File::options().append(true).create(true).open(&files.out)?;
        let err = File::options().append(true).create(true).open(&files.err)?;
        let mut child = command.stdout(out).stderr(err).spawn()?;
        let status = wait_child(&mut child, LIMIT).map_err(|e| {
            io::Error::new(
                e.kind(),
                format!("{:?}: {e}", command.get_args().nth(2).unwrap_or_default()),
            )
        })?;
        Ok(Said { code: status.code(), out: files.out(), err: files.err() })
    }

    /// A new bundle with the default configuration.
    ///
    /// # Errors
    /// Its files cannot be made.
    pub(crate) fn bundle(&self) -> Result<Bundle<'_>, Not> {
        Bundle::new(self)
    }

    /// The state document of a container.
    ///
    /// # Errors
    /// The runtime refused, or what it printed is no JSON.
    pub(crate) fn state(&self, id: &str) -> Result<Value, Not> {
        let said = self.call(&["state", id])?;
        if !said.ok() {
            return Err(Not::Fail(format!("`state {id}`: {}", said.words())));
        }
        Ok(serde_json::from_str(&said.out)?)
    }

    /// Whether the runtime knows a container of this name.
    ///
    /// # Errors
    /// The program cannot be run.
    pub(crate) fn knows(&self, id: &str) -> io::Result<bool> {
        Ok(self.call(&["state", id])?.ok())
    }
}

/// Two output files of one call, removed on drop.
pub(crate) struct Files {
    pub(crate) out: PathBuf,
    pub(crate) err: PathBuf,
}

impl Files {
    /// Makes two empty files in a directory.
    ///
    /// # Errors
    /// They cannot be made.
    pub(crate) fn new(dir: &Path, number: u32) -> io::Result<Self> {
        let files =
            Self { out: dir.join(format!("{number}.out")), err: dir.join(format!("{number}.err")) };
        File::create(&files.out)?;
        File::create(&files.err)?;
        Ok(files)
    }

    /// What was written to the first.
    pub(crate) fn out(&self) -> String {
        lossy(&self.out)
    }

    /// What was written to the second.
    pub(crate) fn err(&self) -> String {
        lossy(&self.err)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // A leftover is removed with the whole scratch directory.
        let _ = fs::remove_file(&self.out);
        let _ = fs::remove_file(&self.err);
    }
}

fn lossy(file: &Path) -> String {
    fs::read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// Puts the probe, built beside this program, where bundles can link to it.
fn install_probe(to: &Path) -> io::Result<()> {
    let from = std::env::current_exe()?.with_file_name("oci-conformance-probe");
    fs::copy(&from, to).map(drop).map_err(|e| {
        let words = format!("{}: {e} (build the whole package: both programs)", from.display());
        io::Error::new(e.kind(), words)
    })
}

/// The scratch directory of one run, removed on drop.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    /// Makes a directory that mapped users may traverse.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn new(parent: &Path) -> io::Result<Self> {
        let dir = parent.join(format!("oci-conformance-{}", std::process::id()));
        fs::create_dir(&dir)?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&dir, mode)?;
        Ok(Self(dir))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(e) = remove_tree(&self.0) {
            eprintln!("oci-conformance: leaves {}: {e}", self.0.display());
        }
    }
}
