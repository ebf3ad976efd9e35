//! The numbered cases, in the order of the documents.

pub(crate) mod cgroups;
mod config_hooks;
mod config_idmap;
mod config_linux_process;
mod config_options;
mod config_process;
mod config_rest;
mod config_root;
mod features;
mod features_linux;
mod hooks;
mod kit;
mod linux_cgroup;
mod linux_devices;
mod linux_intel_rdt;
mod linux_namespaces;
mod linux_netdevices;
mod linux_paths;
mod linux_policy;
mod linux_resources;
mod linux_seccomp;
mod runtime_end;
mod runtime_lifecycle;
mod runtime_linux;
mod runtime_operations;
mod runtime_state;
mod settings;

use crate::case::Case;

const TABLES: &[&[Case]] = &[
    runtime_state::CASES,
    runtime_lifecycle::CASES,
    runtime_operations::CASES,
    runtime_end::CASES,
    runtime_linux::CASES,
    config_root::CASES,
    config_options::CASES,
    config_idmap::CASES,
    config_process::CASES,
    config_linux_process::CASES,
    config_hooks::CASES,
    config_rest::CASES,
    linux_namespaces::CASES,
    linux_devices::CASES,
    linux_netdevices::CASES,
    linux_cgroup::CASES,
    linux_resources::CASES,
    linux_intel_rdt::CASES,
    linux_policy::CASES,
    linux_seccomp::CASES,
    linux_paths::CASES,
    features::CASES,
    features_linux::CASES,
];

/// Every case.
pub(crate) fn all() -> Vec<Case> {
    TABLES.iter().flat_map(|table| table.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::cover::DOCUMENTS;

    #[test]
    fn numbers_run_without_a_gap_in_every_document() {
        let mut last: BTreeMap<&str, u32> = BTreeMap::new();
        for case in all() {
            let number: u32 = case.id.rsplit('/').next().unwrap().parse().unwrap();
            let before = last.entry(case.document()).or_default();
            assert_eq!(number, *before + 1, "{} does not follow {before}", case.id);
            *before = number;
        }
        assert_eq!(last.len(), DOCUMENTS.len(), "a document has no case");
        assert!(DOCUMENTS.iter().all(|name| last.contains_key(name)));
    }

    #[test]
    fn every_case_names_its_section_and_quotes_a_sentence() {
        for case in all() {
            assert!(case.section.starts_with('#'), "{}: {}", case.id, case.section);
            assert!(case.text.len() > 8 && !case.what.is_empty(), "{}", case.id);
        }
    }
}
