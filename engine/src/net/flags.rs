//! The network flags of `run` and `create`, and what they ask for.
//!
//! Everything that can be said to be wrong without looking at the host is said here, in Docker's
//! words.

use std::net::{IpAddr, Ipv4Addr};

use clap::Args;
use serde::{Deserialize, Serialize};

use super::mac::Mac;
use super::publish::{self, Port, Publish};
use crate::error::{Error, Result};

/// Flags of `run` and `create` about the network.
#[allow(
    rustdoc::broken_intra_doc_links,
    reason = "help text: brackets stand for what may be left out"
)]
#[derive(Args, Clone, Debug, Default)]
pub struct NetFlags {
    /// Connect to a network: bridge, none, host or container:NAME
    #[arg(long, visible_alias = "net", value_name = "NETWORK")]
    pub network: Vec<String>,
    /// Publish a container's port on the host: [[IP:][HOST_PORT]:]PORT[/PROTO]
    #[arg(short = 'p', long, value_name = "PORTS")]
    pub publish: Vec<String>,
    /// Publish all exposed ports on free ports of the host
    #[arg(short = 'P', long)]
    pub publish_all: bool,
    /// Expose a port or a range of ports
    #[arg(long, value_name = "PORTS")]
    pub expose: Vec<String>,
    /// IPv4 address of the container
    #[arg(long, value_name = "ADDRESS")]
    pub ip: Option<String>,
    /// IPv6 address of the container
    #[arg(long, value_name = "ADDRESS")]
    pub ip6: Option<String>,
    /// MAC address of the container, such as 92:d0:c6:0a:29:33
    #[arg(long, value_name = "ADDRESS")]
    pub mac_address: Option<String>,
    /// Set a name server
    #[arg(long, value_name = "ADDRESS")]
    pub dns: Vec<String>,
    /// Set a domain in which short names are looked for; `.` for none
    #[arg(long, value_name = "DOMAIN")]
    pub dns_search: Vec<String>,
    /// Set an option of the resolver
    #[arg(long, visible_alias = "dns-opt", value_name = "OPTION")]
    pub dns_option: Vec<String>,
    /// Add a line to /etc/hosts; the address host-gateway is the host's
    #[arg(long, value_name = "NAME:ADDRESS")]
    pub add_host: Vec<String>,
    /// Add a name by which a user network knows the container
    #[arg(long, visible_alias = "net-alias", value_name = "NAME")]
    pub network_alias: Vec<String>,
    /// Add a link to another container
    #[arg(long, value_name = "CONTAINER")]
    pub link: Vec<String>,
    /// Add a link-local address to the container
    #[arg(long, value_name = "ADDRESS")]
    pub link_local_ip: Vec<String>,
}

/// Which network a container lives in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The default bridge, behind address translation.
    #[default]
    Bridge,
    /// A network of its own with nothing but loopback.
    None,
    /// The host's.
    Host,
    /// Another container's, by what the user called it until it is looked up, then by its id.
    Container(String),
}

/// Where a name of `--add-host` points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostAddress {
    /// The host, as the container reaches it.
    HostGateway,
    /// This address.
    Ip(IpAddr),
}

/// What a container asked of the network; part of its record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Asked {
    /// Where it lives.
    pub mode: Mode,
    /// `-p`, one entry per container port.
    pub publish: Vec<Publish>,
    /// `-P`.
    pub publish_all: bool,
    /// `--expose` and the image's `EXPOSE`, sorted.
    pub expose: Vec<Port>,
    /// `--ip`.
    pub ip: Option<Ipv4Addr>,
    /// `--mac-address`.
    pub mac: Option<Mac>,
    /// `--dns`.
    pub dns: Vec<IpAddr>,
    /// `--dns-search`.
    pub dns_search: Vec<String>,
    /// `--dns-option`.
    pub dns_option: Vec<String>,
    /// `--add-host`.
    pub add_host: Vec<(String, HostAddress)>,
}

impl NetFlags {
    /// Checks the flags. `hostname` tells whether `--hostname` or `--domainname` was given.
    ///
    /// # Errors
    /// A value that cannot be understood, flags that exclude each other, and what needs a network
    /// of the user's.
    pub fn ask(&self, image_exposes: &[String], hostname: bool) -> Result<Asked> {
        self.refuse_user_networks()?;
        let mut asked = Asked { publish_all: self.publish_all, ..Asked::default() };
        self.network(&mut asked)?;
        for text in &self.publish {
            asked.publish.extend(publish::parse(text)?);
        }
        for text in self.expose.iter().chain(image_exposes) {
            asked.expose.extend(publish::parse_expose(text)?);
        }
        asked.expose.sort_unstable();
        asked.expose.dedup();
        if let Some(text) = &self.ip {
            asked.ip = Some(ipv4(text)?);
        }
        if let Some(text) = &self.mac_address {
            asked.mac = Some(text.parse()?);
        }
        for text in &self.dns {
            let wrong = |_| Error::new(format!("{text} is not an ip address"));
            asked.dns.push(text.parse().map_err(wrong)?);
        }
        asked.dns_search.clone_from(&self.dns_search);
        asked.dns_option.clone_from(&self.dns_option);
        for text in &self.add_host {
            asked.add_host.push(host(text)?);
        }
        self.refuse_conflicts(&asked, hostname)?;
        Ok(asked)
    }

    /// `--network NAME`, or Docker's long form `name=bridge,ip=10.1.2.3,mac-address=…`.
    fn network(&self, asked: &mut Asked) -> Result<()> {
        let [network] = self.network.as_slice() else {
            if self.network.is_empty() {
                return Ok(());
            }
            let error = Error::new("a container can live in one network only");
            return Err(error.fix("give --network once"));
        };
        if !network.contains('=') {
            asked.mode = mode(network)?;
            return Ok(());
        }
        for part in network.split(',') {
            match part.split_once('=') {
                Some(("name", name)) => asked.mode = mode(name)?,
                Some(("ip", ip)) => asked.ip = Some(ipv4(ip)?),
                Some(("mac-address", mac)) => asked.mac = Some(mac.parse()?),
                Some(("alias", _)) => return Err(alias()),
                _ => {
                    let error = Error::new(format!("invalid field {part} in --network {network}"));
                    return Err(error.fix("the fields are name, ip and mac-address"));
                }
            }
        }
        Ok(())
    }

    fn refuse_user_networks(&self) -> Result<()> {
        if !self.network_alias.is_empty() {
            return Err(alias());
        }
        if let Some(link) = self.link.first() {
            let error = Error::new(format!("cannot link to {link}"));
            return Err(error
                .why("links are not supported")
                .fix("give the other container's address with --add-host NAME:ADDRESS"));
        }
        if self.ip6.is_some() {
            let error = Error::new("cannot give the container an IPv6 address");
            return Err(error.why("the default bridge has IPv4 only").fix(
                "leave --ip6 out; ports are published on the host's IPv6 addresses nevertheless",
            ));
        }
        if !self.link_local_ip.is_empty() {
            let error = Error::new("cannot add a link-local address");
            return Err(error.why("it is supported for user defined networks only"));
        }
        Ok(())
    }

    fn refuse_conflicts(&self, asked: &Asked, hostname: bool) -> Result<()> {
        let own = [
            ("user specified IP address", asked.ip.is_some()),
            ("mac-address", asked.mac.is_some()),
        ];
        let shared = [
            ("hostname", hostname, "the network mode"),
            ("dns", !(asked.dns.is_empty() && self.dns_search.is_empty()), "the network mode"),
            ("dns", !self.dns_option.is_empty(), "the network mode"),
            ("custom host-to-IP mapping", !asked.add_host.is_empty(), "the network mode"),
            (
                "port publishing",
                !asked.publish.is_empty() || self.publish_all,
                "the container type network mode",
            ),
            ("port exposing", !self.expose.is_empty(), "the container type network mode"),
        ];
        let conflict = match asked.mode {
            Mode::Bridge => None,
            Mode::Container(_) => shared
                .iter()
                .find(|(_, given, _)| *given)
                .map(|(what, _, with)| (*what, *with))
                .or_else(|| own_conflict(own)),
            Mode::None | Mode::Host => own_conflict(own),
        };
        conflict.map_or(Ok(()), |(what, with)| {
            Err(Error::new(format!("conflicting options: {what} and {with}")))
        })
    }
}

fn own_conflict(own: [(&'static str, bool); 2]) -> Option<(&'static str, &'static str)> {
    own.into_iter().find(|(_, given)| *given).map(|(what, _)| (what, "the network mode"))
}

impl Asked {
    /// What is asked for and will not happen, one line each.
    pub fn warnings(&self) -> Vec<String> {
        let published = !self.publish.is_empty() || self.publish_all;
        let mode = match self.mode {
            Mode::Host => "host",
            Mode::None => "none",
            Mode::Bridge | Mode::Container(_) => return Vec::new(),
        };
        let warning = format!("Published ports are discarded when using {mode} network mode");
        published.then_some(warning).into_iter().collect()
    }
}

fn alias() -> Error {
    Error::new("network-scoped alias is supported only for containers in user defined networks")
        .fix("give the name with --add-host NAME:ADDRESS to those who look for it")
}

fn mode(name: &str) -> Result<Mode> {
    match name {
        "" | "default" | "bridge" => Ok(Mode::Bridge),
        "none" => Ok(Mode::None),
        "host" => Ok(Mode::Host),
        "container:" => Err(Error::new("invalid container format container:<name|id>")),
        other => other
            .strip_prefix("container:")
            .map_or_else(|| Err(unknown(other)), |name| Ok(Mode::Container(name.to_owned()))),
    }
}

/// There is no such network.
pub(crate) fn unknown(name: &str) -> Error {
    Error::new(format!("network {name} not found"))
        .fix("there are bridge, host, none and container:NAME; user networks are not supported")
}

fn ipv4(text: &str) -> Result<Ipv4Addr> {
    text.parse().map_err(|_| Error::new(format!("invalid IPv4 address: {text}")))
}

/// `NAME:ADDRESS` or `NAME=ADDRESS`.
fn host(text: &str) -> Result<(String, HostAddress)> {
    let bad = || Error::new(format!("bad format for add-host: {text:?}")).fix("write NAME:ADDRESS");
    let at = text.find(['=', ':']).ok_or_else(bad)?;
    let (name, address) = (&text[..at], &text[at + 1..]);
    let clean = |c: char| !c.is_whitespace() && !c.is_control() && c != '#';
    if name.is_empty() || !name.chars().all(clean) {
        return Err(bad());
    }
    if address == "host-gateway" {
        return Ok((name.to_owned(), HostAddress::HostGateway));
    }
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    let wrong = |_| Error::new(format!("invalid IP address in add-host: {address:?}"));
    Ok((name.to_owned(), HostAddress::Ip(bare.parse().map_err(wrong)?)))
}

#[cfg(test)]
#[path = "flags_tests.rs"]
mod tests;
