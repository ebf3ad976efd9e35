//! Networks: none, the host's, another container's, and the default bridge with published ports.
//!
//! Three calls make a container's network, all of them by the process that stays with it:
//! [`prepare`] before the container is created (holds the ports, takes an address, writes the
//! files), [`up`] between create and start (devices and rules), [`down`] when it has ended.
//! What they leave on disk is in [`state`]; whose process died is cleaned by [`sweep`].
//!
//! Reading order: [`flags`] → [`publish`] → [`network`] → [`ports`] → [`link`] → [`firewall`] →
//! [`forward`] → [`files`].

pub mod files;
pub(crate) mod firewall;
pub mod flags;
mod forward;
mod link;
pub mod mac;
pub mod network;
pub mod ports;
pub mod publish;
pub mod state;
pub mod verbs;

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd as _;
use std::path::Path;

use libcontainer::state::process::ProcessId;
use libcontainer::sys::netlink::Route;

use self::files::{Facts, Files};
use self::flags::{Asked, Mode};
use self::forward::Forwarder;
use self::link::Port;
use self::mac::Mac;
use self::network::Network;
use self::ports::Held;
use self::state::{Endpoint, Record};
use crate::error::{Result, What as _};
use crate::paths::Paths;

/// A container, as the network knows it.
#[derive(Clone, Copy, Debug)]
pub struct ContainerNet<'a> {
    /// 64 hexadecimal digits.
    pub id: &'a str,
    /// For messages about ports that are taken.
    pub name: &'a str,
    /// What the container is called inside; not empty.
    pub hostname: &'a str,
    /// `--domainname`, may be empty.
    pub domainname: &'a str,
    /// The flags.
    pub asked: &'a Asked,
}

/// Which network namespace the bundle asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Netns {
    /// A new one.
    New,
    /// None: the host's.
    Host,
    /// That of this container.
    Container(String),
}

/// What the bundle needs, and what is held for [`up`].
#[derive(Debug)]
pub struct NetPlan {
    /// The namespace.
    pub netns: Netns,
    /// Files to bind over `/etc/hosts` and its like.
    pub files: Files,
    /// For a namespace of its own, as Docker sets them: ports below 1024 and ping need no
    /// privilege there. A user's `--sysctl` goes before them.
    pub sysctls: Vec<(&'static str, &'static str)>,
    /// What it has on the bridge.
    pub endpoint: Option<Endpoint>,
    held: Vec<Held>,
}

/// A network that is up. Dropping it lets the ports go; [`down`] removes the rest.
#[derive(Debug)]
pub struct Attached {
    _forwarder: Option<Forwarder>,
}

/// Sysctls of a network namespace of its own (moby, `daemon/oci_linux.go`).
const SYSCTLS: [(&str, &str); 2] =
    [("net.ipv4.ip_unprivileged_port_start", "0"), ("net.ipv4.ping_group_range", "0 2147483647")];

/// Holds ports, takes an address, makes the bridge, writes the files into the container's
/// directory, which exists. Whatever comes after, [`down`] undoes it.
///
/// # Errors
/// A port or address that is taken (named with its owner), a host that cannot have the bridge.
pub fn prepare(paths: &Paths, container: &ContainerNet<'_>) -> Result<NetPlan> {
    if let Mode::Container(other) = &container.asked.mode {
        return Ok(NetPlan {
            netns: Netns::Container(other.clone()),
            files: Files::of(&paths.container(other)),
            sysctls: Vec::new(),
            endpoint: None,
            held: Vec::new(),
        });
    }
    let planned = plan(paths, container);
    if planned.is_err() {
        // Its own failure would hide the cause, and a sweep finds what it leaves.
        let _ = down(paths, container.id);
    }
    planned
}

fn plan(paths: &Paths, container: &ContainerNet<'_>) -> Result<NetPlan> {
    let asked = container.asked;
    let (endpoint, held) = match asked.mode {
        Mode::Bridge => {
            let (endpoint, held) = endpoint(paths, container)?;
            (Some(endpoint), held)
        }
        _ => (None, Vec::new()),
    };
    let needs_gateway = asked.add_host.iter().any(|(_, to)| *to == flags::HostAddress::HostGateway);
    let gateway: IpAddr = match &endpoint {
        Some(endpoint) => endpoint.gateway.into(),
        None if needs_gateway && asked.mode != Mode::Host => Network::load(paths)?.gateway.into(),
        None => Ipv4Addr::LOCALHOST.into(),
    };
    let files = Files::of(&paths.container(container.id));
    let facts = Facts {
        asked,
        hostname: container.hostname,
        domainname: container.domainname,
        ip: endpoint.as_ref().map(|endpoint| endpoint.ip),
        gateway,
    };
    files::write(&files, &facts)?;
    let (netns, sysctls) = match asked.mode {
        Mode::Host => (Netns::Host, Vec::new()),
        _ => (Netns::New, SYSCTLS.to_vec()),
    };
    Ok(NetPlan { netns, files, sysctls, endpoint, held })
}

fn endpoint(paths: &Paths, container: &ContainerNet<'_>) -> Result<(Endpoint, Vec<Held>)> {
    let held = ports::hold(paths, container.asked)?;
    let network = Network::load(paths)?;
    let ip = state::claim(paths, &network, container.id, container.asked.ip)?;
    let endpoint = Endpoint {
        id: state::random_id()?,
        ip,
        subnet: network.subnet,
        gateway: network.gateway,
        mac: container.asked.mac.unwrap_or_else(|| Mac::of(ip)),
        device: format!("veth{}", container.id.get(..11).unwrap_or(container.id)),
        ports: held.iter().map(|(binding, _)| *binding).collect(),
    };
    let record = Record {
        container: container.id.to_owned(),
        name: container.name.to_owned(),
        owner: ProcessId::current()?,
        endpoint: endpoint.clone(),
    };
    state::put_record(paths, &record)?;
    Ok((endpoint, held))
}

/// Connects the container's network namespace (such as `/proc/PID/ns/net`), publishes the ports.
///
/// # Errors
/// The kernel's: devices, rules.
pub fn up(paths: &Paths, plan: NetPlan, container: &str, netns: &Path) -> Result<Attached> {
    let Some(endpoint) = plan.endpoint else { return Ok(Attached { _forwarder: None }) };
    let network = Network::load(paths)?;
    let netns = File::open(netns).what(|| format!("cannot open {}", netns.display()))?;
    let words = || "cannot connect the container to the bridge".to_owned();
    let route = Route::open().what(words)?;
    let bridge = network.up(paths, &route)?;
    let port = Port {
        host_name: &endpoint.device,
        bridge,
        mtu: network.mtu,
        mac: endpoint.mac,
        ip: endpoint.ip,
        prefix: network.subnet.prefix,
        gateway: network.gateway,
    };
    link::connect(&route, &port, netns.as_fd()).what(words)?;
    if let Some(record) = state::record(paths, container)? {
        publish_rules(paths, &network, &record)?;
    }
    let forwarder = if plan.held.is_empty() {
        None
    } else {
        let started = Forwarder::start(plan.held, endpoint.ip);
        Some(started.what(|| "cannot start the thread that serves loopback and IPv6".into())?)
    };
    Ok(Attached { _forwarder: forwarder })
}

fn publish_rules(paths: &Paths, network: &Network, record: &Record) -> Result<()> {
    let rules = record.rules();
    let added = firewall::add(network, &rules).or_else(|error| {
        // What a process left that was killed; whoever lives holds its port's socket.
        if sweep(paths)?.is_empty() { Err(error) } else { firewall::add(network, &rules) }
    })?;
    if added {
        return Ok(());
    }
    // Somebody flushed the rules since `Network::up` looked.
    let _lock = state::lock(paths)?;
    network.rebuild(paths)
}

/// Removes what a container had: device, rules, address, record. Nothing to do is fine.
///
/// # Errors
/// The kernel refuses; the record stays, so that it can be tried again.
pub fn down(paths: &Paths, id: &str) -> Result<()> {
    let Some(record) = state::record(paths, id)? else { return Ok(()) };
    let network = Network::load(paths)?;
    firewall::remove(&network, &record.rules())?;
    Route::open()
        .and_then(|route| link::remove(&route, &record.endpoint.device))
        .what(|| format!("cannot remove the device {}", record.endpoint.device))?;
    state::release(paths, id, record.endpoint.ip)?;
    state::forget_record(paths, id)
}

/// What a running container has on the bridge.
///
/// # Errors
/// Its record cannot be read.
pub fn endpoint_of(paths: &Paths, id: &str) -> Result<Option<Endpoint>> {
    Ok(state::record(paths, id)?.map(|record| record.endpoint))
}

/// How many containers have something on the bridge though their process died.
///
/// # Errors
/// The records cannot be read.
pub(crate) fn leftovers(paths: &Paths) -> Result<usize> {
    let records = state::records(paths)?;
    Ok(records.iter().filter(|record| !record.owner.is_alive()).count())
}

/// A route of the host's to somewhere in the bridge's subnet by another device.
pub(crate) fn overlapping(network: &Network) -> Option<String> {
    let route = Route::open().ok()?;
    let own = link::index(&route, &network.bridge).ok()?;
    let mut routes = link::routes(&route).ok()?.into_iter();
    let other = routes.find(|route| {
        route.to.1 > 0 && Some(route.device) != own && network.subnet.overlaps(route.to)
    })?;
    Some(format!("{}/{}", other.to.0, other.to.1))
}

/// Removes what processes left that died; returns a line for each.
///
/// # Errors
/// The first thing that would not go.
pub fn sweep(paths: &Paths) -> Result<Vec<String>> {
    let mut swept = Vec::new();
    for record in state::records(paths)? {
        if !record.owner.is_alive() {
            down(paths, &record.container)?;
            swept.push(format!("network of container {}", record.name));
        }
    }
    let addresses = state::sweep_claims(paths)?;
    swept.extend(addresses.into_iter().map(|ip| format!("address {ip}")));
    Ok(swept)
}
