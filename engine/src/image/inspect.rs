//! `image inspect`: everything about images, in Docker's shape.

use serde::Serialize;
use serde_json::{Value, json};

use crate::Context;
use crate::error::Result;
use crate::reference::Reference;
use crate::store::{Digest, Image, Store};

/// `image inspect`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  pier image inspect alpine
  pier image inspect --format '{{.Config.Cmd}}' alpine")]
pub struct Args {
    /// Template for each image, or `json`
    #[arg(short, long, value_name = "TEMPLATE")]
    pub format: Option<String>,
    /// Names or ids
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<String>,
}

/// Runs `image inspect`: what is known is printed, then an error for what is not.
///
/// # Errors
/// The template cannot be read.
pub fn inspect(context: &Context, args: &Args) -> Result<u8> {
    let store = Store::open(&context.paths)?;
    crate::system::inspect::each(&args.images, args.format.as_deref(), |query| {
        shape(&store, &store.image_with_names(query)?)
    })
}

/// Docker's shape of an image.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Shape {
    id: Digest,
    repo_tags: Vec<String>,
    repo_digests: Vec<String>,
    parent: String,
    comment: String,
    created: String,
    docker_version: String,
    author: String,
    config: Value,
    architecture: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    variant: String,
    os: String,
    size: u64,
    graph_driver: Value,
    #[serde(rename = "RootFS")]
    rootfs: Value,
    metadata: Value,
    descriptor: Value,
}

/// What `image inspect` and `inspect` show of an image.
///
/// # Errors
/// A layer is missing.
pub fn shape(store: &Store, image: &Image) -> Result<Shape> {
    let familiar = |names: &[Reference]| names.iter().map(Reference::familiar).collect();
    let config = &image.config;
    let layers: Vec<_> = store.layers(image)?.iter().map(|l| l.display().to_string()).collect();
    // The top layer is where a container's changes would have gone.
    let lower = layers.iter().rev().skip(1).cloned().collect::<Vec<_>>().join(":");
    let mut driver = json!({ "UpperDir": layers.last() });
    if !lower.is_empty() {
        driver["LowerDir"] = lower.into();
    }
    Ok(Shape {
        id: image.id,
        repo_tags: familiar(&image.names),
        repo_digests: familiar(&image.digests),
        parent: String::new(),
        comment: config.comment.clone(),
        created: config.created.clone(),
        docker_version: config.docker_version.clone(),
        author: config.author.clone(),
        config: full(config),
        architecture: config.architecture.clone(),
        variant: config.variant.clone(),
        os: config.os.clone(),
        size: store.size(image)?,
        graph_driver: json!({ "Data": driver, "Name": "overlay2" }),
        rootfs: json!({ "Type": "layers", "Layers": config.rootfs.diff_ids }),
        metadata: json!({ "LastTagTime": image.added }),
        descriptor: json!({
            "mediaType": super::manifest::MANIFEST,
            "digest": image.manifest,
        }),
    })
}

/// The configuration with the members that Docker shows even when they are empty: scripts ask for
/// them.
fn full(config: &super::ImageConfig) -> Value {
    let config = &config.config;
    let mut shown = json!({
        "User": config.user,
        "Env": config.env,
        "Cmd": config.cmd,
        "Entrypoint": config.entrypoint,
        "WorkingDir": config.working_dir,
        "OnBuild": Value::Null,
        "Labels": Value::Null,
        "Volumes": Value::Null,
        "ExposedPorts": Value::Null,
    });
    let said = serde_json::to_value(config).unwrap_or_default();
    if let (Some(shown), Value::Object(said)) = (shown.as_object_mut(), said) {
        shown.extend(said);
    }
    shown
}
