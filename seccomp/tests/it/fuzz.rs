//! The fuzz target without libFuzzer: texts made of the corpus, from a seed.
//!
//! `CORTEN_FUZZ_SECONDS=N` goes on for that long, with another seed each time, and says how many
//! texts it tried. What reached something new is changed further.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::generate::{Dice, NAMES, VALUES};

#[path = "../../fuzz/entry.rs"]
mod entry;

/// Words of profiles, right and wrong.
const WORDS: [&str; 40] = [
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_LOG",
    "SCMP_ACT_NOTIFY",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_TRAP",
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_LE",
    "SCMP_CMP_LT",
    "SCMP_CMP_MASKED_EQ",
    "SCMP_CMP_NE",
    "SCMP_ARCH_X86",
    "SCMP_ARCH_X86_64",
    "SCMP_ARCH_X32",
    "SCMP_ARCH_S390X",
    "SCMP_ARCH_MIPS",
    "SCMP_ARCH_ARM",
    "SCMP_ARCH_PPC64LE",
    "SCMP_ARCH_NATIVE",
    "SCMP_ARCH_PDP11",
    "SECCOMP_FILTER_FLAG_TSYNC",
    "SECCOMP_FILTER_FLAG_LOG",
    "CAP_SYS_ADMIN",
    "CAP_SYS_CHROOT",
    "amd64",
    "s390x",
    "4.8",
    "6",
    "ENOSYS",
    "EWHAT",
    "",
    "setup",
    "restart_syscall",
    "ioctl",
    "no_such_call",
    "_newselect",
];

/// Members that a rule or a profile may have.
const MEMBERS: [&str; 16] = [
    "names",
    "name",
    "action",
    "args",
    "errnoRet",
    "errno",
    "includes",
    "excludes",
    "caps",
    "arches",
    "minKernel",
    "index",
    "value",
    "valueTwo",
    "op",
    "defaultErrnoRet",
];

fn corpus() -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/profile");
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 5);
    files.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// One value somewhere in a profile becomes another.
fn change(value: &mut Value, dice: &mut Dice) {
    match value {
        Value::Array(list) if !list.is_empty() && dice.below(6) != 0 => {
            let at = dice.below(list.len());
            match dice.below(6) {
                0 => drop(list.remove(at)),
                1 => list.push(list[at].clone()),
                2 => {
                    let other = dice.below(list.len());
                    list.swap(at, other);
                }
                _ => change(&mut list[at], dice),
            }
        }
        Value::Object(members) if !members.is_empty() && dice.below(8) != 0 => {
            let keys: Vec<_> = members.keys().cloned().collect();
            match dice.below(24) {
                0 => drop(members.remove(dice.pick(&keys))),
                1 => drop(members.insert((*dice.pick(&MEMBERS)).to_owned(), leaf(dice))),
                _ => change(&mut members[dice.pick(&keys)], dice),
            }
        }
        other => *other = alike(other, dice),
    }
}

/// Mostly of the same kind, so that it is still a profile.
fn alike(old: &Value, dice: &mut Dice) -> Value {
    let kind = old.as_str().and_then(|word| word.get(..8)).filter(|word| word.starts_with("SCMP_"));
    match old {
        _ if dice.below(12) == 0 => leaf(dice),
        Value::Number(_) if dice.below(2) == 0 => Value::from(*dice.pick(&VALUES)),
        Value::Number(_) => Value::from(dice.below(6)),
        Value::String(_) if kind.is_some() => {
            let of = |word: &&&str| kind.is_some_and(|kind| word.starts_with(kind));
            let words: Vec<_> = WORDS.iter().filter(of).collect();
            Value::from(**dice.pick(&words))
        }
        Value::String(_) => Value::from(*dice.pick(&NAMES)),
        other => other.clone(),
    }
}

fn leaf(dice: &mut Dice) -> Value {
    match dice.below(12) {
        0 => Value::Null,
        1 => Value::Array(vec![Value::from(*dice.pick(&NAMES))]),
        2 => Value::from(-1),
        3 => Value::from(dice.next()),
        4..6 => Value::from(*dice.pick(&VALUES)),
        6..8 => Value::from(dice.below(40)),
        8..10 => Value::from(*dice.pick(&NAMES)),
        _ => Value::from(*dice.pick(&WORDS)),
    }
}

/// Bytes change: mostly no profile any more, and that is the point.
fn scramble(text: &mut Vec<u8>, other: &[u8], dice: &mut Dice) {
    if text.is_empty() {
        return;
    }
    let at = dice.below(text.len());
    match dice.below(5) {
        0 => text[at] ^= 1 << dice.below(8),
        1 => text.truncate(at),
        2 => drop(text.drain(at..(at + 1 + dice.below(16)).min(text.len()))),
        3 => text.splice(at..at, dice.pick(&WORDS).bytes()).for_each(drop),
        _ => text.extend(&other[dice.below(other.len())..]),
    }
}

fn next(all: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut text = dice.pick(all).clone();
    let value = serde_json::from_slice::<Value>(&text).ok().filter(|_| dice.below(10) != 0);
    if let Some(mut value) = value {
        (0..1 + dice.below(5)).for_each(|_| change(&mut value, dice));
        text = serde_json::to_vec(&value).unwrap();
    } else {
        let other = dice.pick(all).clone();
        (0..1 + dice.below(4)).for_each(|_| scramble(&mut text, &other, dice));
    }
    text
}

#[test]
fn every_text_is_refused_or_compiled_into_what_it_says() {
    let seconds = std::env::var("CORTEN_FUZZ_SECONDS").ok().and_then(|n| n.parse().ok());
    let end = seconds.map(|n| Instant::now() + Duration::from_secs(n));
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
    let seed = end.map_or(0xf022, |_| u64::try_from(now() & 0xffff_ffff).unwrap() | 1);
    let (mut dice, mut all) = (Dice(seed), corpus());
    let (mut seen, mut tried, mut compiled) = (BTreeSet::new(), 0_u64, 0_u64);
    let mut queue: Vec<_> = all.clone();
    loop {
        let text = queue.pop().unwrap_or_else(|| next(&all, &mut dice));
        let came = catch_unwind(AssertUnwindSafe(|| entry::one(&text)));
        let came = came.unwrap_or_else(|_| {
            panic!("seed {seed:#x}, text {tried}: {}", String::from_utf8_lossy(&text))
        });
        tried += 1;
        compiled += u64::from(matches!(came, entry::Came::Compiled(..)));
        // Long ones only become longer.
        if seen.insert(came) && text.len() < 20_000 {
            all.push(text);
        }
        if end.map_or(tried >= 600, |end| Instant::now() >= end) {
            break;
        }
    }
    println!("{tried} texts, {compiled} compiled, {} kinds, seed {seed:#x}", seen.len());
    assert!(compiled * 5 > tried, "{compiled} of {tried} compiled: too few to mean anything");
}
