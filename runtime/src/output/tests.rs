//! The exact form of what callers parse.

use std::path::PathBuf;

use super::*;

fn global() -> Global {
    Global {
        root: None,
        log: None,
        log_format: "text".into(),
        log_level: None,
        debug: false,
        rootless: "auto".into(),
        systemd_cgroup: false,
        cgroup_manager: None,
        timings: None,
        version: false,
    }
}

fn file(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("corten-output-{}-{name}", std::process::id()))
}

fn eperm() -> Error {
    Err::<(), _>(io::Error::from_raw_os_error(libc::EPERM))
        .at(Step::Mount, || "/proc")
        .unwrap_err()
        .hint("run as root")
}

/// What the log file holds after `write`.
fn logged(name: &str, mut global: Global, write: impl Fn(&Log)) -> String {
    let path = file(name);
    let _ = std::fs::remove_file(&path);
    global.log = Some(format!("file:{}", path.display()));
    write(&Log::open(&global).unwrap());
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    text
}

#[test]
fn json_log_is_one_object_with_runc_s_members_first() {
    let json = Global { log_format: "json".into(), ..global() };
    let text = logged("json", json, |log| {
        log.say(Level::Warning, "not asked for");
        log.failure("run", &eperm().into());
    });
    let start = r#"{"level":"error","msg":"corten run failed: unable to start container process: error during container init: error mounting /proc: operation not permitted","time":""#;
    assert!(text.starts_with(start), "{text}");
    // podman: json.Unmarshal of the whole file.
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["code"], "mount.EPERM");
    assert_eq!(value["step"], "mount");
    assert_eq!(value["on"], "/proc");
    assert_eq!(value["errno"], 1);
    assert_eq!(value["hint"], "run as root");
    let time = value["time"].as_str().unwrap();
    assert!(time.starts_with("20") && time.ends_with('Z') && time.as_bytes()[10] == b'T', "{time}");
}

#[test]
fn a_broken_rule_has_no_errno_and_no_subject() {
    let json = Global { log_format: "json".into(), ..global() };
    let error = Error::rule(Step::Kill, "", "container not running");
    let text = logged("rule", json, |log| {
        log.failure("kill", &Error::rule(error.step, "", "container not running").into());
    });
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["msg"], "container not running");
    assert_eq!(value["code"], "kill.refused");
    assert!(value.get("errno").is_none() && value.get("on").is_none());
}

#[test]
fn text_log_has_logrus_form() {
    let text = logged("text", global(), |log| log.failure("create", &eperm().into()));
    assert!(text.starts_with("time=\"20"), "{text}");
    assert!(text.contains("Z\" level=error msg=\"corten create failed: "), "{text}");
    assert!(text.ends_with(" code=mount.EPERM hint=\"run as root\"\n"), "{text}");
}

#[test]
fn debug_reaches_the_log_when_asked_for() {
    let debug = Global { debug: true, log_format: "json".into(), ..global() };
    let text = logged("debug", debug, |log| log.say(Level::Debug, "mount took \"1\" ms"));
    assert!(text.starts_with(r#"{"level":"debug","msg":"mount took \"1\" ms","time":"#), "{text}");
    let warning = Global { log_level: Some("warning".into()), ..global() };
    let text = logged("warning", warning, |log| {
        log.say(Level::Debug, "no");
        log.say(Level::Warning, "yes");
    });
    assert_eq!(text.lines().count(), 1);
    assert!(text.contains("level=warning msg=\"yes\""));
}

#[test]
fn warnings_go_to_stderr_unless_there_is_a_file() {
    let plain = Log::open(&global()).unwrap();
    assert!(plain.wants(Level::Warning) && !plain.wants(Level::Info));
    let debug = Global { debug: true, ..global() };
    assert!(Log::open(&debug).unwrap().wants(Level::Debug));
}

#[test]
fn misuse_is_logged_without_the_usage_text() {
    let json = Global { log_format: "json".into(), ..global() };
    let text = logged("misuse", json, |log| log.misuse("error: unknown flag\n\nUsage: x"));
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["msg"], "unknown flag");
    assert_eq!(value["code"], "usage");
}

#[test]
fn flags_that_cannot_be_followed_are_refused() {
    for (flag, bad) in [
        ("log-format", Global { log_format: "xml".into(), ..global() }),
        ("log-level", Global { log_level: Some("loud".into()), ..global() }),
        ("log", Global { log: Some("journald:x".into()), ..global() }),
    ] {
        let error = Log::open(&bad).unwrap_err();
        assert!(error.to_string().starts_with(&format!("invalid {flag}: ")), "{error}");
        assert!(error.hint.is_some());
    }
    let bad = Global { log: Some("/nonexistent/log".into()), ..global() };
    let error = Log::open(&bad).unwrap_err();
    assert_eq!(error.to_string(), "write log file /nonexistent/log: no such file or directory");
}

#[test]
fn only_the_container_s_own_faults_are_blamed_on_its_process() {
    let config = Error::rule(Step::CheckConfig, "root.path", "must not be empty");
    assert_eq!(
        Failure::from(config).message("create"),
        "corten create failed: invalid config root.path: must not be empty"
    );
    let missing = io::Error::from_raw_os_error(libc::ENOENT);
    let exec = Err::<(), _>(missing).at(Step::Exec, || "/run.sh").unwrap_err();
    let failure = Failure::of_start(exec);
    assert_eq!(failure.code, 255);
    assert_eq!(failure.message("run"), "exec /run.sh: no such file or directory");
    assert_eq!(Failure::of_start(eperm()).code, 1);
}
