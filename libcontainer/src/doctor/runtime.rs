//! Rules about the runtime itself: where it works, and what it needs there.

use super::facts::Sealing;
use super::{Facts, Rule, Status, Verdict, info, lack, ok, warn};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "state-root",
        judge: root,
        why: "each container has its state in a directory there",
        fix: "name a directory that is yours with --root",
    },
    Rule {
        id: "state-root-type",
        judge: root_type,
        why: "on tmpfs state is quick, and is gone after a reboot as the containers are",
        fix: "name a directory on a tmpfs with --root",
    },
    Rule {
        id: "seal",
        judge: seal,
        why: "containers must not be able to write the runtime's file (CVE-2019-5736)",
        fix: "boot Linux 5.12 or later; in a container: run the outer one with SYS_ADMIN",
    },
    Rule {
        id: "pivot-root",
        judge: pivot,
        why: "pivot_root(2) refuses to leave the initial ramdisk",
        fix: "pass --no-pivot (DOCKER_RAMDISK=1, podman --no-pivot-root=true), or switch_root first",
    },
    Rule {
        id: "shared-root",
        judge: shared,
        why: "volumes with mount propagation (Kubernetes: mountPropagation) want shared mounts",
        fix: "mount --make-rshared /",
    },
    Rule {
        id: "criu",
        judge: criu,
        why: "checkpoint and restore of any runtime are done by it",
        fix: "apt-get install criu; dnf install criu",
    },
];

/// Group and others may write, and remove what is another's.
fn is_open(mode: u32) -> bool {
    mode & 0o022 != 0 && mode & 0o1000 == 0
}

fn root(facts: &Facts) -> Option<Verdict> {
    let root = &facts.root;
    if facts.user.as_ref().is_some_and(|user| user.uid != facts.host.euid) {
        return None; // root has no say in where another user's containers are
    }
    match root.write {
        0 => {}
        libc::EROFS => return lack(format!("{} is on a read-only file system", root.nearest)),
        _ => return lack(format!("{} is not writable", root.nearest)),
    }
    if root.path == root.nearest && root.owner != facts.host.euid {
        let what = format!("{} belongs to uid {}, not to us", root.path, root.owner);
        return lack(what);
    }
    if root.path == root.nearest && is_open(root.mode) {
        let fix = format!("chmod 711 {}", root.path);
        let what = format!("{} can be written by others", root.path);
        return Verdict::fixed_by(Status::Lack, what, fix);
    }
    let be = if root.path == root.nearest { "is writable" } else { "can be made" };
    ok(format!("{} {be}", root.path))
}

fn root_type(facts: &Facts) -> Option<Verdict> {
    let mount = facts.mount_of(&facts.root.nearest)?;
    let what = format!("{} is on {}", facts.root.path, mount.kind);
    match mount.kind.as_str() {
        "tmpfs" | "ramfs" => ok(what),
        "nfs" | "nfs4" | "cifs" | "9p" | "ceph" => warn(what),
        _ => info(what),
    }
}

fn seal(facts: &Facts) -> Option<Verdict> {
    match &facts.sealing {
        Sealing::Mount => ok("our own file is kept from them by a read-only mount"),
        // Users may not make mounts.
        Sealing::Copy if facts.host.euid != 0 => ok("our own file is kept from them by a copy"),
        Sealing::Copy => info("our own file is kept from them by a copy, at each start"),
        Sealing::No(why) => lack(format!("our own file cannot be kept from them: {why}")),
    }
}

fn pivot(facts: &Facts) -> Option<Verdict> {
    let kind = &facts.mount_of("/")?.kind;
    match kind.as_str() {
        "rootfs" | "ramfs" => warn(format!("/ is the initial ramdisk ({kind})")),
        _ => ok(format!("/ is on {kind}")),
    }
}

fn shared(facts: &Facts) -> Option<Verdict> {
    match facts.mount_of("/")?.shared {
        true => ok("/ is a shared mount"),
        false => info("/ is a private mount"),
    }
}

fn criu(facts: &Facts) -> Option<Verdict> {
    match facts.program("criu") {
        Some(program) => ok(program.path.clone()),
        None => info("criu is not installed"),
    }
}
