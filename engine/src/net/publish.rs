//! The grammar of `-p` and `--expose`: `[[IP:][HOST]:]CONTAINER[/PROTO]`, ranges in both places.
//!
//! Pure: what is free on the host is found in [`super::ports`]. The words of the errors are
//! Docker's, because scripts look for them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What carries the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proto {
    /// `tcp(7)`.
    Tcp,
    /// `udp(7)`.
    Udp,
    /// Stream control transmission, RFC 9260.
    Sctp,
}

impl Proto {
    /// The number of `/etc/protocols`.
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }
}

impl fmt::Display for Proto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

impl FromStr for Proto {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.to_ascii_lowercase().as_str() {
            "tcp" => Ok(Self::Tcp),
            "udp" => Ok(Self::Udp),
            "sctp" => Ok(Self::Sctp),
            _ => Err(Error::new(format!("invalid proto: {text}")).fix("use /tcp, /udp or /sctp")),
        }
    }
}

/// A port inside the container: `80/tcp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Port {
    /// 1 to 65535.
    pub number: u16,
    /// What carries it.
    pub proto: Proto,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.proto)
    }
}

/// One container port, and where on the host it is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publish {
    /// The port inside.
    pub port: Port,
    /// The host's address; all of them when none was said.
    pub ip: Option<IpAddr>,
    /// First and last host port to try, in order; any free one when none was said.
    pub host: Option<(u16, u16)>,
}

/// First and last port.
type Range = (u16, u16);

/// Reads one `-p`: a range of container ports gives one [`Publish`] each.
///
/// # Errors
/// What is wrong, in Docker's words.
pub fn parse(text: &str) -> Result<Vec<Publish>> {
    let wrong = |why: &str| {
        Error::new(format!("invalid publish spec {text:?}")).why(why).fix(
            "write -p [[IP:][HOST_PORT]:]CONTAINER_PORT[/tcp|udp|sctp], such as 127.0.0.1:8080:80",
        )
    };
    let (rest, proto) = match text.rsplit_once('/') {
        Some((rest, proto)) => (rest, proto.parse()?),
        None => (text, Proto::Tcp),
    };
    let (ip, host, container) =
        split(rest).ok_or_else(|| wrong("an IPv6 address goes in brackets"))?;
    if container.is_empty() {
        return Err(wrong("no port specified"));
    }
    let ip = match ip {
        None | Some("") => None,
        Some(ip) => Some(ip.parse().map_err(|_| wrong(&format!("invalid IP address: {ip}")))?),
    };
    let (first, last) =
        range(container).ok_or_else(|| wrong(&format!("invalid containerPort: {container}")))?;
    let host = match host {
        None | Some("" | "0") => None,
        Some(host) => Some(range(host).ok_or_else(|| wrong(&format!("invalid hostPort: {host}")))?),
    };
    let pairs = pair((first, last), host).ok_or_else(|| {
        wrong("invalid ranges specified for container and host ports: their lengths differ")
    })?;
    let publish = |(number, host)| Publish { port: Port { number, proto }, ip, host };
    Ok(pairs.into_iter().map(publish).collect())
}

/// Each container port with its own host port; one container port takes the whole host range to
/// choose from.
fn pair((first, last): Range, host: Option<Range>) -> Option<Vec<(u16, Option<Range>)>> {
    Some(match host {
        None => (first..=last).map(|port| (port, None)).collect(),
        Some(range) if first == last => vec![(first, Some(range))],
        Some((begin, end)) if end - begin == last - first => {
            (first..=last).zip(begin..=end).map(|(port, host)| (port, Some((host, host)))).collect()
        }
        Some(_) => return None,
    })
}

/// `IP:HOST:CONTAINER` from the right; `[IP]` may have colons of its own.
fn split(text: &str) -> Option<(Option<&str>, Option<&str>, &str)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (ip, rest) = rest.split_once(']')?;
        let (host, container) = rest.strip_prefix(':')?.split_once(':')?;
        return (!container.contains(':')).then_some((Some(ip), Some(host), container));
    }
    let mut parts = text.rsplitn(3, ':');
    let container = parts.next().unwrap_or_default();
    let host = parts.next();
    let ip = parts.next();
    ip.is_none_or(|ip| !ip.contains(':')).then_some((ip, host, container))
}

/// `80` or `80-90`; never 0, never backwards.
fn range(text: &str) -> Option<(u16, u16)> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u16>().ok().filter(|port| *port > 0)).flatten()
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

/// Reads one `--expose`, or one key of the image's `ExposedPorts`: `80`, `80/udp`, `7000-7010/tcp`.
///
/// # Errors
/// What is wrong, in Docker's words.
pub fn parse_expose(text: &str) -> Result<Vec<Port>> {
    let (ports, proto) = text.split_once('/').unwrap_or((text, "tcp"));
    let proto = proto.parse()?;
    let (first, last) = range(ports).ok_or_else(|| {
        Error::new(format!("invalid range format for --expose: {text}"))
            .fix("write --expose 80, --expose 80/udp or --expose 7000-7010")
    })?;
    Ok((first..=last).map(|number| Port { number, proto }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> String {
        let show = |publish: &Publish| {
            let ip = publish.ip.map_or_else(|| "*".into(), |ip| ip.to_string());
            let host = publish.host.map_or_else(|| "?".into(), |(a, b)| format!("{a}-{b}"));
            format!("{ip} {host} {}", publish.port)
        };
        match parse(text) {
            Ok(all) => all.iter().map(show).collect::<Vec<_>>().join(", "),
            Err(error) => error.why.unwrap_or(error.what),
        }
    }

    #[test]
    fn every_form_of_p() {
        for (text, means) in [
            ("80", "* ? 80/tcp"),
            ("80/udp", "* ? 80/udp"),
            ("80/SCTP", "* ? 80/sctp"),
            ("8080:80", "* 8080-8080 80/tcp"),
            (":80", "* ? 80/tcp"),
            ("0:80", "* ? 80/tcp"),
            ("127.0.0.1:8080:80", "127.0.0.1 8080-8080 80/tcp"),
            ("127.0.0.1::80/udp", "127.0.0.1 ? 80/udp"),
            ("[::1]:8080:80", "::1 8080-8080 80/tcp"),
            ("[::]::80", ":: ? 80/tcp"),
            ("8000-8010:80", "* 8000-8010 80/tcp"),
            ("8000-8001:90-91", "* 8000-8000 90/tcp, * 8001-8001 91/tcp"),
            ("90-91", "* ? 90/tcp, * ? 91/tcp"),
            ("::80", "* ? 80/tcp"),
        ] {
            assert_eq!(one(text), means, "{text}");
        }
    }

    #[test]
    fn wrong_forms_say_what_is_wrong() {
        for (text, says) in [
            ("", "no port specified"),
            ("80:", "no port specified"),
            ("0", "invalid containerPort: 0"),
            ("65536", "invalid containerPort: 65536"),
            ("+80", "invalid containerPort: +80"),
            ("90-80", "invalid containerPort: 90-80"),
            ("x:80", "invalid hostPort: x"),
            ("localhost:80:80", "invalid IP address: localhost"),
            ("::1:80:80", "an IPv6 address goes in brackets"),
            ("[::1:80:80", "an IPv6 address goes in brackets"),
            ("80/icmp", "invalid proto: icmp"),
            (
                "8000-8001:90-95",
                "invalid ranges specified for container and host ports: their lengths differ",
            ),
        ] {
            assert_eq!(one(text), says, "{text}");
        }
    }

    #[test]
    fn exposed_ports() {
        assert_eq!(parse_expose("53/udp").unwrap(), [Port { number: 53, proto: Proto::Udp }]);
        assert_eq!(parse_expose("7000-7002").unwrap().len(), 3);
        assert!(parse_expose("80:80").is_err());
    }
}
