//! `hooks` of config.md and the lifecycle of runtime.md: when each runs, with what, and what a failure does.

use std::time::{Duration, Instant};

use harness::{Bundle, Place, host, need};
use serde_json::{Value, json};

/// What the hooks recorded, in order.
fn log(place: &Place) -> Vec<Value> {
    let text = std::fs::read_to_string(place.path("hooks.log")).unwrap_or_default();
    text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

fn names(place: &Place) -> Vec<String> {
    log(place).iter().map(|e| e["hook"].as_str().unwrap().to_owned()).collect()
}

/// All six kinds, with two of each where it shows the order. The log is bound in for `startContainer`.
fn all_kinds() -> Bundle {
    let bundle = Bundle::new();
    let log = bundle.outside("hooks.log");
    std::fs::write(&log, "").unwrap();
    let inner = |name: &str| json!({ "path": "/bin/probe", "args": ["probe", "hook", "/hooks.log", name], "env": ["IN=1"] });
    bundle
        .bind(&log, "/hooks.log", &[])
        .hook("poststop", "poststop", &[])
        .hook("poststart", "poststart", &[])
        .push("/hooks/startContainer", inner("startContainer"))
        .hook("createContainer", "createContainer", &[])
        .hook("createRuntime", "createRuntime-1", &[])
        .hook("createRuntime", "createRuntime-2", &[])
        .hook("prestart", "prestart", &[])
}

/// The order of runtime.md, and who has run by the end of each verb.
///
/// runc 1.5.0: `start` comes back before `startContainer` hooks have run.
#[test]
fn six_kinds_run_in_order() {
    need!(root);
    let mut c = all_kinds().sleeper().create();
    let place = c.place();
    let created = ["prestart", "createRuntime-1", "createRuntime-2", "createContainer"];
    assert_eq!(names(&place), created);
    c.start();
    let started: Vec<&str> = created.into_iter().chain(["startContainer", "poststart"]).collect();
    assert_eq!(names(&place), started);
    c.stop();
    c.delete(&[]);
    let all: Vec<&str> = started.into_iter().chain(["poststop"]).collect();
    assert_eq!(names(&place), all);
}

/// `run` goes through all of them too.
#[test]
fn run_runs_them_all() {
    need!(root);
    let c = all_kinds().run();
    assert_eq!(names(c.place()).len(), 7, "{:?}", names(c.place()));
}

/// The state comes over stdin, with the status of the moment and the pid as the hook sees it.
#[test]
fn the_state_comes_on_stdin() {
    need!(root);
    let mut c = all_kinds()
        .edit(|c| c["annotations"] = json!({ "org.example.key": "value" }))
        .sleeper()
        .create();
    let (place, pid) = (c.place(), c.pid());
    c.start();
    c.stop();
    c.delete(&[]);
    let expected = [
        ("prestart", &["creating", "created"][..]),
        ("createRuntime-1", &["creating", "created"]),
        ("createContainer", &["creating", "created"]),
        ("startContainer", &["created", "creating"]),
        ("poststart", &["running"]),
        ("poststop", &["stopped"]),
    ];
    for (name, status) in expected {
        let all = log(&place);
        let entry = all.iter().find(|e| e["hook"] == name).unwrap_or_else(|| panic!("no {name}"));
        let state = &entry["state"];
        assert_eq!(state["id"], c.id(), "{name}: {state}");
        assert!(status.contains(&state["status"].as_str().unwrap()), "{name}: {state}");
        assert!(state["ociVersion"].as_str().unwrap().starts_with("1."), "{name}: {state}");
        assert_eq!(
            state["bundle"],
            place.path("bundle").to_string_lossy().as_ref(),
            "{name}: {state}"
        );
        assert_eq!(state["annotations"], json!({ "org.example.key": "value" }), "{name}: {state}");
        if !["startContainer", "createContainer", "poststop"].contains(&name) {
            assert_eq!(state["pid"], pid, "{name}: {state}");
        }
    }
}

/// `prestart`, `createRuntime`, `poststart`, `poststop` run in the runtime's namespaces; `createContainer` in the
/// container's but resolved outside; `startContainer` inside altogether.
#[test]
fn each_kind_has_its_namespaces() {
    need!(root);
    let mut c = all_kinds().sleeper().create();
    let place = c.place();
    c.start();
    let (mnt, uts) = (c.namespace("mnt"), c.namespace("uts"));
    c.stop();
    c.delete(&[]);
    for entry in log(&place) {
        let name = entry["hook"].as_str().unwrap();
        let inside = ["createContainer", "startContainer"].contains(&name);
        let (of_mnt, of_uts) = if inside {
            (mnt.clone(), uts.clone())
        } else {
            (host::namespace("self", "mnt"), host::namespace("self", "uts"))
        };
        assert_eq!(entry["mnt"], of_mnt, "{name}");
        assert_eq!(entry["uts"], of_uts, "{name}");
        // Only the container's tree has /bin/probe.
        assert_eq!(entry["root"], name == "startContainer", "{name}");
    }
}

/// `env` is all a hook gets, `args` are its words, and it starts in the bundle or in `/` inside.
#[test]
fn env_args_and_cwd_are_the_hooks_own() {
    need!(root);
    let bundle = Bundle::new();
    let log_path = bundle.outside("hooks.log").to_string_lossy().into_owned();
    let probe = host::built("probe").to_string_lossy().into_owned();
    let hook = json!({ "path": probe, "args": ["another-name", "hook", log_path, "one", "-x y"], "env": ["A=1", "B=2"] });
    let c = bundle.push("/hooks/createRuntime", hook).env("SECRET", "s3cret").run();
    let entry = &log(c.place())[0];
    assert_eq!(entry["env"], json!(["A=1", "B=2"]));
    assert_eq!(entry["args"][0], "another-name");
    assert_eq!(entry["args"][4], "-x y");
}

/// A hook that names no `env` gets the runtime's, as engines rely on; one that names some gets nothing else.
#[test]
fn env_left_out_is_the_runtimes() {
    need!(root);
    let c = Bundle::new()
        .hook("createRuntime", "plain", &[])
        .hook("createRuntime", "own", &[])
        .set("/hooks/createRuntime/1/env", json!(["A=1"]))
        .env("CALLERS", "word")
        .run();
    let entries = log(c.place());
    assert!(entries[0]["env"].to_string().contains("CALLERS=word"), "{}", entries[0]);
    assert_eq!(entries[1]["env"], json!(["A=1"]));
}

/// Hooks start in the bundle, those inside in the container's root: hooks of bundles use relative paths.
#[test]
fn hooks_start_in_the_bundle() {
    need!(root);
    let c = all_kinds().run();
    let bundle = c.place().path("bundle");
    for entry in log(c.place()) {
        let expected = match entry["hook"].as_str().unwrap() {
            "createContainer" => bundle.join("rootfs"),
            "startContainer" => "/".into(),
            _ => bundle.clone(),
        };
        assert_eq!(entry["cwd"], expected.to_string_lossy().as_ref(), "{}", entry["hook"]);
    }
}

/// A hook has descriptors 0 to 2 and nothing of the runtime's.
///
/// runc 1.5.0: `createContainer` hooks find nine.
#[test]
fn hooks_get_no_descriptors() {
    need!(root);
    let c = all_kinds().run();
    for entry in log(c.place()) {
        // Its own log is not open yet; the listing itself is one.
        assert!(entry["fds"].as_u64().unwrap() <= 4, "{}: {}", entry["hook"], entry["fds"]);
    }
}

/// A failing hook before the start fails `create`, its own words are in the error, and nothing is left.
#[test]
fn a_failing_create_hook_fails_create() {
    need!(root);
    for kind in ["prestart", "createRuntime", "createContainer"] {
        let bundle = Bundle::new()
            .hook(kind, "bad", &["fail", "the disk is on fire"])
            .hook(kind, "after", &[])
            .hook("poststop", "poststop", &[]);
        let (message, place) = bundle.refused_at();
        assert!(message.contains("the disk is on fire"), "{kind}: {message}");
        // The next hook of the kind does not run; poststop does, once (runtime.md, steps 3 to 5 and 13).
        assert_eq!(names(&place), ["bad", "poststop"], "{kind}");
    }
}

/// A failing `startContainer` hook fails `start`, and the program never runs.
///
/// runc 1.5.0: `start` comes back before these hooks have run.
#[test]
fn a_failing_start_container_hook_fails_start() {
    need!(root);
    let hook = json!({ "path": "/bin/sh", "args": ["sh", "-c", "echo no such luck >&2; exit 3"] });
    let c = Bundle::new().push("/hooks/startContainer", hook).sh("echo ran").create();
    let output = c.call(&["start"]);
    assert_ne!(output.code, Some(0), "{output:?}");
    assert!(
        output.logged().contains("startContainer") || output.logged().contains("no such luck"),
        "{output:?}"
    );
    assert!(!c.stdout().contains("ran"), "{}", c.stdout());
    host::eventually(Duration::from_secs(5), || c.status() == "stopped");
    assert_eq!(c.status(), "stopped");
}

/// A failing `poststart` hook stops the container and fails `start` (runtime.md, step 9).
#[test]
fn a_failing_poststart_hook_stops_the_container() {
    need!(root);
    let c = Bundle::new().hook("poststart", "bad", &["fail", "too late"]).sleeper().create();
    let output = c.call(&["start"]);
    assert_ne!(output.code, Some(0), "{output:?}");
    assert!(output.logged().contains("too late"), "{output:?}");
    let gone = host::eventually(Duration::from_secs(5), || {
        let state = c.call(&["state"]);
        state.code != Some(0) || state.json()["status"] == "stopped"
    });
    assert!(gone, "the container runs on");
}

/// A failing `poststop` hook is a warning: the others run, `delete` succeeds (runtime.md, step 13).
///
/// runc 1.5.0: stops at the first and fails `delete`.
#[test]
fn a_failing_poststop_hook_is_a_warning() {
    need!(root);
    let mut c = Bundle::new()
        .hook("poststop", "bad", &["exit", "3"])
        .hook("poststop", "after", &[])
        .sleeper()
        .start();
    let place = c.place();
    c.stop();
    c.delete(&[]);
    assert_eq!(names(&place), ["bad", "after"]);
}

/// A hook that outlives its timeout is killed, and `create` fails in time.
#[test]
fn a_timeout_kills_the_hook() {
    need!(root);
    let bundle = Bundle::new()
        .hook("createRuntime", "slow", &["sleep", "60000"])
        .set("/hooks/createRuntime/0/timeout", 1);
    let begun = Instant::now();
    let message = bundle.refused();
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert!(
        message.to_lowercase().contains("timeout")
            || message.contains("timed out")
            || message.contains("hook"),
        "{message}"
    );
}

/// A hook whose grandchild keeps its pipes open does not hold `create` (fault model F7).
///
/// runc: waits for the grandchild.
#[test]
fn a_grandchild_on_the_pipes_holds_nobody() {
    need!(root);
    let script = "sleep 20 & exit 0";
    let hook = json!({ "path": "/bin/sh", "args": ["sh", "-c", script], "timeout": 5 });
    let begun = Instant::now();
    let c = Bundle::new().push("/hooks/createRuntime", hook).create();
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    let place = c.place();
    drop(c);
    // What a hook starts on purpose is the hook's; end it here.
    place.census().clear();
}

/// A hook that dies with its grandchild hanging on is over at its timeout, both of them.
///
/// runc: waits for the grandchild.
#[test]
fn a_hanging_grandchild_dies_with_the_timeout() {
    need!(root);
    let hook = json!({ "path": "/bin/sh", "args": ["sh", "-c", "sleep 60 & wait"], "timeout": 1 });
    let begun = Instant::now();
    let _ = Bundle::new().push("/hooks/createRuntime", hook).refused();
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
}

/// A hook that floods its stderr is not waited for, and the error stays of a bearable size.
#[test]
fn a_flood_of_words_is_cut() {
    need!(root);
    let flood = "i=0; while [ $i -lt 20000 ]; do echo 'flood of words, flood of words, flood of words'; i=$((i+1)); done >&2; exit 1";
    let hook = json!({ "path": "/bin/sh", "args": ["sh", "-c", flood], "timeout": 20 });
    let message = Bundle::new().push("/hooks/createRuntime", hook).refused();
    assert!(message.contains("flood"), "the words are in the error");
}

/// A hook that never reads its stdin does not block the runtime.
#[test]
fn a_hook_that_does_not_read_is_no_trouble() {
    need!(root);
    let many: serde_json::Map<String, Value> =
        (0..4000).map(|n| (format!("org.example.{n}"), json!("x".repeat(60)))).collect();
    let hook = json!({ "path": "/bin/true", "args": ["true"] });
    let c = Bundle::new()
        .edit(|c| c["annotations"] = Value::Object(many))
        .push("/hooks/createRuntime", hook)
        .run();
    assert_eq!(c.code(), 0);
}

/// A hook that does not exist, cannot be executed, or dies of a signal, is an error that names it.
#[test]
fn broken_hooks_are_named() {
    need!(root);
    for (hook, word) in [
        (json!({ "path": "/no/such/hook" }), "/no/such/hook"),
        (json!({ "path": "/etc/passwd" }), "/etc/passwd"),
        (json!({ "path": "/bin/sh", "args": ["sh", "-c", "kill -9 $$"] }), "kill"),
    ] {
        let message = Bundle::new().push("/hooks/createRuntime", hook).refused();
        assert!(message.contains(word), "{message}");
    }
}

/// A relative path and a timeout of zero are refused (config.md).
///
/// runc: takes a timeout of zero as none.
#[test]
fn odd_hooks_are_refused() {
    need!(root);
    let _ = Bundle::new().push("/hooks/createRuntime", json!({ "path": "bin/true" })).refused();
    let _ = Bundle::new()
        .push("/hooks/createRuntime", json!({ "path": "/bin/true", "timeout": 0 }))
        .refused();
    let _ = Bundle::new()
        .push("/hooks/createRuntime", json!({ "path": "/bin/true", "timeout": -1 }))
        .refused();
}
