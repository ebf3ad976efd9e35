//! `--cgroup [CONTROLLER[,CONTROLLER…]:]PATH`: where below the container's cgroup a process goes.

use std::path::{Component, Path};

use crate::error::{Error, Result, Step};
use crate::plan::paths::InRoot;

/// One sub-cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sub {
    /// The v1 controller that it is for; `None` for every hierarchy.
    pub controller: Option<String>,
    /// The directory below the container's; the root of it means the container's own.
    pub path: InRoot,
}

/// Reads the flags, by runc's grammar.
///
/// # Errors
/// A path that leads out of the container's cgroup; controllers that are missing, empty or given
/// twice.
pub(super) fn parse(flags: &[String]) -> Result<Vec<Sub>> {
    let mut subs: Vec<Sub> = Vec::new();
    for flag in flags {
        let refuse = |why: String| Err(Error::rule(Step::CheckConfig, "--cgroup", why));
        let Some((controllers, path)) = flag.split_once(':') else {
            if flags.len() > 1 {
                return refuse(format!("{flag}: the CONTROLLER: before the path is missing"));
            }
            return Ok(vec![Sub { controller: None, path: below(flag)? }]);
        };
        for controller in controllers.split(',') {
            if controller.is_empty() {
                return refuse(format!("{flag}: a controller has no name"));
            }
            if subs.iter().any(|sub| sub.controller.as_deref() == Some(controller)) {
                return refuse(format!("controller {controller} is there twice"));
            }
            subs.push(Sub { controller: Some(controller.to_owned()), path: below(path)? });
        }
    }
    Ok(subs)
}

/// A path that stays below, by components: a sibling with the same beginning is outside.
fn below(path: &str) -> Result<InRoot> {
    let mut depth = 0_usize;
    for component in Path::new(path).components() {
        let now = match component {
            Component::Normal(_) => depth.checked_add(1),
            Component::ParentDir => depth.checked_sub(1),
            _ => Some(depth),
        };
        depth = now.ok_or_else(|| {
            Error::rule(Step::Cgroup, "", format!("bad sub cgroup path: {path}"))
                .hint("--cgroup is relative to the container's cgroup and must not leave it")
        })?;
    }
    InRoot::new(path)
}
