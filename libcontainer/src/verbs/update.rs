//! `update`: new limits for a container that exists.

use crate::cgroup::{Cgroup, CgroupRecord, resctrl};
use crate::error::{Error, Result, Step};
use crate::plan::cgroup::systemd::round_quota;
use crate::plan::cgroup::update::update as plan_update;
use crate::plan::intel_rdt;
use crate::spec::Resources;
use crate::state::{Lock, State, Status, Store};

/// The limits to set; what is absent stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// `linux.resources`.
    pub resources: Resources,
    /// `L3:` line for the container's resctrl class.
    pub l3_cache_schema: Option<String>,
    /// `MB:` line for the container's resctrl class.
    pub mem_bw_schema: Option<String>,
}

/// Sets the limits of container `id`, which is created, running or paused: all of them, or none.
///
/// Returns warnings. Device rules are left as they are, as runc leaves them: callers send the
/// whole `resources` of the bundle, and something else may have allowed a device meanwhile.
///
/// # Errors
/// `container not running`, `container does not exist`; a limit that cannot be set, and then
/// every limit is the one from before.
pub fn update(store: &Store, id: &str, limits: &Limits) -> Result<Vec<String>> {
    let lock = store.lock(id)?;
    let state = store.load(id)?;
    if state.status()? == Status::Stopped {
        return Err(Error::rule(Step::Update, "", "container not running"));
    }
    let schemas = schemas(&state, limits)?;
    let record = state.cgroup.clone().unwrap_or_default();
    let cgroup = Cgroup::open(&record);
    let dirs = (record.mode, &record.dirs[..]);
    let mut plan = plan_update(dirs, &limits.resources, &cgroup.standing()?)?;
    if record.unit.is_some() {
        round_quota(&mut plan.writes);
    }
    let updated = cgroup.update(&plan)?;
    match finish(store, &state, &lock, (&schemas, plan.swap)) {
        Ok(()) => Ok(warnings(&limits.resources)),
        Err(error) => Err(updated.undo(error)),
    }
}

/// The resctrl lines, when the container may have them.
fn schemas(state: &State, limits: &Limits) -> Result<Vec<String>> {
    let refuse = |words: &str| Err(Error::rule(Step::IntelRdt, "", words));
    let set = |schema: &Option<String>| schema.clone().filter(|schema| !schema.is_empty());
    let (l3, mem_bw) = (set(&limits.l3_cache_schema), set(&limits.mem_bw_schema));
    if l3.is_some() && !resctrl::can_limit("L3") {
        return refuse("Intel RDT/CAT: l3 cache schema is not enabled");
    }
    if mem_bw.is_some() && !resctrl::can_limit("MB") {
        return refuse("Intel RDT/MBA: memory bandwidth schema is not enabled");
    }
    let lines = intel_rdt::schemas(l3, mem_bw)?;
    if !lines.is_empty() && state.resctrl.is_none() {
        return refuse("updating a non-existent Intel RDT configuration is not supported");
    }
    Ok(lines)
}

/// What follows the cgroups: the resctrl class, and the record for the next update.
fn finish(
    store: &Store,
    state: &State,
    lock: &Lock,
    (schemas, swap): (&[String], Option<i64>),
) -> Result<()> {
    let class = state.resctrl.as_ref().filter(|_| !schemas.is_empty());
    let old = class.map(|class| class.update(schemas)).transpose()?;
    let Some(record) = state.cgroup.as_ref().filter(|record| record.swap != swap) else {
        return Ok(());
    };
    let cgroup = Some(CgroupRecord { swap, ..record.clone() });
    let saved = store.save(&State { cgroup, ..state.clone() }, lock);
    if let (Err(_), Some(class), Some(old)) = (&saved, class, old) {
        // The failure to save is the one to report.
        let _ = class.put_back(&old, schemas);
    }
    saved
}

fn warnings(asked: &Resources) -> Vec<String> {
    let mut warnings = asked.warnings.clone();
    let memory = asked.oci.memory().as_ref();
    let set = |value: Option<i64>| value.is_some_and(|value| value != 0);
    if memory.is_some_and(|m| set(m.kernel()) || set(m.kernel_tcp())) {
        warnings.push("Kernel memory settings are ignored and will be removed".to_owned());
    }
    if asked.oci.devices().as_ref().is_some_and(|rules| !rules.is_empty()) {
        warnings.push("update leaves the device rules as they are".to_owned());
    }
    warnings
}
