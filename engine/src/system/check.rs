//! `check`: what the host lacks and what is broken on disk, each with the command that helps;
//! `--repair` does what can be done without the user. The rules about the kernel are the runtime's
//! ([`libcontainer::doctor`]).

use std::fs;
use std::path::Path;

use clap::Args;
use libcontainer::doctor::{self, Facts, Status};
use libcontainer::host::CgroupLayout;
use libcontainer::host::cgroup::{CgroupMode, Hierarchy};

use crate::Context;
use crate::cli::print;
use crate::container::litter;
use crate::error::{Error, FAILURE, Result};
use crate::net::{self, firewall};
use crate::store::Store;
use crate::volume::Volumes;

/// Flags of `check`.
#[derive(Args, Debug)]
pub struct CheckArgs {
    /// Rebuild what can be derived, remove what killed commands left
    #[arg(long)]
    repair: bool,
    /// Read every blob and compare its digest
    #[arg(long)]
    deep: bool,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Good,
    /// Something works less well.
    Less,
    /// Something does not work.
    Bad,
}

/// One line of the answer.
struct Line {
    level: Level,
    what: String,
    fix: String,
}

impl Line {
    fn good(what: impl Into<String>) -> Self {
        Self { level: Level::Good, what: what.into(), fix: String::new() }
    }

    fn less(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { level: Level::Less, what: what.into(), fix: fix.into() }
    }

    fn bad(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { level: Level::Bad, what: what.into(), fix: fix.into() }
    }

    fn text(&self) -> String {
        let word = match self.level {
            Level::Good => "ok     ",
            Level::Less => "warning",
            Level::Bad => "FAILED ",
        };
        let fix = if self.fix.is_empty() {
            String::new()
        } else {
            format!("\n          help: {}", self.fix)
        };
        format!("{word}   {}{fix}\n", self.what)
    }
}

/// Looks at host, network and disk; the exit code is 1 when something does not work.
///
/// # Errors
/// The host cannot be looked at.
pub fn check(context: &Context, args: &CheckArgs) -> Result<u8> {
    let mut lines = host(context)?;
    if !rustix::process::geteuid().is_root() {
        lines.push(Line::bad("not root", "run pier as root: sudo pier check"));
    }
    lines.extend(network(context, args.repair));
    lines.extend(disk(context, args));
    let text: String = lines.iter().map(Line::text).collect();
    print(&text)?;
    let bad = lines.iter().any(|line| line.level == Level::Bad);
    Ok(if bad { FAILURE } else { 0 })
}

/// What the runtime's rules say of kernel, cgroups, limits and rights.
fn host(context: &Context) -> Result<Vec<Line>> {
    let facts = Facts::probe(&context.paths.runtime(), false)?;
    let lines = doctor::judge(&facts).into_iter().map(|finding| {
        let level = match finding.status {
            Status::Ok | Status::Info | Status::Repaired => Level::Good,
            Status::Warn => Level::Less,
            Status::Lack | Status::Failed => Level::Bad,
        };
        Line { level, what: finding.what, fix: finding.fix.into_owned() }
    });
    Ok(lines.collect())
}

/// Whether memory and swap can be limited together.
pub(super) fn counts_swap(layout: &CgroupLayout) -> bool {
    if layout.mode == CgroupMode::Unified {
        let base = Path::new("/sys/fs/cgroup");
        let groups = fs::read_dir(base).into_iter().flatten().flatten();
        return groups.map(|entry| entry.path().join("memory.swap.max")).any(|file| file.exists());
    }
    let memory = layout.hierarchies.iter().find(|h| h.controllers.iter().any(|c| c == "memory"));
    memory.is_some_and(|h| h.mount.join("memory.memsw.limit_in_bytes").exists())
}

/// The controllers of all hierarchies; v2 lists its own in a file.
pub(super) fn controllers(layout: &CgroupLayout) -> Vec<String> {
    let listed = |hierarchy: &Hierarchy| {
        let file = hierarchy.mount.join("cgroup.controllers");
        let words = fs::read_to_string(file).unwrap_or_default();
        words.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let hierarchies = layout.hierarchies.iter();
    hierarchies.flat_map(|h| if h.is_v2() { listed(h) } else { h.controllers.clone() }).collect()
}

fn network(context: &Context, repair: bool) -> Vec<Line> {
    let mut lines = Vec::new();
    let nft = ["/usr/sbin", "/sbin", "/usr/bin", "/usr/local/sbin"]
        .iter()
        .any(|directory| Path::new(directory).join("nft").exists());
    lines.push(if nft {
        Line::good("nft")
    } else {
        Line::bad("nft is not installed: no bridge network", "apt install nftables (or dnf, apk)")
    });
    let network = match net::network::Network::load(&context.paths) {
        Ok(network) => network,
        Err(error) => {
            lines.push(failure(&error));
            return lines;
        }
    };
    lines.push(match firewall::exists(&network) {
        Ok(true) => Line::good(format!("bridge {} is up, {}", network.bridge, network.subnet)),
        Ok(false) => Line::good(format!(
            "bridge {} will be made by the first container, {}",
            network.bridge, network.subnet
        )),
        Err(error) => failure(&error),
    });
    if let Some(other) = net::overlapping(&network) {
        lines.push(Line::bad(
            format!("a route of the host to {other} overlaps the bridge's {}", network.subnet),
            format!(
                "change subnet and gateway in {} while no container runs",
                context.paths.networks().join("bridge.json").display()
            ),
        ));
    }
    lines.extend(dropping(&network.bridge, repair));
    if Path::new("/run/firewalld").exists() {
        lines.push(Line::less(
            "firewalld is active and may drop what goes through the bridge",
            format!("firewall-cmd --permanent --zone=trusted --add-interface={} && firewall-cmd --reload", network.bridge),
        ));
    }
    lines
}

/// Docker's FORWARD chain with policy DROP.
fn dropping(bridge: &str, repair: bool) -> Option<Line> {
    let chain = firewall::dropping()?;
    let words = "iptables drops what is forwarded (Docker sets that)";
    Some(if chain.admits(bridge) || (repair && chain.admit(bridge)) {
        Line::good(format!("{words}, and lets {bridge} through"))
    } else {
        Line::bad(format!("{words}: containers reach nothing outside"), chain.command(bridge))
    })
}

fn failure(error: &Error) -> Line {
    Line::bad(error.to_string(), error.fix.clone().unwrap_or_default())
}

fn disk(context: &Context, args: &CheckArgs) -> Vec<Line> {
    let mut lines = Vec::new();
    let store = Store::open(&context.paths);
    let found =
        store.and_then(
            |store| {
                if args.repair { store.repair(args.deep) } else { store.check(args.deep) }
            },
        );
    match found {
        Err(error) => lines.push(failure(&error)),
        Ok(found) if found.is_empty() => lines.push(Line::good("images")),
        Ok(found) => lines.extend(found.into_iter().map(|finding| {
            if args.repair {
                Line::good(format!("{}: {}", finding.what, finding.remedy))
            } else {
                Line::bad(finding.what, format!("pier check --repair: {}", finding.remedy))
            }
        })),
    }
    lines.extend(containers(context, args.repair));
    if args.repair {
        for (what, swept) in [
            ("networks", net::sweep(&context.paths)),
            ("volumes", Volumes::of(&context.paths).sweep()),
        ] {
            match swept {
                Err(error) => lines.push(failure(&error)),
                Ok(swept) if swept.is_empty() => lines.push(Line::good(what)),
                Ok(swept) => {
                    lines.extend(
                        swept.iter().map(|line| Line::good(format!("{what}: removed {line}"))),
                    );
                }
            }
        }
        return lines;
    }
    lines.push(match net::leftovers(&context.paths) {
        Ok(0) => Line::good("networks"),
        Ok(count) => Line::less(
            format!("{count} containers whose monitor died have addresses and ports still"),
            "pier check --repair",
        ),
        Err(error) => failure(&error),
    });
    lines.push(match Volumes::of(&context.paths).all() {
        Ok(_) => Line::good("volumes"),
        Err(error) => failure(&error),
    });
    lines
}

/// Containers whose files are damaged, names that stand for none.
fn containers(context: &Context, repair: bool) -> Vec<Line> {
    let mut lines = Vec::new();
    if repair {
        match litter::repair(context) {
            Err(error) => lines.push(failure(&error)),
            Ok(done) => lines
                .extend(done.iter().map(|line| Line::good(format!("containers: repaired {line}")))),
        }
    }
    match litter::damaged(context) {
        Err(error) => lines.push(failure(&error)),
        Ok(damaged) => lines.extend(damaged.iter().map(failure)),
    }
    let wrong = litter::wrong_names(&context.paths).unwrap_or_default();
    lines.extend(wrong.iter().map(|(name, _)| {
        Line::less(format!("the name {name} stands for no container"), "pier check --repair")
    }));
    if lines.is_empty() {
        lines.push(Line::good("containers"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_what_helps() {
        let line = Line::bad("nft is not installed", "apt install nftables").text();
        assert_eq!(line, "FAILED    nft is not installed\n          help: apt install nftables\n");
        assert_eq!(Line::good("nft").text(), "ok        nft\n");
    }
}
