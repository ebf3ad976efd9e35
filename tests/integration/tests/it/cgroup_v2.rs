//! `linux.resources` on cgroup v2.

use harness::{Bundle, Container, cgroup, need};
use serde_json::{Value, json};

fn with(resource: &str, value: Value) -> Container {
    Bundle::new().set(&format!("/linux/resources/{resource}"), value).sleeper().create()
}

fn file(c: &Container, file: &str) -> String {
    cgroup::read("cgroup2", &format!("/corten-{}", c.id()), file)
}

/// The message of a refusal, in a place that holds more than the container.
fn refused(bundle: &Bundle) -> String {
    bundle.write();
    bundle.runtime().call(&bundle.words("create")).refused()
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

/// Memory and swap together minus memory is what is left for swap; -1 is no limit, and so is memory without one.
#[test]
fn swap_is_what_the_total_leaves() {
    need!(root, cgroup_v2, controller("memory"));
    for (memory, wanted) in [
        (json!({ "limit": 64 << 20 }), "max"),
        (json!({ "limit": 64 << 20, "swap": 64 << 20 }), "0"),
        (json!({ "limit": 64 << 20, "swap": 96 << 20 }), "33554432"),
        (json!({ "limit": 64 << 20, "swap": -1 }), "max"),
        (json!({ "limit": -1 }), "max"),
    ] {
        assert_eq!(file(&with("memory", memory.clone()), "memory.swap.max"), wanted, "{memory}");
    }
    let less = json!({ "limit": 64 << 20, "swap": 32 << 20 });
    let message = Bundle::new().set("/linux/resources/memory", less).refused();
    assert!(message.contains("memory+swap limit should be >= memory limit"), "{message}");
}

/// `memory.oom.group`: a container that lacks memory dies whole, where otherwise one process does.
#[test]
fn a_container_dies_whole_for_lack_of_memory() {
    need!(root, cgroup_v2, controller("memory"));
    for (group, said) in [("0", "survived"), ("1", "")] {
        let c = Bundle::new()
            .set("/linux/resources/memory", json!({ "limit": 32 << 20, "swap": 32 << 20 }))
            .set("/linux/resources/unified", json!({ "memory.oom.group": group }))
            .sh("tail /dev/zero; echo survived")
            .try_run();
        assert_eq!(c.stdout().trim(), said, "memory.oom.group {group}");
        assert_eq!(c.code(), if group == "1" { 137 } else { 0 }, "memory.oom.group {group}");
    }
}

/// A weight goes to BFQ's file where there is one, else to iocost's on its scale; where there is neither the
/// error says what the kernel needs.
#[test]
fn io_weights_are_written_where_the_kernel_has_them() {
    need!(root, cgroup_v2, controller("io"));
    let plain = Bundle::new().sleeper().create();
    let dir = cgroup::dir("cgroup2", &format!("/corten-{}", plain.id()));
    let weight = json!({ "weight": 500 });
    if dir.join("io.bfq.weight").exists() {
        assert!(file(&with("blockIO", weight), "io.bfq.weight").ends_with("500"));
    } else if dir.join("io.weight").exists() {
        assert_eq!(file(&with("blockIO", weight), "io.weight"), "default 4950");
    } else {
        let bundle = Bundle::new().set("/linux/resources/blockIO", weight);
        bundle.write();
        let output = bundle.runtime().call(&bundle.words("create"));
        assert!(output.refused().contains("blockIO.weight"), "{output:?}");
        assert!(output.stderr.contains("CONFIG_BFQ_GROUP_IOSCHED"), "{output:?}");
    }
}

/// Controllers are handed down from the root to the cgroup above the container's.
#[test]
fn controllers_are_enabled_down_the_path() {
    need!(root, cgroup_v2, controller("memory"));
    let bundle = Bundle::new();
    let top = format!("/corten-{}", bundle.id());
    let place = bundle.place();
    let c = bundle
        .set("/linux/cgroupsPath", format!("{top}/a/b"))
        .set("/linux/resources/memory", json!({ "limit": 64 << 20 }))
        .sleeper()
        .create();
    for above in ["", "/a"] {
        let enabled = cgroup::read("cgroup2", &format!("{top}{above}"), "cgroup.subtree_control");
        assert!(enabled.split(' ').any(|c| c == "memory"), "{above}: {enabled}");
    }
    assert_eq!(cgroup::read("cgroup2", &format!("{top}/a/b"), "memory.max"), "67108864");
    drop(c);
    for above in [format!("{top}/a"), top] {
        std::fs::remove_dir(cgroup::dir("cgroup2", &above)).unwrap();
    }
    drop(place);
}

/// A cgroup with processes hands no controllers down: what is below can be used, but not be limited.
#[test]
fn below_a_cgroup_with_processes_nothing_is_limited() {
    need!(root, cgroup_v2, controller("memory"));
    let outer = Bundle::new().sleeper().start();
    let inner = format!("/corten-{}/inner", outer.id());
    let below = || {
        let bundle = Bundle::at(outer.place(), "-inner").sleeper();
        bundle.unset("/linux/resources").set("/linux/cgroupsPath", inner.clone())
    };
    let limited = below().set("/linux/resources", json!({ "memory": { "limit": 64 << 20 } }));
    limited.write();
    let output = limited.runtime().call(&limited.words("create"));
    assert!(output.refused().contains("cannot limit memory"), "{output:?}");
    assert!(output.stderr.contains("has processes of its own"), "{output:?}");
    let c = below().create();
    assert_eq!(cgroup::of(&c.pid().to_string(), ""), inner);
}

/// In a threaded tree there is no controller for memory: said, not left out.
#[test]
fn a_threaded_tree_is_explained() {
    need!(root, cgroup_v2, controller("memory"));
    let bundle = Bundle::new();
    let top = format!("/corten-{}", bundle.id());
    let dir = cgroup::dir("cgroup2", &top);
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("cgroup.type"), "threaded").unwrap();
    let bundle = bundle
        .set("/linux/cgroupsPath", format!("{top}/inner"))
        .set("/linux/resources/memory", json!({ "limit": 64 << 20 }));
    let message = refused(&bundle);
    std::fs::remove_dir(&dir).unwrap();
    assert!(message.contains("cannot limit memory: the cgroup is domain invalid"), "{message}");
}

/// A resource that the misc controller of this kernel does not have: the refusal tells where those are that it has.
#[test]
fn a_misc_resource_that_is_not_there_is_explained() {
    need!(root, cgroup_v2, controller("misc"));
    let bundle = Bundle::new().set("/linux/resources/unified", json!({ "misc.max": "no_such 1" }));
    bundle.write();
    let output = bundle.runtime().call(&bundle.words("create"));
    let message = output.refused();
    assert!(message.contains("misc.max") && message.contains("invalid argument"), "{message}");
    assert!(output.stderr.contains("misc.capacity"), "{}", output.stderr);
    assert!(bundle.place().settled().is_empty());
}
