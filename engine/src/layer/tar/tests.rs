//! Archives written here and read again, those of GNU tar, and bytes that are no archive.

use std::io::Read;
use std::process::{Command, Stdio};

use super::*;

/// Every entry with its data.
pub(crate) fn read(archive: &[u8]) -> io::Result<Vec<(Entry, Vec<u8>)>> {
    let mut reader = Reader::new(archive);
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let mut data = Vec::new();
        reader.read_to_end(&mut data)?;
        entries.push((entry, data));
    }
    Ok(entries)
}

fn entry(kind: Kind, path: &str) -> Entry {
    let mut entry = Entry::new(kind, path, 0o4755);
    (entry.uid, entry.gid, entry.mtime) = (1000, 1001, (1_700_000_000, 0));
    entry
}

fn every_kind() -> Vec<(Entry, Vec<u8>)> {
    let long = "d/".repeat(80) + "name";
    let mut file = entry(Kind::File, &long);
    file.size = 600;
    file.uid = 3_000_000_000;
    file.mtime = (-5, 250_000_000);
    file.xattrs = vec![(b"user.a".to_vec(), b"1\n2".to_vec()), (b"user.b".to_vec(), Vec::new())];
    let mut link = entry(Kind::HardLink, "h\u{e4}rd");
    link.link = long.clone().into_bytes();
    let mut symlink = entry(Kind::Symlink, "soft");
    symlink.link = b"../x".to_vec();
    let mut device = entry(Kind::CharDevice, "null");
    device.device = (1, 3);
    let rest = [Kind::Directory, Kind::Fifo].map(|kind| (entry(kind, "other"), Vec::new()));
    let mut all = vec![(file, vec![7; 600])];
    all.extend([link, symlink, device].map(|entry| (entry, Vec::new())));
    all.extend(rest);
    all
}

fn archive(entries: &[(Entry, Vec<u8>)]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (entry, data) in entries {
        writer.append(entry, data.as_slice()).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn what_is_written_is_read() {
    let entries = every_kind();
    assert_eq!(read(&archive(&entries)).unwrap(), entries);
}

#[test]
fn gnu_tar_reads_what_is_written() {
    let mut entries = every_kind();
    entries.truncate(3);
    let mut tar = Command::new("tar");
    tar.args(["-tv", "--numeric-owner", "--full-time"]).env("TZ", "UTC").env("LC_ALL", "C.UTF-8");
    let listed = run(tar, &archive(&entries));
    let listed = String::from_utf8(listed).unwrap();
    assert!(listed.contains("-rwsr-xr-x 3000000000/1001"), "{listed}");
    assert!(listed.contains(" 600 1969-12-31 23:59:5"), "{listed}");
    assert!(listed.contains("soft -> ../x"), "{listed}");
}

fn run(mut command: Command, input: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    output.stdout
}

/// Sparse files and long names as GNU tar writes them, in each of its formats.
#[test]
fn archives_of_gnu_tar_are_read_in_every_format() {
    let dir = crate::testing::dir();
    let long = "n".repeat(150);
    let mut content = vec![0_u8; 3 << 20];
    let pieces: Vec<usize> = (0..60).map(|piece| piece * 40_960).collect();
    pieces.iter().for_each(|at| content[*at..*at + 4096].fill(b'x'));
    let file = std::fs::File::create(dir.path().join(&long)).unwrap();
    file.set_len(content.len() as u64).unwrap();
    for at in &pieces {
        use std::os::unix::fs::FileExt;
        file.write_all_at(&content[*at..*at + 4096], *at as u64).unwrap();
    }
    drop(file);
    let formats = ["v7", "ustar", "oldgnu", "gnu", "posix"];
    let sparse = [("gnu", "1.0"), ("posix", "0.0"), ("posix", "0.1"), ("posix", "1.0")];
    let plain = formats.map(|format| (format, None));
    let sparse = sparse.map(|(format, version)| (format, Some(version)));
    for (format, version) in plain.into_iter().chain(sparse) {
        // v7 and ustar have no room for the long name.
        let name = if matches!(format, "v7" | "ustar") { "short" } else { &long };
        let path = dir.path().join(name);
        if !path.exists() {
            std::fs::write(&path, &content).unwrap();
        }
        let mut tar = Command::new("tar");
        tar.arg("-c").arg(format!("--format={format}")).arg("-C").arg(dir.path());
        if let Some(version) = version {
            tar.args(["-S", "--hole-detection=raw"]).arg(format!("--sparse-version={version}"));
        }
        let archive = run(
            {
                tar.arg(name);
                tar
            },
            b"",
        );
        let entries = read(&archive).unwrap();
        let [(entry, data)] = entries.as_slice() else { panic!("{entries:?}") };
        assert_eq!(entry.path, name.as_bytes(), "{format} {version:?}");
        assert_eq!(entry.size, content.len() as u64, "{format} {version:?}");
        assert_eq!(entry.sparse.is_some(), version.is_some(), "{format} {version:?}");
        let mut found = vec![0; content.len()];
        let mut at = 0;
        let whole = [(0, entry.size)];
        for (offset, length) in entry.sparse.as_deref().unwrap_or(&whole) {
            let [offset, length] = [*offset, *length].map(|n| usize::try_from(n).unwrap());
            found[offset..offset + length].copy_from_slice(&data[at..at + length]);
            at += length;
        }
        assert!(found == content && at == data.len(), "{format} {version:?}");
    }
}

#[test]
fn an_archive_ends_with_its_input_or_two_empty_blocks() {
    let entries = every_kind();
    let whole = archive(&entries);
    assert_eq!(read(&whole[..whole.len() - 2 * BLOCK]).unwrap(), entries);
    assert_eq!(read(&whole[..whole.len() - BLOCK]).unwrap(), entries);
    let trailing = [whole.clone(), b"trailing".to_vec()].concat();
    assert_eq!(read(&trailing).unwrap(), entries);
    assert_eq!(read(b"").unwrap(), []);
    let one = archive(&entries[3..4]);
    let holed = [&one[..BLOCK], &[0; BLOCK], &one[..BLOCK]].concat();
    assert!(read(&holed).unwrap_err().to_string().contains("an empty block between"));
}

#[test]
fn what_is_broken_is_told() {
    let whole = archive(&every_kind());
    let mut flipped = whole.clone();
    flipped[0] ^= 1;
    let mut huge = Entry::new(Kind::Other(b'x'), "pax", 0);
    huge.size = SPECIAL + 1;
    let huge = [archive(&[(huge, vec![b' '; usize::try_from(SPECIAL).unwrap() + 1])])].concat();
    let pax = |record: &str| {
        let mut entry = Entry::new(Kind::Other(b'x'), "pax", 0);
        entry.size = record.len() as u64;
        let file = Entry::new(Kind::File, "f", 0);
        archive(&[(entry, record.into()), (file, Vec::new())])
    };
    let cases = [
        (flipped, "wrong checksum"),
        (whole[..700].to_vec(), "ends in the middle"),
        (whole[..3 * BLOCK + 10].to_vec(), "ends in the middle"),
        (huge, "an extended header of 1048577 bytes"),
        (pax("11 size=-1\n"), "size is no number"),
        (pax("12 path=a\0b\n"), "a path with a NUL"),
        (pax("26 GNU.sparse.map=0,1,0,1\n22 GNU.sparse.size=10\n"), "out of order"),
        (pax("26 GNU.sparse.map=0,1,2,1\n22 GNU.sparse.size=10\n"), "does not match"),
        (pax("24 GNU.sparse.map=0,1,2\n22 GNU.sparse.size=10\n"), "a sparse map"),
    ];
    for (archive, why) in cases {
        let error = read(&archive).unwrap_err().to_string();
        assert!(error.contains(why), "{error}, not {why}");
    }
}

/// Bytes changed anywhere: an error or entries, never more data than there is, never a panic.
#[test]
fn any_bytes_are_read_or_refused() {
    let sound = archive(&every_kind());
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap()
    };
    let (mut refused, mut survived) = (0, 0);
    for _ in 0..5_000 {
        let mut bytes = sound.clone();
        for _ in 0..=next() % 3 {
            let at = next() % bytes.len();
            bytes[at] = u8::try_from(next() % 256).unwrap();
            // A right sum lets the other fields be looked at.
            let block = at / BLOCK * BLOCK;
            let sum: u32 = (0..BLOCK)
                .map(|i| if (148..156).contains(&i) { 32 } else { u32::from(bytes[block + i]) })
                .sum();
            bytes[block + 148..block + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        bytes.truncate(bytes.len() - next() % 2 * (next() % bytes.len()));
        match read(&bytes) {
            Ok(entries) => {
                survived += 1;
                assert!(entries.iter().map(|(_, data)| data.len()).sum::<usize>() <= bytes.len());
            }
            Err(error) => {
                refused += 1;
                assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
            }
        }
    }
    assert!(refused > 300 && survived > 300, "{refused} {survived}");
}
