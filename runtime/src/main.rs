//! The `corten` binary: seal, parse, dispatch, exit code.
//!
//! The path of a command line: [`argv`] (Go's ways of writing flags undone) → [`cli`] (typed) →
//! [`settings`] (decided) → one file of [`cmd`] per verb → [`output`] (words and exit code).

mod argv;
mod cli;
mod cmd;
mod foreground;
mod output;
mod personality;
mod pid_file;
mod settings;
mod timings;
mod units;
mod version;

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::FromArgMatches;
use clap::error::ErrorKind;

use cli::{Cli, Command, Global};
use output::{Failure, Log};
use settings::Settings;

/// Name of the program; what callers see of it is [`personality`]'s.
const NAME: &str = "corten";

fn main() -> ExitCode {
    let argv: Vec<_> = env::args_os().collect();
    // First of all, and once more from the sealed file: it may execute this program again.
    let sealed = if makes_containers(&argv) { libcontainer::seal() } else { Ok(()) };
    let mut definitions = cli::few(&argv);
    let argv = match argv::normalise(&definitions, argv) {
        Ok(argv) => argv,
        Err(misuse) => return refuse(&misuse.text, misuse.argv),
    };
    let parsed = definitions.try_get_matches_from_mut(&argv);
    let parsed = parsed.or_else(|_| cli::own().try_get_matches_from(&argv));
    let cli = match parsed.and_then(|matches| Cli::read(&matches)) {
        Ok(cli) => cli,
        Err(error) if !error.use_stderr() => return print(&error.render().to_string()),
        Err(error) => return refuse(&words(&error), argv),
    };
    match cli.command {
        _ if cli.global.version => print(&personality::own().version_lines()),
        None => print(&cli::own().render_help().to_string()),
        Some((verb, command)) => run(verb, cli.global, &command, sealed),
    }
}

/// Whether a container may be made: only then the binary must be sealed. A container that is
/// called `run` costs `state` a millisecond.
fn makes_containers(argv: &[OsString]) -> bool {
    let verbs = ["create", "run", "exec", "record"];
    argv.iter().skip(1).any(|arg| verbs.iter().any(|verb| arg == verb))
}

/// Opens the log, runs the verb, tells how it ended.
fn run(
    verb: &str,
    global: Global,
    command: &Command,
    sealed: libcontainer::Result<()>,
) -> ExitCode {
    let log = match Log::open(&global) {
        Ok(log) => log,
        Err(error) => return fail(&Log::STDERR, verb, &error.into()),
    };
    let settings = match Settings::decide(global, log) {
        Ok(settings) => settings,
        Err((error, log)) => return fail(&log, verb, &error.into()),
    };
    match sealed.map_err(Failure::from).and_then(|()| cmd::dispatch(command, &settings)) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => fail(&settings.log, verb, &failure),
    }
}

fn fail(log: &Log, verb: &str, failure: &Failure) -> ExitCode {
    log.failure(verb, failure);
    ExitCode::from(failure.code)
}

fn print(text: &str) -> ExitCode {
    match cmd::print(text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&Log::STDERR, "", &error.into()),
    }
}

/// Refuses a command line. The caller may only look into its log: the log flags are taken from
/// what can be understood of it.
fn refuse(text: &str, argv: Vec<OsString>) -> ExitCode {
    let matches = cli::all().ignore_errors(true).try_get_matches_from(argv);
    let global = matches.and_then(|matches| Global::from_arg_matches(&matches)).ok();
    let log = global.and_then(|global| Log::open(&global).ok());
    log.unwrap_or(Log::STDERR).misuse(text);
    ExitCode::FAILURE
}

/// clap's words; runc's where callers look for them.
fn words(error: &clap::Error) -> String {
    use clap::error::{ContextKind, ContextValue};
    match (error.kind(), error.get(ContextKind::InvalidSubcommand)) {
        (ErrorKind::InvalidSubcommand, Some(ContextValue::String(name))) => {
            format!("No help topic for '{name}': there is no such command\n\n{error}")
        }
        _ => error.to_string(),
    }
}
