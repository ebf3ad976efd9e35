//! Messages of D-Bus as bytes (D-Bus Specification, "Message Protocol").
//!
//! Written in this machine's byte order, which every service on the same machine uses too; a
//! message in the other order is refused. Pure: the wire is [`super::bus`]'s.

use crate::plan::cgroup::systemd::first_type;
use crate::plan::cgroup::systemd::value::Value;

/// Bytes before the array of header fields ends.
pub(super) const FIXED: usize = 16;
/// The longest message that is read; the largest we expect is a list of a few properties.
const LONGEST: usize = 1 << 20;
/// How deep containers nest.
const DEEPEST: usize = 32;

const ORDER: u8 = if cfg!(target_endian = "little") { b'l' } else { b'B' };
const METHOD_CALL: u8 = 1;

/// What kind of message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The answer to a call.
    Reply,
    /// The refusal of a call.
    Error,
    /// Something happened.
    Signal,
    /// Anything else: not for us.
    Other,
}

/// A message that came.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// What it is.
    pub(super) kind: Kind,
    /// The call that it answers.
    pub(super) answers: u32,
    /// The signal's name.
    pub(super) member: String,
    /// The error's name.
    pub(super) error: String,
    /// The arguments.
    pub(super) body: Vec<Value>,
}

/// A method of an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Method {
    /// The service.
    pub(super) destination: &'static str,
    /// The object.
    pub(super) path: &'static str,
    /// The interface.
    pub(super) interface: &'static str,
    /// The name.
    pub(super) member: &'static str,
}

/// A call of `method`.
pub(super) fn call(serial: u32, method: Method, arguments: &[Value]) -> Vec<u8> {
    let mut body = Writer::default();
    arguments.iter().for_each(|value| body.put(value));
    let field = |code: u8, value: Value| {
        Value::Struct(vec![Value::Byte(code), Value::Variant(Box::new(value))])
    };
    let mut fields = vec![
        field(1, Value::Path(method.path.to_owned())),
        field(2, Value::text(method.interface)),
        field(3, Value::text(method.member)),
        field(6, Value::text(method.destination)),
    ];
    if !arguments.is_empty() {
        let signature = arguments.iter().map(Value::signature).collect();
        fields.push(field(8, Value::Signature(signature)));
    }
    let mut message = Writer::default();
    // Byte order, type, no flags, version of the protocol.
    message.bytes.extend([ORDER, METHOD_CALL, 0, 1]);
    message.length(body.bytes.len());
    message.put(&Value::U32(serial));
    message.put(&Value::Array("(yv)".into(), fields));
    message.align(8);
    message.bytes.extend(body.bytes);
    message.bytes
}

#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn align(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    fn aligned<const N: usize>(&mut self, bytes: [u8; N]) {
        self.align(N);
        self.bytes.extend(bytes);
    }

    /// A length in bytes. What we send is made of lines of a configuration: far below 4 GiB.
    fn length(&mut self, length: usize) {
        self.aligned(u32::try_from(length).unwrap_or(u32::MAX).to_ne_bytes());
    }

    fn put(&mut self, value: &Value) {
        match value {
            Value::Bool(value) => self.aligned(u32::from(*value).to_ne_bytes()),
            Value::Byte(value) => self.bytes.push(*value),
            Value::I16(value) => self.aligned(value.to_ne_bytes()),
            Value::U16(value) => self.aligned(value.to_ne_bytes()),
            Value::I32(value) => self.aligned(value.to_ne_bytes()),
            Value::U32(value) => self.aligned(value.to_ne_bytes()),
            Value::I64(value) => self.aligned(value.to_ne_bytes()),
            Value::U64(value) | Value::Double(value) => self.aligned(value.to_ne_bytes()),
            Value::Text(text) | Value::Path(text) => {
                self.length(text.len());
                self.bytes.extend(text.bytes());
                self.bytes.push(0);
            }
            Value::Signature(text) => self.signature(text),
            Value::Array(of, items) => {
                self.length(0);
                let at = self.bytes.len();
                self.align(alignment(of));
                let begin = self.bytes.len();
                items.iter().for_each(|item| self.put(item));
                let length = u32::try_from(self.bytes.len() - begin).unwrap_or(u32::MAX);
                self.bytes[at - 4..at].copy_from_slice(&length.to_ne_bytes());
            }
            Value::Struct(fields) => {
                self.align(8);
                fields.iter().for_each(|field| self.put(field));
            }
            Value::Variant(inner) => {
                self.signature(&inner.signature());
                self.put(inner);
            }
        }
    }

    fn signature(&mut self, text: &str) {
        self.bytes.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        self.bytes.extend(text.bytes());
        self.bytes.push(0);
    }
}

fn alignment(signature: &str) -> usize {
    match signature.as_bytes().first() {
        Some(b'y' | b'g' | b'v') => 1,
        Some(b'n' | b'q') => 2,
        Some(b'x' | b't' | b'd' | b'(' | b'{') => 8,
        _ => 4,
    }
}

/// How long the message is that begins with these [`FIXED`] bytes; `None` when they begin none.
pub(super) fn length(head: &[u8]) -> Option<usize> {
    let mut reader = Reader { bytes: head, at: 4, depth: 0 };
    let (order, version) = (*head.first()?, *head.get(3)?);
    let body = reader.length()?;
    reader.at = 12;
    let fields = reader.length()?;
    let whole = (FIXED + fields).next_multiple_of(8) + body;
    (order == ORDER && version == 1 && whole <= LONGEST).then_some(whole)
}

/// Reads a whole message; `None` when it is damaged.
pub(super) fn decode(bytes: &[u8]) -> Option<Message> {
    let kind = match bytes.get(1)? {
        2 => Kind::Reply,
        3 => Kind::Error,
        4 => Kind::Signal,
        _ => Kind::Other,
    };
    let mut reader = Reader { bytes, at: 12, depth: 0 };
    let Value::Array(_, fields) = reader.value("a(yv)")? else { return None };
    let mut message =
        Message { kind, answers: 0, member: String::new(), error: String::new(), body: Vec::new() };
    let mut signature = String::new();
    for field in fields {
        let Value::Struct(pair) = field else { return None };
        let [Value::Byte(code), value @ Value::Variant(inner)] = &pair[..] else { return None };
        let text = || value.as_str().map(str::to_owned);
        match (code, &**inner) {
            (3, _) => message.member = text()?,
            (4, _) => message.error = text()?,
            (5, Value::U32(serial)) => message.answers = *serial,
            (8, _) => signature = text()?,
            _ => {}
        }
    }
    reader.align(8)?;
    let mut rest = signature.as_str();
    while !rest.is_empty() {
        let first = first_type(rest)?;
        message.body.push(reader.value(first)?);
        rest = &rest[first.len()..];
    }
    Some(message)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    fn align(&mut self, to: usize) -> Option<()> {
        self.at = self.at.next_multiple_of(to);
        (self.at <= self.bytes.len()).then_some(())
    }

    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let bytes = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(bytes)
    }

    fn aligned<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.align(N)?;
        self.take(N)?.try_into().ok()
    }

    fn length(&mut self) -> Option<usize> {
        let length = usize::try_from(u32::from_ne_bytes(self.aligned()?)).ok()?;
        (length <= LONGEST).then_some(length)
    }

    fn text(&mut self, length: usize) -> Option<String> {
        let text = self.take(length.checked_add(1)?)?.strip_suffix(&[0])?;
        String::from_utf8(text.to_vec()).ok()
    }

    fn value(&mut self, signature: &str) -> Option<Value> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        let value = match signature.as_bytes().first()? {
            b'b' => Value::Bool(u32::from_ne_bytes(self.aligned()?) != 0),
            b'y' => Value::Byte(*self.take(1)?.first()?),
            b'n' => Value::I16(i16::from_ne_bytes(self.aligned()?)),
            b'q' => Value::U16(u16::from_ne_bytes(self.aligned()?)),
            b'i' => Value::I32(i32::from_ne_bytes(self.aligned()?)),
            b'u' | b'h' => Value::U32(u32::from_ne_bytes(self.aligned()?)),
            b'x' => Value::I64(i64::from_ne_bytes(self.aligned()?)),
            b't' => Value::U64(u64::from_ne_bytes(self.aligned()?)),
            b'd' => Value::Double(u64::from_ne_bytes(self.aligned()?)),
            letter @ (b's' | b'o') => {
                let length = self.length()?;
                let text = self.text(length)?;
                if *letter == b's' { Value::Text(text) } else { Value::Path(text) }
            }
            b'g' => {
                let length = usize::from(*self.take(1)?.first()?);
                Value::Signature(self.text(length)?)
            }
            b'v' => {
                let length = usize::from(*self.take(1)?.first()?);
                let inner = self.text(length)?;
                (first_type(&inner)? == inner).then_some(())?;
                Value::Variant(Box::new(self.value(&inner)?))
            }
            b'a' => {
                let of = first_type(signature.get(1..)?)?;
                let length = self.length()?;
                self.align(alignment(of))?;
                let end = self.at.checked_add(length)?;
                let mut items = Vec::new();
                while self.at < end {
                    items.push(self.value(of)?);
                }
                (self.at == end).then_some(())?;
                Value::Array(of.to_owned(), items)
            }
            b'(' | b'{' => {
                self.align(8)?;
                let mut rest = signature.get(1..signature.len() - 1)?;
                let mut fields = Vec::new();
                while !rest.is_empty() {
                    let first = first_type(rest)?;
                    fields.push(self.value(first)?);
                    rest = &rest[first.len()..];
                }
                // One without fields has no bytes either: an array of them would never end.
                (!fields.is_empty()).then_some(())?;
                Value::Struct(fields)
            }
            _ => return None,
        };
        self.depth -= 1;
        Some(value)
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
