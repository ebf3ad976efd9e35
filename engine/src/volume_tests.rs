//! A container's mounts from flags to release, and copy-up.

use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use super::*;

fn scratch(name: &str) -> Paths {
    let unique = format!("pier-mounts-{name}-{}", std::process::id());
    let root = std::env::temp_dir().join(unique);
    let _ = fs::remove_dir_all(&root);
    let paths = Paths { root: root.join("root"), run: root.join("run") };
    for id in ["c1", "c2"] {
        fs::create_dir_all(paths.container(id)).unwrap();
    }
    paths
}

fn clean(paths: &Paths) {
    fs::remove_dir_all(paths.root.parent().unwrap()).unwrap();
}

fn list(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn ask(paths: &Paths, id: &str, flags: &MountFlags, image: &[&str]) -> Result<Vec<Mount>> {
    let image = list(image);
    let none = |name: &str| Err(Error::new(format!("no such container: {name}")));
    resolve(paths, &Request { container: id, flags, image: &image, other: &none })
}

#[test]
fn flags_go_before_the_image_and_parents_before_children() {
    let paths = scratch("order");
    let flags = MountFlags {
        volume: list(&["/tmp:/a/b/c:ro", "named:/a"]),
        tmpfs: list(&["/a/t:exec"]),
        ..MountFlags::default()
    };
    let mounts = ask(&paths, "c1", &flags, &["/a", "/data"]).unwrap();
    let told: Vec<_> = mounts
        .iter()
        .map(|m| format!("{} {:?} {} {}", m.target, m.kind, m.anonymous, m.options.join(",")))
        .collect();
    let ro =
        if rustix::system::uname().release().to_bytes() < b"5.1".as_slice() { "ro" } else { "rro" };
    assert_eq!(
        told,
        [
            "/a Volume false rbind,rprivate".to_owned(),
            "/data Volume true rbind,rprivate".to_owned(),
            "/a/t Tmpfs false nosuid,nodev,exec".to_owned(),
            format!("/a/b/c Bind false rbind,rprivate,{ro}"),
        ]
    );
    let volumes = Volumes::of(&paths);
    assert_eq!(volumes.users("named").unwrap(), ["c1"]);
    assert_eq!(volumes.names().unwrap().len(), 2);
    release(&paths, "c1", &mounts, true).unwrap();
    release(&paths, "c1", &mounts, true).unwrap();
    assert_eq!(volumes.names().unwrap(), ["named"], "the anonymous one is gone");
    clean(&paths);
}

#[test]
fn a_refusal_leaves_no_volume() {
    let paths = scratch("refusal");
    for (flags, says) in [
        (
            MountFlags { volume: list(&["/a", "b:/a"]), ..MountFlags::default() },
            "Duplicate mount point: /a",
        ),
        (
            MountFlags {
                volume: list(&["/a"]),
                mount: list(&["type=bind,source=/nonexistent,target=/z/b"]),
                ..MountFlags::default()
            },
            "invalid mount config for type \"bind\": bind source path does not exist: /nonexistent",
        ),
        (
            MountFlags { volumes_from: list(&["x"]), ..MountFlags::default() },
            "no such container: x",
        ),
        (
            MountFlags {
                volume: list(&["/a"]),
                volume_driver: Some("nas".into()),
                ..MountFlags::default()
            },
            "error looking up volume plugin nas: plugin \"nas\" not found",
        ),
        (
            MountFlags {
                mount: list(&["source=vv,target=/a,volume-subpath=../x"]),
                ..MountFlags::default()
            },
            "invalid volume-subpath \"../x\": it must be a relative path without ..",
        ),
    ] {
        assert_eq!(ask(&paths, "c1", &flags, &[]).unwrap_err().to_string(), says);
    }
    let left = Volumes::of(&paths).all().unwrap();
    assert!(left.iter().all(|volume| volume.name == "vv"), "{left:?}");
    clean(&paths);
}

#[test]
fn an_anonymous_volume_lives_as_long_as_its_last_container() {
    let paths = scratch("from");
    let flags = MountFlags { volume: list(&["/data", "/etc:/e"]), ..MountFlags::default() };
    let first = ask(&paths, "c1", &flags, &[]).unwrap();
    let flags = MountFlags { volumes_from: list(&["c1:ro"]), ..MountFlags::default() };
    let other = |_: &str| Ok(first.clone());
    let request = Request { container: "c2", flags: &flags, image: &[], other: &other };
    let second = resolve(&paths, &request).unwrap();
    assert_eq!(second.len(), 2);
    assert!(
        second.iter().all(|mount| mount.read_only && mount.options.last().unwrap().ends_with("ro"))
    );
    let volumes = Volumes::of(&paths);
    release(&paths, "c1", &first, true).unwrap();
    assert_eq!(volumes.names().unwrap().len(), 1, "c2 has it still");
    fs::remove_dir(paths.container("c1")).unwrap();
    release(&paths, "c2", &second, true).unwrap();
    assert_eq!(volumes.names().unwrap().len(), 0);
    clean(&paths);
}

#[test]
fn an_empty_volume_takes_the_images_content_once() {
    let paths = scratch("copy");
    let image = paths.root.join("image");
    let at = |path: &str| image.join(path);
    fs::create_dir_all(at("srv/data/sub")).unwrap();
    symlink("data", at("srv/link")).unwrap();
    fs::write(at("srv/data/file"), "one").unwrap();
    fs::set_permissions(at("srv/data/file"), fs::Permissions::from_mode(0o4751)).unwrap();
    fs::hard_link(at("srv/data/file"), at("srv/data/sub/same")).unwrap();
    symlink("/etc/shadow", at("srv/data/sub/out")).unwrap();
    fs::set_permissions(at("srv/data"), fs::Permissions::from_mode(0o1770)).unwrap();
    let flags =
        MountFlags { volume: list(&["one:/srv/link", "two:/none"]), ..MountFlags::default() };
    let mounts = ask(&paths, "c1", &flags, &[]).unwrap();
    assert!(needs_content(&mounts));
    let root = fs::File::open(&image).unwrap();
    populate(&paths, &mounts, root.as_fd()).unwrap();
    let data = Volumes::of(&paths).data("one");
    let stat = |path: &str| fs::symlink_metadata(data.join(path)).unwrap();
    assert_eq!(fs::read_to_string(data.join("file")).unwrap(), "one");
    assert_eq!((stat("file").mode() & 0o7777, stat("").mode() & 0o7777), (0o4751, 0o1770));
    assert_eq!((stat("file").ino(), stat("file").nlink()), (stat("sub/same").ino(), 2));
    assert_eq!(fs::read_link(data.join("sub/out")).unwrap().to_str(), Some("/etc/shadow"));
    let old = fs::symlink_metadata(at("srv/data/file")).unwrap();
    assert_eq!((stat("file").mtime(), stat("file").mtime_nsec()), (old.mtime(), old.mtime_nsec()));
    fs::write(data.join("file"), "changed").unwrap();
    populate(&paths, &mounts, root.as_fd()).unwrap();
    assert_eq!(fs::read_to_string(data.join("file")).unwrap(), "changed");
    assert_eq!(fs::read_dir(Volumes::of(&paths).data("two")).unwrap().count(), 0);
    clean(&paths);
}

#[test]
fn a_subpath_stays_inside() {
    let paths = scratch("subpath");
    let flags = MountFlags {
        mount: list(&["source=vv,target=/a,volume-subpath=in/side"]),
        ..MountFlags::default()
    };
    let mounts = ask(&paths, "c1", &flags, &[]).unwrap();
    let missing = activate(&paths, &mounts).unwrap_err().to_string();
    assert_eq!(missing, "cannot access path in/side of volume vv: no such file or directory");
    let data = Volumes::of(&paths).data("vv");
    fs::create_dir_all(data.join("in/side")).unwrap();
    activate(&paths, &mounts).unwrap();
    fs::remove_dir(data.join("in/side")).unwrap();
    symlink("/etc", data.join("in/side")).unwrap();
    assert!(activate(&paths, &mounts).unwrap_err().to_string().contains("out of the volume"));
    clean(&paths);
}

#[test]
fn shared_mounts_need_a_shared_root() {
    let with = |word: &str| [Mount { propagation: word.into(), ..Mount::default() }];
    assert_eq!(rootfs_propagation(&with("rshared")), Some("shared"));
    assert_eq!(rootfs_propagation(&with("slave")), Some("rslave"));
    assert_eq!(rootfs_propagation(&with("rprivate")), None);
}
