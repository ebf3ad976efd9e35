//! `events`: statistics in runc's shape, and word of kills for lack of memory.

use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use harness::host::eventually;
use harness::{Bundle, Container, need};
use serde_json::{Value, json};

/// `events` of a container, at work until the container ends.
struct Stream(harness::runtime::Call);

impl Stream {
    fn new(c: &Container, flags: &[&str]) -> Self {
        let mut words = vec!["events"];
        words.extend(flags);
        words.push(c.id());
        Self(c.runtime().spawn(&words))
    }

    /// The lines so far; the last one may be half written.
    fn lines(&self) -> Vec<Value> {
        let text = self.0.output(ExitStatus::default()).stdout;
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn wait_for(&self, count: usize, kind: &str) {
        let seen = || self.lines().iter().filter(|line| line["type"] == kind).count() >= count;
        assert!(eventually(Duration::from_secs(20), seen), "{:?}", self.lines());
    }

    /// Ends with the container, and says nothing of it.
    fn ends(self) -> harness::Output {
        self.0.wait().ok()
    }
}

/// A container that eats memory until it is killed once there is `/go`.
fn glutton() -> Container {
    Bundle::new()
        .set("/linux/resources/memory", json!({ "limit": 32 << 20, "swap": 32 << 20 }))
        .sh("echo up; while [ ! -e /go ]; do sleep 0.05; done; tail /dev/zero; echo alive; sleep 1000")
        .start()
}

/// One line of JSON with the members that callers decode, in runc's order (`types/events.go`).
#[test]
fn statistics_are_one_line_in_runc_s_shape() {
    need!(root);
    let c = Bundle::new().sleeper().start();
    let output = c.call(&["events", "--stats"]).ok();
    assert_eq!(output.stdout.lines().count(), 1);
    let start = format!("{{\"type\":\"stats\",\"id\":\"{}\",\"data\":{{\"cpu\":{{", c.id());
    assert!(output.stdout.starts_with(&start), "{}", output.stdout);
    let data = &output.json()["data"];
    for member in
        ["cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "intel_rdt", "network_interfaces"]
    {
        assert!(data.get(member).is_some(), "{member}: {data}");
    }
    assert!(data["cpu"]["usage"]["total"].as_u64().unwrap() > 0, "{data}");
    assert!(data["pids"]["current"].as_u64().unwrap() > 0, "{data}");
    assert!(data["network_interfaces"].is_null(), "there is only lo: {data}");
}

/// The numbers of v1.
#[test]
fn v1_statistics_are_the_cgroup_s() {
    need!(root, cgroup_v1);
    let c = Bundle::new()
        .set("/linux/resources/memory", json!({ "limit": 64 << 20 }))
        .set("/linux/resources/pids", json!({ "limit": 33 }))
        .sleeper()
        .start();
    let data = c.call(&["events", "--stats"]).ok().json()["data"].clone();
    assert_eq!(data["memory"]["usage"]["limit"], 64 << 20);
    assert!(data["memory"]["raw"]["rss"].is_number(), "{data}");
    assert_eq!(data["pids"], json!({ "current": 1, "limit": 33 }));
    let per_cpu = data["cpu"]["usage"]["percpu"].as_array().unwrap().len();
    assert_eq!(data["cpu"]["usage"]["percpu_user"].as_array().unwrap().len(), per_cpu);
    assert!(!data["cpuset"]["cpus"].as_array().unwrap().is_empty(), "{data}");
    assert_eq!(data["cpuset"]["sched_load_balance"], 1);
}

/// The numbers of v2: stalls, too, where the kernel keeps them.
#[test]
fn v2_statistics_are_the_cgroup_s() {
    need!(root, cgroup_v2);
    let c = Bundle::new().sleeper().start();
    let data = c.call(&["events", "--stats"]).ok().json()["data"].clone();
    let pressure = harness::cgroup::dir("cgroup2", &format!("/corten-{}", c.id()));
    assert_eq!(data["cpu"]["psi"].is_object(), pressure.join("cpu.pressure").exists());
    let memory = need::controller("memory").is_ok();
    assert_eq!(data["memory"]["raw"].is_object(), memory);
    assert_eq!(data["memory"]["events"].is_object(), memory);
    assert_eq!(data["pids"]["current"], 1);
}

/// Interfaces of the container's network namespace, from its own side.
#[test]
fn network_interfaces_are_the_container_s() {
    need!(root, veth);
    let c = Bundle::new().sleeper().start();
    let status = Command::new("nsenter")
        .args(["-n", "-t", &c.pid().to_string(), "ip", "link", "add", "eth7", "type", "veth"])
        .status()
        .unwrap();
    assert!(status.success());
    let data = c.call(&["events", "--stats"]).ok().json()["data"].clone();
    let names: Vec<_> = data["network_interfaces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["Name"].clone(), one["RxBytes"].clone()))
        .collect();
    assert!(names.contains(&(json!("eth7"), json!(0))), "{names:?}");
    assert!(!names.iter().any(|(name, _)| name == "lo"), "{names:?}");
}

/// Statistics come after each interval; the stream ends with the container, successfully.
#[test]
fn statistics_come_at_intervals_until_the_end() {
    need!(root);
    let c = Bundle::new().sleeper().start();
    let begun = Instant::now();
    let stream = Stream::new(&c, &["--interval", "100ms"]);
    stream.wait_for(3, "stats");
    assert!(begun.elapsed() >= Duration::from_millis(300));
    c.stop();
    let output = stream.ends();
    for line in output.stdout.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!((&line["type"], &line["id"]), (&json!("stats"), &json!(c.id())));
    }
    assert_eq!(output.log, "");
}

/// The default interval is long: what is waited for is the end, which comes at once.
#[test]
fn the_stream_ends_with_a_deleted_container() {
    need!(root);
    let mut c = Bundle::new().sleeper().start();
    let stream = Stream::new(&c, &[]);
    std::thread::sleep(Duration::from_millis(200));
    let begun = Instant::now();
    c.delete(&["--force"]);
    let output = stream.ends();
    assert!(begun.elapsed() < Duration::from_secs(4));
    assert_eq!(output.stdout, "", "removing the cgroup is no lack of memory");
}

/// A kill for lack of memory is told, also when it comes before anything else and when init is
/// the one to die.
#[test]
fn kills_for_lack_of_memory_are_told() {
    need!(root, controller("memory"));
    let c = glutton();
    c.wait_for("up");
    let stream = Stream::new(&c, &["--interval=1h"]);
    std::thread::sleep(Duration::from_millis(300));
    std::fs::write(c.rootfs("/go"), "").unwrap();
    stream.wait_for(1, "oom");
    c.wait_for("alive");
    c.stop();
    let output = stream.ends();
    assert_eq!(output.stdout, format!("{{\"type\":\"oom\",\"id\":\"{}\"}}\n", c.id()));

    let c = Bundle::new()
        .set("/linux/resources/memory", json!({ "limit": 32 << 20, "swap": 32 << 20 }))
        .sh("while [ ! -e /go ]; do sleep 0.05; done; exec tail /dev/zero")
        .start();
    let stream = Stream::new(&c, &["--interval=1h"]);
    std::thread::sleep(Duration::from_millis(300));
    std::fs::write(c.rootfs("/go"), "").unwrap();
    let output = stream.ends();
    assert_eq!(output.stdout, format!("{{\"type\":\"oom\",\"id\":\"{}\"}}\n", c.id()));
}

/// runc's words for what cannot be.
#[test]
fn events_are_refused_where_runc_refuses() {
    need!(root);
    let c = Bundle::new().sleeper().start();
    for interval in ["0", "0s", "-1s"] {
        let message = c.call(&["events", "--interval", interval]).refused();
        assert_eq!(message, "duration interval must be greater than 0");
    }
    let message = c.call(&["events", "--interval", "5"]).refused();
    assert!(message.contains("invalid value \"5\" for flag -interval"), "{message}");
    c.stop();
    for flags in [&["events"][..], &["events", "--stats"]] {
        let message = c.call(flags).refused();
        assert_eq!(message, format!("container with id {} is not running", c.id()));
    }
    let nobody = c.runtime().call(&["events", "--stats", "nobody"]).refused();
    assert_eq!(nobody, "container does not exist");
}

/// Without a cgroup there are no numbers: said; without a memory controller there are some.
#[test]
fn what_cannot_be_told_is_said() {
    need!(root);
    let c = Bundle::new().global(&["--cgroup-manager", "disabled"]).sleeper().start();
    let message = c.call(&["events", "--stats"]).refused();
    assert!(message.contains("cgroups not configured for container"), "{message}");
    c.stop();
    if need::controller("memory").is_err() {
        let c = Bundle::new().sleeper().start();
        let mut command = c.runtime().command(&["events", "--interval=50ms", c.id()]);
        let child = command.stderr(Stdio::piped()).stdout(Stdio::piped());
        let child = child.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(300));
        c.stop();
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && told.contains("memory controller missing"), "{told}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("\"type\":\"stats\""));
    }
}
