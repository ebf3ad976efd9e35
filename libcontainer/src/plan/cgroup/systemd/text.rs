//! Reads GVariant text: the value of an annotation `org.systemd.property.NAME`.
//!
//! The part of the format that properties of units are made of (GLib's "GVariant Text Format"):
//! numbers, texts, booleans, arrays, tuples, variants, and the two ways to say a type, `uint64 5`
//! and `@as []`. Dictionaries, maybes and byte strings are refused: no property has them.

use super::value::Value;

/// How deep values nest, as in D-Bus.
const DEEPEST: usize = 32;

/// The value that `text` describes.
///
/// # Errors
/// What is wrong, and where in the text.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let mut reader = Reader { all: text, rest: text, depth: 0 };
    let value = reader.value(None)?;
    reader.skip_blanks();
    if reader.rest.is_empty() { Ok(value) } else { Err(reader.wrong("nothing may follow")) }
}

struct Reader<'a> {
    all: &'a str,
    rest: &'a str,
    depth: usize,
}

impl Reader<'_> {
    fn wrong(&self, what: &str) -> String {
        format!("{what} at character {}", self.all.len() - self.rest.len() + 1)
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, what: char) -> bool {
        self.skip_blanks();
        let rest = self.rest.strip_prefix(what);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// The longest beginning of the rest whose characters are `good`.
    fn word(&mut self, good: impl Fn(char) -> bool) -> String {
        let end = self.rest.find(|c| !good(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word.to_owned()
    }

    /// One value; `kind` is its signature where it is known.
    fn value(&mut self, kind: Option<&str>) -> Result<Value, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.wrong("values nest too deep"));
        }
        self.skip_blanks();
        let value = match self.rest.chars().next() {
            None => Err(self.wrong("a value is missing")),
            Some('@') => {
                self.take('@');
                let kind = self.word(|c| !c.is_whitespace());
                self.value(Some(&kind))
            }
            Some('[') => self.array(kind),
            Some('(') => self.tuple(kind),
            Some('<') => {
                self.take('<');
                let inner = self.value(None)?;
                let closed = self.take('>');
                closed.then(|| Value::Variant(Box::new(inner))).ok_or_else(|| self.wrong("no >"))
            }
            Some('\'' | '"') => self.text(kind),
            Some(c) if c.is_ascii_digit() || "+-.".contains(c) => self.number(kind),
            Some(_) => self.named(),
        }?;
        self.depth -= 1;
        match kind {
            Some(kind) if value.signature() != kind => {
                Err(self.wrong(&format!("a value of type {kind} ends")))
            }
            _ => Ok(value),
        }
    }

    /// `true`, `false`, or the name of a type before a value of it.
    fn named(&mut self) -> Result<Value, String> {
        let word = self.word(|c| c.is_ascii_alphanumeric());
        let kind = match word.as_str() {
            "true" => return Ok(Value::Bool(true)),
            "false" => return Ok(Value::Bool(false)),
            "boolean" => "b",
            "byte" => "y",
            "int16" => "n",
            "uint16" => "q",
            "int32" => "i",
            "uint32" => "u",
            "int64" => "x",
            "uint64" => "t",
            "double" => "d",
            "string" => "s",
            "objectpath" => "o",
            "signature" => "g",
            _ => return Err(self.wrong(&format!("{word:?} is no value; texts need quotes,"))),
        };
        self.value(Some(kind))
    }

    fn array(&mut self, kind: Option<&str>) -> Result<Value, String> {
        self.take('[');
        let mut of = kind.and_then(|kind| kind.strip_prefix('a')).map(str::to_owned);
        let mut items = Vec::new();
        while !self.take(']') {
            if !items.is_empty() && !self.take(',') {
                return Err(self.wrong("no , or ]"));
            }
            let item = self.value(of.as_deref())?;
            of.get_or_insert_with(|| item.signature());
            items.push(item);
        }
        let of = of.ok_or_else(|| self.wrong("an empty array needs its type, as in @as [],"))?;
        Ok(Value::Array(of, items))
    }

    fn tuple(&mut self, kind: Option<&str>) -> Result<Value, String> {
        self.take('(');
        let mut kinds = kind.and_then(|k| k.strip_prefix('(')).map(|k| k.trim_end_matches(')'));
        let mut fields = Vec::new();
        while !self.take(')') {
            if !fields.is_empty() && !self.take(',') {
                return Err(self.wrong("no , or )"));
            }
            if self.take(')') {
                break;
            }
            let first = kinds.and_then(first_type);
            fields.push(self.value(first)?);
            kinds = kinds.zip(first).map(|(all, first)| &all[first.len()..]);
        }
        Ok(Value::Struct(fields))
    }

    fn text(&mut self, kind: Option<&str>) -> Result<Value, String> {
        let mut chars = self.rest.char_indices();
        let quote = chars.next().map(|(_, c)| c);
        let (mut text, mut end) = (String::new(), None);
        while let Some((at, c)) = chars.next() {
            match c {
                _ if Some(c) == quote => {
                    end = Some(at + 1);
                    break;
                }
                '\\' => match chars.next().map(|(_, c)| c) {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('r') => text.push('\r'),
                    Some(c) if !c.is_ascii_alphanumeric() => text.push(c),
                    _ => return Err(self.wrong("an unknown \\ escape in the text")),
                },
                c => text.push(c),
            }
        }
        let end = end.ok_or_else(|| self.wrong("the text does not end"))?;
        if text.contains('\0') {
            return Err(self.wrong("a NUL byte in the text"));
        }
        self.rest = &self.rest[end..];
        Ok(match kind {
            Some("o") => Value::Path(text),
            Some("g") => Value::Signature(text),
            _ => Value::Text(text),
        })
    }

    fn number(&mut self, kind: Option<&str>) -> Result<Value, String> {
        let begin = self.wrong("no such number");
        let word = self.word(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
        let kind = match kind {
            None if word.contains('.') => "d",
            None => "i",
            Some(kind) => kind,
        };
        let whole = || -> Option<i128> {
            let digits = word.trim_start_matches(['-', '+']);
            let number = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
                Some(hex) => i128::from_str_radix(hex, 16).ok()?,
                None if digits.len() > 1 && digits.starts_with('0') => {
                    i128::from_str_radix(digits, 8).ok()?
                }
                None => digits.parse().ok()?,
            };
            Some(if word.starts_with('-') { -number } else { number })
        };
        let value = match kind {
            "d" => word.parse::<f64>().ok().map(|n| Value::Double(n.to_bits())),
            "y" => whole().and_then(|n| n.try_into().ok()).map(Value::Byte),
            "n" => whole().and_then(|n| n.try_into().ok()).map(Value::I16),
            "q" => whole().and_then(|n| n.try_into().ok()).map(Value::U16),
            "i" => whole().and_then(|n| n.try_into().ok()).map(Value::I32),
            "u" => whole().and_then(|n| n.try_into().ok()).map(Value::U32),
            "x" => whole().and_then(|n| n.try_into().ok()).map(Value::I64),
            "t" => whole().and_then(|n| n.try_into().ok()).map(Value::U64),
            _ => None,
        };
        value.ok_or_else(|| format!("{begin}: {word:?} is no value of type {kind}"))
    }
}

/// The first complete type of a signature.
pub(crate) fn first_type(signature: &str) -> Option<&str> {
    let mut depth = 0_usize;
    for (at, letter) in signature.bytes().enumerate() {
        match letter {
            b'a' => continue,
            b'(' | b'{' => depth += 1,
            b')' | b'}' => depth = depth.checked_sub(1)?,
            b'b' | b'y' | b'n' | b'q' | b'i' | b'u' | b'x' | b't' | b'd' | b's' | b'o' | b'g'
            | b'v' | b'h' => {}
            _ => return None,
        }
        if depth == 0 {
            return signature.get(..=at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_back() {
        for text in [
            "true",
            "byte 0x07",
            "int16 -3",
            "uint16 3",
            "-5",
            "uint32 7",
            "int64 -9",
            "uint64 18446744073709551615",
            "1.5",
            "\"a b\\\"c\"",
            "objectpath \"/a\"",
            "signature \"as\"",
            "@as []",
            "[\"a\", \"b\"]",
            "(\"a\", uint64 5)",
            "[(\"/dev/null\", \"rw\")]",
            "(1,)",
            "<\"x\">",
        ] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn types_come_from_the_context() {
        assert_eq!(parse("[uint32 1, 2]").unwrap().signature(), "au");
        assert_eq!(parse("@a(st) [('a', 1)]").unwrap().signature(), "a(st)");
        assert_eq!(parse(" 'it\\'s' ").unwrap(), Value::text("it's"));
        assert_eq!(parse("uint64 0x10").unwrap(), Value::U64(16));
        assert_eq!(parse("010").unwrap(), Value::I32(8));
    }

    #[test]
    fn what_is_no_value_is_refused() {
        for text in [
            "",
            "infinity",
            "'a",
            "[1, 'a']",
            "[]",
            "[1",
            "(1",
            "<1",
            "1 2",
            "byte 256",
            "uint32 -1",
            "4294967296",
            "@s 5",
            "@",
            "{'a': 1}",
            "b'x'",
            "1e999999x",
            "'\\q'",
            &"[".repeat(100_000),
        ] {
            assert!(parse(text).is_err(), "{text:.20}");
        }
    }

    #[test]
    fn signatures_are_split_into_types() {
        assert_eq!(first_type("a(ss)s"), Some("a(ss)"));
        assert_eq!(first_type("sas"), Some("s"));
        assert_eq!(first_type("(s"), None);
        assert_eq!(first_type(")"), None);
        assert_eq!(first_type("a"), None);
    }
}
