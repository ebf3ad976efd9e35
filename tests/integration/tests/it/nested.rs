//! Containers in containers: Corten in a container that may manage its own cgroups.

use harness::{Bundle, cgroup, need};
use serde_json::{Value, json};

const CGROUPS: &str = "/sys/fs/cgroup";

/// A container with a cgroup namespace of its own and a writable view of its cgroup.
fn outer() -> Bundle {
    let caps: Vec<_> = harness::config::CAPABILITIES.to_vec();
    Bundle::new()
        .namespace("cgroup", "")
        .capabilities(&caps)
        .set("/process/noNewPrivileges", false)
        .unset("/linux/readonlyPaths")
        .unset("/linux/maskedPaths")
        .set("/linux/resources/devices", json!([{ "allow": true, "access": "rwm" }]))
        .mount("cgroup", "cgroup", CGROUPS, &["nosuid", "noexec", "nodev", "rw"])
        .mount("tmpfs", "tmpfs", "/run", &["mode=755"])
}

/// The configuration of the inner one; its rootfs is the outer's own tree, read-only.
fn inner(resources: &Value) -> String {
    let config = json!({
        "ociVersion": "1.0.2",
        "process": { "user": { "uid": 0, "gid": 0 }, "cwd": "/",
            "args": ["/bin/sh", "-c", "cat /proc/self/cgroup"], "env": ["PATH=/bin"] },
        "root": { "path": "/inner", "readonly": true },
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/bin", "type": "bind", "source": "/bin", "options": ["bind", "ro"] }
        ],
        "linux": { "cgroupsPath": "/inner", "resources": resources,
            "namespaces": [{ "type": "pid" }, { "type": "mount" }, { "type": "ipc" }] }
    });
    config.to_string()
}

fn with_inner(bundle: Bundle, resources: &Value) -> Bundle {
    bundle
        .bind(&harness::runtime::path(), "/bin/corten", &["ro"])
        .dir_in("/inner/proc")
        .dir_in("/inner/bin")
        .dir_in("/inner/dev")
        .file("/bundle/config.json", &inner(resources))
}

/// The inner container has a cgroup below the outer's, with a limit of its own, once the outer has
/// moved out of the way; it goes with its container.
#[test]
fn a_container_in_a_container_has_limits() {
    need!(root, cgroup_v2, controller("pids"));
    let script = "set -e; cd /sys/fs/cgroup; mkdir init; echo 1 >init/cgroup.procs; \
        corten create -b /bundle inner; cat inner/pids.max; corten start inner; sleep 1; \
        corten state inner | grep status; corten delete inner; ls -d inner 2>/dev/null || echo gone";
    let c = with_inner(outer(), &json!({ "pids": { "limit": 17 } })).sh(script).run();
    let said: Vec<_> = c.stdout().lines().collect();
    assert_eq!(said[..2], ["17", "0::/inner"], "{said:?}");
    assert!(said[2].contains("stopped"), "{said:?}");
    assert_eq!(said[3], "gone");
}

/// A cgroup with processes hands no controllers down (cgroups(7), "no internal processes"): the
/// refusal names the cgroup and the rule.
#[test]
fn a_cgroup_with_processes_is_explained() {
    need!(root, cgroup_v2, controller("pids"), controller("memory"));
    let said = |resources: Value| {
        let script = "corten run -b /bundle inner 2>&1; echo status $?";
        let c = with_inner(outer(), &resources).sh(script).run();
        assert!(c.stdout().ends_with("status 1\n"), "{}", c.stdout());
        c.stdout().to_owned()
    };
    let memory = said(json!({ "memory": { "limit": 64 << 20 } }));
    assert!(memory.contains("/sys/fs/cgroup has processes of its own"), "{memory}");
    assert!(memory.contains("only in the leaves of the tree"), "{memory}");
    // A controller that threads know makes the cgroup above a threaded domain instead.
    let pids = said(json!({ "pids": { "limit": 17 } }));
    assert!(pids.contains("the cgroup above has processes of its own"), "{pids}");
}

/// With a user namespace as well, the cgroup and the files that the kernel calls safe are the
/// container's root's; the limits are not.
#[test]
fn the_delegated_cgroup_is_the_container_s() {
    need!(root, cgroup_v2, controller("pids"), user_namespace);
    use std::os::unix::fs::MetadataExt;
    let c = outer()
        .user_namespace()
        .set("/linux/resources/pids", json!({ "limit": 50 }))
        .sleeper()
        .start();
    let dir = cgroup::dir("cgroup2", &format!("/corten-{}", c.id()));
    let owner = |name: &str| std::fs::metadata(dir.join(name)).unwrap().uid();
    let safe = std::fs::read_to_string("/sys/kernel/cgroup/delegate").unwrap();
    for name in safe.lines().filter(|name| dir.join(name).exists()) {
        assert_eq!(owner(name), 100_000, "{name}");
    }
    assert_eq!((owner("."), owner("pids.max")), (100_000, 0));
    let made = c.exec(&[], &["/bin/sh", "-c", "mkdir /sys/fs/cgroup/mine && echo made"]).ok();
    assert_eq!(made.stdout, "made\n");
    let refused = c.exec(&[], &["/bin/sh", "-c", "echo max >/sys/fs/cgroup/pids.max"]);
    assert_ne!(refused.code, Some(0), "{refused:#?}");
    assert_eq!(cgroup::read("cgroup2", &format!("/corten-{}", c.id()), "pids.max"), "50");
}

/// Below a threaded cgroup a limit on memory is refused with the reason; without one the container
/// is threaded, too.
#[test]
fn a_threaded_cgroup_is_explained() {
    need!(root, cgroup_v2, controller("memory"));
    let bundle = Bundle::new();
    let above = cgroup::dir("cgroup2", &format!("/corten-{}", bundle.id()));
    std::fs::create_dir(&above).unwrap();
    let threaded = above.join("threaded");
    std::fs::create_dir(&threaded).unwrap();
    std::fs::write(threaded.join("cgroup.type"), "threaded").unwrap();
    let place = bundle.place();
    let words = bundle
        .set("/linux/cgroupsPath", format!("/corten-{}/limited", place.id()))
        .set("/linux/resources/memory", json!({ "limit": 64 << 20 }));
    words.write();
    let output = words.runtime().call(&words.words("create"));
    let message = output.refused();
    assert!(message.contains("cannot limit memory: the cgroup is"), "{message}");
    assert!(output.stderr.contains("threaded cgroup tree"), "{output:#?}");
    std::fs::remove_dir(&threaded).unwrap();
    std::fs::remove_dir(&above).unwrap();
}
