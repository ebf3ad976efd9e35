//! Extended headers of pax: records `LENGTH KEY=VALUE\n` that replace fields of the next header.

use std::io;

use super::{Entry, broken, sparse};

/// Records in the order they stand; a key may come again (`GNU.sparse.offset`).
#[derive(Debug, Default)]
pub(super) struct Records(Vec<(Vec<u8>, Vec<u8>)>);

/// Where star, GNU tar and Go's archive/tar put extended attributes.
const XATTR: &[u8] = b"SCHILY.xattr.";

impl Records {
    /// Reads the data of one extended header.
    pub(super) fn parse(mut data: &[u8]) -> io::Result<Self> {
        let wrong = || broken("a pax record that is none");
        let mut records = Vec::new();
        while !data.is_empty() {
            let space = data.iter().position(|byte| *byte == b' ').ok_or_else(wrong)?;
            let length = decimal(&data[..space]).and_then(|n| usize::try_from(n).ok());
            let length = length.filter(|n| *n > space + 1).ok_or_else(wrong)?;
            let record = data.get(space + 1..length).ok_or_else(wrong)?;
            let record = record.strip_suffix(b"\n").ok_or_else(wrong)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(wrong)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            if key.is_empty() {
                return Err(wrong());
            }
            records.push((key.to_vec(), value.to_vec()));
            data = &data[length..];
        }
        Ok(Self(records))
    }

    /// The last value of a key; an empty one takes the key back.
    pub(super) fn get(&self, key: &str) -> Option<&[u8]> {
        let found = self.0.iter().rev().find(|(name, _)| name == key.as_bytes());
        found.map(|(_, value)| value.as_slice()).filter(|value| !value.is_empty())
    }

    /// A value that is a number.
    pub(super) fn number(&self, key: &str) -> io::Result<Option<u64>> {
        let wrong = || broken(format!("pax record {key} is no number"));
        self.get(key).map(|value| decimal(value).ok_or_else(wrong)).transpose()
    }

    /// Every value of the two keys in turn: maps of sparse files in format 0.0.
    pub(super) fn pairs(&self, first: &str, second: &str) -> Vec<&[u8]> {
        let wanted = |key: &[u8]| key == first.as_bytes() || key == second.as_bytes();
        self.0.iter().filter(|(key, _)| wanted(key)).map(|(_, value)| value.as_slice()).collect()
    }

    /// Replaces what the records say, the size apart: it also says how much data follows.
    pub(super) fn apply(&self, entry: &mut Entry) -> io::Result<()> {
        if let Some(path) = self.get("path") {
            entry.path = path.to_vec();
        }
        if let Some(link) = self.get("linkpath") {
            entry.link = link.to_vec();
        }
        if let Some(uid) = self.number("uid")? {
            entry.uid = uid;
        }
        if let Some(gid) = self.number("gid")? {
            entry.gid = gid;
        }
        if let Some(time) = self.get("mtime") {
            entry.mtime = seconds(time).ok_or_else(|| broken("pax record mtime is no time"))?;
        }
        for (key, value) in &self.0 {
            let Some(name) = key.strip_prefix(XATTR) else { continue };
            if name.is_empty() || name.contains(&0) {
                return Err(broken("an extended attribute without a name"));
            }
            entry.xattrs.retain(|(known, _)| known != name);
            entry.xattrs.push((name.to_vec(), value.clone()));
        }
        sparse::name(self, entry);
        if entry.path.contains(&0) || entry.link.contains(&0) {
            return Err(broken("a path with a NUL"));
        }
        Ok(())
    }
}

/// Digits only.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Seconds with an optional fraction and sign: `1700000000.123456789`, `-1.5`.
fn seconds(text: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let negative = whole.starts_with('-');
    let whole: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanoseconds: u32 = digits.parse().ok()?;
    match (negative, nanoseconds) {
        (true, 1..) => Some((whole.checked_sub(1)?, 1_000_000_000 - nanoseconds)),
        _ => Some((whole, nanoseconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_fractions_and_signs() {
        assert_eq!(seconds(b"17"), Some((17, 0)));
        assert_eq!(seconds(b"17.5"), Some((17, 500_000_000)));
        assert_eq!(seconds(b"17.1234567899"), Some((17, 123_456_789)));
        assert_eq!(seconds(b"-1.5"), Some((-2, 500_000_000)));
        assert_eq!(seconds(b"-0.5"), Some((-1, 500_000_000)));
        assert_eq!(seconds(b"x"), None);
        assert_eq!(seconds(b"1.x"), None);
    }

    #[test]
    fn a_record_says_its_own_length() {
        let records = Records::parse(b"11 path=ab\n9 uid=70\n7 uid=\n").unwrap();
        assert_eq!((records.get("path"), records.get("uid")), (Some(&b"ab"[..]), None));
        for wrong in ["11 path=ab", "99 path=a\n", "5 =a\n", "4 a\n\n", "x", "0 a=b\n", "3 \n"] {
            assert!(Records::parse(wrong.as_bytes()).is_err(), "{wrong:?}");
        }
    }
}
