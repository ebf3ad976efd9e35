//! Writes new limits into cgroups that are in use: all of them, or none.

use super::fs::Dir;
use super::journal::Journal;
use super::systemd::UnitRecord;
use super::{Cgroup, apply, systemd};
use crate::error::{At, Error, Result, Step};
use crate::host::cgroup::CgroupMode;
use crate::plan::cgroup::update::Standing;
use crate::plan::cgroup::{CgroupPlan, DirPlan, Write};

/// An update that was carried out and can still be taken back.
#[derive(Debug)]
pub struct Updated {
    plans: Vec<DirPlan>,
    dirs: Vec<Option<Dir>>,
    journal: Journal,
    /// The unit that was told, what it had before, and whether the words are those of v2.
    told: Option<(UnitRecord, Vec<Write>, bool)>,
}

impl Updated {
    /// Puts every file back as it was, because something else failed with `error`; what cannot be
    /// put back is added to it.
    #[must_use]
    pub fn undo(self, error: Error) -> Error {
        let mut failures = self.journal.put_back(&self.plans, &self.dirs);
        if let Some((unit, words, unified)) = &self.told
            && let Err(error) = systemd::tell(unit, words, *unified)
        {
            failures.push(error.to_string());
        }
        if failures.is_empty() {
            return error;
        }
        let known = error.hint.as_ref().map(|hint| format!("{hint}; ")).unwrap_or_default();
        error.hint(format!("{known}could not be put back: {}", failures.join(", ")))
    }
}

impl Cgroup {
    /// What an update must know of the limits that stand.
    ///
    /// # Errors
    /// The v2 directory cannot be opened.
    pub fn standing(&self) -> Result<Standing> {
        let mut standing = Standing { swap: self.record.swap, ..Standing::default() };
        if self.record.mode != CgroupMode::Unified {
            return Ok(standing);
        }
        if let Some(dir) = self.main_dir()? {
            // Without the controller there is no file; the word that needs it will say so.
            standing.cpu_max = dir.read("cpu.max").ok().and_then(|text| cpu_max(&text));
            let memory = dir.number("memory.max").ok().flatten();
            standing.memory_max = memory.and_then(|bytes| i64::try_from(bytes).ok());
        }
        Ok(standing)
    }

    /// Writes every word of an update's plan ([`crate::plan::cgroup::update::update`]), and tells
    /// systemd.
    ///
    /// # Errors
    /// The first word that cannot be written; then every file is as it was before.
    pub fn update(&self, plan: &CgroupPlan) -> Result<Updated> {
        let mut dirs = Vec::with_capacity(plan.dirs.len());
        for place in &plan.dirs {
            let on = || place.host_dir().display().to_string();
            dirs.push(Dir::find(place).at(Step::Cgroup, on)?);
        }
        let gone = |word: &&Write| matches!(dirs.get(word.dir), None | Some(None));
        if let Some(word) = plan.writes.iter().find(gone) {
            return Err(Error::rule(Step::Cgroup, &word.field, "the container's cgroup is gone"));
        }
        let mut journal = Journal::default();
        let written = apply::words(plan, &dirs, Some(&mut journal));
        let mut updated = Updated { plans: plan.dirs.clone(), dirs, journal, told: None };
        let unified = self.record.mode == CgroupMode::Unified;
        let told = written.and_then(|()| match &self.record.unit {
            Some(unit) => {
                systemd::tell(unit, &plan.writes, unified)?;
                let before = updated.journal.old_words(&plan.writes);
                updated.told = Some((unit.clone(), before, unified));
                Ok(())
            }
            None => Ok(()),
        });
        match told {
            Ok(()) => Ok(updated),
            Err(error) => Err(updated.undo(error)),
        }
    }
}

fn cpu_max(text: &str) -> Option<(i64, u64)> {
    let (quota, period) = text.trim().split_once(' ')?;
    let quota = if quota == "max" { -1 } else { quota.parse().ok()? };
    Some((quota, period.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_max_is_two_numbers() {
        assert_eq!(cpu_max("max 100000\n"), Some((-1, 100_000)));
        assert_eq!(cpu_max("500 1000\n"), Some((500, 1000)));
        assert_eq!(cpu_max(""), None);
        assert_eq!(cpu_max("a b"), None);
    }
}
