//! The store on a real file system: claims, records, damage, races.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::*;

/// A store of its own, removed at the end.
struct Root(PathBuf);

impl Root {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("corten-store-{}-{number}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn store(&self) -> Store {
        Store::new(self.0.join("deep/root"))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join("deep/root").join(name)
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn intent(id: &str) -> Intent {
    Intent::new(id, Path::new("/b")).unwrap()
}

/// A process that is gone.
fn dead() -> ProcessId {
    ProcessId { pid: 1, start_time: 1, boot_id: "another boot".into() }
}

fn publish(store: &Store, id: &str, init: ProcessId) -> State {
    let intent = intent(id);
    let claim = store.claim(id, &intent).unwrap();
    claim.make_gate().unwrap();
    let draft = claim.draft(intent.fulfil(init, Path::new("/b/rootfs"))).unwrap();
    assert!(store.load(id).is_err(), "a draft is no container");
    draft.publish().unwrap()
}

#[test]
fn ids_follow_runcs_grammar() {
    for id in ["a", "A-b_c+d.e9", "...", "..a", &"x".repeat(255)] {
        check_id(id).unwrap();
    }
    for id in [".", "..", "a/b", "a b", "ä", "a\n", "a\0", "/", "~", &"x".repeat(256)] {
        assert_eq!(check_id(id).unwrap_err().to_string(), "invalid container ID format", "{id:?}");
    }
    assert_eq!(check_id("").unwrap_err().to_string(), "container id cannot be empty");
}

#[test]
fn a_claim_is_exclusive_and_private() {
    let root = Root::new();
    let store = root.store();
    let claim = store.claim("c", &intent("c")).unwrap();
    for dir in [root.file(""), claim.dir().to_owned()] {
        assert_eq!(fs::metadata(dir).unwrap().permissions().mode() & 0o777, 0o700);
    }
    let again = store.claim("c", &intent("c")).unwrap_err();
    assert_eq!(again.to_string(), "container with given ID already exists");
    claim.release().unwrap();
    store.claim("c", &intent("c")).unwrap();
}

#[test]
fn a_state_survives_the_disk() {
    let root = Root::new();
    let store = root.store();
    let mut state = publish(&store, "c", ProcessId::current().unwrap());
    state.annotations.insert("k".into(), "v".into());
    state.namespaces.insert("pid".into(), "/proc/1/ns/pid".into());
    store.remove("c").unwrap();
    let claim = store.claim("c", &intent("c")).unwrap();
    let state = claim.draft(state).unwrap().publish().unwrap();
    assert_eq!(store.load("c").unwrap(), state);
    assert_eq!(
        fs::metadata(claim.dir().join("state.json")).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn the_intent_is_there_before_anything_else() {
    let root = Root::new();
    let store = root.store();
    let claim = store.claim("c", &intent("c")).unwrap();
    let Found::Unfinished(found, None) = store.find("c").unwrap() else { panic!("no intent") };
    assert_eq!((found.id.as_str(), found.owner.is_alive()), ("c", true));
    assert_eq!(store.load("c").unwrap_err().to_string(), "container does not exist");
    let view = store.view("c").unwrap();
    assert_eq!((view.status, view.pid), (Status::Creating, 0));
    claim.note_init(&ProcessId::current().unwrap()).unwrap();
    assert_eq!(store.view("c").unwrap().pid, ProcessId::current().unwrap().pid);
}

#[test]
fn a_killed_create_is_no_container() {
    let root = Root::new();
    let store = root.store();
    store.claim("c", &Intent { owner: dead(), ..intent("c") }).unwrap();
    let error = store.view("c").unwrap_err();
    assert_eq!(error.to_string(), "container does not exist");
    assert!(error.hint.unwrap().contains("delete --force c"));
}

#[test]
fn damage_is_an_error_that_names_the_file_and_the_way_out() {
    let root = Root::new();
    let store = root.store();
    publish(&store, "c", dead());
    let whole = fs::read(root.file("c/state.json")).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&whole).unwrap();
    let mut later = json.clone();
    later["format"] = 2.into();
    let mut other = json;
    other["id"] = "d".into();
    let torn = (0..whole.len()).step_by(7).map(|at| whole[..at].to_vec());
    let wrong = [later.to_string().into_bytes(), other.to_string().into_bytes(), vec![0; 4096]];
    for text in torn.chain(wrong) {
        fs::write(root.file("c/state.json"), &text).unwrap();
        let error = store.view("c").unwrap_err();
        assert!(error.to_string().contains("c/state.json: damaged: "), "{error}");
        assert!(error.hint.unwrap().contains("delete --force c"));
        let Found::Damaged { intent: Some(intent), .. } = store.find("c").unwrap() else {
            panic!("the intent is whole")
        };
        assert_eq!(intent.id, "c");
    }
    fs::remove_file(root.file("c/state.json")).unwrap();
    nix::unistd::mkfifo(&root.file("c/state.json"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(store.load("c").unwrap_err().to_string().contains("damaged"));
}

#[test]
fn list_shows_the_others() {
    let root = Root::new();
    let store = root.store();
    assert_eq!(store.list().unwrap_err().errno(), Some(libc::ENOENT));
    publish(&store, "b", dead());
    publish(&store, "a", ProcessId::current().unwrap());
    publish(&store, "torn", dead());
    fs::write(root.file("torn/state.json"), "{").unwrap();
    fs::create_dir(root.file("empty")).unwrap();
    fs::create_dir(root.file("not an id")).unwrap();
    fs::write(root.file("file"), "").unwrap();
    let list = store.list().unwrap();
    let ids: Vec<_> = list.iter().map(|(id, view)| (id.as_str(), view.is_ok())).collect();
    assert_eq!(ids, [("a", true), ("b", true), ("empty", false), ("torn", false)]);
}

#[test]
fn list_never_fails_while_containers_come_and_go() {
    let root = Root::new();
    let store = root.store();
    publish(&store, "stays", dead());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                publish(&store, "comes", dead());
                store.remove("comes").unwrap();
            }
        });
        for _ in 0..300 {
            let list = store.list().unwrap();
            assert!(list.iter().any(|(id, view)| id == "stays" && view.is_ok()));
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn status_is_derived() {
    let root = Root::new();
    let store = root.store();
    let mut child = Command::new("/bin/sleep").arg("60").spawn().unwrap();
    let init = ProcessId::of(i32::try_from(child.id()).unwrap()).unwrap();
    let state = publish(&store, "c", init);
    // Nobody reads the fifo: the program runs.
    assert_eq!(state.status().unwrap(), Status::Running);
    let mut options = fs::OpenOptions::new();
    let reader = options.read(true).write(true).open(state.dir.join(gate::START)).unwrap();
    assert_eq!(state.status().unwrap(), Status::Created);
    drop(reader);
    assert_eq!(store.view("c").unwrap().pid, state.init.pid);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(state.status().unwrap(), Status::Stopped);
    assert_eq!(store.view("c").unwrap().pid, 0);
    // After a reboot every container is stopped, whoever has its pid now.
    let own = ProcessId::current().unwrap();
    let rebooted = State { init: ProcessId { boot_id: "old".into(), ..own }, ..state };
    assert_eq!(rebooted.status().unwrap(), Status::Stopped);
}

#[test]
fn the_view_is_what_runc_prints() {
    let root = Root::new();
    let store = root.store();
    publish(&store, "c", dead());
    let text = serde_json::to_string(&store.view("c").unwrap()).unwrap();
    let members = ["ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "owner"];
    let at: Vec<_> = members.iter().map(|m| text.find(&format!("\"{m}\":")).unwrap()).collect();
    assert!(at.is_sorted(), "{text}");
    assert!(text.contains(r#""pid":0,"status":"stopped","bundle":"/b","rootfs":"/b/rootfs""#));
    assert!(!text.contains("annotations"), "{text}");
}

#[test]
fn a_lock_keeps_others_out_until_it_is_dropped() {
    let root = Root::new();
    let store = root.store();
    assert_eq!(store.lock("c").unwrap_err().to_string(), "container does not exist");
    publish(&store, "c", dead());
    let lock = store.lock("c").unwrap();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let begun = Instant::now();
            store.lock("c").map(|_| begun.elapsed())
        });
        std::thread::sleep(Duration::from_millis(100));
        drop(lock);
        assert!(waiter.join().unwrap().unwrap() >= Duration::from_millis(90));
    });
    // A container that is removed while one waits for it does not exist any more.
    let lock = store.lock("c").unwrap();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| store.lock("c").map(|_| ()));
        std::thread::sleep(Duration::from_millis(50));
        store.remove("c").unwrap();
        drop(lock);
        assert_eq!(waiter.join().unwrap().unwrap_err().to_string(), "container does not exist");
    });
}
