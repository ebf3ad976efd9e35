//! `import`: the archive of a root file system becomes an image of one layer.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use super::archive::open_input;
use super::manifest::{self, Descriptor, Manifest};
use super::{ImageConfig, change, config, load};
use crate::Context;
use crate::error::{Error, Result, What};
use crate::format::time::Timestamp;
use crate::fsutil;
use crate::layer::compress;
use crate::reference::Reference;
use crate::store::digest::Hashing;
use crate::store::{NewImage, Store};

/// `import`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  pier import rootfs.tar.gz base:1
  tar -C rootfs -c . | pier import -c 'CMD [\"/bin/sh\"]' -m 'made by hand' - base")]
pub struct Args {
    /// Apply an instruction of a Dockerfile to the image; may be repeated
    #[arg(short, long, value_name = "INSTRUCTION")]
    pub change: Vec<String>,
    /// What history says of it
    #[arg(short, long, value_name = "TEXT", default_value = "")]
    pub message: String,
    /// What it runs on instead of this machine: OS/ARCH[/VARIANT]
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<String>,
    /// Archive, plain or compressed; - is stdin
    #[arg(value_name = "FILE|-")]
    pub file: String,
    /// What it is called
    #[arg(value_name = "NAME[:TAG]")]
    pub name: Option<String>,
}

/// Runs `import`.
///
/// # Errors
/// The archive cannot be read; an instruction is none.
pub fn import(context: &Context, args: &Args) -> Result<u8> {
    if args.file.starts_with("http://") || args.file.starts_with("https://") {
        return Err(Error::new("cannot import from the network")
            .fix(format!("curl -L {} | pier import -", args.file)));
    }
    let name = args.name.as_deref().map(str::parse::<Reference>).transpose()?;
    if name.as_ref().is_some_and(|name| name.digest.is_some()) {
        return Err(Error::new("an image cannot be called by a digest of one's choice"));
    }
    let mut config = described(args)?;
    let store = Store::open(&context.paths)?;
    let layer = layer(&store, Path::new(&args.file), &mut config)?;
    let what = || "cannot write the image's configuration".to_owned();
    let content = serde_json::to_vec(&config).map_err(std::io::Error::from).what(what)?;
    let config = Descriptor::of(manifest::CONFIG, &content);
    store.add_blob(content.as_slice(), &config.digest, None)?;
    let manifest = serde_json::to_vec(&Manifest::new(config, vec![layer]));
    let manifest = manifest.map_err(std::io::Error::from).what(what)?;
    let names: Vec<Reference> = name.into_iter().collect();
    let image = store.put_image(&NewImage { manifest: &manifest, names: &names, source: None })?;
    crate::cli::print(&format!("{}\n", image.id))?;
    Ok(0)
}

/// The configuration without its layer.
fn described(args: &Args) -> Result<ImageConfig> {
    let platform = match &args.platform {
        Some(text) => load::platform(text)?,
        None => super::Platform {
            os: "linux".into(),
            architecture: load::host_architecture().into(),
            variant: String::new(),
        },
    };
    let created = Timestamp::now().to_string();
    let comment = match args.message.as_str() {
        "" => format!("Imported from {}", args.file),
        message => message.to_owned(),
    };
    let step = config::History {
        created: created.clone(),
        comment: comment.clone(),
        ..config::History::default()
    };
    let mut image = ImageConfig {
        created,
        comment,
        architecture: platform.architecture,
        variant: platform.variant,
        os: platform.os,
        history: vec![step],
        ..ImageConfig::default()
    };
    image.rootfs.kind = "layers".into();
    for text in &args.change {
        change::apply(&mut image.config, text)?;
    }
    Ok(image)
}

/// Takes the archive as the blob that it is, and unpacks it.
fn layer(store: &Store, file: &Path, config: &mut ImageConfig) -> Result<Descriptor> {
    let path = store.scratch()?;
    let what = || format!("cannot read {}", file.display());
    let mut hashing = Hashing::new(fsutil::create_new(&path).what(what)?);
    let size = std::io::copy(&mut open_input(Some(file))?, &mut hashing).what(what)?;
    let digest = hashing.finish().0;
    if size == 0 {
        return Err(Error::new(what()).why("it is empty"));
    }
    store.adopt_blob(digest, path.clone());
    let mut start = BufReader::new(File::open(&path).what(what)?);
    let compression = compress::detect(&mut start).what(what)?;
    config.rootfs.diff_ids = vec![store.add_new_layer(start)?];
    Ok(Descriptor::new(load::media_type(compression), digest, size))
}
