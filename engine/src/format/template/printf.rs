//! Go's `print`, `println` and `printf`.

use super::Value;
use crate::format::size::general;

/// Operands side by side; a space between two that are no texts.
pub(super) fn print(args: &[Value]) -> String {
    let mut out = String::new();
    let mut bare = false;
    for (at, value) in args.iter().enumerate() {
        let is_text = matches!(value, Value::Text(_));
        if at > 0 && bare && !is_text {
            out.push(' ');
        }
        out.push_str(&value.to_string());
        bare = !is_text;
    }
    out
}

/// Operands with spaces between them, and a new line.
pub(super) fn println(args: &[Value]) -> String {
    let mut out = args.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    out.push('\n');
    out
}

/// Flags, width, precision of a verb.
#[derive(Default)]
struct Spec {
    left: bool,
    zero: bool,
    plus: bool,
    sharp: bool,
    width: usize,
    precision: Option<usize>,
}

/// `%v %s %q %d %x %X %o %b %c %t %f %e %g %%` with flags `-0+#`, width and precision; what does
/// not fit is shown as Go shows it: `%!d(string=x)`.
pub(super) fn printf(form: &str, args: &[Value]) -> String {
    let mut out = String::new();
    let mut letters = form.chars().peekable();
    let mut next = args.iter();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        let mut spec = Spec::default();
        while let Some(flag) = letters.next_if(|c| "-0+# ".contains(*c)) {
            match flag {
                '-' => spec.left = true,
                '0' => spec.zero = true,
                '+' => spec.plus = true,
                '#' => spec.sharp = true,
                _ => {}
            }
        }
        let digits = |letters: &mut std::iter::Peekable<std::str::Chars<'_>>| {
            let mut number = 0_usize;
            while let Some(digit) = letters.next_if(char::is_ascii_digit) {
                let digit = digit.to_digit(10).and_then(|d| usize::try_from(d).ok());
                number = (number * 10 + digit.unwrap_or(0)).min(4096);
            }
            number
        };
        spec.width = digits(&mut letters);
        if letters.next_if_eq(&'.').is_some() {
            spec.precision = Some(digits(&mut letters));
        }
        match letters.next() {
            None => out.push_str("%!(NOVERB)"),
            Some('%') => out.push('%'),
            Some(verb) => match next.next() {
                None => out.push_str(&format!("%!{verb}(MISSING)")),
                Some(value) => out.push_str(&one(&spec, verb, value)),
            },
        }
    }
    let extra: Vec<_> = next.map(|value| format!("{}={value}", value.kind())).collect();
    if !extra.is_empty() {
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    out
}

/// One operand.
fn one(spec: &Spec, verb: char, value: &Value) -> String {
    let text = match (verb, value) {
        ('v', Value::Text(text)) if spec.sharp => format!("{text:?}"),
        ('s' | 'v', Value::Text(text)) => cut(text, spec),
        ('q', Value::Text(text)) => format!("{text:?}"),
        ('x', Value::Text(text)) => text.bytes().map(|byte| format!("{byte:02x}")).collect(),
        ('X', Value::Text(text)) => text.bytes().map(|byte| format!("{byte:02X}")).collect(),
        ('d' | 'v', Value::Int(number)) if spec.plus => format!("{number:+}"),
        ('d' | 'v', Value::Int(number)) => number.to_string(),
        ('x' | 'X' | 'o' | 'b', Value::Int(number)) => based(spec, verb, *number),
        ('c', Value::Int(number)) => letter(*number).to_string(),
        ('q', Value::Int(number)) => format!("{:?}", letter(*number)),
        ('t' | 'v', Value::Bool(truth)) => truth.to_string(),
        ('f' | 'F', Value::Float(number)) => format!("{number:.*}", spec.precision.unwrap_or(6)),
        ('e', Value::Float(number)) => format!("{number:.*e}", spec.precision.unwrap_or(6)),
        ('g' | 'v', Value::Float(number)) => match spec.precision {
            Some(digits) => general(*number, digits.min(64)),
            None => number.to_string(),
        },
        ('v' | 's' | 'd', Value::Nil(_) | Value::List(_) | Value::Map(_)) => value.to_string(),
        _ => return format!("%!{verb}({}={value})", value.kind()),
    };
    let number = matches!(value, Value::Int(_) | Value::Float(_));
    padded(&text, spec, spec.zero && number)
}

fn cut(text: &str, spec: &Spec) -> String {
    text.chars().take(spec.precision.unwrap_or(usize::MAX)).collect()
}

fn based(spec: &Spec, verb: char, number: i128) -> String {
    let sign = if number < 0 { "-" } else { "" };
    let size = number.unsigned_abs();
    match (verb, spec.sharp) {
        ('x', true) => format!("{sign}0x{size:x}"),
        ('x', false) => format!("{sign}{size:x}"),
        ('X', true) => format!("{sign}0X{size:X}"),
        ('X', false) => format!("{sign}{size:X}"),
        ('o', true) => format!("{sign}0{size:o}"),
        ('o', false) => format!("{sign}{size:o}"),
        (_, _) => format!("{sign}{size:b}"),
    }
}

fn letter(number: i128) -> char {
    u32::try_from(number).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn padded(text: &str, spec: &Spec, zeros: bool) -> String {
    let missing = spec.width.saturating_sub(text.chars().count());
    if spec.left {
        return format!("{text}{}", " ".repeat(missing));
    }
    if !zeros {
        return format!("{}{text}", " ".repeat(missing));
    }
    match text.strip_prefix('-') {
        Some(bare) => format!("-{}{bare}", "0".repeat(missing)),
        None => format!("{}{text}", "0".repeat(missing)),
    }
}
