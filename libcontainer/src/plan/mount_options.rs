//! The table of mount(8)-style options: one row a word, what it does, and nothing else.
//!
//! `features.mountOptions` lists this table. A word that stands in no row is data for the file
//! system. Facts: mount(8), mount_setattr(2), runtime-spec `config.md`, "Linux mount options".

use serde::Serialize;

use super::mounts::mappings::asks;

/// `MOUNT_ATTR_*` of mount_setattr(2) and fsmount(2): properties of one mount.
pub mod attr {
    /// Read-only.
    pub const RDONLY: u64 = 0x1;
    /// Set-user-id bits have no effect.
    pub const NOSUID: u64 = 0x2;
    /// Device nodes cannot be opened.
    pub const NODEV: u64 = 0x4;
    /// Programs cannot be executed.
    pub const NOEXEC: u64 = 0x8;
    /// Mask of the access time modes; mode 0 is relatime.
    pub const ATIME: u64 = 0x70;
    /// Access time mode: never updated.
    pub const NOATIME: u64 = 0x10;
    /// Access time mode: always updated.
    pub const STRICTATIME: u64 = 0x20;
    /// Access times of directories are not updated.
    pub const NODIRATIME: u64 = 0x80;
    /// Ids are mapped by a user namespace (Linux 5.12).
    pub const IDMAP: u64 = 0x0010_0000;
    /// Symbolic links are not followed (Linux 5.14).
    pub const NOSYMFOLLOW: u64 = 0x0020_0000;
}

/// `MS_*` of mount(2), as `u64` on every architecture.
pub mod ms {
    /// Read-only.
    pub const RDONLY: u64 = 1;
    /// No set-user-id.
    pub const NOSUID: u64 = 1 << 1;
    /// No devices.
    pub const NODEV: u64 = 1 << 2;
    /// No execution.
    pub const NOEXEC: u64 = 1 << 3;
    /// Writes are synchronous.
    pub const SYNCHRONOUS: u64 = 1 << 4;
    /// Change an existing mount.
    pub const REMOUNT: u64 = 1 << 5;
    /// Mandatory locks.
    pub const MANDLOCK: u64 = 1 << 6;
    /// Directory changes are synchronous.
    pub const DIRSYNC: u64 = 1 << 7;
    /// Symbolic links are not followed.
    pub const NOSYMFOLLOW: u64 = 1 << 8;
    /// No access times.
    pub const NOATIME: u64 = 1 << 10;
    /// No access times of directories.
    pub const NODIRATIME: u64 = 1 << 11;
    /// Bind mount.
    pub const BIND: u64 = 1 << 12;
    /// With all submounts.
    pub const REC: u64 = 1 << 14;
    /// No messages in the kernel log.
    pub const SILENT: u64 = 1 << 15;
    /// Relative access times.
    pub const RELATIME: u64 = 1 << 21;
    /// Inode versions.
    pub const I_VERSION: u64 = 1 << 23;
    /// Strict access times.
    pub const STRICTATIME: u64 = 1 << 24;
    /// Time stamps are written lazily.
    pub const LAZYTIME: u64 = 1 << 25;
    /// The words that choose an access time mode.
    pub const ATIME_MODES: u64 = NOATIME | RELATIME | STRICTATIME;
}

/// How mount events travel to and from other mount namespaces (mount_namespaces(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Propagation {
    /// Neither in nor out.
    Private,
    /// In and out.
    Shared,
    /// In only.
    Slave,
    /// Neither, and it cannot be bind mounted.
    Unbindable,
}

impl Propagation {
    /// The `MS_*` bit, which mount_setattr(2) takes too.
    pub const fn bits(self) -> u64 {
        match self {
            Propagation::Unbindable => 1 << 17,
            Propagation::Private => 1 << 18,
            Propagation::Slave => 1 << 19,
            Propagation::Shared => 1 << 20,
        }
    }
}

/// A propagation type for one mount or for a whole tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Propagate {
    /// The type.
    pub kind: Propagation,
    /// Submounts too.
    pub recursive: bool,
}

/// What one option does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Accepted, changes nothing.
    Nothing,
    /// Sets flags of [`ms`].
    Set(u64),
    /// Clears flags of [`ms`].
    Clear(u64),
    /// Sets a flag of [`attr`] on the mount and all below it.
    SetAll(u64),
    /// Clears a flag of [`attr`] on the mount and all below it.
    ClearAll(u64),
    /// Chooses the access time mode of the mount and all below it.
    AtimeAll(u64),
    /// Sets the propagation type.
    Propagate(Propagation, bool),
    /// Copies what the new tmpfs hides into it.
    CopyUp,
    /// Maps ids, on this mount only or on the whole tree.
    IdMap(bool),
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct MountOption {
    /// The word.
    pub name: &'static str,
    /// What it does.
    pub effect: Effect,
}

const fn row(name: &'static str, effect: Effect) -> MountOption {
    MountOption { name, effect }
}

use Effect::{AtimeAll, Clear, ClearAll, CopyUp, IdMap, Nothing, Propagate as P, Set, SetAll};

/// Every option this runtime knows, in alphabetical order (pinned by a test).
pub const OPTIONS: &[MountOption] = &[
    row("async", Clear(ms::SYNCHRONOUS)),
    row("atime", Clear(ms::NOATIME)),
    row("bind", Set(ms::BIND)),
    row("defaults", Nothing),
    row("dev", Clear(ms::NODEV)),
    row("diratime", Clear(ms::NODIRATIME)),
    row("dirsync", Set(ms::DIRSYNC)),
    row("exec", Clear(ms::NOEXEC)),
    row("idmap", IdMap(false)),
    row("iversion", Set(ms::I_VERSION)),
    row("lazytime", Set(ms::LAZYTIME)),
    row("loud", Clear(ms::SILENT)),
    row("mand", Set(ms::MANDLOCK)),
    row("noatime", Set(ms::NOATIME)),
    row("nodev", Set(ms::NODEV)),
    row("nodiratime", Set(ms::NODIRATIME)),
    row("noexec", Set(ms::NOEXEC)),
    row("noiversion", Clear(ms::I_VERSION)),
    row("nolazytime", Clear(ms::LAZYTIME)),
    row("nomand", Clear(ms::MANDLOCK)),
    row("norelatime", Clear(ms::RELATIME)),
    row("nostrictatime", Clear(ms::STRICTATIME)),
    row("nosuid", Set(ms::NOSUID)),
    row("nosymfollow", Set(ms::NOSYMFOLLOW)),
    row("private", P(Propagation::Private, false)),
    row("ratime", AtimeAll(0)),
    row("rbind", Set(ms::BIND | ms::REC)),
    row("rdev", ClearAll(attr::NODEV)),
    row("rdiratime", ClearAll(attr::NODIRATIME)),
    row("relatime", Set(ms::RELATIME)),
    row("remount", Set(ms::REMOUNT)),
    row("rexec", ClearAll(attr::NOEXEC)),
    row("ridmap", IdMap(true)),
    row("rnoatime", AtimeAll(attr::NOATIME)),
    row("rnodev", SetAll(attr::NODEV)),
    row("rnodiratime", SetAll(attr::NODIRATIME)),
    row("rnoexec", SetAll(attr::NOEXEC)),
    row("rnorelatime", AtimeAll(0)),
    row("rnostrictatime", AtimeAll(0)),
    row("rnosuid", SetAll(attr::NOSUID)),
    row("rnosymfollow", SetAll(attr::NOSYMFOLLOW)),
    row("ro", Set(ms::RDONLY)),
    row("rprivate", P(Propagation::Private, true)),
    row("rrelatime", AtimeAll(0)),
    row("rro", SetAll(attr::RDONLY)),
    row("rrw", ClearAll(attr::RDONLY)),
    row("rshared", P(Propagation::Shared, true)),
    row("rslave", P(Propagation::Slave, true)),
    row("rstrictatime", AtimeAll(attr::STRICTATIME)),
    row("rsuid", ClearAll(attr::NOSUID)),
    row("rsymfollow", ClearAll(attr::NOSYMFOLLOW)),
    row("runbindable", P(Propagation::Unbindable, true)),
    row("rw", Clear(ms::RDONLY)),
    row("shared", P(Propagation::Shared, false)),
    row("silent", Set(ms::SILENT)),
    row("slave", P(Propagation::Slave, false)),
    row("strictatime", Set(ms::STRICTATIME)),
    row("suid", Clear(ms::NOSUID)),
    row("symfollow", Clear(ms::NOSYMFOLLOW)),
    row("sync", Set(ms::SYNCHRONOUS)),
    row("tmpcopyup", CopyUp),
    row("unbindable", P(Propagation::Unbindable, false)),
];

/// The effect of a word, or `None` when it is data for the file system.
pub fn lookup(word: &str) -> Option<Effect> {
    OPTIONS.binary_search_by(|row| row.name.cmp(word)).ok().map(|at| OPTIONS[at].effect)
}

/// Looks up a propagation word, as `linux.rootfsPropagation` has it.
pub fn propagation(word: &str) -> Option<Propagate> {
    match lookup(word)? {
        Effect::Propagate(kind, recursive) => Some(Propagate { kind, recursive }),
        _ => None,
    }
}

/// Bits of [`attr`] to set and to clear; what is in neither stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Attrs {
    /// Bits to set.
    pub set: u64,
    /// Bits to clear first.
    pub clear: u64,
}

/// A list of options, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// [`ms`] flags asked for.
    pub flags: u64,
    /// [`ms`] flags asked *not* to be set.
    pub cleared: u64,
    /// What holds for the whole tree.
    pub recursive: Attrs,
    /// Propagation types, applied in this order.
    pub propagation: Vec<Propagate>,
    /// `tmpcopyup` was given.
    pub copy_up: bool,
    /// `idmap` (false) or `ridmap` (true) was given.
    pub id_map: Option<bool>,
    /// Everything else, one entry per comma-separated word.
    pub data: Vec<String>,
}

impl Parsed {
    /// Takes a list of options apart; the later of two contradicting words wins.
    pub fn new<S: AsRef<str>>(options: &[S]) -> Self {
        let mut parsed = Self::default();
        for word in options {
            let word = word.as_ref();
            match lookup(word) {
                Some(effect) => parsed.apply(effect),
                // With mappings of its own, which are no data: `idmap=uids=…;gids=…`.
                None if asks(word).is_some() => parsed.id_map = asks(word),
                None => parsed.data.extend(split_data(word)),
            }
        }
        parsed
    }

    fn apply(&mut self, effect: Effect) {
        match effect {
            Nothing => {}
            Set(bits) => {
                self.flags |= bits;
                self.cleared &= !bits;
            }
            Clear(bits) => {
                self.flags &= !bits;
                self.cleared |= bits;
            }
            SetAll(bits) => {
                self.recursive.set |= bits;
                self.recursive.clear &= !bits;
            }
            ClearAll(bits) => {
                self.recursive.set &= !bits;
                self.recursive.clear |= bits;
            }
            AtimeAll(mode) => {
                // mount_setattr(2): a new mode must clear the whole mask of modes.
                self.recursive.set = self.recursive.set & !attr::ATIME | mode;
                self.recursive.clear |= attr::ATIME;
            }
            Effect::Propagate(kind, recursive) => {
                self.propagation.push(Propagate { kind, recursive });
            }
            CopyUp => self.copy_up = true,
            IdMap(recursive) => self.id_map = Some(recursive),
        }
    }

    /// The flags of a new mount, as [`attr`] bits.
    pub fn attrs(&self) -> u64 {
        attrs_of(self.flags)
    }
}

/// One entry of `options` may hold several comma-separated words; `\,` is overlay's escape.
fn split_data(word: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut escaped = false;
    for c in word.chars() {
        if c == ',' && !escaped {
            words.push(String::new());
        } else if let Some(last) = words.last_mut() {
            last.push(c);
        }
        escaped = c == '\\' && !escaped;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Turns [`ms`] flags into [`attr`] bits, as mount(2) does: strictatime beats noatime beats the
/// default, relatime.
pub fn attrs_of(flags: u64) -> u64 {
    const SAME: [(u64, u64); 6] = [
        (ms::RDONLY, attr::RDONLY),
        (ms::NOSUID, attr::NOSUID),
        (ms::NODEV, attr::NODEV),
        (ms::NOEXEC, attr::NOEXEC),
        (ms::NODIRATIME, attr::NODIRATIME),
        (ms::NOSYMFOLLOW, attr::NOSYMFOLLOW),
    ];
    let atime = match flags {
        f if f & ms::STRICTATIME != 0 => attr::STRICTATIME,
        f if f & ms::NOATIME != 0 => attr::NOATIME,
        _ => 0,
    };
    SAME.iter().filter(|(from, _)| flags & from != 0).fold(atime, |bits, (_, to)| bits | to)
}

#[cfg(test)]
#[path = "mount_options_tests.rs"]
mod tests;
