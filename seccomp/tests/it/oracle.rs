//! libseccomp as a child process that is told what runc would tell it.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use corten_seccomp::{ActionName, Insn, Operator, Profile};

/// The child.
pub(crate) struct Oracle {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

/// `__AUDIT_ARCH_LE`.
const LITTLE: u32 = 0x4000_0000;

/// `BPF_RET`.
const RET: u16 = 6;

/// Values of `enum scmp_compare`.
fn op(op: Operator) -> u32 {
    match op {
        Operator::Ne => 1,
        Operator::Lt => 2,
        Operator::Le => 3,
        Operator::Eq => 4,
        Operator::Ge => 5,
        Operator::Gt => 6,
        Operator::MaskedEq => 7,
    }
}

fn action(name: ActionName, errno: Option<u32>) -> u32 {
    match name {
        ActionName::Kill | ActionName::KillThread => 0,
        ActionName::KillProcess => 0x8000_0000,
        ActionName::Trap => 0x0003_0000,
        ActionName::Errno => 0x0005_0000 | errno.unwrap_or(1),
        ActionName::Trace => 0x7ff0_0000 | errno.unwrap_or(1),
        ActionName::Allow => 0x7fff_0000,
        ActionName::Log => 0x7ffc_0000,
        ActionName::Notify => 0x7fc0_0000,
    }
}

impl Oracle {
    /// Builds and starts it. `None`, with a word on standard error, where libseccomp's header is
    /// not installed, unless `CI` is set: there it must be.
    pub(crate) fn start() -> Option<Self> {
        if !Path::new("/usr/include/seccomp.h").exists() {
            assert!(std::env::var_os("CI").is_none(), "install libseccomp-dev and cc");
            eprintln!("skipped: needs Debian's libseccomp-dev");
            return None;
        }
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/libseccomp.c");
        let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let id = format!("{:?}", std::thread::current().id());
        let binary = place.join(format!("libseccomp-{}-{}", std::process::id(), id.len()));
        let binary = binary.with_extension(id.replace(|c: char| !c.is_ascii_digit(), ""));
        let mut cc = Command::new("cc");
        cc.arg("-O1").arg("-o").arg(&binary).arg(source).arg("-lseccomp");
        let built = cc.status().unwrap();
        assert!(built.success(), "cc {source}");
        let mut child = Command::new(&binary);
        let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        std::fs::remove_file(&binary).unwrap();
        let (to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Some(Self { child, to, from: BufReader::new(from) })
    }

    fn ask(&mut self, command: &str) -> String {
        writeln!(self.to, "{command}").unwrap();
        let mut answer = String::new();
        self.from.read_line(&mut answer).unwrap();
        answer.trim().to_owned()
    }

    fn tell(&mut self, command: &str) -> Result<(), i32> {
        match self.ask(command).parse() {
            Ok(0) => Ok(()),
            Ok(errno) => Err(errno),
            Err(_) => panic!("{command}"),
        }
    }

    /// The name of a number of an architecture (`SCMP_ARCH_*` token).
    pub(crate) fn resolve(&mut self, token: u32, nr: u32) -> Option<String> {
        Some(self.ask(&format!("resolve {token} {nr}"))).filter(|name| name != "-")
    }

    /// Whether a call is known by that name on any architecture.
    pub(crate) fn knows(&mut self, name: &str) -> bool {
        self.ask(&format!("knows {name}")) == "1"
    }

    /// The program of a profile whose first architecture is the only native one, with or without
    /// the tree; an errno where libseccomp refuses.
    pub(crate) fn compile(&mut self, profile: &Profile, tree: bool) -> Result<Vec<Insn>, i32> {
        self.describe(profile, tree)?;
        let first = corten_seccomp::Arch::named(&profile.architectures[0]).unwrap();
        let mut code = self.export(first.audit & LITTLE == 0);
        // For another byte order than this machine's, 2.5 turns copies of a return once more.
        let actions: Vec<_> = profile
            .syscalls
            .iter()
            .map(|rule| action(rule.action, rule.errno_ret))
            .chain([action(profile.default_action, profile.default_errno_ret), 0])
            .collect();
        for insn in code.iter_mut().filter(|insn| insn.code == RET) {
            if !actions.contains(&insn.k) {
                insn.k = insn.k.swap_bytes();
            }
        }
        Ok(code)
    }

    /// How long the last profile takes from nothing to a program: the median and the least of
    /// `rounds`, in nanoseconds.
    #[allow(dead_code, reason = "for the benchmark")]
    pub(crate) fn time(&mut self, rounds: u32) -> (f64, f64) {
        let answer = self.ask(&format!("time {rounds}"));
        let (median, least) = answer.split_once(' ').unwrap();
        (median.parse().unwrap(), least.parse().unwrap())
    }

    fn describe(&mut self, profile: &Profile, tree: bool) -> Result<(), i32> {
        let default = action(profile.default_action, profile.default_errno_ret);
        self.tell(&format!("init {default}"))?;
        let native = corten_seccomp::Arch::native().unwrap();
        let tokens: Vec<_> = profile.architectures.iter().map(|name| token(name)).collect();
        if !profile.architectures.iter().any(|name| name == native.name) {
            self.tell(&format!("remove {}", token(native.name)))?;
        }
        for (name, token) in profile.architectures.iter().zip(tokens) {
            if name != native.name {
                self.tell(&format!("arch {token}"))?;
            }
        }
        if tree {
            // Before 2.5 there was none.
            let _ = self.tell("optimize 2");
        }
        for rule in &profile.syscalls {
            let action = action(rule.action, rule.errno_ret);
            let all: Vec<_> = rule
                .args
                .iter()
                .map(|a| {
                    (a.index, format!(" {} {} {} {}", a.index, op(a.op), a.value, a.value_two))
                })
                .collect();
            let repeated = (0..6).any(|i| all.iter().filter(|arg| arg.0 == i).count() > 1);
            let lists: Vec<String> = match repeated {
                true => all.into_iter().map(|arg| arg.1).collect(),
                false => vec![all.into_iter().map(|arg| arg.1).collect()],
            };
            for name in rule.names.iter().filter(|_| action != default) {
                for args in &lists {
                    self.tell(&format!("rule {action} {name}{args}"))?;
                }
            }
        }
        Ok(())
    }

    /// The program as the architecture's own processor would read it.
    fn export(&mut self, big_endian: bool) -> Vec<Insn> {
        let answer = self.ask("export");
        let length: usize = answer.strip_prefix("export ").unwrap().parse().unwrap();
        let mut bytes = vec![0; length];
        self.from.read_exact(&mut bytes).unwrap();
        bytes
            .chunks_exact(8)
            .map(|b| {
                let (code, k) = ([b[0], b[1]], [b[4], b[5], b[6], b[7]]);
                let (code, k) = match big_endian {
                    true => (u16::from_be_bytes(code), u32::from_be_bytes(k)),
                    false => (u16::from_le_bytes(code), u32::from_le_bytes(k)),
                };
                Insn { code, jt: b[2], jf: b[3], k }
            })
            .collect()
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `SCMP_ARCH_*` as a number: the audit number but for x32.
pub(crate) fn token(name: &str) -> u32 {
    match name {
        "SCMP_ARCH_X32" => 0x4000_003e,
        _ => corten_seccomp::Arch::named(name).unwrap().audit,
    }
}
