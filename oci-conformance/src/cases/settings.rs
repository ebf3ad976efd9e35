//! Settings of `linux.resources`, and what each is to write on cgroup v1 and on v2.

/// One setting.
pub(super) struct Setting {
    /// Its place below `resources`, with dots.
    pub(super) name: &'static str,
    /// The JSON of `resources`.
    pub(super) value: &'static str,
    /// v1: controller, file, what the file contains.
    pub(super) v1: Option<(&'static str, &'static str, &'static str)>,
    /// v2: file, what the file contains.
    pub(super) v2: Option<(&'static str, &'static str)>,
}

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: "memory.limit",
        value: r#"{"memory": {"limit": 67108864}}"#,
        v1: Some(("memory", "memory.limit_in_bytes", "67108864")),
        v2: Some(("memory.max", "67108864")),
    },
    Setting {
        name: "memory.reservation",
        value: r#"{"memory": {"reservation": 33554432}}"#,
        v1: Some(("memory", "memory.soft_limit_in_bytes", "33554432")),
        v2: Some(("memory.low", "33554432")),
    },
    Setting {
        // v1 counts memory and swap together, v2 swap alone.
        name: "memory.swap",
        value: r#"{"memory": {"limit": 67108864, "swap": 100663296}}"#,
        v1: Some(("memory", "memory.memsw.limit_in_bytes", "100663296")),
        v2: Some(("memory.swap.max", "33554432")),
    },
    Setting {
        name: "memory.swappiness",
        value: r#"{"memory": {"swappiness": 50}}"#,
        v1: Some(("memory", "memory.swappiness", "50")),
        v2: None,
    },
    Setting {
        name: "memory.disableOOMKiller",
        value: r#"{"memory": {"disableOOMKiller": true}}"#,
        v1: Some(("memory", "memory.oom_control", "oom_kill_disable 1")),
        v2: None,
    },
    Setting {
        // Two formulas for the weight of v2 are in use.
        name: "cpu.shares",
        value: r#"{"cpu": {"shares": 2048}}"#,
        v1: Some(("cpu", "cpu.shares", "2048")),
        v2: None,
    },
    Setting {
        name: "cpu.quota",
        value: r#"{"cpu": {"quota": 50000, "period": 100000}}"#,
        v1: Some(("cpu", "cpu.cfs_quota_us", "50000")),
        v2: Some(("cpu.max", "50000 100000")),
    },
    Setting {
        name: "cpu.period",
        value: r#"{"cpu": {"quota": 60000, "period": 200000}}"#,
        v1: Some(("cpu", "cpu.cfs_period_us", "200000")),
        v2: Some(("cpu.max", "60000 200000")),
    },
    Setting {
        name: "cpu.burst",
        value: r#"{"cpu": {"quota": 50000, "period": 100000, "burst": 20000}}"#,
        v1: Some(("cpu", "cpu.cfs_burst_us", "20000")),
        v2: Some(("cpu.max.burst", "20000")),
    },
    Setting {
        name: "cpu.cpus",
        value: r#"{"cpu": {"cpus": "0"}}"#,
        v1: Some(("cpuset", "cpuset.cpus", "0")),
        v2: Some(("cpuset.cpus", "0")),
    },
    Setting {
        name: "cpu.mems",
        value: r#"{"cpu": {"mems": "0"}}"#,
        v1: Some(("cpuset", "cpuset.mems", "0")),
        v2: Some(("cpuset.mems", "0")),
    },
    Setting {
        name: "cpu.idle",
        value: r#"{"cpu": {"idle": 1}}"#,
        v1: Some(("cpu", "cpu.idle", "1")),
        v2: Some(("cpu.idle", "1")),
    },
    Setting {
        // The numbers are those of the first disk of the host.
        name: "blockIO.throttleReadBpsDevice",
        value: r#"{"blockIO": {"throttleReadBpsDevice": [{"rate": 1048576}]}}"#,
        v1: Some(("blkio", "blkio.throttle.read_bps_device", "1048576")),
        v2: Some(("io.max", "rbps=1048576")),
    },
    Setting {
        name: "hugepageLimits",
        value: r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}]}"#,
        v1: Some(("hugetlb", "hugetlb.2MB.limit_in_bytes", "4194304")),
        v2: Some(("hugetlb.2MB.max", "4194304")),
    },
    Setting {
        name: "pids.limit",
        value: r#"{"pids": {"limit": 123}}"#,
        v1: Some(("pids", "pids.max", "123")),
        v2: Some(("pids.max", "123")),
    },
];
