//! What is on disk about the network: who has which address, which ports, which device.
//!
//! All of it stands below the run root: a reboot gives everything back. A record names the
//! process that made it; when that has died, what the record names is free
//! ([`super::sweep`]).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use libcontainer::state::process::ProcessId;
use serde::{Deserialize, Serialize};

use super::firewall::Rule;
use super::mac::Mac;
use super::network::{Network, Subnet};
use super::ports::Binding;
use crate::error::{Error, Result, What as _};
use crate::paths::Paths;

/// What a container has on the bridge while it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// 64 hexadecimal digits, new at each start.
    pub id: String,
    /// Its address.
    pub ip: Ipv4Addr,
    /// The network's.
    pub subnet: Subnet,
    /// The host on the bridge.
    pub gateway: Ipv4Addr,
    /// Address of `eth0`.
    pub mac: Mac,
    /// The host's end of the pair.
    pub device: String,
    /// What is published, sorted by container port.
    pub ports: Vec<Binding>,
}

/// One file `<id>.json`: written before anything is made, removed when all of it is gone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) container: String,
    pub(super) name: String,
    pub(super) owner: ProcessId,
    pub(super) endpoint: Endpoint,
}

impl Record {
    /// The elements of nftables that publish its ports. The host's loopback and IPv6 are the
    /// forwarder's.
    pub(super) fn rules(&self) -> Vec<Rule> {
        let rule = |binding: &Binding| {
            let IpAddr::V4(host) = binding.ip else { return None };
            (!host.is_loopback()).then_some(Rule {
                proto: binding.port.proto,
                host: (!host.is_unspecified()).then_some(host),
                host_port: binding.host_port,
                to: self.endpoint.ip,
                to_port: binding.port.number,
            })
        };
        self.endpoint.ports.iter().filter_map(rule).collect()
    }
}

/// Where everything of this module is.
pub(super) fn directory(paths: &Paths) -> PathBuf {
    paths.run.join("net")
}

fn record_file(paths: &Paths, id: &str) -> PathBuf {
    directory(paths).join(format!("{id}.json"))
}

/// The record of a container, when it has one.
pub(super) fn record(paths: &Paths, id: &str) -> Result<Option<Record>> {
    let file = record_file(paths, id);
    match fs::read(&file) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        read => {
            let text = read.what(|| format!("cannot read {}", file.display()))?;
            serde_json::from_slice(&text).map(Some).map_err(|error| {
                Error::new(format!("cannot understand {}", file.display()))
                    .why(error)
                    .fix("run: pier check --repair")
            })
        }
    }
}

/// All records that can be read.
pub(super) fn records(paths: &Paths) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    for name in names(&directory(paths))? {
        if let Some(id) = name.strip_suffix(".json") {
            records.extend(record(paths, id).ok().flatten());
        }
    }
    Ok(records)
}

/// Names in a directory, none when it does not exist.
pub(crate) fn names(directory: &Path) -> Result<Vec<String>> {
    let words = || format!("cannot read {}", directory.display());
    match fs::read_dir(directory) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries
            .what(words)?
            .map(|entry| Ok(entry.what(words)?.file_name().to_string_lossy().into_owned()))
            .collect(),
    }
}

pub(super) fn put_record(paths: &Paths, record: &Record) -> Result<()> {
    write(&record_file(paths, &record.container), &json(record)?)
}

/// Removes the record; `true` when there was one.
pub(super) fn forget_record(paths: &Paths, id: &str) -> Result<()> {
    remove(&record_file(paths, id))
}

/// Removes a file; one that is gone is fine.
pub(crate) fn remove(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.what(|| format!("cannot remove {}", file.display())),
    }
}

/// Takes the lock of the network until the file is dropped.
pub(super) fn lock(paths: &Paths) -> Result<File> {
    let file = directory(paths).join("lock");
    let take = || {
        make_parent(&file)?;
        let open =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&file)?;
        open.lock().map(|()| open)
    };
    take().what(|| format!("cannot lock {}", file.display()))
}

fn make_parent(file: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let Some(parent) = file.parent() else { return Ok(()) };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)
}

pub(crate) fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(value).map_err(|error| Error::new("cannot write JSON").why(error))
}

/// Replaces a file at once.
pub(super) fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    let fresh = crate::fsutil::beside(file);
    let done = stage(&fresh, bytes, false).and_then(|()| fs::rename(&fresh, file));
    if done.is_err() {
        // Its error would hide the one that matters.
        let _ = fs::remove_file(&fresh);
    }
    done.what(|| format!("cannot write {}", file.display()))
}

/// Creates a file with its content at once; `false` when there is one already. `durable`: it
/// survives a power cut.
pub(crate) fn create(file: &Path, value: &impl Serialize, durable: bool) -> Result<bool> {
    let fresh = crate::fsutil::beside(file);
    let done = stage(&fresh, &json(value)?, durable).and_then(|()| fs::hard_link(&fresh, file));
    let _ = fs::remove_file(&fresh);
    match done {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        other => other.map(|()| true).what(|| format!("cannot write {}", file.display())),
    }
}

fn stage(file: &Path, bytes: &[u8], durable: bool) -> io::Result<()> {
    make_parent(file)?;
    let mut fresh = OpenOptions::new().create_new(true).write(true).mode(0o600).open(file)?;
    fresh.write_all(bytes)?;
    if durable { fresh.sync_all() } else { Ok(()) }
}

/// 64 hexadecimal digits that nobody has had.
pub(crate) fn random_id() -> Result<String> {
    let mut bytes = [0; 32];
    let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    read.what(|| "cannot read /dev/urandom".into())?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Which boot this is.
pub(super) fn boot_id() -> Result<String> {
    Ok(ProcessId::current()?.boot_id)
}

/// Who holds an address: a file named for it.
#[derive(Debug, Serialize, Deserialize)]
struct Claim {
    container: String,
    owner: ProcessId,
}

fn claims(paths: &Paths) -> PathBuf {
    paths.ipam().join("bridge")
}

/// Takes an address of the subnet: the one that is wanted, or the lowest free one.
pub(super) fn claim(
    paths: &Paths,
    network: &Network,
    container: &str,
    wanted: Option<Ipv4Addr>,
) -> Result<Ipv4Addr> {
    let claim = Claim { container: container.to_owned(), owner: ProcessId::current()? };
    let directory = claims(paths);
    if let Some(ip) = wanted {
        return claim_wanted(&directory, network, &claim, ip);
    }
    for dead_too in [false, true] {
        let taken: std::collections::HashSet<String> = names(&directory)?.into_iter().collect();
        for ip in (2..network.subnet.size().saturating_sub(1)).map(|n| network.subnet.nth(n)) {
            let name = ip.to_string();
            if ip == network.gateway || (taken.contains(&name) && !dead_too) {
                continue;
            }
            let file = directory.join(&name);
            if create(&file, &claim, false)? || (dead_too && revive(&file, &claim)?) {
                return Ok(ip);
            }
        }
    }
    Err(Error::new(format!("no address of {} is free", network.subnet)).fix("remove containers"))
}

fn claim_wanted(
    directory: &Path,
    network: &Network,
    claim: &Claim,
    ip: Ipv4Addr,
) -> Result<Ipv4Addr> {
    let subnet = network.subnet;
    let number = u32::from(ip).wrapping_sub(u32::from(subnet.base));
    let refused = |why: String| Err(Error::new(format!("cannot give the container {ip}")).why(why));
    if !subnet.contains(ip) {
        return refused(format!("it is not in {subnet}, the subnet of the network bridge"));
    }
    if number == 0 || number == subnet.size() - 1 || ip == network.gateway {
        return refused("Address already in use: it is the network's own".into());
    }
    let file = directory.join(ip.to_string());
    if create(&file, claim, false)? || revive(&file, claim)? {
        return Ok(ip);
    }
    let owner = read_claim(&file).map(|claim| claim.container.chars().take(12).collect::<String>());
    refused(format!("Address already in use by container {}", owner.unwrap_or_default()))
}

fn read_claim(file: &Path) -> Option<Claim> {
    serde_json::from_slice(&fs::read(file).ok()?).ok()
}

/// Takes over the claim of a process that died, or of this container's own last run.
fn revive(file: &Path, claim: &Claim) -> Result<bool> {
    let dead = read_claim(file)
        .is_none_or(|old| old.container == claim.container || !old.owner.is_alive());
    if !dead {
        return Ok(false);
    }
    remove(file)?;
    create(file, claim, false)
}

/// Gives an address back, when it is this container's.
pub(super) fn release(paths: &Paths, container: &str, ip: Ipv4Addr) -> Result<()> {
    let file = claims(paths).join(ip.to_string());
    match read_claim(&file) {
        Some(claim) if claim.container == container => remove(&file),
        _ => Ok(()),
    }
}

/// Gives back the addresses of processes that died; returns them. Files that they were writing go
/// too.
pub(super) fn sweep_claims(paths: &Paths) -> Result<Vec<String>> {
    let mut swept = Vec::new();
    for directory in [directory(paths), claims(paths), paths.networks()] {
        crate::fsutil::sweep_temporaries(&directory)?;
    }
    for name in names(&claims(paths))? {
        let file = claims(paths).join(&name);
        // The temporary files of `create` begin with a dot.
        if read_claim(&file).is_none_or(|claim| !claim.owner.is_alive()) && !name.starts_with('.') {
            remove(&file)?;
            swept.push(name);
        }
    }
    Ok(swept)
}
