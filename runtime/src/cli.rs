//! Every flag of the command line, once: parsing, help, man pages and completions read it here.
//!
//! Flags are runc 1.5's, plus the ones of crun that callers use. A flag that is accepted acts or
//! is refused by its verb; none is ignored silently. Commands that do not exist yet do not stand
//! here, so that `corten checkpoint --help` fails as callers that probe for it expect.
//! Go's ways of writing flags are undone before this by [`crate::argv`].

mod exec;
mod operate;
pub(crate) mod seccomp;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgMatches, Args, FromArgMatches, ValueEnum};

use crate::NAME;
use crate::personality;
pub(crate) use exec::Exec;
pub(crate) use operate::{Events, Ps, Update};

/// Shape of every help text: the lines that callers of runc know.
const HELP: &str = "NAME:\n   {name} - {about}\n\nUSAGE:\n   {usage}\n\n{all-args}{after-help}";
const AFTER_HELP: &str = "Go-style flags work too: -bundle=DIR, --detach=false, --log FILE.";

/// One command: its word, what help says of it, its flags, its reading.
pub(crate) struct Verb {
    pub(crate) name: &'static str,
    about: &'static str,
    define: fn(clap::Command) -> clap::Command,
    read: fn(&ArgMatches) -> Result<Command, clap::Error>,
}

/// A row of [`VERBS`]: the variant of [`Command`] has the name of the flags' type in brackets.
macro_rules! verb {
    ($name:literal, $variant:ident($args:ty), $about:literal) => {
        Verb {
            name: $name,
            about: $about,
            define: <$args>::augment_args,
            read: |matches| <$args>::from_arg_matches(matches).map(Command::$variant),
        }
    };
}

/// The verbs, in the order of help.
pub(crate) static VERBS: [Verb; 19] = [
    verb!("create", Create(Create), "Create a container; its program waits for start"),
    verb!("start", Start(Container), "Start the program of a created container"),
    verb!("state", State(Container), "Print the state of a container as JSON"),
    verb!("kill", Kill(Kill), "Send a signal to the first process of a container"),
    verb!("delete", Delete(Delete), "Remove a container and everything it holds"),
    verb!("run", Run(Run), "Create and start a container and wait for it"),
    verb!("exec", Exec(Exec), "Run another program in a container that runs"),
    verb!("ps", Ps(Ps), "Show the processes of a container"),
    verb!("pause", Pause(Container), "Stop every process of a container where it is"),
    verb!("resume", Resume(Container), "Let a paused container run again"),
    verb!("update", Update(Box<Update>), "Change the limits of a container"),
    verb!("events", Events(Events), "Print statistics and notices of a container as JSON"),
    verb!("list", List(List), "List the containers below --root"),
    verb!("spec", Spec(Spec), "Write a config.json to start from"),
    verb!("features", Features(NoFlags), "Print what this runtime can do, as features.md wants it"),
    verb!("explain", Explain(Explain), "Print what create would do, without doing it"),
    verb!("doctor", Doctor(Doctor), "Tell what this host lacks for containers, and what fixes it"),
    verb!("seccomp", Seccomp(seccomp::Seccomp), "Explain, check, compare and record filters"),
    verb!("completion", Completion(Completion), "Print the completion script of a shell"),
];

/// A verb with its flags.
#[derive(Debug)]
pub(crate) enum Command {
    Create(Create),
    Start(Container),
    State(Container),
    Kill(Kill),
    Delete(Delete),
    Run(Run),
    Exec(Exec),
    Ps(Ps),
    Pause(Container),
    Resume(Container),
    Update(Box<Update>),
    Events(Events),
    List(List),
    Spec(Spec),
    Features(NoFlags),
    Explain(Explain),
    Doctor(Doctor),
    Seccomp(seccomp::Seccomp),
    Completion(Completion),
}

/// A command line, as it was typed.
#[derive(Debug)]
pub(crate) struct Cli {
    pub(crate) global: Global,
    /// The verb's word and the verb.
    pub(crate) command: Option<(&'static str, Command)>,
}

/// The definitions that `argv` needs when nothing is wrong with it: verbs that do not occur in it
/// are left out, which takes most of the time of a short command.
pub(crate) fn few(argv: &[OsString]) -> clap::Command {
    let occurs = |verb: &Verb| argv.iter().any(|arg| arg == verb.name);
    let any = VERBS.iter().any(occurs);
    define(personality::own().name(), |verb| !any || occurs(verb))
}

/// All definitions, under the name that the caller knows: for help, and to say what is wrong.
pub(crate) fn own() -> clap::Command {
    define(personality::own().name(), |_| true)
}

/// All definitions, under our name.
pub(crate) fn all() -> clap::Command {
    define(NAME, |_| true)
}

fn define(name: &'static str, wanted: impl Fn(&Verb) -> bool) -> clap::Command {
    let root = clap::Command::new(name)
        .help_template(HELP)
        .after_help(AFTER_HELP)
        .disable_version_flag(true);
    // What a command is about is said last: the flags bring the comment of their own struct along.
    let root = Global::augment_args(root).about("Open Container Initiative runtime");
    root.subcommands(VERBS.iter().filter(|verb| wanted(verb)).map(|verb| {
        let title = format!("{name} {}", verb.name);
        let command = clap::Command::new(verb.name).help_template(HELP).display_name(title);
        (verb.define)(command).about(verb.about)
    }))
}

impl Cli {
    /// Reads what the definitions have parsed.
    ///
    /// # Errors
    /// A flag that is missing.
    pub(crate) fn read(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let global = Global::from_arg_matches(matches)?;
        let found = matches.subcommand().and_then(|(name, flags)| {
            let verb = VERBS.iter().find(|verb| verb.name == name)?;
            Some((verb.read)(flags).map(|command| (verb.name, command)))
        });
        Ok(Self { global, command: found.transpose()? })
    }
}

/// Flags that stand before the command.
#[derive(Args, Debug, Clone)]
pub(crate) struct Global {
    /// Directory for the state of containers; must be on tmpfs
    /// [default: /run/corten, rootless: $XDG_RUNTIME_DIR/corten]
    #[arg(long, value_name = "DIR", verbatim_doc_comment)]
    pub(crate) root: Option<PathBuf>,
    /// Write the error, or with --debug everything, to this file
    #[arg(long, value_name = "[file:]PATH")]
    pub(crate) log: Option<String>,
    /// Format of log lines: text or json
    #[arg(long, value_name = "FORMAT", default_value = "text", hide_default_value = true)]
    pub(crate) log_format: String,
    /// Lowest severity to log: error, warning, info or debug
    #[arg(long, value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,
    /// Log everything; the same as --log-level debug
    #[arg(long)]
    pub(crate) debug: bool,
    /// Ignore cgroup permission errors: true, false or auto
    #[arg(long, value_name = "WHEN", default_value = "auto", hide_default_value = true)]
    pub(crate) rootless: String,
    /// Let systemd manage cgroups; cgroupsPath is then slice:prefix:name
    #[arg(long)]
    pub(crate) systemd_cgroup: bool,
    /// Who manages cgroups: cgroupfs, systemd or disabled
    #[arg(long, value_name = "MANAGER")]
    pub(crate) cgroup_manager: Option<String>,
    /// Write when each step began and ended (Chrome trace format)
    #[arg(long, value_name = "FILE")]
    pub(crate) timings: Option<PathBuf>,
    /// Print the runtime's and the specification's version
    #[arg(short = 'v', short_alias = 'V', long)]
    pub(crate) version: bool,
}

/// A verb without flags.
#[derive(Args, Debug)]
pub(crate) struct NoFlags {}

/// What `create` and `run` share: everything that shapes the container.
#[derive(Args, Debug, Clone, Default)]
pub(crate) struct Shape {
    /// Bundle directory [default: the current directory]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) bundle: Option<PathBuf>,
    /// Configuration to use instead of the bundle's config.json
    #[arg(short = 'f', long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Unix socket that receives the terminal's master descriptor
    #[arg(long, value_name = "SOCKET")]
    pub(crate) console_socket: Option<PathBuf>,
    /// Unix socket that receives a pidfd of the container's first process
    #[arg(long, value_name = "SOCKET")]
    pub(crate) pidfd_socket: Option<PathBuf>,
    /// File that receives the pid of the container's first process
    #[arg(long, value_name = "FILE")]
    pub(crate) pid_file: Option<PathBuf>,
    /// Do not use pivot_root(2); for a root file system on the initial ramdisk
    #[arg(long)]
    pub(crate) no_pivot: bool,
    /// Share the caller's session keyring instead of making a new one
    #[arg(long)]
    pub(crate) no_new_keyring: bool,
    /// Pass this many descriptors after stdio and $LISTEN_FDS to the container
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(crate) preserve_fds: u32,
    /// Name of the container, unique below --root
    #[arg(value_name = "CONTAINER-ID")]
    pub(crate) id: String,
}

/// `create`.
#[derive(Args, Debug)]
pub(crate) struct Create {
    #[command(flatten)]
    pub(crate) shape: Shape,
    /// Sent by callers of go-runc; create always detaches
    #[arg(short, long, hide = true)]
    pub(crate) detach: bool,
    /// Sent by callers of crun; create reaps nothing
    #[arg(long, hide = true)]
    pub(crate) no_subreaper: bool,
}

/// `run`.
#[derive(Args, Debug)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) shape: Shape,
    /// Return as soon as the container's program has started
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Keep the container after its program has ended
    #[arg(long)]
    pub(crate) keep: bool,
    /// Do not adopt and reap the container's orphans
    #[arg(long)]
    pub(crate) no_subreaper: bool,
}

/// A verb that needs a container and nothing else.
#[derive(Args, Debug)]
pub(crate) struct Container {
    /// Name of the container
    #[arg(value_name = "CONTAINER-ID")]
    pub(crate) id: String,
}

/// `kill`.
#[derive(Args, Debug)]
pub(crate) struct Kill {
    /// Signal every process of the container's cgroup, first process alive or not
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Take CONTAINER-ID as a regular expression
    #[arg(short, long)]
    pub(crate) regex: bool,
    /// Name of the container
    #[arg(value_name = "CONTAINER-ID")]
    pub(crate) id: String,
    // Hyphen values: runc stops reading flags at the container's name, see `argv`.
    /// Signal, by name or number
    #[arg(value_name = "SIGNAL", default_value = "SIGTERM", allow_hyphen_values = true)]
    pub(crate) signal: String,
}

/// `delete`.
#[derive(Args, Debug)]
pub(crate) struct Delete {
    /// Kill it first; succeed when it does not exist
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Take CONTAINER-ID as a regular expression
    #[arg(short, long)]
    pub(crate) regex: bool,
    /// Name of the container
    #[arg(value_name = "CONTAINER-ID")]
    pub(crate) id: String,
}

/// How a list or a plan is printed.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListFormat {
    /// Columns for people
    Table,
    /// One line of JSON
    Json,
}

/// `list`.
#[derive(Args, Debug)]
pub(crate) struct List {
    /// Output: table or json
    #[arg(short, long, default_value = "table", hide_possible_values = true)]
    pub(crate) format: ListFormat,
    /// Print only the names
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// `spec`.
#[derive(Args, Debug)]
pub(crate) struct Spec {
    /// Directory to write config.json to [default: the current directory]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) bundle: Option<PathBuf>,
    /// Write a configuration that works without root
    #[arg(long)]
    pub(crate) rootless: bool,
}

/// How a plan is printed.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlanFormat {
    /// For people
    Text,
    /// For programs
    Json,
}

/// `explain`.
#[derive(Args, Debug)]
pub(crate) struct Explain {
    /// Bundle directory [default: the current directory]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) bundle: Option<PathBuf>,
    /// Configuration to use instead of the bundle's config.json
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Output: text or json
    #[arg(short, long, default_value = "text", hide_possible_values = true)]
    pub(crate) format: PlanFormat,
    /// Plan as with create --no-pivot
    #[arg(long)]
    pub(crate) no_pivot: bool,
    /// Plan as with create --no-new-keyring
    #[arg(long)]
    pub(crate) no_new_keyring: bool,
    /// Plan for a container of this name
    #[arg(value_name = "CONTAINER-ID", default_value = "explain")]
    pub(crate) id: String,
}

/// `doctor`.
#[derive(Args, Debug)]
pub(crate) struct Doctor {
    /// Judge for containers of an ordinary user: oneself, or who called sudo
    #[arg(long)]
    pub(crate) rootless: bool,
    /// Remove what crashed containers below --root left behind
    #[arg(long)]
    pub(crate) repair: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// A shell that has a completion script.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shell {
    /// GNU Bash
    Bash,
    /// Z shell
    Zsh,
    /// fish
    Fish,
}

/// `completion`.
#[derive(Args, Debug)]
pub(crate) struct Completion {
    /// bash, zsh or fish
    #[arg(value_name = "SHELL")]
    pub(crate) shell: Shell,
}
