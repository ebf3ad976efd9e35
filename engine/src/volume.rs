//! Volumes, host paths and memory that containers mount.
//!
//! [`resolve()`] runs when a container is created: it reads the flags, makes volumes that are
//! missing and enters the container as their user. [`populate`] follows as soon as the
//! container's root is mounted, and copies the image's content into volumes that are empty.
//! [`activate`] runs before each start, [`release`] when the container is removed. The mounts go
//! into the container's record and, by [`Mount::options`], into its bundle.

pub mod asked;
mod copy;
mod csv;
mod local;
mod resolve;
pub mod shared;
mod store;
pub mod verbs;
mod wanted;

use std::fs;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};

pub use self::resolve::{Request, resolve};
pub use self::store::{Volume, Volumes};
pub use self::wanted::Kind;
use crate::error::{Error, Result, What as _};
use crate::paths::Paths;

/// Flags of `run` and `create` about mounts.
#[allow(
    rustdoc::broken_intra_doc_links,
    reason = "help text: brackets stand for what may be left out"
)]
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MountFlags {
    /// Mount a volume or a path of the host: [SOURCE:]TARGET[:ro,nocopy,rslave,...]
    #[arg(short = 'v', long, value_name = "MOUNT")]
    pub volume: Vec<String>,
    /// Mount something: type=bind|volume|tmpfs,source=...,target=...[,readonly,...]
    #[arg(long, value_name = "MOUNT")]
    pub mount: Vec<String>,
    /// Mount memory: TARGET[:size=64m,exec,...]
    #[arg(long, value_name = "MOUNT")]
    pub tmpfs: Vec<String>,
    /// Mount what another container has: CONTAINER[:ro]
    #[arg(long, value_name = "CONTAINER")]
    pub volumes_from: Vec<String>,
    /// Driver of the volumes that are made; there is local
    #[arg(long, value_name = "DRIVER")]
    pub volume_driver: Option<String>,
}

/// A mount of a container, decided.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Mount {
    /// What is mounted.
    pub kind: Kind,
    /// Name of the volume.
    pub name: Option<String>,
    /// Path on the host; `tmpfs` for memory.
    pub source: String,
    /// Path in the container.
    pub target: String,
    /// `rprivate`, `rslave` and so on; empty for memory.
    pub propagation: String,
    /// The third part of `-v`, as `inspect` shows it.
    pub mode: String,
    /// Not writable.
    pub read_only: bool,
    /// Of `config.json`.
    pub options: Vec<String>,
    /// The volume takes no content from the image.
    pub nocopy: bool,
    /// The volume goes when its last container is removed with its volumes.
    pub anonymous: bool,
    /// A directory inside the volume.
    pub subpath: String,
}

impl Mount {
    /// `type` of the entry in `config.json`.
    pub fn fs_type(&self) -> &'static str {
        match self.kind {
            Kind::Tmpfs => "tmpfs",
            Kind::Bind | Kind::Volume => "bind",
        }
    }

    /// The entry of `Mounts` in `inspect`, in Docker's shape.
    pub fn inspect(&self) -> serde_json::Value {
        let mut entry = serde_json::Map::new();
        let kind = match self.kind {
            Kind::Bind => "bind",
            Kind::Volume => "volume",
            Kind::Tmpfs => "tmpfs",
        };
        entry.insert("Type".into(), kind.into());
        if let Some(name) = &self.name {
            entry.insert("Name".into(), name.as_str().into());
        }
        let source = if self.kind == Kind::Tmpfs { "" } else { &self.source };
        entry.insert("Source".into(), source.into());
        entry.insert("Destination".into(), self.target.as_str().into());
        if self.kind == Kind::Volume {
            entry.insert("Driver".into(), "local".into());
        }
        entry.insert("Mode".into(), self.mode.as_str().into());
        entry.insert("RW".into(), (!self.read_only).into());
        let propagation = if self.kind == Kind::Bind { &self.propagation } else { "" };
        entry.insert("Propagation".into(), propagation.into());
        entry.into()
    }
}

/// What the root's propagation (`linux.rootfsPropagation`) must be for these mounts to work;
/// `None` when any will do.
pub fn rootfs_propagation(mounts: &[Mount]) -> Option<&'static str> {
    let any = |word: &str| mounts.iter().any(|mount| mount.propagation.ends_with(word));
    match (any("shared"), any("slave")) {
        (true, _) => Some("shared"),
        (false, true) => Some("rslave"),
        (false, false) => None,
    }
}

/// Whether [`populate`] has something to do.
pub fn needs_content(mounts: &[Mount]) -> bool {
    let volume = |mount: &Mount| mount.kind == Kind::Volume && !mount.nocopy;
    mounts
        .iter()
        .filter(|mount| volume(mount))
        .any(|mount| fs::read_dir(&mount.source).is_ok_and(|mut entries| entries.next().is_none()))
}

/// Copies what the image has at their targets into volumes that are empty. `root` is the
/// container's root file system, mounted.
///
/// # Errors
/// Reading the image or writing the volume fails; the volume is empty again then.
pub fn populate(paths: &Paths, mounts: &[Mount], root: BorrowedFd<'_>) -> Result<()> {
    let volumes = Volumes::of(paths);
    for mount in mounts.iter().filter(|mount| mount.kind == Kind::Volume && !mount.nocopy) {
        let Some(name) = mount.name.as_deref().filter(|_| mount.subpath.is_empty()) else {
            continue;
        };
        let words = || format!("cannot copy {} of the image into volume {name}", mount.target);
        let Some(image) = copy::source(root, &mount.target).what(words)? else { continue };
        let _lock = volumes.lock()?;
        let data = volumes.data(name);
        let open = || fs::File::open(&data).and_then(copy::is_empty);
        if !open().what(words)? {
            continue;
        }
        if !volumes.get(name)?.options.is_empty() {
            // Another file system: there is no renaming onto it.
            copy::tree(&image, &data).what(words)?;
            continue;
        }
        let fresh = data.with_file_name("_copy");
        let stage = || {
            if fresh.exists() {
                crate::fsutil::remove_tree(&fresh)?;
            }
            store::make_directory(&fresh, 0o700)?;
            copy::tree(&image, &fresh)?;
            fs::rename(&fresh, &data)
        };
        stage().what(words)?;
    }
    Ok(())
}

/// Makes ready what the mounts need on the host: mounts volumes that are mounts themselves, makes
/// host directories of `-v` that are missing, looks for sources.
///
/// # Errors
/// A source that is not there, a mount that fails.
pub fn activate(paths: &Paths, mounts: &[Mount]) -> Result<()> {
    let volumes = Volumes::of(paths);
    for mount in mounts {
        if let (Kind::Volume, Some(name)) = (mount.kind, mount.name.as_deref()) {
            let volume = volumes.get(name)?;
            if !volume.options.is_empty() {
                let _lock = volumes.lock()?;
                let mounted = local::mount(&volume.options, &volumes.data(name));
                mounted.what(|| format!("cannot mount volume {name}")).map_err(|error| {
                    error.fix(format!("check its options: pier volume inspect {name}"))
                })?;
            }
            subpath(mount)?;
        }
        if mount.kind == Kind::Bind && !PathBuf::from(&mount.source).exists() {
            return Err(resolve::missing(&mount.source));
        }
    }
    Ok(())
}

/// The directory inside a volume must be there, and inside.
fn subpath(mount: &Mount) -> Result<()> {
    if mount.subpath.is_empty() {
        return Ok(());
    }
    let name = mount.name.as_deref().unwrap_or_default();
    let wrong = |why: String| {
        Error::new(format!("cannot access path {} of volume {name}", mount.subpath)).why(why)
    };
    let whole = mount.source.strip_suffix(&mount.subpath).unwrap_or(&mount.source);
    let resolved = fs::canonicalize(&mount.source).map_err(|e| wrong(crate::error::plain(&e)))?;
    let whole = fs::canonicalize(whole).map_err(|e| wrong(crate::error::plain(&e)))?;
    if !resolved.starts_with(whole) {
        return Err(wrong("a symbolic link leads out of the volume".into()));
    }
    Ok(())
}

/// Ends the use of volumes by a container that is removed. With `anonymous`, volumes that nobody
/// named go too, unless another container has them (`rm -v`, `run --rm`). What is gone already is
/// fine.
///
/// # Errors
/// A volume that cannot be removed.
pub fn release(paths: &Paths, container: &str, mounts: &[Mount], anonymous: bool) -> Result<()> {
    let volumes = Volumes::of(paths);
    let mut names = mounts.iter().filter_map(|mount| Some((mount.name.as_deref()?, mount)));
    names.try_for_each(|(name, mount)| {
        let _lock = volumes.lock()?;
        let Some(volume) = volumes.find(name)? else { return Ok(()) };
        volumes.leave(name, container)?;
        let goes = anonymous && volume.anonymous && mount.anonymous;
        if goes && volumes.users(name)?.iter().all(|user| user == container) {
            volumes.erase(name)?;
        }
        Ok(())
    })
}

#[cfg(test)]
#[path = "volume_tests.rs"]
mod tests;
