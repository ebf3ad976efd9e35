//! `WWW-Authenticate`: how a registry wants to be told who asks (RFC 9110, 11.6.1).

/// What a registry asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Challenge {
    /// Name and password with each request.
    Basic,
    /// A token from the server `realm`, for `service`, good for `scope`.
    Bearer {
        /// Address of the token server.
        realm: String,
        /// Whom the token is for.
        service: String,
        /// What it allows; empty when the registry left it to us.
        scope: String,
    },
}

/// The challenge of a header that we can meet; a token is preferred.
pub(super) fn read(header: &str) -> Option<Challenge> {
    let mut basic = None;
    for (scheme, parameters) in schemes(header) {
        let get = |name: &str| {
            let found = parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        if scheme.eq_ignore_ascii_case("bearer") && !get("realm").is_empty() {
            let (realm, service, scope) = (get("realm"), get("service"), get("scope"));
            return Some(Challenge::Bearer { realm, service, scope });
        }
        if scheme.eq_ignore_ascii_case("basic") {
            basic = Some(Challenge::Basic);
        }
    }
    basic
}

type Scheme = (String, Vec<(String, String)>);

/// Schemes with their parameters: `A x="1", y=2, B z="3"`.
fn schemes(header: &str) -> Vec<Scheme> {
    let mut all: Vec<Scheme> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() && after.is_empty() {
            return all;
        }
        match after.trim_start().strip_prefix('=') {
            Some(value) => {
                let (value, after) = value_of(value.trim_start());
                if let Some((_, parameters)) = all.last_mut() {
                    parameters.push((word.to_owned(), value));
                }
                rest = after;
            }
            None => {
                all.push((word.to_owned(), Vec::new()));
                rest = after;
            }
        }
    }
}

/// A token or a quoted text, and what follows.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, after) = text.split_at(text.find([',', ' ', '\t']).unwrap_or(text.len()));
        return (value.to_owned(), after);
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, quoted.get(at + 1..).unwrap_or("")),
            '\\' => value.extend(letters.next().map(|(_, letter)| letter)),
            letter => value.push(letter),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::{Challenge, read};

    fn bearer(realm: &str, service: &str, scope: &str) -> Option<Challenge> {
        Some(Challenge::Bearer {
            realm: realm.into(),
            service: service.into(),
            scope: scope.into(),
        })
    }

    #[test]
    fn headers_of_registries() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/x:pull""#;
        let scope = "repository:library/x:pull";
        assert_eq!(read(hub), bearer("https://auth.docker.io/token", "registry.docker.io", scope));
        assert_eq!(read(r#"Basic realm="x, Bearer""#), Some(Challenge::Basic));
        assert_eq!(read("basic"), Some(Challenge::Basic));
        let both = r#"Basic realm="a", bearer Realm = "https://t" , error="x \"y\" z", service=s"#;
        assert_eq!(read(both), bearer("https://t", "s", ""));
        for none in ["", "Bearer", "Negotiate abc==", "=", "\"", "Bearer realm=\"", ",,,"] {
            assert_eq!(read(none), None, "{none}");
        }
    }

    #[test]
    fn any_header_is_read_to_its_end() {
        let parts =
            ["Bearer", "Basic", " ", ",", "=", "\"", "\\", "realm", "é", "x", "\t", "scope"];
        let mut seed = 88_172_645_463_325_252_u64;
        for _ in 0..50_000 {
            let mut header = String::new();
            for _ in 0..12 {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                header.push_str(parts[usize::try_from(seed % 12).unwrap()]);
            }
            let _ = read(&header);
        }
    }
}
