//! The store of images: plain files, no daemon, no database, whole after any crash.
//!
//! ```text
//! image/            a legal OCI image layout: skopeo and umoci read it
//! refs/HOST/REPOSITORY/:TAG    which image a name means: the truth; image/index.json is made of it
//! refs/@/sha256:…              images that lost their last name
//! layers/KEY/{fs,meta.json}    unpacked layers, shared by every image that has them
//! staging/RANDOM/   what a command makes until it is complete; dead ones are swept
//! partial/HEX       blobs whose download was interrupted
//! ```
//!
//! A command that writes has a lease ([`lease`]): a directory below `staging/`, locked while the
//! command lives. What is complete is made durable by one `syncfs(2)`, renamed into place under
//! the store's lock, and then named: [`commit`]. What no name reaches is swept: [`sweep`]. The
//! lock is never held across the network, and readers take none.

mod blob;
mod commit;
pub mod digest;
mod layers;
mod lease;
mod lookup;
pub(crate) mod refs;
mod repair;
mod sweep;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

pub use blob::Partial;
pub use commit::NewImage;
pub use digest::Digest;
pub use lookup::Image;
pub(crate) use lookup::unknown;
pub use refs::{Name, Record};
pub use repair::Finding;
pub use sweep::Swept;

use crate::error::Result;
use crate::fsutil::Lock;
use crate::layer::Unpacked;
use crate::paths::Paths;
use lease::Lease;

/// The store, opened by one command. It may be shared by threads.
#[derive(Debug)]
pub struct Store {
    paths: Paths,
    work: Mutex<Work>,
}

/// What this command has made so far.
#[derive(Debug, Default)]
struct Work {
    lease: Option<Lease>,
    /// Complete blobs that are not in place yet.
    blobs: HashMap<Digest, PathBuf>,
    /// Unpacked layers that are not in place yet, by diff id.
    layers: HashMap<Digest, (PathBuf, Unpacked)>,
}

/// One layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Digest of its archive without compression.
    pub diff_id: Digest,
    /// Digest of its blob.
    pub blob: Digest,
    /// Bytes of its blob.
    pub size: u64,
}

impl Store {
    /// Opens the store below `paths.root`, which may be missing: it is made by the first write.
    ///
    /// # Errors
    /// None today; a store of a newer format will be refused here.
    pub fn open(paths: &Paths) -> Result<Self> {
        Ok(Self { paths: paths.clone(), work: Mutex::default() })
    }

    /// Keeps images and layers from being removed while it is held: take it, write down which
    /// image a container uses, let it go. Commands that change the store wait meanwhile.
    ///
    /// # Errors
    /// The lock's file cannot be made.
    pub fn hold(&self) -> Result<Lock> {
        self.make_root()?;
        Lock::shared(&self.lock_file())
    }

    fn lock(&self) -> Result<Lock> {
        self.make_root()?;
        Lock::exclusive(&self.lock_file())
    }

    fn lock_file(&self) -> PathBuf {
        self.paths.lock()
    }

    fn make_root(&self) -> Result<()> {
        if self.paths.root.is_dir() { Ok(()) } else { crate::fsutil::make_dirs(&self.paths.root) }
    }

    fn work(&self) -> std::sync::MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The blobs of the layout.
    fn blobs(&self) -> PathBuf {
        self.paths.image().join("blobs/sha256")
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }
}

#[cfg(test)]
mod tests;
