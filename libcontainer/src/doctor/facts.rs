//! Everything that the rules look at, read once; nothing is changed.
//!
//! Plain data: tests take [`Facts::ideal`] and break one thing. What cannot be read is absent, and
//! the rule says what that means.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{AccessFlags, access};

use super::user::{Program, User};
use crate::error;
use crate::host::cgroup::{CgroupMode, ROOT, unescape};
use crate::host::{Host, Systemd};
use crate::seal;
use crate::sys::{answers, bpf, fd, sched};

/// Small files of which a rule wants the text.
const TEXTS: [&str; 37] = [
    "/etc/nsswitch.conf",
    "/etc/subgid",
    "/etc/subuid",
    "/proc/cgroups",
    "/proc/cmdline",
    "/proc/filesystems",
    "/proc/key-users",
    "/proc/pressure/memory",
    "/proc/self/attr/current",
    "/proc/self/status",
    "/proc/swaps",
    "/proc/sys/fs/inotify/max_user_instances",
    "/proc/sys/fs/inotify/max_user_watches",
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
    "/proc/sys/kernel/keys/maxkeys",
    "/proc/sys/kernel/keys/root_maxkeys",
    "/proc/sys/kernel/pid_max",
    "/proc/sys/kernel/seccomp/actions_avail",
    "/proc/sys/kernel/unprivileged_userns_clone",
    "/proc/sys/net/bridge/bridge-nf-call-iptables",
    "/proc/sys/net/ipv4/ip_forward",
    "/proc/sys/net/ipv4/ip_unprivileged_port_start",
    "/proc/sys/net/ipv4/ping_group_range",
    "/proc/sys/user/max_cgroup_namespaces",
    "/proc/sys/user/max_ipc_namespaces",
    "/proc/sys/user/max_mnt_namespaces",
    "/proc/sys/user/max_net_namespaces",
    "/proc/sys/user/max_pid_namespaces",
    "/proc/sys/user/max_time_namespaces",
    "/proc/sys/user/max_user_namespaces",
    "/proc/sys/user/max_uts_namespaces",
    "/sys/fs/cgroup/cgroup.controllers",
    "/sys/fs/cgroup/cgroup.procs",
    "/sys/fs/cgroup/cgroup.subtree_control",
    "/sys/fs/cgroup/cgroup.type",
    "/sys/fs/selinux/enforce",
    "/sys/kernel/security/lsm",
];
/// Files of which a rule wants to know whether they are there.
pub(super) const PATHS: [&str; 13] = [
    "/dev/fuse",
    "/dev/net/tun",
    "/proc/self/ns/cgroup",
    "/proc/self/ns/ipc",
    "/proc/self/ns/mnt",
    "/proc/self/ns/net",
    "/proc/self/ns/pid",
    "/proc/self/ns/time",
    "/proc/self/ns/user",
    "/proc/self/ns/uts",
    "/run/systemd/system",
    "/sys/fs/selinux",
    "/sys/kernel/security/apparmor",
];
/// Modules that a rule asks for.
const MODULES: [&str; 4] = ["br_netfilter", "bridge", "overlay", "veth"];
/// Programs that a rule asks for.
const PROGRAMS: [&str; 8] = [
    "apparmor_parser",
    "criu",
    "fuse-overlayfs",
    "newgidmap",
    "newuidmap",
    "pasta",
    "slirp4netns",
    "dbus-daemon",
];

/// All that the rules look at.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Version, rights, security modules, cgroup layout.
    pub host: Host,
    /// It is asked for the containers of an ordinary user.
    pub rootless: bool,
    /// Small files: path and text.
    pub texts: Vec<(String, String)>,
    /// Paths that are there, of those that a rule asks for.
    pub paths: Vec<&'static str>,
    /// System calls and what they answer to nonsense.
    pub calls: Vec<(&'static str, i32)>,
    /// Kernel modules, and whether there is one; unknown where the kernel has no list of them.
    pub modules: Vec<(&'static str, Option<bool>)>,
    /// Programs that were found.
    pub programs: Vec<(&'static str, Program)>,
    /// Every mount of our namespace.
    pub mounts: Vec<Mount>,
    /// What there is of control groups.
    pub cgroups: Cgroups,
    /// The version of systemd, or why it does not answer; absent where it is not the init.
    pub systemd: Option<Result<u32, String>>,
    /// How our own file is kept from containers.
    pub sealing: Sealing,
    /// The SELinux label of our own file.
    pub label: Option<String>,
    /// Where containers have their state.
    pub root: StateRoot,
    /// The hard limit on open files.
    pub open_files: u64,
    /// The user whose containers it is about.
    pub user: Option<User>,
}

/// A mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where.
    pub point: String,
    /// Its file system's type.
    pub kind: String,
    /// `ro`, `noexec` and the like.
    pub options: String,
    /// It is shared with other mount namespaces.
    pub shared: bool,
}

/// Control groups, beside the layout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cgroups {
    /// Controllers that a new cgroup can have, by their names in v1.
    pub controllers: Vec<String>,
    /// The kernel counts swap for each cgroup; unknown without the memory controller.
    pub swap: Option<bool>,
    /// The kernel knows CPU quotas; unknown without the cpu controller.
    pub quota: Option<bool>,
    /// Errno of loading a device program; absent where none is needed.
    pub device_program: Option<i32>,
}

/// How our own file is kept from containers ([`crate::seal()`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sealing {
    /// By a read-only mount.
    Mount,
    /// By a copy in memory, which costs its time at each start.
    Copy,
    /// Not at all: why.
    No(String),
}

/// The directory of containers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateRoot {
    /// Its path.
    pub path: String,
    /// The directory itself, or the nearest one above it that exists.
    pub nearest: String,
    /// Who owns that.
    pub owner: u32,
    /// Its permissions.
    pub mode: u32,
    /// Errno of asking whether we may write there; 0 when we may.
    pub write: i32,
}

impl Facts {
    /// Looks at this host; `root` is where containers have their state.
    ///
    /// # Errors
    /// `/proc` is not mounted or not readable.
    pub fn probe(root: &Path, rootless: bool) -> error::Result<Self> {
        let host = Host::probe()?;
        let mut texts: Vec<_> = TEXTS.iter().filter_map(|path| text(path)).collect();
        let mounts = mounts(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default());
        let user = if rootless { User::probe(host.euid) } else { None };
        texts.extend(user.iter().filter_map(|user| text(&user.controllers())));
        let programs = PROGRAMS.iter().filter_map(|name| Some((*name, Program::find(name)?)));
        Ok(Self {
            rootless,
            paths: PATHS.into_iter().filter(|path| Path::new(path).exists()).collect(),
            calls: answers::answers().to_vec(),
            modules: modules(&host.kernel.release),
            programs: programs.collect(),
            cgroups: Cgroups::probe(&host, &texts),
            // sd_booted(3)
            systemd: Path::new("/run/systemd/system").is_dir().then(|| manager(false)),
            sealing: match seal::way() {
                Ok(true) => Sealing::Mount,
                Ok(false) => Sealing::Copy,
                Err(error) => Sealing::No(error.to_string()),
            },
            label: label(),
            root: StateRoot::probe(root),
            open_files: sched::getrlimit(libc::RLIMIT_NOFILE).map_or(u64::MAX, |(_, hard)| hard),
            user,
            host,
            texts,
            mounts,
        })
    }

    /// The text of a small file, without the newline at its end.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        let found = self.texts.iter().find(|(name, _)| name == path);
        found.map(|(_, text)| text.trim_end())
    }

    /// The first number of a small file.
    pub(super) fn number(&self, path: &str) -> Option<u64> {
        self.text(path)?.split_whitespace().next()?.parse().ok()
    }

    /// The value of a line of `/proc/self/status`: `Seccomp:`.
    pub(super) fn status(&self, name: &str) -> Option<&str> {
        let mut lines = self.text("/proc/self/status")?.lines();
        lines.find_map(|line| line.strip_prefix(name)).map(str::trim)
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.paths.contains(&path)
    }

    pub(super) fn program(&self, name: &str) -> Option<&Program> {
        self.programs.iter().find(|(known, _)| *known == name).map(|(_, program)| program)
    }

    pub(super) fn module(&self, name: &str) -> Option<bool> {
        self.modules.iter().find(|(known, _)| *known == name).and_then(|(_, there)| *there)
    }

    /// The mount that a path lies on.
    pub(super) fn mount_of(&self, path: &str) -> Option<&Mount> {
        let mounts = self.mounts.iter().enumerate();
        // Of two mounts at one place the later one covers the other.
        let over = mounts.filter(|(_, mount)| Path::new(path).starts_with(&mount.point));
        over.max_by_key(|(at, mount)| (mount.point.len(), *at)).map(|(_, mount)| mount)
    }
}

fn text(path: &str) -> Option<(String, String)> {
    let bytes = fs::read(path).ok()?;
    Some((path.to_owned(), String::from_utf8_lossy(&bytes).into_owned()))
}

/// Reads a `mountinfo` (proc_pid_mountinfo(5)).
pub(crate) fn mounts(text: &str) -> Vec<Mount> {
    let parse = |line: &str| {
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ').skip(4);
        Some(Mount {
            point: unescape(left.next()?).into_owned(),
            options: left.next()?.to_owned(),
            shared: left.any(|tag| tag.starts_with("shared:")),
            kind: right.split(' ').next()?.to_owned(),
        })
    };
    text.lines().filter_map(parse).collect()
}

/// Looks for modules that are loaded, built in, or can be loaded.
fn modules(release: &str) -> Vec<(&'static str, Option<bool>)> {
    let list = |name: &str| fs::read_to_string(format!("/lib/modules/{release}/{name}"));
    let lists = [list("modules.builtin"), list("modules.dep")];
    let known = lists.iter().any(Result::is_ok);
    let lists = lists.map(Result::unwrap_or_default);
    let find = |name: &'static str| {
        // Without compression, or with: `veth.ko`, `veth.ko.xz`. The file's `_` may be a `-`.
        let files = [name.to_owned(), name.replace('_', "-")].map(|name| format!("/{name}.ko"));
        let listed = || lists.iter().any(|list| files.iter().any(|file| list.contains(file)));
        let there = Path::new("/sys/module").join(name).exists() || listed();
        (name, (there || known).then_some(there))
    };
    MODULES.map(find).to_vec()
}

/// The version of the system's manager, or of our own; or why it does not answer.
pub(super) fn manager(user: bool) -> Result<u32, String> {
    let asked = Systemd::probe(user);
    asked.map(|systemd| systemd.version).map_err(|error| error.to_string())
}

/// The label of our own file.
fn label() -> Option<String> {
    let exe = fd::open(c"/proc/self/exe", libc::O_RDONLY).ok()?;
    let mut value = [0; 256];
    let length = fd::fgetxattr(exe, c"security.selinux", &mut value).ok()?;
    let text = String::from_utf8_lossy(value.get(..length)?);
    Some(text.trim_end_matches('\0').to_owned())
}

impl Cgroups {
    fn probe(host: &Host, texts: &[(String, String)]) -> Self {
        let layout = &host.cgroup;
        if layout.mode != CgroupMode::Unified {
            let all = layout.hierarchies.iter().flat_map(|h| &h.controllers).cloned();
            let file = |controller, file| {
                layout.v1(controller).map(|at| layout.hierarchies[at].mount.join(file).exists())
            };
            return Self {
                controllers: all.collect(),
                swap: file("memory", "memory.memsw.limit_in_bytes"),
                quota: file("cpu", "cpu.cfs_quota_us"),
                device_program: None,
            };
        }
        let listed = texts.iter().find(|(path, _)| path == "/sys/fs/cgroup/cgroup.controllers");
        let words = listed.map(|(_, text)| text.split_whitespace()).into_iter().flatten();
        // r0 = 1; exit
        let allow = [[0xb7, 0, 0, 0, 1, 0, 0, 0], [0x95, 0, 0, 0, 0, 0, 0, 0]];
        let loaded = bpf::load_device_program(&allow, &mut []);
        let errno = loaded.map_or_else(|e| e.raw_os_error().unwrap_or(libc::EIO), |_| 0);
        Self {
            controllers: words
                .map(|word| if word == "io" { "blkio" } else { word }.into())
                .collect(),
            swap: below_root("memory.max", "memory.swap.max"),
            quota: below_root("cpu.weight", "cpu.max"),
            device_program: (!host.rootless()).then_some(errno),
        }
    }
}

/// Whether a v2 cgroup with the file `with` has the file `name` as well; the root has neither.
fn below_root(with: &str, name: &str) -> Option<bool> {
    let below = fs::read_dir(ROOT).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut dirs = std::iter::once(Path::new(ROOT).to_owned()).chain(below);
    dirs.find(|dir| dir.join(with).exists()).map(|dir| dir.join(name).exists())
}

impl StateRoot {
    fn probe(root: &Path) -> Self {
        let nearest = root.ancestors().find(|dir| dir.exists()).unwrap_or_else(|| Path::new("/"));
        let (owner, mode) = fs::metadata(nearest).map_or((0, 0), |meta| (meta.uid(), meta.mode()));
        let may = access(nearest, AccessFlags::W_OK | AccessFlags::X_OK);
        Self {
            path: root.display().to_string(),
            nearest: nearest.display().to_string(),
            owner,
            mode,
            write: may.map_or_else(|errno| errno as i32, |()| 0),
        }
    }
}
