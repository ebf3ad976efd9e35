//! An image comes into being: everything complete and on disk, then in place, then named.
//!
//! 1. blobs and layers are made below this command's directory, or kept where they are in place;
//! 2. one `syncfs(2)` makes them durable;
//! 3. under the store's lock they are renamed into place, and the names are written.
//!
//! Killed before the last rename, nothing names what is there, and the next command that writes
//! sweeps it.

use std::fs::File;
use std::path::Path;

use super::layers::{NONE, Ready};
use super::{Digest, Image, Name, Record, Store, lookup};
use crate::error::{Error, Result, What};
use crate::format::time::Timestamp;
use crate::fsutil;
use crate::image::Manifest;
use crate::reference::Reference;

/// An image whose blobs were added to the store.
#[derive(Debug, Clone)]
pub struct NewImage<'a> {
    /// Its manifest, as it came.
    pub manifest: &'a [u8],
    /// What it is to be called; without any it is kept without a name.
    pub names: &'a [Reference],
    /// What the registry calls it: digest of the index or manifest that was asked for.
    pub source: Option<Digest>,
}

/// What an image consists of, each part staged or in place.
struct Parts {
    record: Record,
    blobs: Vec<Digest>,
    layers: Vec<Ready>,
}

impl Store {
    /// Puts an image into the store under its names. Its configuration and its layers' blobs were
    /// added before or are in place; layers that nobody unpacked are unpacked here.
    ///
    /// # Errors
    /// A part is missing, damaged, or of another image; the disk is full.
    pub fn put_image(&self, new: &NewImage<'_>) -> Result<Image> {
        let parts = self.prepare(new)?;
        if !parts.layers.is_empty() || parts.blobs.iter().any(|blob| self.is_staged(blob)) {
            self.sync()?;
        }
        let _lock = self.lock()?;
        self.place(&parts)?;
        let names: Vec<Name> = new.names.iter().cloned().map(Name::Named).collect();
        self.name(&names, &parts.record)?;
        let records = self.records()?;
        self.gather(&parts.record.image, &records)
    }

    /// Gives an image another name.
    ///
    /// # Errors
    /// The image was removed meanwhile; the store cannot be written.
    pub fn tag(&self, image: &Image, name: &Reference) -> Result<()> {
        self.staging()?;
        let _lock = self.lock()?;
        let known = self.records()?.into_iter().find(|(_, record)| record.image == image.id);
        let Some((_, record)) = known else {
            return Err(Error::new(format!("image {} was removed meanwhile", image.id.short())));
        };
        let record = Record { source: None, added: Timestamp::now().to_string(), ..record };
        self.name(&[Name::Named(name.clone())], &record)
    }

    /// Checks that everything is there and belongs together.
    fn prepare(&self, new: &NewImage<'_>) -> Result<Parts> {
        self.staging()?;
        let manifest = Manifest::parse(new.manifest)?;
        let oci = manifest.to_oci();
        let served = Digest::of(new.manifest);
        self.add_blob(new.manifest, &served, None)?;
        let digest = if oci == manifest {
            served
        } else {
            let what = || "cannot write a manifest".to_owned();
            let content = serde_json::to_vec(&oci).map_err(std::io::Error::from).what(what)?;
            self.add_blob(content.as_slice(), &Digest::of(&content), None)?;
            Digest::of(&content)
        };
        let mut blobs = vec![digest, served];
        for part in std::iter::once(&manifest.config).chain(&manifest.layers) {
            self.check_blob(&part.digest, part.size)?;
            blobs.push(part.digest);
        }
        if let Some(source) = new.source.filter(|source| self.is_staged(source)) {
            blobs.push(source);
        }
        let config = self.read_config(&manifest.config.digest)?;
        let layers = self.ready_layers(&lookup::layers(&manifest, &config)?, &config)?;
        let record = Record {
            manifest: digest,
            image: manifest.config.digest,
            source: new.source,
            served: (served != digest).then_some(served),
            added: Timestamp::now().to_string(),
        };
        Ok(Parts { record, blobs, layers })
    }

    fn check_blob(&self, digest: &Digest, size: u64) -> Result<()> {
        if !self.has_blob(digest)? {
            return Err(Error::new(format!("blob {digest} of the image is missing")));
        }
        let length = self.open_blob(digest)?.metadata();
        let length = length.what(|| format!("cannot look at blob {digest}"))?.len();
        if length != size {
            let why = format!("it has {length} bytes, the manifest says {size}");
            return Err(Error::new(format!("blob {digest} is not what the manifest says")).why(why));
        }
        Ok(())
    }

    fn is_staged(&self, digest: &Digest) -> bool {
        self.work().blobs.contains_key(digest)
    }

    /// Makes all that was written so far durable.
    fn sync(&self) -> Result<()> {
        let root = &self.paths.root;
        let what = || format!("cannot sync {}", root.display());
        rustix::fs::syncfs(File::open(root).what(what)?).what(what)
    }

    /// Renames blobs and layers into place. Under the lock of the store.
    fn place(&self, parts: &Parts) -> Result<()> {
        for digest in &parts.blobs {
            let staged = self.work().blobs.remove(digest);
            if let Some(staged) = staged {
                place(&staged, &self.blob_path(digest))?;
            }
        }
        fsutil::sync_dir(&self.blobs())?;
        for layer in &parts.layers {
            place(&layer.staged, &self.paths.layers().join(&layer.key))?;
        }
        fsutil::make_dirs(&self.paths.layers().join(NONE).join("fs"))?;
        fsutil::sync_dir(&self.paths.layers())
    }

    /// Writes the names of an image and the index. Under the lock of the store.
    fn name(&self, names: &[Name], record: &Record) -> Result<()> {
        let nameless = Name::Nameless(record.manifest);
        for name in names {
            self.write_record(name, record)?;
        }
        if !names.is_empty() {
            self.remove_record(&nameless)?;
        } else if !self.records()?.iter().any(|(_, other)| other.image == record.image) {
            self.write_record(&nameless, record)?;
        }
        self.write_index()
    }
}

/// Renames; what another command put there meanwhile is the same and stays.
fn place(staged: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        return Ok(());
    }
    match std::fs::rename(staged, to) {
        // Another command completed the same download.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && to.exists() => Ok(()),
        other => other.what(|| format!("cannot put {} in place", to.display())),
    }
}
