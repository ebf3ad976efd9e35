//! What the global flags and the environment mean together, decided once before a verb runs.
//!
//! [`crate::cli`] holds exactly what was typed; a verb sees only this.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use libcontainer::plan::CgroupDriver;
use libcontainer::{At, Error, Result, Step, host};
use nix::unistd::geteuid;

use crate::cli::Global;
use crate::output::Log;
use crate::personality;

/// The decided globals.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Where containers have their state; absolute.
    pub(crate) root: PathBuf,
    /// `--root` was given; the default one need not exist.
    pub(crate) root_given: bool,
    /// The default root lies in the user's runtime directory.
    runtime_dir: bool,
    /// Who manages the cgroups of new containers.
    pub(crate) driver: CgroupDriver,
    /// Whether cgroup permission errors are ignored; `None` decides from the host.
    pub(crate) rootless: Option<bool>,
    /// Where to write the times of the steps.
    pub(crate) timings: Option<PathBuf>,
    /// Where to say things.
    pub(crate) log: Log,
}

impl Settings {
    /// Decides; nothing is changed.
    ///
    /// # Errors
    /// A value that a flag does not have; the log comes back to tell it.
    pub(crate) fn decide(global: Global, log: Log) -> Result<Self, (Error, Log)> {
        match Self::undecided(global) {
            Ok(settings) => Ok(Self { log, ..settings }),
            Err(error) => Err((error, log)),
        }
    }

    fn undecided(global: Global) -> Result<Self> {
        let rootless = rootless(&global.rootless)?;
        let driver = driver(&global)?;
        let root_given = global.root.is_some();
        let (root, runtime_dir) = match global.root {
            Some(root) => (checked_root(&root)?, false),
            None => default_root()?,
        };
        let (timings, log) = (global.timings, Log::STDERR);
        Ok(Self { root, root_given, runtime_dir, driver, rootless, timings, log })
    }

    /// Makes the default root in the user's runtime directory. The XDG specification lets only
    /// entries with the sticky bit survive a clean-up.
    ///
    /// # Errors
    /// The runtime directory is not writable.
    pub(crate) fn keep_runtime_dir(&self) -> Result<()> {
        if !self.runtime_dir {
            return Ok(());
        }
        fs::create_dir_all(&self.root)
            .and_then(|()| fs::set_permissions(&self.root, fs::Permissions::from_mode(0o1700)))
            .at(Step::State, || self.root.display())
            .map_err(|e| e.hint("$XDG_RUNTIME_DIR must be a directory that you may write to"))
    }
}

/// Go's booleans and `auto`, as runc takes them.
fn rootless(word: &str) -> Result<Option<bool>> {
    match word {
        "" => Ok(None),
        auto if auto.eq_ignore_ascii_case("auto") => Ok(None),
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Some(true)),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Some(false)),
        other => Err(Error::rule(Step::Output, "", format!("invalid rootless: {other}"))
            .hint("use true, false or auto")),
    }
}

fn driver(global: &Global) -> Result<CgroupDriver> {
    match global.cgroup_manager.as_deref() {
        _ if global.systemd_cgroup => Ok(CgroupDriver::Systemd),
        None | Some("cgroupfs") => Ok(CgroupDriver::Fs),
        Some("systemd") => Ok(CgroupDriver::Systemd),
        Some("disabled") => Ok(CgroupDriver::Disabled),
        Some(other) => {
            Err(Error::rule(Step::Output, "", format!("invalid cgroup-manager: {other}"))
                .hint("use cgroupfs, systemd or disabled"))
        }
    }
}

/// `--root` as an absolute path, which must not be the root directory: `delete` removes below it.
fn checked_root(root: &Path) -> Result<PathBuf> {
    let root = std::path::absolute(root).at(Step::State, || root.display())?;
    let depth = root.components().fold(0_usize, |depth, component| match component {
        Component::Normal(_) => depth + 1,
        Component::ParentDir => depth.saturating_sub(1),
        _ => depth,
    });
    if depth == 0 {
        return Err(Error::rule(Step::State, "", "Option --root argument should not be set to /"));
    }
    Ok(root)
}

/// The user's runtime directory where that is ours to use, else `/run`.
fn default_root() -> Result<(PathBuf, bool)> {
    let name = personality::own().name();
    let dir = env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
    match dir {
        Some(dir) if honours_runtime_dir()? => Ok((Path::new(&dir).join(name), true)),
        _ => Ok((Path::new("/run").join(name), false)),
    }
}

/// runc's rule: not for the host's root, whose XDG_RUNTIME_DIR is the one of a login session.
fn honours_runtime_dir() -> Result<bool> {
    if !geteuid().is_root() {
        return Ok(true);
    }
    Ok(!host::initial_user_ns()? && env::var_os("USER").is_none_or(|user| user != "root"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn global() -> Global {
        Global {
            root: Some("/run/x".into()),
            log: None,
            log_format: "text".into(),
            log_level: None,
            debug: false,
            rootless: "auto".into(),
            systemd_cgroup: false,
            cgroup_manager: None,
            timings: None,
            version: false,
        }
    }

    fn decide(global: Global) -> Result<Settings> {
        Settings::decide(global, Log::STDERR).map_err(|(error, _)| error)
    }

    #[test]
    fn rootless_takes_what_go_takes() {
        for (word, value) in [
            ("auto", None),
            ("Auto", None),
            ("true", Some(true)),
            ("1", Some(true)),
            ("false", Some(false)),
            ("F", Some(false)),
        ] {
            assert_eq!(rootless(word).unwrap(), value, "{word}");
        }
        assert_eq!(rootless("yes").unwrap_err().to_string(), "invalid rootless: yes");
    }

    #[test]
    fn root_is_absolute_and_never_the_root_directory() {
        for root in ["/", "//", "/..", "/a/..", "/a/../../.", "../../../../../../../../.."] {
            let error = decide(Global { root: Some(root.into()), ..global() }).unwrap_err();
            assert_eq!(error.to_string(), "Option --root argument should not be set to /");
        }
        let settings = decide(Global { root: Some("state".into()), ..global() }).unwrap();
        assert_eq!(settings.root, env::current_dir().unwrap().join("state"));
        assert!(settings.root_given);
    }

    #[test]
    fn cgroup_managers() {
        let by = |manager: Option<&str>, systemd_cgroup| {
            let cgroup_manager = manager.map(str::to_owned);
            decide(Global { cgroup_manager, systemd_cgroup, ..global() }).map(|all| all.driver)
        };
        assert_eq!(by(None, false).unwrap(), CgroupDriver::Fs);
        assert_eq!(by(Some("cgroupfs"), false).unwrap(), CgroupDriver::Fs);
        assert_eq!(by(Some("disabled"), false).unwrap(), CgroupDriver::Disabled);
        for systemd in [by(None, true), by(Some("systemd"), false), by(Some("cgroupfs"), true)] {
            assert_eq!(systemd.unwrap(), CgroupDriver::Systemd);
        }
        let error = by(Some("lxc"), false).unwrap_err();
        assert_eq!(error.to_string(), "invalid cgroup-manager: lxc");
    }

    #[test]
    fn runtime_dir_root_gets_the_sticky_bit() {
        let dir = env::temp_dir().join(format!("corten-xdg-{}", std::process::id()));
        let mut settings = decide(global()).unwrap();
        (settings.root, settings.runtime_dir) = (dir.join("corten"), true);
        settings.keep_runtime_dir().unwrap();
        let mode = fs::metadata(&settings.root).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o1700);
        fs::remove_dir_all(&dir).unwrap();
    }
}
