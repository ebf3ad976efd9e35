//! Devices, addresses and routes by netlink: the bridge, and a container's pair of ends.
//!
//! Constants that libc lacks are from `linux/if_link.h` and `linux/veth.h`.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::thread;

use libcontainer::sys::clone::{CLONE_NEWNET, setns};
use libcontainer::sys::netlink::{Message, NLM_F_CREATE, NLM_F_EXCL, Route, attributes, word};

use super::mac::Mac;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
// linux/if_link.h
const IFLA_INFO_SLAVE_KIND: u16 = 4;
const IFLA_INFO_SLAVE_DATA: u16 = 5;
// The port may send back.
const IFLA_BRPORT_MODE: u16 = 4;
const VETH_INFO_PEER: u16 = 1;
const IFF_UP: u32 = 1;
/// Main table, made at boot or by hand, everywhere, to one place (`rtnetlink(7)`).
const ROUTE_TO_GATEWAY: [u8; 4] = [254, 3, 0, 1];
/// `struct rtmsg`.
const ROUTE: usize = 12;
/// `struct ifinfomsg`.
const LINK: usize = 16;
/// Enough for one packet of any list (`Route::list`).
const PACKET: usize = 32 << 10;

fn link(index: u32, flags: u32) -> [u8; LINK] {
    let mut fixed = [0; LINK];
    fixed[4..8].copy_from_slice(&index.to_ne_bytes());
    fixed[8..12].copy_from_slice(&flags.to_ne_bytes());
    fixed[12..16].copy_from_slice(&flags.to_ne_bytes());
    fixed
}

/// The number of a device, `None` when there is none of this name.
pub(super) fn index(route: &Route, name: &str) -> io::Result<Option<u32>> {
    let mut found = None;
    let mut ask = Message::new(libc::RTM_GETLINK, 0, &link(0, 0))?;
    ask.text(IFLA_IFNAME, name)?;
    let told = route.get(&mut ask, |kind, body| {
        found = (kind == libc::RTM_NEWLINK).then(|| word(body, 4)).flatten().or(found);
        Ok(())
    });
    match told {
        Err(e) if e.raw_os_error() == Some(libc::ENODEV) => Ok(None),
        other => other.map(|()| found),
    }
}

/// Whether somebody has set it up.
pub(super) fn is_up(route: &Route, index: u32) -> io::Result<bool> {
    let mut up = false;
    let mut ask = Message::new(libc::RTM_GETLINK, 0, &link(index, 0))?;
    route.get(&mut ask, |kind, body| {
        up |= kind == libc::RTM_NEWLINK && word(body, 8).is_some_and(|flags| flags & IFF_UP != 0);
        Ok(())
    })?;
    Ok(up)
}

/// Its largest packet in bytes.
fn mtu(route: &Route, index: u32) -> io::Result<Option<u32>> {
    let mut found = None;
    let mut ask = Message::new(libc::RTM_GETLINK, 0, &link(index, 0))?;
    route.get(&mut ask, |kind, body| {
        if kind == libc::RTM_NEWLINK {
            let mut told = attributes(body.get(LINK..).unwrap_or_default());
            found = told.find(|(kind, _)| *kind == IFLA_MTU).and_then(|(_, value)| word(value, 0));
        }
        Ok(())
    })?;
    Ok(found)
}

/// Makes a bridge with the gateway's address, and sets it up. One that exists already is left,
/// its address added when it lacks it.
pub(super) fn bridge(
    route: &Route,
    name: &str,
    gateway: (Ipv4Addr, u8),
    mtu: u32,
) -> io::Result<u32> {
    let mut make = Message::new(libc::RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &link(0, 0))?;
    make.text(IFLA_IFNAME, name)?;
    make.attribute(IFLA_MTU, &mtu.to_ne_bytes())?;
    // A bridge takes the lowest address of its ports otherwise, and changes it when they go.
    make.attribute(IFLA_ADDRESS, &Mac::of(gateway.0).0)?;
    make.nested(IFLA_LINKINFO, |info| info.text(IFLA_INFO_KIND, "bridge").map(drop))?;
    exists_is_fine(route.request(&mut make))?;
    let index = index(route, name)?.ok_or(io::ErrorKind::NotFound)?;
    exists_is_fine(address(route, index, gateway))?;
    set_up(route, index)?;
    Ok(index)
}

fn exists_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(e) if e.raw_os_error() == Some(libc::EEXIST) => Ok(()),
        other => other,
    }
}

fn set_up(route: &Route, index: u32) -> io::Result<()> {
    route.request(&mut Message::new(libc::RTM_NEWLINK, 0, &link(index, IFF_UP))?)
}

fn address(route: &Route, index: u32, (ip, prefix): (Ipv4Addr, u8)) -> io::Result<()> {
    let mut fixed = [0; 8];
    fixed[0] = u8::try_from(libc::AF_INET).unwrap_or(2);
    fixed[1] = prefix;
    fixed[4..].copy_from_slice(&index.to_ne_bytes());
    let mut make = Message::new(libc::RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &fixed)?;
    make.attribute(libc::IFA_LOCAL, &ip.octets())?;
    make.attribute(libc::IFA_ADDRESS, &ip.octets())?;
    let host_part = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
    let broadcast = Ipv4Addr::from(u32::from(ip) | host_part);
    make.attribute(libc::IFA_BROADCAST, &broadcast.octets())?;
    route.request(&mut make)
}

/// Removes a device; one that is gone is fine.
pub(super) fn remove(route: &Route, name: &str) -> io::Result<()> {
    let mut delete = Message::new(libc::RTM_DELLINK, 0, &link(0, 0))?;
    delete.text(IFLA_IFNAME, name)?;
    match route.request(&mut delete) {
        Err(e) if e.raw_os_error() == Some(libc::ENODEV) => Ok(()),
        other => other,
    }
}

/// What a container gets on the bridge.
#[derive(Clone, Copy, Debug)]
pub(super) struct Port<'a> {
    /// The end on the host.
    pub(super) host_name: &'a str,
    pub(super) bridge: u32,
    pub(super) mtu: u32,
    pub(super) mac: Mac,
    pub(super) ip: Ipv4Addr,
    pub(super) prefix: u8,
    pub(super) gateway: Ipv4Addr,
}

/// Makes the pair: one end on the bridge, the other one as `eth0` with address and default route
/// in the network namespace `netns`.
pub(super) fn connect(route: &Route, port: &Port<'_>, netns: BorrowedFd<'_>) -> io::Result<()> {
    match pair(route, port, netns) {
        // The end of the container's last run: its namespace is about to be freed.
        Err(e) if e.raw_os_error() == Some(libc::EEXIST) => {
            remove(route, port.host_name)?;
            pair(route, port, netns)?;
        }
        other => other?,
    }
    hairpin(route, port.host_name)?;
    inside(netns, || configure(port))
}

/// Lets the bridge send a packet back to where it came from: a container that asks for its own
/// published port. Needed where `br_netfilter` rewrites addresses before the bridge forwards.
fn hairpin(route: &Route, name: &str) -> io::Result<()> {
    let mut change = Message::new(libc::RTM_NEWLINK, 0, &link(0, 0))?;
    change.text(IFLA_IFNAME, name)?;
    change.nested(IFLA_LINKINFO, |info| {
        info.text(IFLA_INFO_SLAVE_KIND, "bridge")?;
        info.nested(IFLA_INFO_SLAVE_DATA, |data| data.attribute(IFLA_BRPORT_MODE, &[1]).map(drop))
            .map(drop)
    })?;
    route.request(&mut change)
}

fn pair(route: &Route, port: &Port<'_>, netns: BorrowedFd<'_>) -> io::Result<()> {
    let flags = NLM_F_CREATE | NLM_F_EXCL;
    let mut make = Message::new(libc::RTM_NEWLINK, flags, &link(0, IFF_UP))?;
    make.text(IFLA_IFNAME, port.host_name)?;
    make.attribute(IFLA_MTU, &port.mtu.to_ne_bytes())?;
    make.attribute(IFLA_MASTER, &port.bridge.to_ne_bytes())?;
    make.nested(IFLA_LINKINFO, |info| {
        info.text(IFLA_INFO_KIND, "veth")?;
        info.nested(IFLA_INFO_DATA, |data| {
            data.nested(VETH_INFO_PEER, |peer| {
                peer.push(&link(0, 0))?;
                peer.text(IFLA_IFNAME, "eth0")?;
                peer.attribute(IFLA_MTU, &port.mtu.to_ne_bytes())?;
                peer.attribute(IFLA_ADDRESS, &port.mac.0)?;
                peer.attribute(IFLA_NET_NS_FD, &netns.as_raw_fd().to_ne_bytes()).map(drop)
            })
            .map(drop)
        })
        .map(drop)
    })?;
    route.request(&mut make)
}

/// In the container's namespace: address, up, default route.
fn configure(port: &Port<'_>) -> io::Result<()> {
    // As Docker on a network without IPv6: no link-local address that leads nowhere. A kernel
    // without IPv6 has no such file.
    match std::fs::write("/proc/sys/net/ipv6/conf/eth0/disable_ipv6", "1") {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let route = Route::open()?;
    let index = index(&route, "eth0")?.ok_or(io::ErrorKind::NotFound)?;
    address(&route, index, (port.ip, port.prefix))?;
    set_up(&route, index)?;
    let mut fixed = [0; ROUTE];
    fixed[0] = u8::try_from(libc::AF_INET).unwrap_or(2);
    fixed[4..8].copy_from_slice(&ROUTE_TO_GATEWAY);
    let flags = NLM_F_CREATE | NLM_F_EXCL;
    let mut default = Message::new(libc::RTM_NEWROUTE, flags, &fixed)?;
    default.attribute(libc::RTA_GATEWAY, &port.gateway.octets())?;
    default.attribute(libc::RTA_OIF, &index.to_ne_bytes())?;
    route.request(&mut default)
}

/// Runs `work` in another network namespace. A thread of its own goes there and ends: ours never
/// leaves home.
pub(super) fn inside<T: Send>(
    netns: impl AsFd + Sync,
    work: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    let netns = netns.as_fd();
    thread::scope(|scope| {
        scope
            .spawn(move || setns(netns, CLONE_NEWNET).and_then(|()| work()))
            .join()
            .unwrap_or_else(|_| Err(io::Error::from_raw_os_error(libc::EIO)))
    })
}

/// A route of the host's main table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HostRoute {
    /// Where it leads: all addresses that begin with these bits.
    pub(super) to: (Ipv4Addr, u8),
    /// The device.
    pub(super) device: u32,
}

/// The host's IPv4 routes, of all tables but `local`.
pub(super) fn routes(route: &Route) -> io::Result<Vec<HostRoute>> {
    let mut fixed = [0; ROUTE];
    fixed[0] = u8::try_from(libc::AF_INET).unwrap_or(2);
    let mut ask = Message::new(libc::RTM_GETROUTE, 0, &fixed)?;
    route.list(&mut ask, &mut vec![0; PACKET], Vec::new, |routes, kind, body| {
        let (Some(prefix), Some(table)) = (body.get(1), body.get(4)) else { return Ok(()) };
        if kind != libc::RTM_NEWROUTE || *table == libc::RT_TABLE_LOCAL {
            return Ok(());
        }
        let told = || attributes(body.get(ROUTE..).unwrap_or_default());
        let of = |wanted: u16| told().find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
        let to = of(libc::RTA_DST).and_then(|bytes| bytes.first_chunk::<4>());
        let device = of(libc::RTA_OIF).and_then(|bytes| word(bytes, 0)).unwrap_or(0);
        let to = to.map_or(Ipv4Addr::UNSPECIFIED, |bytes| Ipv4Addr::from(*bytes));
        routes.push(HostRoute { to: (to, *prefix), device });
        Ok(())
    })
}

/// The largest packet of the device that leads outwards, in bytes; 1500 when none does.
pub(super) fn uplink_mtu(route: &Route, routes: &[HostRoute]) -> io::Result<u32> {
    let uplink = routes.iter().find(|route| route.to.1 == 0).map(|route| route.device);
    let mtu = uplink.map_or(Ok(None), |index| mtu(route, index))?;
    Ok(mtu.unwrap_or(1500).clamp(576, 1500))
}
