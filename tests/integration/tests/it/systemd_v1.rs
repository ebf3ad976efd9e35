//! The systemd driver where the controllers are v1's: systemd makes the unit, and the rest is ours.

use std::fs;
use std::process::Command;
use std::time::Duration;

use harness::{Bundle, Container, cgroup, host::eventually, need};
use serde_json::json;

use crate::rootless::{give, of};

const SLICE: &str = "corten-cit.slice";

fn bundle() -> Bundle {
    let bundle = Bundle::new().global(&["--systemd-cgroup"]).sleeper();
    let path = format!("{SLICE}:cit:{}", bundle.id());
    bundle.set("/linux/cgroupsPath", path)
}

fn unit(c: &Container) -> String {
    format!("cit-{}.scope", c.id())
}

fn dir(c: &Container) -> String {
    format!("/corten.slice/{SLICE}/{}", unit(c))
}

fn systemctl(args: &[&str]) -> String {
    let output = Command::new("systemctl").args(args).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn property(unit: &str, name: &str) -> String {
    systemctl(&["show", "--value", "--property", name, unit])
}

/// The process is in the unit's cgroup of every hierarchy, also those that systemd does not use;
/// so is a further one; and all of it goes with the container.
#[test]
fn a_scope_is_in_every_hierarchy() {
    need!(root, systemd, cgroup_v1, controller("memory"));
    let mut c = bundle().start();
    let everywhere = |text: &str| {
        for name in ["memory", "pids", "devices", "freezer", "cpu,cpuacct", "name=systemd"] {
            let path = text.lines().find_map(|line| line.split_once(&format!(":{name}:")));
            assert_eq!(path.map(|(_, path)| path), Some(&*dir(&c)), "{name}: {text}");
        }
    };
    everywhere(&c.proc("cgroup"));
    everywhere(&c.exec(&[], &["/bin/cat", "/proc/self/cgroup"]).ok().stdout);
    assert_eq!(property(&unit(&c), "ActiveState"), "active");
    let (unit, dir) = (unit(&c), dir(&c));
    c.delete(&["--force"]);
    let gone = || property(&unit, "LoadState") == "not-found";
    assert!(eventually(Duration::from_secs(10), gone), "{}", systemctl(&["status", &unit]));
    for name in ["memory", "pids", "devices", "freezer", "cpu"] {
        assert!(!cgroup::dir(name, &dir).exists(), "{name}");
    }
}

/// Limits are properties and files; an update changes both; a reload changes neither, nor who may
/// use a device.
#[test]
fn limits_and_device_rules_outlive_a_daemon_reload() {
    need!(root, systemd, cgroup_v1, controller("memory"), controller("cpu"), controller("pids"));
    let kmsg =
        json!({ "path": "/dev/denied", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666 });
    let deny = json!({ "allow": false, "type": "c", "major": 1, "minor": 11, "access": "rw" });
    let script = "while [ ! -e /go ]; do sleep 0.1; done; \
        for n in null denied; do (: </dev/$n) 2>/dev/null && echo $n open || echo $n denied; done; \
        echo end";
    let c = bundle()
        .set("/linux/resources/memory", json!({ "limit": 64 << 20, "reservation": 32 << 20 }))
        .set("/linux/resources/cpu", json!({ "shares": 512, "quota": 30_000, "period": 100_000 }))
        .set("/linux/resources/pids", json!({ "limit": 33 }))
        .push("/linux/devices", kmsg)
        .push("/linux/resources/devices", deny)
        .sh(script)
        .start();
    let file = |controller: &str, name: &str| cgroup::read(controller, &dir(&c), name);
    let all = || {
        [
            file("memory", "memory.limit_in_bytes"),
            file("memory", "memory.soft_limit_in_bytes"),
            file("cpu", "cpu.shares"),
            file("cpu", "cpu.cfs_quota_us"),
            file("pids", "pids.max"),
        ]
    };
    let before = all();
    assert_eq!(before, ["67108864", "33554432", "512", "30000", "33"]);
    for (name, value) in [("MemoryLimit", "67108864"), ("CPUShares", "512"), ("TasksMax", "33")] {
        assert_eq!(property(&unit(&c), name), value, "{name}");
    }
    let _ = systemctl(&["daemon-reload"]);
    assert_eq!(all(), before);
    let _ = c.call(&["update", "--memory=48M", "--pids-limit=20", "--cpu-share=1024"]).ok();
    let after = all();
    assert_eq!(after, ["50331648", "33554432", "1024", "30000", "20"]);
    assert_eq!(property(&unit(&c), "MemoryLimit"), "50331648");
    let _ = systemctl(&["daemon-reload"]);
    assert_eq!(all(), after);
    fs::write(c.rootfs("/go"), "").unwrap();
    c.wait_for("end");
    assert_eq!(c.stdout(), "null open\ndenied denied\nend\n");
}

/// Pause is the v1 freezer, which systemd knows nothing of; a paused container is deleted by force.
#[test]
fn a_paused_scope_goes() {
    need!(root, systemd, cgroup_v1, controller("freezer"));
    let mut c = bundle().start();
    let _ = c.call(&["pause"]).ok();
    assert_eq!(c.status(), "paused");
    assert_eq!(cgroup::read("freezer", &dir(&c), "freezer.state"), "FROZEN");
    let _ = c.call(&["resume"]).ok();
    assert_eq!(c.status(), "running");
    let _ = c.call(&["pause"]).ok();
    let unit = unit(&c);
    c.delete(&["--force"]);
    let gone = || property(&unit, "LoadState") == "not-found";
    assert!(eventually(Duration::from_secs(10), gone), "{}", systemctl(&["status", &unit]));
}

/// A slice as the container's unit takes the process too.
#[test]
fn a_slice_holds_the_container() {
    need!(root, systemd, cgroup_v1, controller("pids"));
    let bundle = bundle();
    let name = format!("cit-{}.slice", bundle.id().replace('-', "_"));
    let path = format!("{SLICE}:cit:{name}");
    let mut c = bundle
        .set("/linux/cgroupsPath", path)
        .set("/linux/resources/pids", json!({ "limit": 21 }))
        .start();
    let own = format!("/cit.slice/{name}");
    assert_eq!(cgroup::of(&c.pid().to_string(), "pids"), own);
    assert_eq!(cgroup::read("pids", &own, "pids.max"), "21");
    c.delete(&["--force"]);
    let active = || property(&name, "ActiveState") != "active";
    assert!(eventually(Duration::from_secs(10), active), "{}", systemctl(&["status", &name]));
}

/// A user's manager delegates nothing on v1: said before it is asked.
#[test]
fn users_are_refused() {
    need!(root, systemd, cgroup_v1, user_namespace, file("/usr/local/bin/as-user"));
    let bundle = of(1000).global(&["--systemd-cgroup"]).sleeper().under(&["as-user"]);
    give(&bundle, 1000);
    let output = bundle.runtime().call(&bundle.words("create"));
    let words = output.refused();
    assert!(words.contains("cannot use rootless systemd cgroups manager on cgroup v1"), "{words}");
}
