//! Disks that are full or cannot be written: a clear word, nothing half left, and all is well when
//! there is room again.

use crate::host::Host;

/// Mounts a small disk as the root.
fn small(host: &Host, size: &str) {
    let root = host.name("root");
    host.sh(&format!("mkdir -p {root} && mount -t tmpfs -o size={size} tmpfs {root}"));
}

fn resize(host: &Host, size: &str) {
    host.sh(&format!("mount -o remount,size={size} {}", host.name("root")));
}

/// Fills what is left of it.
fn fill(host: &Host) {
    host.sh(&format!("cat /dev/zero > {} 2>/dev/null || true", host.name("root/filler")));
}

fn files(host: &Host) -> String {
    host.sh(&format!("cd {} && find . -type f | sort", host.name("root")))
}

#[test]
fn an_image_that_does_not_fit_leaves_nothing() {
    let Some(host) = Host::bare() else { return };
    small(&host, "1m");
    for line in ["import app.tar app", "import app.tar other"] {
        let words = host.bad(line);
        assert!(words.contains("no space left on device"), "{words}");
    }
    let left = files(&host);
    assert!(!left.contains("staging/") && !left.contains("blobs/sha256"), "{left}");
    resize(&host, "64m");
    host.import("app");
    host.good("save -o saved.tar app");
    host.good("rmi app");
    resize(&host, "1m");
    let words = host.bad("load -i saved.tar");
    assert!(words.contains("no space left on device"), "{words}");
    assert_eq!(host.good("images -q"), "");
    resize(&host, "64m");
    host.good("load -i saved.tar");
    assert_eq!(host.good("run --rm --network none app cat /data/seed"), "of the image");
}

#[test]
fn a_container_on_a_full_disk_fails_plainly_and_leaves_nothing() {
    let Some(host) = Host::bare() else { return };
    small(&host, "64m");
    host.import("app");
    let id = host.good("run -d --name web -p 8080:80 app sleep 1000");
    fill(&host);
    for line in [
        "run --rm --network none app true",
        "run -d --name x1 -p 8081:80 -v data:/data app true",
        "create -v /anonymous app true",
        "volume create v1",
        "tag app other",
        "rename web new",
    ] {
        let words = host.bad(line);
        assert!(words.contains("no space left on device"), "{line}: {words}");
    }
    assert_eq!(host.good("ps -a --format {{.Names}}"), "web");
    assert_eq!(host.good("exec web echo hi"), "hi");
    // What is full can be emptied by our own commands.
    host.good("stop -t 0 web");
    host.good("rm web");
    host.sh(&format!("rm {}", host.name("root/filler")));
    host.good("run --rm --network none app true");
    host.good("container prune -f");
    host.is_clean(&[id].into(), &[], "the disk was full");
}

#[test]
fn a_root_that_cannot_be_written_can_be_read() {
    let Some(host) = Host::new() else { return };
    host.good("create --name web --network none app true");
    let root = host.name("root");
    host.sh(&format!("mount --bind {root} {root} && mount -o remount,bind,ro {root}"));
    assert_eq!(host.good("ps -a --format {{.Names}}"), "web");
    assert!(host.good("images").contains("app"));
    assert_eq!(host.good("inspect --format {{.State.Status}} web"), "created");
    for line in [
        "run --rm --network none app true",
        "create app true",
        "start web",
        "rm web",
        "rename web other",
        "tag app other",
        "rmi -f app",
        "import app.tar other",
        "volume create v1",
    ] {
        let words = host.bad(line);
        assert!(words.contains("read-only file system"), "{line}: {words}");
    }
    host.sh(&format!("mount -o remount,bind,rw {root}"));
    assert_eq!(host.good("start -a web"), "");
    host.good("rm web");
}
