//! `system prune`: stopped containers, images and, when asked for, volumes that nobody uses.

use clap::Args;

use super::confirm;
use crate::Context;
use crate::cli::print;
use crate::container::rm;
use crate::error::{Error, Result};
use crate::format::size;
use crate::{image, volume};

/// Flags of `system prune`.
#[derive(Args, Debug)]
pub struct PruneArgs {
    /// All images that no container uses, not only those without a name
    #[arg(short, long)]
    all: bool,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Anonymous volumes that no container uses too
    #[arg(long)]
    volumes: bool,
    /// Only these: until=TIME, label=KEY[=VALUE], label!=KEY[=VALUE]
    #[arg(long, value_name = "FILTER")]
    filter: Vec<String>,
}

/// Asks, removes, and tells what went.
///
/// # Errors
/// A filter that does not exist.
pub fn prune(context: &Context, args: &PruneArgs) -> Result<u8> {
    let filters = rm::Filters::parse(&args.filter)?;
    if args.volumes && args.filter.iter().any(|filter| filter.starts_with("until")) {
        let error = Error::new("The \"until\" filter is not supported with \"--volumes\"");
        return Err(error.fix("prune volumes apart: pier volume prune"));
    }
    if !args.force && !confirm(&question(args))? {
        return Ok(0);
    }
    // Containers first: what they used may go then.
    let (mut text, mut freed) = rm::prune_stopped(context, &filters)?;
    if args.volumes {
        let (told, bytes) = volume::verbs::prune_unused(context, false, &args.filter)?;
        text.push_str(&told);
        freed += bytes;
    }
    let images = image::prune::images(context, args.all, &args.filter)?;
    if !images.told.is_empty() {
        let told =
            images.told.replace("Untagged: ", "untagged: ").replace("Deleted: ", "deleted: ");
        text.push_str(&format!("Deleted Images:\n{told}\n"));
    }
    freed += images.bytes;
    print(&format!("{text}Total reclaimed space: {}\n", size::decimal(freed)))?;
    Ok(0)
}

fn question(args: &PruneArgs) -> String {
    let mut text = String::from("WARNING! This will remove:\n  - all stopped containers\n");
    if args.volumes {
        text.push_str("  - all anonymous volumes not used by at least one container\n");
    }
    text.push_str(if args.all {
        "  - all images without at least one container associated to them\n"
    } else {
        "  - all dangling images\n"
    });
    if !args.filter.is_empty() {
        text.push_str("\n  Items to be pruned will be filtered with:\n");
        text.extend(args.filter.iter().map(|filter| format!("  - {filter}\n")));
    }
    text
}
