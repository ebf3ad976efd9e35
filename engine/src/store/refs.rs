//! Names of images on disk: one small file each, replaced by one rename.
//!
//! `refs/docker.io/library/alpine/:3.19` is the tag `3.19`, `…/@sha256:…` an image that was pulled
//! by digest, `refs/@/sha256:…` one without a name. No part of a repository begins with `:` or
//! `@`, so that names and directories never clash.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Digest, Store};
use crate::error::{Error, Result, What};
use crate::fsutil;
use crate::image::manifest::{Descriptor, Index};
use crate::image::{Manifest, manifest};
use crate::reference::Reference;

/// Longest record.
const LONGEST: u64 = 64 << 10;
/// Where images without a name are listed.
const NAMELESS: &str = "@";
/// The name of an image in an OCI layout (image-spec, annotations.md).
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// What a name says about its image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The manifest, as OCI writes it.
    pub manifest: Digest,
    /// The configuration: Docker's image id.
    pub image: Digest,
    /// What the registry calls it: the manifest as it was served, or the index it stands in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Digest>,
    /// Manifest as it was served where it is not `manifest`: Docker's own media types.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served: Option<Digest>,
    /// When it got this name, RFC 3339.
    pub added: String,
}

/// A file below `refs/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// Name and tag, or name and digest.
    Named(Reference),
    /// None: the digest is the manifest's.
    Nameless(Digest),
}

impl Name {
    /// The reference, where there is one.
    pub fn reference(&self) -> Option<&Reference> {
        match self {
            Self::Named(reference) => Some(reference),
            Self::Nameless(_) => None,
        }
    }

    fn path(&self, refs: &Path) -> PathBuf {
        match self {
            Self::Nameless(digest) => refs.join(NAMELESS).join(digest.to_string()),
            Self::Named(reference) => {
                let last = match (&reference.tag, &reference.digest) {
                    (Some(tag), _) => format!(":{tag}"),
                    (None, Some(digest)) => format!("@{digest}"),
                    (None, None) => format!(":{}", crate::reference::DEFAULT_TAG),
                };
                refs.join(&reference.host).join(&reference.repository).join(last)
            }
        }
    }

    /// What the file `name` in the directory `dir`, relative to `refs/`, is called.
    fn of(dir: &str, name: &str) -> Option<Self> {
        if dir == NAMELESS {
            return name.parse().ok().map(Self::Nameless);
        }
        let reference = Reference::without_default(&format!("{dir}{name}")).ok()?;
        (reference.tag.is_some() || reference.digest.is_some()).then_some(Self::Named(reference))
    }
}

impl Store {
    /// What a name says; `None` where it is not used.
    ///
    /// # Errors
    /// The record cannot be read.
    pub fn record(&self, name: &Name) -> Result<Option<Record>> {
        self.read_record(&name.path(&self.paths.refs()))
    }

    fn read_record(&self, path: &Path) -> Result<Option<Record>> {
        let Some(content) = fsutil::read_small(path, LONGEST)? else {
            return Ok(None);
        };
        let record = serde_json::from_slice(&content).map_err(|error| {
            Error::new(format!("cannot read {}", path.display()))
                .why(error)
                .fix("run: pier check --repair")
        })?;
        Ok(Some(record))
    }

    /// Every name and what it says, sorted by name. Names that cannot be read are left out:
    /// [`Store::check`] tells of them.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub fn records(&self) -> Result<Vec<(Name, Record)>> {
        let mut found = Vec::new();
        for (name, path) in self.reference_files()? {
            if let (Some(name), Ok(Some(record))) = (name, self.read_record(&path)) {
                found.push((name, record));
            }
        }
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(found)
    }

    /// Every file below `refs/`, with its name where it is one.
    pub(super) fn reference_files(&self) -> Result<Vec<(Option<Name>, PathBuf)>> {
        let top = self.paths.refs();
        let mut found = Vec::new();
        let mut todo = vec![String::new()];
        while let Some(dir) = todo.pop() {
            for name in fsutil::names(&top.join(&dir))? {
                let path = top.join(&dir).join(&name);
                let inner = |name: &str| match dir.as_str() {
                    "" => name.to_owned(),
                    dir => format!("{dir}/{name}"),
                };
                match name.to_str() {
                    Some(name) if path.is_dir() => todo.push(inner(name)),
                    // The remains of a write that was killed.
                    Some(name) if name.ends_with(".tmp") => found.push((None, path)),
                    name => found.push((name.and_then(|name| Name::of(&dir, name)), path)),
                }
            }
        }
        Ok(found)
    }

    /// Writes a record. An image that loses its last name by it is kept without one. Under the
    /// lock of the store.
    pub(super) fn write_record(&self, name: &Name, record: &Record) -> Result<()> {
        let path = name.path(&self.paths.refs());
        let old = self.read_record(&path).unwrap_or(None);
        if let Some(dir) = path.parent() {
            fsutil::make_dirs(dir)?;
        }
        if let Some(old) = old.filter(|old| old.image != record.image)
            && !self.records()?.iter().any(|(other, r)| other != name && r.image == old.image)
        {
            self.write_nameless(&old)?;
        }
        let content = serde_json::to_vec(record).map_err(std::io::Error::from);
        fsutil::write_atomic(&path, &content.what(|| format!("cannot write {}", path.display()))?)
    }

    fn write_nameless(&self, record: &Record) -> Result<()> {
        self.write_record(&Name::Nameless(record.manifest), record)
    }

    /// Takes a name away, and directories that are empty then. Under the lock of the store.
    pub(super) fn remove_record(&self, name: &Name) -> Result<()> {
        let top = self.paths.refs();
        let path = name.path(&top);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            other => other.what(|| format!("cannot remove {}", path.display()))?,
        }
        for dir in path.ancestors().skip(1).take_while(|dir| *dir != top) {
            if std::fs::remove_dir(dir).is_err() {
                return fsutil::sync_dir(dir);
            }
        }
        fsutil::sync_dir(&top)
    }

    /// Writes `index.json` of the layout from the records. Under the lock of the store.
    pub(super) fn write_index(&self) -> Result<()> {
        let mut manifests = Vec::new();
        for (name, record) in self.records()? {
            let path = self.blob_path(&record.manifest);
            let Ok(size) = std::fs::metadata(&path).map(|metadata| metadata.len()) else {
                continue;
            };
            let mut entry = Descriptor::new(manifest::MANIFEST, record.manifest, size);
            entry.platform = self.platform(&record);
            match name {
                Name::Named(reference) => {
                    entry.annotations.insert(REF_NAME.into(), reference.to_string());
                }
                Name::Nameless(_) => {}
            }
            manifests.push(entry);
        }
        let path = self.paths.image().join("index.json");
        let content = serde_json::to_vec(&Index::new(manifests)).map_err(std::io::Error::from);
        fsutil::write_atomic(&path, &content.what(|| format!("cannot write {}", path.display()))?)
    }

    fn platform(&self, record: &Record) -> Option<crate::image::Platform> {
        let config = self.read_config(&record.image).ok()?;
        let variant = config.variant;
        Some(crate::image::Platform { architecture: config.architecture, os: config.os, variant })
    }

    /// The manifest of an image.
    ///
    /// # Errors
    /// It is missing or damaged.
    pub fn read_manifest(&self, digest: &Digest) -> Result<Manifest> {
        Manifest::parse(&self.read_blob(digest, manifest::LONGEST)?)
    }

    /// The configuration of an image.
    ///
    /// # Errors
    /// It is missing or damaged.
    pub fn read_config(&self, digest: &Digest) -> Result<crate::image::ImageConfig> {
        let content = self.read_blob(digest, crate::image::config::LONGEST)?;
        crate::image::ImageConfig::parse(&content)
    }
}
