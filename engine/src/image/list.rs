//! `images`: what is in the store.

use std::collections::BTreeMap;

use crate::Context;
use crate::error::{Error, Result};
use crate::format::time::Timestamp;
use crate::format::{Listing, Value, duration, size};
use crate::reference::Reference;
use crate::store::{Image, Store};

/// `images`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  pier images
  pier images --filter dangling=true -q
  pier images --filter reference='app:*' --format '{{.Repository}}:{{.Tag}} {{.Size}}'")]
pub struct Args {
    /// Show intermediate images too; there are none in this store
    #[arg(short, long)]
    pub all: bool,
    /// Show the digests that registries know
    #[arg(long)]
    pub digests: bool,
    /// dangling=BOOL, label=KEY[=VALUE], before=IMAGE, since=IMAGE, until=TIME, reference=PATTERN
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub filter: Vec<String>,
    /// Template for each row, or `table` or `json`
    #[arg(long, value_name = "TEMPLATE")]
    pub format: Option<String>,
    /// Do not shorten ids
    #[arg(long)]
    pub no_trunc: bool,
    /// Print ids only
    #[arg(short, long)]
    pub quiet: bool,
    /// Only this repository, or this name; `*` and `?` stand for letters
    #[arg(value_name = "NAME[:TAG]")]
    pub name: Option<String>,
}

const HEADINGS: &[(&str, &str)] = &[
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("Digest", "DIGEST"),
    ("ID", "IMAGE ID"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("Size", "SIZE"),
    ("Containers", "CONTAINERS"),
    ("SharedSize", "SHARED SIZE"),
    ("UniqueSize", "UNIQUE SIZE"),
    ("VirtualSize", "VIRTUAL SIZE"),
];
const PLAIN: &str = "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";
const DIGESTS: &str =
    "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";
/// What stands where there is no name.
const NONE: &str = "<none>";

/// Runs `images`.
///
/// # Errors
/// A filter or the template cannot be read.
pub fn images(context: &Context, args: &Args) -> Result<u8> {
    let store = Store::open(&context.paths)?;
    let all = store.images()?;
    let filters = Filters::parse(&store, &args.filter)?;
    let wanted: Vec<&Image> = all.iter().filter(|image| filters.admit(image)).collect();
    if args.quiet {
        return quiet(&wanted, args, &filters);
    }
    let mut rows = Vec::new();
    for image in wanted {
        let size = store.size(image)?;
        for line in lines(image) {
            if line.matches(args.name.as_deref()) && filters.names(&line) {
                rows.push(Value::row(line.row(image, size, args)));
            }
        }
    }
    let default = if args.digests { DIGESTS } else { PLAIN };
    let listing = Listing { headings: HEADINGS, default };
    crate::cli::print(&listing.render(args.format.as_deref(), rows)?)?;
    Ok(0)
}

fn quiet(images: &[&Image], args: &Args, filters: &Filters) -> Result<u8> {
    let shown = |image: &&&Image| {
        lines(image).iter().any(|line| line.matches(args.name.as_deref()) && filters.names(line))
    };
    let id = |image: &&Image| match args.no_trunc {
        true => format!("{}\n", image.id),
        false => format!("{}\n", image.id.short()),
    };
    let ids: String = images.iter().filter(shown).map(id).collect();
    crate::cli::print(&ids).map(|()| 0)
}

/// A row: one name of an image.
struct Line {
    name: Option<Reference>,
    digest: Option<String>,
}

fn lines(image: &Image) -> Vec<Line> {
    let digest = |name: &Reference| {
        let of_name = image.digests.iter().find(|digest| digest.name() == name.name());
        of_name.and_then(|digest| digest.digest).map(|digest| digest.to_string())
    };
    let tagged = |name: &Reference| Line { name: Some(name.clone()), digest: digest(name) };
    let mut lines: Vec<Line> = image.names.iter().map(tagged).collect();
    let untagged = image
        .digests
        .iter()
        .filter(|digest| !image.names.iter().any(|name| name.name() == digest.name()));
    lines.extend(untagged.map(tagged));
    if lines.is_empty() {
        lines.push(Line { name: None, digest: None });
    }
    lines
}

impl Line {
    fn row(&self, image: &Image, bytes: u64, args: &Args) -> Vec<(&'static str, String)> {
        let none = || NONE.to_owned();
        let created = Timestamp::parse(&image.config.created);
        let since = |at: Timestamp| format!("{} ago", duration::human(at.until(Timestamp::now())));
        let name = self.name.as_ref();
        let id = if args.no_trunc { image.id.to_string() } else { image.id.short() };
        vec![
            ("Repository", name.map_or_else(none, Reference::familiar_name)),
            ("Tag", name.and_then(|name| name.tag.clone()).unwrap_or_else(none)),
            ("Digest", self.digest.clone().unwrap_or_else(none)),
            ("ID", id),
            ("CreatedSince", created.map_or_else(|| "N/A".into(), since)),
            ("CreatedAt", created.map_or_else(|| "N/A".into(), Timestamp::listed)),
            ("Size", size::decimal(bytes)),
            ("Containers", "N/A".into()),
            ("SharedSize", "N/A".into()),
            ("UniqueSize", "N/A".into()),
            ("VirtualSize", size::decimal(bytes)),
        ]
    }

    /// Whether it is what the command line names.
    fn matches(&self, asked: Option<&str>) -> bool {
        let Some(asked) = asked else { return true };
        let Some(name) = &self.name else { return false };
        let mut whole = vec![name.familiar_name(), name.name()];
        whole.extend([name.familiar(), name.to_string()]);
        whole.iter().any(|text| glob(asked, text))
    }
}

/// What `--filter` says; every key must admit an image, one of the values of a key.
#[derive(Default)]
pub(super) struct Filters {
    dangling: Option<bool>,
    labels: Vec<(String, Option<String>)>,
    not_labels: Vec<(String, Option<String>)>,
    before: Option<String>,
    since: Option<String>,
    until: Option<Timestamp>,
    references: Vec<String>,
}

impl Filters {
    pub(super) fn parse(store: &Store, texts: &[String]) -> Result<Self> {
        let mut filters = Self::default();
        for text in texts {
            let wrong = |why: &str| {
                Error::new(format!("invalid filter {text:?}")).why(why).fix(
                    "filters are dangling=true|false, label=KEY[=VALUE], label!=KEY[=VALUE], \
                     before=IMAGE, since=IMAGE, until=TIME, reference=PATTERN",
                )
            };
            let (key, value) = text.split_once('=').ok_or_else(|| wrong("it has no ="))?;
            let label = || match value.split_once('=') {
                Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                None => (value.to_owned(), None),
            };
            match key {
                "dangling" => {
                    let known = match value {
                        "true" | "1" | "t" | "T" | "True" | "TRUE" => true,
                        "false" | "0" | "f" | "F" | "False" | "FALSE" => false,
                        _ => return Err(wrong("dangling is true or false")),
                    };
                    filters.dangling = Some(known);
                }
                "label" => filters.labels.push(label()),
                "label!" => filters.not_labels.push(label()),
                "before" => filters.before = Some(store.image(value)?.config.created),
                "since" => filters.since = Some(store.image(value)?.config.created),
                "until" => {
                    let point = Timestamp::point(value, Timestamp::now());
                    filters.until = Some(point.ok_or_else(|| wrong("it is no time"))?);
                }
                "reference" => filters.references.push(value.to_owned()),
                _ => return Err(wrong("no filter is called so")),
            }
        }
        Ok(filters)
    }

    /// Whether `until` or `label` narrows what is pruned, and nothing else is asked.
    pub(super) fn for_prune(&self) -> bool {
        self.before.is_none() && self.since.is_none() && self.references.is_empty()
    }

    /// What `dangling` says.
    pub(super) fn dangling(&self) -> Option<bool> {
        self.dangling
    }

    fn admit(&self, image: &Image) -> bool {
        self.dangling.is_none_or(|dangling| dangling == image.names.is_empty())
            && self.narrow(image)
    }

    /// Whether an image is admitted, whatever names it has.
    pub(super) fn narrow(&self, image: &Image) -> bool {
        let created = Timestamp::parse(&image.config.created);
        let than = |text: &String| Timestamp::parse(text);
        let has = |(key, value): &(String, Option<String>)| has_label(image, key, value.as_deref());
        self.labels.iter().all(has)
            && !self.not_labels.iter().any(has)
            && self.before.as_ref().is_none_or(|other| created < than(other))
            && self.since.as_ref().is_none_or(|other| created > than(other))
            && self.until.is_none_or(|until| created.is_none_or(|created| created < until))
    }

    fn names(&self, line: &Line) -> bool {
        self.references.is_empty()
            || self.references.iter().any(|pattern| line.matches(Some(pattern)))
    }
}

fn has_label(image: &Image, key: &str, value: Option<&str>) -> bool {
    let labels: &BTreeMap<String, String> = &image.config.config.labels;
    labels.get(key).is_some_and(|found| value.is_none_or(|value| value == found))
}

/// Go's `path.Match` without classes: `*` and `?` stand for anything but a slash.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.chars().next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = &pattern[1..];
            let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.take_while(|at| !text[..*at].contains('/')).any(|at| glob(rest, &text[at..]))
        }
        Some(letter) => match text.chars().next() {
            Some(found) if found == letter || (letter == '?' && found != '/') => {
                glob(&pattern[letter.len_utf8()..], &text[found.len_utf8()..])
            }
            _ => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_within_a_part_of_the_name() {
        for (pattern, text) in
            [("app", "app"), ("app:*", "app:1"), ("*/app", "user/app"), ("?", "x")]
        {
            assert!(glob(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("app", "apps"), ("*", "user/app"), ("a?c", "a/c"), ("", "x")] {
            assert!(!glob(pattern, text), "{pattern} {text}");
        }
    }
}
