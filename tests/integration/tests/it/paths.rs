//! `linux.maskedPaths` and `linux.readonlyPaths`.

use harness::{Bundle, need};
use serde_json::json;

/// A masked file reads as empty.
#[test]
fn a_masked_file_reads_as_empty() {
    need!(root);
    let c = Bundle::new()
        .file("/secret", "s3cret")
        .mask("/secret")
        .probe(["read", "/secret", "--", "stat", "/secret"])
        .run();
    assert_eq!(c.fact("read"), "");
    assert_eq!(c.value("stat")["type"], "char");
}

/// A masked directory is empty and cannot be written.
#[test]
fn a_masked_directory_is_empty() {
    need!(root);
    let c = Bundle::new()
        .file("/secrets/one", "s3cret")
        .mask("/secrets")
        .probe(["list", "/secrets", "--", "create", "/secrets/x"])
        .run();
    assert_eq!(c.value("list"), &json!([]));
    assert_eq!(c.errno("create"), "EROFS");
}

/// The default list: none of it tells anything.
#[test]
fn the_default_masks_hold() {
    need!(root);
    let mut args = vec!["/bin/probe"];
    let there: Vec<&str> = harness::config::MASKED
        .iter()
        .copied()
        .filter(|p| std::path::Path::new(p).exists())
        .collect();
    for path in &there {
        args.extend(["list", path, "--", "read", path, "--"]);
    }
    let c = Bundle::new().args(&args).run();
    for path in there {
        // A directory lists nothing, a file reads as nothing.
        let (listed, read) = (format!("list {path}"), format!("read {path}"));
        if c.errno(&listed).is_empty() {
            assert_eq!(c.value(&listed), &json!([]), "{path}");
        } else {
            assert_eq!(c.fact(&read), "", "{path}");
        }
    }
}

/// What does not exist need not be masked.
#[test]
fn missing_paths_are_passed_over() {
    need!(root);
    let c = Bundle::new()
        .mask("/no/such/thing")
        .push("/linux/readonlyPaths", "/neither/this")
        .probe(["stat", "/no"])
        .run();
    assert_eq!(c.errno("stat"), "ENOENT");
}

/// A read-only path refuses writes, also below it.
#[test]
fn readonly_paths_refuse_writes() {
    need!(root);
    let c = Bundle::new()
        .file("/data/sub/file", "x")
        .file("/single", "x")
        .push("/linux/readonlyPaths", "/data")
        .push("/linux/readonlyPaths", "/single")
        .probe(
            "create /data/new -- writable /data/sub/file -- writable /single -- read /single"
                .split(' '),
        )
        .run();
    assert_eq!(c.errno("create"), "EROFS");
    assert_eq!(c.errno("writable /data/sub/file"), "EROFS");
    assert_eq!(c.errno("writable /single"), "EROFS");
    assert_eq!(c.fact("read"), "x");
}

/// The default list: `/proc/sys` and the trigger cannot be written, even with strong capabilities.
#[test]
fn the_default_readonly_paths_hold() {
    need!(root);
    let all = json!(["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE", "CAP_SYS_RAWIO", "CAP_NET_ADMIN"]);
    let c = Bundle::new()
        .set(
            "/process/capabilities",
            json!({ "bounding": all, "effective": all, "permitted": all }),
        )
        .probe("writable /proc/sys/kernel/domainname -- writable /proc/sysrq-trigger -- writable /proc/bus".split(' '))
        .run();
    assert_eq!(c.errno("writable /proc/sys/kernel/domainname"), "EROFS");
    if std::path::Path::new("/proc/sysrq-trigger").exists() {
        assert_eq!(c.errno("writable /proc/sysrq-trigger"), "EROFS");
    }
}

/// A read-only path keeps the flags of the mount it lies on.
#[test]
fn readonly_paths_keep_other_flags() {
    need!(root);
    let c = Bundle::new()
        .mount("tmpfs", "tmpfs", "/t", &["nosuid", "nodev", "noexec", "mode=755"])
        .push("/linux/readonlyPaths", "/t")
        .probe(["mount", "/t"])
        .run();
    let options = c.value("mount")["options"].as_str().unwrap();
    for flag in ["ro", "nosuid", "nodev", "noexec"] {
        assert!(options.split(',').any(|o| o == flag), "{flag}: {options}");
    }
}

/// Without `maskedPaths` nothing is masked (Kubernetes' `procMount: Unmasked`).
#[test]
fn no_list_masks_nothing() {
    need!(root);
    let c = Bundle::new()
        .unset("/linux/maskedPaths")
        .unset("/linux/readonlyPaths")
        .probe(["stat", "/proc/keys", "--", "mount", "/proc/keys"])
        .run();
    assert_eq!(c.value("stat")["type"], "file");
    assert_eq!(c.errno("mount"), "ENOENT");
}

/// A symlink in the image that leads out of it masks nothing outside.
#[test]
fn a_masked_symlink_stays_inside() {
    need!(root);
    let bundle = Bundle::new();
    let outside = bundle.outside("host-file");
    std::fs::write(&outside, "host").unwrap();
    let c = bundle.link(&outside.to_string_lossy(), "/evil").mask("/evil").probe(["ids"]).try_run();
    assert_eq!(std::fs::read_to_string(c.outside("host-file")).unwrap(), "host");
}

/// Masks survive what a container with few rights can do.
#[test]
fn masks_cannot_be_taken_off() {
    need!(root);
    let c = Bundle::new().probe(["umount", "/proc/keys", "--", "remount-rw", "/proc/sys"]).run();
    assert_eq!(c.errno("umount"), "EPERM");
    assert_eq!(c.errno("remount-rw"), "EPERM");
}
