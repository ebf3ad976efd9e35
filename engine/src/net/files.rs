//! `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf` of a container: three files in its
//! directory that the bundle binds.
//!
//! `resolv.conf` comes from the host's as Docker makes it for its default bridge: servers that
//! live on the host's loopback are of no use inside and are left out, and when none remains two
//! public ones take their place.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::flags::{Asked, HostAddress, Mode};
use crate::error::{Result, What as _};

/// What stands in for a host's servers that a container cannot reach (Docker's choice).
const PUBLIC_SERVERS: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8)), IpAddr::V4(Ipv4Addr::new(8, 8, 4, 4))];
/// Where systemd-resolved keeps the servers that it forwards to (`systemd-resolved.service(8)`).
const RESOLVED: &str = "/run/systemd/resolve/resolv.conf";
const HOSTS: &str = "127.0.0.1\tlocalhost\n\
    ::1\tlocalhost ip6-localhost ip6-loopback\n\
    fe00::0\tip6-localnet\n\
    ff00::0\tip6-mcastprefix\n\
    ff02::1\tip6-allnodes\n\
    ff02::2\tip6-allrouters\n";

/// The three files to bind over the container's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    /// For `/etc/hosts`.
    pub hosts: PathBuf,
    /// For `/etc/hostname`.
    pub hostname: PathBuf,
    /// For `/etc/resolv.conf`.
    pub resolv_conf: PathBuf,
}

impl Files {
    /// Where they are for the container whose directory this is.
    pub fn of(directory: &Path) -> Self {
        let at = |name| directory.join(name);
        Self { hosts: at("hosts"), hostname: at("hostname"), resolv_conf: at("resolv.conf") }
    }
}

/// What the files are made of, besides the host's own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    pub(super) asked: &'a Asked,
    pub(super) hostname: &'a str,
    pub(super) domainname: &'a str,
    /// The container's own address, on a bridge.
    pub(super) ip: Option<Ipv4Addr>,
    /// What `host-gateway` means.
    pub(super) gateway: IpAddr,
}

/// Writes the three files.
pub(super) fn write(files: &Files, facts: &Facts<'_>) -> Result<()> {
    let host = |path: &str| fs::read_to_string(path).or_else(missing_is_empty);
    let base = match facts.asked.mode {
        Mode::Host => host("/etc/hosts").what(|| "cannot read the host's /etc/hosts".into())?,
        _ => HOSTS.to_owned(),
    };
    put(&files.hosts, &hosts(base, facts))?;
    put(&files.hostname, &format!("{}\n", facts.hostname))?;
    let mut source = host("/etc/resolv.conf").what(|| "cannot read /etc/resolv.conf".into())?;
    if facts.asked.mode != Mode::Host && only_resolved(&source) {
        source = host(RESOLVED).ok().filter(|text| !text.is_empty()).unwrap_or(source);
    }
    put(&files.resolv_conf, &resolv_conf(&source, facts.asked))
}

fn missing_is_empty(error: io::Error) -> io::Result<String> {
    if error.kind() == io::ErrorKind::NotFound { Ok(String::new()) } else { Err(error) }
}

/// Replaced by content, not by name: a container that runs has the file bound.
fn put(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).what(|| format!("cannot write {}", path.display()))
}

fn hosts(mut text: String, facts: &Facts<'_>) -> String {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    let mut line = |ip: IpAddr, names: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{ip}\t{names}");
    };
    for (name, address) in &facts.asked.add_host {
        let ip = match address {
            HostAddress::HostGateway => facts.gateway,
            HostAddress::Ip(ip) => *ip,
        };
        line(ip, name);
    }
    if let Some(ip) = facts.ip {
        line(ip.into(), &names(facts.hostname, facts.domainname));
    }
    text
}

/// `web.example.com web`: the long name first, which is how `hostname -f` finds it.
fn names(hostname: &str, domainname: &str) -> String {
    let long = if domainname.is_empty() {
        hostname.to_owned()
    } else {
        format!("{hostname}.{domainname}")
    };
    match long.split_once('.') {
        Some((short, _)) if !short.is_empty() => format!("{long} {short}"),
        _ => long,
    }
}

/// Is the only server systemd-resolved's stub?
fn only_resolved(text: &str) -> bool {
    let servers: Vec<_> = words(text, "nameserver").collect();
    !servers.is_empty() && servers.iter().all(|ip| matches!(*ip, "127.0.0.53" | "127.0.0.54"))
}

/// The first word behind each line of this keyword.
fn words<'a>(text: &'a str, keyword: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| {
        let mut words = line.split_whitespace();
        (words.next() == Some(keyword)).then(|| words.next()).flatten()
    })
}

/// All words behind the last line of this keyword (`resolv.conf(5)`: the last instance wins).
fn last_line<'a>(text: &'a str, keywords: &[&str]) -> Vec<&'a str> {
    let line = text.lines().rev().find_map(|line| {
        let mut words = line.split_whitespace();
        words.next().filter(|word| keywords.contains(word)).map(|_| words.collect())
    });
    line.unwrap_or_default()
}

/// The file for a container, from the host's.
fn resolv_conf(source: &str, asked: &Asked) -> String {
    let servers: Vec<String> = match (&asked.mode, asked.dns.is_empty()) {
        (_, false) => asked.dns.iter().map(ToString::to_string).collect(),
        (Mode::Host, true) => words(source, "nameserver").map(str::to_owned).collect(),
        _ => reachable(source).iter().map(ToString::to_string).collect(),
    };
    let search: Vec<&str> = if asked.dns_search.is_empty() {
        last_line(source, &["search", "domain"])
    } else {
        asked.dns_search.iter().map(String::as_str).filter(|domain| *domain != ".").collect()
    };
    let options: Vec<&str> = if asked.dns_option.is_empty() {
        source
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix("options"))
            .filter(|rest| rest.starts_with(char::is_whitespace))
            .flat_map(str::split_whitespace)
            .collect()
    } else {
        asked.dns_option.iter().map(String::as_str).collect()
    };
    let mut text: String = servers.iter().map(|ip| format!("nameserver {ip}\n")).collect();
    for (keyword, values) in [("search", search), ("options", options)] {
        if !values.is_empty() {
            let _ = writeln!(text, "{keyword} {}", values.join(" "));
        }
    }
    for line in source.lines().filter(|line| line.starts_with("sortlist")) {
        let _ = writeln!(text, "{line}");
    }
    text
}

/// The host's servers that a container without IPv6 reaches through the bridge.
fn reachable(source: &str) -> Vec<IpAddr> {
    let usable = |ip: &IpAddr| ip.is_ipv4() && !ip.is_loopback() && !ip.is_unspecified();
    let found: Vec<IpAddr> =
        words(source, "nameserver").filter_map(|ip| ip.parse().ok()).filter(usable).collect();
    if found.is_empty() { PUBLIC_SERVERS.to_vec() } else { found }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts<'a>(asked: &'a Asked, hostname: &'a str, domainname: &'a str) -> Facts<'a> {
        let ip = Some(Ipv4Addr::new(10, 1, 0, 2));
        Facts { asked, hostname, domainname, ip, gateway: Ipv4Addr::new(10, 1, 0, 1).into() }
    }

    #[test]
    fn hosts_has_loopback_then_added_names_then_itself() {
        let mut asked = Asked::default();
        asked.add_host.push(("db".into(), HostAddress::Ip(Ipv4Addr::new(1, 2, 3, 4).into())));
        asked.add_host.push(("host".into(), HostAddress::HostGateway));
        let text = hosts(HOSTS.into(), &facts(&asked, "web", ""));
        assert!(text.starts_with("127.0.0.1\tlocalhost\n::1\tlocalhost "), "{text}");
        assert!(text.ends_with("1.2.3.4\tdb\n10.1.0.1\thost\n10.1.0.2\tweb\n"), "{text}");
        assert_eq!(names("web.example.com", ""), "web.example.com web");
        assert_eq!(names("web", "example.com"), "web.example.com web");
        let host = hosts("1.1.1.1 x".into(), &Facts { ip: None, ..facts(&asked, "web", "") });
        assert!(host.starts_with("1.1.1.1 x\n1.2.3.4\tdb\n"), "{host}");
    }

    #[test]
    fn servers_of_loopback_stay_on_the_host() {
        let source = "# made by hand\nnameserver 127.0.0.53\nnameserver ::1\nnameserver 10.0.0.1\n\
            nameserver fe80::1%eth0\nsearch a.example b.example\noptions ndots:2 edns0\n";
        let text = resolv_conf(source, &Asked::default());
        let expected = "nameserver 10.0.0.1\nsearch a.example b.example\noptions ndots:2 edns0\n";
        assert_eq!(text, expected);
        let none = resolv_conf("nameserver 127.0.0.1\ndomain x.example\n", &Asked::default());
        assert_eq!(none, "nameserver 8.8.8.8\nnameserver 8.8.4.4\nsearch x.example\n");
        let host = Asked { mode: Mode::Host, ..Asked::default() };
        assert_eq!(resolv_conf("nameserver 127.0.0.1\n", &host), "nameserver 127.0.0.1\n");
        assert!(only_resolved("nameserver 127.0.0.53\n"));
        assert!(!only_resolved("nameserver 127.0.0.53\nnameserver 9.9.9.9\n"));
        assert!(!only_resolved(""));
    }

    #[test]
    fn flags_take_the_place_of_the_hosts_lines() {
        let asked = Asked {
            dns: vec!["127.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()],
            dns_search: vec![".".into()],
            dns_option: vec!["timeout:3".into()],
            ..Asked::default()
        };
        let text = resolv_conf("nameserver 1.1.1.1\nsearch x\noptions a\n", &asked);
        assert_eq!(text, "nameserver 127.0.0.1\nnameserver fd00::1\noptions timeout:3\n");
    }
}
