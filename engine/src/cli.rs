//! The command line: global flags, the table of verbs, dispatch, and how an error is printed.
//!
//! A verb is a row ([`Verb`]): its spellings, what help says of it, its flags (a clap `Args`
//! struct) and the function that does it. Rows stand in one file per group; [`GROUPS`] lists
//! them. Only the flags of the verb that was typed are defined, which takes most of the time of a
//! short command.

mod absent;
mod complete;
mod completion;
mod container;
mod examples;
mod image;
mod literal;
mod misuse;
mod network;
mod overview;
#[cfg(test)]
mod pages;
mod registry;
mod system;
mod volume;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{ArgMatches, Args, FromArgMatches};

use crate::Context;
use crate::error::{Error, FAILURE, Result};
use crate::paths::{self, Paths};

/// One verb.
pub(crate) struct Verb {
    /// Every way to write it; the first one is shown: `run`, `container run`.
    pub(crate) spellings: &'static [&'static str],
    /// One line of help.
    pub(crate) about: &'static str,
    /// Adds the flags.
    pub(crate) define: fn(clap::Command) -> clap::Command,
    /// Reads the flags and does it; the number is the exit code.
    pub(crate) run: fn(&Context, &ArgMatches) -> Result<u8>,
    /// Exit code when the command line cannot be understood: 125 where the program's own code
    /// is returned, else 1.
    pub(crate) misuse: u8,
    /// Everything behind the first word that is no flag belongs to the program.
    pub(crate) literal: bool,
}

/// A row: spellings, type of the flags, function, words of help. `misuse: 125, literal` may follow.
macro_rules! verb {
    ($spellings:expr, $args:ty, $run:path, $about:literal) => {
        $crate::cli::verb!(@ $spellings, $args, $run, $about, $crate::error::FAILURE, false)
    };
    ($spellings:expr, $args:ty, $run:path, $about:literal, misuse: $misuse:expr, literal) => {
        $crate::cli::verb!(@ $spellings, $args, $run, $about, $misuse, true)
    };
    (@ $spellings:expr, $args:ty, $run:path, $about:literal, $misuse:expr, $literal:expr) => {
        $crate::cli::Verb {
            spellings: &$spellings,
            about: $about,
            define: <$args as clap::Args>::augment_args,
            run: |context, matches| {
                let args = <$args as clap::FromArgMatches>::from_arg_matches(matches);
                $run(context, &args.map_err(|error| $crate::cli::misread(&error))?)
            },
            misuse: $misuse,
            literal: $literal,
        }
    };
}
pub(crate) use verb;

/// The verbs, group by group, in the order of help.
static GROUPS: &[&[Verb]] = &[
    container::VERBS,
    image::VERBS,
    registry::VERBS,
    network::VERBS,
    system::VERBS,
    volume::VERBS,
];

/// What the words of two words belong to: `container`, `image` and so on.
const MANAGED: &[(&str, &str)] = &[
    ("container", "Manage containers"),
    ("image", "Manage images"),
    ("network", "Manage networks"),
    ("system", "Manage the engine itself"),
    ("volume", "Manage volumes"),
];

/// Flags that stand before the verb.
#[derive(Args, Debug)]
struct Global {
    /// Directory for all that is kept: images, containers, volumes
    #[arg(long, value_name = "DIR", env = "PIER_ROOT", default_value = paths::ROOT)]
    root: PathBuf,
    /// Directory for what lives no longer than the machine is up
    #[arg(long, value_name = "DIR", env = "PIER_RUN_ROOT", default_value = paths::RUN)]
    run_root: PathBuf,
    /// Print the version
    #[arg(short = 'v', long)]
    version: bool,
}

/// Reads the command line, does what it says, tells how it ended.
pub fn main(argv: Vec<OsString>) -> ExitCode {
    let argv = ask_for_help(argv);
    let typed = Typed::find(&argv);
    if let Some(error) = typed.refuse() {
        tell(&error);
        return ExitCode::from(FAILURE);
    }
    // First of all: it may execute this program again.
    let sealed = if typed.makes_containers() { libcontainer::seal() } else { Ok(()) };
    let mut definitions = definitions(&typed);
    let argv = typed.close(argv);
    let matches = match definitions.try_get_matches_from_mut(argv) {
        Ok(matches) => matches,
        Err(error) => return refuse(&error, &typed, &definitions),
    };
    let sealed = sealed.map_err(Error::from);
    match sealed.and_then(|()| run(&mut definitions, &typed, &matches)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let error = misuse::without_root(error);
            tell(&error);
            ExitCode::from(error.code)
        }
    }
}

fn run(definitions: &mut clap::Command, typed: &Typed, matches: &ArgMatches) -> Result<u8> {
    let global = Global::from_arg_matches(matches).map_err(|error| misread(&error))?;
    if global.version {
        return print(&format!("{}\n", system::version_line())).map(|()| 0);
    }
    let Some((verb, flags)) = typed.verb.zip(innermost(matches)) else {
        return print(&definitions.render_help().to_string()).map(|()| 0);
    };
    let paths = Paths::absolute(&global.root, &global.run_root)
        .map_err(|error| Error::new("there is no current directory").why(error))?;
    (verb.run)(&Context { paths }, flags)
}

/// The flags of the verb: below one subcommand, or two.
fn innermost(matches: &ArgMatches) -> Option<&ArgMatches> {
    let (_, inner) = matches.subcommand()?;
    Some(innermost(inner).unwrap_or(inner))
}

/// `help VERB` is `VERB --help`.
fn ask_for_help(mut argv: Vec<OsString>) -> Vec<OsString> {
    if argv.get(1).is_some_and(|word| word == "help") {
        argv.remove(1);
        argv.push("--help".into());
    }
    argv
}

/// The same among definitions: those with flags.
fn innermost_command(command: &clap::Command) -> &clap::Command {
    let typed = command.get_subcommands().find(|inner| {
        inner.get_arguments().next().is_some() || inner.get_subcommands().next().is_some()
    });
    typed.map_or(command, innermost_command)
}

/// Which verb the command line names.
struct Typed {
    verb: Option<&'static Verb>,
    group: Option<&'static str>,
    /// The words that should name a verb.
    said: String,
    /// What stands before them.
    front: Vec<String>,
    /// Place of the first word behind the verb.
    behind: usize,
}

impl Typed {
    /// Looks over global flags and their values for the first word that is no flag.
    fn find(argv: &[OsString]) -> Self {
        let word = |at: usize| argv.get(at).map(|word| word.to_str().unwrap_or_default());
        let mut at = 1;
        let first = loop {
            match word(at) {
                Some("--root" | "--run-root") => at += 2,
                Some(flag) if flag.starts_with('-') => at += 1,
                Some(word) => break word,
                None => break "",
            }
        };
        let front = (1..at).filter_map(|at| word(at).map(str::to_owned)).collect();
        let group = MANAGED.iter().find(|(name, _)| *name == first).map(|(name, _)| *name);
        let second = word(at + 1).filter(|_| group.is_some());
        let behind = at + 1 + usize::from(second.is_some());
        let said = second.map_or_else(|| first.to_owned(), |second| format!("{first} {second}"));
        let named = |verb: &&Verb| verb.spellings.contains(&said.as_str());
        let verb = all().find(named).or_else(|| hidden().find(named));
        Self { verb, group, said, front, behind }
    }

    /// Why nothing is done, when the words that name a verb are Docker's but not ours.
    fn refuse(&self) -> Option<Error> {
        if self.verb.is_some() { None } else { absent::verb(&self.said) }
    }

    /// How the verb is called: `pier run`.
    fn name(&self) -> String {
        let verb = self.verb.and_then(|verb| verb.spellings.first().copied());
        verb.or(self.group).map_or_else(|| "pier".to_owned(), |name| format!("pier {name}"))
    }

    /// Whether a flag was typed before the verb.
    fn is_in_front(&self, flag: &str) -> bool {
        self.front.iter().any(|word| word.starts_with(flag))
    }

    /// Whether a container's processes come from this one: then the program's own file must be
    /// out of their reach.
    fn makes_containers(&self) -> bool {
        let makers = ["monitor", "exec"];
        self.verb.is_some_and(|verb| makers.iter().any(|maker| verb.spellings.contains(maker)))
    }

    /// Marks where the program's words begin.
    fn close(&self, argv: Vec<OsString>) -> Vec<OsString> {
        match self.verb.filter(|verb| verb.literal) {
            Some(verb) => {
                literal::close(argv, self.behind, &(verb.define)(clap::Command::new("verb")))
            }
            None => argv,
        }
    }

    /// Exit code for a command line that cannot be understood.
    fn misuse(&self) -> u8 {
        self.verb.map_or(FAILURE, |verb| verb.misuse)
    }
}

fn all() -> impl Iterator<Item = &'static Verb> {
    GROUPS.iter().flat_map(|group| group.iter())
}

/// What no person types.
fn hidden() -> impl Iterator<Item = &'static Verb> {
    container::HIDDEN.iter().chain(complete::HIDDEN)
}

/// Definitions for one command line: every verb by name, the flags only of the one typed.
fn definitions(typed: &Typed) -> clap::Command {
    let root = clap::Command::new("pier").disable_version_flag(true);
    let root = Global::augment_args(root).about("Images in, containers out: no daemon");
    let root = if typed.said.is_empty() { root.help_template(overview::text()) } else { root };
    let wanted = |verb: &Verb| typed.verb.is_some_and(|typed| std::ptr::eq(typed, verb));
    let root = root.subcommands(all().filter_map(|verb| {
        let name = verb.spellings.iter().find(|spelling| !spelling.contains(' '))?;
        Some(command(name, verb, wanted(verb)))
    }));
    let hidden = hidden().filter(|verb| wanted(verb));
    let root =
        root.subcommands(hidden.map(|verb| command(verb.spellings[0], verb, true).hide(true)));
    root.subcommands(MANAGED.iter().map(|(group, about)| {
        let inner = clap::Command::new(*group).about(*about).subcommand_required(true);
        let inner = inner.arg_required_else_help(true);
        if typed.group != Some(*group) {
            return inner;
        }
        all().fold(inner, |inner, verb| {
            let of_group =
                |spelling: &&str| spelling.split_once(' ').map(|(first, _)| first) == Some(*group);
            let mut names = verb.spellings.iter().filter(|s| of_group(s));
            let Some((_, name)) = names.next().and_then(|spelling| spelling.split_once(' ')) else {
                return inner;
            };
            let aliases = names.filter_map(|spelling| Some(spelling.split_once(' ')?.1));
            inner.subcommand(command(name, verb, wanted(verb)).visible_aliases(aliases))
        })
    }))
}

fn command(name: &'static str, verb: &'static Verb, wanted: bool) -> clap::Command {
    let command = clap::Command::new(name);
    let command = if wanted { with_help((verb.define)(command)) } else { command };
    match examples::of(verb).filter(|_| wanted && command.get_after_help().is_none()) {
        Some(examples) => command.about(verb.about).after_help(examples),
        None => command.about(verb.about),
    }
}

/// `--help`, and `-h` where it is not the host name's, as in Docker.
fn with_help(command: clap::Command) -> clap::Command {
    if !command.get_arguments().any(|arg| arg.get_short() == Some('h')) {
        return command;
    }
    let help = clap::Arg::new("help").long("help").action(clap::ArgAction::Help);
    command.disable_help_flag(true).arg(help.help("Print help"))
}

/// clap's error about a command line, as one of ours.
pub(crate) fn misread(error: &clap::Error) -> Error {
    let text = error.to_string();
    Error::new(text.trim_start_matches("error: ").trim_end())
}

/// Prints help, or says what was not understood.
fn refuse(error: &clap::Error, typed: &Typed, definitions: &clap::Command) -> ExitCode {
    if error.use_stderr() && error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        tell(&misuse::explain(error, typed, definitions));
        return ExitCode::from(typed.misuse());
    }
    let text = error.render().to_string();
    print(&text).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

/// `pier: what: why`, and what to do on a line of its own.
pub fn tell(error: &Error) {
    let fix = error.fix.iter().map(|fix| format!("  help: {fix}\n")).collect::<String>();
    // Nobody is left to tell when this fails.
    let _ = write!(std::io::stderr(), "pier: {error}\n{fix}");
}

/// Writes to stdout.
///
/// # Errors
/// Nobody reads it any more, or the disk is full.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| Error::new("cannot write to stdout").why(crate::error::plain(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn definitions_are_sound_for_every_spelling() {
        for verb in all() {
            for spelling in verb.spellings {
                let typed = Typed::find(&argv(&format!("pier --root /x {spelling}")));
                assert!(typed.verb.is_some_and(|v| std::ptr::eq(v, verb)), "{spelling}");
                definitions(&typed).debug_assert();
            }
        }
    }

    #[test]
    fn help_names_every_verb_and_group() {
        let typed = Typed::find(&argv("pier --help"));
        let text = definitions(&typed).render_help().to_string();
        let short = all().filter_map(|verb| verb.spellings.iter().find(|name| !name.contains(' ')));
        for name in short.chain(MANAGED.iter().map(|(group, _)| group)) {
            assert!(text.contains(&format!("\n  {name} ")), "{name}: {text}");
        }
    }

    #[test]
    fn no_spelling_means_two_verbs() {
        let mut seen = std::collections::BTreeSet::new();
        for spelling in all().flat_map(|verb| verb.spellings) {
            assert!(seen.insert(*spelling), "{spelling}");
        }
    }
}
