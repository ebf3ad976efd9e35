//! Whole sequences of calls as engines make them, replayed: the words of each command line in their order,
//! what the engine reads back, and who reaps the container.
//!
//! Sources: go-runc `runc.go`, conmon `runtime_args.c`, podman `oci_conmon_common.go`, CRI-O `runtime_oci.go`,
//! BuildKit `executor/runcexecutor`, buildah `run_common.go`, moby `runtime_unix.go`.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use harness::image::write_program;
use harness::runtime::lossy;
use harness::{Bundle, Console, host, need};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

/// A process for `exec --process`.
fn process(args: &[&str]) -> Value {
    json!({ "args": args, "cwd": "/", "env": ["PATH=/bin"], "user": { "uid": 0, "gid": 0 } })
}

/// Runs the shell script as an engine's monitor, which is the subreaper of its containers, and gives back
/// what it printed. `$R` is the runtime with its global flags, `$B` the bundle, `$I` the id, `$D` a directory.
fn monitor(bundle: &Bundle, script: &str) -> String {
    bundle.write();
    let dir = bundle.outside("monitor");
    fs::create_dir_all(&dir).unwrap();
    let (root, log) = (bundle.place().root(), dir.join("log.json"));
    let runtime = format!(
        "{} --root {} --log-format=json --log {}",
        bundle.runtime().program.display(),
        root.display(),
        log.display()
    );
    // Files, not pipes: a container that lives on would keep them open.
    let status = Command::new("timeout")
        .args(["-k", "5", "30"])
        .arg(host::built("probe"))
        .args(["subreaper", "sh", "-euc", &format!("trap '$R delete --force $I' EXIT\n{script}")])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("R", runtime)
        .env("B", bundle.dir())
        .env("I", bundle.id())
        .env("D", &dir)
        .stdin(Stdio::null())
        .stdout(File::create(dir.join("out")).unwrap())
        .stderr(File::create(dir.join("err")).unwrap())
        .status()
        .unwrap();
    let (out, err) = (lossy(&dir.join("out")), lossy(&dir.join("err")));
    assert!(status.success(), "{status}: {out}{err}");
    out
}

/// Until the state of the container is `$1`.
const UNTIL: &str = r#"until_state() {
    for i in $(seq 100); do $R state "$I" | grep -q "\"status\": \"$1\"" && return; sleep 0.05; done; exit 90
}
until_waiting() {
    for i in $(seq 100); do grep -q waiting "$D/out" && return; sleep 0.05; done; exit 91
}
"#;

/// The shim: create, start, exec with a pid file, ps, update, pause, kill, delete; it reaps both processes.
#[test]
fn containerd_shim_runc_v2_process_init_go() {
    need!(root, controller("pids"));
    let bundle = Bundle::new().probe(["wait", "TERM"]);
    let spec = bundle.outside("exec.json");
    fs::write(&spec, process(&["/bin/probe", "exit", "5"]).to_string()).unwrap();
    let script = format!(
        r#"{UNTIL}
        $R create --bundle "$B" --pid-file "$D/init.pid" "$I"
        until_state created
        $R start "$I"
        until_state running
        $R exec --process '{}' --detach --pid-file "$D/e1.pid" "$I"
        test -s "$D/e1.pid"
        $R ps --format json "$I" | grep -q "\[$(cat "$D/init.pid")"
        printf '{{"pids":{{"limit":55}}}}' | $R update --resources=- "$I"
        $R pause "$I"; until_state paused; $R resume "$I"; until_state running
        until_waiting
        $R kill "$I" 15
        until_state stopped
        $R delete "$I"
        test ! -s "$D/log.json""#,
        spec.display()
    );
    let said = monitor(&bundle, &script);
    assert!(said.contains("orphan exited 5") && said.contains("orphan exited 0"), "{said}");
}

/// conmon for podman: `create` with what conmon adds, the exit status by waitpid, `delete --force` at last.
#[test]
fn conmon_runtime_args_30_creates_for_podman() {
    need!(root);
    let bundle = Bundle::new().probe(["wait", "TERM"]);
    let script = format!(
        r#"{UNTIL}
        $R create --bundle "$B" --pid-file "$D/pidfile" --no-new-keyring "$I"
        grep -c memory /proc/"$(cat "$D/pidfile")"/cgroup >/dev/null
        $R start "$I"
        until_state running
        until_waiting
        $R kill "$I" 15
        until_state stopped
        $R delete --force "$I"
        $R kill "$I" 9 2>&1 | head -c 8192; $R delete --force "$I""#
    );
    let said = monitor(&bundle, &script);
    assert!(said.contains("does not exist") && said.contains("orphan exited 0"), "{said}");
}

/// conmon for CRI-O and `podman exec -it`: the terminal's master over the socket, the size by the master.
#[test]
fn conmon_runtime_args_68_execs_with_a_console_socket() {
    need!(root);
    let c = Bundle::new().sleeper().start();
    let socket = Console::listen(&c.place().path("exec.sock"));
    let spec = c.place().path("exec.json");
    let mut asked = process(&["/bin/sh", "-c", "read line; echo got $line; tty"]);
    asked["terminal"] = true.into();
    fs::write(&spec, asked.to_string()).unwrap();
    let pid = c.place().path("exec.pid").to_string_lossy().into_owned();
    let words = ["exec", "--pid-file", &pid, "--process", &spec.to_string_lossy(), "--detach"];
    let mut words = words.to_vec();
    let path = socket.path();
    words.extend(["--console-socket", &path, c.id()]);
    let call = c.runtime().spawn(&words);
    let terminal = socket.terminal();
    let _ = call.wait().ok();
    terminal.say("typed\n");
    let _ = terminal.expect("got typed");
    let _ = terminal.expect("/dev/pts/");
    harness::container::wait_exit(fs::read_to_string(&pid).unwrap().parse().unwrap());
}

/// conmon takes a failed exec from the pid file that is not there and tells what is on stderr.
#[test]
fn conmon_reads_a_failed_exec_from_the_missing_pid_file() {
    need!(root);
    let c = Bundle::new().sleeper().start();
    let spec = c.place().path("exec.json");
    fs::write(&spec, process(&["no-such-program"]).to_string()).unwrap();
    let pid = c.place().path("exec.pid").to_string_lossy().into_owned();
    let spec = spec.to_string_lossy().into_owned();
    let words = ["exec", "--pid-file", &pid, "--process", &spec, "--detach", c.id()];
    let output = c.runtime().call(&words);
    assert_eq!(output.code, Some(255), "{output:?}");
    assert!(output.stderr.contains("executable file not found"), "{output:?}");
    assert!(!c.place().path("exec.pid").exists());
}

/// CRI-O: probes are foreground execs whose exit code counts; signals by name; `kill -a`; `update` by stdin.
#[test]
fn cri_o_runtime_oci_runs_probes_and_stops() {
    need!(root, controller("cpu"));
    let bundle = Bundle::new().sh("trap '' TERM; sleep 1000 & wait; sleep 1000");
    let spec = |name: &str, args: &[&str]| {
        let path = bundle.outside(name);
        fs::write(&path, process(args).to_string()).unwrap();
        path.display().to_string()
    };
    let well = spec("well.json", &["/bin/probe", "exit", "0"]);
    let ill = spec("ill.json", &["/bin/probe", "exit", "3"]);
    let script = format!(
        r#"{UNTIL}
        $R create --bundle "$B" --pid-file "$D/pid" "$I"
        $R start "$I"
        until_state running
        $R exec --process '{well}' "$I"
        code=0; $R exec --process '{ill}' "$I" || code=$?; echo "probe $code"
        printf '{{"cpu":{{"shares":512}}}}' | $R update --resources - "$I"
        $R kill "$I" TERM
        $R kill "$I" SIGWINCH
        $R kill -a "$I" KILL
        until_state stopped
        $R delete --force "$I""#
    );
    let said = monitor(&bundle, &script);
    assert!(said.contains("probe 3") && said.contains("orphan killed SIGKILL"), "{said}");
}

/// buildah: create, start, state every 100 ms, `kill ID` without a signal, then SIGKILL, delete; wait4 itself.
#[test]
fn buildah_run_common_539_to_566_runs_a_step() {
    need!(root);
    let bundle = Bundle::new().sh("echo step; trap '' TERM; sleep 1000 & wait; sleep 1000");
    let script = format!(
        r#"{UNTIL}
        $R create --bundle "$B" --pid-file "$D/pid" "$I" >"$D/step" 2>&1
        $R start "$I"
        until_state running
        for i in $(seq 100); do grep -q step "$D/step" && break; sleep 0.05; done
        cat "$D/step"
        $R kill "$I"
        until_state running
        $R kill "$I" SIGKILL
        until_state stopped
        $R delete "$I""#
    );
    let said = monitor(&bundle, &script);
    assert!(said.contains("step\n") && said.contains("orphan killed SIGKILL"), "{said}");
}

/// buildah's step that ends by itself: its status by wait4, the state `stopped` until `delete`.
#[test]
fn buildah_run_common_reads_the_status_of_a_step() {
    need!(root);
    let bundle = Bundle::new().probe(["exit", "4"]);
    let script = format!(
        r#"{UNTIL}
        $R create --bundle "$B" --pid-file "$D/pid" "$I"
        $R start "$I"
        until_state stopped
        $R delete "$I""#
    );
    assert!(monitor(&bundle, &script).contains("orphan exited 4"));
}

/// BuildKit: `run --bundle B --keep ID` in the foreground of a process group of its own, standard input from a
/// pipe, `state` until it runs, then `delete ID`; the exit code is the step's.
#[test]
fn buildkit_runcexecutor_runs_a_step_in_the_foreground() {
    need!(root);
    for flags in [&["--keep"][..], &["--no-pivot", "--keep"]] {
        let bundle = Bundle::new().flags(flags).sh("read line; echo $line; exit 6");
        bundle.write();
        let mut command = bundle.runtime().command(&bundle.words("run"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap();
        let running = || {
            let state = bundle.runtime().call(&["state", bundle.id()]);
            state.code == Some(0) && state.json()["status"] == "running"
        };
        assert!(host::eventually(Duration::from_secs(10), running));
        use std::io::Write;
        child.stdin.take().unwrap().write_all(b"from stdin\n").unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(6), "{output:?}");
        assert_eq!(output.stdout, b"from stdin\n");
        let state = bundle.runtime().call(&["state", bundle.id()]).ok().json();
        assert_eq!(state["status"], "stopped");
        let _ = bundle.runtime().call(&["delete", bundle.id()]).ok();
    }
}

/// BuildKit ends a step by `kill ID KILL`, and by the signal to the runtime it started.
#[test]
fn buildkit_runcexecutor_cancels_a_step() {
    need!(root);
    let bundle = Bundle::new().flags(&["--keep"]).sleeper();
    bundle.write();
    let call = bundle.runtime().spawn(&bundle.words("run"));
    let said = || call.output(Default::default()).stdout.contains("waiting");
    assert!(host::eventually(Duration::from_secs(10), said));
    // The terminal's change of size goes to the runtime; without a terminal it is no harm.
    let pid = Pid::from_raw(i32::try_from(call.child.id()).unwrap());
    kill(pid, Signal::SIGWINCH).unwrap();
    let _ = bundle.runtime().call(&["kill", bundle.id(), "KILL"]).ok();
    assert_eq!(call.wait().code, Some(137));
    let _ = bundle.runtime().call(&["delete", bundle.id()]).ok();
}

/// podman: `update --resources=FILE`, `pause`, `resume`, `kill --all`, and `delete --force` of what runs.
#[test]
fn podman_oci_conmon_common_operates_a_container() {
    need!(root, controller("pids"));
    let mut c = Bundle::new().sleeper().start();
    let file = c.place().path("resources.json");
    fs::write(&file, json!({ "pids": { "limit": 44 } }).to_string()).unwrap();
    let _ = c.runtime().call(&["update", &format!("--resources={}", file.display()), c.id()]).ok();
    let _ = c.runtime().call(&["pause", c.id()]).ok();
    assert_eq!(c.status(), "paused");
    let _ = c.runtime().call(&["resume", c.id()]).ok();
    let _ = c.runtime().call(&["kill", "--all", c.id(), "9"]).ok();
    c.wait();
    c.delete(&["--force"]);
}

/// Docker's `runtimeArgs` make a script of it: `exec PATH ARGS "$@"`.
#[test]
fn moby_runtime_unix_wraps_the_runtime_in_a_script() {
    need!(root);
    let bundle = Bundle::new().probe(["pid"]);
    let script = bundle.outside("wrapper");
    let path = bundle.runtime().program.display().to_string();
    let text = format!("#!/bin/sh\n{path} --rootless=false $@\n");
    write_program(&script, text.as_bytes(), 0o700);
    bundle.write();
    let mut runtime = bundle.runtime().clone();
    runtime.program = script;
    assert!(runtime.call(&bundle.words("run")).ok().stdout.contains("\"pid\""));
}
