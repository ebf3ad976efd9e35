//! Mark and sweep: what no name, no container and no living command reaches goes away.
//!
//! There are no reference counts that could be wrong after a crash: what is used is found anew by
//! reading every record. All of it happens under the store's lock; what goes is renamed into this
//! command's trash, and removed when the lock is released.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::layers::{NONE, loose_key, read_meta};
use super::{Digest, Name, Record, Store};
use crate::error::{Error, Result, What};
use crate::fsutil::{self, Lock};
use crate::image::{ImageConfig, Manifest, config, manifest};

/// Longest record of a container that is looked through.
const LONGEST: u64 = 16 << 20;

/// What a sweep took away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Bytes on disk that are free again.
    pub bytes: u64,
    /// Diff ids of the unpacked layers that went.
    pub layers: Vec<Digest>,
}

/// What is in use.
#[derive(Default)]
struct Marked {
    blobs: HashSet<String>,
    layers: HashSet<String>,
}

impl Store {
    /// Removes names and everything that is out of reach then. `decide` sees all records under the
    /// lock and says which names go, and which record stays behind without a name.
    ///
    /// # Errors
    /// `decide` refuses; a record cannot be read, so that nobody knows what is in use.
    pub(crate) fn remove(
        &self,
        decide: impl FnOnce(&[(Name, Record)]) -> Result<(Vec<Name>, Option<Record>)>,
    ) -> Result<Swept> {
        self.staging()?;
        let lock = self.lock()?;
        let (names, nameless) = decide(&self.records()?)?;
        if let Some(record) = nameless {
            self.write_record(&Name::Nameless(record.manifest), &record)?;
        }
        for name in &names {
            self.remove_record(name)?;
        }
        self.write_index()?;
        self.sweep_locked(lock)
    }

    /// Removes everything that is out of reach.
    ///
    /// # Errors
    /// As [`Store::remove`].
    pub fn sweep(&self) -> Result<Swept> {
        self.remove(|_| Ok((Vec::new(), None)))
    }

    /// Blobs that an interrupted download left, unless somebody is downloading them now. Returns
    /// how many bytes they had.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn sweep_partials(&self) -> Result<u64> {
        let mut bytes = 0;
        for name in fsutil::names(&self.paths.partial())? {
            let path = self.paths.partial().join(name);
            if let Some(mut lock) = Lock::if_free(&path)? {
                bytes += lock.file().metadata().map_or(0, |metadata| metadata.len());
                let removed = std::fs::remove_file(&path);
                removed.what(|| format!("cannot remove {}", path.display()))?;
            }
        }
        Ok(bytes)
    }

    /// Puts the store in order after commands that died. Takes the lock of the store.
    pub(super) fn after_a_crash(&self, dead: Vec<PathBuf>, lock: Lock) -> Result<()> {
        for dir in dead {
            self.discard(&dir)?;
        }
        self.remove_litter()?;
        self.write_index()?;
        // A record that cannot be read stops the sweep, not the command: `check` tells of it.
        let _ = self.sweep_locked(lock);
        Ok(())
    }

    /// Files that a killed write left beside their place.
    fn remove_litter(&self) -> Result<()> {
        let mut litter: Vec<PathBuf> = Vec::new();
        for dir in [self.paths.image(), self.paths.refs()] {
            litter.extend(fsutil::names(&dir)?.into_iter().map(|name| dir.join(name)));
        }
        litter.extend(self.reference_files()?.into_iter().map(|(_, path)| path));
        for path in litter.iter().filter(|path| path.extension().is_some_and(|e| e == "tmp")) {
            let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes()[0] == b'.');
            if hidden && path.is_file() {
                let removed = std::fs::remove_file(path);
                removed.what(|| format!("cannot remove {}", path.display()))?;
            }
        }
        Ok(())
    }

    fn sweep_locked(&self, lock: Lock) -> Result<Swept> {
        let marked = self.mark()?;
        let mut swept = Swept::default();
        for name in fsutil::names(&self.blobs())? {
            if !name.to_str().is_some_and(|name| marked.blobs.contains(name)) {
                self.discard(&self.blobs().join(name))?;
            }
        }
        for name in fsutil::names(&self.paths.layers())? {
            let used = |name: &str| name == NONE || marked.layers.contains(name);
            if !name.to_str().is_some_and(used) {
                let dir = self.paths.layers().join(name);
                swept.layers.extend(read_meta(&dir).ok().map(|meta| meta.diff_id));
                self.discard(&dir)?;
            }
        }
        drop(lock);
        let trash = self.staging()?.join("trash");
        let what = || format!("cannot empty {}", trash.display());
        for name in fsutil::names(&trash)? {
            let path = trash.join(name);
            let bytes = match path.symlink_metadata().what(what)? {
                meta if meta.is_dir() => fsutil::usage(&path).what(what)?,
                meta => std::os::unix::fs::MetadataExt::blocks(&meta) * 512,
            };
            swept.bytes += bytes;
            fsutil::remove_tree(&path).what(what)?;
        }
        Ok(swept)
    }

    /// Moves something into this command's trash.
    fn discard(&self, path: &Path) -> Result<()> {
        let lease = self.work().lease.as_ref().map(|lease| lease.dir().to_owned());
        let trash = lease.ok_or_else(|| Error::new("a sweep without a lease"))?.join("trash");
        let renamed = std::fs::rename(path, trash.join(fsutil::random_name()?));
        renamed.what(|| format!("cannot remove {}", path.display()))
    }

    /// Everything in use. Under the lock of the store.
    fn mark(&self) -> Result<Marked> {
        let mut marked = Marked::default();
        for (name, path) in self.reference_files()? {
            let record = match &name {
                Some(name) => self.record(name)?,
                None => return Err(stray(&path)),
            };
            if let Some(record) = record {
                self.mark_image(&record, &mut marked)?;
            }
        }
        // What this command relied on so far it has put in place or given up.
        let own = self.staging()?;
        let leases = fsutil::names(&self.paths.staging())?.into_iter();
        for lease in leases.map(|name| self.paths.staging().join(name)).filter(|dir| *dir != own) {
            for key in fsutil::names(&lease.join("keep"))? {
                let key = key.to_string_lossy().into_owned();
                marked.blobs.insert(key.clone());
                marked.layers.insert(key);
            }
        }
        for (_, used) in self.used_by_containers()? {
            used.digests.iter().for_each(|digest| self.mark_used(digest, &mut marked));
            marked.layers.extend(used.layers);
        }
        Ok(marked)
    }

    fn mark_image(&self, record: &Record, marked: &mut Marked) -> Result<()> {
        let parts = [Some(record.manifest), Some(record.image), record.source, record.served];
        marked.blobs.extend(parts.iter().flatten().map(Digest::hex));
        let manifest = self.read_manifest(&record.manifest)?;
        marked.blobs.extend(manifest.layers.iter().map(|layer| layer.digest.hex()));
        mark_layers(&self.read_config(&record.image)?, marked);
        Ok(())
    }

    /// What a container's record names: a configuration keeps its layers, a manifest itself.
    fn mark_used(&self, digest: &Digest, marked: &mut Marked) {
        if let Ok(content) = self.read_blob(digest, config::LONGEST) {
            marked.blobs.insert(digest.hex());
            if let Ok(manifest) = Manifest::parse(&content) {
                marked.blobs.insert(manifest.config.digest.hex());
                self.mark_used(&manifest.config.digest, marked);
            } else if let Ok(config) = ImageConfig::parse(&content) {
                mark_layers(&config, marked);
            }
        }
    }

    /// Every container's id and what its record names.
    ///
    /// # Errors
    /// A record cannot be read.
    pub(crate) fn used_by_containers(&self) -> Result<Vec<(String, Used)>> {
        let mut found = Vec::new();
        for name in fsutil::names(&self.paths.containers())? {
            let id = name.to_string_lossy().into_owned();
            let spec = self.paths.container(&id).join("spec.json");
            if let Some(content) = fsutil::read_small(&spec, LONGEST)? {
                found.push((id, Used::of(&String::from_utf8_lossy(&content))));
            }
        }
        Ok(found)
    }
}

impl Store {
    /// Whether a container's state says that it runs, is paused or about to be started again.
    pub(crate) fn is_live(&self, container: &str) -> bool {
        let path = self.paths.container(container).join("state.json");
        let content = fsutil::read_small(&path, LONGEST).unwrap_or(None).unwrap_or_default();
        let state: serde_json::Value = serde_json::from_slice(&content).unwrap_or_default();
        matches!(state["status"].as_str(), Some("running" | "paused" | "restarting"))
    }

    /// Bytes on disk of all blobs and unpacked layers, complete or not.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub fn disk_usage(&self) -> Result<u64> {
        let parts = [self.paths.image(), self.paths.layers(), self.paths.partial()];
        let usage = |path: &PathBuf| {
            fsutil::usage(path).what(|| format!("cannot look through {}", path.display()))
        };
        parts.iter().map(usage).sum()
    }
}

/// What the record of a container names, wherever in it: nothing of that may go.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Used {
    /// Digests: its image's, among others.
    pub(crate) digests: HashSet<Digest>,
    /// Keys of unpacked layers, in paths.
    pub(crate) layers: HashSet<String>,
}

impl Used {
    fn of(text: &str) -> Self {
        let after = |word: &'static str| {
            let starts = text.match_indices(word).map(|(at, word)| at + word.len());
            starts.filter_map(|at| Digest::from_hex(text.get(at..at + 64)?))
        };
        Self {
            digests: after("sha256:").collect(),
            layers: after("/layers/").map(|key| key.hex()).collect(),
        }
    }
}

fn mark_layers(config: &ImageConfig, marked: &mut Marked) {
    marked.layers.extend(config.rootfs.diff_ids.iter().map(Digest::hex));
    marked.layers.extend(config.chain_ids().iter().map(loose_key));
}

fn stray(path: &Path) -> Error {
    Error::new(format!("{} is no name of an image", path.display()))
        .why("nothing is removed while it is unknown what is in use")
        .fix("run: pier check --repair")
}

/// The longest of the two documents fits.
const _: () = assert!(manifest::LONGEST <= config::LONGEST);
