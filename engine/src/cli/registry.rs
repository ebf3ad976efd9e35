//! Verbs that talk to registries.

use clap::Args;

use super::{Verb, print, verb};
use crate::Context;
use crate::error::Result;
use crate::reference::Reference;
use crate::registry::{Platform, PullOptions, Style, pull};
use crate::store::Store;

/// Rows of this group.
pub(super) static VERBS: &[Verb] =
    &[verb!(["pull", "image pull"], Pull, run, "Fetch an image from a registry")];

/// `pull`.
#[allow(
    rustdoc::broken_intra_doc_links,
    reason = "help text: brackets stand for what may be left out"
)]
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  pier pull alpine
  pier pull registry.example:5000/team/app:1.2
  pier pull alpine@sha256:…
  pier pull --platform linux/arm64 alpine

An interrupted pull is taken up by the next. Logins of docker and podman are used; mirrors and
registries without TLS stand in /etc/pier/registries.json.")]
struct Pull {
    /// [HOST[:PORT]/]NAME[:TAG][@DIGEST]
    #[arg(value_name = "NAME[:TAG|@DIGEST]")]
    name: Reference,
    /// Image for OS/ARCH[/VARIANT] instead of this machine's
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<Platform>,
    /// Print the name only
    #[arg(short, long)]
    quiet: bool,
    /// How to tell of the progress
    #[arg(long, value_enum, default_value = "auto", value_name = "STYLE")]
    progress: Style,
    /// Whether the registry must prove who it is
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", action = clap::ArgAction::Set)]
    tls_verify: bool,
}

fn run(context: &Context, args: &Pull) -> Result<u8> {
    let store = Store::open(&context.paths)?;
    let options = PullOptions {
        platform: args.platform.clone(),
        style: if args.quiet { Style::Quiet } else { args.progress },
        aside: false,
        trust_all: !args.tls_verify,
    };
    pull(&store, &args.name, &options)?;
    if args.progress != Style::Json || args.quiet {
        print(&format!("{}\n", args.name))?;
    }
    Ok(0)
}
