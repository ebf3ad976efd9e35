//! Finds out how control groups are mounted: unified (v2), legacy (v1) or hybrid (both).
//!
//! Cheap, because it is on the path of every `create`: one `statfs(2)` and one read of
//! `/proc/self/cgroup`; `/proc/self/mountinfo` is read for v1 only, or when our own v2 cgroup is
//! not below the mount. Controllers are *not* listed for v2: which ones a directory has is known
//! only after its parents enabled them, see [`crate::cgroup`].

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{At, Result, Step};

/// Where control groups are expected; v2 is looked for nowhere else.
pub const ROOT: &str = "/sys/fs/cgroup";
/// Where the v2 hierarchy of a hybrid host is mounted by systemd and OpenRC.
pub const HYBRID: &str = "/sys/fs/cgroup/unified";

/// Magic of a cgroup v2 file system (statfs(2)).
pub(crate) const CGROUP2_SUPER_MAGIC: i64 = 0x6367_7270;

/// How the host mounts control groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CgroupMode {
    /// No cgroup file system in our mount namespace.
    #[default]
    Absent,
    /// v1 only.
    Legacy,
    /// v1 controllers, and a v2 hierarchy at [`HYBRID`] that groups processes.
    Hybrid,
    /// v2 only.
    Unified,
}

/// One mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hierarchy {
    /// v1: the controllers (`cpu`, `cpuacct`) or the name (`name=systemd`). Empty for v2.
    pub controllers: Vec<String>,
    /// Where it is mounted.
    pub mount: PathBuf,
    /// Our own cgroup, relative to `mount`: no leading slash, empty when we are at its root.
    pub own: PathBuf,
}

impl Hierarchy {
    /// Whether this is the v2 hierarchy.
    pub fn is_v2(&self) -> bool {
        self.controllers.is_empty()
    }
}

/// The hierarchies a container can be placed in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CgroupLayout {
    /// How they are mounted.
    pub mode: CgroupMode,
    /// Unified: exactly one. Hybrid: every mounted v1 hierarchy, then the v2 one.
    pub hierarchies: Vec<Hierarchy>,
}

impl CgroupLayout {
    /// Looks at the host.
    ///
    /// # Errors
    /// `/proc/self/cgroup` or `/proc/self/mountinfo` cannot be read.
    pub fn probe() -> Result<Self> {
        let read = |path: &'static str| read(path).at(Step::ProbeHost, || path);
        let membership = match self::read("/proc/self/cgroup") {
            // The kernel was built without cgroups.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            other => other.at(Step::ProbeHost, || "/proc/self/cgroup")?,
        };
        if is_cgroup2(ROOT) {
            let layout = Self::unified(&membership, "/");
            let visible = |h: &Hierarchy| h.mount.join(&h.own).join("cgroup.procs").exists();
            if layout.hierarchies.iter().all(|h| h.own.as_os_str().is_empty() || visible(h)) {
                return Ok(layout);
            }
            // A container with the host's cgroup namespace sees its own cgroup mounted as root.
            let mounts = read("/proc/self/mountinfo")?;
            let root = mounts.lines().filter_map(Mount::parse).rfind(|m| m.point == ROOT);
            return Ok(Self::unified(&membership, &root.map_or(Cow::Borrowed("/"), |m| m.root)));
        }
        Ok(Self::legacy(&membership, &read("/proc/self/mountinfo")?))
    }

    /// A v2 host with us at the root: for tests.
    pub fn ideal() -> Self {
        Self::unified("0::/", "/")
    }

    /// The layout of a host whose [`ROOT`] is a v2 mount with this root.
    fn unified(membership: &str, root: &str) -> Self {
        let own = Member::all(membership).find(|m| m.controllers.is_empty());
        let own = own.map_or_else(PathBuf::new, |m| below(m.path, root));
        let hierarchy = Hierarchy { controllers: Vec::new(), mount: ROOT.into(), own };
        Self { mode: CgroupMode::Unified, hierarchies: vec![hierarchy] }
    }

    /// The layout of a v1 host, from the texts of `/proc/self/cgroup` and `/proc/self/mountinfo`.
    fn legacy(membership: &str, mountinfo: &str) -> Self {
        let mounts: Vec<Mount<'_>> = mountinfo.lines().filter_map(Mount::parse).collect();
        let members = Member::all(membership).filter_map(|member| member.mounted(&mounts));
        let (last, mut hierarchies): (Vec<_>, Vec<_>) = members.partition(Hierarchy::is_v2);
        // The v2 line comes last, whatever the kernel's order.
        hierarchies.extend(last);
        let v2 = hierarchies.iter().any(Hierarchy::is_v2);
        let v1 = hierarchies.iter().any(|h| !h.is_v2());
        let mode = match (v1, v2) {
            (true, true) => CgroupMode::Hybrid,
            (true, false) => CgroupMode::Legacy,
            // A lone v2 mount at the hybrid place carries no limits that callers could use.
            (false, true) => CgroupMode::Unified,
            (false, false) => CgroupMode::Absent,
        };
        Self { mode, hierarchies }
    }

    /// The v1 hierarchy that carries `controller`.
    pub fn v1(&self, controller: &str) -> Option<usize> {
        self.hierarchies.iter().position(|h| h.controllers.iter().any(|c| c == controller))
    }
}

/// Reads a file of `/proc` with as few calls as it takes: these say nothing about their length.
fn read(path: &str) -> io::Result<String> {
    let mut text = Vec::with_capacity(8192);
    File::open(path)?.read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn is_cgroup2(path: &str) -> bool {
    nix::sys::statfs::statfs(path).is_ok_and(|stat| stat.filesystem_type().0 == CGROUP2_SUPER_MAGIC)
}

/// One line of `/proc/self/cgroup`: `hierarchy-id:controllers:path` (cgroups(7)).
struct Member<'a> {
    controllers: &'a str,
    path: &'a str,
}

impl<'a> Member<'a> {
    fn all(text: &'a str) -> impl Iterator<Item = Self> {
        text.lines().filter_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            Some(Self { controllers, path })
        })
    }

    fn mounted(&self, mounts: &[Mount<'_>]) -> Option<Hierarchy> {
        let mount = if self.controllers.is_empty() {
            mounts.iter().find(|m| m.fstype == "cgroup2" && m.point == HYBRID)?
        } else {
            // Every controller of a hierarchy is an option of its mount; the first will do.
            let first = self.controllers.split(',').next()?;
            let carries =
                |m: &&Mount<'_>| m.fstype == "cgroup" && m.options.split(',').any(|o| o == first);
            // Other mounts of the same hierarchy (a chroot's, an engine's) come second.
            let usual = |m: &&Mount<'_>| m.point.starts_with(ROOT);
            let found = mounts.iter().filter(carries).find(usual);
            found.or_else(|| mounts.iter().find(carries))?
        };
        let controllers = self.controllers.split(',').filter(|c| !c.is_empty());
        Some(Hierarchy {
            controllers: controllers.map(str::to_owned).collect(),
            mount: PathBuf::from(&*mount.point),
            own: below(self.path, &mount.root),
        })
    }
}

/// One cgroup line of `/proc/self/mountinfo` (proc(5)).
struct Mount<'a> {
    root: Cow<'a, str>,
    point: Cow<'a, str>,
    fstype: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (left, right) = line.split_once(" - ")?;
        let mut right = right.split(' ');
        let fstype = right.next()?;
        // Hosts may have thousands of mounts: decide before anything is unescaped.
        if !fstype.starts_with("cgroup") {
            return None;
        }
        let options = right.nth(1)?;
        let mut left = left.split(' ').skip(3);
        let root = unescape(left.next()?);
        Some(Self { root, point: unescape(left.next()?), fstype, options })
    }
}

/// Undoes the kernel's octal escapes of space, tab, newline and backslash.
pub(crate) fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = text.to_owned();
    for (octal, plain) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
        out = out.replace(octal, plain);
    }
    Cow::Owned(out)
}

/// `path` of `/proc/self/cgroup` relative to a mount that shows the hierarchy from `root` down.
///
/// A cgroup outside of what the mount shows (another root, or `/../x` seen from a cgroup
/// namespace) has no name there: the mount's root stands in for it.
fn below(path: &str, root: &str) -> PathBuf {
    let relative = Path::new(path).strip_prefix(root).unwrap_or_else(|_| Path::new(""));
    let inside = relative.components().all(|c| matches!(c, Component::Normal(_)));
    if inside { relative.to_owned() } else { PathBuf::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
        23 1 0:21 / /sys rw - sysfs sysfs rw\n\
        31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
        32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
        33 31 0:30 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
        34 31 0:37 / /srv/my\\040root/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
        35 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n";
    const UNIFIED: &str =
        "36 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n";
    const MEMBER: &str = "\
        4:name=systemd:/user.slice\n\
        3:memory:/docker/abc/inner\n\
        2:cpu,cpuacct:/\n\
        1:pids:/not/mounted\n\
        0::/user.slice/a:b\n";

    #[test]
    fn hybrid_host_joins_v1_and_then_v2() {
        let layout = CgroupLayout::legacy(MEMBER, &format!("{MOUNTS}{UNIFIED}"));
        assert_eq!(layout.mode, CgroupMode::Hybrid);
        let seen: Vec<_> = layout
            .hierarchies
            .iter()
            .map(|h| (h.controllers.join(","), h.mount.to_str().unwrap(), h.own.to_str().unwrap()))
            .collect();
        assert_eq!(
            seen,
            [
                ("name=systemd".to_owned(), "/sys/fs/cgroup/systemd", "user.slice"),
                ("memory".to_owned(), "/sys/fs/cgroup/memory", "inner"),
                ("cpu,cpuacct".to_owned(), "/sys/fs/cgroup/cpu,cpuacct", ""),
                (String::new(), "/sys/fs/cgroup/unified", "user.slice/a:b"),
            ]
        );
        assert_eq!(layout.v1("cpuacct"), Some(2));
        assert_eq!(layout.v1("pids"), None);
    }

    #[test]
    fn legacy_host_has_no_v2() {
        let layout = CgroupLayout::legacy(MEMBER, MOUNTS);
        assert_eq!(layout.mode, CgroupMode::Legacy);
        assert_eq!(layout.hierarchies.len(), 3);
    }

    #[test]
    fn host_without_cgroup_mounts() {
        assert_eq!(CgroupLayout::legacy(MEMBER, "").mode, CgroupMode::Absent);
    }

    #[test]
    fn unified_host_knows_its_own_cgroup() {
        let layout = CgroupLayout::unified("0::/user.slice/x.scope\n", "/");
        assert_eq!(layout.hierarchies[0].own, Path::new("user.slice/x.scope"));
        // Nested without a cgroup namespace: the mount shows our own cgroup as its root.
        let layout = CgroupLayout::unified("0::/docker/abc\n", "/docker/abc");
        assert_eq!(layout.hierarchies[0].own, Path::new(""));
    }

    #[test]
    fn names_outside_the_mount_become_its_root() {
        assert_eq!(below("/../other", "/"), Path::new(""));
        assert_eq!(below("/system", "/docker"), Path::new(""));
        assert_eq!(below("/docker/a", "/docker"), Path::new("a"));
        assert_eq!(below("/dockerx", "/docker"), Path::new(""));
    }

    #[test]
    fn only_the_unusual_mount_is_better_than_none() {
        let line = "34 31 0:37 / /srv/my\\040root rw - cgroup cgroup rw,name=systemd\n";
        let layout = CgroupLayout::legacy(MEMBER, line);
        assert_eq!(layout.hierarchies[0].mount, Path::new("/srv/my root"));
    }

    #[test]
    fn probe_of_this_host_agrees_with_itself() {
        let layout = CgroupLayout::probe().unwrap();
        for hierarchy in &layout.hierarchies {
            assert!(hierarchy.mount.join(&hierarchy.own).is_dir(), "{hierarchy:?}");
        }
    }
}
