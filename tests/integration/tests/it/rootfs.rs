//! `root` of config.md and `linux.rootfsPropagation`: what `/` is inside.

use harness::{Bundle, need};
use serde_json::{Value, json};

/// `root.readonly`.
#[test]
fn a_readonly_root_refuses_writes() {
    need!(root);
    let c = Bundle::new()
        .set("/root/readonly", true)
        .probe(["create", "/file", "--", "mount", "/"])
        .run();
    assert_eq!(c.errno("create"), "EROFS");
    assert!(c.value("mount")["options"].as_str().unwrap().split(',').any(|o| o == "ro"));
    let c = Bundle::new().set("/root/readonly", false).probe(["create", "/file"]).run();
    assert_eq!(c.fact("create"), "ok");
    assert!(c.rootfs("/file").exists());
}

/// `root.path` may be absolute.
#[test]
fn an_absolute_path_is_taken() {
    need!(root);
    let bundle = Bundle::new();
    let path = bundle.rootfs("").to_string_lossy().trim_end_matches('/').to_owned();
    let c = bundle.set("/root/path", path).probe(["read", "/etc/group"]).run();
    assert!(c.fact("read").starts_with("root:"));
}

/// A missing root is refused, with its path.
#[test]
fn a_missing_path_is_refused() {
    need!(root);
    let message = Bundle::new().set("/root/path", "nowhere").refused();
    assert!(message.contains("nowhere"), "{message}");
}

/// A root that is a file is refused.
#[test]
fn a_path_that_is_a_file_is_refused() {
    need!(root);
    let bundle = Bundle::new().file("/afile", "");
    let path = bundle.rootfs("/afile");
    let _ = bundle.set("/root/path", json!(path)).refused();
}

/// No `root` at all is refused on Linux.
#[test]
fn no_root_is_refused() {
    need!(root);
    let message = Bundle::new().unset("/root").refused();
    assert!(message.to_lowercase().contains("root"), "{message}");
}

/// Nothing of the host's tree is left: neither visible, nor mounted, nor named.
#[test]
fn the_old_root_is_gone() {
    need!(root);
    let bundle = Bundle::new();
    let host = bundle.outside("").to_string_lossy().trim_end_matches('/').to_owned();
    let c = bundle.probe(["list", "/", "--", "mounts", "--", "stat", &host]).run();
    let expected = json!(["bin", "dev", "etc", "home", "proc", "root", "sys", "tmp", "var"]);
    assert_eq!(c.value("list"), &expected);
    assert_eq!(c.errno("stat"), "ENOENT");
    let mounts = c.value("mounts").as_array().unwrap();
    let at_root = mounts.iter().filter(|m| m["target"] == "/").count();
    assert_eq!(at_root, 1, "one mount at /: {mounts:?}");
}

/// A root file system that is a mount point already.
#[test]
fn a_root_that_is_a_mount_point_works() {
    need!(root);
    let bundle = Bundle::new();
    let path = bundle.rootfs("").to_string_lossy().trim_end_matches('/').to_owned();
    let c = bundle
        .under(&["unshare", "-m", "--propagation", "private"])
        .after(&format!("mount --bind '{path}' '{path}'"))
        .probe(["list", "/etc"])
        .run();
    assert_eq!(c.value("list"), &json!(["group", "passwd"]));
}

/// An overlay as root file system, as every engine gives it.
#[test]
fn an_overlay_root_works() {
    need!(root, filesystem("overlay"));
    let bundle = Bundle::new();
    let path = |name: &str| bundle.outside(name).to_string_lossy().into_owned();
    for dir in ["upper", "work", "merged"] {
        std::fs::create_dir(path(dir)).unwrap();
    }
    let lower = bundle.rootfs("").to_string_lossy().trim_end_matches('/').to_owned();
    let (upper, work, merged) = (path("upper"), path("work"), path("merged"));
    let prelude = format!(
        "mount -t overlay o -o lowerdir='{lower}',upperdir='{upper}',workdir='{work}' '{merged}'"
    );
    let c = bundle
        .under(&["unshare", "-m", "--propagation", "private"])
        .after(&prelude)
        .set("/root/path", merged)
        .probe(["create", "/new", "--", "mount", "/"])
        .run();
    assert_eq!(c.value("mount")["type"], "overlay");
    assert!(c.outside("upper/new").exists());
}

/// The host's mounts propagate shared; the container's root is private to it all the same, and nothing leaks.
#[test]
fn a_shared_host_tree_gets_nothing_back() {
    need!(root);
    let c = Bundle::new()
        .under(&["unshare", "-m", "--propagation", "private"])
        .after("mount --make-rshared / 2>/dev/null || exit 9\n_() { :; }")
        .probe(["mount", "/"])
        .run();
    assert!(c.value("mount")["propagation"].as_str().unwrap().find("shared").is_none());
}

fn propagation(asked: &str) -> Value {
    let c = Bundle::new()
        .under(&["unshare", "-m", "--propagation", "private"])
        .after("mount --make-rshared /")
        .set("/linux/rootfsPropagation", asked)
        .probe(["mount", "/"])
        .run();
    c.value("mount")["propagation"].clone()
}

/// `rootfsPropagation`: all four.
#[test]
fn propagation_of_the_root_is_set() {
    need!(root);
    assert_eq!(propagation("private"), "");
    assert!(propagation("shared").as_str().unwrap().contains("shared:"), "shared");
    assert!(propagation("slave").as_str().unwrap().contains("master:"), "slave");
    assert_eq!(propagation("unbindable"), "unbindable");
}

/// `rootfsPropagation` with another word is refused.
#[test]
fn an_unknown_propagation_is_refused() {
    need!(root);
    let message = Bundle::new().set("/linux/rootfsPropagation", "sideways").refused();
    assert!(message.contains("sideways"), "{message}");
}

/// `--no-pivot` works and hides the host too.
#[test]
fn no_pivot_works() {
    need!(root);
    let bundle = Bundle::new();
    let host = bundle.outside("").to_string_lossy().into_owned();
    let c = bundle.flags(&["--no-pivot"]).probe(["list", "/", "--", "stat", &host]).run();
    assert!(c.value("list").as_array().unwrap().contains(&json!("bin")));
    assert_eq!(c.errno("stat"), "ENOENT");
}

/// An image that has next to nothing: the directories that mounts need are made.
#[test]
fn missing_mount_points_are_made() {
    need!(root);
    let bundle = Bundle::new();
    for dir in ["proc", "dev", "sys"] {
        std::fs::remove_dir(bundle.rootfs(dir)).unwrap();
    }
    let c = bundle.probe(["readable", "/proc/self/status", "--", "stat", "/dev/null"]).run();
    assert_eq!(c.fact("readable"), "ok");
    assert_eq!(c.value("stat")["type"], "char");
}

/// No mounts at all: what can run runs (fault model F27).
///
/// runc: needs a /proc mount.
#[test]
fn a_container_without_any_mount_runs() {
    need!(root);
    let c = Bundle::new()
        .set("/mounts", json!([]))
        .unset("/linux/maskedPaths")
        .unset("/linux/readonlyPaths")
        .args(&["/bin/echo", "here"])
        .run();
    assert_eq!(c.stdout(), "here\n");
}
