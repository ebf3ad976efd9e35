//! Debian's docker-registry as the other side, skopeo to fill it and to read what we stored.

use crate::image::Image;
use crate::lab::{Lab, Service, need, run, text, wait_for};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

/// A docker-registry with a directory of its own.
struct Registry {
    port: u16,
    _service: Service,
}

impl Registry {
    /// `more`: further lines of its configuration; `http`: further words of its `http`.
    fn start(lab: &Lab, more: &str, http: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let data = lab.dir.join("data");
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http: {{addr: '127.0.0.1:{port}'{http}}}\n{more}\n",
            data.display()
        );
        let path = lab.write("registry.yml", config);
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(path);
        let service = Service::start(command);
        wait_for("the registry", || TcpStream::connect(("127.0.0.1", port)).ok());
        Self { port, _service: service }
    }

    /// Copies an image in with skopeo.
    fn fill(&self, lab: &Lab, image: &Image, name: &str, login: Option<&str>) {
        let layout = lab.dir.join(format!("layout-{}", name.replace(['/', ':'], "-")));
        image.layout(&layout);
        let (from, to) = (
            format!("oci:{}:latest", text(&layout)),
            format!("docker://127.0.0.1:{}/{name}", self.port),
        );
        let mut args = vec!["copy", "--quiet", "--dest-tls-verify=false"];
        args.extend(login.map(|_| "--dest-creds"));
        args.extend(login);
        run("skopeo", &[&args[..], &[&from, &to]].concat());
    }
}

#[test]
fn by_tag_and_by_digest_and_skopeo_reads_what_is_stored() {
    if !need(&["docker-registry", "skopeo"]) {
        return;
    }
    let (lab, image) = (Lab::new(), Image::here(10, 50_000));
    let registry = Registry::start(&lab, "", "");
    registry.fill(&lab, &image, "team/app:1.0", None);
    let name = format!("127.0.0.1:{}/team/app", registry.port);
    let said = lab.pull(&[&format!("{name}:1.0")]);
    assert!(said.contains(&format!("Digest: {}", image.digest())), "{said}");
    let by_digest = format!("localhost:{}/team/app@{}", registry.port, image.digest());
    assert!(lab.pull(&[&by_digest]).ends_with(&format!("{by_digest}\n")));
    assert_eq!((lab.unpacked("file9").len(), lab.blobs()), (1, 12));
    let layout = lab.dir.join("root/image");
    let index: serde_json::Value =
        serde_json::from_slice(&std::fs::read(layout.join("index.json")).unwrap()).unwrap();
    assert_eq!(index["manifests"][0]["digest"], image.digest());
    let copy = lab.dir.join("copy");
    std::fs::write(lab.dir.join("one.json"), "").unwrap();
    // skopeo takes the layout's only image when it is alone.
    let one = lab.dir.join("one");
    run("cp", &["-r", text(&layout), text(&one)]);
    let mut alone = index.clone();
    alone["manifests"] = serde_json::json!([index["manifests"][0]]);
    std::fs::write(one.join("index.json"), alone.to_string()).unwrap();
    run(
        "skopeo",
        &["copy", "--quiet", &format!("oci:{}", text(&one)), &format!("dir:{}", text(&copy))],
    );
    assert_eq!(std::fs::read(copy.join("manifest.json")).unwrap(), image.manifest);
    let said = lab.fail(&[&format!("{name}:1.1")]);
    assert!(said.contains("did you mean") && said.contains("team/app:1.0?"), "{said}");
    assert!(
        lab.fail(&[&format!("127.0.0.1:{}/team/ap", registry.port)])
            .contains("has no repository team/ap")
    );
}

#[test]
fn docker_manifests_and_htpasswd() {
    if !need(&["docker-registry", "skopeo", "htpasswd"]) {
        return;
    }
    let (lab, image) = (Lab::new(), Image::here(2, 5000));
    let file = lab.dir.join("htpasswd");
    run("htpasswd", &["-Bbc", text(&file), "user", "secret"]);
    let auth = format!("auth: {{htpasswd: {{realm: here, path: {}}}}}", text(&file));
    let registry = Registry::start(&lab, &auth, "");
    registry.fill(&lab, &image, "app:latest", Some("user:secret"));
    let host = format!("127.0.0.1:{}", registry.port);
    let old = format!("docker://{host}/old:latest");
    let copy = [
        "copy",
        "--quiet",
        "--format",
        "v2s2",
        "--src-tls-verify=false",
        "--dest-tls-verify=false",
    ];
    let logins = ["--src-creds", "user:secret", "--dest-creds", "user:secret"];
    run("skopeo", &[&copy[..], &logins, &[&format!("docker://{host}/app:latest"), &old]].concat());
    let said = lab.fail(&[&format!("{host}/app")]);
    assert!(said.contains("help: log in"), "{said}");
    lab.write(
        "home/.docker/config.json",
        format!(r#"{{"auths": {{"{host}": {{"auth": "dXNlcjpzZWNyZXQ="}}}}}}"#),
    );
    lab.pull(&[&format!("{host}/app")]);
    let said = lab.pull(&[&format!("{host}/old")]);
    assert!(said.contains("Already exists"), "{said}");
}

#[test]
fn certificates_are_believed_when_they_are_vouched_for() {
    if !need(&["docker-registry", "skopeo", "openssl"]) {
        return;
    }
    let (mut lab, image) = (Lab::new(), Image::here(1, 5000));
    let (key, certificate) = (lab.dir.join("key.pem"), lab.dir.join("cert.pem"));
    let subject = ["-subj", "/CN=reg.localhost", "-addext", "subjectAltName=DNS:reg.localhost"];
    let authority = ["-addext", "basicConstraints=critical,CA:FALSE"];
    let files = ["-keyout", text(&key), "-out", text(&certificate)];
    let new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"];
    run("openssl", &[&new[..], &subject, &authority, &files].concat());
    let tls = format!(", tls: {{certificate: {}, key: {}}}", text(&certificate), text(&key));
    let registry = Registry::start(&lab, "", &tls);
    registry.fill(&lab, &image, "app:latest", None);
    let name = format!("reg.localhost:{}/app", registry.port);
    // Loopback by address needs no proof, a name does.
    lab.pull(&[&format!("127.0.0.1:{}/app", registry.port)]);
    let said = lab.fail(&[&name]);
    assert!(said.contains("ca.crt") || said.contains("authorities"), "{said}");
    lab.pull(&["--tls-verify=false", &name]);
    lab.env("SSL_CERT_FILE", certificate.display());
    lab.pull(&[&format!("{name}@{}", image.digest())]);
    let said = lab.fail(&[&format!("other.localhost:{}/app", registry.port)]);
    assert!(said.contains("its certificate is for another name"), "{said}");
}

#[test]
fn plain_http_is_spoken_only_where_it_is_allowed() {
    if !need(&["docker-registry", "skopeo"]) {
        return;
    }
    let (mut lab, image) = (Lab::new(), Image::here(1, 500));
    let registry = Registry::start(&lab, "", "");
    registry.fill(&lab, &image, "app:latest", None);
    let host = format!("plain.localhost:{}", registry.port);
    let certificate =
        lab.write("ca.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    lab.env("SSL_CERT_FILE", certificate.display());
    let said = lab.fail(&[&format!("{host}/app")]);
    assert!(said.contains("does not speak TLS") && said.contains("--tls-verify=false"), "{said}");
    lab.pull(&["--tls-verify=false", &format!("{host}/app")]);
    lab.registries(&format!(r#"{{"insecure-registries": ["{host}"]}}"#));
    assert!(lab.pull(&[&format!("{host}/app")]).contains("up to date"));
}
