//! `exec`: namespaces, cgroups and CPUs of the new process, and containers that do not let it in.

use std::fs;
use std::time::Duration;

use harness::host::{self, eventually};
use harness::{Bundle, Container, Holder, cgroup, need};
use serde_json::json;

/// Every namespace is init's.
fn assert_same_namespaces(c: &Container) {
    let seen = c.ask(&[], &["ns"]);
    let seen = seen.value("ns");
    for name in ["user", "pid", "net", "ipc", "uts", "cgroup", "mnt", "time"] {
        // A kernel may lack a kind.
        assert_eq!(seen[name].as_str().unwrap_or_default(), c.namespace(name), "{name}");
    }
}

/// All kinds at once, those that children alone enter too.
#[test]
fn every_namespace_is_entered() {
    need!(root, time_namespace);
    let c = Bundle::new()
        .namespace("cgroup", "")
        .namespace("time", "")
        .set("/linux/timeOffsets", json!({ "boottime": { "secs": 70_000 } }))
        .sleeper()
        .start();
    assert_same_namespaces(&c);
    assert_ne!(c.namespace("time"), host::namespace("self", "time"));
    let clock = c.ask(&[], &["clock"]);
    let inside = clock.value("clock")["boottime"].as_f64().unwrap_or_default();
    let uptime = fs::read_to_string("/proc/uptime").unwrap();
    let outside: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
    assert!(inside > outside + 60_000.0, "{inside} {outside}");
}

/// A user namespace is entered with the rest, and its root is taken.
#[test]
fn a_user_namespace_is_entered() {
    need!(root, user_namespace);
    let c = Bundle::new().user_namespace().sleeper().start();
    assert_same_namespaces(&c);
    assert_eq!(c.ask(&[], &["ids"]).value("ids")["uid"], 0);
    // A file it makes is the mapped root's.
    let _ = c.ask(&[], &["create", "/tmp/mine"]);
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(c.rootfs("/tmp/mine")).unwrap());
    assert_eq!(owner, 100_000);
}

/// A caller with no rights over the host's namespaces, but over the container's user namespace, gets
/// there over a bridge; init of the new process's life is still its caller.
#[test]
fn a_caller_without_rights_of_the_host_enters() {
    need!(root, user_namespace);
    let c = Bundle::new().user_namespace().sleeper().start();
    let mut weak = c.runtime().clone();
    weak.wrapper = ["setpriv", "--bounding-set=-sys_admin"].map(String::from).to_vec();
    let done = weak.call(&["exec", c.id(), "/bin/probe", "ns", "--", "ids"]).ok();
    let facts = harness::Facts::parse(&done.stdout);
    for name in ["user", "pid", "net", "ipc", "uts", "mnt"] {
        assert_eq!(facts.value("ns")[name], c.namespace(name).as_str(), "{name}");
    }
    assert_eq!(facts.value("ids")["uid"], 0);
    let done = weak.call(&["exec", c.id(), "/bin/sh", "-c", "exit 6"]);
    assert_eq!(done.code, Some(6));
    let done = weak.call(&["exec", c.id(), "/no/such"]);
    assert_eq!(done.code, Some(255));
    assert!(done.logged().contains("stat /no/such: no such file or directory"));
}

/// Namespaces that the container has joined by path, and the user namespace that owns them.
#[test]
fn joined_namespaces_are_entered() {
    need!(root, user_namespace);
    for kinds in [&["--net", "--ipc"][..], &["--user", "--map-root-user", "--net", "--ipc"]] {
        let held = Holder::unshare(kinds);
        let mut bundle = Bundle::new();
        if kinds.len() > 2 {
            bundle = bundle.namespace("user", &held.path("user"));
        }
        let c = bundle
            .namespace("network", &held.path("net"))
            .namespace("ipc", &held.path("ipc"))
            .edit(|c| {
                let own = |m: &serde_json::Value| m["type"] == "proc" || m["type"] == "tmpfs";
                c["mounts"].as_array_mut().unwrap().retain(own);
            })
            .sleeper()
            .start();
        assert_same_namespaces(&c);
        assert_eq!(c.namespace("net"), held.inode("net"));
    }
}

/// What the container shares with the host is shared by its further processes.
#[test]
fn shared_namespaces_stay_shared() {
    need!(root);
    let c = ["network", "ipc", "pid", "uts"]
        .into_iter()
        .fold(Bundle::new().unset("/hostname"), Bundle::without_namespace)
        .edit(|c| c["mounts"].as_array_mut().unwrap().retain(|m| m["type"] != "sysfs"))
        .sleeper()
        .start();
    assert_same_namespaces(&c);
}

/// Without a mount namespace nothing but the root directory keeps a process in the container.
#[test]
fn the_root_is_the_containers_without_a_mount_namespace() {
    need!(root);
    let c = Bundle::new()
        .without_namespace("mount")
        .set("/mounts", json!([]))
        .set("/linux/maskedPaths", json!([]))
        .set("/linux/readonlyPaths", json!([]))
        .file("/only-here", "")
        .sleeper();
    c.write();
    let created = c.runtime().call(&c.words("create"));
    if created.code != Some(0) {
        // Kernels before 6.15 cannot make what even this container needs.
        assert!(created.refused().contains("mount namespace"), "{created:#?}");
        return;
    }
    let _ = c.runtime().call(&["start", c.id()]).ok();
    let done = c.runtime().call(&["exec", c.id(), "/bin/sh", "-c", "ls / && pwd"]).ok();
    assert!(done.stdout.contains("only-here"), "{done:#?}");
    let _ = c.runtime().call(&["delete", "--force", c.id()]).ok();
}

/// The new process is in the cgroup of every hierarchy in which init is.
#[test]
fn the_process_is_in_the_containers_cgroups() {
    need!(root);
    let c = Bundle::new().sleeper().start();
    let init = c.proc("cgroup");
    let done = c.exec(&[], &["/bin/sh", "-c", "cat /proc/self/cgroup"]).ok();
    assert_eq!(done.stdout, init);
}

/// `--cgroup [CONTROLLER:]PATH` on v1.
#[test]
fn sub_cgroups_are_entered_on_v1() {
    need!(root, cgroup_v1);
    let c = Bundle::new().sleeper().start();
    let path = format!("/corten-{}", c.id());
    for controller in ["memory", "pids"] {
        fs::create_dir(cgroup::dir(controller, &path).join("sub")).unwrap();
    }
    let own = |flags: &[&str], controller: &str| {
        let done = c.exec(flags, &["/bin/sh", "-c", "cat /proc/self/cgroup"]).ok();
        let line = done.stdout.lines().find(|l| l.split(':').nth(1) == Some(controller));
        line.unwrap_or_default().rsplit(':').next().unwrap_or_default().to_owned()
    };
    let flags = ["--cgroup", "memory:sub", "--cgroup", "pids:sub"];
    assert!(own(&flags, "memory").ends_with("/sub") && own(&flags, "pids").ends_with("/sub"));
    assert!(own(&flags, "cpu").ends_with(&path));
    assert!(own(&["--cgroup", "/"], "memory").ends_with(&path));
    let error = c.exec_refused(&["--cgroup", "cpu:none"], &["true"]);
    assert!(error.contains("adding pid") && error.contains("no such file or directory"), "{error}");
    let error = c.exec_refused(&["--cgroup", "whaaat:/"], &["true"]);
    assert!(error.contains("unknown controller whaaat"), "{error}");
    for controller in ["memory", "pids"] {
        fs::remove_dir(cgroup::dir(controller, &path).join("sub")).unwrap();
    }
}

/// `--cgroup PATH` on v2.
#[test]
fn sub_cgroups_are_entered_on_v2() {
    need!(root, cgroup_v2);
    let c = Bundle::new().sleeper().start();
    let dir = cgroup::dir("cgroup2", &format!("/corten-{}", c.id()));
    fs::create_dir(dir.join("sub")).unwrap();
    let own = |flags: &[&str]| {
        let done = c.exec(flags, &["/bin/sh", "-c", "cat /proc/self/cgroup"]).ok();
        done.stdout.lines().last().unwrap_or_default().to_owned()
    };
    assert!(own(&["--cgroup", "sub"]).ends_with("/sub"));
    assert!(!own(&["--cgroup", "/"]).ends_with("/sub"));
    let error = c.exec_refused(&["--cgroup", "none"], &["true"]);
    assert!(error.contains("adding pid") && error.contains("no such file or directory"), "{error}");
    fs::remove_dir(dir.join("sub")).unwrap();
}

/// On v2, where the container's init has gone to another cgroup and the old one is no more.
#[test]
fn init_is_met_where_it_has_gone_on_v2() {
    need!(root, cgroup_v2);
    let c = Bundle::new().sleeper().start();
    let dir = cgroup::dir("cgroup2", &format!("/corten-{}", c.id()));
    let other = dir.with_file_name(format!("corten-{}-other", c.id()));
    fs::create_dir(&other).unwrap();
    fs::write(other.join("cgroup.procs"), c.pid().to_string()).unwrap();
    fs::remove_dir(&dir).unwrap();
    let done = c.exec(&[], &["/bin/sh", "-c", "cat /proc/self/cgroup"]).ok();
    assert!(done.stdout.trim_end().ends_with("-other"), "{done:#?}");
    // But not when a place was asked for.
    assert!(c.exec_refused(&["--cgroup", "/"], &["true"]).contains("adding pid"));
    c.stop();
    assert!(eventually(Duration::from_secs(5), || fs::remove_dir(&other).is_ok()));
}

/// A v2 cgroup that hands controllers down takes no processes: the process goes where init is, unless
/// a place was asked for.
#[test]
fn a_divided_cgroup_is_entered_where_init_is() {
    need!(root, cgroup_v2, controller("pids"));
    let c = Bundle::new().sleeper().start();
    let dir = cgroup::dir("cgroup2", &format!("/corten-{}", c.id()));
    fs::create_dir(dir.join("inner")).unwrap();
    fs::write(dir.join("inner/cgroup.procs"), c.pid().to_string()).unwrap();
    fs::write(dir.join("cgroup.subtree_control"), "+pids").unwrap();
    let done = c.exec(&[], &["/bin/sh", "-c", "cat /proc/self/cgroup"]).ok();
    assert!(done.stdout.trim_end().ends_with("/inner"), "{done:#?}");
    let error = c.exec_refused(&["--cgroup", "/"], &["true"]);
    assert!(error.contains("device or resource busy"), "{error}");
    let done = c.exec(&["--cgroup", "inner"], &["/bin/sh", "-c", "cat /proc/self/cgroup"]).ok();
    assert!(done.stdout.trim_end().ends_with("/inner"), "{done:#?}");
}

/// Never outside of the container's cgroup; a sibling with the same beginning is outside.
#[test]
fn a_sub_cgroup_never_leaves_the_containers() {
    need!(root);
    let c = Bundle::new().sleeper().start();
    let sibling = format!("../corten-{}-sibling", c.id());
    for path in ["..", "a/../..", "../other", sibling.as_str()] {
        let error = c.exec_refused(&["--cgroup", path], &["true"]);
        assert!(error.contains("bad sub cgroup path"), "{path}: {error}");
    }
}

/// One process is all it takes: no helper of ours counts against the container.
#[test]
fn one_process_is_enough() {
    need!(root, cgroup_v1);
    let c = Bundle::new().set("/linux/resources/pids/limit", 2).sleeper().start();
    assert_eq!(c.ask(&[], &["cwd"]).text("cwd"), "/");
    let peak = cgroup::read("pids", &format!("/corten-{}", c.id()), "pids.peak");
    assert!(peak.trim().is_empty() || peak.trim() == "2", "{peak}");
}

/// `execCPUAffinity`: `initial` on the way, `final` for the program.
#[test]
fn cpu_affinity_is_set() {
    need!(root, cpus(2));
    let cpus = |affinity: serde_json::Value| {
        let c = Bundle::new().set("/process/execCPUAffinity", affinity).sleeper().start();
        c.ask(&[], &["status", "Cpus_allowed_list"]).text("status")
    };
    assert_eq!(cpus(json!({ "initial": "0", "final": "1" })), "1");
    assert_eq!(cpus(json!({ "final": "0" })), "0");
    assert_eq!(cpus(json!({ "initial": "1" })), "1");
    // What the caller is confined to is not the container's limit.
    let c = Bundle::new().sleeper().start();
    let mut confined = c.runtime().clone();
    confined.wrapper = ["taskset", "-c", "0"].map(String::from).to_vec();
    let done = confined.call(&["exec", c.id(), "/bin/probe", "status", "Cpus_allowed_list"]).ok();
    assert_ne!(harness::Facts::parse(&done.stdout).text("status"), "0");
}

/// CPUs that do not exist are an error, in both places.
#[test]
fn cpus_that_do_not_exist_are_refused() {
    need!(root);
    for member in ["initial", "final"] {
        let c = Bundle::new()
            .set("/process/execCPUAffinity", json!({ member: "8000" }))
            .sleeper()
            .start();
        let error = c.exec_refused(&[], &["true"]);
        assert!(error.contains("CPU"), "{member}: {error}");
    }
}

/// A stopped, a missing and a paused container say so.
#[test]
fn containers_that_cannot_be_entered_say_why() {
    need!(root);
    let c = Bundle::new().sleeper().start();
    let _ = c.call(&["pause"]).ok();
    let paused = "cannot exec in a paused container (use --ignore-paused to override)";
    assert_eq!(c.exec_refused(&[], &["true"]), paused);
    let _ = c.call(&["resume"]).ok();
    c.stop();
    assert_eq!(c.exec_refused(&[], &["true"]), "cannot exec in a stopped container");
    let missing = c.runtime().call(&["exec", "nobody", "true"]);
    assert_eq!(
        (missing.code, missing.logged().as_str()),
        (Some(255), "exec failed: container does not exist")
    );
}

/// `--ignore-paused`: the program runs as soon as the container does.
#[test]
fn a_paused_container_is_waited_for_on_request() {
    need!(root);
    let c = Bundle::new().sleeper().start();
    let _ = c.call(&["pause"]).ok();
    let call = c.runtime().spawn(&["exec", "--ignore-paused", c.id(), "/bin/sh", "-c", "exit 3"]);
    std::thread::sleep(Duration::from_millis(300));
    let _ = c.call(&["resume"]).ok();
    assert_eq!(call.wait().code, Some(3));
}

/// Races with the end of the container: the program's end or one clear error, and nothing left.
#[test]
fn a_container_that_ends_meanwhile_is_one_clear_error() {
    need!(root);
    for delay in 0..12 {
        let c = Bundle::new().sleeper().start();
        let calls: Vec<_> =
            (0..3).map(|_| c.runtime().spawn(&["exec", c.id(), "/bin/true"])).collect();
        std::thread::sleep(Duration::from_millis(delay));
        let _ = c.kill("KILL");
        for call in calls {
            let done = call.wait();
            match done.code {
                Some(0 | 137) => {}
                Some(255) => {
                    assert_eq!(done.logged(), "exec failed: cannot exec in a stopped container");
                }
                _ => panic!("{done:#?}"),
            }
        }
    }
}
