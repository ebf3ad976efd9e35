//! Manifests: what a registry answers for a name (image-spec manifest.md, image-index.md; Docker's
//! schema 2 has the same members).

use super::platform::Platform;
use crate::error::{Error, Result};
use crate::store::Digest;
use serde::Deserialize;

/// What we can read, best first: sent as `Accept`.
pub(super) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.docker.distribution.manifest.v1+prettyjws, \
    application/vnd.docker.distribution.manifest.v1+json";
/// Longest manifest or index: what registries take at most.
pub(super) const LONGEST: u64 = 4 << 20;
/// Most layers of an image: far above any, far below what would take long to look at.
const MOST_LAYERS: usize = 2048;

/// Something that a manifest refers to.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    #[serde(default)]
    pub(super) media_type: String,
    pub(super) digest: Digest,
    /// Bytes.
    pub(super) size: u64,
    /// Where else it is, for layers that registries must not have.
    #[serde(default)]
    pub(super) urls: Vec<String>,
    #[serde(default)]
    pub(super) platform: Option<Platform>,
}

/// A manifest or an index, by what it holds.
#[derive(Debug)]
pub(super) enum Manifest {
    /// Images for several platforms.
    Index(Vec<Descriptor>),
    /// One image.
    Image {
        /// The image's configuration.
        config: Descriptor,
        /// The lowest first.
        layers: Vec<Descriptor>,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(default)]
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    artifact_type: String,
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
}

impl Manifest {
    /// Reads what `name` is; `media_type` is what the registry called it.
    pub(super) fn read(bytes: &[u8], media_type: &str, name: &str) -> Result<Self> {
        let what = || format!("cannot use the manifest of {name}");
        let raw: Raw =
            serde_json::from_slice(bytes).map_err(|error| Error::new(what()).why(error))?;
        if raw.schema_version == 1 || media_type.contains("distribution.manifest.v1+") {
            return Err(Error::new(what())
                .why("it is of schema 1, which was given up in 2017")
                .fix("have the image pushed again by any builder of today"));
        }
        match raw {
            Raw { manifests: Some(manifests), .. } => Ok(Self::Index(manifests)),
            Raw { config: Some(config), layers: Some(layers), .. } => {
                let kind = if raw.artifact_type.is_empty() {
                    &config.media_type
                } else {
                    &raw.artifact_type
                };
                check_kind(&config.media_type, kind).map_err(|error| error(what()))?;
                check_layers(&layers).map_err(|error| error(what()))?;
                Ok(Self::Image { config, layers })
            }
            Raw { media_type, .. } => {
                let media_type =
                    if media_type.is_empty() { "of no known kind" } else { &media_type };
                Err(Error::new(what())
                    .why(format!("it is {media_type}, neither an image nor an index")))
            }
        }
    }
}

/// A failure that still lacks its first part.
type Half = Box<dyn FnOnce(String) -> Error>;

/// An image's configuration, not that of a chart or a signature.
fn check_kind(config: &str, kind: &str) -> std::result::Result<(), Half> {
    if config.is_empty() || config.contains("image.config") || config.contains("container.image") {
        return Ok(());
    }
    let kind = kind.to_owned();
    Err(Box::new(move |what| Error::new(what).why(format!("it is no container image but {kind}"))))
}

fn check_layers(layers: &[Descriptor]) -> std::result::Result<(), Half> {
    if layers.len() > MOST_LAYERS {
        let count = layers.len();
        return Err(Box::new(move |what| Error::new(what).why(format!("it has {count} layers"))));
    }
    let Some(layer) = layers.iter().find(|layer| layer.media_type.contains("encrypted")) else {
        return Ok(());
    };
    let digest = layer.digest;
    let why = move |what| Error::new(what).why(format!("its layer {digest} is encrypted"));
    Err(Box::new(why))
}

/// Which image of an index runs on `wanted`.
pub(super) fn choose<'a>(
    index: &'a [Descriptor],
    wanted: &Platform,
    name: &str,
) -> Result<&'a Descriptor> {
    // An image that says nothing may be anything: it is taken when it is alone.
    if let [only] = index
        && only.platform.is_none()
    {
        return Ok(only);
    }
    let offered: Vec<_> =
        index.iter().filter_map(|one| Some((one, one.platform.as_ref()?))).collect();
    let best = wanted.best(&offered.iter().map(|(_, platform)| *platform).collect::<Vec<_>>());
    if let Some((descriptor, _)) = best.and_then(|best| offered.get(best)) {
        return Ok(descriptor);
    }
    let known = |platform: &&Platform| platform.os != "unknown"; // attestations
    let mut names: Vec<_> = offered
        .iter()
        .map(|(_, platform)| *platform)
        .filter(known)
        .map(ToString::to_string)
        .collect();
    names.dedup();
    let error = Error::new(format!("{name} has no image for {wanted}"));
    Err(match names.first() {
        None => error.why("its index is empty"),
        Some(first) => error.why(format!("it has {}", names.join(", "))).fix(format!(
            "choose one: --platform {first} (to run it, the machine must know its processor)"
        )),
    })
}

#[cfg(test)]
mod tests {
    use super::{Manifest, choose};

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn read(text: &str) -> Result<Manifest, String> {
        let text = text.replace('D', &format!(r#""digest":"{DIGEST}","size":1"#));
        Manifest::read(text.as_bytes(), "", "x").map_err(|error| error.to_string())
    }

    #[test]
    fn known_kinds_are_read_and_others_named() {
        let image = r#"{"schemaVersion":2,"config":{D},"layers":[{D},{D}]}"#;
        assert!(matches!(read(image), Ok(Manifest::Image { layers, .. }) if layers.len() == 2));
        let index = r#"{"schemaVersion":2,"manifests":[{D}]}"#;
        assert!(matches!(read(index), Ok(Manifest::Index(all)) if all.len() == 1));
        let cases = [
            ("", "EOF"),
            (r#"{"schemaVersion":1,"fsLayers":[]}"#, "schema 1"),
            (r#"{"schemaVersion":2,"mediaType":"x/y"}"#, "it is x/y"),
            (
                r#"{"schemaVersion":2,"config":{D,"mediaType":"helm.config"},"layers":[]}"#,
                "helm.config",
            ),
            (r#"{"config":{D},"layers":[{D,"mediaType":"x.tar+encrypted"}]}"#, "is encrypted"),
            (r#"{"config":{D},"layers":[{"digest":"sha256:x","size":1}]}"#, "64 lower-case"),
            (r#"{"config":{D},"layers":[{"size":1}]}"#, "missing field"),
            (r#"{"config":{"digest":"md5:x","size":1},"layers":[]}"#, "md5"),
        ];
        for (text, words) in cases {
            let wrong = read(text).unwrap_err();
            assert!(wrong.contains(words), "{text}: {wrong}");
        }
        let many = format!(r#"{{"config":{{D}},"layers":[{}]}}"#, ["{D}"; 3000].join(","));
        assert!(read(&many).unwrap_err().contains("3000 layers"));
    }

    #[test]
    fn an_index_without_ours_lists_what_it_has() {
        let platform = |os: &str, arch: &str| {
            format!(r#"{{D,"platform":{{"os":"{os}","architecture":"{arch}"}}}}"#)
        };
        let entries = [
            platform("linux", "arm64"),
            platform("unknown", "unknown"),
            platform("linux", "s390x"),
        ];
        let text = format!(r#"{{"manifests":[{}]}}"#, entries.join(","));
        let Ok(Manifest::Index(index)) = read(&text) else { panic!("no index") };
        let wanted = "linux/s390x".parse().unwrap();
        assert_eq!(choose(&index, &wanted, "x").unwrap(), &index[2]);
        let wrong = choose(&index, &"linux/amd64".parse().unwrap(), "x").unwrap_err();
        assert_eq!(
            wrong.to_string(),
            "x has no image for linux/amd64: it has linux/arm64, linux/s390x"
        );
        assert!(wrong.fix.is_some());
        assert!(choose(&[], &wanted, "x").unwrap_err().to_string().contains("empty"));
    }
}
