//! `seccomp check`: what happens to a call, and which rule says so.

use std::ffi::OsStr;
use std::fmt::Write as _;

use corten_seccomp::Arch;
use corten_seccomp::tools::{Case, Filter, Reason};
use libcontainer::Result;
use serde_json::{Value, json};

use super::input::{Input, arch};
use super::{Answer, arguments, errno, misuse, pretty, words};
use crate::cli::seccomp::Check;

/// The call that is asked about.
struct Call {
    arch: &'static Arch,
    nr: u32,
    name: String,
    given: Vec<u64>,
}

/// The answer; the code is 0 when the call is made whatever its other arguments are.
///
/// # Errors
/// A profile that cannot be read or compiled, a call that the architecture does not have.
pub(super) fn check(args: &Check) -> Answer {
    let input = Input::read(&args.profile, &args.host)?;
    let filter = input.filter()?;
    let of = args.abi.as_deref().map_or(Ok(input.host), arch)?;
    let call = call(args, of)?;
    let cases = filter.cases(call.arch, call.nr, &call.given).ok_or_else(|| {
        misuse(&call.name, "depends on too many combinations of arguments to list them")
            .hint("give its arguments")
    })?;
    let allowed = cases.iter().all(|case| case.verdict.action.allows());
    let text = match args.host.json {
        true => pretty(&as_json(&input, &filter, &call, &cases))?,
        false => as_text(&input, &filter, &call, &cases),
    };
    Ok((text, u8::from(!allowed)))
}

fn call(args: &Check, arch: &'static Arch) -> Result<Call> {
    let given = args.args.iter().map(|arg| number(arg)).collect::<Result<Vec<_>>>()?;
    let word = args.syscall.as_str();
    let name = |nr: u32| arch.call(nr).map_or_else(|| nr.to_string(), str::to_owned);
    if word.starts_with(|c: char| c.is_ascii_digit()) {
        let nr = number(OsStr::new(word))?;
        let nr = u32::try_from(nr).map_err(|_| misuse(word, "is no number of a call"))?;
        return Ok(Call { arch, nr, name: name(nr), given });
    }
    match (arch.number(word), arch.multiplexer(word)) {
        (Some(nr), _) => Ok(Call { arch, nr, name: word.to_owned(), given }),
        // Its own arguments lie in memory.
        (None, Some((nr, which))) => {
            let name = format!("{word} in {}", name(nr));
            Ok(Call { arch, nr, name, given: vec![which] })
        }
        (None, None) => Err(misuse(word, format!("is no system call of {}", arch.name))
            .hint("names are those of syscalls(2); --abi names another architecture")),
    }
}

/// Decimal, hexadecimal or negative, as `strace` prints arguments.
fn number(word: &OsStr) -> Result<u64> {
    let text = word.to_str().unwrap_or_default();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let value = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    // Rust takes a sign of its own here.
    let value = value.ok().filter(|_| !digits.contains('+'));
    let value = value.filter(|value| !negative || *value <= 1 << 63);
    let value = value.map(|value| if negative { value.wrapping_neg() } else { value });
    value.ok_or_else(|| {
        misuse(text, "is no argument of a call")
            .hint("use decimal, 0x and digits, or a negative; flags stand before PROFILE")
    })
}

fn as_text(input: &Input, filter: &Filter, call: &Call, cases: &[Case]) -> String {
    let mut text = match call.name == call.nr.to_string() {
        true => format!("{} has no name on {}\n", call.nr, call.arch.name),
        false => format!("{} is {} on {}\n", call.name, call.nr, call.arch.name),
    };
    if let [_, _, ..] = cases {
        text.push_str("its arguments decide, for example:\n");
    }
    for case in cases {
        if cases.len() > 1 {
            let _ = write!(text, "  ({}): ", arguments(&case.args));
        }
        let verdict = &case.verdict;
        let why = input.because(call.arch, verdict.reason);
        let _ = writeln!(text, "{}: {why}", words(verdict.action));
        if let Reason::Rule { rule, .. } = verdict.reason {
            for condition in conditions(filter, rule) {
                let _ = writeln!(text, "    {condition}");
            }
        }
        for (rule, action) in &verdict.overruled {
            let (path, line) = input.rule(*rule, None);
            let _ = writeln!(text, "    not {path} (line {line}), which says {}", words(*action));
        }
    }
    text
}

/// The conditions of a rule, as `args[0] SCMP_CMP_EQ 0x8`.
fn conditions(filter: &Filter, rule: usize) -> Vec<String> {
    let args = filter.profile().syscalls.get(rule).map(|rule| rule.args.as_slice());
    let word = |arg: &corten_seccomp::Arg| {
        let op = corten_seccomp::Operator::ALL.iter().find(|known| known.1 == arg.op);
        let op = op.map_or("", |known| known.0);
        match arg.op {
            corten_seccomp::Operator::MaskedEq => {
                format!("args[{}] & {:#x} == {:#x}", arg.index, arg.value, arg.value_two)
            }
            _ => format!("args[{}] {op} {:#x}", arg.index, arg.value),
        }
    };
    args.unwrap_or_default().iter().map(word).collect()
}

fn as_json(input: &Input, filter: &Filter, call: &Call, cases: &[Case]) -> Value {
    let of = |case: &Case| {
        let verdict = &case.verdict;
        let rule = match verdict.reason {
            Reason::Rule { rule, name } => {
                let (path, line) = input.rule(rule, Some(name));
                let asked = filter.profile().syscalls.get(rule);
                json!({ "at": path, "line": line, "asked": asked })
            }
            _ => Value::Null,
        };
        let overruled = verdict.overruled.iter().map(|(rule, action)| {
            let (path, line) = input.rule(*rule, None);
            json!({ "at": path, "line": line, "action": action.to_string() })
        });
        json!({
            "args": case.args,
            "action": verdict.action.to_string(),
            "errno": errno(verdict.action),
            "allowed": verdict.action.allows(),
            "because": input.because(call.arch, verdict.reason),
            "rule": rule,
            "overruled": overruled.collect::<Vec<_>>(),
        })
    };
    json!({
        "syscall": call.name,
        "number": call.nr,
        "architecture": call.arch.name,
        "cases": cases.iter().map(of).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_as_strace_prints_them() {
        let read = |word: &str| number(OsStr::new(word)).ok();
        assert_eq!(read("10"), Some(10));
        assert_eq!(read("0x10"), Some(16));
        assert_eq!(read("-1"), Some(u64::MAX));
        assert_eq!(read("-0x10"), Some(u64::MAX - 15));
        assert_eq!(read("-9223372036854775808"), Some(1 << 63));
        assert_eq!(read("18446744073709551615"), Some(u64::MAX));
        for wrong in
            ["", "-", "+1", "-+1", "0x", "x", "1.5", "18446744073709551616", "-9223372036854775809"]
        {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }
}
