//! Finds where in a JSON text a value stands, so that errors can name line, column and field.
//!
//! Runs only after a parse has failed: serde knows the offset of a fault but not the field, and
//! after a repair it knows the field but not the place. Both questions are one walk.

/// What [`walk`] reports for each value: its path (`linux.devices[2].type`), where it begins and
/// the offset just after it.
struct Found<'a> {
    path: &'a str,
    start: usize,
    end: usize,
}

/// The innermost value around the byte `offset`: its path and where it begins.
pub(super) fn field_at(text: &[u8], offset: usize) -> Option<(String, usize)> {
    let mut best: Option<(String, usize)> = None;
    walk(text, &mut |found| {
        // Values are reported when they end, innermost first.
        if best.is_none() && found.start <= offset && offset < found.end {
            best = Some((found.path.to_owned(), found.start));
        }
    });
    best
}

/// Where the value called `path` begins.
pub(super) fn offset_of(text: &[u8], path: &str) -> Option<usize> {
    let mut at = None;
    walk(text, &mut |found| {
        if found.path == path {
            at = Some(found.start);
        }
    });
    at
}

/// The byte offset of serde's 1-based `line` and `column` (columns are bytes).
pub(super) fn offset(text: &[u8], line: usize, column: usize) -> usize {
    let line_start = match line {
        0 | 1 => 0,
        _ => text
            .iter()
            .enumerate()
            .filter(|(_, b)| **b == b'\n')
            .nth(line - 2)
            .map_or(text.len(), |(i, _)| i + 1),
    };
    (line_start + column.saturating_sub(1)).min(text.len())
}

/// The 1-based line and column of the byte `offset`.
pub(super) fn position(text: &[u8], offset: usize) -> (usize, usize) {
    let before = &text[..offset.min(text.len())];
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
    (line, column)
}

/// Deeper than serde_json goes (128): nothing below is worth naming.
const DEEPEST: usize = 256;

/// One open object or array.
struct Open {
    start: usize,
    /// Length of the path before this container's members are appended.
    path_len: usize,
    /// Next index, for arrays.
    index: Option<usize>,
}

/// Visits every value of `text`; stops quietly where the text is not JSON (the caller already
/// holds serde's error). An explicit stack: depth is the attacker's choice.
fn walk(text: &[u8], visit: &mut dyn FnMut(Found<'_>)) {
    let mut stack: Vec<Open> = Vec::new();
    let mut path = String::new();
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b' ' | b'\t' | b'\n' | b'\r' | b':' => at += 1,
            b',' => {
                at += 1;
                if let Some(open) = stack.last_mut() {
                    path.truncate(open.path_len);
                    if let Some(index) = &mut open.index {
                        *index += 1;
                    }
                }
            }
            b'{' | b'[' if stack.len() == DEEPEST => break,
            b'{' | b'[' => {
                enter(&mut stack, &mut path);
                let index = (text[at] == b'[').then_some(0);
                stack.push(Open { start: at, path_len: path.len(), index });
                at += 1;
            }
            b'}' | b']' => {
                at += 1;
                let Some(open) = stack.pop() else { return };
                path.truncate(open.path_len);
                visit(Found { path: &path, start: open.start, end: at });
            }
            b'"' if is_key(text, at, stack.last()) => {
                let end = string_end(text, at);
                push_key(&mut path, &text[at + 1..end.saturating_sub(1).max(at + 1)]);
                at = end;
            }
            first => {
                enter(&mut stack, &mut path);
                let end = if first == b'"' { string_end(text, at) } else { word_end(text, at) };
                visit(Found { path: &path, start: at, end });
                at = end;
            }
        }
    }
    // A text that ends too early: the open values reach to its end.
    while let Some(open) = stack.pop() {
        path.truncate(open.path_len);
        visit(Found { path: &path, start: open.start, end: text.len() });
    }
}

/// Appends `[i]` when the value about to begin is an element of an array.
fn enter(stack: &mut [Open], path: &mut String) {
    if let Some(Open { path_len, index: Some(index), .. }) = stack.last() {
        path.truncate(*path_len);
        path.push_str(&format!("[{index}]"));
    }
}

fn push_key(path: &mut String, key: &[u8]) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(&String::from_utf8_lossy(key));
}

/// Whether the string at `at` is a member's name: inside an object and followed by a colon.
fn is_key(text: &[u8], at: usize, open: Option<&Open>) -> bool {
    let in_object = open.is_some_and(|o| o.index.is_none());
    let rest = &text[string_end(text, at)..];
    in_object && rest.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b':')
}

fn string_end(text: &[u8], at: usize) -> usize {
    let mut i = at + 1;
    while i < text.len() {
        match text[i] {
            b'\\' => i += 2,
            b'"' => return i + 1,
            _ => i += 1,
        }
    }
    text.len()
}

fn word_end(text: &[u8], at: usize) -> usize {
    let tail = &text[at + 1..];
    let len = tail.iter().take_while(|b| !b",]} \t\r\n".contains(b)).count();
    at + 1 + len
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] =
        b"{\n  \"a\": {\"b\": [1, {\"c\": \"x:y\"}]},\n  \"d\": [[], [true, null]]\n}";

    #[test]
    fn finds_the_innermost_field_of_an_offset() {
        let at = |needle: &str| {
            let text = std::str::from_utf8(TEXT).unwrap();
            field_at(TEXT, text.find(needle).unwrap()).unwrap().0
        };
        assert_eq!(at("1,"), "a.b[0]");
        assert_eq!(at("x:y"), "a.b[1].c");
        assert_eq!(at("true"), "d[1][0]");
        assert_eq!(at("null"), "d[1][1]");
    }

    #[test]
    fn finds_the_offset_of_a_field() {
        assert_eq!(position(TEXT, offset_of(TEXT, "d[1][1]").unwrap()), (3, 20));
        assert_eq!(offset_of(TEXT, "d[7]"), None);
        assert_eq!(offset_of(TEXT, ""), Some(0));
    }

    #[test]
    fn line_and_column_round_trip() {
        for at in 0..TEXT.len() {
            let (line, column) = position(TEXT, at);
            assert_eq!(offset(TEXT, line, column), at);
        }
    }

    #[test]
    fn broken_texts_do_not_panic_or_hang() {
        for cut in 0..TEXT.len() {
            let _ = field_at(&TEXT[..cut], cut);
            let _ = field_at(&TEXT[cut..], 0);
        }
        let deep = vec![b'['; 100_000];
        assert!(field_at(&deep, 10).is_some());
        for text in [&b"]"[..], b"\"\\", b"{\"a\"}", b"{,,:}", b"\xff\xfe"] {
            let _ = field_at(text, 1);
            let _ = offset_of(text, "a");
        }
    }
}
