//! The device list as a program for cgroup v2 (`BPF_PROG_TYPE_CGROUP_DEVICE`, Linux 4.15).
//!
//! Pure: [`program`] writes the instructions, `cgroup::devices` loads and attaches them. The
//! kernel runs it for each open and mknod and allows the access when it returns 1:
//!
//! ```text
//! load kind, and access, major, minor where a rule asks for them
//! char rules    each: all that it names matches → exception, else the next rule
//! block rules   the same
//! default:      return the default
//! exception:    return the opposite
//! ```
//! All exceptions lead to the same answer, so their order is free and the kind is tested once.

use serde::{Serialize, Serializer};

use super::devices::{Access, DeviceList, Exception, Kind};
use crate::error::{Error, Result, Step};

/// `BPF_DEVCG_DEV_BLOCK`, `BPF_DEVCG_DEV_CHAR` of `<linux/bpf.h>`.
const BLOCK: i32 = 1;
const CHAR: i32 = 2;

// Operation codes (RFC 9669). Comparisons are the 32 bit ones: numbers are unsigned 32 bit, and
// the 64 bit ones would extend the sign of an immediate (JMP32, Linux 5.1).
const LOAD_WORD: u8 = 0x61;
const AND: u8 = 0x54;
const SHIFT_RIGHT: u8 = 0x74;
const MOVE: u8 = 0xb4;
const EXIT: u8 = 0x95;
const JUMP: u8 = 0x05;
const JUMP_IF_EQUAL: u8 = 0x16;
const JUMP_UNLESS_EQUAL: u8 = 0x56;
const JUMP_IF_ANY_BIT: u8 = 0x46;

// Registers: R0 answers, R1 holds the context at entry.
const ANSWER: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

/// A finished program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program(Vec<[u8; 8]>);

impl Program {
    /// `struct bpf_insn` one after the other.
    pub fn instructions(&self) -> &[[u8; 8]] {
        &self.0
    }
}

/// Prints as hexadecimal words, which `bpftool` and people can compare.
impl Serialize for Program {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|i| format!("{:016x}", u64::from_be_bytes(*i))))
    }
}

#[derive(Clone, Copy)]
struct Insn {
    code: u8,
    dst: u8,
    src: u8,
    /// Memory offset, or distance of a jump once it has landed.
    offset: i16,
    imm: i32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Label {
    /// Behind the rule being written.
    NextRule,
    /// Behind all rules of the kind being written.
    NextKind,
    /// The opposite of the default.
    Exception,
}

#[derive(Default)]
struct Writer {
    insns: Vec<Insn>,
    /// Jumps that have not landed, by label.
    jumps: [Vec<usize>; 3],
}

impl Writer {
    fn push(&mut self, code: u8, dst: u8, imm: i32) {
        self.insns.push(Insn { code, dst, src: 0, offset: 0, imm });
    }

    fn load(&mut self, dst: u8, offset: i16) {
        self.insns.push(Insn { code: LOAD_WORD, dst, src: CONTEXT, offset, imm: 0 });
    }

    fn jump(&mut self, code: u8, dst: u8, imm: i32, target: Label) {
        self.jumps[target as usize].push(self.insns.len());
        self.push(code, dst, imm);
    }

    /// Points the jumps to `label` at the instruction that comes next.
    fn land(&mut self, label: Label) -> Result<()> {
        let here = self.insns.len();
        for at in std::mem::take(&mut self.jumps[label as usize]) {
            self.insns[at].offset = i16::try_from(here - at - 1).map_err(|_| {
                Error::rule(
                    Step::Cgroup,
                    "linux.resources.devices",
                    "more device rules than fit into one program",
                )
            })?;
        }
        Ok(())
    }

    fn loads(&mut self, list: &DeviceList) {
        // struct bpf_cgroup_dev_ctx: access << 16 | kind, major, minor.
        self.load(KIND, 0);
        if list.exceptions.iter().any(|e| e.access != Access::ALL) {
            self.load(ACCESS, 0);
            self.push(SHIFT_RIGHT, ACCESS, 16);
        }
        self.push(AND, KIND, 0xffff);
        if list.exceptions.iter().any(|e| e.major.is_some()) {
            self.load(MAJOR, 4);
        }
        if list.exceptions.iter().any(|e| e.minor.is_some()) {
            self.load(MINOR, 8);
        }
    }

    fn exception(&mut self, exception: &Exception, default_allow: bool) -> Result<()> {
        let bits = i32::from(exception.access.bits());
        if exception.access != Access::ALL && default_allow {
            // Denied when any kind of access asked for is denied.
            let over_the_next = 1;
            self.insns.push(Insn {
                code: JUMP_IF_ANY_BIT,
                dst: ACCESS,
                src: 0,
                offset: over_the_next,
                imm: bits,
            });
            self.jump(JUMP, 0, 0, Label::NextRule);
        } else if exception.access != Access::ALL {
            // Allowed when every kind of access asked for is allowed.
            let others = i32::from(Access::ALL.bits()) & !bits;
            self.jump(JUMP_IF_ANY_BIT, ACCESS, others, Label::NextRule);
        }
        match (exception.major, exception.minor) {
            (Some(major), Some(minor)) => {
                self.jump(JUMP_UNLESS_EQUAL, MAJOR, major.cast_signed(), Label::NextRule);
                self.jump(JUMP_IF_EQUAL, MINOR, minor.cast_signed(), Label::Exception);
            }
            (Some(n), None) => {
                self.jump(JUMP_IF_EQUAL, MAJOR, n.cast_signed(), Label::Exception);
            }
            (None, Some(n)) => {
                self.jump(JUMP_IF_EQUAL, MINOR, n.cast_signed(), Label::Exception);
            }
            (None, None) => self.jump(JUMP, 0, 0, Label::Exception),
        }
        self.land(Label::NextRule)
    }

    fn answer(&mut self, allow: bool) {
        self.push(MOVE, ANSWER, i32::from(allow));
        self.push(EXIT, 0, 0);
    }
}

/// Writes the program for a list; `None` when everything is allowed and none is needed.
///
/// # Errors
/// More rules than a jump can cross (about ten thousand).
pub fn program(list: &DeviceList) -> Result<Option<Program>> {
    if list.is_allow_all() {
        return Ok(None);
    }
    let mut writer = Writer::default();
    if !list.exceptions.is_empty() {
        writer.loads(list);
    }
    for (kind, number) in [(Kind::Char, CHAR), (Kind::Block, BLOCK)] {
        let mut rules = list.exceptions.iter().filter(|e| e.kind == kind).peekable();
        if rules.peek().is_none() {
            continue;
        }
        writer.jump(JUMP_UNLESS_EQUAL, KIND, number, Label::NextKind);
        for exception in rules {
            writer.exception(exception, list.default_allow)?;
        }
        writer.land(Label::NextKind)?;
    }
    writer.answer(list.default_allow);
    writer.land(Label::Exception)?;
    if !list.exceptions.is_empty() {
        writer.answer(!list.default_allow);
    }
    Ok(Some(Program(writer.insns.iter().map(encode).collect())))
}

/// `struct bpf_insn` in the byte order of this machine.
fn encode(insn: &Insn) -> [u8; 8] {
    // The two registers are bit fields of one byte.
    let registers = if cfg!(target_endian = "little") {
        insn.src << 4 | insn.dst
    } else {
        insn.dst << 4 | insn.src
    };
    let offset = insn.offset.to_ne_bytes();
    let imm = insn.imm.to_ne_bytes();
    [insn.code, registers, offset[0], offset[1], imm[0], imm[1], imm[2], imm[3]]
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
