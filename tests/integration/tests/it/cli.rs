//! The command line that engines use: flags, versions, errors, `features`, `spec`.

use std::process::Command;

use harness::need;
use harness::{Bundle, runtime};
use serde_json::Value;

fn plain(args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(runtime::path()).args(args).output().unwrap();
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// The first line has three words; `spec:` is there; no other line speaks of a version.
#[test]
fn the_version_has_the_lines_callers_read() {
    let (code, out, _) = plain(&["--version"]);
    assert_eq!(code, Some(0));
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0].split_whitespace().count(), 3, "{out}");
    assert_eq!(lines[0].split_whitespace().nth(1), Some("version"), "{out}");
    assert!(lines.iter().any(|l| l.starts_with("spec: 1.")), "{out}");
    assert!(!lines[1..].iter().any(|l| l.contains("version")), "{out}");
}

/// `features` is JSON on stdout and silence on stderr.
///
/// runc 1.1.5: has the command, without the newer parts.
#[test]
fn features_is_json_and_nothing_else() {
    let (code, out, err) = plain(&["features"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let features: Value = serde_json::from_str(&out).unwrap();
    for field in ["ociVersionMin", "ociVersionMax", "hooks", "mountOptions"] {
        assert!(!features[field].is_null(), "{field}: {out}");
    }
    let has = |pointer: &str, word: &str| {
        let list = features.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
        assert!(list.contains(&word.into()), "{pointer} has no {word}");
    };
    for option in ["ro", "bind", "rbind", "rro", "rnosuid", "private", "rshared"] {
        has("/mountOptions", option);
    }
    for hook in
        ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
    {
        has("/hooks", hook);
    }
    for kind in ["pid", "network", "ipc", "uts", "mount", "user", "cgroup"] {
        has("/linux/namespaces", kind);
    }
    has("/linux/capabilities", "CAP_SYS_ADMIN");
    assert_eq!(features["linux"]["cgroup"]["v1"], true);
    assert_eq!(features["linux"]["cgroup"]["v2"], true);
}

/// What `features` says of 1.3.
///
/// runc 1.1.5: is older.
#[test]
fn features_knows_the_newer_parts() {
    let (_, out, _) = plain(&["features"]);
    let features: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(features["linux"]["mountExtensions"]["idmap"]["enabled"], true, "{out}");
    assert_eq!(features["linux"]["netDevices"]["enabled"], true, "{out}");
    assert!(features["linux"]["namespaces"].as_array().unwrap().contains(&"time".into()));
    assert!(features["linux"]["memoryPolicy"]["modes"].is_array(), "{out}");
    assert!(features["ociVersionMax"].as_str().unwrap() >= "1.3", "{out}");
}

/// Single-dash long flags, `=` and a blank: as Go programs take them.
#[test]
fn go_style_flags_are_taken() {
    need!(root);
    let bundle = Bundle::new().probe(["pid"]);
    bundle.write();
    let dir = bundle.dir().to_string_lossy().into_owned();
    let root = format!("-root={}", bundle.place().root().display());
    for words in [
        vec![root.as_str(), "run", "-bundle", &dir, bundle.id()],
        vec![root.as_str(), "run", "-bundle", &dir, "-no-subreaper", bundle.id()],
        vec![root.as_str(), "run", "-b", &dir, bundle.id()],
        vec![root.as_str(), "-rootless=false", "run", "--bundle", &dir, bundle.id()],
        vec![root.as_str(), "--rootless", "auto", "run", "--bundle", &dir, bundle.id()],
    ] {
        let (code, out, err) = plain(&words);
        assert_eq!(code, Some(0), "{words:?}: {err}");
        assert!(out.contains("\"pid\""), "{words:?}: {out}");
    }
}

/// An unknown flag, an unknown verb, a missing id: text and a code.
#[test]
fn wrong_words_are_refused() {
    for words in [
        &["--no-such-flag"][..],
        &["create", "--no-such-flag", "x"],
        &["moonwalk"],
        &["state"],
        &["state", "a", "b"],
        &["kill"],
        &["start"],
        &["delete"],
    ] {
        let (code, out, err) = plain(words);
        assert_ne!(code, Some(0), "{words:?}");
        assert!(!out.is_empty() || !err.is_empty(), "{words:?}");
    }
}

/// A flag without its value, in the words that podman looks for.
#[test]
fn a_missing_value_is_named() {
    let (code, out, err) = plain(&["create", "--bundle"]);
    assert_ne!(code, Some(0));
    let all = format!("{out}{err}");
    assert!(
        all.contains("flag needs an argument") || all.contains("requires an argument"),
        "{all}"
    );
}

/// The log is one JSON object for one error, and the text is on stderr as well.
#[test]
fn an_error_is_logged_once() {
    need!(root);
    let bundle = Bundle::new();
    let output = bundle.runtime().call(&["state", bundle.id()]);
    assert_eq!(output.log.lines().count(), 1, "{output:?}");
    let entry: Value = serde_json::from_str(output.log.trim()).unwrap();
    assert_eq!(entry["level"], "error");
    assert!(output.stderr.contains(entry["msg"].as_str().unwrap()), "{output:?}");
    assert_eq!(output.stderr.trim().lines().count(), 1, "{output:?}");
}

/// A text log.
#[test]
fn a_text_log_has_the_words() {
    need!(root);
    let bundle = Bundle::new();
    let log = bundle.outside("text.log");
    let root = bundle.place().root();
    let (code, _, _) = plain(&[
        "--root",
        &root.to_string_lossy(),
        "--log",
        &log.to_string_lossy(),
        "state",
        bundle.id(),
    ]);
    assert_eq!(code, Some(1));
    let text = std::fs::read_to_string(log).unwrap();
    assert!(text.contains("level=error") && text.contains("does not exist"), "{text}");
}

/// A log that cannot be opened is no reason to be silent.
#[test]
fn a_log_that_cannot_be_opened_is_said() {
    let (code, _, err) = plain(&["--log", "/no/such/dir/log", "state", "x"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("/no/such/dir/log"), "{err}");
}

/// `spec` writes a bundle's config.json that runs, and never over another.
#[test]
fn spec_writes_a_configuration_that_runs() {
    need!(root);
    let bundle = Bundle::new();
    let dir = bundle.dir().to_string_lossy().into_owned();
    let (code, _, err) = plain(&["spec", "--bundle", &dir]);
    assert_eq!(code, Some(0), "{err}");
    let (code, _, _) = plain(&["spec", "--bundle", &dir]);
    assert_ne!(code, Some(0), "an existing file is kept");
    let text = std::fs::read_to_string(bundle.dir().join("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(config["process"]["args"], serde_json::json!(["sh"]));
    config["process"]["terminal"] = false.into();
    config["process"]["args"] = serde_json::json!(["/bin/probe", "pid"]);
    config["linux"]["cgroupsPath"] = format!("/corten-{}", bundle.id()).into();
    let bundle = bundle.raw_config(serde_json::to_vec(&config).unwrap());
    assert_eq!(bundle.run().fact("pid"), "1");
}

/// `spec --rootless` maps the caller.
#[test]
fn spec_rootless_has_a_user_namespace() {
    let bundle = Bundle::new();
    let dir = bundle.dir().to_string_lossy().into_owned();
    let (code, _, err) = plain(&["spec", "--rootless", "--bundle", &dir]);
    assert_eq!(code, Some(0), "{err}");
    let config: Value =
        serde_json::from_str(&std::fs::read_to_string(bundle.dir().join("config.json")).unwrap())
            .unwrap();
    let kinds = config["linux"]["namespaces"].to_string();
    assert!(kinds.contains("\"user\"") && !kinds.contains("\"network\""), "{kinds}");
    assert_eq!(config["linux"]["uidMappings"][0]["size"], 1);
}

/// The systemd driver on a host without systemd is refused; it is never swapped for another in silence.
#[test]
fn systemd_cgroups_are_refused_without_systemd() {
    need!(root);
    if std::path::Path::new("/run/systemd/system").exists() {
        return need::skip(
            "cli::systemd_cgroups_are_refused_without_systemd",
            "no systemd",
            "systemd runs here",
        );
    }
    let message = Bundle::new()
        .global(&["--systemd-cgroup"])
        .set("/linux/cgroupsPath", "system.slice:corten:x")
        .refused();
    assert!(message.contains("systemd"), "{message}");
}

/// Help is there for every verb and exits with 0.
#[test]
fn every_verb_has_help() {
    for verb in ["create", "start", "state", "kill", "delete", "run", "list", "spec", "features"] {
        let (code, out, _) = plain(&[verb, "--help"]);
        assert_eq!(code, Some(0), "{verb}");
        assert!(out.contains(verb), "{verb}: {out}");
    }
}

/// A closed stdout is no crash (fault model F18).
#[test]
fn a_closed_stdout_is_no_crash() {
    let path = runtime::path();
    let script =
        format!("'{}' features >&-; echo $?; '{0}' --help | head -c 1 >/dev/null", path.display());
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!err.contains("panicked"), "{err}");
}
