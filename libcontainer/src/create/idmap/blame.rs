//! Why ids could not be mapped, or a user namespace not be made, and who can change it.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Kind;
use super::ranges::{self, Range};
use crate::error::{Error, Step};
use crate::sys::fd;

/// Below are users of the machine, whose ids nobody should get a row for (login.defs(5), UID_MAX).
const FIRST_SPARE: u64 = 65_536;
/// `ST_NOSUID` of statfs(2).
const NOSUID: u64 = 2;

/// The tool is not there.
pub(super) fn missing(kind: &Kind) -> Error {
    let why = "is not installed, and ids other than one's own are mapped by it";
    Error::rule(Step::IdMap, kind.tool, why).hint(
        "install the package uidmap (Debian, Ubuntu) or shadow-utils (Fedora, RHEL), or map your \
         own id alone, as `spec --rootless` does",
    )
}

/// The tool said no.
pub(super) fn tool(kind: &Kind, path: &Path, map: &str, said: &str) -> Error {
    let first = said.lines().next().unwrap_or("failed without a word");
    let first = first.strip_prefix(kind.tool).map_or(first, |words| words.trim_start_matches(": "));
    let hint = no_row(kind, map).or_else(|| powerless(kind, path)).or_else(apparmor);
    let error = Error::rule(Step::IdMap, kind.tool, first);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// Ids that no row gives to this user.
fn no_row(kind: &Kind, map: &str) -> Option<String> {
    let switch = fs::read_to_string("/etc/nsswitch.conf").unwrap_or_default();
    let elsewhere = switch.lines().any(|line| {
        let sources = line.strip_prefix("subid:").unwrap_or_default();
        sources.split_whitespace().any(|source| source != "files" && !source.starts_with('['))
    });
    if elsewhere {
        return Some(format!(
            "{} is not asked here: /etc/nsswitch.conf has another source for `subid`",
            kind.rows
        ));
    }
    let user = User::own(kind);
    let rows = fs::read_to_string(kind.rows).unwrap_or_default();
    user.lacks(kind, map, &ranges::rows(&rows))
}

/// Who we are to the tools.
struct User {
    name: String,
    uid: String,
    /// The uid or gid that needs no row.
    id: u64,
}

impl User {
    fn own(kind: &Kind) -> Self {
        let uid = nix::unistd::getuid().to_string();
        let id = match kind.file {
            "gid_map" => nix::unistd::getgid().as_raw(),
            _ => nix::unistd::getuid().as_raw(),
        };
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let name = users.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)? == uid).then(|| name.to_owned())
        });
        Self { name: name.unwrap_or_else(|| uid.clone()), uid, id: id.into() }
    }

    /// The remedy when `rows` do not give everything in `map`.
    fn lacks(&self, kind: &Kind, map: &str, rows: &[ranges::Row]) -> Option<String> {
        let (own, others): (Vec<_>, Vec<_>) =
            rows.iter().partition(|row| row.owner == self.name || row.owner == self.uid);
        let mut given: Vec<_> = own.iter().map(|row| row.range).collect();
        let asked = ranges::host_ids(map);
        // The own id goes without a row, if it stands alone.
        let alone = |range: &&Range| range.first == self.id && range.count == 1;
        let lack = asked.iter().filter(|range| !alone(range));
        let Range { first, count } =
            lack.filter_map(|range| ranges::missing(*range, &given)).next()?;
        if let Some(other) = others.iter().find(|o| ranges::meet(o.range, Range { first, count })) {
            let owner = &other.owner;
            return Some(format!("{} gives ids of these to {owner}: map others", kind.rows));
        }
        if first < FIRST_SPARE {
            let first = given.first().map_or_else(String::new, |range| {
                format!(", and {} ids from {} on", range.count, range.first)
            });
            let id = self.id;
            return Some(format!(
                "of this machine's users you may map yourself alone: {id}{first}"
            ));
        }
        let (name, last) = (&self.name, first + count - 1);
        let add = format!(
            "the row `{name}:{first}:{count}` in {}: `usermod {} {first}-{last} {name}`",
            kind.rows, kind.option
        );
        given.retain(|range| range.count > 1);
        Some(match given[..] {
            [] => format!("have root add {add}"),
            [Range { first, count }, ..] => {
                format!(
                    "map the {count} ids from {first} on, which you have, or have root add {add}"
                )
            }
        })
    }
}

/// The tool could not do what it may.
fn powerless(kind: &Kind, path: &Path) -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if status.lines().any(|line| line.split_whitespace().eq(["NoNewPrivs:", "1"])) {
        return Some(
            "the runtime was started with no_new_privs, which setuid programs need to be unset: \
             look at NoNewPrivileges= of its service, or at the container around it"
                .to_owned(),
        );
    }
    let file = open(path).ok()?;
    let shown = path.display();
    if fd::fs_flags(&file).is_ok_and(|flags| flags & NOSUID != 0) {
        return Some(format!("{shown} is on a file system that is mounted nosuid"));
    }
    let setuid = fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o4000 != 0);
    let capable = fd::fgetxattr(&file, c"security.capability", &mut [0; 64]).is_ok();
    (!setuid && !capable).then(|| {
        format!(
            "{shown} has lost its rights: `chmod u+s {shown}` or `setcap {}+ep {shown}`",
            kind.capability
        )
    })
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    fd::open(&path, libc::O_RDONLY)
}

/// Ubuntu 23.10 and later: the namespace is made, but nothing may be done in it.
fn apparmor() -> Option<String> {
    const WORDS: &str = "AppArmor takes the rights of user namespaces away here: give the runtime a \
        profile with `userns,`, or set sysctl kernel.apparmor_restrict_unprivileged_userns=0";
    is(&read, "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1")
        .then(|| WORDS.to_owned())
}

/// We were not allowed to write a map ourselves.
pub(super) fn refused_map(error: Error) -> Error {
    match (error.errno(), apparmor()) {
        (Some(libc::EPERM | libc::EACCES), Some(hint)) => error.hint(hint),
        (Some(libc::EPERM), None) => error.hint(
            "every host id must be one of our own user namespace (/proc/self/uid_map), and to map \
             id 0 takes CAP_SETFCAP",
        ),
        _ => error,
    }
}

/// The error of a clone3 that was to make a user namespace, with the remedy.
#[must_use]
pub fn why_no_namespace(error: Error) -> Error {
    match error.errno() {
        Some(errno) => error.hint(namespace_hint(errno)),
        None => error,
    }
}

/// What to do where a user namespace is refused with this errno.
pub fn namespace_hint(errno: i32) -> String {
    hint(errno, &read)
}

fn hint(errno: i32, read: &dyn Fn(&str) -> Option<String>) -> String {
    const MAX: &str = "/proc/sys/user/max_user_namespaces";
    let words = match errno {
        libc::ENOSPC if is(read, MAX, "0") => {
            "user namespaces are turned off: `sysctl -w user.max_user_namespaces=15000`, and the \
             same in /etc/sysctl.d"
        }
        libc::ENOSPC => {
            "a namespace limit is reached: look at the files of /proc/sys/user, such as \
             max_user_namespaces; or these are 32 deep"
        }
        _ if is(read, "/proc/sys/kernel/unprivileged_userns_clone", "0") => {
            "user namespaces are root's alone: `sysctl -w kernel.unprivileged_userns_clone=1`, and \
             the same in /etc/sysctl.d"
        }
        _ if is(read, "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") => {
            "AppArmor keeps user namespaces from programs without a profile: give the runtime one \
             with `userns,`, or set sysctl kernel.apparmor_restrict_unprivileged_userns=0"
        }
        _ => {
            "user namespaces are not made inside of a chroot, by ids that are not mapped, or under \
             the seccomp filter of a container around us"
        }
    };
    words.to_owned()
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn is(read: &dyn Fn(&str) -> Option<String>, path: &str, value: &str) -> bool {
    read(path).is_some_and(|text| text.trim() == value)
}

#[cfg(test)]
#[path = "blame_tests.rs"]
mod tests;
