//! The root file system of a bundle: busybox, the probe, and the little that programs expect.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::host::built;

/// Programs of busybox that every root file system has.
const APPLETS: &[&str] = &[
    "cat", "chmod", "cp", "echo", "env", "false", "grep", "hostname", "id", "ionice", "ip", "kill",
    "ln", "ls", "mkdir", "mknod", "mount", "mv", "nice", "ps", "pwd", "readlink", "rm", "sh",
    "sleep", "stat", "stty", "sync", "test", "touch", "true", "tty", "umount", "uname", "wc",
];

/// Writes a file, making its directories; a script (`#!`) may be executed.
pub(crate) fn write_file(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
    if content.starts_with("#!") {
        write_program(path, content.as_bytes(), 0o755);
    } else {
        fs::write(path, content).expect("write");
    }
}

/// A root file system: busybox, the probe, a few directories, `/etc/passwd`.
pub(crate) fn make_rootfs(root: &Path) {
    for dir in ["bin", "dev", "etc", "proc", "sys", "tmp", "root", "var", "home"] {
        fs::create_dir_all(root.join(dir)).expect("mkdir");
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).expect("chmod");
    let busybox = ["/usr/bin/busybox", "/bin/busybox"].into_iter().find(|p| Path::new(p).exists());
    install(Path::new(busybox.expect("busybox-static is installed")), &root.join("bin/busybox"));
    install(&built("probe"), &root.join("bin/probe"));
    for applet in APPLETS {
        let _ = symlink("busybox", root.join("bin").join(applet));
    }
    write_file(
        &root.join("etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home:/bin/sh\n",
    );
    write_file(&root.join("etc/group"), "root:x:0:\ntty:x:5:\nuser:x:1000:\n");
}

/// Writes a program, readable and executable as `mode` says.
///
/// By another process: a descriptor open for writing here is inherited by whatever other tests fork in that
/// moment, and until those execute, execve(2) of the file fails (`ETXTBSY`).
///
/// # Panics
/// When it cannot be written.
pub fn write_program(path: &Path, content: &[u8], mode: u32) {
    let mut writer = Command::new("install")
        .args(["-m", &format!("{mode:o}"), "/dev/stdin"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .expect("install");
    writer.stdin.take().expect("a pipe").write_all(content).expect("write");
    assert!(writer.wait().expect("wait").success(), "{}", path.display());
}

/// Copies a program, by another process as well.
///
/// # Panics
/// When it cannot be copied.
pub fn copy_program(from: &Path, to: &Path, mode: u32) {
    let mode = format!("{mode:o}");
    let copied = Command::new("install").args(["-m", &mode]).arg(from).arg(to).status();
    assert!(copied.expect("install").success(), "{}", to.display());
}

/// Gives a program to the root file system: a hard link to a copy of our own, never to the host's file.
fn install(from: &Path, to: &Path) {
    let kit = built("integration-kit");
    let mine = kit.join(to.file_name().expect("a name"));
    let stamp = |p: &Path| fs::metadata(p).and_then(|m| m.modified()).ok();
    if stamp(&mine).is_none_or(|had| stamp(from).is_some_and(|now| now > had)) {
        fs::create_dir_all(&kit).expect("mkdir");
        let own = kit.join(format!("{:?}", std::thread::current().id()));
        copy_program(from, &own, 0o755);
        fs::rename(&own, &mine).expect("rename");
    }
    // Never written over: it may be a link to the copy that all tests share.
    if fs::symlink_metadata(to).is_err() && fs::hard_link(&mine, to).is_err() {
        copy_program(&mine, to, 0o755);
    }
}
