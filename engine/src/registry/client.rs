//! One repository at its registry and its mirrors (distribution-spec, "Pull").
//!
//! A request is tried at each mirror, then at the registry itself; what passes (lost connections,
//! 429, 5xx) is tried again after a while. Plain HTTP is tried where the registry needs no proof.

use super::challenge;
use super::credentials::{self, Credentials};
use super::manifest::{ACCEPT, LONGEST};
use super::refused::Refused;
use super::token;
use super::transport::{Fault, Transport};
use crate::reference::Reference;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;
use ureq::Body;
use ureq::http::Response;

/// Tries of one request.
pub(super) const TRIES: u32 = 5;
/// Wait before the second; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(300);
/// Challenges that one request meets: a token may be spent by others before it is used.
const MOST_CHALLENGES: u32 = 4;
/// Longest wait that a registry may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// One repository.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) transport: Transport,
    pub(super) host: String,
    pub(super) repository: String,
    endpoints: Vec<Endpoint>,
    /// The endpoint that answered for the manifest: its blobs are asked of it first.
    chosen: AtomicUsize,
    /// `Authorization` by endpoint.
    headers: Mutex<HashMap<String, String>>,
}

/// A place that may have the repository.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) host: String,
    /// Behind the host, without a slash at its end: mirrors may have one.
    prefix: String,
    /// `https`, or `http` where that was found to be spoken or was written.
    scheme: OnceLock<&'static str>,
    login: OnceLock<Option<Credentials>>,
}

impl Endpoint {
    fn new(address: &str) -> Self {
        let (scheme, rest) = match address.split_once("://") {
            Some(("http", rest)) => (Some("http"), rest),
            Some((_, rest)) => (Some("https"), rest),
            None => (None, address),
        };
        let (host, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let fixed = scheme.map_or_else(OnceLock::new, OnceLock::from);
        let prefix = prefix.trim_end_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
        Self { host: host.to_owned(), prefix, scheme: fixed, login: OnceLock::new() }
    }

    pub(super) fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://{}{}/v2/{path}", self.host, self.prefix)
    }
}

/// What to ask for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ask<'a> {
    /// Below the repository: `manifests/latest`.
    pub(super) path: &'a str,
    pub(super) accept: &'a str,
    /// Bytes that we have.
    pub(super) offset: u64,
}

/// A manifest as it came.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) bytes: Vec<u8>,
    pub(super) media_type: String,
    /// `Docker-Content-Digest`.
    pub(super) digest: Option<String>,
}

impl Client {
    pub(super) fn new(reference: &Reference, transport: Transport) -> Self {
        let mut endpoints: Vec<_> =
            transport.registries.mirrors(&reference.host).into_iter().map(Endpoint::new).collect();
        let own =
            if reference.host == "docker.io" { "registry-1.docker.io" } else { &reference.host };
        endpoints.push(Endpoint::new(own));
        Self {
            transport,
            host: reference.host.clone(),
            repository: reference.repository.clone(),
            endpoints,
            chosen: AtomicUsize::new(0),
            headers: Mutex::default(),
        }
    }

    /// The registry itself: it comes after its mirrors.
    pub(super) fn last(&self) -> Option<&Endpoint> {
        self.endpoints.last()
    }

    /// The manifest of a tag or digest.
    pub(super) fn manifest(&self, which: &str) -> Result<Fetched, Refused> {
        let path = format!("manifests/{which}");
        self.document(Ask { path: &path, accept: ACCEPT, offset: 0 })
    }

    /// Tags of the repository, some thousand at most; for hints only.
    pub(super) fn tags(&self) -> Result<Vec<String>, Refused> {
        #[derive(serde::Deserialize)]
        struct Tags {
            tags: Option<Vec<String>>,
        }
        let ask = Ask { path: "tags/list?n=1000", accept: "application/json", offset: 0 };
        let read = serde_json::from_slice::<Tags>(&self.document(ask)?.bytes);
        Ok(read.ok().and_then(|read| read.tags).unwrap_or_default())
    }

    /// A short answer, whole; one that breaks off is asked for again.
    fn document(&self, ask: Ask<'_>) -> Result<Fetched, Refused> {
        let mut tries = 0;
        loop {
            tries += 1;
            let answer = self.get(ask)?;
            let header = |name: &str| Some(answer.headers().get(name)?.to_str().ok()?.to_owned());
            let media_type = header("content-type").unwrap_or_default();
            let digest = header("docker-content-digest");
            match answer.into_body().into_with_config().limit(LONGEST).read_to_vec() {
                Ok(bytes) => return Ok(Fetched { bytes, media_type, digest }),
                Err(ureq::Error::BodyExceedsLimit(limit)) => {
                    let why = format!("its answer is longer than the limit of {limit} bytes");
                    return Err(Refused::broken(&self.host, &why));
                }
                Err(error) if tries >= TRIES => {
                    return Err(Refused::broken(&self.host, &error.to_string()));
                }
                Err(_) => std::thread::sleep(wait(tries)),
            }
        }
    }

    /// Asks the endpoints in turn, beginning with the one that answered before.
    pub(super) fn get(&self, ask: Ask<'_>) -> Result<Response<Body>, Refused> {
        let first = self.chosen.load(Ordering::Relaxed);
        let mut last = Refused::broken(&self.host, "no endpoint");
        for (at, endpoint) in self.endpoints.iter().enumerate().skip(first) {
            match self.get_from(endpoint, ask) {
                Ok(answer) => {
                    self.chosen.store(at, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(refused) => last = refused,
            }
        }
        Err(last)
    }

    fn get_from(&self, endpoint: &Endpoint, ask: Ask<'_>) -> Result<Response<Body>, Refused> {
        let mut asked_who = 0;
        let mut tries = 0;
        loop {
            tries += 1;
            let used = self.header(endpoint);
            let pause = match self.once(endpoint, ask, used.as_ref()) {
                Ok(answer) => match answer.status().as_u16() {
                    200 | 206 => return Ok(answer),
                    401 if asked_who < MOST_CHALLENGES => {
                        // What we were just given ourselves was not enough: it will not become more.
                        let ours = self.authorize(endpoint, &answer, used.as_ref())?;
                        asked_who = if ours { MOST_CHALLENGES } else { asked_who + 1 };
                        tries -= 1;
                        continue;
                    }
                    408 | 429 | 500 | 502 | 503 | 504
                        if tries < TRIES && self.patient(endpoint) =>
                    {
                        retry_after(&answer).unwrap_or_else(|| wait(tries))
                    }
                    _ => return Err(Refused::read(&endpoint.host, answer)),
                },
                Err(fault) if fault.passing() && tries < TRIES && self.patient(endpoint) => {
                    wait(tries)
                }
                Err(fault) => return Err(Refused::Fault(fault)),
            };
            std::thread::sleep(pause);
        }
    }

    /// A mirror gets one try: there is somebody else to ask.
    fn patient(&self, endpoint: &Endpoint) -> bool {
        self.last().is_some_and(|last| std::ptr::eq(last, endpoint))
    }

    /// One request; at the first one it is found out whether the peer speaks TLS.
    fn once(
        &self,
        endpoint: &Endpoint,
        ask: Ask<'_>,
        used: Option<&String>,
    ) -> Result<Response<Body>, Fault> {
        let mut headers = vec![("Accept", ask.accept.to_owned())];
        headers.extend(used.map(|value| ("Authorization", value.clone())));
        if ask.offset > 0 {
            headers.push(("Range", format!("bytes={}-", ask.offset)));
        }
        let path = format!("{}/{}", self.repository, ask.path);
        if let Some(scheme) = endpoint.scheme.get() {
            return self.transport.get(&endpoint.url(scheme, &path), &headers);
        }
        let first = self.transport.get(&endpoint.url("https", &path), &headers);
        let fault = match first {
            Err(fault) if self.transport.insecure(&endpoint.host) => fault,
            answer => {
                if answer.is_ok() {
                    let _ = endpoint.scheme.set("https"); // another thread found the same
                }
                return answer;
            }
        };
        let plain = self.transport.get(&endpoint.url("http", &path), &headers);
        // Which of the two failures says more: that of the way that might have worked.
        let plain = plain.map_err(|second| if fault.lasting() { fault } else { second })?;
        let _ = endpoint.scheme.set("http");
        Ok(plain)
    }

    fn header(&self, endpoint: &Endpoint) -> Option<String> {
        let headers = self.headers.lock().unwrap_or_else(PoisonError::into_inner);
        headers.get(&endpoint.host).cloned()
    }

    /// Meets the challenge of an answer; one thread does it, the others wait for what it gets.
    /// Whether it was this one.
    fn authorize(
        &self,
        endpoint: &Endpoint,
        answer: &Response<Body>,
        used: Option<&String>,
    ) -> Result<bool, Refused> {
        let mut headers = self.headers.lock().unwrap_or_else(PoisonError::into_inner);
        if headers.get(&endpoint.host) != used {
            return Ok(false);
        }
        let asked = answer.headers().get_all("www-authenticate").iter();
        let asked: Vec<_> = asked.filter_map(|value| value.to_str().ok()).collect();
        let unknown = || {
            Refused::broken(
                &endpoint.host,
                "it wants to know who we are, in a way that nobody knows",
            )
        };
        let challenge = challenge::read(&asked.join(", ")).ok_or_else(unknown)?;
        let login = self.login(endpoint);
        let header = token::header(self, endpoint, &challenge, login)?;
        headers.insert(endpoint.host.clone(), header);
        Ok(true)
    }

    /// Our login at an endpoint, looked up when it is first needed.
    pub(super) fn login<'a>(&self, endpoint: &'a Endpoint) -> Option<&'a Credentials> {
        let find = || {
            let own = self.patient(endpoint);
            let host = if own { self.host.as_str() } else { endpoint.host.as_str() };
            let (found, faults) = credentials::find(host, &self.repository);
            for fault in faults {
                super::warn(&fault);
            }
            found
        };
        endpoint.login.get_or_init(find).as_ref()
    }

    /// Whether a login was used at the registry itself.
    pub(super) fn logged_in(&self) -> bool {
        self.last().and_then(|last| last.login.get()).is_some_and(Option::is_some)
    }
}

/// How long to wait before the next try.
pub(super) fn wait(tries: u32) -> Duration {
    FIRST_WAIT * 2_u32.saturating_pow(tries.saturating_sub(1))
}

/// `Retry-After` in seconds; a date is not worth its parser.
fn retry_after(answer: &Response<Body>) -> Option<Duration> {
    let header = answer.headers().get("retry-after")?.to_str().ok()?;
    Some(Duration::from_secs(header.trim().parse().ok()?).min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::{Endpoint, wait};

    #[test]
    fn addresses_of_mirrors() {
        let url = |address: &str| {
            let endpoint = Endpoint::new(address);
            endpoint.url(endpoint.scheme.get().copied().unwrap_or("?"), "x/manifests/y")
        };
        assert_eq!(url("host:5000"), "?://host:5000/v2/x/manifests/y");
        assert_eq!(url("http://m"), "http://m/v2/x/manifests/y");
        assert_eq!(url("https://m/cache/hub/"), "https://m/cache/hub/v2/x/manifests/y");
        let total: std::time::Duration = (1..5).map(wait).sum();
        assert!(total.as_secs() < 6, "{total:?}");
    }
}
