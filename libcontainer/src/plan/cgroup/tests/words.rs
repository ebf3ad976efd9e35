//! Tests of the words of both versions.

use super::*;

#[test]
fn shares_become_a_weight_by_the_formula_of_today() {
    for (shares, weight) in [
        (0, 1),
        (2, 1),
        (3, 2),
        (512, 59),
        (1024, 100),
        (2048, 174),
        (262_143, 10_000),
        (262_144, 10_000),
        (u64::MAX, 10_000),
    ] {
        assert_eq!(v2::weight_of_shares(shares), weight, "{shares}");
    }
}

#[test]
fn cpu_of_v2() {
    let v2 = unified();
    assert_eq!(
        words(
            &v2,
            json!({"cpu": {"shares": 1024, "quota": 50000, "period": 20000, "burst": 7,
            "cpus": "0-1", "mems": "0", "idle": 1}})
        ),
        [
            "cpu.weight=100",
            "cpu.idle=1",
            "cpu.max.burst=7",
            "cpu.max=50000 20000",
            "cpuset.cpus=0-1",
            "cpuset.mems=0"
        ]
    );
    assert_eq!(words(&v2, json!({"cpu": {"quota": -1}})), ["cpu.max=max 100000"]);
    assert_eq!(words(&v2, json!({"cpu": {"period": 5000}})), ["cpu.max=max 5000"]);
    assert_eq!(
        words(&v2, json!({"cpu": {"idle": 0, "shares": 2}})),
        ["cpu.idle=0", "cpu.weight=1"]
    );
    let zeros = json!({"cpu": {"shares": 0, "quota": 0, "period": 0, "realtimePeriod": 0,
        "realtimeRuntime": 0, "cpus": "", "mems": ""}});
    assert_eq!(words(&v2, zeros), [""; 0]);
    assert!(refusal(&v2, json!({"cpu": {"realtimeRuntime": 1}})).contains("realtimeRuntime"));
}

#[test]
fn cpu_of_v1() {
    let v1 = legacy(false);
    assert_eq!(
        words(
            &v1,
            json!({"cpu": {"shares": 1024, "quota": -1, "period": 20000, "burst": 0,
            "cpus": "0-1", "mems": "0", "idle": 0, "realtimeRuntime": 9, "realtimePeriod": 10}})
        ),
        [
            "cpuset.cpus=0-1",
            "cpuset.mems=0",
            "cpu.shares=1024",
            "cpu.cfs_period_us=20000",
            "cpu.cfs_burst_us=0",
            "cpu.cfs_quota_us=-1",
            "cpu.idle=0",
            "cpu.rt_period_us=10",
            "cpu.rt_runtime_us=9"
        ]
    );
    assert!(
        refusal(&v1, json!({"cpu": {"shares": 1}})).contains("minimum allowed cpu-shares is 2")
    );
    assert!(
        refusal(&v1, json!({"cpu": {"shares": 262_145}}))
            .contains("maximum allowed cpu-shares is 262144")
    );
}

#[test]
fn swap_of_v2_is_swap_alone() {
    let swap = |limit: Value, swap: Value| {
        let mut memory = json!({});
        if !limit.is_null() {
            memory["limit"] = limit;
        }
        if !swap.is_null() {
            memory["swap"] = swap;
        }
        let plan = plan(&unified(), json!({"resources": {"memory": memory}}));
        plan.map(|p| {
            let word = p.writes.into_iter().find(|w| w.file == "memory.swap.max");
            word.map(|w| (w.value, w.missing == Missing::Skip))
        })
    };
    let some = |value: &str, skip| Some((value.to_owned(), skip));
    assert_eq!(swap(json!(100), json!(300)).unwrap(), some("200", false));
    assert_eq!(swap(json!(100), json!(100)).unwrap(), some("0", true));
    assert_eq!(swap(json!(100), json!(-1)).unwrap(), some("max", true));
    assert_eq!(swap(json!(-1), json!(null)).unwrap(), some("max", true));
    assert_eq!(swap(json!(-1), json!(50)).unwrap(), some("50", false));
    assert_eq!(swap(json!(null), json!(-1)).unwrap(), some("max", true));
    assert_eq!(swap(json!(100), json!(null)).unwrap(), None);
    assert_eq!(swap(json!(100), json!(0)).unwrap(), None);
    let error = swap(json!(null), json!(5)).unwrap_err().to_string();
    assert!(error.contains("unable to set swap limit without memory limit"), "{error}");
    let error = swap(json!(100), json!(99)).unwrap_err().to_string();
    assert!(error.contains("memory+swap limit should be >= memory limit"), "{error}");
    assert!(swap(json!(-2), json!(null)).is_err());
}

#[test]
fn memory_of_v2() {
    assert_eq!(
        words(
            &unified(),
            json!({"memory": {"limit": 4096, "reservation": -1, "kernel": -1,
            "kernelTCP": 0, "disableOOMKiller": false, "useHierarchy": true}})
        ),
        ["memory.max=4096", "memory.low=max"]
    );
    for (field, value) in [
        ("swappiness", json!(1)),
        ("kernel", json!(1)),
        ("kernelTCP", json!(1)),
        ("disableOOMKiller", json!(true)),
        ("useHierarchy", json!(false)),
    ] {
        let error = refusal(&unified(), json!({"memory": {field: value}}));
        assert!(error.contains(&format!("memory.{field}: has no counterpart")), "{error}");
    }
    assert_eq!(words(&unified(), json!({"memory": {"swappiness": u64::MAX}})), [""; 0]);
}

#[test]
fn usage_is_checked_on_request() {
    let check = |memory: Value| {
        plan(&unified(), json!({"resources": {"memory": memory}})).unwrap().usage_check
    };
    assert_eq!(check(json!({"limit": 9})), None);
    assert_eq!(check(json!({"limit": -1, "checkBeforeUpdate": true})), None);
    assert_eq!(
        check(json!({"limit": 9, "checkBeforeUpdate": true})),
        Some(UsageCheck { limit: Some(9), swap: None })
    );
}

#[test]
fn memory_of_v1() {
    let v1 = legacy(false);
    assert_eq!(
        words(
            &v1,
            json!({"memory": {"limit": 4096, "swap": 8192, "reservation": 1, "kernel": 5,
            "kernelTCP": 6, "swappiness": 0, "disableOOMKiller": true, "useHierarchy": true}})
        ),
        [
            "memory.limit_in_bytes=4096",
            "memory.memsw.limit_in_bytes=8192",
            "memory.soft_limit_in_bytes=1",
            "memory.kmem.limit_in_bytes=5",
            "memory.kmem.tcp.limit_in_bytes=6",
            "memory.use_hierarchy=1",
            "memory.oom_control=1",
            "memory.swappiness=0"
        ]
    );
    assert_eq!(
        words(&v1, json!({"memory": {"limit": -1}})),
        ["memory.limit_in_bytes=-1", "memory.memsw.limit_in_bytes=-1"]
    );
    assert!(refusal(&v1, json!({"memory": {"swappiness": 101}})).contains("valid range is 0-100"));
    assert!(refusal(&v1, json!({"memory": {"limit": 2, "swap": 1}})).contains(">= memory limit"));
}

#[test]
fn pids_zero_is_a_limit_and_null_is_none() {
    for host in [legacy(false), unified()] {
        for (limit, expected) in
            [(json!(0), "1"), (json!(-1), "max"), (json!(-7), "max"), (json!(42), "42")]
        {
            assert_eq!(
                words(&host, json!({"pids": {"limit": limit}})),
                [format!("pids.max={expected}")]
            );
        }
        assert_eq!(words(&host, json!({"pids": {"limit": null}})), [""; 0]);
        assert_eq!(words(&host, json!({"pids": {}})), [""; 0]);
    }
}

fn block_io() -> Value {
    let device = |key: &str, value: u64| json!([{"major": 8, "minor": 0, key: value}]);
    json!({"blockIO": {"weight": 750, "weightDevice": device("weight", 500),
        "throttleReadBpsDevice": device("rate", 1), "throttleWriteBpsDevice": device("rate", 2),
        "throttleReadIOPSDevice": device("rate", 3), "throttleWriteIOPSDevice": device("rate", 0)}})
}

#[test]
fn io_of_v2() {
    let plan = plan(&unified(), json!({"resources": block_io()})).unwrap();
    assert_eq!(
        words(&unified(), block_io()),
        [
            "io.bfq.weight=750",
            "io.bfq.weight=8:0 500",
            "io.max=8:0 rbps=1",
            "io.max=8:0 wbps=2",
            "io.max=8:0 riops=3",
            "io.max=8:0 wiops=max"
        ]
    );
    let instead = |at: usize, text: &str| {
        assert_eq!(
            plan.writes[at].missing,
            Missing::Instead { file: "io.weight", value: text.into() }
        );
    };
    instead(0, "7475");
    instead(1, "8:0 4950");
    assert!(refusal(&unified(), json!({"blockIO": {"leafWeight": 10}})).contains("leafWeight"));
    assert!(refusal(&unified(), json!({"blockIO": {"weight": 9}})).contains("not between 10"));
    assert_eq!(words(&unified(), json!({"blockIO": {"weight": 0}})), [""; 0]);
}

#[test]
fn blkio_of_v1() {
    assert_eq!(
        words(&legacy(false), block_io()),
        [
            "blkio.weight=750",
            "blkio.weight_device=8:0 500",
            "blkio.throttle.read_bps_device=8:0 1",
            "blkio.throttle.write_bps_device=8:0 2",
            "blkio.throttle.read_iops_device=8:0 3",
            "blkio.throttle.write_iops_device=8:0 0"
        ]
    );
    assert_eq!(
        words(
            &legacy(false),
            json!({"blockIO": {"leafWeight": 20, "weightDevice":
            [{"major": 8, "minor": 1, "leafWeight": 30}]}})
        ),
        ["blkio.leaf_weight=20", "blkio.leaf_weight_device=8:1 30"]
    );
}

#[test]
fn huge_pages_and_their_reservations() {
    let limits = json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 4096}]});
    assert_eq!(
        words(&legacy(false), limits.clone()),
        ["hugetlb.2MB.limit_in_bytes=4096", "hugetlb.2MB.rsvd.limit_in_bytes=4096"]
    );
    assert_eq!(words(&unified(), limits), ["hugetlb.2MB.max=4096", "hugetlb.2MB.rsvd.max=4096"]);
    for size in ["2M", "MB", "../2MB", "2MBGB", ""] {
        let limits = json!({"hugepageLimits": [{"pageSize": size, "limit": 1}]});
        assert!(refusal(&unified(), limits).contains("page size"), "{size}");
    }
}

#[test]
fn network_is_v1_only() {
    let network = json!({"network": {"classID": 7, "priorities":
        [{"name": "eth0", "priority": 5}]}});
    assert_eq!(
        words(&legacy(false), network.clone()),
        ["net_cls.classid=7", "net_prio.ifpriomap=eth0 5"]
    );
    assert!(refusal(&unified(), network).contains("linux.resources.network: has no counterpart"));
    assert_eq!(words(&unified(), json!({"network": {}})), [""; 0]);
}

#[test]
fn rdma_is_the_same_on_both() {
    let rdma = json!({"rdma": {"b": {"hcaObjects": 1}, "a": {"hcaHandles": 2, "hcaObjects": 3}}});
    for host in [legacy(false), unified()] {
        assert_eq!(
            words(&host, rdma.clone()),
            ["rdma.max=a hca_handle=2 hca_object=3", "rdma.max=b hca_object=1"]
        );
        assert!(refusal(&host, json!({"rdma": {"x": {}}})).contains("at least one"));
    }
}

#[test]
fn unified_files_come_last_and_are_names() {
    let resources = json!({"pids": {"limit": 3}, "unified": {"pids.max": "9", "cgroup.max.depth": "5",
        "io.max": "8:0 rbps=1\n8:16 rbps=2"}});
    assert_eq!(
        words(&unified(), resources),
        ["pids.max=3", "cgroup.max.depth=5", "io.max=8:0 rbps=1\n8:16 rbps=2", "pids.max=9"]
    );
    for key in ["../x.y", "/x.y", "a/b.c", "", "x", ".", "..", "x.", ".x", "a.\u{0}"] {
        let error = refusal(&unified(), json!({"unified": {key: "1"}}));
        assert!(error.contains("linux.resources.unified"), "{error}");
    }
    assert_eq!(
        refusal(&legacy(true), json!({"unified": {"memory.max": "1"}})),
        "invalid configuration: cannot use unified on cgroup v1"
    );
}
