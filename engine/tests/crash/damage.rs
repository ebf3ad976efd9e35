//! Files as a power cut or a bad disk leaves them: empty, cut, zeroed, with wrong bytes. Commands
//! name the file or go on without it, none panics; `check --repair` and `rm -f` bring order.

use std::fs;
use std::path::{Path, PathBuf};

use crate::host::Host;

/// A file's content, damaged in every way, the same ways each time.
fn damaged(content: &[u8], seed: u64) -> Vec<Vec<u8>> {
    let length = content.len();
    let mut all = vec![Vec::new(), content[..length / 2].to_vec(), vec![0; length]];
    let mut random = seed | 1;
    let mut next = |below: usize| {
        // xorshift64
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % 65_536).unwrap() % below.max(1)
    };
    for _ in 0..2 {
        let mut wrong = content.to_vec();
        let at = next(length);
        let end = (at + 1 + next(8)).min(length);
        wrong[at..end].iter_mut().for_each(|byte| *byte ^= 0x55);
        all.push(wrong);
        let mut shorter = content.to_vec();
        shorter.drain(at..end);
        all.push(shorter);
    }
    all
}

/// The one file below `dir` whose path ends so.
fn find(dir: &Path, end: &str) -> PathBuf {
    let mut todo = vec![dir.to_owned()];
    while let Some(dir) = todo.pop() {
        for path in fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() && !path.is_symlink() {
                todo.push(path);
            } else if path.display().to_string().ends_with(end) {
                return path;
            }
        }
    }
    panic!("nothing ends in {end}");
}

const READ: [&str; 6] = ["ps -a", "inspect web", "images", "volume ls", "system df", "check"];

/// Damages a file and looks around; `mend` brings order.
fn damage(host: &Host, dir: &str, end: &str, mend: &[&str]) {
    let path = find(&host.path(dir), end);
    let whole = fs::read(&path).unwrap();
    for (at, content) in damaged(&whole, 42).iter().enumerate() {
        fs::write(&path, content).unwrap();
        for line in READ.iter().chain(mend) {
            let said = host.say(line);
            let fine = (0..=1).contains(&said.code) || (125..=127).contains(&said.code);
            assert!(fine && !said.err.contains("panicked"), "{end} {at}, {line}: {said:?}");
            assert!(said.code == 0 || !(said.err.is_empty() && said.out.is_empty()), "{line}");
        }
        // Back to the scene; its directory may have gone.
        if path.parent().unwrap().exists() {
            fs::write(&path, &whole).unwrap();
        }
    }
}

#[test]
fn damaged_files_are_named_and_nothing_panics() {
    let Some(host) = Host::new() else { return };
    host.good("create --name web --network none -v data:/data app true");
    let start = ["start -a web"];
    for (dir, end) in [
        ("root/containers", "/spec.json"),
        ("root/containers", "/state.json"),
        ("root/volumes", "/meta.json"),
        ("root/layers", "/meta.json"),
        ("root/refs", ":latest"),
        ("root/image", "/index.json"),
        ("root/image", "/oci-layout"),
    ] {
        damage(&host, dir, end, &start);
    }
    host.good("rm -f web");
    host.good("run -d --name web -p 8080:80 app sleep 1000");
    for (dir, end) in [("run/net", ".json"), ("run/ipam", "2"), ("root/containers", "/state.json")]
    {
        damage(&host, dir, end, &["port web", "network inspect bridge"]);
    }
    let ids = host.ids();
    host.good("rm -f web");
    host.good("check --repair");
    host.is_clean(&ids, &["data"], "damaged while it ran");
}

#[test]
fn a_container_without_its_record_is_named_and_can_be_removed() {
    let Some(host) = Host::new() else { return };
    for content in ["", "{\"id\":\"", "\0\0\0\0"] {
        let id = host.good("run -d --name web -p 8080:80 app sleep 1000");
        let dir = format!("root/containers/{id}");
        fs::write(host.path(&format!("{dir}/spec.json")), content).unwrap();
        let words = host.bad("stop web") + &host.bad("inspect web");
        assert!(words.contains("spec.json") && words.contains("pier rm -f"), "{words}");
        let check = host.say("check");
        assert!(check.out.contains("spec.json"), "{check:?}");
        fs::write(host.path(&format!("{dir}/state.json")), content).unwrap();
        let listed = host.say("ps -a");
        assert!(listed.code == 0 && listed.err.contains("spec.json"), "{listed:?}");
        host.good("rm -f web");
        host.is_clean(&[id].into(), &[], "its record was damaged");
    }
}

#[test]
fn a_state_that_is_damaged_is_made_anew() {
    let Some(host) = Host::new() else { return };
    for content in ["", "{", "\0\0\0\0", "[]"] {
        let id = host.good("run -d --name web --network none app true");
        host.good("wait web");
        let path = host.path(&format!("root/containers/{id}/state.json"));
        fs::write(&path, content).unwrap();
        assert!(host.say("check").out.contains("state.json"));
        let all = host.good("ps -a --format {{.Names}}:{{.State}}");
        assert_eq!(all, "web:exited");
        host.say("check --repair");
        assert!(!host.say("check").out.contains("state.json"));
        assert_eq!(host.good("inspect --format {{.State.ExitCode}} web"), "255");
        assert_eq!(host.good("start -a web"), "");
        host.good("rm web");
    }
}

#[test]
fn a_damaged_state_ends_nothing_that_runs() {
    let Some(host) = Host::new() else { return };
    let id = host.good("run -d --name web --network none app sleep 1000");
    fs::write(host.path(&format!("root/containers/{id}/state.json")), "").unwrap();
    host.good("ps -a");
    host.say("inspect web");
    host.say("check --repair");
    assert_eq!(host.good("inspect --format {{.State.Status}} web"), "running");
    assert_eq!(host.good("exec web echo hi"), "hi");
    host.good("rm -f web");
    host.is_clean(&[id].into(), &[], "damaged while it ran");
}

#[test]
fn names_that_stand_for_nothing_are_told_and_go() {
    let Some(host) = Host::new() else { return };
    host.good("create --name web --network none app true");
    std::os::unix::fs::symlink("f".repeat(64), host.path("root/names/ghost")).unwrap();
    let id = host.good("inspect --format {{.Id}} web");
    std::os::unix::fs::symlink(&id, host.path("root/names/second")).unwrap();
    let check = host.say("check");
    assert!(check.out.contains("ghost") && check.out.contains("second"), "{check:?}");
    fs::remove_file(host.path("root/names/web")).unwrap();
    host.say("check --repair");
    assert_eq!(host.list("root/names"), ["web".to_owned()].into());
    host.good("rm web");
}
