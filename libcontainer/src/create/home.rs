//! Finds the user's home directory in the container's `/etc/passwd` (passwd(5)).
//!
//! Runs in the init stage, after pivot_root: the file is the image's and is not believed. It must
//! be a regular file, is read in pieces and only up to a bound, and nothing is allocated.

use crate::sys::fd;

/// How much of the file is looked at.
const BOUND: usize = 1 << 20;
/// The longest line that is understood.
const LINE: usize = 1024;

/// Calls `found` with the home directory of `uid`; `/` when the file does not say, as runc does.
pub fn of(uid: u32, found: impl FnOnce(&[u8])) {
    let mut line = [0u8; LINE];
    match search(uid, &mut line) {
        Some(home) if !home.is_empty() => found(home),
        _ => found(b"/"),
    }
}

fn search(uid: u32, line: &mut [u8; LINE]) -> Option<&[u8]> {
    // O_NONBLOCK: a FIFO in the image must not hang us.
    let file = fd::open(c"/etc/passwd", libc::O_RDONLY | libc::O_NONBLOCK).ok()?;
    if fd::fstat(&file).ok()?.mode & libc::S_IFMT != libc::S_IFREG {
        return None;
    }
    let mut filled = 0;
    let mut total = 0;
    // A line longer than the buffer is skipped up to its end.
    let mut skipping = false;
    while total < BOUND {
        let read = fd::read(&file, &mut line[filled..]).ok()?;
        let end = read == 0;
        (filled, total) = (filled + read, total + read);
        let mut start = 0;
        while let Some(len) = line[start..filled].iter().position(|byte| *byte == b'\n') {
            let hit = !skipping && home(&line[start..start + len], uid).is_some();
            if hit {
                return home(&line[start..start + len], uid);
            }
            (skipping, start) = (false, start + len + 1);
        }
        if end {
            return if skipping { None } else { home(&line[start..filled], uid) };
        }
        line.copy_within(start..filled, 0);
        filled -= start;
        if filled == LINE {
            (skipping, filled) = (true, 0);
        }
    }
    None
}

/// The sixth field of a line whose third is `uid`.
fn home(line: &[u8], uid: u32) -> Option<&[u8]> {
    let mut fields = line.split(|byte| *byte == b':');
    let number = fields.nth(2)?;
    let number: u32 = std::str::from_utf8(number).ok()?.parse().ok()?;
    if number == uid { fields.nth(2) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixth_field_of_the_users_line() {
        assert_eq!(home(b"root:x:0:0:root:/root:/bin/sh", 0), Some(&b"/root"[..]));
        assert_eq!(home(b"root:x:0:0:root:/root:/bin/sh", 1), None);
        assert_eq!(home(b"broken:x:0", 0), None);
        assert_eq!(home(b"sign:x:+0:0::/x:", 0).is_some(), "+0".parse::<u32>().is_ok());
    }

    #[test]
    fn unknown_user_lives_in_the_root() {
        of(4_000_000_000, |home| assert_eq!(home, b"/"));
        of(0, |home| assert_eq!(home, b"/root"));
    }
}
