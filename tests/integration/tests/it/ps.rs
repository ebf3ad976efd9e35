//! `ps`: the container's processes, as pids and as ps(1) shows them.

use harness::{Bundle, Container, need};

fn pair() -> Container {
    let c = Bundle::new().sh("sleep 1000 & echo up; wait").start();
    c.wait_for("up");
    c
}

fn pids(c: &Container) -> Vec<i64> {
    let output = c.call(&["ps", "--format", "json"]).ok();
    output.json().as_array().unwrap().iter().map(|pid| pid.as_i64().unwrap()).collect()
}

/// Init and its child, by the pids of the host; an array of numbers (go-runc's `Ps` reads it).
#[test]
fn every_process_is_listed_as_json() {
    need!(root);
    let c = pair();
    let pids = pids(&c);
    assert!(pids.len() == 2 && pids.contains(&c.pid().into()), "{pids:?}");
}

/// The table of `ps -ef` with the container's lines only.
#[test]
fn the_table_has_only_the_container_s_processes() {
    need!(root);
    let c = pair();
    let table = c.call(&["ps"]).ok().stdout;
    let mut lines = table.lines();
    let title: Vec<_> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(title, ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]);
    let rows: Vec<_> = lines.collect();
    assert_eq!(rows.len(), 2, "{table}");
    assert!(rows.iter().any(|row| row.contains("sleep 1000")), "{table}");
}

/// What follows the name goes to ps(1), dashes and all (Docker's `top` sends `-ef`).
#[test]
fn options_go_to_ps() {
    need!(root);
    let c = pair();
    let table = c.runtime().call(&["ps", c.id(), "-e", "-o", "pid,args"]).ok().stdout;
    assert_eq!(table.lines().count(), 3, "{table}");
    assert_eq!(table.lines().next().unwrap().split_whitespace().count(), 2, "{table}");
    let refused = c.runtime().call(&["ps", c.id(), "-o", "comm"]).refused();
    assert!(refused.contains("couldn't find PID field in ps output"), "{refused}");
    let refused = c.runtime().call(&["ps", c.id(), "--nonsense"]).refused();
    assert!(refused.starts_with("ps --nonsense: exit status 1"), "{refused}");
}

/// A stopped container has no processes; `null` is Go's empty list.
#[test]
fn a_stopped_container_has_no_processes() {
    need!(root);
    let c = pair();
    c.stop();
    assert_eq!(c.call(&["ps"]).ok().stdout.lines().count(), 1);
    assert_eq!(c.call(&["ps", "-f", "json"]).ok().stdout, "null\n");
}

/// Without ps(1) there is a clear error, and JSON all the same.
#[test]
fn a_missing_ps_is_said() {
    need!(root);
    let c = pair();
    let mut runtime = c.runtime().clone();
    runtime.env = vec![("PATH".into(), "/nowhere".into())];
    let missing = runtime.call(&["ps", c.id()]);
    let message = missing.refused();
    assert!(message.contains("\"ps\": executable file not found in $PATH"), "{message}");
    assert!(missing.stderr.contains("--format json"), "{missing:?}");
    assert_eq!(runtime.call(&["ps", "-f=json", c.id()]).ok().json().as_array().unwrap().len(), 2);
}

/// Processes of a sub-cgroup are the container's too.
#[test]
fn processes_of_sub_cgroups_are_listed() {
    need!(root);
    let c = pair();
    let path = format!("/corten-{}", c.id());
    let controller = if need::cgroup_v1().is_ok() { "devices" } else { "cgroup2" };
    let nested = harness::cgroup::dir(controller, &path).join("nested");
    std::fs::create_dir(&nested).unwrap();
    std::fs::write(nested.join("cgroup.procs"), c.pid().to_string()).unwrap();
    let pids = pids(&c);
    assert!(pids.len() == 2 && pids.contains(&c.pid().into()), "{pids:?}");
}

/// A container without a cgroup is known by its pid namespace.
#[test]
fn without_a_cgroup_the_pid_namespace_tells() {
    need!(root);
    let bare = |bundle: Bundle| {
        let bundle = bundle.global(&["--cgroup-manager", "disabled"]);
        let c = bundle.sh("sleep 1000 & echo up; wait").start();
        c.wait_for("up");
        c
    };
    let c = bare(Bundle::new());
    let pids = pids(&c);
    assert!(pids.len() == 2 && pids.contains(&c.pid().into()), "{pids:?}");
    c.stop();
    assert_eq!(c.call(&["ps", "-f", "json"]).ok().stdout, "null\n");

    let c = bare(Bundle::new().without_namespace("pid"));
    let child = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", c.pid())).unwrap();
    let message = c.call(&["ps", "-f", "json"]).refused();
    assert!(message.contains("cgroups not configured for container"), "{message}");
    c.stop();
    // Nobody else knows it: there is no cgroup and no pid namespace to end with init.
    let pid = rustix::process::Pid::from_raw(child.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}
