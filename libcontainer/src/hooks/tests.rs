//! Real hooks: what they get, how they fail, how long they may take.

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::*;

fn shell(script: &str) -> Hook {
    Hook {
        path: "/bin/sh".into(),
        args: vec!["sh".into(), "-c".into(), script.into()],
        env: Some(vec!["PATH=/usr/bin:/bin".into()]),
        timeout: None,
    }
}

fn error_of(hooks: &[Hook]) -> String {
    run(Kind::CreateRuntime, hooks, b"{}").unwrap_err().to_string()
}

/// Any bytes as the state.
fn run(kind: Kind, hooks: &[Hook], state: &[u8]) -> Result<()> {
    feed(kind, hooks, state, Path::new("/"))
}

/// A path of our own for what a hook leaves.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("corten-hook-{name}-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        Self(path)
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.0).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn each_hook_reads_the_whole_state_from_its_beginning() {
    let out = Scratch::new("state");
    let cat = shell(&format!("cat >> {}", out.0.display()));
    let state = format!("{{\"annotations\":\"{}\"}}", "x".repeat(200_000));
    run(Kind::Poststart, &[cat.clone(), cat], state.as_bytes()).unwrap();
    assert_eq!(out.text(), state.repeat(2));
}

#[test]
fn a_hook_that_does_not_read_or_writes_to_its_stdin_changes_nothing() {
    run(Kind::Prestart, &[shell("exit 0"), shell("echo x >&0 2>/dev/null; exit 0")], b"{}")
        .unwrap();
    let out = Scratch::new("sealed");
    let hooks =
        [shell("echo garbage 2>/dev/null >&0; true"), shell(&format!("cat > {}", out.0.display()))];
    run(Kind::Prestart, &hooks, b"{\"id\":1}").unwrap();
    assert_eq!(out.text(), "{\"id\":1}");
}

#[test]
fn argv_and_environment_are_exactly_as_given() {
    let out = Scratch::new("env");
    let script =
        format!("tr '\\0' '\\n' < /proc/self/environ > {0}; echo \"$0\" >> {0}", out.0.display());
    let hook = Hook {
        args: vec!["other name".into(), "-c".into(), script],
        env: Some(vec![
            "B=2".into(),
            "A=1=2".into(),
            "NOVALUE".into(),
            "PATH=/bin:/usr/bin".into(),
        ]),
        ..shell("")
    };
    run(Kind::Prestart, &[hook], b"{}").unwrap();
    let text = out.text();
    for line in ["B=2", "A=1=2", "NOVALUE", "other name"] {
        assert!(text.lines().any(|l| l == line), "{line}: {text}");
    }
    assert!(!text.contains("CARGO"), "{text}");
}

#[test]
fn without_env_a_hook_gets_ours() {
    let hook = Hook { env: None, ..shell("test -n \"$PATH\"") };
    run(Kind::Prestart, &[hook], b"{}").unwrap();
    run(Kind::Prestart, &[Hook { env: Some(vec![]), ..shell("test -z \"$HOME\"") }], b"{}")
        .unwrap();
}

#[test]
fn errors_name_kind_number_status_and_last_words() {
    let hooks = [shell("true"), shell("echo out; echo why >&2; exit 3"), shell("exit 4")];
    assert_eq!(
        error_of(&hooks),
        "error running createRuntime hook #1: /bin/sh: exit status 3, output: out\nwhy"
    );
    assert!(error_of(&[shell("kill -9 $$")]).ends_with("killed by signal 9"));
}

#[test]
fn a_hook_that_cannot_be_executed_says_why() {
    let missing = Hook { path: "/no/such/hook".into(), ..shell("") };
    assert_eq!(
        error_of(&[missing]),
        "error running createRuntime hook #0: /no/such/hook: cannot be executed: no such file or directory"
    );
    let plain = Hook { path: "/etc/passwd".into(), ..shell("") };
    assert!(error_of(&[plain]).ends_with("permission denied"));
}

#[test]
fn only_the_end_of_much_output_is_kept() {
    let error = error_of(&[shell("yes | head -c 300000; echo the end; exit 1")]);
    assert!(error.ends_with("the end") && error.len() < 9000, "{}", error.len());
}

#[test]
fn the_timeout_kills_the_whole_group_in_time() {
    let out = Scratch::new("group");
    let script = format!("sleep 3600 & echo $! > {}; echo started; wait", out.0.display());
    let begun = Instant::now();
    let error = error_of(&[Hook { timeout: Some(1), ..shell(&script) }]);
    let took = begun.elapsed();
    assert!(error.contains("hook ran past specified timeout of 1.0s"), "{error}");
    assert!(error.ends_with("output: started"), "{error}");
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(2), "{took:?}");
    let grandchild = out.text().trim().to_owned();
    let deadline = Instant::now() + Duration::from_secs(5);
    let gone = || match fs::read_to_string(format!("/proc/{grandchild}/stat")) {
        Ok(stat) => stat.contains(") Z"),
        Err(_) => true,
    };
    while !gone() {
        assert!(Instant::now() < deadline, "sleep {grandchild} is still there");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_grandchild_that_keeps_the_pipes_cannot_make_us_wait() {
    let out = Scratch::new("grandchild");
    let script = format!("sleep 20 & echo $! > {}; exit 0", out.0.display());
    let begun = Instant::now();
    run(Kind::Prestart, &[shell(&script)], b"{}").unwrap();
    assert!(begun.elapsed() < Duration::from_secs(2));
    let pid: i32 = out.text().trim().parse().unwrap();
    crate::sys::clone::kill(pid, libc::SIGKILL).unwrap();
}

#[test]
fn no_descriptor_of_ours_reaches_a_hook() {
    // One that is not close-on-exec, as a careless caller may have.
    let (mut leak, writer) = std::io::pipe().unwrap();
    fd::set_cloexec(&writer, false).unwrap();
    let out = Scratch::new("fds");
    run(Kind::Prestart, &[shell(&format!("ls /proc/self/fd > {}", out.0.display()))], b"{}")
        .unwrap();
    // 3 is ls's own look at the directory.
    assert_eq!(out.text().split_whitespace().collect::<Vec<_>>(), ["0", "1", "2", "3"]);
    drop(writer);
    assert_eq!(leak.read(&mut [0]).unwrap(), 0);
}

#[test]
fn signals_are_default_in_a_hook() {
    // Rust ignores SIGPIPE; a hook must not inherit that.
    let out = Scratch::new("signals");
    let script = format!("grep -E 'Sig(Blk|Ign)' /proc/self/status > {}", out.0.display());
    run(Kind::Prestart, &[shell(&script)], b"{}").unwrap();
    for line in out.text().lines() {
        assert!(line.ends_with("0000000000000000"), "{line}");
    }
}

#[test]
fn warnings_count_on_and_the_others_run() {
    let out = Scratch::new("warn");
    let hooks =
        [shell("exit 1"), shell(&format!("echo ran > {}", out.0.display())), shell("exit 2")];
    let none = std::collections::BTreeMap::new();
    let state = HookState { id: "c1", bundle: Path::new("/"), annotations: &none };
    let warnings = run_all_warning(Kind::Poststop, &hooks, &state);
    assert_eq!(warnings.len(), 2);
    assert!(warnings[1].starts_with("error running poststop hook #2"), "{warnings:?}");
    assert_eq!(out.text(), "ran\n");
}

#[test]
fn inside_hooks_get_their_pid_and_leave_their_words() {
    let file = fd::memfd(c"t", 0).unwrap();
    let none = std::collections::BTreeMap::new();
    let state = HookState { id: "c1", bundle: Path::new("/b"), annotations: &none };
    inside::fill(&file, &state.json(Kind::CreateContainer, 0)).unwrap();
    let out = Scratch::new("inside");
    let ready = |hook: &Hook| ReadyHook::new(Kind::StartContainer, 0, hook).unwrap();
    let cat = ready(&shell(&format!("cat > {}", out.0.display())));
    let fail = ready(&Hook { env: None, ..shell("echo no $LUCK; exit 5") });
    let env = ArgV::new(&[c"LUCK=luck".to_owned()]);
    let hooks = [cat, fail];
    let failure = inside::run_all(Kind::StartContainer, &hooks, &env, Some(&file)).unwrap_err();
    let json: serde_json::Value = serde_json::from_str(&out.text()).unwrap();
    assert_eq!(json["status"], "created");
    assert_eq!(json["pid"], std::process::id());
    assert_eq!((failure.step, failure.errno), (Step::Hook, 0));
    let mut buffer = [0; inside::WORDS];
    let words = inside::words(Some(&file), &mut buffer);
    assert_eq!(
        inside_error(failure.item, words).to_string(),
        "error running startContainer hook #1: /bin/sh: exit status 5, output: no luck"
    );
}
