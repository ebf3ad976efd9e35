//! The three grammars of mounts: `-v`, `--mount`, `--tmpfs`. Pure; the words are Docker's.

use std::collections::BTreeMap;

use super::csv::csv;
use crate::error::{Error, Result};
use crate::format::size;

/// What is mounted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A path of the host.
    Bind,
    /// A volume of the engine's.
    #[default]
    Volume,
    /// Memory.
    Tmpfs,
}

/// How mounts below the source of a bind are taken along.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Recursive {
    /// They are, and read-only with it where the kernel can.
    #[default]
    Enabled,
    /// They are not.
    Disabled,
    /// They are, and stay writable below a read-only mount.
    Writable,
    /// They are, and must be read-only.
    ReadOnly,
}

/// One mount as it was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) kind: Kind,
    /// A path, the name of a volume, or nothing.
    pub(super) source: String,
    pub(super) target: String,
    pub(super) read_only: bool,
    /// The third part of `-v`, as it was written.
    pub(super) mode: String,
    pub(super) propagation: String,
    pub(super) recursive: Recursive,
    pub(super) relabel: bool,
    pub(super) nocopy: bool,
    pub(super) subpath: String,
    pub(super) driver: String,
    pub(super) options: BTreeMap<String, String>,
    pub(super) labels: BTreeMap<String, String>,
    /// `-v` makes a host directory that is missing, `--mount` does not.
    pub(super) make_source: bool,
    /// Options of a tmpfs.
    pub(super) tmpfs: Vec<String>,
}

const PROPAGATIONS: [&str; 6] = ["private", "rprivate", "shared", "rshared", "slave", "rslave"];

fn bad(spec: &str, why: impl std::fmt::Display) -> Error {
    Error::new(format!("invalid volume specification: '{spec}'")).why(why)
}

/// A path of a container: absolute, without `.` and `..`, not the root.
pub(super) fn target(path: &str) -> Result<String> {
    if !path.starts_with('/') {
        return Err(Error::new(format!("invalid mount path: '{path}'"))
            .why("mount path must be absolute")
            .fix("the path in the container comes last in -v, and is the target of --mount"));
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    if parts.is_empty() {
        return Err(Error::new("invalid specification: destination can't be '/'"));
    }
    Ok(format!("/{}", parts.join("/")))
}

/// Reads one `-v`: `[SOURCE:]TARGET[:MODE]`.
pub(super) fn volume(spec: &str) -> Result<Wanted> {
    let parts: Vec<&str> = spec.split(':').collect();
    let (source, path, mode) = match parts.as_slice() {
        [path] => ("", *path, ""),
        [source, path] => (*source, *path, ""),
        [source, path, mode] => (*source, *path, *mode),
        _ => {
            return Err(bad(spec, "it has more than three parts").fix("use --mount for such paths"));
        }
    };
    if path.is_empty() || (parts.len() > 1 && source.is_empty()) {
        return Err(bad(spec, "a part of it is empty").fix("write [SOURCE:]TARGET[:MODE]"));
    }
    if parts.len() == 2 && !path.starts_with('/') && modes(path).is_ok() {
        return Err(bad(spec, "a volume without a source cannot have a mode"));
    }
    let bind = source.contains('/') || source.starts_with('.') || source.starts_with('~');
    let mut wanted = Wanted {
        kind: if bind { Kind::Bind } else { Kind::Volume },
        source: source.to_owned(),
        target: target(path)?,
        mode: mode.to_owned(),
        make_source: true,
        ..modes(mode)?
    };
    if bind {
        if wanted.nocopy {
            return Err(Error::new(format!("invalid mode: {mode}")).why("nocopy is for volumes"));
        }
        wanted.source = absolute(source)?;
    } else if !wanted.propagation.is_empty() {
        let error = Error::new(format!("invalid mode: {mode}"));
        return Err(error.why("propagation is for paths of the host"));
    }
    Ok(wanted)
}

/// A host path from the command line: `./data` is relative to the current directory.
fn absolute(source: &str) -> Result<String> {
    if source.starts_with('~') {
        return Err(Error::new(format!("cannot mount {source}"))
            .why("~ was not expanded by the shell")
            .fix("write $HOME, or an absolute path"));
    }
    let path = std::path::absolute(source)
        .map_err(|error| Error::new(format!("cannot mount {source}")).why(error))?;
    path.into_os_string()
        .into_string()
        .map_err(|_| Error::new(format!("cannot mount {source}")).why("the path is not UTF-8"))
}

/// The words of a mode, each at most once.
fn modes(mode: &str) -> Result<Wanted> {
    let mut wanted = Wanted::default();
    let mut seen: Vec<&str> = Vec::new();
    for word in mode.split(',').filter(|_| !mode.is_empty()) {
        let class = match word {
            "ro" => {
                wanted.read_only = true;
                "ro"
            }
            "rw" => "ro",
            "z" | "Z" => {
                wanted.relabel = true;
                "z"
            }
            "nocopy" => {
                wanted.nocopy = true;
                "nocopy"
            }
            "cached" | "consistent" | "delegated" | "default" => "consistency",
            word if PROPAGATIONS.contains(&word) => {
                word.clone_into(&mut wanted.propagation);
                "propagation"
            }
            _ => {
                return Err(Error::new(format!("invalid mode: {mode}")).fix(
                    "the words are ro, rw, z, Z, nocopy, and private, shared, slave with an r \
                     before them or not",
                ));
            }
        };
        if seen.contains(&class) {
            return Err(
                Error::new(format!("invalid mode: {mode}")).why("one word excludes another")
            );
        }
        seen.push(class);
    }
    Ok(wanted)
}

/// Reads one `--tmpfs`: `TARGET[:OPTIONS]`.
pub(super) fn tmpfs(spec: &str) -> Result<Wanted> {
    let (path, options) = spec.split_once(':').unwrap_or((spec, ""));
    let mut wanted = Wanted { kind: Kind::Tmpfs, target: target(path)?, ..Wanted::default() };
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let known = match option.split_once('=') {
            Some((key, value)) => {
                ["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol", "huge"]
                    .contains(&key)
                    && !value.is_empty()
            }
            None => FLAGS.iter().any(|(on, off)| *on == option || *off == option),
        };
        if !known {
            return Err(Error::new(format!("invalid tmpfs option [{option:?}]")));
        }
        wanted.read_only |= option == "ro";
        wanted.tmpfs.push(option.to_owned());
    }
    Ok(wanted)
}

/// Flags of mounts that exclude each other.
const FLAGS: [(&str, &str); 11] = [
    ("ro", "rw"),
    ("nosuid", "suid"),
    ("nodev", "dev"),
    ("noexec", "exec"),
    ("sync", "async"),
    ("noatime", "atime"),
    ("nodiratime", "diratime"),
    ("relatime", "norelatime"),
    ("strictatime", "nostrictatime"),
    ("mand", "nomand"),
    ("defaults", "defaults"),
];

/// Docker's options of a tmpfs, then the user's; of those that exclude each other, or say the
/// same again, the later one stays.
pub(super) fn merge_tmpfs(user: &[String]) -> Vec<String> {
    let mut merged: Vec<String> = Vec::new();
    let defaults = ["noexec", "nosuid", "nodev"].map(str::to_owned);
    for option in defaults.iter().chain(user) {
        let key = |o: &str| o.split_once('=').map(|(key, _)| key.to_owned());
        let against = |old: &String| match (key(old), key(option)) {
            (Some(old), Some(new)) => old == new,
            (None, None) => {
                let pair = FLAGS.iter().find(|(on, off)| on == option || off == option);
                pair.is_some_and(|(on, off)| on == old || off == old)
            }
            _ => false,
        };
        merged.retain(|old| !against(old));
        merged.push(option.clone());
    }
    merged
}

/// Reads one `--mount`: `type=bind,source=/a,target=/b,readonly`, as a line of CSV.
pub(super) fn mount(spec: &str) -> Result<Wanted> {
    let wrong =
        |why: String| Error::new(format!("invalid argument {spec:?} for \"--mount\"")).why(why);
    let mut wanted = Wanted::default();
    let mut size_and_mode = Vec::new();
    for field in csv(spec).ok_or_else(|| wrong("a quote is not closed".into()))? {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_ascii_lowercase(), Some(value)),
            None => (field.to_ascii_lowercase(), None),
        };
        let Some(value) = value.or_else(|| flag(&key)) else {
            return Err(wrong(format!("invalid field '{field}' must be a key=value pair")));
        };
        set(&mut wanted, &mut size_and_mode, &key, value).map_err(&wrong)?;
    }
    wanted.tmpfs = size_and_mode;
    if wanted.target.is_empty() {
        return Err(wrong("target is required".into()));
    }
    wanted.target = target(&wanted.target)?;
    if let Some(why) = misplaced(&wanted) {
        return Err(wrong(why));
    }
    if wanted.kind == Kind::Bind {
        wanted.source = absolute(&wanted.source)?;
    }
    if wanted.kind == Kind::Tmpfs && wanted.read_only {
        wanted.tmpfs.push("ro".into());
    }
    Ok(wanted)
}

/// Keys that need no value.
fn flag(key: &str) -> Option<&'static str> {
    let flags = ["readonly", "ro", "volume-nocopy", "bind-nonrecursive", "bind-create-src"];
    flags.contains(&key).then_some("true")
}

fn truth(key: &str, value: &str) -> std::result::Result<bool, String> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("invalid value for {key}: {value}")),
    }
}

fn set(
    wanted: &mut Wanted,
    tmpfs: &mut Vec<String>,
    key: &str,
    value: &str,
) -> std::result::Result<(), String> {
    let invalid = || format!("invalid value for {key}: {value}");
    let pair = || value.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()));
    match key {
        "type" => {
            wanted.kind = match value.to_ascii_lowercase().as_str() {
                "bind" => Kind::Bind,
                "volume" => Kind::Volume,
                "tmpfs" => Kind::Tmpfs,
                "image" | "cluster" | "npipe" => {
                    return Err(format!("mounts of type {value} are not supported"));
                }
                _ => return Err(format!("mount type unknown: {value:?}")),
            }
        }
        "source" | "src" => value.clone_into(&mut wanted.source),
        "target" | "dst" | "destination" => value.clone_into(&mut wanted.target),
        "readonly" | "ro" => wanted.read_only = truth(key, value)?,
        "consistency" => {
            let known = ["consistent", "cached", "delegated", "default"].contains(&value);
            known.then_some(()).ok_or_else(invalid)?;
        }
        "bind-propagation" => {
            PROPAGATIONS.contains(&value).then_some(()).ok_or_else(invalid)?;
            value.clone_into(&mut wanted.propagation);
        }
        "bind-nonrecursive" => {
            if truth(key, value)? {
                wanted.recursive = Recursive::Disabled;
            }
        }
        "bind-recursive" => {
            wanted.recursive = match value {
                "enabled" => Recursive::Enabled,
                "disabled" => Recursive::Disabled,
                "writable" => Recursive::Writable,
                "readonly" => Recursive::ReadOnly,
                _ => return Err(invalid()),
            }
        }
        "bind-create-src" => wanted.make_source = truth(key, value)?,
        "volume-nocopy" => wanted.nocopy = truth(key, value)?,
        "volume-subpath" => value.clone_into(&mut wanted.subpath),
        "volume-driver" => value.clone_into(&mut wanted.driver),
        "volume-opt" => wanted.options.extend([pair().ok_or_else(invalid)?]),
        "volume-label" => {
            wanted.labels.extend([pair().unwrap_or_else(|| (value.to_owned(), String::new()))]);
        }
        "tmpfs-size" => tmpfs.push(format!("size={}", size::parse(value).ok_or_else(invalid)?)),
        "tmpfs-mode" => {
            let mode = u32::from_str_radix(value, 8).ok().filter(|mode| *mode <= 0o7777);
            tmpfs.push(format!("mode={:o}", mode.ok_or_else(invalid)?));
        }
        _ => return Err(format!("unexpected key '{key}'")),
    }
    Ok(())
}

/// Options of one type given to another.
fn misplaced(wanted: &Wanted) -> Option<String> {
    let bind = !wanted.propagation.is_empty() || wanted.recursive != Recursive::Enabled;
    let volume = wanted.nocopy
        || !(wanted.subpath.is_empty() && wanted.driver.is_empty())
        || !(wanted.options.is_empty() && wanted.labels.is_empty());
    let kind = match wanted.kind {
        Kind::Bind => "bind",
        Kind::Volume => "volume",
        Kind::Tmpfs => "tmpfs",
    };
    let mixed = [
        ("bind-*", (bind || wanted.make_source) && wanted.kind != Kind::Bind),
        ("volume-*", volume && wanted.kind != Kind::Volume),
        ("tmpfs-*", !wanted.tmpfs.is_empty() && wanted.kind != Kind::Tmpfs),
    ];
    if let Some((options, _)) = mixed.iter().find(|(_, given)| *given) {
        return Some(format!("cannot mix '{options}' options with mount type '{kind}'"));
    }
    match wanted.kind {
        Kind::Bind if wanted.source.is_empty() => Some("source is required".into()),
        Kind::Tmpfs if !wanted.source.is_empty() => {
            Some("source cannot be given for a tmpfs".into())
        }
        Kind::Bind if wanted.recursive == Recursive::ReadOnly && !wanted.read_only => {
            Some("option 'bind-recursive=readonly' requires 'readonly'".into())
        }
        Kind::Bind
            if wanted.recursive == Recursive::ReadOnly && wanted.propagation != "rprivate" =>
        {
            Some("option 'bind-recursive=readonly' requires 'bind-propagation=rprivate'".into())
        }
        Kind::Bind if wanted.recursive == Recursive::Writable && !wanted.read_only => {
            Some("option 'bind-recursive=writable' requires 'readonly'".into())
        }
        _ => None,
    }
}

#[cfg(test)]
#[path = "wanted_tests.rs"]
mod tests;
