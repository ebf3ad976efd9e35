//! Host names to addresses, without the C library: a static program has no modules of
//! `nsswitch.conf`, and glibc's own lookup may load them at its peril.
//!
//! `/etc/hosts` first, then the name servers of `/etc/resolv.conf` (`nameserver`, `search`,
//! `options` ndots, timeout, attempts, use-vc; resolv.conf(5)). IPv4 addresses come first: a host
//! without IPv6 often has it half, and waits; one without IPv4 knows at once.

use super::dns::{Answer, Kind, answer, question};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Why a name has no address.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Failed {
    /// Name servers say that there is none.
    NoName,
    /// No name server gave an answer; the words say what happened.
    NoAnswer(String),
}

impl fmt::Display for Failed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoName => out.write_str("no such host"),
            Self::NoAnswer(why) => out.write_str(why),
        }
    }
}

/// Where names are looked up.
#[derive(Clone, Debug)]
pub(super) struct Resolver {
    pub(super) hosts: PathBuf,
    pub(super) conf: PathBuf,
    /// Port of the name servers.
    pub(super) port: u16,
}

impl Default for Resolver {
    fn default() -> Self {
        Self { hosts: "/etc/hosts".into(), conf: "/etc/resolv.conf".into(), port: 53 }
    }
}

/// What resolv.conf says.
#[derive(Debug)]
struct Conf {
    servers: Vec<IpAddr>,
    search: Vec<String>,
    ndots: usize,
    timeout: Duration,
    attempts: usize,
    tcp: bool,
}

impl Resolver {
    /// The addresses of `host`; there is at least one.
    pub(super) fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, Failed> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse() {
            return Ok(vec![address]);
        }
        let name = bare.trim_end_matches('.').to_ascii_lowercase();
        let mut known =
            from_hosts(&std::fs::read_to_string(&self.hosts).unwrap_or_default(), &name);
        if known.is_empty() && (name == "localhost" || name.ends_with(".localhost")) {
            known = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        }
        if !known.is_empty() {
            known.sort_by_key(IpAddr::is_ipv6);
            return Ok(known);
        }
        let conf = Conf::read(&std::fs::read_to_string(&self.conf).unwrap_or_default());
        let mut last = Failed::NoName;
        for candidate in conf.candidates(bare) {
            match self.ask(&conf, &candidate) {
                Ok(addresses) if addresses.is_empty() => {}
                Ok(addresses) => return Ok(addresses),
                Err(Failed::NoName) => {}
                Err(failed) => last = failed,
            }
        }
        Err(last)
    }

    /// Asks one server after the other for both kinds of address.
    fn ask(&self, conf: &Conf, name: &str) -> Result<Vec<IpAddr>, Failed> {
        let mut last = Failed::NoAnswer("no name server is configured".into());
        for _ in 0..conf.attempts {
            for server in &conf.servers {
                let server = SocketAddr::new(*server, self.port);
                match both(conf, server, name) {
                    Ok(addresses) => return Ok(addresses),
                    Err(Failed::NoName) => return Err(Failed::NoName),
                    Err(failed) => last = failed,
                }
            }
        }
        Err(last)
    }
}

impl Conf {
    fn read(text: &str) -> Self {
        let mut conf = Self {
            servers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
            tcp: false,
        };
        for line in text.lines() {
            let line = line.split(['#', ';']).next().unwrap_or("");
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") if conf.servers.len() < 3 => {
                    // An interface behind `%` is for link-local addresses, which need its number.
                    conf.servers.extend(words.next().and_then(|word| word.parse::<IpAddr>().ok()));
                }
                Some("search" | "domain") => {
                    conf.search =
                        words.take(6).map(|word| word.trim_end_matches('.').into()).collect();
                }
                Some("options") => words.for_each(|word| conf.option(word)),
                _ => {}
            }
        }
        if conf.servers.is_empty() {
            conf.servers.push(Ipv4Addr::LOCALHOST.into());
        }
        conf
    }

    fn option(&mut self, word: &str) {
        let (name, value) = word.split_once(':').unwrap_or((word, ""));
        let number = value.parse::<usize>().ok();
        match (name, number) {
            ("ndots", Some(dots)) => self.ndots = dots.min(15),
            ("timeout", Some(seconds)) => {
                self.timeout = Duration::from_secs(seconds.clamp(1, 30) as u64);
            }
            ("attempts", Some(times)) => self.attempts = times.clamp(1, 5),
            ("use-vc", _) => self.tcp = true,
            _ => {}
        }
    }

    /// The whole names that may be meant, in order.
    fn candidates(&self, name: &str) -> Vec<String> {
        let absolute = name.trim_end_matches('.').to_owned();
        if name.ends_with('.') {
            return vec![absolute];
        }
        let mut all: Vec<_> = self.search.iter().map(|domain| format!("{name}.{domain}")).collect();
        let first = name.matches('.').count() >= self.ndots;
        all.insert(if first { 0 } else { all.len() }, absolute);
        all
    }
}

/// The addresses of a name in a file of hosts.
fn from_hosts(text: &str, name: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or("").split_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else {
            continue;
        };
        if words.any(|word| word.eq_ignore_ascii_case(name)) && !found.contains(&address) {
            found.push(address);
        }
    }
    found
}

/// A and AAAA of one server, asked together; what IPv6 lacks does not spoil IPv4.
fn both(conf: &Conf, server: SocketAddr, name: &str) -> Result<Vec<IpAddr>, Failed> {
    let seed = RandomState::new().hash_one(Instant::now());
    let mut asked = Vec::new();
    for (kind, shift) in [(Kind::A, 0), (Kind::Aaaa, 16)] {
        let id = u16::try_from(seed >> shift & 0xffff).unwrap_or(0);
        asked.push((kind, question(id, name, kind).ok_or(Failed::NoName)?));
    }
    let answers = if conf.tcp { vec![None, None] } else { datagrams(conf, server, &asked)? };
    let mut addresses = Vec::new();
    let mut failed = None;
    for ((kind, question), answer) in asked.iter().zip(answers) {
        let answer = match answer {
            None | Some(Answer::Truncated) => stream(conf, server, *kind, question)?,
            Some(answer) => answer,
        };
        match answer {
            Answer::Addresses(found) => addresses.extend(found),
            Answer::NoName => failed = Some(Failed::NoName),
            Answer::Truncated | Answer::Failed(_) => {
                let why = format!("the name server {} cannot tell", server.ip());
                failed = Some(Failed::NoAnswer(why));
            }
        }
    }
    match failed {
        Some(failed) if addresses.is_empty() => Err(failed),
        _ => Ok(addresses),
    }
}

fn silent(server: SocketAddr, error: &io::Error) -> Failed {
    let why = match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "does not answer".to_owned(),
        _ => crate::error::plain(error),
    };
    Failed::NoAnswer(format!("the name server {}: {why}", server.ip()))
}

/// Asks over UDP; for each question its answer.
fn datagrams(
    conf: &Conf,
    server: SocketAddr,
    asked: &[(Kind, Vec<u8>)],
) -> Result<Vec<Option<Answer>>, Failed> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let failed = |error: &io::Error| silent(server, error);
    let socket = UdpSocket::bind((any, 0)).map_err(|error| failed(&error))?;
    socket.connect(server).map_err(|error| failed(&error))?; // others are not heard
    for (_, question) in asked {
        socket.send(question).map_err(|error| failed(&error))?;
    }
    let end = Instant::now() + conf.timeout;
    let mut answers: Vec<Option<Answer>> = asked.iter().map(|_| None).collect();
    let mut buffer = [0; 4096];
    while answers.iter().any(Option::is_none) {
        let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        socket.set_read_timeout(Some(left)).map_err(|error| failed(&error))?;
        let length = match socket.recv(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // The other kind was answered: some servers never speak of IPv6.
            Err(_) if matches!(answers.first(), Some(Some(Answer::Addresses(a))) if !a.is_empty()) =>
            {
                answers.iter_mut().filter(|answer| answer.is_none()).for_each(|answer| {
                    *answer = Some(Answer::Addresses(Vec::new()));
                });
                break;
            }
            Err(error) => return Err(failed(&error)),
        };
        let message = buffer.get(..length).unwrap_or_default();
        for ((kind, question), place) in asked.iter().zip(answers.iter_mut()) {
            if place.is_none() {
                *place = answer(question, *kind, message);
            }
        }
    }
    Ok(answers)
}

/// Asks over TCP.
fn stream(conf: &Conf, server: SocketAddr, kind: Kind, question: &[u8]) -> Result<Answer, Failed> {
    let ask = || -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&server, conf.timeout)?;
        stream.set_read_timeout(Some(conf.timeout))?;
        stream.set_write_timeout(Some(conf.timeout))?;
        let length = u16::try_from(question.len()).unwrap_or(u16::MAX);
        stream.write_all(&[&length.to_be_bytes()[..], question].concat())?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut message)?;
        Ok(message)
    };
    let message = ask().map_err(|error| silent(server, &error))?;
    let wrong = || Failed::NoAnswer(format!("the name server {} talks nonsense", server.ip()));
    answer(question, kind, &message).ok_or_else(wrong)
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
