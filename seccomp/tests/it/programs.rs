//! What programs look like: their size, their jumps, and what is refused.

use corten_seccomp::{
    ActionName, Arch, Arg, Data, MAX_INSTRUCTIONS, Profile, Syscalls, compile, run,
};

fn host() -> &'static Arch {
    Arch::named("SCMP_ARCH_X86_64").unwrap()
}

fn rule(names: &[&str], action: ActionName, args: Vec<Arg>) -> Syscalls {
    let names = names.iter().map(ToString::to_string).collect();
    Syscalls { names, action, args, ..Syscalls::default() }
}

fn refused(profile: &Profile) -> String {
    compile(profile, host()).unwrap_err().to_string()
}

/// `values` rules on one call, which no two can share.
fn many(values: u64, op: corten_seccomp::Operator) -> Profile {
    let arg = |value: u64| Arg { op, value, ..Arg::default() };
    let rules = (0..values)
        .map(|value| rule(&["prctl"], ActionName::Errno, vec![arg(value << 32 | value)]));
    Profile { syscalls: rules.collect(), ..Profile::default() }
}

#[test]
fn far_targets_are_reached() {
    for values in [10, 100, 300, 900] {
        let program = compile(&many(values, corten_seccomp::Operator::Eq), host()).unwrap();
        let prctl = |arg| {
            let args = [arg, 0, 0, 0, 0, 0];
            let data = Data { nr: 157, arch: host().audit, args, ..Data::default() };
            run(&program.code, &data).unwrap().action
        };
        for value in 0..values {
            assert_eq!(prctl(value << 32 | value), 0x0005_0001);
            assert_eq!(prctl(value << 32 | (value + 1)), 0x7fff_0000);
        }
        let other = Data { nr: 39, arch: host().audit, ..Data::default() };
        assert_eq!(run(&program.code, &other).unwrap().action, 0x7fff_0000);
    }
}

#[test]
fn a_program_that_the_kernel_would_refuse_is_an_error() {
    let error = refused(&many(1200, corten_seccomp::Operator::Eq));
    assert!(error.contains(&format!("the kernel takes {MAX_INSTRUCTIONS}")), "{error}");
}

#[test]
fn the_same_profile_gives_the_same_bytes() {
    let profile = many(50, corten_seccomp::Operator::Eq);
    assert_eq!(compile(&profile, host()), compile(&profile, host()));
}

#[test]
fn an_empty_profile_is_its_default() {
    for (action, value) in [(ActionName::Allow, 0x7fff_0000), (ActionName::Errno, 0x0005_0001)] {
        let program =
            compile(&Profile { default_action: action, ..Profile::default() }, host()).unwrap();
        let data = |arch| Data { nr: 0, arch, ..Data::default() };
        assert_eq!(run(&program.code, &data(host().audit)).unwrap().action, value);
        assert_eq!(run(&program.code, &data(0x4000_0003)).unwrap().action, 0);
    }
}

#[test]
fn x32_does_not_get_around_a_profile() {
    let profile = Profile {
        syscalls: vec![rule(&["mount"], ActionName::Errno, vec![])],
        ..Profile::default()
    };
    let program = compile(&profile, host()).unwrap();
    let mount = |nr| Data { nr, arch: host().audit, ..Data::default() };
    assert_eq!(run(&program.code, &mount(165)).unwrap().action, 0x0005_0001);
    assert_eq!(run(&program.code, &mount(165 | 0x4000_0000)).unwrap().action, 0);
}

#[test]
fn flags_follow_the_profile() {
    let flags = |flags: Option<&[&str]>, action| {
        let name = |flag: &&str| format!("SECCOMP_FILTER_FLAG_{flag}");
        let profile = Profile {
            flags: flags.map(|flags| flags.iter().map(name).collect()),
            syscalls: vec![rule(&["mkdir"], action, vec![])],
            ..Profile::default()
        };
        compile(&profile, host()).map(|program| program.flags)
    };
    let errno = ActionName::Errno;
    assert_eq!(flags(None, errno), Ok(4));
    assert_eq!(flags(Some(&[]), errno), Ok(0));
    assert_eq!(flags(Some(&["LOG", "TSYNC", "WAIT_KILLABLE_RECV"]), errno), Ok(3));
    let notify = flags(Some(&["TSYNC", "WAIT_KILLABLE_RECV"]), ActionName::Notify);
    assert_eq!(notify, Ok(1 << 3 | 1 << 5));
    assert!(flags(Some(&["NEVER"]), errno).is_err());
}

#[test]
fn impossible_profiles_are_refused_in_words() {
    let with = |syscalls| Profile { syscalls, ..Profile::default() };
    let notify = |name| with(vec![rule(&[name], ActionName::Notify, vec![])]);
    assert!(refused(&notify("write")).starts_with("syscalls[0].names: SCMP_ACT_NOTIFY cannot"));
    assert!(compile(&notify("read"), host()).is_ok());
    let default = Profile { default_action: ActionName::Notify, ..Profile::default() };
    assert!(refused(&default).starts_with("defaultAction"));
    let arg = Arg { index: 6, ..Arg::default() };
    let far = with(vec![rule(&["read"], ActionName::Errno, vec![arg])]);
    assert!(refused(&far).starts_with("syscalls[0].args[0].index: there is no argument 6"));
    let arch = Profile { architectures: vec!["SCMP_ARCH_VAX".into()], ..Profile::default() };
    assert!(refused(&arch).starts_with("architectures[0]: unknown architecture"));
    let arg = vec![Arg::default()];
    let twice = with(vec![
        rule(&["read"], ActionName::Errno, arg.clone()),
        rule(&["read"], ActionName::Trap, arg),
    ]);
    let error = refused(&twice);
    assert!(error.contains("read has SCMP_ACT_TRAP here and SCMP_ACT_ERRNO(1)"), "{error}");
    let errno = Syscalls { errno_ret: Some(1), ..rule(&["read"], ActionName::Kill, vec![]) };
    assert!(refused(&with(vec![errno])).starts_with("syscalls[0].errnoRet"));
}

#[test]
fn unknown_names_are_skipped_and_told() {
    let profile = Profile {
        syscalls: vec![rule(&["read", "no_such_call"], ActionName::Errno, vec![])],
        ..Profile::default()
    };
    assert_eq!(compile(&profile, host()).unwrap().unknown, ["no_such_call"]);
}
