//! Propagation of host paths: what is to be shared with the host must be shared there.
//!
//! Without this look the container would start, and its mounts would silently stay its own.
//! Source: mount_namespaces(7); `/proc/PID/mountinfo`, proc_pid_mountinfo(5).

use std::path::{Path, PathBuf};

use super::{Kind, Mount};
use crate::error::{Error, Result, What};

/// Looks at the mounts that the sources lie in.
///
/// # Errors
/// One is private, in Docker's words.
pub fn check(mounts: &[Mount]) -> Result<()> {
    let asks = |mount: &&Mount| {
        let word = mount.propagation.as_str();
        mount.kind == Kind::Bind && (word.ends_with("shared") || word.ends_with("slave"))
    };
    if !mounts.iter().any(|mount| asks(&mount)) {
        return Ok(());
    }
    let table = std::fs::read_to_string("/proc/self/mountinfo")
        .what(|| "cannot read /proc/self/mountinfo".into())?;
    for mount in mounts.iter().filter(asks) {
        let source = std::fs::canonicalize(&mount.source)
            .what(|| format!("cannot mount {}", mount.source))?;
        let Some((place, shared, slave)) = holding(&table, &source) else { continue };
        let wants =
            if mount.propagation.ends_with("shared") { "shared" } else { "shared or slave" };
        if shared || (slave && wants != "shared") {
            continue;
        }
        let place = place.display();
        return Err(Error::new(format!(
            "path {} is mounted on {place} but it is not a {wants} mount",
            mount.source
        ))
        .fix(format!("make it one: mount --make-shared {place}")));
    }
    Ok(())
}

/// The mount that a path lies in: where it is, whether it is shared, whether it is a slave.
fn holding(table: &str, path: &Path) -> Option<(PathBuf, bool, bool)> {
    let mut found: Option<(PathBuf, bool, bool)> = None;
    for line in table.lines() {
        let mut fields = line.split(' ');
        let Some(place) = fields.nth(4).map(plain) else { continue };
        let longer =
            |old: &(PathBuf, bool, bool)| old.0.as_os_str().len() <= place.as_os_str().len();
        // The later one lies on top.
        if path.starts_with(&place) && found.as_ref().is_none_or(longer) {
            let tags: Vec<&str> = fields.skip(1).take_while(|field| *field != "-").collect();
            let has = |tag: &str| tags.iter().any(|field| field.starts_with(tag));
            found = Some((place, has("shared:"), has("master:")));
        }
    }
    found
}

/// A field whose spaces, tabs, line ends and backslashes are written as `\040`.
fn plain(field: &str) -> PathBuf {
    let mut out = Vec::new();
    let mut rest = field.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        let octal = behind.get(..3).filter(|_| *byte == b'\\');
        let octal =
            octal.and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 8).ok());
        out.push(octal.unwrap_or(*byte));
        rest = if octal.is_some() { &behind[3..] } else { behind };
    }
    use std::os::unix::ffi::OsStringExt;
    std::ffi::OsString::from_vec(out).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_on_top_decides() {
        let table = "21 1 8:1 / / rw shared:1 - ext4 /dev/a rw\n\
                     22 21 8:2 / /a\\040b rw - ext4 /dev/b rw\n\
                     23 21 8:2 / /c rw master:4 - ext4 /dev/b rw\n\
                     24 23 8:2 / /c rw shared:9 master:4 - ext4 /dev/b rw\n";
        let at = |path: &str| holding(table, Path::new(path)).unwrap();
        assert_eq!(at("/x"), ("/".into(), true, false));
        assert_eq!(at("/a b/x"), ("/a b".into(), false, false));
        assert_eq!(at("/c/d"), ("/c".into(), true, true));
        assert_eq!(at("/cd"), ("/".into(), true, false));
    }
}
