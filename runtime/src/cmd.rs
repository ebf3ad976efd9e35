//! The verbs, one file each.

mod completion;
mod create;
mod delete;
mod doctor;
mod events;
mod exec;
mod explain;
mod features;
mod kill;
mod list;
mod pause;
mod ps;
mod run;
mod seccomp;
mod spec;
mod start;
mod state;
mod update;

use std::io::{self, Write};

use libcontainer::{At, Result, Step};

use crate::cli::Command;
use crate::output::{Failure, Level};
use crate::settings::Settings;

/// Runs a verb; returns the exit code of the program.
///
/// # Errors
/// The verb's.
pub(crate) fn dispatch(command: &Command, settings: &Settings) -> Result<u8, Failure> {
    match command {
        Command::Create(args) => create::create(args, settings)?,
        Command::Start(args) => start::start(args, settings)?,
        Command::State(args) => print(&state::state(args, settings)?)?,
        Command::Kill(args) => kill::kill(args, settings)?,
        Command::Delete(args) => delete::delete(args, settings)?,
        Command::Run(args) => return run::run(args, settings),
        Command::Exec(args) => return exec::exec(args, settings),
        Command::Ps(args) => print(&ps::ps(args, settings)?)?,
        Command::Pause(args) => pause::pause(args, settings)?,
        Command::Resume(args) => pause::resume(args, settings)?,
        Command::Update(args) => update::update(args, settings)?,
        Command::Events(args) => events::events(args, settings)?,
        Command::List(args) => print(&list::list(args, settings)?)?,
        Command::Spec(args) => spec::spec(args)?,
        Command::Features(_) => print(&features::features())?,
        Command::Explain(args) => print(&explain::explain(args, settings)?)?,
        Command::Doctor(args) => return doctor::doctor(args, settings),
        Command::Seccomp(args) => return seccomp::seccomp(args, settings),
        Command::Completion(args) => print(completion::completion(args))?,
    }
    Ok(0)
}

/// Writes to stdout.
///
/// # Errors
/// Nobody reads it, or the disk is full.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).at(Step::Output, || "stdout")
}

/// Does the same to several containers. All are tried; the first failure is the verb's.
fn each(ids: &[String], settings: &Settings, act: impl Fn(&str) -> Result<()>) -> Result<()> {
    let mut first = Ok(());
    for id in ids {
        match act(id) {
            Ok(()) => {}
            Err(error) if first.is_ok() => first = Err(error),
            Err(error) => settings.log.say(Level::Warning, &format!("{id}: {error}")),
        }
    }
    first
}
