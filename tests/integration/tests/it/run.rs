//! `run` and what callers get back: exit codes, explanations, pid files, signals, orphans.

use std::process::ExitStatus;
use std::time::Duration;

use harness::{Bundle, host, need};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The same through `run`: no such file, a directory, a file without the x bit.
#[test]
fn run_explains_what_cannot_be_executed() {
    need!(root);
    for (program, word) in [
        ("no-such-program", "executable file not found in $PATH"),
        ("/no/such/program", "no such file or directory"),
        ("/etc", "is a directory"),
        ("/etc/passwd", "permission denied"),
    ] {
        let c = Bundle::new().args(&[program]).try_run();
        assert_eq!(c.code(), 1, "{program}: {:?}", c.output);
        assert!(c.output.logged().contains(word), "{program}: {}", c.output.logged());
    }
}

/// A script without its interpreter is told apart from a missing script.
#[test]
fn a_missing_interpreter_fails_plainly() {
    need!(root);
    let bundle = Bundle::new().file("/opt/script", "#!/no/such/shell\n").args(&["/opt/script"]);
    let c = bundle.try_run();
    assert_ne!(c.code(), 0);
    assert!(c.output.stderr.contains("no such file or directory"), "{:?}", c.output);
}

/// `run` hands the program's exit code on; a signal is 128 and its number.
#[test]
fn exit_codes_are_handed_on() {
    need!(root);
    for code in [0, 1, 7, 126, 127, 255] {
        let c = Bundle::new().probe(["exit", &code.to_string()]).try_run();
        assert_eq!(c.code(), code);
    }
    // The first process of a pid namespace cannot kill itself: another does, from outside of it.
    let c = Bundle::new().without_namespace("pid").sh("kill -9 $$").try_run();
    assert_eq!(c.code(), 137);
    let c = Bundle::new().without_namespace("pid").sh("kill -15 $$").try_run();
    assert_eq!(c.code(), 143);
}

/// `run --detach` comes back while the container runs.
#[test]
fn run_detached_comes_back() {
    need!(root);
    let bundle = Bundle::new().flags(&["--detach"]).sleeper();
    bundle.write();
    let _ = bundle.runtime().call(&bundle.words("run")).ok();
    let state = bundle.runtime().call(&["state", bundle.id()]).ok().json();
    assert_eq!(state["status"], "running");
    let _ = bundle.runtime().call(&["delete", "--force", bundle.id()]).ok();
}

/// `run --keep` leaves the stopped container for the caller.
#[test]
fn run_keep_leaves_the_container() {
    need!(root);
    let bundle = Bundle::new().flags(&["--keep"]).probe(["exit", "3"]);
    bundle.write();
    let output = bundle.runtime().call(&bundle.words("run"));
    assert_eq!(output.code, Some(3), "{output:?}");
    let state = bundle.runtime().call(&["state", bundle.id()]).ok().json();
    assert_eq!(state["status"], "stopped");
    let _ = bundle.runtime().call(&["delete", bundle.id()]).ok();
}

/// Signals to a foreground `run` are handed to the container.
#[test]
fn run_hands_signals_on() {
    need!(root);
    let bundle = Bundle::new().probe(["wait", "USR1"]);
    bundle.write();
    let call = bundle.runtime().spawn(&bundle.words("run"));
    let seen = host::eventually(Duration::from_secs(10), || {
        call.output(ExitStatus::default()).stdout.contains("waiting")
    });
    assert!(seen);
    let pid = Pid::from_raw(i32::try_from(call.child.id()).unwrap());
    kill(pid, Signal::SIGUSR1).unwrap();
    let output = call.wait().ok();
    assert!(output.stdout.contains("SIGUSR1"), "{output:?}");
}

/// A pid file has the digits and nothing else: callers parse it as it is.
#[test]
fn the_pid_file_has_only_digits() {
    need!(root);
    let bundle = Bundle::new();
    let file = bundle.outside("init.pid");
    let c = bundle.flags(&["--pid-file", &file.to_string_lossy()]).sleeper().create();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), c.pid().to_string());
}

/// A pid file that cannot be written fails `create`, and nothing is left.
#[test]
fn a_pid_file_that_cannot_be_written_fails() {
    need!(root);
    let message = Bundle::new().flags(&["--pid-file", "/no/such/dir/pid"]).refused();
    assert!(message.contains("/no/such/dir"), "{message}");
}

/// Init goes to the caller's reaper, which gets its exit status (conmon, the shims, buildah).
#[test]
fn init_is_reaped_by_the_caller() {
    need!(root);
    let probe = host::built("probe").to_string_lossy().into_owned();
    let bundle = Bundle::new().flags(&["--detach"]).probe(["sleep", "100", "--", "exit", "9"]);
    let bundle = bundle.under(&[&probe, "subreaper"]);
    bundle.write();
    let output = bundle.runtime().call(&bundle.words("run")).ok();
    assert!(output.stdout.contains("orphan exited 9"), "{output:?}");
}

/// Sixteen containers in parallel.
#[test]
fn many_at_once() {
    need!(root);
    let threads: Vec<_> = (0..16)
        .map(|n| {
            std::thread::spawn(move || {
                Bundle::new().probe(["exit", &n.to_string()]).try_run().code() == n
            })
        })
        .collect();
    assert!(threads.into_iter().all(|t| t.join().unwrap()));
}
