//! The `regex` crate as far as oci-spec needs it, made of `regex-lite`.
//!
//! oci-spec checks `process.execCPUAffinity` with `^(\d+(-\d+)?)(,\d+(-\d+)?)*$`. The engine for
//! that, with its tables of all the world's letters, made 1.2 of 4.1 MB of the released binary;
//! this one has the same interface and takes 30 KB. The workspace's `[patch.crates-io]` puts it in
//! its place. Only ASCII digits match `\d` here, which is what a list of CPUs consists of.

pub use regex_lite::*;

#[cfg(test)]
mod tests {
    #[test]
    fn lists_of_cpus_are_told_from_others() {
        let list = super::Regex::new(r"^(\d+(-\d+)?)(,\d+(-\d+)?)*$").unwrap();
        for good in ["0", "0-3", "0,2-5,7"] {
            assert!(list.is_match(good), "{good}");
        }
        for bad in ["", "a", "0-", ",1", "0--3", "٣"] {
            assert!(!list.is_match(bad), "{bad}");
        }
    }
}
