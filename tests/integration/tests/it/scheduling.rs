//! `process.scheduler`, `ioPriority`, `execCPUAffinity` and `linux.memoryPolicy`, read back by tools of the host.

use std::process::Command;

use harness::{Bundle, Container, need};
use serde_json::{Value, json};

/// Realtime policies need CAP_SYS_NICE, and room in the v1 cpu controller when the kernel groups them.
fn scheduled(scheduler: Value) -> Container {
    Bundle::new().set("/process/scheduler", scheduler).sleeper().start()
}

fn tool(words: &[&str], pid: i32) -> String {
    let output = Command::new(words[0]).args(&words[1..]).arg(pid.to_string()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).to_lowercase()
}

/// Fair policies with a nice value.
///
/// runc 1.1.5: has no `scheduler` yet.
#[test]
fn fair_policies_are_set() {
    need!(root);
    for (policy, word) in [
        ("SCHED_BATCH", "sched_batch"),
        ("SCHED_OTHER", "sched_other"),
        ("SCHED_IDLE", "sched_idle"),
    ] {
        let c = scheduled(json!({ "policy": policy, "nice": 5 }));
        assert!(
            tool(&["chrt", "-p"], c.pid()).contains(word),
            "{policy}: {}",
            tool(&["chrt", "-p"], c.pid())
        );
        if policy == "SCHED_IDLE" {
            // Older kernels keep no nice value for it.
            continue;
        }
        let stat = c.proc("stat");
        let nice = stat.rsplit(')').next().unwrap().split_whitespace().nth(16).unwrap().to_owned();
        assert_eq!(nice, "5", "{policy}");
    }
}

/// `SCHED_FLAG_RESET_ON_FORK`.
///
/// runc 1.1.5: has no `scheduler` yet.
#[test]
fn reset_on_fork_is_set() {
    need!(root);
    let c = scheduled(json!({ "policy": "SCHED_BATCH", "flags": ["SCHED_FLAG_RESET_ON_FORK"] }));
    assert!(tool(&["chrt", "-p"], c.pid()).contains("reset_on_fork"));
}

/// A realtime policy outside of the group scheduler's reach.
///
/// runc 1.1.5: has no `scheduler` yet.
#[test]
fn realtime_policies_are_set() {
    need!(root, cgroup_v1);
    for (policy, word) in [("SCHED_FIFO", "sched_fifo"), ("SCHED_RR", "sched_rr")] {
        // A v1 cpu group has no realtime budget unless it is given one.
        let c = Bundle::new()
            .set("/process/scheduler", json!({ "policy": policy, "priority": 7 }))
            .set(
                "/linux/resources/cpu",
                json!({ "realtimeRuntime": 10000, "realtimePeriod": 1_000_000 }),
            )
            .sleeper()
            .start();
        let seen = tool(&["chrt", "-p"], c.pid());
        assert!(seen.contains(word) && seen.contains("priority: 7"), "{policy}: {seen}");
    }
}

/// An unknown policy, and a priority on a fair policy, are refused.
#[test]
fn odd_schedulers_are_refused() {
    need!(root);
    let _ = Bundle::new().set("/process/scheduler", json!({ "policy": "SCHED_MOON" })).refused();
    let _ = Bundle::new()
        .set("/process/scheduler", json!({ "policy": "SCHED_OTHER", "priority": 5 }))
        .refused();
    let _ = Bundle::new()
        .set("/process/scheduler", json!({ "policy": "SCHED_OTHER", "nice": 40 }))
        .refused();
}

/// `ioPriority`: class and level.
///
/// runc 1.1.5: has no `ioPriority` yet.
#[test]
fn io_priorities_are_set() {
    need!(root);
    for (class, level, word) in [
        ("IOPRIO_CLASS_BE", 6, "best-effort: prio 6"),
        ("IOPRIO_CLASS_RT", 3, "realtime: prio 3"),
        ("IOPRIO_CLASS_IDLE", 0, "idle"),
    ] {
        let c = Bundle::new()
            .set("/process/ioPriority", json!({ "class": class, "priority": level }))
            .sleeper()
            .start();
        let seen = tool(&["ionice", "-p"], c.pid());
        assert!(seen.contains(word), "{class}: {seen}");
    }
}

/// An unknown class, and a level beyond 7, are refused.
#[test]
fn odd_io_priorities_are_refused() {
    need!(root);
    let _ = Bundle::new()
        .set("/process/ioPriority", json!({ "class": "IOPRIO_CLASS_MOON", "priority": 1 }))
        .refused();
    let _ = Bundle::new()
        .set("/process/ioPriority", json!({ "class": "IOPRIO_CLASS_BE", "priority": 8 }))
        .refused();
}

/// `execCPUAffinity` is about exec: the container's own process may run on every CPU.
#[test]
fn exec_cpu_affinity_does_not_bind_the_container() {
    need!(root, cpus(2));
    let plain = Bundle::new().probe(["status", "Cpus_allowed_list"]).run().fact("status");
    let c = Bundle::new()
        .set("/process/execCPUAffinity", json!({ "initial": "0", "final": "0" }))
        .probe(["status", "Cpus_allowed_list"])
        .run();
    assert_eq!(c.fact("status"), plain);
}

/// A CPU list that cannot be read is refused.
#[test]
fn an_odd_cpu_list_is_refused() {
    need!(root);
    let _ = Bundle::new().set("/process/execCPUAffinity", json!({ "initial": "0-x" })).refused();
}

/// The caller may be bound to one CPU; the container is not, its cpuset is what bounds it.
///
/// runc 1.1.5: inherits the caller's.
#[test]
fn the_callers_affinity_is_not_the_containers() {
    need!(root, cpus(2));
    let plain = Bundle::new().probe(["status", "Cpus_allowed_list"]).run().fact("status");
    let c =
        Bundle::new().under(&["taskset", "-c", "0"]).probe(["status", "Cpus_allowed_list"]).run();
    assert_eq!(c.fact("status"), plain);
}

/// `memoryPolicy`: the policy shows in numa_maps of the program.
///
/// runc 1.1.5: has no `memoryPolicy` yet.
#[test]
fn a_memory_policy_is_set() {
    need!(root, numa);
    for (mode, word) in [
        ("MPOL_BIND", "bind:0"),
        ("MPOL_INTERLEAVE", "interleave:0"),
        ("MPOL_PREFERRED", "prefer:0"),
    ] {
        let c = Bundle::new()
            .set("/linux/memoryPolicy", json!({ "mode": mode, "nodes": "0" }))
            .probe(["read", "/proc/self/numa_maps"])
            .run();
        assert!(
            c.fact("read").contains(word),
            "{mode}: {}",
            c.fact("read").lines().next().unwrap_or_default()
        );
    }
    let c = Bundle::new()
        .set(
            "/linux/memoryPolicy",
            json!({ "mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"] }),
        )
        .probe(["read", "/proc/self/numa_maps"])
        .run();
    assert!(
        c.fact("read").contains("static"),
        "{}",
        c.fact("read").lines().next().unwrap_or_default()
    );
}

/// Odd memory policies are refused.
///
/// runc 1.1.5: has no `memoryPolicy` yet.
#[test]
fn odd_memory_policies_are_refused() {
    need!(root);
    let _ = Bundle::new()
        .set("/linux/memoryPolicy", json!({ "mode": "MPOL_MOON", "nodes": "0" }))
        .refused();
    let _ = Bundle::new()
        .set("/linux/memoryPolicy", json!({ "mode": "MPOL_BIND", "nodes": "x" }))
        .refused();
    let flags = json!({ "mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_MOON"] });
    let _ = Bundle::new().set("/linux/memoryPolicy", flags).refused();
}

/// `intelRdt` on a host without resctrl is refused, not passed over.
#[test]
fn intel_rdt_is_refused_without_resctrl() {
    need!(root, no_resctrl);
    let message = Bundle::new()
        .set("/linux/intelRdt", json!({ "closID": "guest", "l3CacheSchema": "L3:0=f" }))
        .refused();
    assert!(message.to_lowercase().contains("rdt") || message.contains("resctrl"), "{message}");
}

/// With resctrl the group is made and removed again.
#[test]
fn intel_rdt_groups_come_and_go() {
    need!(root, resctrl);
    let c = Bundle::new().set("/linux/intelRdt", json!({})).sleeper().start();
    let dir = std::path::Path::new("/sys/fs/resctrl").join(c.id());
    assert!(dir.is_dir());
    drop(c);
    assert!(!dir.exists());
}
