//! `ps -a` of a thousand containers, a hundred starts at once, and what a monitor keeps in memory.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::lab::{IMAGE, Lab, output};
use crate::measure::{self, Command};

/// Containers of the list.
const MANY: usize = 1000;
/// Starts at once.
const AT_ONCE: usize = 100;

/// When a monitor has given back what only the start of its container needed.
const SETTLED: Duration = Duration::from_secs(3);

/// All three.
pub(super) fn measure(lab: &Lab, rounds: usize) -> Result<()> {
    let alone = output(&lab.pier(&["run", "-d", "--network", "none", IMAGE, "sleep", "1000"]))?;
    thread::sleep(SETTLED);
    monitors(lab, std::slice::from_ref(&alone))?;
    output(&lab.pier(&["rm", "-f", &alone]))?;
    at_once(lab)?;
    for _ in 0..MANY {
        output(&lab.pier(&["create", "--network", "none", IMAGE, "true"]))?;
    }
    println!("ps -a of {MANY} containers, {rounds} rounds in turn");
    let cat = format!("cat {}/root/containers/*/state.json", lab.dir.display());
    let mut commands = vec![
        Command::new("pier", lab.pier(&["ps", "-a"])),
        Command::new("pier, ids", lab.pier(&["ps", "-aq"])),
        Command::new("cat of their files", ["sh", "-c", &cat].map(str::to_owned).into()),
    ];
    measure::table(&mut commands, rounds, 0)
}

/// All of them start, none is lost; then what their monitors keep.
fn at_once(lab: &Lab) -> Result<()> {
    let begin = Instant::now();
    let started: Vec<Result<String>> = thread::scope(|scope| {
        let start =
            || output(&lab.pier(&["run", "-d", "--network", "none", IMAGE, "sleep", "1000"]));
        let all: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(start)).collect();
        all.into_iter().filter_map(|one| one.join().ok()).collect()
    });
    let seconds = begin.elapsed().as_secs_f64();
    let ids: Vec<String> = started.into_iter().collect::<Result<_>>()?;
    let running = output(&lab.pier(&["ps", "-q"]))?.lines().count();
    ensure!(running == AT_ONCE, "{running} of {AT_ONCE} run");
    println!("{AT_ONCE} starts at once: all of them run after {seconds:.2} s");
    thread::sleep(SETTLED);
    monitors(lab, &ids)?;
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let begin = Instant::now();
    output(&lab.pier(&[&["rm", "-f"], &ids[..]].concat()))?;
    println!("{AT_ONCE} removed in {:.2} s", begin.elapsed().as_secs_f64());
    Ok(())
}

/// Memory of the monitors in KiB: what each has alone, and its share of what all have.
fn monitors(lab: &Lab, ids: &[String]) -> Result<()> {
    let mut all = Vec::new();
    for id in ids {
        let path = lab.dir.join("root/containers").join(id).join("state.json");
        let state: serde_json::Value = serde_json::from_slice(&fs::read(path)?)?;
        let pid = state["monitor"]["pid"].as_i64().context("no monitor")?;
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let field = |name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
            number.unwrap_or(f64::NAN)
        };
        let private = field("Private_Clean") + field("Private_Dirty");
        all.push([private, field("Anonymous"), field("Pss"), field("Rss")]);
    }
    println!("memory of a monitor, median of {} at a time, KiB", all.len());
    println!("| private | anonymous | proportional | resident |");
    println!("|---|---|---|---|");
    let column = |at: usize| measure::median(&all.iter().map(|row| row[at]).collect::<Vec<_>>());
    println!("| {} | {} | {} | {} |", column(0), column(1), column(2), column(3));
    Ok(())
}
