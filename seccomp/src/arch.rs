//! Architectures: their names, how a filter recognises them, and where their arguments lie.
//!
//! An architecture here is a calling convention: x86_64 and x32 share one audit number and are
//! told apart by bit 30 of the call's number.

use crate::table::{self, Column, numbers};

/// Bit 30 of a call's number marks x32 (`__X32_SYSCALL_BIT`).
pub const X32_BIT: u32 = 0x4000_0000;

/// A calling convention that a profile may name.
#[derive(Debug, PartialEq, Eq)]
pub struct Arch {
    /// `SCMP_ARCH_*`.
    pub name: &'static str,
    /// `AUDIT_ARCH_*` (linux/audit.h), as `seccomp_data.arch` has it.
    pub audit: u32,
    /// Arguments are compared as 64 bits; otherwise only their low halves are.
    pub wide: bool,
    /// Added to a number of the table.
    pub base: u32,
    /// `socketcall` and `ipc` carry the calls of sockets and of System V IPC.
    pub multiplexed: bool,
    pub(crate) column: &'static Column,
}

/// `__AUDIT_ARCH_LE`: little-endian.
const LITTLE: u32 = 0x4000_0000;

macro_rules! arch {
    ($name:literal, $audit:literal, $wide:literal, $base:expr, $mux:literal, $column:ident) => {
        Arch {
            name: concat!("SCMP_ARCH_", $name),
            audit: $audit,
            wide: $wide,
            base: $base,
            multiplexed: $mux,
            column: &numbers::$column,
        }
    };
}

/// Every architecture of the specification that Linux has, in its order.
pub static ARCHES: [Arch; 23] = [
    arch!("X86", 0x4000_0003, false, 0, true, X86),
    arch!("X86_64", 0xc000_003e, true, 0, false, X86_64),
    arch!("X32", 0xc000_003e, false, X32_BIT, false, X32),
    arch!("ARM", 0x4000_0028, false, 0, false, ARM),
    arch!("AARCH64", 0xc000_00b7, true, 0, false, AARCH64),
    arch!("MIPS", 0x0000_0008, false, 4000, true, MIPS),
    arch!("MIPS64", 0x8000_0008, true, 5000, false, MIPS64),
    arch!("MIPS64N32", 0xa000_0008, false, 6000, false, MIPS64N32),
    arch!("MIPSEL", 0x4000_0008, false, 4000, true, MIPS),
    arch!("MIPSEL64", 0xc000_0008, true, 5000, false, MIPS64),
    arch!("MIPSEL64N32", 0xe000_0008, false, 6000, false, MIPS64N32),
    arch!("PPC", 0x0000_0014, false, 0, true, PPC),
    arch!("PPC64", 0x8000_0015, true, 0, true, PPC64),
    arch!("PPC64LE", 0xc000_0015, true, 0, true, PPC64),
    arch!("S390", 0x0000_0016, false, 0, true, S390),
    arch!("S390X", 0x8000_0016, true, 0, true, S390X),
    arch!("PARISC", 0x0000_000f, false, 0, false, PARISC),
    arch!("PARISC64", 0x8000_000f, true, 0, false, PARISC64),
    arch!("RISCV64", 0xc000_00f3, true, 0, false, RISCV64),
    arch!("LOONGARCH64", 0xc000_0102, true, 0, false, LOONGARCH64),
    arch!("M68K", 0x0000_0004, false, 0, true, M68K),
    arch!("SH", 0x4000_002a, false, 0, true, SH),
    arch!("SHEB", 0x0000_002a, false, 0, true, SH),
];

impl Arch {
    /// The architecture of that `SCMP_ARCH_*` name.
    pub fn named(name: &str) -> Option<&'static Arch> {
        ARCHES.iter().find(|arch| arch.name == name)
    }

    /// The one that this program was built for; `None` on one that the specification lacks.
    pub fn native() -> Option<&'static Arch> {
        let little = cfg!(target_endian = "little");
        let name = match (std::env::consts::ARCH, little, cfg!(target_pointer_width = "32")) {
            ("x86_64", _, false) => "SCMP_ARCH_X86_64",
            ("x86_64", _, true) => "SCMP_ARCH_X32",
            ("x86", ..) => "SCMP_ARCH_X86",
            ("arm", ..) => "SCMP_ARCH_ARM",
            ("aarch64", ..) => "SCMP_ARCH_AARCH64",
            ("riscv64", ..) => "SCMP_ARCH_RISCV64",
            ("loongarch64", ..) => "SCMP_ARCH_LOONGARCH64",
            ("powerpc", ..) => "SCMP_ARCH_PPC",
            ("powerpc64", false, _) => "SCMP_ARCH_PPC64",
            ("powerpc64", true, _) => "SCMP_ARCH_PPC64LE",
            ("s390x", ..) => "SCMP_ARCH_S390X",
            ("mips", true, _) => "SCMP_ARCH_MIPSEL",
            ("mips", false, _) => "SCMP_ARCH_MIPS",
            ("mips64", true, false) => "SCMP_ARCH_MIPSEL64",
            ("mips64", false, false) => "SCMP_ARCH_MIPS64",
            ("m68k", ..) => "SCMP_ARCH_M68K",
            _ => return None,
        };
        Self::named(name)
    }

    /// The number of a call, base included.
    pub fn number(&self, name: &str) -> Option<u32> {
        table::row(name).and_then(|row| self.number_of_row(row))
    }

    /// The name of a number, base included.
    pub fn call(&self, nr: u32) -> Option<&'static str> {
        table::name(self.column, nr.checked_sub(self.base)?)
    }

    pub(crate) fn number_of_row(&self, row: usize) -> Option<u32> {
        table::number(self.column, row).map(|nr| nr + self.base)
    }

    /// Where `seccomp_data` keeps the low and the high half of an argument, in bytes.
    pub(crate) fn halves(&self, index: u8) -> (u32, u32) {
        let at = 16 + 8 * u32::from(index);
        if self.audit & LITTLE != 0 { (at, at + 4) } else { (at + 4, at) }
    }

    /// Arm has calls of its own above all others (`__ARM_NR_BASE`).
    pub(crate) fn has_private_calls(&self) -> bool {
        self.audit == 0x4000_0028
    }

    /// s390's `setup`, number 0, stands for every number that the kernel does not know.
    pub(crate) fn has_setup_trick(&self) -> bool {
        self.audit & 0xff == 0x16
    }

    /// How engines and libseccomp call it: Go's words, with libseccomp's for what Go has not.
    pub fn is_called(&self, word: &str) -> bool {
        let own = self.name.trim_start_matches("SCMP_ARCH_");
        let others: &[&str] = match own {
            "X86" => &["386", "i386"],
            "X86_64" => &["amd64"],
            "AARCH64" => &["arm64"],
            "MIPSEL" => &["mipsle"],
            "MIPSEL64" => &["mips64le"],
            "MIPS64N32" => &["mips64p32"],
            "MIPSEL64N32" => &["mips64p32le", "mips3l64n32"],
            "LOONGARCH64" => &["loong64"],
            _ => &[],
        };
        word == self.name || own.eq_ignore_ascii_case(word) || others.contains(&word)
    }

    /// Whether this number is `socketcall` or `ipc`.
    pub(crate) fn is_multiplexer(&self, nr: u32) -> bool {
        self.multiplexed && [SOCKETCALL, IPC].contains(&nr.wrapping_sub(self.base))
    }

    /// The call that `socketcall` or `ipc` carries with this first argument.
    pub(crate) fn carried(&self, nr: u32, first: u64) -> Option<&'static str> {
        let call = nr.checked_sub(self.base).filter(|_| self.multiplexed)?;
        // ipc has a version in the upper half (ipc/syscall.c), which no rule about a name meets.
        let first = first & 0xffff_ffff;
        MULTIPLEXED.iter().find(|row| (row.1, row.2) == (call, first)).map(|row| row.0)
    }

    /// `socketcall` or `ipc`, and the value of its first argument that means `name`
    /// (linux/net.h, linux/ipc.h).
    pub fn multiplexer(&self, name: &str) -> Option<(u32, u64)> {
        if !self.multiplexed {
            return None;
        }
        let at = MULTIPLEXED.binary_search_by_key(&name, |row| row.0).ok()?;
        let (_, call, value) = MULTIPLEXED.get(at)?;
        Some((self.base + call, *value))
    }
}

/// `socketcall` and `ipc` on every architecture that has them, without its base.
const SOCKETCALL: u32 = 102;
const IPC: u32 = 117;

/// Sorted by name: what carries it, and the first argument there.
const MULTIPLEXED: [(&str, u32, u64); 32] = [
    ("accept", SOCKETCALL, 5),
    ("accept4", SOCKETCALL, 18),
    ("bind", SOCKETCALL, 2),
    ("connect", SOCKETCALL, 3),
    ("getpeername", SOCKETCALL, 7),
    ("getsockname", SOCKETCALL, 6),
    ("getsockopt", SOCKETCALL, 15),
    ("listen", SOCKETCALL, 4),
    ("msgctl", IPC, 14),
    ("msgget", IPC, 13),
    ("msgrcv", IPC, 12),
    ("msgsnd", IPC, 11),
    ("recv", SOCKETCALL, 10),
    ("recvfrom", SOCKETCALL, 12),
    ("recvmmsg", SOCKETCALL, 19),
    ("recvmsg", SOCKETCALL, 17),
    ("semctl", IPC, 3),
    ("semget", IPC, 2),
    ("semop", IPC, 1),
    ("semtimedop", IPC, 4),
    ("send", SOCKETCALL, 9),
    ("sendmmsg", SOCKETCALL, 20),
    ("sendmsg", SOCKETCALL, 16),
    ("sendto", SOCKETCALL, 11),
    ("setsockopt", SOCKETCALL, 14),
    ("shmat", IPC, 21),
    ("shmctl", IPC, 24),
    ("shmdt", IPC, 22),
    ("shmget", IPC, 23),
    ("shutdown", SOCKETCALL, 13),
    ("socket", SOCKETCALL, 1),
    ("socketpair", SOCKETCALL, 8),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_are_added() {
        let number = |arch, name| Arch::named(arch).and_then(|arch: &Arch| arch.number(name));
        assert_eq!(number("SCMP_ARCH_X32", "read"), Some(0x4000_0000));
        assert_eq!(number("SCMP_ARCH_MIPS", "read"), Some(4003));
        assert_eq!(number("SCMP_ARCH_X86", "socketcall"), Some(102));
        assert_eq!(number("SCMP_ARCH_X86_64", "socketcall"), None);
        assert_eq!(Arch::named("SCMP_ARCH_MIPS64N32").unwrap().call(6000), Some("read"));
    }

    #[test]
    fn engines_have_their_own_words() {
        let called = |arch, word| Arch::named(arch).is_some_and(|arch: &Arch| arch.is_called(word));
        for (arch, word) in [
            ("SCMP_ARCH_X86_64", "amd64"),
            ("SCMP_ARCH_X86_64", "x86_64"),
            ("SCMP_ARCH_X86", "x86"),
            ("SCMP_ARCH_AARCH64", "arm64"),
            ("SCMP_ARCH_S390X", "s390x"),
            ("SCMP_ARCH_RISCV64", "riscv64"),
        ] {
            assert!(called(arch, word), "{arch} {word}");
        }
        assert!(!called("SCMP_ARCH_X86", "amd64"));
    }

    #[test]
    fn multiplexed_calls_have_their_values() {
        let x86 = Arch::named("SCMP_ARCH_X86").unwrap();
        assert!(MULTIPLEXED.is_sorted_by_key(|row| row.0));
        assert_eq!(x86.multiplexer("sendmmsg"), Some((102, 20)));
        assert_eq!(x86.multiplexer("socket"), Some((102, 1)));
        assert_eq!(x86.multiplexer("shmget"), Some((117, 23)));
        assert_eq!(x86.carried(102, 20), Some("sendmmsg"));
        assert_eq!(x86.carried(117, 12), Some("msgrcv"));
        assert_eq!(x86.carried(117, 0x1_000c), None);
        assert_eq!(x86.carried(102, 99), None);
        assert_eq!(x86.multiplexer("read"), None);
        assert_eq!(Arch::named("SCMP_ARCH_ARM").unwrap().multiplexer("bind"), None);
    }
}
