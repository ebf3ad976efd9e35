//! Rules about namespaces, devices, paths, labels and the smaller sections (config-linux.md).

use std::collections::HashSet;
use std::path::Path;

use oci_spec::runtime::{
    Linux, LinuxDeviceType, LinuxNamespaceType, MemoryPolicyFlagType, MemoryPolicyModeType,
};

use super::{Asked, Fault, Rule, Verdict, ensure, set};

/// Bytes of a network device's name, without the NUL (`IFNAMSIZ`).
const DEVICE_NAME_MAX: usize = 15;

pub(super) static RULES: &[Rule] = &[
    Rule {
        field: "linux.namespaces",
        words: "each type at most once, paths absolute",
        section: "config-linux.md, \"Namespaces\"",
        check: namespaces_are_legal,
    },
    Rule {
        field: "linux.timeOffsets",
        words: "offsets are for the clocks monotonic and boottime of a new time namespace",
        section: "config-linux.md, \"Offset for Time Namespace\"",
        check: time_offsets_are_legal,
    },
    Rule {
        field: "linux.devices",
        words: "a device has an absolute path and one of the types c, b, u, p",
        section: "config-linux.md, \"Devices\"",
        check: |asked| on_linux(asked, devices_are_legal),
    },
    Rule {
        field: "linux.netDevices",
        words: "network devices move into a network namespace, under legal and different names",
        section: "config-linux.md, \"Network Devices\"",
        check: net_devices_are_legal,
    },
    Rule {
        field: "linux.maskedPaths",
        words: "the paths are absolute and need a mount namespace",
        section: "config-linux.md, \"Masked Paths\"",
        check: |asked| paths_are_legal(asked, "maskedPaths", Linux::masked_paths),
    },
    Rule {
        field: "linux.readonlyPaths",
        words: "the paths are absolute and need a mount namespace",
        section: "config-linux.md, \"Readonly Paths\"",
        check: |asked| paths_are_legal(asked, "readonlyPaths", Linux::readonly_paths),
    },
    Rule {
        field: "linux.rootfsPropagation",
        words: "shared, slave, private or unbindable, with or without r",
        section: "config-linux.md, \"Rootfs Mount Propagation\"",
        check: propagation_is_legal,
    },
    Rule {
        field: "linux.mountLabel",
        words: "a label is applied or the container is not made",
        section: "config-linux.md, \"Mount Label\"",
        check: mount_label_needs_selinux,
    },
    Rule {
        field: "linux.personality.flags",
        words: "no flag is supported",
        section: "config-linux.md, \"Personality\"",
        check: |asked| on_linux(asked, personality_has_no_flags),
    },
    Rule {
        field: "linux.intelRdt",
        words: "closID names one directory; the schemata have no newlines, memBwSchema begins with MB:",
        section: "config-linux.md, \"IntelRdt\"",
        check: |asked| on_linux(asked, intel_rdt_is_legal),
    },
    Rule {
        field: "linux.memoryPolicy",
        words: "MPOL_DEFAULT and MPOL_LOCAL take no nodes, MPOL_PREFERRED any, the others some",
        section: "config-linux.md, \"Memory policy\"; set_mempolicy(2)",
        check: |asked| on_linux(asked, memory_policy_is_legal),
    },
];

fn on_linux(asked: Asked<'_>, check: fn(&Linux) -> Verdict) -> Verdict {
    asked.linux().map_or(Ok(()), check)
}

fn namespaces_are_legal(asked: Asked<'_>) -> Verdict {
    let mut seen = HashSet::new();
    for (index, namespace) in asked.namespaces().iter().enumerate() {
        let fault = |why: String| Fault::at(format!("linux.namespaces[{index}]"), why);
        let kind = namespace.typ();
        ensure(seen.insert(kind as u64), || {
            fault(format!("malformed spec file: duplicated ns {kind}"))
        })?;
        if let Some(path) = asked.joined_path(kind) {
            ensure(path.is_absolute(), || {
                fault(format!("path {} is not absolute", path.display()))
            })?;
        }
    }
    Ok(())
}

fn time_offsets_are_legal(asked: Asked<'_>) -> Verdict {
    let time = LinuxNamespaceType::Time;
    let offsets = asked.linux().and_then(|linux| linux.time_offsets().as_ref());
    let Some(offsets) = offsets.filter(|offsets| !offsets.is_empty()) else { return Ok(()) };
    ensure(asked.has_namespace(time), || {
        Fault::new(
            "time namespace offsets specified, but time namespace isn't enabled in the config",
        )
        .hint("add {\"type\": \"time\"} to linux.namespaces")
    })?;
    ensure(asked.joined_path(time).is_none(), || {
        Fault::new("the offsets of a joined time namespace cannot be changed")
    })?;
    for (clock, offset) in offsets {
        ensure(["monotonic", "boottime"].contains(&clock.as_str()), || {
            Fault::new(format!("{clock:?} is neither monotonic nor boottime"))
        })?;
        let nanos = offset.nanosecs().unwrap_or(0);
        ensure(nanos < 1_000_000_000, || {
            let field = format!("linux.timeOffsets.{clock}.nanosecs");
            Fault::at(field, format!("{nanos} is a second or more"))
        })?;
    }
    Ok(())
}

fn devices_are_legal(linux: &Linux) -> Verdict {
    for (index, device) in linux.devices().iter().flatten().enumerate() {
        let fault = |why: String| Fault::at(format!("linux.devices[{index}]"), why);
        let path = device.path();
        ensure(path.is_absolute(), || fault(format!("path {path:?} is not absolute")))?;
        ensure(device.typ() != LinuxDeviceType::A, || fault("type a is for rules only".into()))?;
        let ids = [device.uid(), device.gid()];
        ensure(!ids.contains(&Some(u32::MAX)), || fault("4294967295 is no id".into()))?;
        let mode = device.file_mode().unwrap_or(0);
        ensure(mode & !0o177_777 == 0, || fault(format!("{mode} is no file mode")))?;
    }
    Ok(())
}

fn net_devices_are_legal(asked: Asked<'_>) -> Verdict {
    let devices = asked.linux().and_then(|linux| linux.net_devices().as_ref());
    let Some(devices) = devices.filter(|devices| !devices.is_empty()) else { return Ok(()) };
    ensure(asked.has_namespace(LinuxNamespaceType::Network), || {
        Fault::new("unable to move network devices without a NET namespace")
    })?;
    ensure(!asked.host.rootless(), || {
        Fault::new("network devices are not supported for rootless containers")
    })?;
    let mut seen = HashSet::new();
    for (name, device) in devices {
        let new_name = set(device.name()).unwrap_or(name);
        for name in [name, new_name] {
            ensure(is_device_name(name), || {
                Fault::new(format!("invalid network device name {name:?}"))
            })?;
        }
        // The kernel numbers `eth%d` itself.
        ensure(new_name.contains("%d") || seen.insert(new_name), || {
            Fault::new(format!("two devices would be named {new_name:?}"))
        })?;
    }
    Ok(())
}

/// The kernel's own rule (`dev_valid_name`).
fn is_device_name(name: &str) -> bool {
    let odd = |c: char| c == '/' || c == ':' || c == '\0' || c.is_ascii_whitespace();
    (1..=DEVICE_NAME_MAX).contains(&name.len())
        && ![".", ".."].contains(&name)
        && !name.contains(odd)
}

fn paths_are_legal(
    asked: Asked<'_>,
    member: &str,
    paths: fn(&Linux) -> &Option<Vec<String>>,
) -> Verdict {
    let paths = asked.linux().and_then(|linux| paths(linux).as_deref()).unwrap_or_default();
    ensure(paths.is_empty() || asked.has_namespace(LinuxNamespaceType::Mount), || {
        Fault::new("unable to restrict sys entries without a private MNT namespace")
    })?;
    for (index, path) in paths.iter().enumerate() {
        ensure(Path::new(path).is_absolute(), || {
            Fault::at(format!("linux.{member}[{index}]"), format!("{path:?} is not absolute"))
        })?;
    }
    Ok(())
}

fn propagation_is_legal(asked: Asked<'_>) -> Verdict {
    let word = asked.linux().and_then(|linux| set(linux.rootfs_propagation()));
    let Some(word) = word else { return Ok(()) };
    let plain = word.strip_prefix('r').unwrap_or(word);
    ensure(["shared", "slave", "private", "unbindable"].contains(&plain), || {
        Fault::new(format!("rootfsPropagation={word} is not supported"))
    })?;
    ensure(!(asked.options.no_pivot && plain == "private"), || {
        Fault::new("rootfsPropagation of [r]private is not safe without pivot_root")
    })
}

fn mount_label_needs_selinux(asked: Asked<'_>) -> Verdict {
    let label = asked.linux().and_then(|linux| set(linux.mount_label()));
    ensure(label.is_none() || asked.host.lsm.selinux, || {
        Fault::new("selinux label is specified in config, but selinux is disabled or not supported")
            .hint("this kernel has no SELinux: leave linux.mountLabel out")
    })
}

fn personality_has_no_flags(linux: &Linux) -> Verdict {
    let flags = linux.personality().as_ref().and_then(|p| p.flags().as_deref());
    ensure(flags.is_none_or(<[String]>::is_empty), || {
        Fault::new(format!("{flags:?} are not supported").replace("Some(", "").replace(')', ""))
    })
}

fn intel_rdt_is_legal(linux: &Linux) -> Verdict {
    let Some(rdt) = linux.intel_rdt() else { return Ok(()) };
    let clos = rdt.clos_id().as_deref().unwrap_or_default();
    let legal = ![".", ".."].contains(&clos) && (clos == "/" || !clos.contains(['/', '\n', '\0']));
    ensure(legal, || {
        Fault::at("linux.intelRdt.closID", format!("invalid intelRdt.ClosID {clos:?}"))
    })?;
    let bandwidth = rdt.mem_bw_schema().as_deref();
    let legal = bandwidth.is_none_or(|line| line.is_empty() || line.starts_with("MB:"));
    ensure(legal, || {
        Fault::at("linux.intelRdt.memBwSchema", format!("{bandwidth:?} does not begin with MB:"))
    })?;
    let lines = [rdt.l3_cache_schema(), rdt.mem_bw_schema()].into_iter().flatten();
    for line in lines.chain(rdt.schemata().iter().flatten()) {
        ensure(!line.contains('\n'), || Fault::new(format!("{line:?} has a newline")))?;
    }
    Ok(())
}

fn memory_policy_is_legal(linux: &Linux) -> Verdict {
    use MemoryPolicyModeType as Mode;
    let Some(policy) = linux.memory_policy() else { return Ok(()) };
    let nodes = policy.nodes().as_deref().unwrap_or_default();
    let fault = |why: String| Fault::at("linux.memoryPolicy.nodes", why);
    let count = count_nodes(nodes)
        .ok_or_else(|| fault(format!("invalid memory policy nodes {nodes:?}")))?;
    let mode = policy.mode();
    match mode {
        Mode::MpolDefault | Mode::MpolLocal => ensure(count == 0, || {
            fault(format!("{mode}: memory policy mode requires 0 nodes but got {count}"))
        })?,
        Mode::MpolPreferred => {}
        _ => ensure(count > 0, || {
            fault(format!("{mode}: memory policy mode requires at least one node but got 0"))
        })?,
    }
    let has = |flag| policy.flags().iter().flatten().any(|other| *other == flag);
    let both = has(MemoryPolicyFlagType::MpolFStaticNodes)
        && has(MemoryPolicyFlagType::MpolFRelativeNodes);
    ensure(!both, || {
        let why = "MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES exclude each other";
        Fault::at("linux.memoryPolicy.flags", why)
    })
}

/// How many nodes a list such as `0-3,7` names; `None` when it is no such list, or names a node
/// beyond the kernel's largest (`CONFIG_NODES_SHIFT` is at most 10).
fn count_nodes(list: &str) -> Option<usize> {
    let ranges = list.split(',').map(str::trim).filter(|range| !range.is_empty());
    let counts = ranges.map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (first.parse::<usize>().ok()?, last.parse::<usize>().ok()?);
        (first <= last && last < 1024).then(|| last - first + 1)
    });
    counts.sum()
}
