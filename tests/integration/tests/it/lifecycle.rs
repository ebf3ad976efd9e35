//! create, start, state, kill, delete, list: what callers see (runtime.md, and the words they search for).

use std::time::Duration;

use harness::{Bundle, host, need};
use serde_json::json;

/// created → running → stopped → gone.
#[test]
fn the_states_follow_each_other() {
    need!(root);
    let mut c = Bundle::new().sleeper().create();
    assert_eq!(c.status(), "created");
    c.start();
    assert_eq!(c.status(), "running");
    c.stop();
    assert_eq!(c.status(), "stopped");
    c.delete(&[]);
    let message = c.call(&["state"]).refused();
    assert!(message.contains("does not exist"), "{message}");
}

/// The program runs at `start`, not before.
#[test]
fn the_program_waits_for_start() {
    need!(root);
    let c = Bundle::new().sh("echo ran").create();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(c.stdout(), "");
    c.start();
    c.wait();
    assert_eq!(c.stdout(), "ran\n");
}

/// Changes to config.json after `create` change nothing (runtime.md, lifecycle, step 2).
#[test]
fn config_changes_after_create_are_ignored() {
    need!(root);
    let c = Bundle::new().sh("echo first").create();
    std::fs::write(c.place().path("bundle/config.json"), "{}").unwrap();
    c.start();
    c.wait();
    assert_eq!(c.stdout(), "first\n");
}

/// `state` has the fields of runtime.md and those callers expect beside them.
#[test]
fn state_has_its_fields() {
    need!(root);
    let c = Bundle::new().edit(|c| c["annotations"] = json!({ "a.b": "c" })).sleeper().create();
    let state = c.state();
    assert_eq!(state["id"], c.id());
    assert_eq!(state["status"], "created");
    assert_eq!(state["annotations"], json!({ "a.b": "c" }));
    assert_eq!(state["bundle"], c.place().path("bundle").to_string_lossy().as_ref());
    assert_eq!(state["rootfs"], c.place().path("bundle/rootfs").to_string_lossy().as_ref());
    assert!(state["ociVersion"].as_str().unwrap().starts_with("1."), "{state}");
    // runc fills it in `list` only.
    assert!(["", "root"].contains(&state["owner"].as_str().unwrap()), "{state}");
    let created = state["created"].as_str().unwrap();
    assert!(created.len() >= 20 && created.as_bytes()[10] == b'T', "RFC 3339: {created}");
    assert!(state["pid"].as_i64().unwrap() > 1);
    c.start();
    c.stop();
    assert_eq!(c.state()["pid"], 0, "a stopped container has no pid");
}

/// The pid of `state` is the program's.
#[test]
fn the_pid_is_the_programs() {
    need!(root);
    let c = Bundle::new().sleeper().start();
    c.wait_for("waiting");
    assert_eq!(c.proc("comm").trim(), "probe");
}

/// `start` twice, and `start` of a stopped container, are refused.
#[test]
fn start_works_once() {
    need!(root);
    let c = Bundle::new().sleeper().start();
    let message = c.call(&["start"]).refused();
    assert!(message.contains("cannot start an already running container"), "{message}");
    c.stop();
    let message = c.call(&["start"]).refused();
    assert!(message.contains("cannot start a container that has stopped"), "{message}");
}

/// Of several starts at once exactly one wins.
#[test]
fn one_of_many_starts_wins() {
    need!(root);
    let c = Bundle::new().sh("echo once; exec sleep 100").create();
    let calls: Vec<_> = (0..4).map(|_| c.runtime().spawn(&["start", c.id()])).collect();
    let won =
        calls.into_iter().map(harness::runtime::Call::wait).filter(|o| o.code == Some(0)).count();
    assert_eq!(won, 1);
    c.wait_for("once");
    assert_eq!(c.stdout(), "once\n");
}

/// A program that cannot be executed: `start` fails with the words engines turn into 126 and 127.
#[test]
fn a_failing_exec_is_explained() {
    need!(root);
    let c = Bundle::new().args(&["no-such-program"]);
    c.write();
    let (at_create, words) =
        (c.runtime().call(&c.words("create")), ["executable file not found", "no-such-program"]);
    let output =
        if at_create.code == Some(0) { c.runtime().call(&["start", c.id()]) } else { at_create };
    let message = output.logged();
    assert!(words.iter().all(|w| message.contains(w)), "{message}");
}

/// A created container ends on the signals that ask for it, although it is the init of a pid namespace.
#[test]
fn a_created_container_ends_when_asked() {
    need!(root);
    for signal in ["TERM", "INT", "HUP", "QUIT"] {
        let c = Bundle::new().sleeper().create();
        let _ = c.kill(signal).ok();
        c.wait();
        assert_eq!(c.status(), "stopped", "{signal}");
        let message = c.call(&["start"]).refused();
        assert!(message.contains("cannot start a container that has stopped"), "{message}");
    }
}

/// Signals by name, by name with SIG, by number; TERM when there is none.
#[test]
fn kill_takes_names_and_numbers() {
    need!(root);
    for words in [&["TERM"][..], &["SIGTERM"], &["15"], &["term"], &[]] {
        let c = Bundle::new().sleeper().start();
        c.wait_for("waiting");
        let mut all = vec!["kill", c.id()];
        all.extend(words);
        let _ = c.runtime().call(&all).ok();
        c.wait();
        assert_eq!(c.facts().text("wait TERM"), "SIGTERM", "{words:?}");
    }
}

/// A signal nobody knows is refused, with its name.
#[test]
fn kill_refuses_unknown_signals() {
    need!(root);
    let c = Bundle::new().sleeper().start();
    for signal in ["MOON", "SIGMOON", "99", "-5"] {
        let output = c.kill(signal);
        assert_ne!(output.code, Some(0), "{signal}");
    }
    assert_eq!(c.status(), "running");
}

/// Realtime signals too.
#[test]
fn kill_sends_realtime_signals() {
    need!(root);
    let c = Bundle::new().without_namespace("pid").args(&["/bin/sleep", "100"]).start();
    let _ = c.kill("34").ok();
    c.wait();
    assert_eq!(c.status(), "stopped");
}

/// A created container can be killed; a stopped one is "not running", which callers search for.
#[test]
fn kill_of_created_and_of_stopped() {
    need!(root);
    let c = Bundle::new().sleeper().create();
    let pid = c.pid();
    let _ = c.kill("KILL").ok();
    harness::container::wait_exit(pid);
    let message = c.kill("KILL").refused();
    assert!(message.contains("container not running"), "{message}");
}

/// `kill --all` reaches every process, also when the first is gone already.
#[test]
fn kill_all_reaches_every_process() {
    need!(root);
    let c =
        Bundle::new().without_namespace("pid").sh("sleep 1000 & echo up; exec sleep 1000").start();
    c.wait_for("up");
    let _ = c.runtime().call(&["kill", "--all", c.id(), "KILL"]).ok();
    let gone = host::eventually(Duration::from_secs(5), || c.place().census().processes.is_empty());
    assert!(gone, "{}", c.place().census());
}

/// `delete` wants a stopped container.
#[test]
fn delete_of_a_running_container_is_refused() {
    need!(root);
    let c = Bundle::new().sleeper().start();
    let message = c.call(&["delete"]).refused();
    assert!(message.contains("cannot delete container"), "{message}");
    assert!(message.contains("that is not stopped"), "{message}");
    assert_eq!(c.status(), "running");
}

/// `delete --force` ends what runs; of a missing one it succeeds.
#[test]
fn delete_by_force() {
    need!(root);
    let mut c = Bundle::new().sleeper().start();
    c.delete(&["--force"]);
    assert!(c.place().settled().is_empty(), "{}", c.place().census());
    let _ = c.call(&["delete", "--force"]).ok();
    let message = c.call(&["delete"]).refused();
    assert!(message.contains("does not exist"), "{message}");
}

/// `delete` of a created container that was never started.
#[test]
fn delete_of_a_created_container_by_force() {
    need!(root);
    let mut c = Bundle::new().sleeper().create();
    c.delete(&["-f"]);
    assert!(c.place().settled().is_empty(), "{}", c.place().census());
}

/// Every verb on an id that is not there says so in the same words.
#[test]
fn missing_containers_do_not_exist() {
    need!(root);
    let bundle = Bundle::new();
    for verb in ["state", "start", "kill", "delete"] {
        let message = bundle.runtime().call(&[verb, bundle.id()]).refused();
        assert!(
            message.contains("container does not exist") || message.contains("does not exist"),
            "{verb}: {message}"
        );
    }
}

/// Ids are checked before anything else.
#[test]
fn odd_ids_are_refused() {
    need!(root);
    for id in ["", "a/b", "../up", "..", ".", "a b", "ü", "a\nb"] {
        let bundle = Bundle::new().named(id);
        bundle.write();
        let output = bundle.runtime().call(&bundle.words("create"));
        assert_ne!(output.code, Some(0), "{id:?}");
    }
    let bundle = Bundle::new().named("../escape");
    bundle.write();
    let message = bundle.runtime().call(&bundle.words("create")).refused();
    assert!(
        message.contains("invalid container ID format") || message.contains("invalid id format"),
        "{message}"
    );
}

/// An id that is in use is refused, and its container lives on.
#[test]
fn an_id_in_use_is_refused() {
    need!(root);
    let c = Bundle::new().sleeper().start();
    let second = Bundle::at(c.place(), "second").named(c.id()).sleeper();
    second.write();
    let output = second.runtime().call(&second.words("create"));
    let message = output.refused();
    assert!(message.contains("container with given ID already exists"), "{message}");
    assert_eq!(c.status(), "running");
}

/// `list`: JSON with the fields engines read, the table, and the ids alone.
#[test]
fn list_shows_every_container() {
    need!(root);
    let one = Bundle::new().sleeper().start();
    let two = Bundle::at(one.place(), "two").sleeper().create();
    let list = one.runtime().call(&["list", "--format", "json"]).ok().json();
    let list = list.as_array().unwrap().clone();
    assert_eq!(list.len(), 2, "{list:?}");
    let of = |id: &str| list.iter().find(|c| c["id"] == id).unwrap().clone();
    assert_eq!(of(one.id())["status"], "running");
    assert_eq!(of(two.id())["status"], "created");
    assert_eq!(of(one.id())["owner"], "root");
    for field in ["ociVersion", "pid", "bundle", "rootfs", "created", "owner"] {
        assert!(!of(one.id())[field].is_null(), "{field}");
    }
    let quiet = one.runtime().call(&["list", "-q"]).ok().stdout;
    let mut ids: Vec<&str> = quiet.lines().collect();
    ids.sort_unstable();
    assert_eq!(ids, [one.id(), two.id()]);
    let table = one.runtime().call(&["list"]).ok().stdout;
    let head: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(head, ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]);
}

/// `list` of nothing is `null`, which is what callers parse.
#[test]
fn list_of_nothing_is_null() {
    need!(root);
    let bundle = Bundle::new();
    assert_eq!(bundle.runtime().call(&["list", "--format", "json"]).ok().stdout.trim(), "null");
}

/// A container that ended by itself is stopped, and `delete` takes it away.
#[test]
fn an_end_is_noticed() {
    need!(root);
    let mut c = Bundle::new().args(&["/bin/true"]).start();
    c.wait();
    assert_eq!(c.status(), "stopped");
    c.delete(&[]);
}
