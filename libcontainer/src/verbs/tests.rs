//! Verbs on containers whose init is a shell script that keeps the rules of the start gate.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::create::protocol::{Detail, Said};
use crate::create::report::Failure;
use crate::error::Step;
use crate::hooks::inside;
use crate::plan::hooks::{Hook, Kind};
use crate::state::process::ProcessId;
use crate::state::{Intent, State, Status, Store};

/// Waits at the gate: `s` runs `$2`, anything else ends it.
const INIT: &str = r#"cd "$1"; exec 3<>exec.fifo 4<>exec.result; : > ready
    byte=$(dd bs=1 count=1 <&3 2>/dev/null); [ "$byte" = s ] || exit 1
    eval "$2""#;
/// A program that runs for a while, and has none of the gate's descriptors.
const SLEEP: &str = "exec sleep 60 3>&- 4>&-";

/// A store, and one container "c" whose init is our child.
struct Fixture {
    root: PathBuf,
    store: Store,
    init: Option<Child>,
}

impl Fixture {
    fn empty() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let root =
            std::env::temp_dir().join(format!("corten-verbs-{}-{number}", std::process::id()));
        Self { store: Store::new(&root), root, init: None }
    }

    /// A created container that will run `program`; `change` edits its state.
    fn created(program: &str, change: impl FnOnce(&mut State)) -> Self {
        let mut fixture = Self::empty();
        let intent = Intent::new("c", Path::new("/b")).unwrap();
        let claim = fixture.store.claim("c", &intent).unwrap();
        claim.make_gate().unwrap();
        let id = fixture.spawn_init(program);
        let mut state = intent.fulfil(id, Path::new("/b/rootfs"));
        state.own_pid_namespace = true;
        change(&mut state);
        claim.draft(state).unwrap().publish().unwrap();
        fixture
    }

    fn spawn_init(&mut self, program: &str) -> ProcessId {
        let dir = self.dir();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", INIT, "init"]).arg(&dir).arg(program).stdin(Stdio::null());
        // Its dd outlives it; the fixture ends the group.
        command.process_group(0);
        let child = command.spawn().unwrap();
        let id = ProcessId::of(i32::try_from(child.id()).unwrap()).unwrap();
        self.init = Some(child);
        wait_until(|| dir.join("ready").exists());
        id
    }

    fn dir(&self) -> PathBuf {
        self.root.join("c")
    }

    fn status(&self) -> Status {
        state(&self.store, "c").unwrap().status
    }

    fn error<T>(result: crate::Result<T>) -> String {
        result.map(|_| ()).unwrap_err().to_string()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if let Some(mut init) = self.init.take() {
            let group = nix::unistd::Pid::from_raw(i32::try_from(init.id()).unwrap());
            let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
            let _ = init.wait();
        }
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn wait_until(what: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !what() {
        assert!(Instant::now() < deadline, "it does not happen");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn hook(script: &str) -> Hook {
    Hook {
        path: "/bin/sh".into(),
        args: vec!["sh".into(), "-c".into(), script.into()],
        env: Some(vec!["PATH=/usr/bin:/bin".into()]),
        timeout: Some(5),
    }
}

#[test]
fn life_of_a_container() {
    let c = Fixture::created(SLEEP, |_| {});
    assert_eq!(c.status(), Status::Created);
    start(&c.store, "c").unwrap();
    assert_eq!(c.status(), Status::Running);
    assert_eq!(Fixture::error(start(&c.store, "c")), "cannot start an already running container");
    assert_eq!(
        Fixture::error(delete(&c.store, "c", false)),
        "cannot delete container c that is not stopped: running"
    );
    kill(&c.store, "c", libc::SIGTERM, false).unwrap();
    wait_until(|| c.status() == Status::Stopped);
    assert_eq!(Fixture::error(kill(&c.store, "c", libc::SIGTERM, false)), "container not running");
    kill(&c.store, "c", libc::SIGTERM, true).unwrap();
    assert_eq!(Fixture::error(start(&c.store, "c")), "cannot start a container that has stopped");
    assert_eq!(delete(&c.store, "c", false).unwrap(), Vec::<String>::new());
    for verb in [
        Fixture::error(state(&c.store, "c")),
        Fixture::error(start(&c.store, "c")),
        Fixture::error(kill(&c.store, "c", 9, true)),
        Fixture::error(delete(&c.store, "c", false)),
    ] {
        assert_eq!(verb, "container does not exist");
    }
    delete(&c.store, "c", true).unwrap();
    assert!(list(&c.store).unwrap().is_empty());
}

#[test]
fn a_failed_execve_or_hook_is_starts_error() {
    let failure = Failure::new(Step::Hook, inside::item(Kind::StartContainer, 2), 0);
    let packet = Said::Failed(failure, Detail::new(b"/h: exit status 1")).encode();
    let mut c = Fixture::created("cat packet >&4; exit 1", |state| state.start_hooks = true);
    fs::write(c.dir().join("packet"), packet).unwrap();
    assert_eq!(
        Fixture::error(start(&c.store, "c")),
        "error running startContainer hook #2: /h: exit status 1"
    );
    c.init.as_mut().unwrap().wait().unwrap();
    assert_eq!(c.status(), Status::Stopped);
    let c = Fixture::created("echo rubbish >&4; exit 1", |_| {});
    assert_eq!(Fixture::error(start(&c.store, "c")), "init failed without saying why");
}

#[test]
fn of_two_starts_one_wins() {
    let c = Fixture::created(SLEEP, |_| {});
    let results = std::thread::scope(|scope| {
        let starts = [(); 4].map(|()| scope.spawn(|| start(&c.store, "c").is_ok()));
        starts.map(|start| start.join().unwrap())
    });
    assert_eq!(results.iter().filter(|ok| **ok).count(), 1);
}

/// A file outside of any container's directory, removed at the end.
struct Out(PathBuf);

impl Out {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("corten-verbs-{name}-{}", std::process::id())))
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&fs::read(&self.0).unwrap()).unwrap()
    }
}

impl Drop for Out {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn poststart_sees_a_running_container_that_is_not_locked() {
    let out = Out::new("poststart");
    let c = Fixture::created(SLEEP, |state| {
        // The store puts the container's directory below its root.
        state.poststart = vec![hook(&format!("cat > {}", out.0.display())), hook("")];
    });
    let mut state = c.store.load("c").unwrap();
    let lock = format!("flock -n {} true", c.dir().display());
    state.poststart[1] = hook(&lock);
    fs::write(c.dir().join("state.json"), serde_json::to_vec(&state).unwrap()).unwrap();
    start(&c.store, "c").unwrap();
    let json = out.json();
    assert_eq!((&json["status"], &json["id"]), (&"running".into(), &"c".into()));
    assert_eq!(json["pid"], state.init.pid);
}

#[test]
fn a_failed_poststart_hook_kills() {
    let c = Fixture::created(SLEEP, |state| state.poststart = vec![hook("exit 1"), hook("true")]);
    let error = Fixture::error(start(&c.store, "c"));
    assert!(error.starts_with("error running poststart hook #0: "), "{error}");
    assert_eq!(c.status(), Status::Stopped);
}

#[test]
fn a_created_container_is_killed_and_deleted() {
    let c = Fixture::created(SLEEP, |_| {});
    delete(&c.store, "c", false).unwrap();
    assert!(!c.dir().exists());
}

#[test]
fn force_ends_a_running_container_that_ignores_signals() {
    let mut c = Fixture::created("trap '' TERM; exec sleep 60 3>&- 4>&-", |_| {});
    start(&c.store, "c").unwrap();
    kill(&c.store, "c", libc::SIGTERM, false).unwrap();
    delete(&c.store, "c", true).unwrap();
    assert!(!c.dir().exists());
    let status = c.init.as_mut().unwrap().wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(libc::SIGKILL));
}

#[test]
fn poststop_runs_after_the_container_is_gone_and_only_warns() {
    let out = Out::new("poststop");
    let script = format!("cat > {}; exit 7", out.0.display());
    let c = Fixture::created(SLEEP, |state| state.poststop = vec![hook(&script), hook("true")]);
    let warnings = delete(&c.store, "c", true).unwrap();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].starts_with("error running poststop hook #0: "), "{warnings:?}");
    let json = out.json();
    assert_eq!((&json["status"], &json["pid"]), (&"stopped".into(), &0.into()));
}

#[test]
fn what_a_killed_create_left_is_removed_with_its_init() {
    let dead = ProcessId { pid: 1, start_time: 1, boot_id: "old".into() };
    for noted in [false, true] {
        let mut c = Fixture::empty();
        let intent = Intent { owner: dead.clone(), ..Intent::new("c", Path::new("/b")).unwrap() };
        let claim = c.store.claim("c", &intent).unwrap();
        claim.make_gate().unwrap();
        let init = c.spawn_init(SLEEP);
        if noted {
            claim.note_init(&init).unwrap();
        }
        assert_eq!(Fixture::error(delete(&c.store, "c", false)), "container does not exist");
        assert!(c.dir().exists());
        delete(&c.store, "c", true).unwrap();
        assert!(!c.dir().exists());
        wait_until(|| !init.is_alive());
        delete(&c.store, "c", true).unwrap();
    }
}

/// The class of `intelRdt` that a killed create has made is on record, and goes.
#[test]
fn the_class_of_a_killed_create_is_removed() {
    let c = Fixture::empty();
    let class = c.store.root().join("class");
    fs::create_dir_all(&class).unwrap();
    let record = serde_json::json!({ "class": class, "ours": true, "monitor": null });
    let owner = ProcessId { pid: 1, start_time: 1, boot_id: "old".into() };
    let mut intent = Intent { owner, ..Intent::new("c", Path::new("/b")).unwrap() };
    intent.resctrl = serde_json::from_value(record).unwrap();
    c.store.claim("c", &intent).unwrap();
    delete(&c.store, "c", true).unwrap();
    assert!(!class.exists() && !c.dir().exists());
}

#[test]
fn a_container_without_records_is_removed() {
    let c = Fixture::empty();
    fs::create_dir_all(c.dir()).unwrap();
    assert_eq!(Fixture::error(delete(&c.store, "c", false)), "container does not exist");
    delete(&c.store, "c", true).unwrap();
    assert!(!c.dir().exists());
}

#[test]
fn a_damaged_record_is_removed_with_its_waiting_init() {
    let c = Fixture::created(SLEEP, |_| {});
    let init = c.store.load("c").unwrap().init;
    fs::write(c.dir().join("state.json"), "{\"for").unwrap();
    assert!(Fixture::error(delete(&c.store, "c", false)).contains("damaged"));
    assert!(Fixture::error(kill(&c.store, "c", 9, false)).contains("damaged"));
    delete(&c.store, "c", true).unwrap();
    assert!(!c.dir().exists());
    wait_until(|| !init.is_alive());
}

#[test]
fn a_damaged_record_of_a_running_container_without_cgroup_is_removed() {
    let c = Fixture::created(SLEEP, |_| {});
    start(&c.store, "c").unwrap();
    let init = c.store.load("c").unwrap().init;
    fs::write(c.dir().join("state.json"), "").unwrap();
    delete(&c.store, "c", true).unwrap();
    assert!(!c.dir().exists() && !init.is_alive());
}

#[test]
fn force_waits_for_a_create_at_work() {
    let c = Fixture::empty();
    let intent = Intent::new("c", Path::new("/b")).unwrap();
    let claim = c.store.claim("c", &intent).unwrap();
    std::thread::scope(|scope| {
        let deleting = scope.spawn(|| delete(&c.store, "c", true));
        std::thread::sleep(Duration::from_millis(50));
        assert!(c.dir().exists());
        // It is published, as a container that has stopped.
        let dead = ProcessId { pid: 1, start_time: 1, boot_id: "old".into() };
        claim.draft(intent.fulfil(dead, Path::new("/r"))).unwrap().publish().unwrap();
        deleting.join().unwrap().unwrap();
    });
    assert!(!c.dir().exists());
}

#[test]
fn bad_ids_are_refused_by_every_verb() {
    let c = Fixture::empty();
    for error in [
        Fixture::error(state(&c.store, "../x")),
        Fixture::error(start(&c.store, "a/b")),
        Fixture::error(kill(&c.store, "..", 9, true)),
        Fixture::error(delete(&c.store, "a b", true)),
    ] {
        assert_eq!(error, "invalid container ID format");
    }
}

#[test]
fn signals_have_names_and_numbers() {
    for (text, signal) in [
        ("TERM", 15),
        ("SIGTERM", 15),
        ("sigterm", 15),
        ("Kill", 9),
        ("9", 9),
        ("0", 0),
        ("64", 64),
        ("WINCH", 28),
        ("SIGRTMIN", 34),
        ("RTMIN+3", 37),
        ("SIGRTMAX-14", 50),
        ("RTMAX", 64),
        ("IOT", 6),
        ("CLD", 17),
        ("POLL", 29),
        ("STKFLT", 16),
        ("PWR", 30),
        ("SYS", 31),
    ] {
        assert_eq!(parse_signal(text).unwrap(), signal, "{text}");
    }
    for text in [
        "",
        "SIG",
        "FOO",
        "65",
        "-1",
        "+9",
        "9x",
        "RTMIN-1",
        "RTMIN+31",
        "RTMAX+1",
        "RTMAX-31",
        "RTMIN+",
        "RTMIN++1",
        "RTMIN+-1",
        "99999999999",
        "TERM ",
        "SIGSIGTERM",
    ] {
        let error = parse_signal(text).unwrap_err().to_string();
        assert_eq!(error, format!("unknown signal {text:?}"));
    }
}
