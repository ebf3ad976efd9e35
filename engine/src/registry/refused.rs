//! What a registry refuses, and how the user is told: what, why, what to do.

use super::client::Client;
use super::credentials::how_to_log_in;
use super::transport::Fault;
use crate::error::Error;
use crate::format::nearest;
use crate::reference::Reference;
use serde::Deserialize;
use ureq::Body;
use ureq::http::Response;

/// Longest answer that is read for its reason.
const LONGEST: u64 = 64 << 10;

/// Why there is no answer to use.
#[derive(Debug)]
pub(super) enum Refused {
    /// There was no answer.
    Fault(Fault),
    /// The registry says no.
    Status {
        /// Who says so.
        host: String,
        /// HTTP's number.
        code: u16,
        /// The registry's word for it, as `NAME_UNKNOWN`.
        word: String,
        /// The registry's sentence.
        message: String,
    },
    /// The answer makes no sense.
    Broken(String),
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<One>,
}

#[derive(Deserialize)]
struct One {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl Refused {
    /// Reads an answer that is no success.
    pub(super) fn read(host: &str, answer: Response<Body>) -> Self {
        let status = answer.status();
        let code = status.as_u16();
        let body = answer.into_body().into_with_config().limit(LONGEST).read_to_vec();
        let read = body.ok().and_then(|bytes| serde_json::from_slice::<Errors>(&bytes).ok());
        let first = read.and_then(|read| read.errors.into_iter().next());
        let (word, message) =
            first.map_or((String::new(), String::new()), |one| (one.code, clean(&one.message)));
        let message = if message.is_empty() {
            let reason = status.canonical_reason().unwrap_or("unknown status");
            format!("{code} {reason}")
        } else {
            message
        };
        Self::Status { host: host.to_owned(), code, word, message }
    }

    /// An answer that cannot be used.
    pub(super) fn broken(host: &str, why: &str) -> Self {
        Self::Broken(format!("{host}: {why}"))
    }

    /// HTTP's number, when there was one.
    pub(super) fn code(&self) -> Option<u16> {
        match self {
            Self::Status { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// The error that the user sees.
    pub(super) fn error(self, what: String, client: &Client) -> Error {
        match self {
            Self::Fault(fault) => fault.error(what),
            Self::Broken(why) => Error::new(what).why(why),
            Self::Status { code: 401 | 403, message, host, .. } => {
                denied(what, client, &host, &message)
            }
            Self::Status { code: 429, host, .. } => {
                let error = Error::new(what)
                    .why(format!("{host} takes no more requests from here for now"));
                error.fix(match (client.host.as_str(), client.logged_in()) {
                    ("docker.io", false) => {
                        format!(
                            "wait, name a mirror in /etc/pier/registries.json, or {}",
                            how_to_log_in("docker.io")
                        )
                    }
                    _ => "wait, or name a mirror in /etc/pier/registries.json".to_owned(),
                })
            }
            Self::Status { message, host, .. } => {
                Error::new(what).why(format!("{host} says: {message}"))
            }
        }
    }

    /// The same for the manifest of a name, which may be misspelt.
    pub(super) fn unknown(self, what: String, client: &Client, reference: &Reference) -> Error {
        let Self::Status { code: 404, ref word, .. } = self else {
            return self.error(what, client);
        };
        let name = reference.familiar_name();
        let tags = client.tags();
        if word == "NAME_UNKNOWN" || tags.as_ref().is_err_and(|refused| refused.code() == Some(404))
        {
            let why = format!("{} has no repository {}", client.host, client.repository);
            return Error::new(what).why(why).fix("check the spelling of the name");
        }
        let Some(tag) = reference.tag.as_deref().filter(|_| reference.digest.is_none()) else {
            return Error::new(what).why(format!("{name} has nothing of this digest"));
        };
        let tags: Vec<_> = tags.unwrap_or_default().iter().map(|tag| clean(tag)).collect();
        let error = Error::new(what).why(format!("{name} has no tag {tag:?}"));
        match nearest(tag, tags.iter().map(String::as_str)) {
            Some(near) => error.fix(format!("did you mean {name}:{near}?")),
            None if tags.is_empty() => error.fix("check the spelling of the tag"),
            None => {
                let few: Vec<_> = tags.iter().rev().take(5).map(String::as_str).collect();
                error.fix(format!("it has {} tags, among them {}", tags.len(), few.join(", ")))
            }
        }
    }
}

fn denied(what: String, client: &Client, host: &str, message: &str) -> Error {
    let repository = &client.repository;
    let error = if client.logged_in() {
        Error::new(what).why(format!(
            "{host} does not let the login that is kept here read {repository}: {message}"
        ))
    } else {
        let why = format!(
            "{host} shows {repository} to nobody it does not know, or there is no such repository: {message}"
        );
        Error::new(what).why(why)
    };
    error.fix(how_to_log_in(&client.host))
}

/// What a stranger wrote, fit for a terminal.
fn clean(message: &str) -> String {
    message.chars().filter(|letter| !letter.is_control()).take(300).collect()
}
