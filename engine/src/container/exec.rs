//! `exec`: another program in a container that runs.
//!
//! It is this process that stays with the program, not the container's monitor. The program never
//! gets the user's own terminal or files: what it writes goes through pipes or a terminal of its
//! own (a program that holds the user's terminal could type into it).

mod relay;
pub(super) mod session;

use std::fs::{self, File};
use std::path::Path;

use libcontainer::exec::{Target, join};
use libcontainer::host::Host;
use libcontainer::plan::exec::{ExecPlan, Request};
use libcontainer::spec::Spec;
use serde_json::Value;

use self::session::Session;
use super::Container;
use super::record::Record;
use super::state::Status;
use crate::Context;
use crate::bundle::caps;
use crate::bundle::process::{lines, resolve_env};
use crate::bundle::user::Accounts;
use crate::error::{Error, Result, What};
use crate::monitor::attach::{Signals, check_terminal};
use crate::monitor::launch::{self, Streams, of_runtime};

/// `exec`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Leave the program running in the background
    #[arg(short, long)]
    detach: bool,
    /// Keys that leave the program running
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    /// Set an environment variable; NAME alone takes the caller's value
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Read environment variables from a file
    #[arg(long, value_name = "FILE")]
    env_file: Vec<std::path::PathBuf>,
    /// Pass stdin on
    #[arg(short, long)]
    interactive: bool,
    /// Give the program every right of the host's root
    #[arg(long)]
    privileged: bool,
    /// Allocate a pseudo-TTY
    #[arg(short, long)]
    tty: bool,
    /// User inside the container
    #[arg(short, long, value_name = "NAME|UID[:GROUP|GID]")]
    user: Option<String>,
    /// Working directory inside the container
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// Container
    #[arg(value_name = "CONTAINER")]
    container: String,
    /// Program and arguments
    #[arg(
        value_name = "COMMAND",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    command: Vec<String>,
}

/// Runs a program in a container; its exit code is ours.
///
/// # Errors
/// The container does not run; the program cannot be executed (126) or is not there (127).
pub fn exec(context: &Context, args: &Args) -> Result<u8> {
    let container = Container::find(context, &args.container)?;
    let record = container.record()?;
    let state = container.state()?;
    match state.status {
        Status::Running => {}
        Status::Paused => {
            return Err(Error::new(format!("Container {} is paused", args.container))
                .fix("unpause the container before exec"));
        }
        _ => return Err(Error::new(format!("container {} is not running", container.id))),
    }
    let input = args.interactive && !args.detach;
    check_terminal(args.tty, input)?;
    let process = process(args, &container, state.pid())?;
    match &record.flags.basics.runtime {
        None => linked(context, args, &container.id, &process),
        Some(program) => foreign(context, args, (&record, program), &process),
    }
}

/// The container's own process with what the flags change.
fn process(args: &Args, container: &Container, pid: i32) -> Result<Value> {
    let mut config: Value = super::read_json(&container.dir.join("bundle/config.json"))?;
    let mut process = config["process"].take();
    process["args"] = args.command.clone().into();
    process["terminal"] = args.tty.into();
    if let Some(cwd) = &args.workdir {
        if !cwd.starts_with('/') {
            return Err(Error::new(format!("the working directory '{cwd}' is not absolute")));
        }
        process["cwd"] = cwd.clone().into();
    }
    let mut uid = process["user"]["uid"].as_u64().unwrap_or(0);
    if let Some(user) = &args.user {
        let path = format!("/proc/{pid}/root");
        let root = File::open(&path).what(|| "cannot look into the container".into())?;
        let user = Accounts::read(root).user(user, &[])?;
        process["user"] = serde_json::json!({
            "uid": user.uid, "gid": user.gid, "additionalGids": user.groups,
        });
        uid = user.uid.into();
    }
    let bounding = match args.privileged {
        true => caps::tweak(&[], &[], true, Host::probe_rights(false)?.caps)?.into(),
        false => process["capabilities"]["bounding"].clone(),
    };
    process["capabilities"] = match uid == 0 || args.privileged {
        true => serde_json::json!({
            "bounding": bounding.clone(), "effective": bounding.clone(), "permitted": bounding,
        }),
        false => serde_json::json!({ "bounding": bounding }),
    };
    process["env"] = env(args, &process)?.into();
    Ok(process)
}

fn env(args: &Args, process: &Value) -> Result<Vec<String>> {
    let own = process["env"].as_array().into_iter().flatten();
    let mut env: Vec<String> = own.filter_map(|v| v.as_str().map(str::to_owned)).collect();
    let mut added = Vec::new();
    if args.tty {
        added.push("TERM=xterm".to_owned());
    }
    for file in &args.env_file {
        let name = file.display().to_string();
        let text = fs::read_to_string(file).what(|| format!("cannot read {name}"))?;
        added.extend(lines(&name, &text)?);
    }
    added.extend(args.env.iter().cloned());
    for variable in resolve_env(&added, |name| std::env::var(name).ok())? {
        let name = variable.split('=').next();
        env.retain(|old| old.split('=').next() != name);
        env.push(variable);
    }
    Ok(env)
}

fn linked(context: &Context, args: &Args, id: &str, process: &Value) -> Result<u8> {
    let text = serde_json::to_vec(process).unwrap_or_default();
    let request = Request {
        whole: Some(Spec::parse_process(Path::new("process"), &text)?),
        init_name: Some("pier:exec".into()),
        ..Request::default()
    };
    let target = Target::find(&Container::store(context), id, false)?;
    let plan = ExecPlan::build(&target.recorded, &Host::probe_rights(true)?, &request)?;
    let mut streams = Streams::default();
    // Before the program: a signal that arrives meanwhile is for it.
    let signals = if args.detach { None } else { Some(Signals::with_children()?) };
    let stdio = match (args.tty, args.detach) {
        (true, _) => None,
        (false, true) => Some(launch::Stdio::null()?),
        (false, false) => Some(launch::Stdio::pipes(&mut streams, args.interactive)?),
    };
    let joined = join(&plan, &target);
    // Ours again, to write to.
    drop(stdio);
    let mut joined = joined.map_err(of_runtime)?;
    streams.terminal = joined.console.take();
    joined.start(&plan).map_err(of_runtime)?;
    joined.release();
    let session = Session::begin(&context.paths.live(id), joined.pid());
    let Some(signals) = signals else {
        session.into_iter().for_each(Session::leave);
        return Ok(0);
    };
    let manner = relay::Manner { input: args.interactive, keys: args.detach_keys.clone() };
    relay::stay(streams, joined.pid(), &manner, &signals)
}

/// Through another runtime, which stays with the program itself.
fn foreign(
    context: &Context,
    args: &Args,
    (record, program): (&Record, &Path),
    process: &Value,
) -> Result<u8> {
    let what = || format!("cannot run {}", program.display());
    let live = context.paths.live(&record.id);
    let file = live.join(format!("exec-{}.json", std::process::id()));
    let text = serde_json::to_vec(process).unwrap_or_default();
    fs::write(&file, text).what(|| format!("cannot write {}", file.display()))?;
    let mut command = std::process::Command::new(program);
    command.arg("--root").arg(live.join("runtime")).arg("exec").arg("--process").arg(&file);
    if args.detach {
        command.arg("--detach");
    }
    if !args.interactive {
        command.stdin(std::process::Stdio::null());
    }
    let child = command.arg(&record.id).spawn();
    let status = child.and_then(|mut child| {
        // The other runtime stays with the program, and ends with it.
        let pid = i32::try_from(child.id()).unwrap_or(0);
        let _session = if args.detach { None } else { Session::begin(&live, pid) };
        child.wait()
    });
    let _ = fs::remove_file(&file);
    use std::os::unix::process::ExitStatusExt;
    let status = status.what(what)?;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    Ok(super::run::exit_code(code.unwrap_or(1)))
}
