//! The name of a container's owner.
//!
//! A static binary has no name service, so `/etc/passwd` is read by hand: as data of unknown
//! origin, since it may be a FIFO, endless, or not text.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Bytes of `/etc/passwd` that are read.
const LARGEST: u64 = 1024 * 1024;

/// The user's name, `#uid` when there is none, as runc prints it.
pub(crate) fn name(uid: u32) -> String {
    lookup(Path::new("/etc/passwd"), uid).unwrap_or_else(|| format!("#{uid}"))
}

fn lookup(path: &Path, uid: u32) -> Option<String> {
    let file =
        OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path);
    let file = file.ok().filter(|file| file.metadata().is_ok_and(|meta| meta.is_file()))?;
    let mut text = Vec::new();
    file.take(LARGEST).read_to_end(&mut text).ok()?;
    text.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.split(|byte| *byte == b':');
        let name = std::str::from_utf8(fields.next()?).ok()?;
        let number = std::str::from_utf8(fields.nth(1)?).ok()?;
        (number.parse() == Ok(uid) && !name.is_empty()).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_passwd_and_from_nothing_else() {
        assert_eq!(name(0), "root");
        assert_eq!(name(4_000_000_123), "#4000000123");
        let dir = std::env::temp_dir().join(format!("corten-owner-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("passwd");
        std::fs::write(&path, b"\xff:x:7:7::/:\nshort\na:b\n:x:7:7\nseven:x:7:7::/:/bin/sh\n")
            .unwrap();
        assert_eq!(lookup(&path, 7).as_deref(), Some("seven"));
        std::fs::remove_file(&path).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(lookup(&path, 7), None);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
