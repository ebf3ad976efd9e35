//! `ps`: containers and what they do, from their state files alone.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};

use super::state::{State, Status};
use super::{Container, litter, names};
use crate::Context;
use crate::error::{Error, Result};
use crate::format::time::Timestamp;
use crate::format::{Listing, Value, duration};
use crate::volume::Kind;

/// `ps`.
#[derive(clap::Args, Debug, Default)]
pub struct Args {
    /// Show all containers, not only those that run
    #[arg(short, long)]
    all: bool,
    /// Only these: status=, name=, id=, label=, ancestor=, exited=, before=, since=
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<String>,
    /// How to print: table, json, or a template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show the last ones made, in any state
    #[arg(short = 'n', long, value_name = "NUMBER", allow_negative_numbers = true)]
    last: Option<i64>,
    /// Show the last one made, in any state
    #[arg(short, long)]
    latest: bool,
    /// Do not shorten
    #[arg(long)]
    no_trunc: bool,
    /// Print ids only
    #[arg(short, long)]
    quiet: bool,
    /// Show how much each has written
    #[arg(short, long)]
    size: bool,
}

/// Docker's columns.
const LISTING: Listing<'_> = Listing {
    headings: &[
        ("ID", "CONTAINER ID"),
        ("Image", "IMAGE"),
        ("Command", "COMMAND"),
        ("CreatedAt", "CREATED AT"),
        ("RunningFor", "CREATED"),
        ("Status", "STATUS"),
        ("State", "STATE"),
        ("Ports", "PORTS"),
        ("Names", "NAMES"),
        ("Labels", "LABELS"),
        ("Size", "SIZE"),
        ("Mounts", "MOUNTS"),
        ("LocalVolumes", "LOCAL VOLUMES"),
        ("Networks", "NETWORKS"),
    ],
    default: "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}",
};
const WITH_SIZE: &str = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}\t{{.Size}}";

/// Lists containers, the youngest first.
///
/// # Errors
/// A filter or a format that cannot be understood.
pub fn ps(context: &Context, args: &Args) -> Result<u8> {
    let filters = Filters::parse(context, &args.filter)?;
    let last = if args.latest { Some(1) } else { args.last.and_then(|n| usize::try_from(n).ok()) };
    let every = args.all || last.is_some() || filters.names_a_status();
    let mut states: Vec<State> = all(context)?
        .into_iter()
        .filter(|state| {
            every || matches!(state.status, Status::Running | Status::Paused | Status::Restarting)
        })
        .filter(|state| filters.allow(state))
        .collect();
    states.sort_by(|a, b| b.created.cmp(&a.created));
    states.truncate(last.unwrap_or(usize::MAX));
    if args.quiet && args.format.is_none() {
        let ids = states.iter().map(|state| format!("{}\n", id(state, args.no_trunc)));
        return crate::cli::print(&ids.collect::<String>()).map(|()| 0);
    }
    let now = Timestamp::now();
    let rows = states.iter().map(|state| row(context, state, args, now));
    let listing = if args.size { Listing { default: WITH_SIZE, ..LISTING } } else { LISTING };
    crate::cli::print(&listing.render(args.format.as_deref(), rows)?)?;
    Ok(0)
}

/// Every container's state. One that is removed meanwhile is not there; one whose monitor was killed
/// is ended on the way.
fn all(context: &Context) -> Result<Vec<State>> {
    let ids = names::ids(&context.paths)?;
    let mut states = Vec::with_capacity(ids.len());
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(dir) = rustix::fs::open(context.paths.containers(), flags, Mode::empty()) else {
        return Ok(states);
    };
    // What a killed monitor left of a container that does not run is seen here.
    let live: HashSet<OsString> = crate::fsutil::names(&context.paths.run)?.into_iter().collect();
    let mut buffer = Vec::with_capacity(8192);
    for id in ids {
        let quiet = |state: &State| {
            let goes = state.rm && state.status == Status::Exited;
            !state.status.is_live() && !goes && !live.contains(OsStr::new(&id))
        };
        // What does not run needs no second look.
        match read_state(&dir, &id, &mut buffer).filter(quiet) {
            Some(state) => states.push(state),
            None => states.extend(look(context, &id)),
        }
    }
    Ok(states)
}

/// The state of a container that runs, or is not as it should be.
fn look(context: &Context, id: &str) -> Option<State> {
    let container = Container::of(context, id);
    let look = || match container.state() {
        Ok(state) => Some(state),
        // One that is removed meanwhile is not there.
        Err(_) if !container.dir.exists() => None,
        Err(error) => {
            crate::cli::tell(&error);
            None
        }
    };
    let state = look()?;
    let ended = !state.status.is_live() && !state.has_monitor();
    if ended && litter::bury(context, &container) { look() } else { Some(state) }
}

/// One state file below the directory of all; as few calls as can be.
fn read_state(dir: &OwnedFd, id: &str, buffer: &mut Vec<u8>) -> Option<State> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(dir, format!("{id}/state.json"), flags, Mode::empty()).ok()?;
    buffer.clear();
    while rustix::io::read(&file, rustix::buffer::spare_capacity(buffer)).ok()? > 0 {
        buffer.reserve(1);
    }
    serde_json::from_slice(buffer).ok().filter(|state: &State| state.id == id)
}

fn id(state: &State, whole: bool) -> &str {
    state.id.get(..if whole { 64 } else { 12 }).unwrap_or(&state.id)
}

fn row(context: &Context, state: &State, args: &Args, now: Timestamp) -> Value {
    let created = Timestamp::parse(&state.created).unwrap_or(now);
    let labels: Vec<_> = state.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let size = match args.size || args.format.as_ref().is_some_and(|f| f.contains(".Size")) {
        true => size(context, state),
        false => String::new(),
    };
    let more = more(context, state, args);
    Value::row([
        ("ID", id(state, args.no_trunc).to_owned()),
        ("Image", state.image.clone()),
        ("Command", command(state, args.no_trunc)),
        ("CreatedAt", created.listed()),
        ("RunningFor", format!("{} ago", duration::human(created.until(now)))),
        ("Status", state.sentence(now)),
        ("State", state.status.word().to_owned()),
        ("Ports", ports(state)),
        ("Names", state.name.clone()),
        ("Labels", labels.join(",")),
        ("Size", size),
        ("Mounts", more.mounts),
        ("LocalVolumes", more.volumes),
        ("Networks", more.network),
    ])
}

/// What the state does not repeat of the record.
#[derive(Default)]
struct More {
    mounts: String,
    volumes: String,
    network: String,
}

/// Reads the record, when the format asks for what stands there.
fn more(context: &Context, state: &State, args: &Args) -> More {
    let format = args.format.as_deref().unwrap_or_default();
    let asks = ["json", ".Mounts", ".LocalVolumes", ".Networks"];
    if !asks.iter().any(|word| format.contains(word)) {
        return More::default();
    }
    // Removed meanwhile, it has nothing.
    let Ok(record) = Container::of(context, &state.id).record() else { return More::default() };
    let name = |mount: &crate::volume::Mount| {
        let name = mount.name.as_ref().unwrap_or(&mount.source);
        match name.char_indices().nth(14) {
            Some((cut, _)) if !args.no_trunc && name.chars().count() > 15 => {
                format!("{}…", &name[..cut])
            }
            _ => name.clone(),
        }
    };
    let mounts = record.mounts.iter().filter(|mount| mount.kind != Kind::Tmpfs);
    let volumes = record.mounts.iter().filter(|mount| mount.kind == Kind::Volume).count();
    let network = super::inspect::network_mode(&record);
    More {
        mounts: mounts.map(name).collect::<Vec<_>>().join(","),
        volumes: volumes.to_string(),
        network: if network.starts_with("container:") { String::new() } else { network },
    }
}

fn command(state: &State, whole: bool) -> String {
    let quoted =
        state.command.iter().enumerate().map(|(at, word)| match at > 0 && word.contains(' ') {
            true => format!("'{word}'"),
            false => word.clone(),
        });
    let words = quoted.collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(19) {
        Some((cut, _)) if !whole && words.chars().count() > 20 => format!("\"{}…\"", &words[..cut]),
        _ => format!("\"{words}\""),
    }
}

/// What the network wrote for people.
fn ports(state: &State) -> String {
    match state.status {
        Status::Running | Status::Paused => {
            state.network["Summary"].as_str().unwrap_or_default().to_owned()
        }
        _ => String::new(),
    }
}

fn size(context: &Context, state: &State) -> String {
    crate::format::size::decimal(written(context, &state.id))
}

/// How many bytes a container has written, found by looking at all of it.
pub fn written(context: &Context, id: &str) -> u64 {
    let upper = context.paths.container(id).join("upper");
    let mut bytes = 0;
    let mut dirs = vec![upper];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => dirs.push(entry.path()),
                Ok(meta) => bytes += meta.len(),
                Err(_) => {}
            }
        }
    }
    bytes
}

/// `--filter`: values of one name are alternatives, different names must all hold.
struct Filters(Vec<(String, Vec<String>)>);

impl Filters {
    fn parse(context: &Context, list: &[String]) -> Result<Self> {
        const KNOWN: [&str; 8] =
            ["status", "name", "id", "label", "ancestor", "exited", "before", "since"];
        let mut filters: Vec<(String, Vec<String>)> = Vec::new();
        for text in list {
            let bad = || {
                Error::new(format!("invalid filter '{text}'"))
                    .fix(format!("filters are {}", KNOWN.map(|name| format!("{name}=")).join(" ")))
            };
            let (name, value) = text.split_once('=').ok_or_else(bad)?;
            if !KNOWN.contains(&name) {
                return Err(bad());
            }
            // Points in time by containers become their time.
            let value = match name {
                "before" | "since" => Container::find(context, value)?.recorded_state()?.created,
                _ => value.to_owned(),
            };
            match filters.iter_mut().find(|(known, _)| known == name) {
                Some((_, values)) => values.push(value),
                None => filters.push((name.to_owned(), vec![value])),
            }
        }
        Ok(Self(filters))
    }

    fn names_a_status(&self) -> bool {
        self.0.iter().any(|(name, _)| matches!(name.as_str(), "status" | "exited"))
    }

    fn allow(&self, state: &State) -> bool {
        let holds = |name: &str, value: &str| match name {
            "status" => state.status.word() == value,
            "name" => state.name.contains(value.trim_start_matches('/')),
            "id" => state.id.starts_with(value),
            "ancestor" => state.image == value || state.image.split(':').next() == Some(value),
            "exited" => state.status == Status::Exited && value.parse() == Ok(state.exit_code),
            "before" => state.created.as_str() < value,
            "since" => state.created.as_str() > value,
            _ => match value.split_once('=') {
                Some((key, value)) => state.labels.get(key).is_some_and(|found| found == value),
                None => state.labels.contains_key(value),
            },
        };
        self.0.iter().all(|(name, values)| values.iter().any(|value| holds(name, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_commands_are_cut_as_dockers() {
        let state = |words: &str| State {
            command: words.split(' ').map(Into::into).collect(),
            ..State::default()
        };
        assert_eq!(command(&state("sleep 100"), false), "\"sleep 100\"");
        assert_eq!(command(&state("sh -c while true; do date"), false), "\"sh -c while true; d…\"");
        assert_eq!(command(&state("12345678901234567890"), false), "\"12345678901234567890\"");
        assert_eq!(
            command(&state("sh -c while true; do date"), true),
            "\"sh -c while true; do date\""
        );
    }

    #[test]
    fn alternatives_of_one_name_and_all_names() {
        let filter = |list: &[(&str, &[&str])]| {
            let own = |(name, values): &(&str, &[&str])| {
                ((*name).to_owned(), values.iter().map(|v| (*v).to_owned()).collect())
            };
            Filters(list.iter().map(own).collect())
        };
        let mut state = State { name: "web1".into(), status: Status::Exited, ..State::default() };
        state.labels.insert("a".into(), "b".into());
        assert!(filter(&[("name", &["db", "web"])]).allow(&state));
        assert!(!filter(&[("name", &["web"]), ("status", &["running"])]).allow(&state));
        assert!(filter(&[("label", &["a"]), ("exited", &["0"])]).allow(&state));
        assert!(!filter(&[("label", &["a=c"])]).allow(&state));
    }
}
