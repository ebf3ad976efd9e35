//! Address translation and filtering: one nftables table of our own, with maps of what is
//! published.
//!
//! The table is built by `nft` once per boot, and again when somebody flushed it. A container
//! only adds and removes elements of the maps, by netlink: starting `nft` costs 15 ms each time.
//!
//! Traffic of the host's loopback is not translated: the kernel would need `route_localnet`,
//! which lets containers and neighbours send to 127.0.0.1 (CVE-2020-8558); [`super::forward`]
//! carries it. What comes from outside reaches published ports and nothing else, also when it is
//! routed to a container's address directly.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::process::{Command, Output, Stdio};

use libcontainer::sys::netlink::{Message, NLM_F_CREATE, Netfilter};
use serde::{Deserialize, Serialize};

use super::network::Network;
use super::publish::Proto;
use crate::error::{Error, Result, What as _};

/// `NFPROTO_INET`.
const INET: u8 = 1;
// Kinds of messages: `enum nf_tables_msg_types` of `linux/netfilter/nf_tables.h`.
const GET_TABLE: u8 = 1;
const ADD: u8 = 12;
const DELETE: u8 = 14;
/// Elements in one batch: it has to fit into a socket's send buffer.
const BATCH: usize = 256;
/// Room of one message in a batch (`netlink::REQUEST`).
const MESSAGE: usize = 512;

/// One published port: an element of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rule {
    pub(super) proto: Proto,
    /// The host's address, `None` for every one.
    pub(super) host: Option<Ipv4Addr>,
    pub(super) host_port: u16,
    pub(super) to: Ipv4Addr,
    pub(super) to_port: u16,
}

impl Rule {
    fn map(self) -> &'static str {
        if self.host.is_some() { "published" } else { "published_everywhere" }
    }

    /// Each part of a concatenation fills whole words, numbers are in network order.
    fn key(self) -> Vec<u8> {
        let mut key = Vec::with_capacity(12);
        key.extend(self.host.iter().flat_map(Ipv4Addr::octets));
        key.extend([self.proto.number(), 0, 0, 0]);
        let [high, low] = self.host_port.to_be_bytes();
        key.extend([high, low, 0, 0]);
        key
    }

    fn value(self) -> [u8; 8] {
        let ([a, b, c, d], [high, low]) = (self.to.octets(), self.to_port.to_be_bytes());
        [a, b, c, d, high, low, 0, 0]
    }

    fn message(self, table: &str, kind: u8) -> io::Result<Message> {
        let flags = if kind == ADD { NLM_F_CREATE } else { 0 };
        // NFTA_SET_ELEM_LIST_TABLE, _SET, _ELEMENTS; NFTA_LIST_ELEM; NFTA_SET_ELEM_KEY, _DATA;
        // NFTA_DATA_VALUE.
        let mut message = Netfilter::nftables(kind, flags, INET)?;
        message.text(1, table)?.text(2, self.map())?;
        message.nested(3, |list| {
            list.nested(1, |element| {
                element.nested(1, |key| key.attribute(1, &self.key()).map(drop))?;
                if kind == ADD {
                    element.nested(2, |data| data.attribute(1, &self.value()).map(drop))?;
                }
                Ok(())
            })
            .map(drop)
        })?;
        Ok(message)
    }
}

/// Adds elements; the same ones again are fine. `false`: there is no table.
pub(super) fn add(network: &Network, rules: &[Rule]) -> Result<bool> {
    let words = || "cannot publish ports".to_owned();
    match send(&network.table, ADD, rules) {
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        Err(e) if e.raw_os_error() == Some(libc::EEXIST) => Err(e).what(words).map_err(|error| {
            error.fix("another container holds one of them, or died: pier check --repair")
        }),
        other => other.what(words).map(|()| true),
    }
}

/// Removes elements; those that are gone are fine.
pub(super) fn remove(network: &Network, rules: &[Rule]) -> Result<()> {
    let gone = |e: &io::Error| e.raw_os_error() == Some(libc::ENOENT);
    match send(&network.table, DELETE, rules) {
        Err(e) if gone(&e) => rules.iter().try_for_each(|rule| {
            match send(&network.table, DELETE, std::slice::from_ref(rule)) {
                Err(e) if gone(&e) => Ok(()),
                other => other,
            }
        }),
        other => other,
    }
    .what(|| "cannot withdraw published ports".into())
}

fn send(table: &str, kind: u8, rules: &[Rule]) -> io::Result<()> {
    if rules.is_empty() {
        return Ok(());
    }
    let netfilter = Netfilter::open()?;
    for some in rules.chunks(BATCH) {
        let messages: io::Result<Vec<_>> =
            some.iter().map(|rule| rule.message(table, kind)).collect();
        let mut messages = messages?;
        let mut buffer = vec![0; 64 + messages.len() * MESSAGE];
        netfilter.batch(&mut messages, &mut buffer)?;
    }
    Ok(())
}

/// Whether the table is there.
pub(crate) fn exists(network: &Network) -> Result<bool> {
    let ask = || {
        let mut get = Netfilter::nftables(GET_TABLE, 0, INET)?;
        get.text(1, &network.table)?;
        Netfilter::open()?.request(&mut get)
    };
    match ask() {
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        other => other.map(|()| true).what(|| "cannot ask the kernel for nftables".into()).map_err(
            |error| {
                error.fix("the kernel needs nf_tables, nft_nat and nft_fib (modprobe nf_tables)")
            },
        ),
    }
}

/// Builds the table, in one transaction. `guard`: the host forwarded nothing until now.
pub(super) fn build(network: &Network, guard: bool) -> Result<()> {
    let script = script(network, guard);
    let mut nft = Command::new("nft");
    let mut nft = nft
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .what(|| "cannot run nft, which builds the network's rules".into())
        .map_err(|error| {
            error.fix("install the package nftables, or use --network host or none")
        })?;
    let fed = nft.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(script.as_bytes()));
    let output = nft.wait_with_output().and_then(|output| fed.map(|()| output));
    let output = output.what(|| "cannot build the network's rules".into())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::new("cannot build the network's rules")
        .why(format!("nft: {}", said.lines().next().unwrap_or_default()))
        .fix("the kernel needs nf_tables with nft_nat, nft_masq and nft_fib; see pier check"))
}

fn script(network: &Network, guard: bool) -> String {
    let Network { table, bridge, subnet, .. } = network;
    let mut text = format!(
        r#"add table inet {table}
delete table inet {table}
table inet {table} {{
  map published {{ type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }}
  map published_everywhere {{ type inet_proto . inet_service : ipv4_addr . inet_service; }}
  chain publish {{
    meta l4proto {{ tcp, udp, sctp }} dnat ip to ip daddr . meta l4proto . th dport map @published
    meta l4proto {{ tcp, udp, sctp }} dnat ip to meta l4proto . th dport map @published_everywhere
  }}
  chain prerouting {{
    type nat hook prerouting priority dstnat; policy accept;
    ip daddr != 127.0.0.0/8 fib daddr type local jump publish
  }}
  chain output {{
    type nat hook output priority -100; policy accept;
    ip daddr != 127.0.0.0/8 fib daddr type local jump publish
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {subnet} oifname != "{bridge}" masquerade
    ip saddr {subnet} oifname "{bridge}" ct status dnat masquerade
  }}
  chain forward {{
    type filter hook forward priority filter; policy accept;
    oifname "{bridge}" ct state established,related accept
    oifname "{bridge}" ct status dnat accept
    oifname "{bridge}" iifname "{bridge}" accept
    oifname "{bridge}" drop
"#
    );
    if guard {
        // We switched forwarding on: what the host did not forward before stays where it is.
        let _ = writeln!(text, "    iifname != \"{bridge}\" oifname != \"{bridge}\" drop");
    }
    text.push_str("  }\n}\n");
    text
}

/// A chain of iptables that stops what goes through the bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dropping {
    /// The program that speaks to it.
    pub(crate) program: &'static str,
}

/// Looks for iptables' FORWARD chain with policy DROP, which Docker leaves behind: a packet needs
/// the consent of every table.
pub(crate) fn dropping() -> Option<Dropping> {
    let legacy =
        std::fs::read_to_string("/proc/thread-self/net/ip_tables_names").unwrap_or_default();
    if legacy.lines().any(|table| table == "filter") {
        let listed = run("iptables-legacy", &["-w", "-S", "FORWARD"]);
        if listed.is_some_and(|text| text.contains("-P FORWARD DROP")) {
            return Some(Dropping { program: "iptables-legacy" });
        }
    }
    let listed = run("nft", &["list", "chain", "ip", "filter", "FORWARD"]);
    listed.filter(|text| text.contains("policy drop"))?;
    Some(Dropping { program: "iptables-nft" })
}

fn run(program: &str, args: &[&str]) -> Option<String> {
    let Output { status, stdout, .. } = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    status.success().then(|| String::from_utf8_lossy(&stdout).into_owned())
}

impl Dropping {
    /// Rules that let the bridge through, before all others. Our own table still decides what
    /// reaches containers.
    fn rules(bridge: &str) -> [[&str; 8]; 2] {
        let rule = |side| [side, bridge, "-m", "comment", "--comment", "pier", "-j", "ACCEPT"];
        [rule("-i"), rule("-o")]
    }

    fn call(self, verb: &str, rule: &[&str]) -> bool {
        let args = [&["-w", verb, "FORWARD"], rule].concat();
        run(self.program, &args).is_some()
    }

    /// Whether the bridge has its rules.
    pub(crate) fn admits(self, bridge: &str) -> bool {
        Self::rules(bridge).iter().all(|rule| self.call("-C", rule))
    }

    /// Adds the rules that are missing; `false` when it could not.
    pub(crate) fn admit(self, bridge: &str) -> bool {
        let mut rules = Self::rules(bridge).into_iter();
        rules.all(|rule| self.call("-C", &rule) || self.call("-I", &rule))
    }

    /// The commands that [`Self::admit`] runs, for a person.
    pub(crate) fn command(self, bridge: &str) -> String {
        let program = self.program;
        let rule = |side| format!("{program} -I FORWARD {side} {bridge} -j ACCEPT");
        format!("{} && {}", rule("-i"), rule("-o"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_is_in_network_order_and_fills_words() {
        let (host, to) = (Some(Ipv4Addr::new(10, 0, 0, 1)), Ipv4Addr::new(10, 33, 0, 2));
        let rule = Rule { proto: Proto::Tcp, host, host_port: 80, to, to_port: 8080 };
        assert_eq!(rule.key(), [10, 0, 0, 1, 6, 0, 0, 0, 0, 80, 0, 0]);
        assert_eq!(rule.value(), [10, 33, 0, 2, 0x1f, 0x90, 0, 0]);
        assert_eq!(Rule { host: None, ..rule }.key(), [6, 0, 0, 0, 0, 80, 0, 0]);
    }
}
