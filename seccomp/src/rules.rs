//! The front end: a profile becomes, per architecture, numbers and their fate.
//!
//! The rules are those of runc on libseccomp, which profiles are written for: an action equal to
//! the default is skipped, a name that nothing has is skipped, two conditions on one argument are
//! two rules, the native architecture is always there.

use crate::action::Action;
use crate::arch::Arch;
use crate::calls::Calls;
use crate::chain::{Cond, Fate};
use crate::error::Error;
use crate::profile::{self, ActionName, Arg, Profile, Syscalls};
use crate::table;

/// A profile, understood.
pub(crate) struct Rules {
    pub(crate) default: Action,
    pub(crate) arches: Vec<ArchRules>,
    pub(crate) flags: u64,
    pub(crate) unknown: Vec<String>,
}

/// What happens to the calls of one architecture.
pub(crate) struct ArchRules {
    pub(crate) arch: &'static Arch,
    pub(crate) calls: Calls,
    /// The greatest number that the profile names, whatever its action: above it a call is newer
    /// than the profile. `None` when it names nothing here.
    pub(crate) newest: Option<u32>,
}

/// Reads a whole profile.
pub(crate) fn read(profile: &Profile, host: &'static Arch) -> Result<Rules, Error> {
    let default =
        Action::new(profile.default_action, profile.default_errno_ret, "defaultErrnoRet")?;
    if profile.default_action == ActionName::Notify {
        return Err(Error::new(
            "defaultAction",
            "SCMP_ACT_NOTIFY cannot be used as default action",
            "the call that hands the notification descriptor out would wait for itself",
        ));
    }
    let notifies = profile.syscalls.iter().any(|rule| rule.action == ActionName::Notify);
    let arches = arches(profile, host)?
        .into_iter()
        .map(|arch| ArchRules { arch, calls: Calls::new(arch.base), newest: None })
        .collect();
    let flags = flags(profile, notifies)?;
    let mut rules = Rules { default, arches, flags, unknown: Vec::new() };
    for (at, asked) in profile.syscalls.iter().enumerate() {
        rules.add(at, asked)?;
    }
    Ok(rules)
}

/// The native architecture first: most calls are its.
fn arches(profile: &Profile, host: &'static Arch) -> Result<Vec<&'static Arch>, Error> {
    let mut all = vec![host];
    for (at, name) in profile.architectures.iter().enumerate() {
        let arch = if name == "SCMP_ARCH_NATIVE" { Some(host) } else { Arch::named(name) };
        let arch = arch.ok_or_else(|| {
            Error::new(
                format!("architectures[{at}]"),
                format!("unknown architecture {name:?}"),
                "the specification lists them in config-linux.md, \"Seccomp\"",
            )
        })?;
        if !all.contains(&arch) {
            all.push(arch);
        }
    }
    Ok(all)
}

fn flags(profile: &Profile, notifies: bool) -> Result<u64, Error> {
    let named = |name: &str| profile::FLAGS.iter().find(|flag| flag.0 == name).map(|flag| flag.1);
    let mut bits = 0;
    let asked = profile.flags.as_deref();
    for (at, name) in asked.unwrap_or_default().iter().enumerate() {
        bits |= named(name).ok_or_else(|| {
            Error::new(
                format!("flags[{at}]"),
                format!("unknown flag {name:?}"),
                "`features` lists the flags that are known",
            )
        })?;
    }
    if asked.is_none() {
        bits |= named("SECCOMP_FILTER_FLAG_SPEC_ALLOW").unwrap_or(0);
    }
    let of_one_thread = named("SECCOMP_FILTER_FLAG_TSYNC").unwrap_or(0);
    let of_listeners = named("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV").unwrap_or(0);
    // A process that is about to execute has one thread, so that TSYNC changes nothing; beside
    // NEW_LISTENER the kernel refuses it. Without a listener there is nothing to wait for.
    if notifies {
        return Ok((bits & !of_one_thread) | profile::FLAG_NEW_LISTENER);
    }
    Ok(bits & !of_listeners)
}

impl Rules {
    fn add(&mut self, at: usize, asked: &Syscalls) -> Result<(), Error> {
        let field = |member: &str| format!("syscalls[{at}].{member}");
        let action = Action::new(asked.action, asked.errno_ret, &field("errnoRet"))?;
        let alternatives = alternatives(&asked.args, &field("args"))?;
        if asked.names.is_empty() {
            return Err(Error::new(
                field("names"),
                "has no system call",
                "name at least one, or drop the rule",
            ));
        }
        for name in &asked.names {
            if name.is_empty() {
                let hint = "name a system call";
                return Err(Error::new(
                    field("names"),
                    "empty string is not a valid syscall",
                    hint,
                ));
            }
            if asked.action == ActionName::Notify && name == "write" {
                return Err(Error::new(
                    field("names"),
                    "SCMP_ACT_NOTIFY cannot be used for the write syscall",
                    "the call that hands the notification descriptor out would wait for itself",
                ));
            }
            let Some(row) = table::row(name) else {
                self.unknown.push(name.clone());
                continue;
            };
            self.see(row);
            if action == self.default {
                continue;
            }
            self.add_call(row, &alternatives, action).map_err(|earlier| {
                Error::new(
                    field("names"),
                    format!("{name} has {action} here and {earlier} for the same condition"),
                    "leave one of the two rules out",
                )
            })?;
        }
        Ok(())
    }

    /// The profile knows this call.
    fn see(&mut self, row: usize) {
        for rules in &mut self.arches {
            let nr = rules.arch.number_of_row(row);
            // Arm's private calls are above all others and say nothing about the profile's age.
            let nr = nr.filter(|nr| nr - rules.arch.base < table::ARM_PRIVATE);
            rules.newest = rules.newest.max(nr);
        }
    }

    fn add_call(&mut self, row: usize, any: &[Vec<Arg>], action: Action) -> Result<(), Action> {
        for rules in &mut self.arches {
            for (nr, conds) in parts(rules.arch, row, any) {
                rules.insert(nr, conds, action)?;
            }
        }
        Ok(())
    }
}

/// What a name with these conditions says on an architecture: about which numbers, and when.
pub(crate) fn parts(
    arch: &Arch,
    row: usize,
    any: &[Vec<Arg>],
) -> impl Iterator<Item = (u32, Vec<Cond>)> {
    let name = table::NAMES.get(row).copied().unwrap_or_default();
    let (carrier, own) = (arch.multiplexer(name), arch.number_of_row(row));
    let cond = |arg: &Arg| Cond::new(u8::try_from(arg.index).ok()?, arg, arch.wide);
    any.iter().flat_map(move |all| {
        // The arguments lie in memory, where a filter cannot look: the first names the call, what
        // was asked of it is left out (libseccomp does the same).
        let carried = carrier.map(|(nr, which)| {
            let which = Arg { value: which, ..Arg::default() };
            let others = all.iter().filter(|arg| arg.index != 0);
            (nr, std::iter::once(&which).chain(others).filter_map(cond).collect())
        });
        let own = own.map(|nr| (nr, all.iter().filter_map(cond).collect()));
        carried.into_iter().chain(own)
    })
}

impl ArchRules {
    fn insert(&mut self, nr: u32, conds: Vec<Cond>, action: Action) -> Result<(), Action> {
        match self.calls.get_mut(&nr) {
            Some(fate) => fate.add(conds, action).map_err(|earlier| earlier.0),
            None => {
                self.calls.insert(nr, Fate::of(conds, action));
                Ok(())
            }
        }
    }
}

/// One list of conditions, or one per condition when an argument is named twice; each sorted by
/// argument.
pub(crate) fn alternatives(args: &[Arg], field: &str) -> Result<Vec<Vec<Arg>>, Error> {
    for (at, arg) in args.iter().enumerate() {
        if arg.index > 5 {
            return Err(Error::new(
                format!("{field}[{at}].index"),
                format!("there is no argument {}", arg.index),
                "a system call has the arguments 0 to 5",
            ));
        }
    }
    let mut all = args.to_vec();
    all.sort_by_key(|arg| arg.index);
    if all.windows(2).any(|pair| pair[0].index == pair[1].index) {
        return Ok(args.iter().map(|arg| vec![*arg]).collect());
    }
    Ok(vec![all])
}
