//! What a flag's value, or a word behind a verb, may be: names of what there is, or known words.

use clap::Arg;

use super::{More, Offer};
use crate::bundle::caps;
use crate::cli::Verb;
use crate::container::state::Status;
use crate::container::{Container, names};
use crate::store::Store;
use crate::volume::Volumes;
use crate::{Context, Paths};

/// Verbs that want a container that runs.
const OF_RUNNING: [&str; 7] = ["attach", "exec", "kill", "pause", "stop", "top", "unpause"];
const SIGNALS: &[&str] = &["HUP", "INT", "KILL", "QUIT", "TERM", "USR1", "USR2", "WINCH"];
/// Flags whose values are known words.
const KNOWN: &[(&str, &[&str])] = &[
    ("attach", &["stdin", "stdout", "stderr"]),
    ("cgroupns", &["host", "private"]),
    ("ipc", &["container:", "host", "none", "private", "shareable"]),
    ("log-driver", &["json-file", "none"]),
    ("log-opt", &["max-file=", "max-size="]),
    ("network", &["bridge", "container:", "host", "none"]),
    ("pid", &["container:", "host"]),
    ("platform", &["linux/amd64", "linux/arm/v7", "linux/arm64", "linux/riscv64", "linux/s390x"]),
    ("pull", &["always", "missing", "never"]),
    ("restart", &["always", "no", "on-failure", "unless-stopped"]),
    ("security-opt", &["apparmor=", "label=", "no-new-privileges", "seccomp=", "systempaths="]),
    ("signal", SIGNALS),
    ("stop-signal", SIGNALS),
    ("userns", &["host"]),
    ("uts", &["host"]),
];

/// What may stand for `arg`, of which `typed` is there.
pub(super) fn of(paths: &Paths, verb: &Verb, arg: &Arg, typed: &str) -> Offer {
    let possible = arg.get_possible_values();
    if !possible.is_empty() {
        let about = |value: &clap::builder::PossibleValue| {
            value.get_help().map(ToString::to_string).unwrap_or_default()
        };
        return Offer::of(possible.iter().map(|value| (value.get_name().to_owned(), about(value))));
    }
    if let Some("cap-add" | "cap-drop") = arg.get_long() {
        let names = caps::ALL.iter().filter_map(|name| name.strip_prefix("CAP_"));
        let mut offer = Offer::of(names.chain(["ALL"]).map(|name| (name, "")));
        offer.words.sort();
        return offer;
    }
    let known = arg.get_long().and_then(|long| KNOWN.iter().find(|(flag, _)| *flag == long));
    if let Some((_, words)) = known {
        if let Some((prefix, _)) = typed.split_once(':').filter(|(word, _)| *word == "container") {
            return containers(paths, |_| true, &format!("{prefix}:"));
        }
        return Offer::of(words.iter().map(|word| (*word, "")));
    }
    let name = arg.get_value_names().and_then(|names| names.first()).map_or("", |name| name);
    match name {
        // `cp`: a path of a container, or of this machine.
        "SRC" | "DEST" => {
            let mut offer = containers(paths, |_| true, "");
            offer.words.iter_mut().for_each(|(word, _)| word.push(':'));
            Offer { more: More::Files, ..offer }
        }
        "CONTAINER" => containers(paths, wanted(verb), ""),
        "IMAGE" | "NAME[:TAG]" | "NAME[:TAG|@DIGEST]" => images(paths),
        "VOLUME" => volumes(paths),
        "OBJECT" => {
            let mut all = containers(paths, |_| true, "");
            all.words.extend(images(paths).words);
            all.words.extend(volumes(paths).words);
            all
        }
        "NETWORK" => Offer::of([("bridge", ""), ("host", ""), ("none", "")]),
        "DIR" => Offer::more(More::Directories),
        // A volume's name, or a directory.
        "MOUNT" if !typed.contains('/') => Offer { more: More::Directories, ..volumes(paths) },
        "FILE" | "FILE|-" | "PATH" | "MOUNT" | "COMMAND" => Offer::more(More::Files),
        _ => Offer::default(),
    }
}

/// Which containers a verb is about.
fn wanted(verb: &Verb) -> impl Fn(Status) -> bool {
    let name = verb.spellings.first().copied().unwrap_or_default();
    move |status| match name {
        "start" => !status.is_live(),
        name => !OF_RUNNING.contains(&name) || status.is_live(),
    }
}

fn containers(paths: &Paths, wanted: impl Fn(Status) -> bool, prefix: &str) -> Offer {
    let context = Context { paths: paths.clone() };
    let ids = names::ids(paths).unwrap_or_default();
    let states = ids.iter().filter_map(|id| Container::of(&context, id).state().ok());
    let states = states.filter(|state| wanted(state.status));
    let mut offer = Offer::of(states.map(|state| {
        (format!("{prefix}{}", state.name), format!("{} ({})", state.image, state.status.word()))
    }));
    offer.words.sort();
    offer
}

fn images(paths: &Paths) -> Offer {
    let records = Store::open(paths).and_then(|store| store.records()).unwrap_or_default();
    let names = records.iter().filter_map(|(name, _)| Some(name.reference()?.familiar()));
    Offer::of(names.map(|name| (name, "")))
}

fn volumes(paths: &Paths) -> Offer {
    Offer::of(Volumes::of(paths).names().unwrap_or_default().into_iter().map(|name| (name, "")))
}
