//! `linux.namespaces` and `linux.timeOffsets` of config-linux.md.

use harness::{Bundle, Holder, host, need};
use serde_json::json;

/// The words of config.json and the names in `/proc/PID/ns`.
const KINDS: &[(&str, &str)] = &[
    ("pid", "pid"),
    ("network", "net"),
    ("ipc", "ipc"),
    ("uts", "uts"),
    ("mount", "mnt"),
    ("cgroup", "cgroup"),
];

fn inside(bundle: Bundle) -> serde_json::Value {
    bundle.probe(["ns"]).run().value("ns").clone()
}

/// Each kind that is listed without a path is new.
#[test]
fn each_listed_kind_is_new() {
    need!(root);
    let ns = inside(Bundle::new().namespace("cgroup", ""));
    for (_, name) in KINDS {
        assert_ne!(ns[name], host::namespace("self", name).as_str(), "{name}");
    }
}

/// Each kind that is not listed is the caller's.
#[test]
fn each_kind_left_out_is_the_callers() {
    need!(root);
    for kind in ["network", "ipc", "uts", "cgroup", "pid"] {
        let name = KINDS.iter().find(|(k, _)| *k == kind).unwrap().1;
        let mut bundle = Bundle::new().without_namespace(kind);
        if kind == "uts" {
            bundle = bundle.unset("/hostname");
        }
        if kind == "network" {
            // A sysfs of a network namespace that is not ours may not be mounted; a bind may.
            bundle = bundle
                .edit(|c| c["mounts"].as_array_mut().unwrap().retain(|m| m["type"] != "sysfs"));
        }
        assert_eq!(inside(bundle)[name], host::namespace("self", name).as_str(), "{kind}");
    }
}

/// Every second kind, then the others: no combination is special.
#[test]
fn any_mix_of_new_and_inherited_works() {
    need!(root);
    let free = ["network", "ipc", "uts", "cgroup", "pid"];
    for mask in [0b00000_u32, 0b10101, 0b01010, 0b11111, 0b00110, 0b11001] {
        let mut bundle = Bundle::new().unset("/hostname");
        for (bit, kind) in free.iter().enumerate() {
            bundle = if mask >> bit & 1 == 1 {
                bundle.namespace(kind, "")
            } else {
                bundle.without_namespace(kind)
            };
        }
        let bundle =
            bundle.edit(|c| c["mounts"].as_array_mut().unwrap().retain(|m| m["type"] != "sysfs"));
        let ns = inside(bundle);
        for (bit, kind) in free.iter().enumerate() {
            let name = KINDS.iter().find(|(k, _)| k == kind).unwrap().1;
            let same = ns[name] == host::namespace("self", name).as_str();
            assert_eq!(same, mask >> bit & 1 == 0, "{kind} in mix {mask:05b}");
        }
    }
}

/// A kind with a path is joined.
#[test]
fn a_network_namespace_is_joined_by_path() {
    joined("network", "net", &["--net"]);
}

/// As above, for ipc.
#[test]
fn an_ipc_namespace_is_joined_by_path() {
    joined("ipc", "ipc", &["--ipc"]);
}

/// As above, for uts.
#[test]
fn a_uts_namespace_is_joined_by_path() {
    joined("uts", "uts", &["--uts"]);
}

/// As above, for cgroup.
#[test]
fn a_cgroup_namespace_is_joined_by_path() {
    joined("cgroup", "cgroup", &["--cgroup"]);
}

fn joined(kind: &str, name: &str, flags: &[&str]) {
    need!(root);
    let holder = Holder::unshare(flags);
    assert_ne!(holder.inode(name), host::namespace("self", name));
    let ns = inside(Bundle::new().unset("/hostname").namespace(kind, &holder.path(name)));
    assert_eq!(ns[name], holder.inode(name).as_str());
}

/// A pid namespace is joined: the container is a child in it, not its first process.
#[test]
fn a_pid_namespace_is_joined_by_path() {
    need!(root);
    let holder = Holder::unshare(&["--pid", "--fork"]);
    let c = Bundle::new().namespace("pid", &holder.path("pid")).probe(["ns", "--", "pid"]).run();
    assert_eq!(c.value("ns")["pid"], holder.inode("pid").as_str());
    assert_ne!(c.fact("pid"), "1");
}

/// What the host's user namespace owns can be joined by a container that has a new one.
#[test]
fn the_host_s_namespaces_are_joined_before_a_new_user_namespace() {
    need!(root);
    let holder = Holder::unshare(&["--net", "--uts"]);
    let bundle = Bundle::new()
        .unset("/hostname")
        .user_namespace()
        .namespace("network", &holder.path("net"))
        .namespace("uts", &holder.path("uts"));
    let ns = inside(bundle);
    for name in ["net", "uts"] {
        assert_eq!(ns[name], holder.inode(name).as_str(), "{name}");
    }
    assert_ne!(ns["user"], host::namespace("self", "user"));
}

/// A host name is set in a uts namespace that was joined.
#[test]
fn a_hostname_is_set_in_a_joined_namespace() {
    need!(root);
    let holder = Holder::unshare(&["--uts"]);
    let c = Bundle::new()
        .set("/hostname", "guest")
        .namespace("uts", &holder.path("uts"))
        .probe(["hostname"])
        .run();
    assert_eq!(c.fact("hostname"), "guest");
}

/// Several kinds are joined at once, the rest is new.
#[test]
fn several_namespaces_are_joined_at_once() {
    need!(root);
    let holder = Holder::unshare(&["--net", "--ipc", "--uts", "--pid", "--fork"]);
    let mut bundle = Bundle::new().unset("/hostname");
    for (kind, name) in [("network", "net"), ("ipc", "ipc"), ("uts", "uts"), ("pid", "pid")] {
        bundle = bundle.namespace(kind, &holder.path(name));
    }
    let ns = inside(bundle);
    for name in ["net", "ipc", "uts", "pid"] {
        assert_eq!(ns[name], holder.inode(name).as_str(), "{name}");
    }
    assert_ne!(ns["mnt"], host::namespace("self", "mnt").as_str());
}

/// The first process of a new pid namespace is pid 1.
#[test]
fn a_new_pid_namespace_begins_with_one() {
    need!(root);
    assert_eq!(Bundle::new().probe(["pid"]).run().fact("pid"), "1");
}

/// A path to a namespace of another kind is refused, and the message names it.
#[test]
fn a_path_of_another_kind_is_refused() {
    need!(root);
    let holder = Holder::unshare(&["--ipc"]);
    let message = Bundle::new().namespace("network", &holder.path("ipc")).refused();
    assert!(!message.is_empty());
}

/// A path that is no namespace, or is nothing at all, is refused.
#[test]
fn a_path_that_is_no_namespace_is_refused() {
    need!(root);
    let message = Bundle::new().namespace("network", "/proc/self/ns/nothing").refused();
    assert!(message.contains("no such file or directory"), "{message}");
    assert!(message.contains("/proc/self/ns/nothing"), "{message}");
    let _ = Bundle::new().namespace("network", "/etc/passwd").refused();
}

/// The same kind twice is refused.
#[test]
fn a_kind_given_twice_is_refused() {
    need!(root);
    let message = Bundle::new().push("/linux/namespaces", json!({ "type": "ipc" })).refused();
    assert!(message.contains("ipc") || message.contains("NEWIPC"), "{message}");
}

/// An unknown kind is refused.
#[test]
fn an_unknown_kind_is_refused() {
    need!(root);
    let _ = Bundle::new().push("/linux/namespaces", json!({ "type": "moon" })).refused();
}

/// A new time namespace with offsets moves both clocks.
///
/// runc 1.1.5: has no time namespaces yet.
#[test]
fn time_offsets_move_the_clocks() {
    need!(root, time_namespace);
    let offsets = json!({
        "monotonic": { "secs": 500_000, "nanosecs": 0 },
        "boottime": { "secs": 1_000_000, "nanosecs": 0 }
    });
    let c = Bundle::new()
        .namespace("time", "")
        .set("/linux/timeOffsets", offsets)
        .probe(["clock", "--", "ns"])
        .run();
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    let uptime: i64 = uptime.split('.').next().unwrap().parse().unwrap();
    let clock = c.value("clock");
    assert!((clock["boottime"].as_i64().unwrap() - uptime - 1_000_000).abs() < 60, "{clock}");
    assert!((clock["monotonic"].as_i64().unwrap() - uptime - 500_000).abs() < 60, "{clock}");
    assert_ne!(c.value("ns")["time"], host::namespace("self", "time").as_str());
}

/// A new time namespace without offsets is new all the same.
///
/// runc 1.1.5: has no time namespaces yet.
#[test]
fn a_time_namespace_without_offsets_is_new() {
    need!(root, time_namespace);
    let ns = inside(Bundle::new().namespace("time", ""));
    assert_ne!(ns["time"], host::namespace("self", "time").as_str());
}

/// A time namespace is joined.
///
/// runc 1.1.5: has no time namespaces yet.
#[test]
fn a_time_namespace_is_joined_by_path() {
    need!(root, time_namespace);
    let holder = Holder::unshare(&["--time", "--fork"]);
    let ns = inside(Bundle::new().namespace("time", &holder.path("time")));
    assert_eq!(ns["time"], holder.inode("time").as_str());
}

/// Offsets without a new time namespace cannot be written: refused.
///
/// runc 1.1.5: has no time namespaces yet.
#[test]
fn time_offsets_without_a_new_namespace_are_refused() {
    need!(root);
    let offsets = json!({ "monotonic": { "secs": 5 } });
    let message = Bundle::new().set("/linux/timeOffsets", offsets).refused();
    assert!(message.to_lowercase().contains("time"), "{message}");
}

/// A container that shares a pid namespace dies whole: its background processes too.
#[test]
fn delete_kills_what_shares_the_hosts_pid_namespace() {
    need!(root);
    let mut c = Bundle::new()
        .without_namespace("pid")
        .sh("(trap '' TERM HUP; sleep 1000) & echo up; sleep 1000")
        .start();
    c.wait_for("up");
    c.delete(&["--force"]);
    let left = c.place().settled();
    assert!(left.is_empty(), "{left}");
}
