//! Quantities as people write them for Go programs: sizes with a unit, durations.

/// Bytes from a size such as `512`, `64M`, `1.5 GiB`; units are powers of 1024, in any case.
///
/// As go-units' `RAMInBytes`, which runc reads sizes with; `None` for what is none.
pub(crate) fn bytes(text: &str) -> Option<i64> {
    const UNITS: &str = "bkmgtp";
    let end = text.rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ')? + 1;
    let (number, unit) = text.split_at(end);
    let number = number.strip_suffix(' ').unwrap_or(number);
    let unit = unit.to_ascii_lowercase();
    let letter = unit.chars().next().unwrap_or('b');
    let good = matches!(unit.strip_prefix(letter), None | Some("" | "b" | "ib"));
    if !good || letter == 'b' && unit.len() > 1 {
        return None;
    }
    let power = u32::try_from(UNITS.find(letter)?).ok()?;
    let factor = 1024_i64.pow(power);
    if let Ok(whole) = number.parse::<u32>() {
        return i64::from(whole).checked_mul(factor);
    }
    if let Ok(whole) = number.parse::<u64>() {
        return i64::try_from(whole).ok()?.checked_mul(factor);
    }
    fraction(number, factor)
}

/// A number with a point, times `factor`: what is below a byte is cut off.
fn fraction(number: &str, factor: i64) -> Option<i64> {
    let (whole, part) = number.split_once('.')?;
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) || whole.len() + part.len() == 0 {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse::<i64>().ok()? };
    let part = part.get(..part.len().min(15))?;
    let mut below = 0_i128;
    if !part.is_empty() {
        let scale = 10_i128.pow(u32::try_from(part.len()).ok()?);
        below = part.parse::<i128>().ok()? * i128::from(factor) / scale;
    }
    whole.checked_mul(factor)?.checked_add(i64::try_from(below).ok()?)
}

/// Nanoseconds from a duration such as `5s`, `100ms`, `1m30.5s`, as Go's `time.ParseDuration`
/// reads it; `None` for what is none.
pub(crate) fn duration(text: &str) -> Option<i64> {
    const UNITS: &[(&str, i64)] = &[
        ("ns", 1),
        ("us", 1000),
        ("µs", 1000),
        ("μs", 1000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut sum: i64 = 0;
    loop {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let factor = UNITS.iter().find(|(name, _)| *name == unit)?.1;
        let part = match number.contains('.') {
            true => fraction(number, factor)?,
            false => number.parse::<i64>().ok()?.checked_mul(factor)?,
        };
        sum = sum.checked_add(part)?;
        rest = after;
        if rest.is_empty() {
            return Some(sign * sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_go_units_reads_them() {
        for (text, size) in [
            ("0", 0),
            ("67108864", 67_108_864),
            ("50M", 50 << 20),
            ("50m", 50 << 20),
            ("50MB", 50 << 20),
            ("50MiB", 50 << 20),
            ("50 mib", 50 << 20),
            ("32", 32),
            ("32b", 32),
            ("32k", 32 << 10),
            ("1.5g", 3 << 29),
            (".5k", 512),
            ("2.k", 2048),
            ("1t", 1 << 40),
            ("1p", 1 << 50),
            ("9223372036854771712", 9_223_372_036_854_771_712),
        ] {
            assert_eq!(bytes(text), Some(size), "{text}");
        }
    }

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, nanoseconds) in [
            ("5s", 5_000_000_000),
            ("100ms", 100_000_000),
            ("1.5s", 1_500_000_000),
            ("1m30s", 90_000_000_000),
            ("1h0.5m", 3_630_000_000_000),
            ("+2us", 2000),
            ("3µs", 3000),
            ("7ns", 7),
            ("0", 0),
            ("-1s", -1_000_000_000),
            (".5s", 500_000_000),
        ] {
            assert_eq!(duration(text), Some(nanoseconds), "{text}");
        }
        for text in ["", "5", "s", "5x", "1s5", "- 1s", ".s", "1d", "9999999999h", "1e3s"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in [
            "", " ", "M", "-5", "-1", "5x", "5bb", "5bib", "5mbi", "5kibs", "1.2.3", ".", ". k",
            "hello", "1e3", "0x10", "9999999p", "1,5k", "+5k ",
        ] {
            assert_eq!(bytes(text), None, "{text:?}");
        }
    }
}
