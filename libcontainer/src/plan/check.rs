//! The MUSTs of the specification that the types do not hold, as tables of rules.
//!
//! One row a rule: the field, the rule in words, where the specification says so, and the check.
//! A broken rule is one error that names the field, the value and the rule. What a part of the
//! plan must parse anyway (mount options, CPU lists, paths) is checked there, not here.
//!
//! Sections for other platforms (`windows`, `solaris`, `vm`, `zos`, `freebsd`) and properties
//! that the specification does not know are ignored: config.md, "Extensibility".

mod ids;
mod linux;
mod process;
mod resources;
mod root;
pub mod sysctl;

use oci_spec::runtime::{Linux, LinuxNamespace, LinuxNamespaceType, LinuxResources, Process};

use crate::error::{Error, Result, Step};
use crate::host::Host;
use crate::plan::Options;
use crate::spec::Spec;

/// What the rules look at.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The configuration.
    pub spec: &'a Spec,
    /// The machine.
    pub host: &'a Host,
    /// The flags.
    pub options: &'a Options,
}

/// A rule of the specification.
pub struct Rule {
    /// The field that it is about.
    pub field: &'static str,
    /// The rule.
    pub words: &'static str,
    /// Where the specification, a man page or runc says so.
    pub section: &'static str,
    /// Whether it is kept.
    check: fn(Asked<'_>) -> Verdict,
}

/// A kept rule, or how it is broken.
type Verdict = std::result::Result<(), Fault>;

/// A broken rule.
#[derive(Debug)]
struct Fault {
    /// The field, where it is more exact than the rule's: `mounts[3].destination`.
    field: Option<String>,
    why: String,
    hint: Option<&'static str>,
}

impl Fault {
    fn new(why: impl Into<String>) -> Self {
        Self { field: None, why: why.into(), hint: None }
    }

    fn at(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..Self::new(why) }
    }

    fn hint(self, hint: &'static str) -> Self {
        Self { hint: Some(hint), ..self }
    }
}

/// Every rule, in the order in which they are checked: the widest first.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    [root::RULES, process::RULES, linux::RULES, ids::RULES, sysctl::RULES, resources::RULES]
        .into_iter()
        .flatten()
}

/// Checks the configuration against all rules; returns what deserves a warning.
///
/// # Errors
/// The first broken rule: `invalid config FIELD: WHY`.
pub fn check(spec: &Spec, host: &Host, options: &Options) -> Result<Vec<String>> {
    let asked = Asked { spec, host, options };
    keep(asked, rules())?;
    Ok([root::warnings(asked), resources::warnings(asked)].concat())
}

/// Checks `process` alone, for a container that exists.
///
/// # Errors
/// As [`check`].
pub fn check_process(spec: &Spec, host: &Host, options: &Options) -> Result<()> {
    keep(Asked { spec, host, options }, process::RULES.iter())
}

/// Checks `linux.resources` alone, for a container that exists.
///
/// # Errors
/// As [`check`].
pub fn check_resources(resources: &LinuxResources) -> Result<()> {
    for (rule, verdict) in resources::verdicts(resources) {
        verdict.map_err(|fault| broken(rule, fault))?;
    }
    Ok(())
}

fn keep(asked: Asked<'_>, rules: impl Iterator<Item = &'static Rule>) -> Result<()> {
    for rule in rules {
        (rule.check)(asked).map_err(|fault| broken(rule, fault))?;
    }
    Ok(())
}

fn broken(rule: &Rule, fault: Fault) -> Error {
    let field = fault.field.as_deref().unwrap_or(rule.field);
    let hint = match fault.hint {
        Some(hint) => hint.to_owned(),
        None => format!("{} ({})", rule.words, rule.section),
    };
    Error::rule(Step::CheckConfig, field, fault.why).hint(hint)
}

impl<'a> Asked<'a> {
    fn process(self) -> Option<&'a Process> {
        self.spec.oci.process().as_ref()
    }

    fn linux(self) -> Option<&'a Linux> {
        self.spec.oci.linux().as_ref()
    }

    fn namespaces(self) -> &'a [LinuxNamespace] {
        self.linux().and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default()
    }

    /// Whether the container gets or joins a namespace of this kind.
    fn has_namespace(self, kind: LinuxNamespaceType) -> bool {
        self.namespaces().iter().any(|namespace| namespace.typ() == kind)
    }

    /// Whether it gets a new one.
    fn has_new_namespace(self, kind: LinuxNamespaceType) -> bool {
        self.has_namespace(kind) && self.joined_path(kind).is_none()
    }

    /// The path of the namespace that it joins.
    fn joined_path(self, kind: LinuxNamespaceType) -> Option<&'a std::path::Path> {
        let namespace = self.namespaces().iter().find(|namespace| namespace.typ() == kind);
        let path = namespace?.path().as_deref()?;
        (!path.as_os_str().is_empty()).then_some(path)
    }
}

/// Keeps the rule when `kept`.
fn ensure(kept: bool, fault: impl FnOnce() -> Fault) -> Verdict {
    if kept { Ok(()) } else { Err(fault()) }
}

/// The value of an optional string that is set: Go's tools write `""` for "not set".
fn set(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests;
