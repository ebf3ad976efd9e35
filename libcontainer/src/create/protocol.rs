//! The ladder between the parent and the init stage, and its messages.
//!
//! ```text
//! parent                                        init (or the bridge before it)
//!   clone3, into the v2 cgroup ───────────────▶ born, signals blocked; joins its v1 cgroups
//!   systemd moves it into its unit ───────────▶ only with systemd's cgroup driver: Go::Placed
//!   write uid_map, gid_map     ◀─ NeedMaps ───  bridge only: a user namespace was made
//!          ── Go::Mapped ─────────────────────▶ become root of the user namespace
//!                              ◀─ Born(pid) ──  bridge only: init is the parent's child
//!          ── Go::Known ──────────────────────▶ bridge only: init may speak, its name was heard
//!   net devices, device program of v2           meanwhile: keyring, lo, mounts, devices
//!                              ◀─ Rootfs ─────  only with hooks that run before pivot_root
//!   device rules of v1, hooks prestart, createRuntime
//!          ── Go::Pivot ──────────────────────▶ hooks createContainer, pivot_root
//!                              ◀─ Console+fd ─  only with a terminal: the pty master
//!                              ◀─ Listener ───  only when the seccomp filter notifies
//!                              ◀─ Ready ──────  everything is done but the execve
//!   v1 device rules, rlimits, state.json, …     waits at the gate
//!          ── Go::Start, or `start`'s fifo ───▶ seccomp, hooks startContainer, execve
//!                              ◀─ end of file   execve happened: the descriptor is close-on-exec
//! ```
//! At every rung `Failed` may come instead; end of file where a message is due means that init
//! died, end of file towards init means that the parent did: it exits.
//!
//! One message is one packet of a `SOCK_SEQPACKET` pair, [`LEN`] bytes; nothing is parsed.

use crate::create::report::Failure;
use crate::error::Step;

/// Bytes of a packet from init.
pub const LEN: usize = 16 + DETAIL;
/// Bytes of text that a failure may add: the name of a missing interpreter, a hook's last words.
pub const DETAIL: usize = 1008;

/// What the parent tells init: one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Go {
    /// systemd has put the process into the container's unit.
    Placed = b'u',
    /// The id maps are written.
    Mapped = b'm',
    /// The parent has heard of init from the bridge: what init says cannot overtake that any more.
    Known = b'k',
    /// The hooks of the runtime's namespace are done.
    Pivot = b'p',
    /// Execute the program.
    Start = b's',
}

/// What init tells the parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "init cannot box: it does not allocate")]
pub enum Said {
    /// The bridge made a user namespace and waits for its maps.
    NeedMaps,
    /// The bridge made init: its pid in the parent's pid namespace.
    Born(i32),
    /// The mounts are made, pivot_root is next.
    Rootfs,
    /// The pty master comes with this packet.
    Console,
    /// A filter with this descriptor for its notifications was loaded.
    Listener(i32),
    /// Waiting at the gate.
    Ready,
    /// A step failed.
    Failed(Failure, Detail),
}

/// Text beside a failure, without its length: it ends at the first NUL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detail([u8; DETAIL]);

impl Default for Detail {
    fn default() -> Self {
        Self([0; DETAIL])
    }
}

impl Detail {
    /// Keeps the beginning of `text`.
    pub fn new(text: &[u8]) -> Self {
        let mut detail = Self::default();
        let len = text.len().min(DETAIL);
        detail.0[..len].copy_from_slice(&text[..len]);
        detail
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(DETAIL);
        &self.0[..end]
    }
}

impl Said {
    /// The packet; allocates nothing.
    pub fn encode(&self) -> [u8; LEN] {
        let (kind, step, item, value, detail) = match self {
            Said::NeedMaps => (1, 0, 0, 0, None),
            Said::Born(pid) => (2, 0, 0, *pid, None),
            Said::Rootfs => (3, 0, 0, 0, None),
            Said::Console => (4, 0, 0, 0, None),
            Said::Ready => (5, 0, 0, 0, None),
            Said::Listener(fd) => (7, 0, 0, *fd, None),
            Said::Failed(f, detail) => (6, f.step as u8, f.item, f.errno, Some(detail)),
        };
        let mut packet = [0; LEN];
        packet[0] = kind;
        packet[1] = step;
        packet[4..8].copy_from_slice(&item.to_ne_bytes());
        packet[8..12].copy_from_slice(&value.to_ne_bytes());
        if let Some(detail) = detail {
            packet[16..].copy_from_slice(&detail.0);
        }
        packet
    }

    /// Reads a packet; `None` when it is none of ours.
    pub fn decode(packet: &[u8]) -> Option<Self> {
        let packet: &[u8; LEN] = packet.try_into().ok()?;
        let word = |at: usize| [packet[at], packet[at + 1], packet[at + 2], packet[at + 3]];
        let value = i32::from_ne_bytes(word(8));
        Some(match packet[0] {
            1 => Said::NeedMaps,
            2 => Said::Born(value),
            3 => Said::Rootfs,
            4 => Said::Console,
            5 => Said::Ready,
            7 => Said::Listener(value),
            6 => {
                let step = Step::from_number(packet[1])?;
                let failure = Failure::new(step, u32::from_ne_bytes(word(4)), value);
                Said::Failed(failure, Detail::new(&packet[16..]))
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_survives_the_wire() {
        let failure = Failure::new(Step::Mount, 7, libc::EPERM);
        for said in [
            Said::NeedMaps,
            Said::Born(4_194_304),
            Said::Rootfs,
            Said::Console,
            Said::Ready,
            Said::Listener(7),
            Said::Failed(failure, Detail::new(b"/bin/bash")),
        ] {
            assert_eq!(Said::decode(&said.encode()), Some(said));
        }
    }

    #[test]
    fn foreign_packets_are_refused() {
        assert_eq!(Said::decode(&[]), None);
        assert_eq!(Said::decode(&[9; LEN]), None);
        let mut unknown_step = Said::Ready.encode();
        (unknown_step[0], unknown_step[1]) = (6, 255);
        assert_eq!(Said::decode(&unknown_step), None);
    }

    #[test]
    fn detail_ends_at_nul_and_is_cut_to_fit() {
        assert_eq!(Detail::new(b"a\0b").as_bytes(), b"a");
        assert_eq!(Detail::new(&[b'x'; 2 * DETAIL]).as_bytes().len(), DETAIL);
    }
}
