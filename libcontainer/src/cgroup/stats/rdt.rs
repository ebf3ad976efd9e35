//! Statistics of the container's resctrl class (kernel: Documentation/filesystems/resctrl.rst).

use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;

use super::is_default;
use super::parse::malformed;

/// Cache and memory bandwidth of the container's class; empty without one.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct IntelRdt {
    /// What the cache can be divided into.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub l3_cache_info: Option<L3CacheInfo>,
    /// `L3:` line of the default class.
    #[serde(skip_serializing_if = "is_default")]
    pub l3_cache_schema_root: String,
    /// `L3:` line of the container's class.
    #[serde(skip_serializing_if = "is_default")]
    pub l3_cache_schema: String,
    /// What the bandwidth can be divided into.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem_bw_info: Option<MemBwInfo>,
    /// `MB:` line of the default class.
    #[serde(skip_serializing_if = "is_default")]
    pub mem_bw_schema_root: String,
    /// `MB:` line of the container's class.
    #[serde(skip_serializing_if = "is_default")]
    pub mem_bw_schema: String,
    /// All lines of the container's class.
    #[serde(skip_serializing_if = "is_default")]
    pub schemata: Vec<String>,
    /// Bytes moved, by node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mbm_stats: Option<Vec<Mbm>>,
    /// Bytes in the cache, by node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmt_stats: Option<Vec<Cmt>>,
}

/// `info/L3`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "each member is the file of its name")]
pub struct L3CacheInfo {
    #[serde(skip_serializing_if = "is_default")]
    pub cbm_mask: String,
    #[serde(skip_serializing_if = "is_default")]
    pub min_cbm_bits: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub num_closids: u64,
}

/// `info/MB`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "each member is the file of its name")]
pub struct MemBwInfo {
    #[serde(skip_serializing_if = "is_default")]
    pub bandwidth_gran: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub delay_linear: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub min_bandwidth: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub num_closids: u64,
}

/// Memory bandwidth of one node.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Mbm {
    /// All bytes.
    pub mbm_total_bytes: u64,
    /// Bytes from memory of the same node.
    pub mbm_local_bytes: u64,
}

/// Cache of one node.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Cmt {
    /// Bytes.
    pub llc_occupancy: u64,
}

impl IntelRdt {
    /// Reads the class in the directory `class` below the file system `root`; monitoring data
    /// comes from `monitor`, the container's own group where it has one.
    ///
    /// # Errors
    /// Those of read(2); a number that is none.
    pub(in crate::cgroup) fn read(root: &Path, class: &Path, monitor: &Path) -> io::Result<Self> {
        let default = fs::read_to_string(root.join("schemata"))?;
        let own = fs::read_to_string(class.join("schemata"))?;
        let line = |text: &str, what: &str| {
            let found = text.lines().rev().find(|line| line.contains(what));
            found.unwrap_or_default().trim().to_owned()
        };
        let mut stats = Self {
            schemata: own.trim().split('\n').map(str::to_owned).collect(),
            ..Self::default()
        };
        let info = root.join("info");
        let l3 = info.join("L3");
        if l3.exists() {
            stats.l3_cache_info = Some(L3CacheInfo {
                cbm_mask: fs::read_to_string(l3.join("cbm_mask"))?.trim().to_owned(),
                min_cbm_bits: number(&l3.join("min_cbm_bits"))?,
                num_closids: number(&l3.join("num_closids"))?,
            });
            stats.l3_cache_schema_root = line(&default, "L3");
            stats.l3_cache_schema = line(&own, "L3");
        }
        let bandwidth = info.join("MB");
        if bandwidth.exists() {
            stats.mem_bw_info = Some(MemBwInfo {
                bandwidth_gran: number(&bandwidth.join("bandwidth_gran"))?,
                delay_linear: number(&bandwidth.join("delay_linear"))?,
                min_bandwidth: number(&bandwidth.join("min_bandwidth"))?,
                num_closids: number(&bandwidth.join("num_closids"))?,
            });
            stats.mem_bw_schema_root = line(&default, "MB");
            stats.mem_bw_schema = line(&own, "MB");
        }
        stats.monitoring(&info, monitor)?;
        Ok(stats)
    }

    fn monitoring(&mut self, info: &Path, monitor: &Path) -> io::Result<()> {
        let features = fs::read_to_string(info.join("L3_MON/mon_features")).unwrap_or_default();
        let has = |name: &str| features.lines().any(|line| line.trim() == name);
        let mut nodes = Vec::new();
        if !features.is_empty() {
            for entry in fs::read_dir(monitor.join("mon_data"))? {
                nodes.push(entry?.path());
            }
            nodes.sort_unstable();
        }
        let optional = |node: &Path, name: &str| {
            if has(name) { number(&node.join(name)) } else { Ok(0) }
        };
        if has("mbm_total_bytes") || has("mbm_local_bytes") {
            let of = |node: &std::path::PathBuf| {
                Ok(Mbm {
                    mbm_total_bytes: optional(node, "mbm_total_bytes")?,
                    mbm_local_bytes: optional(node, "mbm_local_bytes")?,
                })
            };
            self.mbm_stats = Some(nodes.iter().map(of).collect::<io::Result<_>>()?);
        }
        if has("llc_occupancy") {
            let of = |node: &std::path::PathBuf| {
                Ok(Cmt { llc_occupancy: number(&node.join("llc_occupancy"))? })
            };
            self.cmt_stats = Some(nodes.iter().map(of).collect::<io::Result<_>>()?);
        }
        Ok(())
    }
}

fn number(path: &Path) -> io::Result<u64> {
    let text = fs::read_to_string(path)?;
    match text.trim() {
        // The counter is between two owners.
        "Unavailable" | "Unassigned" => Ok(0),
        number => number.parse().map_err(|_| malformed(&path.display().to_string(), number)),
    }
}
