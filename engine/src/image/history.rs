//! `history`: how an image was built, the newest step first.

use crate::Context;
use crate::error::Result;
use crate::format::time::Timestamp;
use crate::format::{Listing, Value, duration, size};
use crate::store::{Image, Store};

/// `history`.
#[derive(clap::Args, Debug)]
#[command(disable_help_flag = true)]
pub struct Args {
    /// Template for each step, or `table` or `json`
    #[arg(long, value_name = "TEMPLATE")]
    pub format: Option<String>,
    /// Sizes and dates for people
    #[arg(short = 'H', long, default_value_t = true, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", action = clap::ArgAction::Set, value_name = "BOOL")]
    pub human: bool,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    pub help: Option<bool>,
    /// Do not shorten
    #[arg(long)]
    pub no_trunc: bool,
    /// Print ids only
    #[arg(short, long)]
    pub quiet: bool,
    /// Name or id of the image
    #[arg(value_name = "IMAGE")]
    pub image: String,
}

/// Longest `CREATED BY` of a table.
const LONGEST: usize = 45;
const LISTING: Listing<'_> = Listing {
    headings: &[
        ("ID", "IMAGE"),
        ("CreatedSince", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("CreatedBy", "CREATED BY"),
        ("Size", "SIZE"),
        ("Comment", "COMMENT"),
    ],
    default: "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}",
};
const EXACT: Listing<'_> = Listing {
    headings: LISTING.headings,
    default: "{{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}",
};

/// Runs `history`.
///
/// # Errors
/// There is no such image; the template cannot be read.
pub fn history(context: &Context, args: &Args) -> Result<u8> {
    let store = Store::open(&context.paths)?;
    let image = store.image(&args.image)?;
    let rows = rows(&image, &store.layer_sizes(&image)?, args);
    if args.quiet {
        let id = |row: &[(&str, String)]| row.first().map(|(_, id)| format!("{id}\n"));
        let ids: String = rows.iter().filter_map(|row| id(row)).collect();
        return crate::cli::print(&ids).map(|()| 0);
    }
    let listing = if args.human { LISTING } else { EXACT };
    let rows = rows.into_iter().map(Value::row);
    crate::cli::print(&listing.render(args.format.as_deref(), rows)?)?;
    Ok(0)
}

fn rows(image: &Image, sizes: &[u64], args: &Args) -> Vec<Vec<(&'static str, String)>> {
    let mut sizes = sizes.iter();
    let now = Timestamp::now();
    let mut rows = Vec::new();
    let steps = image.config.history.len();
    for (at, step) in image.config.history.iter().enumerate() {
        let bytes = if step.empty_layer { 0 } else { sizes.next().copied().unwrap_or(0) };
        // Only the last step is an image of its own.
        let id = match at + 1 == steps {
            true if args.no_trunc => image.id.to_string(),
            true => image.id.short(),
            false => "<missing>".to_owned(),
        };
        let created = Timestamp::parse(&step.created);
        let since = |at: Timestamp| format!("{} ago", duration::human(at.until(now)));
        let by = step.created_by.replace('\t', " ");
        rows.push(vec![
            ("ID", id),
            ("CreatedSince", created.map(since).unwrap_or_default()),
            ("CreatedAt", created.map(|at| at.to_string()).unwrap_or_default()),
            ("CreatedBy", if args.no_trunc { by } else { shorten(&by) }),
            ("Size", if args.human { size::decimal(bytes) } else { bytes.to_string() }),
            ("Comment", step.comment.clone()),
        ]);
    }
    rows.reverse();
    rows
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST - 1).chain(['\u{2026}']).collect()
}
