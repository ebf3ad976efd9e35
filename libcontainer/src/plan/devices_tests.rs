//! The defaults, what replaces them, and the numbers the kernel cannot hold.

use super::*;

fn devices(json: &str) -> Vec<LinuxDevice> {
    serde_json::from_str(json).unwrap()
}

fn build_all(json: &str) -> Dev {
    build(&devices(json), false).unwrap()
}

fn refusal(json: &str) -> String {
    build(&devices(json), false).unwrap_err().to_string()
}

#[test]
fn defaults_are_the_specifications() {
    let dev = build_all("[]");
    let mut names: Vec<String> = dev.nodes.iter().map(|node| node.path.to_string()).collect();
    names.sort();
    assert_eq!(
        names,
        ["/dev/full", "/dev/null", "/dev/random", "/dev/tty", "/dev/urandom", "/dev/zero"]
    );
    assert!(dev.nodes.iter().all(|node| node.mode == 0o666 && node.default && !node.bind));
    let null = dev.nodes.iter().find(|node| node.path.is("dev/null")).unwrap();
    assert_eq!(null.rdev, 0x103);
    let links: Vec<String> = dev
        .links
        .iter()
        .map(|link| format!("{} -> {}", link.path, link.target.to_string_lossy()))
        .collect();
    assert_eq!(
        links,
        [
            "/dev/fd -> /proc/self/fd",
            "/dev/stdin -> /proc/self/fd/0",
            "/dev/stdout -> /proc/self/fd/1",
            "/dev/stderr -> /proc/self/fd/2",
            "/dev/core -> /proc/kcore",
            "/dev/ptmx -> pts/ptmx",
        ]
    );
    assert!(dev.links[5].replace && dev.links[4].if_exists);
}

#[test]
fn an_entry_replaces_the_default_of_its_path() {
    let dev = build_all(
        r#"[{"path": "//dev/./null", "type": "c", "major": 1, "minor": 3, "fileMode": 384,
             "uid": 7, "gid": 8}]"#,
    );
    let nulls: Vec<&Node> = dev.nodes.iter().filter(|node| node.path.is("dev/null")).collect();
    assert_eq!(nulls.len(), 1);
    assert_eq!((nulls[0].mode, nulls[0].uid, nulls[0].gid), (0o600, 7, 8));
    assert_eq!(dev.nodes.len(), 6);
}

#[test]
fn a_pipe_ignores_its_numbers_and_never_needs_a_bind() {
    let asked = devices(r#"[{"path": "/dev/test3", "type": "p", "major": 8, "minor": 666}]"#);
    let dev = build(&asked, true).unwrap();
    let pipe = dev.nodes.last().unwrap();
    assert_eq!((pipe.kind, pipe.rdev, pipe.bind), (Kind::Fifo, 0, false));
    assert!(dev.nodes[0].bind, "devices are bound in a user namespace");
}

#[test]
fn the_file_type_in_file_mode_does_not_count() {
    let dev = build_all(
        r#"[{"path": "/dev/x", "type": "b", "major": 7, "minor": 300, "fileMode": 25008}]"#,
    );
    let node = dev.nodes.last().unwrap();
    assert_eq!((node.mode, node.kind.file_type()), (0o660, 0o060_000));
    assert_eq!(node.rdev, device_number(7, 300));
}

#[test]
fn a_ptmx_entry_is_noted_and_left_out() {
    let dev = build_all(r#"[{"path": "/dev/ptmx", "type": "c", "major": 5, "minor": 2}]"#);
    assert_eq!(dev.nodes.len(), 6);
}

#[test]
fn entries_without_a_path_are_for_the_cgroup() {
    let dev = build_all(r#"[{"path": "", "type": "c", "major": 10, "minor": 200}]"#);
    assert_eq!(dev.nodes.len(), 6);
}

#[test]
fn what_the_kernel_cannot_hold_is_refused() {
    let text = refusal(r#"[{"path": "/dev/x", "type": "c", "major": 4096, "minor": 0}]"#);
    assert_eq!(text, "invalid config linux.devices[0]: major 4096 is not between 0 and 4095");
    let text = refusal(r#"[{"path": "/dev/x", "type": "c", "major": 1, "minor": -1}]"#);
    assert!(text.contains("minor -1"), "{text}");
    assert!(refusal(r#"[{"path": "/dev/x", "type": "a"}]"#).contains("use c, b, u or p"));
    assert!(refusal(r#"[{"path": "/", "type": "p"}]"#).contains("root directory"));
}

#[test]
fn numbers_are_encoded_as_the_c_library_does() {
    for (major, minor) in [(1, 3), (8, 666), (4095, 1_048_575), (136, 256)] {
        assert_eq!(device_number(major, minor), libc::makedev(major, minor));
    }
}
