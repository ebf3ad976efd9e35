//! What stood in the files before they were written, so that a failed update can be undone.
//!
//! A file is read before its first write and put back line by line, the last written first: the
//! controllers then pass through the same states as on the way there, all of which they accepted.
//! What a file says is not always what it takes, hence [`lines`].

use super::fs::Dir;
use crate::plan::cgroup::{DirPlan, Write};

/// Files of one setting per key (a device, a resource), and what unsets a key. A line without a
/// key in such a file is the default of `io.weight` and its like.
const KEYED: &[(&str, &str)] = &[
    ("blkio.bfq.weight_device", "default"),
    ("blkio.leaf_weight_device", "default"),
    ("blkio.throttle.read_bps_device", "0"),
    ("blkio.throttle.read_iops_device", "0"),
    ("blkio.throttle.write_bps_device", "0"),
    ("blkio.throttle.write_iops_device", "0"),
    ("blkio.weight_device", "default"),
    ("dmem.low", "0"),
    ("dmem.max", "max"),
    ("dmem.min", "0"),
    ("io.bfq.weight", "default"),
    ("io.latency", "target=0"),
    ("io.max", "rbps=max wbps=max riops=max wiops=max"),
    ("io.weight", "default"),
    ("misc.max", "max"),
    ("net_prio.ifpriomap", "0"),
    ("rdma.max", "hca_handle=max hca_object=max"),
];

/// A file and its content before the write.
#[derive(Debug)]
struct Entry {
    /// Index of the directory.
    dir: usize,
    file: String,
    old: String,
    /// What was written, or was to be.
    new: String,
}

/// The files written so far, in order.
#[derive(Debug, Default)]
pub(super) struct Journal {
    entries: Vec<Entry>,
}

impl Journal {
    /// Reads `file` before `new` is written to it. One that cannot be read has nothing to put
    /// back: it is missing, or an order such as `memory.reclaim`.
    pub(super) fn note(&mut self, (at, dir): (usize, &Dir), file: &str, new: &str) {
        if let Ok(old) = dir.read(file) {
            let (file, new) = (file.to_owned(), new.to_owned());
            self.entries.push(Entry { dir: at, file, old, new });
        }
    }

    /// The words with what stood before them as their values: for systemd, which keeps its own.
    pub(super) fn old_words(&self, words: &[Write]) -> Vec<Write> {
        let old = |word: &Write| {
            let same = |entry: &&Entry| entry.dir == word.dir && entry.file == word.file;
            let value = self.entries.iter().find(same)?.old.trim().to_owned();
            Some(Write { value, ..word.clone() })
        };
        words.iter().filter_map(old).collect()
    }

    /// Puts everything back; returns what could not be, in words.
    pub(super) fn put_back(self, plans: &[DirPlan], dirs: &[Option<Dir>]) -> Vec<String> {
        let mut failures = Vec::new();
        for entry in self.entries.into_iter().rev() {
            let Some(Some(dir)) = dirs.get(entry.dir) else { continue };
            if dir.read(&entry.file).is_ok_and(|now| now == entry.old) {
                continue;
            }
            for line in lines(&entry.file, &entry.old, &entry.new) {
                if let Err(error) = dir.write(&entry.file, &line) {
                    let dir = plans.get(entry.dir).map(DirPlan::host_dir).unwrap_or_default();
                    let at = dir.join(&entry.file);
                    failures.push(format!("{} {line:?}: {error}", at.display()));
                }
            }
        }
        failures
    }
}

/// What to write to `file`, which said `old` before `new` was written, so that it says so again.
fn lines(file: &str, old: &str, new: &str) -> Vec<String> {
    let keyed = KEYED.iter().find(|(name, _)| *name == file);
    match (keyed, file) {
        (Some((_, unset)), _) => new.lines().map(|line| keyed_line(old, line, unset)).collect(),
        (None, "memory.oom_control") => {
            let disabled = old.lines().any(|line| line == "oom_kill_disable 1");
            vec![u8::from(disabled).to_string()]
        }
        (None, "cgroup.subtree_control") => vec![subtree(old, new)],
        // `root invalid (why)`.
        (None, "cpuset.cpus.partition") => {
            vec![old.split_whitespace().next().unwrap_or("member").to_owned()]
        }
        // An empty list of cpus is set by an empty line, not by writing nothing.
        (None, _) if old.trim().is_empty() => vec!["\n".to_owned()],
        (None, _) => vec![old.trim_end().to_owned()],
    }
}

/// The old line of the key that `new` sets.
fn keyed_line(old: &str, new: &str, unset: &str) -> String {
    let key = match new.split_whitespace().collect::<Vec<_>>().as_slice() {
        // A number alone sets the default.
        [] | [_] => "default",
        [key, ..] => *key,
    };
    let found = old.lines().find(|line| line.split_whitespace().next() == Some(key));
    match (found, key) {
        (Some(line), _) => line.trim().to_owned(),
        // Weights print as a number alone while no device has its own.
        (None, "default") => old.lines().next().unwrap_or_default().trim().to_owned(),
        (None, key) => format!("{key} {unset}"),
    }
}

/// The opposite of what `new` switched, as far as it was otherwise before.
fn subtree(old: &str, new: &str) -> String {
    let had = |name: &str| old.split_whitespace().any(|old| old == name);
    let back = new.split_whitespace().filter_map(|word| match word.split_at_checked(1)? {
        ("+", name) if !had(name) => Some(format!("-{name}")),
        ("-", name) if had(name) => Some(format!("+{name}")),
        _ => None,
    });
    back.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_get_back_what_they_take() {
        for (file, old, new, back) in [
            ("pids.max", "max\n", "7", vec!["max"]),
            ("memory.limit_in_bytes", "9223372036854771712\n", "4096", vec!["9223372036854771712"]),
            ("cpu.max", "max 100000\n", "50000 100000", vec!["max 100000"]),
            ("cpuset.cpus", "\n", "0", vec!["\n"]),
            ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n", "1", vec!["0"]),
            ("memory.oom_control", "oom_kill_disable 1\nunder_oom 0\n", "1", vec!["1"]),
            ("cpuset.cpus.partition", "root invalid (no cpus)\n", "member", vec!["root"]),
            ("cgroup.subtree_control", "cpu memory\n", "+pids -memory +cpu", vec!["-pids +memory"]),
        ] {
            assert_eq!(lines(file, old, new), back, "{file}");
        }
    }

    #[test]
    fn keys_get_back_their_line_or_are_unset() {
        for (file, old, new, back) in [
            (
                "io.max",
                "8:0 rbps=1 wbps=max riops=max wiops=max\n",
                "8:0 wbps=5",
                vec!["8:0 rbps=1 wbps=max riops=max wiops=max"],
            ),
            ("io.max", "", "8:0 wbps=5", vec!["8:0 rbps=max wbps=max riops=max wiops=max"]),
            ("io.weight", "default 100\n8:0 200\n", "300", vec!["default 100"]),
            ("io.weight", "default 100\n", "8:0 300", vec!["8:0 default"]),
            ("io.bfq.weight", "100\n", "300", vec!["100"]),
            (
                "blkio.throttle.read_bps_device",
                "8:0 1048576\n",
                "8:16 5\n8:0 7",
                vec!["8:16 0", "8:0 1048576"],
            ),
            (
                "rdma.max",
                "mlx5_0 hca_handle=2 hca_object=max\n",
                "mlx5_0 hca_object=3",
                vec!["mlx5_0 hca_handle=2 hca_object=max"],
            ),
            ("net_prio.ifpriomap", "lo 0\neth0 5\n", "eth0 7", vec!["eth0 5"]),
            ("misc.max", "sev max\n", "sev 4", vec!["sev max"]),
        ] {
            assert_eq!(lines(file, old, new), back, "{file} {new:?}");
        }
    }

    #[test]
    fn the_table_is_in_order() {
        assert!(KEYED.is_sorted());
    }
}
