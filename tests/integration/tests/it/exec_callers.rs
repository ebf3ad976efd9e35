//! `exec` as its callers call it, each test named after who does so (`docs/callers.md`).

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use harness::container::wait_exit;
use harness::host::eventually;
use harness::{Bundle, Console, Container, need};
use serde_json::json;

fn sleeper() -> Container {
    Bundle::new().sleeper().start()
}

fn process_file(c: &Container, args: &[&str], terminal: bool) -> String {
    let process = json!({ "terminal": terminal, "user": { "uid": 0, "gid": 0 }, "cwd": "/",
        "args": args, "env": ["PATH=/bin", "TERM=xterm"], "noNewPrivileges": true });
    let path = c.place().path("exec-process.json");
    fs::write(&path, process.to_string()).unwrap();
    path.to_string_lossy().into_owned()
}

fn pid_of(path: &str) -> i32 {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.bytes().all(|b| b.is_ascii_digit()), "digits without a newline: {text:?}");
    text.parse().unwrap()
}

/// go-runc `runc.go`, `Exec`: detached, by a process file; the pid file is there when it returns.
#[test]
fn containerd_execs_detached_by_process_file() {
    need!(root);
    let c = sleeper();
    let process = process_file(&c, &["/bin/probe", "wait", "TERM"], false);
    let pid_file = c.place().path("exec.pid").to_string_lossy().into_owned();
    let done = c.exec(&["--process", &process, "--detach", "--pid-file", &pid_file], &[]).ok();
    assert_eq!((done.stderr.as_str(), done.log.as_str()), ("", ""));
    let pid = pid_of(&pid_file);
    let ns = fs::read_link(format!("/proc/{pid}/ns/pid")).unwrap();
    assert_eq!(ns.to_string_lossy(), c.namespace("pid"));
    // Its shim kills by this number, and waits for the end as the process's subreaper.
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGTERM);
    wait_exit(pid);
}

/// containerd's shim and conmon reap what `exec` leaves: it is their child once `exec` has ended.
#[test]
fn conmon_and_shims_reap_the_detached_process() {
    need!(root);
    let c = sleeper();
    let mut runtime = c.runtime().clone();
    let probe = harness::host::built("probe").to_string_lossy().into_owned();
    runtime.wrapper = vec![probe, "subreaper".into()];
    let done = runtime.call(&["exec", "-d", c.id(), "/bin/sh", "-c", "exit 7"]).ok();
    assert!(done.stdout.contains("orphan exited 7"), "{done:#?}");
}

/// conmon `conmon.c`, `--exec`: the same with a terminal; its console socket gets the master.
#[test]
fn conmon_execs_with_a_terminal() {
    need!(root);
    let c = sleeper();
    let process = process_file(&c, &["/bin/sh", "-c", "tty; echo end"], true);
    let pid_file = c.place().path("exec.pid").to_string_lossy().into_owned();
    let socket = Console::listen(&c.place().path("attach"));
    let path = socket.path();
    let flags =
        ["--pid-file", &pid_file, "--process", &process, "--detach", "--console-socket", &path];
    let _ = c.exec(&flags, &[]).ok();
    assert!(socket.terminal().expect("end").contains("/dev/pts/"));
    assert!(pid_of(&pid_file) > 0);
}

/// conmon takes a missing pid file for a failed `exec`.
#[test]
fn conmon_sees_no_pid_file_after_a_failure() {
    need!(root);
    let c = sleeper();
    let process = process_file(&c, &["/no/such"], false);
    let pid_file = c.place().path("exec.pid").to_string_lossy().into_owned();
    let error = c.exec_refused(&["--pid-file", &pid_file, "--process", &process, "--detach"], &[]);
    assert!(error.contains("no such file or directory"), "{error}");
    assert!(fs::metadata(&pid_file).is_err());
}

/// A pid file that cannot be written: the caller would never find the process.
#[test]
fn nobody_is_left_without_a_pid_file() {
    need!(root);
    let c = sleeper();
    let error =
        c.exec_refused(&["-d", "--pid-file", "/no/such/dir/pid"], &["/bin/probe", "wait", "TERM"]);
    assert!(error.contains("/no/such/dir/pid"), "{error}");
    let done = c.exec(&[], &["/bin/sh", "-c", "for p in /proc/[0-9]*; do echo $p; done"]).ok();
    // Init and the shell.
    assert_eq!(done.stdout.lines().count(), 2, "{done:#?}");
}

/// CRI-O `runtime_oci.go`, `ExecSyncContainer` and kubelet's probes: the exit code is the result.
#[test]
fn crio_probes_in_the_foreground() {
    need!(root);
    let c = sleeper();
    for (program, code) in [("exit 0", 0), ("exit 3", 3), ("echo out; echo err >&2; exit 1", 1)] {
        let process = process_file(&c, &["/bin/sh", "-c", program], false);
        let done = c.exec(&["--process", &process], &[]);
        assert_eq!(done.code, Some(code));
        if code == 1 {
            assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("out\n", "err\n"));
        }
    }
}

/// moby `daemon/errors.go`, `setExitCodeFromError`; podman `exec_codes.go`: words become 126 and 127.
#[test]
fn docker_and_podman_tell_126_from_127() {
    need!(root);
    let c = sleeper();
    for (program, words) in [
        ("nosuch", "executable file not found"),
        ("/bin/nosuch", "no such file or directory"),
        ("/etc", "is a directory"),
        ("/etc/passwd", "permission denied"),
    ] {
        let error = c.exec_refused(&[], &[program]);
        assert!(error.to_lowercase().contains(words), "{error}");
    }
}

/// go-runc reads the last `error` of the log; podman the whole file as one object.
#[test]
fn podman_reads_one_object_from_the_log() {
    need!(root);
    let c = sleeper();
    let done = c.exec(&[], &["/no/such"]);
    assert_eq!(done.log.lines().count(), 1, "{done:#?}");
    let record: serde_json::Value = serde_json::from_str(&done.log).unwrap();
    assert_eq!(record["level"], "error");
    assert!(
        record["msg"]
            .as_str()
            .unwrap()
            .starts_with("exec failed: unable to start container process: ")
    );
}

/// Signals of the caller are for the program (`docker exec` with `--sig-proxy`, Ctrl-C at `runc exec`).
#[test]
fn signals_are_forwarded() {
    need!(root);
    let c = sleeper();
    let script = "trap 'echo caught; exit 9' TERM; echo up; while true; do sleep 0.05; done";
    let out = c.place().path("signal.out");
    let mut command = c.runtime().command(&["exec", c.id(), "/bin/sh", "-c", script]);
    let mut child =
        command.stdin(Stdio::null()).stdout(fs::File::create(&out).unwrap()).spawn().unwrap();
    let said = |word: &str| fs::read_to_string(&out).unwrap().contains(word);
    assert!(eventually(Duration::from_secs(10), || said("up")));
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(9));
    assert!(said("caught"));
}

/// Socket activation (sd_listen_fds(3)): announced with the pid that the program has inside.
#[test]
fn systemd_sockets_are_announced() {
    need!(root);
    let c = sleeper();
    let runtime = c.runtime();
    let line = runtime.command(&[
        "exec",
        c.id(),
        "/bin/sh",
        "-c",
        "echo $LISTEN_FDS $LISTEN_PID $$; read x <&3; echo $x",
    ]);
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "exec 3</etc/hostname; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"", "sh"]);
    command.arg(line.get_program()).args(line.get_args());
    let done = command.output().unwrap();
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let words: Vec<&str> = text.split_whitespace().collect();
    assert_eq!(words.first(), Some(&"1"), "{done:?}");
    assert_eq!(words.get(1), words.get(2), "{text}");
    assert_eq!(
        words.get(3).copied(),
        fs::read_to_string("/etc/hostname").unwrap().split_whitespace().next()
    );
    // Sockets that were meant for another process are not passed on.
    let none = c.exec(&[], &["/bin/sh", "-c", "echo [$LISTEN_FDS]"]).ok();
    assert_eq!(none.stdout, "[]\n");
}

/// Bash's `-p <(...)`, and stdin: a process file may be a pipe.
#[test]
fn people_pass_the_process_through_a_pipe() {
    need!(root);
    let c = sleeper();
    let process = process_file(&c, &["/bin/sh", "-c", "echo piped"], false);
    for name in ["-", "/dev/stdin"] {
        let line = c.runtime().command(&["exec", "--process", name, c.id()]);
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "f=$1; shift; cat $f | \"$@\"", "sh", &process]);
        let done = command.arg(line.get_program()).args(line.get_args()).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&done.stdout), "piped\n", "{name}: {done:?}");
    }
}
