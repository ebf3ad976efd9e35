//! AppArmor profiles and SELinux labels, on kernels that enforce them: the label is there, and it holds.
//!
//! The policy for SELinux is that of the test guest, `selinux.cil`: `container_t` may read anything but
//! `secret_t`, and sees the keys of containers only.

use std::io::Write;
use std::process::{Command, Stdio};

use harness::{Bundle, Facts, need};
use serde_json::json;

/// AppArmor profiles that are loaded until this is dropped.
struct Profiles(String);

impl Profiles {
    fn load(text: String) -> Self {
        Self::parser("--replace", &text);
        Self(text)
    }

    fn parser(action: &str, text: &str) {
        let mut parser = Command::new("apparmor_parser")
            .args([action, "--skip-cache", "--quiet"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("apparmor_parser of Debian's apparmor");
        parser.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(parser.wait().unwrap().success(), "{text}");
    }
}

impl Drop for Profiles {
    fn drop(&mut self) {
        Self::parser("--remove", &self.0);
    }
}

/// A profile that allows everything but to read `/secret`, and one that allows everything.
fn profiles(id: &str) -> (String, String, Profiles) {
    let (inner, outer) = (format!("corten-{id}-inner"), format!("corten-{id}-outer"));
    let all =
        "capability, network, mount, umount, pivot_root, signal, ptrace, unix, change_profile,";
    let flags = "flags=(attach_disconnected,mediate_deleted)";
    let loaded = Profiles::load(format!(
        "profile {inner} {flags} {{ {all} file, deny /secret r, }}\nprofile {outer} {flags} {{ {all} file, }}\n"
    ));
    (inner, outer, loaded)
}

const QUESTIONS: [&str; 5] = ["readable", "/secret", "--", "read", "/proc/self/attr/current"];

/// The profile holds, whatever the program may gain.
#[test]
fn an_apparmor_profile_confines_the_program() {
    need!(root, apparmor);
    for no_new_privileges in [false, true] {
        let bundle = Bundle::new().file("/secret", "x");
        let (inner, _, _loaded) = profiles(bundle.id());
        let c = bundle
            .set("/process/apparmorProfile", inner.clone())
            .set("/process/noNewPrivileges", no_new_privileges)
            .probe(QUESTIONS)
            .run();
        assert_eq!(c.errno("readable"), "EACCES");
        assert_eq!(c.fact("read"), format!("{inner} (enforce)"));
    }
}

/// A runtime that is confined itself may only add a profile where no privilege may be gained; the program is
/// under both. So is one that comes later.
#[test]
fn a_confined_runtime_adds_its_profile() {
    need!(root, apparmor);
    let bundle = Bundle::new().file("/secret", "x");
    let (inner, outer, _loaded) = profiles(bundle.id());
    let confine = format!("echo changeprofile {outer} >/proc/self/attr/current");
    let bundle = bundle.after(&confine);
    let confined = bundle.runtime().clone();
    let c = bundle
        .set("/process/apparmorProfile", inner.clone())
        .set("/process/noNewPrivileges", true)
        .sleeper()
        .start();
    let is_both = |label: &str| {
        assert!(label.contains("//&"), "{label}");
        assert!(label.contains(&inner) && label.contains(&outer), "{label}");
    };
    is_both(&c.proc("attr/current"));
    for flags in [&[][..], &["--no-new-privs", "--apparmor", &inner]] {
        let words = [&["exec"], flags, &[c.id(), "/bin/probe"], &QUESTIONS].concat();
        let facts = Facts::parse(&confined.call(&words).ok().stdout);
        assert_eq!(facts.errno("readable"), "EACCES");
        is_both(&facts.text("read"));
    }
}

/// A profile that is not loaded is named, with the remedy.
#[test]
fn a_profile_that_is_not_loaded_is_named() {
    need!(root, apparmor);
    let bundle = Bundle::new().set("/process/apparmorProfile", "no-such-profile");
    bundle.write();
    let output = bundle.runtime().call(&bundle.words("create"));
    assert!(output.refused().contains("apparmor no-such-profile"), "{output:?}");
    assert!(output.stderr.contains("apparmor_parser"), "{output:?}");
}

const CONTAINER: &str = "system_u:system_r:container_t:s0:c1,c2";
const FILES: &str = "system_u:object_r:container_file_t:s0:c1,c2";

/// A bundle with a file that only the host's label may read.
fn labelled() -> Bundle {
    let bundle = Bundle::new().file("/secret", "x");
    let secret = bundle.rootfs("/secret");
    let set = Command::new("setfattr")
        .args(["-n", "security.selinux", "-v", "system_u:object_r:secret_t:s0"])
        .arg(&secret)
        .status();
    assert!(set.is_ok_and(|status| status.success()), "setfattr of Debian's attr");
    bundle.set("/process/selinuxLabel", CONTAINER)
}

/// The label is on and holds, whatever the program may gain.
#[test]
fn a_selinux_label_confines_the_program() {
    need!(root, selinux);
    for no_new_privileges in [false, true] {
        let c =
            labelled().set("/process/noNewPrivileges", no_new_privileges).probe(QUESTIONS).run();
        assert_eq!(c.errno("readable"), "EACCES");
        assert_eq!(c.fact("read").trim_end_matches('\0'), CONTAINER);
    }
}

/// Mounts that the runtime makes have the label of the container's files; a message queue's by attribute.
#[test]
fn mounts_are_labelled() {
    need!(root, selinux);
    let c = labelled()
        .set("/linux/mountLabel", FILES)
        .set("/linux/maskedPaths", json!([]))
        .args(&["/bin/sleep", "1000"])
        .start();
    for (path, label) in [
        ("/dev", FILES),
        ("/dev/shm", FILES),
        ("/dev/pts", FILES),
        ("/dev/mqueue", FILES),
        ("/proc/version", "system_u:object_r:file_t:s0"),
    ] {
        let inside = format!("/proc/{}/root{path}", c.pid());
        let seen = Command::new("stat").args(["-c", "%C", &inside]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&seen.stdout).trim(), label, "{path}");
    }
}

/// The session keyring has the program's label, so that it may use its own keys.
#[test]
fn the_keyring_is_labelled() {
    need!(root, selinux);
    let bundle = labelled();
    let name = format!("_ses.{}", bundle.id());
    let c = bundle.set("/linux/maskedPaths", json!([])).probe(["read", "/proc/keys"]).run();
    assert!(c.fact("read").contains(&name), "{}", c.fact("read"));
}

/// A further process has the container's label, or the one that was asked for.
#[test]
fn further_processes_are_labelled() {
    need!(root, selinux);
    let c = labelled().sleeper().start();
    let facts = c.ask(&[], &QUESTIONS);
    assert_eq!(facts.text("read").trim_end_matches('\0'), CONTAINER);
    assert_eq!(facts.errno("readable"), "EACCES");
    let host = "system_u:system_r:kernel_t:s0";
    let facts = c.ask(&["--process-label", host], &QUESTIONS);
    assert_eq!(facts.text("read").trim_end_matches('\0'), host);
    assert_eq!(facts.text("readable"), "ok");
}

/// A label that the policy does not know is named.
#[test]
fn a_label_that_the_policy_does_not_know_is_named() {
    need!(root, selinux);
    let label = "system_u:system_r:moon_t:s0";
    let refused = Bundle::new().set("/process/selinuxLabel", label).refused();
    assert!(refused.contains(label), "{refused}");
    let refused = Bundle::new().set("/linux/mountLabel", label).refused();
    assert!(refused.contains("mount"), "{refused}");
}
