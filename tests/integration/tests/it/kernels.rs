//! Kernels that lack something: what cannot be done without is named with the kernel that has it, and what can
//! be is.
//!
//! The lack is forced from outside, by a filter that answers `ENOSYS` (`older`), a version that claims to be old,
//! a file that cannot be written: the runtime has no knob for it that a caller could turn.

use std::time::Duration;

use harness::host::{Covered, built, eventually};
use harness::{Bundle, cgroup, host, need};
use serde_json::json;

/// A bundle whose runtime finds these calls missing.
fn without(calls: &str) -> Bundle {
    let older = built("older").to_string_lossy().into_owned();
    Bundle::new().under(&[&older, calls])
}

/// Calls that no container is made without, and the Linux that brought them.
const NEEDED: [(&str, &str); 7] = [
    ("open_tree", "5.2"),
    ("move_mount", "5.2"),
    ("fsopen", "5.2"),
    ("clone3", "5.3"),
    ("openat2", "5.6"),
    ("close_range", "5.9"),
    ("mount_setattr", "5.12"),
];

/// A call that is missing is named, with the kernel that has it; nothing is left behind.
#[test]
fn a_missing_call_is_named_with_its_kernel() {
    need!(root);
    for (call, since) in NEEDED {
        let bundle = without(call);
        bundle.write();
        let output = bundle.runtime().call(&bundle.words("create"));
        let message = output.refused();
        assert!(message.contains("function not implemented"), "{message}");
        let named = format!("{call} (Linux {since})");
        assert!(output.stderr.contains(&named), "{call}: {}", output.stderr);
        assert!(output.stderr.contains("Linux 5.12"), "{}", output.stderr);
    }
}

/// Calls that a container can do without: its keyring, checks of files, copies of the runtime.
#[test]
fn what_can_be_done_without_is() {
    need!(root);
    let program = "echo made >/tmp/x; cat /tmp/x";
    for calls in ["keyctl,add_key,request_key", "faccessat2", "statx", "pidfd_getfd"] {
        let c = without(calls).sh(program).run();
        assert_eq!(c.stdout().trim(), "made", "without {calls}");
        let c = without(calls).user_namespace().hook("createRuntime", "h", &[]).sh(program).run();
        assert_eq!(c.stdout().trim(), "made", "without {calls}");
    }
}

/// A kernel that is too old is refused by its version, before anything is made.
#[test]
fn an_old_kernel_is_refused_by_its_version() {
    need!(root);
    let bundle = Bundle::new().under(&["setarch", "--uname-2.6"]);
    bundle.write();
    let output = bundle.runtime().call(&bundle.words("create"));
    let message = output.refused();
    assert!(message.contains("Linux 2.6.") && message.contains("older than 5.12"), "{message}");
    assert!(output.stderr.contains("hint:"), "{}", output.stderr);
}

/// Before Linux 5.14 there is no `cgroup.kill`: the container is frozen and killed one by one.
#[test]
fn processes_are_killed_without_cgroup_kill() {
    need!(root, cgroup_v2);
    let mut c = Bundle::new()
        .without_namespace("pid")
        .sh("sleep 1000 & sleep 1000 & echo up; wait")
        .start();
    c.wait_for("up");
    let dir = cgroup::dir("cgroup2", &format!("/corten-{}", c.id()));
    let file = dir.join("cgroup.kill");
    let none = c.place().dir().join("none");
    std::fs::write(&none, "").unwrap();
    let covered = Covered::new(&none, &file);
    assert_eq!(cgroup::read("cgroup2", &format!("/corten-{}", c.id()), "cgroup.kill"), "");
    let pids = std::fs::read_to_string(dir.join("cgroup.procs")).unwrap();
    assert_eq!(pids.lines().count(), 3, "{pids}");
    let _ = c.kill("KILL").ok();
    let dead = |pid: &str| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        status.is_empty() || status.contains(") Z ")
    };
    assert!(eventually(Duration::from_secs(10), || pids.lines().all(dead)), "{pids}");
    drop(covered);
    c.delete(&[]);
}

/// A kernel without time namespaces refuses them by name.
#[test]
fn a_time_namespace_is_refused_where_there_are_none() {
    need!(root, no_time_namespace);
    let bundle = Bundle::new().namespace("time", "");
    bundle.write();
    let output = bundle.runtime().call(&bundle.words("create"));
    assert!(output.refused().contains("invalid argument"), "{}", output.stderr);
    assert!(output.stderr.contains("no time namespaces (CONFIG_TIME_NS"), "{}", output.stderr);
}

/// A file system that cannot map ids is named, with what can.
#[test]
fn an_idmapped_mount_of_a_file_system_that_cannot_is_refused() {
    need!(root, user_namespace);
    let map = json!([{ "containerID": 0, "hostID": 100_000, "size": 65536 }]);
    let bundle = Bundle::new().user_namespace().push(
        "/mounts",
        json!({
            "destination": "/volume", "source": "/sys/block", "type": "bind",
            "options": ["bind", "idmap"], "uidMappings": map, "gidMappings": map
        }),
    );
    bundle.write();
    let output = bundle.runtime().call(&bundle.words("create"));
    let message = output.refused();
    assert!(message.contains("/volume"), "{message}");
    assert!(output.stderr.contains("sysfs"), "{}", output.stderr);
    let ours = bundle.rootfs("/volume").to_string_lossy().into_owned();
    assert!(host::mountinfo("/proc/self/mountinfo").iter().all(|m| m.target != ours));
}

/// What is mounted below a source cannot be taken off it in a user namespace: the remedy is told.
#[test]
fn a_bind_that_would_uncover_what_is_below_is_explained() {
    need!(root, user_namespace);
    let bundle = Bundle::new().user_namespace();
    let source = bundle.outside("volume");
    let below = source.join("below");
    std::fs::create_dir_all(&below).unwrap();
    let _covered = Covered::new(std::path::Path::new("/tmp"), &below);
    let bind = |option: &str| {
        let words = json!({
            "destination": "/volume", "source": source, "type": "bind", "options": [option]
        });
        Bundle::at(bundle.place(), option).user_namespace().push("/mounts", words)
    };
    let alone = bind("bind");
    alone.write();
    let output = alone.runtime().call(&alone.words("create"));
    assert!(output.refused().contains("invalid argument"), "{}", output.stderr);
    assert!(output.stderr.contains("use rbind"), "{}", output.stderr);
    assert_eq!(bind("rbind").probe(["pid"]).run().fact("pid"), "1");
}
