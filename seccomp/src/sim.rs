//! Runs a filter on a call, as the kernel would: for tests, and to ask "what happens if".

use std::fmt;

use crate::emit::{AND, Insn, JA, JEQ, JGE, JGT, JSET, LD_ABS, RET};

/// A call: `struct seccomp_data`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Data {
    /// The call's number.
    pub nr: u32,
    /// `AUDIT_ARCH_*`.
    pub arch: u32,
    /// Where the call was made.
    pub instruction_pointer: u64,
    /// Its arguments.
    pub args: [u64; 6],
}

impl Data {
    /// The word at a byte offset, in the byte order that `arch` says.
    fn word(&self, offset: u32) -> Option<u32> {
        if !offset.is_multiple_of(4) {
            return None;
        }
        let at = match offset {
            0 => return Some(self.nr),
            4 => return Some(self.arch),
            8 | 12 => self.instruction_pointer,
            _ => *self.args.get(usize::try_from(offset.checked_sub(16)? / 8).ok()?)?,
        };
        let first_is_low = self.arch & 0x4000_0000 != 0;
        let high = (offset % 8 == 4) == first_is_low;
        u32::try_from(if high { at >> 32 } else { at & 0xffff_ffff }).ok()
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// `SECCOMP_RET_*` with its data.
    pub action: u32,
    /// Instructions executed, the return included.
    pub executed: usize,
}

/// A program that the kernel would not have taken, or that uses an instruction that no compiler
/// of profiles writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimError {
    /// Index of the instruction.
    pub at: usize,
}

impl fmt::Display for SimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "instruction {} is not one of a seccomp filter", self.at)
    }
}

impl std::error::Error for SimError {}

/// Runs `code` on `data`.
///
/// # Errors
/// A jump or a load out of bounds, or an instruction other than those that this crate and
/// libseccomp write.
pub fn run(code: &[Insn], data: &Data) -> Result<Outcome, SimError> {
    let (mut at, mut acc, mut executed) = (0, 0u32, 0);
    // Jumps go forward only: the loop ends.
    while let Some(insn) = code.get(at) {
        executed += 1;
        let wrong = SimError { at };
        let taken = match insn.code {
            RET => return Ok(Outcome { action: insn.k, executed }),
            JEQ => Some(acc == insn.k),
            JGT => Some(acc > insn.k),
            JGE => Some(acc >= insn.k),
            JSET => Some(acc & insn.k != 0),
            _ => None,
        };
        match (insn.code, taken) {
            (_, Some(taken)) => at += usize::from(if taken { insn.jt } else { insn.jf }),
            (JA, _) => at += usize::try_from(insn.k).map_err(|_| wrong)?,
            (LD_ABS, _) => acc = data.word(insn.k).ok_or(wrong)?,
            (AND, _) => acc &= insn.k,
            _ => return Err(wrong),
        }
        at += 1;
    }
    Err(SimError { at })
}
