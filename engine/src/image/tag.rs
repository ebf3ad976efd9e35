//! `tag`: another name for an image.

use crate::Context;
use crate::error::{Error, Result};
use crate::reference::Reference;
use crate::store::Store;

/// `tag`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:
  pier tag app:1.2 registry.example/team/app:stable")]
pub struct Args {
    /// Name or id of the image
    #[arg(value_name = "IMAGE")]
    pub source: String,
    /// Its further name; `:latest` where it says no tag
    #[arg(value_name = "NAME[:TAG]")]
    pub target: String,
}

/// Runs `tag`.
///
/// # Errors
/// There is no such image, or the name is none.
pub fn tag(context: &Context, args: &Args) -> Result<u8> {
    let target: Reference = args.target.parse()?;
    if target.digest.is_some() {
        return Err(Error::new(format!("cannot tag as {}", args.target))
            .why("a digest is not chosen, it follows from the image"));
    }
    let store = Store::open(&context.paths)?;
    let image = store.image(&args.source)?;
    store.tag(&image, &target)?;
    Ok(0)
}
