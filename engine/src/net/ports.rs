//! Host ports: held by a bound socket each, so that nobody else gets them, and a conflict is
//! known before the container exists.

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::net::{self, AddressFamily, SocketFlags, SocketType, ipproto, sockopt};
use serde::{Deserialize, Serialize};

use super::flags::Asked;
use super::publish::{Port, Proto, Publish};
use super::state;
use crate::error::{Error, Result};
use crate::paths::Paths;

/// How often a free port is looked for that is free on IPv4 and IPv6.
const ATTEMPTS: u32 = 64;
/// Connections that wait to be accepted, in the forwarder's listeners.
const BACKLOG: i32 = 128;
const ANYWHERE: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];

/// A port of the host that leads to one of the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Binding {
    /// The port inside.
    pub port: Port,
    /// The host's address; unspecified means every one.
    pub ip: IpAddr,
    /// The port outside.
    pub host_port: u16,
}

impl Binding {
    /// `0.0.0.0:8080`, `[::]:8080`: as `port` prints it.
    pub fn host(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.host_port)
    }
}

impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}->{}", self.host(), self.port)
    }
}

/// The column PORTS of `ps`: what is published, then what is only exposed; neighbours are drawn
/// together.
pub fn column(bindings: &[Binding], exposed: &[Port]) -> String {
    let mut parts = Vec::new();
    let mut sorted = bindings.to_vec();
    sorted.sort_by_key(|b| (b.ip, b.port.proto, b.port.number, b.host_port));
    let mut rest = sorted.as_slice();
    while let Some(first) = rest.first() {
        let follows = |n: usize, b: &Binding| {
            let after = |port: u16| usize::from(port).checked_add(n);
            b.ip == first.ip
                && b.port.proto == first.port.proto
                && after(first.port.number) == Some(b.port.number.into())
                && after(first.host_port) == Some(b.host_port.into())
        };
        let count = rest.iter().enumerate().take_while(|(n, b)| follows(*n, b)).count().max(1);
        let last = rest.get(count - 1).unwrap_or(first);
        parts.push(if count == 1 {
            first.to_string()
        } else {
            let host = first.host();
            let (number, proto) = (first.port.number, first.port.proto);
            format!("{host}-{}->{number}-{}/{proto}", last.host_port, last.port.number)
        });
        rest = rest.get(count..).unwrap_or_default();
    }
    let unpublished = exposed.iter().filter(|port| !bindings.iter().any(|b| b.port == **port));
    parts.extend(unpublished.map(ToString::to_string));
    parts.join(", ")
}

/// A port with the socket that holds it. Kernels without SCTP have none to hold.
pub(super) type Held = (Binding, Option<OwnedFd>);

/// Binds everything that is to be published.
pub(super) fn hold(paths: &Paths, asked: &Asked) -> Result<Vec<Held>> {
    let mut held = Vec::new();
    for publish in &asked.publish {
        held.extend(one(paths, publish)?);
    }
    if asked.publish_all {
        for port in &asked.expose {
            if !asked.publish.iter().any(|publish| publish.port == *port) {
                held.extend(one(paths, &Publish { port: *port, ip: None, host: None })?);
            }
        }
    }
    held.sort_by_key(|(binding, _)| *binding);
    Ok(held)
}

fn one(paths: &Paths, publish: &Publish) -> Result<Vec<Held>> {
    if let (Proto::Sctp, Some(ip)) = (publish.port.proto, publish.ip)
        && (ip.is_loopback() || ip.is_ipv6())
    {
        return Err(Error::new(format!("cannot publish {} on {ip}", publish.port))
            .why("SCTP is published on the host's IPv4 addresses only, loopback excluded"));
    }
    let Some((first, last)) = publish.host else {
        for _ in 0..ATTEMPTS {
            match bind_all(publish, 0) {
                Err((_, e)) if in_use(&e) => {}
                other => return other.map_err(|(ip, e)| failure(paths, publish, (ip, 0), &e)),
            }
        }
        return Err(Error::new(format!("cannot publish {}", publish.port))
            .why("no port of the host is free")
            .fix("see sysctl net.ipv4.ip_local_port_range"));
    };
    for port in first..last {
        match bind_all(publish, port) {
            Err((_, e)) if in_use(&e) => {}
            other => return other.map_err(|(ip, e)| failure(paths, publish, (ip, port), &e)),
        }
    }
    bind_all(publish, last).map_err(|(ip, e)| failure(paths, publish, (ip, last), &e))
}

fn in_use(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EADDRINUSE)
}

/// Binds one host port on all addresses that are meant; port 0 is chosen by the first one.
fn bind_all(publish: &Publish, port: u16) -> std::result::Result<Vec<Held>, (IpAddr, io::Error)> {
    let addresses = publish.ip.map_or_else(|| ANYWHERE.to_vec(), |ip| vec![ip]);
    let mut held: Vec<Held> = Vec::with_capacity(addresses.len());
    for ip in addresses {
        if ip.is_ipv6() && publish.port.proto == Proto::Sctp {
            continue;
        }
        let port = held.first().map_or(port, |(binding, _)| binding.host_port);
        match bind(SocketAddr::new(ip, port), publish.port.proto) {
            Ok((socket, host_port)) => {
                held.push((Binding { port: publish.port, ip, host_port }, socket));
            }
            // A host without IPv6 has no `::`; nobody asked for it.
            Err(e) if ip.is_ipv6() && publish.ip.is_none() && no_ipv6(&e) => {}
            Err(e) => return Err((ip, e)),
        }
    }
    Ok(held)
}

fn no_ipv6(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
}

/// The socket, and the port it got.
fn bind(address: SocketAddr, proto: Proto) -> io::Result<(Option<OwnedFd>, u16)> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let (kind, protocol) = match proto {
        Proto::Tcp => (SocketType::STREAM, ipproto::TCP),
        Proto::Udp => (SocketType::DGRAM, ipproto::UDP),
        Proto::Sctp => (SocketType::STREAM, ipproto::SCTP),
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = match net::socket_with(family, kind, flags, Some(protocol)) {
        // Without the module no process here can take the port; nftables may carry it still.
        Err(e) if proto == Proto::Sctp && e == rustix::io::Errno::PROTONOSUPPORT => {
            return match address.port() {
                0 => Err(e.into()),
                port => Ok((None, port)),
            };
        }
        other => other?,
    };
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if proto == Proto::Tcp {
        // What a server left in TIME-WAIT does not hold the port (`socket(7)`).
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    net::bind(&socket, &address)?;
    if proto == Proto::Tcp {
        // Shows who has the port to ss(8), and keeps others with SO_REUSEADDR away.
        net::listen(&socket, BACKLOG)?;
    }
    let port = match net::getsockname(&socket)?.try_into() {
        Ok(SocketAddr::V4(address)) => address.port(),
        Ok(SocketAddr::V6(address)) => address.port(),
        Err(_) => address.port(),
    };
    Ok((Some(socket), port))
}

fn failure(paths: &Paths, publish: &Publish, (ip, port): (IpAddr, u16), e: &io::Error) -> Error {
    let host = SocketAddr::new(ip, port);
    let error = Error::new(format!("cannot publish {} on {host}", publish.port));
    match e.raw_os_error() {
        Some(libc::EADDRINUSE) => {
            let owner = owner(paths, port, publish.port.proto);
            let owner = owner.map(|owner| format!(", {owner} has it")).unwrap_or_default();
            error
                .why(format!("port is already allocated{owner}"))
                .fix("choose another host port, or none (-p CONTAINER_PORT) for one that is free")
        }
        Some(libc::EADDRNOTAVAIL) => error
            .why(format!("this host has no address {ip}"))
            .fix("leave the address out for all of them; ip addr lists them"),
        Some(libc::EACCES) => error.why("ports below 1024 need root"),
        Some(libc::EPROTONOSUPPORT) => {
            error.why("the kernel has no SCTP").fix("name the host port, or: modprobe sctp")
        }
        _ => error.why(crate::error::plain(e)),
    }
}

/// Who has a local port: `container web`, `nginx (pid 25326)`.
fn owner(paths: &Paths, port: u16, proto: Proto) -> Option<String> {
    let pid = holder(port, proto)?;
    if pid == std::process::id() {
        return Some("another -p of this container".into());
    }
    let records = state::records(paths).unwrap_or_default();
    let ours = records.into_iter().find(|record| u32::try_from(record.owner.pid) == Ok(pid));
    if let Some(record) = ours {
        return Some(format!("container {}", record.name));
    }
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(format!("{} (pid {pid})", name.trim()))
}

/// The process with the socket that holds a local port, found by its inode.
fn holder(port: u16, proto: Proto) -> Option<u32> {
    let tables: &[&str] = match proto {
        Proto::Tcp => &["tcp", "tcp6"],
        Proto::Udp => &["udp", "udp6"],
        Proto::Sctp => return None,
    };
    let inode = tables.iter().find_map(|table| {
        inode(
            &fs::read_to_string(format!("/proc/thread-self/net/{table}")).ok()?,
            port,
            proto == Proto::Tcp,
        )
    })?;
    let wanted = format!("socket:[{inode}]");
    let pids = fs::read_dir("/proc")
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let holds = |pid: &u32| {
        let links = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
        links
            .filter_map(|fd| fs::read_link(fd.ok()?.path()).ok())
            .any(|to| to.to_str() == Some(wanted.as_str()))
    };
    pids.into_iter().find(holds)
}

/// The inode of the socket with this local port (`/proc/net/tcp`, `proc_net_tcp.rst` of the
/// kernel); of TCP's only one that listens.
fn inode(table: &str, port: u16, listening: bool) -> Option<u64> {
    const LISTEN: &str = "0A";
    let port = format!("{port:04X}");
    table.lines().skip(1).find_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let local = words.get(1)?.rsplit_once(':')?.1;
        let state = words.get(3)?;
        let inode: u64 = words.get(9)?.parse().ok()?;
        (local == port && inode != 0 && (!listening || *state == LISTEN)).then_some(inode)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(ip: &str, host_port: u16, number: u16) -> Binding {
        let port = Port { number, proto: Proto::Tcp };
        Binding { port, ip: ip.parse().unwrap(), host_port }
    }

    #[test]
    fn the_column_of_ps_draws_neighbours_together() {
        let all = [
            binding("0.0.0.0", 8000, 80),
            binding("0.0.0.0", 8001, 81),
            binding("::", 8000, 80),
            binding("0.0.0.0", 9000, 90),
        ];
        let exposed =
            [Port { number: 80, proto: Proto::Tcp }, Port { number: 53, proto: Proto::Udp }];
        assert_eq!(
            column(&all, &exposed),
            "0.0.0.0:8000-8001->80-81/tcp, 0.0.0.0:9000->90/tcp, [::]:8000->80/tcp, 53/udp"
        );
        assert_eq!(column(&[], &[]), "");
    }

    #[test]
    fn a_port_that_is_taken_names_who_has_it() {
        let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = other.local_addr().unwrap().port();
        let publish = Publish {
            port: Port { number: 80, proto: Proto::Tcp },
            ip: Some(Ipv4Addr::LOCALHOST.into()),
            host: Some((port, port)),
        };
        let nowhere = Paths { root: "/nonexistent".into(), run: "/nonexistent".into() };
        let error = one(&nowhere, &publish).unwrap_err();
        assert_eq!(error.what, format!("cannot publish 80/tcp on 127.0.0.1:{port}"));
        let why = error.why.unwrap();
        assert_eq!(why, "port is already allocated, another -p of this container has it");
    }

    #[test]
    fn a_range_gives_the_first_port_that_is_free() {
        let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = other.local_addr().unwrap().port();
        let Some(last) = port.checked_add(20) else { return };
        let publish = Publish {
            port: Port { number: 80, proto: Proto::Tcp },
            ip: Some(Ipv4Addr::LOCALHOST.into()),
            host: Some((port, last)),
        };
        let nowhere = Paths { root: "/nonexistent".into(), run: "/nonexistent".into() };
        let held = one(&nowhere, &publish).unwrap();
        assert!(held[0].0.host_port > port && held[0].0.host_port <= last);
    }

    #[test]
    fn an_inode_is_found_in_the_kernels_table() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode\n\
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4711 1 0\n";
        assert_eq!(inode(table, 8080, true), Some(4711));
        assert_eq!(inode(table, 8081, true), None);
    }
}
