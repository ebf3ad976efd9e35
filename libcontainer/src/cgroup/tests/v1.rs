//! On the v1 hierarchies of this host.

use super::*;

fn fixture() -> Option<Fixture> {
    let fixture = Fixture::new();
    let mode = fixture.host.cgroup.mode;
    if root() && matches!(mode, CgroupMode::Legacy | CgroupMode::Hybrid) {
        return Some(fixture);
    }
    skip("needs root and v1 hierarchies");
    None
}

#[test]
fn limits_stand_before_the_first_process() {
    let Some(f) = fixture() else { return };
    let cgroup = f
        .create(json!({"pids": {"limit": 7},
            "memory": {"limit": 33_554_432, "swap": 33_554_432, "swappiness": 10},
            "cpu": {"shares": 512, "quota": 50_000, "period": 100_000, "cpus": "0"}}))
        .unwrap();
    for (file, value) in [
        ("pids.max", "7"),
        ("memory.limit_in_bytes", "33554432"),
        ("memory.memsw.limit_in_bytes", "33554432"),
        ("memory.swappiness", "10"),
        ("cpu.shares", "512"),
        ("cpu.cfs_quota_us", "50000"),
        ("cpuset.cpus", "0"),
    ] {
        assert_eq!(f.read(file), value, "{file}");
    }
    assert!(!f.read("cpuset.mems").is_empty(), "inherited");
    cgroup.remove().unwrap();
    assert!(!f.any_left());
}

#[test]
fn process_joins_by_itself_and_is_killed() {
    let Some(f) = fixture() else { return };
    let cgroup = f.create(json!({})).unwrap();
    let v1 = f.host.cgroup.hierarchies.iter().filter(|h| !h.is_v2()).count();
    assert_eq!(cgroup.join_fds().len(), v1);
    let mut sleeper = Sleeper::joining(&f);
    assert_eq!(cgroup.pids().unwrap(), [sleeper.pid()]);
    // From the state alone, as `kill` and `delete` do it.
    let cgroup = Cgroup::open(cgroup.record());
    assert!(cgroup.kill(libc::SIGKILL).unwrap());
    assert_eq!(sleeper.signal(), Some(libc::SIGKILL));
    cgroup.remove().unwrap();
    assert!(!cgroup.kill(libc::SIGKILL).unwrap());
}

#[test]
fn foreign_process_is_placed_everywhere() {
    let Some(f) = fixture() else { return };
    let cgroup = f.create(json!({})).unwrap();
    let sleeper = Sleeper::new();
    cgroup.place(sleeper.pid()).unwrap();
    let membership = std::fs::read_to_string(format!("/proc/{}/cgroup", sleeper.pid())).unwrap();
    let placed = membership.lines().filter(|l| l.ends_with(&format!(":/{}", f.name))).count();
    assert_eq!(placed, f.host.cgroup.hierarchies.len());
    assert!(cgroup.place(i32::MAX).is_err());
}

#[test]
fn failure_removes_exactly_what_was_made() {
    let Some(f) = fixture() else { return };
    let outer = f.create(json!({})).unwrap();
    let mut plan = f.plan("/a/b", json!({"pids": {"limit": 7}}));
    plan.writes[0].value = "many".into();
    let error = Cgroup::create(&plan).unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "cgroup linux.resources.pids.limit: write \"many\" to \
             /sys/fs/cgroup/pids/{}/a/b/pids.max: invalid argument",
            f.name
        )
    );
    for dir in f.dirs() {
        assert!(dir.is_dir() && !dir.join("a").exists());
    }
    outer.remove().unwrap();
}

#[test]
fn used_cgroup_is_refused_and_left_alone() {
    let Some(f) = fixture() else { return };
    let cgroup = f.create(json!({})).unwrap();
    let sleeper = Sleeper::joining(&f);
    let error = f.create(json!({})).unwrap_err();
    assert_eq!(error.to_string(), "container's cgroup is not empty: 1 process(es) found");
    assert_eq!(cgroup.pids().unwrap(), [sleeper.pid()]);
}

#[test]
fn empty_cgroup_is_reused_but_not_a_frozen_one() {
    let Some(f) = fixture() else { return };
    let first = f.create(json!({"pids": {"limit": 3}})).unwrap();
    f.create(json!({"pids": {"limit": 4}})).unwrap();
    assert_eq!(f.read("pids.max"), "4");
    first.freeze().unwrap();
    let error = f.create(json!({})).unwrap_err();
    assert_eq!(error.to_string(), "container's cgroup unexpectedly frozen");
    first.thaw().unwrap();
    assert!(!first.frozen().unwrap());
}

#[test]
fn frozen_container_with_a_frozen_child_dies() {
    let Some(f) = fixture() else { return };
    let outer = f.create(json!({})).unwrap();
    let inner = Cgroup::create(&f.plan("/inner", json!({}))).unwrap();
    let mut sleeper = Sleeper::new();
    inner.place(sleeper.pid()).unwrap();
    inner.freeze().unwrap();
    outer.freeze().unwrap();
    assert!(outer.frozen().unwrap());
    assert_eq!(outer.pids().unwrap(), [sleeper.pid()]);
    assert!(outer.kill(libc::SIGKILL).unwrap());
    assert_eq!(sleeper.signal(), Some(libc::SIGKILL));
    outer.remove().unwrap();
    assert!(!f.any_left());
}

#[test]
fn signal_to_a_frozen_container_waits() {
    let Some(f) = fixture() else { return };
    let cgroup = f.create(json!({})).unwrap();
    let mut sleeper = Sleeper::joining(&f);
    cgroup.freeze().unwrap();
    assert!(cgroup.kill(libc::SIGTERM).unwrap());
    assert!(cgroup.frozen().unwrap());
    assert!(sleeper.0.try_wait().unwrap().is_none());
    cgroup.thaw().unwrap();
    assert_eq!(sleeper.signal(), Some(libc::SIGTERM));
}

#[test]
fn signal_leaves_a_running_container_running() {
    let Some(f) = fixture() else { return };
    let cgroup = f.create(json!({})).unwrap();
    let mut sleeper = Sleeper::joining(&f);
    assert!(cgroup.kill(0).unwrap());
    assert!(!cgroup.frozen().unwrap());
    assert!(cgroup.kill(libc::SIGTERM).unwrap());
    assert_eq!(sleeper.signal(), Some(libc::SIGTERM));
}

#[test]
fn removal_takes_nested_cgroups_at_any_depth() {
    let Some(f) = fixture() else { return };
    let cgroup = f.create(json!({})).unwrap();
    // Longer than a path can be, as a container with its own cgroup mount can make it.
    let freezer = f.dirs().into_iter().find(|d| d.join("freezer.state").exists()).unwrap();
    let name = "n".repeat(200);
    let mut dir =
        crate::sys::fd::open(&fs::text(&freezer).unwrap(), libc::O_PATH | libc::O_DIRECTORY)
            .unwrap();
    let name = fs::text(Path::new(&name)).unwrap();
    for _ in 0..25 {
        crate::sys::fd::mkdirat(&dir, &name, 0o755).unwrap();
        dir = crate::sys::fd::openat(&dir, &name, libc::O_PATH | libc::O_DIRECTORY, 0).unwrap();
    }
    drop(dir);
    cgroup.remove().unwrap();
    assert!(!f.any_left());
}

#[test]
fn device_list_says_the_rules_in_order() {
    let Some(f) = fixture() else { return };
    let rules = json!({"devices": [
        {"allow": false, "access": "rwm"},
        {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rwm"},
        {"allow": true, "type": "b", "major": 8, "minor": 20, "access": "rw"},
        {"allow": true, "type": "b", "major": 10, "minor": 200, "access": "r"}]});
    f.create(rules.clone()).unwrap().limit_devices().unwrap();
    let list = f.read("devices.list");
    let lines: Vec<_> = list.lines().collect();
    assert_eq!(lines[..4], ["c 10:229 rwm", "b 8:20 rw", "b 10:200 r", "c *:* m"]);
    assert_eq!(lines.len(), 14);
    // A second container in the same place changes only the difference.
    f.create(json!({})).unwrap().limit_devices().unwrap();
    assert_eq!(f.read("devices.list").lines().count(), 11);
    // Below it, what it does not have cannot be given.
    let inner = Cgroup::create(&f.plan("/inner", rules)).unwrap();
    let error = inner.limit_devices().unwrap_err();
    assert!(error.to_string().contains("devices.allow \"c 10:229 rwm\""), "{error}");
    assert!(error.hint.unwrap().contains("cgroup above"));
}

#[test]
fn weight_without_a_scheduler_names_the_file() {
    let Some(f) = fixture() else { return };
    let blkio = f.dirs().into_iter().find(|d| d.to_string_lossy().contains("blkio"));
    let Some(blkio) = blkio.filter(|d| d.parent().unwrap().exists()) else { return };
    let error = f.create(json!({"blockIO": {"leafWeight": 10}})).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "cgroup linux.resources.blockIO.leafWeight: write \"10\" to \
             {}/blkio.leaf_weight: no such file or directory",
            blkio.display()
        )
    );
    assert!(error.hint.unwrap().contains("Linux 5.0"));
    assert!(!f.any_left());
}

#[test]
fn oom_kill_is_noticed() {
    let Some(f) = fixture() else { return };
    let cgroup = f.create(json!({"memory": {"limit": 4_194_304, "swap": 4_194_304}})).unwrap();
    assert!(!cgroup.oom_killed());
    let tasks = f.dirs().into_iter().map(|d| d.join("tasks"));
    let memory = tasks.into_iter().find(|t| t.to_string_lossy().contains("/memory/")).unwrap();
    let script = format!(
        "echo 0 > {} && exec dd if=/dev/zero of=/dev/null bs=64M count=1",
        memory.display()
    );
    let status = Command::new("sh").args(["-c", &script]).stderr(Stdio::null()).status().unwrap();
    assert!(!status.success());
    assert!(cgroup.oom_killed());
}

#[test]
fn hybrid_v2_directory_only_groups() {
    let Some(f) = fixture() else { return };
    let Some(v2) = f.dirs().pop().filter(|_| f.host.cgroup.mode == CgroupMode::Hybrid) else {
        return skip("needs a hybrid host");
    };
    let outer = f.create(json!({})).unwrap();
    assert!(outer.clone_into().is_some());
    Cgroup::create(&f.plan("/inner", json!({}))).unwrap();
    assert_eq!(std::fs::read_to_string(v2.join("cgroup.subtree_control")).unwrap(), "");
    let sleeper = Sleeper::new();
    outer.place(sleeper.pid()).unwrap();
    // What left the v2 hierarchy is met through v1.
    assert_eq!(outer.pids().unwrap(), [sleeper.pid()]);
}
