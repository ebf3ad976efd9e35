//! `update`: other limits, another restart policy, for containers that run too.

use libcontainer::verbs;
use serde_json::Value;

use super::flags::Limits;
use super::{Container, each, rename};
use crate::Context;
use crate::bundle::resources;
use crate::error::{Error, Result, What};
use crate::monitor::policy::Policy;

/// `update`.
#[allow(
    rustdoc::broken_intra_doc_links,
    reason = "help text: brackets stand for what may be left out"
)]
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    limits: Limits,
    /// What follows an end: no, on-failure[:N], always or unless-stopped
    #[arg(long, value_name = "POLICY")]
    restart: Option<String>,
    /// Containers
    #[arg(value_name = "CONTAINER", required = true)]
    containers: Vec<String>,
}

/// Changes containers.
///
/// # Errors
/// No flag at all; a limit that the kernel does not take, and then nothing has changed.
pub fn update(context: &Context, args: &Args) -> Result<u8> {
    let asked = serde_json::to_value(&args.limits).unwrap_or_default();
    let changes = asked.as_object().is_some_and(|map| map.values().any(|value| !value.is_null()));
    if !changes && args.restart.is_none() {
        return Err(Error::new("You must provide one or more flags when using this command."));
    }
    if let Some(policy) = &args.restart {
        Policy::parse(policy)?;
    }
    each(&args.containers, |word| {
        let container = Container::find(context, word)?;
        change(context, &container, args, changes)?;
        crate::cli::print(&format!("{word}\n"))
    })
}

fn change(context: &Context, container: &Container, args: &Args, limits: bool) -> Result<()> {
    let _lock = container.lock()?;
    let mut record = container.record()?;
    if let Some(policy) = &args.restart {
        if record.flags.basics.rm && Policy::parse(policy)? != Policy::No {
            return Err(Error::new("Restart policy cannot be updated")
                .why("AutoRemove is enabled for the container"));
        }
        record.flags.basics.restart.clone_from(policy);
    }
    if limits {
        merge(&mut record.flags.limits, &args.limits)?;
        // What the flags come to together must make sense before anything is changed.
        let resources = Value::Object(resources::limits(&record.flags.limits)?);
        resources::check_cpus(&record.flags.limits, super::create::cpus())?;
        if container.state()?.status.is_live() {
            apply(context, container, &record.flags.basics.runtime, &resources)?;
        }
    }
    container.save_record(&record)?;
    rename::changed(container, &record.name)
}

/// What is said replaces what was.
fn merge(old: &mut Limits, new: &Limits) -> Result<()> {
    let what = || Error::new("cannot change the limits");
    let mut both = serde_json::to_value(&*old).map_err(|error| what().why(error))?;
    let new = serde_json::to_value(new).map_err(|error| what().why(error))?;
    if let (Some(both), Value::Object(new)) = (both.as_object_mut(), new) {
        // One way of saying how much CPU time replaces the other.
        if new.get("cpus").is_some_and(|cpus| !cpus.is_null()) {
            both.remove("cpuPeriod");
            both.remove("cpu_period");
            both.remove("cpu_quota");
        }
        both.extend(new.into_iter().filter(|(_, value)| !value.is_null()));
    }
    *old = serde_json::from_value(both).map_err(|error| what().why(error))?;
    Ok(())
}

fn apply(
    context: &Context,
    container: &Container,
    runtime: &Option<std::path::PathBuf>,
    resources: &Value,
) -> Result<()> {
    let what = || "cannot read the limits".to_owned();
    let text = serde_json::to_vec(resources).map_err(|error| Error::new(what()).why(error))?;
    let Some(program) = runtime else {
        let resources = libcontainer::spec::Resources::parse(std::path::Path::new("flags"), &text)?;
        let limits = verbs::Limits { resources, ..Default::default() };
        for warning in verbs::update(&Container::store(context), &container.id, &limits)? {
            crate::cli::tell(&Error::new(warning));
        }
        return Ok(());
    };
    let file = container.live.join("update.json");
    std::fs::write(&file, text).what(|| format!("cannot write {}", file.display()))?;
    let mut command = std::process::Command::new(program);
    command.arg("--root").arg(container.live.join("runtime"));
    command.args(["update", "--resources"]).arg(&file).arg(&container.id);
    let done = command.output().what(|| format!("cannot run {}", program.display()))?;
    let words = String::from_utf8_lossy(&done.stderr).trim().to_owned();
    match done.status.success() {
        true => Ok(()),
        false => Err(Error::new(format!("{} update", program.display())).why(words)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_replaces_what_was() {
        let mut old = Limits {
            memory: Some("64m".into()),
            pids_limit: Some(5),
            cpu_quota: Some(1000),
            ..Limits::default()
        };
        let new =
            Limits { memory: Some("32m".into()), cpus: Some("2".into()), ..Limits::default() };
        merge(&mut old, &new).unwrap();
        assert_eq!(old.memory.as_deref(), Some("32m"));
        assert_eq!((old.pids_limit, old.cpu_quota), (Some(5), None));
        assert_eq!(old.cpus.as_deref(), Some("2"));
    }
}
