//! What many checks need: containers at a certain point of their life, hooks that write a log.

use std::fs;

use serde_json::{Value, json};

use crate::{
    bundle::Bundle,
    case::{Not, Verdict, ensure},
    container::Container,
    runtime::Runtime,
};

/// The six kinds of hooks in the order of a life.
pub(crate) const HOOKS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// A running container whose probe holds.
///
/// # Errors
/// The runtime refused.
pub(crate) fn running(runtime: &Runtime) -> Result<Container<'_>, Not> {
    hold(runtime.bundle()?, &[])
}

/// Creates and starts a bundle; its probe answers, then holds.
///
/// # Errors
/// The runtime refused.
pub(crate) fn hold<'r>(bundle: Bundle<'r>, questions: &[&str]) -> Result<Container<'r>, Not> {
    let mut container = bundle.ask(questions.iter().copied().chain(["hold"])).create()?;
    container.start_and_hold()?;
    Ok(container)
}

/// A container whose program has ended, not yet deleted.
///
/// # Errors
/// The runtime refused.
pub(crate) fn stopped(runtime: &Runtime) -> Result<Container<'_>, Not> {
    Ok(runtime.bundle()?.run()?.container)
}

/// Looks at the state document of one container when it is created, running and stopped.
///
/// # Errors
/// What the look says, with the point.
pub(crate) fn at_every_point(runtime: &Runtime, look: impl Fn(&Value, &str) -> Verdict) -> Verdict {
    let mut container = runtime.bundle()?.ask(["hold"]).create()?;
    look(&container.state()?, "created")?;
    container.start_and_hold()?;
    look(&container.state()?, "running")?;
    container.kill()?;
    look(&container.state()?, "stopped")
}

impl Bundle<'_> {
    /// Adds a hook that writes down how it was called, then does what `rest` says.
    #[must_use]
    pub(crate) fn hook(self, kind: &str, name: &str, rest: &[&str]) -> Self {
        let outside = (self.runtime.probe(), self.rootfs().join("hooks.log"));
        let (path, log) = match kind {
            "startContainer" => ("/probe".into(), "/hooks.log".into()),
            _ => outside,
        };
        let mut args = vec![json!("probe"), json!("hook"), json!(log), json!(name)];
        args.extend(rest.iter().map(|word| json!(word)));
        self.push(&format!("/hooks/{kind}"), json!({"path": path, "args": args}))
    }

    /// What the hooks have written so far.
    pub(crate) fn hook_log(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.rootfs().join("hooks.log")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The names of the hooks that have run so far, in their order.
    pub(crate) fn hook_names(&self) -> Vec<String> {
        let log = self.hook_log();
        log.iter().filter_map(|line| line["hook"].as_str().map(str::to_owned)).collect()
    }
}

/// The question by which the container's program writes itself into the log of hooks.
pub(crate) const PROGRAM: &str = r#"append /hooks.log {"hook":"program"}"#;

/// Exactly these lines must be in the log of hooks.
///
/// # Errors
/// Others are.
pub(crate) fn ran_in_order(bundle: &Bundle<'_>, wanted: &[&str]) -> Verdict {
    let names = bundle.hook_names();
    ensure!(names == wanted, "ran: {names:?}, not {wanted:?}");
    Ok(())
}

/// One life with all six hooks, one or two of each, up to the end of `delete`.
///
/// # Errors
/// The runtime refused.
pub(crate) fn life_with_hooks(runtime: &Runtime) -> Result<Bundle<'_>, Not> {
    let mut bundle = runtime.bundle()?.ask([PROGRAM]);
    for kind in HOOKS {
        bundle = bundle.hook(kind, kind, &[]);
    }
    let ran = bundle.run()?;
    ran.container.must("delete", &[])?;
    Ok(ran.container.bundle)
}

/// What one hook of that life wrote.
///
/// # Errors
/// It did not run.
pub(crate) fn line_of(bundle: &Bundle<'_>, kind: &str) -> Result<Value, Not> {
    let log = bundle.hook_log();
    let found = log.into_iter().find(|line| line["hook"] == kind);
    found.ok_or_else(|| Not::Fail(format!("the {kind} hook did not run")))
}

/// Semantic version, loosely: three numbers with dots, then anything after `-` or `+`.
pub(crate) fn semver(text: &str) -> bool {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let parts: Vec<&str> = core.split('.').collect();
    parts.len() == 3 && parts.iter().all(|part| part.parse::<u64>().is_ok())
}
