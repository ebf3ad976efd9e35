//! Tests of the plan; the words are in [`words`].
#![expect(clippy::needless_pass_by_value, reason = "json!() reads best in place")]

mod words;

use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::host::CgroupLayout;
use crate::host::cgroup::Hierarchy;

/// A v1 host with everything mounted, `cpu` and `cpuacct` together, us in `/own`.
fn legacy(hybrid: bool) -> Host {
    let mount = |controllers: &[&str], dir: &str| Hierarchy {
        controllers: controllers.iter().map(ToString::to_string).collect(),
        mount: Path::new("/sys/fs/cgroup").join(dir),
        own: "own".into(),
    };
    let mut hierarchies =
        vec![mount(&["cpu", "cpuacct"], "cpu,cpuacct"), mount(&["name=systemd"], "systemd")];
    for one in [
        "cpuset", "memory", "devices", "freezer", "blkio", "pids", "hugetlb", "net_cls",
        "net_prio", "rdma",
    ] {
        hierarchies.push(mount(&[one], one));
    }
    let mode = if hybrid { CgroupMode::Hybrid } else { CgroupMode::Legacy };
    if hybrid {
        hierarchies.push(mount(&[], "unified"));
    }
    Host { cgroup: CgroupLayout { mode, hierarchies }, ..Host::ideal() }
}

fn unified() -> Host {
    let hierarchy =
        Hierarchy { controllers: vec![], mount: "/sys/fs/cgroup".into(), own: "a/b".into() };
    let cgroup = CgroupLayout { mode: CgroupMode::Unified, hierarchies: vec![hierarchy] };
    Host { cgroup, ..Host::ideal() }
}

fn spec(linux: Value) -> Spec {
    let config = json!({"ociVersion": "1.3.0", "linux": linux});
    Spec::parse(Path::new("config.json"), config.to_string().as_bytes()).unwrap()
}

fn plan(host: &Host, linux: Value) -> Result<CgroupPlan> {
    build(&spec(linux), host, &Options { id: "box".into(), ..Options::default() })
}

/// `file=value` of every word.
fn words(host: &Host, resources: Value) -> Vec<String> {
    let plan = plan(host, json!({"resources": resources})).unwrap();
    plan.writes
        .iter()
        .map(|write| {
            let dir = &plan.dirs[write.dir];
            assert!(dir.is_v2() || dir.controllers.iter().any(|c| *c == write.controller));
            format!("{}={}", write.file, write.value)
        })
        .collect()
}

fn refusal(host: &Host, resources: Value) -> String {
    plan(host, json!({"resources": resources})).unwrap_err().to_string()
}

#[test]
fn place_follows_the_rules_of_runc() {
    let at = |host: &Host, path: Value| {
        let plan = plan(host, json!({"cgroupsPath": path})).unwrap();
        let dir = |d: &DirPlan| d.host_dir().to_str().unwrap().to_owned();
        (dir(&plan.dirs[0]), dir(plan.dirs.last().unwrap()))
    };
    let v1 = legacy(true);
    for (path, cpu, v2) in [
        (json!("/x/y"), "cpu,cpuacct/x/y", "unified/x/y"),
        (json!("x/../../../y"), "cpu,cpuacct/own/y", "unified/y"),
        (json!("/../../etc/./z//"), "cpu,cpuacct/etc/z", "unified/etc/z"),
        (json!(null), "cpu,cpuacct/own/box", "unified/box"),
        (json!(".."), "cpu,cpuacct/own/box", "unified/box"),
        (
            json!("sys.slice:docker:1"),
            "cpu,cpuacct/own/sys.slice:docker:1",
            "unified/sys.slice:docker:1",
        ),
    ] {
        let (first, last) = at(&v1, path);
        assert_eq!(first, format!("/sys/fs/cgroup/{cpu}"));
        assert_eq!(last, format!("/sys/fs/cgroup/{v2}"));
    }
    assert_eq!(at(&unified(), json!("/x")).0, "/sys/fs/cgroup/x");
    assert_eq!(at(&unified(), json!("x")).0, "/sys/fs/cgroup/a/x");
    assert_eq!(at(&unified(), json!("")).0, "/sys/fs/cgroup/a/box");
}

#[test]
fn root_of_the_hierarchy_is_no_place() {
    for path in ["/", "/..", "//a/../"] {
        let error = plan(&unified(), json!({"cgroupsPath": path})).unwrap_err().to_string();
        assert!(error.contains("cannot live in the root"), "{error}");
    }
    assert!(plan(&unified(), json!({"cgroupsPath": "a\nb"})).is_err());
}

#[test]
fn facts_for_the_mounts_inside() {
    let plan = plan(&legacy(false), json!({})).unwrap();
    let cpu = &plan.dirs[0];
    assert_eq!(cpu.mount_name(), "cpu,cpuacct");
    assert_eq!(cpu.links().collect::<Vec<_>>(), ["cpu", "cpuacct"]);
    assert_eq!(cpu.mount_data(), "cpu,cpuacct");
    let systemd = &plan.dirs[1];
    assert_eq!((systemd.mount_name(), systemd.links().count()), ("systemd".into(), 0));
    assert_eq!(systemd.mount_data(), "none,name=systemd");
}

#[test]
fn controller_that_is_not_mounted_is_named() {
    let mut host = legacy(true);
    host.cgroup.hierarchies.retain(|h| !h.controllers.iter().any(|c| c == "pids"));
    assert_eq!(
        refusal(&host, json!({"pids": {"limit": 3}})),
        "cgroup linux.resources.pids.limit: cannot set pids limit: \
         the controller is not mounted (cgroup v1)"
    );
    let hint = |host: &Host| {
        let error = plan(host, json!({"resources": {"pids": {"limit": 3}}})).unwrap_err();
        error.hint.unwrap().to_string()
    };
    assert!(hint(&host).contains("unified_cgroup_hierarchy=1"), "{}", hint(&host));
    let mut legacy = host.clone();
    legacy.cgroup.hierarchies.retain(|h| !h.is_v2());
    assert!(!hint(&legacy).contains("v2"), "{}", hint(&legacy));
    host.cgroup.hierarchies.retain(|h| !h.controllers.iter().any(|c| c == "devices"));
    assert!(refusal(&host, json!({})).contains("devices"));
    assert!(plan(&Host { euid: 1000, ..host }, json!({})).is_ok());
}

#[test]
fn host_without_cgroups_is_an_error_for_root() {
    let host = Host { cgroup: CgroupLayout::default(), ..Host::ideal() };
    let user = Host { euid: 1000, ..host.clone() };
    let error = plan(&host, json!({})).unwrap_err();
    assert!(error.to_string().contains("no cgroup file system"));
    assert!(error.hint.unwrap().contains("mount -t cgroup2"));
    assert!(plan(&user, json!({})).unwrap().dirs.is_empty());
    // Empty objects and zeros ask for nothing.
    assert!(plan(&user, json!({"resources": {"memory": {}, "blockIO": {"weight": 0}}})).is_ok());
    assert!(plan(&user, json!({"cgroupsPath": "/x"})).is_err());
    let error = refusal(&user, json!({"memory": {"limit": 9}}));
    assert!(error.contains("linux.resources.memory.limit: cannot be limited"), "{error}");
}

#[test]
fn disabled_driver_makes_nothing() {
    let options =
        Options { id: "box".into(), cgroup_driver: CgroupDriver::Disabled, ..Options::default() };
    let plan = build(&spec(json!({"cgroupsPath": "/x"})), &unified(), &options).unwrap();
    assert_eq!(plan, CgroupPlan::default());
    let limited = spec(json!({"resources": {"pids": {"limit": 1}}}));
    assert!(build(&limited, &unified(), &options).is_err());
}

#[test]
fn only_rootless_without_a_path_is_forgiving() {
    let user = Host { euid: 1000, ..unified() };
    assert!(plan(&user, json!({})).unwrap().forgiving);
    assert!(!plan(&user, json!({"cgroupsPath": "/x"})).unwrap().forgiving);
    assert!(!plan(&unified(), json!({})).unwrap().forgiving);
}

#[test]
fn device_program_is_needed_unless_rules_only_allow() {
    let device = |rules: Value| plan(&unified(), json!({"resources": {"devices": rules}})).unwrap();
    let Some(DevicePlan::Program { program: Some(_), only_allows: false }) =
        device(json!([{"allow": false, "access": "rwm"}])).devices
    else {
        panic!("denies")
    };
    let Some(DevicePlan::Program { program: None, only_allows: true }) =
        device(json!([{"allow": true, "access": "rwm"}])).devices
    else {
        panic!("allows all")
    };
    let Some(DevicePlan::Program { program: Some(_), only_allows: true }) =
        device(json!([])).devices
    else {
        panic!("default devices")
    };
    let Some(DevicePlan::List { dir: 4, .. }) = plan(&legacy(false), json!({})).unwrap().devices
    else {
        panic!("v1 list")
    };
}

#[test]
fn cgroup_belongs_to_the_container_that_may_write_it() {
    let owner = |namespaces: Value, options: Value, uid: u32| {
        let config = json!({"ociVersion": "1.3.0",
            "process": {"cwd": "/", "user": {"uid": uid, "gid": 0}},
            "mounts": [{"destination": "/sys/fs/cgroup/", "type": "cgroup", "source": "cgroup",
                "options": options}],
            "linux": {"namespaces": namespaces,
                "uidMappings": [{"containerID": 0, "hostID": 100_000, "size": 10}]}});
        let spec = Spec::parse(Path::new("c"), config.to_string().as_bytes()).unwrap();
        build(&spec, &unified(), &Options { id: "x".into(), ..Options::default() }).unwrap().owner
    };
    let both = json!([{"type": "cgroup"}, {"type": "user"}]);
    assert_eq!(owner(both.clone(), json!(["rw"]), 5), Some(100_005));
    assert_eq!(owner(both.clone(), json!(["nosuid", "ro"]), 5), None);
    assert_eq!(owner(both, json!([]), 10), None);
    assert_eq!(owner(json!([{"type": "cgroup"}]), json!([]), 7), Some(7));
    assert_eq!(owner(json!([{"type": "user"}]), json!([]), 0), None);
    assert_eq!(owner(json!([{"type": "cgroup", "path": "/x"}]), json!([]), 0), None);
    let joined = json!([{"type": "cgroup"}, {"type": "user", "path": "/proc/1/ns/user"}]);
    assert_eq!(owner(joined, json!([]), 0), None);
}

#[test]
fn plan_prints_itself() {
    let plan = plan(&unified(), json!({"resources": {"pids": {"limit": 3}}})).unwrap();
    let text = serde_json::to_value(&plan).unwrap();
    assert_eq!(text["mode"], "unified");
    assert_eq!(text["writes"][0]["file"], "pids.max");
    assert!(text["devices"]["program"]["program"].as_array().unwrap().len() > 2);
}
