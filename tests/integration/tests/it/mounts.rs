//! `mounts` of config.md: every type, where they land, and in which order.

use std::fs;
use std::os::unix::fs::symlink;

use harness::{Bundle, need};
use serde_json::json;

/// The mounts every Linux container should have are there, with their types.
#[test]
fn the_default_mounts_are_there() {
    need!(root);
    let c = Bundle::new().probe(["mounts"]).run();
    let kind = |at: &str| {
        let found =
            c.value("mounts").as_array().unwrap().iter().rfind(|m| m["target"] == at).cloned();
        found.unwrap_or_else(|| panic!("no mount at {at}"))["type"].clone()
    };
    for (at, expected) in [
        ("/proc", "proc"),
        ("/sys", "sysfs"),
        ("/dev", "tmpfs"),
        ("/dev/pts", "devpts"),
        ("/dev/shm", "tmpfs"),
        ("/dev/mqueue", "mqueue"),
    ] {
        assert_eq!(kind(at), expected, "{at}");
    }
}

/// procfs shows the container's processes.
#[test]
fn proc_belongs_to_the_containers_pid_namespace() {
    need!(root);
    let c = Bundle::new().probe(["read", "/proc/1/comm"]).run();
    assert_eq!(c.fact("read"), "probe");
}

/// devpts is an instance of its own, with the options given.
#[test]
fn devpts_is_an_instance_of_its_own() {
    need!(root);
    let c = Bundle::new()
        .probe("list /dev/pts -- readlink /dev/ptmx -- mount /dev/pts".split(' '))
        .run();
    assert_eq!(c.value("list"), &json!(["ptmx"]));
    assert_eq!(c.fact("readlink"), "pts/ptmx");
    let options = c.value("mount")["super"].as_str().unwrap().to_owned();
    assert!(options.contains("gid=5") && options.contains("mode=620"), "{options}");
}

/// tmpfs takes its options: size, mode, owner.
#[test]
fn tmpfs_takes_its_options() {
    need!(root);
    let c = Bundle::new()
        .mount("tmpfs", "mine", "/scratch", &["size=64k", "mode=0751", "uid=7", "gid=8"])
        .probe("stat /scratch -- mount /scratch -- statfs /scratch".split(' '))
        .run();
    let stat = c.value("stat");
    assert_eq!(
        (stat["mode"].clone(), stat["uid"].clone(), stat["gid"].clone()),
        (json!("751"), json!(7), json!(8))
    );
    assert_eq!(c.value("mount")["source"], "mine");
    assert_eq!(c.value("statfs")["blocks"], 16);
}

/// `tmpcopyup` fills the new tmpfs with what it covers: names, content, modes, links, owners.
#[test]
fn tmpcopyup_keeps_what_it_covers() {
    need!(root);
    let bundle = Bundle::new().file("/data/sub/file", "content").link("sub/file", "/data/link");
    fs::create_dir(bundle.rootfs("/data/empty")).unwrap();
    std::os::unix::fs::chown(bundle.rootfs("/data/sub/file"), Some(12), Some(13)).unwrap();
    let c = bundle
        .mount("tmpfs", "tmpfs", "/data", &["tmpcopyup", "mode=0755"])
        .probe("read /data/sub/file -- readlink /data/link -- stat /data/sub/file -- statfs /data -- list /data -- write /data/sub/file changed".split(' '))
        .run();
    assert_eq!(c.fact("read"), "content");
    assert_eq!(c.fact("readlink"), "sub/file");
    assert_eq!(
        (c.value("stat")["uid"].clone(), c.value("stat")["gid"].clone()),
        (json!(12), json!(13))
    );
    assert_eq!(c.value("statfs")["magic"], "1021994");
    assert_eq!(c.value("list"), &json!(["empty", "link", "sub"]));
    assert_eq!(fs::read_to_string(c.rootfs("/data/sub/file")).unwrap(), "content");
}

/// A bind of a directory, and of a file.
#[test]
fn binds_of_directories_and_files() {
    need!(root);
    let bundle = Bundle::new();
    let (dir, file) = (bundle.outside("vol"), bundle.outside("one"));
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("inner"), "in a directory").unwrap();
    fs::write(&file, "a file").unwrap();
    let c = bundle
        .bind(&dir, "/vol", &[])
        .bind(&file, "/etc/one", &[])
        .probe("read /vol/inner -- read /etc/one -- create /vol/made".split(' '))
        .run();
    assert_eq!(c.fact("read /vol/inner"), "in a directory");
    assert_eq!(c.fact("read /etc/one"), "a file");
    assert!(c.outside("vol/made").exists());
}

/// The type is only a hint for binds: `none` or nothing will do.
#[test]
fn a_bind_needs_no_type() {
    need!(root);
    let bundle = Bundle::new();
    let file = bundle.outside("one");
    fs::write(&file, "a file").unwrap();
    let c = bundle
        .push("/mounts", json!({ "destination": "/a", "source": file, "options": ["bind"] }))
        .push(
            "/mounts",
            json!({ "destination": "/b", "source": file, "type": "none", "options": ["rbind"] }),
        )
        .probe(["read", "/a", "--", "read", "/b"])
        .run();
    for key in ["read /a", "read /b"] {
        assert_eq!(c.fact(key), "a file");
    }
}

/// Targets that are missing are made inside the root file system, for files as files.
#[test]
fn missing_targets_are_made() {
    need!(root);
    let bundle = Bundle::new();
    let file = bundle.outside("one");
    fs::write(&file, "a file").unwrap();
    let c = bundle
        .bind(&file, "/deep/er/file", &[])
        .mount("tmpfs", "tmpfs", "/deep/dir", &[])
        .probe(["read", "/deep/er/file", "--", "statfs", "/deep/dir"])
        .run();
    assert_eq!(c.fact("read"), "a file");
    assert!(c.rootfs("/deep/er/file").is_file() && c.rootfs("/deep/dir").is_dir());
}

/// `bind` takes one mount, `rbind` the tree below it.
#[test]
fn rbind_takes_the_tree() {
    need!(root);
    let bundle = Bundle::new();
    let tree = bundle.outside("tree");
    fs::create_dir_all(tree.join("sub")).unwrap();
    let prelude = format!("mount -t tmpfs sub '{}/sub' && echo x > '{0}/sub/file'", tree.display());
    let c = bundle
        .under(&["unshare", "-m", "--propagation", "private"])
        .after(&prelude)
        .bind(&tree, "/one", &[])
        .mount("bind", &tree.to_string_lossy(), "/all", &["rbind"])
        .probe(["list", "/one/sub", "--", "list", "/all/sub"])
        .run();
    assert_eq!(c.value("list /one/sub"), &json!([]));
    assert_eq!(c.value("list /all/sub"), &json!(["file"]));
}

/// A relative source of a bind starts at the bundle.
#[test]
fn a_relative_source_starts_at_the_bundle() {
    need!(root);
    let bundle = Bundle::new();
    fs::write(bundle.dir().join("beside"), "of the bundle").unwrap();
    let c = bundle.mount("bind", "beside", "/beside", &["bind"]).probe(["read", "/beside"]).run();
    assert_eq!(c.fact("read"), "of the bundle");
}

/// A relative destination starts at `/` (config.md).
#[test]
fn a_relative_destination_starts_at_the_root() {
    need!(root);
    let c = Bundle::new()
        .mount("tmpfs", "tmpfs", "scratch/here", &[])
        .probe(["statfs", "/scratch/here"])
        .run();
    assert_eq!(c.value("statfs")["magic"], "1021994");
}

/// A bind source that does not exist is refused with its path.
#[test]
fn a_missing_source_is_refused() {
    need!(root);
    let message = Bundle::new().mount("bind", "/no/such/source", "/x", &["bind"]).refused();
    assert!(message.contains("/no/such/source"), "{message}");
    assert!(message.contains("no such file or directory"), "{message}");
}

/// A directory over a file is refused in the words that engines explain to users.
#[test]
fn a_directory_over_a_file_is_refused() {
    need!(root);
    let bundle = Bundle::new();
    let dir = bundle.outside("vol");
    fs::create_dir(&dir).unwrap();
    let message = bundle.bind(&dir, "/etc/passwd", &[]).refused();
    assert!(message.contains("not a directory"), "{message}");
}

/// A file system type that nobody knows is refused with its name or target.
#[test]
fn an_unknown_type_is_refused() {
    need!(root);
    let message = Bundle::new().mount("moonfs", "moon", "/moon", &[]).refused();
    assert!(message.contains("no such device"), "{message}");
    assert!(message.contains("moon"), "{message}");
}

/// A mount without destination is refused.
#[test]
fn a_mount_without_destination_is_refused() {
    need!(root);
    let _ = Bundle::new().push("/mounts", json!({ "type": "tmpfs", "source": "tmpfs" })).refused();
}

/// The listed order counts: the later mount covers the earlier.
#[test]
fn mounts_are_done_in_order() {
    need!(root);
    let c = Bundle::new()
        .mount("tmpfs", "first", "/a", &[])
        .mount("tmpfs", "inner", "/a/b", &[])
        .mount("tmpfs", "second", "/a", &[])
        .probe(["mount", "/a", "--", "list", "/a"])
        .run();
    assert_eq!(c.value("mount")["source"], "second");
    assert_eq!(c.value("list"), &json!([]));
}

/// Symlinks in a target are followed below the root file system only.
#[test]
fn symlinks_in_targets_stay_inside() {
    need!(root);
    let bundle = Bundle::new().dir_in("/real");
    let outside = bundle.outside("untouched");
    fs::create_dir(&outside).unwrap();
    let c = bundle
        .link("/real", "/absolute")
        .link("../../../../real", "/upwards")
        .link(&outside.to_string_lossy(), "/evil")
        .mount("tmpfs", "one", "/absolute/x", &[])
        .mount("tmpfs", "two", "/upwards/y", &[])
        .mount("tmpfs", "three", "/evil/z", &[])
        .probe(["mount", "/real/x", "--", "mount", "/real/y"])
        .run();
    assert_eq!(c.value("mount /real/x")["source"], "one");
    assert_eq!(c.value("mount /real/y")["source"], "two");
    assert_eq!(fs::read_dir(c.outside("untouched")).unwrap().count(), 0);
}

/// A last component that is a symlink is followed inside, too.
#[test]
fn a_target_that_is_a_symlink_is_followed_inside() {
    need!(root);
    let bundle = Bundle::new().dir_in("/real").link("/real", "/way");
    let c = bundle.mount("tmpfs", "here", "/way", &[]).probe(["mount", "/real"]).run();
    assert_eq!(c.value("mount")["source"], "here");
}

/// A bind source that is a symlink is resolved on the host.
#[test]
fn a_source_that_is_a_symlink_is_followed_outside() {
    need!(root);
    let bundle = Bundle::new();
    fs::write(bundle.outside("real"), "real").unwrap();
    symlink(bundle.outside("real"), bundle.outside("way")).unwrap();
    let way = bundle.outside("way");
    let c = bundle.bind(&way, "/x", &[]).probe(["read", "/x"]).run();
    assert_eq!(c.fact("read"), "real");
}

/// An overlay mounted by the runtime.
#[test]
fn an_overlay_mount_works() {
    need!(root, filesystem("overlay"));
    let bundle = Bundle::new();
    let path = |n: &str| bundle.outside(n).to_string_lossy().into_owned();
    for dir in ["low", "up", "work"] {
        fs::create_dir(path(dir)).unwrap();
    }
    fs::write(bundle.outside("low/file"), "low").unwrap();
    let options = [
        format!("lowerdir={}", path("low")),
        format!("upperdir={}", path("up")),
        format!("workdir={}", path("work")),
    ];
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let c = bundle
        .mount("overlay", "overlay", "/o", &options)
        .probe(["read", "/o/file", "--", "create", "/o/new"])
        .run();
    assert_eq!(c.fact("read"), "low");
    assert!(c.outside("up/new").exists());
}

/// A mount over `/proc` that is not procfs is refused, however it is spelt (CVE-2019-16884).
#[test]
fn mounts_over_proc_are_refused() {
    need!(root);
    for destination in ["/proc", "/proc/", "//proc", "/x/../proc", "/proc/self", "/proc/self/attr"]
    {
        let bundle = Bundle::new();
        let dir = bundle.outside("vol");
        fs::create_dir(&dir).unwrap();
        let message = bundle.bind(&dir, destination, &[]).refused();
        assert!(message.contains("proc"), "{destination}: {message}");
    }
}

/// What LXCFS covers in `/proc` may be covered.
#[test]
fn files_in_proc_that_lxcfs_covers_are_allowed() {
    need!(root);
    let bundle = Bundle::new();
    let file = bundle.outside("fake");
    fs::write(&file, "1.00 1.00").unwrap();
    let c = bundle.bind(&file, "/proc/uptime", &[]).probe(["read", "/proc/uptime"]).run();
    assert_eq!(c.fact("read"), "1.00 1.00");
}

/// Without a `/dev` mount the default devices are made in the image's own `/dev`.
#[test]
fn without_a_dev_mount_the_images_dev_is_used() {
    need!(root);
    let bundle = Bundle::new().edit(|c| {
        let mounts = c["mounts"].as_array_mut().unwrap();
        mounts.retain(|m| !m["destination"].as_str().unwrap().starts_with("/dev"));
    });
    let c = bundle.probe(["stat", "/dev/null", "--", "readlink", "/dev/stdin"]).run();
    assert_eq!(c.value("stat")["type"], "char");
    assert_eq!(c.fact("readlink"), "/proc/self/fd/0");
}

/// The type `bind` alone is a bind, too.
///
/// runc: wants the option.
#[test]
fn the_type_bind_alone_is_a_bind() {
    need!(root);
    let bundle = Bundle::new();
    let file = bundle.outside("one");
    fs::write(&file, "a file").unwrap();
    let c = bundle
        .push("/mounts", json!({ "destination": "/c", "source": file, "type": "bind" }))
        .probe(["read", "/c"])
        .run();
    assert_eq!(c.fact("read"), "a file");
}
