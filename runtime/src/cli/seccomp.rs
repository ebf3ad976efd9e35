//! Flags of `seccomp`, the tools for profiles of system call filters.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Shape;

/// `seccomp`.
#[derive(Args, Debug)]
pub(crate) struct Seccomp {
    #[command(subcommand)]
    pub(crate) tool: Tool,
}

/// What is asked about a profile.
#[derive(Subcommand, Debug)]
#[command(disable_help_subcommand = true)]
#[command(subcommand_value_name = "TOOL", subcommand_help_heading = "Tools")]
pub(crate) enum Tool {
    /// Print the compiled filter, with names of calls, actions and targets of jumps
    Explain(Explain),
    /// Tell what happens to a call, and which rule says so
    Check(Check),
    /// Find rules without effect, names that nothing has, holes
    Lint(Lint),
    /// Tell for which calls two profiles do different things
    Diff(Diff),
    /// Run a bundle and write the profile that its run needed
    Record(Record),
}

/// The container that an engine's profile is resolved for.
#[derive(Args, Debug)]
pub(crate) struct Host {
    /// Architecture of the host, as amd64 or SCMP_ARCH_AARCH64
    /// [default: this machine's]
    #[arg(long, value_name = "ARCH")]
    pub(crate) arch: Option<String>,
    /// Capabilities of the container, parted by commas, or all, or none [default: Docker's]
    #[arg(long = "cap", value_name = "CAP,...", value_delimiter = ',')]
    pub(crate) caps: Vec<String>,
    /// Version of the kernel [default: the running one]
    #[arg(long, value_name = "MAJOR.MINOR")]
    pub(crate) kernel: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `seccomp explain`.
#[derive(Args, Debug)]
pub(crate) struct Explain {
    #[command(flatten)]
    pub(crate) host: Host,
    /// Profile, or config.json that has one; - is standard input
    #[arg(value_name = "PROFILE")]
    pub(crate) profile: PathBuf,
}

/// `seccomp check`.
#[derive(Args, Debug)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) host: Host,
    /// Architecture of the call, such as x86 for a 32-bit program [default: the host's]
    #[arg(long, value_name = "ARCH")]
    pub(crate) abi: Option<String>,
    /// Profile, or config.json that has one; - is standard input
    #[arg(value_name = "PROFILE")]
    pub(crate) profile: PathBuf,
    /// The call, by name or number
    #[arg(value_name = "SYSCALL")]
    pub(crate) syscall: String,
    /// Its arguments, decimal, hexadecimal (0x) or negative; those left out may be anything;
    /// flags stand before PROFILE
    #[arg(value_name = "ARG", allow_hyphen_values = true, num_args = 0..=6)]
    pub(crate) args: Vec<OsString>,
}

/// `seccomp lint`.
#[derive(Args, Debug)]
pub(crate) struct Lint {
    #[command(flatten)]
    pub(crate) host: Host,
    /// Profile, or config.json that has one; - is standard input
    #[arg(value_name = "PROFILE")]
    pub(crate) profile: PathBuf,
}

/// `seccomp diff`.
#[derive(Args, Debug)]
pub(crate) struct Diff {
    #[command(flatten)]
    pub(crate) host: Host,
    /// Profile, or config.json that has one; - is standard input
    #[arg(value_name = "BEFORE")]
    pub(crate) before: PathBuf,
    /// The other one
    #[arg(value_name = "AFTER")]
    pub(crate) after: PathBuf,
}

/// `seccomp record`.
#[derive(Args, Debug)]
pub(crate) struct Record {
    /// File to write the profile to
    #[arg(short, long, value_name = "FILE", default_value = "seccomp.json")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) shape: Shape,
    /// Do not adopt and reap the container's orphans
    #[arg(long)]
    pub(crate) no_subreaper: bool,
}
