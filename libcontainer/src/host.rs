//! Facts about this host that cannot change between probe and use.
//!
//! The kernel's version, our own rights, the security modules, the cgroup layout. A path or a mount is never in [`Host`]:
//! it is resolved by file descriptor in `create`. The plan takes `&Host`, and tests build one by
//! hand from [`Host::ideal`].

pub mod cgroup;
pub mod kernel;
pub mod systemd;

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;

use serde::Serialize;

use crate::error::{At, Result, Step};
use crate::plan::{CgroupDriver, Options};
use crate::spec::Spec;
use crate::sys::cred;

pub use cgroup::CgroupLayout;
pub use kernel::Version;
pub use systemd::Systemd;

/// What the plan must know about the machine and about ourselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Host {
    /// The kernel's version.
    pub kernel: Version,
    /// Our effective user id.
    pub euid: u32,
    /// Our effective group id.
    pub egid: u32,
    /// Whether we live in the initial user namespace.
    pub initial_user_ns: bool,
    /// setgroups(2) is refused in our user namespace, and in all below it
    /// (user_namespaces(7), `/proc/PID/setgroups`).
    pub setgroups_denied: bool,
    /// Our effective capabilities, one bit each (capabilities(7)).
    pub caps: u64,
    /// The highest capability that this kernel knows.
    pub last_cap: u8,
    /// The security modules.
    pub lsm: Lsm,
    /// How control groups are mounted.
    pub cgroup: CgroupLayout,
    /// The manager that makes the cgroup, when it is to ([`Host::with_systemd`]).
    pub systemd: Option<Systemd>,
}

/// Which security modules can carry out what a configuration asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Lsm {
    /// AppArmor is built in and enabled.
    pub apparmor: bool,
    /// We are under an AppArmor profile that confines.
    pub apparmor_confined: bool,
    /// SELinux is enabled.
    pub selinux: bool,
}

/// The inode number of the initial user namespace since Linux 3.8; 6.18 made it part of the ABI
/// (`USER_NS_INIT_INO` in `linux/nsfs.h`).
const INITIAL_USER_NS: u64 = 0xEFFF_FFFD;

impl Host {
    /// Looks at everything, for `features` and `explain`.
    ///
    /// # Errors
    /// `/proc` is not mounted or not readable.
    pub fn probe() -> Result<Self> {
        Self::probe_with(true)
    }

    /// Looks at what planning `spec` needs: the way of every container, a dozen system calls.
    ///
    /// # Errors
    /// As [`Host::probe`].
    pub fn probe_for(spec: &Spec) -> Result<Self> {
        Self::probe_with(asks_for_label(spec))
    }

    /// Looks at what a process for an existing container needs: its place is decided already.
    ///
    /// # Errors
    /// As [`Host::probe`].
    pub fn probe_rights(labels: bool) -> Result<Self> {
        Self::probe_around(labels, CgroupLayout::default())
    }

    fn probe_with(labels: bool) -> Result<Self> {
        Self::probe_around(labels, CgroupLayout::probe()?)
    }

    fn probe_around(labels: bool, cgroup: CgroupLayout) -> Result<Self> {
        let initial_user_ns = initial_user_ns()?;
        Ok(Self {
            kernel: Version::probe()?,
            euid: nix::unistd::geteuid().as_raw(),
            egid: nix::unistd::getegid().as_raw(),
            initial_user_ns,
            setgroups_denied: !initial_user_ns && setgroups_denied(),
            caps: own_caps()?,
            last_cap: last_cap()?,
            lsm: if labels { Lsm::probe() } else { Lsm::default() },
            cgroup,
            systemd: None,
        })
    }

    /// A host where everything is there and we are root: for tests, to take things away from.
    pub fn ideal() -> Self {
        Self {
            kernel: Version { major: 6, minor: 12, release: "6.12.0".into() },
            euid: 0,
            egid: 0,
            initial_user_ns: true,
            setgroups_denied: false,
            caps: (1 << 41) - 1,
            last_cap: 40,
            lsm: Lsm { apparmor: true, apparmor_confined: false, selinux: true },
            cgroup: CgroupLayout::ideal(),
            systemd: None,
        }
    }

    /// Asks systemd for what the plan must know of it, when it is to make the container's cgroup:
    /// the user's own manager for who is rootless. Root of a machine inside a user namespace, such as
    /// LXC's, has a system of its own.
    ///
    /// # Errors
    /// Nobody answers on the bus.
    pub fn with_systemd(self, options: &Options) -> Result<Self> {
        if options.cgroup_driver != CgroupDriver::Systemd {
            return Ok(self);
        }
        let own_machine = || self.euid == 0 && systemd::is_own();
        let user = options.rootless.unwrap_or_else(|| self.rootless() && !own_machine());
        Ok(Self { systemd: Some(Systemd::probe(user)?), ..self })
    }

    /// Whether we lack the host's root rights: not uid 0, or uid 0 of a nested user namespace.
    pub fn rootless(&self) -> bool {
        self.euid != 0 || !self.initial_user_ns
    }

    /// Whether our effective set holds the capability number `cap`.
    pub fn has_cap(&self, cap: u8) -> bool {
        cap < 64 && self.caps & (1 << cap) != 0
    }
}

impl Lsm {
    /// Asks the kernel which modules are active.
    pub fn probe() -> Self {
        let apparmor = fs::read("/sys/module/apparmor/parameters/enabled");
        let apparmor = apparmor.is_ok_and(|text| text.starts_with(b"Y"));
        // When in doubt we are: adding a profile is allowed to everybody.
        let current = || read_proc("/proc/thread-self/attr/apparmor/current").unwrap_or_default();
        // The file system type is registered only when SELinux came up.
        let filesystems = fs::read_to_string("/proc/filesystems").unwrap_or_default();
        Self {
            apparmor,
            apparmor_confined: apparmor && confines(&current()),
            selinux: filesystems.lines().any(|line| line.trim_start() == "nodev\tselinuxfs"),
        }
    }
}

/// Whether a text of `attr/apparmor/current` names a profile that confines: neither none at all nor
/// one that is in the mode `unconfined` (apparmor(7)).
fn confines(current: &str) -> bool {
    let current = current.trim_end_matches(['\n', '\0']);
    current != "unconfined" && !current.ends_with(" (unconfined)")
}

fn asks_for_label(spec: &Spec) -> bool {
    let set = |label: &Option<String>| label.as_deref().is_some_and(|text| !text.is_empty());
    let process = spec.oci.process().as_ref();
    process.is_some_and(|p| set(p.apparmor_profile()) || set(p.selinux_label()))
        || spec.oci.linux().as_ref().is_some_and(|l| set(l.mount_label()))
}

fn setgroups_denied() -> bool {
    fs::read("/proc/self/setgroups").is_ok_and(|word| word.starts_with(b"deny"))
}

/// Whether we live in the initial user namespace.
///
/// # Errors
/// `/proc` is not mounted or not readable.
pub fn initial_user_ns() -> Result<bool> {
    const PATH: &str = "/proc/self/ns/user";
    match fs::metadata(PATH) {
        Ok(meta) => Ok(meta.ino() == INITIAL_USER_NS),
        // A kernel without user namespaces has only the initial one; without procfs nothing works.
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            fs::metadata("/proc/self/status").at(Step::ProbeHost, || PATH).map(|_| true)
        }
        Err(e) => Err(e).at(Step::ProbeHost, || PATH),
    }
}

fn own_caps() -> Result<u64> {
    cred::capget().map(|sets| sets.effective).at(Step::ProbeHost, || "capget")
}

/// A file of `/proc` that fits into one read: open, read, close, and nothing else on the way of
/// every container. Bytes that are not UTF-8 are replaced.
///
/// # Errors
/// Those of open(2) and read(2).
pub(crate) fn read_proc(path: &str) -> io::Result<String> {
    let mut text = [0; 1024];
    let length = File::open(path)?.read(&mut text)?;
    Ok(String::from_utf8_lossy(&text[..length]).into_owned())
}

fn last_cap() -> Result<u8> {
    const PATH: &str = "/proc/sys/kernel/cap_last_cap";
    let text = read_proc(PATH).at(Step::ProbeHost, || PATH)?;
    text.trim()
        .parse()
        .ok()
        .filter(|cap| *cap < 64)
        .ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))
        .at(Step::ProbeHost, || PATH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_can_be_probed() {
        let host = Host::probe().unwrap();
        assert!(host.kernel.major >= 4, "{:?}", host.kernel);
        assert!((36..64).contains(&host.last_cap));
        // uid_map says the same as the inode number does.
        let map = fs::read_to_string("/proc/self/uid_map").unwrap();
        let full = map.split_whitespace().eq(["0", "0", "4294967295"]);
        assert_eq!(host.initial_user_ns, full);
    }

    #[test]
    fn own_capabilities_are_those_of_proc() {
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("CapEff:")).unwrap();
        let host = Host::probe().unwrap();
        assert_eq!(host.caps, u64::from_str_radix(line.trim(), 16).unwrap());
        assert_eq!(host.has_cap(0), host.caps & 1 == 1);
        assert!(!host.has_cap(63) && !host.has_cap(200));
    }

    #[test]
    fn security_modules_are_looked_at_only_when_asked_for() {
        let spec = |process: &str| {
            let text = format!(
                r#"{{"ociVersion":"1.0.0","process":{{"cwd":"/","user":{{"uid":0,"gid":0}}{process}}}}}"#
            );
            Spec::parse(std::path::Path::new("c"), text.as_bytes()).unwrap()
        };
        assert!(!asks_for_label(&spec("")));
        assert!(!asks_for_label(&spec(r#","apparmorProfile":"""#)));
        assert!(asks_for_label(&spec(r#","apparmorProfile":"docker-default""#)));
        assert!(asks_for_label(&spec(r#","selinuxLabel":"a:b:c""#)));
    }

    #[test]
    fn profiles_that_confine_are_told_from_those_that_do_not() {
        for (current, yes) in [
            ("unconfined\n", false),
            ("podman (unconfined)\n", false),
            ("/usr/bin/x (enforce)\n", true),
            ("lxc//&outer (complain)", true),
            ("unconfined_x (enforce)\n", true),
            ("", true),
        ] {
            assert_eq!(confines(current), yes, "{current:?}");
        }
    }

    #[test]
    fn rootless_is_any_lack_of_the_hosts_root() {
        let host = Host::ideal();
        assert!(!host.rootless());
        assert!(Host { euid: 1000, ..host.clone() }.rootless());
        assert!(Host { initial_user_ns: false, ..host }.rootless());
    }
}
