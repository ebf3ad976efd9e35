//! Requests: agents per host, names, proxies, certificates, and what can go wrong below HTTP.
//!
//! Redirects are followed here and not by the library: what says who we are goes to the registry
//! and to nobody it points at.

use super::config::Registries;
use super::proxy::Proxies;
use super::resolve::{Failed, Resolver};
use super::trust::{Trust, provider};
use crate::error::Error;
use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use ureq::config::Config;
use ureq::http::{Response, Uri};
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver as Lookup};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Body, Proxy};

/// Longest silence of a peer.
const SILENCE: Duration = Duration::from_secs(60);
/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(20);
/// Most redirects for one request.
const REDIRECTS: usize = 8;
/// Most addresses of a host that are tried.
const ADDRESSES: usize = 16;

/// What failed before there was an answer.
#[derive(Debug)]
pub(super) struct Fault {
    /// In words, for the user.
    pub(super) why: String,
    /// What the user can do.
    pub(super) fix: Option<String>,
    pub(super) kind: Kind,
}

/// How to go on after a fault.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// The name has no address, nobody listens, the certificate is not believed: it will stay so.
    Lasting,
    /// The peer's side of TLS made no sense: it may speak plain HTTP.
    NoTls,
    /// A connection was lost or too slow: worth another try.
    Passing,
}

impl Fault {
    /// It will stay so.
    pub(super) fn lasting(&self) -> bool {
        self.kind == Kind::Lasting
    }

    /// Worth another try.
    pub(super) fn passing(&self) -> bool {
        self.kind == Kind::Passing
    }

    pub(super) fn error(self, what: String) -> Error {
        Error { fix: self.fix, ..Error::new(what).why(self.why) }
    }

    fn stays(why: impl fmt::Display) -> Self {
        Self { why: why.to_string(), fix: None, kind: Kind::Lasting }
    }
}

/// Headers of a request.
pub(super) type Headers<'a> = &'a [(&'static str, String)];

/// All connections of a pull.
#[derive(Debug)]
pub(super) struct Transport {
    agents: Mutex<HashMap<String, Agent>>,
    proxies: Proxies,
    /// The words of the registries' file.
    pub(super) registries: Registries,
    /// `--tls-verify=false`.
    pub(super) trust_all: bool,
}

impl Transport {
    pub(super) fn new(trust_all: bool) -> crate::Result<Self> {
        let registries = Registries::load()?;
        let agents = Mutex::default();
        Ok(Self { agents, proxies: Proxies::from_env(), registries, trust_all })
    }

    /// Whether `host` may be talked to without proof of who it is.
    pub(super) fn insecure(&self, host: &str) -> bool {
        self.trust_all || self.registries.insecure(host)
    }

    /// `GET`, with redirects; headers that name `Authorization` go to the first host only.
    pub(super) fn get(&self, url: &str, headers: Headers<'_>) -> Result<Response<Body>, Fault> {
        let first = authority(url)?;
        let mut url = url.to_owned();
        for _ in 0..=REDIRECTS {
            let host = authority(&url)?;
            let mut request = self.agent(&url, &host)?.get(&url);
            for (name, value) in
                headers.iter().filter(|(name, _)| *name != "Authorization" || host == first)
            {
                request = request.header(*name, value);
            }
            let answer = request.call().map_err(|error| fault(error, &host))?;
            let moved = matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308);
            let place = answer.headers().get("location").and_then(|place| place.to_str().ok());
            let Some(place) = place.filter(|_| moved) else { return Ok(answer) };
            url = self.follow(&url, place)?;
        }
        Err(Fault::stays(format!("{first} redirects without end")))
    }

    /// `POST` of a form, without redirects.
    pub(super) fn post(&self, url: &str, form: &str) -> Result<Response<Body>, Fault> {
        let host = authority(url)?;
        let request = self.agent(url, &host)?.post(url);
        let request = request.header("Content-Type", "application/x-www-form-urlencoded");
        request.send(form).map_err(|error| fault(error, &host))
    }

    /// Where a redirect leads; not from a proven peer to one that needs no proof.
    fn follow(&self, from: &str, place: &str) -> Result<String, Fault> {
        let scheme = from.split("://").next().unwrap_or("https");
        let next = if place.contains("://") {
            place.to_owned()
        } else if let Some(rest) = place.strip_prefix("//") {
            format!("{scheme}://{rest}")
        } else if place.starts_with('/') {
            format!("{scheme}://{}{place}", authority(from)?)
        } else {
            let bare = from.split(['?', '#']).next().unwrap_or(from);
            format!("{}/{place}", bare.rsplit_once('/').map_or(bare, |(dir, _)| dir))
        };
        if next.starts_with("http://") && scheme == "https" && !self.insecure(&authority(&next)?) {
            return Err(Fault::stays(format!("it redirects to {next}, which is not encrypted")));
        }
        Ok(next)
    }

    /// The agent for a host: its proxy, its certificates.
    fn agent(&self, url: &str, host: &str) -> Result<Agent, Fault> {
        let scheme = url.split("://").next().unwrap_or_default();
        let key = format!("{scheme}://{host}");
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agent) = agents.get(&key) {
            return Ok(agent.clone());
        }
        let agent = self.new_agent(scheme, host)?;
        agents.insert(key, agent.clone());
        Ok(agent)
    }

    fn new_agent(&self, scheme: &str, host: &str) -> Result<Agent, Fault> {
        let mut config = Config::builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("pier/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
            .timeout_per_write(Some(SILENCE))
            .max_idle_connections_per_host(8)
            .proxy(None);
        if let Some(proxy) = self.proxies.of(scheme, host) {
            let shown = proxy.rsplit('@').next().unwrap_or_default().to_owned();
            let wrong =
                |_| Fault::stays(format!("the proxy {shown} of the environment is no address"));
            config = config.proxy(Some(Proxy::new(&proxy).map_err(wrong)?));
        }
        if scheme == "https" {
            config = config.tls_config(self.tls(host)?);
        }
        Ok(Agent::with_parts(config.build(), DefaultConnector::new(), Names(Resolver::default())))
    }

    fn tls(&self, host: &str) -> Result<TlsConfig, Fault> {
        let insecure = self.insecure(host);
        let trust = Trust::of(host).map_err(Fault::stays)?;
        if trust.authorities.is_empty() && !insecure {
            let fix = "install the package ca-certificates, or set SSL_CERT_FILE";
            let why = "this machine has no list of certificate authorities";
            return Err(Fault { fix: Some(fix.into()), ..Fault::stays(why) });
        }
        let config = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(provider())
            .root_certs(RootCerts::new_with_certs(&trust.authorities))
            .client_cert(trust.client)
            .disable_verification(insecure);
        Ok(config.build())
    }
}

/// `host[:port]` of an address.
fn authority(url: &str) -> Result<String, Fault> {
    let uri: Option<Uri> = url.parse().ok();
    let uri = uri.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")));
    let authority = uri.as_ref().and_then(Uri::authority);
    let wrong = || Fault::stays(format!("{url:?} is no address of the web"));
    let whole = authority.ok_or_else(wrong)?.as_str();
    Ok(whole.rsplit('@').next().unwrap_or(whole).to_owned())
}

/// Our own lookup of names, as the library wants it.
#[derive(Debug)]
struct Names(Resolver);

impl std::error::Error for Failed {}

impl Lookup for Names {
    fn resolve(
        &self,
        uri: &Uri,
        _: &Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().ok_or(ureq::Error::HostNotFound)?;
        let usual = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        let port = uri.port_u16().unwrap_or(usual);
        let found =
            self.0.addresses(host).map_err(|failed| ureq::Error::Other(Box::new(failed)))?;
        let mut addresses = self.empty();
        for address in found.into_iter().take(ADDRESSES) {
            addresses.push(SocketAddr::new(address, port));
        }
        Ok(addresses)
    }
}

/// What the library says, in words for people.
fn fault(error: ureq::Error, host: &str) -> Fault {
    match error {
        ureq::Error::Other(inner) => match inner.downcast::<Failed>() {
            Ok(failed) => unresolved(&failed, host),
            Err(other) => Fault { why: other.to_string(), fix: None, kind: Kind::Passing },
        },
        ureq::Error::Rustls(error) => tls(&error, host),
        ureq::Error::Io(error) => match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(inner) => tls(inner, host),
            None => io(&error, host),
        },
        ureq::Error::Timeout(_) => {
            Fault { why: format!("{host} does not answer"), fix: None, kind: Kind::Passing }
        }
        ureq::Error::ConnectProxyFailed(why) => {
            let fix = "see HTTPS_PROXY and NO_PROXY in the environment".to_owned();
            Fault { why: format!("the proxy refuses: {why}"), fix: Some(fix), kind: Kind::Lasting }
        }
        // Not HTTP at all, or broken off within the headers.
        other => Fault { why: format!("{host}: {other}"), fix: None, kind: Kind::Passing },
    }
}

fn unresolved(failed: &Failed, host: &str) -> Fault {
    let (fix, kind) = match failed {
        Failed::NoName => ("check the spelling of the registry's name", Kind::Lasting),
        Failed::NoAnswer(_) => {
            ("check the network, and the name servers in /etc/resolv.conf", Kind::Passing)
        }
    };
    Fault { why: format!("cannot find {host}: {failed}"), fix: Some(fix.into()), kind }
}

fn tls(error: &rustls::Error, host: &str) -> Fault {
    use rustls::CertificateError as C;
    let place = format!("put its authority's certificate into /etc/docker/certs.d/{host}/ca.crt");
    let (why, fix) = match error {
        rustls::Error::InvalidCertificate(C::UnknownIssuer) => {
            ("its certificate is signed by nobody who is trusted here".to_owned(), Some(place))
        }
        rustls::Error::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => (
            "its certificate has expired".to_owned(),
            Some("check the clock of this machine".into()),
        ),
        rustls::Error::InvalidCertificate(
            C::NotValidForName | C::NotValidForNameContext { .. },
        ) => ("its certificate is for another name".to_owned(), None),
        rustls::Error::InvalidMessage(_) => {
            let fix = format!(
                "if it speaks plain HTTP and you trust the way to it: add {host} to insecure-registries in /etc/pier/registries.json, or pull with --tls-verify=false"
            );
            return Fault {
                why: format!("{host} does not speak TLS"),
                fix: Some(fix),
                kind: Kind::NoTls,
            };
        }
        other => (other.to_string(), None),
    };
    Fault { why: format!("{host}: {why}"), fix, kind: Kind::Lasting }
}

fn io(error: &std::io::Error, host: &str) -> Fault {
    use std::io::ErrorKind as K;
    let why = format!("{host}: {}", crate::error::plain(error));
    let (fix, kind) = match error.kind() {
        K::ConnectionRefused => {
            (Some("is the registry running, and is the port right?"), Kind::Lasting)
        }
        K::HostUnreachable | K::NetworkUnreachable => (Some("check the network"), Kind::Passing),
        _ => (None, Kind::Passing),
    };
    Fault { why, fix: fix.map(str::to_owned), kind }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Transport, authority};
    use crate::registry::config::Registries;
    use crate::registry::proxy::Proxies;

    fn transport() -> Transport {
        let registries = Registries::default();
        Transport {
            agents: Default::default(),
            proxies: Proxies::default(),
            registries,
            trust_all: false,
        }
    }

    #[test]
    fn redirects_lead_where_they_say_and_not_out_of_encryption() {
        let follow = |place: &str| {
            transport().follow("https://a:1/v2/x?y=/z", place).map_err(|fault| fault.why)
        };
        assert_eq!(follow("https://b/c").unwrap(), "https://b/c");
        assert_eq!(follow("//b/c").unwrap(), "https://b/c");
        assert_eq!(follow("/c?d").unwrap(), "https://a:1/c?d");
        assert_eq!(follow("c").unwrap(), "https://a:1/v2/c");
        assert_eq!(follow("http://localhost/c").unwrap(), "http://localhost/c");
        assert!(follow("http://b/c").unwrap_err().contains("not encrypted"));
        assert!(follow("file:///etc/passwd").is_ok_and(|url| authority(&url).is_err()));
        assert_eq!(authority("https://u:p@host:5/x").unwrap(), "host:5");
    }

    #[test]
    fn a_port_where_nobody_listens() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let fault = transport().get(&format!("http://127.0.0.1:{port}/"), &[]).unwrap_err();
        assert_eq!(
            (fault.why, fault.kind),
            (format!("127.0.0.1:{port}: connection refused"), Kind::Lasting)
        );
    }
}
