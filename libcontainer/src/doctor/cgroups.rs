//! Rules about control groups and systemd.

use super::{Facts, Rule, Status, Verdict, info, lack, ok, warn};
use crate::host::cgroup::{CgroupMode, ROOT};

/// Controllers that engines set limits with, by their names in v1.
const USUAL: [&str; 5] = ["cpu", "cpuset", "blkio", "memory", "pids"];
/// systemd carries out every limit that we ask it for since this version.
const SYSTEMD: u32 = 244;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "cgroup-layout",
        judge: layout,
        why: "limits, pause and kill work by control groups; systemd 258 and Kubernetes want v2, \
              and only v2 can be handed to ordinary users",
        fix: "add systemd.unified_cgroup_hierarchy=1 to the kernel's command line and reboot",
    },
    Rule {
        id: "cgroup-writable",
        judge: writable,
        why: "a container's cgroup is a directory that create makes",
        fix: "mount -o remount,rw /sys/fs/cgroup; in a container: run the outer one with \
              --privileged",
    },
    Rule {
        id: "cgroup-controllers",
        judge: controllers,
        why: "a limit of a controller that is missing is refused",
        fix: "boot a kernel that was built with it",
    },
    Rule {
        id: "cgroup-devices",
        judge: devices,
        why: "every container's access to devices is limited",
        fix: "boot a kernel that was built with CONFIG_CGROUP_BPF and CONFIG_BPF_SYSCALL (v2) or \
              CONFIG_CGROUP_DEVICE (v1); in a container: run the outer one with CAP_BPF",
    },
    Rule {
        id: "cgroup-freezer",
        judge: freezer,
        why: "pause, and kill --all without cgroup.kill, stop every process at once by it",
        fix: "boot a kernel that was built with CONFIG_CGROUP_FREEZER",
    },
    Rule {
        id: "cgroup-root",
        judge: root,
        why: "a cgroup with processes cannot hand controllers down to those below it",
        fix: "mkdir /sys/fs/cgroup/init && xargs -rn1 </sys/fs/cgroup/cgroup.procs \
              sh -c 'echo $0 >/sys/fs/cgroup/init/cgroup.procs'",
    },
    Rule {
        id: "swap-accounting",
        judge: swap,
        why: "a limit on memory and swap together is refused without it",
        fix: "add swapaccount=1 to the kernel's command line and reboot",
    },
    Rule {
        id: "cpu-quota",
        judge: quota,
        why: "docker run --cpus and Kubernetes' CPU limits are quotas",
        fix: "boot a kernel that was built with CONFIG_CFS_BANDWIDTH",
    },
    Rule {
        id: "cgroup-kill",
        judge: kill,
        why: "without it a container that forks all the time is frozen before it is killed",
        fix: "boot Linux 5.14 or later",
    },
    Rule {
        id: "pressure",
        judge: pressure,
        why: "events --stats tells how long processes waited for CPU, memory and disks",
        fix: "add psi=1 to the kernel's command line and reboot",
    },
    Rule {
        id: "systemd",
        judge: systemd,
        why: "--systemd-cgroup, the default of Kubernetes and podman, asks systemd for the cgroup",
        fix: "systemctl start dbus.socket && systemctl daemon-reexec",
    },
];

fn layout(facts: &Facts) -> Option<Verdict> {
    match facts.host.cgroup.mode {
        CgroupMode::Unified => ok("v2"),
        CgroupMode::Hybrid => warn("v1, with a v2 hierarchy that groups processes (hybrid)"),
        CgroupMode::Legacy => warn("v1"),
        CgroupMode::Absent => Verdict::fixed_by(
            Status::Lack,
            "no cgroup file system is mounted",
            "mount -t cgroup2 none /sys/fs/cgroup",
        ),
    }
}

/// Whether the containers are root's: a user's are judged by what was delegated.
fn for_root(facts: &Facts) -> bool {
    !facts.rootless && facts.host.cgroup.mode != CgroupMode::Absent
}

fn unified(facts: &Facts) -> bool {
    facts.host.cgroup.mode == CgroupMode::Unified
}

fn writable(facts: &Facts) -> Option<Verdict> {
    if !for_root(facts) {
        return None;
    }
    let hierarchies = facts.host.cgroup.hierarchies.iter().map(|h| h.mount.display().to_string());
    let read_only: Vec<_> = hierarchies
        .filter(|path| {
            let mount = facts.mount_of(path);
            mount.is_some_and(|mount| mount.options.split(',').any(|option| option == "ro"))
        })
        .collect();
    if read_only.is_empty() {
        return ok("the hierarchy can be written");
    }
    lack(format!("mounted read-only: {}", read_only.join(", ")))
}

fn controllers(facts: &Facts) -> Option<Verdict> {
    // A user gets what the host has on v2 alone.
    if !for_root(facts) && !unified(facts) {
        return None;
    }
    let has = |name: &&str| facts.cgroups.controllers.iter().any(|known| known == name);
    let missing: Vec<_> = USUAL.into_iter().filter(|name| !has(name)).collect();
    if missing.is_empty() {
        return ok(facts.cgroups.controllers.join(", "));
    }
    let reasons: Vec<_> = missing.iter().map(|name| (*name, reason(facts, name))).collect();
    let what: Vec<_> = reasons.iter().map(|(name, why)| format!("no {name}: {}", why.0)).collect();
    let what = what.join("; ");
    match reasons.iter().find_map(|(_, why)| why.1) {
        Some(fix) => Verdict::fixed_by(Status::Warn, what, fix),
        None => {
            let options: Vec<_> = missing.into_iter().map(option).collect();
            let fix = format!("boot a kernel that was built with {}", options.join(", "));
            Verdict::fixed_by(Status::Warn, what, fix)
        }
    }
}

/// The option of the kernel's build that brings a controller.
fn option(controller: &str) -> &'static str {
    match controller {
        "memory" => "CONFIG_MEMCG",
        "cpu" => "CONFIG_CGROUP_SCHED",
        "cpuset" => "CONFIG_CPUSETS",
        "pids" => "CONFIG_CGROUP_PIDS",
        _ => "CONFIG_BLK_CGROUP",
    }
}

/// Why a controller is missing, and the remedy where it is not another kernel.
fn reason(facts: &Facts, name: &str) -> (&'static str, Option<&'static str>) {
    let words = facts.text("/proc/cmdline").unwrap_or_default().split_whitespace();
    let lists = |word: &str, key: &str| {
        word.strip_prefix(key).is_some_and(|list| list.split(',').any(|one| one == name))
    };
    if words.into_iter().any(|word| lists(word, "cgroup_disable=")) {
        let fix = "take cgroup_disable= off the kernel's command line and reboot";
        return ("the kernel's command line disables it", Some(fix));
    }
    // subsys_name hierarchy num_cgroups enabled
    let table = facts.text("/proc/cgroups").unwrap_or_default();
    let mut rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    match rows.find(|row| row.first() == Some(&name)).as_deref() {
        Some([.., "0"]) => {
            let fix = "add cgroup_enable=memory to the kernel's command line (Raspberry Pi: \
                       /boot/firmware/cmdline.txt) and reboot";
            ("it is disabled since boot", Some(fix))
        }
        Some([_, hierarchy, ..]) if unified(facts) && *hierarchy != "0" => {
            let fix = "add cgroup_no_v1=all to the kernel's command line and reboot";
            ("a v1 hierarchy holds it", Some(fix))
        }
        Some(_) if unified(facts) && facts.text("/sys/fs/cgroup/cgroup.type").is_some() => {
            let fix = "on the outer host: add the controller to cgroup.subtree_control above this cgroup \
                       (Delegate=yes of its unit)";
            ("it was not handed down to this cgroup", Some(fix))
        }
        Some(_) if !unified(facts) => {
            ("its v1 hierarchy is not mounted", Some("apt-get install cgroupfs-mount"))
        }
        _ => ("the kernel does not have it", None),
    }
}

fn devices(facts: &Facts) -> Option<Verdict> {
    if !for_root(facts) {
        return None;
    }
    if !unified(facts) {
        let there = facts.cgroups.controllers.iter().any(|name| name == "devices");
        return if there { ok("the devices controller") } else { lack("no devices controller") };
    }
    match facts.cgroups.device_program? {
        0 => ok("device programs can be loaded"),
        errno => {
            let why = crate::error::errno_words(&std::io::Error::from_raw_os_error(errno));
            lack(format!("a device program cannot be loaded: {why}"))
        }
    }
}

fn freezer(facts: &Facts) -> Option<Verdict> {
    if !for_root(facts) || unified(facts) {
        return None;
    }
    let there = facts.cgroups.controllers.iter().any(|name| name == "freezer");
    if there { ok("the freezer controller") } else { warn("no freezer controller") }
}

fn root(facts: &Facts) -> Option<Verdict> {
    // The real root may have both; it has no type.
    facts.text("/sys/fs/cgroup/cgroup.type")?;
    if !for_root(facts) || !unified(facts) {
        return None;
    }
    let busy = !facts.text("/sys/fs/cgroup/cgroup.procs")?.is_empty();
    let enabled = !facts.text("/sys/fs/cgroup/cgroup.subtree_control")?.is_empty();
    match busy && !enabled {
        true => warn(format!("{ROOT} is a part of the host's hierarchy and has processes")),
        false => ok(format!("{ROOT} is a part of the host's hierarchy that was handed to us")),
    }
}

fn swap(facts: &Facts) -> Option<Verdict> {
    if !facts.cgroups.swap? {
        return warn("swap is not counted for each cgroup");
    }
    // The first line is the header.
    let swaps = facts.text("/proc/swaps").unwrap_or_default().lines().count() > 1;
    ok(if swaps { "swap is counted" } else { "swap is counted; the host has none" })
}

fn quota(facts: &Facts) -> Option<Verdict> {
    if facts.cgroups.quota? { ok("CPU quotas") } else { warn("no CPU quotas") }
}

fn kill(facts: &Facts) -> Option<Verdict> {
    if !unified(facts) {
        return None;
    }
    match facts.host.kernel.at_least((5, 14)) {
        true => ok("cgroup.kill"),
        false => info("no cgroup.kill before Linux 5.14"),
    }
}

fn pressure(facts: &Facts) -> Option<Verdict> {
    match facts.text("/proc/pressure/memory") {
        Some(_) => ok("pressure stall information"),
        None => info("no pressure stall information"),
    }
}

fn systemd(facts: &Facts) -> Option<Verdict> {
    match &facts.systemd {
        None => Verdict::fixed_by(
            Status::Info,
            "systemd is not the init of this host: cgroups are made by hand",
            "leave --systemd-cgroup out; containerd: SystemdCgroup = false; podman: \
             --cgroup-manager cgroupfs",
        ),
        Some(Err(why)) => warn(format!("systemd does not answer: {why}")),
        Some(Ok(version)) if *version < SYSTEMD => Verdict::fixed_by(
            Status::Warn,
            format!("systemd {version} does not know cpusets, which are then lost with a reload"),
            "update systemd to 244 or later",
        ),
        Some(Ok(version)) => ok(format!("systemd {version} answers")),
    }
}
