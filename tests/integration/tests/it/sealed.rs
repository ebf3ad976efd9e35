//! The runtime's own file: what a container can reach of it is read-only (CVE-2019-5736, ADR 5).

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use harness::{Bundle, need};
use nix::sys::statvfs::{FsFlags, statvfs};

/// Its program and every mapping of that file, as `/proc` shows them of a process.
fn files(pid: i32) -> Vec<PathBuf> {
    let proc = PathBuf::from(format!("/proc/{pid}"));
    let inode = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    // A detached mount gives its file no name: it is known by its inode.
    let runtime = inode(&harness::runtime::path());
    let ours = |path: &PathBuf| inode(path) == runtime;
    let maps = fs::read_dir(proc.join("map_files")).unwrap();
    let maps = maps.map(|entry| entry.unwrap().path()).filter(ours);
    std::iter::once(proc.join("exe")).chain(maps).collect()
}

fn is_read_only(path: &Path) -> bool {
    statvfs(path).unwrap().flags().contains(FsFlags::ST_RDONLY)
}

/// Init, before it becomes the container's program: not one mapping is left of the file that was
/// started, or the file could be opened for writing through it.
#[test]
fn every_mapping_of_init_is_read_only() {
    need!(root);
    let c = Bundle::new().args(&["/bin/true"]).create();
    let files = files(c.pid());
    assert!(files.len() > 2, "{files:?}");
    for file in files {
        assert!(is_read_only(&file), "{}", file.display());
    }
}

/// Root on this kernel is spared the second start: it would leave its mark.
#[test]
fn root_is_sealed_without_a_second_start() {
    need!(root);
    let c = Bundle::new().args(&["/bin/true"]).create();
    let environ = fs::read(format!("/proc/{}/environ", c.pid())).unwrap();
    assert!(!String::from_utf8_lossy(&environ).contains("_CORTEN_SEALED="));
    assert!(is_read_only(Path::new(&format!("/proc/{}/exe", c.pid()))));
}
