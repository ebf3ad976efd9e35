//! Each rule by itself, and rules that meet: duplicates, rules that never decide, overlaps.

use std::collections::BTreeMap;

use super::{Finding, list};
use crate::action::Action;
use crate::arch::{ARCHES, Arch};
use crate::chain::Cond;
use crate::profile::{ActionName, Arg, Operator, Profile, Syscalls};
use crate::table;
use crate::tools::check::{Claim, all_hold};
use crate::tools::samples::samples;
use crate::tools::{Filter, Reason};

/// What can be seen without the program: names, conditions, errnos.
pub(super) fn words(profile: &Profile, host: &'static Arch, found: &mut Vec<Finding>) {
    let arches = profile.architectures.iter().filter_map(|name| Arch::named(name));
    let arches: Vec<_> = std::iter::once(host).chain(arches).collect();
    listener(profile, found);
    for (at, rule) in profile.syscalls.iter().enumerate() {
        names(at, rule, &arches, found);
        args(at, rule, &arches, found);
        if rule.action == ActionName::Errno && rule.errno_ret == Some(0) {
            found.push(
                Finding::new(
                    "errno-zero",
                    format!("syscalls[{at}].errnoRet"),
                    "errno 0 tells the program that the call succeeded, though it was not made",
                )
                .remedy("use the number of an errno, or SCMP_ACT_ALLOW"),
            );
        }
    }
}

/// Runtimes refuse these (config-linux.md, "Seccomp").
fn listener(profile: &Profile, found: &mut Vec<Finding>) {
    let is_set = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    if is_set(&profile.listener_path) {
        return;
    }
    let notifies = |rule: &Syscalls| rule.action == ActionName::Notify;
    if let Some(at) = profile.syscalls.iter().position(notifies) {
        let problem = "SCMP_ACT_NOTIFY needs listenerPath";
        let finding = Finding::new("listener", format!("syscalls[{at}].action"), problem).error();
        found.push(finding.remedy("name the socket that receives the notifications"));
    } else if is_set(&profile.listener_metadata) {
        let finding = Finding::new("listener", "listenerMetadata", "needs listenerPath").error();
        found.push(finding.remedy("drop it, or name the socket that receives it"));
    }
}

fn names(at: usize, rule: &Syscalls, arches: &[&'static Arch], found: &mut Vec<Finding>) {
    let mut elsewhere = Vec::new();
    for (i, name) in rule.names.iter().enumerate() {
        let place = format!("syscalls[{at}].names[{i}]");
        if rule.names[..i].contains(name) {
            let problem = format!("{name} is named twice");
            found.push(Finding::new("duplicate", place, problem).note().remedy("drop one"));
            continue;
        }
        let Some(row) = table::row(name) else {
            let unknown =
                Finding::new("unknown-name", place, format!("no architecture has {name:?}"));
            found.push(unknown.remedy(match similar(name) {
                Some(known) => format!("did you mean {known}?"),
                None => "drop it, or update the runtime if the call is new".to_owned(),
            }));
            continue;
        };
        let has =
            |arch: &&Arch| arch.number_of_row(row).is_some() || arch.multiplexer(name).is_some();
        if !arches.iter().copied().any(|arch| has(&arch)) {
            elsewhere.push((name.as_str(), ARCHES.iter().find(has).map_or("", |arch| arch.name)));
        }
    }
    if !elsewhere.is_empty() {
        let names: Vec<_> = elsewhere.iter().map(|(name, _)| *name).collect();
        let other = elsewhere.first().map_or("", |(_, arch)| arch);
        let problem = format!(
            "{}: on none of the profile's architectures, on others such as {other}",
            list(&names)
        );
        let finding = Finding::new("foreign-name", format!("syscalls[{at}].names"), problem).note();
        found.push(finding.remedy("nothing to do, unless the architecture is missing"));
    }
}

/// The known name that was probably meant.
fn similar(name: &str) -> Option<&'static str> {
    let name = name.trim_start_matches("__NR_").trim_start_matches("sys_");
    let distance = |known: &&&str| distance(name.as_bytes(), known.as_bytes());
    let nearest = table::NAMES.iter().min_by_key(distance)?;
    (distance(&nearest) <= 2 && name.len() > 2).then_some(*nearest)
}

/// Letters to change, add or drop (Levenshtein).
fn distance(one: &[u8], two: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=two.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in two.iter().enumerate() {
            let changed = corner + usize::from(a != b);
            corner = row[j + 1];
            row[j + 1] = changed.min(corner + 1).min(row[j] + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

fn args(at: usize, rule: &Syscalls, arches: &[&'static Arch], found: &mut Vec<Finding>) {
    let mut indices: Vec<_> = rule.args.iter().map(|arg| arg.index).collect();
    indices.sort_unstable();
    if let Some(pair) = indices.windows(2).find(|pair| pair[0] == pair[1]) {
        let problem = format!(
            "two conditions on argument {}: any one of the rule's conditions is enough then, not all",
            pair[0]
        );
        found.push(
            Finding::new("alternatives", format!("syscalls[{at}].args"), problem).remedy(
                "write one rule per condition; a range needs two rules that overlap nowhere",
            ),
        );
    }
    for (i, arg) in rule.args.iter().enumerate() {
        let mut say = |problem: String, remedy: &str| {
            let place = format!("syscalls[{at}].args[{i}]");
            found.push(Finding::new("condition", place, problem).remedy(remedy));
        };
        let narrow = arches.iter().find(|arch| !arch.wide);
        match arg.op {
            Operator::MaskedEq if arg.value_two & !arg.value != 0 => {
                say("valueTwo has bits that value masks out".into(), "value is the mask here");
            }
            Operator::MaskedEq => {}
            _ if arg.value_two != 0 => {
                say(format!("valueTwo has no meaning with {}", word(arg.op)), "leave it out");
            }
            _ => {}
        }
        if let Some(always) = constant(arg) {
            let problem = format!("{} {:#x} {always} holds", word(arg.op), arg.value);
            say(problem, "arguments are unsigned; leave the condition out, or correct it");
        }
        if let Some(arch) = narrow.filter(|_| arg.value > u64::from(u32::MAX)) {
            let problem = format!("{:#x}: {} compares the low 32 bits only", arg.value, arch.name);
            say(problem, "write a profile of its own for 32-bit architectures");
        }
    }
}

fn word(op: Operator) -> &'static str {
    Operator::ALL.iter().find(|known| known.1 == op).map_or("", |known| known.0)
}

/// A condition that is no question.
fn constant(arg: &Arg) -> Option<&'static str> {
    match (arg.op, arg.value) {
        (Operator::Ge, 0) | (Operator::Le, u64::MAX) | (Operator::MaskedEq, 0) => Some("always"),
        (Operator::Lt, 0) | (Operator::Gt, u64::MAX) => Some("never"),
        _ => None,
    }
}

/// How the words of one name fared on all architectures.
#[derive(Default)]
struct Career {
    decides: bool,
    /// It holds somewhere, and this decided instead.
    against: Option<(Reason, Action)>,
    skipped: bool,
}

/// Rules that meet other rules.
pub(super) fn meetings(filter: &Filter, found: &mut Vec<Finding>) {
    let mut careers: BTreeMap<(usize, usize), Career> = BTreeMap::new();
    let mut overlaps = BTreeMap::new();
    for arch in filter.arches() {
        for nr in filter.numbers(arch) {
            meet(filter, arch, nr, &mut careers, &mut overlaps);
        }
    }
    // By rule and by who decides instead.
    let mut dead: BTreeMap<(usize, Option<usize>, bool, bool), Vec<usize>> = BTreeMap::new();
    for ((rule, name), career) in &careers {
        if career.decides {
            continue;
        }
        let own = action(filter, *rule);
        let by = match career.against {
            Some((Reason::Rule { rule, .. }, _)) => Some(rule),
            _ => None,
        };
        let differs = career.against.is_some_and(|(_, other)| other != own);
        // What a rule says twice itself is told by its words.
        if by == Some(*rule) || by.is_none() && !career.skipped && career.against.is_some() {
            continue;
        }
        dead.entry((*rule, by, differs, career.skipped)).or_default().push(*name);
    }
    for ((rule, by, differs, skipped), names) in dead {
        found.push(never(filter, rule, &names, (by, differs, skipped)));
    }
    for ((one, two), (name, args)) in overlaps {
        let (first, second) = (action(filter, one), action(filter, two));
        let problem = format!(
            "{name}: holds at once with syscalls[{two}], which says {second}; {first} wins by \
             libseccomp's order of conditions, as with arguments {args:#x?}"
        )
        .replace('\n', "")
        .replace("    ", " ");
        found.push(
            Finding::new("overlap", format!("syscalls[{one}]"), problem)
                .remedy("make the conditions exclude each other"),
        );
    }
}

fn action(filter: &Filter, rule: usize) -> Action {
    let asked = filter.profile.syscalls.get(rule);
    let action = asked.and_then(|asked| Action::new(asked.action, asked.errno_ret, "").ok());
    action.unwrap_or(filter.rules.default)
}

/// A rule that never decides for these names.
fn never(
    filter: &Filter,
    rule: usize,
    names: &[usize],
    (by, differs, skipped): (Option<usize>, bool, bool),
) -> Finding {
    let all = filter.profile.syscalls.get(rule).map(|rule| rule.names.as_slice());
    let all = all.unwrap_or_default();
    let words: Vec<_> = names.iter().filter_map(|at| all.get(*at)).map(String::as_str).collect();
    let what = list(&words);
    let at = match names {
        [one] if all.len() > 1 => format!("syscalls[{rule}].names[{one}]"),
        _ => format!("syscalls[{rule}]"),
    };
    let own = action(filter, rule);
    match (by, differs) {
        (Some(by), true) => {
            let other = action(filter, by);
            let why = if skipped { ": an action equal to the default is skipped" } else { "" };
            let problem = format!("{what}: {own} never happens, syscalls[{by}] says {other}{why}");
            Finding::new("overruled", at, problem)
                .remedy("a rule without conditions beats all with some; drop one of the two")
        }
        (Some(by), false) => {
            let problem = format!("{what}: syscalls[{by}] says the same");
            Finding::new("duplicate", at, problem).note().remedy("drop it")
        }
        (None, _) if skipped => {
            let problem = format!("{what}: {own} is what happens by default");
            let remedy = "drop it, unless it is there to say that the calls are known";
            Finding::new("no-effect", at, problem).note().remedy(remedy)
        }
        (None, _) => Finding::new("condition", at, format!("{what}: the conditions never hold"))
            .remedy("correct them"),
    }
}

type Overlaps<'a> = BTreeMap<(usize, usize), (&'a str, [u64; 6])>;

/// Everything that is said about one number, tried.
fn meet<'a>(
    filter: &'a Filter,
    arch: &'static Arch,
    nr: u32,
    careers: &mut BTreeMap<(usize, usize), Career>,
    overlaps: &mut Overlaps<'a>,
) {
    let claims = filter.claims(arch, nr);
    let conds = claims.iter().flat_map(|claim| &claim.conds);
    let Some(samples) = samples(conds, arch.wide, &[]) else {
        // Too many to try: nothing is said about them.
        for claim in claims {
            careers.entry((claim.rule, claim.name)).or_default().decides = true;
        }
        return;
    };
    for args in samples {
        let verdict = filter.ask(arch, nr, &args);
        for claim in claims {
            let career = careers.entry((claim.rule, claim.name)).or_default();
            career.skipped |= claim.action == filter.rules.default;
            if !all_hold(&claim.conds, &args) {
                continue;
            }
            if is(claim, verdict.reason) {
                career.decides = true;
                continue;
            }
            let worse = career.against.is_none_or(|(_, other)| other == claim.action);
            if worse {
                career.against = Some((verdict.reason, verdict.action));
            }
            let Reason::Rule { rule, .. } = verdict.reason else { continue };
            let conditional =
                !claim.conds.is_empty() && !conds_of(claims, verdict.reason).is_empty();
            if conditional && claim.action != verdict.action && claim.rule != rule {
                let name = arch.call(nr).unwrap_or_default();
                overlaps.entry((rule, claim.rule)).or_insert((name, args));
            }
        }
    }
}

fn is(claim: &Claim, reason: Reason) -> bool {
    reason == Reason::Rule { rule: claim.rule, name: claim.name }
}

fn conds_of(claims: &[Claim], reason: Reason) -> &[Cond] {
    let claim = claims.iter().find(|claim| is(claim, reason));
    claim.map(|claim| claim.conds.as_slice()).unwrap_or_default()
}
