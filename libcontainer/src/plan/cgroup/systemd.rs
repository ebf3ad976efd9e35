//! The systemd driver's half of the plan: which unit holds the container, where its cgroup is, and
//! the properties the unit begins with.
//!
//! Pure. A [`UnitPlan`] is data; `crate::cgroup::systemd` asks the manager for it. The container's
//! resources are the same words as without systemd: [`properties`] tells systemd those it knows,
//! and *all* of them are written into the delegated cgroup afterwards, so nothing is lost that
//! systemd cannot say. It must be told what it can say: with every `daemon-reload` it writes its
//! own values again.
//!
//! | `cgroupsPath` | unit |
//! |---|---|
//! | `slice:prefix:name` | `prefix-name.scope` in `slice` |
//! | `slice:prefix:name.slice` | `name.slice` |
//! | an empty slice | `system.slice`; `user.slice` of the user's own manager |
//! | absent | `corten-ID.scope` |

pub mod properties;
mod text;
pub mod value;

use std::path::{Path, PathBuf};

use serde::Serialize;

use self::properties::Property;
use self::value::Value;
use super::CgroupPlan;
use super::devices::DeviceList;
use super::path::Place;
use crate::error::{Error, Result, Step};
use crate::host::Host;
use crate::host::cgroup::CgroupMode;
use crate::host::systemd::Systemd;
use crate::plan::Options;
use crate::spec::Spec;

pub use self::properties::round_quota;
pub(crate) use self::text::first_type;

const FIELD: &str = "linux.cgroupsPath";
/// Annotations that are properties of the unit, as in runc and crun.
const ANNOTATION: &str = "org.systemd.property.";
/// systemd.unit(5): a unit name has at most 255 characters.
const LONGEST: usize = 255;

/// The unit of the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnitPlan {
    /// Its name: `….scope` or `….slice`.
    pub name: String,
    /// Ask the user's manager, not the system's.
    pub user: bool,
    /// The manager's version.
    pub version: u32,
    /// What it begins with; the pid of the first process is added when there is one.
    pub properties: Vec<Property>,
}

impl UnitPlan {
    /// Whether it is a slice: that takes no processes when it begins.
    pub fn is_slice(&self) -> bool {
        self.name.ends_with(".slice")
    }
}

/// A parsed `cgroupsPath`.
#[derive(Debug, PartialEq, Eq)]
struct Name {
    slice: String,
    unit: String,
}

impl Name {
    fn parse(asked: Option<&Path>, id: &str, default_slice: &str) -> Result<Self> {
        let asked = asked.map(|path| path.to_string_lossy()).unwrap_or_default();
        let (slice, unit) = if asked.is_empty() {
            (default_slice, format!("corten-{id}.scope"))
        } else {
            let parts: Vec<_> = asked.split(':').collect();
            let [slice, prefix, name] = parts[..] else {
                return Err(Error::rule(
                    Step::CheckConfig,
                    FIELD,
                    format!(
                        "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd \
                         cgroups, got {asked:?} instead"
                    ),
                )
                .hint("leave --systemd-cgroup out for a path, or give slice:prefix:name"));
            };
            let slice = if slice.is_empty() { default_slice } else { slice };
            let scope = || format!("{prefix}-{name}.scope");
            let is_slice = Path::new(name).extension().is_some_and(|e| e == "slice");
            (slice, if is_slice { name.to_owned() } else { scope() })
        };
        let legal = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
        if unit.len() > LONGEST || !unit.chars().all(legal) {
            return Err(Error::rule(
                Step::CheckConfig,
                FIELD,
                format!("{unit:?} is no name of a systemd unit"),
            )
            .hint("at most 255 letters, digits and : - _ . \\ @"));
        }
        Ok(Self { slice: slice.to_owned(), unit })
    }

    /// The unit's cgroup below the manager's.
    fn path(&self) -> Result<PathBuf> {
        if self.unit.ends_with(".slice") {
            return expand(&self.unit);
        }
        Ok(expand(&self.slice)?.join(escape(&self.unit)))
    }
}

/// `a-b.slice` is `a.slice/a-b.slice` (systemd.slice(5)); `-.slice` is the root.
fn expand(slice: &str) -> Result<PathBuf> {
    let wrong = || {
        Error::rule(Step::CheckConfig, FIELD, format!("invalid slice name: {slice:?}"))
            .hint("a slice is called like machine.slice, or user-1000.slice for one below another")
    };
    let name = slice.strip_suffix(".slice").ok_or_else(wrong)?;
    if name == "-" {
        return Ok(PathBuf::new());
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || ":_.\\@".contains(c);
    let mut path = PathBuf::new();
    let mut prefix = String::new();
    for part in name.split('-') {
        if part.is_empty() || !part.chars().all(legal) {
            return Err(wrong());
        }
        prefix.push_str(part);
        path.push(escape(&format!("{prefix}.slice")));
        prefix.push('-');
    }
    Ok(path)
}

/// A unit whose name could be a file of a cgroup has a directory with `_` in front (systemd's
/// `cg_escape`).
fn escape(unit: &str) -> String {
    const CONTROLLERS: [&str; 8] =
        ["cpu", "cpuacct", "cpuset", "io", "blkio", "memory", "devices", "pids"];
    let first = unit.split('.').next().unwrap_or_default();
    let taken = unit.starts_with(['_', '.']) || first == "cgroup" || CONTROLLERS.contains(&first);
    if taken { format!("_{unit}") } else { unit.to_owned() }
}

/// How the description of every unit of ours begins; the container's id follows.
pub(crate) const DESCRIPTION: &str = "corten container ";

/// The container's place with the systemd driver.
///
/// # Errors
/// A `cgroupsPath` in another form; rootless on cgroup v1, which delegates nothing.
pub(super) fn place(asked: Option<&Path>, host: &Host, options: &Options) -> Result<Place> {
    let systemd = manager(host)?;
    if systemd.user && host.cgroup.mode != CgroupMode::Unified {
        return Err(Error::rule(
            Step::Cgroup,
            FIELD,
            "cannot use rootless systemd cgroups manager on cgroup v1",
        )
        .hint("boot with cgroup v2, or leave --systemd-cgroup out"));
    }
    Ok(Place::Absolute(systemd.root.join(name(asked, host, options)?.path()?)))
}

/// The unit that makes it.
///
/// # Errors
/// A `cgroupsPath` in another form; an annotation that is no property.
pub(super) fn unit(
    spec: &Spec,
    host: &Host,
    options: &Options,
    plan: &CgroupPlan,
    devices: &DeviceList,
) -> Result<UnitPlan> {
    let asked = spec.oci.linux().as_ref().and_then(|l| l.cgroups_path().as_deref());
    let systemd = manager(host)?;
    let name = name(asked, host, options)?;
    let description = format!("{DESCRIPTION}{}", options.id);
    let mut all = vec![Property::new("Description", Value::text(description))];
    if name.unit.ends_with(".slice") {
        let wants = Value::Array("s".into(), vec![Value::text(name.slice)]);
        all.push(Property::new("Wants", wants));
    } else {
        all.push(Property::new("Slice", Value::text(name.slice)));
        all.push(Property::new("Delegate", Value::Bool(true)));
    }
    let unified = plan.mode == CgroupMode::Unified;
    let io = if unified { "IOAccounting" } else { "BlockIOAccounting" };
    for accounting in ["MemoryAccounting", "CPUAccounting", io, "TasksAccounting"] {
        all.push(Property::new(accounting, Value::Bool(true)));
    }
    all.push(Property::new("DefaultDependencies", Value::Bool(false)));
    if systemd.version >= properties::COLLECT_MODE {
        // One that failed, by the OOM killer for instance, would keep its name until a reset.
        all.push(Property::new("CollectMode", Value::text("inactive-or-failed")));
    }
    all.extend(properties::devices(devices, unified, systemd.version));
    all.extend(properties::of(&plan.writes, unified, systemd.version));
    all.extend(properties::at_start(&plan.writes, systemd.version));
    let annotations = spec.oci.annotations().iter().flatten();
    let mut own: Vec<_> =
        annotations.filter_map(|(key, text)| Some((key.strip_prefix(ANNOTATION)?, text))).collect();
    own.sort_unstable();
    for (key, text) in own {
        all.push(annotation(key, text)?);
    }
    let Systemd { version, user, .. } = *systemd;
    Ok(UnitPlan { name: name.unit, user, version, properties: all })
}

fn name(asked: Option<&Path>, host: &Host, options: &Options) -> Result<Name> {
    let user = manager(host)?.user;
    Name::parse(asked, &options.id, if user { "user.slice" } else { "system.slice" })
}

fn manager(host: &Host) -> Result<&Systemd> {
    host.systemd.as_ref().ok_or_else(|| {
        Error::rule(Step::Cgroup, "systemd", "was not asked, but its driver is to be used")
    })
}

/// A property from an annotation: GVariant text; seconds are told to systemd in microseconds.
fn annotation(name: &str, text: &str) -> Result<Property> {
    let wrong = |why: String| {
        Error::rule(
            Step::CheckConfig,
            format!("annotation {ANNOTATION}{name}"),
            format!("value parse error: {why}"),
        )
        .hint("the value is GVariant text, for instance 'text', true, uint64 5 or ['a', 'b']")
    };
    if name.len() < 3 || !name.bytes().all(|b| b.is_ascii_alphabetic()) {
        return Err(Error::rule(
            Step::CheckConfig,
            format!("annotation {ANNOTATION}{name}"),
            "name incorrect: at least three letters, and nothing but letters",
        ));
    }
    let value = text::parse(text).map_err(wrong)?;
    match name.strip_suffix("Sec") {
        Some(stem) if stem.ends_with(|c: char| c.is_ascii_lowercase()) => {
            let value = properties::microseconds(&value)
                .ok_or_else(|| wrong(format!("{text:?} is no number of seconds")))?;
            Ok(Property::new(format!("{stem}USec"), Value::U64(value)))
        }
        _ => Ok(Property::new(name.to_owned(), value)),
    }
}

#[cfg(test)]
#[path = "systemd_tests.rs"]
mod tests;
