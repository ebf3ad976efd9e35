//! Whose certificates are believed.
//!
//! The system's bundle (`SSL_CERT_FILE`, else where the distributions keep it), and for each registry
//! what Docker's `/etc/docker/certs.d/HOST[:PORT]/` has: `*.crt` are authorities, `NAME.cert` with
//! `NAME.key` is what we show ourselves; `/etc/containers/certs.d` and `/etc/pier/certs.d` likewise.
//! No authorities are built in: a bundle that nobody updates is worse than none.

use crate::error::{Error, Result, What};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, parse_pem};

/// Debian, Alpine, Arch; Fedora; openSUSE; RHEL's.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// Directories with one more per registry.
const PLACES: [&str; 3] = ["/etc/pier/certs.d", "/etc/docker/certs.d", "/etc/containers/certs.d"];

/// What is believed of one registry, and what is shown to it.
#[derive(Debug)]
pub(super) struct Trust {
    pub(super) authorities: Vec<Certificate<'static>>,
    pub(super) client: Option<ClientCert>,
}

impl Trust {
    /// For the registry `host[:port]`.
    pub(super) fn of(host: &str) -> Result<Self> {
        let mut trust = Self { authorities: Vec::new(), client: None };
        for place in PLACES {
            trust.add(&Path::new(place).join(host))?;
        }
        let named =
            std::env::var_os("SSL_CERT_FILE").filter(|path| !path.is_empty()).map(PathBuf::from);
        let bundle = named.or_else(|| BUNDLES.iter().map(PathBuf::from).find(|path| path.exists()));
        if let Some(bundle) = bundle {
            trust.authorities.extend(certificates(&bundle)?);
        }
        Ok(trust)
    }

    /// Adds what a directory of `certs.d` has; it may be missing.
    fn add(&mut self, dir: &Path) -> Result<()> {
        let Ok(entries) = std::fs::read_dir(dir) else { return Ok(()) };
        let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        for path in paths {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("crt") => self.authorities.extend(certificates(&path)?),
                Some("cert") => self.client = Some(pair(&path)?),
                _ => {}
            }
        }
        Ok(())
    }
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>> {
    let text = std::fs::read(path).what(|| format!("cannot read {}", path.display()))?;
    let found = parse_pem(&text).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None, // what one bundle has too many shall not spoil the rest
    });
    Ok(found.collect())
}

/// A certificate of ours and its key.
fn pair(certificate: &Path) -> Result<ClientCert> {
    let path = certificate.with_extension("key");
    let text = std::fs::read(&path).what(|| format!("cannot read {}", path.display()))?;
    let key = PrivateKey::from_pem(&text)
        .map_err(|_| Error::new(format!("{} holds no private key", path.display())))?;
    Ok(ClientCert::new_with_certs(&certificates(certificate)?, key))
}

/// ring: half the size of aws-lc, and needs no more than a C compiler.
pub(super) fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

#[cfg(test)]
mod tests {
    use super::Trust;

    #[test]
    fn a_directory_of_a_registry() {
        let dir = std::env::temp_dir().join(format!("pier-trust-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let mut trust = Trust { authorities: Vec::new(), client: None };
        trust.add(&dir.join("none")).unwrap();
        let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        std::fs::write(dir.join("ca.crt"), pem.repeat(2)).unwrap();
        trust.add(&dir).unwrap();
        assert_eq!(trust.authorities.len(), 2);
        std::fs::write(dir.join("us.cert"), pem).unwrap();
        let wrong = trust.add(&dir).unwrap_err().to_string();
        assert!(wrong.contains("us.key: no such file"), "{wrong}");
        std::fs::write(dir.join("us.key"), pem).unwrap();
        assert!(trust.add(&dir).unwrap_err().to_string().contains("holds no private key"));
        let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        std::fs::write(dir.join("us.key"), key).unwrap();
        trust.add(&dir).unwrap();
        assert!(trust.client.is_some());
        std::fs::remove_dir_all(dir).unwrap();
    }
}
