//! Layers on each other: overlay mounts of many, and layers that are not whole by themselves.

use std::path::PathBuf;

use corten_engine::layer::overlay::{self, Overlay};
use corten_engine::layer::tar::{Entry, Kind};
use libcontainer::sys::clone::{CLONE_NEWNS, unshare};
use rustix::mount::{MountPropagationFlags, mount_change};

use crate::lab::{Lab, can, colourful, dir, file, link, tar, tree};

/// Runs in a mount namespace of its own: nothing is mounted on the machine.
pub(crate) fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::spawn(|| {
        unshare(CLONE_NEWNS).unwrap();
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
        work()
    });
    thread.join().unwrap()
}

/// The merged tree of an image.
pub(crate) fn merged(lab: &Lab, name: &str) -> std::collections::BTreeMap<String, String> {
    let store = lab.store();
    let layers = store.layers(&store.image(name).unwrap()).unwrap();
    let place = lab.path("merged");
    // What was mounted volatile cannot be mounted again.
    let fresh = corten_engine::fsutil::random_name().unwrap();
    let [upper, work] = ["upper", "work"].map(|name| lab.path(&format!("{name}-{fresh}")));
    for dir in [&place, &upper, &work] {
        let _ = std::fs::create_dir(dir);
    }
    apart(move || {
        let overlay = Overlay { layers, upper: Some((upper, work)), volatile: true };
        overlay.mount(&place).unwrap();
        let tree = tree(&place);
        overlay::unmount(&place).unwrap();
        tree
    })
}

#[test]
fn two_layers_show_what_the_image_says() {
    if !can(&[]) {
        return;
    }
    let lab = Lab::new();
    lab.load("app:1", &colourful());
    let found = merged(&lab, "app:1");
    assert!(!found.contains_key("gone") && !found.contains_key("emptied/old"));
    assert!(found.contains_key("emptied/new"));
    assert!(found["bin/su"].contains(" 4755 0:1 "), "{}", found["bin/su"]);
    assert!(found["bin/ping"].contains("security.capability"), "{}", found["bin/ping"]);
    assert!(found["large"].contains("3000000000:3000000001"), "{}", found["large"]);
    // The second layer says nothing of home/me: it keeps the owner and mode of the first.
    assert!(found["home/me"].contains("dir 700 1000:1001"), "{}", found["home/me"]);
}

#[test]
fn any_number_of_layers_is_mounted_by_the_new_way_and_the_old() {
    if !can(&[]) {
        return;
    }
    let lab = Lab::new();
    let mut layers: Vec<PathBuf> = Vec::new();
    for at in 0..200 {
        let layer = lab.path(&format!("layer-{at}-{}", "long".repeat(20)));
        std::fs::create_dir(&layer).unwrap();
        std::fs::write(layer.join(format!("file{at}")), "").unwrap();
        std::fs::write(layer.join("all"), at.to_string()).unwrap();
        layers.push(layer);
    }
    let place = lab.path("merged");
    std::fs::create_dir(&place).unwrap();
    let all = layers.clone();
    apart(move || {
        let overlay = Overlay { layers: all, ..Overlay::default() };
        for old in [false, true] {
            match old {
                false => overlay.mount(&place).unwrap(),
                true => overlay.mount_by_page(&place).unwrap(),
            }
            assert_eq!(std::fs::read_dir(&place).unwrap().count(), 201);
            assert_eq!(std::fs::read_to_string(place.join("all")).unwrap(), "199");
            overlay::unmount(&place).unwrap();
        }
        overlay::unmount(&place).unwrap();
        overlay::unmount(&place.join("missing")).unwrap();
    });
    let none = Overlay::default().mount(&lab.path("merged")).unwrap_err().to_string();
    assert!(none.contains("an overlay needs a layer"), "{none}");
    let many = Overlay { layers: vec![layers[0].clone(); 501], ..Overlay::default() };
    assert!(many.mount(&lab.path("merged")).unwrap_err().to_string().contains("at most 500"));
}

/// A layer made by hand: no parents, files through links of the layer beneath, a hard link to a
/// file of it. It means what it means on the merged tree, and another base changes that.
#[test]
fn a_layer_that_is_not_whole_is_completed_by_what_is_beneath() {
    if !can(&[]) {
        return;
    }
    let lab = Lab::new();
    let base = tar(&[
        (Entry { mode: 0o711, uid: 7, ..dir("./") }, b""),
        (dir("usr"), b""),
        (Entry { mode: 0o750, gid: 9, ..dir("usr/lib") }, b""),
        (file("usr/lib/old"), b"old"),
        (link(Kind::Symlink, "lib", "usr/lib"), b""),
        (Entry { mode: 0o1777, ..dir("tmp") }, b""),
    ]);
    let top = tar(&[
        (file("lib/new"), b"new"),
        (file("lib/deep/er"), b"er"),
        (file("tmp/x"), b"x"),
        (link(Kind::HardLink, "linked", "usr/lib/old"), b""),
        (file(".wh..wh.plnk"), b""),
    ]);
    lab.load("merged:1", &[base.clone(), top.clone()]);
    let found = merged(&lab, "merged:1");
    assert_eq!(found["lib"].split(" 0").next(), Some("link to usr/lib"), "{found:?}");
    assert!(found.contains_key("usr/lib/new") && found.contains_key("usr/lib/deep/er"));
    assert!(found["usr/lib"].contains("dir 750 0:9"), "{}", found["usr/lib"]);
    assert!(found["tmp"].contains("dir 1777"), "{}", found["tmp"]);
    assert!(found["linked"].contains(&found["usr/lib/old"][..70]), "{}", found["linked"]);
    // The same layer on a base without any of that.
    let other = tar(&[(dir("usr/lib"), b""), (file("usr/lib/old"), b"other")]);
    lab.load("other:1", &[other, top.clone()]);
    let found = merged(&lab, "other:1");
    assert!(found["lib"].contains("dir 755 0:0"), "{}", found["lib"]);
    assert!(found["tmp"].contains("dir 755"), "{}", found["tmp"]);
    lab.pier("rmi merged:1 other:1");
    assert_eq!(lab.files(), crate::lab::EMPTY);
    let alone = crate::lab::docker_archive("alone:1", &[top]);
    std::fs::write(lab.path("alone.tar"), alone).unwrap();
    let told = lab.refused("load -i alone.tar");
    assert!(told.contains("a hard link to \"usr/lib/old\", which no layer has"), "{told}");
    lab.pier("image prune -f");
    assert_eq!(lab.files(), crate::lab::EMPTY);
}

#[test]
fn an_opaque_root_hides_everything_beneath() {
    if !can(&[]) {
        return;
    }
    let lab = Lab::new();
    let base = tar(&[(dir("a"), b""), (file("a/x"), b""), (file("b"), b"")]);
    let top = tar(&[(file(".wh..wh..opq"), b""), (dir("a"), b""), (file("c"), b"")]);
    lab.load("app:1", &[base, top]);
    assert_eq!(merged(&lab, "app:1").into_keys().collect::<Vec<_>>(), ["a", "c"]);
}

#[test]
fn a_directory_after_its_deletion_is_a_new_one() {
    if !can(&[]) {
        return;
    }
    let lab = Lab::new();
    let base = tar(&[(dir("a"), b""), (file("a/old"), b""), (dir("b"), b""), (file("b/old"), b"")]);
    let top = tar(&[
        (file(".wh.a"), b""),
        (dir("a"), b""),
        (file("a/new"), b""),
        (file(".wh.b"), b""),
        (file("b/new"), b""),
    ]);
    lab.load("app:1", &[base, top]);
    let found: Vec<String> = merged(&lab, "app:1").into_keys().collect();
    assert_eq!(found, ["a", "a/new", "b", "b/new"]);
}
