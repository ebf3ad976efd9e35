//! A value of D-Bus: what a property of a unit is set to.
//!
//! Printed as GVariant text, which `busctl` users know and [`super::text`] reads. How it travels
//! is `crate::cgroup::systemd::message`'s.

use std::fmt;

use serde::{Serialize, Serializer};

/// A value with its type (D-Bus Specification, "Type System").
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `b`
    Bool(bool),
    /// `y`
    Byte(u8),
    /// `n`
    I16(i16),
    /// `q`
    U16(u16),
    /// `i`
    I32(i32),
    /// `u`
    U32(u32),
    /// `x`
    I64(i64),
    /// `t`
    U64(u64),
    /// `d`, as its bits, so that plans compare.
    Double(u64),
    /// `s`
    Text(String),
    /// `o`
    Path(String),
    /// `g`
    Signature(String),
    /// `a…`: the signature of the elements, and the elements.
    Array(String, Vec<Value>),
    /// `(…)`; also what is read from a dictionary's entry.
    Struct(Vec<Value>),
    /// `v`
    Variant(Box<Value>),
}

impl Value {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// `ay`
    pub fn bytes(bytes: &[u8]) -> Self {
        Self::Array("y".into(), bytes.iter().copied().map(Self::Byte).collect())
    }

    /// An array of pairs of texts, `a(ss)`.
    pub fn pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let pair = |(a, b)| Self::Struct(vec![Self::Text(a), Self::Text(b)]);
        Self::Array("(ss)".into(), pairs.into_iter().map(pair).collect())
    }

    /// Its type as D-Bus writes it.
    pub fn signature(&self) -> String {
        match self {
            Self::Array(of, _) => format!("a{of}"),
            Self::Struct(fields) => {
                format!("({})", fields.iter().map(Self::signature).collect::<String>())
            }
            Self::Bool(_) => "b".into(),
            Self::Byte(_) => "y".into(),
            Self::I16(_) => "n".into(),
            Self::U16(_) => "q".into(),
            Self::I32(_) => "i".into(),
            Self::U32(_) => "u".into(),
            Self::I64(_) => "x".into(),
            Self::U64(_) => "t".into(),
            Self::Double(_) => "d".into(),
            Self::Text(_) => "s".into(),
            Self::Path(_) => "o".into(),
            Self::Signature(_) => "g".into(),
            Self::Variant(_) => "v".into(),
        }
    }

    /// The text of `s`, `o` or `g`, within variants too.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Path(text) | Self::Signature(text) => Some(text),
            Self::Variant(inner) => inner.as_str(),
            _ => None,
        }
    }
}

/// GVariant text; `@as []` where an empty array would not tell its type.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, items: &[Value]| {
            items.iter().enumerate().try_for_each(|(at, item)| {
                f.write_str(if at == 0 { "" } else { ", " })?;
                item.fmt(f)
            })
        };
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Byte(value) => write!(f, "byte 0x{value:02x}"),
            Self::I16(value) => write!(f, "int16 {value}"),
            Self::U16(value) => write!(f, "uint16 {value}"),
            Self::I32(value) => value.fmt(f),
            Self::U32(value) => write!(f, "uint32 {value}"),
            Self::I64(value) => write!(f, "int64 {value}"),
            Self::U64(value) => write!(f, "uint64 {value}"),
            Self::Double(bits) => write!(f, "{:?}", f64::from_bits(*bits)),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Path(path) => write!(f, "objectpath {path:?}"),
            Self::Signature(text) => write!(f, "signature {text:?}"),
            Self::Array(of, items) if items.is_empty() => write!(f, "@a{of} []"),
            Self::Array(_, items) => {
                f.write_str("[")?;
                list(f, items)?;
                f.write_str("]")
            }
            Self::Struct(fields) => {
                f.write_str("(")?;
                list(f, fields)?;
                f.write_str(if fields.len() == 1 { ",)" } else { ")" })
            }
            Self::Variant(inner) => write!(f, "<{inner}>"),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
