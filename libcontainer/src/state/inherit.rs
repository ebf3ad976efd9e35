//! What `create` leaves for `exec`, in files of its own: `state` and `list` need not read them.
//!
//! Both are written before `state.json`, which makes the container exist for others.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use corten_seccomp::{Insn, MAX_INSTRUCTIONS};

use super::{Claim, Store, record};
use crate::error::{At, Error, Result, Step};
use crate::plan::Plan;
use crate::plan::exec::{Inherit, Recorded};

const INHERIT: &str = "exec.json";
const FILTER: &str = "seccomp.bpf";
/// Bytes of an instruction (`struct sock_filter`, linux/filter.h).
const INSN: usize = 8;

impl Claim {
    /// Writes down what further processes of the container take over: the compiled filter too.
    ///
    /// # Errors
    /// Those of open(2) and write(2).
    pub fn leave_for_exec(&self, plan: &Plan) -> Result<()> {
        let write = |name: &str, bytes: &[u8]| {
            put(self.dir(), name, bytes)
                .at(Step::State, || self.dir().join(name).display().to_string())
        };
        if let Some(seccomp) = &plan.seccomp {
            write(FILTER, &encode(&seccomp.filter))?;
        }
        let inherit = serde_json::to_vec(&Inherit::of(plan)).map_err(io::Error::from);
        write(INHERIT, &inherit.at(Step::State, || INHERIT)?)
    }
}

impl Store {
    /// A published container with what `exec` needs of it.
    ///
    /// # Errors
    /// As [`Store::load`]; the container was made by a version without `exec`.
    pub fn load_for_exec(&self, id: &str) -> Result<Recorded> {
        let state = self.load(id)?;
        let path = |name: &str| state.dir.join(name).display().to_string();
        let damaged = |name: &str, why: &str| {
            Error::rule(Step::State, path(name), format!("damaged: {why}"))
                .hint("make the container anew")
        };
        let inherit: Inherit = match record::read(&state.dir, INHERIT) {
            Err(e) if e.kind() == ErrorKind::NotFound => {
                let why = "is missing: the container was made by a version without exec";
                return Err(
                    Error::rule(Step::State, path(INHERIT), why).hint("make the container anew")
                );
            }
            read => {
                read.at(Step::State, || path(INHERIT))?.map_err(|why| damaged(INHERIT, &why))?
            }
        };
        let filter = match &inherit.seccomp {
            None => Vec::new(),
            Some(_) => {
                let bytes = get(&state.dir, FILTER).at(Step::State, || path(FILTER))?;
                // A process without its filter must not run: what is not whole is no filter.
                decode(&bytes).ok_or_else(|| damaged(FILTER, "not a filter of ours"))?
            }
        };
        Ok(Recorded { state, inherit, filter })
    }
}

fn put(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(dir.join(name))?.write_all(bytes)
}

fn get(dir: &Path, name: &str) -> io::Result<Vec<u8>> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW);
    let mut bytes = Vec::new();
    let most = u64::try_from(MAX_INSTRUCTIONS * INSN).unwrap_or(u64::MAX);
    options.open(dir.join(name))?.take(most + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn encode(filter: &[Insn]) -> Vec<u8> {
    let insn = |insn: &Insn| {
        let (code, k) = (insn.code.to_ne_bytes(), insn.k.to_ne_bytes());
        [code[0], code[1], insn.jt, insn.jf, k[0], k[1], k[2], k[3]]
    };
    filter.iter().flat_map(insn).collect()
}

fn decode(bytes: &[u8]) -> Option<Vec<Insn>> {
    let (insns, rest) = bytes.as_chunks::<INSN>();
    let insn = |b: &[u8; INSN]| Insn {
        code: u16::from_ne_bytes([b[0], b[1]]),
        jt: b[2],
        jf: b[3],
        k: u32::from_ne_bytes([b[4], b[5], b[6], b[7]]),
    };
    let legal = rest.is_empty() && (1..=MAX_INSTRUCTIONS).contains(&insns.len());
    legal.then(|| insns.iter().map(insn).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_comes_back_as_it_was() {
        let filter = [
            Insn { code: 0x20, jt: 0, jf: 0, k: 4 },
            Insn { code: 0x15, jt: 1, jf: 255, k: 0xc000_003e },
        ];
        assert_eq!(decode(&encode(&filter)).unwrap(), filter);
    }

    #[test]
    fn what_is_not_whole_is_no_filter() {
        for bytes in [&[][..], &[0; 7], &[0; 9], &vec![0; (MAX_INSTRUCTIONS + 1) * INSN]] {
            assert!(decode(bytes).is_none(), "{}", bytes.len());
        }
    }
}
