//! Repairs what oci-spec 0.10 cannot read although the specification allows it.
//!
//! Runs only after the typed parse of a whole file has failed, on a generic [`Value`]; the caller
//! then parses again. Each class of repair is one function and one row of [`REPAIRS`], so that a
//! row can go when the crate is fixed. Nothing here makes an invalid file valid.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// What a repair may report.
#[derive(Default)]
pub(super) struct Notes {
    /// Capability names that no kernel header of today knows.
    pub(super) unknown_capabilities: Vec<String>,
}

/// The repairs, in order. Nulls go first so that the others see absent members.
const REPAIRS: &[fn(&mut Value, &mut Notes)] = &[
    drop_nulls,
    drop_foreign_platforms,
    default_user,
    spell_scheduler_flags,
    drop_unknown_capabilities,
    tidy_exec_cpu_affinity,
    drop_empty_device_types,
    clamp_hugepage_limits,
];

/// Applies every repair to a parsed `config.json`.
pub(super) fn repair(config: &mut Value) -> Notes {
    let mut notes = Notes::default();
    for apply in REPAIRS {
        apply(config, &mut notes);
    }
    notes.unknown_capabilities.sort_unstable();
    notes.unknown_capabilities.dedup();
    notes
}

/// Go tools write `null` for an empty list or number; it means "not set" (RFC 7396's reading and
/// Go's), but non-optional members of the crate refuse it.
fn drop_nulls(config: &mut Value, _: &mut Notes) {
    let mut open = vec![config];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(members) => {
                members.retain(|_, v| !v.is_null());
                open.extend(members.values_mut());
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
}

/// Sections of other platforms are not ours to validate (config.md, "Platform-specific
/// configuration"); the crate's types for them are stricter than 1.3.
fn drop_foreign_platforms(config: &mut Value, _: &mut Notes) {
    if let Some(config) = config.as_object_mut() {
        for platform in ["solaris", "windows", "vm", "zos", "freebsd"] {
            config.remove(platform);
        }
    }
}

/// The schema lets `process.user` be absent: uid 0, gid 0.
fn default_user(config: &mut Value, _: &mut Notes) {
    if let Some(process) = object(config, &["process"]) {
        process.entry("user").or_insert_with(|| Value::Object(Map::new()));
    }
}

/// The crate derives two flag names wrongly (`SCHED_RESET_ON_FORK`, `SCHED_FLAG_D_L_OVERRUN`).
fn spell_scheduler_flags(config: &mut Value, _: &mut Notes) {
    let flags = object(config, &["process", "scheduler"]).and_then(|s| s.get_mut("flags"));
    for flag in flags.and_then(Value::as_array_mut).into_iter().flatten() {
        let crates_spelling = match flag.as_str() {
            Some("SCHED_FLAG_RESET_ON_FORK") => "SCHED_RESET_ON_FORK",
            Some("SCHED_FLAG_DL_OVERRUN") => "SCHED_FLAG_D_L_OVERRUN",
            _ => continue,
        };
        *flag = Value::from(crates_spelling);
    }
}

/// A capability that cannot be granted is a warning, not an error (config.md, "capabilities");
/// the crate fails the whole file on a name it does not know.
fn drop_unknown_capabilities(config: &mut Value, notes: &mut Notes) {
    let Some(sets) = object(config, &["process", "capabilities"]) else { return };
    for set in ["bounding", "effective", "inheritable", "permitted", "ambient"] {
        let Some(names) = sets.get_mut(set).and_then(Value::as_array_mut) else { continue };
        names.retain(|name| {
            let unknown = name.as_str().filter(|n| !is_capability(n)).map(str::to_owned);
            let known = unknown.is_none();
            notes.unknown_capabilities.extend(unknown);
            known
        });
    }
}

fn is_capability(name: &str) -> bool {
    oci_spec::runtime::Capability::deserialize(de::value::StrDeserializer::<de::value::Error>::new(
        name,
    ))
    .is_ok()
}

/// The specification allows an empty list ("omitted or empty") and blanks around commas; the
/// crate's pattern allows neither.
fn tidy_exec_cpu_affinity(config: &mut Value, _: &mut Notes) {
    let Some(affinity) = object(config, &["process", "execCPUAffinity"]) else { return };
    for list in ["initial", "final"] {
        let Some(cpus) = affinity.get(list).and_then(Value::as_str) else { continue };
        let tidy = cpus.split(',').map(str::trim).collect::<Vec<_>>().join(",");
        if tidy.is_empty() {
            affinity.remove(list);
        } else {
            affinity.insert(list.to_owned(), Value::from(tidy));
        }
    }
}

/// An empty `type` of a device rule means "all", as the absent one does.
fn drop_empty_device_types(config: &mut Value, _: &mut Notes) {
    let rules = object(config, &["linux", "resources"]).and_then(|r| r.get_mut("devices"));
    for rule in rules.and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(rule) = rule.as_object_mut()
            && rule.get("type").and_then(Value::as_str) == Some("")
        {
            rule.remove("type");
        }
    }
}

/// `hugepageLimits[].limit` is a uint64 whose largest value means "no limit"; the crate holds an
/// i64. The kernel's counters end far below 2^63 - 1, so nothing is lost.
fn clamp_hugepage_limits(config: &mut Value, _: &mut Notes) {
    let limits = object(config, &["linux", "resources"]).and_then(|r| r.get_mut("hugepageLimits"));
    for entry in limits.and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(limit) = entry.get_mut("limit")
            && limit.as_u64().is_some_and(|l| i64::try_from(l).is_err())
        {
            *limit = Value::from(i64::MAX);
        }
    }
}

/// The object below `config` that `path` names, when every step is an object.
fn object<'a>(config: &'a mut Value, path: &[&str]) -> Option<&'a mut Map<String, Value>> {
    let mut at = config.as_object_mut()?;
    for name in path {
        at = at.get_mut(*name)?.as_object_mut()?;
    }
    Some(at)
}

/// A [`Value`] in which no object names a member twice: the typed parse refuses duplicates, so
/// the repaired one must not let the last of two win silently.
pub(super) struct Unique(pub(super) Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(Unique)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::from(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(Value::from(v))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(Value::from(v))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(Value::from(v))
    }

    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::from(v))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Unique(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some((name, Unique(value))) = map.next_entry::<String, _>()? {
            if members.contains_key(&name) {
                return Err(de::Error::custom(format_args!("duplicate field `{name}`")));
            }
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}
