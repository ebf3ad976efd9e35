//! Sizes for people, as Docker writes and reads them.

/// Bytes in powers of ten, three digits: `72.8MB`. Docker's images and containers are so.
#[must_use]
pub fn decimal(bytes: u64) -> String {
    written(bytes, 1000.0, 3, &["B", "kB", "MB", "GB", "TB", "PB", "EB"])
}

/// Bytes in powers of 1024, four digits: `15.64GiB`. Docker's `info` and `stats` are so.
#[must_use]
pub fn binary(bytes: u64) -> String {
    written(bytes, 1024.0, 4, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"])
}

/// Reads `512m`, `1.5g`, `64kb`, `2GiB`, `100`: powers of 1024 whatever the letters, as Docker's
/// flags of memory have it. `None`: no size, or more than 64 bits hold.
#[must_use]
pub fn parse(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (text.get(..digits)?, text.get(digits..)?.trim_start());
    let unit = unit.to_ascii_lowercase();
    let short = unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(&unit);
    if short.is_empty() && unit == "ib" {
        return None;
    }
    let power = ["", "k", "m", "g", "t", "p"].iter().position(|known| *known == short)?;
    let factor = 1_u64 << (10 * u32::try_from(power).ok()?);
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor);
    }
    let part = number.parse::<f64>().ok().filter(|_| number.starts_with(|c: char| c != '.'))?;
    to_bytes(part * float(factor))
}

/// `%.<digits>g` of Go, then the unit.
fn written(bytes: u64, base: f64, digits: usize, units: &[&str]) -> String {
    let mut size = float(bytes);
    let mut unit = 0;
    while size >= base && unit + 1 < units.len() {
        size /= base;
        unit += 1;
    }
    format!("{}{}", general(size, digits), units.get(unit).unwrap_or(&""))
}

/// Go's and C's `%.Ng`: that many digits that count, no zeros at the end, an exponent only where
/// the digits do not reach.
pub(super) fn general(number: f64, digits: usize) -> String {
    let digits = digits.max(1);
    let science = format!("{number:.*e}", digits - 1);
    let Some((mantissa, exponent)) = science.split_once('e') else { return science };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let places = i32::try_from(digits).unwrap_or(i32::MAX) - 1 - exponent;
    if exponent < -4 || places < 0 {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", bare(mantissa), exponent.abs());
    }
    let fixed = format!("{number:.*}", usize::try_from(places).unwrap_or(0));
    bare(&fixed).to_owned()
}

/// Without zeros behind the point.
fn bare(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

#[expect(clippy::cast_precision_loss, reason = "shown with four digits at most")]
fn float(bytes: u64) -> f64 {
    bytes as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked; the part of a byte goes"
)]
fn to_bytes(size: f64) -> Option<u64> {
    (0.0..18_446_744_073_709_551_615.0).contains(&size).then_some(size as u64)
}

#[cfg(test)]
mod tests {
    use super::{binary, decimal, general, parse};

    #[test]
    fn sizes_are_written_as_docker_writes_them() {
        let cases = [
            (0, "0B"),
            (999, "999B"),
            (1000, "1kB"),
            (1230, "1.23kB"),
            (5_590_942, "5.59MB"),
            (72_800_000, "72.8MB"),
            (142_000_000, "142MB"),
            (999_900, "1e+03kB"), // so does Docker
            (u64::MAX, "18.4EB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(decimal(bytes), text);
        }
        assert_eq!(binary(0), "0B");
        assert_eq!(binary(1024), "1KiB");
        assert_eq!(binary(16_793_305_088), "15.64GiB");
    }

    #[test]
    fn digits_that_count() {
        assert_eq!(general(0.00001234, 3), "1.23e-05");
        assert_eq!(general(0.01234, 3), "0.0123");
        assert_eq!(general(1234.0, 4), "1234");
        assert_eq!(general(0.0, 3), "0");
    }

    #[test]
    fn sizes_of_flags() {
        let good = [
            ("0", 0),
            ("100", 100),
            ("32b", 32),
            ("32k", 32 << 10),
            ("32KB", 32 << 10),
            ("32KiB", 32 << 10),
            ("512m", 512 << 20),
            ("1.5g", 3 << 29),
            ("2 GB", 2 << 30),
            ("3t", 3 << 40),
        ];
        for (text, bytes) in good {
            assert_eq!(parse(text), Some(bytes), "{text}");
        }
        for bad in ["", "m", "-1", "1x", "1kk", "1..5m", ".5m", "99999999p", "1ib", "1é", "0x10"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
