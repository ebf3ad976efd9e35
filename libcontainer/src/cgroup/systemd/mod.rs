//! Asks systemd for the container's unit: begins it, changes it, ends it.
//!
//! [`plan::cgroup::systemd`](crate::plan::cgroup::systemd) decided the unit. The unit begins with
//! the container's first process, which waits before its first step; its cgroup is delegated, so
//! everything inside is ours ([`super::Cgroup::start_unit`]). Three things keep callers out of
//! trouble:
//!
//! - **No wait without end.** One deadline for each operation; an error names unit, job and phase.
//! - **Nothing is frozen** while systemd is asked: a manager that hangs leaves no container stuck.
//! - **No job is missed:** the signal of its end is subscribed to before it is queued, for this
//!   unit alone.
//!
//! Why no crate: docs/adr/0014-own-dbus-client.md.

mod bus;
mod message;

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use self::bus::{Bus, Trouble};
use self::message::Method;
use crate::error::{Error, Result, Step};
use crate::plan::cgroup::Write;
use crate::plan::cgroup::systemd::properties::{self, Property};
use crate::plan::cgroup::systemd::value::Value;
use crate::plan::cgroup::systemd::{DESCRIPTION, UnitPlan};

/// How long one operation may take: what runc grants a job.
const PATIENCE: Duration = Duration::from_secs(30);
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const UNIT_EXISTS: &str = "org.freedesktop.systemd1.UnitExists";
const NO_SUCH_UNIT: &str = "org.freedesktop.systemd1.NoSuchUnit";

/// The unit that a container's state remembers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitRecord {
    /// Its name.
    pub name: String,
    /// It is the user's manager that has it.
    pub user: bool,
    /// The manager's version when it began: what it can be told later.
    pub version: u32,
}

impl From<&UnitPlan> for UnitRecord {
    fn from(plan: &UnitPlan) -> Self {
        Self { name: plan.name.clone(), user: plan.user, version: plan.version }
    }
}

/// A conversation about one unit.
struct Talk<'a> {
    unit: &'a str,
    user: bool,
    bus: Bus,
}

const fn manager(member: &'static str) -> Method {
    Method {
        destination: "org.freedesktop.systemd1",
        path: "/org/freedesktop/systemd1",
        interface: MANAGER,
        member,
    }
}

/// Begins the unit with this process.
///
/// # Errors
/// No manager; a unit of this name that is alive; a property that systemd refuses; a job that
/// fails or does not end in 30 seconds.
pub(super) fn start(plan: &UnitPlan, pid: i32) -> Result<()> {
    let mut talk = Talk::begin(&plan.name, plan.user)?;
    let mut properties: Vec<_> = plan.properties.iter().map(property).collect();
    if !plan.is_slice() {
        let pids = Value::Array("u".into(), vec![Value::U32(pid.unsigned_abs())]);
        properties.push(property(&Property::new("PIDs", pids)));
    }
    let arguments = [
        Value::text(&plan.name),
        Value::text("replace"),
        Value::Array("(sv)".into(), properties),
        Value::Array("(sa(sv))".into(), Vec::new()),
    ];
    let start = manager("StartTransientUnit");
    let mut queued = talk.job(start, &arguments);
    if matches!(&queued, Err(Trouble::Refused(name, _)) if name == UNIT_EXISTS) {
        // One that failed keeps its name until it is reset.
        let _alive = talk.bus.call(manager("ResetFailedUnit"), &arguments[..1]);
        queued = talk.job(start, &arguments);
    }
    let job = queued.map_err(|trouble| talk.explain("start", trouble))?;
    match talk.finish(&job) {
        Ok(result) if result == "done" => Ok(()),
        Ok(result) => {
            let _gone = talk.bus.call(manager("ResetFailedUnit"), &arguments[..1]);
            let why = format!("the start job {job} ended with result {result:?}");
            Err(talk
                .error(why)
                .hint(format!("`journalctl --unit {}` has systemd's reason", plan.name)))
        }
        Err(trouble) => Err(talk.explain(&end_of("start", &job), trouble)),
    }
}

/// Tells the unit what these words say, until it ends. systemd writes its values into the files
/// some time after its answer: they are the same that we have written.
///
/// # Errors
/// No manager or no such unit; a property that systemd refuses.
pub(super) fn tell(record: &UnitRecord, words: &[Write], unified: bool) -> Result<()> {
    let properties = properties::of(words, unified, record.version);
    if properties.is_empty() {
        return Ok(());
    }
    let mut talk = Talk::begin(&record.name, record.user)?;
    let properties = properties.iter().map(property).collect();
    let arguments =
        [Value::text(&record.name), Value::Bool(true), Value::Array("(sv)".into(), properties)];
    let done = talk.bus.call(manager("SetUnitProperties"), &arguments);
    done.map(drop).map_err(|trouble| talk.explain("change", trouble))
}

/// Ends the unit and forgets that it failed, if it did; one that is gone is fine.
///
/// # Errors
/// No manager; a job that does not end in 30 seconds.
pub(super) fn stop(record: &UnitRecord) -> Result<()> {
    let mut talk = Talk::begin(&record.name, record.user)?;
    let name = Value::text(&record.name);
    let queued = talk.job(manager("StopUnit"), &[name.clone(), Value::text("replace")]);
    let job = match queued {
        Ok(job) => job,
        Err(Trouble::Refused(error, _)) if error == NO_SUCH_UNIT => return Ok(()),
        Err(trouble) => return Err(talk.explain("stop", trouble)),
    };
    // A job that another one took over ends as that one does.
    if let Err(trouble) = talk.finish(&job) {
        return Err(talk.explain(&end_of("stop", &job), trouble));
    }
    match talk.bus.call(manager("ResetFailedUnit"), &[name]) {
        Ok(_) | Err(Trouble::Refused(..)) => Ok(()),
        Err(trouble) => Err(talk.explain("reset", trouble)),
    }
}

/// Moves a process into the unit, or into `below` (absolute, or "") of its cgroup. A user's manager asks
/// the system's to do it where the process comes from a session that is not the manager's own: the
/// cgroup above both is root's (systemd 238).
///
/// # Errors
/// No manager; a process or a cgroup that systemd does not find the caller's.
pub(super) fn attach(record: &UnitRecord, below: &str, pid: i32) -> Result<()> {
    let mut talk = Talk::begin(&record.name, record.user)?;
    let pids = Value::Array("u".into(), vec![Value::U32(pid.unsigned_abs())]);
    let arguments = [Value::text(&record.name), Value::text(below), pids];
    let done = talk.bus.call(manager("AttachProcessesToUnit"), &arguments);
    done.map(drop).map_err(|trouble| talk.explain("attach a process", trouble))
}

/// The manager's version, and its own cgroup: "" for the whole machine.
///
/// # Errors
/// No manager.
pub(crate) fn facts(user: bool) -> Result<(String, String)> {
    const GET: Method = Method { interface: "org.freedesktop.DBus.Properties", ..manager("Get") };
    let mut talk = Talk::begin("", user)?;
    let mut get = || -> Result<_, Trouble> {
        let of = |name: &str| [Value::text(MANAGER), Value::text(name)];
        let version = talk.bus.send(GET, &of("Version"))?;
        let cgroup = talk.bus.send(GET, &of("ControlGroup"))?;
        let text = |reply: Vec<Value>| {
            reply.first().and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        Ok((text(talk.bus.reply(version)?), text(talk.bus.reply(cgroup)?)))
    };
    get().map_err(|trouble| talk.explain("property Version or ControlGroup", trouble))
}

/// Units of containers that failed and were not forgotten: name and description.
///
/// # Errors
/// No manager.
pub(crate) fn failed(user: bool) -> Result<Vec<(String, String)>> {
    let mut talk = Talk::begin("", user)?;
    let failed = Value::Array("s".into(), vec![Value::text("failed")]);
    let reply = talk.bus.call(manager("ListUnitsFiltered"), &[failed]);
    let reply = reply.map_err(|trouble| talk.explain("list failed units", trouble))?;
    let Some(Value::Array(_, units)) = reply.first() else { return Ok(Vec::new()) };
    let named = units.iter().filter_map(|unit| {
        let Value::Struct(fields) = unit else { return None };
        let (name, description) = (fields.first()?.as_str()?, fields.get(1)?.as_str()?);
        let ours = description.starts_with(DESCRIPTION);
        ours.then(|| (name.to_owned(), description.to_owned()))
    });
    Ok(named.collect())
}

/// Forgets that a unit failed; one that is gone is fine.
///
/// # Errors
/// No manager.
pub(crate) fn forget(unit: &str, user: bool) -> Result<()> {
    let mut talk = Talk::begin(unit, user)?;
    match talk.bus.call(manager("ResetFailedUnit"), &[Value::text(unit)]) {
        Ok(_) | Err(Trouble::Refused(..)) => Ok(()),
        Err(trouble) => Err(talk.explain("reset", trouble)),
    }
}

fn property(property: &Property) -> Value {
    let value = Value::Variant(Box::new(property.value.clone()));
    Value::Struct(vec![Value::text(&*property.name), value])
}

impl<'a> Talk<'a> {
    fn begin(unit: &'a str, user: bool) -> Result<Self> {
        match Bus::connect(user, Instant::now() + PATIENCE) {
            Ok(bus) => Ok(Self { unit, user, bus }),
            Err(trouble) => Err(explain(unit, user, "connect", trouble)),
        }
    }

    /// Queues a job; the end of it is announced to us.
    fn job(&mut self, method: Method, arguments: &[Value]) -> Result<String, Trouble> {
        const ADD_MATCH: Method = Method {
            destination: "org.freedesktop.DBus",
            path: "/org/freedesktop/DBus",
            interface: "org.freedesktop.DBus",
            member: "AddMatch",
        };
        let rule = format!(
            "type='signal',sender='org.freedesktop.systemd1',path='/org/freedesktop/systemd1',\
             interface='{MANAGER}',member='JobRemoved',arg2='{}'",
            self.unit
        );
        let subscribed = self.bus.send(manager("Subscribe"), &[])?;
        let matched = self.bus.send(ADD_MATCH, &[Value::Text(rule)])?;
        let queued = self.bus.send(method, arguments)?;
        // The manager's own socket has no bus to add a match to, and tells all of its jobs.
        for serial in [subscribed, matched] {
            match self.bus.reply(serial) {
                Ok(_) | Err(Trouble::Refused(..)) => {}
                Err(trouble) => return Err(trouble),
            }
        }
        let reply = self.bus.reply(queued)?;
        Ok(reply.first().and_then(Value::as_str).unwrap_or_default().to_owned())
    }

    /// Waits for the end of a job; the result is systemd's word, `done` for success.
    fn finish(&mut self, job: &str) -> Result<String, Trouble> {
        self.bus.signal(|signal| {
            let [_, path, _, result] = &signal.body[..] else { return None };
            let ours = signal.member == "JobRemoved" && path.as_str() == Some(job);
            ours.then(|| result.as_str().unwrap_or_default().to_owned())
        })
    }

    fn explain(&self, phase: &str, trouble: Trouble) -> Error {
        explain(self.unit, self.user, phase, trouble)
    }

    fn error(&self, why: String) -> Error {
        Error::rule(Step::Cgroup, subject(self.unit), why)
    }
}

/// The phase in which systemd works at a job.
fn end_of(verb: &str, job: &str) -> String {
    format!("end of {verb} job {job}")
}

fn subject(unit: &str) -> String {
    if unit.is_empty() { "systemd".to_owned() } else { format!("systemd unit {unit}") }
}

/// The words for what went wrong in a phase.
fn explain(unit: &str, user: bool, phase: &str, trouble: Trouble) -> Error {
    let whose = if user { "the user's bus" } else { "the system's bus" };
    match trouble {
        Trouble::Silence => {
            let seconds = PATIENCE.as_secs();
            let why = format!("{phase}: no answer on {whose} for {seconds} seconds");
            Error::rule(Step::Cgroup, subject(unit), why)
                .hint("systemd or the bus hangs: look at `systemctl list-jobs`")
        }
        Trouble::Refused(name, words) if name == UNIT_EXISTS => {
            Error::rule(Step::Cgroup, subject(unit), format!("{phase}: {words}")).hint(format!(
                "another container has this cgroupsPath, or left it: `systemctl {}stop {unit}`",
                if user { "--user " } else { "" }
            ))
        }
        Trouble::Refused(name, words) => {
            Error::rule(Step::Cgroup, subject(unit), format!("{phase}: {words} ({name})"))
        }
        Trouble::Io(error) => {
            let hint = match (phase, user) {
                ("connect", true) => {
                    "a user needs a systemd of its own and DBUS_SESSION_BUS_ADDRESS or \
                     XDG_RUNTIME_DIR: log in through PAM, or `loginctl enable-linger`; otherwise \
                     leave --systemd-cgroup out"
                }
                ("connect", false) => {
                    "is systemd the init of this host? otherwise leave --systemd-cgroup out"
                }
                _ => "the bus went away meanwhile: try again",
            };
            Error::io(Step::Cgroup, format!("{}: {phase} on {whose}", subject(unit)), error)
                .hint(hint)
        }
    }
}
