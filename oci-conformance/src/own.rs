//! Runs the numbered cases, compares them with `known.toml`, prints.

use std::{collections::BTreeSet, time::Instant};

use serde_json::{Value, json};

use crate::{
    case::{Case, Outcome},
    cases,
    known::{Expected, Known, Name},
    runtime::Runtime,
    select::Selection,
    world::kill_orphans,
};

/// What to run and how to print it.
pub(crate) struct Report {
    pub(crate) only: Selection,
    pub(crate) json: bool,
    pub(crate) quiet: bool,
    pub(crate) deny_skip: bool,
}

/// One case with its result.
struct Row<'k> {
    case: Case,
    outcome: Outcome,
    expected: Option<Expected<'k>>,
    differs: bool,
    milliseconds: u128,
}

impl Report {
    /// Runs everything; true when every result is the known one.
    pub(crate) fn run(&self, runtime: &Runtime, known: &Known) -> bool {
        let name = Name::new(&runtime.name, &runtime.version);
        if !self.json {
            let facts: Vec<_> = runtime.host.facts().collect();
            println!(
                "{} {} ({}), ociVersion {}\nhost: {}\n",
                runtime.name,
                runtime.version,
                runtime.program.display(),
                runtime.oci_version,
                facts.join(" "),
            );
            println!("{:<20} {:<6} {:<5} what", "case", "level", "is");
        }
        let mut rows = Vec::new();
        for case in cases::all() {
            if self.only.takes(case.id, case.section) {
                let expected = known.own(case.id, &name, &runtime.host);
                let row = self.one(runtime, case, expected);
                if !self.json && (row.differs || !self.quiet) {
                    row.print();
                }
                rows.push(row);
            }
        }
        cases::cgroups::remove_parents(runtime);
        self.close(runtime, &rows)
    }

    fn one<'k>(&self, runtime: &Runtime, case: Case, expected: Option<Expected<'k>>) -> Row<'k> {
        let began = Instant::now();
        let outcome = case.outcome(runtime);
        kill_orphans();
        let flaky = expected.is_some_and(|e| e.flaky);
        let differs = match &outcome {
            Outcome::Pass => expected.is_some() && !flaky,
            Outcome::Fail(_) => expected.is_none(),
            Outcome::Skip(_) => self.deny_skip,
            Outcome::NotApplicable(_) => expected.is_some(),
        };
        Row { case, outcome, expected, differs, milliseconds: began.elapsed().as_millis() }
    }

    /// Prints the sums; true when nothing differs.
    fn close(&self, runtime: &Runtime, rows: &[Row<'_>]) -> bool {
        let count = |word: &str| rows.iter().filter(|row| row.outcome.word() == word).count();
        let (passed, failed, skipped) = (count("pass"), count("FAIL"), count("skip"));
        let others = count("n/a");
        let differ = rows.iter().filter(|row| row.differs).count();
        if self.json {
            let list: Vec<Value> = rows.iter().map(Row::json).collect();
            println!(
                "{}",
                json!({
                    "runtime": runtime.name, "version": runtime.version,
                    "ociVersion": runtime.oci_version,
                    "host": runtime.host.facts().collect::<Vec<_>>(), "cases": list,
                    "passed": passed, "failed": failed, "skipped": skipped,
                    "notApplicable": others, "differ": differ,
                })
            );
        } else {
            let lacks: BTreeSet<&str> = rows
                .iter()
                .filter(|row| matches!(row.outcome, Outcome::Skip(_)))
                .map(|row| row.outcome.note())
                .collect();
            lacks.iter().for_each(|reason| println!("skipped because: {reason}"));
            println!(
                "\n{others} bind somebody else than the runtime; {differ} differ from known.toml\n\
                 {passed} passed, {failed} failed, {skipped} skipped"
            );
        }
        differ == 0 && !rows.is_empty()
    }
}

impl Row<'_> {
    fn print(&self) {
        let Case { id, section, level, what, text, .. } = &self.case;
        println!("{id:<20} {level:<6} {:<5} {what}", self.outcome.word());
        let note = self.outcome.note();
        match (&self.outcome, self.expected, self.differs) {
            (Outcome::Fail(_), Some(known), _) => println!("    {note}\n    known: {}", known.why),
            (Outcome::Fail(_), None, _) => {
                println!("    {note}\n    DIFFERS: known to pass\n    {id}{section}: {text:?}");
            }
            (Outcome::Pass, Some(known), true) => {
                println!("    DIFFERS: known to fail: {}", known.why);
            }
            (Outcome::Skip(_), _, true) => println!("    DIFFERS: skipped: {note}"),
            (Outcome::Skip(_), ..) => println!("    {note}"),
            _ => {}
        }
    }

    fn json(&self) -> Value {
        let Case { id, section, level, text, what, .. } = &self.case;
        json!({
            "id": id, "section": section, "level": level.to_string(), "text": text, "what": what,
            "outcome": self.outcome.word().to_lowercase(), "note": self.outcome.note(),
            "known": self.expected.map(|e| e.why), "differs": self.differs,
            "milliseconds": u64::try_from(self.milliseconds).unwrap_or(u64::MAX),
        })
    }
}

/// Prints the numbering.
pub(crate) fn list(only: &Selection) {
    for case in cases::all() {
        if only.takes(case.id, case.section) {
            let Case { id, section, level, text, what, .. } = case;
            println!("{id:<20} {level:<6} {section:<32} {what}\n    {text:?}");
        }
    }
}
