//! `volume create`, `ls`, `inspect`, `rm`, `prune`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::Args;
use serde_json::json;

use super::{Volume, Volumes};
use crate::Context;
use crate::cli::print;
use crate::error::{Error, FAILURE, Result};
use crate::format::time::Timestamp;
use crate::format::{Listing, Value, size};
use crate::fsutil;
use crate::net::state::random_id;
use crate::system::confirm;
use crate::system::inspect::each;

/// Flags of `volume create`.
#[derive(Args, Debug)]
pub struct CreateArgs {
    /// Name of the volume; 64 random digits without one
    name: Option<String>,
    /// Driver; there is local
    #[arg(short, long, default_value = "local")]
    driver: String,
    /// Label: KEY=VALUE
    #[arg(long, value_name = "LABEL")]
    label: Vec<String>,
    /// Option of the driver: type=, device=, o=, as for mount(8)
    #[arg(short, long, value_name = "OPTION")]
    opt: Vec<String>,
}

/// Makes a volume and prints its name.
///
/// # Errors
/// As [`Volumes::create`].
pub fn create(context: &Context, args: &CreateArgs) -> Result<u8> {
    if args.driver != "local" {
        return Err(super::resolve::no_driver(&args.driver));
    }
    let anonymous = args.name.as_deref().unwrap_or_default().is_empty();
    let name = match args.name.clone().filter(|_| !anonymous) {
        Some(name) => name,
        None => random_id()?,
    };
    let options = pairs(&args.opt);
    if let Some((option, _)) = options.iter().find(|(_, value)| value.is_empty()) {
        return Err(Error::new(format!("invalid option {option:?}")).fix("write --opt KEY=VALUE"));
    }
    let labels = pairs(&args.label);
    let volume = Volume { name, labels, options, anonymous, ..Volume::default() };
    let volumes = Volumes::of(&context.paths);
    print(&format!("{}\n", volumes.create(&volume)?.name)).map(|()| 0)
}

fn pairs(texts: &[String]) -> BTreeMap<String, String> {
    let pair = |text: &String| {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        (key.to_owned(), value.to_owned())
    };
    texts.iter().map(pair).collect()
}

/// Flags of `volume ls`.
#[derive(Args, Debug)]
pub struct LsArgs {
    /// Only these: dangling=true, driver=NAME, label=KEY[=VALUE], name=PART
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<String>,
    /// Print by a Go template, `table TEMPLATE`, or json
    #[arg(long)]
    format: Option<String>,
    /// Only names
    #[arg(short, long)]
    quiet: bool,
}

const LISTING: Listing<'static> = Listing {
    headings: &[
        ("Driver", "DRIVER"),
        ("Name", "VOLUME NAME"),
        ("Labels", "LABELS"),
        ("Links", "LINKS"),
        ("Mountpoint", "MOUNTPOINT"),
        ("Scope", "SCOPE"),
        ("Size", "SIZE"),
    ],
    default: "{{.Driver}}\t{{.Name}}",
};

/// Lists volumes.
///
/// # Errors
/// A filter or template that cannot be understood.
pub fn ls(context: &Context, args: &LsArgs) -> Result<u8> {
    let volumes = Volumes::of(&context.paths);
    let mut kept = Vec::new();
    for volume in volumes.all()? {
        if matches(&volumes, &volume, &args.filter)? {
            kept.push(volume);
        }
    }
    if args.quiet && args.format.is_none() {
        let names: String = kept.iter().map(|volume| format!("{}\n", volume.name)).collect();
        return print(&names).map(|()| 0);
    }
    let rows = kept.iter().map(|volume| row(&volumes, volume));
    print(&LISTING.render(args.format.as_deref(), rows)?).map(|()| 0)
}

fn row(volumes: &Volumes<'_>, volume: &Volume) -> Value {
    let labels: Vec<_> =
        volume.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    Value::row([
        ("Driver", "local".to_owned()),
        ("Name", volume.name.clone()),
        ("Labels", labels.join(",")),
        ("Links", "N/A".to_owned()),
        ("Mountpoint", volumes.data(&volume.name).display().to_string()),
        ("Scope", "local".to_owned()),
        ("Size", "N/A".to_owned()),
    ])
}

/// Whether it passes all filters; those of one kind are alternatives.
fn matches(volumes: &Volumes<'_>, volume: &Volume, filters: &[String]) -> Result<bool> {
    let mut kinds: BTreeMap<&str, bool> = BTreeMap::new();
    for filter in filters {
        let (key, value) = filter.split_once('=').unwrap_or((filter, ""));
        let label = || {
            let (name, wanted) = value.split_once('=').map_or((value, None), |(n, w)| (n, Some(w)));
            volume.labels.get(name).is_some_and(|has| wanted.is_none_or(|wanted| wanted == has))
        };
        let fits = match key {
            "dangling" => match value {
                "true" | "1" => volumes.users(&volume.name)?.is_empty(),
                "false" | "0" => !volumes.users(&volume.name)?.is_empty(),
                _ => return Err(invalid(filter)),
            },
            "driver" => value == "local",
            "name" => volume.name.contains(value),
            "label" => label(),
            "label!" => !label(),
            _ => return Err(invalid(filter)),
        };
        // Every label counts, of other kinds one is enough.
        let all = key.starts_with("label");
        let entry = kinds.entry(key).or_insert(all);
        *entry = if all { *entry && fits } else { *entry || fits };
    }
    Ok(kinds.values().all(|fits| *fits))
}

fn invalid(filter: &str) -> Error {
    Error::new(format!("invalid filter '{filter}'"))
        .fix("the filters are dangling=true, driver=NAME, label=KEY[=VALUE], label!=KEY, name=PART")
}

/// Flags of `volume inspect`.
#[derive(Args, Debug)]
pub struct InspectArgs {
    /// Volumes
    #[arg(required = true, value_name = "VOLUME")]
    volumes: Vec<String>,
    /// Print by a Go template
    #[arg(short, long)]
    format: Option<String>,
}

/// Prints volumes in Docker's shape.
///
/// # Errors
/// One that does not exist; the others are printed.
pub fn inspect(context: &Context, args: &InspectArgs) -> Result<u8> {
    let volumes = Volumes::of(&context.paths);
    each(&args.volumes, args.format.as_deref(), |name| Ok(object(&volumes, &volumes.get(name)?)))
}

/// Docker's shape of a volume.
pub(crate) fn object(volumes: &Volumes<'_>, volume: &Volume) -> serde_json::Value {
    let some =
        |map: &BTreeMap<String, String>| if map.is_empty() { json!(null) } else { json!(map) };
    let seconds = i64::try_from(volume.created).unwrap_or_default();
    let mut labels = volume.labels.clone();
    if volume.anonymous {
        labels.insert("com.docker.volume.anonymous".into(), String::new());
    }
    json!({
        "CreatedAt": Timestamp { seconds, nanos: 0 }.to_string(),
        "Driver": "local",
        "Labels": some(&labels),
        "Mountpoint": volumes.data(&volume.name),
        "Name": volume.name,
        "Options": some(&volume.options),
        "Scope": "local",
    })
}

/// Flags of `volume rm`.
#[derive(Args, Debug)]
pub struct RmArgs {
    /// Volumes
    #[arg(required = true, value_name = "VOLUME")]
    volumes: Vec<String>,
    /// One that does not exist is fine
    #[arg(short, long)]
    force: bool,
}

/// Removes volumes and prints their names.
///
/// # Errors
/// None: those that stay are told, the exit code is 1.
pub fn rm(context: &Context, args: &RmArgs) -> Result<u8> {
    let volumes = Volumes::of(&context.paths);
    let mut code = 0;
    for name in &args.volumes {
        let missing = args.force && volumes.find(name)?.is_none();
        match if missing { Ok(()) } else { volumes.remove(name) } {
            Ok(()) => print(&format!("{name}\n"))?,
            Err(error) => {
                crate::cli::tell(&error);
                code = FAILURE;
            }
        }
    }
    Ok(code)
}

/// Flags of `volume prune`.
#[derive(Args, Debug)]
pub struct PruneArgs {
    /// Those with a name too
    #[arg(short, long)]
    all: bool,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Only these: label=KEY[=VALUE], label!=KEY[=VALUE], all=1
    #[arg(long, value_name = "FILTER")]
    filter: Vec<String>,
}

/// Removes volumes that no container has.
///
/// # Errors
/// A filter that does not exist.
pub fn prune(context: &Context, args: &PruneArgs) -> Result<u8> {
    let mut filter = args.filter.clone();
    let before = filter.len();
    filter.retain(|filter| !matches!(filter.as_str(), "all=1" | "all=true"));
    let all = args.all || filter.len() != before;
    let which = if all { "all" } else { "anonymous" };
    let question = format!(
        "WARNING! This will remove {which} local volumes not used by at least one container."
    );
    if !args.force && !confirm(&question)? {
        return Ok(0);
    }
    let (text, freed) = prune_unused(context, all, &filter)?;
    print(&format!("{text}Total reclaimed space: {}\n", size::decimal(freed))).map(|()| 0)
}

/// Removes volumes that no container has; returns Docker's words and the bytes that were freed.
pub(crate) fn prune_unused(
    context: &Context,
    all: bool,
    filter: &[String],
) -> Result<(String, u64)> {
    if let Some(other) = filter.iter().find(|filter| !filter.starts_with("label")) {
        return Err(Error::new(format!("invalid filter '{other}'"))
            .fix("the filters are label=KEY[=VALUE] and label!=KEY[=VALUE]"));
    }
    let volumes = Volumes::of(&context.paths);
    let (mut text, mut freed) = (String::new(), 0);
    for volume in volumes.all()? {
        let wanted = (all || volume.anonymous) && matches(&volumes, &volume, filter)?;
        if !wanted || !volumes.users(&volume.name)?.is_empty() {
            continue;
        }
        let bytes = fsutil::usage(&volumes.data(&volume.name)).unwrap_or_default();
        // Another process may take it, or remove it, at this moment.
        if volumes.remove(&volume.name).is_ok() {
            freed += bytes;
            let _ = writeln!(text, "{}", volume.name);
        }
    }
    let text = if text.is_empty() { text } else { format!("Deleted Volumes:\n{text}\n") };
    Ok((text, freed))
}
