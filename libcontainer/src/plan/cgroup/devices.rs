//! Which devices the container may use: the rules of `linux.resources.devices`, then the devices
//! every container needs, reduced to one default and its exceptions.
//!
//! The reduction is what the v1 controller does with the same rules in the same order, with one
//! hardening: taking a part out of a wildcard rule, which v1 ignores silently, is refused.
//! The result is written to `devices.allow` and `devices.deny` on v1 ([`DeviceList::transition`])
//! and becomes a program on v2 ([`super::filter`]), so both kinds of host decide alike.

use std::fmt;
use std::path::Path;

use oci_spec::runtime::{LinuxDevice, LinuxDeviceCgroup, LinuxDeviceType};
use serde::{Serialize, Serializer};

use crate::error::{Error, Result, Step};

const FIELD: &str = "linux.resources.devices";

/// Device nodes the rules tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Kind {
    /// Character devices.
    Char,
    /// Block devices.
    Block,
}

/// Kinds of access, as a set; the bits are `BPF_DEVCG_ACC_*` of `<linux/bpf.h>`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Access(u8);

impl Access {
    const MKNOD: u8 = 1;
    const READ: u8 = 2;
    const WRITE: u8 = 4;
    /// Read, write and mknod.
    pub const ALL: Self = Self(7);

    /// Other letters are passed over, as runc does; `plan::check` warns about them.
    fn parse(text: &str) -> Option<Self> {
        let bits = text.bytes().fold(0, |bits, letter| match letter {
            b'r' => bits | Self::READ,
            b'w' => bits | Self::WRITE,
            b'm' => bits | Self::MKNOD,
            _ => bits,
        });
        (bits != 0).then_some(Self(bits))
    }

    /// The bits of `<linux/bpf.h>`.
    pub fn bits(self) -> u8 {
        self.0
    }

    fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        [(Self::READ, "r"), (Self::WRITE, "w"), (Self::MKNOD, "m")]
            .iter()
            .filter(|(bit, _)| self.0 & bit != 0)
            .try_for_each(|(_, letter)| f.write_str(letter))
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Devices for which the default does not hold, for these kinds of access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exception {
    /// Character or block.
    pub kind: Kind,
    /// Major number; `None` is every one.
    pub major: Option<u32>,
    /// Minor number; `None` is every one.
    pub minor: Option<u32>,
    /// Access the exception is about.
    pub access: Access,
}

impl Exception {
    const fn new(kind: Kind, major: Option<u32>, minor: Option<u32>, access: Access) -> Self {
        Self { kind, major, minor, access }
    }

    fn same_devices(&self, other: &Self) -> bool {
        (self.kind, self.major, self.minor) == (other.kind, other.major, other.minor)
    }

    /// Whether `self` is a wildcard that covers `other`'s devices and more.
    fn swallows(&self, other: &Self) -> bool {
        let covers = |mine: Option<u32>, theirs: Option<u32>| mine.is_none() || mine == theirs;
        self.kind == other.kind
            && !self.same_devices(other)
            && covers(self.major, other.major)
            && covers(self.minor, other.minor)
    }
}

/// As the v1 files take it: `c 1:3 rwm`.
impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Char => 'c',
            Kind::Block => 'b',
        };
        let number = |n: Option<u32>| n.map_or_else(|| "*".to_owned(), |n| n.to_string());
        write!(f, "{kind} {}:{} {}", number(self.major), number(self.minor), self.access)
    }
}

impl Serialize for Exception {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What is allowed: a default and its exceptions, in the order they were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DeviceList {
    /// Whether a device without an exception is allowed.
    pub default_allow: bool,
    /// No two are about the same devices.
    pub exceptions: Vec<Exception>,
}

/// Allowed in every container: mknod of anything (a node alone opens nothing), the default
/// devices, terminals and `/dev/net/tun`, which callers have come to rely on. The path is that of
/// the default device: a bundle with its own node there decides about it alone.
const DEFAULTS: &[(Option<&str>, Exception)] = {
    use Kind::{Block, Char};
    const fn node(major: u32, minor: u32) -> Exception {
        Exception::new(Char, Some(major), Some(minor), Access::ALL)
    }
    &[
        (None, Exception::new(Char, None, None, Access(Access::MKNOD))),
        (None, Exception::new(Block, None, None, Access(Access::MKNOD))),
        (Some("/dev/null"), node(1, 3)),
        (Some("/dev/random"), node(1, 8)),
        (Some("/dev/full"), node(1, 7)),
        (Some("/dev/tty"), node(5, 0)),
        (Some("/dev/zero"), node(1, 5)),
        (Some("/dev/urandom"), node(1, 9)),
        (None, Exception::new(Char, Some(136), None, Access::ALL)), // /dev/pts/*
        (None, node(5, 2)),                                         // /dev/ptmx
        (None, node(10, 200)),                                      // /dev/net/tun
    ]
};

impl DeviceList {
    /// Decides from the bundle's rules and its own `linux.devices`.
    ///
    /// # Errors
    /// A rule without any of the letters `rwm`, a type that is no device, a
    /// number out of range, or a rule that takes a part out of a wildcard.
    pub fn build(rules: &[LinuxDeviceCgroup], devices: &[LinuxDevice]) -> Result<Self> {
        let mut list = Self::default();
        for (index, rule) in rules.iter().enumerate() {
            list.rule(index, rule)?;
        }
        for (path, exception) in DEFAULTS {
            let own = |device: &LinuxDevice| Some(device.path().as_path()) == path.map(Path::new);
            if !devices.iter().any(own) {
                list.apply(FIELD, true, *exception)?;
            }
        }
        Ok(list)
    }

    fn rule(&mut self, index: usize, rule: &LinuxDeviceCgroup) -> Result<()> {
        let on = format!("{FIELD}[{index}]");
        let access = rule.access().as_deref().unwrap_or_default();
        let Some(access) = Access::parse(access) else {
            return Err(Error::rule(
                Step::CheckConfig,
                on,
                format!("device access {access:?} must have one or more of r, w and m"),
            ));
        };
        let kind = match rule.typ() {
            None | Some(LinuxDeviceType::A) => {
                // Numbers and access of an "all" rule mean nothing to the v1 controller.
                *self = Self { default_allow: rule.allow(), exceptions: Vec::new() };
                return Ok(());
            }
            Some(LinuxDeviceType::C) => Kind::Char,
            Some(LinuxDeviceType::B) => Kind::Block,
            Some(other) => {
                return Err(Error::rule(
                    Step::CheckConfig,
                    on,
                    format!("invalid cgroup device type {:?} (a, b and c are)", other.as_str()),
                ));
            }
        };
        let major = number(&on, "major", rule.major())?;
        let minor = number(&on, "minor", rule.minor())?;
        self.apply(&on, rule.allow(), Exception::new(kind, major, minor, access))
    }

    fn apply(&mut self, on: &str, allow: bool, asked: Exception) -> Result<()> {
        let known = self.exceptions.iter().position(|e| e.same_devices(&asked));
        if allow != self.default_allow {
            match known {
                Some(at) => self.exceptions[at].access.0 |= asked.access.0,
                None => self.exceptions.push(asked),
            }
            return Ok(());
        }
        let overlaps = |e: &&Exception| e.swallows(&asked) && e.access.0 & asked.access.0 != 0;
        if let Some(wide) = self.exceptions.iter().find(overlaps) {
            let (verb, other) = if allow { ("allow", "deny") } else { ("deny", "allow") };
            return Err(Error::rule(
                Step::CheckConfig,
                on,
                format!("cannot {verb} {asked}: it would punch a hole in the {other} rule {wide}"),
            )
            .hint("the kernel keeps no holes in wildcard rules: list the devices one by one"));
        }
        if let Some(at) = known {
            let left = self.exceptions[at].access.without(asked.access);
            if left.0 == 0 {
                self.exceptions.remove(at);
            } else {
                self.exceptions[at].access = left;
            }
        }
        Ok(())
    }

    /// Whether every device is allowed.
    pub fn is_allow_all(&self) -> bool {
        self.default_allow && self.exceptions.is_empty()
    }

    /// Reads `devices.list` of a v1 cgroup. One that allows by default shows no exceptions.
    ///
    /// # Errors
    /// A line that is no rule.
    pub fn parse(text: &str) -> Result<Self> {
        let mut list = Self::default();
        for line in text.lines() {
            if line.starts_with('a') {
                return Ok(Self { default_allow: true, exceptions: Vec::new() });
            }
            let exception = parse_line(line).ok_or_else(|| {
                Error::rule(Step::Cgroup, "devices.list", format!("cannot read line {line:?}"))
            })?;
            list.exceptions.push(exception);
        }
        Ok(list)
    }

    /// The fewest writes that lead from `self`, what a v1 cgroup says now, to `target`: pairs of
    /// file and value. A cgroup that denies by default keeps working while it changes.
    pub fn transition(&self, target: &Self) -> Vec<(&'static str, String)> {
        const FILES: [&str; 2] = ["devices.deny", "devices.allow"];
        let mut writes = Vec::new();
        // Deny rules of an allowing cgroup cannot be read back: start anew.
        let anew = self.default_allow || target.default_allow;
        if anew {
            writes.push((FILES[usize::from(target.default_allow)], "a".to_owned()));
        }
        let known = if anew { &[][..] } else { &self.exceptions[..] };
        let mut change = |from: &[Exception], to: &[Exception], file: &'static str| {
            for exception in from {
                let kept = to.iter().find(|e| e.same_devices(exception));
                let gone = kept.map_or(exception.access, |e| exception.access.without(e.access));
                if gone.0 != 0 {
                    writes.push((file, Exception { access: gone, ..*exception }.to_string()));
                }
            }
        };
        change(known, &target.exceptions, FILES[usize::from(target.default_allow)]);
        change(&target.exceptions, known, FILES[usize::from(!target.default_allow)]);
        writes
    }
}

/// -1 and an absent number both mean every one.
fn number(on: &str, name: &str, value: Option<i64>) -> Result<Option<u32>> {
    match value {
        None | Some(-1) => Ok(None),
        Some(value) => u32::try_from(value).map(Some).map_err(|_| {
            Error::rule(Step::CheckConfig, on, format!("{name} {value} is no device number"))
        }),
    }
}

fn parse_line(line: &str) -> Option<Exception> {
    let mut parts = line.split([' ', ':']);
    let kind = match parts.next()? {
        "c" => Kind::Char,
        "b" => Kind::Block,
        _ => return None,
    };
    let mut number = || match parts.next()? {
        "*" => Some(None),
        text => text.parse().ok().map(Some),
    };
    let (major, minor) = (number()?, number()?);
    Some(Exception::new(kind, major, minor, Access::parse(parts.next()?)?))
}

#[cfg(test)]
#[path = "devices_tests.rs"]
mod tests;
