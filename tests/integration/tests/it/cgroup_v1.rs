//! `linux.resources` on cgroup v1: every value is in its file.

use harness::{Bundle, Container, cgroup, need};
use serde_json::{Value, json};

fn with(resource: &str, value: Value) -> Container {
    Bundle::new().set(&format!("/linux/resources/{resource}"), value).sleeper().create()
}

fn file(c: &Container, controller: &str, file: &str) -> String {
    cgroup::read(controller, &format!("/corten-{}", c.id()), file)
}

/// `memory`: limit, reservation, swap.
#[test]
fn memory_limits_are_written() {
    need!(root, cgroup_v1);
    let c = with("memory", json!({ "limit": 64 << 20, "reservation": 32 << 20, "swap": 96 << 20 }));
    assert_eq!(file(&c, "memory", "memory.limit_in_bytes"), (64 << 20).to_string());
    assert_eq!(file(&c, "memory", "memory.soft_limit_in_bytes"), (32 << 20).to_string());
    assert_eq!(file(&c, "memory", "memory.memsw.limit_in_bytes"), (96 << 20).to_string());
}

/// −1 is no limit.
#[test]
fn minus_one_is_no_memory_limit() {
    need!(root, cgroup_v1);
    let c = with("memory", json!({ "limit": -1, "swap": -1 }));
    assert!(file(&c, "memory", "memory.limit_in_bytes").len() > 15);
}

/// `memory.swappiness`, `disableOOMKiller`, `useHierarchy`.
#[test]
fn memory_switches_are_written() {
    need!(root, cgroup_v1);
    let c = with(
        "memory",
        json!({ "limit": 64 << 20, "swappiness": 13, "disableOOMKiller": true, "useHierarchy": true }),
    );
    assert_eq!(file(&c, "memory", "memory.swappiness"), "13");
    assert!(file(&c, "memory", "memory.oom_control").contains("oom_kill_disable 1"));
    assert_eq!(file(&c, "memory", "memory.use_hierarchy"), "1");
}

/// `memory.kernelTCP`; `kernel` is obsolete and passed over.
#[test]
fn kernel_memory_is_passed_over() {
    need!(root, cgroup_v1);
    let c = with("memory", json!({ "kernel": 32 << 20, "kernelTCP": 16 << 20 }));
    assert_eq!(c.status(), "created");
}

/// Swap below the limit cannot be: refused.
#[test]
fn swap_below_the_limit_is_refused() {
    need!(root, cgroup_v1);
    let _ = Bundle::new()
        .set("/linux/resources/memory", json!({ "limit": 64 << 20, "swap": 32 << 20 }))
        .refused();
}

/// A limit too small to start in is an error that speaks of memory, and nothing is left (fault model F15).
#[test]
fn a_tiny_memory_limit_is_explained() {
    need!(root, cgroup_v1);
    let c = Bundle::new()
        .set("/linux/resources/memory", json!({ "limit": 4096, "swap": 4096 }))
        .try_run();
    assert_ne!(c.code(), 0);
    assert!(
        c.output.stderr.to_lowercase().contains("memory")
            || c.output.stderr.to_lowercase().contains("oom"),
        "{:?}",
        c.output
    );
}

/// A container starts in 2 MB (fault model F15).
///
/// runc 1.5.0: needs 3 MB.
#[test]
fn a_container_starts_in_two_megabytes() {
    need!(root, cgroup_v1);
    let c = Bundle::new()
        .set("/linux/resources/memory", json!({ "limit": 2 << 20, "swap": 2 << 20 }))
        .args(&["/bin/true"])
        .run();
    assert_eq!(c.code(), 0);
}

/// The limit holds: a program that takes more is killed.
#[test]
fn the_memory_limit_holds() {
    need!(root, cgroup_v1);
    let c = Bundle::new()
        .set("/linux/resources/memory", json!({ "limit": 16 << 20, "swap": 16 << 20 }))
        .probe(["alloc", "64"])
        .try_run();
    assert_eq!(c.code(), 137);
}

/// `cpu`: shares, quota, period, burst, idle.
#[test]
fn cpu_values_are_written() {
    need!(root, cgroup_v1);
    let c =
        with("cpu", json!({ "shares": 512, "quota": 50_000, "period": 200_000, "burst": 10_000 }));
    assert_eq!(file(&c, "cpu", "cpu.shares"), "512");
    assert_eq!(file(&c, "cpu", "cpu.cfs_quota_us"), "50000");
    assert_eq!(file(&c, "cpu", "cpu.cfs_period_us"), "200000");
    assert_eq!(file(&c, "cpu", "cpu.cfs_burst_us"), "10000");
}

/// `cpu.idle`.
#[test]
fn cpu_idle_is_written() {
    need!(root, cgroup_v1, v1_file(("cpu", "cpu.stat")));
    let c = with("cpu", json!({ "idle": 1 }));
    assert_eq!(file(&c, "cpu", "cpu.idle"), "1");
}

/// A period without a quota, and a quota without a period.
#[test]
fn quota_and_period_stand_alone() {
    need!(root, cgroup_v1);
    let c = with("cpu", json!({ "period": 50_000 }));
    assert_eq!(file(&c, "cpu", "cpu.cfs_period_us"), "50000");
    assert_eq!(file(&c, "cpu", "cpu.cfs_quota_us"), "-1");
    let c = with("cpu", json!({ "quota": 30_000 }));
    assert_eq!(file(&c, "cpu", "cpu.cfs_quota_us"), "30000");
    let c = with("cpu", json!({ "quota": -1 }));
    assert_eq!(file(&c, "cpu", "cpu.cfs_quota_us"), "-1");
}

/// `cpu.realtimeRuntime` and `realtimePeriod`.
#[test]
fn realtime_budgets_are_written() {
    need!(root, cgroup_v1, v1_file(("cpu", "cpu.rt_runtime_us")));
    let c = with("cpu", json!({ "realtimeRuntime": 5000, "realtimePeriod": 500_000 }));
    assert_eq!(file(&c, "cpu", "cpu.rt_runtime_us"), "5000");
    assert_eq!(file(&c, "cpu", "cpu.rt_period_us"), "500000");
}

/// `cpu.cpus` and `cpu.mems`; the program is bound to them.
#[test]
fn cpusets_are_written() {
    need!(root, cgroup_v1, controller("cpuset"));
    let c = with("cpu", json!({ "cpus": "0", "mems": "0" }));
    assert_eq!(file(&c, "cpuset", "cpuset.cpus"), "0");
    assert_eq!(file(&c, "cpuset", "cpuset.mems"), "0");
    let c = Bundle::new()
        .set("/linux/resources/cpu", json!({ "cpus": "0" }))
        .probe(["status", "Cpus_allowed_list"])
        .run();
    assert_eq!(c.fact("status"), "0");
}

/// A CPU that does not exist is refused with the file or the value in the message.
#[test]
fn a_cpu_that_does_not_exist_is_refused() {
    need!(root, cgroup_v1);
    let message = Bundle::new().set("/linux/resources/cpu", json!({ "cpus": "4000" })).refused();
    assert!(message.contains("cpuset"), "{message}");
}

/// `pids.limit`, and it holds. Zero and −1 as the spec says.
#[test]
fn pids_limits_are_written() {
    need!(root, cgroup_v1);
    let c = with("pids", json!({ "limit": 33 }));
    assert_eq!(file(&c, "pids", "pids.max"), "33");
    let c = with("pids", json!({ "limit": -1 }));
    assert_eq!(file(&c, "pids", "pids.max"), "max");
    let c = Bundle::new()
        .set("/linux/resources/pids", json!({ "limit": 3 }))
        .sh("sleep 5 & sleep 5 & sleep 5 & sleep 5 & echo no")
        .try_run();
    assert!(!c.stdout().contains("no") || c.output.stderr.contains("fork"), "{:?}", c.output);
}

/// One process is enough for one process (fault model F21).
#[test]
fn a_pids_limit_of_one_is_enough() {
    need!(root, cgroup_v1);
    let c = Bundle::new()
        .set("/linux/resources/pids", json!({ "limit": 1 }))
        .args(&["/bin/true"])
        .run();
    assert_eq!(c.code(), 0);
}

/// `blockIO` throttles, by device number.
#[test]
fn blkio_throttles_are_written() {
    need!(root, cgroup_v1, v1_file(("blkio", "blkio.throttle.read_bps_device")));
    let device = block_device();
    let rate = |n: u64| json!([{ "major": device.0, "minor": device.1, "rate": n }]);
    let c = with(
        "blockIO",
        json!({
            "throttleReadBpsDevice": rate(1 << 20), "throttleWriteBpsDevice": rate(2 << 20),
            "throttleReadIOPSDevice": rate(300), "throttleWriteIOPSDevice": rate(400)
        }),
    );
    for (name, value) in
        [("read_bps", 1 << 20), ("write_bps", 2 << 20), ("read_iops", 300), ("write_iops", 400)]
    {
        let seen = file(&c, "blkio", &format!("blkio.throttle.{name}_device"));
        assert_eq!(seen, format!("{}:{} {value}", device.0, device.1), "{name}");
    }
}

/// The numbers of any whole block device.
fn block_device() -> (u64, u64) {
    let name = std::fs::read_dir("/sys/block")
        .unwrap()
        .flatten()
        .map(|e| e.path())
        .find(|p| p.join("device").exists() || p.join("queue").exists());
    let text = std::fs::read_to_string(name.unwrap().join("dev")).unwrap();
    let (major, minor) = text.trim().split_once(':').unwrap();
    (major.parse().unwrap(), minor.parse().unwrap())
}

/// `blockIO.weight`, where the kernel's scheduler has one.
#[test]
fn blkio_weights_are_written() {
    need!(root, cgroup_v1);
    let bfq = cgroup::mount_of("blkio").unwrap().join("blkio.bfq.weight").exists();
    if !bfq && need_weight().is_err() {
        return need::skip(
            "cgroup_v1::blkio_weights_are_written",
            "blkio weight",
            "no blkio weight file",
        );
    }
    let c = with("blockIO", json!({ "weight": 333 }));
    let name = if bfq { "blkio.bfq.weight" } else { "blkio.weight" };
    assert!(file(&c, "blkio", name).contains("333"));
}

fn need_weight() -> Result<(), String> {
    need::v1_file(("blkio", "blkio.weight"))
}

/// `hugepageLimits`, both files.
#[test]
fn hugepage_limits_are_written() {
    need!(root, cgroup_v1, hugetlb("2MB"));
    let c = with("hugepageLimits", json!([{ "pageSize": "2MB", "limit": 4 << 20 }]));
    assert_eq!(file(&c, "hugetlb", "hugetlb.2MB.limit_in_bytes"), (4 << 20).to_string());
    assert_eq!(file(&c, "hugetlb", "hugetlb.2MB.rsvd.limit_in_bytes"), (4 << 20).to_string());
}

/// A limit of a controller that the host lacks is an error, not silence.
#[test]
fn a_missing_controller_is_an_error() {
    need!(root, cgroup_v1);
    if need::controller("hugetlb").is_err() {
        let message = Bundle::new()
            .set(
                "/linux/resources/hugepageLimits",
                json!([{ "pageSize": "2MB", "limit": 4 << 20 }]),
            )
            .refused();
        assert!(message.contains("hugetlb"), "{message}");
    }
    if need::controller("rdma").is_err() {
        let message = Bundle::new()
            .set("/linux/resources/rdma", json!({ "mlx5_1": { "hcaHandles": 3 } }))
            .refused();
        assert!(message.contains("rdma"), "{message}");
    }
    if need::controller("net_cls").is_err() {
        let message =
            Bundle::new().set("/linux/resources/network", json!({ "classID": 7 })).refused();
        assert!(message.contains("net_cls"), "{message}");
    }
}

/// `network.classID` and `priorities`.
#[test]
fn network_classes_are_written() {
    need!(root, cgroup_v1, controller("net_cls"), controller("net_prio"));
    let c = with(
        "network",
        json!({ "classID": 1_048_577, "priorities": [{ "name": "lo", "priority": 5 }] }),
    );
    assert_eq!(file(&c, "net_cls", "net_cls.classid"), "1048577");
    assert!(file(&c, "net_prio", "net_prio.ifpriomap").contains("lo 5"));
}

/// `rdma`.
#[test]
fn rdma_limits_are_written() {
    need!(root, cgroup_v1, controller("rdma"));
    let c = with("rdma", json!({ "mlx5_1": { "hcaHandles": 3, "hcaObjects": 100 } }));
    assert!(file(&c, "rdma", "rdma.max").contains("mlx5_1 hca_handle=3 hca_object=100"));
}

/// Device rules are in `devices.list`: the default nodes and nothing else.
#[test]
fn device_rules_are_written() {
    need!(root, cgroup_v1);
    let list = file(&Bundle::new().sleeper().create(), "devices", "devices.list");
    let lines: Vec<&str> = list.lines().collect();
    for rule in [
        "c 1:3 rwm",
        "c 1:5 rwm",
        "c 1:7 rwm",
        "c 1:8 rwm",
        "c 1:9 rwm",
        "c 5:0 rwm",
        "c 5:2 rwm",
        "c 136:* rwm",
    ] {
        assert!(lines.contains(&rule), "{rule}: {list}");
    }
    assert!(
        !lines.iter().any(|l| l.starts_with('a') || l.starts_with("b") && l.contains('r')),
        "{list}"
    );
}

/// `unified` is for v2: refused here.
#[test]
fn unified_is_refused_on_v1() {
    need!(root, cgroup_v1);
    let message = Bundle::new()
        .set("/linux/resources/unified", json!({ "memory.high": "1000000" }))
        .refused();
    assert!(message.contains("unified"), "{message}");
}

/// With real-time priority a process may only join a cgroup with a budget for it (`CONFIG_RT_GROUP_SCHED`): the
/// refusal names the file and tells both ways out.
#[test]
fn a_runtime_with_real_time_priority_is_told_why() {
    need!(root, cgroup_v1, v1_file(("cpu", "cpu.rt_runtime_us")), real_time);
    let bundle = Bundle::new().under(&["chrt", "-f", "1"]);
    bundle.write();
    let output = bundle.runtime().call(&bundle.words("create"));
    let message = output.refused();
    assert!(message.contains("cpu") && message.contains("/tasks: invalid argument"), "{message}");
    assert!(output.stderr.contains("linux.resources.cpu.realtimeRuntime"), "{output:#?}");
    assert!(bundle.place().settled().is_empty());
}
