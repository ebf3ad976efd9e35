//! Stands in for a runtime and takes `linux.seccomp` out of the bundle before it calls it.
//!
//! Nearly every validation test of runtime-tools carries a profile that it does not look at. A
//! runtime that honestly refuses profiles, because it has no seccomp yet, could not be judged by
//! the rest of them.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// Writes a program into `dir` that calls `runtime` this way.
///
/// # Errors
/// It cannot be written, or a path has a quotation mark in it.
pub(crate) fn wrapper(dir: &Path, runtime: &Path) -> io::Result<PathBuf> {
    let me = std::env::current_exe()?;
    let (me, runtime) = (me.display().to_string(), runtime.display().to_string());
    if me.contains('\'') || runtime.contains('\'') {
        return Err(io::Error::other("a path has a quotation mark in it"));
    }
    let file = dir.join("runtime-without-seccomp");
    fs::write(&file, format!("#!/bin/sh\nexec '{me}' without-seccomp '{runtime}' \"$@\"\n"))?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
    Ok(file)
}

/// Calls the runtime in our place; returns only what went wrong.
pub(crate) fn call(command: &[OsString]) -> io::Error {
    let creates = command.iter().any(|word| word == "create" || word == "run");
    if creates && let Err(e) = strip(&bundle(command).join("config.json")) {
        // The runtime is to say what is wrong with a bundle that cannot be read.
        eprintln!("oci-conformance: config.json is left as it is: {e}");
    }
    Command::new(&command[0]).args(&command[1..]).exec()
}

/// The bundle of a command line; the working directory if none is named.
fn bundle(command: &[OsString]) -> PathBuf {
    let mut words = command.iter().map(OsString::as_os_str);
    while let Some(word) = words.next() {
        if [OsStr::new("--bundle"), OsStr::new("-b")].contains(&word) {
            return words.next().unwrap_or_default().into();
        }
        if let Some(dir) = word.to_str().and_then(|word| word.strip_prefix("--bundle=")) {
            return dir.into();
        }
    }
    PathBuf::from(".")
}

fn strip(file: &Path) -> io::Result<()> {
    let mut config: Value = serde_json::from_slice(&fs::read(file)?)?;
    let linux = config.get_mut("linux").and_then(Value::as_object_mut);
    if linux.and_then(|linux| linux.remove("seccomp")).is_some() {
        fs::write(file, serde_json::to_vec(&config)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundle_is_found_in_all_its_forms() {
        let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert_eq!(bundle(&words("r create --bundle /b id")), Path::new("/b"));
        assert_eq!(bundle(&words("r create -b /b id")), Path::new("/b"));
        assert_eq!(bundle(&words("r create --bundle=/b id")), Path::new("/b"));
        assert_eq!(bundle(&words("r create id")), Path::new("."));
    }
}
