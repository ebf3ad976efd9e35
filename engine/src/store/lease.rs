//! What a command that writes has for its own: a directory below `staging/`, locked while it lives.
//!
//! The names in `keep/` are blobs and layers that were in place already and that the command
//! relies on: no other command sweeps them. A directory whose lock is free belongs to a command
//! that died; whoever finds one sweeps the whole store.

use std::path::{Path, PathBuf};

use super::{Digest, Store};
use crate::error::{Result, What};
use crate::fsutil::{self, Lock};

/// The directory, until this is dropped.
#[derive(Debug)]
pub(super) struct Lease {
    dir: PathBuf,
    _lock: Lock,
}

impl Lease {
    /// Where things are made.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Keeps what is called `key` from being swept.
    fn keep(&self, key: &str) -> Result<()> {
        let path = self.dir.join("keep").join(key);
        std::fs::write(&path, b"").what(|| format!("cannot write {}", path.display()))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // What cannot be removed is swept by the next command that writes.
        let _ = fsutil::remove_tree(&self.dir);
    }
}

impl Store {
    /// The directory of this command, made when it is asked for the first time. The remains of
    /// commands that died are swept then.
    pub(super) fn staging(&self) -> Result<PathBuf> {
        if let Some(lease) = &self.work().lease {
            return Ok(lease.dir().to_owned());
        }
        let lock = self.lock()?;
        // Another thread may have been faster.
        if let Some(lease) = &self.work().lease {
            return Ok(lease.dir().to_owned());
        }
        self.make_layout()?;
        let lease = self.make_lease()?;
        let dir = lease.dir().to_owned();
        let dead = self.dead_leases()?;
        self.work().lease = Some(lease);
        if !dead.is_empty() {
            self.after_a_crash(dead, lock)?;
        }
        Ok(dir)
    }

    fn make_lease(&self) -> Result<Lease> {
        let dir = self.paths.staging().join(fsutil::random_name()?);
        for inner in ["keep", "blobs", "layers", "trash"] {
            fsutil::make_dirs(&dir.join(inner))?;
        }
        Ok(Lease { _lock: Lock::exclusive(&dir.join("lock"))?, dir })
    }

    /// The frame of the layout; what is there stays.
    fn make_layout(&self) -> Result<()> {
        for dir in [self.blobs(), self.paths.refs(), self.paths.layers(), self.paths.staging()] {
            fsutil::make_dirs(&dir)?;
        }
        fsutil::make_dirs(&self.paths.partial())?;
        const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
        let version = self.paths.image().join("oci-layout");
        let longest = LAYOUT.len() as u64;
        if fsutil::read_small(&version, longest).ok().flatten().as_deref() != Some(LAYOUT) {
            fsutil::write_atomic(&version, LAYOUT)?;
        }
        let index = self.paths.image().join("index.json");
        if !index.exists() {
            self.write_index()?;
        }
        Ok(())
    }

    /// Whether the blob is in place or made by this command; it stays until the command ends.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn has_blob(&self, digest: &Digest) -> Result<bool> {
        if self.work().blobs.contains_key(digest) {
            return Ok(true);
        }
        if !self.blob_path(digest).exists() {
            return Ok(false);
        }
        self.keep(&digest.hex(), &self.blob_path(digest))
    }

    /// Whether something that is in place stays until this command ends: it is, unless it was
    /// swept a moment ago.
    pub(super) fn keep(&self, key: &str, path: &Path) -> Result<bool> {
        self.staging()?;
        let _lock = Lock::shared(&self.lock_file())?;
        let there = path.exists();
        if let (true, Some(lease)) = (there, &self.work().lease) {
            lease.keep(key)?;
        }
        Ok(there)
    }

    /// Directories of commands that died. Under the lock of the store.
    pub(super) fn dead_leases(&self) -> Result<Vec<PathBuf>> {
        let mut dead = Vec::new();
        for name in fsutil::names(&self.paths.staging())? {
            let dir = self.paths.staging().join(name);
            // Every lease is locked before the store's lock is released.
            let lock = dir.join("lock");
            if !lock.exists() || Lock::if_free(&lock)?.is_some() {
                dead.push(dir);
            }
        }
        Ok(dead)
    }
}
