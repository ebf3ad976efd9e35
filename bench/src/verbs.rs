//! What the other verbs cost: `exec true` and `state` of a container that runs, then `kill` and
//! `delete` of one that was made for the round.
//!
//! As everywhere here the contestants take turns, verb by verb.

use std::fs;
use std::path::PathBuf;
use std::process::{self, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::bundle::Bundle;
use crate::measure::{find, median, minimum};
use crate::{ROUNDS, view};

/// In the order of a round.
const VERBS: [&str; 4] = ["exec true", "state", "kill", "delete"];
/// How long a killed container may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// One contestant: its state directory, and milliseconds of each verb and round.
struct Runtime<'a> {
    name: String,
    number: usize,
    path: PathBuf,
    bundle: &'a Bundle,
    times: [Vec<f64>; VERBS.len()],
}

impl Runtime<'_> {
    fn call(&self, args: &[&str]) -> Result<f64> {
        let mut command = process::Command::new(&self.path);
        command.arg("--root").arg(self.bundle.state_of(&self.path)).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let begin = Instant::now();
        let status = command.status().with_context(|| self.name.clone())?;
        let time = begin.elapsed().as_secs_f64() * 1e3;
        ensure!(status.success(), "{} {args:?} failed: {status}", self.name);
        Ok(time)
    }

    /// All runtimes use the same cgroups, and so different ids.
    fn id(&self, what: &str) -> String {
        format!("bench-{what}-{}", self.number)
    }

    /// Makes a container that waits; its pid.
    fn run(&self, what: &str) -> Result<String> {
        let id = &self.id(what);
        let pid_file = self.bundle.dir().join("pid");
        let (dir, file) = (self.bundle.dir().to_string_lossy(), pid_file.to_string_lossy());
        self.call(&["run", "--detach", "--bundle", &dir, "--pid-file", &file, id])?;
        Ok(fs::read_to_string(&pid_file)?.trim().to_owned())
    }

    fn measure(&mut self, verb: usize, pid: &str) -> Result<()> {
        let time = match VERBS[verb] {
            "exec true" => self.call(&["exec", &self.id("stays"), "/bin/true"])?,
            "state" => self.call(&["state", &self.id("stays")])?,
            "kill" => {
                let time = self.call(&["kill", &self.id("goes"), "KILL"])?;
                wait_for_end(pid)?;
                time
            }
            _ => self.call(&["delete", &self.id("goes")])?,
        };
        self.times[verb].push(time);
        Ok(())
    }
}

/// Who reaps it is no business of ours: a zombie has ended.
fn wait_for_end(pid: &str) -> Result<()> {
    let begin = Instant::now();
    while let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) {
        if stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['Z', 'X'])) {
            break;
        }
        ensure!(begin.elapsed() < PATIENCE, "container {pid} does not end");
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// `verbs v1|v2 CORTEN [ROUNDS [PEER…]]`
pub(crate) fn compare(args: &[String]) -> Result<ExitCode> {
    let v2 = match args.first().map(String::as_str) {
        Some("v1") => false,
        Some("v2") => true,
        _ => bail!("verbs needs v1 or v2"),
    };
    let corten = PathBuf::from(args.get(1).context("which corten?")?).canonicalize()?;
    let rounds = args.get(2).map_or(Ok(ROUNDS), |text| text.parse())?;
    if v2 {
        view::cgroup2_only()?;
    }
    let bundle = Bundle::new(v2)?.waiting()?;
    let contestant = |number: usize, name: &str, path: PathBuf| {
        let times = [const { Vec::new() }; VERBS.len()];
        Runtime { name: name.to_owned(), number, path, bundle: &bundle, times }
    };
    let mut runtimes = vec![contestant(0, "corten", corten)];
    let peers = match args.get(3..) {
        Some(named @ [_, ..]) => named.to_vec(),
        _ => vec!["crun".into(), "runc".into()],
    };
    for peer in peers {
        match find(&peer) {
            Some(path) => runtimes.push(contestant(runtimes.len(), &peer, path)),
            None => eprintln!("{peer} is not installed: left out"),
        }
    }
    println!("verbs on a container of the default bundle, {rounds} rounds in turn");
    println!("{}", view::words());
    let measured = rounds_of(&mut runtimes, rounds);
    for runtime in &runtimes {
        for id in ["stays", "goes"] {
            // What was not made, or is deleted already.
            let _ = runtime.call(&["delete", "--force", &runtime.id(id)]);
        }
    }
    measured?;
    table(&runtimes);
    Ok(ExitCode::SUCCESS)
}

fn rounds_of(runtimes: &mut [Runtime<'_>], rounds: usize) -> Result<()> {
    for runtime in &*runtimes {
        runtime.run("stays")?;
    }
    // The first is for warming up.
    for round in 0..=rounds {
        let mut pids = Vec::new();
        for runtime in &*runtimes {
            pids.push(runtime.run("goes")?);
        }
        for verb in 0..VERBS.len() {
            for (runtime, pid) in runtimes.iter_mut().zip(&pids) {
                runtime.measure(verb, pid)?;
            }
        }
        if round == 0 {
            runtimes.iter_mut().flat_map(|runtime| &mut runtime.times).for_each(Vec::clear);
        }
    }
    Ok(())
}

fn table(runtimes: &[Runtime<'_>]) {
    println!("| verb | program | median ms | minimum ms | corten ÷ it |");
    println!("|---|---|---|---|---|");
    for (at, verb) in VERBS.iter().enumerate() {
        let ours = runtimes.first().map_or(f64::NAN, |corten| median(&corten.times[at]));
        for runtime in runtimes {
            let (median, minimum) = (median(&runtime.times[at]), minimum(&runtime.times[at]));
            let (name, ratio) = (&runtime.name, ours / median);
            println!("| {verb} | {name} | {median:.2} | {minimum:.2} | {ratio:.2} |");
        }
    }
}
