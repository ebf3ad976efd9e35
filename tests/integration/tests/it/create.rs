//! What crosses from the caller into the container: descriptors, signals, keyrings, sockets; and what does not.

use harness::console::Notify;
use harness::{Bundle, Console, Finished, host, need};
use serde_json::{Value, json};

fn fds(c: &Finished) -> Vec<i32> {
    let map = c.value("fds").as_object().unwrap();
    let mut fds: Vec<i32> = map.keys().map(|k| k.parse().unwrap()).collect();
    fds.sort_unstable();
    fds
}

/// The program has 0, 1 and 2 and nothing else.
#[test]
fn the_program_has_three_descriptors() {
    need!(root);
    assert_eq!(fds(&Bundle::new().probe(["fds"]).run()), [0, 1, 2]);
}

/// What the caller left open stays outside (CVE-2024-21626's way in).
#[test]
fn the_callers_descriptors_are_closed() {
    need!(root);
    let c = Bundle::new().after("exec 3</ 5</etc 9</proc").probe(["fds"]).run();
    assert_eq!(fds(&c), [0, 1, 2]);
}

/// While a container is `created`, whoever may look into its init finds nothing of the host there but the
/// start gate: no cgroup, no directory, nothing of the caller's (CVE-2024-21626).
///
/// runc 1.1.5: keeps `/` and its own binary open.
#[test]
fn init_holds_only_the_gate_while_it_waits() {
    need!(root);
    let c = Bundle::new().sleeper().after("exec 3</ 5</etc 9</proc").create();
    let mut seen = Vec::new();
    for entry in std::fs::read_dir(format!("/proc/{}/fd", c.pid())).unwrap() {
        let entry = entry.unwrap();
        let number: u32 = entry.file_name().to_str().unwrap().parse().unwrap();
        let target = std::fs::read_link(entry.path()).unwrap().to_string_lossy().into_owned();
        let anonymous = target.starts_with("socket:[") || target.starts_with("pipe:[");
        if number > 2 && !anonymous && !target.contains("/exec.") {
            seen.push(format!("{number} -> {target}"));
        }
    }
    assert!(seen.is_empty(), "{seen:?}");
}

/// With any of 0, 1, 2 closed in the caller the container still has all three, and none is a file of the runtime's.
#[test]
fn closed_standard_descriptors_become_null() {
    need!(root);
    for mask in 0..8_u32 {
        let closes: Vec<&str> = ["<&-", ">&-", "2>&-"]
            .into_iter()
            .enumerate()
            .filter(|(bit, _)| mask >> bit & 1 == 1)
            .map(|(_, close)| close)
            .collect();
        let bundle = Bundle::new();
        let out = bundle.outside("fds");
        std::fs::write(&out, "").unwrap();
        let script = format!("exec \"$@\" {}", closes.join(" "));
        let look = "for n in 0 1 2; do seen=\"$seen$(readlink /proc/$$/fd/$n || echo closed) \"; done; echo $seen > /seen";
        let c =
            bundle.bind(&out, "/seen", &[]).under(&["sh", "-c", &script, "sh"]).sh(look).start();
        c.wait();
        let text = std::fs::read_to_string(&out).unwrap();
        let lines: Vec<&str> = text.split_whitespace().collect();
        assert_eq!(lines.len(), 3, "mask {mask:03b}: {text:?}");
        for (bit, line) in lines.iter().enumerate() {
            let ours = ["/out.", "/err."].iter().any(|name| line.contains(name));
            assert!(*line == "/dev/null" || ours, "mask {mask:03b}, fd {bit}: {line}");
            let closed = mask >> bit & 1 == 1;
            assert!(!closed || *line == "/dev/null", "mask {mask:03b}, fd {bit}: {line}");
        }
    }
}

/// `--preserve-fds N` hands over 3 to 3+N−1, and only those.
#[test]
fn preserved_descriptors_are_handed_over() {
    need!(root);
    let bundle = Bundle::new();
    std::fs::write(bundle.outside("three"), "3").unwrap();
    std::fs::write(bundle.outside("four"), "4").unwrap();
    let (three, four) = (bundle.outside("three"), bundle.outside("four"));
    let prelude = format!("exec 3<'{}' 4<'{}' 5</etc", three.display(), four.display());
    let c = bundle
        .after(&prelude)
        .flags(&["--preserve-fds", "2"])
        .probe("fds -- read /proc/self/fd/3 -- read /proc/self/fd/4".split(' '))
        .run();
    assert_eq!(fds(&c), [0, 1, 2, 3, 4]);
    assert_eq!(c.fact("read /proc/self/fd/4"), "4");
}

/// Asking for a descriptor that is not open is an error.
///
/// runc: its own language runtime has files open there by then.
#[test]
fn preserving_a_closed_descriptor_is_refused() {
    need!(root);
    let bundle = Bundle::new().flags(&["--preserve-fds", "4"]).after("exec 3</etc 4<&- 5<&- 6<&-");
    let c = bundle.probe(["fds"]).try_run();
    assert_ne!(c.code(), 0, "{:?}", c.output);
}

/// Socket activation: `LISTEN_FDS` descriptors from 3 on, `LISTEN_PID` is the container's first process.
#[test]
fn listen_fds_are_handed_over() {
    need!(root);
    let bundle = Bundle::new();
    std::fs::write(bundle.outside("three"), "3").unwrap();
    let prelude = format!(
        "exec 3<'{}' 4</etc; export LISTEN_FDS=1 LISTEN_PID=$$",
        bundle.outside("three").display()
    );
    let c = bundle
        .after(&prelude)
        .probe("fds -- env LISTEN_FDS -- env LISTEN_PID -- pid".split(' '))
        .run();
    assert_eq!(fds(&c), [0, 1, 2, 3]);
    assert_eq!(c.fact("env LISTEN_FDS"), "1");
    assert_eq!(c.fact("env LISTEN_PID"), c.fact("pid"));
}

/// Ignored and blocked signals of the caller are default and open in the container.
///
/// runc 1.5.0: leaves blocked what the caller blocked.
#[test]
fn signals_start_fresh() {
    need!(root);
    let probe = host::built("probe").to_string_lossy().into_owned();
    let c = Bundle::new()
        .under(&["sh", "-c", "trap '' INT QUIT TERM USR1 PIPE HUP; exec \"$@\"", "sh"])
        .under(&[&probe, "block", "SIGTERM,SIGUSR2,SIGCHLD"])
        .probe("status SigBlk -- status SigIgn -- status SigPnd".split(' '))
        .run();
    assert_eq!(c.fact("status SigBlk"), "0000000000000000");
    // The probe itself, a Rust program, ignores SIGPIPE.
    assert_eq!(c.fact("status SigIgn"), "0000000000001000");
    assert_eq!(c.fact("status SigPnd"), "0000000000000000");
}

/// The same for a program that ignores nothing by itself.
///
/// runc 1.5.0: signal 32 stays ignored.
#[test]
fn nothing_is_ignored() {
    need!(root);
    let c = Bundle::new()
        .under(&["sh", "-c", "trap '' INT QUIT TERM USR1 PIPE HUP; exec \"$@\"", "sh"])
        .args(&["/bin/grep", "SigIgn", "/proc/self/status"])
        .run();
    assert_eq!(c.stdout().split_whitespace().last(), Some("0000000000000000"));
}

/// A keyring of its own, named after the container; `--no-new-keyring` leaves the caller's.
#[test]
fn the_session_keyring_is_new() {
    need!(root);
    let keys = |flags: &[&str]| {
        let bundle = Bundle::new()
            .set("/linux/maskedPaths", json!([]))
            .flags(flags)
            .probe(["read", "/proc/keys"]);
        let id = bundle.id().to_owned();
        (bundle.run().fact("read"), format!("_ses.{id}"))
    };
    let (seen, name) = keys(&[]);
    assert!(seen.contains(&name), "{seen}");
    let (seen, name) = keys(&["--no-new-keyring"]);
    assert!(!seen.contains(&name), "{seen}");
}

/// `--pidfd-socket`: a pidfd of the container's first process comes over the socket.
///
/// runc 1.1.5: has no such flag.
#[test]
fn a_pidfd_comes_over_the_socket() {
    need!(root);
    let bundle = Bundle::new();
    let socket = Console::listen(&bundle.outside("pidfd.sock"));
    let path = socket.path();
    let c = bundle.flags(&["--pidfd-socket", &path]).sleeper().create();
    let (fd, _) = socket.receive();
    let info = std::fs::read_to_string(format!(
        "/proc/self/fdinfo/{}",
        std::os::fd::AsRawFd::as_raw_fd(&fd)
    ))
    .unwrap();
    let pid = info.lines().find_map(|l| l.strip_prefix("Pid:")).unwrap().trim().to_owned();
    assert_eq!(pid, c.pid().to_string());
}

/// `NOTIFY_SOCKET`: what the program says inside reaches the caller's socket, with a pid that means something there.
#[test]
fn readiness_reaches_the_caller() {
    need!(root);
    let bundle = Bundle::new();
    let socket = Notify::listen(&bundle.outside("notify.sock"));
    let c = bundle
        .env("NOTIFY_SOCKET", &socket.path())
        .probe("env NOTIFY_SOCKET -- notify READY=1 -- sleep 3000".split(' '));
    c.write();
    let call = c.runtime().spawn(&c.words("run"));
    let _ = socket.expect("READY=1");
    let said = socket.expect("MAINPID=");
    let state = c.runtime().call(&["state", c.id()]).ok().json();
    // The manager may be told to watch the foreground runtime or the program itself.
    let pids = [state["pid"].to_string(), call.child.id().to_string()];
    let told = said.iter().flat_map(|m| m.lines()).find_map(|l| l.strip_prefix("MAINPID="));
    assert!(told.is_some_and(|pid| pids.iter().any(|p| p == pid)), "{pids:?}: {said:?}");
    let output = call.wait().ok();
    assert!(output.stdout.contains("NOTIFY_SOCKET"), "{output:?}");
}

/// Without the caller's `NOTIFY_SOCKET` the container has none.
#[test]
fn no_notify_socket_means_none() {
    need!(root);
    let c = Bundle::new().probe(["env", "NOTIFY_SOCKET"]).run();
    assert_eq!(c.value("env"), &Value::Null);
}

/// The container outlives its creator, and is nobody's child in particular.
#[test]
fn the_container_outlives_create() {
    need!(root);
    let c = Bundle::new().sleeper().start();
    let stat = c.proc("stat");
    assert!(!stat.is_empty());
    assert_eq!(c.status(), "running");
}

/// It is no member of the caller's session or process group.
#[test]
fn the_container_has_a_session_of_its_own() {
    need!(root);
    let c = Bundle::new().probe(["read", "/proc/self/stat"]).run();
    let stat = c.fact("read");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    assert_eq!((fields[2], fields[3]), ("1", "1"), "process group and session");
}

/// The parent-death signal of the runtime's stages is no business of the program's.
#[test]
fn the_program_survives_the_runtimes_end() {
    need!(root);
    let c = Bundle::new().sleeper().start();
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(c.status(), "running");
}

/// `create` prints nothing on its standard streams: they are the container's.
#[test]
fn create_prints_nothing() {
    need!(root);
    let c = Bundle::new().sleeper().create();
    assert_eq!(
        (c.created.stdout.as_str(), c.created.stderr.as_str(), c.created.log.as_str()),
        ("", "", "")
    );
}

/// A working directory of the caller's that is gone does no harm (fault model F28).
#[test]
fn a_lost_working_directory_is_no_trouble() {
    need!(root);
    let bundle = Bundle::new();
    let dir = bundle.outside("lost");
    let prelude = format!("mkdir '{0}' && cd '{0}' && rmdir '{0}'", dir.display());
    assert_eq!(bundle.after(&prelude).probe(["cwd"]).run().fact("cwd"), "/");
}

/// An empty environment of the caller's, too.
#[test]
fn an_empty_environment_is_no_trouble() {
    need!(root);
    let c = Bundle::new().under(&["env", "-i"]).probe(["pid"]).run();
    assert_eq!(c.fact("pid"), "1");
}

/// The bundle defaults to the current directory.
#[test]
fn the_bundle_defaults_to_the_current_directory() {
    need!(root);
    let bundle = Bundle::new().probe(["pid"]);
    bundle.write();
    let mut runtime = bundle.runtime().clone();
    runtime.cwd = Some(bundle.dir().to_owned());
    let output = runtime.call(&["run", bundle.id()]).ok();
    assert!(output.stdout.contains("\"pid\""), "{output:?}");
}
