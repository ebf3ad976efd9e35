//! Rules about the kernel: its version, system calls, file systems and namespaces.

use super::{Facts, Rule, Status, Verdict, info, lack, ok, warn};
use crate::host::kernel::{OLDEST, Version};

const CAP_SYS_ADMIN: u8 = 21;

/// Calls that ask for rights before they look at anything.
const PRIVILEGED: [&str; 5] = ["move_mount", "fsopen", "fsconfig", "fsmount", "bpf"];
/// Calls without which containers can be made, but not all of them.
const OPTIONAL: [&str; 4] = ["close_range", "seccomp", "keyctl", "bpf"];

/// Since when mounts of a file system can be id-mapped (mount_setattr(2)).
const IDMAPPED: [(&str, (u32, u32)); 14] = [
    ("ext2", (5, 12)),
    ("ext3", (5, 12)),
    ("ext4", (5, 12)),
    ("vfat", (5, 12)),
    ("xfs", (5, 12)),
    ("btrfs", (5, 15)),
    ("ntfs3", (5, 15)),
    ("f2fs", (5, 18)),
    ("erofs", (5, 19)),
    ("overlay", (5, 19)),
    ("squashfs", (6, 2)),
    ("tmpfs", (6, 3)),
    ("ceph", (6, 7)),
    ("zfs", (5, 12)),
];

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "kernel-version",
        judge: version,
        why: "containers are made by calls that came with Linux 5.12",
        fix: "install a newer kernel and boot it: Debian 12, Ubuntu 22.04 and RHEL 9 have one",
    },
    Rule {
        id: "system-calls",
        judge: |facts| calls(facts, false),
        why: "create makes namespaces and mounts by them",
        fix: "boot Linux 5.12 or later",
    },
    Rule {
        id: "optional-calls",
        judge: |facts| calls(facts, true),
        why: "filters, keyrings, device rules of cgroup v2 and closing descriptors need them",
        fix: "boot a kernel that was built with CONFIG_SECCOMP, CONFIG_KEYS and CONFIG_BPF_SYSCALL",
    },
    Rule {
        id: "file-systems",
        judge: file_systems,
        why: "every engine's configuration mounts them",
        fix: "boot a kernel that was built with CONFIG_TMPFS and CONFIG_POSIX_MQUEUE",
    },
    Rule {
        id: "overlay",
        judge: overlay,
        why: "engines put the layers of images together by it; without it they copy whole images",
        fix: "modprobe overlay && echo overlay >/etc/modules-load.d/overlay.conf",
    },
    Rule {
        id: "idmapped-mounts",
        judge: idmapped,
        why: "containers with user namespaces of their own need them for images and volumes",
        fix: "keep images and volumes on ext4, xfs, btrfs or, since Linux 6.3, tmpfs",
    },
];

pub(super) const NAMESPACES: &[Rule] = &[
    Rule {
        id: "namespaces",
        judge: namespaces,
        why: "every container has these of its own",
        fix: "boot a kernel that was built with CONFIG_NAMESPACES and what stands below it",
    },
    Rule {
        id: "cgroup-namespace",
        judge: |facts| namespace(facts, "cgroup", Status::Warn),
        why: "on cgroup v2 engines give every container one, so that it sees its own cgroup only",
        fix: "boot a kernel that was built with CONFIG_CGROUPS",
    },
    Rule {
        id: "time-namespace",
        judge: |facts| namespace(facts, "time", Status::Info),
        why: "only containers with linux.timeOffsets need one",
        fix: "boot a kernel that was built with CONFIG_TIME_NS",
    },
    Rule {
        id: "user-namespace",
        judge: |facts| {
            let status = if facts.rootless { Status::Lack } else { Status::Warn };
            namespace(facts, "user", status)
        },
        why: "a user's containers live in one, and so do pods with hostUsers: false",
        fix: "boot a kernel that was built with CONFIG_USER_NS",
    },
    Rule {
        id: "user-namespace-switch",
        judge: switch,
        why: "the distribution's kernel lets users make user namespaces only when this is 1",
        fix: "sysctl -w kernel.unprivileged_userns_clone=1",
    },
    Rule {
        id: "user-namespace-apparmor",
        judge: apparmor_switch,
        why: "AppArmor takes the capabilities away that a user has in a new user namespace, unless \
              the program's profile says `userns,`",
        fix: "printf 'abi <abi/4.0>,\\nprofile corten /usr/{,local/}bin/corten \
              flags=(unconfined) {\\n  userns,\\n}\\n' >/etc/apparmor.d/corten && \
              apparmor_parser -r /etc/apparmor.d/corten",
    },
];

fn version(facts: &Facts) -> Option<Verdict> {
    let kernel = &facts.host.kernel;
    let what = format!("Linux {}", kernel.release);
    if kernel.at_least(OLDEST) { ok(what) } else { lack(what) }
}

/// Tells which calls do not answer, and whether the kernel or a filter is to blame.
fn calls(facts: &Facts, optional: bool) -> Option<Verdict> {
    let mut there = Vec::new();
    let (mut missing, mut hidden) = (Vec::new(), Vec::new());
    let admin = facts.host.has_cap(CAP_SYS_ADMIN);
    let asked = facts.calls.iter().filter(|(name, _)| OPTIONAL.contains(name) == optional);
    for (name, errno) in asked {
        match *errno {
            libc::ENOSYS => missing.push(*name),
            libc::EPERM if admin || !PRIVILEGED.contains(name) => hidden.push(*name),
            _ => there.push(*name),
        }
    }
    let status = if optional { Status::Warn } else { Status::Lack };
    // Two modes of seccomp: 2 is a filter.
    let filtered = facts.status("Seccomp:") == Some("2");
    if !hidden.is_empty() || (filtered && !missing.is_empty()) {
        let what = [hidden, missing].concat().join(", ");
        let what = format!("refused by the system call filter that we run under: {what}");
        let fix = "run the outer container with --security-opt seccomp=unconfined, or update its \
                   engine: new ones let these calls pass";
        return Verdict::fixed_by(status, what, fix);
    }
    if missing.is_empty() {
        return ok(format!("{} answer", there.join(", ")));
    }
    Verdict::of(status, format!("the kernel does not have {}", missing.join(", ")))
}

fn registered(facts: &Facts, name: &str) -> bool {
    let all = facts.text("/proc/filesystems").unwrap_or_default();
    all.lines().any(|line| line.split_whitespace().next_back() == Some(name))
}

fn file_systems(facts: &Facts) -> Option<Verdict> {
    let needed = ["proc", "sysfs", "tmpfs", "devpts", "mqueue"];
    let missing: Vec<_> = needed.into_iter().filter(|name| !registered(facts, name)).collect();
    if missing.is_empty() {
        return ok(needed.join(", "));
    }
    lack(format!("the kernel does not have {}", missing.join(", ")))
}

fn overlay(facts: &Facts) -> Option<Verdict> {
    if registered(facts, "overlay") {
        return ok("overlayfs");
    }
    match facts.module("overlay") {
        Some(true) => ok("overlayfs, as a module that is loaded with the first mount"),
        Some(false) => Verdict::fixed_by(
            Status::Warn,
            "the kernel does not have overlayfs",
            "boot a kernel that was built with CONFIG_OVERLAY_FS, or choose another storage \
             driver (btrfs, zfs, vfs)",
        ),
        None => warn("overlayfs is not registered"),
    }
}

/// Where engines keep images, and a tmpfs.
fn idmapped(facts: &Facts) -> Option<Verdict> {
    let kernel = &facts.host.kernel;
    let mut kinds: Vec<_> =
        ["/var/lib", "/home", "/srv"].iter().filter_map(|dir| facts.mount_of(dir)).collect();
    kinds.dedup_by_key(|mount| mount.point.clone());
    let (can, cannot): (Vec<_>, Vec<_>) =
        kinds.into_iter().partition(|mount| can_be_idmapped(&mount.kind, kernel));
    let words = |mounts: &[&super::Mount]| {
        let all = mounts.iter().map(|mount| format!("{} ({})", mount.kind, mount.point));
        all.collect::<Vec<_>>().join(", ")
    };
    if cannot.is_empty() {
        return ok(format!("possible on {}", words(&can)));
    }
    warn(format!("not possible on {}", words(&cannot)))
}

fn can_be_idmapped(kind: &str, kernel: &Version) -> bool {
    let since = IDMAPPED.iter().find(|(name, _)| *name == kind);
    since.is_some_and(|(_, since)| kernel.at_least(*since))
}

/// The limit on new namespaces of a kind, where it is 0.
fn forbidden(facts: &Facts, kind: &str) -> bool {
    facts.number(&format!("/proc/sys/user/max_{kind}_namespaces")) == Some(0)
}

fn allow(kind: &str) -> String {
    format!("sysctl -w user.max_{kind}_namespaces=65536")
}

fn exists(facts: &Facts, kind: &str) -> bool {
    facts.paths.iter().any(|path| path.strip_prefix("/proc/self/ns/") == Some(kind))
}

fn namespaces(facts: &Facts) -> Option<Verdict> {
    const NEEDED: [&str; 5] = ["ipc", "mnt", "net", "pid", "uts"];
    let missing: Vec<_> = NEEDED.into_iter().filter(|kind| !exists(facts, kind)).collect();
    if !missing.is_empty() {
        return lack(format!("the kernel does not have {}", missing.join(", ")));
    }
    let closed: Vec<_> = NEEDED.into_iter().filter(|kind| forbidden(facts, kind)).collect();
    if closed.is_empty() {
        return ok(NEEDED.join(", "));
    }
    let fix: Vec<_> = closed.iter().map(|kind| allow(kind)).collect();
    let what = format!("none may be made, the limit is 0: {}", closed.join(", "));
    Verdict::fixed_by(Status::Lack, what, fix.join(" && "))
}

fn namespace(facts: &Facts, kind: &str, status: Status) -> Option<Verdict> {
    if !exists(facts, kind) {
        return Verdict::of(status, format!("the kernel has no {kind} namespaces"));
    }
    if forbidden(facts, kind) {
        let what = format!("user.max_{kind}_namespaces is 0: none may be made");
        return Verdict::fixed_by(status, what, allow(kind));
    }
    ok(format!("{kind} namespaces"))
}

fn switch(facts: &Facts) -> Option<Verdict> {
    match facts.number("/proc/sys/kernel/unprivileged_userns_clone")? {
        0 if facts.rootless => lack("kernel.unprivileged_userns_clone is 0"),
        0 => info("kernel.unprivileged_userns_clone is 0: root's containers only"),
        _ => ok("kernel.unprivileged_userns_clone is 1"),
    }
}

fn apparmor_switch(facts: &Facts) -> Option<Verdict> {
    const PATH: &str = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";
    if facts.number(PATH)? == 0 {
        return ok("kernel.apparmor_restrict_unprivileged_userns is 0");
    }
    let label = facts.text("/proc/self/attr/current").unwrap_or("unconfined");
    match label {
        "unconfined" | "" if facts.rootless => {
            lack("kernel.apparmor_restrict_unprivileged_userns is 1, and we have no profile")
        }
        "unconfined" | "" => info("kernel.apparmor_restrict_unprivileged_userns is 1"),
        profile => ok(format!("we have the AppArmor profile {profile}")),
    }
}
