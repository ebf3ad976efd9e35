//! Unpacked layers: one directory each, shared by every image that has it.
//!
//! A layer that is whole by itself is kept under its diff id. One that is [`Loose`] depends on what
//! is beneath and is kept under a key made of its chain id; so is one beneath which the root
//! directory is not root's with mode 0755, unless the layer says what the root is like.
//!
//! [`Loose`]: crate::layer::unpack::Loose

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Digest, Image, Layer, Store};
use crate::error::{Error, Result, What};
use crate::fsutil;
use crate::image::ImageConfig;
use crate::layer::{Unpacked, settle, unpack};

/// Longest `meta.json`.
const LONGEST: u64 = 64 << 20;
/// The empty directory that stands for an image without layers.
pub(super) const NONE: &str = "none";

/// A layer that is to be put in place.
pub(super) struct Ready {
    /// Its name below `layers/`.
    pub(super) key: String,
    /// Where it was made.
    pub(super) staged: PathBuf,
}

/// Under which key a layer is kept that is not whole by itself.
pub(super) fn loose_key(chain: &Digest) -> String {
    Digest::of(format!("loose {chain}").as_bytes()).hex()
}

impl Store {
    /// The unpacked layers of an image, the top one last: what an overlay mount takes.
    ///
    /// # Errors
    /// One is missing.
    pub fn layers(&self, image: &Image) -> Result<Vec<PathBuf>> {
        if image.layers.is_empty() {
            return Ok(vec![self.paths.layers().join(NONE).join("fs")]);
        }
        let chain = image.config.chain_ids();
        let found = image.layers.iter().zip(&chain).map(|(layer, chain)| {
            self.layer_in_place(&layer.diff_id, chain).map(|dir| dir.join("fs")).ok_or_else(|| {
                Error::new(format!("layer {} of image {} is missing", layer.diff_id, image.id))
                    .fix("run: pier check --repair")
            })
        });
        found.collect()
    }

    /// Bytes of the files of all layers: what Docker shows as the size of an image.
    ///
    /// # Errors
    /// A layer is missing.
    pub fn size(&self, image: &Image) -> Result<u64> {
        Ok(self.layer_sizes(image)?.iter().sum())
    }

    /// Bytes of the files of each layer, the bottom one first.
    ///
    /// # Errors
    /// A layer is missing.
    pub fn layer_sizes(&self, image: &Image) -> Result<Vec<u64>> {
        if image.layers.is_empty() {
            return Ok(Vec::new());
        }
        let sizes = self.layers(image)?.into_iter().map(|fs| Ok(read_meta(&above(&fs))?.size));
        sizes.collect()
    }

    /// Bytes of a layer's archive without compression.
    ///
    /// # Errors
    /// The layer is missing.
    pub fn tar_sizes(&self, image: &Image) -> Result<Vec<u64>> {
        if image.layers.is_empty() {
            return Ok(Vec::new());
        }
        let sizes = self.layers(image)?.into_iter().map(|fs| Ok(read_meta(&above(&fs))?.tar_size));
        sizes.collect()
    }

    /// Whether the layer need not be unpacked: it is in place under its diff id, and stays until
    /// this command ends, or this command has unpacked it.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn has_layer(&self, diff_id: &Digest) -> Result<bool> {
        if self.work().layers.contains_key(diff_id) {
            return Ok(true);
        }
        let path = self.paths.layers().join(diff_id.hex());
        Ok(path.exists() && self.keep(&diff_id.hex(), &path)?)
    }

    /// Unpacks a layer from `stream`, compressed or not, and checks that it is `diff_id`. It is in
    /// place once an image is put that has it. Layers may be added in any order, by threads.
    ///
    /// # Errors
    /// It is another layer, or cannot be unpacked; nothing stays of it.
    pub fn add_layer(&self, diff_id: &Digest, stream: impl Read) -> Result<()> {
        self.unpack_layer(Some(diff_id), stream).map(drop)
    }

    /// As [`Store::add_layer`] for a layer whose diff id nobody knows yet; returns it.
    ///
    /// # Errors
    /// It cannot be unpacked; nothing stays of it.
    pub fn add_new_layer(&self, stream: impl Read) -> Result<Digest> {
        self.unpack_layer(None, stream)
    }

    fn unpack_layer(&self, expected: Option<&Digest>, stream: impl Read) -> Result<Digest> {
        let dir = self.staging()?.join("layers").join(fsutil::random_name()?);
        std::fs::create_dir(&dir).what(|| format!("cannot make {}", dir.display()))?;
        let unpacked = unpack(stream, &dir.join("fs")).and_then(|unpacked| match expected {
            Some(expected) if unpacked.diff_id != *expected => {
                Err(Error::new(format!("layer {expected} is not what came"))
                    .why(format!("without compression its digest is {}", unpacked.diff_id)))
            }
            _ => Ok(unpacked),
        });
        match unpacked {
            Ok(unpacked) => {
                let diff_id = unpacked.diff_id;
                self.work().layers.insert(diff_id, (dir, unpacked));
                Ok(diff_id)
            }
            Err(error) => {
                let _ = fsutil::remove_tree(&dir);
                Err(error)
            }
        }
    }

    /// Completes every layer of an image that is not in place.
    pub(super) fn ready_layers(
        &self,
        layers: &[Layer],
        config: &ImageConfig,
    ) -> Result<Vec<Ready>> {
        let mut ready = Vec::new();
        let mut beneath: Vec<PathBuf> = Vec::new();
        for (layer, chain) in layers.iter().zip(config.chain_ids()) {
            let odd = beneath.last().map_or(Ok(false), |top| odd_root(top))?;
            if let Some(dir) = self.reusable(&layer.diff_id, &chain, odd)? {
                beneath.push(dir.join("fs"));
                continue;
            }
            let (dir, unpacked) = self.take_layer(layer)?;
            let whole = unpacked.loose.is_empty() && (unpacked.has_root || !odd);
            let key = if whole { layer.diff_id.hex() } else { loose_key(&chain) };
            if !whole {
                settle::settle(&dir.join("fs"), &unpacked.loose, unpacked.has_root, &beneath)?;
            }
            write_meta(&dir, &unpacked)?;
            beneath.push(dir.join("fs"));
            ready.push(Ready { key, staged: dir });
        }
        Ok(ready)
    }

    /// A layer in place that can be used with a root beneath that is `odd` or not.
    fn reusable(&self, diff_id: &Digest, chain: &Digest, odd: bool) -> Result<Option<PathBuf>> {
        let (whole, loose) = (diff_id.hex(), loose_key(chain));
        for key in [&loose, &whole] {
            let dir = self.paths.layers().join(key);
            if dir.exists()
                && (key == &loose || !odd || read_meta(&dir)?.has_root)
                && self.keep(key, &dir)?
            {
                return Ok(Some(dir));
            }
        }
        Ok(None)
    }

    /// The layer as this command unpacked it, from its blob if it did not.
    fn take_layer(&self, layer: &Layer) -> Result<(PathBuf, Unpacked)> {
        if let Some(taken) = self.work().layers.remove(&layer.diff_id) {
            return Ok(taken);
        }
        self.add_layer(&layer.diff_id, self.open_blob(&layer.blob)?)?;
        let taken = self.work().layers.remove(&layer.diff_id);
        taken.ok_or_else(|| Error::new(format!("layer {} vanished", layer.diff_id)))
    }

    fn layer_in_place(&self, diff_id: &Digest, chain: &Digest) -> Option<PathBuf> {
        let keys = [loose_key(chain), diff_id.hex()];
        keys.iter().map(|key| self.paths.layers().join(key)).find(|dir| dir.exists())
    }
}

/// Whether the merged root directory is something else than root's with mode 0755.
fn odd_root(top: &Path) -> Result<bool> {
    let root = std::fs::metadata(top).what(|| format!("cannot look at {}", top.display()))?;
    Ok((root.mode() & 0o7777, root.uid(), root.gid()) != (0o755, 0, 0))
}

fn above(fs: &Path) -> PathBuf {
    fs.parent().unwrap_or(fs).to_owned()
}

pub(super) fn read_meta(dir: &Path) -> Result<Unpacked> {
    let path = dir.join("meta.json");
    let wrong = || Error::new(format!("cannot read {}", path.display()));
    let content = fsutil::read_small(&path, LONGEST)?;
    let content = content.ok_or_else(|| wrong().why("it is missing"))?;
    serde_json::from_slice(&content).map_err(|error| wrong().why(error))
}

fn write_meta(dir: &Path, unpacked: &Unpacked) -> Result<()> {
    let path = dir.join("meta.json");
    let what = || format!("cannot write {}", path.display());
    // What was loose is done; nobody asks for it again.
    let meta = Unpacked { loose: Default::default(), ..unpacked.clone() };
    let content = serde_json::to_vec(&meta).map_err(std::io::Error::from).what(what)?;
    std::fs::write(&path, content).what(what)
}
