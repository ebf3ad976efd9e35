//! Images whose `/dev` attacks the runtime, named after the advisories; the rest is in [`crate::hostile`].

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::Duration;

use harness::{Bundle, Console, need};
use serde_json::json;

use crate::hostile::{harmless, shape, trap};

/// Every path that the runtime itself makes in `/dev`, with `/dev` or the path itself a symlink to the host.
#[test]
fn cve_2026_41579_dev_is_a_symlink() {
    need!(root);
    for at in [
        "/dev",
        "/dev/pts",
        "/dev/shm",
        "/dev/mqueue",
        "/dev/ptmx",
        "/dev/null",
        "/dev/fd",
        "/dev/console",
        "/dev/core",
    ] {
        for relative in [false, true] {
            let bundle = Bundle::new();
            let dir = trap(&bundle);
            let target = if relative {
                format!("../../../../../../..{}", dir.display())
            } else {
                dir.to_string_lossy().into_owned()
            };
            // The image's own /dev is used when no tmpfs covers it.
            let bundle = bundle
                .link(&target, at)
                .edit(|c| {
                    c["mounts"].as_array_mut().unwrap().retain(|m| m["destination"] != "/dev");
                })
                .set(
                    "/linux/devices",
                    json!([{ "path": "/dev/made", "type": "c", "major": 1, "minor": 3 }]),
                )
                .probe(["pid"]);
            let _ = harmless(bundle, at);
        }
    }
}

/// A configured device whose path leads through a symlink of the image.
#[test]
fn cve_2026_88264_devices_through_symlinks() {
    need!(root);
    let bundle = Bundle::new();
    let dir = trap(&bundle);
    let device = |path: &str| json!({ "path": path, "type": "c", "major": 1, "minor": 3 });
    let bundle = bundle
        .link(&dir.to_string_lossy(), "/way")
        .link(&format!("{}/new", dir.display()), "/opt")
        .set("/linux/devices", json!([device("/way/null"), device("/opt"), device("/way/deep/er")]))
        .probe(["pid"]);
    let _ = harmless(bundle, "devices");
}

/// `/dev/null` of the image is not what masks are made of.
#[test]
fn cve_2025_31133_masks_with_a_false_null() {
    need!(root);
    for what in ["missing", "symlink", "self", "file", "zero", "dir", "fifo", "into-proc"] {
        let bundle = Bundle::new().file("/secret", "s3cret").file("/dir/secret", "s3cret");
        let dir = trap(&bundle);
        let dev = bundle.outside("dev");
        fs::create_dir(&dev).unwrap();
        let null = dev.join("null");
        match what {
            "symlink" => symlink(dir.join("file"), &null).unwrap(),
            "self" => symlink("null", &null).unwrap(),
            "file" => fs::write(&null, "false").unwrap(),
            "zero" => assert!(
                Command::new("mknod").arg(&null).args(["c", "1", "5"]).status().unwrap().success()
            ),
            "dir" => fs::create_dir(&null).unwrap(),
            "fifo" => assert!(Command::new("mkfifo").arg(&null).status().unwrap().success()),
            "into-proc" => symlink("/proc/sys/kernel/hostname", &null).unwrap(),
            _ => {}
        }
        let bundle = bundle
            .edit(|c| {
                c["mounts"]
                    .as_array_mut()
                    .unwrap()
                    .retain(|m| !m["destination"].as_str().unwrap().starts_with("/dev"));
            })
            .bind(&dev, "/dev", &[])
            .mask("/secret")
            .mask("/dir")
            .probe("read /secret -- stat /secret -- list /dir".split(' '));
        let done = harmless(bundle, what);
        if done.code() == 0 {
            assert_eq!(done.fact("read"), "", "{what}");
            assert_eq!(
                (done.value("stat")["major"].clone(), done.value("stat")["minor"].clone()),
                (json!(1), json!(3)),
                "{what}"
            );
            assert_eq!(done.value("list"), &json!([]), "{what}");
        }
    }
}

/// A false `/dev` while a terminal is set up: no file truncated, nothing covered, no hang.
#[test]
fn cve_2025_52565_console_with_a_false_dev() {
    need!(root);
    for (name, target) in [
        ("console", "TRAP/file"),
        ("console", "TRAP/sub"),
        ("ptmx", "TRAP/file"),
        ("pts/0", "TRAP/file"),
        ("pts/ptmx", "/dev/null"),
        ("tty", "TRAP/file"),
    ] {
        let bundle = Bundle::new();
        let dir = trap(&bundle);
        let dev = bundle.outside("dev");
        fs::create_dir_all(dev.join("pts")).unwrap();
        symlink(target.replace("TRAP", &dir.to_string_lossy()), dev.join(name)).unwrap();
        let socket = Console::listen(&bundle.outside("tty.sock"));
        let path = socket.path();
        let bundle = bundle
            .edit(|c| {
                c["mounts"]
                    .as_array_mut()
                    .unwrap()
                    .retain(|m| !m["destination"].as_str().unwrap().starts_with("/dev"));
            })
            .bind(&dev, "/dev", &[])
            .set("/process/terminal", true)
            .flags(&["--console-socket", &path])
            .sleeper()
            .patience(Duration::from_secs(8));
        let before = shape(&dir);
        bundle.write();
        let _ = bundle.runtime().call(&bundle.words("create"));
        let _ = bundle.runtime().call(&["delete", "--force", bundle.id()]);
        assert_eq!(shape(&dir), before, "{name} -> {target}");
    }
}
