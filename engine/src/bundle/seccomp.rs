//! The system call filter: the default one, and profiles in Docker's form.
//!
//! Docker's profiles say for which capabilities, architectures and kernels a rule holds; an OCI
//! configuration cannot. [`resolve`] decides that. The default list is what Docker's own profile
//! comes to for a container without capabilities (`seccomp_calls.txt`, taken from what a running
//! dockerd hands to its runtime, with the calls of later kernels that are as harmless) and what
//! each capability adds to it.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::{Error, Result};

/// Always allowed.
const CALLS: &str = include_str!("seccomp_calls.txt");

/// Allowed with a capability.
const BY_CAPABILITY: [(&str, &str); 13] = [
    ("CAP_DAC_READ_SEARCH", "open_by_handle_at"),
    (
        "CAP_SYS_ADMIN",
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount \
         mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname \
         sethostname setns syslog umount umount2 unshare",
    ),
    ("CAP_SYS_BOOT", "reboot"),
    ("CAP_SYS_CHROOT", "chroot"),
    ("CAP_SYS_MODULE", "delete_module finit_module init_module"),
    ("CAP_SYS_PACCT", "acct"),
    ("CAP_SYS_PTRACE", "kcmp pidfd_getfd process_madvise"),
    ("CAP_SYS_RAWIO", "ioperm iopl"),
    ("CAP_SYS_TIME", "clock_settime clock_settime64 settimeofday stime"),
    ("CAP_SYS_TTY_CONFIG", "vhangup"),
    ("CAP_SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    ("CAP_SYSLOG", "syslog"),
    ("CAP_BPF", "bpf"),
];

/// Execution domains that personality(2) may set: Linux, and 32-bit views of it.
const PERSONALITIES: [u32; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];
/// Flags of clone(2) that make namespaces.
const NEW_NAMESPACES: u32 = 0x7e02_0000;
/// Address family of virtual machine sockets, which no namespace confines.
const AF_VSOCK: u32 = 40;

/// The machine that a filter is for.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// As Rust names it: `x86_64`.
    pub arch: String,
    /// Release of the kernel: 6, 18.
    pub kernel: (u32, u32),
}

impl Machine {
    /// This one.
    pub fn current() -> Self {
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().ok());
        let mut number = || numbers.next().flatten().unwrap_or(0);
        Self { arch: std::env::consts::ARCH.into(), kernel: (number(), number()) }
    }

    /// Native and compatible architectures, as a configuration names them.
    fn native(&self) -> &'static [&'static str] {
        match self.arch.as_str() {
            "x86_64" => &["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
            "aarch64" => &["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
            "riscv64" => &["SCMP_ARCH_RISCV64"],
            "s390x" => &["SCMP_ARCH_S390X", "SCMP_ARCH_S390"],
            "powerpc64" => &["SCMP_ARCH_PPC64LE"],
            "loongarch64" => &["SCMP_ARCH_LOONGARCH64"],
            _ => &[],
        }
    }

    /// As Docker's profiles name it in `includes.arches`.
    fn docker_name(&self) -> &str {
        match self.arch.as_str() {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "powerpc64" => "ppc64le",
            other => other,
        }
    }
}

/// `linux.seccomp` of a container with these capabilities.
pub fn default(caps: &[&str], machine: &Machine) -> Value {
    let has = |cap: &str| caps.contains(&cap);
    let mut names: Vec<&str> = CALLS.split_whitespace().collect();
    for (cap, calls) in BY_CAPABILITY {
        if has(cap) {
            names.extend(calls.split(' ').filter(|call| !call.is_empty()));
        }
    }
    match machine.arch.as_str() {
        "aarch64" => names.extend([
            "arm_fadvise64_64",
            "arm_sync_file_range",
            "breakpoint",
            "cacheflush",
            "set_tls",
            "sync_file_range2",
        ]),
        "powerpc64" => names.push("sync_file_range2"),
        "riscv64" => names.extend(["riscv_flush_icache", "riscv_hwprobe"]),
        "s390x" => {
            names.extend(["s390_pci_mmio_read", "s390_pci_mmio_write", "s390_runtime_instr"]);
        }
        _ => names.extend(["arch_prctl", "modify_ldt"]),
    }
    names.sort_unstable();
    names.dedup();
    let argument = |name: &str, index: u32, value: u32, op: &str| {
        json!({ "names": [name], "action": "SCMP_ACT_ALLOW",
                "args": [{ "index": index, "value": value, "op": op }] })
    };
    let mut rules = vec![
        json!({ "names": names, "action": "SCMP_ACT_ALLOW" }),
        argument("socket", 0, AF_VSOCK, "SCMP_CMP_NE"),
    ];
    rules.extend(PERSONALITIES.map(|domain| argument("personality", 0, domain, "SCMP_CMP_EQ")));
    if !has("CAP_SYS_ADMIN") {
        // s390 has clone's flags behind the stack.
        let index = u32::from(machine.arch == "s390x");
        let mut clone = argument("clone", index, NEW_NAMESPACES, "SCMP_CMP_MASKED_EQ");
        clone["args"][0]["valueTwo"] = 0.into();
        rules.push(clone);
        // Its flags are in memory, where a filter cannot look: C libraries fall back to clone.
        let missing = libc::ENOSYS;
        rules.push(json!({ "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": missing }));
    }
    json!({
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": libc::EPERM,
        "architectures": machine.native(), "syscalls": rules,
    })
}

/// A profile in Docker's form.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "camelCase")]
struct Profile {
    default_action: String,
    default_errno_ret: Option<u32>,
    #[serde(default)]
    architectures: Vec<String>,
    #[serde(default)]
    arch_map: Vec<ArchMap>,
    #[serde(default)]
    flags: Vec<String>,
    listener_path: Option<String>,
    listener_metadata: Option<String>,
    #[serde(default)]
    syscalls: Vec<Rule>,
}

#[derive(Deserialize, Debug)]
#[serde(rename_all = "camelCase")]
struct ArchMap {
    architecture: String,
    #[serde(default)]
    sub_architectures: Vec<String>,
}

#[derive(Deserialize, Debug)]
#[serde(rename_all = "camelCase")]
struct Rule {
    name: Option<String>,
    #[serde(default)]
    names: Vec<String>,
    action: String,
    errno_ret: Option<u32>,
    #[serde(default)]
    args: Option<Vec<Value>>,
    #[serde(default)]
    includes: Condition,
    #[serde(default)]
    excludes: Condition,
}

#[derive(Deserialize, Debug, Default)]
#[serde(rename_all = "camelCase")]
struct Condition {
    #[serde(default)]
    caps: Vec<String>,
    #[serde(default)]
    arches: Vec<String>,
    min_kernel: Option<Release>,
}

/// `MAJOR.MINOR` of a kernel.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Release(u32, u32);

impl Release {
    fn is_reached(self, machine: &Machine) -> bool {
        machine.kernel >= (self.0, self.1)
    }
}

impl TryFrom<String> for Release {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        let numbers = text
            .split_once('.')
            .and_then(|(major, minor)| Some(Self(major.parse().ok()?, minor.parse().ok()?)));
        numbers.ok_or_else(|| format!("minKernel '{text}' is not MAJOR.MINOR"))
    }
}

/// `linux.seccomp` from the text of a profile.
///
/// # Errors
/// No profile; `architectures` and `archMap` both; a rule with `name` and `names`.
pub fn resolve(text: &[u8], caps: &[&str], machine: &Machine) -> Result<Value> {
    let bad = |why: String| Error::new("cannot read the seccomp profile").why(why);
    let profile: Profile = serde_json::from_slice(text).map_err(|error| bad(error.to_string()))?;
    if !profile.architectures.is_empty() && !profile.arch_map.is_empty() {
        return Err(bad("use either architectures or archMap".into()));
    }
    let mut arches = profile.architectures;
    for map in profile.arch_map {
        if machine.native().first() == Some(&map.architecture.as_str()) {
            arches.push(map.architecture);
            arches.extend(map.sub_architectures);
        }
    }
    let mut rules = Vec::new();
    for mut rule in profile.syscalls {
        match (rule.name.take(), rule.names.is_empty()) {
            (Some(name), true) => rule.names.push(name),
            (Some(_), false) => return Err(bad("use either name or names in a rule".into())),
            (None, _) => {}
        }
        if rule.includes.holds(caps, machine, true) && !rule.excludes.excludes(caps, machine) {
            rules.push(rule.plain());
        }
    }
    let mut out = json!({
        "defaultAction": profile.default_action, "architectures": arches, "syscalls": rules,
    });
    let optional = [
        ("defaultErrnoRet", profile.default_errno_ret.map(Value::from)),
        ("flags", (!profile.flags.is_empty()).then(|| profile.flags.into())),
        ("listenerPath", profile.listener_path.map(Value::from)),
        ("listenerMetadata", profile.listener_metadata.map(Value::from)),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            out[name] = value;
        }
    }
    Ok(out)
}

impl Condition {
    /// Whether all of it is true; `empty` is the answer when nothing is said.
    fn holds(&self, caps: &[&str], machine: &Machine, empty: bool) -> bool {
        if self.caps.is_empty() && self.arches.is_empty() && self.min_kernel.is_none() {
            return empty;
        }
        self.caps.iter().all(|cap| caps.contains(&cap.as_str()))
            && (self.arches.is_empty() || self.arches.iter().any(|a| a == machine.docker_name()))
            && self.min_kernel.is_none_or(|least| least.is_reached(machine))
    }

    /// Whether any of it is true.
    fn excludes(&self, caps: &[&str], machine: &Machine) -> bool {
        self.caps.iter().any(|cap| caps.contains(&cap.as_str()))
            || self.arches.iter().any(|arch| arch == machine.docker_name())
            || self.min_kernel.is_some_and(|least| least.is_reached(machine))
    }
}

impl Rule {
    fn plain(self) -> Value {
        let mut rule = json!({ "names": self.names, "action": self.action });
        if let Some(args) = self.args.filter(|args| !args.is_empty()) {
            rule["args"] = args.into();
        }
        if let Some(errno) = self.errno_ret {
            rule["errnoRet"] = errno.into();
        }
        rule
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine { arch: "x86_64".into(), kernel: (6, 1) }
    }

    fn allows(filter: &Value, call: &str) -> bool {
        let rules = filter["syscalls"].as_array().unwrap();
        rules.iter().any(|rule| {
            rule["action"] == "SCMP_ACT_ALLOW"
                && rule.get("args").is_none()
                && rule["names"].as_array().unwrap().iter().any(|name| name == call)
        })
    }

    #[test]
    fn capabilities_open_their_calls() {
        let plain = default(&super::super::caps::DEFAULT, &machine());
        assert!(allows(&plain, "chroot") && allows(&plain, "read"));
        for call in ["mount", "clone3", "bpf", "reboot", "keyctl", "io_uring_setup", "socket"] {
            assert!(!allows(&plain, call), "{call}");
        }
        let admin = default(&["CAP_SYS_ADMIN"], &machine());
        assert!(allows(&admin, "mount") && allows(&admin, "clone3") && !allows(&admin, "chroot"));
    }

    #[test]
    fn a_profile_is_resolved_for_caps_arch_and_kernel() {
        let text = br#"{"defaultAction":"SCMP_ACT_ERRNO","archMap":[
            {"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86"]},
            {"architecture":"SCMP_ARCH_AARCH64"}],"syscalls":[
            {"names":["a"],"action":"SCMP_ACT_ALLOW","includes":{"caps":["CAP_BPF"]}},
            {"names":["b"],"action":"SCMP_ACT_ALLOW","excludes":{"caps":["CAP_BPF"]}},
            {"name":"c","action":"SCMP_ACT_ALLOW","includes":{"minKernel":"6.2"}},
            {"name":"d","action":"SCMP_ACT_ALLOW","includes":{"arches":["amd64","x32"]},"args":null}]}"#;
        let filter = resolve(text, &[], &machine()).unwrap();
        assert_eq!(filter["architectures"], json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]));
        let names: Vec<_> =
            filter["syscalls"].as_array().unwrap().iter().map(|r| r["names"][0].clone()).collect();
        assert_eq!(names, ["b", "d"]);
        let filter =
            resolve(text, &["CAP_BPF"], &Machine { kernel: (6, 10), ..machine() }).unwrap();
        assert!(allows(&filter, "a") && !allows(&filter, "b") && allows(&filter, "c"));
    }

    #[test]
    fn a_broken_profile_is_refused() {
        assert!(resolve(b"{}", &[], &machine()).is_err());
        let both = br#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
            {"name":"a","names":["b"],"action":"SCMP_ACT_ERRNO"}]}"#;
        assert!(resolve(both, &[], &machine()).is_err());
        let release = br#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
            {"names":["b"],"action":"SCMP_ACT_ERRNO","includes":{"minKernel":"new"}}]}"#;
        let error = resolve(release, &[], &machine()).unwrap_err().to_string();
        assert!(error.contains("minKernel 'new' is not MAJOR.MINOR"), "{error}");
    }
}
