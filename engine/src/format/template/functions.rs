//! The functions of templates: Go's own, then Docker's.

use super::Value;
use super::eval::missing;
use super::printf;
use crate::format::nearest;
use std::cmp::Ordering;

type Answer = Result<Value, String>;

/// Name, arguments at least and at most, what it does.
type Row = (&'static str, usize, usize, fn(&[Value]) -> Answer);

const MANY: usize = usize::MAX;

const TABLE: [Row; 26] = [
    ("and", 1, MANY, |_| Err("not here".into())), // `eval` does these two: they look at no more
    ("or", 1, MANY, |_| Err("not here".into())),  // arguments than they must
    ("not", 1, 1, |args| Ok(Value::Bool(!args.iter().any(Value::truth)))),
    ("len", 1, 1, len),
    ("index", 1, MANY, index),
    ("slice", 1, 4, slice),
    ("eq", 1, MANY, eq),
    ("ne", 2, 2, |args| Ok(Value::Bool(!equal(args)?))),
    ("lt", 2, 2, |args| Ok(Value::Bool(order(args)? == Ordering::Less))),
    ("le", 2, 2, |args| Ok(Value::Bool(order(args)? != Ordering::Greater))),
    ("gt", 2, 2, |args| Ok(Value::Bool(order(args)? == Ordering::Greater))),
    ("ge", 2, 2, |args| Ok(Value::Bool(order(args)? != Ordering::Less))),
    ("print", 0, MANY, |args| Ok(Value::Text(printf::print(args)))),
    ("println", 0, MANY, |args| Ok(Value::Text(printf::println(args)))),
    ("printf", 1, MANY, |args| text(args, 0).map(|form| printed(form, args))),
    ("urlquery", 0, MANY, |args| Ok(Value::Text(urlquery(&printf::print(args))))),
    ("html", 0, MANY, |args| Ok(Value::Text(html(&printf::print(args))))),
    ("json", 1, 1, json),
    ("split", 2, 2, split),
    ("join", 2, 2, join),
    ("title", 1, 1, |args| text(args, 0).map(|text| Value::Text(title(text)))),
    ("lower", 1, 1, |args| text(args, 0).map(|text| Value::Text(text.to_lowercase()))),
    ("upper", 1, 1, |args| text(args, 0).map(|text| Value::Text(text.to_uppercase()))),
    ("pad", 3, 3, pad),
    ("truncate", 2, 2, truncate),
    ("trim", 1, 1, |args| text(args, 0).map(|text| Value::Text(text.trim().to_owned()))),
];

/// Whether there is a function of this name.
pub(super) fn known(name: &str) -> bool {
    TABLE.iter().any(|row| row.0 == name)
}

/// What to say of a name that is no function.
pub(super) fn unknown(name: &str) -> String {
    match nearest(name, TABLE.iter().map(|row| row.0)) {
        Some(near) => format!("function {name:?} not defined; did you mean {near:?}?"),
        None => format!("function {name:?} not defined"),
    }
}

/// Calls a function.
pub(super) fn call(name: &str, args: &[Value]) -> Answer {
    let Some((name, least, most, run)) = TABLE.iter().find(|row| row.0 == name) else {
        return Err(unknown(name));
    };
    if args.len() < *least || args.len() > *most {
        let want = if least == most { format!("{least}") } else { format!("at least {least}") };
        return Err(format!("wrong number of args for {name}: want {want} got {}", args.len()));
    }
    run(args).map_err(|wrong| format!("error calling {name}: {wrong}"))
}

fn printed(form: &str, args: &[Value]) -> Value {
    Value::Text(printf::printf(form, args.get(1..).unwrap_or_default()))
}

/// The text at that place.
fn text(args: &[Value], at: usize) -> Result<&str, String> {
    match args.get(at) {
        Some(Value::Text(text)) => Ok(text),
        other => Err(format!("wrong type for value; expected string; got {}", kind(other))),
    }
}

/// The whole number at that place, as a length.
fn length(args: &[Value], at: usize) -> Result<usize, String> {
    match args.get(at) {
        Some(Value::Int(number)) => {
            usize::try_from(*number).map_err(|_| format!("index out of range: {number}"))
        }
        other => Err(format!("cannot index slice/array with type {}", kind(other))),
    }
}

fn kind(value: Option<&Value>) -> &'static str {
    value.map_or("nil", Value::kind)
}

fn len(args: &[Value]) -> Answer {
    let count = match args.first() {
        Some(Value::Text(text)) => text.len(),
        Some(Value::List(list)) => list.len(),
        Some(Value::Map(map)) => map.members.len(),
        Some(Value::Nil(super::super::Nil::Object)) | None => {
            return Err("len of nil pointer".into());
        }
        Some(Value::Nil(_)) => 0,
        other => return Err(format!("len of type {}", kind(other))),
    };
    Ok(Value::Int(i128::try_from(count).unwrap_or(i128::MAX)))
}

fn index(args: &[Value]) -> Answer {
    let mut here = args.first().cloned().ok_or("index of untyped nil")?;
    for at in 1..args.len() {
        here = match &here {
            Value::Map(map) => {
                let key = args.get(at).map(ToString::to_string).unwrap_or_default();
                map.get(&key).cloned().unwrap_or_else(|| missing(map))
            }
            Value::List(list) => {
                let number = length(args, at)?;
                list.get(number).cloned().ok_or_else(|| format!("index out of range: {number}"))?
            }
            Value::Text(text) => {
                let number = length(args, at)?;
                let byte = text.as_bytes().get(number);
                byte.map(|byte| Value::Int((*byte).into()))
                    .ok_or_else(|| format!("index out of range: {number}"))?
            }
            Value::Nil(_) => return Err("index of nil pointer".into()),
            other => return Err(format!("can't index item of type {}", other.kind())),
        };
    }
    Ok(here)
}

fn slice(args: &[Value]) -> Answer {
    let whole = match args.first() {
        Some(Value::Text(text)) => text.len(),
        Some(Value::List(list)) => list.len(),
        other => return Err(format!("can't slice item of type {}", kind(other))),
    };
    let from = if args.len() > 1 { length(args, 1)? } else { 0 };
    let to = if args.len() > 2 { length(args, 2)? } else { whole };
    let wrong = || format!("index out of range: [{from}:{to}] of {whole}");
    match args.first() {
        Some(Value::List(list)) => {
            list.get(from..to).map(|part| Value::List(part.to_vec())).ok_or_else(wrong)
        }
        Some(Value::Text(text)) => {
            let part = text.as_bytes().get(from..to).ok_or_else(wrong)?;
            Ok(Value::Text(String::from_utf8_lossy(part).into_owned()))
        }
        _ => Err(wrong()),
    }
}

/// Numbers as numbers, whatever their kind; everything else must be of one kind.
fn order(args: &[Value]) -> Result<Ordering, String> {
    let wrong = || "incompatible types for comparison".to_owned();
    match (args.first(), args.get(1)) {
        (Some(Value::Int(a)), Some(Value::Int(b))) => Ok(a.cmp(b)),
        (Some(Value::Text(a)), Some(Value::Text(b))) => Ok(a.cmp(b)),
        (Some(a), Some(b)) => {
            let (a, b) = (number(a).ok_or_else(wrong)?, number(b).ok_or_else(wrong)?);
            a.partial_cmp(&b).ok_or_else(wrong)
        }
        _ => Err(wrong()),
    }
}

#[expect(clippy::cast_precision_loss, reason = "compared with a number that has no more precision")]
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        _ => None,
    }
}

fn equal(args: &[Value]) -> Result<bool, String> {
    match (args.first(), args.get(1)) {
        (Some(Value::Nil(_)), Some(Value::Nil(_))) => Ok(true),
        (Some(Value::Nil(_)), _) | (_, Some(Value::Nil(_))) => Ok(false),
        (Some(Value::Bool(a)), Some(Value::Bool(b))) => Ok(a == b),
        (Some(Value::List(_) | Value::Map(_)), _) | (_, Some(Value::List(_) | Value::Map(_))) => {
            Err("incompatible types for comparison".into())
        }
        _ => Ok(order(args)? == Ordering::Equal),
    }
}

/// Whether the first is one of the others.
fn eq(args: &[Value]) -> Answer {
    let (first, others) = args.split_first().ok_or("missing argument for comparison")?;
    if others.is_empty() {
        return Err("missing argument for comparison".into());
    }
    for other in others {
        if equal(&[first.clone(), other.clone()])? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn json(args: &[Value]) -> Answer {
    let value = args.first().ok_or("nothing given")?;
    serde_json::to_string(value).map(Value::Text).map_err(|error| error.to_string())
}

fn split(args: &[Value]) -> Answer {
    let (whole, mark) = (text(args, 0)?, text(args, 1)?);
    let part = |part: &str| Value::Text(part.to_owned());
    if mark.is_empty() {
        return Ok(Value::List(whole.chars().map(|letter| part(&letter.to_string())).collect()));
    }
    Ok(Value::List(whole.split(mark).map(part).collect()))
}

fn join(args: &[Value]) -> Answer {
    let mark = text(args, 1)?;
    match args.first() {
        Some(Value::Nil(_)) => Ok(Value::Text(String::new())),
        Some(Value::List(list)) => {
            let parts: Vec<_> = list.iter().map(ToString::to_string).collect();
            Ok(Value::Text(parts.join(mark)))
        }
        other => Err(format!("wrong type for value; expected []string; got {}", kind(other))),
    }
}

/// The first letter of each word large.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut begins = true;
    for letter in text.chars() {
        if begins {
            out.extend(letter.to_uppercase());
        } else {
            out.push(letter);
        }
        begins = !(letter.is_alphanumeric() || letter == '_' || letter == '\'');
    }
    out
}

fn pad(args: &[Value]) -> Answer {
    let whole = text(args, 0)?;
    if whole.is_empty() {
        return Ok(Value::Text(String::new()));
    }
    let spaces = |count: usize| " ".repeat(count.min(4096));
    Ok(Value::Text(format!("{}{whole}{}", spaces(length(args, 1)?), spaces(length(args, 2)?))))
}

fn truncate(args: &[Value]) -> Answer {
    let (whole, most) = (text(args, 0)?, length(args, 1)?);
    Ok(Value::Text(whole.chars().take(most).collect()))
}

fn urlquery(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(byte.into());
            }
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn html(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(letter),
        }
    }
    out
}
