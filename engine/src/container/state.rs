//! What became of a container: `state.json`.
//!
//! It also repeats what a list shows of the record, so that `ps` reads one file for each
//! container.

use std::collections::BTreeMap;

use libcontainer::state::process::ProcessId;
use serde::{Deserialize, Serialize};

use super::record::Record;
use crate::format::time::Timestamp;

/// Where in its life a container is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Never started.
    #[default]
    Created,
    /// Its program runs.
    Running,
    /// Its program runs, frozen.
    Paused,
    /// Its monitor waits until it starts it again.
    Restarting,
    /// Its program has ended.
    Exited,
}

impl Status {
    /// Whether it has a monitor.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::Restarting)
    }

    /// Docker's word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Exited => "exited",
        }
    }
}

/// The state of a container.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct State {
    /// As in the record.
    pub id: String,
    /// As in the record.
    pub name: String,
    /// As in the record.
    pub image: String,
    /// As in the record.
    pub created: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Of image and flags.
    pub labels: BTreeMap<String, String>,
    /// Where in its life.
    pub status: Status,
    /// Its first process.
    pub init: Option<ProcessId>,
    /// Its monitor.
    pub monitor: Option<ProcessId>,
    /// Cgroup of the freezer, to see whether it is paused; empty without.
    pub freezer: String,
    /// RFC 3339; empty before the first start.
    pub started: String,
    /// RFC 3339; empty before the first end.
    pub finished: String,
    /// Exit code of the last end.
    pub exit_code: i32,
    /// Why it could not be started.
    pub error: String,
    /// The kernel killed it for its memory.
    pub oom_killed: bool,
    /// How often the restart policy started it.
    pub restart_count: u32,
    /// `stop` or `kill` ended it: the policy `unless-stopped` leaves it alone.
    pub stopped_by_user: bool,
    /// `--rm`: it goes when it ends.
    pub rm: bool,
    /// Its monitor went without a word, which is not written down yet.
    #[serde(skip)]
    pub lost: bool,
    /// What the network made of it, as `inspect` and `ps` show it.
    pub network: serde_json::Value,
}

impl State {
    /// The state of a container that was just made.
    pub fn new(record: &Record) -> Self {
        Self {
            id: record.id.clone(),
            name: record.name.clone(),
            image: record.image.clone(),
            created: record.created.clone(),
            command: record.argv(),
            labels: record.labels(),
            rm: record.flags.basics.rm,
            ..Self::default()
        }
    }

    /// Whether its monitor is at work.
    pub fn has_monitor(&self) -> bool {
        self.monitor.as_ref().is_some_and(ProcessId::is_alive)
    }

    /// Whether the state must survive a power cut: after one nothing runs any more, and what is
    /// removed at its end is removed then too.
    pub fn outlives_power(&self) -> bool {
        !self.rm && (self.status != Status::Running || self.stopped_by_user)
    }

    /// Its monitor was killed, or the machine went down: the end is known, the code is not.
    pub fn lose(&mut self) {
        self.lost = true;
        self.status = Status::Exited;
        self.exit_code = 255;
        "its monitor is gone: it was killed, or the machine went down".clone_into(&mut self.error);
        if self.finished < self.started {
            self.finished.clone_from(&self.started);
        }
    }

    /// Pid of the first process, 0 when there is none.
    pub fn pid(&self) -> i32 {
        match self.status {
            Status::Running | Status::Paused => self.init.as_ref().map_or(0, |init| init.pid),
            _ => 0,
        }
    }

    /// Docker's sentence: `Up 5 minutes`, `Exited (0) 2 hours ago`.
    pub fn sentence(&self, now: Timestamp) -> String {
        let since = |text: &str| {
            let time = Timestamp::parse(text).unwrap_or(now);
            crate::format::duration::human(time.until(now))
        };
        match self.status {
            Status::Created => "Created".into(),
            Status::Running => format!("Up {}", since(&self.started)),
            Status::Paused => format!("Up {} (Paused)", since(&self.started)),
            Status::Restarting => {
                format!("Restarting ({}) {} ago", self.exit_code, since(&self.finished))
            }
            Status::Exited => format!("Exited ({}) {} ago", self.exit_code, since(&self.finished)),
        }
    }
}

/// The file that tells whether a process's cgroup is frozen, of whichever runtime made it.
pub fn freezer_of(pid: i32) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let path = |controller: &str| {
        let mut lines = text.lines().map(|line| line.splitn(3, ':').skip(1));
        lines.find_map(|mut fields| {
            let is = fields.next()?.split(',').any(|name| name == controller);
            fields.next().filter(|_| is)
        })
    };
    let v1 = path("freezer").map(|path| format!("/sys/fs/cgroup/freezer{path}/freezer.state"));
    let v2 = || path("").map(|path| format!("/sys/fs/cgroup{path}/cgroup.freeze"));
    v1.or_else(v2).unwrap_or_default()
}

/// Whether the container's cgroup is frozen: one small file, no runtime call.
pub fn is_frozen(state: &State) -> bool {
    if state.freezer.is_empty() {
        return false;
    }
    let text = std::fs::read_to_string(&state.freezer).unwrap_or_default();
    matches!(text.trim_end(), "FROZEN" | "FREEZING" | "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_dockers() {
        let now = Timestamp::parse("2026-01-02T00:00:00Z").unwrap();
        let state = |status, time: &str| State {
            status,
            started: time.into(),
            finished: time.into(),
            exit_code: 3,
            ..State::default()
        };
        let words = |status| state(status, "2026-01-01T22:00:00Z").sentence(now);
        assert_eq!(words(Status::Created), "Created");
        assert_eq!(words(Status::Running), "Up 2 hours");
        assert_eq!(words(Status::Paused), "Up 2 hours (Paused)");
        assert_eq!(words(Status::Exited), "Exited (3) 2 hours ago");
    }

    #[test]
    fn a_lost_container_has_ended() {
        let mut state =
            State { status: Status::Running, started: "2026".into(), ..State::default() };
        state.lose();
        assert_eq!((state.status, state.exit_code, state.pid()), (Status::Exited, 255, 0));
        assert_eq!(state.finished, "2026");
    }
}
