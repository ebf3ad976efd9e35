//! What registries answer, rightly and wrongly.

use crate::image::{INDEX, Image, MANIFEST, arch, index};
use crate::lab::{Lab, wait_for};
use crate::server::{Reply, Request, Server, registry};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

#[test]
fn an_image_is_pulled_told_of_and_known_the_next_time() {
    let (lab, image) = (Lab::new(), Image::here(3, 10_000));
    let server = Server::of(&image);
    let name = server.name();
    let said = lab.pull(&[&name]);
    assert!(said.starts_with("latest: Pulling from x\n"), "{said}");
    assert_eq!(said.matches(": Pull complete\n").count(), 3, "{said}");
    let end = format!(
        "Digest: {}\nStatus: Downloaded newer image for {name}:latest\n{name}:latest\n",
        image.digest()
    );
    assert!(said.ends_with(&end), "{said}");
    assert_eq!((lab.unpacked("file2").len(), lab.partial()), (1, 0));
    let asked = server.asked("/blobs/");
    let said = lab.pull(&[&name]);
    assert!(said.contains(&format!("Status: Image is up to date for {name}:latest\n")), "{said}");
    assert_eq!(server.asked("/blobs/"), asked);
    assert_eq!(lab.pull(&["-q", &name]), format!("{name}:latest\n"));
    // Another name of the same: nothing is fetched but the manifest.
    let other = format!("{name}@{}", image.digest());
    let said = lab.pull(&[&other]);
    assert!(said.contains("up to date") && said.ends_with(&format!("{other}\n")), "{said}");
    // The same layers below another name are there.
    let said = lab.pull(&[&format!("{name}/other:1")]);
    assert_eq!(said.matches("Already exists").count(), 3, "{said}");
    assert_eq!(server.asked("/blobs/"), asked);
}

#[test]
fn progress_for_programs_and_for_terminals() {
    let image = Image::here(2, 300_000);
    let server = Server::of(&image);
    let lab = Lab::new();
    let lines = lab.pull(&["--progress=json", &server.name()]);
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let total = lines.iter().rfind(|line| line["status"] == "total").unwrap();
    assert_eq!(
        (&total["current"], &total["total"]),
        (&image.bytes().into(), &image.bytes().into())
    );
    assert_eq!(lines.last().unwrap()["digest"], image.digest());
    let bars = Lab::new().pull(&["--progress=tty", &server.name()]);
    assert!(bars.contains("\x1b[K100% ") && bars.contains("\x1b["), "{bars:?}");
}

#[test]
fn a_cut_connection_is_taken_up_where_it_broke() {
    let image = Image::here(1, 400_000);
    let (copy, cuts) = (image.clone(), AtomicUsize::new(0));
    let server = Server::start(move |request| {
        let reply = registry(&copy, request);
        let large = reply.body.len() > 100_000 && cuts.fetch_add(1, Ordering::Relaxed) < 3;
        Reply { cut: large.then_some(100_000), ..reply }
    });
    let lab = Lab::new();
    lab.pull(&[&server.name()]);
    assert_eq!(lab.unpacked("file0")[0].len(), 400_000);
    let ranges: Vec<_> = server.seen().iter().filter_map(Request::offset).collect();
    assert_eq!(ranges, [100_000, 200_000, 300_000]);
}

#[test]
fn a_server_that_cannot_resume_is_asked_for_all_again() {
    for kind in ["ignores", "refuses", "elsewhere"] {
        let image = Image::here(1, 300_000);
        let (copy, cuts) = (image.clone(), AtomicUsize::new(0));
        let server = Server::start(move |request| {
            let whole = Request { headers: Default::default(), ..request.clone() };
            let reply = match (request.offset(), kind) {
                (Some(_), "refuses") => Reply::status(416),
                (Some(offset), "elsewhere") => {
                    let mut reply = registry(&copy, request);
                    reply.headers =
                        vec![("Content-Range".into(), format!("bytes {}-9/10", offset - 1))];
                    reply
                }
                _ => registry(&copy, &whole),
            };
            let first = reply.body.len() > 100_000 && cuts.fetch_add(1, Ordering::Relaxed) == 0;
            Reply { cut: first.then_some(100_000), ..reply }
        });
        let lab = Lab::new();
        lab.pull(&[&server.name()]);
        assert_eq!(lab.unpacked("file0")[0].len(), 300_000, "{kind}");
    }
}

#[test]
fn an_interrupted_pull_goes_on_where_it_was() {
    let image = Image::here(1, 500_000);
    let copy = image.clone();
    let server = Server::start(move |request| {
        let reply = registry(&copy, request);
        // Without an offset the body stops for long in the middle.
        if reply.body.len() < 100_000 || request.offset().is_some() {
            return reply;
        }
        Reply {
            headers: vec![("Content-Length".into(), reply.body.len().to_string())],
            cut: Some(200_000),
            ..reply
        }
    });
    let slow = stall(server.port);
    let lab = Lab::new();
    let name = format!("127.0.0.1:{slow}/x");
    let mut child = lab.command(&["pull", &name]).spawn().unwrap();
    wait_for("the first part", || (lab.partial() >= 200_000).then_some(()));
    let pid = rustix::process::Pid::from_child(&child);
    // Ctrl-C does the same, but a shell's jobs in the background ignore SIGINT, and their children do.
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let _ = child.wait().unwrap();
    let kept = lab.partial();
    assert!(kept >= 200_000, "{kept}");
    lab.pull(&[&server.name()]);
    assert_eq!(server.seen().iter().filter_map(Request::offset).next_back(), Some(kept as usize));
    assert_eq!((lab.unpacked("file0")[0].len(), lab.partial()), (500_000, 0));
}

/// A way to a port that passes everything on and never tells that the other end hung up.
fn stall(port: u16) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let here = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let far = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
            let (mut near_read, mut far_write) =
                (near.try_clone().unwrap(), far.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut near_read, &mut far_write));
            std::thread::spawn(move || {
                let (mut far, mut near) = (far, near);
                let passed = std::io::copy(&mut far, &mut near).unwrap_or(0);
                std::thread::sleep(Duration::from_secs(if passed > 1000 { 60 } else { 0 }));
                let _ = near.shutdown(std::net::Shutdown::Both);
            });
        }
    });
    here
}

#[test]
fn bytes_that_are_not_what_was_promised_are_refused() {
    let image = Image::here(2, 50_000);
    for kind in ["changed", "longer", "short", "manifest"] {
        let (copy, good) = (image.clone(), Server::of(&image));
        let server = Server::start(move |request| {
            let mut reply = registry(&copy, request);
            match (kind, request.path.contains("/manifests/")) {
                ("changed", false) => reply.body[30] ^= 1,
                ("longer", false) => reply.body.push(0),
                ("short", false) => drop(reply.body.pop()),
                ("manifest", true) => {
                    let zeros = format!("sha256:{}", "0".repeat(64));
                    reply = reply.with("Docker-Content-Digest", zeros);
                }
                _ => {}
            }
            reply
        });
        let lab = Lab::new();
        let said = lab.fail(&[&server.name()]);
        let words = match kind {
            "changed" => "is not what came",
            "longer" => "sends more than the",
            "short" => "closed early",
            _ => "sent a manifest with the digest",
        };
        assert!(said.contains(words), "{kind}: {said}");
        assert_eq!((lab.blobs(), lab.unpacked("file0").len()), (0, 0), "{kind}");
        lab.pull(&[&good.name()]);
    }
}

#[test]
fn a_digest_is_kept_to() {
    let (image, lab) = (Image::here(1, 100), Lab::new());
    let other = format!("{}@{}", Server::of(&image).name(), Image::here(2, 100).digest());
    assert!(lab.fail(&[&other]).contains("sent a manifest with the digest"));
    assert_eq!(lab.blobs(), 0);
}

#[test]
fn what_passes_is_tried_again_and_what_lasts_is_told() {
    let (image, tries) = (Image::here(1, 100), AtomicUsize::new(0));
    let server = Server::start(move |request| match tries.fetch_add(1, Ordering::Relaxed) {
        0 => Reply::status(503),
        1 => Reply::status(429).with("Retry-After", 1),
        2 => Reply { cut: Some(0), ..Reply::ok("x") },
        _ => registry(&image, request),
    });
    let begin = Instant::now();
    Lab::new().pull(&[&server.name()]);
    assert!(begin.elapsed() >= Duration::from_secs(1), "Retry-After was not heeded");
    let lasting = Server::start(|_| Reply::error(500, "UNKNOWN", "disk\x1b[31m is full"));
    let said = Lab::new().fail(&[&lasting.name()]);
    assert!(said.contains("says: disk[31m is full") && lasting.asked("/manifests/") > 2, "{said}");
    let limit = Server::start(|_| Reply::error(429, "TOOMANYREQUESTS", "x").with("Retry-After", 0));
    let said = Lab::new().fail(&[&limit.name()]);
    assert!(said.contains("takes no more requests") && said.contains("help: wait"), "{said}");
}

#[test]
fn of_an_index_the_right_image_is_taken() {
    let here = Image::here(1, 1000);
    let foreign = Image::new("s390x", 1, 2000);
    let host = format!("linux/{}", arch());
    let all = index(&[("unknown/unknown", &foreign), ("linux/s390x", &foreign), (&host, &here)]);
    let digest = corten_engine::store::Digest::of(&all).to_string();
    let only = index(&[("linux/s390x", &foreign)]);
    let server = Server::start(move |request| match request.path.rsplit('/').next().unwrap() {
        "latest" => Reply::ok(all.clone()).with("Content-Type", INDEX),
        "only" => Reply::ok(only.clone()).with("Content-Type", INDEX),
        _ => {
            let of_here = request.path.contains(&here.digest())
                || here.blobs().iter().any(|(name, _)| request.path.contains(name));
            registry(if of_here { &here } else { &foreign }, request)
        }
    });
    let lab = Lab::new();
    let said = lab.pull(&[&server.name()]);
    assert!(said.contains(&format!("Digest: {digest}")), "{said}");
    assert_eq!(lab.unpacked("file0")[0].len(), 1000);
    let lab = Lab::new();
    lab.pull(&["--platform", "linux/s390x", &server.name()]);
    assert_eq!(lab.unpacked("file0")[0].len(), 2000);
    let said = lab.fail(&[&format!("{}:only", server.name())]);
    let words = format!(
        "has no image for {host}: it has linux/s390x\n  help: choose one: --platform linux/s390x"
    );
    assert!(said.contains(&words), "{said}");
    let said = lab.fail(&["--platform", "sparc/a b", &server.name()]);
    assert!(said.contains("invalid platform"), "{said}");
}

#[test]
fn an_image_of_another_platform_is_not_taken_for_the_one_wanted() {
    let server = Server::of(&Image::new("s390x", 1, 100));
    let lab = Lab::new();
    let said = lab.fail(&["--platform=linux/arm64", &server.name()]);
    assert!(said.contains("it is for linux/s390x, not for linux/arm64"), "{said}");
    lab.pull(&[&server.name()]);
    assert!(
        lab.fail(&["--platform=linux/arm64", &server.name()]).contains("it is for linux/s390x")
    );
}

#[test]
fn what_is_no_image_is_named() {
    let schema1 = r#"{"schemaVersion":1,"fsLayers":[],"history":[]}"#;
    let cases = [
        (schema1, "schema 1"),
        ("<html>", "expected value"),
        ("{}", "neither an image nor an index"),
    ];
    for (text, words) in cases {
        let server = Server::start(move |_| Reply::ok(text).with("Content-Type", MANIFEST));
        let said = Lab::new().fail(&[&server.name()]);
        assert!(said.contains(words), "{said}");
    }
    let huge = Server::start(|_| Reply::ok(vec![b' '; 5 << 20]));
    assert!(Lab::new().fail(&[&huge.name()]).contains("limit"));
}

#[test]
fn a_layer_that_stands_elsewhere() {
    let image = Image::here(1, 1000);
    let layer = image.layers[0].clone();
    let elsewhere = Server::start(move |_| Reply::ok(layer.clone()));
    let mut manifest: serde_json::Value = serde_json::from_slice(&image.manifest).unwrap();
    manifest["layers"][0]["mediaType"] =
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip".into();
    manifest["layers"][0]["urls"] =
        serde_json::json!([format!("http://{}/layer", elsewhere.address())]);
    let bytes = serde_json::to_vec(&manifest).unwrap();
    let known = Image { manifest: bytes, layers: Vec::new(), ..image };
    let lab = Lab::new();
    lab.pull(&[&Server::of(&known).name()]);
    assert_eq!((lab.unpacked("file0").len(), elsewhere.asked("/layer")), (1, 1));
}

#[test]
fn two_pulls_at_once_share_their_work() {
    let image = Image::here(4, 200_000);
    let (server, lab) = (Server::of(&image), Lab::new());
    let all: Vec<_> =
        (0..4).map(|_| lab.command(&["pull", &server.name()]).spawn().unwrap()).collect();
    for child in all {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    assert_eq!((lab.unpacked("file3").len(), lab.blobs(), lab.partial()), (1, 6, 0));
}
