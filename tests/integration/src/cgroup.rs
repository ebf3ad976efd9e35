//! Reads cgroup files of a container, whatever the layout of the host.

use std::fs;
use std::path::PathBuf;

use crate::host::mountinfo;

/// Where a v1 controller (or `cgroup2`) is mounted.
#[must_use]
pub fn mount_of(controller: &str) -> Option<PathBuf> {
    let wanted = |m: &crate::host::Mount| {
        if controller == "cgroup2" {
            m.fstype == "cgroup2"
        } else {
            m.fstype == "cgroup" && m.super_options.split(',').any(|o| o == controller)
        }
    };
    mountinfo("/proc/self/mountinfo").into_iter().find(wanted).map(|m| m.target.into())
}

/// The directory of the cgroup `path` in the hierarchy of `controller`.
#[must_use]
pub fn dir(controller: &str, path: &str) -> PathBuf {
    let mount = mount_of(controller).unwrap_or_else(|| panic!("no cgroup `{controller}` here"));
    mount.join(path.trim_start_matches('/'))
}

/// A file of the cgroup, without its last newline. Panics when it cannot be read.
#[must_use]
pub fn read(controller: &str, path: &str, file: &str) -> String {
    let path = dir(controller, path).join(file);
    let text = fs::read_to_string(&path);
    text.unwrap_or_else(|e| panic!("{}: {e}", path.display())).trim_end().to_owned()
}

/// The cgroup of a process in a hierarchy (`""` is v2), as `/proc/PID/cgroup` has it.
#[must_use]
pub fn of(pid: &str, controller: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let line = text.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (names, path) = rest.split_once(':')?;
        names.split(',').any(|n| n == controller).then(|| path.to_owned())
    });
    line.unwrap_or_default()
}
