//! The systemd driver's units: their slices, and properties from annotations.

use std::time::Duration;

use harness::{cgroup, host::eventually, need};
use serde_json::json;

use crate::systemd::{SLICE, assert_gone, bundle, property, systemctl, unit};

/// The slice may be any: the root of all, the users', one below others.
#[test]
fn a_scope_is_in_the_slice_that_is_named() {
    need!(root, systemd, cgroup_v2);
    for (slice, path) in [
        ("-.slice", ""),
        ("user.slice", "/user.slice"),
        ("a-b-c.slice", "/a.slice/a-b.slice/a-b-c.slice"),
    ] {
        let bundle = bundle();
        let path = format!("{path}/{}", unit(bundle.id()));
        let name = format!("{slice}:cit:{}", bundle.id());
        let mut c = bundle.set("/linux/cgroupsPath", name).start();
        assert_eq!(cgroup::of(&c.pid().to_string(), ""), path);
        assert_eq!(property(&unit(c.id()), "Slice"), slice);
        c.delete(&["--force"]);
        assert_gone(&unit(c.id()));
    }
}

/// A name that ends in `.slice` makes the container's unit a slice: limited, entered, updated and
/// stopped with the container.
#[test]
fn a_slice_may_be_the_container_s_unit() {
    need!(root, systemd, cgroup_v2, controller("pids"));
    let bundle = bundle();
    let name = format!("cit-{}.slice", bundle.id().replace('-', "_"));
    let mut c = bundle
        .set("/linux/cgroupsPath", format!("{SLICE}:cit:{name}"))
        .set("/linux/resources/pids", json!({ "limit": 21 }))
        .start();
    let own = format!("/cit.slice/{name}");
    assert_eq!(cgroup::of(&c.pid().to_string(), ""), own);
    assert_eq!(
        (property(&name, "TasksMax"), property(&name, "ActiveState")),
        ("21".into(), "active".into())
    );
    let done = c.exec(&[], &["/bin/cat", "/proc/self/cgroup"]).ok();
    assert!(done.stdout.contains(&own), "{done:#?}");
    let _ = c.call(&["update", "--pids-limit=22"]).ok();
    let _ = systemctl(&["daemon-reload"]);
    assert_eq!(cgroup::read("cgroup2", &own, "pids.max"), "22");
    c.delete(&["--force"]);
    let active = || property(&name, "ActiveState") == "active";
    assert!(eventually(Duration::from_secs(10), || !active()), "{}", systemctl(&["status", &name]));
    assert!(!cgroup::dir("cgroup2", &own).exists());
}

/// Annotations are typed as GVariant text is: numbers of a width, booleans, texts, lists.
#[test]
fn annotations_of_every_type_reach_the_unit() {
    need!(root, systemd, cgroup_v2);
    let annotations = json!({
        "org.systemd.property.CPUWeight": "uint64 77",
        "org.systemd.property.MemoryLow": "uint64 1048576",
        "org.systemd.property.TasksMax": "uint64 44",
        "org.systemd.property.RuntimeMaxSec": "3600",
        "org.systemd.property.CollectMode": "'inactive-or-failed'",
        "org.systemd.property.After": "['basic.target', 'sysinit.target']",
        "org.systemd.property.SendSIGHUP": "true",
        "org.systemd.property.KillSignal": "int32 10",
        "org.systemd.property.Description": "'ours'",
        "org.example": "is none",
    });
    let c = bundle().edit(|config| config["annotations"] = annotations).create();
    let unit = unit(c.id());
    for (name, value) in [
        ("CPUWeight", "77"),
        ("MemoryLow", "1048576"),
        ("TasksMax", "44"),
        ("RuntimeMaxUSec", "1h"),
        ("CollectMode", "inactive-or-failed"),
        ("SendSIGHUP", "yes"),
        ("KillSignal", "10"),
        ("Description", "ours"),
    ] {
        assert_eq!(property(&unit, name), value, "{name}");
    }
    let after = property(&unit, "After");
    assert!(after.contains("basic.target") && after.contains("sysinit.target"), "{after}");
}

/// Annotations `org.systemd.property.NAME` are properties; one that systemd does not know is an
/// error that names the unit and systemd's words.
#[test]
fn annotations_are_properties() {
    need!(root, systemd, cgroup_v2);
    let with = |name: &str, text: &str| {
        bundle()
            .edit(|c| c["annotations"] = json!({ format!("org.systemd.property.{name}"): text }))
    };
    let c = with("TimeoutStopSec", "uint32 7").create();
    assert_eq!(property(&unit(c.id()), "TimeoutStopUSec"), "7s");
    let words = with("Nonsense", "true").refused();
    assert!(words.contains(".scope") && words.contains("Nonsense"), "{words}");
    let words = with("TimeoutStopSec", "soon").refused();
    assert!(words.contains("TimeoutStopSec"), "{words}");
}
