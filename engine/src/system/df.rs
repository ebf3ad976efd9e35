//! `system df`: what images, containers and volumes take on the disk, and what could go.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use clap::Args;

use super::containers::{self, Seen};
use crate::Context;
use crate::cli::print;
use crate::error::Result;
use crate::format::time::Timestamp;
use crate::format::{Listing, Value, columns, duration, size};
use crate::fsutil;
use crate::store::{Digest, Image, Store};
use crate::volume::Volumes;

/// Flags of `system df`.
#[derive(Args, Debug)]
pub struct DfArgs {
    /// Print by a Go template, `table TEMPLATE`, or json
    #[arg(long)]
    format: Option<String>,
    /// Every image, container and volume
    #[arg(short, long)]
    verbose: bool,
}

const LISTING: Listing<'static> = Listing {
    headings: &[
        ("Type", "TYPE"),
        ("TotalCount", "TOTAL"),
        ("Active", "ACTIVE"),
        ("Size", "SIZE"),
        ("Reclaimable", "RECLAIMABLE"),
    ],
    default: "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}",
};

/// An image, the bytes that it shares with others, and those that it has alone.
struct ImageUse {
    image: Image,
    shared: u64,
    unique: u64,
    containers: usize,
}

struct ContainerUse {
    seen: Seen,
    bytes: u64,
}

struct VolumeUse {
    name: String,
    bytes: u64,
    links: usize,
}

/// Everything that takes room.
struct Usage {
    images: Vec<ImageUse>,
    /// All layers of all images, once.
    layers: u64,
    /// Those of images without a container.
    unused_layers: u64,
    containers: Vec<ContainerUse>,
    volumes: Vec<VolumeUse>,
}

/// Prints it.
///
/// # Errors
/// Something on disk cannot be read; a template that cannot be understood.
pub fn df(context: &Context, args: &DfArgs) -> Result<u8> {
    let usage = usage(context)?;
    if args.verbose && args.format.is_none() {
        return print(&verbose(&usage)).map(|()| 0);
    }
    print(&LISTING.render(args.format.as_deref(), summary(&usage))?).map(|()| 0)
}

fn usage(context: &Context) -> Result<Usage> {
    let seen = containers::all(&context.paths)?;
    let store = Store::open(&context.paths)?;
    let (images, layers, unused_layers) = images(&store, &seen)?;
    let containers = seen.into_iter().map(|seen| {
        // One that is being removed, or whose layer has another place, takes nothing here.
        let bytes = fsutil::usage(&seen.directory.join("upper")).unwrap_or_default();
        ContainerUse { seen, bytes }
    });
    let volumes = Volumes::of(&context.paths);
    let mut volume_uses = Vec::new();
    for name in volumes.names()? {
        let links = volumes.users(&name)?.len();
        let bytes = fsutil::usage(&volumes.data(&name)).unwrap_or_default();
        volume_uses.push(VolumeUse { name, bytes, links });
    }
    let containers = containers.collect();
    Ok(Usage { images, layers, unused_layers, containers, volumes: volume_uses })
}

fn images(store: &Store, seen: &[Seen]) -> Result<(Vec<ImageUse>, u64, u64)> {
    let mut sizes: BTreeMap<Digest, (u64, usize)> = BTreeMap::new();
    let mut used: BTreeSet<Digest> = BTreeSet::new();
    let mut uses = Vec::new();
    for image in store.images()? {
        let id = image.id.to_string();
        let containers = seen.iter().filter(|seen| seen.image_id == id).count();
        // An image with a damaged layer has no size; `check` says so.
        let bytes = store.layer_sizes(&image).unwrap_or_default();
        for (layer, bytes) in image.layers.iter().zip(bytes) {
            sizes.entry(layer.diff_id).or_insert((bytes, 0)).1 += 1;
            if containers > 0 {
                used.insert(layer.diff_id);
            }
        }
        uses.push(ImageUse { image, shared: 0, unique: 0, containers });
    }
    for one in &mut uses {
        for layer in &one.image.layers {
            let (bytes, count) = sizes.get(&layer.diff_id).copied().unwrap_or_default();
            let part = if count > 1 { &mut one.shared } else { &mut one.unique };
            *part += bytes;
        }
    }
    let all = sizes.values().map(|(bytes, _)| bytes).sum();
    let unused = sizes.iter().filter(|(id, _)| !used.contains(id)).map(|(_, (bytes, _))| bytes);
    Ok((uses, all, unused.sum()))
}

/// `11.6MB (70%)`.
fn reclaimable(part: u64, whole: u64) -> String {
    let percent = part.saturating_mul(100).checked_div(whole);
    percent.map_or_else(|| size::decimal(part), |p| format!("{} ({p}%)", size::decimal(part)))
}

fn summary(usage: &Usage) -> Vec<Value> {
    let row = |kind: &str, total: usize, active: usize, bytes: u64, free: u64| {
        Value::row([
            ("Type", kind.to_owned()),
            ("TotalCount", total.to_string()),
            ("Active", active.to_string()),
            ("Size", size::decimal(bytes)),
            ("Reclaimable", reclaimable(free, bytes)),
        ])
    };
    let images = usage.images.iter().filter(|one| one.containers > 0).count();
    let live = usage.containers.iter().filter(|one| one.seen.is_live()).count();
    let containers: u64 = usage.containers.iter().map(|one| one.bytes).sum();
    let idle = usage.containers.iter().filter(|one| !one.seen.is_live());
    let idle: u64 = idle.map(|one| one.bytes).sum();
    let linked = usage.volumes.iter().filter(|one| one.links > 0).count();
    let volumes: u64 = usage.volumes.iter().map(|one| one.bytes).sum();
    let unlinked = usage.volumes.iter().filter(|one| one.links == 0);
    let unlinked: u64 = unlinked.map(|one| one.bytes).sum();
    vec![
        row("Images", usage.images.len(), images, usage.layers, usage.unused_layers),
        row("Containers", usage.containers.len(), live, containers, idle),
        row("Local Volumes", usage.volumes.len(), linked, volumes, unlinked),
        row("Build Cache", 0, 0, 0, 0),
    ]
}

fn verbose(usage: &Usage) -> String {
    let now = Timestamp::now();
    let ago = |text: &str| {
        let at = Timestamp::parse(text);
        at.map_or_else(|| "N/A".into(), |at| format!("{} ago", duration::human(at.until(now))))
    };
    let mut text = String::from(
        "REPOSITORY\tTAG\tIMAGE ID\tCREATED\tSIZE\tSHARED SIZE\tUNIQUE SIZE\tCONTAINERS\n",
    );
    for one in &usage.images {
        let sizes = [one.shared + one.unique, one.shared, one.unique].map(size::decimal).join("\t");
        let created = ago(&one.image.config.created);
        let names: Vec<String> =
            one.image.names.iter().map(crate::reference::Reference::familiar).collect();
        let names = if names.is_empty() { vec!["<none>:<none>".into()] } else { names };
        for name in names {
            let (repository, tag) = name.rsplit_once(':').unwrap_or((&name, "<none>"));
            let id = one.image.id.short();
            let _ =
                writeln!(text, "{repository}\t{tag}\t{id}\t{created}\t{sizes}\t{}", one.containers);
        }
    }
    let mut out = format!("Images space usage:\n\n{}", columns(&text));
    let mut text = String::from("CONTAINER ID\tIMAGE\tCOMMAND\tSIZE\tCREATED\tSTATUS\tNAMES\n");
    for one in &usage.containers {
        let seen = &one.seen;
        let id: String = seen.id.chars().take(12).collect();
        let command: String = seen.command.join(" ").chars().take(20).collect();
        let (bytes, created) = (size::decimal(one.bytes), ago(&seen.created));
        let _ = writeln!(
            text,
            "{id}\t{}\t{command:?}\t{bytes}\t{created}\t{}\t{}",
            seen.image,
            seen.status(),
            seen.name
        );
    }
    let _ = write!(out, "\nContainers space usage:\n\n{}", columns(&text));
    let mut text = String::from("VOLUME NAME\tLINKS\tSIZE\n");
    for one in &usage.volumes {
        let _ = writeln!(text, "{}\t{}\t{}", one.name, one.links, size::decimal(one.bytes));
    }
    let _ = write!(out, "\nLocal Volumes space usage:\n\n{}", columns(&text));
    out
}
