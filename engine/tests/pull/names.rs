//! From a name to a server: Docker Hub's, mirrors, proxies, hosts that are not there.

use crate::image::Image;
use crate::lab::Lab;
use crate::server::{Reply, Server, registry};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn short_names_are_docker_hubs_and_come_from_its_mirror() {
    let image = Image::here(1, 1000);
    let mirror = Server::of(&image);
    let mut lab = Lab::new();
    // The first is down, the second is not asked in vain.
    lab.registries(&format!(
        r#"{{"registry-mirrors": ["http://127.0.0.1:{}", "http://{}/hub"]}}"#,
        closed_port(),
        mirror.address()
    ));
    let said = lab.pull(&["alpine"]);
    assert!(said.starts_with("latest: Pulling from library/alpine\n"), "{said}");
    assert!(
        said.ends_with(
            "Status: Downloaded newer image for alpine:latest\ndocker.io/library/alpine:latest\n"
        ),
        "{said}"
    );
    assert_eq!(mirror.asked("/hub/v2/library/alpine/manifests/latest"), 1);
    assert_eq!(mirror.asked("/hub/v2/library/alpine/blobs/"), 2);
    assert_eq!(mirror.seen()[0].header("user-agent"), concat!("pier/", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_mirror_that_lacks_the_image_is_passed_over() {
    let image = Image::here(1, 1000);
    let server = Server::of(&image);
    let empty = Server::start(|_| Reply::error(404, "MANIFEST_UNKNOWN", "manifest unknown"));
    let broken = Server::start(|_| Reply::status(500));
    let mut lab = Lab::new();
    let host = server.address();
    lab.registries(&format!(
        r#"{{"mirrors": {{"{host}": ["http://{}", "http://{}"]}}}}"#,
        broken.address(),
        empty.address()
    ));
    lab.pull(&[&server.name()]);
    assert_eq!((broken.asked("/v2/"), empty.asked("/v2/"), server.asked("/manifests/")), (1, 1, 1));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let mut lab = Lab::new();
    lab.registries("{");
    let said = lab.fail(&["x"]);
    assert!(said.contains("registries.json: EOF while parsing"), "{said}");
}

#[test]
fn what_is_misspelt_is_guessed() {
    let server = Server::start(|request| match request.path.as_str() {
        path if path.contains("/y/") => {
            Reply::error(404, "NAME_UNKNOWN", "repository name not known")
        }
        path if path.contains("/tags/list") => {
            Reply::ok(r#"{"name":"x","tags":["1.24-alpine","1.25","latest"]}"#)
        }
        _ => Reply::error(404, "MANIFEST_UNKNOWN", "manifest unknown"),
    });
    let lab = Lab::new();
    let said = lab.fail(&[&format!("{}:1.25-alpine", server.name())]);
    assert!(
        said.contains("has no tag \"1.25-alpine\"\n  help: did you mean")
            && said.contains("x:1.24-alpine?"),
        "{said}"
    );
    let said = lab.fail(&[&format!("{}:nothing", server.name())]);
    assert!(said.contains("help: it has 3 tags, among them latest, 1.25, 1.24-alpine"), "{said}");
    let said = lab.fail(&[&format!("{}/y", server.address())]);
    assert!(said.contains("has no repository y\n  help: check the spelling"), "{said}");
    let said = lab.fail(&[&format!("{}@sha256:{}", server.name(), "0".repeat(64))]);
    assert!(said.contains("has nothing of this digest"), "{said}");
}

#[test]
fn hosts_that_are_not_there_are_told_of_in_three_parts() {
    let lab = Lab::new();
    let port = closed_port();
    let said = lab.fail(&[&format!("127.0.0.1:{port}/x")]);
    let want = format!(
        "pier: cannot pull 127.0.0.1:{port}/x:latest: 127.0.0.1:{port}: connection refused\n  help: is the registry running, and is the port right?\n"
    );
    assert_eq!(said, want);
    assert!(lab.fail(&["UPPER/x y"]).contains("invalid reference format"));
}

/// A port where nobody listens.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A proxy that knows `CONNECT` only, and how often it was asked.
fn proxy() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, count) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let asked = count.clone();
    std::thread::spawn(move || {
        for near in listener.incoming().flatten() {
            asked.fetch_add(1, Ordering::Relaxed);
            std::thread::spawn(move || tunnel(near));
        }
    });
    (port, count)
}

fn tunnel(mut near: TcpStream) -> Option<()> {
    let mut reader = BufReader::new(near.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let target = line.strip_prefix("CONNECT ")?.split(' ').next()?.to_owned();
    while line.trim() != "" {
        line.clear();
        reader.read_line(&mut line).ok()?;
    }
    // Whatever the name: it is somewhere on this machine.
    let port: u16 = target.rsplit(':').next()?.parse().ok()?;
    let far = TcpStream::connect(("127.0.0.1", port)).ok()?;
    near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?;
    let (mut far_read, mut far_write, mut near_write) = (far.try_clone().ok()?, far, near);
    std::thread::spawn(move || std::io::copy(&mut reader, &mut far_write));
    std::io::copy(&mut far_read, &mut near_write).ok()?;
    Some(())
}

#[test]
fn proxies_of_the_environment_are_used() {
    let image = Image::here(1, 1000);
    let server = Server::start(move |request| registry(&image, request));
    let (proxy, count) = proxy();
    let mut lab = Lab::new();
    let host = format!("far.localhost:{}", server.port);
    lab.registries(&format!(r#"{{"insecure-registries": ["{host}"]}}"#));
    let address = format!("127.0.0.1:{proxy}");
    lab.env("HTTP_PROXY", &address).env("https_proxy", format!("http://{address}"));
    lab.pull(&[&format!("{host}/x")]);
    let used = count.load(Ordering::Relaxed);
    assert!(used > 0, "not by the proxy");
    lab.env("NO_PROXY", "a.example,.localhost");
    lab.pull(&[&format!("{host}/y")]);
    lab.pull(&[&server.name()]);
    assert_eq!(count.load(Ordering::Relaxed), used);
    lab.env("NO_PROXY", "").env("HTTP_PROXY", format!("127.0.0.1:{}", closed_port()));
    lab.env("https_proxy", format!("127.0.0.1:{}", closed_port()));
    assert!(lab.fail(&[&format!("{host}/z")]).contains("connection refused"));
}

#[test]
fn create_pulls_what_is_missing_and_nothing_else() {
    let server = Server::of(&Image::here(1, 1000));
    let lab = Lab::new();
    let name = server.name();
    let create = |args: &[&str]| {
        let output = lab.pier(&[&["create"], args, &[&name, "/true"]].concat());
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, _, said) = create(&["--pull=never"]);
    assert_eq!((code, server.asked("/")), (Some(1), 0), "{said}");
    assert!(said.contains("no such image"), "{said}");
    let (code, id, said) = create(&[]);
    assert_eq!((code, id.trim().len()), (Some(0), 64), "{said}");
    assert!(
        said.starts_with(&format!(
            "Unable to find image '{name}:latest' locally\nlatest: Pulling from x\n"
        )),
        "{said}"
    );
    let asked = server.asked("/");
    let (code, _, said) = create(&[]);
    assert_eq!((code, said.as_str(), server.asked("/")), (Some(0), "", asked));
    let (code, _, said) = create(&["--pull=always"]);
    assert!(
        code == Some(0) && said.contains("Image is up to date") && server.asked("/") > asked,
        "{said}"
    );
    let (code, _, said) = create(&["--platform=linux/s390x"]);
    assert!(code == Some(1) && said.contains("not for linux/s390x"), "{said}");
}
