//! The harness judged: a census that could not find anything would pass every test.

use std::fs;
use std::panic::{catch_unwind, resume_unwind};
use std::process::{Command, Stdio};

use harness::{Bundle, Place, cgroup, need};

/// A process that names the id is found while it lives, and no longer.
#[test]
fn a_left_process_is_seen() {
    let place = Place::new();
    let mut child = Command::new("sleep")
        .arg("60")
        .env("CORTEN_TEST_ID", place.id())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let seen = harness::host::eventually(std::time::Duration::from_secs(2), || {
        place.census().processes.iter().any(|(pid, _)| *pid == i32::try_from(child.id()).unwrap())
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(seen, "the census is blind to processes");
    assert!(place.settled().is_empty(), "a dead process is no leftover");
}

/// A mount below the test's directory is found.
#[test]
fn a_left_mount_is_seen() {
    need!(root);
    let place = Place::new();
    let at = place.path("mounted");
    fs::create_dir(&at).unwrap();
    assert!(
        Command::new("mount").args(["-t", "tmpfs", "cit"]).arg(&at).status().unwrap().success()
    );
    let left = place.census();
    assert!(Command::new("umount").arg(&at).status().unwrap().success());
    assert_eq!(left.mounts, [at], "{left}");
}

/// A cgroup with the id in its name is found in any hierarchy, however deep.
#[test]
fn a_left_cgroup_is_seen() {
    need!(root);
    let place = Place::new();
    let mount = cgroup::mount_of("pids").or_else(|| cgroup::mount_of("cgroup2")).unwrap();
    let parent = mount.join(format!("corten-{}", place.id()));
    fs::create_dir_all(parent.join("child")).unwrap();
    let left = place.census();
    fs::remove_dir(parent.join("child")).unwrap();
    fs::remove_dir(&parent).unwrap();
    assert_eq!(left.cgroups, [parent.join("child"), parent], "{left}");
}

/// An entry of the state root is found.
#[test]
fn a_left_state_is_seen() {
    let place = Place::new();
    let entry = place.root().join("torn");
    fs::write(&entry, "").unwrap();
    let left = place.census();
    fs::remove_file(&entry).unwrap();
    assert_eq!(left.state, [entry], "{left}");
}

/// The census on drop fails a test that passed otherwise.
#[test]
#[should_panic(expected = "left behind by")]
fn a_drop_with_leftovers_fails_the_test() {
    let place = Place::new();
    let mut child =
        Command::new("sleep").arg("60").env("CORTEN_TEST_ID", place.id()).spawn().unwrap();
    let failed = catch_unwind(|| drop(place));
    // The census has killed what it found.
    child.wait().unwrap();
    resume_unwind(failed.unwrap_err());
}

/// A container that was never deleted is deleted by force on drop, and then nothing is left.
#[test]
fn a_forgotten_container_is_deleted() {
    need!(root);
    let container = Bundle::new().sleeper().start();
    let place = container.place();
    assert!(!place.census().processes.is_empty(), "a running container has processes");
    assert!(!place.census().cgroups.is_empty(), "and cgroups");
    drop(container);
    assert!(place.settled().is_empty(), "{}", place.census());
}

/// Facts come back from inside: values, errors, and the exit code.
#[test]
fn the_probe_answers() {
    need!(root);
    let c = Bundle::new().probe("read /etc/passwd -- read /nowhere -- pid".split(' ')).run();
    assert!(c.fact("read /etc/passwd").starts_with("root:"));
    assert_eq!(c.errno("read /nowhere"), "ENOENT");
    assert_eq!(c.fact("pid"), "1");
}
