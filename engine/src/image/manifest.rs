//! Manifests and indexes, OCI's and Docker's: the same shape under different media types.
//!
//! Sources: image-spec `manifest.md`, `image-index.md`, `media-types.md`; Docker's "Image Manifest
//! Version 2, Schema 2".

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::lenient;
use crate::error::{Error, Result};
use crate::store::Digest;

/// Media type of an OCI manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of an OCI index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Media type of an OCI image configuration.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Media type of a layer without compression; `+gzip` or `+zstd` may follow.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// Media type of Docker's manifest.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Media type of Docker's index.
pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Media type of Docker's image configuration.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// Media types of Docker's layers begin so.
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
/// Docker's layers that may not be distributed.
const DOCKER_FOREIGN: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar";
/// The same of OCI (deprecated since 1.1, still served).
const NONDISTRIBUTABLE: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar";
/// Longest manifest or index that is read, as of every registry.
pub const LONGEST: u64 = 4 << 20;
/// Most layers of an image: what overlayfs takes.
const LAYERS: usize = crate::layer::overlay::MOST;

/// Names a blob (descriptor.md).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob is.
    #[serde(default, deserialize_with = "lenient")]
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// Where else it can be had.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Notes.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What it runs on; in an index only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

impl Descriptor {
    /// Names the blob `content`.
    pub fn of(media_type: &str, content: &[u8]) -> Self {
        Self::new(media_type, Digest::of(content), content.len() as u64)
    }

    /// Names a blob.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        let (media_type, annotations) = (media_type.to_owned(), BTreeMap::new());
        Self { media_type, digest, size, urls: Vec::new(), annotations, platform: None }
    }
}

/// What an image runs on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// `amd64`, `arm64`: Go's words.
    #[serde(default, deserialize_with = "lenient")]
    pub architecture: String,
    /// `linux`.
    #[serde(default, deserialize_with = "lenient")]
    pub os: String,
    /// `v8`.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

/// An image: its configuration and its layers, the bottom one first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// 2.
    pub schema_version: u32,
    /// [`MANIFEST`] or [`DOCKER_MANIFEST`]; may be missing in OCI's.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    /// The image's configuration.
    pub config: Descriptor,
    /// The layers' blobs.
    #[serde(default, deserialize_with = "lenient")]
    pub layers: Vec<Descriptor>,
    /// Notes.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// A manifest of our own.
    pub fn new(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        let media_type = MANIFEST.to_owned();
        Self { schema_version: 2, media_type, config, layers, annotations: BTreeMap::new() }
    }

    /// Reads one.
    ///
    /// # Errors
    /// It is no manifest of an image: an index, Docker's old schema 1, an artifact.
    pub fn parse(content: &[u8]) -> Result<Self> {
        let wrong = |why: String| Error::new("invalid image manifest").why(why);
        let manifest: Self =
            serde_json::from_slice(content).map_err(|error| wrong(schema(content, &error)))?;
        if manifest.schema_version != 2 {
            return Err(wrong(format!("schema version {} is not 2", manifest.schema_version)));
        }
        let known = ["", MANIFEST, DOCKER_MANIFEST];
        if !known.contains(&manifest.media_type.as_str()) {
            return Err(wrong(format!("{} is no image", manifest.media_type)));
        }
        if manifest.layers.len() > LAYERS {
            return Err(wrong(format!("{} layers, at most {LAYERS}", manifest.layers.len())));
        }
        let config = manifest.config.media_type.as_str();
        if !["", CONFIG, DOCKER_CONFIG].contains(&config) {
            return Err(wrong(format!("an artifact with configuration {config} is no image")));
        }
        Ok(manifest)
    }

    /// The same image as OCI writes it; equal to this one where nothing has to change.
    #[must_use]
    pub fn to_oci(&self) -> Self {
        let mut oci = self.clone();
        if !oci.media_type.is_empty() {
            MANIFEST.clone_into(&mut oci.media_type);
        }
        CONFIG.clone_into(&mut oci.config.media_type);
        for layer in &mut oci.layers {
            layer.media_type = oci_layer(&layer.media_type);
        }
        oci
    }
}

/// Why something is no manifest, when it is something else that is known.
fn schema(content: &[u8], error: &serde_json::Error) -> String {
    match serde_json::from_slice::<serde_json::Value>(content) {
        Ok(value) if value["schemaVersion"] == 1 => {
            "Docker's schema 1 was retired; push the image again with a newer client".to_owned()
        }
        Ok(value) if value["manifests"].is_array() => "it is an index of several".to_owned(),
        _ => error.to_string(),
    }
}

/// OCI's media type for a layer of Docker's.
fn oci_layer(media_type: &str) -> String {
    let suffix = |docker: &str| media_type.strip_prefix(docker).map(|rest| rest.replace('.', "+"));
    if let Some(suffix) = suffix(DOCKER_LAYER) {
        return format!("{LAYER}{suffix}");
    }
    if let Some(suffix) = suffix(DOCKER_FOREIGN) {
        return format!("{NONDISTRIBUTABLE}{suffix}");
    }
    media_type.to_owned()
}

/// Several images under one name, one for each platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// 2.
    pub schema_version: u32,
    /// [`INDEX`] or [`DOCKER_INDEX`]; may be missing in OCI's.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    /// The images.
    #[serde(default, deserialize_with = "lenient")]
    pub manifests: Vec<Descriptor>,
}

impl Index {
    /// An index of our own.
    pub fn new(manifests: Vec<Descriptor>) -> Self {
        Self { schema_version: 2, media_type: INDEX.to_owned(), manifests }
    }

    /// Reads one.
    ///
    /// # Errors
    /// It is no index.
    pub fn parse(content: &[u8]) -> Result<Self> {
        let wrong = |why: String| Error::new("invalid image index").why(why);
        let index: Self =
            serde_json::from_slice(content).map_err(|error| wrong(error.to_string()))?;
        match index.schema_version {
            2 => Ok(index),
            other => Err(wrong(format!("schema version {other} is not 2"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest() -> Digest {
        Digest::of(b"")
    }

    #[test]
    fn dockers_manifest_becomes_ocis() {
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"{DOCKER_MANIFEST}","config":{{"mediaType":
            "{DOCKER_CONFIG}","size":2,"digest":"{0}"}},"layers":[{{"mediaType":
            "{DOCKER_LAYER}.gzip","size":3,"digest":"{0}"}},{{"mediaType":
            "{DOCKER_FOREIGN}.gzip","size":3,"digest":"{0}","urls":["x"]}}]}}"#,
            digest()
        );
        let manifest = Manifest::parse(text.as_bytes()).unwrap();
        let oci = manifest.to_oci();
        assert_ne!(oci, manifest);
        assert_eq!(oci.layers[0].media_type, format!("{LAYER}+gzip"));
        assert_eq!(oci.layers[1].media_type, format!("{NONDISTRIBUTABLE}+gzip"));
        assert_eq!((oci.media_type.as_str(), oci.config.media_type.as_str()), (MANIFEST, CONFIG));
        assert_eq!(oci.to_oci(), oci);
    }

    #[test]
    fn an_oci_manifest_without_media_type_stays_as_it_is() {
        let mut manifest = Manifest::new(Descriptor::new(CONFIG, digest(), 1), Vec::new());
        manifest.media_type.clear();
        assert_eq!(manifest.to_oci(), manifest);
    }

    #[test]
    fn what_is_no_image_is_refused_in_words() {
        let index = serde_json::to_vec(&Index::new(Vec::new())).unwrap();
        let mut artifact = Manifest::new(Descriptor::new("application/x", digest(), 1), Vec::new());
        let other = serde_json::to_vec(&artifact).unwrap();
        artifact.schema_version = 3;
        let cases: [(&[u8], &str); 5] = [
            (&index, "index of several"),
            (br#"{"schemaVersion":1,"fsLayers":[]}"#, "schema 1"),
            (&other, "an artifact with configuration application/x"),
            (&serde_json::to_vec(&artifact).unwrap(), "schema version 3"),
            (b"[", "EOF"),
        ];
        for (text, why) in cases {
            let error = Manifest::parse(text).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn null_is_as_good_as_nothing() {
        let index = br#"{"schemaVersion":2,"manifests":null,"annotations":null}"#;
        assert_eq!(Index::parse(index).unwrap().manifests, []);
        assert!(Index::parse(br#"{"schemaVersion":1}"#).is_err());
    }
}
