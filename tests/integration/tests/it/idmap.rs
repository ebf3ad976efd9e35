//! User namespaces: `linux.uidMappings`, `linux.gidMappings`, and mounts with mappings of their own.

use std::os::unix::fs::{MetadataExt, chown};

use harness::host::Covered;
use harness::{Bundle, Holder, host, need};
use serde_json::json;

/// The maps are written as configured.
#[test]
fn the_mappings_are_written() {
    need!(root, user_namespace);
    let c = Bundle::new()
        .user_namespace()
        .probe("read /proc/self/uid_map -- read /proc/self/gid_map -- ns".split(' '))
        .run();
    for file in ["read /proc/self/uid_map", "read /proc/self/gid_map"] {
        let map: Vec<String> = c.fact(file).split_whitespace().map(str::to_owned).collect();
        assert_eq!(map, ["0", "100000", "65536"], "{file}");
    }
    assert_ne!(c.value("ns")["user"], host::namespace("self", "user").as_str());
}

/// Several ranges keep their order and meaning.
#[test]
fn several_ranges_are_written() {
    need!(root, user_namespace);
    let map = json!([
        { "containerID": 0, "hostID": 100_000, "size": 1000 },
        { "containerID": 1000, "hostID": 300_000, "size": 1 },
        { "containerID": 1001, "hostID": 101_001, "size": 64000 }
    ]);
    let c = Bundle::new()
        .user_namespace()
        .set("/linux/uidMappings", map.clone())
        .set("/linux/gidMappings", map)
        .set("/process/user", json!({ "uid": 1000, "gid": 1000, "additionalGids": [5] }))
        .probe("read /proc/self/uid_map -- ids -- create /tmp/mine".split(' '))
        .run();
    assert_eq!(c.fact("read").lines().count(), 3);
    assert_eq!(c.value("ids")["uid"], 1000);
    assert_eq!(c.value("ids")["groups"], json!([5]));
    assert_eq!(std::fs::metadata(c.rootfs("/tmp/mine")).unwrap().uid(), 300_000);
}

/// Root inside is an ordinary id outside; files it makes show that.
#[test]
fn files_belong_to_the_mapped_owner() {
    need!(root, user_namespace);
    let c = Bundle::new().user_namespace().probe(["create", "/tmp/mine"]).run();
    let meta = std::fs::metadata(c.rootfs("/tmp/mine")).unwrap();
    assert_eq!((meta.uid(), meta.gid()), (100_000, 100_000));
}

/// All the defaults work in a user namespace: devices are binds of the host's, and they work.
#[test]
fn default_devices_work_in_a_user_namespace() {
    need!(root, user_namespace);
    let c = Bundle::new()
        .user_namespace()
        .probe("stat /dev/null -- write /dev/null x -- lstat /dev/fd -- list /dev/pts".split(' '))
        .run();
    assert_eq!(c.value("stat")["type"], "char");
    assert_eq!(
        (c.value("stat")["major"].clone(), c.value("stat")["minor"].clone()),
        (json!(1), json!(3))
    );
    assert_eq!(c.fact("write"), "ok");
    assert_eq!(c.value("lstat")["type"], "link");
}

/// A configured device node becomes a bind of the host's where mknod is refused.
#[test]
fn configured_devices_are_bound_in_a_user_namespace() {
    need!(root, user_namespace);
    // Bound from the path on the host, so the host must have it under that name.
    let named = json!({ "path": "/dev/full", "type": "c", "major": 1, "minor": 7 });
    let c = Bundle::new()
        .user_namespace()
        .push("/linux/devices", named)
        .probe(["stat", "/dev/full"])
        .run();
    assert_eq!(c.value("stat")["minor"], 7);
}

/// Capabilities are full inside and nothing outside.
#[test]
fn capabilities_count_only_inside() {
    need!(root, user_namespace);
    let c = Bundle::new()
        .user_namespace()
        .capabilities(&["CAP_SYS_ADMIN", "CAP_MKNOD"])
        .probe("mount-tmpfs /tmp -- mknod /root/null c 1 3 -- sethostname inside".split(' '))
        .run();
    assert_eq!(c.fact("mount-tmpfs"), "ok");
    assert_ne!(c.errno("mknod"), "");
    assert_eq!(c.fact("sethostname"), "ok");
}

/// A user namespace is joined by path, with the ids that it maps.
#[test]
fn a_user_namespace_is_joined_by_path() {
    need!(root, user_namespace);
    let holder = Holder::unshare(&["--user", "--map-root-user"]);
    // Only id 0 is mapped there, so devpts cannot be asked for gid 5.
    let c = Bundle::new()
        .set("/mounts/2/options", json!(["nosuid", "noexec", "newinstance", "ptmxmode=0666"]))
        .namespace("user", &holder.path("user"))
        .probe(["ns", "--", "read", "/proc/self/uid_map"])
        .run();
    assert_eq!(c.value("ns")["user"], holder.inode("user").as_str());
}

/// Mappings without a user namespace change nobody's ids: refused, or without effect.
///
/// runc: passes them over.
#[test]
fn mappings_without_a_namespace_change_nothing() {
    need!(root);
    let map = json!([{ "containerID": 0, "hostID": 100_000, "size": 10 }]);
    let c = Bundle::new()
        .set("/linux/uidMappings", map.clone())
        .set("/linux/gidMappings", map)
        .probe(["ns", "--", "create", "/tmp/mine"])
        .try_run();
    if c.code() == 0 {
        assert_eq!(c.value("ns")["user"], host::namespace("self", "user").as_str());
        assert_eq!(std::fs::metadata(c.rootfs("/tmp/mine")).unwrap().uid(), 0);
    } else {
        assert!(c.output.refused().to_lowercase().contains("user namespace"), "{:?}", c.output);
    }
}

/// A new user namespace without mappings is refused.
#[test]
fn a_namespace_without_mappings_is_refused() {
    need!(root);
    let message = Bundle::new().namespace("user", "").refused();
    assert!(message.to_lowercase().contains("mapping"), "{message}");
}

/// Overlapping ranges are refused with the map in the message, not with a bare number.
#[test]
fn overlapping_ranges_are_refused() {
    need!(root);
    let map = json!([
        { "containerID": 0, "hostID": 100_000, "size": 10 },
        { "containerID": 5, "hostID": 200_000, "size": 10 }
    ]);
    let message = Bundle::new()
        .user_namespace()
        .set("/linux/uidMappings", map.clone())
        .set("/linux/gidMappings", map)
        .refused();
    assert!(
        message.to_lowercase().contains("invalid argument") || message.contains("overlap"),
        "{message}"
    );
}

/// The program's ids must be mapped.
#[test]
fn an_unmapped_user_is_refused() {
    need!(root);
    let _ = Bundle::new()
        .user_namespace()
        .set("/process/user", json!({ "uid": 70_000, "gid": 0 }))
        .refused();
}

/// A bind mount with a mapping of its own shows the host's owner as the container's (Linux 5.12).
///
/// runc 1.1.5: has no idmapped mounts.
#[test]
fn an_idmapped_bind_shows_mapped_owners() {
    need!(root, user_namespace);
    let bundle = Bundle::new().user_namespace();
    let source = bundle.outside("volume");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("file"), "x").unwrap();
    chown(source.join("file"), Some(5), Some(6)).unwrap();
    let map = json!([{ "containerID": 0, "hostID": 100_000, "size": 65536 }]);
    let c = bundle
        .push(
            "/mounts",
            json!({
                "destination": "/volume", "source": source, "type": "bind", "options": ["bind", "idmap"],
                "uidMappings": map, "gidMappings": map
            }),
        )
        .probe(["stat", "/volume/file", "--", "create", "/volume/made"])
        .run();
    assert_eq!(
        (c.value("stat")["uid"].clone(), c.value("stat")["gid"].clone()),
        (json!(5), json!(6))
    );
    assert_eq!(c.fact("create"), "ok");
    assert_eq!(std::fs::metadata(c.outside("volume/made")).unwrap().uid(), 0);
}

/// `uidMappings` without `gidMappings` on a mount is refused.
#[test]
fn half_a_mount_mapping_is_refused() {
    need!(root);
    let map = json!([{ "containerID": 0, "hostID": 100_000, "size": 65536 }]);
    let bundle = Bundle::new().user_namespace();
    let _ = bundle
        .push(
            "/mounts",
            json!({
                "destination": "/volume", "source": "/tmp", "type": "bind", "options": ["bind", "idmap"],
                "uidMappings": map
            }),
        )
        .refused();
}

/// A sysfs without a network namespace of one's own may not be mounted in a user namespace: the host's is shown
/// instead, read-only as asked.
///
/// runc 1.5.0: cannot.
#[test]
fn sysfs_of_the_hosts_network_is_readonly() {
    need!(root, user_namespace);
    let c = Bundle::new()
        .user_namespace()
        .without_namespace("network")
        .probe("mount /sys -- readable /sys/class/net -- create /sys/x".split(' '))
        .run();
    let options = c.value("mount")["options"].as_str().unwrap().to_owned();
    assert!(options.split(',').any(|o| o == "ro"), "{options}");
    assert_eq!(c.errno("create"), "EROFS");
}

/// A bundle with a volume: `file` belongs to 5:6, and so does `below/file` on a mount of its own.
struct Volume {
    bundle: Bundle,
    source: std::path::PathBuf,
    below: Covered,
}

impl Volume {
    fn new() -> Self {
        let bundle = Bundle::new();
        let (source, other) = (bundle.outside("volume"), bundle.outside("other"));
        let below = source.join("below");
        for dir in [&below, &other] {
            std::fs::create_dir_all(dir).unwrap();
        }
        for file in [source.join("file"), other.join("file")] {
            std::fs::write(&file, "x").unwrap();
            chown(&file, Some(5), Some(6)).unwrap();
        }
        let covered = Covered::new(&other, &below);
        Self { bundle, source, below: covered }
    }

    /// The owners that the container sees, above and below: `5:6 5:6`.
    fn owners(self, options: &[&str], first: Option<u32>) -> String {
        let mut mount = json!({
            "destination": "/volume", "source": self.source, "type": "bind", "options": options
        });
        if let Some(first) = first {
            let map = json!([{ "containerID": 0, "hostID": first, "size": 65536 }]);
            mount["uidMappings"] = map.clone();
            mount["gidMappings"] = map;
        }
        let questions = ["stat", "/volume/file", "--", "stat", "/volume/below/file"];
        let place = self.bundle.place();
        let c = self.bundle.push("/mounts", mount).probe(questions).run();
        let owner = |file: &str| {
            let stat = c.value(&format!("stat {file}"));
            format!("{}:{}", stat["uid"], stat["gid"])
        };
        let seen = format!("{} {}", owner("/volume/file"), owner("/volume/below/file"));
        drop(self.below);
        drop(place);
        seen
    }

    fn in_user_namespace(mut self) -> Self {
        self.bundle = self.bundle.user_namespace();
        self
    }
}

/// `idmap` maps the mount, `ridmap` what is below it too; without mappings it is the container's that count.
#[test]
fn idmaps_are_recursive_when_asked() {
    need!(root, user_namespace);
    let seen = |option| Volume::new().in_user_namespace().owners(&["rbind", option], None);
    assert_eq!(seen("ridmap"), "5:6 5:6");
    assert_eq!(seen("idmap"), "5:6 65534:65534");
    assert_eq!(seen("rprivate"), "65534:65534 65534:65534");
}

/// A mount's own mappings need not be the container's: what comes out is seen through the container's.
#[test]
fn a_mount_has_mappings_of_its_own() {
    need!(root, user_namespace);
    let seen = Volume::new().in_user_namespace().owners(&["rbind", "ridmap"], Some(100_010));
    assert_eq!(seen, "15:16 15:16");
    // Mappings without a word map that mount.
    let seen = Volume::new().in_user_namespace().owners(&["rbind"], Some(100_010));
    assert_eq!(seen, "15:16 65534:65534");
    // Without a user namespace they are seen as they come out.
    let seen = Volume::new().owners(&["rbind", "ridmap"], Some(1000));
    assert_eq!(seen, "1005:1006 1005:1006");
    let seen = Volume::new().owners(&["rbind", "idmap"], Some(1000));
    assert_eq!(seen, "1005:1006 5:6");
}

/// crun's words for a mount's own mappings, which podman hands on: absolute, and with `@` through the
/// container's.
///
/// runc: refuses them.
#[test]
fn mappings_may_be_words() {
    need!(root, user_namespace);
    let seen = |word: &str| Volume::new().in_user_namespace().owners(&["rbind", word], None);
    assert_eq!(seen("ridmap=uids=0-100010-50;gids=0-100020-50"), "15:26 15:26");
    assert_eq!(seen("idmap=uids=@0-10-50;gids=@0-20-50"), "15:26 65534:65534");
    let refused = |word: &str| {
        let bind = ["bind", word];
        Bundle::new().user_namespace().mount("bind", "/tmp", "/volume", &bind).refused()
    };
    let message = refused("idmap=uids=0-100000-10");
    assert!(message.contains("mounts[") && message.contains("both uid and gid"), "{message}");
    let message = refused("idmap=uids=0-1-10#5-20-10;gids=0-1-1");
    assert!(message.contains("overlaps entry 0"), "{message}");
}

/// Covers a directory with an idmapped mount of it, 0 to 65535 as 100000 to 165535, and goes on with the rest.
const IDMAPPED: &str = r#"
    my $dir = shift;
    pipe(my $read, my $write);
    my $owner = fork // die;
    if (!$owner) {
        syscall(272, 0x10000000) == 0 or die "unshare: $!"; # CLONE_NEWUSER
        syswrite $write, "x";
        exec "sleep", "60";
    }
    close $write;
    sysread($read, my $done, 1) or die "no user namespace";
    for my $map ("uid_map", "gid_map") {
        open(my $file, ">", "/proc/$owner/$map") or die "$map: $!";
        syswrite($file, "0 100000 65536") or die "$map: $!";
    }
    open(my $ids, "<", "/proc/$owner/ns/user") or die;
    my $tree = syscall(428, -100, $dir, 0x80001); # open_tree: OPEN_TREE_CLONE, OPEN_TREE_CLOEXEC
    $tree >= 0 or die "open_tree: $!";
    my $attr = pack("QQQQ", 0x100000, 0, 0, fileno $ids); # MOUNT_ATTR_IDMAP
    my ($none, $empty) = ("", 0x1000);
    syscall(442, $tree, $none, $empty, $attr, 32) == 0 or die "mount_setattr: $!";
    syscall(429, $tree, $none, -100, $dir, 4) == 0 or die "move_mount: $!";
    kill 9, $owner;
    waitpid $owner, 0;
    exec @ARGV;"#;

/// A root file system that the caller has mapped for the container's ids, as containerd's and podman's idmapped
/// layers are: owners inside are those on disk, and so are those of what is made.
#[test]
fn a_rootfs_that_is_idmapped_keeps_its_owners() {
    need!(root, user_namespace, file("/usr/bin/perl"));
    let bundle = Bundle::new().file("/file", "x");
    chown(bundle.rootfs("/file"), Some(5), Some(6)).unwrap();
    let rootfs = bundle.rootfs("").to_string_lossy().into_owned();
    let map = json!([{ "containerID": 0, "hostID": 100_000, "size": 65536 }]);
    let c = bundle
        .namespace("user", "")
        .set("/linux/uidMappings", map.clone())
        .set("/linux/gidMappings", map)
        .mount("tmpfs", "tmpfs", "/deep/new", &["nosuid"])
        .probe("stat /file -- create /made -- stat /deep -- stat /dev/null".split(' '))
        .under(&["unshare", "-m", "--propagation", "private", "perl", "-e", IDMAPPED, &rootfs])
        .run();
    let owner = |file: &str| {
        let stat = c.value(&format!("stat {file}"));
        format!("{}:{}", stat["uid"], stat["gid"])
    };
    assert_eq!((owner("/file"), owner("/deep")), ("5:6".to_owned(), "0:0".to_owned()));
    assert_eq!(c.fact("create"), "ok");
    assert_eq!(c.value("stat /dev/null")["minor"], 3);
    for made in ["/made", "/deep/new", "/dev", "/proc"] {
        let meta = std::fs::metadata(c.rootfs(made)).unwrap();
        assert_eq!((meta.uid(), meta.gid()), (0, 0), "{made}");
    }
}
