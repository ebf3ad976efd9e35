//! Ordinary users on a host where systemd is PID 1: their own manager, delegated cgroups, other sessions.
//!
//! `as-user` of the guest (tests/vm) is a user after a login: uid 1000 has subordinate ids and every
//! controller, uid 1001 neither. What needs no systemd: [`crate::rootless`].

use std::process::Command;
use std::time::Duration;

use harness::host::eventually;
use harness::{Bundle, Output, cgroup, need};
use serde_json::json;

use crate::rootless::{give, map, of};

const AS_USER: &str = "/usr/local/bin/as-user";
const USER: u32 = 1000;
const MANAGER: &str = "/user.slice/user-1000.slice/user@1000.service";

/// A bundle of the user with ids of its own, not yet written.
fn bundle() -> Bundle {
    let ids = map(&[(0, USER, 1), (1, 100_000, 65536)]);
    of(USER)
        .set("/linux/uidMappings", ids.clone())
        .set("/linux/gidMappings", ids)
        .sleeper()
        .under(&["as-user"])
}

/// The same, its unit made by the user's manager, called from a cgroup that is not the user's.
fn from_elsewhere() -> Bundle {
    let bundle = bundle().global(&["--systemd-cgroup"]).env("AS_SESSION", "1");
    let path = format!("user.slice:cit:{}", bundle.id());
    bundle.set("/linux/cgroupsPath", path)
}

struct User {
    bundle: Bundle,
}

impl User {
    fn start(bundle: Bundle) -> Self {
        give(&bundle, USER);
        let _ = bundle.runtime().call(&bundle.words("create")).ok();
        let user = Self { bundle };
        let _ = user.call(&["start"], &[]).ok();
        user
    }

    /// A verb with its flags, the id, and what follows it.
    fn call(&self, verb: &[&str], after: &[&str]) -> Output {
        self.bundle.runtime().call(&[verb, &[self.bundle.id()], after].concat())
    }

    fn sh(&self, script: &str) -> Output {
        self.call(&["exec"], &["/bin/sh", "-c", script])
    }

    fn pid(&self) -> i64 {
        self.call(&["state"], &[]).ok().json()["pid"].as_i64().unwrap()
    }

    fn cgroup(&self) -> String {
        cgroup::of(&self.pid().to_string(), "")
    }

    fn file(&self, name: &str) -> String {
        cgroup::read("cgroup2", &self.cgroup(), name)
    }

    /// Everything that a container with a cgroup can do.
    fn live(&self) {
        let own = self.cgroup();
        assert!(own.starts_with(MANAGER), "{own}");
        assert_eq!(
            (self.file("memory.max"), self.file("pids.max")),
            ("67108864".into(), "8".into())
        );
        let done = self.sh("cat /proc/self/cgroup; cat /proc/self/uid_map").ok();
        assert!(done.stdout.contains(&format!("0::{own}\n")), "{done:#?}");
        assert!(done.stdout.contains("100000"), "{done:#?}");
        // Neither limit can be passed.
        let many = self.sh("for n in 1 2 3 4 5 6 7 8 9; do sleep 9 & done; wait");
        assert_ne!(many.code, Some(0), "{many:#?}");
        assert!(many.stderr.contains("fork"), "{many:#?}");
        let _ = self.call(&["update", "--pids-limit=30", "--memory=32M"], &[]).ok();
        assert_eq!(
            (self.file("memory.max"), self.file("pids.max")),
            ("33554432".into(), "30".into())
        );
        let fat = self.sh("exec busybox tail /dev/zero");
        assert_eq!(fat.code, Some(137), "{fat:#?}");
        let ps = self.call(&["ps", "--format=json"], &[]).ok().json();
        assert!(ps.as_array().unwrap().iter().any(|pid| *pid == self.pid()), "{ps}");
        let _ = self.call(&["pause"], &[]).ok();
        assert_eq!(self.call(&["state"], &[]).ok().json()["status"], "paused");
        let _ = self.call(&["resume"], &[]).ok();
        let stats = self.call(&["events", "--stats"], &[]).ok().json();
        assert_eq!(stats["data"]["pids"]["limit"], 30, "{stats}");
    }

    fn delete(&self) {
        let own = self.cgroup();
        let _ = self.call(&["delete", "--force"], &[]).ok();
        let gone = || !cgroup::dir("cgroup2", &own).exists();
        assert!(eventually(Duration::from_secs(5), gone), "{own}");
    }
}

fn limits() -> serde_json::Value {
    json!({ "memory": { "limit": 64 << 20, "swap": 64 << 20 }, "pids": { "limit": 8 } })
}

/// `systemctl --user` of the user.
fn systemctl(args: &[&str]) -> String {
    let output = Command::new(AS_USER)
        .args(["systemctl", "--user"])
        .args(args)
        .env("AS_SESSION", "1")
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// In a delegated scope every verb works by the cgroup file system alone, limits hold, and nothing
/// stays.
#[test]
fn a_delegated_scope_is_enough() {
    need!(root, systemd, cgroup_v2, user_namespace, file(AS_USER));
    let user = User::start(bundle().set("/linux/resources", limits()));
    user.live();
    user.delete();
}

/// From a session of another kind systemd moves processes into the container's scope: at its
/// begin, and for `exec`.
#[test]
fn another_session_is_no_obstacle() {
    need!(root, systemd, cgroup_v2, user_namespace, file(AS_USER));
    let user = User::start(from_elsewhere().set("/linux/resources", limits()));
    let unit = format!("cit-{}.scope", user.bundle.id());
    assert_eq!(user.cgroup(), format!("{MANAGER}/user.slice/{unit}"));
    user.live();
    let show = |name: &str| systemctl(&["show", "--value", "--property", name, &unit]);
    assert_eq!((show("MemoryMax"), show("TasksMax")), ("33554432".into(), "30".into()));
    let _ = systemctl(&["daemon-reload"]);
    assert_eq!(user.file("memory.max"), "33554432");
    user.delete();
    let gone = || show("LoadState") == "not-found";
    assert!(eventually(Duration::from_secs(10), gone), "{}", systemctl(&["status", &unit]));
}

/// A container without a unit cannot be entered from a session of another kind: no process of it is outside of
/// its limits. The refusal tells both ways in.
///
/// runc: leaves the process in the caller's cgroup, without limits; crun: refuses too.
#[test]
fn without_a_unit_another_session_is_refused() {
    need!(root, systemd, cgroup_v2, user_namespace, file(AS_USER));
    let user = User::start(bundle().set("/linux/resources", limits()));
    let mut elsewhere = user.bundle.runtime().clone();
    elsewhere.env.push(("AS_SESSION".into(), "1".into()));
    let output = elsewhere.call(&["exec", user.bundle.id(), "id"]);
    assert!(output.code != Some(0) && output.stdout.is_empty(), "{output:#?}");
    for part in ["permission denied", "systemd-run --user --scope", "--systemd-cgroup"] {
        assert!(output.stderr.contains(part), "{part}: {output:#?}");
    }
    user.delete();
}

/// A further process from another session goes where init is, when the container has divided its
/// cgroup; and where `--cgroup` says.
#[test]
fn a_divided_scope_is_entered_from_another_session() {
    need!(root, systemd, cgroup_v2, user_namespace, file(AS_USER));
    let cgroups = json!({ "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
        "options": ["nosuid", "noexec", "nodev"] });
    let divide = "cd /sys/fs/cgroup && mkdir init other && echo 1 >init/cgroup.procs && \
        echo +pids >cgroup.subtree_control && echo divided && exec sleep 1000";
    let bundle = from_elsewhere()
        .namespace("cgroup", "")
        .push("/mounts", cgroups)
        .args(&["/bin/sh", "-c", divide]);
    give(&bundle, USER);
    let created = bundle.runtime().call(&bundle.words("create")).ok();
    let user = User { bundle };
    let _ = user.call(&["start"], &[]).ok();
    let divided = || harness::runtime::lossy(&created.out).contains("divided");
    assert!(eventually(Duration::from_secs(10), divided), "{created:#?}");
    let place = |flags: &[&str]| {
        let verb = [&["exec"], flags].concat();
        user.call(&verb, &["cat", "/proc/self/cgroup"]).ok().stdout
    };
    assert_eq!(place(&[]).trim(), "0::/init");
    assert_eq!(place(&["--cgroup=/other"]).trim(), "0::/other");
    let _ = user.call(&["delete", "--force"], &[]).ok();
}

/// Limits where no cgroup is delegated, and a controller that is not: the refusal tells how to get
/// them.
#[test]
fn what_is_not_delegated_is_told_with_the_remedy() {
    need!(root, systemd, cgroup_v2, user_namespace, controller("cpu"), file(AS_USER));
    let refused = |bundle: Bundle, uid: u32| {
        give(&bundle, uid);
        let output = bundle.runtime().call(&bundle.words("create"));
        let _ = output.refused();
        output.stderr
    };
    let elsewhere = bundle().set("/linux/resources", limits()).env("AS_SESSION", "1");
    let words = refused(elsewhere, USER);
    for part in ["limits", "--systemd-cgroup", "systemd-run --user --scope -p Delegate=yes"] {
        assert!(words.contains(part), "{part}: {words}");
    }
    let poor = || {
        let bundle = of(1001).sleeper().under(&["as-user"]).env("AS_UID", "1001");
        bundle.set("/linux/resources/cpu", json!({ "shares": 512 }))
    };
    let words = refused(poor(), 1001);
    for part in ["\"cpu\"", "user@.service.d/delegate.conf", "Delegate=cpu cpuset io memory pids"] {
        assert!(words.contains(part), "{part}: {words}");
    }
    let words = refused(poor().global(&["--systemd-cgroup"]), 1001);
    assert!(words.contains("user@.service.d/delegate.conf"), "{words}");
}

/// Without a way to the user's bus the refusal says how to get one.
#[test]
fn a_bus_that_is_missing_is_named() {
    need!(root, systemd, cgroup_v2, user_namespace, file(AS_USER));
    let bundle =
        from_elsewhere().under(&["env", "-u", "DBUS_SESSION_BUS_ADDRESS", "-u", "XDG_RUNTIME_DIR"]);
    give(&bundle, USER);
    let output = bundle.runtime().call(&bundle.words("create"));
    let words = output.refused();
    assert!(words.contains("connect on the user's bus"), "{words}");
    assert!(output.stderr.contains("loginctl enable-linger"), "{output:#?}");
}

/// A manager that hangs is not waited for without end: the refusal names phase and bus, and when it
/// wakes up again there is nothing of the container.
#[test]
fn a_manager_that_hangs_is_given_up() {
    need!(root, systemd, cgroup_v2, user_namespace, file(AS_USER));
    // The bus is there before: it is systemd that begins it.
    let list = ["busctl", "--user", "--no-pager", "list"];
    let up =
        Command::new(AS_USER).args(list).envs([("AS_UID", "1001"), ("AS_SESSION", "1")]).output();
    assert!(up.is_ok_and(|output| output.status.success()));
    let manager = |signal: &str| {
        let kill = ["kill", "--kill-who=main", "--signal", signal, "user@1001.service"];
        assert!(Command::new("systemctl").args(kill).status().unwrap().success());
    };
    let bundle =
        of(1001).sleeper().under(&["as-user"]).env("AS_UID", "1001").env("AS_SESSION", "1");
    let path = format!("user.slice:cit:{}", bundle.id());
    let bundle = bundle
        .global(&["--systemd-cgroup"])
        .set("/linux/cgroupsPath", path)
        .patience(Duration::from_secs(60));
    give(&bundle, 1001);
    manager("STOP");
    let output = bundle.runtime().call(&bundle.words("create"));
    manager("CONT");
    let words = output.refused();
    assert!(words.contains("no answer on the user's bus for 30 seconds"), "{words}");
    assert!(words.contains("systemd: property Version"), "{words}");
    let left = || bundle.place().settled();
    assert!(left().is_empty(), "{}", left());
}
