//! `image prune`: images without a name go, or all that no container uses.

use super::list::Filters;
use super::remove;
use crate::Context;
use crate::cli;
use crate::error::{Error, Result, What};
use crate::format::size;
use crate::store::Store;

/// `image prune`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  pier image prune
  pier image prune --all --force --filter until=24h --filter label!=keep")]
pub struct Args {
    /// Remove every image that no container uses, not only those without a name
    #[arg(short, long)]
    pub all: bool,
    /// until=TIME, label=KEY[=VALUE], label!=KEY[=VALUE], dangling=BOOL
    #[arg(long, value_name = "KEY=VALUE")]
    pub filter: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    pub force: bool,
}

/// What a prune did.
#[derive(Debug, Clone, Default)]
pub struct Pruned {
    /// What Docker prints of each image.
    pub told: String,
    /// Bytes on disk that are free again.
    pub bytes: u64,
}

/// Runs `image prune`.
///
/// # Errors
/// A filter cannot be read; the store cannot be written.
pub fn prune(context: &Context, args: &Args) -> Result<u8> {
    let warning = match args.all {
        true => {
            "WARNING! This will remove all images without at least one container associated to them."
        }
        false => "WARNING! This will remove all dangling images.",
    };
    if !args.force && !confirmed(warning)? {
        return Ok(0);
    }
    let pruned = images(context, args.all, &args.filter)?;
    if !pruned.told.is_empty() {
        // Docker writes these words small here, and large in `rmi`.
        let told =
            pruned.told.replace("Untagged: ", "untagged: ").replace("Deleted: ", "deleted: ");
        cli::print(&format!("Deleted Images:\n{told}\n"))?;
    }
    cli::print(&format!("Total reclaimed space: {}\n", size::decimal(pruned.bytes)))?;
    Ok(0)
}

/// Asks on the terminal; without one nobody agrees.
fn confirmed(warning: &str) -> Result<bool> {
    cli::print(&format!("{warning}\nAre you sure you want to continue? [y/N] "))?;
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    read.what(|| "cannot read the answer".into())?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Prunes without asking, for `system prune` too.
///
/// # Errors
/// As [`prune`].
pub fn images(context: &Context, all: bool, filter: &[String]) -> Result<Pruned> {
    let store = Store::open(&context.paths)?;
    let filters = Filters::parse(&store, filter)?;
    if !filters.for_prune() {
        return Err(Error::new("invalid filter of prune")
            .why("images are pruned by until, label, label! and dangling"));
    }
    // `dangling=false` is what `--all` is.
    let all = all || filters.dangling() == Some(false);
    let before = store.disk_usage()?;
    let mut pruned = Pruned::default();
    for image in store.images()? {
        let named = !image.names.is_empty() || !image.digests.is_empty();
        if filters.narrow(&image) && (all || !named) && remove::users(&store, &image.id)?.is_empty()
        {
            pruned.told += &remove::whole(&store, &image)?;
        }
    }
    store.sweep()?;
    store.sweep_partials()?;
    pruned.bytes = before.saturating_sub(store.disk_usage()?);
    Ok(pruned)
}
