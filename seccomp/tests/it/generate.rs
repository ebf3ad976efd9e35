//! Profiles and calls from a seed, so that a failure can be run again.

use corten_seccomp::{ActionName, Arg, Operator, Profile, Syscalls};

/// A generator of numbers (xorshift64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// Few values, so that rules meet each other and the calls.
pub(crate) const VALUES: [u64; 12] = [
    0,
    1,
    2,
    7,
    8,
    0x7fff_ffff,
    0xffff_ffff,
    0x1_0000_0000,
    0x1_0000_0007,
    0x8000_0000_0000_0000,
    0xffff_ffff_0000_0000,
    u64::MAX,
];

/// Names that are on all architectures, on some, and multiplexed.
pub(crate) const NAMES: [&str; 24] = [
    "read",
    "write",
    "openat",
    "clone",
    "socket",
    "accept4",
    "sendto",
    "shmget",
    "semtimedop",
    "personality",
    "ptrace",
    "kill",
    "mmap2",
    "stat64",
    "arch_prctl",
    "ipc",
    "socketcall",
    "futex",
    "statx",
    "clone3",
    "cacheflush",
    "bind",
    "setns",
    "futex_time64",
];

const MULTIPLEXED: [&str; 8] =
    ["socket", "accept4", "sendto", "shmget", "semtimedop", "ipc", "socketcall", "bind"];

const ACTIONS: [(ActionName, Option<u32>); 8] = [
    (ActionName::Allow, None),
    (ActionName::Errno, None),
    (ActionName::Errno, Some(38)),
    (ActionName::KillProcess, None),
    (ActionName::Kill, None),
    (ActionName::Log, None),
    (ActionName::Trace, Some(7)),
    (ActionName::Trap, None),
];

/// How rules may meet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Every rule of a call has the same action; conditions are of every kind.
    OneAction,
    /// Actions differ; a rule has one condition, and none on a call that may be
    /// multiplexed. Not "less", for which 2.5 confuses two actions, nor "not equal", which it
    /// cuts into halves that win separately.
    OneCondition,
}

/// A profile of up to 20 rules for these architectures.
pub(crate) fn profile(dice: &mut Dice, arches: &[&str], style: Style) -> Profile {
    let default = *dice.pick(&ACTIONS);
    let fates = NAMES.map(|_| *dice.pick(&ACTIONS));
    let syscalls = (0..1 + dice.below(20)).map(|_| {
        let name = dice.below(NAMES.len());
        let action = match style {
            Style::OneAction => fates[name],
            Style::OneCondition => *dice.pick(&ACTIONS),
        };
        let args = match style {
            Style::OneAction => (0..dice.below(4)).map(|_| arg(dice, 7)).collect(),
            Style::OneCondition if MULTIPLEXED.contains(&NAMES[name]) => vec![],
            Style::OneCondition => vec![arg(dice, 3)],
        };
        let names = vec![NAMES[name].to_owned()];
        Syscalls { names, action: action.0, errno_ret: action.1, args }
    });
    Profile {
        syscalls: syscalls.collect(),
        default_action: default.0,
        default_errno_ret: default.1,
        architectures: arches.iter().map(|arch| format!("SCMP_ARCH_{arch}")).collect(),
        ..Profile::default()
    }
}

fn arg(dice: &mut Dice, kinds: usize) -> Arg {
    let kinds = [
        Operator::Eq,
        Operator::Gt,
        Operator::Ge,
        Operator::Lt,
        Operator::Le,
        Operator::Ne,
        Operator::MaskedEq,
    ]
    .split_at(kinds)
    .0;
    Arg {
        index: dice.below(3),
        value: *dice.pick(&VALUES),
        value_two: *dice.pick(&VALUES),
        op: *dice.pick(kinds),
    }
}

/// Arguments that lie on or beside these values; some of them anywhere.
pub(crate) fn args(dice: &mut Dice, values: &[u64]) -> [u64; 6] {
    let near = [0, 1, u64::MAX, 1 << 32, u64::MAX << 32];
    [(); 6].map(|()| match dice.below(8) {
        0 => dice.next(),
        1 => dice.next() & 0xffff_ffff,
        _ => dice.pick(values).wrapping_add(*dice.pick(&near)),
    })
}
