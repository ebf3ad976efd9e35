//! Units, their names and their properties, as data.
#![expect(clippy::needless_pass_by_value, reason = "json!() reads best in place")]

use serde_json::{Value as Json, json};

use super::*;
use crate::host::CgroupLayout;
use crate::host::cgroup::Hierarchy;
use crate::plan::CgroupDriver;
use crate::plan::cgroup::build;

fn host(version: u32) -> Host {
    let systemd = Systemd { version, user: false, root: PathBuf::new() };
    Host { systemd: Some(systemd), ..Host::ideal() }
}

fn user() -> Host {
    let root = PathBuf::from("user.slice/user-1000.slice/user@1000.service");
    let systemd = Systemd { version: 255, user: true, root };
    Host { euid: 1000, systemd: Some(systemd), ..Host::ideal() }
}

fn plan(host: &Host, config: Json) -> Result<CgroupPlan> {
    let mut all = json!({"ociVersion": "1.3.0"});
    all.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
    let spec = Spec::parse(Path::new("config.json"), all.to_string().as_bytes()).unwrap();
    let cgroup_driver = CgroupDriver::Systemd;
    build(&spec, host, &Options { id: "box".into(), cgroup_driver, ..Options::default() })
}

fn at(path: &str) -> Result<CgroupPlan> {
    plan(&host(255), json!({"linux": {"cgroupsPath": path}}))
}

/// `NAME=VALUE` of every property but the devices and the fixed ones.
fn properties(version: u32, resources: Json) -> Vec<String> {
    let plan = plan(&host(version), json!({"linux": {"resources": resources}})).unwrap();
    told(&plan)
}

fn told(plan: &CgroupPlan) -> Vec<String> {
    let fixed = ["Description", "Slice", "Delegate", "DefaultDependencies", "CollectMode"];
    let unit = plan.unit.as_ref().unwrap();
    let named = |p: &&Property| {
        !fixed.contains(&&*p.name)
            && !p.name.ends_with("Accounting")
            && !p.name.starts_with("Device")
    };
    unit.properties.iter().filter(named).map(|p| format!("{}={}", p.name, p.value)).collect()
}

#[test]
fn paths_are_slice_prefix_and_name() {
    for (path, unit, dir) in [
        ("a.slice:p:n", "p-n.scope", "a.slice/p-n.scope"),
        ("a-b.slice:p:n", "p-n.scope", "a.slice/a-b.slice/p-n.scope"),
        ("-.slice:p:n", "p-n.scope", "p-n.scope"),
        (":p:n", "p-n.scope", "system.slice/p-n.scope"),
        ("", "corten-box.scope", "system.slice/corten-box.scope"),
        ("a.slice:p:x-y.slice", "x-y.slice", "x.slice/x-y.slice"),
        ("a.slice:cpu.x:n", "cpu.x-n.scope", "a.slice/_cpu.x-n.scope"),
        ("a.slice:_p:n", "_p-n.scope", "a.slice/__p-n.scope"),
    ] {
        let plan = at(path).unwrap();
        assert_eq!(plan.unit.unwrap().name, unit, "{path}");
        assert_eq!(plan.dirs[0].path, Path::new(dir), "{path}");
    }
}

#[test]
fn other_paths_are_refused() {
    for path in [
        "/a/b",
        "a.slice:n",
        "a.slice:p:n:m",
        "a:p:n",
        "a/b.slice:p:n",
        "a--b.slice:p:n",
        "-a.slice:p:n",
        ".slice:p:n",
        "../x.slice:p:n",
        "a.slice:p:../n",
        "a.slice:p:n/m",
        "a.slice:p:\u{e4}",
        &format!("a.slice:p:{}", "n".repeat(255)),
    ] {
        let error = at(path).unwrap_err();
        assert!(error.hint.is_some() && error.on.contains("cgroupsPath"), "{path}: {error}");
    }
}

#[test]
fn a_users_unit_is_below_the_users_manager() {
    let plan = plan(&user(), json!({"linux": {}})).unwrap();
    let dir = "user.slice/user-1000.slice/user@1000.service/user.slice/corten-box.scope";
    assert_eq!(plan.dirs[0].path, Path::new(dir));
    assert!(plan.unit.unwrap().user);
}

#[test]
fn a_user_has_no_units_on_v1() {
    let mount = PathBuf::from("/sys/fs/cgroup/memory");
    let hierarchy = Hierarchy { controllers: vec!["memory".into()], mount, own: "".into() };
    let cgroup = CgroupLayout { mode: CgroupMode::Legacy, hierarchies: vec![hierarchy] };
    let error = plan(&Host { cgroup, ..user() }, json!({"linux": {}})).unwrap_err();
    assert!(error.to_string().contains("rootless systemd cgroups manager on cgroup v1"));
}

#[test]
fn a_scope_is_delegated_and_accounted() {
    let unit = at("a.slice:p:n").unwrap().unit.unwrap();
    let has =
        |name: &str, value: Value| unit.properties.contains(&Property::new(name.to_owned(), value));
    assert!(has("Delegate", Value::Bool(true)) && has("Slice", Value::text("a.slice")));
    assert!(has("DefaultDependencies", Value::Bool(false)));
    assert!(has("CollectMode", Value::text("inactive-or-failed")));
    assert!(has("Description", Value::text("corten container box")));
    for name in ["MemoryAccounting", "CPUAccounting", "IOAccounting", "TasksAccounting"] {
        assert!(has(name, Value::Bool(true)), "{name}");
    }
    let slice = at("a.slice:p:x.slice").unwrap().unit.unwrap();
    let names: Vec<_> = slice.properties.iter().map(|p| &*p.name).collect();
    assert!(slice.is_slice() && names.contains(&"Wants") && !names.contains(&"Delegate"));
}

#[test]
fn every_resource_that_systemd_knows_is_told() {
    let resources = json!({
        "memory": {"limit": 4096, "reservation": 1024, "swap": 8192},
        "cpu": {"shares": 1024, "quota": 15000, "period": 10000, "cpus": "0-2,9", "mems": "0"},
        "pids": {"limit": 0},
        "blockIO": {"weight": 500,
            "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1000}],
            "throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 7},
                                        {"major": 8, "minor": 16, "rate": 0}]},
        "unified": {"memory.high": "2K", "memory.oom.group": "1"}});
    assert_eq!(
        properties(255, resources),
        [
            "TasksMax=uint64 1",
            "MemorySwapMax=uint64 4096",
            "MemoryMax=uint64 4096",
            "MemoryLow=uint64 1024",
            "AllowedCPUs=[byte 0x07, byte 0x02]",
            "AllowedMemoryNodes=[byte 0x01]",
            "MemoryHigh=uint64 2048",
            "CPUWeight=uint64 100",
            "IOWeight=uint64 4950",
            "IOReadBandwidthMax=[(\"/dev/block/8:0\", uint64 1000)]",
            "IOWriteIOPSMax=[(\"/dev/block/8:0\", uint64 7), \
         (\"/dev/block/8:16\", uint64 18446744073709551615)]",
            "CPUQuotaPeriodUSec=uint64 10000",
            "CPUQuotaPerSecUSec=uint64 1500000",
            "OOMPolicy=\"kill\"",
        ]
    );
}

#[test]
fn unlimited_is_infinity() {
    let resources = json!({"memory": {"limit": -1}, "pids": {"limit": -1}, "cpu": {"quota": -1}});
    assert_eq!(
        properties(255, resources),
        [
            "TasksMax=uint64 18446744073709551615",
            "MemorySwapMax=uint64 18446744073709551615",
            "MemoryMax=uint64 18446744073709551615",
            "CPUQuotaPeriodUSec=uint64 100000",
            "CPUQuotaPerSecUSec=uint64 18446744073709551615",
        ]
    );
}

#[test]
fn a_quota_is_rounded_up_to_percent() {
    let quota = |quota: u64, period: u64| {
        properties(241, json!({"cpu": {"quota": quota, "period": period}})).concat()
    };
    assert_eq!(quota(1001, 100_000), "CPUQuotaPerSecUSec=uint64 20000");
    assert_eq!(quota(1000, 100_000), "CPUQuotaPerSecUSec=uint64 10000");
}

#[test]
fn an_old_systemd_is_not_told_what_it_does_not_know() {
    let resources = json!({"cpu": {"idle": 1, "cpus": "0", "period": 1000},
        "unified": {"memory.oom.group": "1", "memory.zswap.max": "0"}});
    assert_eq!(
        properties(230, resources.clone()),
        ["CPUQuotaPerSecUSec=uint64 18446744073709551615"]
    );
    let new = properties(255, resources).join(" ");
    for name in ["CPUWeight=uint64 0", "AllowedCPUs", "OOMPolicy", "MemoryZSwapMax", "PeriodUSec"] {
        assert!(new.contains(name), "{name}: {new}");
    }
    let unit = plan(&host(230), json!({"linux": {}})).unwrap().unit.unwrap();
    assert!(unit.properties.iter().all(|p| p.name != "CollectMode"));
}

#[test]
fn the_later_word_holds_and_a_strange_one_is_left_to_the_kernel() {
    let resources = json!({"memory": {"limit": 4096}, "unified": {"memory.max": "8192"}});
    assert_eq!(properties(255, resources).last().unwrap(), "MemoryMax=uint64 8192");
    let strange = json!({"unified": {"memory.high": "lots", "cpuset.cpus": "2-1", "cpu.max": "x"}});
    assert_eq!(properties(255, strange), [""; 0]);
}

#[test]
fn systemd_may_allow_more_devices_but_never_fewer() {
    let devices = |version, list: Json| {
        let resources = json!({"resources": {"devices": list}});
        let plan = plan(&host(version), json!({"linux": resources})).unwrap();
        let unit = plan.unit.unwrap();
        let named = unit.properties.iter().filter(|p| p.name.starts_with("Device"));
        named.map(|p| format!("{}={}", p.name, p.value)).collect::<Vec<_>>()
    };
    let strict = devices(
        255,
        json!([{"allow": false, "access": "rwm"},
        {"allow": true, "type": "b", "major": 8, "minor": 0, "access": "r"},
        {"allow": true, "type": "c", "minor": 3, "access": "w"}]),
    );
    assert_eq!(strict[..2], ["DeviceAllow=@a(ss) []", "DevicePolicy=\"strict\""]);
    for entry in [
        "(\"/dev/block/8:0\", \"r\")",
        "(\"char-*\", \"w\")",
        "(\"char-136\", \"rwm\")",
        "(\"/dev/char/1:3\", \"rwm\")",
    ] {
        assert!(strict[2].contains(entry), "{entry}: {}", strict[2]);
    }
    let old = devices(239, json!([]));
    assert!(old[2].contains("(\"char-*\", \"rwm\")") && !old[2].contains("char-136"));
    let open = devices(
        255,
        json!([{"allow": true, "access": "rwm"},
        {"allow": false, "type": "c", "major": 1, "minor": 1, "access": "r"}]),
    );
    assert_eq!(open, ["DeviceAllow=@a(ss) []", "DevicePolicy=\"auto\""]);
}

#[test]
fn annotations_are_properties() {
    let with =
        |annotations: Json| plan(&host(255), json!({"linux": {}, "annotations": annotations}));
    let plan = with(json!({
        "org.systemd.property.TimeoutStopUSec": "uint64 5",
        "org.systemd.property.RuntimeMaxSec": "1.5",
        "org.systemd.property.KillSignal": "15",
        "org.systemd.property.After": "['a.service']",
        "org.systemd.property.CollectMode": "'inactive'",
        "other": "x"}));
    let plan = plan.unwrap();
    assert_eq!(
        told(&plan),
        [
            "After=[\"a.service\"]",
            "KillSignal=15",
            "RuntimeMaxUSec=uint64 1500000",
            "TimeoutStopUSec=uint64 5",
        ]
    );
    let last = plan.unit.unwrap().properties.into_iter().rfind(|p| p.name == "CollectMode");
    assert_eq!(last.unwrap().value, Value::text("inactive"));
    for (name, text) in [
        ("TimeoutStopSec", "'soon'"),
        ("TimeoutStopSec", "-1"),
        ("KillSignal", "fifteen"),
        ("Kill-Signal", "15"),
        ("", "15"),
    ] {
        let error = with(json!({format!("org.systemd.property.{name}"): text})).unwrap_err();
        assert!(error.on.contains(name), "{error}");
    }
}

#[test]
fn v1_has_words_of_its_own() {
    let mount = |name: &str| Hierarchy {
        controllers: vec![name.into()],
        mount: Path::new("/sys/fs/cgroup").join(name),
        own: "own".into(),
    };
    let hierarchies =
        ["memory", "cpu", "pids", "devices", "blkio", "name=systemd"].map(mount).into();
    let cgroup = CgroupLayout { mode: CgroupMode::Legacy, hierarchies };
    let host = Host { cgroup, ..host(247) };
    let plan = plan(
        &host,
        json!({"linux": {"resources": {"memory": {"limit": 4096},
        "cpu": {"shares": 512, "quota": 5000, "period": 10000}, "pids": {"limit": 3},
        "blockIO": {"weight": 100}}}}),
    )
    .unwrap();
    assert_eq!(
        told(&plan),
        [
            "MemoryLimit=uint64 4096",
            "CPUShares=uint64 512",
            "TasksMax=uint64 3",
            "BlockIOWeight=uint64 100",
            "CPUQuotaPeriodUSec=uint64 10000",
            "CPUQuotaPerSecUSec=uint64 500000",
        ]
    );
    assert!(plan.dirs.iter().all(|dir| dir.path == Path::new("system.slice/corten-box.scope")));
}
