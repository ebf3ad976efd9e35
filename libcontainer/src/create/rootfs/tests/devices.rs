//! Device nodes of every kind, and what stands in their way.

use super::inside::{hold, stat};
use super::*;

const ASKED: &str = r#"{"devices": [
    {"path": "/dev/c", "type": "c", "major": 1, "minor": 7, "fileMode": 384, "uid": 5, "gid": 6},
    {"path": "/dev/deep/b", "type": "b", "major": 7, "minor": 666, "fileMode": 25008},
    {"path": "/dev/p", "type": "p", "major": 8, "minor": 666, "fileMode": 432, "uid": 5},
    {"path": "/elsewhere/u", "type": "u", "major": 1, "minor": 5}]}"#;

fn asked_inside() -> io::Result<()> {
    let c = stat(c"/dev/c")?;
    hold(1, c.is(libc::S_IFCHR) && c.rdev == 0x107 && (c.uid, c.gid) == (5, 6))?;
    hold(2, c.mode & 0o7777 == 0o600)?;
    let b = stat(c"/dev/deep/b")?;
    hold(3, b.is(libc::S_IFBLK) && b.mode & 0o7777 == 0o660)?;
    let p = stat(c"/dev/p")?;
    hold(4, p.is(libc::S_IFIFO) && p.mode & 0o7777 == 0o660 && p.uid == 5)?;
    hold(5, stat(c"/elsewhere/u")?.rdev == 0x105)
}

#[test]
fn nodes_of_every_kind_twice() {
    let Some(scene) = Scene::new() else { return };
    let plan = scene.plan("[]", ASKED, false);
    scene.run(&plan, USUAL, asked_inside).unwrap();
    scene.run(&plan, USUAL, asked_inside).unwrap();
}

#[test]
fn another_file_in_the_way_is_an_error_for_entries_and_covered_for_defaults() {
    let Some(scene) = Scene::new() else { return };
    scene.mkdir("dev").write("dev/null", "not a device");
    let plan = scene.plan("[]", "{}", false);
    scene
        .run(&plan, USUAL, || {
            hold(1, crate::create::rootfs::devices::is_null(&stat(c"/dev/null")?))
        })
        .unwrap();
    assert_eq!(fs::read(scene.rootfs("dev/null")).unwrap(), b"not a device");
    scene.write("dev/c", "not a device");
    let plan = scene.plan("[]", ASKED, false);
    let error = scene.run(&plan, USUAL, || Ok(())).unwrap_err().to_string();
    assert_eq!(error, "device /dev/c: another file stands there already");
}

#[test]
fn a_user_namespace_binds_the_hosts_nodes() {
    let Some(scene) = Scene::new() else { return };
    let linux = r#"{"devices": [{"path": "/dev/p", "type": "p"}]}"#;
    let plan = scene.plan("[]", linux, true);
    scene
        .run(&plan, USUAL | CLONE_NEWUSER, || {
            hold(1, crate::create::rootfs::devices::is_null(&stat(c"/dev/null")?))?;
            hold(2, stat(c"/dev/p")?.is(libc::S_IFIFO))?;
            let null = crate::sys::fd::open(c"/dev/null", libc::O_WRONLY)?;
            write_all(null, b"x")
        })
        .unwrap();
    let linux = r#"{"devices": [{"path": "/dev/full", "type": "c", "major": 1, "minor": 3}]}"#;
    let plan = scene.plan("[]", linux, true);
    let error = scene.run(&plan, USUAL | CLONE_NEWUSER, || Ok(())).unwrap_err().to_string();
    assert!(error.contains("host's node of that name is not that device"), "{error}");
}
