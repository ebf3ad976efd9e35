//! What a system call filter costs a container: each runtime with a profile and without, in turn.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::bundle::Bundle;
use crate::measure::{self, Command};
use crate::view;

/// `seccomp CONFIG CORTEN [ROUNDS [PEER…]]`: the profile is that of a `config.json`.
pub(crate) fn compare(args: &[String]) -> Result<ExitCode> {
    let path = args.first().context("whose profile?")?;
    let config: Value = serde_json::from_slice(&fs::read(path).with_context(|| path.clone())?)?;
    let profile = &config["linux"]["seccomp"];
    ensure!(profile.is_object(), "{path} has no linux.seccomp");
    let corten = PathBuf::from(args.get(1).context("which corten?")?).canonicalize()?;
    let rounds = args.get(2).map_or(Ok(crate::ROUNDS), |text| text.parse())?;
    let peers = match args.get(3..) {
        Some(named @ [_, ..]) => named.to_vec(),
        _ => vec!["crun".into(), "runc".into()],
    };
    view::cgroup2_only()?;
    let (plain, filtered) = (Bundle::with(true, None)?, Bundle::with(true, Some(profile))?);
    let mut runtimes = vec![("corten".to_owned(), corten)];
    for peer in peers {
        match measure::find(&peer) {
            Some(path) => runtimes.push((peer, path)),
            None => eprintln!("{peer} is not installed: left out"),
        }
    }
    let mut commands = Vec::new();
    for (name, path) in &runtimes {
        commands.push(Command::new(&format!("{name}, no profile"), plain.run(path)));
        commands.push(Command::new(name, filtered.run(path)));
    }
    println!("run /bin/true with the profile of {path}, {rounds} rounds in turn");
    println!("{}", view::words());
    measure::table(&mut commands, rounds, 1)?;
    for ((name, _), pair) in runtimes.iter().zip(commands.chunks(2)) {
        if let [without, with] = pair {
            println!("the profile costs {name} {:.2} ms", with.more_than(without));
        }
    }
    Ok(ExitCode::SUCCESS)
}
