//! Lengths of time: Docker's words for people, Go's notation in flags.

use std::time::Duration;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Docker's words: `Less than a second`, `About an hour`, `3 days`. Callers add `ago` or `Up`.
#[must_use]
pub fn human(length: Duration) -> String {
    let seconds = length.as_secs();
    let hours = (seconds + HOUR / 2) / HOUR; // rounded, as only hours are
    match seconds {
        0 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        _ if seconds < MINUTE => format!("{seconds} seconds"),
        _ if seconds < 2 * MINUTE => "About a minute".to_owned(),
        _ if seconds < HOUR => format!("{} minutes", seconds / MINUTE),
        _ if hours == 1 => "About an hour".to_owned(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        _ if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", seconds / DAY / 365),
    }
}

/// Reads Go's notation: `300ms`, `1.5h`, `1h15m30s`, also `0`. No sign. `None`: not that.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() || sum.is_zero() && rest.len() == text.len() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        sum = sum.checked_add(part(number, unit)?)?;
        rest = tail;
    }
    Some(sum)
}

/// One number with its unit, to the nanosecond.
fn part(number: &str, unit: &str) -> Option<Duration> {
    let nanos: u64 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => MINUTE * 1_000_000_000,
        "h" => HOUR * 1_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? };
    let mut sum = whole.checked_mul(nanos)?;
    let mut place = nanos;
    for digit in fraction.bytes().take(18) {
        // 60 and 3600 end in one zero only: to the microsecond it is exact, and beyond it no one asks.
        place /= 10;
        sum = sum.checked_add(place * u64::from(digit - b'0'))?;
    }
    Some(Duration::from_nanos(sum))
}

/// Go's notation: `1h15m30.5s`, `300ms`, `0s`.
#[must_use]
pub fn notation(length: Duration) -> String {
    let (seconds, nanos) = (length.as_secs(), length.subsec_nanos());
    if seconds == 0 {
        return match nanos {
            0 => "0s".to_owned(),
            1..1000 => format!("{nanos}ns"),
            1000..1_000_000 => decimal(nanos / 1000, nanos % 1000, 3, "µs"),
            _ => decimal(nanos / 1_000_000, nanos % 1_000_000, 6, "ms"),
        };
    }
    let second = u32::try_from(seconds % MINUTE).unwrap_or(0);
    let last = decimal(second, nanos, 9, "s");
    match (seconds / HOUR, seconds % HOUR / MINUTE) {
        (0, 0) => last,
        (0, minutes) => format!("{minutes}m{last}"),
        (hours, minutes) => format!("{hours}h{minutes}m{last}"),
    }
}

/// A number with that many places behind the point, less the zeros at the end.
fn decimal(whole: u32, part: u32, places: usize, unit: &str) -> String {
    let digits = format!("{part:0places$}");
    match digits.trim_end_matches('0') {
        "" => format!("{whole}{unit}"),
        digits => format!("{whole}.{digits}{unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{DAY, HOUR, human, notation, parse};
    use std::time::Duration;

    #[test]
    fn the_words_are_dockers() {
        let cases = [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (120, "2 minutes"),
            (3599, "59 minutes"),
            (HOUR, "About an hour"),
            (HOUR + HOUR / 2, "2 hours"),
            (47 * HOUR, "47 hours"),
            (2 * DAY, "2 days"),
            (13 * DAY, "13 days"),
            (14 * DAY, "2 weeks"),
            (59 * DAY, "8 weeks"),
            (60 * DAY, "2 months"),
            (729 * DAY, "24 months"),
            (730 * DAY, "2 years"),
        ];
        for (seconds, words) in cases {
            assert_eq!(human(Duration::from_secs(seconds)), words);
        }
    }

    #[test]
    fn go_notation_both_ways() {
        let cases = [
            ("0s", 0),
            ("1ns", 1),
            ("1.5µs", 1500),
            ("300ms", 300_000_000),
            ("1.001s", 1_001_000_000),
            ("1m30s", 90_000_000_000),
            ("1h0m0.5s", 3_600_500_000_000),
        ];
        for (text, nanos) in cases {
            assert_eq!(parse(text), Some(Duration::from_nanos(nanos)), "{text}");
            assert_eq!(notation(Duration::from_nanos(nanos)), text);
        }
        assert_eq!(parse("1.5h"), Some(Duration::from_secs(5400)));
        assert_eq!(parse(".5m"), Some(Duration::from_secs(30)));
        assert_eq!(parse("0"), Some(Duration::ZERO));
        for bad in ["", "1", "s", "1x", "-1s", "1s2", "1..2s", ".s", "1 s", "99999999999999h"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
