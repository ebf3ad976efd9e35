//! Runs commands in turn and prints medians, ratios, peak memory and system calls.

use std::path::PathBuf;
use std::process::{self, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use nix::sys::resource::{UsageWho, getrusage};

/// One contestant.
pub(crate) struct Command {
    name: String,
    line: Vec<String>,
    /// Set for it alone.
    env: Vec<(String, String)>,
    /// Milliseconds of each round.
    times: Vec<f64>,
}

impl Command {
    /// A contestant with its command line.
    pub(crate) fn new(name: &str, line: Vec<String>) -> Self {
        Self { name: name.to_owned(), line, env: Vec::new(), times: Vec::new() }
    }

    /// The same with variables of its own in the environment.
    pub(crate) fn with(mut self, env: &[(&str, &str)]) -> Self {
        self.env = env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        self
    }

    fn process(&self) -> process::Command {
        let mut command = process::Command::new(&self.line[0]);
        command.args(&self.line[1..]).stdin(Stdio::null()).stdout(Stdio::null());
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs once, unless it cannot: then why is told, and it takes no part.
    pub(crate) fn takes_part(&mut self) -> bool {
        let ran = self.round();
        self.times.clear();
        if let Err(error) = &ran {
            eprintln!("left out: {error:#}");
        }
        ran.is_ok()
    }

    /// One round.
    ///
    /// # Errors
    /// It failed.
    pub(crate) fn round(&mut self) -> Result<()> {
        let begin = Instant::now();
        let status = self.process().status().with_context(|| self.name.clone())?;
        self.times.push(begin.elapsed().as_secs_f64() * 1e3);
        ensure!(status.success(), "{} failed: {status}", self.name);
        Ok(())
    }

    /// The middle of all rounds.
    pub(crate) fn median(&self) -> f64 {
        median(&self.times)
    }

    /// The shortest round.
    pub(crate) fn minimum(&self) -> f64 {
        minimum(&self.times)
    }

    /// How many milliseconds it takes more than another one that ran in the same rounds: the
    /// median of the differences.
    pub(crate) fn more_than(&self, other: &Self) -> f64 {
        let mut more: Vec<f64> = self.times.iter().zip(&other.times).map(|(a, b)| a - b).collect();
        more.sort_by(f64::total_cmp);
        more.get(more.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// Peak resident memory of the largest process, in KiB.
    fn memory(&self) -> Result<i64> {
        let own = std::env::current_exe()?;
        let mut command = process::Command::new(own);
        command.arg("once").args(&self.line);
        let output = command.envs(self.env.iter().map(|(name, value)| (name, value))).output()?;
        let text = String::from_utf8_lossy(&output.stderr);
        let last = text.lines().last().unwrap_or_default();
        last.parse().with_context(|| format!("{}: {text}", self.name))
    }

    /// System calls of all of its processes, counted by strace.
    fn system_calls(&self) -> Option<u64> {
        let strace = find("strace")?;
        let log = std::env::temp_dir().join(format!("corten-bench-{}.strace", process::id()));
        let mut command = process::Command::new(strace);
        command.args(["-f", "-c", "-S", "calls", "-o"]).arg(&log).args(&self.line);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        let counted = command.status().ok()?.success();
        let text = std::fs::read_to_string(&log).ok()?;
        std::fs::remove_file(&log).ok()?;
        let total = text.lines().rev().find(|line| line.ends_with("total"))?;
        counted.then(|| total.split_whitespace().nth(3)?.parse().ok())?
    }
}

/// The middle one; no number without any.
pub(crate) fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The smallest.
pub(crate) fn minimum(times: &[f64]) -> f64 {
    times.iter().copied().fold(f64::INFINITY, f64::min)
}

/// A program by its path, or along `PATH`.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|file| file.is_file());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// Runs a command and prints the peak memory of the largest of its processes, in KiB.
pub(crate) fn once(line: &[String]) -> Result<ExitCode> {
    let (program, args) = line.split_first().context("once needs a command")?;
    let status = process::Command::new(program).args(args).stdout(Stdio::null()).status()?;
    ensure!(status.success(), "{program}: {status}");
    eprintln!("{}", getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss());
    Ok(ExitCode::SUCCESS)
}

/// All rounds, then the table. Ratios are of the command with the number `ours`.
pub(crate) fn table(commands: &mut [Command], rounds: usize, ours: usize) -> Result<()> {
    for command in commands.iter_mut() {
        command.round()?;
        command.times.clear();
    }
    for _ in 0..rounds {
        for command in commands.iter_mut() {
            command.round()?;
        }
    }
    let name = commands.get(ours).map_or("", |command| command.name.as_str());
    println!("| program | median ms | minimum ms | {name} ÷ it | peak KiB | system calls |");
    let ours = commands.get(ours).map_or(f64::NAN, Command::median);
    println!("|---|---|---|---|---|---|");
    for command in commands.iter() {
        let (median, minimum) = (command.median(), command.minimum());
        let calls = command.system_calls().map_or_else(|| "-".into(), |count| count.to_string());
        let (name, memory) = (&command.name, command.memory()?);
        let ratio = ours / median;
        println!("| {name} | {median:.2} | {minimum:.2} | {ratio:.2} | {memory} | {calls} |");
    }
    Ok(())
}
