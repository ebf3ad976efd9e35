//! Who we are: token servers, basic auth, what docker and podman keep, helpers.

use crate::image::Image;
use crate::lab::Lab;
use crate::server::{Reply, Request, Server, registry};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicUsize, Ordering};

/// `user:secret` as a header, and as files have it.
const BASIC: &str = "Basic dXNlcjpzZWNyZXQ=";
const AUTH: &str = "dXNlcjpzZWNyZXQ=";

/// A registry and its token server in one, as Docker Hub's are two: tokens `t1`, `t2`, … of which
/// each is good for `uses` requests.
fn hub(image: &Image, login: bool, uses: usize) -> Server {
    let (image, bought, used) = (image.clone(), AtomicUsize::new(0), AtomicUsize::new(0));
    Server::start(move |request| {
        let host = request.header("host");
        if request.path.starts_with("/token") {
            let known = match request.method.as_str() {
                "POST" => {
                    request.body.contains("grant_type=refresh_token")
                        && request.body.contains("refresh_token=identity")
                }
                _ => request.header("authorization") == BASIC,
            };
            if login && !known {
                return Reply::error(401, "UNAUTHORIZED", "incorrect username or password");
            }
            used.store(0, Ordering::Relaxed);
            let number = bought.fetch_add(1, Ordering::Relaxed) + 1;
            return Reply::ok(format!(r#"{{"token":"t{number}","expires_in":300}}"#));
        }
        let good = format!("Bearer t{}", bought.load(Ordering::Relaxed));
        if request.header("authorization") != good || used.fetch_add(1, Ordering::Relaxed) >= uses {
            let header = format!(
                "Bearer realm=\"http://{host}/token?a=b\",service=\"registry.test\",scope=\"repository:x:pull\""
            );
            return Reply::error(401, "UNAUTHORIZED", "authentication required")
                .with("WWW-Authenticate", header);
        }
        registry(&image, request)
    })
}

/// A registry that wants `user:secret` with each request.
fn guarded(image: &Image) -> Server {
    let image = image.clone();
    Server::start(move |request| match request.header("authorization") {
        BASIC => registry(&image, request),
        _ => Reply::error(401, "UNAUTHORIZED", "authentication required")
            .with("WWW-Authenticate", "Basic realm=\"x\""),
    })
}

fn docker_login(lab: &mut Lab, host: &str, auth: &str) {
    lab.write("home/.docker/config.json", format!(r#"{{"auths": {{"{host}": {auth}}}}}"#));
}

#[test]
fn a_token_is_bought_kept_and_bought_again_when_it_is_spent() {
    let image = Image::here(3, 1000);
    let server = hub(&image, false, 1000);
    Lab::new().pull(&[&server.name()]);
    let tokens: Vec<_> =
        server.seen().into_iter().filter(|request| request.path.starts_with("/token")).collect();
    assert_eq!(tokens.len(), 1);
    assert_eq!(tokens[0].path, "/token?a=b&service=registry.test&scope=repository:x:pull");
    assert_eq!(tokens[0].header("authorization"), "");
    let server = hub(&Image::here(1, 1000), false, 2);
    Lab::new().pull(&[&server.name()]);
    assert_eq!(server.asked("/token"), 2);
}

#[test]
fn a_login_buys_the_token() {
    let image = Image::here(1, 1000);
    let server = hub(&image, true, 1000);
    let mut lab = Lab::new();
    let said = lab.fail(&[&server.name()]);
    let host = server.address();
    assert!(said.contains("incorrect username or password"), "{said}");
    assert!(
        said.contains(&format!("help: log in with docker login {host} or podman login {host}")),
        "{said}"
    );
    docker_login(&mut lab, &host, &format!(r#"{{"auth": "{AUTH}"}}"#));
    lab.pull(&[&server.name()]);
    // The password went to the token server and nowhere else.
    let leaked = |request: &Request| {
        !request.path.starts_with("/token") && request.header("authorization").starts_with("Basic")
    };
    assert!(!server.seen().iter().any(leaked));
    let server = hub(&image, true, 1000);
    docker_login(&mut lab, &server.address(), r#"{"auth": "", "identitytoken": "identity"}"#);
    lab.pull(&[&format!("{}:other", server.name())]);
    docker_login(&mut lab, &server.address(), r#"{"auth": "dXNlcjp3cm9uZw=="}"#);
    let said = lab.fail(&[&format!("{}:third", hub(&image, true, 1).name())]);
    assert!(said.contains("incorrect username"), "{said}");
}

#[test]
fn a_password_wherever_it_is_kept() {
    let image = Image::here(1, 1000);
    let server = guarded(&image);
    let (name, host) = (server.name(), server.address());
    let mut lab = Lab::new();
    let said = lab.fail(&[&name]);
    assert!(
        said.contains("or there is no such repository") && said.contains("help: log in"),
        "{said}"
    );
    docker_login(&mut lab, &host, r#"{"auth": "dXNlcjp3cm9uZw=="}"#);
    let said = lab.fail(&[&name]);
    assert!(said.contains("does not let the login that is kept here read x"), "{said}");
    docker_login(&mut lab, &host, &format!(r#"{{"auth": "{AUTH}"}}"#));
    lab.pull(&[&name]);
    // podman's file, by variable and for a part of the host only.
    let mut lab = Lab::new();
    let file =
        lab.write("auth.json", format!(r#"{{"auths": {{"{host}/x": {{"auth": "{AUTH}"}}}}}}"#));
    lab.env("REGISTRY_AUTH_FILE", file.display());
    lab.pull(&[&name]);
    assert!(lab.fail(&[&format!("{host}/y")]).contains("help: log in"));
    let mut lab = Lab::new();
    lab.write(
        "docker/config.json",
        format!(r#"{{"auths": {{"https://{host}/v1/": {{"auth": "{AUTH}"}}}}}}"#),
    );
    let dir = lab.dir.join("docker");
    lab.env("DOCKER_CONFIG", dir.display());
    lab.pull(&[&name]);
}

#[test]
fn helpers_are_asked_and_their_faults_told() {
    let image = Image::here(1, 1000);
    let server = guarded(&image);
    let (name, host) = (server.name(), server.address());
    let script = format!(
        "#!/bin/sh\nread -r host\ncase $1:$host in\nget:{host}) echo '{{\"Username\":\"user\",\"Secret\":\"secret\"}}';;\n\
         get:broken) echo 'the keyring is locked'; exit 1;;\n*) echo 'credentials not found in native keychain'; exit 1;;\nesac\n"
    );
    for (config, good) in [
        (format!(r#"{{"credHelpers": {{"{host}": "test"}}}}"#), true),
        (r#"{"credsStore": "test"}"#.to_owned(), true),
        (r#"{"credsStore": "gone"}"#.to_owned(), false),
    ] {
        let mut lab = Lab::new();
        let program = lab.write("bin/docker-credential-test", &script);
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = std::env::var("PATH").unwrap();
        let bin = lab.dir.join("bin");
        lab.env("PATH", format!("{}:{path}", bin.display()));
        lab.write("home/.docker/config.json", config);
        if good {
            lab.pull(&[&name]);
            continue;
        }
        let output = lab.pier(&["pull", &name]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.contains("warning: cannot ask docker-credential-gone: no such file"),
            "{said}"
        );
        assert!(said.contains("help: log in"), "{said}");
    }
}

#[test]
fn what_says_who_we_are_does_not_go_where_a_redirect_points() {
    let image = Image::here(1, 1000);
    let copy = image.clone();
    let store = Server::start(move |request| {
        assert_eq!(request.header("authorization"), "", "our password at a stranger's");
        registry(&copy, request)
    });
    let elsewhere = store.address();
    let front = Server::start(move |request| {
        if request.header("authorization") != BASIC {
            return Reply::status(401).with("WWW-Authenticate", "Basic");
        }
        match request.path.contains("/blobs/") {
            true => {
                Reply::status(307).with("Location", format!("http://{elsewhere}{}", request.path))
            }
            false => registry(&image, request),
        }
    });
    let mut lab = Lab::new();
    docker_login(&mut lab, &front.address(), &format!(r#"{{"auth": "{AUTH}"}}"#));
    lab.pull(&[&front.name()]);
    assert_eq!(store.asked("/blobs/"), 2);
    let circle = Server::start(|request| Reply::status(302).with("Location", &request.path));
    assert!(Lab::new().fail(&[&circle.name()]).contains("redirects without end"));
}
