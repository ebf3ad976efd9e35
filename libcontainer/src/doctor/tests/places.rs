//! Rules about rights, limits and places, and those of ordinary users.

use super::*;

const ACTIONS: &str = "/proc/sys/kernel/seccomp/actions_avail";

const PLACES: &[Case] = &[
    ("capabilities", Lack, |f| f.host.caps &= !(1 << 21), "root without CAP_SYS_ADMIN"),
    ("capabilities", Lack, |f| f.host.caps &= !(1 << 27), "root without CAP_MKNOD"),
    ("limits-raised", Warn, |f| f.host.caps &= !(1 << 24), "CAP_SYS_RESOURCE"),
    ("seccomp", Warn, |f| f.set_text(ACTIONS, None), "CONFIG_SECCOMP_FILTER"),
    ("seccomp-notify", Warn, |f| f.set_text(ACTIONS, Some("kill allow")), "notify"),
    ("apparmor", Info, |f| f.host.lsm.apparmor = false, "security=apparmor"),
    ("apparmor", Warn, |f| f.programs.clear(), "apt-get install apparmor"),
    ("selinux", Info, |f| f.host.lsm.selinux = false, "security=selinux"),
    ("selinux", Info, |f| f.set_text("/sys/fs/selinux/enforce", Some("0")), "setenforce 1"),
    ("selinux", Warn, |f| f.set_text("/sys/fs/selinux/enforce", None), "mount -t selinuxfs"),
    ("selinux-label", Warn, |f| f.label = Some("a:b:bin_t:s0".into()), "not container_runtime"),
    ("ip-forward", Warn, |f| f.set_text("/proc/sys/net/ipv4/ip_forward", Some("0")), "sysctl"),
    (
        "bridge-netfilter",
        Info,
        |f| {
            f.set_text("/proc/sys/net/bridge/bridge-nf-call-iptables", None);
        },
        "modprobe br_netfilter",
    ),
    ("network-devices", Warn, |f| f.modules[3].1 = Some(false), "does not have veth"),
    (
        "session-keys",
        Warn,
        |f| {
            f.set_text("/proc/key-users", Some("    0: 9 9/9 900000/1000000 0/0\n"));
        },
        "root_maxkeys",
    ),
    (
        "inotify",
        Info,
        |f| {
            f.set_text("/proc/sys/fs/inotify/max_user_instances", Some("128\n"));
        },
        "max_user_instances=8192",
    ),
    (
        "inotify",
        Warn,
        |f| {
            f.set_text("/proc/sys/fs/inotify/max_user_watches", Some("100\n"));
        },
        "100 watches",
    ),
    ("pids", Warn, |f| f.set_text("/proc/sys/kernel/pid_max", Some("4096\n")), "4194304"),
    ("open-files", Warn, |f| f.open_files = 1024, "LimitNOFILE"),
    ("state-root", Lack, |f| f.root.write = libc::EROFS, "read-only"),
    ("state-root", Lack, |f| f.root.write = libc::EACCES, "not writable"),
    ("state-root", Lack, |f| f.root.owner = 7, "belongs to uid 7"),
    ("state-root", Lack, |f| f.root.mode = 0o40_777, "chmod 711 /run/corten"),
    ("state-root-type", Warn, |f| f.mounts[2].kind = "nfs4".into(), "nfs4"),
    ("seal", Info, |f| f.sealing = Sealing::Copy, "copy"),
    ("seal", Lack, |f| f.sealing = Sealing::No("no memory".into()), "no memory"),
    ("pivot-root", Warn, |f| f.mounts[0].kind = "rootfs".into(), "--no-pivot"),
    ("shared-root", Info, |f| f.mounts[0].shared = false, "--make-rshared"),
    ("criu", Info, |f| f.programs.clear(), "install criu"),
];

#[test]
fn rights_limits_and_places_that_are_wrong() {
    check(Facts::ideal, PLACES);
}

fn user(facts: &mut Facts) -> &mut User {
    facts.user.as_mut().unwrap()
}
const CONTROLLERS: &str =
    "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/cgroup.controllers";

const USERS: &[Case] = &[
    ("rootless-user", Lack, |f| f.user = None, "SUDO_UID"),
    ("subuid", Lack, |f| f.set_text("/etc/subuid", None), "--add-subuids 100000-165535 user"),
    (
        "subuid",
        Lack,
        |f| f.set_text("/etc/subuid", Some("user:9:10\nx:70000:65536")),
        "gives user 10 ids",
    ),
    (
        "subuid",
        Lack,
        |f| f.set_text("/etc/subuid", Some("other:100000:65536")),
        "--add-subuids 165536-231071 user",
    ),
    ("subgid", Lack, |f| f.set_text("/etc/subgid", Some("nonsense\n:::\n")), "--add-subgids"),
    (
        "subgid",
        Warn,
        |f| f.set_text("/etc/subgid", Some("user:1:65536\nx:65536:65536")),
        "to x as well",
    ),
    ("subuid", Info, |f| f.set_text("/etc/nsswitch.conf", Some("subid: sss")), "getsubids"),
    ("newuidmap", Lack, |f| f.programs.clear(), "apt-get install uidmap"),
    ("newuidmap", Lack, |f| f.programs[2].1.mode = 0o100_755, "chmod u+s /usr/bin/newuidmap"),
    ("newgidmap", Lack, |f| f.mounts[0].options = "rw,nosuid".into(), "remount,suid /"),
    (
        "no-new-privs",
        Lack,
        |f| f.set_text("/proc/self/status", Some("NoNewPrivs:\t1\n")),
        "NoNewPrivileges=no",
    ),
    ("proc-visible", Lack, |f| f.mounts[1].point = "/proc/kcore".into(), "/proc/kcore"),
    ("runtime-dir", Lack, |f| user(f).runtime_dir.1 = None, "enable-linger user"),
    ("runtime-dir", Lack, |f| user(f).runtime_dir.1 = Some((0, 0o700)), "belongs to uid 0"),
    ("runtime-dir", Warn, |f| user(f).runtime_dir.1 = Some((1000, 0o755)), "chmod 700"),
    ("user-systemd", Warn, |f| user(f).systemd = Err("nobody".into()), "dbus-user-session"),
    (
        "delegation",
        Warn,
        |f| f.set_text(CONTROLLERS, Some("memory pids\n")),
        "did not get cpu, cpuset, io",
    ),
    ("delegation", Warn, |f| f.set_text(CONTROLLERS, None), "no cgroup"),
    ("delegation", Warn, legacy, "v1 cannot be handed to users"),
    ("linger", Info, |f| user(f).linger = false, "enable-linger"),
    ("fuse", Warn, |f| f.host.kernel = Version::parse("5.10"), "fuse-overlayfs"),
    ("user-network", Warn, |f| f.programs.clear(), "install passt"),
    ("user-network", Warn, |f| f.paths.clear(), "modprobe tun"),
    (
        "ports",
        Info,
        |f| {
            f.set_text("/proc/sys/net/ipv4/ip_unprivileged_port_start", Some("1024"));
        },
        "1024",
    ),
    (
        "ping",
        Info,
        |f| f.set_text("/proc/sys/net/ipv4/ping_group_range", Some("1\t0")),
        "which is nobody",
    ),
    (
        "user-namespace-switch",
        Lack,
        |f| {
            f.set_text("/proc/sys/kernel/unprivileged_userns_clone", Some("0\n"));
        },
        "sysctl -w kernel.unprivileged_userns_clone=1",
    ),
    ("user-namespace", Lack, |f| f.paths.clear(), "CONFIG_USER_NS"),
    (
        "user-namespace-apparmor",
        Lack,
        |f| {
            f.set_text("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", Some("1\n"));
        },
        "/etc/apparmor.d/corten",
    ),
    (
        "session-keys",
        Info,
        |f| {
            f.set_text("/proc/key-users", Some(" 1000: 9 9/9 9/200 0/0\n"));
        },
        "kernel.keys.maxkeys=20000",
    ),
];

#[test]
fn users_that_lack_something() {
    check(Facts::ideal_rootless, USERS);
}

/// What the host does not have, nobody can hand down.
#[test]
fn a_user_can_get_what_the_host_has() {
    let mut facts = Facts::ideal_rootless();
    facts.set_text(CONTROLLERS, Some("cpu io memory pids\n"));
    assert_eq!(verdict(&facts, "delegation").status, Warn);
    facts.set_text("/sys/fs/cgroup/cgroup.controllers", Some("cpu io memory pids\n"));
    facts.cgroups.controllers.retain(|name| name != "cpuset");
    assert_eq!(verdict(&facts, "delegation").status, Status::Ok);
    assert_eq!(verdict(&facts, "cgroup-controllers").status, Warn);
    // Packets of a user's container are no business of the host's forwarding.
    facts.set_text("/proc/sys/net/ipv4/ip_forward", Some("0"));
    assert!(!applies(&facts, "ip-forward"));
}
