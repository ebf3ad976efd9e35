//! Logins as Docker and podman write them.

use super::{Credentials, File, find_in};

fn file(text: &str) -> File {
    serde_json::from_str(text).unwrap()
}

fn password(name: &str, secret: &str) -> Option<Credentials> {
    Some(Credentials::Password(name.into(), secret.into()))
}

#[test]
fn logins_of_docker_and_podman_are_found() {
    let all = file(
        r#"{"auths": {
            "https://index.docker.io/v1/": {"auth": "aHViOnNlY3JldA=="},
            "quay.io": {"auth": "cXVheTpwOnc"},
            "quay.io/team": {"auth": "dGVhbTp4"},
            "https://old.example/v1/": {"username": "u", "password": "p"},
            "acr.example": {"auth": "MDA6", "identitytoken": "tok"},
            "empty.example": {},
            "bad.example": {"auth": "!"}
        }}"#,
    );
    assert_eq!(all.find("docker.io", "library/x").unwrap(), password("hub", "secret"));
    assert_eq!(all.find("quay.io", "x").unwrap(), password("quay", "p:w"));
    assert_eq!(all.find("quay.io", "team/app/x").unwrap(), password("team", "x"));
    assert_eq!(all.find("quay.io", "teams").unwrap(), password("quay", "p:w"));
    assert_eq!(all.find("old.example", "x").unwrap(), password("u", "p"));
    assert_eq!(all.find("acr.example", "x").unwrap(), Some(Credentials::Identity("tok".into())));
    assert_eq!(all.find("empty.example", "x").unwrap(), None);
    assert_eq!(all.find("other.example", "x").unwrap(), None);
    assert!(all.find("bad.example", "x").unwrap_err().contains("base64"));
}

#[test]
fn the_first_file_that_knows_wins_and_broken_ones_are_told_of() {
    let dir = std::env::temp_dir().join(format!("pier-logins-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let paths: Vec<_> =
        ["none", "broken", "first", "second"].iter().map(|name| dir.join(name)).collect();
    std::fs::write(&paths[1], "{").unwrap();
    std::fs::write(&paths[2], r#"{"credHelpers": {"a.example": "pier-missing-helper"}}"#).unwrap();
    std::fs::write(&paths[3], r#"{"auths": {"a.example": {"auth": "YTpi"}}}"#).unwrap();
    let (found, faults) = find_in(&paths, "a.example", "x");
    assert_eq!(found, password("a", "b"));
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults[0].contains("broken"), "{faults:?}");
    assert!(
        faults[1].contains("docker-credential-pier-missing-helper: no such file"),
        "{faults:?}"
    );
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_helper_is_a_name_and_no_path() {
    let wrong = file(r#"{"credsStore": "../x"}"#).find("a", "x").unwrap_err();
    assert!(wrong.contains("slash"), "{wrong}");
}
