//! Puts a container into a class of the `resctrl` file system (cache and memory bandwidth).
//!
//! Decided by [`plan::intel_rdt`](crate::plan::intel_rdt). The order of use is that of cgroups:
//! [`Resctrl::create`] before the process, [`Resctrl::place`] once it exists and before it runs
//! the container's program, [`Resctrl::remove`] when it is gone.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{At, Error, Result, Step};
use crate::plan::intel_rdt::{IntelRdtPlan, agrees};

/// Magic of the file system (`RDTGROUP_SUPER_MAGIC`).
const MAGIC: i64 = 0x0765_5821;
/// Where it is mounted unless an administrator chose otherwise.
const USUAL: &str = "/sys/fs/resctrl";

/// The class of one container; also what its state remembers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resctrl {
    /// Directory of the class.
    class: PathBuf,
    /// It is ours to remove: made by us, under the container's id.
    ours: bool,
    /// Directory of the monitoring group.
    monitor: Option<PathBuf>,
}

impl Resctrl {
    /// Makes the class, or finds it, and writes its schemas.
    ///
    /// # Errors
    /// `resctrl` is not mounted, the named class is missing or says something else than the
    /// bundle, or the kernel refuses a schema (its own words are in the hint). What was made is
    /// removed again.
    pub fn create(plan: &IntelRdtPlan) -> Result<Self> {
        Self::create_below(&mount_point()?, plan)
    }

    fn create_below(root: &Path, plan: &IntelRdtPlan) -> Result<Self> {
        supports(root, plan)?;
        let class = if plan.class.is_empty() { root.to_owned() } else { root.join(&plan.class) };
        let made = match fs::create_dir(&class) {
            _ if plan.must_exist() && !class.is_dir() => {
                // Someone was to prepare it; an empty one made by us would limit nothing.
                return Err(Error::rule(
                    Step::IntelRdt,
                    class.display(),
                    "clos dir not accessible (must be pre-created when schemata, l3CacheSchema \
                     and memBwSchema are empty)",
                ));
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => false,
            made => made.map(|()| true).map_err(|e| said(root, &class, e))?,
        };
        let this = Self { ours: made && !plan.named, class, monitor: None };
        let mut this = Undo { resctrl: this, made, armed: true };
        this.resctrl.fill(root, plan, made)?;
        this.armed = false;
        Ok(this.resctrl.clone())
    }

    fn fill(&mut self, root: &Path, plan: &IntelRdtPlan, made: bool) -> Result<()> {
        let file = self.class.join("schemata");
        let mut text = String::new();
        if made {
            plan.checked.iter().for_each(|line| text.extend([line, "\n"]));
        } else if !plan.checked.is_empty() {
            let current = fs::read_to_string(&file).at(Step::IntelRdt, || file.display())?;
            if let Some(line) = plan.checked.iter().find(|line| !agrees(&current, line)) {
                return Err(Error::rule(
                    Step::IntelRdt,
                    self.class.display(),
                    format!("the class exists and does not say {line:?}"),
                )
                .hint("containers of one class share its schemas: choose another closID"));
            }
        }
        plan.lines.iter().for_each(|line| text.extend([line, "\n"]));
        if !text.is_empty() {
            fs::write(&file, &text).map_err(|e| said(root, &file, e))?;
        }
        if let Some(name) = &plan.monitor {
            let dir = self.class.join("mon_groups").join(name);
            match fs::create_dir(&dir) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(said(root, &dir, e));
                }
                _ => self.monitor = Some(dir),
            }
        }
        Ok(())
    }

    /// Moves a process into the class, and into its monitoring group.
    ///
    /// # Errors
    /// `ESRCH` when there is no such process; what the kernel says otherwise.
    pub fn place(&self, pid: i32) -> Result<()> {
        for dir in [Some(&self.class), self.monitor.as_ref()].into_iter().flatten() {
            let tasks = dir.join("tasks");
            fs::write(&tasks, pid.to_string()).at(Step::IntelRdt, || tasks.display())?;
        }
        Ok(())
    }

    /// Removes what was made for this container alone.
    ///
    /// # Errors
    /// Those of `rmdir(2)`, except that it is gone already.
    pub fn remove(&self) -> Result<()> {
        let monitor = self.monitor.as_ref();
        let class = self.ours.then_some(&self.class);
        for dir in [monitor, class].into_iter().flatten() {
            match fs::remove_dir(dir) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(e).at(Step::IntelRdt, || dir.display());
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Takes back what [`Resctrl::create`] made when it fails half way.
struct Undo {
    resctrl: Resctrl,
    made: bool,
    armed: bool,
}

impl Drop for Undo {
    fn drop(&mut self) {
        if self.armed {
            // A named class that we have just made is nobody's yet.
            self.resctrl.ours |= self.made;
            let _ = self.resctrl.remove();
        }
    }
}

fn mount_point() -> Result<PathBuf> {
    let missing = || {
        Error::rule(
            Step::IntelRdt,
            "",
            "intelRdt is specified in config, but Intel RDT is not enabled",
        )
        .hint("mount -t resctrl resctrl /sys/fs/resctrl (needs a processor with RDT or QoS)")
    };
    if nix::sys::statfs::statfs(USUAL).is_ok_and(|stat| stat.filesystem_type().0 == MAGIC) {
        return Ok(USUAL.into());
    }
    let mounts =
        fs::read_to_string("/proc/self/mountinfo").at(Step::IntelRdt, || "/proc/self/mountinfo")?;
    // Mounted elsewhere; with a blank in its name it is not found.
    let found = mounts.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        if right.split(' ').next() != Some("resctrl") { None } else { left.split(' ').nth(4) }
    });
    found.map(PathBuf::from).ok_or_else(missing)
}

/// The schema fields need the matching feature of the processor.
fn supports(root: &Path, plan: &IntelRdtPlan) -> Result<()> {
    for (start, info, field, feature) in
        [("L3", "info/L3", "l3CacheSchema", "CAT"), ("MB", "info/MB", "memBwSchema", "MBA")]
    {
        let asked = plan.checked.iter().any(|line| line.starts_with(start));
        // With code and data prioritisation the directory is called L3CODE.
        let there = root.join(info).exists() || start == "L3" && root.join("info/L3CODE").exists();
        if asked && !there {
            return Err(Error::rule(
                Step::IntelRdt,
                "",
                format!(
                    "intelRdt.{field} is specified in config, but Intel RDT/{feature} is not enabled"
                ),
            ));
        }
    }
    Ok(())
}

/// An error with the kernel's own words about the last command.
fn said(root: &Path, on: &Path, error: io::Error) -> Error {
    let status = fs::read_to_string(root.join("info/last_cmd_status")).unwrap_or_default();
    let error = Error::io(Step::IntelRdt, on.display(), error);
    match status.trim() {
        "" | "ok" => error,
        status => error.hint(format!("last_cmd_status: {status}")),
    }
}
