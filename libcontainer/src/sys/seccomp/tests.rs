//! Filters in the running kernel: what they do to calls, to the process, and who may answer.

use std::os::fd::AsRawFd;
use std::sync::mpsc;
use std::thread;

use corten_seccomp::{
    ActionName, Arch, Arg, Data, FLAG_TSYNC, MAX_INSTRUCTIONS, Operator, Profile, Program,
    Syscalls, compile, run,
};

use super::*;
use crate::sys::clone::WaitStatus;
use crate::sys::cred;
use crate::sys::testing::in_child;

const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;

fn native() -> &'static Arch {
    Arch::native().unwrap()
}

fn program(profile: &Profile) -> Program {
    compile(profile, native()).unwrap()
}

fn rule(name: &str, action: ActionName, errno: Option<u32>) -> Syscalls {
    Syscalls { names: vec![name.into()], action, errno_ret: errno, args: vec![] }
}

/// A profile that allows all but one rule.
fn but(rule: Syscalls) -> Profile {
    Profile { syscalls: vec![rule], ..Profile::default() }
}

/// Puts a child under a filter and makes a call there: its errno, 0 for none.
fn under(program: &Program, nr: libc::c_long) -> WaitStatus {
    in_child(0, || {
        if cred::set_no_new_privs().is_err() || set_filter(&program.code, program.flags).is_err() {
            return 255;
        }
        errno_of(nr, [0; 6])
    })
}

/// The errno of a call, 0 for none.
fn errno_of(nr: libc::c_long, a: [u64; 6]) -> i32 {
    // SAFETY: the callers make calls that a filter answers, or calls that take no pointers.
    let answer = check_long(unsafe { libc::syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]) });
    answer.err().and_then(|e| e.raw_os_error()).unwrap_or(0)
}

/// Every call of this architecture with an errno of its own, so that each answer tells which leaf
/// was reached; some with conditions of every kind. Only what a child needs to end is allowed.
fn every_call() -> Profile {
    let operators = Operator::ALL.map(|(_, op)| op);
    let names = (0..600).filter_map(|nr| native().call(nr).map(|name| (nr, name)));
    let mut syscalls = Vec::new();
    for (nr, name) in names {
        if name == "exit" || name == "exit_group" {
            syscalls.push(rule(name, ActionName::Allow, None));
            continue;
        }
        let mut denied = rule(name, ActionName::Errno, Some(1000 + nr));
        if nr % 3 == 0 {
            let at = usize::try_from(nr / 3).unwrap();
            let value = [0xffff_0000, 0x1_0000_0001, u64::MAX, 7][at % 4];
            denied.args.push(Arg {
                index: at % 6,
                op: operators[at % operators.len()],
                value,
                value_two: value & 0xff,
            });
        }
        syscalls.push(denied);
    }
    Profile {
        default_action: ActionName::Errno,
        default_errno_ret: Some(4000),
        syscalls,
        ..Profile::default()
    }
}

/// Arguments on and around the values of [`every_call`].
fn arguments() -> Vec<[u64; 6]> {
    let values = [0, 1, 7, 8, 0xffff_0000, 0x1_0000_0001, 0x1_0000_0002, u64::MAX, u64::MAX - 1];
    values.into_iter().map(|value| [value; 6]).collect()
}

/// What the simulator says is what this kernel does, for every number.
#[test]
fn the_kernel_does_what_the_simulator_says() {
    let program = program(&every_call());
    let mut calls = Vec::new();
    // The kernel asks no filter about these two, which only its own probes call (Linux 6.13).
    let unasked = |nr: &u32| matches!(native().call(*nr), Some("uretprobe" | "uprobe"));
    for nr in (0..700).chain([1 << 20, u32::MAX >> 1]).filter(|nr| !unasked(nr)) {
        for args in arguments() {
            let data = Data { nr, arch: native().audit, args, ..Data::default() };
            let action = run(&program.code, &data).unwrap().action;
            if action != ALLOW && action != 0 {
                assert_eq!(action & 0xffff_0000, ERRNO, "{nr}");
                calls.push((nr, args, i32::try_from(action & 0xffff).unwrap()));
            }
        }
    }
    assert!(calls.len() > 5000, "{}", calls.len());
    // What differs, as a place in the list: a child has no other way to tell than its exit code.
    let first_wrong = |from: usize, to: usize| {
        in_child(0, || {
            if cred::set_no_new_privs().is_err() || set_filter(&program.code, 0).is_err() {
                return 255;
            }
            let wrong = calls[from..to]
                .iter()
                .position(|(nr, args, errno)| errno_of((*nr).into(), *args) != *errno);
            wrong.map_or(0, |at| i32::try_from(at).unwrap_or(254) + 1)
        })
    };
    for from in (0..calls.len()).step_by(200) {
        let status = first_wrong(from, calls.len().min(from + 200));
        let WaitStatus::Exited(code) = status else { panic!("{status:?}") };
        let at = usize::try_from(code).unwrap();
        assert_eq!(at, 0, "{:x?}", calls.get(from + at.wrapping_sub(1)));
    }
}

#[test]
fn a_filter_is_obeyed() {
    let denied = program(&but(rule("getppid", ActionName::Errno, Some(7))));
    assert_eq!(under(&denied, libc::SYS_getppid), WaitStatus::Exited(7));
    assert_eq!(under(&denied, libc::SYS_getpid), WaitStatus::Exited(0));
    let logged = program(&but(rule("getppid", ActionName::Log, None)));
    assert_eq!(under(&logged, libc::SYS_getppid), WaitStatus::Exited(0));
    // Nobody traces.
    let traced = program(&but(rule("getppid", ActionName::Trace, None)));
    assert_eq!(under(&traced, libc::SYS_getppid), WaitStatus::Exited(libc::ENOSYS));
}

#[test]
fn a_killed_call_is_the_end() {
    let deadly =
        [ActionName::Kill, ActionName::KillThread, ActionName::KillProcess, ActionName::Trap];
    for action in deadly {
        let program = program(&but(rule("getppid", action, None)));
        let end = under(&program, libc::SYS_getppid);
        assert_eq!(end, WaitStatus::Signaled(libc::SIGSYS), "{action:?}");
    }
}

/// The number of another convention is foreign: killed where the kernel has x32 and where not.
#[test]
#[cfg(target_arch = "x86_64")]
fn x32_does_not_get_around_a_filter() {
    let denied = program(&but(rule("getppid", ActionName::Errno, None)));
    let x32 = libc::SYS_getppid | 0x4000_0000;
    assert_eq!(under(&denied, x32), WaitStatus::Signaled(libc::SIGSYS));
}

#[test]
fn flags_of_this_kernel_are_told_from_others() {
    assert!(knows_flag(2));
    assert!(!knows_flag(1 << 30));
}

/// Every flag and every action that `features` lists is taken, where this kernel has it.
#[test]
fn what_features_lists_is_taken() {
    for (name, flag) in corten_seccomp::FLAGS.into_iter().filter(|flag| knows_flag(flag.1)) {
        let flags = if flag == WAIT_KILLABLE_RECV { flag | FLAG_NEW_LISTENER } else { flag };
        let one = program(&but(rule("getppid", ActionName::Errno, Some(7))));
        let one = Program { flags, ..one };
        assert_eq!(under(&one, libc::SYS_getppid), WaitStatus::Exited(7), "{name}");
    }
    let known = std::fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail").unwrap();
    let words = ["kill_process", "kill_thread", "trap", "errno", "user_notif", "trace", "log"];
    for word in words.into_iter().filter(|word| known.split_whitespace().any(|k| k == *word)) {
        let action = match word {
            "kill_process" => 0x8000_0000,
            "kill_thread" => 0,
            "trap" => 0x0003_0000,
            "errno" => ERRNO,
            "user_notif" => 0x7fc0_0000,
            "trace" => 0x7ff0_0000,
            _ => 0x7ffc_0000,
        };
        assert!(cred::seccomp_get_action_avail(action), "{word}");
    }
}

/// TSYNC beside NEW_LISTENER is refused by the kernel: the compiler does not ask for both.
#[test]
fn a_listener_is_for_one_thread() {
    let mut profile = but(rule("getppid", ActionName::Notify, None));
    profile.flags = Some(vec!["SECCOMP_FILTER_FLAG_TSYNC".into()]);
    let program = program(&profile);
    assert_eq!(program.flags, FLAG_NEW_LISTENER);
    let both = || {
        let nnp = cred::set_no_new_privs();
        let refused = nnp.and_then(|()| set_filter(&program.code, FLAG_NEW_LISTENER | FLAG_TSYNC));
        refused.err().and_then(|e| e.raw_os_error()).unwrap_or(0)
    };
    assert_eq!(in_child(0, both), WaitStatus::Exited(libc::EINVAL));
}

/// A thread of ours calls, we answer: with an errno, with a value, and by letting it go on.
#[test]
fn a_notification_is_answered() {
    let profile = but(rule("getppid", ActionName::Notify, None));
    let program = program(&profile);
    let (tell, told) = mpsc::channel();
    let asks = thread::spawn(move || {
        cred::set_no_new_privs().unwrap();
        // Only this thread.
        let listener = set_filter(&program.code, program.flags).unwrap().unwrap();
        tell.send(listener).unwrap();
        let asked = || {
            // SAFETY: takes no pointers.
            let answer = unsafe { libc::syscall(libc::SYS_getppid) };
            check_long(answer).map_err(|e| e.raw_os_error().unwrap_or(0))
        };
        [asked(), asked(), asked()]
    });
    let listener = told.recv().unwrap();
    let go_on = u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).unwrap();
    for (val, error, flags) in [(0, -libc::EBADF, 0), (4242, 0, 0), (0, 0, go_on)] {
        // SAFETY: all of its members are integers.
        let mut asked: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        let receive = libc::SECCOMP_IOCTL_NOTIF_RECV;
        // SAFETY: the kernel writes the struct that it is given.
        let received = check_long(
            unsafe { libc::ioctl(listener.as_raw_fd(), receive, &raw mut asked) }.into(),
        );
        assert!(received.is_ok(), "{received:?}");
        assert_eq!(i64::from(asked.data.nr), libc::SYS_getppid);
        assert_eq!(asked.data.arch, native().audit);
        let answer = libc::seccomp_notif_resp { id: asked.id, val, error, flags };
        let send = libc::SECCOMP_IOCTL_NOTIF_SEND;
        // SAFETY: the kernel reads the struct.
        let sent = check_long(
            unsafe { libc::ioctl(listener.as_raw_fd(), send, &raw const answer) }.into(),
        );
        assert!(sent.is_ok(), "{sent:?}");
    }
    let parent = i64::from(crate::sys::clone::getppid());
    assert_eq!(asks.join().unwrap(), [Err(libc::EBADF), Ok(4242), Ok(parent)]);
}

/// The compiler's limit is the kernel's.
#[test]
fn the_longest_program_is_taken_and_no_longer_one() {
    let mut code = vec![Insn { code: 0x20, jt: 0, jf: 0, k: 0 }; MAX_INSTRUCTIONS - 1];
    code.push(Insn { code: 0x06, jt: 0, jf: 0, k: ALLOW });
    let load = |code: &[Insn]| {
        in_child(0, || {
            let loaded = cred::set_no_new_privs().and_then(|()| set_filter(code, 0));
            loaded.err().and_then(|e| e.raw_os_error()).unwrap_or(0)
        })
    };
    assert_eq!(load(&code), WaitStatus::Exited(0));
    code.insert(0, code[0]);
    assert_eq!(load(&code), WaitStatus::Exited(libc::EINVAL));
    assert_eq!(load(&[]), WaitStatus::Exited(libc::EINVAL));
}
