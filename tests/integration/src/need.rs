//! What a test needs of the host, and the record of what was skipped.
//!
//! Each check answers `Ok` or the reason why not. A skip is printed and, when `CORTEN_TEST_SKIPS`
//! names a file, written there as `test<TAB>need<TAB>reason`; the `tiers` script fails when a test was
//! skipped on every tier and `skips_allowed` does not name it.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use crate::cgroup::mount_of;

/// Skips the test unless the host has all that is named.
///
/// ```ignore
/// need!(root, cgroup_v1, controller("memory"));
/// ```
#[macro_export]
macro_rules! need {
    ($($what:ident $(($arg:expr))?),+ $(,)?) => {
        $(
            if let Err(reason) = $crate::need::$what($($arg)?) {
                fn here() {}
                let test = ::std::any::type_name_of_val(&here);
                return $crate::need::skip(test, stringify!($what $(($arg))?), &reason);
            }
        )+
    };
}

/// The answer of a check.
pub type Answer = Result<(), String>;

/// Records a skip.
pub fn skip(test: &str, need: &str, reason: &str) {
    let name = test.trim_end_matches("::here").split_once("::").map_or(test, |(_, name)| name);
    println!("skipped: {name} needs {need}: {reason}");
    let Some(path) = std::env::var_os("CORTEN_TEST_SKIPS") else { return };
    let line = format!("{name}\t{need}\t{reason}\n");
    let file = OpenOptions::new().create(true).append(true).open(path);
    let written = file.and_then(|mut f| f.write_all(line.as_bytes()));
    assert!(written.is_ok(), "the record of skips cannot be written: {written:?}");
}

fn unless(reason: &str, holds: bool) -> Answer {
    if holds { Ok(()) } else { Err(reason.to_owned()) }
}

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Effective user id 0.
///
/// # Errors
/// The reason why not; so in all of these.
pub fn root() -> Answer {
    unless("not root", nix::unistd::geteuid().is_root())
}

/// The resource controllers are mounted as v1 hierarchies.
///
/// # Errors
/// The reason why not.
pub fn cgroup_v1() -> Answer {
    unless("no v1 hierarchy is mounted", mount_of("memory").is_some())
}

/// `/sys/fs/cgroup` is a cgroup2 mount.
///
/// # Errors
/// The reason why not.
pub fn cgroup_v2() -> Answer {
    let unified = mount_of("cgroup2").is_some_and(|m| m == Path::new("/sys/fs/cgroup"));
    unless("/sys/fs/cgroup is no cgroup2", unified)
}

/// A controller is there: v1 hierarchy, or listed in `cgroup.controllers` of a unified host.
///
/// # Errors
/// The reason why not.
pub fn controller(name: &str) -> Answer {
    let unified = text("/sys/fs/cgroup/cgroup.controllers");
    let there = mount_of(name).is_some() || unified.split_whitespace().any(|c| c == name);
    unless(&format!("no {name} controller"), there)
}

/// A v1 controller's root cgroup has this file (kernel configuration).
///
/// # Errors
/// The reason why not.
pub fn v1_file((controller, file): (&str, &str)) -> Answer {
    let there = mount_of(controller).is_some_and(|m| m.join(file).exists());
    unless(&format!("no {controller} file {file}"), there)
}

/// Time namespaces (Linux 5.6, `CONFIG_TIME_NS`).
///
/// # Errors
/// The reason why not.
pub fn time_namespace() -> Answer {
    unless("the kernel has no time namespaces", Path::new("/proc/self/ns/time").exists())
}

/// The kernel has no time namespaces: the refusal is tested.
///
/// # Errors
/// The reason why not.
pub fn no_time_namespace() -> Answer {
    unless("the kernel has time namespaces", time_namespace().is_err())
}

/// User namespaces may be made.
///
/// # Errors
/// The reason why not.
pub fn user_namespace() -> Answer {
    let max = text("/proc/sys/user/max_user_namespaces");
    unless("no user namespaces", max.trim().parse::<u64>().is_ok_and(|n| n > 0))
}

/// `CAP_SYS_RESOURCE` is effective.
///
/// # Errors
/// The reason why not.
pub fn sys_resource() -> Answer {
    let status = text("/proc/self/status");
    let mask = status.lines().find_map(|l| l.strip_prefix("CapEff:"));
    let mask = mask.and_then(|m| u64::from_str_radix(m.trim(), 16).ok()).unwrap_or_default();
    unless("root has no CAP_SYS_RESOURCE", mask & 1 << 24 != 0)
}

/// `CAP_SYS_RESOURCE` is missing: the refusal is tested.
///
/// # Errors
/// The reason why not.
pub fn no_sys_resource() -> Answer {
    unless("root has CAP_SYS_RESOURCE", sys_resource().is_err())
}

/// systemd is PID 1.
///
/// # Errors
/// The reason why not.
pub fn systemd() -> Answer {
    unless("systemd is not running", Path::new("/run/systemd/system").is_dir())
}

/// AppArmor is enabled.
///
/// # Errors
/// The reason why not.
pub fn apparmor() -> Answer {
    let enabled = text("/sys/module/apparmor/parameters/enabled").starts_with('Y');
    unless("AppArmor is not enabled", enabled)
}

/// AppArmor is absent: the refusal is tested.
///
/// # Errors
/// The reason why not.
pub fn no_apparmor() -> Answer {
    unless("AppArmor is enabled", apparmor().is_err())
}

/// SELinux is enabled.
///
/// # Errors
/// The reason why not.
pub fn selinux() -> Answer {
    unless("SELinux is not enabled", Path::new("/sys/fs/selinux/enforce").exists())
}

/// SELinux is absent: the refusal is tested.
///
/// # Errors
/// The reason why not.
pub fn no_selinux() -> Answer {
    unless("SELinux is enabled", selinux().is_err())
}

/// NUMA memory policies show in `numa_maps`.
///
/// # Errors
/// The reason why not.
pub fn numa() -> Answer {
    unless("no /proc/self/numa_maps", Path::new("/proc/self/numa_maps").exists())
}

/// The kernel can make veth pairs.
///
/// # Errors
/// The reason why not.
pub fn veth() -> Answer {
    let made = std::process::Command::new("unshare")
        .args(["-n", "ip", "link", "add", "cit0", "type", "veth", "peer", "name", "cit1"])
        .output();
    unless("no veth pairs (or no iproute2)", made.is_ok_and(|o| o.status.success()))
}

/// A file system type is known to the kernel.
///
/// # Errors
/// The reason why not.
pub fn filesystem(name: &str) -> Answer {
    let known = text("/proc/filesystems").lines().any(|l| l.split('\t').nth(1) == Some(name));
    unless(&format!("no {name} file system"), known)
}

/// At least so many CPUs are online.
///
/// # Errors
/// The reason why not.
pub fn cpus(count: usize) -> Answer {
    let have = std::thread::available_parallelism().map_or(1, usize::from);
    unless(&format!("only {have} CPUs"), have >= count)
}

/// A huge page controller with this page size.
///
/// # Errors
/// The reason why not.
pub fn hugetlb(size: &str) -> Answer {
    v1_file(("hugetlb", &format!("hugetlb.{size}.limit_in_bytes")))
}

/// Intel RDT's `resctrl` file system.
///
/// # Errors
/// The reason why not.
pub fn resctrl() -> Answer {
    unless("no resctrl", Path::new("/sys/fs/resctrl/schemata").exists())
}

/// The host has no `resctrl`: the refusal is tested.
///
/// # Errors
/// The reason why not.
pub fn no_resctrl() -> Answer {
    unless("there is resctrl", resctrl().is_err())
}

/// A file of another package.
///
/// # Errors
/// The reason why not.
pub fn file(path: &str) -> Answer {
    unless(&format!("{path} is not installed"), Path::new(path).exists())
}

/// The kernel runs 32-bit programs of x86.
///
/// # Errors
/// The reason why not.
pub fn ia32() -> Answer {
    let here = cfg!(target_arch = "x86_64") && Path::new("/proc/sys/abi/vsyscall32").exists();
    unless("no 32-bit programs of x86", here)
}

/// Programs of ours may have real-time priority: our own cpu cgroup has a budget for them.
///
/// # Errors
/// The reason why not.
pub fn real_time() -> Answer {
    let run = std::process::Command::new("chrt").args(["-f", "1", "true"]).output();
    unless("no real-time priority here", run.is_ok_and(|output| output.status.success()))
}

/// A `ps` of procps that can tell when processes began: on user-mode Linux it cannot.
///
/// # Errors
/// The reason why not.
pub fn full_ps() -> Answer {
    let told = std::process::Command::new("ps").arg("-ef").output();
    unless("`ps -ef` fails here", told.is_ok_and(|output| output.status.success()))
}
