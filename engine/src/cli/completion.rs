//! `completion`: prints the completion script of a shell.
//!
//! The scripts hold no words of their own: they ask [`super::complete`], which reads the
//! definitions of the flags, so they cannot grow stale.

use clap::{Args, ValueEnum};

use super::print;
use crate::Context;
use crate::error::Result;

/// Flags of `completion`.
#[derive(Args, Debug)]
pub(super) struct CompletionArgs {
    /// The shell
    shell: Shell,
}

#[derive(ValueEnum, Debug, Clone, Copy)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Prints the script.
///
/// # Errors
/// Nobody reads it.
pub(super) fn completion(_: &Context, args: &CompletionArgs) -> Result<u8> {
    print(match args.shell {
        Shell::Bash => include_str!("../../completions/pier.bash"),
        Shell::Zsh => include_str!("../../completions/_pier"),
        Shell::Fish => include_str!("../../completions/pier.fish"),
    })?;
    Ok(0)
}
