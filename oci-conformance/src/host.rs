//! What this host can show: cgroup layout, security modules, our own capabilities.
//!
//! The facts have names, used by `known.toml` (`when = ["!cap_sys_resource"]`) and by the
//! reasons of skipped checks.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

/// One line of `/proc/self/mountinfo` (proc(5)).
#[derive(Clone, Debug)]
pub(crate) struct Mount {
    /// Where it is mounted, in the namespace that was read.
    pub(crate) point: String,
    /// The per-mount options.
    pub(crate) options: BTreeSet<String>,
    /// `shared:N`, `master:N`, `unbindable`.
    pub(crate) propagation: Vec<String>,
    /// Type of the file system.
    pub(crate) kind: String,
    /// Options of the file system.
    pub(crate) super_options: BTreeSet<String>,
}

impl Mount {
    /// Whether the mount or its file system carries the option.
    pub(crate) fn has(&self, option: &str) -> bool {
        self.options.contains(option) || self.super_options.contains(option)
    }

    /// `shared`, `slave`, `private`, `unbindable` (a shared slave is `shared`).
    pub(crate) fn propagation(&self) -> &'static str {
        let starts = |word: &str| self.propagation.iter().any(|p| p.starts_with(word));
        match () {
            () if starts("shared:") => "shared",
            () if starts("master:") => "slave",
            () if starts("unbindable") => "unbindable",
            () => "private",
        }
    }
}

/// Parses the text of a `mountinfo` file; a line that is none is left out.
pub(crate) fn mounts(text: &str) -> Vec<Mount> {
    text.lines().filter_map(mount_line).collect()
}

fn mount_line(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let set = |text: &str| text.split(',').map(str::to_owned).collect();
    let mut left = left.split(' ').skip(4);
    let (point, options) = (left.next()?, left.next()?);
    let mut right = right.split(' ');
    Some(Mount {
        point: point.into(),
        options: set(options),
        propagation: left.map(str::to_owned).collect(),
        kind: right.next()?.into(),
        super_options: right.nth(1).map(set).unwrap_or_default(),
    })
}

/// A mounted cgroup hierarchy.
pub(crate) struct CgroupMount {
    pub(crate) point: PathBuf,
    /// The v1 controllers of it; none on v2 (and `name=…` hierarchies count as one).
    pub(crate) controllers: Vec<String>,
}

/// The cgroup hierarchies of our mount namespace.
///
/// # Errors
/// `/proc` cannot be read.
pub(crate) fn cgroup_mounts() -> io::Result<Vec<CgroupMount>> {
    const ATTRIBUTES: [&str; 7] =
        ["rw", "ro", "xattr", "clone_children", "seclabel", "noprefix", "cpuset_v2_mode"];
    let list = mounts(&fs::read_to_string("/proc/self/mountinfo")?);
    // A mount that another one covers has the same place; the last one is seen.
    let seen: BTreeMap<String, Mount> = list.into_iter().map(|m| (m.point.clone(), m)).collect();
    Ok(seen
        .into_values()
        .filter(|m| m.kind.starts_with("cgroup"))
        .filter(|m| Path::new(&m.point).join("cgroup.procs").exists())
        .map(|m| CgroupMount {
            point: m.point.into(),
            controllers: if m.kind == "cgroup2" {
                Vec::new()
            } else {
                m.super_options
                    .into_iter()
                    .filter(|o| {
                        !ATTRIBUTES.contains(&o.as_str()) && !o.starts_with("release_agent")
                    })
                    .collect()
            },
        })
        .collect())
}

/// The facts.
pub(crate) struct Host {
    facts: BTreeSet<String>,
    cgroups: Vec<CgroupMount>,
}

impl Host {
    /// Looks at the host, once.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub(crate) fn probe() -> io::Result<Self> {
        const CAP_SYS_RESOURCE: u32 = 24;
        let mut facts = BTreeSet::new();
        let mut note = |fact: &str, holds: bool| {
            if holds {
                facts.insert(fact.to_owned());
            }
        };
        let status = fs::read_to_string("/proc/self/status")?;
        let effective = status
            .lines()
            .find_map(|line| line.strip_prefix("CapEff:"))
            .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
            .unwrap_or(0);
        note("cap_sys_resource", effective >> CAP_SYS_RESOURCE & 1 == 1);
        let lsm = fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
        note("apparmor", lsm.contains("apparmor") || exists("/sys/kernel/security/apparmor"));
        note("selinux", exists("/sys/fs/selinux/enforce"));
        note("resctrl", fs::read_to_string("/proc/filesystems")?.contains("resctrl"));
        for kind in ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"] {
            note(&format!("ns_{kind}"), exists(&format!("/proc/self/ns/{kind}")));
        }
        let cgroups = cgroup_mounts()?;
        let v1 = cgroups.iter().any(|m| m.controllers.iter().any(|c| !c.starts_with("name=")));
        note("cgroup_v1", v1);
        note("cgroup_v2", !v1 && !cgroups.is_empty());
        for name in cgroups.iter().flat_map(|m| &m.controllers) {
            note(&format!("v1_{name}"), true);
        }
        let blkio = cgroups.iter().find(|m| m.controllers.iter().any(|c| c == "blkio"));
        let has = |dir: Option<&CgroupMount>, file: &str| {
            dir.is_some_and(|m| m.point.join(file).exists())
        };
        note("v1_leaf_weight", has(blkio, "blkio.leaf_weight"));
        Ok(Self { facts, cgroups })
    }

    /// Whether a fact holds; `!fact` asks for the contrary.
    pub(crate) fn is(&self, fact: &str) -> bool {
        match fact.strip_prefix('!') {
            Some(fact) => !self.facts.contains(fact),
            None => self.facts.contains(fact),
        }
    }

    /// All facts that hold.
    pub(crate) fn facts(&self) -> impl Iterator<Item = &str> {
        self.facts.iter().map(String::as_str)
    }

    /// Where the v1 hierarchy of a controller is mounted.
    pub(crate) fn v1(&self, controller: &str) -> Option<&Path> {
        self.cgroups
            .iter()
            .find(|m| m.controllers.iter().any(|c| c == controller))
            .map(|m| m.point.as_path())
    }

    /// Where cgroup2 is mounted.
    pub(crate) fn v2(&self) -> Option<&Path> {
        self.cgroups.iter().find(|m| m.controllers.is_empty()).map(|m| m.point.as_path())
    }

    /// The mount points of all hierarchies.
    pub(crate) fn hierarchies(&self) -> impl Iterator<Item = &Path> {
        self.cgroups.iter().map(|m| m.point.as_path())
    }
}

fn exists(path: &str) -> bool {
    Path::new(path).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mountinfo_line_is_split_at_the_dash() {
        let text =
            "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n";
        let list = mounts(text);
        assert_eq!(list.len(), 1);
        assert_eq!(list[0].point, "/mnt2");
        assert_eq!(list[0].kind, "ext3");
        assert!(list[0].has("noatime") && list[0].has("errors=continue"));
        assert_eq!(list[0].propagation(), "slave");
    }

    #[test]
    fn a_line_that_is_none_is_left_out() {
        assert!(mounts("nonsense\n\n").is_empty());
    }
}
