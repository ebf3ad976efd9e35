//! Tokens: bought from the server that a registry names, with our login or without
//! (distribution-spec's token authentication; OAuth2 for identity tokens).

use super::challenge::Challenge;
use super::client::{Client, Endpoint};
use super::credentials::Credentials;
use super::refused::Refused;
use super::transport::Fault;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

/// Longest answer of a token server.
const LONGEST: u64 = 256 << 10;

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
}

/// The `Authorization` that meets a challenge.
pub(super) fn header(
    client: &Client,
    endpoint: &Endpoint,
    challenge: &Challenge,
    login: Option<&Credentials>,
) -> Result<String, Refused> {
    match (challenge, login) {
        (Challenge::Basic, Some(Credentials::Password(name, password))) => {
            Ok(basic(name, password))
        }
        (Challenge::Basic, _) => Err(Refused::Status {
            host: endpoint.host.clone(),
            code: 401,
            word: "UNAUTHORIZED".into(),
            message: "name and password are wanted".into(),
        }),
        (Challenge::Bearer { realm, service, scope }, login) => {
            let scope = match scope.as_str() {
                "" => format!("repository:{}:pull", client.repository),
                scope => scope.to_owned(),
            };
            buy(client, endpoint, &Purchase { realm, service, scope: &scope }, login)
        }
    }
}

struct Purchase<'a> {
    realm: &'a str,
    service: &'a str,
    scope: &'a str,
}

fn buy(
    client: &Client,
    endpoint: &Endpoint,
    purchase: &Purchase<'_>,
    login: Option<&Credentials>,
) -> Result<String, Refused> {
    let Purchase { realm, service, scope } = purchase;
    let transport = &client.transport;
    // Whoever can change the way to the registry could name any server here.
    if realm.starts_with("http://") && !transport.insecure(&endpoint.host) {
        return Err(Refused::broken(&endpoint.host, "its token server is not encrypted"));
    }
    let mut query = format!("service={}&scope={}", escape(service), escape(scope));
    let answer = match login {
        Some(Credentials::Identity(token)) => {
            query.push_str(&format!(
                "&grant_type=refresh_token&client_id=pier&refresh_token={}",
                escape(token)
            ));
            transport.post(realm, &query)
        }
        login => {
            let mut headers = Vec::new();
            if let Some(Credentials::Password(name, password)) = login {
                query.push_str(&format!("&account={}", escape(name)));
                headers.push(("Authorization", basic(name, password)));
            }
            let mark = if realm.contains('?') { '&' } else { '?' };
            transport.get(&format!("{realm}{mark}{query}"), &headers)
        }
    };
    let answer = answer.map_err(|fault| {
        let why = format!("no token from {realm}: {}", fault.why);
        Refused::Fault(Fault { why, ..fault })
    })?;
    if answer.status().as_u16() != 200 {
        return Err(Refused::read(&format!("the token server of {}", endpoint.host), answer));
    }
    let body = answer.into_body().into_with_config().limit(LONGEST).read_to_vec();
    let read = body.ok().and_then(|bytes| serde_json::from_slice::<Token>(&bytes).ok());
    let token = read.map(|read| if read.token.is_empty() { read.access_token } else { read.token });
    let sound =
        |token: &String| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    let wrong = || Refused::broken(&endpoint.host, "its token server gave no token");
    Ok(format!("Bearer {}", token.filter(sound).ok_or_else(wrong)?))
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{password}")))
}

/// Percent signs for what may not stand in a query.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b':' | b'/' => {
                out.push(byte.into());
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{basic, escape};

    #[test]
    fn words_of_requests() {
        assert_eq!(basic("user", "pass"), "Basic dXNlcjpwYXNz");
        assert_eq!(
            escape("repository:a/b:pull,push x&=é"),
            "repository:a/b:pull%2Cpush%20x%26%3D%C3%A9"
        );
    }
}
