//! What each form of `-v`, `--mount` and `--tmpfs` means, and why others are refused.

use super::*;

fn line(wanted: &Wanted) -> String {
    let mut line = format!("{:?} {} {}", wanted.kind, wanted.source, wanted.target);
    for (word, given) in [
        ("ro", wanted.read_only),
        ("nocopy", wanted.nocopy),
        ("z", wanted.relabel),
        ("make", wanted.make_source),
    ] {
        if given {
            line.push(' ');
            line.push_str(word);
        }
    }
    for more in [&wanted.propagation, &wanted.subpath, &wanted.tmpfs.join(",")] {
        if !more.is_empty() {
            line.push(' ');
            line.push_str(more);
        }
    }
    line
}

fn words(result: Result<Wanted>) -> String {
    result.map_or_else(|error| error.to_string(), |wanted| line(&wanted))
}

#[test]
fn short_form() {
    for (spec, means) in [
        ("/data", "Volume  /data make"),
        ("name:/data", "Volume name /data make"),
        ("/host:/data/", "Bind /host /data make"),
        ("/host:/a/../b:ro", "Bind /host /b ro make"),
        ("/host:/data:rslave,ro", "Bind /host /data ro make rslave"),
        ("name:/data:nocopy,z", "Volume name /data nocopy z make"),
        ("/host:/data:rw,cached", "Bind /host /data make"),
    ] {
        assert_eq!(words(volume(spec)), means, "{spec}");
    }
    let here = std::env::current_dir().unwrap();
    assert_eq!(volume("./x:/data").unwrap().source, here.join("x").to_str().unwrap());
    for (spec, says) in [
        ("", "invalid volume specification: '': a part of it is empty"),
        (":/data", "invalid volume specification: ':/data': a part of it is empty"),
        ("/a:/b:ro:x", "invalid volume specification: '/a:/b:ro:x': it has more than three parts"),
        (
            "/data:ro",
            "invalid volume specification: '/data:ro': a volume without a source cannot have a mode",
        ),
        ("/a:b", "invalid mount path: 'b': mount path must be absolute"),
        ("/a:/", "invalid specification: destination can't be '/'"),
        ("/a:/b:rx", "invalid mode: rx"),
        ("/a:/b:ro,rw", "invalid mode: ro,rw: one word excludes another"),
        ("/a:/b:nocopy", "invalid mode: nocopy: nocopy is for volumes"),
        ("a:/b:rslave", "invalid mode: rslave: propagation is for paths of the host"),
        ("~/x:/b", "cannot mount ~/x: ~ was not expanded by the shell"),
    ] {
        assert_eq!(words(volume(spec)), says, "{spec}");
    }
}

#[test]
fn long_form() {
    for (spec, means) in [
        ("type=bind,source=/a,target=/b", "Bind /a /b"),
        ("type=bind,src=/a,dst=/b,ro,bind-propagation=rshared", "Bind /a /b ro rshared"),
        ("type=bind,src=/a,dst=/b,readonly=false,bind-create-src", "Bind /a /b make"),
        ("target=/b", "Volume  /b"),
        ("source=v,destination=/b,volume-nocopy,volume-subpath=x/y", "Volume v /b nocopy x/y"),
        (
            "type=tmpfs,target=/b,tmpfs-size=64m,tmpfs-mode=1770",
            "Tmpfs  /b size=67108864,mode=1770",
        ),
        ("type=tmpfs,target=/b,ro", "Tmpfs  /b ro ro"),
    ] {
        assert_eq!(words(mount(spec)), means, "{spec}");
    }
    let quoted =
        mount(r#"target=/b,"volume-opt=o=addr=1.1.1.1,rw",volume-opt=type=nfs,volume-label=a=b"#);
    let quoted = quoted.unwrap();
    assert_eq!(quoted.options["o"], "addr=1.1.1.1,rw");
    assert_eq!((quoted.options["type"].as_str(), quoted.labels["a"].as_str()), ("nfs", "b"));
    for (spec, says) in [
        ("type=bind,target=/b", "source is required"),
        ("type=bind,source=/a", "target is required"),
        ("type=x,target=/b", "mount type unknown: \"x\""),
        ("type=image,target=/b", "mounts of type image are not supported"),
        ("target=/b,foo=1", "unexpected key 'foo'"),
        ("target=/b,foo", "invalid field 'foo' must be a key=value pair"),
        ("target=/b,ro=maybe", "invalid value for ro: maybe"),
        (
            "target=/b,bind-propagation=rslave",
            "cannot mix 'bind-*' options with mount type 'volume'",
        ),
        (
            "type=bind,source=/a,target=/b,volume-nocopy",
            "cannot mix 'volume-*' options with mount type 'bind'",
        ),
        ("target=/b,tmpfs-size=1m", "cannot mix 'tmpfs-*' options with mount type 'volume'"),
        ("type=tmpfs,source=x,target=/b", "source cannot be given for a tmpfs"),
        ("type=tmpfs,target=/b,tmpfs-mode=999", "invalid value for tmpfs-mode: 999"),
        (
            "type=bind,source=/a,target=/b,bind-recursive=readonly",
            "option 'bind-recursive=readonly' requires 'readonly'",
        ),
        ("target=/b,\"x", "a quote is not closed"),
    ] {
        let error = mount(spec).unwrap_err();
        assert_eq!(error.why.as_deref(), Some(says), "{spec}");
    }
    // Source and target are easily mixed up.
    let swapped = mount("type=bind,source=/inside,target=outside").unwrap_err();
    assert!(swapped.fix.is_some_and(|fix| fix.contains("is the target of --mount")));
}

#[test]
fn memory() {
    assert_eq!(words(tmpfs("/run")), "Tmpfs  /run");
    assert_eq!(words(tmpfs("/run:rw,size=64m,exec")), "Tmpfs  /run rw,size=64m,exec");
    assert_eq!(words(tmpfs("/run:foo")), "invalid tmpfs option [\"foo\"]");
    let own = |options: &[&str]| {
        merge_tmpfs(&options.iter().map(|o| (*o).to_owned()).collect::<Vec<_>>()).join(",")
    };
    assert_eq!(own(&[]), "noexec,nosuid,nodev");
    assert_eq!(own(&["exec", "size=1m", "size=2m"]), "nosuid,nodev,exec,size=2m");
}
