//! Writes the words: one loop, which knows no controller.

use std::io;
use std::path::{Path, PathBuf};

use super::fs::{Dir, is_gone};
use super::journal::Journal;
use crate::error::{Error, Result, Step};
use crate::host::cgroup::CgroupMode;
use crate::plan::cgroup::{CgroupPlan, Missing, UsageCheck, Write};

/// Writes every word of the plan into its directory; `journal` gets what stood there before.
///
/// # Errors
/// The first word that cannot be written: field, file, value and, where it can be found out, the
/// reason.
pub(super) fn words(
    plan: &CgroupPlan,
    dirs: &[Option<Dir>],
    mut journal: Option<&mut Journal>,
) -> Result<()> {
    if let (Some(check), Some(Some(dir))) = (plan.usage_check, dirs.first()) {
        check_usage(dir, check)?;
    }
    let mut again = Vec::new();
    for word in &plan.writes {
        // A directory that could be done without has no words, see `make::may_lack`.
        let Some(Some(dir)) = dirs.get(word.dir) else { continue };
        match write(dir, word, journal.as_deref_mut()) {
            // The neighbour it disagrees with is written later.
            Err(e) if word.retry && e.raw_os_error() == Some(libc::EINVAL) => again.push(word),
            other => other.map_err(|e| explain(plan, dir, word, e))?,
        }
    }
    for word in again {
        if let Some(Some(dir)) = dirs.get(word.dir) {
            write(dir, word, journal.as_deref_mut()).map_err(|e| explain(plan, dir, word, e))?;
        }
    }
    Ok(())
}

fn write(dir: &Dir, word: &Write, journal: Option<&mut Journal>) -> io::Result<()> {
    if let Some(journal) = journal {
        journal.note((word.dir, dir), &word.file, &word.value);
        if let Missing::Instead { file, value } = &word.missing {
            journal.note((word.dir, dir), file, value);
        }
    }
    let unusable =
        |e: &io::Error| matches!(e.raw_os_error(), Some(libc::ENOENT | libc::EOPNOTSUPP));
    match (dir.write(&word.file, &word.value), &word.missing) {
        (Err(e), Missing::Skip) if unusable(&e) => Ok(()),
        (Err(e), Missing::Instead { file, value }) if is_gone(&e) => {
            match dir.write(file, value) {
                // Neither is there: the usual name is the one to report.
                Err(second) if is_gone(&second) => Err(e),
                other => other,
            }
        }
        (result, _) => result,
    }
}

/// `memory.checkBeforeUpdate`: v2 answers a limit below the usage by killing.
fn check_usage(dir: &Dir, check: UsageCheck) -> Result<()> {
    // Best effort, as a new cgroup without the controller has no usage either.
    let Ok(Some(usage)) = dir.number("memory.current") else { return Ok(()) };
    for (name, field, limit) in [
        ("memory+swap", "linux.resources.memory.swap", check.swap),
        ("memory", "linux.resources.memory.limit", check.limit),
    ] {
        if let Some(limit) = limit.filter(|limit| *limit <= usage) {
            let words = format!("rejecting {name} limit {limit} <= usage {usage}");
            return Err(Error::rule(Step::Cgroup, field, words));
        }
    }
    Ok(())
}

/// What a refused word means.
fn explain(plan: &CgroupPlan, dir: &Dir, word: &Write, error: io::Error) -> Error {
    let at = plan.dirs[word.dir].host_dir();
    let errno = error.raw_os_error();
    if errno == Some(libc::EBUSY) && word.file == "memory.limit_in_bytes" {
        let number = |name| dir.number(name).ok().flatten().unwrap_or_default();
        let (usage, peak) = (number("memory.usage_in_bytes"), number("memory.max_usage_in_bytes"));
        let words = format!(
            "unable to set memory limit to {} (current usage: {usage}, peak usage: {peak})",
            word.value
        );
        return Error::rule(Step::Cgroup, &word.field, words);
    }
    let missing = matches!(errno, Some(libc::ENOENT | libc::EPERM | libc::EACCES));
    if missing && plan.mode == CgroupMode::Unified && !word.controller.is_empty() {
        let has = dir.read("cgroup.controllers").unwrap_or_default();
        if !has.split_whitespace().any(|c| c == word.controller) {
            return no_controller(plan, word);
        }
    }
    let on = format!("{}: write {:?} to {}/{}", word.field, word.value, at.display(), word.file);
    let error = Error::io(Step::Cgroup, on, error);
    match (errno, hint(word)) {
        (_, Some(hint)) => error.hint(hint),
        (Some(libc::ENOENT), _) => error.hint("this kernel has no such limit"),
        _ => error,
    }
}

fn hint(word: &Write) -> Option<&'static str> {
    Some(match &*word.file {
        "blkio.leaf_weight" | "blkio.leaf_weight_device" => {
            "leaf weights went away with the CFQ scheduler in Linux 5.0: leave leafWeight out"
        }
        "blkio.weight" | "blkio.weight_device" | "io.bfq.weight" => {
            "weights need the BFQ scheduler (CONFIG_BFQ_GROUP_IOSCHED), or iocost on v2"
        }
        "memory.use_hierarchy" => {
            "since Linux 5.11 every memory cgroup is hierarchical: leave useHierarchy out"
        }
        "memory.memsw.limit_in_bytes" | "memory.swap.max" => {
            "swap is accounted with CONFIG_SWAP and without the boot option swapaccount=0"
        }
        "cpu.rt_runtime_us" | "cpu.rt_period_us" => {
            "realtime groups need CONFIG_RT_GROUP_SCHED, and every cgroup above needs the runtime"
        }
        "misc.max" => {
            "a resource that this kernel has, and a number or max: misc.capacity in the root of the \
             hierarchy lists them"
        }
        _ => return None,
    })
}

/// Without the slash that joining nothing leaves.
fn dir_name(mount: &Path, path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() { mount.to_owned() } else { mount.join(path) }
}

/// systemd hands users what the units of their managers say.
const USERS: &str = "have root write `[Service]` and `Delegate=cpu cpuset io memory pids` to \
    /etc/systemd/system/user@.service.d/delegate.conf, then `systemctl daemon-reload`, and log in anew";

/// Why the container's v2 directory lacks a controller, found where it got lost.
fn no_controller(plan: &CgroupPlan, word: &Write) -> Error {
    let lost = || -> io::Result<(String, &'static str)> {
        let place = &plan.dirs[word.dir];
        let has = |text: String| text.split_whitespace().any(|c| c == word.controller);
        let mount = Dir::mount(&place.mount)?;
        if !has(mount.read("cgroup.controllers")?) {
            return Ok((
                format!("controller {:?} is not available on this host", word.controller),
                "it may be in use by a v1 hierarchy, off at boot, or not in this kernel",
            ));
        }
        for above in place.path.ancestors().skip(1).collect::<Vec<_>>().into_iter().rev() {
            let dir = match above.as_os_str().is_empty() {
                true => mount.dir(c".")?,
                false => mount.dir(&super::fs::text(above)?)?,
            };
            if has(dir.read("cgroup.subtree_control")?) {
                continue;
            }
            let name = dir_name(&place.mount, above);
            let processes = dir.processes().is_ok_and(|p| !p.is_empty());
            return Ok(if processes {
                (
                    format!(
                        "controller {:?} is not available: {} has processes of its own, so it \
                         hands no controllers down",
                        word.controller,
                        name.display()
                    ),
                    "v2 allows processes only in the leaves of the tree: move them into a \
                     sub-cgroup, or choose another cgroupsPath",
                )
            } else {
                (
                    format!(
                        "controller {:?} is not available: {} does not hand it down",
                        word.controller,
                        name.display()
                    ),
                    match above.ancestors().any(|a| a.to_string_lossy().contains("/user-")) {
                        true => USERS,
                        false => "write it to cgroup.subtree_control there (systemd: Delegate=yes)",
                    },
                )
            });
        }
        Err(io::Error::from_raw_os_error(libc::ENOENT))
    };
    let (words, hint) = lost().unwrap_or_else(|_| {
        (format!("controller {:?} is not available", word.controller), "check cgroup.controllers")
    });
    Error::rule(Step::Cgroup, format!("{} ({})", word.field, word.file), words).hint(hint)
}
