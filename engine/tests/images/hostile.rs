//! Archives that mean harm: nothing outside of the layer is read or changed, whatever they say.

use std::os::unix::fs::{MetadataExt, symlink};

use corten_engine::layer::tar::{Entry, Kind};
use corten_engine::layer::unpack;

use crate::lab::{Lab, can, dir, file, link, tar, tree};

/// Unpacks into a fresh directory of the lab; what the layer became, or why not.
fn attempt(lab: &Lab, archive: &[u8]) -> Result<std::path::PathBuf, String> {
    let name = corten_engine::fsutil::random_name().unwrap();
    let dest = lab.path(&name);
    unpack(archive, &dest).map(|_| dest).map_err(|error| error.to_string())
}

#[test]
fn what_would_lead_out_stays_inside_or_is_refused() {
    if !can(&[]) {
        return;
    }
    let lab = Lab::new();
    let outside = lab.path("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("secret"), "secret").unwrap();
    let before = tree(&outside);
    let to = outside.display().to_string();
    let up = format!("../outside/{}", "x");
    let through = |target: &str| {
        tar(&[
            (dir("deep"), b""),
            (link(Kind::Symlink, "deep/out", target), b""),
            (file("deep/out/new"), b"new"),
            (file("deep/out/.wh.secret"), b""),
            (file("deep/out/.wh..wh..opq"), b""),
            (dir("deep/out/dir"), b""),
            (Entry { mode: 0o777, ..dir("deep/out") }, b""),
        ])
    };
    let stolen = |target: &str| tar(&[(link(Kind::HardLink, "stolen", target), b"")]);
    let via_link = tar(&[
        (link(Kind::Symlink, "out", &to), b""),
        (link(Kind::HardLink, "stolen", "out/secret"), b""),
    ]);
    let renamed = tar(&[
        (dir("a"), b""),
        (file("a/x"), b""),
        (link(Kind::Symlink, "a", &to), b""),
        (file("a/x"), b"y"),
    ]);
    for archive in [
        through(&to),
        through("../../outside"),
        through("../../../../../../../../outside"),
        via_link,
        renamed,
        stolen(&format!("{to}/secret")),
        tar(&[(file(&to), b"x")]),
    ] {
        if let Ok(dest) = attempt(&lab, &archive) {
            assert!(!dest.join("stolen").exists());
        }
        assert_eq!(tree(&outside), before);
    }
    for archive in [tar(&[(file(&up), b"x")]), tar(&[(file("a/../../x"), b"")]), stolen("../x")] {
        let error = attempt(&lab, &archive).unwrap_err();
        assert!(error.contains("leads out of the layer"), "{error}");
    }
    assert_eq!(tree(&outside), before);
}

#[test]
fn what_is_no_layer_is_refused_in_words() {
    if !can(&[]) {
        return;
    }
    let lab = Lab::new();
    let cases = [
        (file(".wh."), "a deletion of nothing"),
        (file("a/.wh..."), "a deletion of nothing"),
        (Entry { uid: u64::from(u32::MAX), ..file("x") }, "out of range"),
        (file(&"n".repeat(300)), "file name too long"),
        (file(&"d/".repeat(2500)), "file name too long"),
        (Entry::new(Kind::Other(b'M'), "x", 0), "type 'M'"),
        (file("."), "the root of a layer is a directory"),
        (link(Kind::HardLink, "x", "x"), "a hard link to itself"),
        (link(Kind::HardLink, "x", "/"), "a hard link to the root"),
    ];
    for (entry, why) in cases {
        let error = attempt(&lab, &tar(&[(entry, b"")])).unwrap_err();
        assert!(error.contains(why), "{error}, not {why}");
    }
    let below_file = tar(&[(file("f"), b""), (file("f/x"), b"")]);
    let error = attempt(&lab, &below_file).unwrap_err();
    assert!(error.contains("is no directory"), "{error}");
    let loops = tar(&[
        (link(Kind::Symlink, "a", "b"), b""),
        (link(Kind::Symlink, "b", "a"), b""),
        (file("a/x"), b""),
    ]);
    assert!(attempt(&lab, &loops).unwrap_err().contains("symbolic links"));
}

#[test]
fn attributes_that_steer_overlayfs_are_left_out() {
    if !can(&[]) {
        return;
    }
    let lab = Lab::new();
    let names = ["trusted.overlay.redirect", "trusted.overlay.opaque", "user.overlay.metacopy"];
    let mut entry = dir("d");
    entry.xattrs = names.map(|name| (name.as_bytes().to_vec(), b"/etc".to_vec())).to_vec();
    let dest = attempt(&lab, &tar(&[(entry, b"")])).unwrap();
    assert!(tree(&dest)["d"].ends_with("{}"), "{:?}", tree(&dest));
}

#[test]
fn what_comes_twice_is_the_last_one() {
    if !can(&[]) {
        return;
    }
    let lab = Lab::new();
    let dest = attempt(
        &lab,
        &tar(&[
            (dir("a"), b""),
            (file("a/b"), b"1"),
            (file("a"), b"now a file"),
            (file("x"), b"1"),
            (link(Kind::HardLink, "y", "x"), b""),
            (file("x"), b"2"),
            (dir("d"), b""),
            (file("d/kept"), b""),
            (Entry { mode: 0o700, mtime: (99, 0), ..dir("d") }, b""),
            (link(Kind::Symlink, "l", "d"), b""),
            (dir("l"), b""),
        ]),
    )
    .unwrap();
    let read = |name: &str| std::fs::read_to_string(dest.join(name)).unwrap();
    assert_eq!((read("a"), read("x"), read("y")), ("now a file".into(), "2".into(), "1".into()));
    assert!(dest.join("d/kept").exists() && dest.join("l").symlink_metadata().unwrap().is_dir());
    let meta = dest.join("d").metadata().unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.mtime()), (0o700, 99));
}

/// Entries made of few names, so that they meet: whatever they do, they do it inside.
#[test]
fn any_sequence_of_entries_stays_inside() {
    if !can(&[]) {
        return;
    }
    let lab = Lab::new();
    let outside = lab.path("outside");
    std::fs::create_dir_all(outside.join("a/b")).unwrap();
    std::fs::write(outside.join("a/f"), "untouched").unwrap();
    symlink("a", outside.join("link")).unwrap();
    let before = tree(&outside);
    let to = outside.display().to_string();
    let parts = ["a", "b", "f", ".wh.a", ".wh..wh..opq", "..", "", "link", "."];
    let targets = [to.as_str(), "..", "a", "../outside", "/", "b/f", "../../a", "link", "."];
    let mut state = 0x853c_49e6_748f_ea9b_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap() % below
    };
    let (mut done, mut refused) = (0, 0);
    for _ in 0..400 {
        let mut entries = Vec::new();
        for _ in 0..next(12) + 1 {
            let path: Vec<&str> = (0..next(3) + 1).map(|_| parts[next(parts.len())]).collect();
            let path = format!("{}x", path.join("/")).trim_end_matches('x').to_owned() + "f";
            let path = if next(2) == 0 { path.trim_end_matches('f').to_owned() } else { path };
            let path = if path.is_empty() { "a".to_owned() } else { path };
            let target = targets[next(targets.len())];
            entries.push(match next(5) {
                0 => dir(&path),
                1 => link(Kind::Symlink, &path, target),
                2 => link(Kind::HardLink, &path, target),
                3 => Entry::new(Kind::Fifo, path, 0o600),
                _ => file(&path),
            });
        }
        let archive: Vec<(Entry, &[u8])> =
            entries.into_iter().map(|entry| (entry, b"".as_slice())).collect();
        match attempt(&lab, &tar(&archive)) {
            Ok(dest) => {
                done += 1;
                corten_engine::fsutil::remove_tree(&dest).unwrap();
            }
            Err(_) => refused += 1,
        }
        assert_eq!(tree(&outside), before);
    }
    assert!(done > 20 && refused > 20, "{done} {refused}");
}
