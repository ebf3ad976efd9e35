//! Bind mounts: files, directories, flags, ids; tmpfs with content.

use super::inside::{empty, gone, hold, readonly, reads, stat};
use super::*;
use crate::sys::fd::{CWD, mkdirat};

#[test]
fn files_and_directories_with_missing_targets() {
    let Some(scene) = Scene::new() else { return };
    fs::create_dir(scene.path("data")).unwrap();
    fs::write(scene.path("data/x"), "data").unwrap();
    let mounts = r#"[
        {"destination": "/deep/er/dir", "source": "data", "options": ["bind"]},
        {"destination": "/deep/er/file", "source": "HOST/file", "options": ["bind", "ro"]},
        {"destination": "/type", "type": "bind", "source": "data"}]"#;
    scene.works(mounts, || {
        hold(1, reads(c"/deep/er/dir/x", b"data")? && reads(c"/type/x", b"data")?)?;
        hold(2, reads(c"/deep/er/file", b"host")?)?;
        hold(3, stat(c"/deep/er")?.mode & 0o7777 == 0o755)?;
        let write = crate::sys::fd::open(c"/deep/er/file", libc::O_WRONLY);
        hold(4, is_errno(&write, libc::EROFS))?;
        mkdirat(CWD, c"/deep/er/dir/made", 0o700)
    });
    assert!(scene.path("data/made").is_dir());
}

#[test]
fn a_missing_source_and_a_wrong_kind_are_told() {
    let Some(scene) = Scene::new() else { return };
    scene.mkdir("dir").write("file", "");
    let mount = |to: &str, from: &str| {
        format!(r#"[{{"destination": "{to}", "source": "{from}", "options": ["bind"]}}]"#)
    };
    let words = r#"error mounting "nothing" to rootfs at "/dir": no such file or directory"#;
    scene.refuses(&mount("/dir", "nothing"), words);
    assert!(!scene.rootfs("new").exists());
    scene.refuses(&mount("/dir", "HOST/file"), "not a directory");
    scene.refuses(&mount("/file", "HOST/sub"), "not a directory");
    let text = r#"[{"destination": "/x", "type": "nosuchfs"}]"#;
    scene.refuses(text, r#"error mounting "nosuchfs" to rootfs at "/x": no such device"#);
    let text = r#"[{"destination": "/x", "type": "tmpfs", "options": ["nonsense=1"]}]"#;
    scene.refuses(text, "invalid argument");
}

/// The words of runc's `ro` and the recursive `rro`, with a submount in the source.
#[test]
fn flags_hold_for_one_mount_or_for_all() {
    for (options, outer, inner) in [
        (r#""rbind""#, false, false),
        (r#""rbind", "ro""#, true, false),
        (r#""rbind", "rro""#, true, true),
        (r#""rbind", "rro", "rrw""#, false, false),
    ] {
        let Some(scene) = Scene::new() else { return };
        let mounts = format!(
            r#"[{{"destination": "/a", "type": "tmpfs"}},
                {{"destination": "/a/b", "type": "tmpfs"}},
                {{"destination": "/c", "source": "rootfs/a", "options": [{options}]}}]"#
        );
        let check: fn() -> io::Result<()> = match (outer, inner) {
            (false, false) => || hold(1, !readonly(c"/c/x") && !readonly(c"/c/b/x")),
            (true, false) => || hold(2, readonly(c"/c/x") && !readonly(c"/c/b/x")),
            _ => || hold(3, readonly(c"/c/x") && readonly(c"/c/b/x")),
        };
        scene.works(&mounts, check);
    }
}

/// In a user namespace the host's flags are locked: `ro` keeps them, a word against them fails.
#[test]
fn locked_flags_are_kept_or_refused() {
    let Some(scene) = Scene::new() else { return };
    let bind = |options: &str| {
        format!(r#"[{{"destination": "/p", "source": "/proc", "options": ["rbind", {options}]}}]"#)
    };
    // The host's /proc is nosuid on every machine that the tests run on, or nothing is locked.
    let plan = scene.plan(&bind(r#""ro""#), "{}", true);
    scene
        .run(&plan, USUAL | CLONE_NEWUSER, || {
            let flags = crate::sys::fd::fs_flags(crate::sys::fd::open(c"/p", libc::O_PATH)?)?;
            hold(1, flags & libc::ST_RDONLY != 0)
        })
        .unwrap();
    let locked = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let nosuid = locked.lines().any(|line| line.contains(" /proc ") && line.contains("nosuid"));
    let plan = scene.plan(&bind(r#""suid""#), "{}", true);
    let ran = scene.run(&plan, USUAL | CLONE_NEWUSER, || Ok(()));
    assert_eq!(ran.is_err(), nosuid, "{ran:?}");
}

/// runc #4767, crun #2262: the host's root, without the container's own mounts in it.
#[test]
fn the_hosts_root_is_taken_before_ours() {
    let Some(scene) = Scene::new() else { return };
    let mounts = r#"[{"destination": "/mine", "type": "tmpfs"},
                     {"destination": "/hostroot", "source": "/", "options": ["rbind"]}]"#;
    let path = scene.rootfs("mine");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("underneath"), "").unwrap();
    fs::write("/dev/null", "").unwrap();
    let plan = scene.plan(mounts, "{}", false);
    // Through the host's root the rootfs is the directory, not our mounts.
    let below = format!("/hostroot{}", path.join("underneath").display());
    fs::write(scene.rootfs("where"), &below).unwrap();
    scene
        .run(&plan, USUAL, || {
            let mut path = [0; 256];
            let length = read(crate::sys::fd::open(c"/where", libc::O_RDONLY)?, &mut path)?;
            hold(1, length > 0 && empty(c"/mine")?)?;
            let path = std::ffi::CStr::from_bytes_until_nul(&path)
                .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
            hold(2, !gone(path))
        })
        .unwrap();
}

#[test]
fn a_tmpfs_takes_mode_and_content() {
    use std::os::unix::fs::PermissionsExt;
    let Some(scene) = Scene::new() else { return };
    scene.mkdir("t/sub").write("t/sub/file", "text").link("/nowhere", "t/link");
    fs::set_permissions(scene.rootfs("t"), fs::Permissions::from_mode(0o1751)).unwrap();
    fs::set_permissions(scene.rootfs("t/sub/file"), fs::Permissions::from_mode(0o4711)).unwrap();
    std::os::unix::fs::chown(scene.rootfs("t/sub"), Some(7), Some(8)).unwrap();
    let mounts = r#"[{"destination": "/t", "type": "tmpfs", "options": ["tmpcopyup", "ro"]},
                     {"destination": "/t/later", "type": "tmpfs"},
                     {"destination": "/new", "type": "tmpfs"}]"#;
    scene.works(mounts, || {
        hold(1, stat(c"/t")?.mode & 0o7777 == 0o1751)?;
        hold(2, reads(c"/t/sub/file", b"text")?)?;
        hold(3, stat(c"/t/sub/file")?.mode & 0o7777 == 0o4711)?;
        let sub = stat(c"/t/sub")?;
        hold(4, (sub.uid, sub.gid) == (7, 8) && stat(c"/t/link")?.is(libc::S_IFLNK))?;
        hold(5, readonly(c"/t/x") && !readonly(c"/t/later/x"))?;
        hold(6, stat(c"/new")?.mode & 0o7777 == 0o1777)
    });
    assert!(!scene.rootfs("t/later").exists(), "made in the tmpfs, not below it");
}

#[test]
fn the_old_call_makes_the_same_mount() {
    let Some(scene) = Scene::new() else { return };
    scene.mkdir("t");
    let mounts = r#"[{"destination": "/t", "type": "tmpfs",
                      "options": ["silent", "noexec", "size=1m", "ro"]},
                     {"destination": "/t/x", "type": "tmpfs", "options": ["silent", "rslave"]}]"#;
    scene.works(mounts, || {
        let flags = crate::sys::fd::fs_flags(crate::sys::fd::open(c"/t", libc::O_PATH)?)?;
        hold(1, flags & libc::ST_NOEXEC != 0 && readonly(c"/t/y"))?;
        hold(2, stat(c"/t")?.mode & 0o7777 == 0o755 && stat(c"/t/x")?.mode & 0o7777 == 0o1777)
    });
}

#[test]
fn remount_changes_what_is_there() {
    let Some(scene) = Scene::new() else { return };
    let mounts = r#"[{"destination": "/t", "type": "tmpfs"},
        {"destination": "/t", "type": "tmpfs", "options": ["remount", "ro"]},
        {"destination": "/b", "source": "HOST", "options": ["bind"]},
        {"destination": "/b", "source": "HOST", "options": ["bind", "remount", "ro"]}]"#;
    scene.works(mounts, || hold(1, readonly(c"/t/x") && readonly(c"/b/x")));
    let mounts = r#"[{"destination": "/plain", "type": "tmpfs", "options": ["remount", "ro"]}]"#;
    scene.mkdir("plain").refuses(mounts, "invalid argument");
}

const MAP: &str = r#"[{"containerID": 0, "hostID": 70000, "size": 10}]"#;

/// ext4, xfs, btrfs, tmpfs (6.3) and others have id-mapped mounts; the file system of the
/// temporary directory may be another.
fn unless_unsupported(ran: Result<(), Error>) {
    if let Err(error) = ran {
        let text = error.to_string();
        assert!(text.contains("MOUNT_ATTR_IDMAP"), "{text}");
    }
}

#[test]
fn ids_are_mapped() {
    let Some(scene) = Scene::new() else { return };
    fs::create_dir(scene.path("data")).unwrap();
    fs::write(scene.path("data/x"), "").unwrap();
    let mounts = format!(
        r#"[{{"destination": "/m", "source": "data", "options": ["bind", "idmap"],
             "uidMappings": {MAP}, "gidMappings": {MAP}}},
            {{"destination": "/n", "source": "rootfs/m", "options": ["bind"]}},
            {{"destination": "/plain", "source": "data", "options": ["bind"]}}]"#
    );
    for user in [false, true] {
        let plan = scene.plan(&mounts, "{}", user);
        let flags = USUAL | if user { CLONE_NEWUSER } else { 0 };
        unless_unsupported(scene.run(&plan, flags, || {
            // 70000 is not mapped into the user namespace of these tests: 65534 there.
            let uid = stat(c"/m/x")?.uid;
            hold(1, uid == 70000 || uid == 65534)?;
            hold(2, stat(c"/n/x")?.uid == uid && stat(c"/plain/x")?.uid == 0)
        }));
    }
}

/// A volume behind a directory that only the host's root may enter, and one behind what is
/// mounted in the container already.
#[test]
fn the_helper_reaches_what_the_containers_root_may_not() {
    use std::os::unix::fs::PermissionsExt;
    let Some(scene) = Scene::new() else { return };
    fs::create_dir_all(scene.path("closed/data")).unwrap();
    fs::write(scene.path("closed/data/x"), "reached").unwrap();
    std::os::unix::fs::chown(scene.path("closed"), Some(99_999), Some(99_999)).unwrap();
    fs::set_permissions(scene.path("closed"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(&scene.dir, fs::Permissions::from_mode(0o755)).unwrap();
    let mounts = format!(
        r#"[{{"destination": "/a", "source": "closed/data", "options": ["bind", "ro"]}},
            {{"destination": "/a2", "source": "rootfs/a", "options": ["rbind", "idmap"],
              "uidMappings": {MAP}, "gidMappings": {MAP}}}]"#
    );
    let plan = scene.plan(&mounts, "{}", true);
    unless_unsupported(scene.run(&plan, USUAL | CLONE_NEWUSER, || {
        hold(1, reads(c"/a/x", b"reached")? && readonly(c"/a/y"))?;
        hold(2, reads(c"/a2/x", b"reached")? && stat(c"/a2/x")?.uid != 0)
    }));
}
