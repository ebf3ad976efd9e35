//! Where a command is killed: every system call that changes something, by its number in a run that
//! is not disturbed.

use std::collections::BTreeMap;

/// The calls that change what is on disk, in the kernel, or who runs, and those that wait for others.
const CALLS: &[&str] = &[
    "mkdir",
    "openat",
    "write",
    "rename",
    "symlink",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "rmdir",
    "fsync",
    "syncfs",
    "ftruncate",
    "copy_file_range",
    "flock",
    "fchmod",
    "fchown",
    "clone3",
    "clone",
    "vfork",
    "execve",
    "socket",
    "connect",
    "bind",
    "sendto",
    "sendmsg",
    "recvfrom",
    "recvmsg",
    "unshare",
    "setns",
    "mount",
    "umount2",
    "move_mount",
    "fsconfig",
    "fsmount",
    "pidfd_open",
    "pidfd_send_signal",
    "kill",
    "waitid",
    "wait4",
    "poll",
    "ppoll",
];

/// What strace is to trace for [`points`].
pub(crate) fn traced() -> String {
    format!("trace={}", CALLS.join(","))
}

/// Each call and its numbers up to the most that one process made of it: all with `PIER_CRASH=all`,
/// else `most` of them, the same ones each time.
pub(crate) fn points(trace: &str, most: usize) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for line in trace.lines() {
        let Some((pid, rest)) = line.split_once(' ') else { continue };
        let Some((call, _)) = rest.trim_start().split_once('(') else { continue };
        if CALLS.contains(&call) {
            *counts.entry((call, pid)).or_default() += 1;
        }
    }
    let mut longest: BTreeMap<&str, usize> = BTreeMap::new();
    for ((call, _), count) in counts {
        let one = longest.entry(call).or_default();
        *one = (*one).max(count);
    }
    let numbers = longest.into_iter().flat_map(|(call, count)| (1..=count).map(move |n| (call, n)));
    let all: Vec<(String, usize)> = numbers.map(|(call, n)| (call.to_owned(), n)).collect();
    assert!(all.len() > 20, "{all:?}");
    let everything = std::env::var("PIER_CRASH").is_ok_and(|value| value == "all");
    let step = if everything { 1 } else { all.len().div_ceil(most) };
    // Another place in each stretch than in the last.
    let taken = |at: usize| at % step == (at / step) * 7 % step;
    all.into_iter().enumerate().filter(|(at, _)| taken(*at)).map(|(_, point)| point).collect()
}

/// The options of strace that kill at a point.
pub(crate) fn killing((call, n): &(String, usize)) -> [String; 4] {
    let inject = format!("inject={call}:signal=KILL:when={n}");
    ["-e".into(), format!("trace={call}"), "-e".into(), inject]
}
