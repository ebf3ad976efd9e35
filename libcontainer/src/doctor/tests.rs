//! Each rule: an ideal host has nothing to complain of, and one thing taken away is found.

use super::Status::{Info, Lack, Warn};
use super::*;
use crate::host::CgroupLayout;
use crate::host::cgroup::CgroupMode;
use crate::host::kernel::Version;

/// What one rule says of these facts.
fn verdict(facts: &Facts, id: &str) -> Finding {
    let found = judge(facts).into_iter().find(|finding| finding.id == id);
    found.unwrap_or_else(|| panic!("{id} does not apply"))
}

fn applies(facts: &Facts, id: &str) -> bool {
    judge(facts).iter().any(|finding| finding.id == id)
}

mod places;

type Case = (&'static str, Status, fn(&mut Facts), &'static str);

/// Breaks a good host in one way each; the last column is in the finding or its remedy.
fn check(ideal: fn() -> Facts, cases: &[Case]) {
    for (id, status, damage, words) in cases {
        let mut facts = ideal();
        assert_eq!(verdict(&facts, id).status, Status::Ok, "{id}: of a good host");
        damage(&mut facts);
        let found = verdict(&facts, id);
        assert_eq!(found.status, *status, "{found:?}");
        let text = format!("{} | {}", found.what, found.fix);
        assert!(text.contains(words), "{id}: {words:?} is not in {text}");
        assert!(!found.fix.is_empty() && !found.why.is_empty(), "{found:?}");
    }
}

#[test]
fn a_good_host_has_nothing_to_complain_of() {
    for facts in [Facts::ideal(), Facts::ideal_rootless()] {
        for finding in judge(&facts) {
            let none = finding.id == "capabilities" && facts.rootless;
            assert!(finding.status == Status::Ok || none, "{finding:?}");
        }
    }
}

#[test]
fn every_rule_has_an_id_of_its_own_and_says_why() {
    let rules: Vec<_> = GROUPS.iter().flat_map(|(_, rules)| rules.iter()).collect();
    for (at, rule) in rules.iter().enumerate() {
        let legal = |c: char| c.is_ascii_lowercase() || c == '-';
        assert!(rule.id.chars().all(legal) && !rule.why.is_empty(), "{}", rule.id);
        assert!(rules[..at].iter().all(|other| other.id != rule.id), "{} twice", rule.id);
    }
}

#[test]
fn this_host_is_judged_with_a_remedy_for_everything() {
    for rootless in [false, true] {
        let facts = Facts::probe(std::path::Path::new("/run/corten"), rootless).unwrap();
        let findings = judge(&facts);
        assert!(findings.len() > 20, "{findings:#?}");
        for finding in findings {
            assert_eq!(finding.fix.is_empty(), finding.status == Status::Ok || is_root(&finding));
        }
    }
}

/// Capabilities of a user are nothing to mend.
fn is_root(finding: &Finding) -> bool {
    finding.id == "capabilities" && finding.status == Info && finding.fix.is_empty()
}

fn without_path(facts: &mut Facts, path: &str) {
    facts.paths.retain(|known| *known != path);
}
fn old(facts: &mut Facts, release: &str) {
    facts.host.kernel = Version::parse(release);
}

const KERNELS: &[Case] = &[
    ("kernel-version", Lack, |f| old(f, "5.10.0-32-amd64"), "Debian 12"),
    ("system-calls", Lack, |f| f.calls[1].1 = libc::ENOSYS, "does not have mount_setattr"),
    ("system-calls", Lack, |f| f.calls[1].1 = libc::EPERM, "seccomp=unconfined"),
    ("optional-calls", Warn, |f| f.calls[4].1 = libc::ENOSYS, "CONFIG_KEYS"),
    ("file-systems", Lack, |f| f.set_text("/proc/filesystems", Some("nodev\tproc")), "mqueue"),
    (
        "overlay",
        Warn,
        |f| {
            f.set_text("/proc/filesystems", None);
            f.modules = vec![("overlay", Some(false))];
        },
        "CONFIG_OVERLAY_FS",
    ),
    (
        "overlay",
        Warn,
        |f| {
            f.set_text("/proc/filesystems", None);
            f.modules.clear();
        },
        "modprobe overlay",
    ),
    ("idmapped-mounts", Warn, |f| f.mounts[0].kind = "nfs".into(), "not possible on nfs (/)"),
    (
        "idmapped-mounts",
        Warn,
        |f| {
            f.mounts[0].kind = "btrfs".into();
            old(f, "5.14.0");
        },
        "btrfs",
    ),
    ("namespaces", Lack, |f| without_path(f, "/proc/self/ns/pid"), "pid"),
    (
        "namespaces",
        Lack,
        |f| {
            f.set_text("/proc/sys/user/max_net_namespaces", Some("0\n"));
        },
        "sysctl -w user.max_net_namespaces=65536",
    ),
    ("cgroup-namespace", Warn, |f| without_path(f, "/proc/self/ns/cgroup"), "cgroup"),
    ("time-namespace", Info, |f| without_path(f, "/proc/self/ns/time"), "CONFIG_TIME_NS"),
    (
        "user-namespace",
        Warn,
        |f| {
            f.set_text("/proc/sys/user/max_user_namespaces", Some("0\n"));
        },
        "sysctl -w user.max_user_namespaces=65536",
    ),
    (
        "user-namespace-switch",
        Info,
        |f| {
            f.set_text("/proc/sys/kernel/unprivileged_userns_clone", Some("0\n"));
        },
        "sysctl",
    ),
];

#[test]
fn kernels_that_lack_something() {
    check(Facts::ideal, KERNELS);
}

#[test]
fn a_filter_is_told_from_an_old_kernel() {
    let mut facts = Facts::ideal();
    facts.calls = vec![("clone3", libc::ENOSYS), ("fsopen", libc::EPERM)];
    facts.set_text("/proc/self/status", Some("Seccomp:\t2\n"));
    let found = verdict(&facts, "system-calls");
    assert!(found.what.contains("filter that we run under: fsopen, clone3"), "{found:?}");
    // Whoever has no rights is refused by the kernel itself.
    let mut facts = Facts::ideal_rootless();
    facts.calls = vec![("clone3", libc::EINVAL), ("fsopen", libc::EPERM)];
    assert_eq!(verdict(&facts, "system-calls").status, Status::Ok);
}

fn legacy(facts: &mut Facts) {
    facts.host.cgroup = CgroupLayout { mode: CgroupMode::Legacy, hierarchies: Vec::new() };
    facts.cgroups.controllers.push("devices".into());
    facts.cgroups.controllers.push("freezer".into());
    facts.cgroups.device_program = None;
}

fn without(facts: &mut Facts, name: &str) {
    facts.cgroups.controllers.retain(|known| known != name);
}

const CGROUPS: &[Case] = &[
    ("cgroup-layout", Warn, legacy, "systemd.unified_cgroup_hierarchy=1"),
    ("cgroup-layout", Lack, |f| f.host.cgroup = CgroupLayout::default(), "mount -t cgroup2"),
    ("cgroup-writable", Lack, |f| f.mounts[3].options = "ro,nosuid".into(), "read-only"),
    ("cgroup-controllers", Warn, |f| without(f, "pids"), "CONFIG_CGROUP_PIDS"),
    (
        "cgroup-controllers",
        Warn,
        |f| {
            without(f, "memory");
            f.set_text("/proc/cmdline", Some("quiet cgroup_disable=cpu,memory"));
        },
        "take cgroup_disable= off",
    ),
    (
        "cgroup-controllers",
        Warn,
        |f| {
            without(f, "memory");
            f.set_text("/proc/cgroups", Some("memory\t0\t1\t0\n"));
        },
        "cgroup_enable=memory",
    ),
    (
        "cgroup-controllers",
        Warn,
        |f| {
            without(f, "memory");
            f.set_text("/proc/cgroups", Some("memory\t5\t1\t1\n"));
        },
        "cgroup_no_v1=all",
    ),
    (
        "cgroup-controllers",
        Warn,
        |f| {
            without(f, "memory");
            f.set_text("/sys/fs/cgroup/cgroup.type", Some("domain\n"));
        },
        "cgroup.subtree_control",
    ),
    ("cgroup-devices", Lack, |f| f.cgroups.device_program = Some(libc::EPERM), "CAP_BPF"),
    (
        "cgroup-devices",
        Lack,
        |f| {
            legacy(f);
            without(f, "devices");
        },
        "no devices controller",
    ),
    ("swap-accounting", Warn, |f| f.cgroups.swap = Some(false), "swapaccount=1"),
    ("cpu-quota", Warn, |f| f.cgroups.quota = Some(false), "CONFIG_CFS_BANDWIDTH"),
    ("cgroup-kill", Info, |f| f.host.kernel = Version::parse("5.13"), "5.14"),
    ("pressure", Info, |f| f.set_text("/proc/pressure/memory", None), "psi=1"),
    ("systemd", Info, |f| f.systemd = None, "leave --systemd-cgroup out"),
    ("systemd", Warn, |f| f.systemd = Some(Err("silence".into())), "silence"),
    ("systemd", Warn, |f| f.systemd = Some(Ok(239)), "244"),
];

#[test]
fn cgroups_that_lack_something() {
    check(Facts::ideal, CGROUPS);
}

#[test]
fn a_part_of_the_hierarchy_must_be_free_of_processes() {
    let mut facts = Facts::ideal();
    assert!(!applies(&facts, "cgroup-root"));
    facts.set_text("/sys/fs/cgroup/cgroup.type", Some("domain\n"));
    assert_eq!(verdict(&facts, "cgroup-root").status, Status::Ok);
    facts.set_text("/sys/fs/cgroup/cgroup.subtree_control", Some("\n"));
    assert_eq!(verdict(&facts, "cgroup-root").status, Warn);
    facts.set_text("/sys/fs/cgroup/cgroup.procs", Some(""));
    assert_eq!(verdict(&facts, "cgroup-root").status, Status::Ok);
    let mut facts = Facts::ideal();
    legacy(&mut facts);
    assert_eq!(verdict(&facts, "cgroup-freezer").status, Status::Ok);
    facts.cgroups.controllers.retain(|name| name != "freezer");
    assert_eq!(verdict(&facts, "cgroup-freezer").status, Warn);
}

#[test]
fn a_users_rules_are_for_users_and_roots_for_root() {
    let (root, user) = (Facts::ideal(), Facts::ideal_rootless());
    for id in ["subuid", "delegation", "ping", "rootless-user"] {
        assert!(!applies(&root, id) && applies(&user, id), "{id}");
    }
    for id in ["cgroup-writable", "cgroup-devices", "limits-raised"] {
        assert!(applies(&root, id) && !applies(&user, id), "{id}");
    }
}

#[test]
fn mounts_are_read_and_the_last_one_covers() {
    let text = "21 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n\
                22 21 0:5 / /mnt/a\\040b ro,nosuid master:2 - nfs4 server:/x rw\n\
                23 21 0:6 / /mnt/a\\040b rw - tmpfs tmpfs rw\n\
                broken\n";
    let facts = Facts { mounts: mounts(text), ..Facts::ideal() };
    assert_eq!(facts.mounts.len(), 3);
    assert!(facts.mounts[0].shared && !facts.mounts[1].shared);
    assert_eq!(facts.mount_of("/mnt/a b/c").unwrap().kind, "tmpfs");
    assert_eq!(facts.mount_of("/mnt/a bc").unwrap().kind, "ext4");
}
