//! Equal in meaning is equal; a difference is found wherever it hides.

use super::*;
use crate::profile::{ActionName, Arg, Operator, Profile, Syscalls};

fn profile(rules: &[(&str, ActionName, &[Arg])]) -> Profile {
    let rule = |(names, action, args): &(&str, ActionName, &[Arg])| Syscalls {
        names: names.split(' ').map(str::to_owned).collect(),
        action: *action,
        args: args.to_vec(),
        ..Syscalls::default()
    };
    Profile {
        default_action: ActionName::Errno,
        syscalls: rules.iter().map(rule).collect(),
        ..Profile::default()
    }
}

fn between(one: Profile, two: Profile) -> Vec<Difference> {
    let filter = |profile| Filter::new(profile, Arch::named("SCMP_ARCH_X86_64").unwrap()).unwrap();
    diff(&filter(one), &filter(two))
}

fn arg(op: Operator, value: u64, value_two: u64) -> Arg {
    Arg { index: 0, value, value_two, op }
}

const ALLOW: ActionName = ActionName::Allow;

#[test]
fn other_words_for_the_same_are_no_difference() {
    let one = profile(&[("read write", ALLOW, &[]), ("read", ActionName::Log, &[])]);
    let two = profile(&[
        ("write", ALLOW, &[]),
        ("read", ALLOW, &[]),
        ("pread64", ActionName::Errno, &[]),
    ]);
    // Naming pread64 makes the profile newer: everything up to it is denied with EPERM then.
    let found = between(one, two);
    let [Difference::Calls(only)] = &found[..] else { panic!("{found:#?}") };
    assert_eq!((only.first, only.last), (2, 17));
    assert_eq!((only.before, only.after), (Action::ENOSYS, Action(0x0005_0001)));
    let below = [arg(Operator::Lt, 4, 0)];
    let at_most = [arg(Operator::Le, 3, 0)];
    let not_above = [arg(Operator::MaskedEq, !3, 0)];
    for same in [&at_most, &not_above] {
        let found =
            between(profile(&[("ioctl", ALLOW, &below)]), profile(&[("ioctl", ALLOW, same)]));
        assert_eq!(found, []);
    }
}

#[test]
fn a_single_value_is_found_and_shown() {
    let below = |value| profile(&[("ioctl", ALLOW, &[arg(Operator::Lt, value, 0)])]);
    let found = between(below(1 << 35), below((1 << 35) + 1));
    let [Difference::Calls(change)] = &found[..] else { panic!("{found:#?}") };
    assert_eq!(change.args.unwrap()[0], 1 << 35);
    assert_eq!((change.before, change.after), (Action(0x0005_0001), Action::ALLOW));
    assert!(!change.unsure);
}

/// More in one place and less in another are two changes.
#[test]
fn both_directions_are_told() {
    let but = |value| profile(&[("ioctl", ALLOW, &[arg(Operator::Ne, value, 0)])]);
    let found = between(but(4), but(6));
    let examples = found.iter().map(|difference| match difference {
        Difference::Calls(change) => (change.args.unwrap()[0], change.after),
        other => panic!("{other:?}"),
    });
    let mut examples: Vec<_> = examples.collect();
    examples.sort_unstable_by_key(|example| example.0);
    assert_eq!(examples, [(4, Action::ALLOW), (6, Action(0x0005_0001))]);
}

#[test]
fn what_depends_on_no_argument_has_no_example() {
    let found =
        between(profile(&[("read", ALLOW, &[])]), profile(&[("read", ActionName::Log, &[])]));
    let [Difference::Calls(change)] = &found[..] else { panic!("{found:#?}") };
    assert_eq!((change.first, change.last, change.args), (0, 0, None));
}

#[test]
fn architectures_flags_and_listeners_are_compared() {
    let with = |arches: &[&str], flags: Option<&[&str]>, listener: Option<&str>| Profile {
        architectures: arches.iter().map(ToString::to_string).collect(),
        flags: flags.map(|flags| flags.iter().map(ToString::to_string).collect()),
        listener_path: listener.map(str::to_owned),
        ..profile(&[("read", ALLOW, &[])])
    };
    let (x86, x32) = ("SCMP_ARCH_X86", "SCMP_ARCH_X32");
    let arch = |name| Arch::named(name).unwrap();
    assert_eq!(between(with(&[x86], None, None), with(&[x86], None, None)), []);
    assert_eq!(
        between(with(&[x86], None, None), with(&[x32], None, None)),
        [Difference::ArchRemoved(arch(x86)), Difference::ArchAdded(arch(x32))]
    );
    let found = between(with(&[], None, None), with(&[], Some(&[]), Some("/agent")));
    assert_eq!(found, [Difference::Flags(4, 0), Difference::Listener]);
}

/// x32 has numbers of its own above bit 30.
#[test]
fn x32_is_compared_apart() {
    let with = |names: &str| Profile {
        architectures: vec!["SCMP_ARCH_X32".into()],
        ..profile(&[(names, ALLOW, &[])])
    };
    let found = between(with("read getpid"), with("write getpid"));
    let numbers = found.iter().map(|difference| match difference {
        Difference::Calls(change) => (change.arch.name, change.first),
        other => panic!("{other:?}"),
    });
    assert_eq!(
        numbers.collect::<Vec<_>>(),
        [
            ("SCMP_ARCH_X86_64", 0),
            ("SCMP_ARCH_X86_64", 1),
            ("SCMP_ARCH_X32", X32_BIT),
            ("SCMP_ARCH_X32", X32_BIT + 1),
        ]
    );
}

#[test]
fn what_cannot_be_compared_is_said_to_be_unsure() {
    let rules = |skip: u64| {
        let values = (0..6).flat_map(|index| (0..30).map(move |value| (index, 2 * value)));
        let args: Vec<_> = values
            .filter(|pair| *pair != (0, skip))
            .map(|(index, value)| Arg { index, value, ..Arg::default() })
            .collect();
        profile(&[("ioctl", ALLOW, &args)])
    };
    let found = between(rules(2), rules(4));
    assert!(matches!(&found[..], [Difference::Calls(Change { unsure: true, .. })]), "{found:?}");
}
