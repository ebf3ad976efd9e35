//! `oci-conformance`: does a container runtime keep the OCI runtime specification?
//!
//! `own` runs the numbered cases of `cases/` against any runtime; `runtime-tools` runs the
//! validation tests of a built checkout of that project; `cover` compares the numbering with
//! the text of the specification. See the README beside this crate.

mod bundle;
mod case;
mod cases;
mod container;
mod cover;
mod host;
mod known;
mod own;
mod pty;
mod runtime;
mod seccompless;
mod select;
mod tap;
mod tools;
mod world;

use std::{
    ffi::OsString,
    io,
    path::PathBuf,
    process::{Command, ExitCode},
    time::Duration,
};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{known::Known, runtime::Scratch, select::Selection};

/// Conformance of container runtimes with the OCI runtime specification 1.3.
#[derive(Parser)]
#[command(name = "oci-conformance")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Check every MUST and SHOULD of the specification, one numbered case each.
    Own(Own),
    /// Run the validation tests of a built runtime-tools checkout.
    RuntimeTools(Tools),
    /// List the cases without running them.
    List {
        /// Numbers, parts of ids or patterns with `*`, separated by commas.
        #[arg(long)]
        only: Option<String>,
    },
    /// Compare the cases with the text of the specification: is every keyword quoted?
    Cover {
        /// A checkout of the runtime specification, version 1.3.
        #[arg(long)]
        spec: PathBuf,
    },
    /// Call a runtime with `linux.seccomp` taken out of the bundle's configuration.
    #[command(hide = true)]
    WithoutSeccomp {
        /// The runtime and its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<OsString>,
    },
    /// Run one command in a mount namespace of its own, under a reaper.
    #[command(hide = true)]
    Isolate {
        /// Program and arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<OsString>,
    },
}

#[derive(Args)]
struct Common {
    /// Runtime under test: a path, or a name on PATH.
    #[arg(long)]
    runtime: Option<String>,
    /// The runtime's name in known.toml [default: the program's file name].
    #[arg(long)]
    name: Option<String>,
    /// Run only these: numbers, parts of names or patterns with `*`, separated by commas.
    #[arg(long)]
    only: Option<String>,
    /// Known results [default: compiled in].
    #[arg(long)]
    known: Option<PathBuf>,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Where bundles are made.
    #[arg(long, default_value = "/tmp")]
    work: PathBuf,
    /// What the runtime sees below /sys/fs/cgroup.
    #[arg(long, value_enum, default_value_t = View::Host)]
    cgroup_view: View,
}

#[derive(Args)]
struct Own {
    #[command(flatten)]
    common: Common,
    /// The runtime's state directory [default: a temporary one].
    #[arg(long)]
    root: Option<PathBuf>,
    /// `ociVersion` of the bundles [default: the newest that the runtime says it knows].
    #[arg(long)]
    oci_version: Option<String>,
    /// Count a skipped case as a failure.
    #[arg(long)]
    deny_skip: bool,
    /// Print only what differs from known.toml.
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Args)]
struct Tools {
    #[command(flatten)]
    common: Common,
    /// The built checkout [default: the environment's RUNTIME_TOOLS].
    #[arg(long)]
    checkout: Option<PathBuf>,
    /// Take `linux.seccomp` out of every bundle: judges the rest of a runtime that has no seccomp
    /// yet, as nearly all of these tests carry a profile.
    #[arg(long)]
    without_seccomp: bool,
    /// Time limit of each test, in seconds.
    #[arg(long, default_value_t = 60)]
    limit: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum View {
    /// What the machine has.
    Host,
    /// Only the v1 controllers of a hybrid machine, for runtimes that refuse that layout.
    V1,
}

fn main() -> ExitCode {
    let done = match Cli::parse().verb {
        Verb::Own(args) => own(args),
        Verb::RuntimeTools(args) => runtime_tools(args),
        Verb::List { only } => {
            own::list(&Selection::new(only.as_deref()));
            Ok(true)
        }
        Verb::Cover { spec } => cover::check(&spec, &cases::all()),
        Verb::WithoutSeccomp { command } => Err(seccompless::call(&command)),
        Verb::Isolate { command } => return isolate(&command),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("oci-conformance: {e}");
            ExitCode::from(2)
        }
    }
}

/// Makes the private world and the scratch directory both suites run in.
fn prepare(common: &Common) -> io::Result<Scratch> {
    let words = "needs root: a mount namespace and containers of every kind";
    world::enter().map_err(|e| io::Error::new(e.kind(), format!("{e} ({words})")))?;
    let scratch = Scratch::new(&common.work)?;
    if common.cgroup_view == View::V1 {
        world::hide_cgroup2(&scratch.0)?;
    }
    Ok(scratch)
}

/// The runtime asked for, by flag or environment.
fn runtime_of(common: &Common) -> io::Result<String> {
    common.runtime.clone().or_else(|| std::env::var("RUNTIME").ok()).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, "which runtime? give --runtime or RUNTIME=")
    })
}

fn own(args: Own) -> io::Result<bool> {
    let known = Known::load(args.common.known.as_deref())?;
    let scratch = prepare(&args.common)?;
    world::enter_network()?;
    world::share()?;
    let runtime = runtime::Runtime::open(runtime::Options {
        runtime: runtime_of(&args.common)?,
        name: args.common.name,
        root: args.root,
        oci_version: args.oci_version,
        work: scratch.0.clone(),
    })?;
    let report = own::Report {
        only: Selection::new(args.common.only.as_deref()),
        json: args.common.json,
        quiet: args.quiet,
        deny_skip: args.deny_skip,
    };
    Ok(report.run(&runtime, &known))
}

fn runtime_tools(args: Tools) -> io::Result<bool> {
    let known = Known::load(args.common.known.as_deref())?;
    let checkout = args.checkout.or_else(|| std::env::var_os("RUNTIME_TOOLS").map(Into::into));
    let words = "where is the checkout? give --checkout or RUNTIME_TOOLS=";
    let checkout = checkout.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, words))?;
    let scratch = prepare(&args.common)?;
    let options = tools::Options {
        checkout,
        runtime: runtime_of(&args.common)?,
        name: args.common.name,
        only: Selection::new(args.common.only.as_deref()),
        limit: Duration::from_secs(args.limit),
        without_seccomp: args.without_seccomp,
        json: args.common.json,
        work: scratch.0.clone(),
    };
    tools::run(&options, &known)
}

/// Runs a command isolated; its exit code is ours.
fn isolate(command: &[OsString]) -> ExitCode {
    let status =
        world::enter().and_then(|()| Command::new(&command[0]).args(&command[1..]).status());
    world::kill_orphans();
    match status {
        Ok(status) => {
            ExitCode::from(status.code().and_then(|c| u8::try_from(c).ok()).unwrap_or(125))
        }
        Err(e) => {
            eprintln!("oci-conformance: {}: {e}", command[0].to_string_lossy());
            ExitCode::from(125)
        }
    }
}
