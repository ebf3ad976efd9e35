//! Rules about rights and protections, the network, and limits.

use super::{Facts, Rule, Status, Verdict, info, lack, ok, warn};

/// What engines give every container, by number (capabilities(7)).
const USUAL_CAPS: [(u8, &str); 14] = [
    (0, "CHOWN"),
    (1, "DAC_OVERRIDE"),
    (3, "FOWNER"),
    (4, "FSETID"),
    (5, "KILL"),
    (6, "SETGID"),
    (7, "SETUID"),
    (8, "SETPCAP"),
    (10, "NET_BIND_SERVICE"),
    (13, "NET_RAW"),
    (18, "SYS_CHROOT"),
    (27, "MKNOD"),
    (29, "AUDIT_WRITE"),
    (31, "SETFCAP"),
];
/// What we need ourselves.
const OUR_CAPS: [(u8, &str); 2] = [(12, "NET_ADMIN"), (21, "SYS_ADMIN")];
/// Raising limits, oom_score_adj below our own.
const SYS_RESOURCE: u8 = 24;
/// The label by which SELinux' policies know a runtime.
const LABEL: &str = "container_runtime_exec_t";
const KEYS: &str = "sysctl -w kernel.keys.maxkeys=20000 kernel.keys.maxbytes=400000";

pub(super) const SECURITY: &[Rule] = &[
    Rule {
        id: "capabilities",
        judge: capabilities,
        why: "nobody can give a container more than he has",
        fix: "run as root; in a container: run the outer one with --privileged, or --cap-add",
    },
    Rule {
        id: "limits-raised",
        judge: resource,
        why: "process.rlimits above our own and a lower oomScoreAdj are refused without it",
        fix: "run with CAP_SYS_RESOURCE (systemd: CapabilityBoundingSet=, docker: --cap-add)",
    },
    Rule {
        id: "seccomp",
        judge: seccomp,
        why: "engines' default profiles keep dangerous system calls from containers",
        fix: "boot a kernel that was built with CONFIG_SECCOMP_FILTER",
    },
    Rule {
        id: "seccomp-notify",
        judge: notify,
        why: "profiles with SCMP_ACT_NOTIFY, and corten seccomp record",
        fix: "boot Linux 5.5 or later",
    },
    Rule {
        id: "apparmor",
        judge: apparmor,
        why: "engines confine containers by a profile of theirs, which they load",
        fix: "apt-get install apparmor",
    },
    Rule {
        id: "selinux",
        judge: selinux,
        why: "labels are refused without it",
        fix: "mount -t selinuxfs none /sys/fs/selinux",
    },
    Rule {
        id: "selinux-label",
        judge: label,
        why: "a runtime without its label makes containers whose processes are denied everything",
        fix: "semanage fcontext -a -t container_runtime_exec_t \"$(command -v corten)\" && \
              restorecon -v \"$(command -v corten)\"",
    },
];

pub(super) const NETWORK: &[Rule] = &[
    Rule {
        id: "ip-forward",
        judge: forward,
        why: "containers reach the network through the host",
        fix: "echo net.ipv4.ip_forward=1 >/etc/sysctl.d/50-containers.conf && sysctl --system",
    },
    Rule {
        id: "bridge-netfilter",
        judge: bridge,
        why: "Kubernetes' rules for services do not see packets on bridges without it",
        fix: "modprobe br_netfilter && sysctl -w net.bridge.bridge-nf-call-iptables=1",
    },
    Rule {
        id: "network-devices",
        judge: devices,
        why: "engines join containers to a bridge by pairs of veth devices",
        fix: "boot a kernel that was built with CONFIG_VETH and CONFIG_BRIDGE",
    },
];

pub(super) const LIMITS: &[Rule] = &[
    Rule {
        id: "session-keys",
        judge: keys,
        why: "each container has a session keyring; beyond the quota create fails with \"disk quota \
              exceeded\"",
        fix: KEYS,
    },
    Rule {
        id: "inotify",
        judge: inotify,
        why: "programs that watch files fail with \"too many open files\"; the limit is one for all \
              containers of a user",
        fix: "sysctl -w fs.inotify.max_user_instances=8192 fs.inotify.max_user_watches=524288",
    },
    Rule {
        id: "pids",
        judge: pids,
        why: "processes of all containers together",
        fix: "sysctl -w kernel.pid_max=4194304",
    },
    Rule {
        id: "open-files",
        judge: files,
        why: "containers get this limit unless their configuration names a lower one",
        fix: "ulimit -Hn 1048576; services: LimitNOFILE=1048576; users: nofile in \
              /etc/security/limits.conf",
    },
];

fn capabilities(facts: &Facts) -> Option<Verdict> {
    let host = &facts.host;
    let missing = |caps: &[(u8, &'static str)]| -> Vec<&'static str> {
        caps.iter().filter(|(cap, _)| !host.has_cap(*cap)).map(|(_, name)| *name).collect()
    };
    if host.euid != 0 {
        return info("none: a user's containers have them in their user namespace only");
    }
    let (ours, usual) = (missing(&OUR_CAPS), missing(&USUAL_CAPS));
    if !ours.is_empty() {
        return lack(format!("root without CAP_{}", [ours, usual].concat().join(", CAP_")));
    }
    if !usual.is_empty() {
        return lack(format!("root without CAP_{}", usual.join(", CAP_")));
    }
    ok("root, with all that engines give to containers")
}

fn resource(facts: &Facts) -> Option<Verdict> {
    if facts.host.euid != 0 {
        return None;
    }
    let has = facts.host.has_cap(SYS_RESOURCE);
    if has { ok("CAP_SYS_RESOURCE") } else { warn("root without CAP_SYS_RESOURCE") }
}

fn seccomp(facts: &Facts) -> Option<Verdict> {
    match facts.text("/proc/sys/kernel/seccomp/actions_avail") {
        Some(_) => ok("filters of system calls"),
        None => warn("the kernel has no filters of system calls"),
    }
}

fn notify(facts: &Facts) -> Option<Verdict> {
    let actions = facts.text("/proc/sys/kernel/seccomp/actions_avail")?;
    match actions.split_whitespace().any(|action| action == "user_notif") {
        true => ok("filters can notify"),
        false => warn("filters cannot notify"),
    }
}

fn apparmor(facts: &Facts) -> Option<Verdict> {
    if !facts.host.lsm.apparmor {
        return Verdict::fixed_by(
            Status::Info,
            "AppArmor is not enabled: configurations with a profile are refused",
            "add apparmor=1 security=apparmor to the kernel's command line and reboot",
        );
    }
    match facts.program("apparmor_parser") {
        Some(_) => ok("AppArmor, and apparmor_parser to load profiles"),
        None => warn("AppArmor is enabled, but there is no apparmor_parser to load profiles"),
    }
}

fn selinux(facts: &Facts) -> Option<Verdict> {
    if !facts.host.lsm.selinux {
        return Verdict::fixed_by(
            Status::Info,
            "SELinux is not enabled: configurations with a label are refused",
            "add selinux=1 security=selinux to the kernel's command line and reboot",
        );
    }
    match facts.text("/sys/fs/selinux/enforce") {
        Some("1") => ok("SELinux, enforcing"),
        Some(_) => {
            let fix = "setenforce 1";
            Verdict::fixed_by(Status::Info, "SELinux, permissive: it denies nothing", fix)
        }
        None => warn("SELinux is enabled, but selinuxfs is not mounted"),
    }
}

fn label(facts: &Facts) -> Option<Verdict> {
    let enforcing = facts.text("/sys/fs/selinux/enforce")? == "1";
    let label = facts.label.as_deref().unwrap_or("none");
    if label.split(':').any(|part| part == LABEL) {
        return ok(format!("our own file's label is {label}"));
    }
    let status = if enforcing { Status::Warn } else { Status::Info };
    Verdict::of(status, format!("our own file's label is {label}, not {LABEL}"))
}

fn forward(facts: &Facts) -> Option<Verdict> {
    // A user's packets are sent by a program of the user's.
    if facts.rootless {
        return None;
    }
    match facts.number("/proc/sys/net/ipv4/ip_forward")? {
        0 => warn("net.ipv4.ip_forward is 0"),
        _ => ok("net.ipv4.ip_forward is 1"),
    }
}

fn bridge(facts: &Facts) -> Option<Verdict> {
    match facts.number("/proc/sys/net/bridge/bridge-nf-call-iptables") {
        Some(0) => info("net.bridge.bridge-nf-call-iptables is 0"),
        Some(_) => ok("net.bridge.bridge-nf-call-iptables is 1"),
        None if facts.module("br_netfilter") == Some(false) => Verdict::fixed_by(
            Status::Info,
            "the kernel does not have br_netfilter",
            "boot a kernel that was built with CONFIG_BRIDGE_NETFILTER",
        ),
        None => info("br_netfilter is not loaded"),
    }
}

fn devices(facts: &Facts) -> Option<Verdict> {
    let names = ["bridge", "veth"];
    let missing: Vec<_> =
        names.into_iter().filter(|name| facts.module(name) == Some(false)).collect();
    if !missing.is_empty() {
        return warn(format!("the kernel does not have {}", missing.join(", ")));
    }
    // A kernel without a list of its modules says nothing about what is built in.
    names.iter().all(|name| facts.module(name).is_some()).then(|| ok(names.join(", "))).flatten()
}

/// `/proc/key-users`: uid, usage, nkeys/nikeys, qnkeys/maxkeys, qnbytes/maxbytes (keyrings(7)).
fn keys(facts: &Facts) -> Option<Verdict> {
    let uid = facts.user.as_ref().map_or(facts.host.euid, |user| user.uid);
    let max = match uid {
        0 => "/proc/sys/kernel/keys/root_maxkeys",
        _ => "/proc/sys/kernel/keys/maxkeys",
    };
    let mut max = facts.number(max)?;
    let mut used = 0;
    for line in facts.text("/proc/key-users").unwrap_or_default().lines() {
        let Some((whose, rest)) = line.split_once(':') else { continue };
        if whose.trim().parse() != Ok(uid) {
            continue;
        }
        let quota = rest.split_whitespace().nth(2).and_then(|quota| quota.split_once('/'));
        if let Some((now, most)) = quota {
            (used, max) = (now.parse().unwrap_or(0), most.parse().unwrap_or(max));
        }
    }
    let what = format!("{used} of {max} keys are used by uid {uid}");
    let all = match uid {
        0 => "sysctl -w kernel.keys.root_maxkeys=1000000 kernel.keys.root_maxbytes=25000000",
        _ => KEYS,
    };
    match (used * 5 >= max * 4, max < 1000) {
        (true, _) => Verdict::fixed_by(Status::Warn, what, all),
        (false, true) => Verdict::fixed_by(Status::Info, what, all),
        (false, false) => ok(what),
    }
}

fn inotify(facts: &Facts) -> Option<Verdict> {
    let instances = facts.number("/proc/sys/fs/inotify/max_user_instances")?;
    let watches = facts.number("/proc/sys/fs/inotify/max_user_watches")?;
    let what = format!("{instances} inotify instances and {watches} watches for each user");
    match (instances, watches) {
        (..128, _) | (_, ..8192) => warn(what),
        // The kernel's own default.
        (128, _) => info(what),
        _ => ok(what),
    }
}

fn pids(facts: &Facts) -> Option<Verdict> {
    let max = facts.number("/proc/sys/kernel/pid_max")?;
    let what = format!("kernel.pid_max is {max}");
    match max {
        ..32768 => warn(what),
        32768 => info(what),
        _ => ok(what),
    }
}

fn files(facts: &Facts) -> Option<Verdict> {
    match facts.open_files {
        u64::MAX => ok("no limit on open files"),
        most @ ..4096 => warn(format!("at most {most} open files")),
        most @ ..65536 => info(format!("at most {most} open files")),
        most => ok(format!("at most {most} open files")),
    }
}
