//! What callers search for in the runtime's messages, each by the caller and the place in its source.
//!
//! A test holds the caller's own condition and the message of a real failure against it: another word
//! there would turn "not found" into a failure, or exit code 127 into 125.

use harness::{Bundle, Container, need};
use serde_json::json;

fn any(message: &str, words: &[&str]) -> bool {
    words.iter().any(|word| message.contains(word))
}

fn stopped() -> Container {
    let c = Bundle::new().sleeper().start();
    c.stop();
    c
}

fn late_kill() -> String {
    stopped().kill("KILL").refused()
}

fn missing(verb: &[&str]) -> String {
    let bundle = Bundle::new();
    bundle.runtime().call(&[verb, &[bundle.id()]].concat()).refused()
}

/// `checkKillError`: a kill that comes too late is `ErrNotFound`.
#[test]
fn containerd_process_utils_119_to_124_takes_a_late_kill_for_not_found() {
    need!(root);
    let not_found = |message: &str| {
        any(message, &["os: process already finished", "container not running", "does not exist"])
            || message.to_lowercase().contains("no such process")
    };
    let (late, gone) = (late_kill(), missing(&["kill"]));
    assert!(not_found(&late), "{late}");
    assert!(not_found(&gone), "{gone}");
}

/// The shim in Rust compares in lower case.
#[test]
fn shim_rs_common_136_to_144_takes_a_late_kill_for_not_found() {
    need!(root);
    let words =
        ["process already finished", "container not running", "no such process", "does not exist"];
    for message in [late_kill(), missing(&["kill"]), missing(&["delete"])] {
        assert!(any(&message.to_lowercase(), &words), "{message}");
    }
}

/// CRI-O compares with case: crun's `No such process` is missed there.
#[test]
fn cri_o_runtime_oci_1627_to_1633_takes_a_late_kill_for_not_found() {
    need!(root);
    let message = late_kill();
    assert!(any(&message, &["no such process", "container not running", "invalid process"]));
}

/// `parseRuncError`: whole forms, not only words.
#[test]
fn hcsshim_runc_knows_the_kind_of_every_refusal() {
    need!(root);
    let gone = missing(&["state"]);
    assert!(gone.starts_with("container") && gone.ends_with("does not exist"), "{gone}");

    let c = Bundle::new().sleeper().start();
    let second = Bundle::at(c.place(), "second").named(c.id()).sleeper();
    second.write();
    let exists = second.runtime().call(&second.words("create")).refused();
    let known = ["container with id exists", "container with given ID already exists"];
    assert!(any(&exists, &known), "{exists}");

    let running = c.call(&["delete"]).refused();
    assert!(running.contains("container") && running.contains("that is not stopped"), "{running}");
    c.stop();
    assert!(late_kill().contains("container not running"));

    let odd = Bundle::new().named("../odd");
    odd.write();
    let invalid = odd.runtime().call(&odd.words("create")).refused();
    assert!(any(&invalid, &["invalid id format", "invalid container ID format"]), "{invalid}");
}

/// The programs that cannot be executed, and Docker's exit code for each.
const PROGRAMS: [(&str, i32); 6] = [
    ("no-such-program", 127),
    ("/no/such/program", 127),
    ("/etc", 126),
    ("/etc/passwd", 126),
    ("./passwd", 126),
    ("/etc/passwd/below", 127),
];

/// `translateContainerdStartErr`, of several versions: 127, 126, or 125 when no word is known.
fn moby(message: &str) -> i32 {
    let message = message.to_lowercase();
    let not_there = [
        "executable file not found",
        "no such file or directory",
        "system cannot find the file specified",
        "failed to run runc create/exec call",
    ];
    if any(&message, &not_there) {
        return 127;
    }
    if any(&message, &["permission denied", "is a directory"]) {
        return 126;
    }
    if message.contains("not a directory") { 127 } else { 125 }
}

/// podman's `getOCIRuntimeError`: nothing for what it has no words for.
fn podman(message: &str) -> Option<i32> {
    let lower = message.to_lowercase();
    if any(&lower, &["permission denied", "operation not permitted"]) {
        return Some(126);
    }
    let not_there =
        ["executable file not found in", "no such file or directory", "open executable"];
    any(&lower, &not_there).then_some(127)
}

/// Docker, its client and podman make exit codes of the words of a failed start.
#[test]
fn moby_errors_126_to_168_docker_cli_run_and_podman_oci_util_158_to_165_make_exit_codes() {
    need!(root);
    for (program, code) in PROGRAMS {
        let message = Bundle::new().set("/process/cwd", "/etc").args(&[program]).refused();
        assert_eq!(moby(&message), code, "{program}: {message}");
        // 127 only when the message has the command, too.
        assert!(message.contains(program), "{program}: {message}");
        // The words about a directory are known to Docker only.
        let known = Some(code).filter(|_| !message.contains("a directory"));
        assert_eq!(podman(&message), known, "{program}: {message}");
    }
}

/// The same of `exec`, whose failure is 255 with the same words.
#[test]
fn moby_errors_178_and_podman_exec_codes_48_make_exit_codes_of_an_exec() {
    need!(root);
    let c = Bundle::new().sleeper().start();
    for (program, code) in PROGRAMS {
        let output = c.runtime().call(&["exec", "--cwd", "/etc", c.id(), program]);
        assert_eq!(output.code, Some(255), "{output:?}");
        let message = output.logged();
        assert_eq!(moby(&message), code, "{program}: {message}");
        let unknown = ["not found", "executable path is empty", "no such file", "not a directory"];
        assert_eq!(any(&message, &unknown), code == 127, "{program}: {message}");
    }
}

/// "Are you trying to mount a directory onto a file (or vice-versa)?" comes of these words.
#[test]
fn moby_errors_160_hints_at_a_file_mounted_over_a_directory() {
    need!(root);
    let bundle = Bundle::new();
    let file = bundle.outside("file");
    std::fs::write(&file, "x").unwrap();
    let message = bundle.dir_in("/data").bind(&file, "/data", &[]).refused();
    assert!(message.to_lowercase().contains("not a directory"), "{message}");
}

/// A label of AppArmor that cannot be set: podman tells a security attribute's error by the file's name in
/// backticks, and 126 by the words of the errno.
#[test]
fn podman_oci_util_170_knows_an_error_of_a_security_attribute() {
    need!(root, apparmor);
    let message = Bundle::new().set("/process/apparmorProfile", "no-such-profile").refused();
    assert!(message.contains("apparmor"), "{message}");
    assert!(podman(&message).is_some() || message.contains("`/proc/"), "{message}");
}

/// The sentences of users' scripts and of Kubernetes' end-to-end tests.
#[test]
fn docker_and_kubernetes_documents_quote_these_sentences() {
    need!(root);
    for (program, sentence) in [
        ("nothing", "exec: \"nothing\": executable file not found in $PATH"),
        ("/etc", "exec: \"/etc\": is a directory"),
        ("/no/such", "exec: \"/no/such\": stat /no/such: no such file or directory"),
        ("/etc/passwd", "exec: \"/etc/passwd\": permission denied"),
    ] {
        let message = Bundle::new().args(&[program]).refused();
        let starting = "create failed: unable to start container process: ";
        assert!(message.ends_with(&format!("{starting}{sentence}")), "{program}: {message}");
        let bundle = Bundle::new().args(&[program]);
        let message = bundle.try_run().output.logged();
        assert!(message.contains("run failed: unable to start container process: "), "{message}");
    }
    let c = Bundle::new().sleeper().start();
    let message = c.runtime().call(&["exec", c.id(), "nothing"]).logged();
    assert!(
        message.starts_with("exec failed: unable to start container process: exec: \"nothing\":")
    );
}

/// runc's own sentences (`libcontainer/error.go` and around it), which tools of all kinds compare.
#[test]
fn runc_error_5_to_13_and_other_sentences_are_kept() {
    need!(root);
    let c = Bundle::new().sleeper().start();
    let running = |words: &[&str]| c.runtime().call(&[words, &[c.id()]].concat());
    assert!(running(&["start"]).refused().contains("cannot start an already running container"));
    assert!(running(&["resume"]).refused().contains("container not paused"));
    let sentence = format!("cannot delete container {} that is not stopped: running", c.id());
    assert!(running(&["delete"]).refused().contains(&sentence));
    let _ = running(&["pause"]).ok();
    let output = c.runtime().call(&["exec", c.id(), "true"]);
    let sentence = "cannot exec in a paused container (use --ignore-paused to override)";
    assert!(output.logged().contains(sentence), "{output:?}");
    let _ = running(&["resume"]).ok();
    c.stop();
    assert!(running(&["start"]).refused().contains("cannot start a container that has stopped"));
    let output = c.runtime().call(&["exec", c.id(), "true"]);
    assert!(output.logged().contains("cannot exec in a stopped container"), "{output:?}");
    assert!(running(&["kill"]).refused().contains("container not running"));
    assert!(running(&["pause"]).refused().contains("container not running"));
    let message = Bundle::new().set("/process/terminal", true).refused();
    let sentence = "cannot allocate tty if runc will detach without setting console socket";
    assert!(message.contains(sentence), "{message}");
    for message in [missing(&["state"]), missing(&["pause"]), missing(&["ps"]), missing(&["start"])]
    {
        assert!(message.contains("container does not exist"), "{message}");
    }
}

/// A cgroup that others are in, or that is frozen.
#[test]
fn runc_process_linux_tells_of_a_busy_or_frozen_cgroup() {
    need!(root);
    let first = Bundle::new().sleeper();
    let path = format!("/corten-{}", first.id());
    let first = first.set("/linux/cgroupsPath", path.as_str()).start();
    let second =
        || Bundle::at(first.place(), "second").sleeper().set("/linux/cgroupsPath", json!(path));
    let (message, _place) = refused_beside(second());
    assert!(message.contains("container's cgroup is not empty: 1 process(es) found"), "{message}");
    let _ = first.call(&["pause"]).ok();
    let (message, _place) = refused_beside(second());
    let words = ["container's cgroup unexpectedly frozen", "container's cgroup is not empty"];
    assert!(any(&message, &words), "{message}");
    let _ = first.call(&["resume"]).ok();
}

/// `create` that is refused beside another container of the same place.
fn refused_beside(bundle: Bundle) -> (String, Bundle) {
    bundle.write();
    let message = bundle.runtime().call(&bundle.words("create")).refused();
    (message, bundle)
}
