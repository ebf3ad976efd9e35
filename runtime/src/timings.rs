//! `--timings FILE`: when each step began and ended, in the Chrome trace format.
//!
//! Opens in `chrome://tracing`, Perfetto and speedscope. Format: "Trace Event Format", the JSON
//! object form with complete events (`"ph": "X"`), times in microseconds.

use std::fs;
use std::path::Path;

use libcontainer::create::StepTime;
use libcontainer::sys::clone::getpid;
use libcontainer::sys::shared::monotonic_ns;
use libcontainer::{At, Result, Step};
use serde::Serialize;

use crate::output::{Level, kebab};
use crate::settings::Settings;

/// Something that took time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    name: String,
    /// Begin and end on the monotonic clock, in ns.
    begin: u64,
    end: u64,
    /// Who did it: the runtime's or init's pid.
    pid: i32,
}

/// The events of one command.
#[derive(Debug, Default)]
pub(crate) struct Timings(Vec<Event>);

impl Timings {
    /// Runs `work` and notes how long it took.
    pub(crate) fn measure<T>(&mut self, name: &str, work: impl FnOnce() -> T) -> T {
        let begin = monotonic_ns();
        let done = work();
        let (end, pid) = (monotonic_ns(), getpid());
        self.0.push(Event { name: name.to_owned(), begin, end, pid });
        done
    }

    /// Notes the steps of init, the process `pid`.
    pub(crate) fn steps(&mut self, times: &[StepTime], pid: i32) {
        self.0.extend(times.iter().map(|time| Event {
            name: kebab(time.step),
            begin: time.begin_ns,
            end: time.end_ns,
            pid,
        }));
    }

    /// Tells all where it was asked for: in the file, and with `--debug` in the log. What was
    /// measured has happened; a file that cannot be written only warns.
    pub(crate) fn tell(&self, settings: &Settings) {
        let log = &settings.log;
        if log.wants(Level::Debug) {
            for Event { name, begin, end, pid } in &self.0 {
                let us = end.saturating_sub(*begin) / 1000;
                log.say(Level::Debug, &format!("{name}: {us} us in process {pid}"));
            }
        }
        let written = settings.timings.as_ref().map(|path| write(path, &self.0));
        if let Some(Err(error)) = written {
            log.say(Level::Warning, &error.to_string());
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Trace<'a> {
    trace_events: Vec<Complete<'a>>,
    display_time_unit: &'static str,
}

#[derive(Serialize)]
struct Complete<'a> {
    name: &'a str,
    ph: &'static str,
    ts: f64,
    dur: f64,
    pid: i32,
    tid: i32,
}

fn write(path: &Path, events: &[Event]) -> Result<()> {
    fs::write(path, render(events)).at(Step::Output, || format!("timings {}", path.display()))
}

fn render(events: &[Event]) -> Vec<u8> {
    let trace_events = events.iter().map(|event| Complete {
        name: &event.name,
        ph: "X",
        ts: microseconds(event.begin),
        dur: microseconds(event.end.saturating_sub(event.begin)),
        pid: event.pid,
        tid: event.pid,
    });
    let trace = Trace { trace_events: trace_events.collect(), display_time_unit: "ns" };
    // Strings and finite numbers always serialize.
    serde_json::to_vec(&trace).unwrap_or_default()
}

/// Exact below 2^53 ns, which is 104 days of uptime, and to a few ns beyond.
#[expect(clippy::cast_precision_loss, reason = "the format wants a number with a fraction")]
fn microseconds(ns: u64) -> f64 {
    ns as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_has_begin_and_duration_in_microseconds() {
        let event = Event { name: "mount".into(), begin: 1_234_567, end: 1_324_067, pid: 42 };
        let text = String::from_utf8(render(&[event])).unwrap();
        assert_eq!(
            text,
            r#"{"traceEvents":[{"name":"mount","ph":"X","ts":1234.567,"dur":89.5,"pid":42,"tid":42}],"displayTimeUnit":"ns"}"#
        );
    }
}
