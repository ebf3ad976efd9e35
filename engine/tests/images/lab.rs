//! A store of a test's own, the archives to fill it with, and how trees are compared.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use corten_engine::Paths;
use corten_engine::layer::tar::{Entry, Kind, Writer};
use corten_engine::store::{Digest, Store};

/// Whether the test can run: as root, and these programs are there.
pub(crate) fn can(programs: &[&str]) -> bool {
    let root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let found = |program: &str| {
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .any(|dir| dir.join(program).exists())
    };
    let missing = programs.iter().find(|program| !found(program));
    match (root, missing) {
        (true, None) => true,
        (false, _) => passed_over("root"),
        (_, Some(program)) => passed_over(program),
    }
}

fn passed_over(what: &str) -> bool {
    assert!(std::env::var_os("CI").is_none(), "in CI nothing is passed over: needs {what}");
    eprintln!("passed over: needs {what}");
    false
}

/// A directory with a store in it; it goes away with this.
pub(crate) struct Lab(PathBuf);

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = corten_engine::fsutil::remove_tree(&self.0);
    }
}

impl Lab {
    pub(crate) fn new() -> Self {
        let name = format!("pier-images-{}", corten_engine::fsutil::random_name().unwrap());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn paths(&self) -> Paths {
        Paths { root: self.path("root"), run: self.path("run") }
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(&self.paths()).unwrap()
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pier"));
        command.env("PIER_ROOT", self.path("root")).env("PIER_RUN_ROOT", self.path("run"));
        command.current_dir(&self.0);
        command
    }

    /// Runs pier with words separated by spaces; it must succeed.
    pub(crate) fn pier(&self, line: &str) -> String {
        let output = self.try_pier(line);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "pier {line}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs pier; it must fail. Returns what it said.
    pub(crate) fn refused(&self, line: &str) -> String {
        let output = self.try_pier(line);
        assert!(!output.status.success(), "pier {line} succeeded");
        String::from_utf8(output.stderr).unwrap()
    }

    pub(crate) fn try_pier(&self, line: &str) -> Output {
        self.command().args(line.split(' ')).stdin(Stdio::null()).output().unwrap()
    }

    /// Runs pier with bytes on stdin; it must succeed.
    pub(crate) fn pipe(&self, line: &str, input: &[u8]) -> Vec<u8> {
        let mut command = self.command();
        command.args(line.split(' ')).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "pier {line}");
        output.stdout
    }

    /// Runs a judge in the lab's directory; it must succeed.
    pub(crate) fn run(&self, program: &str, args: &[&str]) -> String {
        let output = Command::new(program).args(args).current_dir(&self.0).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{program} {args:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Loads an image of these layers under `name`; returns its id.
    pub(crate) fn load(&self, name: &str, layers: &[Vec<u8>]) -> String {
        let archive = docker_archive(name, layers);
        let told = self.pipe("load", &archive);
        assert_eq!(String::from_utf8(told).unwrap(), format!("Loaded image: {name}\n"));
        self.store().image(name).unwrap().id.to_string()
    }

    /// Every file of the store.
    pub(crate) fn files(&self) -> Vec<String> {
        let tree = tree(&self.path("root"));
        tree.into_iter()
            .filter(|(_, file)| !file.starts_with("dir"))
            .map(|(path, _)| path)
            .collect()
    }
}

/// What a store without images holds.
pub(crate) const EMPTY: [&str; 3] = ["image/index.json", "image/oci-layout", "lock"];

/// An archive with these entries and data.
pub(crate) fn tar(entries: &[(Entry, &[u8])]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (entry, data) in entries {
        let entry = Entry { size: data.len() as u64, ..entry.clone() };
        writer.append(&entry, *data).unwrap();
    }
    writer.finish().unwrap()
}

pub(crate) fn file(path: &str) -> Entry {
    Entry::new(Kind::File, path, 0o644)
}

pub(crate) fn dir(path: &str) -> Entry {
    Entry::new(Kind::Directory, path, 0o755)
}

pub(crate) fn link(kind: Kind, path: &str, target: &str) -> Entry {
    Entry { link: target.into(), ..Entry::new(kind, path, 0o777) }
}

/// What Docker before 25 saves: `manifest.json`, a configuration, one `layer.tar` a layer.
pub(crate) fn docker_archive(name: &str, layers: &[Vec<u8>]) -> Vec<u8> {
    let diff_ids: Vec<Digest> = layers.iter().map(|layer| Digest::of(layer)).collect();
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "created": "2026-01-02T03:04:05Z",
        "config": { "Cmd": ["/bin/true"], "Labels": { "made.by": "test" }, "Env": null },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
        "history": layers.iter().map(|_| serde_json::json!({
            "created": "2026-01-02T03:04:05Z", "created_by": "COPY"
        })).collect::<Vec<_>>(),
    });
    let config = config.to_string();
    let config_name = format!("{}.json", Digest::of(config.as_bytes()).hex());
    let places: Vec<String> = (0..layers.len()).map(|at| format!("{at}/layer.tar")).collect();
    let manifest = serde_json::json!([
        { "Config": config_name, "RepoTags": [name], "Layers": places }
    ]);
    let mut entries = vec![(file(&config_name), config.as_bytes())];
    entries.extend(places.iter().zip(layers).map(|(name, layer)| (file(name), layer.as_slice())));
    let manifest = manifest.to_string();
    entries.push((file("manifest.json"), manifest.as_bytes()));
    tar(&entries)
}

/// Every path below `top` and all that can be seen of it.
pub(crate) fn tree(top: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut todo = vec![top.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()) {
            let Ok(meta) = entry.symlink_metadata() else { continue };
            let kind = meta.file_type();
            let what = if kind.is_dir() {
                todo.push(entry.clone());
                "dir".to_owned()
            } else if kind.is_symlink() {
                format!("link to {}", std::fs::read_link(&entry).unwrap().display())
            } else if kind.is_file() {
                format!("file {}", Digest::of(&std::fs::read(&entry).unwrap()))
            } else {
                format!("{} {}", if kind.is_fifo() { "fifo" } else { "device" }, meta.rdev())
            };
            let path = entry.strip_prefix(top).unwrap().display().to_string();
            let mode = if kind.is_symlink() { 0 } else { meta.mode() & 0o7777 };
            let owner = format!("{mode:o} {}:{} {:?}", meta.uid(), meta.gid(), xattrs(&entry));
            found.insert(path, format!("{what} {owner}"));
        }
    }
    found
}

fn xattrs(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut names = vec![0_u8; 65536];
    let length = rustix::fs::llistxattr(path, names.as_mut_slice()).unwrap_or(0);
    let names = names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let value = |name: &[u8]| {
        let mut value = vec![0_u8; 65536];
        let name = OsStr::from_bytes(name);
        let length = rustix::fs::lgetxattr(path, name, value.as_mut_slice()).unwrap();
        value.truncate(length);
        (name.to_string_lossy().into_owned(), value)
    };
    names.map(value).collect()
}

/// An image as people build them: every kind of file, two layers that change each other.
pub(crate) fn colourful() -> [Vec<u8>; 2] {
    let owned = |entry: Entry, mode: u32, id: u64| Entry { mode, uid: id, gid: id + 1, ..entry };
    let capable = Entry {
        xattrs: vec![(
            b"security.capability".to_vec(),
            vec![1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        )],
        ..owned(file("bin/ping"), 0o755, 0)
    };
    let fifo = Entry::new(Kind::Fifo, "run/fifo", 0o600);
    let lower = tar(&[
        (owned(dir("./"), 0o755, 0), b""),
        (dir("bin"), b""),
        (owned(file("bin/su"), 0o4755, 0), b"su"),
        (capable, b"ping"),
        (link(Kind::HardLink, "bin/su2", "bin/su"), b""),
        (link(Kind::Symlink, "sbin", "bin"), b""),
        (owned(dir("home/me"), 0o700, 1000), b""),
        (owned(file("home/me/letter"), 0o640, 1000), b"dear"),
        (dir("gone"), b""),
        (file("gone/file"), b"x"),
        (dir("emptied"), b""),
        (file("emptied/old"), b"old"),
        (owned(dir("tmp"), 0o1777, 0), b""),
        (dir("run"), b""),
        (fifo, b""),
    ]);
    let upper = tar(&[
        (file(".wh.gone"), b""),
        (dir("emptied"), b""),
        (file("emptied/.wh..wh..opq"), b""),
        (file("emptied/new"), b"new"),
        (owned(file("home/me/letter"), 0o600, 1000), b"sir"),
        (owned(file("bin/su2"), 0o755, 5), b"changed"),
        (owned(file("large"), 0o644, 3_000_000_000), &[7; 100_000]),
    ]);
    [lower, upper]
}
