//! Hardware addresses of containers.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Six bytes, as `ip link` shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The address of who has `ip`: the same one always, so that a neighbour who remembers the
    /// last container with this IP address still finds the next (Docker's rule until 28).
    pub const fn of(ip: Ipv4Addr) -> Self {
        let [a, b, c, d] = ip.octets();
        Self([0x02, 0x42, a, b, c, d])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |why: &str| {
            Error::new(format!("{text} is not a valid mac address"))
                .why(why)
                .fix("write six bytes, such as 92:d0:c6:0a:29:33")
        };
        let mut bytes = [0; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let part = parts.next().filter(|part| {
                part.len() == 2 && part.bytes().all(|digit| digit.is_ascii_hexdigit())
            });
            *byte = part
                .and_then(|part| u8::from_str_radix(part, 16).ok())
                .ok_or_else(|| wrong("it does not have six bytes of two digits"))?;
        }
        if parts.next().is_some() {
            return Err(wrong("it has more than six bytes"));
        }
        if bytes[0] & 1 == 1 || bytes == [0; 6] {
            return Err(wrong("no device can have it: it means many, or none"));
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Mac {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_shown() {
        let mac: Mac = "92:D0:c6:0a:29:33".parse().unwrap();
        assert_eq!(mac.to_string(), "92:d0:c6:0a:29:33");
        assert_eq!(Mac::of(Ipv4Addr::new(172, 17, 0, 2)).to_string(), "02:42:ac:11:00:02");
        for wrong in ["", "92:d0", "92:d0:c6:0a:29:33:1", "92:d0:c6:0a:29:+3", "01:0:0:0:0:0"] {
            assert!(wrong.parse::<Mac>().is_err(), "{wrong}");
        }
        assert!("01:00:5e:00:00:01".parse::<Mac>().unwrap_err().to_string().contains("many"));
    }
}
