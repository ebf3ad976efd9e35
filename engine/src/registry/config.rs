//! Which registries have mirrors, and which may be talked to without proof of who they are.
//!
//! `/etc/pier/registries.json` (or the file that `PIER_REGISTRIES` names), else Docker's
//! `/etc/docker/daemon.json`; both have Docker's words:
//! ```json
//! {"registry-mirrors": ["https://mirror.example"],
//!  "insecure-registries": ["registry.lan:5000", "10.1.0.0/16"],
//!  "mirrors": {"quay.io": ["https://cache.lan/quay"]}}
//! ```
//! `registry-mirrors` is for `docker.io`; `mirrors`, which only pier's file has, for any.

use crate::error::{Error, Result, What};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// The file's members.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct Registries {
    registry_mirrors: Vec<String>,
    insecure_registries: Vec<String>,
    mirrors: BTreeMap<String, Vec<String>>,
}

impl Registries {
    /// Reads the first file there is.
    pub(super) fn load() -> Result<Self> {
        if let Some(path) = std::env::var_os("PIER_REGISTRIES").filter(|path| !path.is_empty()) {
            return Self::read(&PathBuf::from(path)).map(Option::unwrap_or_default);
        }
        for path in ["/etc/pier/registries.json", "/etc/docker/daemon.json"] {
            if let Some(read) = Self::read(Path::new(path))? {
                return Ok(read);
            }
        }
        Ok(Self::default())
    }

    fn read(path: &Path) -> Result<Option<Self>> {
        let text = match std::fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.what(|| format!("cannot read {}", path.display()))?,
        };
        let read = serde_json::from_slice(&text);
        read.map(Some)
            .map_err(|error| Error::new(format!("cannot read {}", path.display())).why(error))
    }

    /// Addresses to try before the registry itself.
    pub(super) fn mirrors(&self, host: &str) -> Vec<&str> {
        let own = self.mirrors.get(host).into_iter().flatten();
        let hub = self.registry_mirrors.iter().filter(|_| host == "docker.io");
        own.chain(hub).map(String::as_str).collect()
    }

    /// Whether plain HTTP and certificates of anybody will do: loopback always, as in Docker, and
    /// what the file lists by name, by name and port, or by network.
    pub(super) fn insecure(&self, host: &str) -> bool {
        let name = host_name(host);
        let address = name.parse::<IpAddr>().ok();
        if name == "localhost" || address.is_some_and(|address| address.is_loopback()) {
            return true;
        }
        self.insecure_registries.iter().any(|listed| {
            listed == host
                || listed == name
                || listed
                    .split_once('/')
                    .zip(address)
                    .is_some_and(|((network, bits), address)| in_network(address, network, bits))
        })
    }
}

/// The name of `name:port`, without the brackets of IPv6.
pub(super) fn host_name(host: &str) -> &str {
    match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or(host),
    }
}

/// Whether an address is one of the network `network/bits`.
pub(super) fn in_network(address: IpAddr, network: &str, bits: &str) -> bool {
    let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u32>()) else {
        return false;
    };
    let number = |address: IpAddr| match address {
        IpAddr::V4(four) => (u128::from(four.to_bits()), 32_u32),
        IpAddr::V6(six) => (six.to_bits(), 128),
    };
    let ((address, width), (network, other)) = (number(address), number(network));
    let Some(rest) = width.checked_sub(bits).filter(|_| width == other) else { return false };
    let shift = |number: u128| number.checked_shr(rest).unwrap_or(0);
    shift(address) == shift(network)
}

#[cfg(test)]
mod tests {
    use super::Registries;

    #[test]
    fn the_words_are_dockers() {
        let text = r#"{"registry-mirrors": ["https://m"], "insecure-registries":
            ["lan:5000", "any", "10.1.0.0/16", "fd00::/8"], "mirrors": {"quay.io": ["http://q"]}, "debug": true}"#;
        let all: Registries = serde_json::from_str(text).unwrap();
        assert_eq!(all.mirrors("docker.io"), ["https://m"]);
        assert_eq!(all.mirrors("quay.io"), ["http://q"]);
        assert!(all.mirrors("ghcr.io").is_empty());
        for host in [
            "lan:5000",
            "any",
            "any:80",
            "10.1.2.3:5000",
            "127.8.8.8:1",
            "localhost",
            "localhost:5",
            "[::1]:5",
            "[fd00::1]:5",
        ] {
            assert!(all.insecure(host), "{host}");
        }
        for host in [
            "lan",
            "lan:5001",
            "10.2.0.1",
            "docker.io",
            "localhost.example",
            "[fe80::1]",
            "127.0.0.1.example",
        ] {
            assert!(!all.insecure(host), "{host}");
        }
    }
}
