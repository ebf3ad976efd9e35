//! The table of mount options of config.md: each word does what mount(8) says.

use std::fs;

use harness::{Bundle, need};
use serde_json::Value;

/// Words, and what mountinfo must (`+`) and must not (`-`) say afterwards.
const TABLE: &[(&[&str], &[&str])] = &[
    (&["ro"], &["+ro"]),
    (&["ro", "rw"], &["+rw"]),
    (&["nosuid"], &["+nosuid"]),
    (&["nosuid", "suid"], &["-nosuid"]),
    (&["nodev"], &["+nodev"]),
    (&["nodev", "dev"], &["-nodev"]),
    (&["noexec"], &["+noexec"]),
    (&["noexec", "exec"], &["-noexec"]),
    (&["noatime"], &["+noatime"]),
    (&["noatime", "atime"], &["-noatime"]),
    (&["nodiratime"], &["+nodiratime"]),
    (&["nodiratime", "diratime"], &["-nodiratime"]),
    (&["relatime"], &["+relatime"]),
    (&["strictatime"], &["-relatime", "-noatime"]),
    (&["strictatime", "nostrictatime"], &["+relatime"]),
    (&["relatime", "norelatime"], &[]),
    (&["nosymfollow"], &["+nosymfollow"]),
    (&["nosymfollow", "symfollow"], &["-nosymfollow"]),
    (&["sync"], &["+sync"]),
    (&["sync", "async"], &["-sync"]),
    (&["dirsync"], &["+dirsync"]),
    (&["lazytime"], &["+lazytime"]),
    (&["lazytime", "nolazytime"], &["-lazytime"]),
    (&["iversion"], &[]),
    (&["iversion", "noiversion"], &[]),
    (&["silent"], &[]),
    (&["silent", "loud"], &[]),
    (&["mand", "nomand"], &[]),
    (&["defaults"], &["+rw", "-nosuid", "-nodev", "-noexec"]),
    (
        &["nosuid", "nodev", "noexec", "ro", "noatime"],
        &["+nosuid", "+nodev", "+noexec", "+ro", "+noatime"],
    ),
];

fn check(mount: &Value, words: &[&str], expected: &[&str]) {
    let all =
        format!("{},{}", mount["options"].as_str().unwrap(), mount["super"].as_str().unwrap());
    for want in expected {
        // `ro` and `rw` are asked of the mount, not of the super block.
        let of = if want.ends_with("ro") || want.ends_with("rw") {
            mount["options"].as_str().unwrap()
        } else {
            &all
        };
        let (yes, name) = (want.starts_with('+'), &want[1..]);
        assert_eq!(of.split(',').any(|o| o == name), yes, "{words:?} wants {want}: {mount}");
    }
}

/// Every option on a tmpfs.
///
/// runc 1.1.5: has no `nosymfollow`, `lazytime`, `iversion` words yet.
#[test]
fn each_option_works_on_a_new_file_system() {
    need!(root);
    let mut bundle = Bundle::new();
    let mut args = vec!["/bin/probe".to_owned()];
    for (row, (words, _)) in TABLE.iter().enumerate() {
        bundle = bundle.mount("tmpfs", "tmpfs", &format!("/t/{row}"), words);
        args.extend(["mount".to_owned(), format!("/t/{row}"), "--".to_owned()]);
    }
    let c = bundle.args(&args).run();
    for (row, (words, expected)) in TABLE.iter().enumerate() {
        check(c.value(&format!("mount /t/{row}")), words, expected);
    }
}

/// Every option that belongs to the mount, on a bind.
#[test]
fn each_mount_option_works_on_a_bind() {
    need!(root);
    let of_mount = |w: &&str| {
        ["ro", "rw", "suid", "dev", "exec", "atime", "follow"].iter().any(|p| w.ends_with(p))
            && !w.starts_with("no strict")
    };
    let mut bundle = Bundle::new();
    let source = bundle.outside("vol");
    fs::create_dir(&source).unwrap();
    let mut args = vec!["/bin/probe".to_owned()];
    let rows: Vec<usize> = (0..TABLE.len())
        .filter(|r| {
            TABLE[*r].0.iter().all(of_mount) && !TABLE[*r].0.iter().any(|w| w.contains("lazytime"))
        })
        .collect();
    for row in &rows {
        bundle = bundle.bind(&source, &format!("/t/{row}"), TABLE[*row].0);
        args.extend(["mount".to_owned(), format!("/t/{row}"), "--".to_owned()]);
    }
    let c = bundle.args(&args).run();
    assert!(rows.len() > 10);
    for row in rows {
        check(c.value(&format!("mount /t/{row}")), TABLE[row].0, TABLE[row].1);
    }
}

/// Recursive words, and what the mount *below* a bound tree must say.
const RECURSIVE: &[(&[&str], &[&str])] = &[
    (&["rro"], &["+ro"]),
    (&["rro", "rrw"], &["+rw"]),
    (&["rnosuid"], &["+nosuid"]),
    (&["rnosuid", "rsuid"], &["-nosuid"]),
    (&["rnodev"], &["+nodev"]),
    (&["rnodev", "rdev"], &["-nodev"]),
    (&["rnoexec"], &["+noexec"]),
    (&["rnoexec", "rexec"], &["-noexec"]),
    (&["rnodiratime"], &["+nodiratime"]),
    (&["rnodiratime", "rdiratime"], &["-nodiratime"]),
    (&["rnoatime"], &["+noatime"]),
    (&["rnoatime", "ratime"], &["-noatime"]),
    (&["rrelatime"], &["+relatime"]),
    (&["rstrictatime"], &["-relatime", "-noatime"]),
    (&["rnosymfollow"], &["+nosymfollow"]),
    (&["rnosymfollow", "rsymfollow"], &["-nosymfollow"]),
    (&["ro"], &["+rw"]),
];

/// Recursive options reach the mounts below; plain ones do not.
///
/// runc 1.1.5: has no recursive options yet.
#[test]
fn recursive_options_reach_the_tree() {
    need!(root);
    let mut bundle = Bundle::new();
    let tree = bundle.outside("tree");
    fs::create_dir_all(tree.join("sub")).unwrap();
    let prelude = format!("mount -t tmpfs sub '{}/sub'", tree.display());
    bundle = bundle.under(&["unshare", "-m", "--propagation", "private"]).after(&prelude);
    let mut args = vec!["/bin/probe".to_owned()];
    for (row, (words, _)) in RECURSIVE.iter().enumerate() {
        let mut options = vec!["rbind"];
        options.extend(*words);
        bundle = bundle.mount("bind", &tree.to_string_lossy(), &format!("/t/{row}"), &options);
        args.extend(["mount".to_owned(), format!("/t/{row}/sub"), "--".to_owned()]);
    }
    let c = bundle.args(&args).run();
    for (row, (words, expected)) in RECURSIVE.iter().enumerate() {
        check(c.value(&format!("mount /t/{row}/sub")), words, expected);
    }
}

/// A read-only bind of a read-write source refuses writes, and leaves the source writable.
#[test]
fn a_readonly_bind_refuses_writes() {
    need!(root);
    let bundle = Bundle::new();
    let source = bundle.outside("vol");
    fs::create_dir(&source).unwrap();
    let c = bundle
        .bind(&source, "/ro", &["ro"])
        .bind(&source, "/rw", &[])
        .probe(["create", "/ro/x", "--", "create", "/rw/y"])
        .run();
    assert_eq!(c.errno("create /ro/x"), "EROFS");
    assert_eq!(c.fact("create /rw/y"), "ok");
}

/// `remount` changes the mount that is there.
#[test]
fn remount_changes_an_earlier_mount() {
    need!(root);
    let bundle = Bundle::new();
    let source = bundle.outside("vol");
    fs::create_dir(&source).unwrap();
    let c = bundle
        .bind(&source, "/vol", &[])
        .mount("bind", &source.to_string_lossy(), "/vol", &["bind", "remount", "ro", "nosuid"])
        .probe(["mount", "/vol", "--", "create", "/vol/x"])
        .run();
    assert_eq!(c.errno("create"), "EROFS");
    check(c.value("mount"), &["remount", "ro", "nosuid"], &["+ro", "+nosuid"]);
}

/// A word that no table knows goes to the file system, which refuses it: an error, not silence.
#[test]
fn an_option_nobody_knows_is_refused_by_the_file_system() {
    need!(root);
    let message = Bundle::new().mount("tmpfs", "tmpfs", "/t", &["moonlight"]).refused();
    assert!(message.contains("invalid argument") || message.contains("moonlight"), "{message}");
}

/// Options of the file system itself reach it.
#[test]
fn file_system_options_are_passed_on() {
    need!(root);
    let c = Bundle::new()
        .mount("tmpfs", "tmpfs", "/t", &["nr_inodes=100", "noexec", "size=1m"])
        .probe(["mount", "/t"])
        .run();
    check(c.value("mount"), &["nr_inodes"], &["+nr_inodes=100", "+noexec", "+size=1024k"]);
}

/// The flags of an existing mount that the kernel locks in a user namespace are kept on a bind.
#[test]
fn locked_flags_survive_a_bind_in_a_user_namespace() {
    need!(root, user_namespace);
    let bundle = Bundle::new().user_namespace();
    let source = bundle.outside("vol");
    fs::create_dir(&source).unwrap();
    let prelude = format!("mount -t tmpfs -o nosuid,nodev,noexec t '{}'", source.display());
    let c = bundle
        .under(&["unshare", "-m", "--propagation", "private"])
        .after(&prelude)
        .bind(&source, "/vol", &["ro"])
        .probe(["mount", "/vol"])
        .run();
    check(c.value("mount"), &["ro"], &["+ro", "+nosuid", "+nodev", "+noexec"]);
}
