//! Reads `linux.resources` alone: what `update` gets from a file, from stdin or from its flags.
//!
//! Go's parser takes the names of members in any case, and callers of runc have come to rely on
//! it; ours are put right before the typed parse. A member that nobody knows is a warning.

use std::path::Path;

use oci_spec::runtime::LinuxResources;
use serde_json::{Map, Value, json};

use super::{explain, explain_repaired, fault, repair};
use crate::error::Result;

/// The members of each object that has a fixed set of them (config-linux.md, "Control groups").
const MEMBERS: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "devices",
            "memory",
            "cpu",
            "pids",
            "blockIO",
            "hugepageLimits",
            "network",
            "rdma",
            "unified",
        ],
    ),
    (
        "memory",
        &[
            "limit",
            "reservation",
            "swap",
            "kernel",
            "kernelTCP",
            "swappiness",
            "disableOOMKiller",
            "useHierarchy",
            "checkBeforeUpdate",
        ],
    ),
    (
        "cpu",
        &[
            "shares",
            "quota",
            "burst",
            "period",
            "realtimeRuntime",
            "realtimePeriod",
            "cpus",
            "mems",
            "idle",
        ],
    ),
    ("pids", &["limit"]),
    (
        "blockIO",
        &[
            "weight",
            "leafWeight",
            "weightDevice",
            "throttleReadBpsDevice",
            "throttleWriteBpsDevice",
            "throttleReadIOPSDevice",
            "throttleWriteIOPSDevice",
        ],
    ),
    ("network", &["classID", "priorities"]),
];

/// Limits to set; what is absent stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    /// The limits, typed.
    pub oci: LinuxResources,
    /// `pids.limit`: `None` when it is not set, as in [`super::Spec::pids_limit`].
    pub pids_limit: Option<i64>,
    /// Members that were passed over.
    pub warnings: Vec<String>,
}

impl Resources {
    /// Parses `text`, which came from `name`.
    ///
    /// # Errors
    /// The text is not `linux.resources` of the specification; the message names the field, and
    /// line and column where they are known.
    pub fn parse(name: &Path, text: &[u8]) -> Result<Self> {
        let repair::Unique(mut value) =
            serde_json::from_slice(text).map_err(|e| explain(name, text, &e))?;
        let mut warnings = Vec::new();
        if value.is_null() {
            value = json!({});
        }
        if !value.is_object() {
            return Err(fault(name, "wrong type: expected an object"));
        }
        respell(name, &mut value, &mut warnings)?;
        let mut config = json!({"linux": {"resources": value}});
        repair::repair(&mut config);
        let value = config["linux"]["resources"].take();
        let repaired = value.to_string().into_bytes();
        let oci = serde_json::from_slice(&repaired)
            .map_err(|e| explain_repaired(name, text, &repaired, &e))?;
        Ok(Self { oci, pids_limit: value["pids"]["limit"].as_i64(), warnings })
    }
}

fn respell(name: &Path, value: &mut Value, warnings: &mut Vec<String>) -> Result<()> {
    for (object, members) in MEMBERS {
        let found = if object.is_empty() { Some(&mut *value) } else { value.get_mut(*object) };
        let Some(found) = found.and_then(Value::as_object_mut) else { continue };
        let mut respelled = Map::new();
        for (key, inner) in std::mem::take(found) {
            let known = members.iter().find(|known| known.eq_ignore_ascii_case(&key));
            let at = if object.is_empty() { key.clone() } else { format!("{object}.{key}") };
            let Some(known) = known else {
                warnings.push(format!("resources: ignoring the unknown member {at:?}"));
                continue;
            };
            if respelled.insert((*known).to_owned(), inner).is_some() {
                return Err(fault(name, format!("{at}: duplicate field `{known}`")));
            }
        }
        *found = respelled;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Resources> {
        Resources::parse(Path::new("limits.json"), text.as_bytes())
    }

    #[test]
    fn members_are_found_in_any_case() {
        let read = parse(r#"{"CPU": {"Cpus": "1"}, "blockio": {"WEIGHT": 10}}"#).unwrap();
        assert_eq!(read.oci.cpu().as_ref().unwrap().cpus().as_deref(), Some("1"));
        assert_eq!(read.oci.block_io().as_ref().unwrap().weight(), Some(10));
        assert!(read.warnings.is_empty());
        let twice = parse(r#"{"cpu": {}, "CPU": {}}"#).unwrap_err().to_string();
        assert!(twice.contains("duplicate field `cpu`"), "{twice}");
    }

    #[test]
    fn unknown_members_are_told() {
        let read = parse(r#"{"memory": {"limt": 1}, "moon": 1}"#).unwrap();
        let all = read.warnings.join("\n");
        assert!(all.contains("\"memory.limt\"") && all.contains("\"moon\""), "{all}");
    }

    #[test]
    fn nothing_set_is_nothing() {
        for text in ["null", "{}", r#"{"memory": null, "pids": {}}"#] {
            let read = parse(text).unwrap();
            assert_eq!(read.pids_limit, None, "{text}");
            assert!(read.oci.memory().is_none(), "{text}");
        }
        assert_eq!(parse(r#"{"pids": {"limit": 0}}"#).unwrap().pids_limit, Some(0));
    }

    #[test]
    fn faults_are_placed() {
        for (text, words) in [
            ("", "limits.json: line 1, column 0"),
            ("{\"memory\": {\n\"limit\": \"1M\"}}", "line 2, column 10: memory.limit: wrong type"),
            ("[]", "wrong type: expected an object"),
            ("{\"cpu\": {\"shares\": -1}}", "cpu.shares: value out of range"),
            ("{} {}", "trailing characters"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
