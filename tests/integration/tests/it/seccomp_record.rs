//! `corten seccomp record`: the profile that a run needed lets the same run pass, and nothing more.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use harness::image::write_program;
use harness::runtime::{Output, lossy};
use harness::{Bundle, host, need};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// The command line: `seccomp record --output FILE` and what `run` takes.
fn words(bundle: &Bundle) -> (Vec<String>, PathBuf) {
    let file = bundle.outside("recorded.json");
    let mut words = bundle.words("record");
    words.splice(0..1, ["seccomp", "record", "--output"].map(String::from));
    words.insert(3, file.to_string_lossy().into_owned());
    (words, file)
}

/// Records a run.
fn record(bundle: &Bundle) -> (Output, Value) {
    bundle.write();
    let (words, file) = words(bundle);
    let output = bundle.runtime().call(&words);
    let profile = serde_json::from_str(&lossy(&file)).unwrap_or(Value::Null);
    let left = bundle.place().settled();
    assert!(left.is_empty(), "{left}{output:#?}");
    (output, profile)
}

fn names(profile: &Value) -> Vec<&str> {
    let names = profile["syscalls"][0]["names"].as_array().expect("names");
    names.iter().filter_map(Value::as_str).collect()
}

/// The same bundle with what was recorded; its own id, as the first one's place is still there.
fn with(bundle: Bundle, profile: &Value) -> Bundle {
    bundle.set("/linux/seccomp", profile.clone())
}

const WORK: &str =
    "ls / >/dev/null; echo a | cat >/tmp/f; rm /tmp/f; (sleep 0.01 & wait); echo done";

/// Forks, pipes and programs after the first; with each way of loading the filter.
#[test]
fn the_same_run_passes_under_what_was_recorded() {
    need!(root);
    for no_new_privileges in [true, false] {
        let bundle = || Bundle::new().sh(WORK).set("/process/noNewPrivileges", no_new_privileges);
        let (output, profile) = record(&bundle());
        assert_eq!(output.clone().ok().stdout, "done\n");
        assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
        let calls = names(&profile);
        for needed in ["execve", "wait4", "unlink", "getdents64"] {
            assert!(calls.contains(&needed), "{needed}: {calls:?}");
        }
        // The runtime's own calls count where the profile will be over them.
        assert_eq!(calls.contains(&"capset"), !no_new_privileges, "{calls:?}");
        assert!(!calls.contains(&"mkdir"), "{calls:?}");
        assert_eq!(with(bundle(), &profile).run().stdout(), "done\n");
    }
}

/// Every other call is denied.
#[test]
fn a_call_that_was_not_made_is_denied() {
    need!(root);
    let bundle = |path: &str| {
        Bundle::new().dir_in("/tmp/there").probe(["list", "/tmp", "--", "mkdir", path])
    };
    let (_, profile) = record(&Bundle::new().probe(["list", "/tmp", "--", "readable", "/tmp"]));
    let c = with(bundle("/tmp/new"), &profile).run();
    assert_eq!(c.errno("mkdir"), "EPERM");
    assert_eq!(c.fact("list"), "[\"there\"]");
    assert!(!c.rootfs("/tmp/new").exists());
}

/// A thread's calls are recorded like its process's.
#[test]
fn calls_of_threads_are_recorded() {
    need!(root);
    let bundle = || Bundle::new().probe(["thread-mkdir", "/tmp/made"]);
    let (output, mut profile) = record(&bundle());
    assert!(output.ok().stdout.contains("\"ok\""));
    assert!(names(&profile).contains(&"mkdir"), "{profile}");
    // Whether the thread has to be waited for is chance; a denied futex(2) ends the program.
    let calls = profile["syscalls"][0]["names"].as_array_mut().expect("names");
    if !calls.contains(&json!("futex")) {
        calls.push(json!("futex"));
    }
    assert_eq!(with(bundle(), &profile).run().fact("thread-mkdir"), "ok");
}

/// `getpid`, `exit(0)`: a static program for i386.
fn program_of_32_bits() -> Vec<u8> {
    let code = [0xb8, 20, 0, 0, 0, 0xcd, 0x80, 0xb8, 1, 0, 0, 0, 0x31, 0xdb, 0xcd, 0x80];
    let base = 0x0804_8000_u32;
    let mut elf = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x03\0".to_vec();
    let length = 84 + 16_u32;
    // e_version, e_entry, e_phoff, e_shoff, e_flags
    for word in [1, base + 84, 52, 0, 0] {
        elf.extend(u32::to_le_bytes(word));
    }
    // e_ehsize, e_phentsize, e_phnum, e_shentsize, e_shnum, e_shstrndx
    for half in [52_u16, 32, 1, 40, 0, 0] {
        elf.extend(half.to_le_bytes());
    }
    // PT_LOAD: offset, addresses, sizes, read and execute, alignment
    for word in [1, 0, base, base, length, length, 5, 0x1000] {
        elf.extend(u32::to_le_bytes(word));
    }
    elf.extend(code);
    elf
}

/// Their architecture is in the profile, or they would be killed.
#[test]
fn programs_of_32_bits_are_recorded() {
    need!(root, ia32);
    let bundle = || {
        let bundle = Bundle::new().sh("/bin/i386 && echo fine");
        let path = bundle.rootfs("/bin/i386");
        write_program(&path, &program_of_32_bits(), 0o755);
        bundle
    };
    let (output, profile) = record(&bundle());
    assert_eq!(output.ok().stdout, "fine\n");
    assert_eq!(profile["architectures"], json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]));
    assert_eq!(with(bundle(), &profile).run().stdout(), "fine\n");
    let native = json!(["SCMP_ARCH_X86_64"]);
    let mut without = profile;
    without["architectures"] = native;
    assert_ne!(with(bundle(), &without).try_run().stdout(), "fine\n");
}

/// Tens of thousands of calls do not stand in a queue for ever.
#[test]
fn many_calls_are_recorded_in_time() {
    need!(root);
    let begun = Instant::now();
    let (output, profile) = record(&Bundle::new().probe(["calls", "30000"]));
    assert!(output.ok().stdout.contains("calls 30000"));
    assert!(names(&profile).contains(&"getppid"), "{profile}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

/// A signal to the runtime is the program's, whose end is recorded, and whose code is returned.
#[test]
fn an_interrupted_run_is_recorded_too() {
    need!(root);
    let bundle = Bundle::new().sleeper();
    bundle.write();
    let (words, file) = words(&bundle);
    let call = bundle.runtime().spawn(&words);
    let said = || call.output(std::process::ExitStatus::default()).stdout;
    let waits = host::eventually(Duration::from_secs(20), || said().contains("waiting"));
    assert!(waits, "{}", said());
    let pid = Pid::from_raw(i32::try_from(call.child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let output = call.wait();
    let profile: Value = serde_json::from_str(&lossy(&file)).expect("a profile");
    assert!(names(&profile).contains(&"rt_sigreturn"), "{output:?} {profile}");
    let left = bundle.place().settled();
    assert!(left.is_empty(), "{left}");
}

#[test]
fn the_program_s_exit_code_is_returned() {
    need!(root);
    let (output, profile) = record(&Bundle::new().sh("exit 7"));
    assert_eq!(output.code, Some(7), "{output:#?}");
    assert!(names(&profile).contains(&"exit_group"));
}

/// Hooks of startContainer come from the image: they are under the filter, and recorded.
#[test]
fn hooks_of_the_image_are_recorded() {
    need!(root);
    for no_new_privileges in [true, false] {
        let bundle = || {
            let hook = json!([{ "path": "/bin/mkdir", "args": ["mkdir", "/tmp/hooked"] }]);
            let bundle = Bundle::new().set("/hooks/startContainer", hook).args(&["/bin/true"]);
            bundle.set("/process/noNewPrivileges", no_new_privileges)
        };
        let (output, profile) = record(&bundle());
        let _ = output.ok();
        assert!(names(&profile).contains(&"mkdir"), "{profile}");
        assert!(with(bundle(), &profile).run().rootfs("/tmp/hooked").exists());
    }
}

/// No profile comes of a program that never ran, and nothing stays in the directory for temporary
/// files; what cannot be written is told before the run.
#[test]
fn failures_leave_nothing() {
    need!(root);
    let bundle = Bundle::new().args(&["/bin/no-such-program"]);
    let temporary = bundle.outside("temporary");
    fs::create_dir(&temporary).unwrap();
    let bundle = bundle.env("TMPDIR", &temporary.to_string_lossy());
    let (output, profile) = record(&bundle);
    assert!(output.stderr.contains("no-such-program"), "{output:#?}");
    assert!(output.code != Some(0) && profile.is_null());
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0);
    let bundle = Bundle::new().sh("echo ran");
    bundle.write();
    let mut words = words(&bundle).0;
    words[3] = bundle.outside("no/such/dir/p.json").to_string_lossy().into_owned();
    let output = bundle.runtime().call(&words);
    assert!(output.refused().contains("--output"), "{output:#?}");
    assert_eq!(output.stdout, "");
}

/// The bundle's own profile would hide what is needed: it is set aside, and that is told.
#[test]
fn the_bundle_s_own_profile_is_not_in_force() {
    need!(root);
    let deny = json!({ "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO" }] });
    let bundle = with(Bundle::new().probe(["mkdir", "/tmp/x"]), &deny);
    bundle.write();
    let (words, file) = words(&bundle);
    let output = bundle
        .runtime()
        .call(&[&["--log-level".to_owned(), "warning".to_owned()], &words[..]].concat());
    assert!(output.stdout.contains("\"ok\""), "{output:#?}");
    assert!(output.log.contains("not in force"), "{output:#?}");
    let profile: Value = serde_json::from_str(&lossy(&file)).unwrap();
    assert!(names(&profile).contains(&"mkdir"));
}
