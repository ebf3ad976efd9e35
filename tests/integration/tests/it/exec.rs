//! `exec`: the program, its user, environment, limits and privileges, by flags and by `--process`.

use std::fs;

use harness::config::capability_mask;
use harness::{Bundle, Container, need};
use serde_json::{Value, json};

fn sleeper() -> Container {
    Bundle::new().sleeper().start()
}

/// A process file beside the bundle.
fn process(c: &Container, process: &Value) -> String {
    let path = c.place().path("process.json");
    fs::write(&path, process.to_string()).unwrap();
    path.to_string_lossy().into_owned()
}

/// Words, exit code and streams are the program's.
#[test]
fn a_program_runs_in_the_container() {
    need!(root);
    let c = sleeper();
    let done = c.exec(&[], &["/bin/sh", "-c", "cat /proc/1/cmdline; echo to-err >&2; exit 42"]);
    assert_eq!((done.code, done.signal), (Some(42), None), "{done:#?}");
    assert!(done.stdout.starts_with("/bin/probe\0wait"), "{done:#?}");
    assert_eq!(done.stderr, "to-err\n");
    let args = c.ask(&[], &["args", "a b", "", "-x", "--", "cwd"]);
    assert_eq!(args.value("args"), &json!(["/bin/probe", "args", "a b", "", "-x", "--", "cwd"]));
}

/// A signal is 128 and its number.
#[test]
fn the_exit_code_of_a_signal_is_128_and_more() {
    need!(root);
    let c = sleeper();
    for (signal, code) in [("KILL", 137), ("TERM", 143), ("SEGV", 139)] {
        let done = c.exec(&[], &["/bin/sh", "-c", &format!("kill -{signal} $$")]);
        assert_eq!(done.code, Some(code), "{signal}");
    }
}

/// Without flags everything is the container's own.
#[test]
fn the_containers_process_is_the_default() {
    need!(root);
    let c = Bundle::new()
        .set(
            "/process/user",
            json!({ "uid": 1000, "gid": 1001, "additionalGids": [5], "umask": 63 }),
        )
        .set("/process/env", json!(["PATH=/bin", "OWN=1"]))
        .set("/process/cwd", "/tmp")
        .push("/process/rlimits", json!({ "type": "RLIMIT_CORE", "soft": 1, "hard": 2 }))
        .set("/process/oomScoreAdj", 321)
        .set("/process/scheduler", json!({ "policy": "SCHED_BATCH", "nice": 3 }))
        .sleeper()
        .start();
    let facts = c.ask(
        &[],
        &[
            "ids",
            "--",
            "env",
            "--",
            "cwd",
            "--",
            "rlimit",
            "CORE",
            "--",
            "status",
            "NoNewPrivs",
            "--",
            "status",
            "CapBnd",
            "--",
            "status",
            "Umask",
            "--",
            "read",
            "/proc/self/oom_score_adj",
        ],
    );
    assert_eq!(facts.value("ids")["uid"], 1000);
    assert_eq!(facts.value("ids")["gid"], 1001);
    assert_eq!(facts.value("ids")["groups"], json!([5]));
    let env = facts.value("env").to_string();
    assert!(env.contains("OWN=1") && env.contains("HOME=/home"), "{env}");
    assert_eq!(facts.text("cwd"), "/tmp");
    assert_eq!(facts.value("rlimit"), &json!({ "soft": 1, "hard": 2 }));
    assert_eq!(facts.text("status NoNewPrivs"), "1");
    assert_eq!(facts.text("status Umask"), "0077");
    assert_eq!(facts.text("read").trim(), "321");
    let own = capability_mask(&["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    assert_eq!(facts.text("status CapBnd"), own);
}

/// `--env`: added, the last wins; nothing of the caller.
#[test]
fn env_flags_are_added_and_win() {
    need!(root);
    let c = Bundle::new().set("/process/env", json!(["PATH=/bin", "A=own"])).sleeper().start();
    let facts = c.ask(&["-e", "A=flag", "--env", "B=x=y", "-e=C="], &["env"]);
    let env: Vec<&str> =
        facts.value("env").as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(env.contains(&"A=flag") && !env.contains(&"A=own"), "{env:?}");
    assert!(env.contains(&"B=x=y") && env.contains(&"C="), "{env:?}");
    assert!(!env.iter().any(|e| e.starts_with("CORTEN_TEST_ID=")), "{env:?}");
    assert!(c.exec_refused(&["-e", "NAME"], &["true"]).contains("NAME=VALUE"));
}

/// `--user`: the gid stays without one; supplementary groups are added; HOME follows.
#[test]
fn user_flags_change_the_user() {
    need!(root);
    let c =
        Bundle::new().set("/process/user", json!({ "uid": 5, "gid": 6, "additionalGids": [7] }));
    let c = c.sleeper().start();
    let facts = c.ask(&["--user", "1000", "-g", "8"], &["ids", "--", "env", "HOME"]);
    assert_eq!((&facts.value("ids")["uid"], &facts.value("ids")["gid"]), (&json!(1000), &json!(6)));
    assert_eq!(facts.value("ids")["groups"], json!([7, 8]));
    assert_eq!(facts.text("env HOME"), "/home");
    let facts = c.ask(
        &["-u", "4242:4343", "--additional-gids", "1", "--additional-gids", "2"],
        &["ids", "--", "env", "HOME"],
    );
    assert_eq!(
        (&facts.value("ids")["uid"], &facts.value("ids")["gid"]),
        (&json!(4242), &json!(4343))
    );
    assert_eq!(facts.value("ids")["groups"], json!([1, 2, 7]));
    assert_eq!(facts.text("env HOME"), "/");
}

/// `--cwd`: below the root; a missing one is no reason to make it.
#[test]
fn cwd_is_the_containers() {
    need!(root);
    let c = sleeper();
    assert_eq!(c.ask(&["--cwd", "/tmp"], &["cwd"]).text("cwd"), "/tmp");
    let error = c.exec_refused(&["--cwd", "/no/such"], &["true"]);
    assert!(error.contains("chdir to cwd /no/such: no such file or directory"), "{error}");
    assert!(!c.rootfs("/no").exists());
    assert!(c.exec_refused(&["--cwd", "tmp"], &["true"]).contains("absolute"));
}

/// `--cap`: added to what the container has; never inheritable.
#[test]
fn capabilities_are_added() {
    need!(root);
    let c = sleeper();
    let facts = c.ask(
        &["-c", "CAP_NET_RAW", "--cap", "CAP_CHOWN"],
        &["status", "CapEff", "--", "status", "CapInh", "--", "status", "CapAmb"],
    );
    let all = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_CHOWN"];
    assert_eq!(facts.text("status CapEff"), capability_mask(&all));
    assert_eq!(facts.text("status CapInh"), capability_mask(&[]));
    assert_eq!(facts.text("status CapAmb"), capability_mask(&[]));
    assert!(c.exec_refused(&["-c", "CAP_FLY"], &["true"]).contains("CAP_FLY"));
}

/// `--no-new-privs`.
#[test]
fn no_new_privs_is_set_on_request() {
    need!(root);
    let c = Bundle::new().set("/process/noNewPrivileges", false).sleeper().start();
    let nnp = |flags: &[&str]| c.ask(flags, &["status", "NoNewPrivs"]).text("status");
    assert_eq!((nnp(&[]).as_str(), nnp(&["--no-new-privs"]).as_str()), ("0", "1"));
}

/// `--process`: the caller's own, whole; what it leaves open about protection is the container's.
#[test]
fn a_process_file_is_taken_whole() {
    need!(root);
    let c = Bundle::new().set("/process/env", json!(["PATH=/bin", "OWN=1"])).sleeper().start();
    let file = process(
        &c,
        &json!({
            "user": { "uid": 7, "gid": 8, "additionalGids": [9], "umask": 18 }, "cwd": "/tmp",
            "args": ["/bin/probe", "ids", "--", "env", "--", "cwd", "--", "rlimit", "NOFILE", "--",
                "status", "NoNewPrivs", "--", "status", "CapBnd", "--", "read", "/proc/self/oom_score_adj"],
            "env": ["MINE=1"], "oomScoreAdj": 77,
            "capabilities": { "bounding": ["CAP_KILL"] },
        }),
    );
    let facts = harness::Facts::parse(&c.exec(&["--process", &file], &[]).ok().stdout);
    assert_eq!(facts.value("ids")["uid"], 7);
    assert_eq!(facts.value("ids")["groups"], json!([9]));
    let env = facts.value("env").to_string();
    assert!(env.contains("MINE=1") && !env.contains("OWN=1"), "{env}");
    assert_eq!(facts.text("cwd"), "/tmp");
    assert_eq!(facts.value("rlimit"), &json!({ "soft": 1024, "hard": 1024 }));
    assert_eq!(facts.text("status NoNewPrivs"), "1");
    assert_eq!(facts.text("status CapBnd"), capability_mask(&["CAP_KILL"]));
    assert_eq!(facts.text("read").trim(), "77");
}

/// Flags change the process of a file too: none is ignored.
#[test]
fn flags_change_a_process_file() {
    need!(root);
    let c = sleeper();
    let file = process(&c, &json!({ "user": {}, "cwd": "/", "args": ["/bin/probe", "ids"] }));
    let facts = c.ask(&["-p", &file, "-u", "3:4", "--cwd", "/tmp"], &["ids", "--", "cwd"]);
    assert_eq!((&facts.value("ids")["uid"], facts.text("cwd").as_str()), (&json!(3), "/tmp"));
}

/// A bad process file is one error that says where.
#[test]
fn a_bad_process_file_is_refused() {
    need!(root);
    let c = sleeper();
    let refused = |text: &str| {
        let path = c.place().path("bad.json");
        fs::write(&path, text).unwrap();
        c.exec_refused(&["--process", &path.to_string_lossy()], &[])
    };
    let error = refused("{\"user\": {\"uid\": \"x\"}, \"cwd\": \"/\"}");
    assert!(error.contains("bad.json") && error.contains("line 1, column 18: user.uid"), "{error}");
    assert!(refused("{").contains("bad.json"));
    assert!(refused("").contains("bad.json"));
    assert!(refused(r#"{"user":{},"cwd":"/"}"#).contains("exec args cannot be empty"));
    assert!(refused(r#"{"user":{},"cwd":"rel","args":["true"]}"#).contains("process.cwd"));
    assert!(
        refused(r#"{"user":{},"cwd":"/","args":["true"],"oomScoreAdj":2000}"#)
            .contains("oomScoreAdj")
    );
    let missing = c.exec_refused(&["--process", "/no/such.json"], &[]);
    assert!(missing.contains("/no/such.json: no such file or directory"), "{missing}");
}

/// Why a program does not run, in the words of `start`.
#[test]
fn a_program_that_does_not_run_is_explained() {
    need!(root);
    let c = Bundle::new().file("/script", "#!/no/such/sh\n").sleeper().start();
    for (program, words) in [
        ("nosuch", "exec: \"nosuch\": executable file not found in $PATH"),
        ("/bin/nosuch", "exec: \"/bin/nosuch\": stat /bin/nosuch: no such file or directory"),
        ("/etc", "exec: \"/etc\": is a directory"),
        ("/etc/passwd", "exec: \"/etc/passwd\": permission denied"),
        ("/script", "exec /script: no such file or directory"),
    ] {
        let error = c.exec_refused(&[], &[program]);
        assert_eq!(error, format!("unable to start container process: {words}"));
        // One line: it stands in the output of the container's user.
        assert_eq!(c.exec(&[], &[program]).stderr.lines().count(), 1, "{program}");
    }
    assert_eq!(c.exec_refused(&[], &[]), "exec args cannot be empty");
}

/// `oomScoreAdj`, `rlimits` of a container with a user namespace: set from outside.
#[test]
fn limits_are_set_in_a_user_namespace_too() {
    need!(root, user_namespace);
    let c = Bundle::new()
        .user_namespace()
        .push("/process/rlimits", json!({ "type": "RLIMIT_CORE", "soft": 1, "hard": 2 }))
        .set("/process/oomScoreAdj", 111)
        .sleeper()
        .start();
    let facts = c.ask(
        &["-u", "5:6", "-g", "7"],
        &[
            "ids",
            "--",
            "rlimit",
            "CORE",
            "--",
            "read",
            "/proc/self/oom_score_adj",
            "--",
            "read",
            "/proc/self/uid_map",
        ],
    );
    assert_eq!(facts.value("ids")["uid"], 5);
    assert_eq!(facts.value("ids")["groups"], json!([7]));
    assert_eq!(facts.value("rlimit"), &json!({ "soft": 1, "hard": 2 }));
    assert_eq!(facts.text("read /proc/self/oom_score_adj").trim(), "111");
    assert!(facts.text("read /proc/self/uid_map").contains("100000"));
}

/// A container that was made without a process has nothing to start, but can be looked into.
#[test]
fn a_created_container_can_be_entered() {
    need!(root);
    let c = Bundle::new().sleeper().create();
    assert_eq!(c.status(), "created");
    assert_eq!(c.ask(&[], &["cwd"]).text("cwd"), "/");
    assert_eq!(c.status(), "created");
}

/// `config.json` is not read again: what `create` knew is on record.
#[test]
fn the_bundle_is_not_needed_any_more() {
    need!(root);
    let bundle = Bundle::new().set("/process/env", json!(["PATH=/bin", "OWN=1"])).sleeper();
    let config = bundle.dir().join("config.json");
    let c = bundle.start();
    fs::remove_file(config).unwrap();
    assert!(c.ask(&[], &["env"]).value("env").to_string().contains("OWN=1"));
}
