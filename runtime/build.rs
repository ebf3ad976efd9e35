//! Linker options of the release binaries, corten and pier: what they do not need is not in them.
//!
//! Both are worth a seventh of the file. They touch only how the file is laid out, so that a
//! build on a machine that cannot do one of them gives the same program, larger.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=../runtime/build.rs");
    println!("cargo:rerun-if-changed=../runtime/no-unwind.ld");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    if !is("CARGO_CFG_TARGET_ENV", "gnu") {
        return;
    }
    if is("PROFILE", "release") {
        // Tables that say how to unwind the stack (316 KB in corten, 750 in pier), which neither
        // ever does: the workspace's release profile aborts on a panic.
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../runtime/no-unwind.ld");
        println!("cargo:rustc-link-arg-bins=-Wl,--no-eh-frame-hdr,-T,{script}");
    }
    if env::var("HOST").ok() == env::var("TARGET").ok() && glibc() >= Some((2, 36)) {
        // 96 KB of relocations (in pier 190) become 1 KB. A static program relocates itself: its own C library
        // must know the format, and no other one is asked.
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The version of the C library that this machine builds with.
fn glibc() -> Option<(u32, u32)> {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (major, rest) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    let minor = rest.split('.').next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
