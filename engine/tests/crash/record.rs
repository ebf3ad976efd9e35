//! What a command tells survives a power cut: every file is written to the disk before it appears,
//! and the directory that it appears in afterwards.

use std::collections::BTreeMap;

use crate::host::Host;

/// The path that strace shows behind a descriptor: `5</a/b>`.
fn shown(text: &str) -> Option<&str> {
    text.split_once('<')?.1.split_once('>').map(|(path, _)| path)
}

/// Fails unless what `line` puts in place is synced, in the right order.
fn durable(host: &Host, line: &str, expected: &[&str]) {
    let calls = "trace=rename,renameat,renameat2,link,linkat,symlink,fsync,fdatasync,syncfs";
    let (said, trace) = host.strace(line, &["-y", "-s", "4096", "-e", calls]);
    assert_eq!(said.code, 0, "{said:?}");
    let root = host.name("root/");
    // That it runs says nothing after a power cut; the last word on it does.
    let last = trace.lines().enumerate().filter(|(_, text)| text.contains("/state.json\"")).last();
    let last = last.map(|(at, _)| at);
    let mut synced: BTreeMap<String, usize> = BTreeMap::new();
    let mut placed: Vec<(usize, String)> = Vec::new();
    let mut all = None;
    for (at, text) in trace.lines().enumerate() {
        let passing = text.contains("/state.json\"") && Some(at) != last;
        if passing || !text.trim_end().ends_with("= 0") {
            continue;
        }
        let call = text.split_whitespace().nth(1).unwrap_or_default();
        if call.starts_with("syncfs(") {
            all = Some(at);
        } else if call.contains("sync(") {
            synced.insert(shown(text).unwrap().to_owned(), at);
        } else {
            let paths: Vec<&str> = text.split('"').skip(1).step_by(2).collect();
            let to = paths[1].to_owned();
            let lasting = ["/staging/", "/going/", "/runtime/"].iter().all(|dir| !to.contains(dir));
            if !to.starts_with(&root) || !lasting {
                continue;
            }
            let from = paths[0];
            let before = call.starts_with("symlink") || all.is_some() || {
                let within = format!("{from}/");
                synced.keys().any(|path| path == from || path.starts_with(&within))
            };
            assert!(before, "{line}: {to} appears before it is on the disk\n{trace}");
            placed.push((at, to));
        }
    }
    for (at, path) in &placed {
        let dir = path.rsplit_once('/').unwrap().0;
        let staged = dir.contains("/making/") || dir.contains("/.new-");
        let later = synced.get(dir).is_some_and(|then| then > at);
        assert!(later || staged, "{line}: the directory of {path} is not synced\n{trace}");
    }
    for name in expected {
        let there = placed.iter().any(|(_, path)| path.contains(name));
        assert!(there, "{line}: nothing like {name} in {placed:?}");
    }
}

#[test]
fn what_is_told_is_on_the_disk() {
    let Some(host) = Host::bare() else { return };
    durable(&host, "import app.tar app", &["/blobs/sha256/", "/layers/", "/refs/", "index.json"]);
    durable(&host, "tag app other", &["/refs/", "index.json"]);
    durable(&host, "volume create data", &["/volumes/data"]);
    durable(
        &host,
        "create --name web --network none app true",
        &["/containers/", "/names/web", "spec.json"],
    );
    durable(&host, "start -a web", &["state.json"]);
    durable(&host, "rename web other", &["spec.json"]);
    durable(&host, "update --restart always other", &["spec.json"]);
    durable(&host, "rm other", &[]);
}
