//! Where a member stands in a JSON text: line and column of `syscalls[3].names[0]`.
//!
//! The text has been read by serde already; this walks over what it knows to be well formed.

/// Line and column, from 1; of the nearest member around it when there is none.
pub(super) fn place(text: &str, path: &str) -> (usize, usize) {
    let keys = keys(path);
    let mut at = None;
    for end in (0..=keys.len()).rev() {
        at = Walk { text: text.as_bytes(), at: 0 }.find(&keys[..end]);
        if at.is_some() {
            break;
        }
    }
    let before = text.get(..at.unwrap_or(0)).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

enum Key<'a> {
    Name(&'a str),
    Index(usize),
}

/// `a.b[3].c` taken apart.
fn keys(path: &str) -> Vec<Key<'_>> {
    let mut keys = Vec::new();
    for part in path.split(['.', '[']).filter(|part| !part.is_empty()) {
        keys.push(match part.strip_suffix(']').and_then(|index| index.parse().ok()) {
            Some(index) => Key::Index(index),
            None => Key::Name(part),
        });
    }
    keys
}

struct Walk<'a> {
    text: &'a [u8],
    at: usize,
}

impl Walk<'_> {
    /// Where the value begins that the keys lead to.
    fn find(&mut self, keys: &[Key<'_>]) -> Option<usize> {
        self.blank();
        let Some((key, rest)) = keys.split_first() else { return Some(self.at) };
        let open = self.byte()?;
        self.at += 1;
        for number in 0.. {
            self.blank();
            if matches!(self.byte()?, b'}' | b']') {
                return None;
            }
            let found = match (open, key) {
                (b'{', key) => {
                    let name = self.string()?;
                    self.blank();
                    self.at += 1;
                    matches!(key, Key::Name(wanted) if wanted.as_bytes() == name)
                }
                (b'[', Key::Index(index)) => *index == number,
                (b'[', Key::Name(_)) => false,
                _ => return None,
            };
            if found {
                return self.find(rest);
            }
            self.skip()?;
            self.blank();
            if self.byte()? == b',' {
                self.at += 1;
            }
        }
        None
    }

    fn byte(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn blank(&mut self) {
        while self.byte().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// The string that begins here, as it is written.
    fn string(&mut self) -> Option<Vec<u8>> {
        let begin = self.at + 1;
        self.at = begin;
        loop {
            match self.byte()? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        self.text.get(begin..self.at - 1).map(<[u8]>::to_vec)
    }

    /// Goes behind the value that begins here.
    fn skip(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            self.blank();
            match self.byte()? {
                b'"' => drop(self.string()?),
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                _ => {
                    let ends = |byte: u8| b",:]}".contains(&byte) || byte.is_ascii_whitespace();
                    self.at += 1;
                    while depth == 0 && self.byte().is_some_and(|byte| !ends(byte)) {
                        self.at += 1;
                    }
                }
            }
            if depth == 0 {
                return Some(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "{ \"a\": [1, {\"x\\\"}\": \"]\", \"b\": null}],\n\t\"names\": [\"r\", [[-1.5e3]], {}, \"ä\",\n  \"w\"], \"n\": true}";

    #[test]
    fn members_are_found_through_everything_before_them() {
        assert_eq!(place(TEXT, ""), (1, 1));
        assert_eq!(place(TEXT, "a[1].b"), (1, 31));
        assert_eq!(place(TEXT, "names[0]"), (2, 12));
        assert_eq!(place(TEXT, "names[4]"), (3, 3));
        assert_eq!(place(TEXT, "n"), (3, 14));
    }

    #[test]
    fn what_is_missing_is_placed_at_what_it_is_missing_from() {
        assert_eq!(place(TEXT, "a[1].c.d"), place(TEXT, "a[1]"));
        assert_eq!(place(TEXT, "a[7]"), place(TEXT, "a"));
        assert_eq!(place(TEXT, "nothing"), (1, 1));
        assert_eq!(place("", "a[1].b"), (1, 1));
        assert_eq!(place("[", "[2]"), (1, 1));
    }
}
