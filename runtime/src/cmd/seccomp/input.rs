//! A profile from a file: the specification's, a whole `config.json`, or an engine's, which is
//! resolved for the container of the flags.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use corten_seccomp::tools::{Container, Filter, Reason, Source, kernel};
use corten_seccomp::{Arch, Profile};
use libcontainer::{At, Error, Result, Step};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::place::place;
use super::{errno_number, misuse};
use crate::cli::seccomp::Host;

/// More than any profile has; what is larger is something else.
const MOST: u64 = 16 << 20;

/// Docker's and podman's capabilities of a container.
const USUAL: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// A `config.json`, of which the rest does not matter here.
#[derive(Deserialize)]
struct Config<T> {
    linux: Option<T>,
    process: Option<Process>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Process {
    no_new_privileges: Option<bool>,
}

#[derive(Deserialize)]
struct Linux {
    seccomp: Option<Source>,
}

/// A profile that was read.
pub(super) struct Input {
    /// The file, as it was named.
    pub(super) name: String,
    text: String,
    /// Where the profile stands in the text.
    within: &'static str,
    pub(super) profile: Profile,
    /// For each rule, its index in the file.
    origins: Vec<usize>,
    pub(super) host: &'static Arch,
    pub(super) kernel: (u32, u32),
    /// The profile is one of a process that asks for it.
    pub(super) no_new_privileges: bool,
}

impl Input {
    /// Reads a profile and resolves it.
    ///
    /// # Errors
    /// No such file, no profile, a flag's value that makes no sense.
    pub(super) fn read(path: &Path, about: &Host) -> Result<Self> {
        let host = match &about.arch {
            Some(name) => arch(name)?,
            None => Arch::native()
                .ok_or_else(|| misuse("--arch", "this machine's is not known: give one"))?,
        };
        let kernel = version(about.kernel.as_deref())?;
        let name = path.display().to_string();
        let text = text(path)?;
        let Found { within, source, no_new_privileges } = source(&name, &text)?;
        let capabilities = capabilities(&about.caps)?;
        let to = Container { host, capabilities: &capabilities, kernel, errno: errno_number };
        let mut input = Self {
            name,
            text,
            within,
            profile: Profile::default(),
            origins: Vec::new(),
            host,
            kernel,
            no_new_privileges,
        };
        let resolved = source.resolve(&to).map_err(|fault| input.fault(&fault))?;
        (input.profile, input.origins) = (resolved.profile, resolved.origins);
        Ok(input)
    }

    /// Compiles it.
    ///
    /// # Errors
    /// What the compiler refuses, with its place in the file.
    pub(super) fn filter(&self) -> Result<Filter> {
        Filter::new(self.profile.clone(), self.host).map_err(|mut fault| {
            fault.field = self.in_file(&fault.field);
            self.fault(&fault)
        })
    }

    fn fault(&self, fault: &corten_seccomp::Error) -> Error {
        let (line, column) = place(&self.text, &format!("{}{}", self.within, fault.field));
        let on = format!("{}:{line}:{column}: {}{}", self.name, self.within, fault.field);
        Error::rule(Step::CheckConfig, on, fault.problem.clone()).hint(fault.hint)
    }

    /// The member of the file that a member of the resolved profile came from.
    pub(super) fn in_file(&self, path: &str) -> String {
        let index = path.strip_prefix("syscalls[").and_then(|rest| rest.split_once(']'));
        let origin = index.and_then(|(index, rest)| {
            Some((self.origins.get(index.parse::<usize>().ok()?)?, rest))
        });
        match origin {
            Some((origin, rest)) => format!("syscalls[{origin}]{rest}"),
            None => path.to_owned(),
        }
    }

    /// Where a member of the file stands.
    pub(super) fn place(&self, path: &str) -> (usize, usize) {
        place(&self.text, &format!("{}{path}", self.within))
    }

    /// A rule, as `syscalls[3].names[0]` of the file, and its line.
    pub(super) fn rule(&self, rule: usize, name: Option<usize>) -> (String, usize) {
        let name = name.map_or_else(String::new, |name| format!(".names[{name}]"));
        let path = self.in_file(&format!("syscalls[{rule}]{name}"));
        let line = self.place(&path).0;
        (path, line)
    }

    /// Who says so, in words.
    pub(super) fn because(&self, arch: &Arch, reason: Reason) -> String {
        match reason {
            Reason::Rule { rule, name } => {
                let (path, line) = self.rule(rule, Some(name));
                format!("{path} (line {line})")
            }
            Reason::Default => {
                format!("defaultAction (line {})", self.place("defaultAction").0)
            }
            Reason::Newer(newest) => format!(
                "newer than the profile: above {}, the newest call of {} that it names",
                arch.call(newest).map_or_else(|| newest.to_string(), str::to_owned),
                arch.name
            ),
            Reason::Setup => "the number of calls that the kernel does not know".to_owned(),
            Reason::Foreign => format!("{} is not an architecture of the profile", arch.name),
            Reason::Skipped => "the number of calls that a tracer skips".to_owned(),
        }
    }
}

/// An architecture by any of its names.
///
/// # Errors
/// None has that name.
pub(super) fn arch(name: &str) -> Result<&'static Arch> {
    let found = corten_seccomp::ARCHES.iter().find(|arch| arch.is_called(name));
    found.ok_or_else(|| {
        misuse("--arch", format!("{name:?} is no architecture"))
            .hint("use a name such as amd64, arm64, x86 or SCMP_ARCH_S390X")
    })
}

fn text(path: &Path) -> Result<String> {
    let mut text = String::new();
    let limited = if path == Path::new("-") {
        io::stdin().take(MOST).read_to_string(&mut text)
    } else {
        fs::File::open(path).and_then(|file| file.take(MOST).read_to_string(&mut text))
    };
    limited.at(Step::ReadConfig, || path.display())?;
    Ok(text)
}

/// The profile in a text.
struct Found {
    /// The path that leads to it.
    within: &'static str,
    source: Source,
    no_new_privileges: bool,
}

fn source(name: &str, text: &str) -> Result<Found> {
    let linux = serde_json::from_slice::<Config<IgnoredAny>>(text.as_bytes());
    if linux.is_ok_and(|config| config.linux.is_some()) {
        let config: Config<Linux> = parse(name, text)?;
        let found = config.linux.and_then(|linux| linux.seccomp);
        let missing = || {
            Error::rule(Step::ReadConfig, name, "has no linux.seccomp")
                .hint("a container of it runs without a filter")
        };
        let asked = config.process.and_then(|process| process.no_new_privileges);
        return Ok(Found {
            within: "linux.seccomp.",
            source: found.ok_or_else(missing)?,
            no_new_privileges: asked.unwrap_or(false),
        });
    }
    Ok(Found { within: "", source: parse(name, text)?, no_new_privileges: false })
}

fn parse<T: DeserializeOwned>(name: &str, text: &str) -> Result<T> {
    // As everywhere: a reader of another kind would be all of serde once more.
    serde_json::from_slice(text.as_bytes()).map_err(|fault| {
        let on = format!("{name}:{}:{}", fault.line(), fault.column());
        let words = fault.to_string();
        let words = words.split(" at line ").next().unwrap_or_default().to_owned();
        Error::rule(Step::ReadConfig, on, words)
            .hint("a profile has defaultAction and syscalls; a config.json has linux.seccomp")
    })
}

fn version(asked: Option<&str>) -> Result<(u32, u32)> {
    let release = match asked {
        Some(asked) => asked.to_owned(),
        None => {
            let path = "/proc/sys/kernel/osrelease";
            fs::read_to_string(path).at(Step::ReadConfig, || path)?
        }
    };
    kernel(&release)
        .ok_or_else(|| misuse("--kernel", format!("{release:?} is no version")).hint("as 5.10"))
}

fn capabilities(asked: &[String]) -> Result<Vec<String>> {
    let known = || caps::all().into_iter().map(|cap| cap.to_string());
    match asked {
        [] => Ok(USUAL.map(str::to_owned).to_vec()),
        [all] if all.eq_ignore_ascii_case("all") => Ok(known().collect()),
        [none] if none.eq_ignore_ascii_case("none") => Ok(Vec::new()),
        list => list
            .iter()
            .map(|name| {
                let upper = name.to_ascii_uppercase();
                let full = |cap: &String| *cap == upper || cap.strip_prefix("CAP_") == Some(&upper);
                known().find(full).ok_or_else(|| {
                    misuse("--cap", format!("{name:?} is no capability"))
                        .hint("as CAP_SYS_ADMIN or sys_admin; or all, or none")
                })
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_known_by_any_of_their_names() {
        let read = |words: &[&str]| {
            capabilities(&words.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(read(&[]).unwrap().len(), 14);
        assert_eq!(read(&["none"]).unwrap(), Vec::<String>::new());
        assert!(read(&["ALL"]).unwrap().contains(&"CAP_CHECKPOINT_RESTORE".to_owned()));
        let two = read(&["sys_admin", "CAP_BPF"]).unwrap();
        assert_eq!(two, ["CAP_SYS_ADMIN", "CAP_BPF"]);
        assert!(read(&["CAP_SIS"]).unwrap_err().to_string().contains("CAP_SIS"));
        let known: Vec<_> = caps::all().into_iter().map(|cap| cap.to_string()).collect();
        assert!(USUAL.iter().all(|cap| known.iter().any(|known| known == cap)));
    }

    #[test]
    fn versions_and_architectures_are_checked() {
        assert_eq!(version(Some("5.10")).unwrap(), (5, 10));
        assert!(version(Some("new")).is_err());
        assert!(version(None).unwrap().0 >= 4);
        assert_eq!(arch("amd64").unwrap().name, "SCMP_ARCH_X86_64");
        assert!(arch("pdp11").unwrap_err().hint.is_some());
    }
}
