//! Decides cache and memory bandwidth classes: `linux.intelRdt` (config-linux.md, "IntelRdt").
//!
//! Pure; [`crate::cgroup::resctrl`] carries it out.

use oci_spec::runtime::LinuxIntelRdt;
use serde::Serialize;

use crate::error::{Error, Result, Step};
use crate::spec::Spec;

/// What to do below the mounted `resctrl` file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IntelRdtPlan {
    /// Directory of the class: `closID`, or the container's id. Empty for the default class, the
    /// root of the file system (`closID` of `/`).
    pub class: String,
    /// Whether the bundle named the class: then it is never removed, and what it already says
    /// must agree with `checked`.
    pub named: bool,
    /// `l3CacheSchema` and `memBwSchema`, in this order.
    pub checked: Vec<String>,
    /// `schemata`, written after them.
    pub lines: Vec<String>,
    /// Name of the monitoring group below the class, if there is to be one: the container's id.
    pub monitor: Option<String>,
}

impl IntelRdtPlan {
    /// Whether the class must have been set up by someone else: it is named and nothing is to be
    /// written to it.
    pub fn must_exist(&self) -> bool {
        self.named && self.checked.is_empty() && self.lines.is_empty()
    }
}

/// Decides; `None` when `intelRdt` is not set: then no `resctrl` file system is touched.
///
/// # Errors
/// A class that is no directory name, or a schema with a newline or the wrong beginning.
pub fn build(spec: &Spec, id: &str) -> Result<Option<IntelRdtPlan>> {
    let linux = spec.oci.linux().as_ref();
    linux.and_then(|l| l.intel_rdt().as_ref()).map(|rdt| decide(rdt, id)).transpose()
}

fn decide(rdt: &LinuxIntelRdt, id: &str) -> Result<IntelRdtPlan> {
    let set = |text: &Option<String>| text.clone().filter(|t| !t.is_empty());
    let asked = set(rdt.clos_id());
    let named = asked.is_some();
    let class = match asked {
        None => id.to_owned(),
        Some(class) if class == "/" => String::new(),
        Some(class) => class,
    };
    if matches!(&*class, "." | ".." | "info" | "mon_groups" | "mon_data")
        || class.contains(['/', '\n', '\0'])
    {
        return Err(wrong("closID", format!("invalid intelRdt.ClosID {class:?}")));
    }
    let checked = schemas(set(rdt.l3_cache_schema()), set(rdt.mem_bw_schema()))?;
    let lines = rdt.schemata().iter().flatten().filter(|line| !line.is_empty());
    let lines = lines.map(|line| one_line("schemata", line.clone())).collect::<Result<_>>()?;
    let monitor = (*rdt.enable_monitoring() == Some(true)).then(|| id.to_owned());
    Ok(IntelRdtPlan { class, named, checked, lines, monitor })
}

/// `l3CacheSchema` and `memBwSchema` as lines, in this order.
///
/// # Errors
/// A newline, or a bandwidth schema with the wrong beginning.
pub fn schemas(l3: Option<String>, mem_bw: Option<String>) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for (field, text) in [("l3CacheSchema", l3), ("memBwSchema", mem_bw)] {
        let Some(text) = text else { continue };
        // For the cache it is only SHOULD: `L3CODE:` and `L3DATA:` are schemas too.
        if field == "memBwSchema" && !text.starts_with("MB:") {
            return Err(wrong(field, format!("{text:?} does not start with MB:")));
        }
        lines.push(one_line(field, text)?);
    }
    Ok(lines)
}

fn one_line(field: &str, text: String) -> Result<String> {
    if text.contains('\n') {
        return Err(wrong(field, format!("{text:?} contains a newline")));
    }
    Ok(text)
}

fn wrong(field: &str, words: String) -> Error {
    Error::rule(Step::CheckConfig, format!("linux.intelRdt.{field}"), words)
}

/// Whether a class that says `current` already does what `wanted` asks: the same resource, and
/// the same value for each domain that is named. Values are hexadecimal masks for caches and
/// decimal numbers for bandwidth; the kernel prints both its own way (`ff` as `000ff`).
pub fn agrees(current: &str, wanted: &str) -> bool {
    let Some((resource, domains)) = parts(wanted) else { return false };
    let Some((_, have)) = current.lines().filter_map(parts).find(|(name, _)| *name == resource)
    else {
        return false;
    };
    let radix = if resource.starts_with("MB") { 10 } else { 16 };
    let number = |text: &str| u64::from_str_radix(text.trim().trim_start_matches("0x"), radix).ok();
    let domain = |text: &'_ str| {
        let (id, value) = text.split_once('=')?;
        Some((id.trim().parse::<u32>().ok()?, number(value)?))
    };
    domains.split(';').all(|one| {
        let one = domain(one);
        one.is_some() && have.split(';').any(|other| domain(other) == one)
    })
}

fn parts(line: &str) -> Option<(&str, &str)> {
    let (name, domains) = line.split_once(':')?;
    Some((name.trim(), domains.trim()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn plan(rdt: &Value) -> Result<IntelRdtPlan> {
        decide(&serde_json::from_value(rdt.clone()).unwrap(), "box")
    }

    #[test]
    fn class_is_the_id_unless_it_is_named() {
        let own = plan(&json!({"l3CacheSchema": "L3:0=f"})).unwrap();
        assert_eq!((own.class.as_str(), own.named, own.must_exist()), ("box", false, false));
        let named = plan(&json!({"closID": "gold", "enableMonitoring": true})).unwrap();
        assert!(named.named && named.must_exist());
        assert_eq!(named.monitor.as_deref(), Some("box"));
        let root = plan(&json!({"closID": "/"})).unwrap();
        assert_eq!((root.class.as_str(), root.must_exist()), ("", true));
    }

    #[test]
    fn schemas_are_written_in_the_order_of_the_spec() {
        let all = plan(&json!({"closID": "x", "memBwSchema": "MB:0=20",
            "l3CacheSchema": "L3:0=7f0", "schemata": ["L2:0=f", "", "MB:1=70"]}))
        .unwrap();
        assert_eq!(all.checked, ["L3:0=7f0", "MB:0=20"]);
        assert_eq!(all.lines, ["L2:0=f", "MB:1=70"]);
    }

    #[test]
    fn bad_names_and_lines_are_refused() {
        for (bad, words) in [
            (json!({"closID": ".."}), "invalid intelRdt.ClosID"),
            (json!({"closID": "a/b"}), "invalid intelRdt.ClosID"),
            (json!({"closID": "info"}), "invalid intelRdt.ClosID"),
            (json!({"memBwSchema": "L3:0=1"}), "does not start with MB:"),
            (json!({"l3CacheSchema": "L3:0=1\nMB:0=1"}), "contains a newline"),
            (json!({"schemata": ["a\nb"]}), "linux.intelRdt.schemata"),
        ] {
            let error = plan(&bad).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn schemas_agree_by_value() {
        let current = "    MB:0=100;1= 70\n    L3:0=007ff;1=000c0\n";
        assert!(agrees(current, "L3:0=7ff"));
        assert!(agrees(current, "L3:1=c0;0=0x7ff"));
        assert!(agrees(current, "MB:1=70"));
        assert!(!agrees(current, "L3:0=7f"));
        assert!(!agrees(current, "L3:2=7ff"));
        assert!(!agrees(current, "L2:0=7ff"));
        assert!(!agrees(current, "nonsense"));
        assert!(!agrees(current, "L3:0"));
    }
}
