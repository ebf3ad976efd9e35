//! Which proxy a request goes through: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`, as Go
//! programs and so Docker read them.

use super::config::host_name;
use std::net::IpAddr;

/// What the environment says; names in capitals or not.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Proxies {
    http: String,
    https: String,
    none: String,
}

impl Proxies {
    /// Reads the environment.
    pub(super) fn from_env() -> Self {
        let var = |name: &str| {
            let small = std::env::var(name.to_lowercase()).ok().filter(|value| !value.is_empty());
            small.or_else(|| std::env::var(name).ok()).unwrap_or_default()
        };
        let all = var("ALL_PROXY");
        let or_all = |one: String| if one.is_empty() { all.clone() } else { one };
        Self {
            http: or_all(var("HTTP_PROXY")),
            https: or_all(var("HTTPS_PROXY")),
            none: var("NO_PROXY"),
        }
    }

    /// The proxy for `host[:port]`; loopback never goes through one.
    pub(super) fn of(&self, scheme: &str, host: &str) -> Option<String> {
        let proxy = if scheme == "https" { &self.https } else { &self.http };
        if proxy.is_empty() || self.direct(host) {
            return None;
        }
        let whole = proxy.contains("://");
        Some(if whole { proxy.clone() } else { format!("http://{proxy}") })
    }

    fn direct(&self, host: &str) -> bool {
        let name = host_name(host).trim_end_matches('.').to_ascii_lowercase();
        let address = name.parse::<IpAddr>().ok();
        if name == "localhost" || address.is_some_and(|address| address.is_loopback()) {
            return true;
        }
        self.none.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
            let entry = entry.to_ascii_lowercase();
            if entry == "*" || entry == host.to_ascii_lowercase() || entry == name {
                return true;
            }
            if let Some((network, address)) = entry.split_once('/').zip(address) {
                return super::config::in_network(address, network.0, network.1);
            }
            // `.a.b` is for what is below a.b, `a.b` for itself too.
            let below = entry.trim_start_matches('*');
            let below = if below.starts_with('.') { below.to_owned() } else { format!(".{below}") };
            address.is_none() && name.ends_with(&below)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Proxies;

    #[test]
    fn gos_rules() {
        let all = Proxies {
            http: "plain:3128".into(),
            https: "https://secure".into(),
            none: "a.example, .b.example,*.c.example,10.0.0.0/8,host:5000,192.168.0.1".into(),
        };
        let through = |host: &str| all.of("https", host);
        for direct in [
            "localhost:5000",
            "127.1.2.3",
            "[::1]:5000",
            "a.example",
            "x.a.example:443",
            "x.b.example",
            "x.c.example",
            "10.9.8.7:5000",
            "host:5000",
            "192.168.0.1:80",
        ] {
            assert_eq!(through(direct), None, "{direct}");
        }
        for proxied in ["b.example", "xa.example", "host:5001", "11.0.0.1", "docker.io"] {
            assert_eq!(through(proxied).as_deref(), Some("https://secure"), "{proxied}");
        }
        assert_eq!(all.of("http", "docker.io").as_deref(), Some("http://plain:3128"));
        assert_eq!(Proxies::default().of("http", "docker.io"), None);
        assert_eq!(Proxies { none: "*".into(), ..all }.of("http", "docker.io"), None);
    }
}
