//! `process`: program, environment, user, rights, resource limits.

use serde_json::{Value, json};

use super::Facts;
use super::security::Security;
use super::units::{self, Ulimit};
use crate::container::record::Record;
use crate::error::{Error, NOT_FOUND, Result};

/// Where programs are when the image does not say.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Where this program stands for `--init`; Docker's place.
pub const INIT: &str = "/sbin/docker-init";

/// The object `process`.
///
/// # Errors
/// No command at all, an unknown user, a flag that means nothing.
pub fn process(record: &Record, facts: &Facts, security: &Security) -> Result<Value> {
    let basics = &record.flags.basics;
    let asked = basics.user.as_deref().or(record.config.user.as_deref()).unwrap_or_default();
    let user = facts.accounts.user(asked, &record.flags.isolation.group_add)?;
    let cwd = basics.workdir.as_ref().or(record.config.working_dir.as_ref());
    let cwd = cwd.filter(|cwd| !cwd.is_empty()).map_or("/", String::as_str);
    if !cwd.starts_with('/') {
        return Err(Error::new(format!("the working directory '{cwd}' is invalid"))
            .why("it needs to be an absolute path"));
    }
    let mut process = json!({
        "terminal": basics.tty,
        "user": { "uid": user.uid, "gid": user.gid, "additionalGids": user.groups },
        "args": argv(record)?,
        "env": env(record),
        "cwd": cwd,
        "noNewPrivileges": security.no_new_privileges,
        "capabilities": capabilities(user.uid, &security.capabilities),
        "rlimits": rlimits(record, facts)?,
    });
    if let Some(score) = record.flags.isolation.oom_score_adj {
        if !(-1000..=1000).contains(&score) {
            return Err(Error::new("invalid argument for --oom-score-adj")
                .why(format!("{score} is not between -1000 and 1000")));
        }
        process["oomScoreAdj"] = score.into();
    }
    if let Some(profile) = &security.apparmor {
        process["apparmorProfile"] = profile.clone().into();
    }
    Ok(process)
}

/// Only root has capabilities from the start; nobody inherits any (CVE-2022-24769).
fn capabilities(uid: u32, names: &[&str]) -> Value {
    match uid {
        0 => json!({ "bounding": names, "effective": names, "permitted": names }),
        _ => json!({ "bounding": names }),
    }
}

fn argv(record: &Record) -> Result<Vec<String>> {
    let mut argv = record.argv();
    if argv.first().is_none_or(String::is_empty) {
        return Err(Error::new("no command specified")
            .why("the image names none")
            .fix("write the command behind the image")
            .code(NOT_FOUND));
    }
    if record.flags.basics.init {
        argv.splice(0..0, [INIT.to_owned(), "--".to_owned()]);
    }
    Ok(argv)
}

/// Docker's order: path, host name, terminal; then the image's, then the flags'. The last one of
/// a name wins, at the place of the first.
fn env(record: &Record) -> Vec<String> {
    let mut env = vec![PATH.to_owned(), format!("HOSTNAME={}", record.hostname())];
    if record.flags.basics.tty {
        env.push("TERM=xterm".into());
    }
    let image = record.config.env.iter().flatten();
    for variable in image.chain(&record.flags.basics.env) {
        let name = variable.split('=').next().unwrap_or_default();
        let same = |old: &String| old.split('=').next() == Some(name);
        // A name alone takes the variable away.
        match (env.iter().position(same), variable.contains('=')) {
            (Some(at), true) => variable.clone_into(&mut env[at]),
            (Some(at), false) => drop(env.remove(at)),
            (None, true) => env.push(variable.clone()),
            (None, false) => {}
        }
    }
    env
}

/// Limits of the flags. What we may not raise ourselves is lowered to what we may: a default of a
/// configuration file must not keep every container of a machine from starting.
fn rlimits(record: &Record, facts: &Facts) -> Result<Vec<Value>> {
    let limits = record.flags.isolation.ulimit.iter().map(|text| units::ulimit(text));
    let clamp = |limit: Ulimit| {
        let most = facts.hard_limits.iter().find(|(name, _)| *name == limit.name);
        let most = most.map_or(u64::MAX, |(_, most)| *most);
        json!({ "type": limit.name, "soft": limit.soft.min(most), "hard": limit.hard.min(most) })
    };
    limits.map(|limit| limit.map(clamp)).collect()
}

/// `KEY=VALUE` of a flag.
///
/// # Errors
/// No `=`, or nothing in front of it.
pub fn pair<'a>(flag: &str, text: &'a str) -> Result<(&'a str, &'a str)> {
    text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(|| {
        Error::new(format!("invalid argument \"{text}\" for --{flag}")).why("it must be NAME=VALUE")
    })
}

/// The environment that a flag list means: values of the caller for names alone.
pub fn resolve_env(
    list: &[String],
    caller: impl Fn(&str) -> Option<String>,
) -> Result<Vec<String>> {
    let resolve = |text: &String| {
        if text.is_empty() || text.starts_with('=') {
            return Some(Err(Error::new(format!("invalid environment variable: {text}"))));
        }
        match text.contains('=') {
            true => Some(Ok(text.clone())),
            false => caller(text).map(|value| Ok(format!("{text}={value}"))),
        }
    };
    list.iter().filter_map(resolve).collect()
}

/// Lines of an environment or label file: comments and empty lines left out.
///
/// # Errors
/// A name with white space in it.
pub fn lines(path: &str, text: &str) -> Result<Vec<String>> {
    let mut out = Vec::new();
    for line in text.trim_start_matches('\u{feff}').lines() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let name = line.split('=').next().unwrap_or_default();
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(Error::new(format!("cannot read {path}"))
                .why(format!("variable '{name}' contains white space or has no name")));
        }
        out.push(line.to_owned());
    }
    Ok(out)
}
