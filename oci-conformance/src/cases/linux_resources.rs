//! `config-linux.md`: resources, one row per setting: what it writes on v1 and on v2.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use crate::{
    case::{Case, Check, Level::Must, Level::Should, Not, Verdict, ensure, must, other, skip},
    cases::{
        cgroups::{directories, some_path},
        config_root::AUTHOR,
        kit::hold,
        settings::{SETTINGS, Setting},
    },
    runtime::Runtime,
};

const DEVICES: &str = "#configLinuxDeviceAllowedlist";
const MEMORY: &str = "#configLinuxMemory";
const CPU: &str = "#configLinuxCPU";
const BLOCK: &str = "#configLinuxBlockIO";

pub(crate) const CASES: &[Case] = &[
    must(
        "config-linux/080",
        DEVICES,
        "The runtime MUST apply entries in the listed order.",
        "the last entry that fits decides",
        order,
    ),
    other(
        "config-linux/081",
        DEVICES,
        "allow (boolean, REQUIRED) - whether the entry is allowed or denied.",
        AUTHOR,
    ),
    must(
        "config-linux/082",
        DEVICES,
        "access (string, OPTIONAL) - cgroup permissions for device.",
        "r allows to read and not to write",
        access,
    ),
    row(
        "config-linux/083",
        MEMORY,
        "limit (int64, OPTIONAL) - sets limit of memory usage",
        "memory.limit",
    ),
    row(
        "config-linux/084",
        MEMORY,
        "reservation (int64, OPTIONAL) - sets soft limit of memory usage",
        "memory.reservation",
    ),
    row(
        "config-linux/085",
        MEMORY,
        "swap (int64, OPTIONAL) - sets limit of memory+Swap usage",
        "memory.swap",
    ),
    other(
        "config-linux/086",
        MEMORY,
        "kernel (int64, OPTIONAL, NOT RECOMMENDED) - sets hard limit for kernel memory",
        AUTHOR,
    ),
    other(
        "config-linux/087",
        MEMORY,
        "kernelTCP (int64, OPTIONAL, NOT RECOMMENDED) - sets hard limit for kernel TCP buffer memory",
        AUTHOR,
    ),
    row(
        "config-linux/088",
        MEMORY,
        "swappiness (uint64, OPTIONAL) - sets swappiness parameter of vmscan",
        "memory.swappiness",
    ),
    row(
        "config-linux/089",
        MEMORY,
        "disableOOMKiller (bool, OPTIONAL) - enables or disables the OOM killer.",
        "memory.disableOOMKiller",
    ),
    other(
        "config-linux/090",
        MEMORY,
        "If enabled (true), runtime MAY check if a new memory limit is lower than the current usage, and MUST reject the new limit.",
        "an operation that changes limits, which the specification does not have",
    ),
    row(
        "config-linux/091",
        CPU,
        "shares (uint64, OPTIONAL) - specifies a relative share of CPU time available to the tasks in a cgroup",
        "cpu.shares",
    ),
    row(
        "config-linux/092",
        CPU,
        "quota (int64, OPTIONAL) - specifies the total amount of time in microseconds for which all tasks in a cgroup can run during one period",
        "cpu.quota",
    ),
    other(
        "config-linux/093",
        CPU,
        "If specified with any (valid) positive value, it MUST be no smaller than burst (runtimes MAY generate an error).",
        AUTHOR,
    ),
    row(
        "config-linux/094",
        CPU,
        "burst (uint64, OPTIONAL) - specifies the maximum amount of accumulated time in microseconds",
        "cpu.burst",
    ),
    other(
        "config-linux/095",
        CPU,
        "If specified, this value MUST be no larger than any positive quota (runtimes MAY generate an error).",
        AUTHOR,
    ),
    row(
        "config-linux/096",
        CPU,
        "period (uint64, OPTIONAL) - specifies a period of time in microseconds",
        "cpu.period",
    ),
    row(
        "config-linux/097",
        CPU,
        "cpus (string, OPTIONAL) - list of CPUs the container will run on.",
        "cpu.cpus",
    ),
    row(
        "config-linux/098",
        CPU,
        "mems (string, OPTIONAL) - list of memory nodes the container will run on.",
        "cpu.mems",
    ),
    row(
        "config-linux/099",
        CPU,
        "idle (int64, OPTIONAL) - cgroups are configured with minimum weight, 0: default behavior, 1: SCHED_IDLE.",
        "cpu.idle",
    ),
    row(
        "config-linux/100",
        BLOCK,
        "throttleReadBpsDevice, throttleWriteBpsDevice (array of objects, OPTIONAL)",
        "blockIO.throttleReadBpsDevice",
    ),
    other(
        "config-linux/101",
        BLOCK,
        "major, minor (int64, REQUIRED) - major, minor numbers for device.",
        AUTHOR,
    ),
    other(
        "config-linux/102",
        BLOCK,
        "You MUST specify at least one of weight or leafWeight in a given entry, and MAY specify both.",
        AUTHOR,
    ),
    other(
        "config-linux/103",
        BLOCK,
        "rate (uint64, REQUIRED) - bandwidth rate limit in bytes per second for the device",
        AUTHOR,
    ),
    other(
        "config-linux/104",
        BLOCK,
        "rate (uint64, REQUIRED) - IO rate limit for the device",
        AUTHOR,
    ),
    other(
        "config-linux/105",
        "#configLinuxHugePageLimits",
        "pageSize (string, REQUIRED) - hugepage size.",
        AUTHOR,
    ),
    row(
        "config-linux/106",
        "#configLinuxHugePageLimits",
        "limit (uint64, REQUIRED) - limit in bytes of hugepagesize HugeTLB reservations (if supported) or usage.",
        "hugepageLimits",
    ),
    other(
        "config-linux/107",
        "#configLinuxNetwork",
        "name (string, REQUIRED) - interface name in runtime network namespace",
        AUTHOR,
    ),
    other(
        "config-linux/108",
        "#configLinuxNetwork",
        "priority (uint32, REQUIRED) - priority applied to the interface",
        AUTHOR,
    ),
    row(
        "config-linux/109",
        "#configLinuxPIDS",
        "limit (int64, OPTIONAL) - specifies the maximum number of tasks in the cgroup, with -1 indicating no limit (max).",
        "pids.limit",
    ),
    Case {
        id: "config-linux/110",
        section: "#configLinuxPIDS",
        level: Should,
        text: "0 is a valid limit value for the pids cgroup controller from the kernel's perspective and SHOULD be treated as such by runtimes.",
        what: "pids.limit 0 is written as 0, not as no limit",
        check: Check::Run(pids_zero),
    },
    other(
        "config-linux/111",
        "#configLinuxRDMA",
        "You MUST specify at least one of the hcaHandles or hcaObjects in a given entry, and MAY specify both.",
        AUTHOR,
    ),
    must(
        "config-linux/112",
        "#configLinuxUnified",
        "The OCI runtime MUST ensure that the needed cgroup controllers are enabled for the cgroup.",
        "pids.max of `unified` is there and has the value",
        unified_enables,
    ),
    must(
        "config-linux/113",
        "#configLinuxUnified",
        "Configuration unknown to the runtime MUST still be written to the relevant file.",
        "cgroup.max.depth has the value",
        unified_unknown,
    ),
    must(
        "config-linux/114",
        "#configLinuxUnified",
        "The runtime MUST generate an error when the configuration refers to a cgroup controller that is not present or that cannot be enabled.",
        "no-such-controller.max is refused",
        unified_absent,
    ),
    must(
        "config-linux/115",
        "#configLinuxUnified",
        "If the conversion is not possible the runtime MUST generate an error.",
        "memory.swappiness, which v2 has not, is refused there",
        no_conversion,
    ),
];

const fn row(
    id: &'static str,
    section: &'static str,
    text: &'static str,
    name: &'static str,
) -> Case {
    Case { id, section, level: Must, text, what: name, check: Check::Of(written, name) }
}

/// Major and minor number of a disk of this host.
fn disk() -> Option<(u64, u64)> {
    for entry in fs::read_dir("/sys/block").ok()?.flatten() {
        let numbers = fs::read_to_string(entry.path().join("dev")).ok()?;
        let size = fs::read_to_string(entry.path().join("size")).ok()?;
        let (major, minor) = numbers.trim().split_once(':')?;
        if size.trim() != "0" {
            return Some((major.parse().ok()?, minor.parse().ok()?));
        }
    }
    None
}

/// The file of a hierarchy where a setting is to be found; skips if this kernel has it not.
fn place(
    runtime: &Runtime,
    setting: &Setting,
) -> Result<(PathBuf, &'static str, &'static str), Not> {
    let host = &runtime.host;
    if host.is("cgroup_v2") {
        let Some((file, text)) = setting.v2 else {
            skip!("cgroup v1: the value has no one counterpart on v2")
        };
        let Some(top) = host.v2() else { skip!("cgroup v2") };
        return Ok((top.to_owned(), file, text));
    }
    let Some((controller, file, text)) = setting.v1 else {
        skip!("cgroup v2: the value has no counterpart on v1")
    };
    let Some(top) = host.v1(controller) else { skip!("the v1 controller {controller}") };
    Ok((top.to_owned(), file, text))
}

fn find(name: &str) -> Result<&'static Setting, Not> {
    let found = SETTINGS.iter().find(|setting| setting.name == name);
    found.ok_or_else(|| Not::Fail(format!("the check itself could not work: no row {name}")))
}

fn written(runtime: &Runtime, name: &'static str) -> Verdict {
    let setting = find(name)?;
    let (top, file, text) = place(runtime, setting)?;
    let mut value: Value = serde_json::from_str(setting.value)?;
    if name.starts_with("blockIO") {
        let Some((major, minor)) = disk() else { skip!("a disk") };
        let device = &mut value["blockIO"]["throttleReadBpsDevice"][0];
        device["major"] = json!(major);
        device["minor"] = json!(minor);
    }
    let path = some_path(runtime);
    let bundle = runtime.bundle()?.set("/linux/cgroupsPath", json!(path));
    let container = hold(bundle.set("/linux/resources", value), &[])?;
    let there = top.join(path.trim_start_matches('/')).join(file);
    if !there.exists() && !top.join(file).exists() {
        skip!("{file} in the kernel");
    }
    let got = fs::read_to_string(&there)?;
    ensure!(got.contains(text), "{} is {got:?}, not {text}", there.display());
    container.kill()
}

fn pids_zero(runtime: &Runtime) -> Verdict {
    let (top, file, _) = place(runtime, find("pids.limit")?)?;
    let path = some_path(runtime);
    let bundle = runtime.bundle()?.set("/linux/cgroupsPath", json!(path));
    let bundle = bundle.set("/linux/resources/pids/limit", json!(0));
    let container = bundle.create()?;
    let got = fs::read_to_string(top.join(path.trim_start_matches('/')).join(file))?;
    ensure!(got.trim() == "0", "{file} is {got:?}");
    container.kill()
}

/// Opens a device that has no driver: `ENXIO` (or `ENODEV`) says that the cgroup let it pass.
fn opened(runtime: &Runtime, rules: &Value, question: &str) -> Result<bool, Not> {
    let device =
        json!({"type": "c", "path": "/dev/oc", "major": 240, "minor": 99, "fileMode": 0o666});
    let bundle = runtime.bundle()?.push("/linux/devices", device);
    let bundle = bundle.set("/linux/resources/devices", rules.clone());
    let ran = bundle.ask([question]).run()?;
    Ok(ran.facts.errno(question)? != Some("EPERM"))
}

fn rule(allow: bool, access: &str) -> Value {
    json!({"allow": allow, "type": "c", "major": 240, "minor": 99, "access": access})
}

fn order(runtime: &Runtime) -> Verdict {
    let all = json!({"allow": false, "access": "rwm"});
    let allowed = opened(runtime, &json!([all, rule(true, "rwm")]), "open /dev/oc")?;
    ensure!(allowed, "all denied, then this one allowed: it is denied");
    let denied =
        opened(runtime, &json!([all, rule(true, "rwm"), rule(false, "rwm")]), "open /dev/oc")?;
    ensure!(!denied, "allowed, then denied again: it is allowed");
    Ok(())
}

fn access(runtime: &Runtime) -> Verdict {
    let all = json!({"allow": false, "access": "rwm"});
    let rules = json!([all, rule(true, "r")]);
    ensure!(opened(runtime, &rules, "open /dev/oc")?, "r is allowed, but reading is refused");
    ensure!(!opened(runtime, &rules, "openw /dev/oc")?, "only r is allowed, but it can be written");
    Ok(())
}

/// Reads a file of the only cgroup of a container with these `unified` settings.
fn unified(runtime: &Runtime, name: &str, value: &str) -> Verdict {
    if !runtime.host.is("cgroup_v2") {
        skip!("cgroup v2 alone");
    }
    let path = some_path(runtime);
    let bundle = runtime.bundle()?.set("/linux/cgroupsPath", json!(path));
    let bundle = bundle.set("/linux/resources/unified", json!({name: value}));
    let container = hold(bundle, &[])?;
    let dirs = directories(runtime, &path);
    ensure!(!dirs.is_empty(), "there is no cgroup {path}");
    let got = fs::read_to_string(dirs[0].join(name))?;
    ensure!(got.trim() == value, "{name} is {got:?}");
    container.kill()
}

fn unified_enables(runtime: &Runtime) -> Verdict {
    unified(runtime, "pids.max", "77")
}

fn unified_unknown(runtime: &Runtime) -> Verdict {
    unified(runtime, "cgroup.max.depth", "5")
}

fn unified_absent(runtime: &Runtime) -> Verdict {
    let value = json!({"no-such-controller.max": "1"});
    let bundle = runtime.bundle()?.set("/linux/resources/unified", value);
    bundle.refused(false, "a controller that does not exist")
}

fn no_conversion(runtime: &Runtime) -> Verdict {
    if !runtime.host.is("cgroup_v2") {
        skip!("cgroup v2 alone");
    }
    let bundle = runtime.bundle()?.set("/linux/resources/memory/swappiness", json!(50));
    bundle.refused(false, "memory.swappiness on v2")
}
