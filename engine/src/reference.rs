//! Names of images, by Docker's grammar: `[HOST[:PORT]/]PATH[:TAG][@DIGEST]`.
//!
//! `alpine` means `docker.io/library/alpine:latest`; [`Reference::familiar`] is the way back.
//! Rules and limits: distribution/reference of Docker, `regexp.go` and `normalize.go`. A first
//! part with a dot, a colon, an upper-case letter or the word `localhost` is a host.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Error;
use crate::store::Digest;

/// Where names without a host live.
pub const DEFAULT_HOST: &str = "docker.io";
/// What Docker called it before.
const OLD_HOST: &str = "index.docker.io";
/// What stands before names of one part at the default host.
const OFFICIAL: &str = "library/";
/// The tag that is meant when none is said.
pub const DEFAULT_TAG: &str = "latest";
/// Longest name, host included.
const LONGEST_NAME: usize = 255;
/// Longest tag.
const LONGEST_TAG: usize = 128;

/// A name of an image, complete.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// `docker.io`, `localhost:5000`, `[::1]:5000`.
    pub host: String,
    /// `library/alpine`.
    pub repository: String,
    /// `latest`; none only where a digest stands instead.
    pub tag: Option<String>,
    /// The manifest that is meant, whatever the tag says.
    pub digest: Option<Digest>,
}

impl Reference {
    /// `docker.io/library/alpine`, without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.host, self.repository)
    }

    /// The name as people write it: `alpine`, `user/app`, `localhost:5000/app`.
    pub fn familiar_name(&self) -> String {
        if self.host != DEFAULT_HOST {
            return self.name();
        }
        let official = self.repository.strip_prefix(OFFICIAL).filter(|rest| !rest.contains('/'));
        let short = official.unwrap_or(&self.repository);
        match short.split_once('/') {
            Some((first, _)) if is_host(first) => self.name(),
            _ => short.to_owned(),
        }
    }

    /// The whole reference as people write it: `alpine:latest`.
    pub fn familiar(&self) -> String {
        format!("{}{}", self.familiar_name(), self.suffix())
    }

    /// Reads a name that may not say a tag: none is added.
    ///
    /// # Errors
    /// The text is no reference.
    pub fn without_default(text: &str) -> Result<Self, Error> {
        let wrong = |why: &str| {
            Error::new(format!("invalid reference format: {text:?}"))
                .why(why)
                .fix("a name is written [HOST[:PORT]/]NAME[:TAG][@sha256:DIGEST]")
        };
        if text.is_empty() {
            return Err(wrong("it is empty"));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse()?)),
            None => (text, None),
        };
        // A colon before the last slash belongs to a port.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        if let Some(tag) = tag {
            check_tag(tag).map_err(wrong)?;
        }
        let (host, repository) = split(name);
        if Digest::from_hex(repository.strip_prefix(OFFICIAL).unwrap_or_default()).is_some() {
            return Err(wrong("64 hexadecimal digits are an id, which cannot be a name"));
        }
        check_host(&host).map_err(wrong)?;
        check_repository(&repository).map_err(wrong)?;
        if host.len() + 1 + repository.len() > LONGEST_NAME {
            return Err(wrong("a name has at most 255 characters"));
        }
        Ok(Self { host, repository, tag: tag.map(str::to_owned), digest })
    }

    /// `:tag`, `@digest` or both.
    fn suffix(&self) -> String {
        let tag = self.tag.as_ref().map(|tag| format!(":{tag}"));
        let digest = self.digest.as_ref().map(|digest| format!("@{digest}"));
        format!("{}{}", tag.unwrap_or_default(), digest.unwrap_or_default())
    }
}

/// Host and path, with what is left out filled in.
fn split(name: &str) -> (String, String) {
    let (host, path) = match name.split_once('/') {
        Some((first, rest)) if is_host(first) => (first, rest),
        _ => (DEFAULT_HOST, name),
    };
    let host = if host == OLD_HOST { DEFAULT_HOST } else { host };
    if host == DEFAULT_HOST && !path.contains('/') {
        return (host.into(), format!("{OFFICIAL}{path}"));
    }
    (host.into(), path.into())
}

fn is_host(part: &str) -> bool {
    part.contains(['.', ':'])
        || part == "localhost"
        || part.contains(|letter: char| letter.is_ascii_uppercase())
}

/// `example.org`, `example.org:5000`, `[::1]:5000`.
fn check_host(host: &str) -> Result<(), &'static str> {
    const WRONG: &str = "the host is written NAME[:PORT] or [IPv6][:PORT]";
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']').ok_or(WRONG)?;
            let valid = !address.is_empty()
                && address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':');
            if !valid {
                return Err(WRONG);
            }
            match after.strip_prefix(':') {
                None if after.is_empty() => return Ok(()),
                None => return Err(WRONG),
                Some(port) => (None, Some(port)),
            }
        }
        None => match host.split_once(':') {
            Some((name, port)) => (Some(name), Some(port)),
            None => (Some(host), None),
        },
    };
    let part = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    let good_name = name.is_none_or(|name| name.split('.').all(part));
    let good_port =
        port.is_none_or(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
    if good_name && good_port { Ok(()) } else { Err(WRONG) }
}

/// Parts between slashes: lower-case letters and digits, with `.`, `_`, `__` or `-`s inside.
fn check_repository(path: &str) -> Result<(), &'static str> {
    if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("repository name must be lowercase");
    }
    if path.split('/').all(good_component) {
        return Ok(());
    }
    Err(
        "each part of the name has lower-case letters and digits, joined by one . or _, two __, or -",
    )
}

fn good_component(part: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    if !bytes.first().is_some_and(|byte| word(*byte)) || !bytes.last().is_some_and(|b| word(*b)) {
        return false;
    }
    bytes
        .split(|byte| word(*byte))
        .all(|joint| matches!(joint, b"" | b"." | b"_" | b"__") || joint.iter().all(|b| *b == b'-'))
}

/// `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`.
fn check_tag(tag: &str) -> Result<(), &'static str> {
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let first = tag.as_bytes().first().is_some_and(word);
    let rest = tag.bytes().all(|byte| word(&byte) || byte == b'.' || byte == b'-');
    match first && rest && tag.len() <= LONGEST_TAG {
        true => Ok(()),
        false => {
            Err("a tag has at most 128 letters, digits, _ . and -, and begins with none of . -")
        }
    }
}

/// Reads a reference and adds `:latest` where neither tag nor digest is said.
impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut reference = Self::without_default(text)?;
        if reference.tag.is_none() && reference.digest.is_none() {
            reference.tag = Some(DEFAULT_TAG.into());
        }
        Ok(reference)
    }
}

/// The whole name: `docker.io/library/alpine:latest`.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.host, self.repository, self.suffix())
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::without_default(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
#[path = "reference_tests.rs"]
mod tests;
