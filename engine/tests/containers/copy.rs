//! `cp`: what a path means, what a copy keeps, and that nothing leads out of the container.

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::pier::{Pier, Said};

/// Both states of a container: one that runs and one that does not, of the same image.
const BOTH: [&str; 2] = ["runs", "stands"];

/// An engine with the root file system as image `base`, and a container of it in both states.
fn lab(flags: &[&str]) -> Option<Pier> {
    let pier = Pier::new()?;
    let tar = Command::new("tar").args(["-C", &pier.rootfs(), "-c", "."]).output().unwrap();
    assert!(pier.say_with(&["import", "-", "base"], &tar.stdout).code == 0);
    let sleep = |verb: &'static str, name: &'static str| {
        let head = [&[verb, "--name", name, "--network", "none"], flags].concat();
        let all = [&head[..], &["base", "sleep", "1000"]].concat();
        pier.out(&all);
    };
    sleep("create", "stands");
    sleep("create", "runs");
    pier.out(&["start", "runs"]);
    Some(pier)
}

/// A directory of the machine's with a file, a link, a hard link and a fifo.
fn tree(pier: &Pier) -> String {
    let dir = pier.path("tree");
    fs::create_dir_all(dir.join("inner")).unwrap();
    fs::write(dir.join("file"), "text").unwrap();
    std::os::unix::fs::chown(dir.join("file"), Some(1234), Some(1235)).unwrap();
    // After the owner, which takes set-id bits away.
    fs::set_permissions(dir.join("file"), fs::Permissions::from_mode(0o4751)).unwrap();
    fs::hard_link(dir.join("file"), dir.join("inner/hard")).unwrap();
    symlink("file", dir.join("link")).unwrap();
    fs::set_permissions(dir.join("inner"), fs::Permissions::from_mode(0o1710)).unwrap();
    let made = |args: &[&str]| {
        let status = Command::new(args[0]).args(&args[1..]).status().unwrap();
        assert!(status.success(), "{args:?}");
    };
    let at = |name: &str| dir.join(name).display().to_string();
    made(&["mkfifo", &at("fifo")]);
    made(&["touch", "-h", "-d", "2001-02-03T04:05:06.789Z", &at("file"), &at("link")]);
    made(&["touch", "-d", "2002-02-03T04:05:06Z", &at("inner")]);
    dir.display().to_string()
}

/// Type, mode, owner, size, time, links and target of everything below a directory, by find(1).
fn listed(dir: &Path, owners: bool) -> String {
    let ids = if owners { "%U:%G" } else { "" };
    let format = format!("%P %y %m {ids} %s %T@ %n %l\\n");
    let mut find = Command::new("find");
    // The size of a directory is its file system's matter.
    find.arg(dir).args(["-mindepth", "1", "(", "-type", "d", "-printf"]);
    find.arg(format.replace(" %s", "").replace(" %n", "")).args([")", "-o", "-printf", &format]);
    let output = find.output().unwrap();
    assert!(output.status.success());
    let mut lines: Vec<_> =
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    lines.join("\n")
}

fn refused(said: &Said, words: &str) {
    assert!(said.code == 1 && said.err.contains(words), "{words}: {said:?}");
}

#[test]
fn a_tree_goes_in_and_comes_out_as_it_was() {
    let Some(pier) = lab(&["-v", "data:/data"]) else { return };
    let tree = tree(&pier);
    for name in BOTH {
        for place in ["/new".to_owned(), format!("/data/{name}")] {
            pier.out(&["cp", &tree, &format!("{name}:{place}")]);
            let back = pier.path(&format!("{name}{}", place.replace('/', "-")));
            let back = back.to_str().unwrap();
            pier.out(&["cp", "-a", &format!("{name}:{place}"), back]);
            assert_eq!(listed(Path::new(back), true), listed(Path::new(&tree), true), "{name}");
        }
        // Without --archive what comes out is the caller's.
        let own = pier.path(&format!("{name}-own"));
        pier.out(&["cp", &format!("{name}:/new"), own.to_str().unwrap()]);
        assert_eq!(listed(&own, false), listed(Path::new(&tree), false));
        assert_eq!(fs::metadata(own.join("file")).unwrap().uid(), 0);
    }
    let seen = pier.out(&["exec", "runs", "ls", "-ln", "/new/file", "/data/runs/inner/hard"]);
    assert_eq!(seen.matches("-rwsr-x--x    2 1234     1235").count(), 2, "{seen}");
}

#[test]
fn a_path_means_what_docker_says() {
    let Some(pier) = lab(&[]) else { return };
    let tree = tree(&pier);
    let file = format!("{tree}/file");
    for name in BOTH {
        let to = |from: &str, path: &str| pier.say(&["cp", from, &format!("{name}:{path}")]);
        let ok = |from: &str, path: &str| assert_eq!(to(from, path).code, 0, "{from} {path}");
        let has = |path: &str| pier.say(&["cp", &format!("{name}:{path}"), "-"]).code == 0;
        // A directory: under its own name where the destination is there, else under that one.
        ok(&tree, "/tmp");
        assert!(has("/tmp/tree/inner/hard"), "{name}");
        ok(&tree, "/tmp/made");
        assert!(has("/tmp/made/file"));
        ok(&format!("{tree}/."), "/tmp/made/");
        assert!(has("/tmp/made/inner") && !has("/tmp/made/tree"));
        ok(&tree, "/tmp/made");
        assert!(has("/tmp/made/tree/link"));
        // A file.
        ok(&file, "/tmp");
        ok(&file, "/tmp/renamed");
        ok(&file, "/tmp/renamed");
        assert!(has("/tmp/file") && has("/tmp/renamed"));
        // Links: the source's last one only when asked, the destination's always.
        ok(&format!("{tree}/link"), "/tmp/as-link");
        assert!(pier.say(&["cp", &format!("{name}:/tmp/as-link"), "-"]).out.contains("file"));
        pier.out(&["cp", "-L", &format!("{tree}/link"), &format!("{name}:/tmp/as-file")]);
        assert!(pier.say(&["cp", &format!("{name}:/tmp/as-file"), "-"]).out.contains("text"));
        ok(&file, "/tmp/as-link");
        assert!(has("/tmp/as-link"));
        let missing = |path: &str| format!("Could not find the file {path} in container {name}");
        refused(&to(&tree, "/etc/passwd"), "cannot copy directory");
        refused(&to(&file, "/none/x"), &missing("/none"));
        refused(&to(&file, "/none/"), "no such directory");
        refused(&to(&file, "/etc/passwd/"), "no such directory");
        refused(&to(&tree, "/etc/passwd/x"), "not a directory");
        refused(&to("none", "/"), "/none: no such file or directory");
        refused(&to(&format!("{file}/"), "/"), "not a directory");
        let from = |path: &str, to: &Path| {
            pier.say(&["cp", &format!("{name}:{path}"), to.to_str().unwrap()])
        };
        let here = pier.path(name);
        refused(&from("/none", &here), &missing("/none"));
        refused(&from("/etc/passwd/", &here), "not a directory");
        refused(&from("/etc/passwd", &here.join("x")), "does not exist");
        refused(&from("/etc/passwd", Path::new("/dev/null")), "got a device");
        refused(&from("/etc", Path::new(&file)), "cannot copy directory");
        let words = "cannot overwrite non-directory";
        fs::create_dir(&here).unwrap();
        fs::write(here.join("etc"), "").unwrap();
        refused(&from("/etc", &here), words);
    }
    let said = |args: &[&str]| pier.say(&[&["cp"], args].concat());
    refused(&said(&["a", "b"]), "must specify at least one container source");
    refused(&said(&["a:/x", "b:/x"]), "copying between containers is not supported");
    refused(&said(&["", "b:/x"]), "source can not be empty");
    refused(&said(&["runs:", "x"]), "path cannot be empty");
    refused(&said(&["none:/x", "x"]), "No such container: none");
    let told = said(&["-q=false", &file, "runs:/tmp/told"]);
    assert_eq!(told.err, "Successfully copied 2.05kB to runs:/tmp/told\n");
}

#[test]
fn archives_go_through_pipes() {
    let Some(pier) = lab(&[]) else { return };
    let tree = tree(&pier);
    let tar = |args: &[&str]| Command::new("tar").args(args).output().unwrap().stdout;
    for name in BOTH {
        let place = format!("{name}:/tmp");
        for more in ["-c", "-cz"] {
            let archive = tar(&["-C", &tree, more, "file", "inner"]);
            assert_eq!(pier.say_with(&["cp", "-", &place], &archive).code, 0);
        }
        pier.out(&["cp", &format!("{tree}/link"), &place]);
        let all = pier.path(name);
        fs::create_dir(&all).unwrap();
        let lists = [
            ("/tmp/.", "./"),
            ("/tmp", "tmp/"),
            ("/tmp/", "tmp/"),
            ("/tmp/../tmp/link", "link"),
            ("/tmp/inner/hard", "hard"),
        ];
        for (path, first) in lists {
            let out = pier.say(&["cp", &format!("{name}:{path}"), "-"]).out;
            // Where there is a part of a second, behind a header for it.
            assert!(format!("\0{out}").contains(&format!("\0{first}\0")), "{path}");
            let mut extract = Command::new("tar");
            let extract = extract.args(["-C", all.to_str().unwrap(), "-x"]).stdin(Stdio::piped());
            let mut child = extract.spawn().unwrap();
            std::io::Write::write_all(&mut child.stdin.take().unwrap(), out.as_bytes()).unwrap();
            assert!(child.wait().unwrap().success(), "{path}");
        }
        let (file, hard) = (all.join("file"), all.join("inner/hard"));
        assert_eq!(fs::metadata(&file).unwrap().ino(), fs::metadata(hard).unwrap().ino());
        assert_eq!(fs::read_to_string(file).unwrap(), "text");
        refused(&pier.say_with(&["cp", "-", &place], b"no archive"), "broken tar archive");
        let said = pier.say(&["cp", "-", &format!("{name}:/etc/passwd")]);
        let words = format!("destination \"{name}:/etc/passwd\" must be a directory");
        refused(&said, &words);
        let evil = tar(&["-C", &tree, "-P", "--transform", "s,^,../../../,", "-c", "file"]);
        refused(&pier.say_with(&["cp", "-", &place], &evil), "leads out of the destination");
    }
}

#[test]
fn holes_attributes_and_devices_are_kept() {
    let Some(pier) = lab(&[]) else { return };
    let dir = pier.path("odd");
    fs::create_dir(&dir).unwrap();
    let sparse = fs::File::create(dir.join("sparse")).unwrap();
    sparse.set_len(64 << 20).unwrap();
    sparse.write_all_at(b"middle", 32 << 20).unwrap();
    let null = rustix::fs::makedev(1, 3);
    let mode = rustix::fs::Mode::from_raw_mode(0o620);
    let device = rustix::fs::FileType::CharacterDevice;
    rustix::fs::mknodat(rustix::fs::CWD, dir.join("null"), device, mode, null).unwrap();
    fs::set_permissions(dir.join("null"), fs::Permissions::from_mode(0o620)).unwrap();
    let none = rustix::fs::XattrFlags::empty();
    let named = rustix::fs::setxattr(dir.join("sparse"), "user.colour", b"blue", none).is_ok();
    for name in BOTH {
        pier.out(&["cp", dir.to_str().unwrap(), &format!("{name}:/odd")]);
        let back = pier.path(name);
        pier.out(&["cp", &format!("{name}:/odd"), back.to_str().unwrap()]);
        let meta = fs::metadata(back.join("sparse")).unwrap();
        assert!(meta.len() == 64 << 20 && meta.blocks() < 1 << 11, "{meta:?}");
        let mut middle = [0; 6];
        fs::File::open(back.join("sparse")).unwrap().read_exact_at(&mut middle, 32 << 20).unwrap();
        assert_eq!(&middle, b"middle");
        let meta = fs::metadata(back.join("null")).unwrap();
        assert_eq!((meta.rdev(), meta.mode() & 0o7777), (null, 0o620));
        if named {
            let mut value = [0; 16];
            let read = rustix::fs::getxattr(back.join("sparse"), "user.colour", &mut value);
            assert_eq!(&value[..read.unwrap()], b"blue");
        }
    }
    // Files that say that they are empty.
    let said = pier.say(&["cp", "runs:/proc/1/cmdline", "-"]);
    assert!(said.out.contains("sleep\u{0}1000"), "{said:?}");
}

#[test]
fn what_is_read_only_is_refused_and_memory_is_not() {
    let Some(pier) = lab(&["--read-only", "--tmpfs", "/mem", "-v", "vol:/rw", "-v", "vol:/ro:ro"])
    else {
        return;
    };
    let tree = tree(&pier);
    for name in BOTH {
        let to = |path: &str| pier.say(&["cp", &tree, &format!("{name}:{path}")]);
        refused(&to("/tmp"), "container rootfs is marked read-only");
        refused(&to("/ro/x"), "mounted volume is marked read-only");
        assert_eq!(to("/rw/x").code, 0);
    }
    pier.out(&["cp", &tree, "runs:/mem"]);
    assert_eq!(pier.out(&["exec", "runs", "cat", "/mem/tree/link"]), "text");
    refused(&pier.say(&["cp", &tree, "stands:/mem"]), "container rootfs is marked read-only");
}

#[test]
fn an_owner_is_the_containers_user_when_asked() {
    let Some(pier) = lab(&["-u", "web"]) else { return };
    let tree = tree(&pier);
    for name in BOTH {
        for (flag, owner) in [("-q", "1234:1235"), ("-a", "33:34")] {
            pier.out(&["cp", flag, &tree, &format!("{name}:/tmp/{owner}")]);
            let back = pier.path(&format!("{name}{owner}"));
            pier.out(&["cp", "-a", &format!("{name}:/tmp/{owner}"), back.to_str().unwrap()]);
            let meta = fs::metadata(back.join("file")).unwrap();
            assert_eq!(format!("{}:{}", meta.uid(), meta.gid()), owner, "{name}");
        }
    }
}

/// CVE-2018-15664: a container that changes a directory into a link between look and use; and
/// links that lead to the machine, of every kind.
#[test]
fn no_link_of_the_container_leads_out_of_it() {
    let Some(pier) = lab(&[]) else { return };
    let tree = tree(&pier);
    let outside = pier.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret of the machine").unwrap();
    let out = outside.display().to_string();
    let deep = "../".repeat(30);
    for name in BOTH {
        for (link, target) in [("abs", out.clone()), ("rel", format!("{deep}{out}"))] {
            let made = pier.path(&format!("{name}-{link}"));
            symlink(&target, &made).unwrap();
            pier.out(&["cp", made.to_str().unwrap(), &format!("{name}:/tmp/{link}")]);
            let said = pier.say(&["cp", &format!("{name}:/tmp/{link}/secret"), "-"]);
            refused(&said, "Could not find the file");
            let said = pier.say(&["cp", "-L", &format!("{name}:/tmp/{link}"), "-"]);
            refused(&said, "Could not find the file");
            refused(&pier.say(&["cp", &tree, &format!("{name}:/tmp/{link}/x")]), "Could not find");
        }
        // The machine's own links below the destination: the archive does not go through them.
        let here = pier.path(&format!("{name}-here"));
        fs::create_dir(&here).unwrap();
        symlink(&outside, here.join("etc")).unwrap();
        let said = pier.say(&["cp", &format!("{name}:/etc"), here.to_str().unwrap()]);
        refused(&said, "cannot overwrite non-directory");
    }
    let flip = format!(
        "b=/bin/busybox; $b mkdir /flip; while :; do $b rm -rf /flip/x; $b mkdir -p /flip/x/tree; \
         $b rm -rf /flip/x; $b ln -s {out} /flip/x; done"
    );
    pier.out(&["exec", "-d", "runs", "sh", "-c", &flip]);
    for _ in 0..30 {
        // Whether it is a directory, a link or nothing in that moment: both are fine.
        pier.say(&["cp", &tree, "runs:/flip/x"]);
        let said = pier.say(&["cp", "runs:/flip/x", "-"]);
        assert!(!said.out.contains("secret of the machine"));
    }
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
}

#[test]
fn a_copy_leaves_no_trace_and_waits_for_nobody() {
    let Some(pier) = lab(&["-v", "vol:/etc"]) else { return };
    // Before the first start the volume has the image's content already.
    assert!(pier.say(&["cp", "stands:/etc/passwd", "-"]).out.contains("root:x:0"));
    pier.out(&["pause", "runs"]);
    assert!(pier.say(&["cp", "runs:/etc/passwd", "-"]).out.contains("root:x:0"));
    pier.out(&["unpause", "runs"]);
    pier.out(&["kill", "runs"]);
    pier.until("runs", "State.Running", "false");
    pier.out(&["cp", "runs:/etc/hosts", pier.path("hosts").to_str().unwrap()]);
    assert!(fs::read_to_string(pier.path("hosts")).unwrap().contains("localhost"));
    let live: Vec<_> = fs::read_dir(pier.path("run")).unwrap().collect();
    assert!(live.iter().all(|entry| entry.as_ref().unwrap().file_name().len() != 64), "{live:?}");
    pier.out(&["start", "runs"]);
    // A directory as root, with what its container runs.
    pier.start("plain", &[], "echo made >/tmp/made; sleep 1000");
    pier.until("plain", "State.Running", "true");
    let again = pier.path("tree-of-plain");
    pier.out(&["stop", "-t", "0", "plain"]);
    pier.out(&["cp", "plain:/tmp/made", again.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(again).unwrap(), "made\n");
    // One that ends again and again.
    pier.start("loops", &["--restart", "always"], "exit 1");
    let said = pier.say(&["cp", "loops:/etc/passwd", "-"]);
    assert!(said.out.contains("root:x:0") || said.err.contains("is restarting"), "{said:?}");
}
