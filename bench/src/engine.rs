//! What `pier` costs beside podman and bare crun: `run --rm` without a network and with a bridge
//! and three ports, lists of a thousand containers, a hundred starts at once, the memory that
//! stays with a container, and pulls.
//!
//! Everything happens in a mount and a network namespace of our own, with stores of our own.

mod lab;
mod lists;
mod pull;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use crate::measure::{self, Command};
use crate::{ROUNDS, view};
use lab::Lab;

/// `engine v1|v2|lists|pull PIER [ROUNDS]`
pub(crate) fn compare(args: &[String]) -> Result<ExitCode> {
    let pier = PathBuf::from(args.get(1).context("which pier?")?).canonicalize()?;
    let rounds = args.get(2).map_or(Ok(ROUNDS), |text| text.parse())?;
    view::own_network()?;
    match args.first().map(String::as_str) {
        Some("v1") => view::cgroup1_only()?,
        Some("v2" | "lists" | "pull") => view::cgroup2_only()?,
        _ => bail!("engine needs v1, v2, lists or pull"),
    }
    println!("{}", view::words());
    let lab = Lab::new(pier)?;
    match args.first().map(String::as_str) {
        Some("lists") => lists::measure(&lab, rounds)?,
        Some("pull") => pull::measure(&lab, rounds)?,
        _ => runs(&lab, rounds)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// `run --rm`, without a network and with one.
fn runs(lab: &Lab, rounds: usize) -> Result<()> {
    println!("run --rm --network none IMAGE true, {rounds} rounds in turn");
    let none = ["run", "--rm", "--network", "none", lab::IMAGE, "true"];
    let mut commands = vec![Command::new("pier", lab.pier(&none))];
    for crun in lab::runtimes() {
        let name = format!("{}, ready bundle", crun.display());
        let begun = measure::find(&crun.to_string_lossy()).map(|path| lab.bundle(&path));
        commands.extend(begun.transpose()?.map(|line| Command::new(&name, line)));
    }
    commands.extend(lab.podman(&none));
    measure_those_that_can(commands, rounds)?;

    println!("run --rm, bridge, three ports, {rounds} rounds in turn");
    let ports = ["-p", "8001:80", "-p", "8002:81", "-p", "8003:82/udp"];
    let bridge = [&["run", "--rm"], &ports[..], &[lab::IMAGE, "true"]].concat();
    let mut commands = vec![Command::new("pier", lab.pier(&bridge))];
    commands.extend(lab.podman(&bridge));
    measure_those_that_can(commands, rounds)
}

/// The first one is ours, and must be able to.
fn measure_those_that_can(mut commands: Vec<Command>, rounds: usize) -> Result<()> {
    let mut first = true;
    commands.retain_mut(|command| std::mem::take(&mut first) || command.takes_part());
    measure::table(&mut commands, rounds, 0)
}
