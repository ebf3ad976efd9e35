//! The hooks of the configuration, ready to be run (config.md, "POSIX-platform Hooks").
//!
//! Four kinds run in the runtime's namespaces and are plain data, because `poststart` and
//! `poststop` are kept in the container's state for a later process. Two kinds run inside: init
//! starts them after clone3, so their vectors are made here.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use oci_spec::runtime as oci;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, Step};
use crate::plan::text;
use crate::sys::argv::ArgV;

/// When a hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// Before pivot_root, runtime namespaces. Deprecated, and still what most users have.
    Prestart,
    /// Before pivot_root, runtime namespaces, after `prestart`.
    CreateRuntime,
    /// Before pivot_root, container namespaces, path resolved on the host.
    CreateContainer,
    /// In `start`, before the program, container namespaces and rootfs.
    StartContainer,
    /// In `start`, after the program, runtime namespaces.
    Poststart,
    /// After `delete`, runtime namespaces.
    Poststop,
}

impl Kind {
    /// All kinds in the order of the lifecycle (runtime.md, "Lifecycle").
    pub const ALL: [Kind; 6] = [
        Kind::Prestart,
        Kind::CreateRuntime,
        Kind::CreateContainer,
        Kind::StartContainer,
        Kind::Poststart,
        Kind::Poststop,
    ];

    /// The specification's name.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Prestart => "prestart",
            Kind::CreateRuntime => "createRuntime",
            Kind::CreateContainer => "createContainer",
            Kind::StartContainer => "startContainer",
            Kind::Poststart => "poststart",
            Kind::Poststop => "poststop",
        }
    }

    /// The `status` in the state that the hook reads from stdin.
    ///
    /// `prestart` says `created`, as crun does: hooks of that kind were written when it ran in
    /// `start` (runtime-tools' `hooks_stdin` wants it so).
    pub const fn status(self) -> &'static str {
        match self {
            Kind::CreateRuntime | Kind::CreateContainer => "creating",
            Kind::Prestart | Kind::StartContainer => "created",
            Kind::Poststart => "running",
            Kind::Poststop => "stopped",
        }
    }
}

/// A hook that the runtime itself runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// Absolute path of the program.
    pub path: String,
    /// argv, as given; the path alone when none was.
    pub args: Vec<String>,
    /// The whole environment; the runtime's own when `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<String>>,
    /// Seconds until it is killed; none waits for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u32>,
}

/// A hook that is ready to be started without allocating.
#[derive(Debug, Serialize)]
pub struct ReadyHook {
    /// Absolute path of the program.
    #[serde(serialize_with = "text::one")]
    pub path: CString,
    /// argv.
    #[serde(serialize_with = "text::list")]
    pub args: Vec<CString>,
    /// The whole environment; that of the container's program when `None`.
    #[serde(serialize_with = "text::optional_list")]
    pub env: Option<Vec<CString>>,
    /// Seconds until it is killed.
    pub timeout: Option<u32>,
    /// `args` as execve(2) wants them.
    #[serde(skip)]
    pub(crate) argv: ArgV,
    /// `env` as execve(2) wants it.
    #[serde(skip)]
    pub(crate) envp: Option<ArgV>,
    /// Where it starts; the starter's own directory when there is none.
    #[serde(skip)]
    pub(crate) cwd: Option<CString>,
}

/// Every hook of the container.
#[derive(Debug, Default, Serialize)]
pub struct HookPlan {
    /// [`Kind::Prestart`]
    pub prestart: Vec<Hook>,
    /// [`Kind::CreateRuntime`]
    pub create_runtime: Vec<Hook>,
    /// [`Kind::CreateContainer`]
    pub create_container: Vec<ReadyHook>,
    /// [`Kind::StartContainer`]
    pub start_container: Vec<ReadyHook>,
    /// [`Kind::Poststart`]
    pub poststart: Vec<Hook>,
    /// [`Kind::Poststop`]
    pub poststop: Vec<Hook>,
}

impl HookPlan {
    /// Whether a hook runs while init waits before pivot_root.
    pub fn before_pivot(&self) -> bool {
        !(self.prestart.is_empty()
            && self.create_runtime.is_empty()
            && self.create_container.is_empty())
    }

    /// Whether init itself runs hooks.
    pub fn runs_inside(&self) -> bool {
        !(self.create_container.is_empty() && self.start_container.is_empty())
    }
}

/// Decides the hooks.
///
/// # Errors
/// A NUL byte in a path, an argument or a variable. Other rules are `plan::check`'s.
pub fn build(hooks: Option<&oci::Hooks>, rootfs: &Path) -> Result<HookPlan> {
    let Some(hooks) = hooks else { return Ok(HookPlan::default()) };
    let inside = |kind, list: &Option<Vec<oci::Hook>>| -> Result<Vec<ReadyHook>> {
        let ready = |(index, hook)| ReadyHook::new(kind, index, &read(hook));
        list.iter().flatten().enumerate().map(ready).collect()
    };
    let outside = |kind, list: &Option<Vec<oci::Hook>>| -> Result<Vec<Hook>> {
        let hooks: Vec<Hook> = list.iter().flatten().map(read).collect();
        for (index, hook) in hooks.iter().enumerate() {
            ReadyHook::new(kind, index, hook)?;
        }
        Ok(hooks)
    };
    Ok(HookPlan {
        prestart: outside(Kind::Prestart, hooks.prestart())?,
        create_runtime: outside(Kind::CreateRuntime, hooks.create_runtime())?,
        // Before the pivot init is nowhere in particular; runc's is in the root file system.
        create_container: inside(Kind::CreateContainer, hooks.create_container())?
            .into_iter()
            .map(|hook| hook.starting_in(rootfs))
            .collect(),
        start_container: inside(Kind::StartContainer, hooks.start_container())?,
        poststart: outside(Kind::Poststart, hooks.poststart())?,
        poststop: outside(Kind::Poststop, hooks.poststop())?,
    })
}

fn read(hook: &oci::Hook) -> Hook {
    let path = hook.path().to_string_lossy().into_owned();
    let args = hook.args().clone().filter(|args| !args.is_empty());
    Hook {
        args: args.unwrap_or_else(|| vec![path.clone()]),
        path,
        env: hook.env().clone(),
        timeout: hook.timeout().map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX)),
    }
}

impl ReadyHook {
    /// Makes the vectors of `hook`, the `index`th of its kind.
    ///
    /// # Errors
    /// A NUL byte.
    pub fn new(kind: Kind, index: usize, hook: &Hook) -> Result<Self> {
        let c_string = |member: &str, text: &str| {
            CString::new(text).map_err(|_| {
                let field = format!("hooks.{}[{index}].{member}", kind.name());
                Error::rule(Step::CheckConfig, field, "has a NUL byte")
            })
        };
        let list = |member: &str, texts: &[String]| -> Result<Vec<CString>> {
            texts.iter().map(|text| c_string(member, text)).collect()
        };
        let args = list("args", &hook.args)?;
        let env = hook.env.as_ref().map(|env| list("env", env)).transpose()?;
        Ok(Self {
            path: c_string("path", &hook.path)?,
            argv: ArgV::new(&args),
            envp: env.as_deref().map(ArgV::new),
            args,
            env,
            timeout: hook.timeout,
            cwd: None,
        })
    }

    /// The same, started in a directory: hooks of bundles use relative paths.
    #[must_use]
    pub fn starting_in(self, dir: &Path) -> Self {
        let cwd = CString::new(dir.as_os_str().as_bytes()).ok();
        Self { cwd, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(json: serde_json::Value) -> Result<HookPlan> {
        let hooks: oci::Hooks = serde_json::from_value(json).unwrap();
        build(Some(&hooks), Path::new("/r"))
    }

    #[test]
    fn argv_is_as_given_and_the_path_without() {
        let plan = plan(serde_json::json!({
            "prestart": [{"path": "/bin/a"}, {"path": "/bin/b", "args": ["x", "y"], "timeout": 3}]}))
        .unwrap();
        assert_eq!(plan.prestart[0].args, ["/bin/a"]);
        assert_eq!(plan.prestart[1].args, ["x", "y"]);
        assert_eq!(plan.prestart[1].timeout, Some(3));
        assert!(plan.before_pivot() && !plan.runs_inside());
    }

    #[test]
    fn inside_hooks_without_env_get_that_of_the_process() {
        let plan = plan(serde_json::json!({"startContainer":
            [{"path": "/h"}, {"path": "/h", "env": []}, {"path": "/h", "env": ["B=2"]}]}))
        .unwrap();
        let env: Vec<_> = plan.start_container.iter().map(|hook| hook.env.clone()).collect();
        assert_eq!(env, [None, Some(vec![]), Some(vec![c"B=2".to_owned()])]);
        assert!(plan.runs_inside() && !plan.before_pivot());
    }

    #[test]
    fn nul_bytes_are_named_with_their_hook() {
        let error = plan(serde_json::json!({"poststop": [{"path": "/h", "args": ["a\u{0}"]}]}));
        assert_eq!(
            error.unwrap_err().to_string(),
            "invalid config hooks.poststop[0].args: has a NUL byte"
        );
    }

    #[test]
    fn state_keeps_what_a_later_process_runs() {
        let hook = Hook { path: "/h".into(), args: vec!["h".into()], env: None, timeout: Some(9) };
        let text = serde_json::to_string(&hook).unwrap();
        assert_eq!(serde_json::from_str::<Hook>(&text).unwrap(), hook);
    }
}
