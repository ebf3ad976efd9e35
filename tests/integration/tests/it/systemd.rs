//! The systemd cgroup driver, on hosts where systemd is PID 1.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use harness::{Bundle, Container, cgroup, host::eventually, need};
use serde_json::json;

pub(crate) const SLICE: &str = "corten-cit.slice";

pub(crate) fn bundle() -> Bundle {
    let bundle = Bundle::new().global(&["--systemd-cgroup"]).sleeper();
    let path = format!("{SLICE}:cit:{}", bundle.id());
    bundle.set("/linux/cgroupsPath", path)
}

pub(crate) fn unit(id: &str) -> String {
    format!("cit-{id}.scope")
}

fn dir(id: &str) -> String {
    format!("/corten.slice/{SLICE}/{}", unit(id))
}

pub(crate) fn file(c: &Container, name: &str) -> String {
    cgroup::read("cgroup2", &dir(c.id()), name)
}

pub(crate) fn systemctl(args: &[&str]) -> String {
    let output = Command::new("systemctl").args(args).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A property of a unit, as `systemctl show` prints it.
pub(crate) fn property(unit: &str, name: &str) -> String {
    systemctl(&["show", "--value", "--property", name, unit])
}

/// systemd forgets a unit some time after its cgroup is empty.
pub(crate) fn assert_gone(unit: &str) {
    let gone = || property(unit, "LoadState") == "not-found";
    assert!(eventually(Duration::from_secs(10), gone), "{unit}: {}", systemctl(&["status", unit]));
}

/// A further process is in the scope, by no word of systemd's.
#[test]
fn a_further_process_is_in_the_scope() {
    need!(root, systemd, cgroup_v2);
    let c = bundle().start();
    let done = c.exec(&[], &["/bin/sh", "-c", "cat /proc/self/cgroup"]).ok();
    assert!(done.stdout.trim_end().ends_with(&dir(c.id())), "{done:#?}");
}

/// `slice:prefix:name` is a delegated scope that begins with init and goes with the container.
#[test]
fn a_scope_holds_the_container() {
    need!(root, systemd, cgroup_v2);
    let mut c = bundle().start();
    let unit = unit(c.id());
    assert_eq!(cgroup::of(&c.pid().to_string(), ""), dir(c.id()));
    for (name, value) in [
        ("ActiveState", "active"),
        ("Delegate", "yes"),
        ("Slice", SLICE),
        ("MemoryAccounting", "yes"),
        ("DefaultDependencies", "no"),
    ] {
        assert_eq!(property(&unit, name), value, "{name}");
    }
    assert_eq!(property(&unit, "Description"), format!("corten container {}", c.id()));
    c.delete(&["--force"]);
    assert_gone(&unit);
    assert!(!cgroup::dir("cgroup2", &dir(c.id())).exists());
}

/// Without a `cgroupsPath` the scope is called after the container, in `system.slice`.
#[test]
fn the_default_scope_is_in_the_system_slice() {
    need!(root, systemd, cgroup_v2);
    let c = bundle().unset("/linux/cgroupsPath").create();
    let expected = format!("/system.slice/corten-{}.scope", c.id());
    assert_eq!(cgroup::of(&c.pid().to_string(), ""), expected);
}

/// Updates at the same time, and reloads between them, end in one value that file and unit share.
#[test]
fn updates_at_once_agree_with_the_unit() {
    need!(root, systemd, cgroup_v2, controller("memory"), controller("pids"));
    let c = bundle().start();
    std::thread::scope(|scope| {
        for at in 1..=4_u32 {
            let c = &c;
            scope.spawn(move || {
                let memory = format!("--memory={}M", 40 + at);
                let pids = format!("--pids-limit={}", 40 + at);
                let _ = c.call(&["update", &memory, &pids]).ok();
                let _ = systemctl(&["daemon-reload"]);
            });
        }
    });
    let (memory, pids) = (file(&c, "memory.max"), file(&c, "pids.max"));
    assert_eq!(property(&unit(c.id()), "MemoryMax"), memory);
    assert_eq!(property(&unit(c.id()), "TasksMax"), pids);
    assert_eq!(memory, ((pids.parse::<u64>().unwrap()) << 20).to_string(), "one update, whole");
    let _ = systemctl(&["daemon-reload"]);
    assert_eq!((file(&c, "memory.max"), file(&c, "pids.max")), (memory, pids));
}

/// A path in another form is refused before systemd is asked for anything.
#[test]
fn a_path_of_the_other_driver_is_refused() {
    need!(root, systemd, cgroup_v2);
    let words = bundle().set("/linux/cgroupsPath", "/a/b").refused();
    assert!(words.contains("slice:prefix:name"), "{words}");
}

/// Limits are properties of the unit *and* in the files: what systemd says again at a reload, and
/// what it cannot say, are still there afterwards.
#[test]
fn limits_outlive_a_daemon_reload() {
    need!(root, systemd, cgroup_v2, controller("memory"), controller("cpu"), controller("pids"));
    let c = bundle()
        .set("/linux/resources/memory", json!({ "limit": 64 << 20, "reservation": 32 << 20 }))
        .set("/linux/resources/cpu", json!({ "shares": 2048, "quota": 33_300, "period": 100_000 }))
        .set("/linux/resources/pids", json!({ "limit": 33 }))
        .set("/linux/resources/unified", json!({ "cgroup.max.descendants": "7" }))
        .start();
    let unit = unit(c.id());
    for (name, value) in [
        ("MemoryMax", "67108864"),
        ("MemoryLow", "33554432"),
        ("TasksMax", "33"),
        ("CPUQuotaPerSecUSec", "340ms"),
    ] {
        assert_eq!(property(&unit, name), value, "{name}");
    }
    let files =
        ["memory.max", "memory.low", "pids.max", "cpu.max", "cpu.weight", "cgroup.max.descendants"];
    let all = || files.map(|name| file(&c, name));
    let before = all();
    assert_eq!(before[..4], ["67108864", "33554432", "33", "34000 100000"]);
    assert_eq!(before[5], "7");
    let _ = systemctl(&["daemon-reload"]);
    assert_eq!(all(), before);
}

/// A denied device stays denied and an allowed one open, whatever systemd reloads.
#[test]
fn device_rules_outlive_a_daemon_reload() {
    need!(root, systemd, cgroup_v2);
    let kmsg =
        json!({ "path": "/dev/denied", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666 });
    let script = "while [ ! -e /go ]; do sleep 0.1; done; \
        for n in null denied zero; do (: </dev/$n) 2>/dev/null && echo $n open || echo $n denied; done; \
        echo end";
    let deny = json!({ "allow": false, "type": "c", "major": 1, "minor": 11, "access": "rw" });
    let c = bundle()
        .push("/linux/devices", kmsg)
        .push("/linux/resources/devices", deny)
        .sh(script)
        .start();
    let unit = unit(c.id());
    assert_eq!(property(&unit, "DevicePolicy"), "strict");
    assert!(property(&unit, "DeviceAllow").contains("/dev/char/1:3 rwm"));
    let _ = systemctl(&["daemon-reload"]);
    fs::write(c.rootfs("/go"), "").unwrap();
    c.wait_for("end");
    assert_eq!(c.stdout(), "null open\ndenied denied\nzero open\nend\n");
}

/// `update` needs no flag to find the unit, and changes it together with the files.
#[test]
fn update_changes_unit_and_files() {
    need!(root, systemd, cgroup_v2, controller("memory"), controller("cpu"));
    let c = bundle().start();
    let words = ["update", "--memory", "50M", "--pids-limit", "20", "--cpu-quota", "25000", c.id()];
    let _ = c.runtime().call(&words).ok();
    for (name, value) in
        [("MemoryMax", "52428800"), ("TasksMax", "20"), ("CPUQuotaPerSecUSec", "250ms")]
    {
        assert_eq!(property(&unit(c.id()), name), value, "{name}");
    }
    for _ in 0..2 {
        let now = ["memory.max", "pids.max", "cpu.max"].map(|name| file(&c, name));
        assert_eq!(now, ["52428800", "20", "25000 100000"]);
        let _ = systemctl(&["daemon-reload"]);
    }
}

/// An update that fails after systemd was told leaves the unit with its old values, too.
#[test]
fn an_update_that_fails_is_undone_in_the_unit() {
    need!(root, systemd, cgroup_v2, controller("memory"), controller("cpu"));
    let limits = json!({"limit": 32 << 20, "swap": 32 << 20});
    let c = bundle().set("/linux/resources/memory", limits).start();
    let names = ["MemoryMax", "TasksMax", "CPUQuotaPerSecUSec", "CPUWeight"];
    let before = names.map(|name| property(&unit(c.id()), name));
    // The new state cannot be written.
    fs::create_dir(c.place().root().join(c.id()).join(".state.json.tmp")).unwrap();
    let words = ["update", "--memory=40M", "--memory-swap=48M", "--pids-limit=9", c.id()];
    let message = c.runtime().call(&words).refused();
    assert!(message.contains("state.json"), "{message}");
    assert_eq!(names.map(|name| property(&unit(c.id()), name)), before);
    assert_eq!(file(&c, "memory.max"), (32 << 20).to_string());
}

/// A unit that is there already is another's: the refusal names it and leaves it alone.
#[test]
fn a_unit_of_another_is_left_alone() {
    need!(root, systemd, cgroup_v2);
    let first = bundle().start();
    let second = Bundle::at(first.place(), "-second").global(&["--systemd-cgroup"]).sleeper();
    let path = format!("{SLICE}:cit:{}", first.id());
    let second = second.set("/linux/cgroupsPath", path);
    second.write();
    let words = second.runtime().call(&second.words("create")).refused();
    assert!(words.contains(&unit(first.id())), "{words}");
    let _ = second.runtime().call(&["delete", "--force", second.id()]).ok();
    assert_eq!(first.status(), "running");
    assert_eq!(property(&unit(first.id()), "ActiveState"), "active");
}

/// A container that the OOM killer ended leaves no failed unit, even before it is deleted.
#[test]
fn a_killed_container_leaves_no_failed_unit() {
    need!(root, systemd, cgroup_v2, controller("memory"));
    let mut c = bundle()
        .set("/linux/resources/memory", json!({ "limit": 12 << 20, "swap": 12 << 20 }))
        .set("/linux/resources/unified", json!({ "memory.oom.group": "1" }))
        .sh("exec busybox tail /dev/zero")
        .start();
    c.wait();
    assert_gone(&unit(c.id()));
    c.delete(&[]);
}

/// A container can be created again at once under the same name.
#[test]
fn a_name_is_free_after_delete() {
    need!(root, systemd, cgroup_v2);
    let bundle = bundle();
    bundle.write();
    for _ in 0..3 {
        let _ = bundle.runtime().call(&bundle.words("create")).ok();
        let _ = bundle.runtime().call(&["delete", "--force", bundle.id()]).ok();
    }
    assert_gone(&unit(bundle.id()));
}

/// Many at once: none fails, and no unit, cgroup or process is left.
#[test]
fn many_at_once_leave_no_unit() {
    need!(root, systemd, cgroup_v2);
    let count: usize =
        std::env::var("CORTEN_TEST_MANY").ok().and_then(|n| n.parse().ok()).unwrap_or(16);
    let first = bundle();
    let bundles: Vec<_> = (0..count)
        .map(|number| {
            let bundle = Bundle::at(first.place(), &format!("-{number}"));
            let path = format!("{SLICE}:cit:{}", bundle.id());
            bundle.global(&["--systemd-cgroup"]).sleeper().set("/linux/cgroupsPath", path)
        })
        .collect();
    let each = |work: &(dyn Fn(&Bundle) + Sync)| {
        std::thread::scope(|scope| {
            for some in bundles.chunks(count.div_ceil(8)) {
                scope.spawn(move || some.iter().for_each(work));
            }
        });
    };
    each(&|bundle| {
        bundle.write();
        let _ = bundle.runtime().call(&bundle.words("create")).ok();
        let _ = bundle.runtime().call(&["start", bundle.id()]).ok();
    });
    each(&|bundle| drop(bundle.runtime().call(&["delete", "--force", bundle.id()]).ok()));
    let left = || systemctl(&["list-units", "--all", "--plain", "--no-legend", "cit-*"]);
    let gone = || !left().contains(first.id());
    assert!(eventually(Duration::from_secs(20), gone), "{}", left());
}

/// The user's own manager makes the scope of a rootless container, with its limits.
#[test]
fn a_user_has_scopes_of_its_own() {
    need!(root, systemd, cgroup_v2, controller("memory"), user_namespace);
    if !Path::new("/usr/local/bin/as-user").exists() {
        return need::skip("systemd::a_user_has_scopes_of_its_own", "as-user", "no user to be");
    }
    let bundle = bundle();
    let path = format!("user.slice:cit:{}", bundle.id());
    let ids = |id: u32| json!([{ "containerID": 0, "hostID": id, "size": 1 }]);
    let bundle = bundle
        .edit(|c| c["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "user" })))
        .set("/linux/uidMappings", ids(1000))
        .set("/linux/gidMappings", ids(1000))
        .set("/linux/cgroupsPath", path)
        .edit(|c| {
            // What an ordinary user may not mount or give away.
            c["mounts"]
                .as_array_mut()
                .unwrap()
                .retain(|m| m["type"] != "devpts" && m["type"] != "mqueue" && m["type"] != "sysfs");
        })
        .set("/linux/resources/memory", json!({ "limit": 64 << 20 }))
        .under(&["as-user"]);
    bundle.write();
    let place = bundle.place();
    let chown = Command::new("chown").args(["-R", "1000:1000"]).arg(place.dir()).status();
    assert!(chown.is_ok_and(|status| status.success()));
    let _ = bundle.runtime().call(&bundle.words("create")).ok();
    let pid = bundle.runtime().call(&["state", bundle.id()]).ok().json()["pid"].to_string();
    let path = cgroup::of(&pid, "");
    let under = "/user.slice/user-1000.slice/user@1000.service/user.slice/cit-";
    assert!(path.starts_with(under), "{path}");
    assert_eq!(cgroup::read("cgroup2", &path, "memory.max"), (64 << 20).to_string());
    let _ = bundle.runtime().call(&["delete", "--force", bundle.id()]).ok();
}
