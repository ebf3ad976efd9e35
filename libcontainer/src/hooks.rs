//! Runs hooks: the container's state on stdin, a timeout that kills, the last words in the error.
//!
//! Hooks of the runtime's namespaces are run by [`run`]; those of the container's by init itself,
//! see [`inside`]. Both start the program in the same way, [`process`], which allocates nothing.

pub mod inside;
mod launch;
pub mod process;

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use crate::error::{At, Error, Result, Step};
use crate::plan::hooks::{Hook, Kind, ReadyHook};
use crate::state::oci::HookState;
use crate::sys::argv::ArgV;
use crate::sys::fd;
use process::{End, Tail};

/// Runs the hooks of one kind in their order; the first that fails is the last.
///
/// A hook gets `state` on its stdin, with `pid` in it, and starts in the bundle. It gets exactly
/// the environment it names; one that names none gets ours, as with runc. None gets a descriptor
/// of ours or of our caller's.
///
/// # Errors
/// `error running KIND hook #N: …` with the exit status and the end of what the hook wrote.
pub fn run(kind: Kind, hooks: &[Hook], state: &HookState<'_>, pid: i32) -> Result<()> {
    if hooks.is_empty() {
        return Ok(());
    }
    feed(kind, hooks, &state.json(kind, pid), state.bundle)
}

fn feed(kind: Kind, hooks: &[Hook], state: &[u8], dir: &Path) -> Result<()> {
    let own_env = ArgV::new(&own_environment());
    let stdin = state_file(state).at(Step::Hook, || "state")?;
    for (index, hook) in hooks.iter().enumerate() {
        let ready = ReadyHook::new(kind, index, hook)?.starting_in(dir);
        let mut tail = Tail::new();
        let end = process::run(&ready, &own_env, stdin.as_fd(), &mut tail);
        if end != End::Done {
            return Err(error(kind, index, &process::words(&ready.path, end, &tail)));
        }
    }
    Ok(())
}

/// Runs every hook although some fail, for `poststop` (runtime.md, lifecycle 13): a failure is a
/// warning and the others follow.
pub fn run_all_warning(kind: Kind, hooks: &[Hook], state: &HookState<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    for (index, hook) in hooks.iter().enumerate() {
        if let Err(error) = run(kind, std::slice::from_ref(hook), state, 0) {
            let words = error.to_string().replacen("hook #0", &format!("hook #{index}"), 1);
            warnings.push(words);
        }
    }
    warnings
}

/// The failure of the `index`th hook of its kind.
pub fn error(kind: Kind, index: usize, words: &str) -> Error {
    let words = format!("error running {} hook #{index}: {words}", kind.name());
    Error::rule(Step::Hook, "", words)
}

/// The failure of a hook that init ran: `item` is [`inside::item`]'s, `words` are those that
/// init sent.
pub fn inside_error(item: u32, words: &[u8]) -> Error {
    let (kind, index) = inside::hook_of(item);
    error(kind, index, &String::from_utf8_lossy(words))
}

/// The state in memory: a hook that does not read it cannot make us wait or get SIGPIPE, and one
/// that writes to it changes nothing.
fn state_file(state: &[u8]) -> std::io::Result<OwnedFd> {
    let file = fd::memfd(c"corten-state", libc::MFD_ALLOW_SEALING)?;
    fd::write_all(&file, state)?;
    fd::seal(&file, libc::F_SEAL_WRITE | libc::F_SEAL_GROW | libc::F_SEAL_SHRINK)?;
    Ok(file)
}

fn own_environment() -> Vec<CString> {
    std::env::vars_os()
        .filter_map(|(name, value)| {
            let mut entry = name.into_vec();
            entry.push(b'=');
            entry.extend(value.into_vec());
            CString::new(entry).ok()
        })
        .collect()
}

#[cfg(test)]
mod tests;
