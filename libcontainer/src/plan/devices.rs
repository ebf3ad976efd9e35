//! Turns `linux.devices`, the default devices and the `/dev` links into a list for init.
//!
//! Defaults are those of runtime-spec `config-linux.md`, "Default Devices"; an entry of
//! `linux.devices` at the same path replaces one. When `/dev` itself is a bind mount the caller
//! has brought its own and nothing is made there (runc's rule).

use std::ffi::CString;

use oci_spec::runtime::{LinuxDevice, LinuxDeviceType};
use serde::Serialize;

use super::paths::{self, InRoot};
use crate::error::{Error, Result, Step};

/// What kind of node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `c` and `u`.
    Char,
    /// `b`.
    Block,
    /// `p`: a named pipe; major and minor mean nothing.
    Fifo,
}

impl Kind {
    /// The `S_IF*` bits of mknod(2).
    pub const fn file_type(self) -> u32 {
        match self {
            Kind::Fifo => 0o010_000,
            Kind::Char => 0o020_000,
            Kind::Block => 0o060_000,
        }
    }
}

/// One device node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    /// Where.
    pub path: InRoot,
    /// What.
    pub kind: Kind,
    /// Device number as mknod(2) takes it; 0 for a pipe.
    pub rdev: u64,
    /// Permission bits, set exactly: no umask applies.
    pub mode: u32,
    /// Owner, in the container's ids.
    pub uid: u32,
    /// Group, in the container's ids.
    pub gid: u32,
    /// The host's node, for kernels and namespaces that refuse mknod(2).
    #[serde(serialize_with = "super::text::one")]
    pub host: CString,
    /// Bind the host's node at once: mknod(2) is never allowed in a user namespace.
    pub bind: bool,
    /// From the defaults: a wrong file in the way is covered instead of refused.
    pub default: bool,
}

/// One symbolic link below `/dev`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Link {
    /// Where.
    pub path: InRoot,
    /// What it says.
    #[serde(serialize_with = "super::text::one")]
    pub target: CString,
    /// Remove what is there first; otherwise what is there stays.
    pub replace: bool,
    /// Only when the host's kernel has the target (`/proc/kcore` is optional).
    pub if_exists: bool,
}

/// Everything init makes below `/dev`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Dev {
    /// Nodes, defaults first.
    pub nodes: Vec<Node>,
    /// Links.
    pub links: Vec<Link>,
}

/// Name, major, minor of the default devices; all are `c`, 0666, root's.
const DEFAULTS: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/random", 1, 8),
    ("/dev/full", 1, 7),
    ("/dev/tty", 5, 0),
    ("/dev/zero", 1, 5),
    ("/dev/urandom", 1, 9),
];

/// Name and target of the links; the last but one depends on the kernel, the last replaces.
const LINKS: [(&str, &str); 6] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/core", "/proc/kcore"),
    ("/dev/ptmx", "pts/ptmx"),
];

/// Decides nodes and links. `bind` is true in a user namespace.
///
/// # Errors
/// A device whose type, number or path cannot be made.
pub fn build(devices: &[LinuxDevice], bind: bool) -> Result<Dev> {
    let mut asked = Vec::new();
    for (index, device) in devices.iter().enumerate() {
        if device.path().as_os_str().is_empty() {
            continue; // The entry speaks to the device cgroup only.
        }
        let node = node(device, bind).map_err(|why| {
            Error::rule(Step::CheckConfig, format!("linux.devices[{index}]"), why)
        })?;
        // Always a link to pts/ptmx; configurations that list it mean the same.
        if !node.path.is("dev/ptmx") {
            asked.push(node);
        }
    }
    let mut nodes = Vec::new();
    for (path, major, minor) in DEFAULTS {
        let path = InRoot::new(path)?;
        if asked.iter().any(|node| node.path == path) {
            continue;
        }
        let host = paths::text(path.to_string())?;
        let rdev = device_number(major, minor);
        let kind = Kind::Char;
        nodes.push(Node {
            path,
            kind,
            rdev,
            mode: 0o666,
            uid: 0,
            gid: 0,
            host,
            bind,
            default: true,
        });
    }
    nodes.append(&mut asked);
    let links = LINKS.iter().map(|(path, target)| {
        Ok(Link {
            path: InRoot::new(path)?,
            target: paths::text(target)?,
            replace: *path == "/dev/ptmx",
            if_exists: *path == "/dev/core",
        })
    });
    Ok(Dev { nodes, links: links.collect::<Result<_>>()? })
}

fn node(device: &LinuxDevice, bind: bool) -> Result<Node, String> {
    let kind = match device.typ() {
        LinuxDeviceType::C | LinuxDeviceType::U => Kind::Char,
        LinuxDeviceType::B => Kind::Block,
        LinuxDeviceType::P => Kind::Fifo,
        LinuxDeviceType::A => return Err("type \"a\" is not a device; use c, b, u or p".into()),
    };
    let path = InRoot::new(device.path()).map_err(|error| error.to_string())?;
    if path.is_root() {
        return Err("the path is the root directory itself".into());
    }
    let rdev = match kind {
        Kind::Fifo => 0,
        _ => device_number(
            number("major", device.major(), 0xfff)?,
            number("minor", device.minor(), 0xf_ffff)?,
        ),
    };
    Ok(Node {
        host: paths::text(path.to_string()).map_err(|error| error.to_string())?,
        path,
        kind,
        rdev,
        mode: device.file_mode().unwrap_or(0o666) & 0o7777,
        uid: device.uid().unwrap_or(0),
        gid: device.gid().unwrap_or(0),
        // A pipe is an ordinary file to the kernel: mknod(2) makes it in every namespace.
        bind: bind && kind != Kind::Fifo,
        default: false,
    })
}

/// The kernel has 12 bits for majors and 20 for minors and would silently cut the rest off.
fn number(name: &str, value: i64, max: u32) -> Result<u32, String> {
    u32::try_from(value)
        .ok()
        .filter(|value| *value <= max)
        .ok_or_else(|| format!("{name} {value} is not between 0 and {max}"))
}

/// Encodes a device number as glibc's makedev(3) does.
pub const fn device_number(major: u32, minor: u32) -> u64 {
    // `as` because `From` is not const yet; both widen.
    let (major, minor) = (major as u64, minor as u64);
    (major & 0xfff) << 8 | (major & !0xfff) << 32 | minor & 0xff | (minor & !0xff) << 12
}

#[cfg(test)]
#[path = "devices_tests.rs"]
mod tests;
