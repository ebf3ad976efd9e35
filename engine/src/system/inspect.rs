//! `inspect`: everything about whatever has the name: a container, an image, a network, a volume,
//! looked for in this order. [`each`] is how every verb of that name prints and fails.

use serde::Serialize;
use serde_json::Value;

use crate::Context;
use crate::cli::{print, tell};
use crate::error::{Error, FAILURE, Result};
use crate::store::Store;
use crate::volume::Volumes;
use crate::{container, format, image, net, volume};

/// `inspect`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// How to print: json, or a template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show how much each container has written
    #[arg(short, long)]
    size: bool,
    /// Only a container, image, network or volume
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Names or ids
    #[arg(value_name = "OBJECT", required = true)]
    names: Vec<String>,
}

/// What can be inspected, in Docker's order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Container,
    Image,
    Network,
    Volume,
}

const KINDS: [(&str, Kind); 4] = [
    ("container", Kind::Container),
    ("image", Kind::Image),
    ("network", Kind::Network),
    ("volume", Kind::Volume),
];

/// Prints objects as JSON, or by a template.
///
/// # Errors
/// A type that does not exist; a template that cannot be read.
pub fn inspect(context: &Context, args: &Args) -> Result<u8> {
    let kind = args.kind.as_deref().filter(|kind| !kind.is_empty());
    let kinds: Vec<Kind> = KINDS
        .into_iter()
        .filter(|(name, _)| kind.is_none_or(|kind| kind == *name))
        .map(|(_, kind)| kind)
        .collect();
    if let (true, Some(kind)) = (kinds.is_empty(), kind) {
        return Err(Error::new(format!("unknown type: {kind:?}"))
            .why("must be one of \"container\", \"image\", \"network\", \"volume\""));
    }
    each(&args.names, args.format.as_deref(), |name| match kinds.as_slice() {
        [one] => object(context, *one, name, args.size),
        all => any(context, all, name, args.size),
    })
}

/// The first kind that has the name.
fn any(context: &Context, kinds: &[Kind], name: &str, size: bool) -> Result<Value> {
    let mut fix = None;
    for kind in kinds {
        match object(context, *kind, name, size) {
            Err(error) if is_missing(&error, name) => {
                fix = fix.or_else(|| error.fix.filter(|fix| fix.starts_with("did you mean")));
            }
            found => return found,
        }
    }
    Err(Error { fix, ..Error::new(format!("No such object: {name}")) })
}

/// Whether the error says that nothing has the name.
fn is_missing(error: &Error, name: &str) -> bool {
    let words = [
        format!("No such container: {name}"),
        format!("no such image: {name}"),
        format!("network {name} not found"),
        format!("get {name}: no such volume"),
    ];
    words.contains(&error.what)
}

fn object(context: &Context, kind: Kind, name: &str, size: bool) -> Result<Value> {
    match kind {
        Kind::Container => container::inspect::find(context, name, size),
        Kind::Image => {
            let store = Store::open(&context.paths)?;
            let image = store.image_with_names(name)?;
            let shape = image::inspect::shape(&store, &image)?;
            serde_json::to_value(shape).map_err(|error| Error::new("cannot inspect").why(error))
        }
        Kind::Network => net::verbs::find(context, name),
        Kind::Volume => {
            let volumes = Volumes::of(&context.paths);
            Ok(volume::verbs::object(&volumes, &volumes.get(name)?))
        }
    }
}

/// Prints what `find` has for each name, then tells what it does not have. Docker's ways: without
/// a template there is an array also of nothing, with one there is at least an empty line.
///
/// # Errors
/// A template that cannot be read, with exit code 64; nobody reads what is printed.
pub fn each<T: Serialize>(
    names: &[String],
    format: Option<&str>,
    mut find: impl FnMut(&str) -> Result<T>,
) -> Result<u8> {
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    for name in names {
        match find(name) {
            Ok(object) => found.push(object),
            Err(error) => errors.push(error),
        }
    }
    let (text, misfits) = format::inspect(&found, format)?;
    print(&text)?;
    errors.extend(misfits);
    errors.iter().for_each(tell);
    Ok(if errors.is_empty() { 0 } else { FAILURE })
}
