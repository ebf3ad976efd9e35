//! Text and actions of a template, actions cut into words.

/// A piece of a template.
#[derive(Debug, PartialEq)]
pub(super) enum Piece<'a> {
    /// Stands for itself.
    Text(&'a str),
    /// What stood between `{{` and `}}`.
    Action(Vec<Token>),
}

/// A word of an action.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// No space before it: `.A.B` is one operand, `.A .B` are two.
    pub(super) glued: bool,
}

/// What kind of word.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// `.` alone.
    Dot,
    /// `.Name`.
    Field(String),
    /// `$` or `$name`, without the dollar.
    Variable(String),
    /// A keyword or a function.
    Word(String),
    /// `"…"` or `` `…` ``.
    Text(String),
    /// A whole number or a letter in single quotes.
    Int(i128),
    /// Any other number.
    Float(f64),
    /// `(` `)` `|` `,` `=`, and `:` for `:=`.
    Sign(char),
}

/// Cuts the whole text. The message says what is wrong.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("{{") {
        let (before, action) = (rest.get(..at).unwrap_or(""), rest.get(at + 2..).unwrap_or(""));
        let cut = dash_first(action);
        let before = if cut { before.trim_end() } else { before };
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        let action = if cut { action.get(1..).unwrap_or("") } else { action };
        let (tokens, after) = action_of(action)?;
        if !tokens.is_empty() {
            pieces.push(Piece::Action(tokens));
        }
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Ok(pieces)
}

/// `{{- `: the text before loses its spaces.
fn dash_first(action: &str) -> bool {
    let mut letters = action.chars();
    letters.next() == Some('-') && letters.next().is_some_and(char::is_whitespace)
}

/// The words of an action and what comes after it.
fn action_of(text: &str) -> Result<(Vec<Token>, &str), String> {
    if let Some(comment) = text.trim_start().strip_prefix("/*") {
        let (_, after) = comment.split_once("*/").ok_or("unclosed comment")?;
        return end(after)
            .map(|after| (Vec::new(), after))
            .ok_or_else(|| "comment ends before closing".into());
    }
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        if let Some(after) = end(rest) {
            if tokens.is_empty() {
                return Err("missing value for command".into());
            }
            return Ok((tokens, after));
        }
        let trimmed = rest.trim_start();
        let glued = trimmed.len() == rest.len() && !tokens.is_empty();
        if trimmed.is_empty() || trimmed.starts_with("{{") {
            return Err("unclosed action".into());
        }
        let (kind, after) = token(trimmed)?;
        tokens.push(Token { kind, glued });
        rest = after;
    }
}

/// What follows `}}` or ` -}}`, when the action ends here.
fn end(text: &str) -> Option<&str> {
    let trimmed = text.trim_start();
    if let Some(after) = trimmed.strip_prefix("-}}").filter(|_| trimmed.len() < text.len()) {
        return Some(after.trim_start());
    }
    trimmed.strip_prefix("}}")
}

/// The first word of a text that is not empty.
fn token(text: &str) -> Result<(Kind, &str), String> {
    let first = text.chars().next().unwrap_or(' ');
    let rest = text.get(first.len_utf8()..).unwrap_or("");
    match first {
        '(' | ')' | '|' | ',' | '=' => Ok((Kind::Sign(first), rest)),
        ':' => {
            let rest = rest.strip_prefix('=').ok_or("expected :=")?;
            Ok((Kind::Sign(':'), rest))
        }
        '"' => quoted(rest),
        '`' => {
            let (raw, rest) = rest.split_once('`').ok_or("unterminated raw quoted string")?;
            Ok((Kind::Text(raw.to_owned()), rest))
        }
        '\'' => letter(rest),
        '$' => {
            let (name, rest) = name(rest);
            Ok((Kind::Variable(name.to_owned()), rest))
        }
        '.' if rest.starts_with(|c: char| c.is_ascii_digit()) => number(text),
        '.' => match name(rest) {
            ("", rest) => Ok((Kind::Dot, rest)),
            (name, rest) => Ok((Kind::Field(name.to_owned()), rest)),
        },
        '+' | '-' | '0'..='9' => number(text),
        _ => match name(text) {
            ("", _) => Err(format!("unexpected {first:?} in command")),
            (word, rest) => Ok((Kind::Word(word.to_owned()), rest)),
        },
    }
}

/// Letters, digits and `_` in front.
fn name(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len()))
}

/// A text in double quotes; the first quote is gone.
fn quoted(text: &str) -> Result<(Kind, &str), String> {
    let mut out = String::new();
    let mut rest = text;
    loop {
        let next =
            rest.chars().next().filter(|c| *c != '\n').ok_or("unterminated quoted string")?;
        rest = rest.get(next.len_utf8()..).unwrap_or("");
        match next {
            '"' => return Ok((Kind::Text(out), rest)),
            '\\' => {
                let (escaped, after) = escape(rest)?;
                out.push(escaped);
                rest = after;
            }
            plain => out.push(plain),
        }
    }
}

/// A letter in single quotes is its number.
fn letter(text: &str) -> Result<(Kind, &str), String> {
    let wrong = "unterminated character constant";
    let first = text.chars().next().ok_or(wrong)?;
    let rest = text.get(first.len_utf8()..).unwrap_or("");
    let (letter, rest) = if first == '\\' { escape(rest)? } else { (first, rest) };
    let rest = rest.strip_prefix('\'').ok_or(wrong)?;
    Ok((Kind::Int(u32::from(letter).into()), rest))
}

/// What stands behind a backslash.
fn escape(text: &str) -> Result<(char, &str), String> {
    let first = text.chars().next().ok_or("unterminated quoted string")?;
    let rest = text.get(first.len_utf8()..).unwrap_or("");
    let digits = match first {
        'n' => return Ok(('\n', rest)),
        't' => return Ok(('\t', rest)),
        'r' => return Ok(('\r', rest)),
        '\\' | '"' | '\'' => return Ok((first, rest)),
        'x' => 2,
        'u' => 4,
        'U' => 8,
        _ => return Err(format!("unknown escape \\{first}")),
    };
    let code = rest.get(..digits).and_then(|code| u32::from_str_radix(code, 16).ok());
    let letter = code.and_then(char::from_u32).ok_or("bad escape in string")?;
    Ok((letter, rest.get(digits..).unwrap_or("")))
}

/// A number: decimal, hexadecimal, octal, binary, or with a point or exponent.
fn number(text: &str) -> Result<(Kind, &str), String> {
    let sign = text.len() - text.trim_start_matches(['+', '-']).len();
    let part = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '_';
    let tail = text.get(sign..).unwrap_or("");
    let mut length = sign + tail.find(|c| !part(c)).unwrap_or(tail.len());
    let exponent = |seen: &str| seen.ends_with(['e', 'E']) && !seen.contains(['x', 'X']);
    if text.get(..length).is_some_and(exponent)
        && text.get(length..).is_some_and(|t| t.starts_with(['+', '-']))
    {
        let tail = text.get(length + 1..).unwrap_or("");
        length += 1 + tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
    }
    let (digits, rest) = text.split_at(length);
    let wrong = || format!("bad number syntax: {digits:?}");
    let (negative, bare) = match digits.strip_prefix('-') {
        Some(bare) => (true, bare),
        None => (false, digits.strip_prefix('+').unwrap_or(digits)),
    };
    let bare = bare.replace('_', "");
    let based = match bare.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => Some(16),
        Some("0o") => Some(8),
        Some("0b") => Some(2),
        _ => None,
    };
    let whole = match based {
        Some(base) => i64::from_str_radix(bare.get(2..).unwrap_or(""), base).ok(),
        None => bare.parse().ok(),
    };
    if let Some(whole) = whole.filter(|_| !bare.starts_with(['+', '-'])) {
        let whole = i128::from(whole);
        return Ok((Kind::Int(if negative { -whole } else { whole }), rest));
    }
    let float = bare.parse::<f64>().ok().filter(|float| float.is_finite()).ok_or_else(wrong)?;
    Ok((Kind::Float(if negative { -float } else { float }), rest))
}
