//! The rules of a drop-in for runc, each by the caller that relies on it and the place in its source.
//!
//! What callers search for in messages is in `callers_words`, whole sequences of calls in
//! `callers_lines`; `docs/callers.md` lists all of them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use harness::{Bundle, Container, host, need, runtime};
use serde_json::{Value, json};

fn created() -> Container {
    Bundle::new().sleeper().create()
}

/// `strconv.Atoi(string(data))`, `.parse::<i32>()`: digits alone, whole at any moment: a new file each time.
#[test]
fn containerd_go_runc_utils_34_and_shim_rs_runc_194_parse_pid_files() {
    need!(root);
    let bundle = Bundle::new();
    let file = bundle.outside("init.pid");
    fs::write(&file, "4194305\n").unwrap();
    let before = fs::metadata(&file).unwrap().ino();
    let path = file.to_string_lossy().into_owned();
    let c = bundle.flags(&["--pid-file", &path]).sleeper().start();
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(text.parse::<i32>().unwrap(), c.pid());
    assert_ne!(fs::metadata(&file).unwrap().ino(), before, "written over the old file");
    // The same of an exec.
    let exec = c.place().path("exec.pid").to_string_lossy().into_owned();
    let words = ["exec", "--detach", "--pid-file", &exec, c.id(), "/bin/probe", "wait", "TERM"];
    let _ = c.runtime().call(&words).ok();
    let pid: i32 = fs::read_to_string(&exec).unwrap().parse().unwrap();
    assert!(fs::read_to_string(format!("/proc/{pid}/comm")).unwrap().contains("probe"));
}

/// `getLastRuntimeError` takes lines with `level == "error"`; podman parses the file as one object; the
/// shim in Rust takes any line that is no JSON for an error of its own.
#[test]
fn containerd_go_runc_utils_60_and_podman_read_one_object() {
    need!(root);
    let bundle = Bundle::new().args(&["no-such-program"]);
    bundle.write();
    let output = bundle.runtime().call(&bundle.words("create"));
    let object: Value = serde_json::from_str(&output.log).expect("the whole log is one object");
    assert_eq!(object["level"], "error");
    assert!(object["msg"].as_str().unwrap().contains("executable file not found"), "{object}");
    let time = object["time"].as_str().unwrap();
    assert!(time.len() >= 20 && time.as_bytes()[10] == b'T', "RFC 3339: {time}");
    // A success writes nothing, unless more is asked for.
    let c = created();
    assert_eq!(c.created.log, "");
    let mut runtime = c.runtime().clone();
    runtime.global.push("--debug".into());
    for line in runtime.call(&["start", c.id()]).ok().log.lines() {
        let entry: Value = serde_json::from_str(line).expect(line);
        assert_ne!(entry["level"], "error", "{line}");
    }
}

/// conmon keeps the last 8 KiB of stderr; exit codes: 1, 255 for a failed exec, the program's, 128 + n.
#[test]
fn conmon_reads_stderr_and_exit_codes() {
    need!(root);
    let bundle = Bundle::new().args(&["no-such-program"]);
    bundle.write();
    let output = bundle.runtime().call(&bundle.words("create"));
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.stderr.contains("executable file not found") && output.stderr.len() < 8192);
    let c = Bundle::new().sleeper().start();
    let exec = |words: &[&str]| {
        let mut all = vec!["exec", c.id()];
        all.extend(words);
        c.runtime().call(&all)
    };
    let failed = exec(&["no-such-program"]);
    assert_eq!(failed.code, Some(255), "{failed:?}");
    assert!(failed.stderr.contains("executable file not found"), "{failed:?}");
    assert_eq!(exec(&["/bin/probe", "exit", "7"]).code, Some(7));
    assert_eq!(exec(&["/bin/sh", "-c", "kill -9 $$"]).code, Some(137));
}

/// Errno texts as Go prints them: lower case.
#[test]
fn go_callers_search_for_lower_case_errno_texts() {
    need!(root);
    for (bundle, words) in [
        (Bundle::new().args(&["/no/such"]), "no such file or directory"),
        (
            Bundle::new().mount("bind", "/no/such/source", "/mnt", &["bind"]),
            "no such file or directory",
        ),
        (Bundle::new().mount("nofs", "none", "/mnt", &[]), "no such device"),
    ] {
        let message = bundle.refused();
        assert!(message.contains(words), "{message}");
    }
}

/// go-runc puts `-no-subreaper` among the flags of `restore`, and its `run` sends the same flag with two.
#[test]
fn containerd_go_runc_678_sends_long_flags_with_one_dash() {
    need!(root);
    let bundle = Bundle::new().probe(["pid"]);
    bundle.write();
    let dir = bundle.dir().to_string_lossy().into_owned();
    let output = bundle.runtime().call(&["run", "-no-subreaper", "--bundle", &dir, bundle.id()]);
    assert!(output.ok().stdout.contains("\"pid\""));
}

/// `--resources -` and `--resources=-`; `exec` and `ps` read no flags behind the container's name.
#[test]
fn containerd_go_runc_update_exec_and_ps_are_parsed_as_by_go() {
    need!(root, controller("pids"), full_ps);
    let c = Bundle::new().sleeper().start();
    for words in [vec!["update", "--resources", "-"], vec!["update", "--resources=-"]] {
        let mut command = c.runtime().command(&[&words[..], &[c.id()]].concat());
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        serde_json::to_writer(stdin, &json!({ "pids": { "limit": 77 } })).unwrap();
        assert!(child.wait().unwrap().success(), "{words:?}");
    }
    let output = c.runtime().call(&["exec", c.id(), "/bin/sh", "-c", "echo -t --user"]).ok();
    assert_eq!(output.stdout, "-t --user\n");
    let table = c.runtime().call(&["ps", c.id(), "-ef"]).ok().stdout;
    assert!(table.contains("probe wait TERM"), "{table}");
}

/// `--rootless=B`; `kill` without a signal is SIGTERM (buildah), with a name (CRI-O) or a number (containerd).
#[test]
fn containerd_rootless_and_buildah_run_common_539_kill_without_a_signal() {
    need!(root);
    for signal in [&[][..], &["TERM"], &["SIGTERM"], &["15"]] {
        let c = Bundle::new().global(&["--rootless=false"]).probe(["wait", "TERM"]).start();
        c.wait_for("waiting");
        let _ = c.runtime().call(&[&["kill", c.id()], signal].concat()).ok();
        c.wait();
        assert!(c.stdout().contains("SIGTERM"), "{signal:?}: {}", c.stdout());
    }
}

/// `delete --force` of what is not there succeeds, `delete` says that it does not exist.
#[test]
fn containerd_init_311_deletes_what_is_gone() {
    need!(root);
    let bundle = Bundle::new();
    let _ = bundle.runtime().call(&["delete", "--force", bundle.id()]).ok();
    let message = bundle.runtime().call(&["delete", bundle.id()]).refused();
    assert!(message.contains("does not exist"), "{message}");
}

/// A container that is created or paused is killed; one that is dead is `not running`.
#[test]
fn cri_o_kills_created_and_paused_containers() {
    need!(root);
    let c = created();
    let _ = c.kill("KILL").ok();
    c.wait();
    assert!(c.kill("KILL").refused().contains("container not running"));
    let c = Bundle::new().sleeper().start();
    let _ = c.call(&["pause"]).ok();
    assert_eq!(c.status(), "paused");
    let _ = c.kill("KILL").ok();
    let pid = c.pid();
    harness::container::wait_exit(pid);
}

/// `ShouldKillAllOnExit`: without a pid namespace of its own the rest of the cgroup is killed by `--all`,
/// after init has ended.
#[test]
fn containerd_shim_kills_all_when_init_is_gone() {
    need!(root);
    let c = Bundle::new()
        .without_namespace("pid")
        .sh("setsid sleep 1000 & setsid sleep 1001 & echo up; exec sleep 0.2")
        .start();
    c.wait_for("up");
    harness::container::wait_exit(c.pid().max(1));
    assert!(!c.place().census().processes.is_empty());
    let _ = c.runtime().call(&["kill", "--all", c.id(), "9"]).ok();
    let gone = host::eventually(Duration::from_secs(5), || c.place().census().processes.is_empty());
    assert!(gone, "{}", c.place().census());
}

fn both_streams(args: &[&str]) -> String {
    let output = Command::new(runtime::path()).args(args).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// `CombinedOutput` is parsed; `ociVersionMin` and `ociVersionMax` must not be empty (config.go:2288).
#[test]
fn cri_o_config_2288_reads_features_from_both_streams() {
    let features: Value = serde_json::from_str(&both_streams(&["features"])).unwrap();
    for field in ["ociVersionMin", "ociVersionMax"] {
        assert!(features[field].as_str().is_some_and(|v| v.starts_with("1.")), "{features}");
    }
}

/// What user namespaces and recursive read-only mounts of Kubernetes ask for.
#[test]
fn containerd_cri_service_434_504_and_moby_daemon_linux_225_ask_features() {
    let features: Value = serde_json::from_str(&both_streams(&["features"])).unwrap();
    let has = |pointer: &str, word: &str| {
        features
            .pointer(pointer)
            .and_then(Value::as_array)
            .is_some_and(|l| l.contains(&word.into()))
    };
    assert!(has("/mountOptions", "rro") && has("/linux/namespaces", "user"), "{features}");
    assert_eq!(features["linux"]["mountExtensions"]["idmap"]["enabled"], true);
    assert_eq!(features["linux"]["seccomp"]["enabled"], true);
}

/// nerdctl wants three words, Docker takes what follows the last "version" and the line `commit: `.
#[test]
fn nerdctl_and_docker_info_unix_355_read_the_version() {
    let text = both_streams(&["--version"]);
    let first: Vec<_> = text.lines().next().unwrap().split(' ').collect();
    assert_eq!((first.len(), first[1]), (3, "version"), "{text}");
    let last = text.lines().rfind(|line| line.contains("version")).unwrap();
    assert_eq!(last.rsplit("version").next().unwrap().trim(), first[2]);
    assert!(text.lines().any(|line| line.starts_with("commit: ")), "{text}");
    assert!(text.lines().any(|line| line.starts_with("spec: 1.")), "{text}");
}

/// `ps` as an array of numbers, `state` by its words and times, `list` of nothing as `null`.
#[test]
fn containerd_go_runc_reads_ps_state_and_list() {
    need!(root);
    let c = Bundle::new().sleeper().start();
    assert_eq!(c.call(&["ps", "--format", "json"]).ok().json(), json!([c.pid()]));
    let state = c.state();
    assert_eq!(state["status"], "running");
    let created = state["created"].as_str().unwrap();
    assert!(created.as_bytes()[10] == b'T' && created.ends_with('Z'), "RFC 3339: {created}");
    let list = c.runtime().call(&["list", "--format=json"]).ok().json();
    assert_eq!(list[0]["pid"], c.pid());
    c.stop();
    assert_eq!((c.state()["pid"].clone(), c.status()), (0.into(), "stopped".into()));
    let none = Bundle::new();
    assert_eq!(none.runtime().call(&["list", "--format=json"]).ok().stdout.trim(), "null");
}

/// `events --stats ID` is one object on one line; `events --interval=Ns ID` goes on until the container ends.
#[test]
fn containerd_go_runc_541_to_600_reads_stats_and_events() {
    need!(root, controller("pids"));
    let c = Bundle::new().sleeper().start();
    let check = |event: &Value| {
        assert_eq!((event["type"].as_str(), event["id"].as_str()), (Some("stats"), Some(c.id())));
        assert_eq!(event["data"]["pids"]["current"], 1, "{event}");
        assert!(event["data"]["cpu"]["usage"]["total"].is_u64(), "{event}");
    };
    let once = c.runtime().call(&["events", "--stats", c.id()]).ok();
    assert_eq!(once.stdout.lines().count(), 1, "{once:?}");
    check(&once.json());
    let call = c.runtime().spawn(&["events", "--interval=1s", c.id()]);
    let line = || call.output(std::process::ExitStatus::default()).stdout.contains('\n');
    assert!(host::eventually(Duration::from_secs(10), line));
    c.stop();
    let stream = call.wait();
    check(&serde_json::from_str(stream.stdout.lines().next().unwrap()).unwrap());
}

/// podman and CRI-O give `PATH` and `XDG_RUNTIME_DIR` and nothing else.
#[test]
fn podman_and_cri_o_give_an_almost_empty_environment() {
    need!(root);
    let bundle = Bundle::new().probe(["pid"]).under(&[
        "env",
        "-i",
        "PATH=/usr/bin:/bin",
        "XDG_RUNTIME_DIR=/run/user/0",
    ]);
    assert_eq!(bundle.run().fact("pid"), "1");
}

/// podman asks for a feature by a flag without its value and looks for the words in the answer.
#[test]
fn podman_crutils_240_looks_for_a_missing_argument() {
    let output = Command::new(runtime::path()).args(["create", "--pid-file"]).output().unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let known = ["flag needs an argument", "requires an argument"];
    assert!(known.iter().any(|words| text.contains(words)), "{text}");
    let output = Command::new(runtime::path()).args(["create", "--no-such", "x"]).output().unwrap();
    assert!(!output.status.success() && !output.stderr.is_empty());
}

/// `checkpoint --help` succeeds only where containers can be checkpointed: not yet.
#[test]
fn podman_crutils_218_asks_for_checkpoints_by_help() {
    let features: Value = serde_json::from_str(&both_streams(&["features"])).unwrap();
    let enabled = features["annotations"]["org.opencontainers.runc.checkpoint.enabled"] == "true";
    let status = Command::new(runtime::path())
        .args(["checkpoint", "--help"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.success(), enabled, "`features` and the command disagree");
}

/// Docker since 29.5 gives every container a time namespace.
#[test]
fn moby_52326_gives_a_time_namespace() {
    need!(root);
    let own = fs::read_link("/proc/self/ns/time").unwrap();
    let c = Bundle::new().namespace("time", "").sleeper().start();
    assert_ne!(c.namespace("time"), own.to_string_lossy());
    let output =
        c.runtime().call(&["exec", c.id(), "/bin/sh", "-c", "readlink /proc/self/ns/time"]).ok();
    assert!(output.stdout.contains(&c.namespace("time")), "{output:?}");
}

/// The stdio of `create` is the container's, and nothing else stands in it; the caller's descriptors are
/// handed over by number only.
#[test]
fn every_caller_owns_the_stdio_of_create() {
    need!(root);
    let c = Bundle::new()
        .after("exec 3</dev/null 4</dev/zero 5</dev/full")
        .flags(&["--preserve-fds", "1"])
        .sh("ls -l /proc/self/fd >/tmp/fds; echo said")
        .create();
    assert_eq!((c.created.stdout.as_str(), c.created.stderr.as_str()), ("", ""));
    c.start();
    c.wait();
    assert_eq!(c.stdout(), "said\n");
    let fds = fs::read_to_string(c.rootfs("/tmp/fds")).unwrap();
    assert!(fds.contains(" 3 -> /dev/null") && !fds.contains("/dev/full"), "{fds}");
}

/// Falco, Tracee and the Security Profiles Operator know init by its name; inspektor-gadget (#5470) reads
/// the runtime's command line.
#[test]
fn falco_and_inspektor_gadget_recognise_runc() {
    need!(root);
    let bundle = Bundle::new().called("runc");
    let file = bundle.outside("pid").to_string_lossy().into_owned();
    let c = bundle.flags(&["--pid-file", &file]).sleeper().create();
    assert_eq!(c.proc("comm"), "runc:[2:INIT]\n");
    let words: Vec<_> = c.created.words.split('"').filter(|w| !w.trim().is_empty()).collect();
    let at = words.iter().position(|w| *w == "create").unwrap();
    assert_eq!(words[at + 1], "--bundle");
}
