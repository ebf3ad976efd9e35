//! `linux.cgroupsPath`: where a container is placed, in whatever hierarchies the host has, and that it leaves.

use std::fs;
use std::time::Duration;

use harness::{Bundle, Container, cgroup, host, need};
use serde_json::json;

/// Hierarchies to look at: v1 controllers, or the one of v2.
fn hierarchies() -> Vec<&'static str> {
    let v1: Vec<_> =
        ["cpu", "cpuset", "memory", "pids", "blkio", "freezer", "devices", "name=systemd"]
            .into_iter()
            .filter(|c| cgroup::mount_of(c).is_some())
            .collect();
    if v1.is_empty() { vec![""] } else { v1 }
}

fn paths(c: &Container) -> Vec<String> {
    let pid = c.pid().to_string();
    hierarchies().into_iter().map(|h| cgroup::of(&pid, h)).collect()
}

/// An absolute path is that path, in every hierarchy, from `create` on.
#[test]
fn an_absolute_path_is_taken_everywhere() {
    need!(root);
    let c = Bundle::new().sleeper().create();
    for path in paths(&c) {
        assert_eq!(path, format!("/corten-{}", c.id()));
    }
}

/// A path of several parts is made whole, and the leaf goes with the container.
#[test]
fn a_deep_path_is_made_and_removed() {
    need!(root);
    let bundle = Bundle::new();
    let top = format!("/corten-{}", bundle.id());
    let c = bundle.set("/linux/cgroupsPath", format!("{top}/pod/leaf")).sleeper().create();
    for path in paths(&c) {
        assert_eq!(path, format!("{top}/pod/leaf"));
    }
    let place = c.place();
    drop(c);
    // Parents may be the caller's: what is left of them is taken away here, and the leaf must be gone.
    let left = place.census().cgroups;
    assert!(left.iter().all(|dir| !dir.ends_with("leaf")), "{left:?}");
    for dir in left {
        fs::remove_dir(dir).unwrap();
    }
}

/// A relative path ends in that path; where it starts is the runtime's choice, but always the same.
#[test]
fn a_relative_path_is_taken() {
    need!(root);
    let bundle = Bundle::new();
    let name = format!("relative-{}", bundle.id());
    let c = bundle.set("/linux/cgroupsPath", name.clone()).sleeper().create();
    for path in paths(&c) {
        assert!(path.ends_with(&name), "{path}");
    }
}

/// Without a path the container still gets a cgroup of its own, with its id in it.
#[test]
fn no_path_means_one_with_the_id() {
    need!(root);
    let c = Bundle::new().unset("/linux/cgroupsPath").sleeper().create();
    for path in paths(&c) {
        assert!(path.contains(c.id()), "{path}");
    }
}

/// A path that climbs stays below the mount, or is refused: never another's cgroup.
#[test]
fn a_path_that_climbs_stays_below() {
    need!(root);
    let bundle = Bundle::new();
    let path = format!("/../../corten-{}/../corten-{}x", bundle.id(), bundle.id());
    let bundle = bundle.set("/linux/cgroupsPath", path).sleeper();
    bundle.write();
    let output = bundle.runtime().call(&bundle.words("create"));
    if output.code == Some(0) {
        let state = bundle.runtime().call(&["state", bundle.id()]).ok().json();
        for hierarchy in hierarchies() {
            let path = cgroup::of(&state["pid"].to_string(), hierarchy);
            assert!(path.starts_with("/corten-cit-") && !path.contains(".."), "{path}");
        }
    } else {
        assert!(!output.refused().is_empty());
    }
}

/// Sub-cgroups that the container made are removed with it.
#[test]
fn sub_cgroups_are_removed() {
    need!(root);
    let mut c = Bundle::new().sleeper().start();
    for hierarchy in hierarchies() {
        let controller = if hierarchy.is_empty() { "cgroup2" } else { hierarchy };
        if hierarchy != "name=systemd" {
            fs::create_dir_all(cgroup::dir(controller, &format!("/corten-{}", c.id())).join("a/b"))
                .unwrap();
        }
    }
    c.delete(&["--force"]);
    assert!(c.place().settled().is_empty(), "{}", c.place().census());
}

/// Processes in sub-cgroups die with the container.
#[test]
fn processes_in_sub_cgroups_die_with_it() {
    need!(root);
    let mut c = Bundle::new()
        .without_namespace("pid")
        .sh("sleep 1000 & echo child $!; exec sleep 1000")
        .start();
    c.wait_for("child");
    let child = c.stdout().trim().rsplit(' ').next().unwrap().to_owned();
    for hierarchy in hierarchies() {
        let controller = if hierarchy.is_empty() { "cgroup2" } else { hierarchy };
        if ["name=systemd", "cpuset"].contains(&hierarchy) {
            continue;
        }
        let dir = cgroup::dir(controller, &format!("/corten-{}", c.id())).join("sub");
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("cgroup.procs"), &child).unwrap();
    }
    c.delete(&["--force"]);
    assert!(c.place().settled().is_empty(), "{}", c.place().census());
}

/// A cgroup that exists and is empty may be used (a restart, a pod's own).
#[test]
fn an_existing_empty_cgroup_is_used() {
    need!(root);
    let bundle = Bundle::new();
    for hierarchy in hierarchies() {
        let controller = if hierarchy.is_empty() { "cgroup2" } else { hierarchy };
        fs::create_dir(cgroup::dir(controller, &format!("/corten-{}", bundle.id()))).unwrap();
    }
    let c = bundle.sleeper().create();
    for path in paths(&c) {
        assert_eq!(path, format!("/corten-{}", c.id()));
    }
}

/// A container frozen from outside is still killed and deleted, in bounded time (fault model F25).
#[test]
fn a_frozen_container_is_deleted() {
    need!(root);
    let mut c = Bundle::new().sleeper().start();
    let path = format!("/corten-{}", c.id());
    if cgroup::mount_of("freezer").is_some() {
        fs::write(cgroup::dir("freezer", &path).join("freezer.state"), "FROZEN").unwrap();
    } else {
        fs::write(cgroup::dir("cgroup2", &path).join("cgroup.freeze"), "1").unwrap();
    }
    assert_eq!(c.status(), "paused");
    let begun = std::time::Instant::now();
    c.delete(&["--force"]);
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    assert!(c.place().settled().is_empty(), "{}", c.place().census());
}

/// A container full of forking processes is deleted.
#[test]
fn a_forking_container_is_deleted() {
    need!(root, controller("pids"));
    let mut c = Bundle::new()
        .without_namespace("pid")
        .set("/linux/resources/pids", json!({ "limit": 40 }))
        .sh("echo up; while true; do /bin/sh -c 'sleep 0.05 & sleep 0.05 &' 2>/dev/null; done")
        .start();
    c.wait_for("up");
    c.delete(&["--force"]);
    assert!(c.place().settled().is_empty(), "{}", c.place().census());
}

/// With a cgroup namespace the container sees itself at the root.
#[test]
fn a_cgroup_namespace_hides_the_path() {
    need!(root);
    let c = Bundle::new().namespace("cgroup", "").probe(["read", "/proc/self/cgroup"]).run();
    for line in c.fact("read").lines() {
        // A controller without a hierarchy of its own stays where the caller is.
        assert!(!line.contains("corten-"), "{line}");
    }
}

/// Without one it sees its path.
#[test]
fn without_a_cgroup_namespace_the_path_shows() {
    need!(root);
    let c = Bundle::new().probe(["read", "/proc/self/cgroup"]).run();
    assert!(c.fact("read").contains("corten-cit-"), "{}", c.fact("read"));
}

/// A `cgroup` mount: read-only as asked, and it shows the container's own cgroup. (On v2 without a cgroup
/// namespace there may be more of the tree to see.)
#[test]
fn a_cgroup_mount_shows_the_container() {
    need!(root);
    for with_namespace in [false, true] {
        let mut bundle = Bundle::new();
        if with_namespace {
            bundle = bundle.namespace("cgroup", "");
        }
        let one = if cgroup::mount_of("memory").is_some() {
            "/sys/fs/cgroup/memory"
        } else {
            "/sys/fs/cgroup"
        };
        let c = bundle
            .mount(
                "cgroup",
                "cgroup",
                "/sys/fs/cgroup",
                &["nosuid", "noexec", "nodev", "relatime", "ro"],
            )
            .probe([
                "read",
                &format!("{one}/cgroup.procs"),
                "--",
                "mkdir",
                &format!("{one}/x"),
                "--",
                "list",
                "/sys/fs/cgroup",
            ])
            .run();
        if with_namespace || cgroup::mount_of("memory").is_some() {
            assert_eq!(c.fact("read").trim(), "1", "namespace: {with_namespace}");
        }
        assert_eq!(c.errno("mkdir"), "EROFS", "namespace: {with_namespace}");
    }
}

/// A writable `cgroup` mount with a namespace of its own: the container manages what is below it.
#[test]
fn a_writable_cgroup_mount_can_be_written() {
    need!(root);
    let one = if cgroup::mount_of("memory").is_some() {
        "/sys/fs/cgroup/pids/x"
    } else {
        "/sys/fs/cgroup/x"
    };
    let c = Bundle::new()
        .namespace("cgroup", "")
        .mount("cgroup", "cgroup", "/sys/fs/cgroup", &["nosuid", "noexec", "nodev", "rw"])
        .probe(["mkdir", one])
        .run();
    assert_eq!(c.fact("mkdir"), "ok");
}

/// On v1 every controller has its directory, and joined ones their links.
#[test]
fn a_v1_cgroup_mount_lists_the_controllers() {
    need!(root, cgroup_v1);
    let c = Bundle::new()
        .mount("cgroup", "cgroup", "/sys/fs/cgroup", &["ro"])
        .probe(["list", "/sys/fs/cgroup", "--", "statfs", "/sys/fs/cgroup/memory"])
        .run();
    for name in ["cpu", "memory", "pids", "devices", "freezer", "blkio", "cpuset"] {
        assert!(
            c.value("list").as_array().unwrap().contains(&json!(name)),
            "{name}: {}",
            c.value("list")
        );
    }
    assert_eq!(c.value("statfs")["magic"], "27e0eb");
}

/// On v2 it is one cgroup2.
#[test]
fn a_v2_cgroup_mount_is_one_file_system() {
    need!(root, cgroup_v2);
    let c = Bundle::new()
        .mount("cgroup", "cgroup", "/sys/fs/cgroup", &["ro"])
        .probe(["statfs", "/sys/fs/cgroup", "--", "readable", "/sys/fs/cgroup/cgroup.controllers"])
        .run();
    assert_eq!(c.value("statfs")["magic"], "63677270");
    assert_eq!(c.fact("readable"), "ok");
}

/// With a process already in it a cgroup is somebody's: refused, or at least never killed by us.
#[test]
fn a_foreign_process_in_the_cgroup_survives() {
    need!(root);
    let bundle = Bundle::new();
    let path = format!("/corten-{}", bundle.id());
    let controller = if cgroup::mount_of("pids").is_some() { "pids" } else { "cgroup2" };
    let dir = cgroup::dir(controller, &path);
    fs::create_dir(&dir).unwrap();
    let mut guest = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    fs::write(dir.join("cgroup.procs"), guest.id().to_string()).unwrap();
    let bundle = bundle.sleeper();
    bundle.write();
    let output = bundle.runtime().call(&bundle.words("create"));
    let alive = guest.try_wait().unwrap().is_none();
    if output.code != Some(0) {
        assert!(alive, "a refused create killed a process of another");
    }
    guest.kill().unwrap();
    guest.wait().unwrap();
    let _ = bundle.runtime().call(&["delete", "--force", bundle.id()]);
    host::eventually(Duration::from_secs(2), || fs::remove_dir(&dir).is_ok() || !dir.exists());
}
