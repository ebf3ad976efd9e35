//! `info`: counts, drivers and the host, in Docker's shape.

use std::fmt::Write as _;
use std::fs;

use clap::Args;
use libcontainer::Host;
use libcontainer::host::cgroup::CgroupMode;
use procfs::Current as _;
use serde_json::{Value as Json, json};

use super::containers;
use super::version::VERSION;
use crate::Context;
use crate::cli::print;
use crate::error::Result;
use crate::format::{self, size};
use crate::store::Store;

/// Flags of `info`.
#[derive(Args, Debug)]
pub struct InfoArgs {
    /// Print by a Go template, or json
    #[arg(short, long)]
    format: Option<String>,
}

/// Prints it.
///
/// # Errors
/// The host cannot be looked at; a template that cannot be understood.
pub fn info(context: &Context, args: &InfoArgs) -> Result<u8> {
    let facts = facts(context)?;
    if args.format.is_some() {
        return print(&format::one(&facts, args.format.as_deref())?).map(|()| 0);
    }
    print(&text(&facts))?;
    Ok(0)
}

/// The kernel's release.
pub(super) fn kernel() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// A value of `/etc/os-release`.
fn operating_system() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(|| "Linux".to_owned(), |name| name.trim_matches('"').to_owned())
}

/// Bytes of memory (`/proc/meminfo`).
fn memory() -> u64 {
    procfs::Meminfo::current().map_or(0, |memory| memory.mem_total)
}

/// What the host lacks, in the words that Docker warns with.
fn warnings(host: &Host) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut lacks = |missing: bool, words: &str| {
        if missing {
            warnings.push(format!("WARNING: {words}"));
        }
    };
    let all = super::check::controllers(&host.cgroup);
    let has = |controller: &str| all.iter().any(|c| c == controller);
    lacks(!has("memory"), "No memory limit support");
    lacks(has("memory") && !super::check::counts_swap(&host.cgroup), "No swap limit support");
    lacks(!has("cpu"), "No cpu shares support");
    lacks(!has("cpuset"), "No cpuset support");
    lacks(!has("pids"), "No pids limit support");
    lacks(!has("io") && !has("blkio"), "No blkio throttle support");
    let forward = fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap_or_default();
    lacks(forward.trim() == "0", "IPv4 forwarding is disabled");
    warnings
}

fn facts(context: &Context) -> Result<Json> {
    let host = Host::probe()?;
    let containers = containers::all(&context.paths)?;
    let count = |status: &str| containers.iter().filter(|seen| seen.status() == status).count();
    let running = count("running") + count("restarting");
    let version = if host.cgroup.mode == CgroupMode::Unified { "2" } else { "1" };
    let mut security = vec!["name=seccomp,profile=builtin".to_owned()];
    security.extend(host.lsm.apparmor.then(|| "name=apparmor".to_owned()));
    security.extend(host.lsm.selinux.then(|| "name=selinux".to_owned()));
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let uname = rustix::system::uname();
    Ok(json!({
        "Containers": containers.len(),
        "ContainersRunning": running,
        "ContainersPaused": count("paused"),
        "ContainersStopped": count("exited") + count("created"),
        "Images": Store::open(&context.paths)?.images()?.len(),
        "Driver": "overlay",
        "LoggingDriver": "json-file",
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": version,
        "Plugins": { "Volume": ["local"], "Network": ["bridge", "host", "null"], "Log": ["json-file", "none"] },
        "Runtimes": { "corten": { "path": "built in" } },
        "DefaultRuntime": "corten",
        "SecurityOptions": security,
        "KernelVersion": kernel(),
        "OperatingSystem": operating_system(),
        "OSType": "linux",
        "Architecture": uname.machine().to_string_lossy(),
        "NCPU": cpus,
        "MemTotal": memory(),
        "DockerRootDir": context.paths.root,
        "Name": uname.nodename().to_string_lossy(),
        "ServerVersion": VERSION,
        "Warnings": warnings(&host),
    }))
}

fn text(facts: &Json) -> String {
    let word = |key: &str| match &facts[key] {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    let list = |value: &Json| {
        let words = value.as_array().into_iter().flatten().filter_map(Json::as_str);
        words.collect::<Vec<_>>().join(" ")
    };
    let memory = size::binary(facts["MemTotal"].as_u64().unwrap_or_default());
    let mut out = format!(
        "Containers: {}\n Running: {}\n Paused: {}\n Stopped: {}\nImages: {}\n",
        word("Containers"),
        word("ContainersRunning"),
        word("ContainersPaused"),
        word("ContainersStopped"),
        word("Images")
    );
    let mut line = |title: &str, value: String| {
        let _ = writeln!(out, "{title}: {value}");
    };
    line("Server Version", word("ServerVersion"));
    line("Storage Driver", word("Driver"));
    line("Logging Driver", word("LoggingDriver"));
    line("Cgroup Driver", word("CgroupDriver"));
    line("Cgroup Version", word("CgroupVersion"));
    line("Plugins", String::new());
    for kind in ["Volume", "Network", "Log"] {
        line(&format!(" {kind}"), list(&facts["Plugins"][kind]));
    }
    line("Default Runtime", word("DefaultRuntime"));
    line("Security Options", list(&facts["SecurityOptions"]));
    line("Kernel Version", word("KernelVersion"));
    line("Operating System", word("OperatingSystem"));
    line("OSType", word("OSType"));
    line("Architecture", word("Architecture"));
    line("CPUs", word("NCPU"));
    line("Total Memory", memory);
    line("Name", word("Name"));
    line("Docker Root Dir", word("DockerRootDir"));
    for warning in facts["Warnings"].as_array().into_iter().flatten().filter_map(Json::as_str) {
        let _ = writeln!(out, "{warning}");
    }
    out
}
