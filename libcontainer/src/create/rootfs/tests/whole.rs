//! Whole bundles: the default one, in a user namespace, without pivot_root, without a mount
//! namespace.

use super::inside::{empty, gone, hold, readonly, reads, stat};
use super::*;
use crate::create::rootfs::devices::is_null;
use crate::plan::mounts::CgroupHierarchy;
use crate::sys::fd::{CWD, fs_flags, fs_magic, open, readlinkat};

const DEFAULT: &str = r#"[
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
     "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
    {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
     "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
    {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
     "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
    {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
     "options": ["nosuid", "noexec", "nodev"]},
    {"destination": "/sys", "type": "sysfs", "source": "sysfs",
     "options": ["nosuid", "noexec", "nodev", "ro"]}]"#;

const LINUX: &str = r#"{
    "maskedPaths": ["/proc/kcore", "/proc/version", "/proc/uptime", "/sys/firmware", "/proc/scsi",
                    "/nothing/here"],
    "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/nothing/here"]}"#;

fn default_inside() -> io::Result<()> {
    hold(1, fs_magic(open(c"/proc", libc::O_PATH)?)? == libc::PROC_SUPER_MAGIC)?;
    hold(2, !gone(c"/proc/1/exe") && gone(c"/proc/2"))?;
    for path in [c"/dev/null", c"/proc/version", c"/proc/uptime"] {
        hold(3, is_null(&stat(path)?))?;
    }
    hold(4, reads(c"/proc/version", b"")?)?;
    for path in [c"/sys/firmware", c"/proc/scsi"] {
        if !gone(path) {
            hold(5, empty(path)?)?;
        }
    }
    for (number, path) in (60..).zip([c"/new", c"/sys/new", c"/sys/firmware/x"]) {
        hold(number, gone(path) && readonly(path))?;
    }
    for path in [c"/", c"/sys", c"/proc/sys", c"/proc/fs"] {
        hold(63, fs_flags(open(path, libc::O_PATH)?)? & libc::ST_RDONLY != 0)?;
    }
    for (node, rdev) in [(c"/dev/zero", 0x105), (c"/dev/full", 0x107), (c"/dev/tty", 0x500)] {
        let stat = stat(node)?;
        hold(7, stat.is(libc::S_IFCHR) && stat.rdev == rdev && stat.mode & 0o777 == 0o666)?;
    }
    let mut link = [0; 32];
    let length = readlinkat(CWD, c"/dev/ptmx", &mut link)?;
    hold(8, &link[..length] == b"pts/ptmx")?;
    hold(9, stat(c"/dev/pts/ptmx")?.rdev == 0x502)?;
    hold(10, stat(c"/dev/shm")?.mode & 0o7777 == 0o1777)?;
    hold(11, stat(c"/dev")?.mode & 0o7777 == 0o755)?;
    hold(12, gone(c"/tmp") && gone(c"/host"))?;
    hold(13, stat(c"/dev/fd")?.is(libc::S_IFLNK))
}

#[test]
fn the_default_bundle() {
    let Some(scene) = Scene::new() else { return };
    let plan = scene.plan(DEFAULT, LINUX, false);
    scene.run(&plan, USUAL, default_inside).unwrap();
    scene.run(&plan, USUAL, default_inside).unwrap(); // what the first made is found again
}

#[test]
fn the_default_bundle_in_a_user_namespace() {
    let Some(scene) = Scene::new() else { return };
    let plan = scene.plan(DEFAULT, LINUX, true);
    // No network namespace: sysfs is refused and the host's is bound, read-only with all below.
    scene
        .run(&plan, USUAL | CLONE_NEWUSER, || {
            default_inside()?;
            hold(20, readonly(c"/sys/fs/cgroup/new") || empty(c"/sys/fs/cgroup")?)
        })
        .unwrap();
}

#[test]
fn without_pivot_root() {
    let Some(scene) = Scene::new() else { return };
    let plan = scene.plan_with(DEFAULT, LINUX, |request| request.no_pivot = true);
    scene.run(&plan, USUAL, default_inside).unwrap();
}

#[test]
fn without_a_mount_namespace_nothing_shows_on_the_host() {
    let Some(scene) = Scene::new() else { return };
    let more = r#"[
        {"destination": "/ro", "type": "tmpfs", "options": ["ro", "rslave"]},
        {"destination": "/ro/sub", "type": "tmpfs"},
        {"destination": "/v", "source": "HOST", "options": ["rbind", "rprivate", "rro"]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "options": ["ro", "nosuid"]}]"#;
    let all = format!("{},{}", DEFAULT.trim_end_matches(']'), more.trim_start_matches('['));
    let own = |name: &str| CgroupHierarchy {
        name: name.into(),
        data: name.into(),
        dir: scene.path("host/sub"),
    };
    let hierarchies = vec![own("cpu,cpuacct"), own("pids")];
    let cgroup = CgroupMounts { hierarchies, ..CgroupMounts::default() };
    let plan = scene.plan_in(&all, "{}", &cgroup, |request| request.mount_namespace = false);
    let before = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let ran = scene.run(&plan, CLONE_NEWPID | CLONE_NEWIPC, || {
        hold(1, fs_magic(open(c"/proc", libc::O_PATH)?)? == libc::PROC_SUPER_MAGIC)?;
        hold(2, is_null(&stat(c"/dev/null")?) && gone(c"/host") && readonly(c"/new"))?;
        hold(3, readonly(c"/ro/x") && !readonly(c"/ro/sub/x") && readonly(c"/v/x"))?;
        let cgroup = c"/sys/fs/cgroup/pids/x";
        hold(4, readonly(c"/sys/fs/cgroup/x") && readonly(cgroup) && !gone(c"/sys/fs/cgroup/cpu"))
    });
    match ran {
        Ok(()) => {}
        Err(error) => assert!(error.to_string().contains("before Linux 6.15"), "{error}"),
    }
    assert_eq!(before, fs::read_to_string("/proc/self/mountinfo").unwrap());
}

#[test]
fn the_roots_propagation_is_as_asked() {
    let Some(scene) = Scene::new() else { return };
    let proc = r#"[{"destination": "/proc", "type": "proc"}]"#;
    let word = |word: &str| format!(r#"{{"rootfsPropagation": "{word}"}}"#);
    for (name, check) in [
        ("shared", (|| on_root(b" shared:", true)) as fn() -> io::Result<()>),
        ("rshared", || on_root(b" shared:", true)),
        ("unbindable", || on_root(b" unbindable ", true)),
        ("rprivate", || on_root(b" shared:", false)),
        ("rslave", || on_root(b" shared:", false)),
    ] {
        let plan = scene.plan(proc, &word(name), false);
        if let Err(error) = scene.run(&plan, USUAL, check) {
            panic!("{name}: {error}");
        }
    }
}

/// Whether the root's line of mountinfo holds a word.
fn on_root(word: &[u8], wanted: bool) -> io::Result<()> {
    let mut buffer = [0; 4096];
    let length = read(open(c"/proc/self/mountinfo", libc::O_RDONLY)?, &mut buffer)?;
    let mut lines = buffer[..length].split(|byte| *byte == b'\n');
    let root = lines.find(|line| line.split(|byte| *byte == b' ').nth(4) == Some(b"/"));
    let found = root.is_some_and(|line| line.windows(word.len()).any(|part| part == word));
    hold(1, found == wanted)
}

/// A host whose every mount is shared, as systemd makes it, with the rootfs a mount of its own or
/// not: what the container mounts stays there, what the host mounts arrives.
#[test]
fn nothing_travels_to_a_shared_host() {
    let Some(scene) = Scene::new() else { return };
    for own in [false, true] {
        std::thread::scope(|scope| {
            // A thread with a mount namespace of its own is the host.
            scope.spawn(|| shared_host(&scene, own)).join().unwrap();
        });
    }
}

fn shared_host(scene: &Scene, own: bool) {
    use crate::sys::mount::mount;
    crate::sys::clone::unshare(CLONE_NEWNS).unwrap();
    let rootfs = scene.path("rootfs");
    let path = std::ffi::CString::new(rootfs.to_str().unwrap()).unwrap();
    mount(None, c"/", None, libc::MS_PRIVATE | libc::MS_REC, None).unwrap();
    if own {
        mount(Some(&path), &path, None, libc::MS_BIND, None).unwrap();
    }
    mount(None, c"/", None, libc::MS_SHARED | libc::MS_REC, None).unwrap();
    let table = || fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    let before = table();
    let sources = r#"[{"destination": "/v", "source": "HOST", "options": ["rbind"]},
                      {"destination": "/v/sub", "type": "tmpfs"}]"#;
    let all = format!("{},{}", DEFAULT.trim_end_matches(']'), sources.trim_start_matches('['));
    for linux in [
        LINUX,
        r#"{"rootfsPropagation": "slave"}"#,
        r#"{"rootfsPropagation": "rprivate"}"#,
        r#"{"rootfsPropagation": "runbindable"}"#,
    ] {
        for user in [false, true] {
            let plan = scene.plan(&all, linux, user);
            let flags = USUAL | if user { CLONE_NEWUSER } else { 0 };
            scene.run(&plan, flags, || hold(1, is_null(&stat(c"/dev/null")?))).unwrap();
            assert_eq!(before, table(), "{linux} {user} {own}");
        }
    }
    let plan = scene.plan_with(DEFAULT, LINUX, |request| request.no_pivot = true);
    scene.run(&plan, USUAL, default_inside).unwrap();
    assert_eq!(before, table(), "no pivot, {own}");
}
