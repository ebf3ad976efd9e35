//! `pause` and `resume`, and what the other verbs make of a paused container.

use std::time::Duration;

use harness::host::eventually;
use harness::{Bundle, Container, cgroup, need};

/// A container that counts for as long as it runs.
fn counter() -> Container {
    let c = Bundle::new().sh("while true; do echo tick; sleep 0.02; done").start();
    c.wait_for("tick");
    c
}

fn runs(c: &Container) -> bool {
    let before = c.stdout().len();
    eventually(Duration::from_secs(5), || c.stdout().len() > before)
}

/// A paused container does nothing, and goes on where it was.
#[test]
fn a_paused_container_stands_still_until_it_is_resumed() {
    need!(root);
    let c = counter();
    let _ = c.call(&["pause"]).ok();
    assert_eq!(c.status(), "paused");
    let before = c.stdout().len();
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(c.stdout().len(), before);
    let _ = c.call(&["resume"]).ok();
    assert_eq!(c.status(), "running");
    assert!(runs(&c));
}

/// runc's words where the status is the wrong one (`container_linux.go`, `Pause` and `Resume`).
#[test]
fn pause_and_resume_are_refused_in_other_states() {
    need!(root);
    let c = Bundle::new().sleeper().start();
    assert_eq!(c.call(&["resume"]).refused().trim(), "container not paused");
    let _ = c.call(&["pause"]).ok();
    assert!(c.call(&["pause"]).refused().starts_with("container not running"));
    assert_eq!(c.status(), "paused");
    let _ = c.call(&["resume"]).ok();
    c.stop();
    assert_eq!(c.call(&["pause"]).refused().trim(), "container not running");
    assert_eq!(c.call(&["resume"]).refused().trim(), "container not paused");
    let gone = c.runtime().call(&["pause", "nobody"]);
    assert_eq!(gone.refused().lines().next(), Some("container does not exist"));
}

/// A created container can be paused too; it is created again when it is resumed.
#[test]
fn a_created_container_is_paused() {
    need!(root);
    let c = Bundle::new().sleeper().create();
    let _ = c.call(&["pause"]).ok();
    assert_eq!(c.status(), "paused");
    assert!(c.call(&["start"]).refused().contains("cannot start a container in the paused state"));
    let _ = c.call(&["resume"]).ok();
    assert_eq!(c.status(), "created");
    c.start();
}

/// Processes that keep forking are caught (the v1 freezer needs several attempts).
#[test]
fn a_forking_container_is_paused() {
    need!(root);
    let c = Bundle::new()
        .sh("echo up; while true; do for i in 1 2 3 4; do /bin/true & done; wait; done")
        .start();
    c.wait_for("up");
    for _ in 0..5 {
        let _ = c.call(&["pause"]).ok();
        assert_eq!(c.status(), "paused");
        let _ = c.call(&["resume"]).ok();
    }
}

/// SIGKILL ends a paused container; another signal waits for `resume`.
#[test]
fn a_paused_container_can_be_killed() {
    need!(root);
    let c = Bundle::new().sleeper().start();
    let _ = c.call(&["pause"]).ok();
    let _ = c.kill("TERM").ok();
    assert_eq!(c.status(), "paused");
    let _ = c.kill("KILL").ok();
    c.wait();

    let c = Bundle::new().sleeper().start();
    let _ = c.call(&["pause"]).ok();
    let _ = c.runtime().call(&["kill", "--all", c.id(), "KILL"]).ok();
    c.wait();
}

/// `delete` refuses a paused container, `delete --force` does not; nothing is left.
#[test]
fn a_paused_container_is_deleted_by_force_only() {
    need!(root);
    let mut c = Bundle::new().sleeper().start();
    let _ = c.call(&["pause"]).ok();
    let message = c.call(&["delete"]).refused();
    assert!(message.contains("that is not stopped: paused"), "{message}");
    c.delete(&["--force"]);
    assert!(c.place().settled().is_empty(), "{}", c.place().census());
}

/// A paused container in the container does not keep it alive (runc 1.5: `kill` hangs, #2105).
#[test]
fn a_frozen_sub_cgroup_does_not_keep_a_container_alive() {
    need!(root, cgroup_v1);
    let c = Bundle::new().sh("sleep 1000 & echo $!; wait").start();
    c.wait_for("\n");
    let path = format!("/corten-{}", c.id());
    let nested = cgroup::dir("freezer", &path).join("nested");
    std::fs::create_dir(&nested).unwrap();
    let members = cgroup::read("freezer", &path, "cgroup.procs");
    let child = members.lines().find(|pid| *pid != c.pid().to_string()).unwrap();
    std::fs::write(nested.join("cgroup.procs"), child).unwrap();
    std::fs::write(nested.join("freezer.state"), "FROZEN").unwrap();
    assert_eq!(c.status(), "running");
    c.stop();
}

/// A container without any cgroup cannot be paused: said, not hung.
#[test]
fn a_container_without_a_cgroup_cannot_be_paused() {
    need!(root);
    let c = Bundle::new().global(&["--cgroup-manager", "disabled"]).sleeper().start();
    let message = c.call(&["pause"]).refused();
    assert!(message.contains("cgroups not configured for container"), "{message}");
    assert_eq!(c.status(), "running");
}

/// A cgroup above that is frozen is not the container's pause (runc looks at `self_freezing`).
#[test]
fn a_frozen_cgroup_above_is_no_pause() {
    need!(root, cgroup_v1);
    let bundle = Bundle::new();
    let above = format!("/corten-{}", bundle.id());
    let mut c = bundle.set("/linux/cgroupsPath", format!("{above}/c")).sleeper().start();
    let outer = cgroup::dir("freezer", &above);
    std::fs::write(outer.join("freezer.state"), "FROZEN").unwrap();
    let status = c.status();
    let resumed = c.call(&["resume"]);
    std::fs::write(outer.join("freezer.state"), "THAWED").unwrap();
    c.delete(&["--force"]);
    // The cgroups above a container's stay; these are ours.
    for hierarchy in std::fs::read_dir("/sys/fs/cgroup").unwrap() {
        let _ = std::fs::remove_dir(hierarchy.unwrap().path().join(&above[1..]));
    }
    assert_eq!(status, "running");
    assert_eq!(resumed.refused().trim(), "container not paused");
    assert!(c.place().settled().is_empty(), "{}", c.place().census());
}
