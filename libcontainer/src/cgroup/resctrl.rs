//! Puts a container into a class of the `resctrl` file system (cache and memory bandwidth).
//!
//! Decided by [`plan::intel_rdt`](crate::plan::intel_rdt). The order of use is that of cgroups:
//! [`Resctrl::create`] before the process, [`Resctrl::place`] once it exists and before it runs
//! the container's program, [`Resctrl::remove`] when it is gone.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::stats::IntelRdt;
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

    /// What [`Resctrl::create`] is about to make, for the record that is written before: ours will
    /// be only what is not there yet.
    pub fn intended(plan: &IntelRdtPlan) -> Option<Self> {
        mount_point().ok().map(|root| Self::intended_below(&root, plan))
    }

    fn intended_below(root: &Path, plan: &IntelRdtPlan) -> Self {
        let class = root.join(&plan.class);
        let monitor = plan.monitor.as_ref().map(|name| class.join("mon_groups").join(name));
        let ours = !plan.named && !class.exists();
        Self { ours, monitor: monitor.filter(|dir| !dir.exists()), class }
    }

    fn create_below(root: &Path, plan: &IntelRdtPlan) -> Result<Self> {
        supports(root, plan)?;
        let class = if plan.class.is_empty() { root.to_owned() } else { root.join(&plan.class) };
        if plan.must_exist() && !class.is_dir() {
            // Someone was to prepare it; an empty one made by us would limit nothing.
            return Err(Error::rule(
                Step::IntelRdt,
                class.display(),
                "clos dir not accessible (must be pre-created when schemata, l3CacheSchema and \
                 memBwSchema are empty)",
            ));
        }
        let made = match fs::create_dir(&class) {
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

    /// Writes new schemas into the class; gives back what it said before.
    ///
    /// # Errors
    /// The kernel refuses a line (its own words are in the hint); then the class is as before.
    pub fn update(&self, lines: &[String]) -> Result<String> {
        let file = self.class.join("schemata");
        let old = fs::read_to_string(&file).at(Step::IntelRdt, || file.display())?;
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        fs::write(&file, text).map_err(|error| {
            let error = said(&self.root(), &file, error);
            let _ = self.put_back(&old, lines);
            error
        })?;
        Ok(old)
    }

    /// Takes an [`Resctrl::update`] back: the lines of the same resources from `old`.
    ///
    /// # Errors
    /// Those of write(2).
    pub fn put_back(&self, old: &str, lines: &[String]) -> Result<()> {
        let file = self.class.join("schemata");
        let resource = |line: &str| line.split(':').next().unwrap_or_default().trim().to_owned();
        let same = |line: &&str| lines.iter().any(|new| resource(new) == resource(line));
        let text: String = old.lines().filter(same).map(|l| format!("{}\n", l.trim())).collect();
        fs::write(&file, text).at(Step::IntelRdt, || file.display())
    }

    /// Its numbers; those of the whole class where the container has no monitoring group.
    ///
    /// # Errors
    /// The class is gone, or says something that is no number.
    pub fn stats(&self) -> Result<IntelRdt> {
        let monitor = self.monitor.as_ref().unwrap_or(&self.class);
        let read = IntelRdt::read(&self.root(), &self.class, monitor);
        read.at(Step::IntelRdt, || format!("statistics of {}", self.class.display()))
    }

    /// Where the file system is mounted: the default class, or the directory above ours.
    fn root(&self) -> PathBuf {
        let above = self.class.parent().filter(|above| above.join("info").is_dir());
        above.unwrap_or(&self.class).to_owned()
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

/// Whether the processor can limit cache (`L3:` lines) or memory bandwidth (`MB:` lines).
pub fn can_limit(line: &str) -> bool {
    mount_point().is_ok_and(|root| has_feature(&root, line))
}

fn has_feature(root: &Path, line: &str) -> bool {
    // With code and data prioritisation the directory is called L3CODE.
    match line.starts_with("MB") {
        true => root.join("info/MB").exists(),
        false => root.join("info/L3").exists() || root.join("info/L3CODE").exists(),
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
    for (start, field, feature) in [("L3", "l3CacheSchema", "CAT"), ("MB", "memBwSchema", "MBA")] {
        let asked = plan.checked.iter().any(|line| line.starts_with(start));
        if asked && !has_feature(root, start) {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that looks like the file system; the kernel's checks are not there.
    struct Fake(PathBuf);

    impl Fake {
        fn new(name: &str) -> Self {
            let root =
                std::env::temp_dir().join(format!("corten-rdt-{}-{name}", std::process::id()));
            fs::create_dir_all(root.join("info/L3")).unwrap();
            fs::create_dir_all(root.join("gold/mon_groups")).unwrap();
            fs::write(root.join("gold/schemata"), "    MB:0=100\n    L3:0=000ff\n").unwrap();
            Self(root)
        }
    }

    impl Drop for Fake {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn plan(class: &str, named: bool, checked: &[&str], lines: &[&str]) -> IntelRdtPlan {
        let texts = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        IntelRdtPlan {
            class: class.into(),
            named,
            checked: texts(checked),
            lines: texts(lines),
            monitor: None,
        }
    }

    #[test]
    fn own_class_is_made_and_removed() {
        let fake = Fake::new("own");
        let own = plan("box", false, &["L3:0=f"], &["L2:0=3"]);
        let class = Resctrl::create_below(&fake.0, &own).unwrap();
        let dir = fake.0.join("box");
        assert_eq!(fs::read_to_string(dir.join("schemata")).unwrap(), "L3:0=f\nL2:0=3\n");
        class.place(42).unwrap();
        assert_eq!(fs::read_to_string(dir.join("tasks")).unwrap(), "42");
        // Not a real one: its files have to be removed by hand.
        fs::remove_file(dir.join("tasks")).unwrap();
        fs::remove_file(dir.join("schemata")).unwrap();
        class.remove().unwrap();
        assert!(!dir.exists());
        class.remove().unwrap();
    }

    #[test]
    fn intended_is_what_is_not_there_yet() {
        let fake = Fake::new("intended");
        let mut own = plan("box", false, &[], &[]);
        own.monitor = Some("box".into());
        let class = Resctrl::intended_below(&fake.0, &own);
        let monitor = Some(fake.0.join("box/mon_groups/box"));
        assert_eq!(class, Resctrl { class: fake.0.join("box"), ours: true, monitor });
        fs::create_dir_all(fake.0.join("box/mon_groups/box")).unwrap();
        let class = Resctrl::intended_below(&fake.0, &own);
        assert!(!class.ours && class.monitor.is_none(), "somebody else's: {class:?}");
        assert!(!Resctrl::intended_below(&fake.0, &plan("gold", true, &[], &[])).ours);
    }

    #[test]
    fn named_class_is_shared_and_stays() {
        let fake = Fake::new("named");
        let mut named = plan("gold", true, &["L3:0=ff"], &[]);
        named.monitor = Some("box".into());
        let class = Resctrl::create_below(&fake.0, &named).unwrap();
        let schemata = || fs::read_to_string(fake.0.join("gold/schemata")).unwrap();
        assert_eq!(schemata(), "    MB:0=100\n    L3:0=000ff\n", "agrees, so it is not written");
        assert!(fake.0.join("gold/mon_groups/box").is_dir());
        class.remove().unwrap();
        assert!(fake.0.join("gold").is_dir() && !fake.0.join("gold/mon_groups/box").exists());
        let other = plan("gold", true, &["L3:0=f"], &[]);
        let error = Resctrl::create_below(&fake.0, &other).unwrap_err().to_string();
        assert!(error.contains("the class exists and does not say \"L3:0=f\""), "{error}");
    }

    #[test]
    fn new_schemas_can_be_taken_back() {
        let fake = Fake::new("update");
        let class = Resctrl::create_below(&fake.0, &plan("gold", true, &["L3:0=ff"], &[])).unwrap();
        let schemata = || fs::read_to_string(fake.0.join("gold/schemata")).unwrap();
        let lines = ["L3:0=f".to_owned()];
        let old = class.update(&lines).unwrap();
        assert_eq!(schemata(), "L3:0=f\n");
        class.put_back(&old, &lines).unwrap();
        assert_eq!(schemata(), "L3:0=000ff\n", "only the line that was changed is written");
        fs::remove_dir_all(fake.0.join("gold")).unwrap();
        assert!(class.update(&lines).unwrap_err().to_string().contains("no such file"));
    }

    #[test]
    fn named_class_without_schemas_must_exist() {
        let fake = Fake::new("missing");
        assert!(Resctrl::create_below(&fake.0, &plan("gold", true, &[], &[])).is_ok());
        let error = Resctrl::create_below(&fake.0, &plan("iron", true, &[], &[])).unwrap_err();
        assert!(error.to_string().contains("must be pre-created"), "{error}");
        assert!(!fake.0.join("iron").exists());
    }

    #[test]
    fn feature_that_is_missing_is_named() {
        let fake = Fake::new("feature");
        let error =
            Resctrl::create_below(&fake.0, &plan("x", false, &["MB:0=1"], &[])).unwrap_err();
        assert!(error.to_string().contains("Intel RDT/MBA is not enabled"), "{error}");
        assert!(!fake.0.join("x").exists());
    }

    #[test]
    fn failure_half_way_leaves_nothing() {
        let fake = Fake::new("undo");
        fs::write(fake.0.join("info/last_cmd_status"), "ran out of RMIDs\n").unwrap();
        let mut half = plan("box", false, &[], &[]);
        // Its mon_groups does not exist in a fake class.
        half.monitor = Some("box".into());
        let error = Resctrl::create_below(&fake.0, &half).unwrap_err();
        assert_eq!(error.hint.as_deref(), Some("last_cmd_status: ran out of RMIDs"));
        assert!(!fake.0.join("box").exists());
    }

    #[test]
    fn host_without_it_says_so() {
        if nix::sys::statfs::statfs(USUAL).is_ok_and(|stat| stat.filesystem_type().0 == MAGIC) {
            return; // this host has it
        }
        let error = Resctrl::create(&plan("box", false, &[], &[])).unwrap_err().to_string();
        assert_eq!(error, "intelRdt is specified in config, but Intel RDT is not enabled");
    }
}
