//! Runs a program as on a kernel that lacks system calls: `older CALL[,CALL]… PROGRAM [ARGUMENT]…`.
//!
//! A filter answers `ENOSYS`, as a kernel does that has never heard of the call. The runtime cannot tell
//! the difference, so that what it does then is tested without a knob in it.
#![allow(clippy::panic, clippy::expect_used, reason = "a test program fails by panicking")]

use std::os::unix::process::CommandExt;
use std::process::Command;

use corten_seccomp::{Arch, Profile, compile};
use libcontainer::sys::seccomp::set_filter;
use serde_json::json;

fn main() {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let [calls, program, arguments @ ..] = words.as_slice() else {
        panic!("usage: older CALL[,CALL]… PROGRAM [ARGUMENT]…");
    };
    let calls: Vec<&str> = calls.split(',').collect();
    let profile: Profile = serde_json::from_value(json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": calls, "action": "SCMP_ACT_ERRNO", "errnoRet": libc::ENOSYS }]
    }))
    .expect("a profile");
    let filter = compile(&profile, Arch::native().expect("a known machine")).expect("a filter");
    set_filter(&filter.code, 0).expect("CAP_SYS_ADMIN");
    let failed = Command::new(program).args(arguments).exec();
    panic!("{program}: {failed}");
}
