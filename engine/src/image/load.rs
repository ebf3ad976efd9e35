//! `load`: images from an archive, of `docker save`, `podman save`, skopeo or buildkit.
//!
//! Two formats, found by what is inside: docker-archive (`manifest.json`, at best also Docker 25's
//! layout beside it) and oci-archive (an OCI layout). All digests are checked: blobs while they
//! are written, diff ids while layers are unpacked.

use std::io::{BufReader, Read};
use std::path::PathBuf;

use serde::Deserialize;

use super::archive::{Archive, Member, open_input};
use super::manifest::{self, Descriptor, Index, Manifest};
use super::{ImageConfig, lenient};
use crate::Context;
use crate::error::{Error, Result, What};
use crate::layer::compress::{Compression, detect};
use crate::reference::Reference;
use crate::store::refs::REF_NAME;
use crate::store::{Digest, Image, NewImage, Store};

/// Longest `manifest.json`.
const LONGEST: u64 = 16 << 20;
/// How deep indexes may be nested.
const DEPTH: u32 = 4;
/// Where containerd and Docker put the whole name of an image.
pub(super) const IMAGE_NAME: &str = "io.containerd.image.name";

/// `load`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  pier load -i app.tar.gz
  docker save app | pier load
  pier load --platform linux/arm64 -i several.tar")]
pub struct Args {
    /// Read from FILE instead of stdin
    #[arg(short, long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// Print names and ids only
    #[arg(short, long)]
    pub quiet: bool,
    /// Which image of an archive for several platforms: OS/ARCH[/VARIANT]
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<String>,
}

/// One image in `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    #[serde(default, deserialize_with = "lenient")]
    repo_tags: Vec<String>,
    #[serde(default, deserialize_with = "lenient")]
    layers: Vec<String>,
}

/// Runs `load`.
///
/// # Errors
/// The archive cannot be read, is none of images, or is damaged.
pub fn load(context: &Context, args: &Args) -> Result<u8> {
    let store = Store::open(&context.paths)?;
    let wanted = args.platform.as_deref().map(platform).transpose()?;
    let loaded = from(&store, open_input(args.input.as_deref())?, wanted.as_ref())?;
    let mut told = String::new();
    for (names, image) in loaded {
        if names.is_empty() {
            told += &format!("Loaded image ID: {}\n", image.id);
        }
        for name in names {
            told += &format!("Loaded image: {}\n", name.familiar());
        }
    }
    crate::cli::print(&told)?;
    Ok(0)
}

/// Puts every image of an archive into the store; tells what each is called.
///
/// # Errors
/// As [`load`]; images before the one that fails stay.
pub fn from(
    store: &Store,
    stream: impl Read,
    wanted: Option<&super::Platform>,
) -> Result<Vec<(Vec<Reference>, Image)>> {
    let archive = Archive::read(store, stream).map_err(|error| match error.fix {
        Some(_) => error,
        None => {
            error.fix("load reads what `save` writes; a root file system is read by pier import")
        }
    })?;
    let loaded = if archive.has("manifest.json") {
        docker(store, &archive)?
    } else if archive.has("index.json") {
        oci(store, &archive, wanted)?
    } else {
        return Err(Error::new("the archive has no images")
            .why("neither manifest.json nor index.json is in it")
            .fix("an archive of a root file system is read by: pier import"));
    };
    match loaded.is_empty() {
        true => Err(Error::new("the archive has no images").why("its list of images is empty")),
        false => Ok(loaded),
    }
}

/// docker-archive.
fn docker(store: &Store, archive: &Archive) -> Result<Vec<(Vec<Reference>, Image)>> {
    let content = archive.content("manifest.json", LONGEST)?;
    let items: Vec<Item> = serde_json::from_slice(&content)
        .map_err(|error| Error::new("cannot read manifest.json of the archive").why(error))?;
    let mut loaded = Vec::new();
    for item in items {
        let config = archive.need(&item.config)?;
        let parsed = ImageConfig::parse(&archive.content(&item.config, super::config::LONGEST)?)?;
        if parsed.rootfs.diff_ids.len() != item.layers.len() {
            let why = format!(
                "manifest.json names {} layers, the configuration {}",
                item.layers.len(),
                parsed.rootfs.diff_ids.len()
            );
            return Err(Error::new("the archive is not consistent").why(why));
        }
        adopt(store, config);
        let mut layers = Vec::new();
        for name in &item.layers {
            let member = archive.need(name)?;
            layers.push(Descriptor::new(layer_type(member)?, member.digest, member.size));
            adopt(store, member);
        }
        let names = item.repo_tags.iter().map(|name| name.parse());
        let names = names.collect::<Result<Vec<Reference>>>()?;
        let config = Descriptor::new(manifest::CONFIG, config.digest, config.size);
        let content = serde_json::to_vec(&Manifest::new(config, layers));
        let content = content.map_err(std::io::Error::from).what(|| "cannot load".into())?;
        let new = NewImage { manifest: &content, names: &names, source: None };
        let image = store.put_image(&new)?;
        loaded.push((names, image));
    }
    Ok(loaded)
}

/// oci-archive.
fn oci(
    store: &Store,
    archive: &Archive,
    wanted: Option<&super::Platform>,
) -> Result<Vec<(Vec<Reference>, Image)>> {
    let index = Index::parse(&archive.content("index.json", manifest::LONGEST)?)?;
    let mut loaded: Vec<(Vec<Reference>, Image)> = Vec::new();
    for entry in index.manifests.iter().filter(|entry| !is_attestation(entry)) {
        let names = named(entry)?;
        let (chosen, content) = choose(archive, entry, wanted, DEPTH)?;
        let manifest = Manifest::parse(&content)?;
        for part in std::iter::once(&manifest.config).chain(&manifest.layers) {
            adopt(store, blob(archive, &part.digest)?);
        }
        let source = (chosen != entry.digest).then_some(entry.digest);
        if let Some(source) = &source {
            adopt(store, blob(archive, source)?);
        }
        let image = store.put_image(&NewImage { manifest: &content, names: &names, source })?;
        match loaded.iter_mut().find(|(_, other)| other.id == image.id) {
            Some((known, _)) => known.extend(names),
            None => loaded.push((names, image)),
        }
    }
    Ok(loaded)
}

/// The manifest that an entry of an index leads to, through further indexes.
fn choose(
    archive: &Archive,
    entry: &Descriptor,
    wanted: Option<&super::Platform>,
    depth: u32,
) -> Result<(Digest, Vec<u8>)> {
    let member = blob(archive, &entry.digest)?;
    let content = archive.content(&blob_name(&entry.digest), manifest::LONGEST)?;
    let index = [manifest::INDEX, manifest::DOCKER_INDEX].contains(&entry.media_type.as_str());
    if !index {
        return Ok((member.digest, content));
    }
    if depth == 0 {
        return Err(Error::new("the archive's indexes are nested too deeply"));
    }
    let host = super::Platform {
        os: "linux".into(),
        architecture: host_architecture().into(),
        variant: String::new(),
    };
    let wanted_here = wanted.unwrap_or(&host);
    let index = Index::parse(&content)?;
    let offered: Vec<&Descriptor> =
        index.manifests.iter().filter(|entry| !is_attestation(entry)).collect();
    // An archive of several platforms often holds one of them only.
    let here = |entry: &&&Descriptor| archive.has(&blob_name(&entry.digest));
    let fits = |entry: &&&Descriptor| entry.platform.as_ref().is_none_or(|p| fits(p, wanted_here));
    let found = offered.iter().filter(here).find(fits).copied();
    let only = match (offered.as_slice(), wanted) {
        ([only], None) => Some(*only),
        _ => None,
    };
    let found = found.or(only);
    let Some(found) = found else {
        let has: Vec<String> =
            offered.iter().filter_map(|e| e.platform.as_ref()).map(told).collect();
        let why = format!("it has {}", has.join(", "));
        return Err(Error::new(format!("no image for {} in the archive", told(wanted_here)))
            .why(why)
            .fix("choose one with --platform OS/ARCH"));
    };
    choose(archive, found, wanted, depth - 1)
}

/// Whether an image for `has` is one for `wanted`; without a variant any will do.
fn fits(has: &super::Platform, wanted: &super::Platform) -> bool {
    has.os == wanted.os
        && has.architecture == wanted.architecture
        && (wanted.variant.is_empty() || has.variant == wanted.variant)
}

fn told(platform: &super::Platform) -> String {
    let parts = [&platform.os, &platform.architecture, &platform.variant];
    let parts: Vec<&str> =
        parts.map(String::as_str).into_iter().filter(|p| !p.is_empty()).collect();
    parts.join("/")
}

/// Reads `OS/ARCH[/VARIANT]`.
pub(super) fn platform(text: &str) -> Result<super::Platform> {
    let parts: Vec<&str> = text.split('/').collect();
    let (os, architecture, variant) = match parts.as_slice() {
        [os, architecture] => (*os, *architecture, ""),
        [os, architecture, variant] => (*os, *architecture, *variant),
        _ => ("", "", ""),
    };
    if os.is_empty() || architecture.is_empty() {
        return Err(Error::new(format!("invalid platform {text:?}"))
            .why("it is written OS/ARCH[/VARIANT], as linux/arm64/v8"));
    }
    Ok(super::Platform {
        os: os.to_owned(),
        architecture: architecture.to_owned(),
        variant: variant.to_owned(),
    })
}

/// This machine in Go's words.
pub(super) fn host_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        "loongarch64" => "loong64",
        other => other,
    }
}

/// Names of an entry: the whole one, or the layout's where it is more than a tag.
fn named(entry: &Descriptor) -> Result<Vec<Reference>> {
    let whole = entry.annotations.get(IMAGE_NAME);
    let short = entry.annotations.get(REF_NAME).filter(|name| name.contains([':', '/']));
    whole.or(short).map(|name| name.parse()).into_iter().collect()
}

/// buildkit's provenance beside an image is none.
fn is_attestation(entry: &Descriptor) -> bool {
    entry.annotations.contains_key("vnd.docker.reference.type")
        || entry.platform.as_ref().is_some_and(|platform| platform.os == "unknown")
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// A blob of an OCI layout, its digest checked.
fn blob<'a>(archive: &'a Archive, digest: &Digest) -> Result<&'a Member> {
    let member = archive.need(&blob_name(digest))?;
    if member.digest != *digest {
        let why = format!("the digest of {} is {}", blob_name(digest), member.digest);
        return Err(Error::new("the archive is damaged").why(why));
    }
    Ok(member)
}

fn adopt(store: &Store, member: &Member) {
    store.adopt_blob(member.digest, member.path.clone());
}

/// The media type of a layer, by its first bytes.
fn layer_type(member: &Member) -> Result<&'static str> {
    let what = || format!("cannot read {}", member.path.display());
    let file = std::fs::File::open(&member.path).what(what)?;
    Ok(media_type(detect(&mut BufReader::new(file)).what(what)?))
}

/// The media type of a layer that is compressed so.
pub(super) fn media_type(compression: Compression) -> &'static str {
    match compression {
        Compression::None => manifest::LAYER,
        Compression::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
        Compression::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
    }
}
