//! Finds images: by name, by digest, by the beginning of an id, as Docker does.

use super::{Digest, Layer, Name, Record, Store};
use crate::error::{Error, Result};
use crate::image::{ImageConfig, Manifest};
use crate::reference::Reference;

/// An image of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Digest of its configuration: Docker's image id.
    pub id: Digest,
    /// Digest of its manifest in the layout.
    pub manifest: Digest,
    /// Its configuration.
    pub config: ImageConfig,
    /// Its layers, the bottom one first.
    pub layers: Vec<Layer>,
    /// Its names with a tag. [`Store::image`] by name tells that one only.
    pub names: Vec<Reference>,
    /// Its names with the digest that the registry knows.
    pub digests: Vec<Reference>,
    /// When it got its first name, RFC 3339.
    pub added: String,
}

impl Store {
    /// The image that a person means: a name, a name with a digest, or the beginning of an id.
    /// By name, one file is looked at and not the whole store.
    ///
    /// # Errors
    /// There is none (with the nearest name), several begin so, or it is damaged.
    pub fn image(&self, query: &str) -> Result<Image> {
        if let Some((name, record)) = self.named(query)? {
            return self.assemble(&[(&name, &record)]);
        }
        let records = self.records()?;
        let id = self.by_id(query, &records)?.ok_or_else(|| unknown(query, &records))?;
        self.gather(&id, &records)
    }

    /// As [`Store::image`], with all the names that it has.
    ///
    /// # Errors
    /// As [`Store::image`].
    pub fn image_with_names(&self, query: &str) -> Result<Image> {
        let records = self.records()?;
        let id = match self.named(query)? {
            Some((_, record)) => record.image,
            None => self.by_id(query, &records)?.ok_or_else(|| unknown(query, &records))?,
        };
        self.gather(&id, &records)
    }

    /// The image of a name; `None` where the name is not used.
    ///
    /// # Errors
    /// It is damaged.
    pub fn find(&self, reference: &Reference) -> Result<Option<Image>> {
        let found = self.find_record(reference)?;
        found.map(|(name, record)| self.assemble(&[(&name, &record)])).transpose()
    }

    /// Every image with its names, the newest first.
    ///
    /// # Errors
    /// A directory cannot be read. Images that are damaged are left out.
    pub fn images(&self) -> Result<Vec<Image>> {
        let records = self.records()?;
        let mut ids: Vec<Digest> = records.iter().map(|(_, record)| record.image).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut images: Vec<Image> =
            ids.iter().filter_map(|id| self.gather(id, &records).ok()).collect();
        images.sort_by(|one, other| {
            other.config.created.cmp(&one.config.created).then(one.id.cmp(&other.id))
        });
        Ok(images)
    }

    /// The record that a text names, if it is a name at all.
    pub(crate) fn named(&self, query: &str) -> Result<Option<(Name, Record)>> {
        match query.parse::<Reference>() {
            Ok(reference) => self.find_record(&reference),
            Err(_) => Ok(None),
        }
    }

    fn find_record(&self, reference: &Reference) -> Result<Option<(Name, Record)>> {
        let Some(digest) = reference.digest else {
            let name = Name::Named(reference.clone());
            return Ok(self.record(&name)?.map(|record| (name, record)));
        };
        // The digest decides, whatever the tag says.
        let of_digest = |(name, record): &(Name, Record)| {
            let same = name.reference().is_some_and(|name| name.name() == reference.name());
            same && [record.source, Some(record.manifest), record.served].contains(&Some(digest))
        };
        Ok(self.records()?.into_iter().find(of_digest))
    }

    /// The id that begins so, with or without `sha256:`.
    pub(crate) fn by_id(&self, query: &str, records: &[(Name, Record)]) -> Result<Option<Digest>> {
        let prefix = query.strip_prefix("sha256:").unwrap_or(query);
        if prefix.is_empty() || !prefix.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let prefix = prefix.to_ascii_lowercase();
        let mut ids: Vec<Digest> = records.iter().map(|(_, record)| record.image).collect();
        ids.retain(|id| id.hex().starts_with(&prefix));
        ids.sort_unstable();
        ids.dedup();
        match ids.as_slice() {
            [] => Ok(None),
            [id] => Ok(Some(*id)),
            several => {
                let several: Vec<String> = several.iter().map(Digest::short).collect();
                let why = format!("these begin so: {}", several.join(", "));
                Err(Error::new(format!("several images match {query}")).why(why))
            }
        }
    }

    /// An image with every name among `records`.
    pub(crate) fn gather(&self, id: &Digest, records: &[(Name, Record)]) -> Result<Image> {
        let of_image = records.iter().filter(|(_, record)| record.image == *id);
        self.assemble(&of_image.map(|(name, record)| (name, record)).collect::<Vec<_>>())
    }

    fn assemble(&self, records: &[(&Name, &Record)]) -> Result<Image> {
        let Some((_, first)) = records.first() else {
            return Err(Error::new("an image without a record"));
        };
        let config = self.read_config(&first.image)?;
        let manifest = self.read_manifest(&first.manifest)?;
        let mut image = Image {
            id: first.image,
            manifest: first.manifest,
            layers: layers(&manifest, &config)?,
            config,
            names: Vec::new(),
            digests: Vec::new(),
            added: first.added.clone(),
        };
        for (name, record) in records {
            image.added = image.added.min(record.added.clone());
            let Name::Named(reference) = name else { continue };
            if reference.tag.is_some() {
                image.names.push(reference.clone());
            }
            if let Some(source) = record.source.or(reference.digest) {
                let by_digest = Reference { tag: None, digest: Some(source), ..reference.clone() };
                image.digests.push(by_digest);
            }
        }
        image.digests.sort();
        image.digests.dedup();
        Ok(image)
    }
}

/// The layers of manifest and configuration together.
///
/// # Errors
/// They are not about the same number of layers.
pub(super) fn layers(manifest: &Manifest, config: &ImageConfig) -> Result<Vec<Layer>> {
    let (blobs, diffs) = (&manifest.layers, &config.rootfs.diff_ids);
    if blobs.len() != diffs.len() {
        let why = format!("{} layers, {} diff ids", blobs.len(), diffs.len());
        return Err(Error::new("manifest and configuration of the image differ").why(why));
    }
    let layer = |(blob, diff_id): (&crate::image::Descriptor, &Digest)| Layer {
        diff_id: *diff_id,
        blob: blob.digest,
        size: blob.size,
    };
    Ok(blobs.iter().zip(diffs).map(layer).collect())
}

/// There is no such image; the nearest name may be meant.
pub(crate) fn unknown(query: &str, records: &[(Name, Record)]) -> Error {
    let names: Vec<String> = records
        .iter()
        .filter_map(|(name, _)| name.reference())
        .map(|reference| match reference.tag.as_deref() {
            Some(crate::reference::DEFAULT_TAG) => reference.familiar_name(),
            _ => reference.familiar(),
        })
        .collect();
    let error = Error::new(format!("no such image: {query}"));
    match crate::format::nearest(query, names.iter().map(String::as_str)) {
        Some(name) => error.fix(format!("did you mean {name}?")),
        None => error.fix(format!("get it with: pier pull {query}")),
    }
}
