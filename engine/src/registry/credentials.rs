//! Who we are at a registry: what `docker login` and `podman login` left behind.
//!
//! Files, first found first: `$REGISTRY_AUTH_FILE`; `$DOCKER_CONFIG/config.json` or
//! `~/.docker/config.json`; podman's `$XDG_RUNTIME_DIR/containers/auth.json`,
//! `/run/containers/<uid>/auth.json`, `~/.config/containers/auth.json`. In a file: `credHelpers` of
//! the host, then `credsStore`, then `auths`, of which podman's may be for a part of a host
//! (containers-auth.json(5)). Programs `docker-credential-NAME` speak Docker's protocol.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What Docker calls Docker Hub in its files.
const HUB: &str = "https://index.docker.io/v1/";

/// A way to say who we are.
#[derive(Clone, Eq, PartialEq)]
pub(super) enum Credentials {
    /// Name and password.
    Password(String, String),
    /// A token that buys tokens (`identitytoken`).
    Identity(String),
}

/// Secrets are not printed, whoever prints them.
impl fmt::Debug for Credentials {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password(name, _) => write!(out, "Password({name:?}, …)"),
            Self::Identity(_) => out.write_str("Identity(…)"),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct File {
    auths: BTreeMap<String, Auth>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Auth {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
}

/// What a helper prints.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Helped {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

/// The credentials for a repository, and what went wrong on the way.
///
/// A broken file or helper does not end a pull: most images need no one to say who they are.
pub(super) fn find(host: &str, repository: &str) -> (Option<Credentials>, Vec<String>) {
    find_in(&files(), host, repository)
}

fn find_in(files: &[PathBuf], host: &str, repository: &str) -> (Option<Credentials>, Vec<String>) {
    let mut faults = Vec::new();
    for path in files {
        let Ok(text) = std::fs::read(path) else { continue };
        let file: File = match serde_json::from_slice(&text) {
            Ok(file) => file,
            Err(error) => {
                faults.push(format!("cannot read {}: {error}", path.display()));
                continue;
            }
        };
        match file.find(host, repository) {
            Ok(Some(found)) => return (Some(found), faults),
            Ok(None) => {}
            Err(fault) => faults.push(format!("{} (named by {})", fault, path.display())),
        }
    }
    (None, faults)
}

/// Where logins are kept.
fn files() -> Vec<PathBuf> {
    let var =
        |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let user = rustix::process::geteuid().as_raw();
    let home = var("HOME").or_else(|| (user == 0).then(|| PathBuf::from("/root")));
    let mut files = Vec::new();
    files.extend(var("REGISTRY_AUTH_FILE"));
    let docker = var("DOCKER_CONFIG").or_else(|| home.as_ref().map(|home| home.join(".docker")));
    files.extend(docker.map(|dir| dir.join("config.json")));
    files.extend(var("XDG_RUNTIME_DIR").map(|dir| dir.join("containers/auth.json")));
    files.push(Path::new("/run/containers").join(user.to_string()).join("auth.json"));
    let config = var("XDG_CONFIG_HOME").or_else(|| home.map(|home| home.join(".config")));
    files.extend(config.map(|dir| dir.join("containers/auth.json")));
    files
}

impl File {
    fn find(&self, host: &str, repository: &str) -> Result<Option<Credentials>, String> {
        let names: Vec<&str> = match host {
            "docker.io" => vec![HUB, "docker.io", "index.docker.io", "registry-1.docker.io"],
            _ => vec![host],
        };
        for name in &names {
            if let Some(helper) = self.cred_helpers.get(*name) {
                return ask(helper, name);
            }
        }
        if !self.creds_store.is_empty() {
            for name in names.iter().take(1) {
                if let Some(found) = ask(&self.creds_store, name)? {
                    return Ok(Some(found));
                }
            }
        }
        let scoped = scopes(host, repository);
        let named = scoped.iter().map(String::as_str).chain(names.iter().copied());
        let exact = named.into_iter().find_map(|name| self.auths.get(name));
        let by_url = || {
            let same = |key: &str| names.iter().any(|name| host_of(key) == host_of(name));
            self.auths
                .iter()
                .find(|(key, _)| key.contains("://") && same(key))
                .map(|(_, auth)| auth)
        };
        exact.or_else(by_url).map_or(Ok(None), Auth::credentials)
    }
}

/// podman's keys, the closest first: `host/a/b`, `host/a`.
fn scopes(host: &str, repository: &str) -> Vec<String> {
    let mut scope = format!("{host}/{repository}");
    let mut all = Vec::new();
    while scope.len() > host.len() {
        all.push(scope.clone());
        let cut = scope.rfind('/').unwrap_or(0);
        scope.truncate(cut);
    }
    all
}

/// `https://host/v1/` and `host` are the same to Docker.
fn host_of(key: &str) -> &str {
    let bare = key.split_once("://").map_or(key, |(_, bare)| bare);
    bare.split('/').next().unwrap_or(bare)
}

impl Auth {
    fn credentials(&self) -> Result<Option<Credentials>, String> {
        if !self.identitytoken.is_empty() {
            return Ok(Some(Credentials::Identity(self.identitytoken.clone())));
        }
        if self.auth.is_empty() {
            let given = !self.username.is_empty();
            return Ok(
                given.then(|| Credentials::Password(self.username.clone(), self.password.clone()))
            );
        }
        let style =
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        let wrong = || "its auth is not base64 of NAME:PASSWORD".to_owned();
        let bytes =
            GeneralPurpose::new(&STANDARD, style).decode(self.auth.trim()).map_err(|_| wrong())?;
        let text = String::from_utf8(bytes).map_err(|_| wrong())?;
        let (name, password) = text.split_once(':').ok_or_else(wrong)?;
        // Docker pads with zero bytes.
        Ok(Some(Credentials::Password(name.into(), password.trim_end_matches('\0').into())))
    }
}

/// Asks `docker-credential-<helper>` for the login at `server`.
fn ask(helper: &str, server: &str) -> Result<Option<Credentials>, String> {
    let program = format!("docker-credential-{helper}");
    let failed = |why: &dyn fmt::Display| format!("cannot ask {program}: {why}");
    if helper.contains('/') {
        return Err(failed(&"its name has a slash"));
    }
    let mut command = Command::new(&program);
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| failed(&crate::error::plain(&error)))?;
    if let Some(mut input) = child.stdin.take() {
        // A helper that does not read has ended, which is what is looked at next.
        let _ = input.write_all(server.as_bytes());
    }
    let output = child.wait_with_output().map_err(|error| failed(&crate::error::plain(&error)))?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let none = said.contains("not found") || said.contains("no credentials");
        return if none { Ok(None) } else { Err(failed(&said.trim())) };
    }
    let helped: Helped = serde_json::from_str(&said).map_err(|error| failed(&error))?;
    Ok(Some(match helped.username.as_str() {
        "<token>" => Credentials::Identity(helped.secret),
        _ => Credentials::Password(helped.username, helped.secret),
    }))
}

/// What to do where a registry wants to know who we are.
pub(super) fn how_to_log_in(host: &str) -> String {
    let place = if host == "docker.io" { String::new() } else { format!(" {host}") };
    format!("log in with docker login{place} or podman login{place}: pier reads what they keep")
}

#[cfg(test)]
#[path = "credentials_tests.rs"]
mod tests;
