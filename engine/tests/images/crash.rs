//! `kill -9` at every system call that changes a file: the next command works, no byte leaks.

use std::process::{Command, Stdio};

use crate::lab::{EMPTY, Lab, can, dir, docker_archive, file, tar};

/// The calls that change what is on disk, and the locks between them.
const CALLS: &[&str] = &[
    "mkdir",
    "mkdirat",
    "openat",
    "write",
    "copy_file_range",
    "rename",
    "renameat",
    "unlink",
    "unlinkat",
    "rmdir",
    "fsync",
    "syncfs",
    "flock",
    "fchmod",
    "fchown",
    "utimensat",
];

/// Runs pier under strace, which kills it at the `n`th call; whether it was killed.
fn killed(lab: &Lab, line: &str, call: &str, n: u32) -> bool {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")]);
    strace.args(["-e", &format!("inject={call}:signal=KILL:when={n}")]);
    strace.arg(env!("CARGO_BIN_EXE_pier")).args(line.split(' '));
    strace.env("PIER_ROOT", lab.path("root")).env("PIER_RUN_ROOT", lab.path("run"));
    strace.current_dir(lab.path("")).stdin(Stdio::null()).stdout(Stdio::null());
    let status = strace.stderr(Stdio::null()).status().unwrap();
    !status.success()
}

/// Kills `line` everywhere after `before`, and looks at what is left each time.
fn everywhere(before: impl Fn(&Lab), line: &str, after: impl Fn(&Lab)) {
    let lab = Lab::new();
    let layer = tar(&[(dir("d"), b""), (file("d/f"), b"content")]);
    std::fs::write(lab.path("app.tar"), docker_archive("app:1", &[layer])).unwrap();
    let mut kills = 0;
    for call in CALLS {
        for n in 1.. {
            before(&lab);
            if !killed(&lab, line, call, n) {
                break;
            }
            kills += 1;
            after(&lab);
        }
        lab.pier("image prune -af");
    }
    assert!(kills > 50, "{kills}");
}

#[test]
fn load_killed_anywhere_leaves_nothing_that_the_next_does_not_sweep() {
    if !can(&["strace"]) {
        return;
    }
    let after = |lab: &Lab| {
        // Whatever is named is whole.
        let store = lab.store();
        for image in store.images().unwrap() {
            assert_eq!(store.layers(&image).unwrap().len(), 1);
        }
        lab.pier("load -i app.tar");
        assert!(store.check(true).unwrap().is_empty());
        let index = std::fs::read_to_string(lab.path("root/image/index.json")).unwrap();
        assert!(index.contains("docker.io/library/app:1"), "{index}");
        lab.pier("rmi app:1");
        assert_eq!(lab.files(), EMPTY);
    };
    everywhere(|_| {}, "load -i app.tar", after);
}

#[test]
fn rmi_killed_anywhere_removes_the_image_or_leaves_it_whole() {
    if !can(&["strace"]) {
        return;
    }
    let after = |lab: &Lab| {
        let store = lab.store();
        match store.image("app:1") {
            Ok(image) => {
                let saved = lab.try_pier("save app:1").status.success();
                assert!(saved && store.layers(&image).is_ok());
            }
            Err(error) => assert_eq!(error.to_string(), "no such image: app:1"),
        }
        lab.pier("image prune -af");
        assert_eq!(lab.files(), EMPTY);
    };
    everywhere(|lab| drop(lab.pier("load -i app.tar")), "rmi app:1", after);
}
