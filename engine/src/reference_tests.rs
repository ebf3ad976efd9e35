//! The grammar of names against tables: what is read, what is refused, and that both are stable.

use super::*;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn names_are_completed_and_shortened_as_docker_does() {
    let cases = [
        ("alpine", "docker.io/library/alpine:latest", "alpine:latest"),
        ("alpine:3.19", "docker.io/library/alpine:3.19", "alpine:3.19"),
        ("user/app", "docker.io/user/app:latest", "user/app:latest"),
        ("a/b/c", "docker.io/a/b/c:latest", "a/b/c:latest"),
        ("library/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
        ("docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
        ("index.docker.io/user/x", "docker.io/user/x:latest", "user/x:latest"),
        ("docker.io/library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
        ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
        ("localhost:5000/x:T_1.-", "localhost:5000/x:T_1.-", "localhost:5000/x:T_1.-"),
        ("HOST/x", "HOST/x:latest", "HOST/x:latest"),
        ("ghcr.io/a__b/c-----d", "ghcr.io/a__b/c-----d:latest", "ghcr.io/a__b/c-----d:latest"),
        ("[2001:db8::1]:5000/x", "[2001:db8::1]:5000/x:latest", "[2001:db8::1]:5000/x:latest"),
        ("localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"),
    ];
    for (text, whole, familiar) in cases {
        let reference: Reference = text.parse().unwrap();
        assert_eq!(reference.to_string(), whole);
        assert_eq!(reference.familiar(), familiar);
        assert_eq!(whole.parse::<Reference>().unwrap(), reference, "{text}");
        assert_eq!(familiar.parse::<Reference>().unwrap(), reference, "{text}");
    }
}

#[test]
fn a_digest_needs_no_tag_and_may_have_one() {
    let reference: Reference = format!("alpine@{DIGEST}").parse().unwrap();
    assert_eq!((reference.tag.as_deref(), reference.digest), (None, DIGEST.parse().ok()));
    assert_eq!(reference.to_string(), format!("docker.io/library/alpine@{DIGEST}"));
    let both: Reference = format!("alpine:1@{DIGEST}").parse().unwrap();
    assert_eq!(both.familiar(), format!("alpine:1@{DIGEST}"));
    assert_eq!(Reference::without_default("alpine").unwrap().tag, None);
}

#[test]
fn what_is_no_name_is_refused_in_words() {
    let long = "a".repeat(250);
    let cases = [
        ("", "it is empty"),
        ("Alpine", "must be lowercase"),
        ("user/App", "must be lowercase"),
        (":tag", "each part of the name"),
        ("a//b", "each part of the name"),
        ("a/", "each part of the name"),
        ("../etc", "the host is written"),
        ("a/../b", "each part of the name"),
        ("-a", "each part of the name"),
        ("a___b", "each part of the name"),
        ("a..b/c", "the host is written"),
        ("a b", "each part of the name"),
        ("a:", "a tag has"),
        ("a:.x", "a tag has"),
        ("a:x:y", "each part of the name"),
        ("h.x:p/a", "the host is written"),
        ("[::1/a", "the host is written"),
        ("ä", "each part of the name"),
        ("a@latest", "it is written sha256:"),
        (long.as_str(), "at most 255"),
        (&DIGEST[7..], "64 hexadecimal digits"),
    ];
    for (text, why) in cases {
        let error = text.parse::<Reference>().unwrap_err().to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
    assert!(format!("a:{}", "t".repeat(129)).parse::<Reference>().is_err());
    assert!(format!("a:{}", "t".repeat(128)).parse::<Reference>().is_ok());
}

/// Whatever is read is written so that it reads the same, and can be a path below `refs/`.
#[test]
fn any_text_is_refused_or_survives_a_round_trip() {
    let alphabet: Vec<char> = "ab0AZ.:/@-__[]%\0\u{e4} sha256:".chars().collect();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap()
    };
    let mut read = 0;
    for _ in 0..50_000 {
        let length = next() % 12;
        let text: String = (0..length).map(|_| alphabet[next() % alphabet.len()]).collect();
        let Ok(reference) = text.parse::<Reference>() else { continue };
        read += 1;
        assert_eq!(reference.to_string().parse::<Reference>().unwrap(), reference, "{text:?}");
        assert_eq!(reference.familiar().parse::<Reference>().unwrap(), reference, "{text:?}");
        for part in reference.repository.split('/').chain([reference.host.as_str()]) {
            assert!(!part.is_empty() && part != "." && part != "..", "{text:?}");
        }
    }
    assert!(read > 1000, "{read}");
}
