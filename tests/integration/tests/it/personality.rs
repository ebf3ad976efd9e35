//! The runtime called `runc` or `crun`, by a link or a copy, answers as they do.

use std::fs;
use std::process::Command;

use harness::image::copy_program;
use harness::{Bundle, Container, Place, need, runtime};
use serde_json::Value;

/// What `name ARGS…` prints, once through a link and once through a copy of the binary.
fn both(name: &str, args: &[&str]) -> String {
    let place = Place::new();
    let print = |dir: &str| {
        let output = Command::new(place.path(dir).join(name)).args(args).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    for dir in ["link", "copy"] {
        fs::create_dir(place.path(dir)).unwrap();
    }
    std::os::unix::fs::symlink(runtime::path(), place.path("link").join(name)).unwrap();
    copy_program(&runtime::path(), &place.path("copy").join(name), 0o755);
    let printed = print("link");
    assert_eq!(printed, print("copy"));
    printed
}

/// nerdctl and containerd take three words, the first of them `runc`; Docker the last line with "version".
#[test]
fn runc_tells_runc_s_version() {
    let text = both("runc", &["--version"]);
    let lines: Vec<&str> = text.lines().collect();
    let words: Vec<&str> = lines[0].split(' ').collect();
    assert_eq!(words[..2], ["runc", "version"], "{text}");
    assert!(words[2].starts_with("1.5.") && words[2].contains("+corten."), "{text}");
    assert!(lines[1].starts_with("commit: ") && lines[2].starts_with("spec: 1."), "{text}");
    assert_eq!(text.matches("version").count(), 1, "{text}");
}

/// crun's lines: where its state is, and the words with a plus that podman looks through.
#[test]
fn crun_tells_crun_s_version() {
    let text = both("crun", &["--version"]);
    assert!(text.starts_with("crun version 1."), "{text}");
    assert!(text.contains("\nrundir: /run/crun\n"), "{text}");
    let last = text.lines().last().unwrap();
    assert!(last.contains("+SECCOMP") && !last.contains("+WASM"), "{text}");
}

/// `features` has the version and commit under the name's own annotations.
#[test]
fn features_has_the_annotations_of_the_name() {
    for (name, prefix) in [("runc", "org.opencontainers.runc"), ("crun", "run.oci.crun")] {
        let features: Value = serde_json::from_str(&both(name, &["features"])).unwrap();
        let version = features["annotations"][format!("{prefix}.version")].as_str().unwrap();
        assert!(version.contains("+corten."), "{features}");
        assert!(features["annotations"][format!("{prefix}.commit")].is_string(), "{features}");
    }
}

/// Without `--root` the state is where tools look for it.
#[test]
fn the_default_root_is_the_name_s() {
    need!(root);
    for name in ["runc", "crun"] {
        let bundle = Bundle::new().called(name).sleeper();
        bundle.write();
        let script = format!(
            "mount -t tmpfs none /run && {} create --bundle {} {id} >/dev/null && ls -d /run/*/{id}; \
             {0} delete --force {id}; ls /run/{name}",
            bundle.runtime().program.display(),
            bundle.dir().display(),
            id = bundle.id(),
        );
        let output = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", &script])
            .env_remove("XDG_RUNTIME_DIR")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(text, format!("/run/{name}/{}\n", bundle.id()), "{output:?}");
    }
}

/// The words of a failure: runc's with its name, crun's without the verb.
#[test]
fn a_failure_is_told_as_by_the_name() {
    need!(root);
    let fails = |bundle: Bundle| bundle.args(&["no-such-program"]).refused();
    let sentence = "exec: \"no-such-program\": executable file not found in $PATH";
    let starting = "unable to start container process";
    assert_eq!(fails(Bundle::new()), format!("corten create failed: {starting}: {sentence}"));
    let runc = fails(Bundle::new().called("runc"));
    assert_eq!(runc, format!("runc create failed: {starting}: {sentence}"));
    assert_eq!(fails(Bundle::new().called("crun")), sentence);
}

/// crun keeps warnings to itself, runc tells them.
#[test]
fn warnings_are_told_as_by_the_name() {
    need!(root);
    let stderr = |name: &str, more: &[&str]| {
        let bundle = Bundle::new().called(name).probe(["pid"]);
        let bundle = bundle.push("/process/capabilities/bounding", "CAP_MOONWALK");
        bundle.write();
        // Not by `call`, which gives a log file.
        let mut runtime = bundle.runtime().clone();
        runtime.global.extend(more.iter().map(|&flag| flag.to_owned()));
        let output = runtime.command(&bundle.words("run")).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(stderr("runc", &[]).contains("CAP_MOONWALK"));
    assert_eq!(stderr("crun", &[]), "");
    assert!(stderr("crun", &["--log-level", "warning"]).contains("CAP_MOONWALK"));
}

fn comm(pid: impl std::fmt::Display) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap().trim().to_owned()
}

fn create(name: &str) -> Container {
    Bundle::new().called(name).sleeper().create()
}

/// Falco, Tracee and others know the process before its program by `runc:[2:INIT]`.
#[test]
fn falco_init_s_name_is_runc_s() {
    need!(root);
    for name in ["runc", "crun"] {
        let c = create(name);
        assert_eq!(comm(c.pid()), format!("{name}:[2:INIT]"));
        c.start();
        c.wait_for("waiting");
        assert_eq!(comm(c.pid()), "probe");
    }
    assert_eq!(comm(Bundle::new().sleeper().create().pid()), "corten:[2:INIT]");
}

/// `argv[0]` and the name survive the second execution from the sealed file (CVE-2019-5736).
#[test]
fn the_name_survives_sealing() {
    need!(root);
    let bundle = Bundle::new().called("runc").probe(["wait", "TERM"]);
    bundle.write();
    let call = bundle.runtime().spawn(&bundle.words("run"));
    let waits = || call.output(std::process::ExitStatus::default()).stdout.contains("waiting");
    assert!(harness::host::eventually(std::time::Duration::from_secs(10), waits));
    let pid = call.child.id();
    assert_eq!(comm(pid), "runc");
    let cmdline = fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    let argv0 = cmdline.split(|byte| *byte == 0).next().unwrap();
    assert_eq!(String::from_utf8_lossy(argv0), bundle.runtime().program.to_string_lossy());
    let exe = fs::read_link(format!("/proc/{pid}/exe")).unwrap();
    assert_ne!(exe, runtime::path(), "it was not executed again");
    let _ = bundle.runtime().call(&["kill", bundle.id(), "TERM"]).ok();
    let _ = call.wait().ok();
}
