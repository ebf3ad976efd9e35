//! The life of a container as its monitor sees it: start, watch, end, perhaps again.
//! What arrives meanwhile is [`turn`]'s.

mod turn;

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use libcontainer::sys::clone::WaitStatus;
use libcontainer::sys::image;
use libcontainer::sys::tty::{self, WinSize};

use super::clients::Clients;
use super::launch::{self, Streams};
use super::log::{self, Log, Settings};
use super::policy::{Backoff, End, Policy};
use super::wire::{self, Down};
use super::{own_id, prepare};
use crate::Context;
use crate::container::record::Record;
use crate::container::state::{State, Status, freezer_of};
use crate::container::{Container, rm};
use crate::error::Result;
use crate::format::time::Timestamp;
use crate::net;

/// How long after its start a container counts as settled.
const SETTLING: Duration = Duration::from_secs(1);

/// Everything that a monitor knows.
pub(super) struct Monitor<'a> {
    /// A container has one monitor.
    _only: File,
    /// We were told to end, as the machine goes down: nothing is started again, but the next boot
    /// will.
    machine_ends: bool,
    context: &'a Context,
    /// This program on disk.
    program: &'a Path,
    container: Container,
    record: Record,
    state: State,
    policy: Policy,
    clients: Clients,
    listener: OwnedFd,
    signals: OwnedFd,
    log: Log,
    streams: Streams,
    /// Bytes on their way to stdin.
    input: Vec<u8>,
    /// stdin is to be closed once they are written.
    input_ends: bool,
    /// Nobody has the program's side of the terminal open.
    hung_up: bool,
    size: Option<WinSize>,
}

impl<'a> Monitor<'a> {
    /// Reads what was asked, and opens what the container needs all its life.
    ///
    /// # Errors
    /// The record is damaged; the log cannot be written.
    pub(super) fn new(
        (context, program): (&'a Context, &'a Path),
        container: Container,
        signals: OwnedFd,
    ) -> Result<Self> {
        let record = container.record()?;
        let only = only(&container)?;
        let mut state = container.recorded_state()?;
        let log = Log::open(log::path(&container.dir, &record.id), Settings::of(&record)?)?;
        if state.status.is_live() {
            // Its monitor was killed: nobody shall hear that it runs before it does.
            state.lose();
        }
        state.monitor = Some(own_id()?);
        state.stopped_by_user = false;
        state.restart_count = 0;
        let policy = Policy::parse(&record.flags.basics.restart)?;
        // Before anything is made that somebody would have to take away if we are killed.
        container.save_state_for_now(&state)?;
        make_private(&container.live)?;
        let listener = wire::listen(&container.live)?;
        Ok(Self {
            _only: only,
            machine_ends: false,
            context,
            program,
            container,
            record,
            state,
            policy,
            clients: Clients::default(),
            listener,
            signals,
            log,
            streams: Streams::default(),
            input: Vec::new(),
            input_ends: false,
            hung_up: false,
            size: None,
        })
    }

    /// The whole life; the number is the exit code of this process.
    pub(super) fn live(mut self, first: OwnedFd) -> u8 {
        self.clients.add(first);
        // Its greeting was sent before we were born.
        self.hear(0);
        let outcome = self.lives();
        let message = match &outcome {
            Ok(code) => Down::Ended(*code),
            Err(error) => Down::Failed(error.into()),
        };
        // Nobody sweeps what we are about to clear; who has the lock waits for our end.
        let _lock = self.container.lock_if_free();
        // What cannot be set aside stays a container, which `rm` removes.
        let removed =
            self.record.flags.basics.rm && rm::forget(self.context, &self.container, true).is_ok();
        self.clients.tell(&message);
        self.clear();
        if removed {
            rm::clear(self.context, &self.container, true);
        }
        // Nobody new is let in; who reads slowly still gets everything.
        let _ = crate::fsutil::remove_tree(&self.container.live);
        self.clients.close_idle();
        while self.clients.is_behind() {
            self.turn(-1);
            self.clients.close_idle();
        }
        0
    }

    /// Runs the container until it has ended for good; its exit code.
    fn lives(&mut self) -> Result<i32> {
        // Volumes that are mounts are shared by containers, so they are mounted on the machine;
        // what fails here fails again, and is told, in `prepare`.
        let _ = crate::volume::activate(&self.context.paths, &self.record.mounts);
        // In the machine's own mounts: ours are cut off from here on.
        if let Err(error) = crate::volume::shared::check(&self.record.mounts) {
            self.fail(&error);
            return Err(error);
        }
        prepare::leave_mounts(&self.container.live, &self.record)?;
        let mut backoff = Backoff::default();
        loop {
            let began = Instant::now();
            let code = match self.run() {
                Ok(code) => code,
                Err(error) => {
                    self.fail(&error);
                    return Err(error);
                }
            };
            let on_purpose = self.state.stopped_by_user;
            let count = self.state.restart_count;
            let again = !self.machine_ends && self.policy.again(End { code, on_purpose, count });
            self.end(code, again);
            if !again || !self.wait(backoff.next(began.elapsed())) {
                return Ok(code);
            }
            self.clear();
            self.state.restart_count += 1;
        }
    }

    /// Starts the program and watches it until it ends.
    fn run(&mut self) -> Result<i32> {
        // What a monitor that was killed left of its container.
        if self.state.init.take().is_some() {
            self.clear();
        }
        let prepared =
            prepare::prepare((self.context, self.program), &self.container, &self.record)?;
        let mut launched = launch::create(self.context, &self.record, &prepared)?;
        let netns = format!("/proc/{}/ns/net", launched.init.pid);
        let id = &self.record.id;
        let attached = net::up(&self.context.paths, prepared.net, id, netns.as_ref())?;
        self.state.network = network(self.context, &self.record)?;
        self.streams = std::mem::take(&mut launched.streams);
        if let Some(terminal) = &self.streams.terminal {
            launch::nonblocking(terminal)?;
            if let Some(size) = self.size {
                // A program that has ended has no terminal any more.
                let _ = tty::set_winsize(terminal, size);
            }
        }
        self.hung_up = false;
        launched.start()?;
        let pid = launched.init.pid;
        self.state.freezer = freezer_of(pid);
        self.state.init = Some(launched.init.clone());
        self.state.status = Status::Running;
        self.state.started = Timestamp::now().to_string();
        self.state.error.clear();
        self.state.oom_killed = false;
        self.container.save_state(&self.state)?;
        self.clients.tell(&Down::Started);
        let status = self.until_end(pid);
        self.drain();
        // The ports are free from here on.
        drop(attached);
        Ok(status.code())
    }

    /// Turns until the program ends. Most containers live long and say little: once this one has
    /// settled down, what only the start needed is given back.
    fn until_end(&mut self, pid: i32) -> WaitStatus {
        let mut settled = Some(Instant::now() + SETTLING);
        loop {
            let patience = settled.map_or(-1, |at| millis(at.duration_since(Instant::now())));
            if let Some(status) = self.turn(patience).and_then(|mut ended| ended.remove(&pid)) {
                return status;
            }
            if settled.is_some_and(|at| at <= Instant::now()) {
                settled = None;
                // Not to get it back costs nothing but the memory.
                let _ = image::give_back();
            }
        }
    }

    /// Writes down how it ended, before anything of it goes.
    fn end(&mut self, code: i32, again: bool) {
        self.state.oom_killed = oom_killed(self.context, &self.record);
        self.state.status = if again { Status::Restarting } else { Status::Exited };
        self.state.exit_code = code;
        self.state.finished = Timestamp::now().to_string();
        self.save();
    }

    /// Writes down why it could not be started.
    fn fail(&mut self, error: &crate::Error) {
        let never = self.state.started.is_empty();
        self.state.status = if never { Status::Created } else { Status::Exited };
        self.state.exit_code = error.code.into();
        self.state.error = error.to_string();
        self.save();
        self.clear();
    }

    /// What the runtime, the network and the kernel keep of the container goes.
    fn clear(&mut self) {
        launch::delete(self.context, &self.record);
        prepare::unmount_all(&self.container);
    }

    /// A disk that is full must not end the container; `ps` sees that the monitor is gone.
    fn save(&self) {
        let _ = self.container.save_state(&self.state);
    }

    /// Waits before the next start; `false` when somebody stops it meanwhile.
    fn wait(&mut self, length: Duration) -> bool {
        let until = Instant::now() + length;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            self.turn(millis(left));
            if self.state.stopped_by_user || self.machine_ends {
                self.state.status = Status::Exited;
                self.save();
                return false;
            }
        }
        true
    }
}

/// A time to wait, as poll(2) takes it: never shorter.
fn millis(length: Duration) -> i32 {
    i32::try_from(length.as_millis().saturating_add(1)).unwrap_or(i32::MAX)
}

/// How long a monitor that was killed may still be about.
const LINGER: Duration = Duration::from_secs(10);

/// Takes the place of the container's monitor.
fn only(container: &Container) -> Result<File> {
    use crate::error::What;
    let what = || format!("cannot start container {}", container.id);
    let file = File::create(container.dir.join("monitor")).what(what)?;
    let begun = Instant::now();
    while file.try_lock().is_err() {
        if begun.elapsed() > LINGER {
            return Err(crate::Error::new(what())
                .why("it has a monitor already")
                .fix("pier check --repair"));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(file)
}

/// Only root may look at sockets and mounts.
fn make_private(dir: &Path) -> Result<()> {
    use crate::error::What;
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.what(|| format!("cannot make {}", dir.display()))
}

/// What the container has on its network, for `ps` and `inspect`.
fn network(context: &Context, record: &Record) -> Result<serde_json::Value> {
    let endpoint = net::endpoint_of(&context.paths, &record.id)?;
    let ports = endpoint.as_ref().map_or(&[][..], |endpoint| &endpoint.ports);
    let summary = net::ports::column(ports, &record.net.expose);
    Ok(serde_json::json!({ "Summary": summary, "Endpoint": endpoint }))
}

fn oom_killed(context: &Context, record: &Record) -> bool {
    let state = Container::store(context).load(&record.id).ok();
    let cgroup = state.and_then(|state| state.cgroup);
    cgroup.is_some_and(|cgroup| libcontainer::cgroup::Cgroup::open(&cgroup).oom_killed())
}
