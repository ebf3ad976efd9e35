//! Seccomp profiles of the OCI runtime specification, compiled to classic BPF.
//!
//! [`compile`] is pure: a [`Profile`] and the architecture of the host give a [`Program`], byte
//! for byte the same every time. In reading order: `profile` (what is asked), `arch` and `table`
//! (facts), `rules` (libseccomp's and runc's rules of precedence), `space` (every number of an
//! architecture and what happens to it), `emit` (the program), `sim` (runs it). [`tools`] answers
//! questions about profiles.
//!
//! ```
//! use corten_seccomp::{ActionName, Arch, Data, Profile, Syscalls, compile, run};
//!
//! let deny = Syscalls {
//!     names: vec!["getcwd".into()],
//!     action: ActionName::Errno,
//!     ..Syscalls::default()
//! };
//! let profile = Profile { syscalls: vec![deny], ..Profile::default() };
//! let host = Arch::named("SCMP_ARCH_X86_64").ok_or("no such architecture")?;
//! let program = compile(&profile, host)?;
//! let call = Data { nr: 79, arch: host.audit, ..Data::default() };
//! assert_eq!(run(&program.code, &call)?.action, 0x0005_0001); // EPERM
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod action;
mod arch;
mod calls;
mod chain;
mod emit;
mod error;
mod profile;
mod rules;
mod sim;
mod space;
mod table;
pub mod tools;

pub use action::{Action, describe};
pub use arch::{ARCHES, Arch, X32_BIT};
pub use emit::{Insn, MAX_INSTRUCTIONS};
pub use error::Error;
pub use profile::{
    ActionName, Arg, FLAG_NEW_LISTENER, FLAG_TSYNC, FLAGS, Operator, Profile, Syscalls,
};
pub use sim::{Data, Outcome, SimError, run};

/// A compiled profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The filter, as `sock_filter` has it.
    pub code: Vec<Insn>,
    /// `SECCOMP_FILTER_FLAG_*` for seccomp(2). Without a list of flags in the profile this is
    /// `SPEC_ALLOW`, as runc does; `NEW_LISTENER` is there when a rule notifies.
    pub flags: u64,
    /// Names that no architecture has: they were skipped.
    pub unknown: Vec<String>,
}

/// Compiles a profile for a host whose own architecture is `host`.
///
/// # Errors
/// A profile that says something impossible: an unknown architecture or flag, an errno for an
/// action that has none, two different actions for one condition, a notification of `write(2)`
/// or by default, more than [`MAX_INSTRUCTIONS`] instructions.
pub fn compile(profile: &Profile, host: &'static Arch) -> Result<Program, Error> {
    let rules = rules::read(profile, host)?;
    let code = emit::emit(&rules)?;
    Ok(Program { code, flags: rules.flags, unknown: rules.unknown })
}
