//! Checks the store and puts it in order: everything that can be derived is derived anew.

use std::path::PathBuf;

use super::digest::Hashing;
use super::{Digest, Name, Record, Store};
use crate::error::{Error, Result, What};
use crate::fsutil;
use crate::image::manifest;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is about and what is wrong with it.
    pub what: String,
    /// What [`Store::repair`] does about it.
    pub remedy: String,
}

/// What is wrong with one name.
enum Fault {
    /// The file is no record of a name.
    Stray(PathBuf),
    /// The image cannot be used.
    Broken(Name, Record, Error),
    /// Layers can be unpacked again.
    Unpacked(Record),
}

impl Store {
    /// What is wrong with the store. With `deep` every blob is read and its digest compared.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub fn check(&self, deep: bool) -> Result<Vec<Finding>> {
        let told = |fault| match fault {
            Fault::Stray(path) => Finding {
                what: format!("{} is no name of an image", path.display()),
                remedy: "it is removed".into(),
            },
            Fault::Broken(name, record, why) => Finding {
                what: format!("image {} ({}): {why}", called(&name), record.image.short()),
                remedy: "its name is removed; pull or load it again".into(),
            },
            Fault::Unpacked(record) => Finding {
                what: format!("image {}: unpacked layers are missing", record.image.short()),
                remedy: "they are unpacked again".into(),
            },
        };
        let mut findings: Vec<Finding> = self.faults(deep)?.into_iter().map(told).collect();
        let dead = self.dead_leases()?.len();
        if dead > 0 {
            let what = format!("{dead} directories of commands that were killed");
            findings.push(Finding { what, remedy: "they are removed".into() });
        }
        Ok(findings)
    }

    /// Repairs what [`Store::check`] finds, and returns it.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn repair(&self, deep: bool) -> Result<Vec<Finding>> {
        let findings = self.check(deep)?;
        self.staging()?;
        let mut again = Vec::new();
        {
            let _lock = self.lock()?;
            for fault in self.faults(deep)? {
                match fault {
                    Fault::Stray(path) => {
                        let removed = std::fs::remove_file(&path);
                        removed.what(|| format!("cannot remove {}", path.display()))?;
                    }
                    Fault::Broken(name, record, _) => {
                        self.remove_record(&name)?;
                        self.forget_damage(&record, deep)?;
                    }
                    Fault::Unpacked(record) => again.push(record),
                }
            }
            self.write_index()?;
        }
        for record in again {
            let manifest = self.read_blob(&record.manifest, manifest::LONGEST)?;
            self.put_image(&super::NewImage { manifest: &manifest, names: &[], source: None })?;
        }
        self.sweep()?;
        Ok(findings)
    }

    fn faults(&self, deep: bool) -> Result<Vec<Fault>> {
        let mut faults = Vec::new();
        for (name, path) in self.reference_files()? {
            let record = name.and_then(|name| Some((self.record(&name).ok()??, name)));
            let Some((record, name)) = record else {
                // A name may have been removed since.
                faults.extend(path.exists().then_some(Fault::Stray(path)));
                continue;
            };
            match self.gather(&record.image, &[(name.clone(), record.clone())]) {
                Err(error) => faults.push(Fault::Broken(name, record, error)),
                Ok(image) => match self.blobs_are_there(&image, deep) {
                    Err(error) => faults.push(Fault::Broken(name, record, error)),
                    Ok(()) if self.layer_sizes(&image).is_err() => {
                        faults.push(Fault::Unpacked(record));
                    }
                    Ok(()) => {}
                },
            }
        }
        Ok(faults)
    }

    fn blobs_are_there(&self, image: &super::Image, deep: bool) -> Result<()> {
        for layer in &image.layers {
            let mut blob = self.open_blob(&layer.blob)?;
            let what = || format!("cannot read blob {}", layer.blob);
            let wrong = |why: &str| Err(Error::new(format!("blob {}", layer.blob)).why(why));
            if blob.metadata().what(what)?.len() != layer.size {
                return wrong("it is shorter or longer than the manifest says");
            }
            if deep {
                let mut hashing = Hashing::new(std::io::sink());
                std::io::copy(&mut blob, &mut hashing).what(what)?;
                if hashing.finish().0 != layer.blob {
                    return wrong("its content has another digest");
                }
            }
        }
        Ok(())
    }

    /// Removes the damaged blobs of an image, so that nobody takes them for good ones.
    fn forget_damage(&self, record: &Record, deep: bool) -> Result<()> {
        let mut parts: Vec<(Digest, Option<u64>)> =
            vec![(record.manifest, None), (record.image, None)];
        if let Ok(manifest) = self.read_manifest(&record.manifest) {
            parts.extend(manifest.layers.iter().map(|layer| (layer.digest, Some(layer.size))));
        }
        for (digest, size) in parts {
            let path = self.blob_path(&digest);
            let Ok(mut blob) = self.open_blob(&digest) else { continue };
            let length = blob.metadata().map_or(0, |metadata| metadata.len());
            let short = size.is_some_and(|size| size != length);
            let hashed = deep || size.is_none();
            let mut hashing = Hashing::new(std::io::sink());
            let read = !hashed || std::io::copy(&mut blob, &mut hashing).is_ok();
            if short || !read || (hashed && hashing.finish().0 != digest) {
                std::fs::remove_file(&path).what(|| format!("cannot remove {}", path.display()))?;
            }
        }
        fsutil::sync_dir(&self.blobs())
    }
}

fn called(name: &Name) -> String {
    name.reference().map_or_else(|| "<none>".to_owned(), crate::reference::Reference::familiar)
}
