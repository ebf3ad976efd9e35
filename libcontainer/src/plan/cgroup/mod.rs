//! Decides the container's control groups: which directories, and the words written into them.
//!
//! Pure. The words of the v1 controllers are in [`v1`], those of v2 in [`v2`]; the rules about
//! devices in [`devices`] and, as a program, in [`filter`]; the place in [`path`]. `crate::cgroup`
//! carries the plan out with one loop over directories and one over words.
//!
//! **Nothing asked for is ignored.** A resource without a place on this host is one error that
//! names the field and the reason: here when the layout says so, when writing where only the
//! kernel knows. 0 means "not set" for cpu, memory, weights and `classID`, because callers send
//! zeros for what their users left out (as runc reads them); for `pids` it is a limit.

pub mod devices;
pub mod filter;
pub mod path;
pub mod systemd;
pub mod update;
mod v1;
mod v2;

use std::borrow::Cow;

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxMemory, LinuxResources};
use serde::Serialize;

use self::devices::DeviceList;
use self::filter::Program;
pub use self::path::DirPlan;
use self::systemd::UnitPlan;
use crate::error::{Error, Result, Step};
use crate::host::Host;
use crate::host::cgroup::CgroupMode;
use crate::plan::{CgroupDriver, Options};
use crate::spec::Spec;

/// Everything about the container's control groups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CgroupPlan {
    /// How the host mounts control groups.
    pub mode: CgroupMode,
    /// One directory per hierarchy; the v2 one, where there is one, is last. Empty without
    /// cgroups.
    pub dirs: Vec<DirPlan>,
    /// The words, in the order they are written.
    pub writes: Vec<Write>,
    /// Who may use which device; `None` without cgroups.
    pub devices: Option<DevicePlan>,
    /// `memory.checkBeforeUpdate`: look at the usage first (v2; the v1 kernel does it itself).
    pub usage_check: Option<UsageCheck>,
    /// Host uid that the v2 directory is given to, so that the container can manage its own
    /// sub-cgroups (config-linux.md, "Cgroup ownership").
    pub owner: Option<u32>,
    /// Missing rights mean "no cgroup" instead of an error: rootless, no `cgroupsPath`.
    pub forgiving: bool,
    /// Missing rights to the device controller are no error: rootless.
    pub devices_optional: bool,
    /// `memory.swap`, memory and swap together: v2 keeps only what is left for swap, and an update
    /// of memory alone must know the total.
    #[serde(skip)]
    pub swap: Option<i64>,
    /// The unit that systemd makes; without it we make the directories.
    pub unit: Option<UnitPlan>,
}

/// One word for one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Write {
    /// The field of the configuration that asked for it.
    pub field: Cow<'static, str>,
    /// Index into [`CgroupPlan::dirs`].
    pub dir: usize,
    /// Controller that owns the file; empty for `cgroup.*` files.
    pub controller: Cow<'static, str>,
    /// Name in the directory; never a path.
    pub file: Cow<'static, str>,
    /// What is written, in one `write(2)` (several lines: one each).
    pub value: String,
    /// What a missing file means.
    pub missing: Missing,
    /// `EINVAL` may come from a neighbour that is written later: try again at the end.
    pub retry: bool,
}

/// What it means that a file does not exist, or that this kernel no longer uses it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// The resource cannot be limited: an error.
    Error,
    /// The same is reached without it.
    Skip,
    /// Another file does the same.
    Instead {
        /// The other file.
        file: &'static str,
        /// What it wants to hear.
        value: String,
    },
}

/// Who may use which device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DevicePlan {
    /// v1: the list and the directory of the `devices` controller.
    List {
        /// Index into [`CgroupPlan::dirs`].
        dir: usize,
        /// What the list must say.
        list: DeviceList,
    },
    /// v2: a program; `None` when every device is allowed.
    Program {
        /// The instructions.
        program: Option<Program>,
        /// Every rule only allows: without the program nothing is open that was to be closed by
        /// the bundle, so a kernel that refuses it is no error (as runc and crun do).
        only_allows: bool,
    },
}

/// Limits that must be above the current usage, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct UsageCheck {
    /// `memory.limit`.
    pub limit: Option<u64>,
    /// `memory.swap`: memory and swap together.
    pub swap: Option<u64>,
}

/// Decides the control groups of a container.
///
/// # Errors
/// A resource that this host's layout cannot limit, a value out of range, a `cgroupsPath` that
/// names the root, or no cgroup file system (which is an error only with root rights).
pub fn build(spec: &Spec, host: &Host, options: &Options) -> Result<CgroupPlan> {
    let layout = &host.cgroup;
    let rootless = options.rootless.unwrap_or_else(|| host.rootless());
    let asked = spec.oci.linux().as_ref().and_then(|l| l.cgroups_path().as_deref());
    let by_unit = options.cgroup_driver == CgroupDriver::Systemd;
    let place = match by_unit {
        true => systemd::place(asked, host, options)?,
        false => path::Place::resolve(asked, &options.id)?,
    };
    let forgiving = rootless && place.is_default();
    if options.cgroup_driver == CgroupDriver::Disabled || layout.mode == CgroupMode::Absent {
        return without(spec, options.cgroup_driver, forgiving);
    }
    let dirs = place.dirs(layout);
    let mut plan = CgroupPlan { mode: layout.mode, dirs, forgiving, ..CgroupPlan::default() };
    plan.devices_optional = rootless;
    let mut words = Words { dirs: &plan.dirs, writes: Vec::new() };
    let unified = layout.mode == CgroupMode::Unified;
    match (resources(spec), unified) {
        (Some(resources), true) => v2::resources(resources, spec.pids_limit, &mut words)?,
        (Some(resources), false) => v1::resources(resources, spec.pids_limit, &mut words)?,
        (None, _) => {}
    }
    plan.writes = words.writes;
    let memory = resources(spec).and_then(|r| r.memory().as_ref());
    plan.swap = memory.and_then(LinuxMemory::swap).filter(|swap| *swap != 0);
    let list = device_list(spec)?;
    if by_unit {
        systemd::round_quota(&mut plan.writes);
        plan.unit = Some(systemd::unit(spec, host, options, &plan, &list)?);
    }
    plan.devices = Some(device_plan(spec, &plan, list)?);
    if unified {
        plan.usage_check = resources(spec).and_then(v2::usage_check);
        plan.owner = path::owner(spec);
    }
    Ok(plan)
}

/// The remedy where no cgroup file system is mounted.
const MOUNT: &str = "`mount -t cgroup2 none /sys/fs/cgroup` mounts it; or run without cgroups: \
                     --cgroup-manager=disabled";

/// The plan of a container without any cgroup: by option, or because the host has none and we
/// have no root rights either.
fn without(spec: &Spec, driver: CgroupDriver, forgiving: bool) -> Result<CgroupPlan> {
    let why = match driver {
        CgroupDriver::Disabled => "cgroups are disabled by an option",
        CgroupDriver::Fs | CgroupDriver::Systemd => {
            "no cgroup file system is mounted at /sys/fs/cgroup"
        }
    };
    let absent = driver != CgroupDriver::Disabled;
    // What would have been written decides: bundles carry empty objects and zeros.
    let dirs = [DirPlan { controllers: vec![], mount: "".into(), path: "".into() }];
    let mut words = Words { dirs: &dirs, writes: Vec::new() };
    if let Some(resources) = resources(spec) {
        v2::resources(resources, spec.pids_limit, &mut words)?;
    }
    if let Some(first) = words.writes.first() {
        let error = Error::rule(Step::Cgroup, &first.field, format!("cannot be limited: {why}"));
        return Err(if absent { error.hint(MOUNT) } else { error });
    }
    if absent && !forgiving {
        return Err(Error::rule(Step::Cgroup, "linux.cgroupsPath", why).hint(MOUNT));
    }
    Ok(CgroupPlan::default())
}

fn resources(spec: &Spec) -> Option<&LinuxResources> {
    spec.oci.linux().as_ref()?.resources().as_ref()
}

fn device_rules(spec: &Spec) -> &[LinuxDeviceCgroup] {
    resources(spec).and_then(|r| r.devices().as_deref()).unwrap_or_default()
}

fn device_list(spec: &Spec) -> Result<DeviceList> {
    let linux = spec.oci.linux().as_ref();
    let nodes = linux.and_then(|l| l.devices().as_deref()).unwrap_or_default();
    DeviceList::build(device_rules(spec), nodes)
}

fn device_plan(spec: &Spec, plan: &CgroupPlan, list: DeviceList) -> Result<DevicePlan> {
    if plan.mode == CgroupMode::Unified {
        let full = |access: &Option<String>| {
            access.as_deref().is_some_and(|a| "rwm".chars().all(|letter| a.contains(letter)))
        };
        let only_allows = device_rules(spec).iter().all(|rule| rule.allow() && full(rule.access()));
        return Ok(DevicePlan::Program { program: filter::program(&list)?, only_allows });
    }
    match position(&plan.dirs, "devices") {
        Some(dir) => Ok(DevicePlan::List { dir, list }),
        // As on v2, where the kernel says so later.
        None if plan.devices_optional => {
            Ok(DevicePlan::Program { program: None, only_allows: true })
        }
        None => Err(not_mounted("linux.resources.devices", "devices", &plan.dirs)),
    }
}

/// What the words of the controllers are collected in.
struct Words<'a> {
    dirs: &'a [DirPlan],
    writes: Vec<Write>,
}

impl Words<'_> {
    /// Whether every word goes to the one v2 directory.
    fn unified(&self) -> bool {
        matches!(self.dirs, [v2] if v2.is_v2())
    }

    /// Adds a word for `file`; the returned word may be refined.
    #[expect(clippy::needless_pass_by_value, reason = "callers pass numbers and texts")]
    fn add(
        &mut self,
        field: impl Into<Cow<'static, str>>,
        file: impl Into<Cow<'static, str>>,
        value: impl ToString,
    ) -> Result<&mut Write> {
        let (field, file) = (field.into(), file.into());
        // Files are named after their controller.
        let controller = match &file {
            Cow::Borrowed(file) => Cow::Borrowed(file.split('.').next().unwrap_or_default()),
            Cow::Owned(file) => Cow::Owned(file.split('.').next().unwrap_or_default().to_owned()),
        };
        let dir = match self.unified() {
            true => 0,
            false => {
                let found = position(self.dirs, &controller);
                found.ok_or_else(|| not_mounted(&field, &controller, self.dirs))?
            }
        };
        let value = value.to_string();
        let missing = Missing::Error;
        self.writes.push(Write { field, dir, controller, file, value, missing, retry: false });
        self.writes.last_mut().ok_or_else(|| Error::rule(Step::Cgroup, "", "no word was added"))
    }
}

impl Write {
    fn retry(&mut self) -> &mut Self {
        self.retry = true;
        self
    }

    fn skip_if_missing(&mut self) -> &mut Self {
        self.missing = Missing::Skip;
        self
    }

    #[expect(clippy::needless_pass_by_value, reason = "callers pass numbers and texts")]
    fn instead(&mut self, file: &'static str, value: impl ToString) {
        self.missing = Missing::Instead { file, value: value.to_string() };
    }
}

fn position(dirs: &[DirPlan], controller: &str) -> Option<usize> {
    dirs.iter().position(|dir| dir.controllers.iter().any(|c| c == controller))
}

fn not_mounted(field: &str, controller: &str, dirs: &[DirPlan]) -> Error {
    // The controllers that no v1 hierarchy took are v2's.
    let elsewhere = match dirs.iter().any(DirPlan::is_v2) {
        true => {
            ", which takes it from v2; boot with systemd.unified_cgroup_hierarchy=1, where v2 \
             alone limits (a hybrid host limits with v1)"
        }
        false => "",
    };
    Error::rule(
        Step::Cgroup,
        field,
        format!("cannot set {controller} limit: the controller is not mounted (cgroup v1)"),
    )
    .hint(format!(
        "mount it at /sys/fs/cgroup/{controller}{elsewhere}; boot without \
         cgroup_disable={controller}; or leave the field out"
    ))
}

fn out_of_range(field: &str, words: impl Into<String>) -> Error {
    Error::rule(Step::CheckConfig, field.to_owned(), words)
}

#[cfg(test)]
mod tests;
