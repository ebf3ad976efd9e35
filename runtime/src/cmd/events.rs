//! `events`: a container's numbers and notices, one line of JSON each.

use libcontainer::cgroup::stats::Stats;
use libcontainer::state::Store;
use libcontainer::verbs::{self, Event};
use libcontainer::{At, Error, Result, Step};
use serde::Serialize;

use crate::cli::Events;
use crate::cmd::print;
use crate::output::Level;
use crate::settings::Settings;
use crate::units;

/// One line: runc's `types.Event`.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Stats>,
}

/// Prints until the container ends, or once with `--stats`.
///
/// # Errors
/// `duration interval must be greater than 0`; `container with id ID is not running`; nobody
/// reads stdout any more.
pub(crate) fn events(args: &Events, settings: &Settings) -> Result<()> {
    let Some(nanoseconds) = units::duration(&args.interval) else {
        let words =
            format!("invalid value {:?} for flag -interval: invalid duration", args.interval);
        return Err(Error::rule(Step::Events, "", words)
            .hint("use numbers with units, such as 5s, 100ms or 1m30s"));
    };
    let interval = u64::try_from(nanoseconds)
        .ok()
        .filter(|n| *n > 0)
        .ok_or_else(|| Error::rule(Step::Events, "", "duration interval must be greater than 0"))?;
    let store = Store::new(&settings.root);
    let line = |kind: &str, data: Option<&Stats>| say(&Line { kind, id: &args.id, data });
    if args.stats {
        return line("stats", Some(&verbs::stats(&store, &args.id)?));
    }
    let interval = std::time::Duration::from_nanos(interval);
    verbs::events(&store, &args.id, interval, |event| match event {
        Event::Stats(stats) => line("stats", Some(&stats)),
        Event::Oom => line("oom", None),
        Event::Warning(text) => {
            settings.log.say(Level::Warning, &text);
            Ok(())
        }
    })
}

fn say(line: &Line<'_>) -> Result<()> {
    let text = serde_json::to_string(line).map_err(std::io::Error::from);
    print(&(text.at(Step::Events, || "statistics")? + "\n"))
}
