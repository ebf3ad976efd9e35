//! `__complete`: what may follow the words typed so far; the scripts of the shells ask it.
//!
//! A line for each word: the word, a tab, what it is. The last line says what else may stand
//! there: `:files`, `:directories` or `:nothing`. Whatever is wrong on the line is no error: then
//! nothing is offered.

mod values;

use clap::{Arg, Command};

use super::literal::{awaits_value, is_long};
use super::{MANAGED, Typed, Verb, all, definitions, innermost_command, print, verb};
use crate::error::Result;
use crate::{Context, Paths};

/// Typed by scripts only.
pub(super) static HIDDEN: &[Verb] =
    &[verb!(["__complete"], Args, complete, "Words that may follow, for the scripts of shells")];

/// Flags of `__complete`.
#[derive(clap::Args, Debug)]
struct Args {
    /// The line without its first word, up to the cursor; the last one is being typed
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// What may stand at the cursor.
#[derive(Debug, Default)]
pub(super) struct Offer {
    words: Vec<(String, String)>,
    more: More,
}

/// What may stand there besides.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum More {
    #[default]
    Nothing,
    Files,
    Directories,
}

impl Offer {
    fn of<A: Into<String>, B: Into<String>>(words: impl IntoIterator<Item = (A, B)>) -> Self {
        let words = words.into_iter().map(|(word, about)| (word.into(), about.into()));
        Self { words: words.collect(), more: More::Nothing }
    }

    fn more(more: More) -> Self {
        Self { words: Vec::new(), more }
    }
}

fn complete(context: &Context, args: &Args) -> Result<u8> {
    let Some((current, before)) = args.words.split_last() else { return Ok(0) };
    let offer = offer(&paths(context, before), before, current);
    let words = offer.words.iter().filter(|(word, _)| word.starts_with(current.as_str()));
    let mut text: String = words.map(|(word, about)| format!("{word}\t{about}\n")).collect();
    text.push_str(match offer.more {
        More::Nothing => ":nothing\n",
        More::Files => ":files\n",
        More::Directories => ":directories\n",
    });
    print(&text)?;
    Ok(0)
}

/// Where the line says that things are.
fn paths(context: &Context, before: &[String]) -> Paths {
    let said = |flag: &str| {
        let at = before.iter().position(|word| word == flag);
        let next = at.and_then(|at| before.get(at + 1));
        let joined = || before.iter().find_map(|word| word.strip_prefix(flag)?.strip_prefix('='));
        next.map(String::as_str).or_else(joined).map(std::path::PathBuf::from)
    };
    Paths {
        root: said("--root").unwrap_or_else(|| context.paths.root.clone()),
        run: said("--run-root").unwrap_or_else(|| context.paths.run.clone()),
    }
}

fn offer(paths: &Paths, before: &[String], current: &str) -> Offer {
    if before.first().is_some_and(|word| word == "help") {
        return offer(paths, before.get(1..).unwrap_or_default(), current);
    }
    let argv: Vec<_> =
        std::iter::once("pier").chain(before.iter().map(String::as_str)).map(Into::into).collect();
    let typed = Typed::find(&argv);
    let root = definitions(&typed);
    let Some(verb) = typed.verb else { return names(&root, &typed, before, current) };
    let command = innermost_command(&root);
    let behind = argv.len().min(typed.behind).saturating_sub(1);
    let line = Line::read(command, before.get(behind..).unwrap_or_default(), verb.literal);
    let Some(flag) = line.flag else { return line.at_cursor(paths, verb, command, current) };
    values::of(paths, verb, flag, current)
}

/// A verb, a group's verb, or a flag before them.
fn names(root: &Command, typed: &Typed, before: &[String], current: &str) -> Offer {
    let flag = before.last().filter(|word| word.starts_with('-'));
    if flag.is_some_and(|flag| awaits_value(root, flag).is_some()) {
        return Offer::more(More::Directories);
    }
    match typed.group {
        // A word that is neither: nobody knows what may follow.
        None if !typed.said.is_empty() => Offer::default(),
        None if current.starts_with('-') => flags(root),
        None => {
            let short = |verb: &'static Verb| {
                let name = verb.spellings.iter().find(|name| !name.contains(' '))?;
                Some((*name, verb.about))
            };
            let help = std::iter::once(("help", "Tell how a command is used"));
            Offer::of(all().filter_map(short).chain(MANAGED.iter().copied()).chain(help))
        }
        Some(group) if typed.said == group => Offer::of(all().filter_map(|verb| {
            let mut names = verb.spellings.iter().filter_map(|name| name.split_once(' '));
            names.find(|(first, _)| *first == group).map(|(_, second)| (second, verb.about))
        })),
        Some(_) => Offer::default(),
    }
}

/// Where the cursor is among the words behind a verb.
struct Line<'a> {
    /// The flag whose value is being typed.
    flag: Option<&'a Arg>,
    /// How many words that are no flags stand before it.
    position: usize,
    /// Whether what follows belongs to the program.
    closed: bool,
}

impl<'a> Line<'a> {
    fn read(command: &'a Command, words: &[String], literal: bool) -> Self {
        let mut line = Self { flag: None, position: 0, closed: false };
        for word in words {
            if line.flag.take().is_some() {
                continue;
            }
            match word.as_str() {
                "--" if !line.closed => line.closed = true,
                flag if flag.starts_with('-') && !line.closed => {
                    line.flag = awaits_value(command, flag);
                }
                _ => {
                    line.position += 1;
                    line.closed |= literal;
                }
            }
        }
        line
    }

    /// A flag, its value behind `=`, or the next word.
    fn at_cursor(&self, paths: &Paths, verb: &Verb, command: &Command, current: &str) -> Offer {
        if current.starts_with('-') && !self.closed {
            let Some((name, value)) = current.split_once('=') else { return flags(command) };
            let long = name.trim_start_matches('-');
            let flag = command.get_arguments().find(|arg| is_long(arg, long));
            let Some(flag) = flag else { return Offer::default() };
            let mut offer = values::of(paths, verb, flag, value);
            offer.words.iter_mut().for_each(|(word, _)| *word = format!("{name}={word}"));
            return offer;
        }
        let mut places: Vec<&Arg> = command.get_positionals().collect();
        places.sort_by_key(|arg| arg.get_index());
        let last =
            places.last().filter(|arg| arg.get_num_args().is_some_and(|n| n.max_values() > 1));
        match places.get(self.position).or(last) {
            Some(arg) => values::of(paths, verb, arg, current),
            None => Offer::default(),
        }
    }
}

/// Every flag of a command.
fn flags(command: &Command) -> Offer {
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
    let words = shown.filter_map(|arg| {
        let about = arg.get_help().map(ToString::to_string).unwrap_or_default();
        Some((format!("--{}", arg.get_long()?), about))
    });
    let help = ("--help".to_owned(), "Print help".to_owned());
    let mut offer = Offer::of(words.chain(std::iter::once(help)));
    offer.words.sort();
    offer.words.dedup_by(|one, other| one.0 == other.0);
    offer
}

#[cfg(test)]
mod tests;
