//! Images that want out: each advisory's trick, and what must come of it.

use super::inside::{hold, reads, stat};
use super::*;

const PROC: &str = r#"[{"destination": "/proc", "type": "proc", "source": "proc"}]"#;
const SYS: &str = r#"[{"destination": "/sys", "type": "sysfs", "options": ["ro"]}]"#;
const ORDINARY: &str = "must be mounted on ordinary directory";

/// CVE-2019-19921, CVE-2023-27561, CVE-2025-54867.
#[test]
fn proc_and_sys_are_no_links() {
    for target in ["HOST", "host", "../host", "/tmp", "/", ".", "/nothing", "proc", "sys"] {
        let Some(scene) = Scene::new() else { return };
        let target = target.replace("HOST", scene.path("host").to_str().unwrap());
        scene.mkdir("tmp").link(&target, "proc").link(&target, "sys");
        scene.refuses(PROC, &format!(r#"filesystem "proc" {ORDINARY}"#));
        scene.refuses(SYS, &format!(r#"filesystem "sysfs" {ORDINARY}"#));
        let below = r#"[{"destination": "/sys/fs/x", "type": "tmpfs"}]"#;
        scene.refuses(below, "must be an ordinary directory, not a link");
    }
}

#[test]
fn proc_is_no_file_and_no_pipe() {
    let Some(scene) = Scene::new() else { return };
    scene.write("proc", "");
    scene.refuses(PROC, ORDINARY);
}

/// CVE-2026-41579, CVE-2026-47766: default nodes and links below a `/dev` that is a link.
#[test]
fn dev_may_be_a_link_but_leads_nowhere() {
    for target in ["HOST", "../../../../../../../../../..HOST", "/host/sub", "HOST/sub/new"] {
        let Some(scene) = Scene::new() else { return };
        let host = scene.path("host").to_str().unwrap().to_owned();
        let target = target.replace("HOST", &host);
        scene.link(&target, "dev");
        // What the link says is made inside the root.
        scene.works("[]", || hold(1, stat(c"/dev/null").is_ok()));
        let inside = target.trim_start_matches("../").trim_start_matches("..");
        assert!(scene.rootfs(inside.trim_start_matches('/')).join("null").exists());
    }
}

#[test]
fn places_below_dev_may_be_links_but_lead_nowhere() {
    let mounts = r#"[
        {"destination": "/dev/pts", "type": "devpts", "options": ["newinstance"]},
        {"destination": "/dev/shm", "type": "tmpfs"},
        {"destination": "/dev/mqueue", "type": "mqueue"}]"#;
    for name in ["dev/pts", "dev/shm", "dev/mqueue"] {
        let Some(scene) = Scene::new() else { return };
        scene.mkdir("dev").link(scene.path("host"), name);
        scene.works(mounts, || Ok(()));
        let host = scene.path("host");
        assert!(scene.rootfs(host.to_str().unwrap().trim_start_matches('/')).is_dir());
    }
}

/// A device's name that is a link: never written through, never taken for the device.
#[test]
fn device_names_are_no_links() {
    for name in ["dev/null", "dev/tty", "dev/zero"] {
        let Some(scene) = Scene::new() else { return };
        scene.mkdir("dev").link(scene.path("host/file"), name);
        scene.refuses("[]", "another file stands there already");
        for user in [false, true] {
            let plan = scene.plan("[]", "{}", user);
            let flags = USUAL | if user { CLONE_NEWUSER } else { 0 };
            assert!(scene.run(&plan, flags, || Ok(())).is_err());
        }
    }
}

/// CVE-2021-30465, CVE-2019-18837: targets that are links stay inside.
#[test]
fn a_target_that_is_a_link_stays_inside() {
    let mounts = r#"[{"destination": "/a/b", "type": "tmpfs"}]"#;
    let Some(scene) = Scene::new() else { return };
    scene.mkdir("a").mkdir("real").link("/real", "a/b");
    scene.works(mounts, || hold(1, stat(c"/real")?.dev != stat(c"/")?.dev));

    let Some(scene) = Scene::new() else { return };
    scene.link(scene.path("host"), "a");
    scene.works(mounts, || hold(1, stat(c"/a/b/.").is_ok()));

    let Some(scene) = Scene::new() else { return };
    scene.mkdir("a").link("../../../..", "a/b");
    scene.refuses(mounts, "leads to the root itself");
}

/// CVE-2019-16884: a volume's target that leads into `/proc`.
#[test]
fn no_link_leads_into_proc() {
    for (target, destination) in [
        ("/proc/self/attr", "/data"),
        ("/proc", "/data"),
        ("/proc", "/data/sys/kernel"),
        ("proc/../proc/1", "/data"),
    ] {
        let Some(scene) = Scene::new() else { return };
        scene.mkdir("proc").link(target, "data");
        let tmpfs = format!(r#"{{"destination": "{destination}", "type": "tmpfs"}}"#);
        let proc = &PROC[1..PROC.len() - 1];
        scene.refuses(&format!("[{proc}, {tmpfs}]"), "because it is inside /proc");
    }
    let Some(scene) = Scene::new() else { return };
    scene.mkdir("proc").link("/proc/new", "data");
    scene.refuses(r#"[{"destination": "/data/x", "type": "tmpfs"}]"#, "is inside /proc");
}

/// Links to what does not exist yet are followed inside, as runc does.
#[test]
fn dangling_links_are_made_true() {
    let mounts = r#"[{"destination": "/etc/hosts", "source": "HOST/file", "options": ["bind"]}]"#;
    let Some(scene) = Scene::new() else { return };
    scene.mkdir("etc").link("/tmp/foo/bar", "jump").link("/jump/./baz/../hosts", "etc/hosts");
    scene.works(mounts, || hold(1, reads(c"/tmp/foo/bar/hosts", b"host")?));
    assert!(scene.rootfs("tmp/foo/bar/hosts").is_file());

    let Some(scene) = Scene::new() else { return };
    scene.mkdir("etc").link("../../../run/./x/resolv.conf", "etc/hosts");
    scene.works(mounts, || hold(1, reads(c"/run/x/resolv.conf", b"host")?));
}

#[test]
fn loops_end() {
    let Some(scene) = Scene::new() else { return };
    scene.link("b", "a").link("a", "b");
    scene.refuses(r#"[{"destination": "/a", "type": "tmpfs"}]"#, "symbolic links");
}

/// CVE-2025-31133: the container's own `/dev/null` is never what masks.
#[test]
fn masks_come_from_the_host() {
    for hostile in ["link", "missing", "file", "directory", "pipe"] {
        let Some(scene) = Scene::new() else { return };
        let dev = scene.path("devdir");
        fs::create_dir(&dev).unwrap();
        let null = dev.join("null");
        match hostile {
            "link" => std::os::unix::fs::symlink("/proc/sysrq-trigger", &null).unwrap(),
            "file" => fs::write(&null, "x").unwrap(),
            "directory" => fs::create_dir(&null).unwrap(),
            "pipe" => crate::sys::fd::mkfifoat(
                crate::sys::fd::CWD,
                &std::ffi::CString::new(null.to_str().unwrap()).unwrap(),
                0o666,
            )
            .unwrap(),
            _ => {}
        }
        let mounts = r#"[{"destination": "/proc", "type": "proc"},
                         {"destination": "/dev", "source": "devdir", "options": ["bind"]}]"#;
        let linux = r#"{"maskedPaths": ["/proc/version", "/proc/meminfo"]}"#;
        let plan = scene.plan(mounts, linux, false);
        scene
            .run(&plan, USUAL, || {
                hold(1, crate::create::rootfs::devices::is_null(&stat(c"/proc/version")?))?;
                hold(2, crate::create::rootfs::devices::is_null(&stat(c"/proc/meminfo")?))
            })
            .unwrap();
    }
}

/// CVE-2021-30465, CVE-2024-45310: names that change between directory and link all the time.
#[test]
fn a_racing_renamer_gets_nothing_out() {
    use std::sync::atomic::AtomicBool;
    static DONE: AtomicBool = AtomicBool::new(false);
    let Some(scene) = Scene::new() else { return };
    scene.mkdir("a/b").link(scene.path("host"), "a/x");
    let (one, two) = (scene.rootfs("a/b"), scene.rootfs("a/x"));
    let name = |path: &Path| std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    let (one, two) = (name(&one), name(&two));
    let third = name(&scene.rootfs("a/y"));
    let renamer = std::thread::spawn(move || {
        use crate::sys::fd::{CWD, renameat};
        while !DONE.load(Ordering::Relaxed) {
            for (from, to) in [(&one, &third), (&two, &one), (&third, &two)] {
                let _ = renameat(CWD, from, CWD, to);
            }
        }
    });
    let mut outcomes = [0, 0];
    for round in 0..60 {
        let mounts = format!(
            r#"[{{"destination": "/a/b/new{round}/c", "type": "tmpfs"}},
                {{"destination": "/a/b/file{round}", "source": "HOST/file", "options": ["bind"]}}]"#
        );
        let plan = scene.plan(&mounts, "{}", false);
        outcomes[usize::from(scene.run(&plan, USUAL, || Ok(())).is_ok())] += 1;
    }
    DONE.store(true, Ordering::Relaxed);
    renamer.join().unwrap();
    // The host directory is compared when the scene ends; both outcomes are fine, silence is not.
    assert_eq!(outcomes[0] + outcomes[1], 60);
}
