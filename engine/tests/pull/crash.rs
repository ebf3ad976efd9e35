//! `kill -9` at the system calls of `pull`: what has a name is whole, the next pull goes on, and what
//! is left goes with the image. A disk that is too small.

use std::collections::BTreeSet;
use std::process::{Command, Output, Stdio};

use corten_engine::Paths;
use corten_engine::store::Store;

use crate::image::Image;
use crate::lab::{Lab, need};
use crate::points::{killing, points, traced};
use crate::server::Server;

fn strace(lab: &Lab, options: &[String], name: &str) -> Output {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o"]).arg(lab.dir.join("trace")).args(options);
    strace.arg(env!("CARGO_BIN_EXE_pier")).args(["pull", name]).stdin(Stdio::null());
    strace.env("PIER_ROOT", lab.dir.join("root")).env("PIER_RUN_ROOT", lab.dir.join("run"));
    strace.env("PIER_REGISTRIES", lab.dir.join("none.json")).output().unwrap()
}

/// Files of the store, but for those that it always has.
fn files(lab: &Lab) -> BTreeSet<String> {
    let root = lab.dir.join("root");
    let mut found = BTreeSet::new();
    let mut todo = vec![root.clone()];
    while let Some(dir) = todo.pop() {
        for path in std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                todo.push(path);
            } else {
                found.insert(path.strip_prefix(&root).unwrap().display().to_string());
            }
        }
    }
    for always in ["image/index.json", "image/oci-layout", "lock"] {
        assert!(found.remove(always), "{always}");
    }
    found
}

#[test]
fn pull_killed_anywhere_goes_on_and_leaves_nothing() {
    if !need(&["strace"]) {
        return;
    }
    let (lab, image) = (Lab::new(), Image::here(2, 30_000));
    let server = Server::of(&image);
    let name = server.name();
    let done = strace(&lab, &["-e".into(), traced()], &name);
    assert!(done.status.success(), "{done:?}");
    let trace = std::fs::read_to_string(lab.dir.join("trace")).unwrap();
    let paths = Paths { root: lab.dir.join("root"), run: lab.dir.join("run") };
    let sweep = || {
        for args in [&["rmi", &name][..], &["image", "prune", "-af"]] {
            let done = lab.pier(args);
            assert!(done.status.success(), "{args:?}: {done:?}");
        }
        assert_eq!(files(&lab), BTreeSet::new());
    };
    sweep();
    for point in points(&trace, 30) {
        strace(&lab, &killing(&point), &name);
        let store = Store::open(&paths).unwrap();
        for image in store.images().unwrap() {
            assert_eq!(store.layers(&image).unwrap().len(), 2, "{point:?}");
        }
        lab.pull(&["-q", &name]);
        let store = Store::open(&paths).unwrap();
        // What was killed behind its last rename is swept by the next command that writes.
        let mut found = store.check(true).unwrap();
        found.retain(|finding| !finding.what.ends_with("of commands that were killed"));
        assert_eq!(found, [], "{point:?}");
        assert_eq!((lab.unpacked("file1").len(), lab.partial()), (1, 0), "{point:?}");
        sweep();
    }
}

#[test]
fn an_image_that_does_not_fit_is_refused_and_leaves_nothing() {
    if !need(&["unshare"]) {
        return;
    }
    let (lab, image) = (Lab::new(), Image::here(2, 800_000));
    let server = Server::of(&image);
    let root = lab.dir.join("root").display().to_string();
    let pier = env!("CARGO_BIN_EXE_pier");
    let script = format!(
        "mkdir {root} && mount -t tmpfs -o size=1m tmpfs {root} || exit 99
         {pier} pull -q {name}; echo code $?; {pier} images -q
         find {root}/layers {root}/refs {root}/image/blobs {root}/staging -type f
         mount -o remount,size=64m {root} && {pier} pull -q {name}",
        name = server.name()
    );
    let mut unshare = lab.command(&[]);
    let environment: Vec<_> = unshare
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect();
    unshare = Command::new("unshare");
    unshare.env_clear().envs(environment).args(["-m", "sh", "-c", &script]);
    let done = unshare.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert_eq!(out, format!("code 1\n{}:latest\n", server.name()), "{err}");
    assert!(err.contains("no space left on device") && err.lines().count() < 4, "{err}");
}
