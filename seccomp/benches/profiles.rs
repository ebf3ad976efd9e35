//! The clients' default profiles: how long compiling takes, how long the program is, and how much
//! of it runs per call; beside libseccomp with and without its tree.
//!
//! `cargo bench -p corten-seccomp`, or as a part of `make bench`. As root, with Docker, containerd,
//! podman, strace, cc and libseccomp's header; `CORTEN_PROFILES=DIR` takes other profiles.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark fails by panicking, as tests do"
)]

#[path = "../tests/it/generate.rs"]
#[allow(dead_code, reason = "the tests use all of it")]
mod generate;
#[path = "../tests/it/oracle.rs"]
#[allow(dead_code, reason = "the tests use all of it")]
mod oracle;
#[path = "../tests/it/profiles.rs"]
mod profiles;

use std::process::{Command, Stdio};
use std::time::Instant;

use corten_seccomp::{Arch, Data, Insn, Profile, compile, run};

const ARCHES: [&str; 3] = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"];
/// Times that a profile is compiled; libseccomp, which takes a hundred times as long, less often.
const ROUNDS: usize = 1000;
const THEIR_ROUNDS: u32 = 30;
/// A program that reads, writes, forks, maps and waits.
const BUSY: &str =
    "tar -C /usr/include/linux -cf - . | gzip -1 | tar -tzf - | sort | uniq -c | wc -l";

fn main() {
    // `cargo test --all-targets` starts benchmarks too, without this word.
    if !std::env::args().any(|word| word == "--bench") {
        return;
    }
    let profiles = profiles::ask("bench").expect("needs the clients");
    let mut oracle = oracle::Oracle::start().expect("needs libseccomp");
    let trace = trace();
    println!("Executed per call: on average over {} calls of `{BUSY}`;", trace.len());
    println!("the most of any call that no rule asks for arguments (plain); the most of any call.");
    println!();
    println!("| profile | compiler | µs | least | instructions | executed | most, plain | most |");
    println!("|---|---|---|---|---|---|---|---|");
    for (name, mut profile) in profiles {
        profile.architectures = ARCHES.map(str::to_owned).to_vec();
        let host = Arch::named(ARCHES[0]).unwrap();
        let ours = compile(&profile, host).unwrap().code;
        row(&name, "corten", ours_takes(&profile, host), &ours, &profile, &trace);
        for (label, tree) in [("libseccomp", false), ("libseccomp, tree", true)] {
            let theirs = oracle.compile(&profile, tree).unwrap();
            let (median, least) = oracle.time(THEIR_ROUNDS);
            row(&name, label, (median / 1e3, least / 1e3), &theirs, &profile, &trace);
        }
    }
}

/// Microseconds: the median and the least.
fn ours_takes(profile: &Profile, host: &'static Arch) -> (f64, f64) {
    let once = |_| {
        let begin = Instant::now();
        let program = compile(profile, host);
        let took = begin.elapsed();
        assert!(program.is_ok());
        took.as_secs_f64() * 1e6
    };
    let mut times: Vec<f64> = (0..ROUNDS).map(once).collect();
    times.sort_by(f64::total_cmp);
    (times[ROUNDS / 2], times[0])
}

#[allow(clippy::too_many_arguments, reason = "the cells of a row")]
fn row(name: &str, by: &str, micros: (f64, f64), code: &[Insn], profile: &Profile, trace: &[Data]) {
    let executed = |data: &Data| run(code, data).unwrap().executed;
    let sum: usize = trace.iter().map(executed).sum();
    let average = sum as f64 / trace.len() as f64;
    let (mut plain, mut most) = (0, 0);
    let mut dice = generate::Dice(0x5eed_0004);
    for arch in ARCHES.map(|name| Arch::named(name).unwrap()) {
        for nr in (0..600).map(|nr| arch.base + nr) {
            let asked = asked(profile, arch, nr);
            for _ in 0..if asked { 200 } else { 1 } {
                let args = generate::args(&mut dice, &generate::VALUES);
                let executed = executed(&Data { nr, arch: arch.audit, args, ..Data::default() });
                most = most.max(executed);
                plain = plain.max(if asked { 0 } else { executed });
            }
        }
    }
    let ((median, least), length) = (micros, code.len());
    println!(
        "| {name} | {by} | {median:.0} | {least:.0} | {length} | {average:.1} | {plain} | {most} |"
    );
}

/// Whether a rule asks for arguments of that call.
fn asked(profile: &Profile, arch: &Arch, nr: u32) -> bool {
    let name = arch.call(nr);
    let mut rules = profile.syscalls.iter().filter(|rule| !rule.args.is_empty());
    matches!(name, Some("socketcall" | "ipc"))
        || rules.any(|rule| rule.names.iter().any(|known| Some(&**known) == name))
}

/// The calls of a busy program, as strace sees them.
fn trace() -> Vec<Data> {
    let log = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-n", "-e", "raw=all", "-e", "signal=none", "-o"]).arg(&log);
    let status = strace.args(["sh", "-c", BUSY]).stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "strace: {status}");
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::remove_file(&log).unwrap();
    let arch = Arch::native().unwrap().audit;
    let calls: Vec<_> = text.lines().filter_map(|line| call(line, arch)).collect();
    assert!(calls.len() > 1000, "{}", calls.len());
    calls
}

/// `PID [ NR] name(0x1, 0x2) = 0x3`
fn call(line: &str, arch: u32) -> Option<Data> {
    let (_, rest) = line.split_once('[')?;
    let (nr, rest) = rest.split_once(']')?;
    let (_, rest) = rest.split_once('(')?;
    let mut args = [0; 6];
    for (to, word) in args.iter_mut().zip(rest.split([',', ')', ' ']).filter(|w| !w.is_empty())) {
        let Some(digits) = word.strip_prefix("0x") else { break };
        *to = u64::from_str_radix(digits, 16).ok()?;
    }
    Some(Data { nr: nr.trim().parse().ok()?, arch, args, ..Data::default() })
}
