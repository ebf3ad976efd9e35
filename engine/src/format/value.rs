//! What a template works on: JSON whose members keep their order.
//!
//! Docker runs its templates over Go types, where a member that does not exist is an error, a label
//! that does not exist is nothing, an absent list prints `[]` and an absent object `<nil>`. JSON
//! does not tell these apart, the members' names do: two lists here.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::fmt::{self, Write};

/// Members that are maps with keys of the user's choice: a key may be missing.
const OPEN: [&str; 17] = [
    "Annotations",
    "Bindings",
    "Containers",
    "Data",
    "DriverOpts",
    "ExposedPorts",
    "Labels",
    "LogOpts",
    "Networks",
    "Options",
    "PortBindings",
    "Ports",
    "StorageOpt",
    "Sysctls",
    "Tmpfs",
    "Volumes",
    "labels",
];
/// Members that Docker has as pointers: absent, they print `<nil>`.
const POINTERS: [&str; 12] = [
    "BindOptions",
    "Health",
    "Healthcheck",
    "IPAMConfig",
    "Init",
    "MemorySwappiness",
    "OomKillDisable",
    "PidsLimit",
    "Platform",
    "StopTimeout",
    "TmpfsOptions",
    "VolumeOptions",
];

/// One value of a template.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing, and what it would have been.
    Nil(Nil),
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// Any other number.
    Float(f64),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Value>),
    /// An object.
    Map(Map),
}

/// What an absent value prints: `<nil>`, `[]`, `map[]`; in JSON all are `null`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Nil {
    /// A pointer, or nothing known.
    Object,
    /// An array.
    List,
    /// A map.
    Map,
}

/// An object; the members in the order they were given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Map {
    /// Name and value.
    pub members: Vec<(String, Value)>,
    /// The keys are the user's: to ask for one that is missing is no mistake.
    pub open: bool,
}

impl Map {
    /// The value of a member.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.members.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }
}

impl Value {
    /// The value that `object`'s JSON is.
    #[must_use]
    pub fn of<T: Serialize + ?Sized>(object: &T) -> Self {
        let json = serde_json::to_string(object).unwrap_or_default();
        serde_json::from_str(&json).unwrap_or(Self::Nil(Nil::Object))
    }

    /// An object of texts: the row of a listing.
    #[must_use]
    pub fn row<'a>(members: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        let text = |(name, text): (&str, String)| (name.to_owned(), Self::Text(text));
        Self::Map(Map { members: members.into_iter().map(text).collect(), open: false })
    }

    /// Go's truth: everything but false, zero, nothing and what is empty.
    #[must_use]
    pub fn truth(&self) -> bool {
        match self {
            Self::Nil(_) => false,
            Self::Bool(truth) => *truth,
            Self::Int(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(list) => !list.is_empty(),
            Self::Map(map) => !map.members.is_empty(),
        }
    }

    /// Go's word for the kind of value, as error messages have it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Nil(_) => "nil",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::List(_) => "list",
            Self::Map(_) => "map",
        }
    }

    /// What an absent member of this name is.
    fn absent(name: &str) -> Self {
        Self::Nil(match name {
            _ if OPEN.contains(&name) => Nil::Map,
            _ if POINTERS.contains(&name) => Nil::Object,
            _ => Nil::List,
        })
    }
}

/// Go's `%v`: texts bare, lists in brackets, maps sorted by key.
impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil(Nil::Object) => out.write_str("<nil>"),
            Self::Nil(Nil::List) => out.write_str("[]"),
            Self::Nil(Nil::Map) => out.write_str("map[]"),
            Self::Bool(truth) => write!(out, "{truth}"),
            Self::Int(number) => write!(out, "{number}"),
            Self::Float(number) => write!(out, "{number}"),
            Self::Text(text) => out.write_str(text),
            Self::List(list) => {
                out.write_char('[')?;
                for (at, value) in list.iter().enumerate() {
                    write!(out, "{}{value}", if at == 0 { "" } else { " " })?;
                }
                out.write_char(']')
            }
            Self::Map(map) => {
                let mut members: Vec<_> = map.members.iter().collect();
                members.sort_by(|a, b| a.0.cmp(&b.0));
                out.write_str("map[")?;
                for (at, (name, value)) in members.into_iter().enumerate() {
                    write!(out, "{}{name}:{value}", if at == 0 { "" } else { " " })?;
                }
                out.write_char(']')
            }
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nil(_) => to.serialize_unit(),
            Self::Bool(truth) => to.serialize_bool(*truth),
            Self::Int(number) => to.serialize_i128(*number),
            Self::Float(number) => to.serialize_f64(*number),
            Self::Text(text) => to.serialize_str(text),
            Self::List(list) => list.serialize(to),
            Self::Map(map) => {
                let mut object = to.serialize_map(Some(map.members.len()))?;
                for (name, value) in &map.members {
                    object.serialize_entry(name, value)?;
                }
                object.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Reader)
    }
}

/// Takes whatever JSON has.
struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Nil(Nil::Object))
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Int(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = array.next_element()? {
            list.push(value);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut map = Map::default();
        while let Some((name, mut value)) = object.next_entry::<String, Value>()? {
            match &mut value {
                Value::Nil(_) => value = Value::absent(&name),
                Value::Map(inner) => inner.open = OPEN.contains(&name.as_str()),
                _ => {}
            }
            map.members.push((name, value));
        }
        Ok(Value::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::Value;

    #[test]
    fn members_keep_their_order() {
        let json = r#"{"Z":1,"A":{"c":[true,null,"x",-2,1.5]},"M":18446744073709551615}"#;
        let value: Value = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&value).unwrap(), json);
    }

    #[test]
    fn printed_like_go_does() {
        let json = r#"{"b":[1,"x y"],"a":{"Health":null,"Cmd":null,"Labels":null,"on":true}}"#;
        let value: Value = serde_json::from_str(json).unwrap();
        let want = "map[a:map[Cmd:[] Health:<nil> Labels:map[] on:true] b:[1 x y]]";
        assert_eq!(value.to_string(), want);
    }
}
