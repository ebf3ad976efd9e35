//! `pull`: a name of a registry becomes an image of the store.
//!
//! The manifest first, of an index the one for the platform; then configuration and layers, several
//! at once, each unpacked as soon as it is here, while others still come; at last the store puts
//! all of it in place and writes the name. What the store has is not fetched.

use super::blob::{self, Watch};
use super::client::{Client, Fetched};
use super::manifest::{self, Descriptor, Manifest};
use super::platform::Platform;
use super::progress::{Progress, Stage, Style};
use super::transport::Transport;
use crate::error::{Error, Result};
use crate::image::{self, ImageConfig};
use crate::reference::Reference;
use crate::store::{Digest, Image, NewImage, Store};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Layers that are fetched or unpacked at once.
const PARALLEL: usize = 4;

/// How to pull.
#[derive(Clone, Debug, Default)]
pub struct PullOptions {
    /// Of which platform; this machine's when it is not said.
    pub platform: Option<Platform>,
    /// What is shown meanwhile.
    pub style: Style,
    /// Progress goes to stderr: stdout is somebody else's.
    pub aside: bool,
    /// Plain HTTP and certificates of anybody will do (`--tls-verify=false`).
    pub trust_all: bool,
}

/// What was pulled.
#[derive(Debug)]
pub struct Pulled {
    /// The image in the store.
    pub image: Image,
    /// Digest of what the name means at the registry.
    pub digest: Digest,
    /// It was new to the store.
    pub newer: bool,
}

/// Pulls the image that `reference` names.
///
/// # Errors
/// The registry cannot be reached, refuses, or has no such image; what it sends is not what it
/// promised; the store cannot be written. What has come is kept for the next pull.
pub fn pull(store: &Store, reference: &Reference, options: &PullOptions) -> Result<Pulled> {
    let client = Client::new(reference, Transport::new(options.trust_all)?);
    let progress = Progress::new(options.style, options.aside);
    let which = reference.digest.map(|digest| digest.to_string()).or_else(|| reference.tag.clone());
    let which = which.unwrap_or_else(|| crate::reference::DEFAULT_TAG.to_owned());
    progress.say(&format!("{which}: Pulling from {}", reference.repository));
    let pull = Pull { client: &client, store, reference, options, progress: &progress };
    let pulled = pull.run(&which)?;
    let familiar = reference.familiar();
    let status = if pulled.newer { "Downloaded newer image" } else { "Image is up to date" };
    progress.say(&format!("Digest: {}\nStatus: {status} for {familiar}", pulled.digest));
    progress.result(&pulled.digest.to_string(), &format!("{status} for {familiar}"));
    Ok(pulled)
}

struct Pull<'a> {
    client: &'a Client,
    store: &'a Store,
    reference: &'a Reference,
    options: &'a PullOptions,
    progress: &'a Progress,
}

/// What the name means at the registry.
struct Found {
    /// The image's manifest as it was served.
    served: Vec<u8>,
    /// Digest of what was asked for: of it or of the index that it stands in.
    source: Digest,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

/// A layer to be fetched, and what it is without compression.
struct Wanted<'a> {
    blob: &'a Descriptor,
    diff_id: Digest,
}

impl Pull<'_> {
    fn run(&self, which: &str) -> Result<Pulled> {
        let Found { served, source, config, layers } = self.image_manifest(which)?;
        let known = self.store.find(self.reference).ok().flatten();
        if let Some(image) = known.filter(|image| self.is_same(image, &config.digest, &source)) {
            self.check_platform(&image.config)?;
            return Ok(Pulled { image, digest: source, newer: false });
        }
        let configuration = self.configuration(&config)?;
        let wanted = pairs(&layers, &configuration, self.reference)?;
        self.layers(&wanted)?;
        // A digest decides, whatever the tag says: then the tag is not what was pulled.
        let tag = self.reference.tag.clone().filter(|_| self.reference.digest.is_none());
        let name = Reference { tag, ..self.reference.clone() };
        let new = NewImage { manifest: &served, names: &[name], source: Some(source) };
        let image = self.store.put_image(&new)?;
        Ok(Pulled { image, digest: source, newer: true })
    }

    /// Whether the store has exactly this, whole.
    fn is_same(&self, image: &Image, config: &Digest, source: &Digest) -> bool {
        image.id == *config
            && image.digests.iter().any(|name| name.digest == Some(*source))
            && self
                .store
                .layers(image)
                .is_ok_and(|layers| layers.iter().all(|layer| layer.exists()))
    }

    fn what(&self) -> String {
        format!("cannot pull {}", self.reference.familiar())
    }

    /// The manifest of the image for the platform.
    fn image_manifest(&self, which: &str) -> Result<Found> {
        let name = self.reference.familiar();
        let fetched = self.client.manifest(which);
        let fetched =
            fetched.map_err(|refused| refused.unknown(self.what(), self.client, self.reference))?;
        let source = self.verify(&fetched)?;
        let index = match Manifest::read(&fetched.bytes, &fetched.media_type, &name)? {
            Manifest::Image { config, layers } => {
                return Ok(Found { served: fetched.bytes, source, config, layers });
            }
            Manifest::Index(index) => index,
        };
        let wanted = self.options.platform.clone().unwrap_or_else(Platform::host);
        let chosen = manifest::choose(&index, &wanted, &name)?;
        let child = self.client.manifest(&chosen.digest.to_string());
        let child = child.map_err(|refused| refused.error(self.what(), self.client))?;
        if Digest::of(&child.bytes) != chosen.digest {
            return Err(self.not_that(&chosen.digest, &Digest::of(&child.bytes)));
        }
        match Manifest::read(&child.bytes, &child.media_type, &name)? {
            Manifest::Image { config, layers } => {
                Ok(Found { served: child.bytes, source, config, layers })
            }
            Manifest::Index(_) => Err(Error::new(self.what())
                .why("its index has an index for this platform, not an image")),
        }
    }

    /// The digest of a manifest, which is what was asked for and what the registry says.
    fn verify(&self, fetched: &Fetched) -> Result<Digest> {
        let found = Digest::of(&fetched.bytes);
        let said = fetched.digest.as_ref().and_then(|digest| digest.parse::<Digest>().ok());
        match self.reference.digest.or(said) {
            Some(wanted) if wanted != found => Err(self.not_that(&wanted, &found)),
            _ => Ok(found),
        }
    }

    fn not_that(&self, wanted: &Digest, found: &Digest) -> Error {
        Error::new(self.what())
            .why(format!(
                "{} sent a manifest with the digest {found}, not {wanted}",
                self.client.host
            ))
            .fix("the registry, a mirror or the way to it changed it: do not use it")
    }

    fn configuration(&self, blob: &Descriptor) -> Result<ImageConfig> {
        if blob.size > image::config::LONGEST {
            return Err(
                Error::new(self.what()).why(format!("its configuration has {} bytes", blob.size))
            );
        }
        let stop = AtomicBool::new(false);
        blob::fetch(self.client, self.store, blob, &Watch { have: &|_| {}, stop: &stop })?;
        let configuration = self.store.read_config(&blob.digest)?;
        self.check_platform(&configuration)?;
        Ok(configuration)
    }

    /// Of an index the right one was chosen; a single image is what it is.
    fn check_platform(&self, image: &ImageConfig) -> Result<()> {
        let has = Platform {
            os: image.os.clone(),
            arch: image.architecture.clone(),
            variant: image.variant.clone(),
        };
        match &self.options.platform {
            Some(wanted) if !has.arch.is_empty() && wanted.best(&[&has]).is_none() => {
                Err(Error::new(self.what())
                    .why(format!("it is for {has}, not for {wanted}"))
                    .fix(format!("pull it with --platform {has}, if that will do")))
            }
            _ => Ok(()),
        }
    }

    /// Fetches and unpacks what is not there, several at once.
    fn layers(&self, wanted: &[Wanted<'_>]) -> Result<()> {
        let names = wanted.iter().map(|layer| (layer.blob.digest.short(), layer.blob.size));
        self.progress.layers(names);
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let failed: Mutex<Option<Error>> = Mutex::new(None);
        let work = || {
            while let Some((at, layer)) = {
                let at = next.fetch_add(1, Ordering::Relaxed);
                wanted.get(at).map(|layer| (at, layer)).filter(|_| !stop.load(Ordering::Relaxed))
            } {
                if let Err(error) = self.layer(at, layer, &stop) {
                    stop.store(true, Ordering::Relaxed);
                    let mut first = failed.lock().unwrap_or_else(PoisonError::into_inner);
                    first.get_or_insert(error); // what stopped the others
                }
            }
        };
        std::thread::scope(|threads| {
            for _ in 1..PARALLEL.min(wanted.len()) {
                threads.spawn(work);
            }
            work();
        });
        self.progress.end();
        failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }

    fn layer(&self, at: usize, layer: &Wanted<'_>, stop: &AtomicBool) -> Result<()> {
        let (fetched, unpacked) =
            (self.store.has_blob(&layer.blob.digest)?, self.store.has_layer(&layer.diff_id)?);
        if fetched && unpacked {
            self.progress.stage(at, Stage::Exists);
            return Ok(());
        }
        if !fetched {
            let have = |bytes| self.progress.have(at, bytes);
            blob::fetch(self.client, self.store, layer.blob, &Watch { have: &have, stop })?;
        }
        self.progress.stage(at, Stage::Extracting);
        if !unpacked {
            self.store.add_layer(&layer.diff_id, self.store.open_blob(&layer.blob.digest)?)?;
        }
        self.progress.stage(at, Stage::Done);
        Ok(())
    }
}

/// Each layer once, with its diff id: an image may have the same layer twice.
fn pairs<'a>(
    layers: &'a [Descriptor],
    config: &ImageConfig,
    name: &Reference,
) -> Result<Vec<Wanted<'a>>> {
    let ids = &config.rootfs.diff_ids;
    if ids.len() != layers.len() {
        let why =
            format!("its manifest has {} layers, its configuration {}", layers.len(), ids.len());
        return Err(Error::new(format!("cannot use {}", name.familiar())).why(why));
    }
    let mut wanted: Vec<Wanted<'_>> = Vec::new();
    for (blob, diff_id) in layers.iter().zip(ids) {
        if !wanted.iter().any(|other| other.blob.digest == blob.digest) {
            wanted.push(Wanted { blob, diff_id: *diff_id });
        }
    }
    Ok(wanted)
}
