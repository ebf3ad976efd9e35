//! Points in time: RFC 3339 both ways, and what Docker's `--since` and `--until` take.
//!
//! Always UTC: a static program has no time zones of its own, and what is on disk shall not depend
//! on where it was written.

use super::duration;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A point in time, to the nanosecond.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp {
    /// Since 1970-01-01, UTC.
    pub seconds: i64,
    /// Below a thousand million.
    pub nanos: u32,
}

/// Days from 1970-01-01 of a date of the Gregorian calendar, and back: Howard Hinnant's rules.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month, day.
fn date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let part = (5 * of_year + 2) / 153;
    let month = if part < 10 { part + 3 } else { part - 9 };
    (era * 400 + year + i64::from(month <= 2), month, of_year - (153 * part + 2) / 5 + 1)
}

impl Timestamp {
    /// Docker's `0001-01-01T00:00:00Z`: never.
    pub const ZERO: Self = Self { seconds: -62_135_596_800, nanos: 0 };

    /// The host's clock.
    #[must_use]
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// How long ago it was, as of `now`; nothing when it lies ahead.
    #[must_use]
    pub fn until(self, now: Self) -> Duration {
        let nanos = |at: Self| i128::from(at.seconds) * 1_000_000_000 + i128::from(at.nanos);
        let length = u64::try_from(nanos(now) - nanos(self));
        Duration::from_nanos(length.unwrap_or(if self < now { u64::MAX } else { 0 }))
    }

    /// That much earlier.
    #[must_use]
    pub fn before(self, length: Duration) -> Self {
        let seconds = i64::try_from(length.as_secs()).unwrap_or(i64::MAX);
        let borrow = self.nanos < length.subsec_nanos();
        let nanos = self.nanos + if borrow { 1_000_000_000 } else { 0 } - length.subsec_nanos();
        Self { seconds: self.seconds.saturating_sub(seconds) - i64::from(borrow), nanos }
    }

    /// Reads RFC 3339: `2026-11-22T07:50:21.123456789Z`, `…+02:00`. `None`: not that.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (date, clock) = text.split_once(['T', 't', ' '])?;
        let end = clock.find(['Z', 'z', '+', '-'])?;
        let (clock, zone) = clock.split_at(end);
        let shift = match zone {
            "Z" | "z" => 0,
            zone => {
                let sign = if zone.starts_with('-') { -1 } else { 1 };
                let (hours, minutes) = zone.get(1..)?.split_once(':')?;
                sign * (number(hours, 2, 0, 23)? * 3600 + number(minutes, 2, 0, 59)? * 60)
            }
        };
        let at = Self::local(date, clock)?;
        Some(Self { seconds: at.seconds - shift, ..at })
    }

    /// A date and a time of day, taken as UTC; seconds may be left out.
    fn local(date: &str, clock: &str) -> Option<Self> {
        let mut parts = date.splitn(3, '-');
        let year = number(parts.next()?, 4, 0, 9999)?;
        let month = number(parts.next()?, 2, 1, 12)?;
        let day = number(parts.next()?, 2, 1, 31)?;
        if self::date(days(year, month, day)) != (year, month, day) {
            return None;
        }
        let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
        let mut parts = clock.splitn(3, ':');
        let hour = number(parts.next()?, 2, 0, 23)?;
        let minute = parts.next().map_or(Some(0), |part| number(part, 2, 0, 59))?;
        let second = parts.next().map_or(Some(0), |part| number(part, 2, 0, 60))?;
        let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
        Some(Self { seconds, nanos: nanos(fraction)? })
    }

    /// What `--since` and `--until` take: RFC 3339, a part of it, seconds since 1970, or a length
    /// of time before `now`.
    #[must_use]
    pub fn point(text: &str, now: Self) -> Option<Self> {
        if let Some(length) = duration::parse(text).filter(|_| text != "0") {
            return Some(now.before(length));
        }
        if let Some(at) = Self::parse(text) {
            return Some(at);
        }
        if let Some((date, clock)) = text.split_once('T') {
            return Self::local(date, clock);
        }
        if text.contains('-') {
            return Self::local(text, "00");
        }
        let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = !seconds.is_empty() && seconds.bytes().all(|c| c.is_ascii_digit());
        let seconds = digits.then(|| seconds.parse().ok())??;
        Some(Self { seconds, nanos: nanos(fraction)? })
    }

    /// Docker's listings: `2026-11-22 07:50:21 +0000 UTC`.
    #[must_use]
    pub fn listed(self) -> String {
        let (date, clock) = self.fields();
        format!("{date} {clock} +0000 UTC")
    }

    /// Date and time of day.
    fn fields(self) -> (String, String) {
        let (year, month, day) = date(self.seconds.div_euclid(86_400));
        let second = self.seconds.rem_euclid(86_400);
        let clock = format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60);
        (format!("{year:04}-{month:02}-{day:02}"), clock)
    }

    /// RFC 3339 with all nine digits, as Docker's logs have it: lines stand below each other.
    #[must_use]
    pub fn padded(self) -> String {
        let (date, clock) = self.fields();
        format!("{date}T{clock}.{:09}Z", self.nanos)
    }
}

/// RFC 3339, as many digits of a second as count: Go's `RFC3339Nano`.
impl fmt::Display for Timestamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (date, clock) = self.fields();
        let digits = format!("{:09}", self.nanos);
        match digits.trim_end_matches('0') {
            "" => write!(out, "{date}T{clock}Z"),
            digits => write!(out, "{date}T{clock}.{digits}Z"),
        }
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(since) => Self {
                seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
                nanos: since.subsec_nanos(),
            },
            Err(before) => Self::default().before(before.duration()),
        }
    }
}

/// Exactly that many digits, within the limits.
fn number(text: &str, digits: usize, least: i64, most: i64) -> Option<i64> {
    let fits = text.len() == digits && text.bytes().all(|c| c.is_ascii_digit());
    fits.then(|| text.parse().ok()).flatten().filter(|number| (least..=most).contains(number))
}

/// The digits behind the point of a second; from the tenth on they are dropped.
fn nanos(fraction: &str) -> Option<u32> {
    if fraction.is_empty() || !fraction.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    format!("{fraction:0<9}").get(..9)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Timestamp, date, days};
    use std::time::Duration;

    #[test]
    fn every_day_of_two_thousand_years_goes_both_ways() {
        for day in days(1000, 1, 1)..days(3000, 1, 1) {
            let (year, month, of_month) = date(day);
            assert_eq!(days(year, month, of_month), day);
        }
        assert_eq!(days(1970, 1, 1), 0);
        assert_eq!(date(-1), (1969, 12, 31));
        assert_eq!(days(2000, 2, 29), 11016);
    }

    #[test]
    fn rfc_3339_both_ways() {
        for text in [
            "1970-01-01T00:00:00Z",
            "2026-11-22T07:50:21.123456789Z",
            "2024-02-29T23:59:59.5Z",
            "0001-01-01T00:00:00Z",
        ] {
            assert_eq!(Timestamp::parse(text).unwrap().to_string(), text);
        }
        let shifted = Timestamp::parse("2026-01-01T01:30:00+02:00").unwrap();
        assert_eq!(shifted.to_string(), "2025-12-31T23:30:00Z");
        assert_eq!(Timestamp::parse("0001-01-01T00:00:00Z"), Some(Timestamp::ZERO));
        assert_eq!(shifted.padded(), "2025-12-31T23:30:00.000000000Z");
        assert_eq!(shifted.listed(), "2025-12-31 23:30:00 +0000 UTC");
        for bad in [
            "",
            "2026",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-01-01T25:00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00+0200",
            "2026-1-01T00:00:00Z",
            "T",
            "é-T:Z",
        ] {
            assert_eq!(Timestamp::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn since_takes_what_docker_takes() {
        let now = Timestamp { seconds: 1_000_000, nanos: 5 };
        let cases = [
            ("10m", "1970-01-12T13:36:40.000000005Z"),
            ("1500000000", "2017-07-14T02:40:00Z"),
            ("1500000000.25", "2017-07-14T02:40:00.25Z"),
            ("2017-07-14", "2017-07-14T00:00:00Z"),
            ("2017-07-14T02", "2017-07-14T02:00:00Z"),
            ("2017-07-14T02:40", "2017-07-14T02:40:00Z"),
            ("2017-07-14T02:40:01.5", "2017-07-14T02:40:01.5Z"),
            ("2017-07-14T02:40:00+01:00", "2017-07-14T01:40:00Z"),
            ("0", "1970-01-01T00:00:00Z"),
        ];
        for (text, want) in cases {
            assert_eq!(Timestamp::point(text, now).unwrap().to_string(), want, "{text}");
        }
        for bad in ["", "yesterday", "-5", "2017-7-14", "1.x"] {
            assert_eq!(Timestamp::point(bad, now), None, "{bad}");
        }
    }

    #[test]
    fn lengths_of_time_between_points() {
        let now = Timestamp { seconds: 100, nanos: 1 };
        let then = now.before(Duration::new(3, 2));
        assert_eq!(then, Timestamp { seconds: 96, nanos: 999_999_999 });
        assert_eq!(then.until(now), Duration::new(3, 2));
        assert_eq!(now.until(then), Duration::ZERO);
    }
}
