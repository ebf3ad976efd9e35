//! The default bridge network: its name, subnet and table, kept in `networks/bridge.json`, and the
//! devices and rules that it needs on this boot.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;

use libcontainer::sys::netlink::Route;
use serde::{Deserialize, Serialize};

use super::{firewall, link, state};
use crate::error::{Error, Result, What as _};
use crate::paths::{Paths, ROOT};

/// Subnets for the bridge, the first one that no route of the host overlaps. None is a default of
/// Docker's (172.17.0.0/12), podman's (10.88.0.0/16), LXD's or libvirt's.
const SUBNETS: [[u8; 2]; 6] = [[10, 233], [10, 177], [10, 141], [172, 31], [192, 168], [10, 65]];
const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";

/// An IPv4 subnet, `10.1.0.0/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet {
    /// Its first address.
    pub base: Ipv4Addr,
    /// How many bits its addresses share.
    pub prefix: u8,
}

impl Subnet {
    fn mask(prefix: u8) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0)
    }

    /// Whether the address belongs to it.
    pub fn contains(self, ip: Ipv4Addr) -> bool {
        (u32::from(ip) ^ u32::from(self.base)) & Self::mask(self.prefix) == 0
    }

    pub(super) fn overlaps(self, (ip, prefix): (Ipv4Addr, u8)) -> bool {
        let mask = Self::mask(self.prefix.min(prefix));
        (u32::from(ip) ^ u32::from(self.base)) & mask == 0
    }

    /// The address of this number: 0 is the subnet's own, the last one is for broadcasts.
    pub fn nth(self, number: u32) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.base).wrapping_add(number))
    }

    /// How many numbers there are.
    pub fn size(self) -> u32 {
        (!Self::mask(self.prefix)).saturating_add(1)
    }
}

impl std::fmt::Display for Subnet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.to_string()
    }
}

impl TryFrom<String> for Subnet {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        let wrong = || Error::new(format!("{text} is no subnet")).fix("write 10.1.0.0/16");
        let (base, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let base: Ipv4Addr = base.parse().map_err(|_| wrong())?;
        let prefix: u8 = prefix.parse().ok().filter(|p| (8..=29).contains(p)).ok_or_else(wrong)?;
        if u32::from(base) & !Self::mask(prefix) != 0 {
            return Err(wrong());
        }
        Ok(Self { base, prefix })
    }
}

/// What `networks/bridge.json` says. It may be edited while no container runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Seconds since 1970.
    pub created: u64,
    /// Name of the device.
    pub bridge: String,
    /// Name of the nftables table.
    pub table: String,
    /// Where addresses come from.
    pub subnet: Subnet,
    /// The host's address on the bridge.
    pub gateway: Ipv4Addr,
    /// Largest packet in bytes.
    pub mtu: u32,
}

impl Network {
    /// Reads the file, or makes it.
    ///
    /// # Errors
    /// It cannot be read, understood or written; no subnet is free.
    pub fn load(paths: &Paths) -> Result<Self> {
        let file = paths.networks().join("bridge.json");
        match fs::read(&file) {
            Ok(text) => Self::read(&text, &file),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Self::make(paths, &file),
            Err(e) => Err(e).what(|| format!("cannot read {}", file.display())),
        }
    }

    fn read(text: &[u8], file: &Path) -> Result<Self> {
        let wrong = |why: String| {
            Error::new(format!("cannot understand {}", file.display()))
                .why(why)
                .fix("correct the file, or remove it while no container runs")
        };
        let network: Self = serde_json::from_slice(text).map_err(|e| wrong(e.to_string()))?;
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let name = |name: &str, longest| {
            (1..=longest).contains(&name.len())
                && name.chars().all(word)
                && name.starts_with(|c: char| c.is_ascii_alphabetic())
        };
        let checks = [
            (name(&network.bridge, 15), "bridge is no name of a device"),
            (name(&network.table, 31) && !network.table.contains('-'), "table is no name"),
            (network.subnet.contains(network.gateway), "gateway is not in subnet"),
            ((68..=65535).contains(&network.mtu), "mtu is not between 68 and 65535"),
        ];
        match checks.iter().find(|(sound, _)| !sound) {
            Some((_, why)) => Err(wrong((*why).to_owned())),
            None => Ok(network),
        }
    }

    fn make(paths: &Paths, file: &Path) -> Result<Self> {
        let words = || "cannot choose a subnet for the bridge".to_owned();
        let route = Route::open().what(words)?;
        let routes = link::routes(&route).what(words)?;
        let subnets =
            SUBNETS.iter().map(|[a, b]| Subnet { base: Ipv4Addr::new(*a, *b, 0, 0), prefix: 16 });
        // A default route overlaps everything and means nothing here.
        let free = |subnet: &Subnet| {
            !routes.iter().any(|route| route.to.1 > 0 && subnet.overlaps(route.to))
        };
        let subnet = subnets.into_iter().find(free).ok_or_else(|| {
            Error::new(words()).why("the host's routes overlap all that pier would take").fix(format!(
                "write another one into {} (keys id, created, bridge, table, subnet, gateway, mtu)",
                file.display()
            ))
        })?;
        let names = own_names(&paths.root);
        let network = Self {
            id: state::random_id()?,
            created: state::now(),
            bridge: names.0,
            table: names.1,
            subnet,
            gateway: subnet.nth(1),
            mtu: link::uplink_mtu(&route, &routes).what(words)?,
        };
        match state::create(file, &network, true)? {
            true => Ok(network),
            // Another process was faster.
            false => fs::read(file)
                .what(|| format!("cannot read {}", file.display()))
                .and_then(|text| Self::read(&text, file)),
        }
    }

    /// Makes what is missing of devices and rules, and returns the bridge's number.
    ///
    /// # Errors
    /// Not root; the kernel lacks bridges or nftables, or `nft` is not installed.
    pub(super) fn up(&self, paths: &Paths, route: &Route) -> Result<u32> {
        let words = || format!("cannot make the bridge {}", self.bridge);
        let found = link::index(route, &self.bridge).what(words)?;
        if let Some(index) = found
            && firewall::exists(self)?
            && link::is_up(route, index).what(words)?
        {
            return Ok(index);
        }
        let _lock = state::lock(paths)?;
        // The rules first: a bridge that is up stands for everything being there.
        if !firewall::exists(self)? {
            self.rebuild(paths)?;
        }
        let index = link::bridge(route, &self.bridge, (self.gateway, self.subnet.prefix), self.mtu);
        index.what(words).map_err(|error| {
            error.fix(
                "pier must be root, and the kernel needs bridge and veth (modprobe bridge veth)",
            )
        })
    }

    /// Builds the table with the elements of all containers that run; forwarding is switched on.
    /// The caller holds the lock.
    pub(super) fn rebuild(&self, paths: &Paths) -> Result<()> {
        let guard = forward(paths)?;
        firewall::build(self, guard)?;
        if let Some(chain) = firewall::dropping() {
            // What it refuses is told by `check`; published ports still work through the host.
            let _ = chain.admit(&self.bridge);
        }
        let rules: Vec<_> =
            state::records(paths)?.into_iter().flat_map(|record| record.rules()).collect();
        firewall::add(self, &rules).map(drop)
    }
}

/// Device and table of the default root have plain names; others get a part of their path's hash.
fn own_names(root: &Path) -> (String, String) {
    if root == Path::new(ROOT) {
        return ("pier0".into(), "pier".into());
    }
    let hash =
        root.as_os_str().as_encoded_bytes().iter().fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
        });
    (format!("pier{hash:08x}"), format!("pier_{hash:08x}"))
}

/// Switches IPv4 forwarding on. `true` when it was off before us: then nothing but our own
/// traffic is to be forwarded. A file says so for the rest of this boot.
fn forward(paths: &Paths) -> Result<bool> {
    let marker = state::directory(paths).join("forwarding-was-off");
    let boot = state::boot_id()?;
    let was = fs::read_to_string(FORWARDING).what(|| format!("cannot read {FORWARDING}"))?;
    if was.trim() != "0" {
        return Ok(fs::read_to_string(&marker).is_ok_and(|text| text == boot));
    }
    state::write(&marker, boot.as_bytes())?;
    fs::write(FORWARDING, "1")
        .what(|| "cannot switch IPv4 forwarding on".into())
        .map_err(|error| error.fix("run: sysctl -w net.ipv4.ip_forward=1"))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.to_owned().try_into().unwrap()
    }

    #[test]
    fn subnets() {
        let net = subnet("10.1.0.0/16");
        assert_eq!((net.size(), net.nth(258).to_string()), (65536, "10.1.1.2".into()));
        assert!(net.contains(Ipv4Addr::new(10, 1, 255, 3)));
        assert!(!net.contains(Ipv4Addr::new(10, 2, 0, 3)));
        assert!(net.overlaps((Ipv4Addr::new(10, 0, 0, 0), 8)));
        assert!(net.overlaps((Ipv4Addr::new(10, 1, 3, 0), 24)));
        assert!(!net.overlaps((Ipv4Addr::new(10, 2, 0, 0), 16)));
        for wrong in ["10.1.0.0", "10.1.0.1/16", "10.1.0.0/33", "10.0.0.0/2", "x/16"] {
            assert!(Subnet::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_file_edited_wrongly_says_what_is_wrong() {
        let network = |change: fn(&mut Network)| {
            let mut network = Network {
                id: "0".repeat(64),
                created: 1,
                bridge: "pier0".into(),
                table: "pier".into(),
                subnet: subnet("10.1.0.0/16"),
                gateway: Ipv4Addr::new(10, 1, 0, 1),
                mtu: 1500,
            };
            change(&mut network);
            let text = serde_json::to_vec(&network).unwrap();
            Network::read(&text, Path::new("/x")).map_err(|error| error.why.unwrap_or_default())
        };
        assert!(network(|_| ()).is_ok());
        assert_eq!(
            network(|n| n.gateway = Ipv4Addr::new(10, 2, 0, 1)).unwrap_err(),
            "gateway is not in subnet"
        );
        let injected = network(|n| n.bridge = "x\" drop".into()).unwrap_err();
        assert_eq!(injected, "bridge is no name of a device");
        assert_eq!(network(|n| n.table = "a-b".into()).unwrap_err(), "table is no name");
        assert!(Network::read(b"{}", Path::new("/x")).is_err());
    }

    #[test]
    fn another_root_has_another_bridge() {
        assert_eq!(own_names(Path::new(ROOT)).0, "pier0");
        let (bridge, table) = own_names(Path::new("/tmp/a"));
        assert!(bridge.len() <= 15 && table.starts_with("pier_"), "{bridge} {table}");
        assert_ne!(own_names(Path::new("/tmp/b")).0, bridge);
    }
}
