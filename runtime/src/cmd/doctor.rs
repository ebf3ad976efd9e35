//! `doctor`: what this host lacks for containers, why it matters, and the command that fixes it;
//! and what crashed containers left behind.
//!
//! Facts and rules are [`libcontainer::doctor`]'s; here they are put into words, and the exit code
//! is decided: 0 when containers can be made, 1 when something is lacking.

use std::fmt::Write as _;
use std::path::Path;

use libcontainer::doctor::{Facts, Finding, Status, judge};
use libcontainer::state::Store;
use libcontainer::verbs;
use serde_json::{Value, json};

use crate::cli;
use crate::cmd::print;
use crate::output::Failure;
use crate::personality;
use crate::settings::Settings;

/// The form of the JSON; a member that is added changes nothing in it.
const FORM: u32 = 1;

/// Prints the findings; the exit code tells whether containers can run.
///
/// # Errors
/// `/proc` or `--root` cannot be read; nobody reads stdout.
pub(crate) fn doctor(args: &cli::Doctor, settings: &Settings) -> Result<u8, Failure> {
    // Whoever is not root has no other containers.
    let rootless = args.rootless || !nix::unistd::geteuid().is_root();
    let facts = Facts::probe(&settings.root, rootless)?;
    let mut findings = judge(&facts);
    findings.extend(leftovers(&facts, args.repair, settings)?);
    let text = if args.json { as_json(&facts, &findings) } else { as_text(&facts, &findings) };
    print(&text)?;
    Ok(u8::from(findings.iter().any(|finding| finding.status.is_bad())))
}

/// Leftovers of the containers it is about: another user's have their state where he has it.
fn leftovers(
    facts: &Facts,
    repair: bool,
    settings: &Settings,
) -> libcontainer::Result<Vec<Finding>> {
    let own = facts.user.as_ref().is_none_or(|user| user.uid == facts.host.euid);
    let root = match &facts.user {
        Some(user) if !own && !settings.root_given => {
            Path::new(&user.runtime_dir.0).join(personality::own().name())
        }
        _ => settings.root.clone(),
    };
    // Who else's manager there is to ask, does not listen to us.
    let manager = (facts.systemd.is_some() && own).then_some(facts.rootless);
    verbs::leftovers(&Store::new(root), repair, manager)
}

fn as_json(facts: &Facts, findings: &[Finding]) -> String {
    let each = findings.iter().map(|finding| {
        json!({
            "group": finding.group,
            "id": finding.id,
            "status": finding.status.word(),
            "what": finding.what,
            "why": finding.why,
            "fix": finding.fix,
        })
    });
    let all = json!({
        "form": FORM,
        "ok": !findings.iter().any(|finding| finding.status.is_bad()),
        "kernel": facts.host.kernel.release,
        "rootless": facts.rootless,
        "findings": each.collect::<Value>(),
    });
    format!("{all:#}\n")
}

/// A line for each finding, in groups; reason and remedy below what is lacking.
fn as_text(facts: &Facts, findings: &[Finding]) -> String {
    let mut text = String::new();
    let mut group = "";
    for finding in findings {
        if finding.group != group {
            group = finding.group;
            let _ = writeln!(text, "{}{group}", if text.is_empty() { "" } else { "\n" });
        }
        let Finding { id, status, what, why, fix, .. } = finding;
        let _ = writeln!(text, "  {:<8}  {id:<24}  {what}", status.word());
        if matches!(status, Status::Warn | Status::Lack | Status::Failed) {
            let _ = writeln!(text, "            why: {why}\n            fix: {fix}");
        }
    }
    let count = |status| findings.iter().filter(|finding| finding.status == status).count();
    let whose = if facts.rootless { "Containers without root" } else { "Containers" };
    let verdict = match count(Status::Lack) {
        0 => format!("{whose} can run here"),
        1 => format!("{whose} cannot run here: 1 thing is lacking"),
        more => format!("{whose} cannot run here: {more} things are lacking"),
    };
    let _ = write!(text, "\n{verdict}; warnings: {}", count(Status::Warn));
    for (status, words) in [(Status::Repaired, "removed"), (Status::Failed, "not removed")] {
        match count(status) {
            0 => {}
            some => text += &format!("; {words}: {some}"),
        }
    }
    text.push_str(".\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(status: Status, fix: &'static str) -> Finding {
        let (group, id, what, why) = ("network", "ip-forward", "it is 0".to_owned(), "because");
        Finding { group, id, status, what, why, fix: fix.into() }
    }

    #[test]
    fn text_has_a_line_for_each_and_the_remedy_below() {
        let facts = Facts::ideal();
        let text = as_text(&facts, &[finding(Status::Ok, ""), finding(Status::Lack, "do this")]);
        assert_eq!(
            text,
            "network\n\
             \x20 ok        ip-forward                it is 0\n\
             \x20 lack      ip-forward                it is 0\n\
             \x20           why: because\n\
             \x20           fix: do this\n\
             \n\
             Containers cannot run here: 1 thing is lacking; warnings: 0.\n"
        );
        let text = as_text(&facts, &[finding(Status::Failed, "do"), finding(Status::Repaired, "")]);
        assert!(
            text.ends_with("can run here; warnings: 0; removed: 1; not removed: 1.\n"),
            "{text}"
        );
    }

    #[test]
    fn json_has_every_member() {
        let facts = Facts { rootless: true, ..Facts::ideal() };
        let text = as_json(&facts, &[finding(Status::Warn, "do this")]);
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            value,
            json!({
                "form": 1, "ok": true, "kernel": "6.12.0", "rootless": true,
                "findings": [{
                    "group": "network", "id": "ip-forward", "status": "warn", "what": "it is 0",
                    "why": "because", "fix": "do this",
                }],
            })
        );
    }
}
