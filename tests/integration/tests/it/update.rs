//! `update`: new limits are in their files at once, all of them or none.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use harness::{Bundle, Container, Output, cgroup, need};
use serde_json::{Value, json};

fn with(resources: Value) -> Container {
    Bundle::new().set("/linux/resources", resources).sleeper().start()
}

fn read(c: &Container, file: &str) -> String {
    let controller =
        if need::cgroup_v1().is_ok() { file.split('.').next().unwrap() } else { "cgroup2" };
    let controller = if controller == "cgroup" { "cgroup2" } else { controller };
    cgroup::read(controller, &format!("/corten-{}", c.id()), file)
}

fn update(c: &Container, flags: &[&str]) -> Output {
    let mut words = vec!["update"];
    words.extend(flags);
    c.call(&words)
}

/// `update --resources FILE`.
fn update_by(c: &Container, resources: &Value) -> Output {
    let file = c.place().path("limits.json");
    fs::write(&file, resources.to_string()).unwrap();
    update(c, &["--resources", file.to_str().unwrap()])
}

fn start_values() -> Value {
    json!({
        "memory": {"limit": 32 << 20, "reservation": 24 << 20},
        "cpu": {"shares": 100, "quota": 500_000, "period": 1_000_000},
        "pids": {"limit": 20},
    })
}

/// Each flag changes its file and no other.
#[test]
fn each_flag_changes_its_file() {
    need!(root, cgroup_v1, controller("cpuset"));
    let c = with(start_values());
    for (flag, value, file, wanted) in [
        ("--memory", "67108864", "memory.limit_in_bytes", "67108864"),
        ("--memory", "50M", "memory.limit_in_bytes", "52428800"),
        ("--memory-reservation", "33554432", "memory.soft_limit_in_bytes", "33554432"),
        ("--memory-swap", "96468992", "memory.memsw.limit_in_bytes", "96468992"),
        ("--cpu-period", "900000", "cpu.cfs_period_us", "900000"),
        ("--cpu-quota", "600000", "cpu.cfs_quota_us", "600000"),
        ("--cpu-burst", "100000", "cpu.cfs_burst_us", "100000"),
        ("--cpu-share", "200", "cpu.shares", "200"),
        ("--cpuset-cpus", "0", "cpuset.cpus", "0"),
        ("--cpuset-mems", "0", "cpuset.mems", "0"),
        ("--pids-limit", "10", "pids.max", "10"),
        ("--pids-limit", "-1", "pids.max", "max"),
        ("--pids-limit", "0", "pids.max", "1"),
    ] {
        let _ = update(&c, &[flag, value]).ok();
        assert_eq!(read(&c, file), wanted, "{flag} {value}");
    }
    assert_eq!(read(&c, "cpu.cfs_quota_us"), "600000");
    assert_eq!(read(&c, "memory.limit_in_bytes"), "52428800");
    let _ = update(&c, &["--cpu-burst", "0", "--cpu-quota", "-1"]).ok();
    assert_eq!(read(&c, "cpu.cfs_quota_us"), "-1");
    assert_eq!(read(&c, "cpu.cfs_period_us"), "900000");
    assert_eq!(c.status(), "running");
}

/// The same on v2, where some flags share a file: what is not named is kept.
#[test]
fn each_flag_changes_its_file_on_v2() {
    need!(root, cgroup_v2, controller("memory"), controller("cpu"), controller("pids"));
    let c = with(start_values());
    for (flag, value, file, wanted) in [
        ("--memory", "50M", "memory.max", "52428800"),
        ("--memory-reservation", "33554432", "memory.low", "33554432"),
        ("--cpu-period", "900000", "cpu.max", "500000 900000"),
        ("--cpu-quota", "600000", "cpu.max", "600000 900000"),
        ("--cpu-quota", "-1", "cpu.max", "max 900000"),
        ("--cpu-period", "100000", "cpu.max", "max 100000"),
        ("--cpu-share", "1024", "cpu.weight", "100"),
        ("--pids-limit", "10", "pids.max", "10"),
        ("--pids-limit", "-1", "pids.max", "max"),
        ("--memory", "-1", "memory.max", "max"),
    ] {
        let _ = update(&c, &[flag, value]).ok();
        assert_eq!(read(&c, file), wanted, "{flag} {value}");
    }
    let by = json!({"unified": {"cpu.max": "70000 90000", "pids.max": "5"}});
    let _ = update_by(&c, &by).ok();
    assert_eq!(read(&c, "cpu.max"), "70000 90000");
    assert_eq!(read(&c, "pids.max"), "5");
    assert_eq!(c.status(), "running");
}

/// v2 keeps swap apart: what was asked for is the total, and an update of memory alone keeps it.
#[test]
fn swap_on_v2_is_what_the_total_leaves() {
    need!(root, cgroup_v2, controller("memory"));
    let c = with(json!({"memory": {"limit": 32 << 20}}));
    if !cgroup::dir("cgroup2", &format!("/corten-{}", c.id())).join("memory.swap.max").exists() {
        return need::skip("update::swap_on_v2_is_what_the_total_leaves", "swap", "not accounted");
    }
    let is = |memory: u64, swap: &str| {
        assert_eq!(read(&c, "memory.max"), (memory << 20).to_string());
        assert_eq!(read(&c, "memory.swap.max"), swap);
    };
    is(32, "max");
    let mega = |size: u64| (size << 20).to_string();
    let _ = update(&c, &["--memory-swap", "48M"]).ok();
    is(32, &mega(16));
    let _ = update(&c, &["--memory", "40M"]).ok();
    is(40, &mega(8));
    let message = update(&c, &["--memory", "64M"]).refused();
    assert!(message.contains("memory+swap limit should be >= memory limit"), "{message}");
    is(40, &mega(8));
    let _ = update(&c, &["--memory", "60M", "--memory-swap", "80M"]).ok();
    is(60, &mega(20));
    let _ = update(&c, &["--memory-swap", "-1"]).ok();
    is(60, "max");
    let _ = update(&c, &["--memory", "20M"]).ok();
    is(20, "max");
}

/// `checkBeforeUpdate`: v2 would kill where v1 refuses.
#[test]
fn usage_is_checked_before_an_update_on_v2() {
    need!(root, cgroup_v2, controller("memory"), controller("pids"));
    let c = with(start_values());
    for (memory, words) in [
        (json!({"limit": 1024, "checkBeforeUpdate": true}), "rejecting memory limit"),
        (json!({"limit": 1024, "swap": 2048, "checkBeforeUpdate": true}), "rejecting memory+swap"),
    ] {
        let message = update_by(&c, &json!({"memory": memory, "pids": {"limit": 3}})).refused();
        assert!(message.contains(words), "{message}");
    }
    assert_eq!(read(&c, "memory.max"), (32 << 20).to_string());
    assert_eq!(read(&c, "pids.max"), "20");
    assert_eq!(c.status(), "running");
}

/// `--cpu-idle`: 0 and 1 only; another update leaves it alone.
#[test]
fn cpu_idle_is_switched() {
    need!(root, cgroup_v1, v1_file(("cpu", "cpu.stat")));
    let c = with(start_values());
    for value in ["1", "0", "1"] {
        let _ = update(&c, &["--cpu-idle", value]).ok();
        assert_eq!(read(&c, "cpu.idle"), value);
    }
    let _ = update(&c, &["--cpu-idle", "2"]).refused();
    let _ = update(&c, &["--cpu-period", "10000"]).ok();
    assert_eq!(read(&c, "cpu.idle"), "1");
}

/// Memory and memory+swap are raised and lowered together, in the order that the kernel takes.
#[test]
fn memory_and_swap_move_together() {
    need!(root, cgroup_v1);
    let c = with(json!({"memory": {"limit": 32 << 20, "swap": 64 << 20}}));
    for (memory, swap) in [(128, 256), (30, 50), (60, 80), (60, 60)] {
        let flags = [format!("--memory={memory}M"), format!("--memory-swap={swap}m")];
        let _ = update(&c, &[&flags[0], &flags[1]]).ok();
        assert_eq!(read(&c, "memory.limit_in_bytes"), (memory << 20).to_string());
        assert_eq!(read(&c, "memory.memsw.limit_in_bytes"), (swap << 20).to_string());
    }
    let _ = update(&c, &["--memory", "-1"]).ok();
    assert!(read(&c, "memory.limit_in_bytes").len() > 15);
    assert!(read(&c, "memory.memsw.limit_in_bytes").len() > 15);
}

/// Less memory than is in use is refused with the numbers, and nothing changes.
#[test]
fn memory_below_the_usage_is_refused() {
    need!(root, cgroup_v1);
    let c = Bundle::new()
        .set("/linux/resources", json!({"memory": {"limit": 64 << 20}, "pids": {"limit": 20}}))
        .sh("head -c 20000000 /dev/zero | tail -c 20000000 > /dev/shm/x; echo full; sleep 1000")
        .start();
    c.wait_for("full");
    let _ = update(&c, &["--memory-swap", "64M"]).ok();
    let message = update(&c, &["--memory", "1M", "--pids-limit", "7"]).refused();
    assert!(message.contains("unable to set memory limit to 1048576 (current usage:"), "{message}");
    assert_eq!(read(&c, "memory.limit_in_bytes"), (64 << 20).to_string());
    assert_eq!(read(&c, "pids.max"), "20");
    assert_eq!(c.status(), "running");
}

/// When a late write fails, the limits that were written before it are the old ones again.
#[test]
fn a_late_failure_puts_everything_back() {
    need!(root, cgroup_v1, controller("cpuset"));
    let c = with(start_values());
    let files = [
        "memory.limit_in_bytes",
        "memory.soft_limit_in_bytes",
        "memory.memsw.limit_in_bytes",
        "cpuset.cpus",
        "cpu.shares",
        "cpu.cfs_quota_us",
        "cpu.cfs_period_us",
        "pids.max",
    ];
    let before = files.map(|file| read(&c, file));
    // The throttled device does not exist; blkio is written last.
    let message = update_by(
        &c,
        &json!({
            "memory": {"limit": 64 << 20, "reservation": 8 << 20, "swap": 96 << 20},
            "cpu": {"shares": 512, "quota": 50_000, "period": 100_000, "cpus": "0"},
            "pids": {"limit": 7},
            "blockIO": {"throttleReadBpsDevice": [{"major": 4095, "minor": 3, "rate": 1}]},
        }),
    )
    .refused();
    assert!(message.contains("throttleReadBpsDevice"), "{message}");
    assert_eq!(files.map(|file| read(&c, file)), before);
    // And the same without that device works.
    let _ = update_by(&c, &json!({"memory": {"limit": 64 << 20}, "pids": {"limit": 7}})).ok();
    assert_eq!(read(&c, "pids.max"), "7");
}

/// The same on v2, by the files that every cgroup has.
#[test]
fn a_late_failure_puts_everything_back_on_v2() {
    need!(root, cgroup_v2);
    let c = with(json!({"unified": {"cgroup.max.depth": "9"}}));
    let message = update_by(
        &c,
        &json!({"unified": {
            "cgroup.max.depth": "3", "cgroup.max.descendants": "4", "moon.max": "1",
        }}),
    )
    .refused();
    assert!(message.contains("moon"), "{message}");
    assert_eq!(read(&c, "cgroup.max.depth"), "9");
    assert_eq!(read(&c, "cgroup.max.descendants"), "max");
    let _ = update_by(&c, &json!({"unified": {"cgroup.max.depth": "3"}})).ok();
    assert_eq!(read(&c, "cgroup.max.depth"), "3");
}

/// And by those of the controllers.
#[test]
fn a_late_failure_puts_the_controllers_back_on_v2() {
    need!(root, cgroup_v2, controller("memory"), controller("cpu"), controller("pids"));
    let c = with(start_values());
    let files = ["memory.max", "memory.low", "cpu.max", "cpu.weight", "pids.max"];
    let before = files.map(|file| read(&c, file));
    let message = update_by(
        &c,
        &json!({
            "memory": {"limit": 64 << 20, "reservation": 8 << 20},
            "cpu": {"shares": 512, "quota": 50_000, "period": 100_000},
            "pids": {"limit": 7},
            "unified": {"moon.max": "1"},
        }),
    )
    .refused();
    assert!(message.contains("moon"), "{message}");
    assert_eq!(files.map(|file| read(&c, file)), before);
}

/// A state that cannot be written is a failed update: the limits are the old ones.
#[test]
fn an_update_that_cannot_be_recorded_is_undone() {
    need!(root, cgroup_v1);
    let c = with(json!({"memory": {"limit": 32 << 20, "swap": 64 << 20}}));
    let blocker = c.place().root().join(c.id()).join(".state.json.tmp");
    fs::create_dir(&blocker).unwrap();
    let message = update(&c, &["--memory", "48M", "--memory-swap", "96M"]).refused();
    assert!(message.contains("state.json"), "{message}");
    assert_eq!(read(&c, "memory.limit_in_bytes"), (32 << 20).to_string());
    assert_eq!(read(&c, "memory.memsw.limit_in_bytes"), (64 << 20).to_string());
    fs::remove_dir(&blocker).unwrap();
}

/// `--resources -` reads standard input; names of members in any case, as Go takes them.
#[test]
fn resources_come_from_standard_input() {
    need!(root, controller("pids"));
    let c = with(start_values());
    let mut command = c.runtime().command(&["update", "-r", "-", c.id()]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(br#"{"PIDs": {"Limit": 13}}"#).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(read(&c, "pids.max"), "13");
}

/// Flags beside `--resources` would be passed over by runc: here they are refused.
#[test]
fn nothing_is_passed_over() {
    need!(root);
    let c = Bundle::new().sleeper().start();
    let file = c.place().path("limits.json");
    fs::write(&file, "{}").unwrap();
    let file = file.to_str().unwrap();
    let message = update(&c, &["--resources", file, "--pids-limit", "5"]).refused();
    assert!(message.contains("cannot be combined"), "{message}");
    fs::write(file, "{\"pids\": {\"limit\": \"many\"}}").unwrap();
    let message = update(&c, &["--resources", file]).refused();
    assert!(message.contains("pids.limit: wrong type"), "{message}");
    let message = update(&c, &["--resources", "/nowhere"]).refused();
    assert!(message.contains("no such file"), "{message}");
    let message = update(&c, &["--memory", "lots"]).refused();
    assert_eq!(message, "invalid value for memory: \"lots\"");
    let message = update(&c, &["--l3-cache-schema", "L3:0=f"]).refused();
    assert!(message.starts_with("Intel RDT/CAT: l3 cache schema is not enabled"), "{message}");
    let message = update(&c, &["--mem-bw-schema", "MB:0=50"]).refused();
    assert!(message.starts_with("Intel RDT/MBA: memory bandwidth schema is not enabled"));
}

/// What this host cannot limit is an error that names the field.
#[test]
fn a_limit_without_a_place_is_refused() {
    need!(root);
    let c = Bundle::new().sleeper().start();
    if need::controller("net_cls").is_err() {
        let message = update_by(&c, &json!({"network": {"classID": 7}})).refused();
        assert!(message.contains("linux.resources.network"), "{message}");
    }
    if need::cgroup_v2().is_ok() {
        let message = update(&c, &["--cpu-rt-runtime", "5000"]).refused();
        assert!(message.contains("realtimeRuntime"), "{message}");
    } else {
        let message = update_by(&c, &json!({"unified": {"pids.max": "7"}})).refused();
        assert!(message.contains("cannot use unified on cgroup v1"), "{message}");
    }
}

/// Device rules stay as they are; who sends the whole `resources` of a bundle is told so.
#[test]
fn device_rules_are_left_alone() {
    need!(root, cgroup_v1);
    let c = with(start_values());
    let before = read(&c, "devices.list");
    let resources = json!({"devices": [{"allow": false, "access": "rwm"}], "pids": {"limit": 30}});
    let file = c.place().path("limits.json");
    fs::write(&file, resources.to_string()).unwrap();
    let mut command = c.runtime().command(&["update", "-r", file.to_str().unwrap(), c.id()]);
    let output = command.output().unwrap();
    assert!(output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("leaves the device rules as they are"), "{told}");
    assert_eq!(read(&c, "devices.list"), before);
    assert_eq!(read(&c, "pids.max"), "30");
}

/// Created and paused containers are updated and stay what they are; stopped ones are not.
#[test]
fn created_and_paused_containers_are_updated() {
    need!(root, controller("pids"));
    let c = Bundle::new().sleeper().create();
    let _ = update(&c, &["--pids-limit", "31"]).ok();
    assert_eq!((read(&c, "pids.max"), c.status()), ("31".to_owned(), "created".to_owned()));
    c.start();
    let _ = c.call(&["pause"]).ok();
    let _ = update(&c, &["--pids-limit", "32"]).ok();
    assert_eq!((read(&c, "pids.max"), c.status()), ("32".to_owned(), "paused".to_owned()));
    let _ = c.call(&["resume"]).ok();
    c.stop();
    assert_eq!(update(&c, &["--pids-limit", "33"]).refused(), "container not running");
}

/// A container without a cgroup has no limits to change.
#[test]
fn a_container_without_a_cgroup_is_not_updated() {
    need!(root);
    let c = Bundle::new().global(&["--cgroup-manager", "disabled"]).sleeper().start();
    let message = update(&c, &["--pids-limit", "5"]).refused();
    assert!(message.contains("cgroups not configured for container"), "{message}");
    let _ = update(&c, &[]).ok();
}

/// Two updates at once: each is whole.
#[test]
fn updates_wait_for_each_other() {
    need!(root, cgroup_v1);
    let c = with(start_values());
    let calls: Vec<_> = [40, 64, 80, 96]
        .map(|size| {
            let (memory, swap) = (format!("--memory={size}M"), format!("--memory-swap={size}M"));
            c.runtime().spawn(&["update", &memory, &swap, c.id()])
        })
        .into();
    for call in calls {
        let _ = call.wait().ok();
    }
    assert_eq!(read(&c, "memory.limit_in_bytes"), read(&c, "memory.memsw.limit_in_bytes"));
}
