//! Sets loopback up, and moves the host's network devices into the container.
//!
//! [`loopback_up`] runs in the child. [`move_devices`] runs in the parent, as soon as init lives
//! in its network namespace: moving a device loses its addresses and its state, so both are read
//! before and put back after (config-linux.md, "Network Devices"). A device whose move fails half
//! way goes back to the host with its old name and addresses, and so do those moved before it.

use std::fmt::Display;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use crate::error::{At, Cause, Error, Result, Step};
use crate::plan::net::NetDevice;
use crate::sys::clone::{CLONE_NEWNET, setns};
use crate::sys::fd;
use crate::sys::netlink::{Message, NLM_F_CREATE, NLM_F_EXCL, Route, attributes, word};

/// `struct ifinfomsg`.
const LINK: usize = 16;
/// `struct ifaddrmsg`.
const ADDRESS: usize = 8;
/// Enough for one packet of any list (`Route::list`).
const PACKET: usize = 32 << 10;
/// Loopback is the first device of every network namespace (`loopback_net_init()`).
const LOOPBACK: u32 = 1;
/// The device is up (`netdevice(7)`).
const IFF_UP: u32 = 1;
/// Metric of the address's route (`linux/if_addr.h`, Linux 4.18).
const IFA_RT_PRIORITY: u16 = 9;
/// Who made the address (`linux/if_addr.h`, Linux 5.18).
const IFA_PROTO: u16 = 11;
/// Attributes of an address that stay true in another namespace. `IFA_LABEL` is not among them:
/// it begins with the device's name, and the kernel makes it again from the new one.
const KEPT_ATTRIBUTES: [u16; 5] =
    [libc::IFA_ADDRESS, libc::IFA_LOCAL, libc::IFA_BROADCAST, IFA_RT_PRIORITY, IFA_PROTO];
/// Flags of an address that an administrator sets; the others are the kernel's own findings.
const KEPT_FLAGS: u32 = libc::IFA_F_NODAD
    | libc::IFA_F_OPTIMISTIC
    | libc::IFA_F_HOMEADDRESS
    | libc::IFA_F_MANAGETEMPADDR
    | libc::IFA_F_NOPREFIXROUTE
    | libc::IFA_F_MCAUTOJOIN;

/// `struct ifinfomsg` of a device, with the flags to change.
fn link(index: u32, flags: u32, change: u32) -> [u8; LINK] {
    let mut fixed = [0; LINK];
    fixed[4..8].copy_from_slice(&index.to_ne_bytes());
    fixed[8..12].copy_from_slice(&flags.to_ne_bytes());
    fixed[12..16].copy_from_slice(&change.to_ne_bytes());
    fixed
}

fn set_up(route: &Route, index: u32) -> io::Result<()> {
    let up = link(index, IFF_UP, IFF_UP);
    route.request(&mut Message::new(libc::RTM_NEWLINK, 0, &up)?)
}

/// Sets `lo` up in the network namespace of this thread (child).
///
/// # Errors
/// `EPERM` without `CAP_NET_ADMIN` over the namespace.
pub fn loopback_up() -> io::Result<()> {
    set_up(&Route::open()?, LOOPBACK)
}

/// A device as one network namespace sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Link {
    index: u32,
    up: bool,
}

impl Link {
    fn find(route: &Route, name: &str) -> io::Result<Self> {
        let mut found = None;
        let mut ask = Message::new(libc::RTM_GETLINK, 0, &link(0, 0, 0))?;
        ask.text(libc::IFLA_IFNAME, name)?;
        route.get(&mut ask, |kind, body| {
            if let (libc::RTM_NEWLINK, Some(index), Some(flags)) =
                (kind, word(body, 4), word(body, 8))
            {
                found = Some(Self { index, up: flags & IFF_UP != 0 });
            }
            Ok(())
        })?;
        found.ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))
    }

    /// Moves it from the namespace of `route` to `netns`, where it is called `name`.
    fn send(self, route: &Route, netns: BorrowedFd<'_>, name: &str) -> io::Result<()> {
        let mut message = Message::new(libc::RTM_NEWLINK, 0, &link(self.index, 0, 0))?;
        message.attribute(libc::IFLA_NET_NS_FD, &netns.as_raw_fd().to_ne_bytes())?;
        message.text(libc::IFLA_IFNAME, name)?;
        route.request(&mut message)
    }
}

/// Names of all devices in a namespace.
fn names(route: &Route) -> io::Result<Vec<String>> {
    let mut ask = Message::new(libc::RTM_GETLINK, 0, &link(0, 0, 0))?;
    route.list(&mut ask, &mut vec![0; PACKET], Vec::new, |names, kind, body| {
        let told = attributes(body.get(LINK..).unwrap_or_default());
        let named = told.filter(|(of, _)| kind == libc::RTM_NEWLINK && *of == libc::IFLA_IFNAME);
        names.extend(
            named.map(|(_, name)| String::from_utf8_lossy(name).trim_end_matches('\0').to_owned()),
        );
        Ok(())
    })
}

/// An address, ready to be added to a device again.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Address {
    family: u8,
    prefix: u8,
    flags: u32,
    attributes: Vec<(u16, Vec<u8>)>,
}

impl Address {
    /// Permanent addresses of global scope; others belong to the namespace that is left.
    fn of_link(route: &Route, index: u32) -> io::Result<Vec<Self>> {
        let mut ask = Message::new(libc::RTM_GETADDR, 0, &[0; ADDRESS])?;
        route.list(&mut ask, &mut vec![0; PACKET], Vec::new, |kept, kind, body| {
            if kind == libc::RTM_NEWADDR && word(body, 4) == Some(index) {
                kept.extend(Self::kept(body));
            }
            Ok(())
        })
    }

    fn kept(body: &[u8]) -> Option<Self> {
        let &[family, prefix, short_flags, scope] = body.first_chunk()?;
        let told = || attributes(body.get(ADDRESS..).unwrap_or_default());
        let flags = told().find(|(kind, _)| *kind == libc::IFA_FLAGS);
        let flags =
            flags.and_then(|(_, value)| word(value, 0)).unwrap_or_else(|| u32::from(short_flags));
        if flags & libc::IFA_F_PERMANENT == 0 || scope != libc::RT_SCOPE_UNIVERSE {
            return None;
        }
        let attributes = told()
            .filter(|(kind, _)| KEPT_ATTRIBUTES.contains(kind))
            .map(|(kind, value)| (kind, value.to_vec()))
            .collect();
        Some(Self { family, prefix, flags: flags & KEPT_FLAGS, attributes })
    }

    fn add(&self, route: &Route, index: u32) -> io::Result<()> {
        let mut fixed = [0; ADDRESS];
        (fixed[0], fixed[1]) = (self.family, self.prefix);
        fixed[4..].copy_from_slice(&index.to_ne_bytes());
        let flags = NLM_F_CREATE | NLM_F_EXCL;
        let mut message = Message::new(libc::RTM_NEWADDR, flags, &fixed)?;
        message.attribute(libc::IFA_FLAGS, &self.flags.to_ne_bytes())?;
        for (kind, value) in &self.attributes {
            message.attribute(*kind, value)?;
        }
        route.request(&mut message)
    }
}

/// A device that was moved, and what brings it back.
#[derive(Debug)]
struct Move {
    host_name: String,
    name: String,
    was_up: bool,
    addresses: Vec<Address>,
}

impl Move {
    /// Gives the device its addresses and sets it up, where it is now.
    fn settle(&self, route: &Route, name: &str, up: bool) -> io::Result<()> {
        let Link { index, .. } = Link::find(route, name)?;
        self.addresses.iter().try_for_each(|address| address.add(route, index))?;
        if up { set_up(route, index) } else { Ok(()) }
    }
}

/// The devices that [`move_devices`] moved. Dropping it leaves them where they are.
#[derive(Debug)]
#[must_use = "the devices are lost with the namespace when the container cannot be made"]
pub struct Moved {
    here: Route,
    here_ns: OwnedFd,
    there: Route,
    moves: Vec<Move>,
}

impl Moved {
    /// Brings the devices back to the host with their old names, addresses and states: for a
    /// container that could not be made, whose end would destroy virtual devices. Never for one
    /// that ran (config-linux.md, "Namespace Lifecycle and Container Termination").
    ///
    /// # Errors
    /// The first device that would not come back; the others are brought back nevertheless.
    pub fn undo(self) -> Result<()> {
        let mut first = Ok(());
        for back in self.moves.iter().rev() {
            let done = Link::find(&self.there, &back.name)
                .and_then(|link| link.send(&self.there, self.here_ns.as_fd(), &back.host_name))
                .and_then(|()| back.settle(&self.here, &back.host_name, back.was_up))
                .at(Step::Network, || format!("device {} back to the host", back.host_name));
            first = first.and(done);
        }
        first
    }
}

/// The network namespace of a process, which the caller keeps from being reaped.
///
/// # Errors
/// `ESRCH` or `ENOENT` when it has ended.
pub fn netns_of(pid: i32) -> Result<OwnedFd> {
    let path = format!("/proc/{pid}/ns/net");
    open_ns(&path).at(Step::Network, || path)
}

fn open_ns(path: &str) -> io::Result<OwnedFd> {
    fd::open(&std::ffi::CString::new(path)?, libc::O_RDONLY)
}

/// Moves devices from the network namespace of this thread into `netns`, renames them, gives them
/// their addresses and sets them up.
///
/// # Errors
/// A device that does not exist, that belongs to its namespace, whose name is taken in the
/// container; `netns` is the host's own. Nothing is left moved then.
pub fn move_devices(devices: &[NetDevice], netns: impl AsFd) -> Result<Moved> {
    let netns = netns.as_fd();
    let here_ns = open_ns("/proc/thread-self/ns/net").at(Step::Network, || "own namespace")?;
    let same = |a: &OwnedFd, b: BorrowedFd<'_>| Ok(fd::fstat(a)?.same_file(&fd::fstat(b)?));
    let same: io::Result<bool> = same(&here_ns, netns);
    if same.at(Step::Network, || "own namespace")? {
        let on = devices.first().map_or("", |device| &device.host);
        let cause = "the container's network namespace is the host's, where the device already is";
        return Err(Error::rule(Step::Network, format_args!("device {on}"), cause));
    }
    let here = Route::open().at(Step::Network, || "netlink")?;
    let there = route_in(netns).at(Step::Network, || "netlink in the container")?;
    let mut moved = Moved { here, here_ns, there, moves: Vec::with_capacity(devices.len()) };
    for device in devices {
        if let Err(failure) = moved.take(device, netns) {
            return Err(match moved.undo() {
                Ok(()) => failure,
                Err(also) => failure.hint(format!("and it could not be undone: {also}")),
            });
        }
    }
    Ok(moved)
}

/// Opens a connection in another namespace. A thread of its own goes there and ends: ours, which
/// belongs to the embedding program, never leaves home.
fn route_in(netns: BorrowedFd<'_>) -> io::Result<Route> {
    std::thread::scope(|scope| {
        scope
            .spawn(|| setns(netns, CLONE_NEWNET).and_then(|()| Route::open()))
            .join()
            .unwrap_or_else(|_| Err(io::Error::from_raw_os_error(libc::EIO)))
    })
}

impl Moved {
    fn take(&mut self, device: &NetDevice, netns: BorrowedFd<'_>) -> Result<()> {
        let on = || format!("device {}", device.host);
        let link = Link::find(&self.here, &device.host).map_err(|e| located(e, on()))?;
        let addresses = Address::of_link(&self.here, link.index).at(Step::Network, on)?;
        let taken = names(&self.there).at(Step::Network, || "devices of the container")?;
        let name = free_name(device, &taken).ok_or_else(|| {
            let cause = format!("the container already has a device named {}", device.name);
            Error::rule(Step::Network, on(), cause)
                .hint("choose another name in linux.netDevices, or a template such as eth%d")
        })?;
        let host_name = device.host.clone();
        let this = Move { host_name, name, was_up: link.up, addresses };
        if let Err(e) = link.send(&self.here, netns, &this.name) {
            // The kernel moves first and renames then: a rename that fails leaves the device over
            // there, by its old name, which nobody had there before.
            let gone = Link::find(&self.here, &this.host_name).is_err();
            if gone && !taken.contains(&this.host_name) {
                self.moves.push(Move { name: this.host_name.clone(), ..this });
            }
            return Err(located(e, on()));
        }
        let settled = this.settle(&self.there, &this.name, true);
        self.moves.push(this);
        settled.at(Step::Network, || format!("{} in the container", on()))
    }
}

/// The device's name in the container: as it is, or the first number that is free.
fn free_name(device: &NetDevice, taken: &[String]) -> Option<String> {
    let free = |name: &String| !taken.contains(name);
    if device.is_template() {
        // One more than there are names is always free.
        let mut numbered = (0..=taken.len()).map(|n| device.name.replacen("%d", &n.to_string(), 1));
        return numbered.find(free).filter(|name| name.len() < libc::IFNAMSIZ);
    }
    Some(device.name.clone()).filter(free)
}

fn located(error: io::Error, on: impl Display) -> Error {
    let hint = match error.raw_os_error() {
        Some(libc::ENODEV) => "no network device of this name in the runtime's network namespace",
        Some(libc::EINVAL) => "the device may belong to its namespace (bridges, tunnels, lo)",
        Some(libc::EPERM) => "moving devices needs CAP_NET_ADMIN in both network namespaces",
        _ => "",
    };
    let error =
        Error { step: Step::Network, on: on.to_string(), cause: Cause::Io(error), hint: None };
    if hint.is_empty() { error } else { error.hint(hint) }
}

#[cfg(test)]
#[path = "net_tests.rs"]
mod tests;
