//! `save`: images into one archive that docker, podman and skopeo read.
//!
//! docker-archive is what Docker 25 writes: layers without compression in an OCI layout, and
//! `manifest.json` for everything older. oci-archive has every blob as it is stored, so that
//! digests stay what they are in the registry.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::config;
use super::manifest::{self, Descriptor, Index, Manifest};
use crate::Context;
use crate::error::{Error, Result, What};
use crate::layer::compress;
use crate::layer::tar::{Entry, Kind, Writer};
use crate::reference::Reference;
use crate::store::digest::Hashing;
use crate::store::refs::REF_NAME;
use crate::store::{Digest, Image, Store};

/// What is copied at once.
const BUFFER: usize = 256 << 10;

/// `save`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  pier save -o app.tar app:1.2 alpine
  pier save app | gzip > app.tar.gz
  pier save --format oci-archive -o app.oci.tar app")]
pub struct Args {
    /// Write to FILE instead of stdout
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// What to write
    #[arg(long, value_name = "FORMAT", default_value = "docker-archive")]
    pub format: Format,
    /// Names or ids; a name without tag means all tags that it has
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<String>,
}

/// What can be written.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For `docker load`, with an OCI layout in it
    DockerArchive,
    /// An OCI layout, blobs as they are stored
    OciArchive,
}

/// An image and the names to write.
struct Chosen {
    image: Image,
    names: Vec<Reference>,
}

/// One image in `manifest.json`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// Runs `save`.
///
/// # Errors
/// An image is unknown or damaged; the output cannot be written, then no file is left.
pub fn save(context: &Context, args: &Args) -> Result<u8> {
    let store = Store::open(&context.paths)?;
    let chosen = choose(&store, &args.images)?;
    match &args.output {
        None if io::stdout().is_terminal() => {
            Err(Error::new("cannot write an archive to a terminal")
                .fix("use -o FILE, or redirect stdout"))
        }
        None => write(&store, &chosen, args.format, &mut io::stdout().lock()),
        Some(path) => to_file(path, |file| write(&store, &chosen, args.format, file)),
    }?;
    Ok(0)
}

/// Writes a file that is there whole or not at all; what is no regular file is written to.
fn to_file(path: &Path, write: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    let what = || format!("cannot write {}", path.display());
    if path.exists() && !path.is_file() {
        return write(&mut File::options().write(true).open(path).what(what)?);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let temporary = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let written = File::create(&temporary).what(what).and_then(|mut file| {
        write(&mut file)?;
        std::fs::rename(&temporary, path).what(what)
    });
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

/// The images that the words mean, each once, with all names asked for.
fn choose(store: &Store, words: &[String]) -> Result<Vec<Chosen>> {
    let mut chosen: Vec<Chosen> = Vec::new();
    for word in words {
        for (image, name) in meant(store, word)? {
            let at = match chosen.iter().position(|known| known.image.id == image.id) {
                Some(at) => at,
                None => {
                    chosen.push(Chosen { image, names: Vec::new() });
                    chosen.len() - 1
                }
            };
            if let Some(name) = name.filter(|name| !chosen[at].names.contains(name)) {
                chosen[at].names.push(name);
            }
        }
    }
    Ok(chosen)
}

/// What one word means: a repository's tags, one name, one id.
fn meant(store: &Store, word: &str) -> Result<Vec<(Image, Option<Reference>)>> {
    if let Ok(asked) = Reference::without_default(word)
        && asked.tag.is_none()
        && asked.digest.is_none()
    {
        let mut found = Vec::new();
        for (name, _) in store.records()? {
            let Some(name) = name.reference().filter(|name| name.tag.is_some()) else { continue };
            if name.name() == asked.name() {
                found.extend(store.find(name)?.map(|image| (image, Some(name.clone()))));
            }
        }
        if !found.is_empty() {
            return Ok(found);
        }
    }
    let image = store.image(word)?;
    let named = word.parse::<Reference>().ok().filter(|name| image.names.contains(name));
    Ok(vec![(image, named)])
}

fn write(store: &Store, chosen: &[Chosen], format: Format, out: &mut impl Write) -> Result<()> {
    let out = io::BufWriter::with_capacity(BUFFER, out);
    let mut saving = Saving { store, tar: Writer::new(out), written: BTreeSet::new() };
    match format {
        Format::DockerArchive => saving.docker(chosen)?,
        Format::OciArchive => saving.oci(chosen)?,
    }
    let finished = saving.tar.finish().and_then(|mut out| out.flush());
    finished.what(|| "cannot write the archive".into())
}

/// An archive being written.
struct Saving<'a, W: Write> {
    store: &'a Store,
    tar: Writer<W>,
    written: BTreeSet<Digest>,
}

impl<W: Write> Saving<'_, W> {
    fn docker(&mut self, chosen: &[Chosen]) -> Result<()> {
        self.layout()?;
        let mut items = Vec::new();
        let mut entries = Vec::new();
        for Chosen { image, names } in chosen {
            let content = self.store.read_blob(&image.id, config::LONGEST)?;
            self.content(&content)?;
            let sizes = self.store.tar_sizes(image)?;
            let mut layers = Vec::new();
            for (layer, size) in image.layers.iter().zip(sizes) {
                self.plain_layer(layer, size)?;
                layers.push(Descriptor::new(manifest::LAYER, layer.diff_id, size));
            }
            items.push(Item {
                config: path(&image.id),
                repo_tags: (!names.is_empty())
                    .then(|| names.iter().map(Reference::familiar).collect()),
                layers: image.layers.iter().map(|layer| path(&layer.diff_id)).collect(),
            });
            let config = Descriptor::of(manifest::CONFIG, &content);
            let manifest = json(&Manifest::new(config, layers))?;
            self.content(&manifest)?;
            entries.extend(listed(Descriptor::of(manifest::MANIFEST, &manifest), image, names));
        }
        self.file("index.json", &json(&Index::new(entries))?)?;
        self.file("manifest.json", &json(&items)?)
    }

    fn oci(&mut self, chosen: &[Chosen]) -> Result<()> {
        self.layout()?;
        let mut entries = Vec::new();
        for Chosen { image, names } in chosen {
            let content = self.store.read_blob(&image.manifest, manifest::LONGEST)?;
            self.content(&content)?;
            self.content(&self.store.read_blob(&image.id, config::LONGEST)?)?;
            for layer in &image.layers {
                let blob = self.store.open_blob(&layer.blob)?;
                self.blob(layer.blob, layer.size, blob)?;
            }
            entries.extend(listed(Descriptor::of(manifest::MANIFEST, &content), image, names));
        }
        self.file("index.json", &json(&Index::new(entries))?)
    }

    /// The frame of an OCI layout.
    fn layout(&mut self) -> Result<()> {
        for dir in ["blobs/", "blobs/sha256/"] {
            let entry = Entry::new(Kind::Directory, dir, 0o755);
            self.tar.append(&entry, io::empty()).what(|| format!("cannot write {dir}"))?;
        }
        self.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)
    }

    /// A layer without its compression.
    fn plain_layer(&mut self, layer: &crate::store::Layer, size: u64) -> Result<()> {
        let what = || format!("cannot read layer {}", layer.diff_id);
        let blob = BufReader::with_capacity(BUFFER, self.store.open_blob(&layer.blob)?);
        let (_, plain) = compress::decompress(blob).what(what)?;
        self.blob(layer.diff_id, size, plain)
    }

    fn content(&mut self, content: &[u8]) -> Result<()> {
        self.blob(Digest::of(content), content.len() as u64, content)
    }

    fn blob(&mut self, digest: Digest, size: u64, content: impl io::Read) -> Result<()> {
        if !self.written.insert(digest) {
            return Ok(());
        }
        let mut entry = Entry::new(Kind::File, path(&digest), 0o644);
        entry.size = size;
        let mut hashing = Hashing::new(content);
        self.tar.append(&entry, &mut hashing).what(|| format!("cannot write blob {digest}"))?;
        if hashing.finish().0 == digest {
            return Ok(());
        }
        Err(Error::new(format!("blob {digest} is damaged"))
            .why("its content has another digest")
            .fix("run: pier check --repair"))
    }

    fn file(&mut self, name: &str, content: &[u8]) -> Result<()> {
        self.tar.file(name, content).what(|| format!("cannot write {name}"))
    }
}

/// Entries of the index: one for each name, or one without.
fn listed(entry: Descriptor, image: &Image, names: &[Reference]) -> Vec<Descriptor> {
    let mut entry = entry;
    entry.platform = Some(super::Platform {
        architecture: image.config.architecture.clone(),
        os: image.config.os.clone(),
        variant: image.config.variant.clone(),
    });
    let with = |name: &Reference| {
        let mut entry = entry.clone();
        entry.annotations.insert(super::load::IMAGE_NAME.into(), name.to_string());
        entry.annotations.insert(REF_NAME.into(), name.to_string());
        entry
    };
    if names.is_empty() { vec![entry.clone()] } else { names.iter().map(with).collect() }
}

fn path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn json(document: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(document).map_err(io::Error::from).what(|| "cannot write the archive".into())
}
