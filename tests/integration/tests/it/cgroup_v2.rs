//! `linux.resources` on cgroup v2.

use harness::{Bundle, Container, cgroup, need};
use serde_json::{Value, json};

fn with(resource: &str, value: Value) -> Container {
    Bundle::new().set(&format!("/linux/resources/{resource}"), value).sleeper().create()
}

fn file(c: &Container, file: &str) -> String {
    cgroup::read("cgroup2", &format!("/corten-{}", c.id()), file)
}

/// `memory`: limit, reservation, and swap without the limit in it.
#[test]
fn memory_limits_are_written() {
    need!(root, cgroup_v2, controller("memory"));
    let c = with("memory", json!({ "limit": 64 << 20, "reservation": 32 << 20, "swap": 96 << 20 }));
    assert_eq!(file(&c, "memory.max"), (64 << 20).to_string());
    assert_eq!(file(&c, "memory.low"), (32 << 20).to_string());
    assert_eq!(file(&c, "memory.swap.max"), (32 << 20).to_string());
}

/// `cpu`: quota and period in one file, shares as a weight, burst and idle.
#[test]
fn cpu_values_are_written() {
    need!(root, cgroup_v2, controller("cpu"));
    let c =
        with("cpu", json!({ "shares": 1024, "quota": 50_000, "period": 200_000, "burst": 10_000 }));
    assert_eq!(file(&c, "cpu.max"), "50000 200000");
    assert_eq!(file(&c, "cpu.weight"), "100");
    assert_eq!(file(&c, "cpu.max.burst"), "10000");
}

/// `pids.limit`.
#[test]
fn pids_limits_are_written() {
    need!(root, cgroup_v2, controller("pids"));
    assert_eq!(file(&with("pids", json!({ "limit": 33 })), "pids.max"), "33");
}

/// `cpu.cpus`.
#[test]
fn cpusets_are_written() {
    need!(root, cgroup_v2, controller("cpuset"));
    assert_eq!(file(&with("cpu", json!({ "cpus": "0" })), "cpuset.cpus"), "0");
}

/// `hugepageLimits`, both files.
#[test]
fn hugepage_limits_are_written() {
    need!(root, cgroup_v2, controller("hugetlb"));
    let c = with("hugepageLimits", json!([{ "pageSize": "2MB", "limit": 4 << 20 }]));
    assert_eq!(file(&c, "hugetlb.2MB.max"), (4 << 20).to_string());
    assert_eq!(file(&c, "hugetlb.2MB.rsvd.max"), (4 << 20).to_string());
}

/// `unified`: any file of a controller that is there, or of the core.
#[test]
fn unified_files_are_written() {
    need!(root, cgroup_v2);
    let c = with("unified", json!({ "cgroup.max.descendants": "7" }));
    assert_eq!(file(&c, "cgroup.max.descendants"), "7");
}

/// `unified` with a name that is no file of the cgroup is refused (GHSA-5g49-rx9x-qfc6).
#[test]
fn unified_names_that_climb_are_refused() {
    need!(root, cgroup_v2);
    for name in ["../cgroup.max.depth", "/etc/passwd", "a/b", "", "..", "."] {
        let _ = Bundle::new()
            .edit(|c| c["linux"]["resources"]["unified"] = json!({ name: "1" }))
            .refused();
    }
}

/// A controller that the host lacks is an error that names it (config-linux.md, unified).
#[test]
fn a_missing_controller_is_an_error() {
    need!(root, cgroup_v2);
    if need::controller("memory").is_err() {
        let message =
            Bundle::new().set("/linux/resources/memory", json!({ "limit": 64 << 20 })).refused();
        assert!(message.contains("memory"), "{message}");
    }
    let message =
        Bundle::new().set("/linux/resources/unified", json!({ "moon.max": "1" })).refused();
    assert!(message.contains("moon"), "{message}");
}

/// Values that only v1 has are refused by name; they are never dropped in silence.
///
/// runc: passes them over.
#[test]
fn values_of_v1_alone_are_refused() {
    need!(root, cgroup_v2);
    for (field, value) in [
        ("kernel", json!(1 << 20)),
        ("kernelTCP", json!(1 << 20)),
        ("swappiness", json!(10)),
        ("disableOOMKiller", json!(true)),
    ] {
        let message =
            Bundle::new().edit(|c| c["linux"]["resources"]["memory"][field] = value).refused();
        assert!(message.contains(field), "{message}");
    }
}

/// Device rules are a BPF program: nothing but the default nodes opens.
#[test]
fn device_rules_hold() {
    need!(root, cgroup_v2);
    let c = Bundle::new()
        .capabilities(&["CAP_MKNOD"])
        .probe("mknod /tmp/mem c 1 1 -- open /tmp/mem -- open /dev/null".split(' '))
        .run();
    assert_eq!(c.errno("open /tmp/mem"), "EPERM");
    assert_eq!(c.fact("open /dev/null"), "ok");
}

/// The first process is in its cgroup from the first moment.
#[test]
fn the_container_is_born_in_its_cgroup() {
    need!(root, cgroup_v2);
    let c = Bundle::new().sleeper().create();
    let procs = file(&c, "cgroup.procs");
    assert_eq!(procs.trim(), c.pid().to_string());
}
