//! `make bench`: what one container costs, paired against runc, crun and the kernel's floor.
//!
//! The machine is shared and noisy, so two separate runs are never compared: the commands take
//! turns (A B C A B C), medians and the ratio to a peer of the same run are quoted. System calls
//! and memory are steadier than time and stand beside it.
//!
//! `corten-bench v1|v2` is that; `corten-bench engine` is the same for `pier`, beside podman and
//! bare crun; `corten-bench seccomp` compares containers with a system call
//! filter and without; `corten-bench floor ROOTFS [CGROUP_DIR…]` is one floor container;
//! `corten-bench once CMD…` runs a command and prints its peak memory.

mod bundle;
mod engine;
mod floor;
mod measure;
mod seccomp;
mod verbs;
mod view;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

/// Rounds after one warm-up.
const ROUNDS: usize = 40;

fn main() -> Result<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("floor") => {
            let [_, rootfs, cgroups @ ..] = args.as_slice() else { bail!("floor needs ROOTFS") };
            floor::container(rootfs, cgroups)?;
            Ok(ExitCode::SUCCESS)
        }
        Some("once") => measure::once(&args[1..]),
        Some("v1") => compare(&args[1..], false),
        Some("v2") => compare(&args[1..], true),
        Some("verbs") => verbs::compare(&args[1..]),
        Some("engine") => engine::compare(&args[1..]),
        Some("seccomp") => seccomp::compare(&args[1..]),
        _ => bail!(
            "usage: corten-bench v1|v2 CORTEN [ROUNDS [PEER…]] \
             | verbs v1|v2 CORTEN [ROUNDS [PEER…]] \
             | engine v1|v2|lists|pull PIER [ROUNDS] \
             | seccomp CONFIG CORTEN [ROUNDS [PEER…]] | floor ROOTFS [CGROUP…] | once CMD…"
        ),
    }
}

/// Compares `run /bin/true` of the default bundle.
fn compare(args: &[String], v2: bool) -> Result<ExitCode> {
    let corten = PathBuf::from(args.first().context("which corten?")?).canonicalize()?;
    let rounds = args.get(1).map_or(Ok(ROUNDS), |text| text.parse())?;
    if v2 {
        view::cgroup2_only()?;
    }
    let bundle = bundle::Bundle::new(v2)?;
    let mut commands = vec![
        measure::Command::new("floor", bundle.floor()?),
        measure::Command::new("corten", bundle.run(&corten)),
    ];
    let peers = match args.get(2..) {
        Some(named @ [_, ..]) => named.to_vec(),
        _ => vec!["crun".into(), "runc".into()],
    };
    for peer in peers {
        match measure::find(&peer) {
            Some(path) => commands.push(measure::Command::new(&peer, bundle.run(&path))),
            None => eprintln!("{peer} is not installed: left out"),
        }
    }
    println!("run /bin/true, default bundle, {rounds} rounds in turn");
    println!("{}", view::words());
    measure::table(&mut commands, rounds, 1)?;
    Ok(ExitCode::SUCCESS)
}
