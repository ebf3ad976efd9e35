//! A container that was created, and what its probe reported.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    bundle::Bundle,
    case::{Not, Verdict, ensure, fail},
    host::{Mount, mounts},
    runtime::Said,
    world::{Exit, TICK, wait_orphan},
};

/// How long a probe may take to answer all its questions.
const LIMIT: Duration = Duration::from_secs(15);

/// A created container; its bundle is removed with it.
pub(crate) struct Container<'r> {
    pub(crate) bundle: Bundle<'r>,
    /// The container process, in our pid namespace.
    pub(crate) pid: i32,
}

impl<'r> Container<'r> {
    /// Reads the process id out of the state of a container that was just created.
    ///
    /// # Errors
    /// The runtime does not say one.
    pub(crate) fn of(bundle: Bundle<'r>) -> Result<Self, Not> {
        let state = bundle.runtime.state(&bundle.id)?;
        let pid = state["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).unwrap_or(0);
        ensure!(pid > 0, "state after create has no pid: {state}");
        Ok(Self { bundle, pid })
    }

    /// Calls a verb with this container's id.
    ///
    /// # Errors
    /// The program cannot be run.
    pub(crate) fn call(&self, verb: &str, extra: &[&str]) -> Result<Said, Not> {
        let mut args = vec![verb, &self.bundle.id];
        args.extend(extra);
        Ok(self.bundle.runtime.call(&args)?)
    }

    /// Calls a verb that must succeed.
    ///
    /// # Errors
    /// It did not.
    pub(crate) fn must(&self, verb: &str, extra: &[&str]) -> Verdict {
        let said = self.call(verb, extra)?;
        ensure!(said.ok(), "`{verb}`: {}", said.words());
        Ok(())
    }

    /// Starts it.
    ///
    /// # Errors
    /// The runtime refused.
    pub(crate) fn start(&mut self) -> Verdict {
        self.must("start", &[])
    }

    /// Its state document.
    ///
    /// # Errors
    /// The runtime refused.
    pub(crate) fn state(&self) -> Result<Value, Not> {
        self.bundle.runtime.state(&self.bundle.id)
    }

    /// The `status` of its state.
    ///
    /// # Errors
    /// The runtime refused.
    pub(crate) fn status(&self) -> Result<String, Not> {
        Ok(self.state()?["status"].as_str().unwrap_or("(none)").to_owned())
    }

    /// Its status must be this.
    ///
    /// # Errors
    /// It is another.
    pub(crate) fn is(&self, status: &str) -> Verdict {
        let now = self.status()?;
        ensure!(now == status, "status is {now}, not {status}");
        Ok(())
    }

    /// Waits for the end of the container process.
    ///
    /// # Errors
    /// It does not end.
    pub(crate) fn wait(&self) -> Result<Exit, Not> {
        wait_orphan(self.pid, LIMIT)
            .map_err(|e| Not::Fail(format!("{e}; it said {:?}", self.said())))
    }

    /// What the container process has printed so far, with the runtime's own words.
    pub(crate) fn said(&self) -> String {
        let err = self.bundle.files.err();
        self.bundle.files.out() + &err
    }

    /// Waits until the probe has answered what stands before its `hold`.
    ///
    /// # Errors
    /// It does not get there.
    pub(crate) fn holds(&self) -> Verdict {
        let deadline = Instant::now() + LIMIT;
        while Instant::now() < deadline {
            if self.bundle.files.out().contains("\"holding\"") {
                return Ok(());
            }
            thread::sleep(TICK);
        }
        fail!("the probe did not come to its hold; it said {:?}", self.said())
    }

    /// Starts it and waits for the probe's `hold`.
    ///
    /// # Errors
    /// The runtime refused, or the probe does not get there.
    pub(crate) fn start_and_hold(&mut self) -> Verdict {
        self.start()?;
        self.holds()
    }

    /// Waits for its end and reads the answers.
    ///
    /// # Errors
    /// It does not end.
    pub(crate) fn finish(self) -> Result<Ran<'r>, Not> {
        let exit = self.wait()?;
        Ok(Ran { facts: Facts::parse(&self.bundle.files.out()), exit, container: self })
    }

    /// The answers given so far.
    pub(crate) fn facts(&self) -> Facts {
        Facts::parse(&self.bundle.files.out())
    }

    /// Ends it by force and waits for that.
    ///
    /// # Errors
    /// It cannot be killed.
    pub(crate) fn kill(&self) -> Verdict {
        self.must("kill", &["KILL"])?;
        self.wait()?;
        Ok(())
    }

    /// A namespace of the container process, as `/proc` names it.
    ///
    /// # Errors
    /// The process is gone.
    pub(crate) fn namespace(&self, kind: &str) -> Result<String, Not> {
        let link = fs::read_link(format!("/proc/{}/ns/{kind}", self.pid))?;
        Ok(link.to_string_lossy().into_owned())
    }

    /// The mount table that the container process sees.
    ///
    /// # Errors
    /// The process is gone.
    pub(crate) fn mounts(&self) -> Result<Vec<Mount>, Not> {
        Ok(mounts(&fs::read_to_string(format!("/proc/{}/mountinfo", self.pid))?))
    }

    /// A file of its `/proc/PID`.
    ///
    /// # Errors
    /// The process is gone.
    pub(crate) fn proc(&self, file: &str) -> Result<String, Not> {
        Ok(fs::read_to_string(format!("/proc/{}/{file}", self.pid))?)
    }
}

/// A container that has ended, with its answers.
pub(crate) struct Ran<'r> {
    pub(crate) container: Container<'r>,
    pub(crate) facts: Facts,
    pub(crate) exit: Exit,
}

/// The answers of one probe, by question.
pub(crate) struct Facts(Vec<Value>);

impl Facts {
    /// Reads one JSON object per line; other lines are none.
    pub(crate) fn parse(text: &str) -> Self {
        Self(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// The whole answer to a question.
    fn find(&self, question: &str) -> Result<&Value, Not> {
        self.0.iter().find(|fact| fact["ask"] == question).ok_or_else(|| {
            Not::Fail(format!("the container did not get to answer `{question}`: {:?}", self.0))
        })
    }

    /// The answer to a question that must have one.
    ///
    /// # Errors
    /// It was not answered, or with an error.
    pub(crate) fn ok(&self, question: &str) -> Result<&Value, Not> {
        let fact = self.find(question)?;
        match fact["err"].as_str() {
            Some(errno) => Err(Not::Fail(format!("inside, `{question}`: {errno}"))),
            None => Ok(&fact["ok"]),
        }
    }

    /// A textual answer, without blanks at its ends.
    ///
    /// # Errors
    /// It was not answered, or with an error.
    pub(crate) fn text(&self, question: &str) -> Result<&str, Not> {
        Ok(self.ok(question)?.as_str().unwrap_or_default().trim())
    }

    /// The name of the error a question was answered with; none if it worked.
    ///
    /// # Errors
    /// It was not answered.
    pub(crate) fn errno(&self, question: &str) -> Result<Option<&str>, Not> {
        Ok(self.find(question)?["err"].as_str())
    }

    /// The answer must be this.
    ///
    /// # Errors
    /// It is another.
    pub(crate) fn same(&self, question: &str, wanted: &Value) -> Verdict {
        let got = self.ok(question)?;
        ensure!(got == wanted, "inside, `{question}` is {got}, not {wanted}");
        Ok(())
    }

    /// A mount of the table asked for by `read /proc/self/mountinfo`; the last one at that place.
    ///
    /// # Errors
    /// Nothing is mounted there.
    pub(crate) fn mount(&self, point: &str) -> Result<Mount, Not> {
        let table = mounts(self.text("read /proc/self/mountinfo")?);
        let found = table.into_iter().rfind(|mount| mount.point == point);
        found.ok_or_else(|| Not::Fail(format!("nothing is mounted at {point}")))
    }
}
