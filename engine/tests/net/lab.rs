//! Namespaces to test in: each is a thread that entered a new one and runs what it is given.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use corten_engine::Paths;
use corten_engine::net::flags::{Asked, NetFlags};
use corten_engine::net::state::Endpoint;
use corten_engine::net::{self, Attached, ContainerNet};
use libcontainer::sys::clone::{CLONE_NEWNET, unshare};

type Job = Box<dyn FnOnce() + Send>;

/// A network namespace.
pub(crate) struct Space {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    /// `/proc/PID/task/TID/ns/net` of its thread.
    pub(crate) path: PathBuf,
}

impl Space {
    pub(crate) fn new() -> Self {
        let (jobs, todo) = channel::<Job>();
        let (told, path) = channel();
        let thread = thread::spawn(move || {
            unshare(CLONE_NEWNET).unwrap();
            told.send(std::fs::read_link("/proc/thread-self").unwrap()).unwrap();
            todo.into_iter().for_each(|job| job());
        });
        let path = PathBuf::from("/proc").join(path.recv().unwrap()).join("ns/net");
        let space = Self { jobs: Some(jobs), thread: Some(thread), path };
        space.sh("ip link set lo up");
        space
    }

    /// Runs in this namespace, and waits.
    pub(crate) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = channel();
        let job: Job = Box::new(move || drop(done.send(work())));
        self.jobs.as_ref().unwrap().send(job).unwrap();
        result.recv_timeout(Duration::from_secs(60)).expect("the job panicked or hangs")
    }

    /// A shell's output; its failure is the test's.
    pub(crate) fn sh(&self, line: &str) -> String {
        let line = line.to_owned();
        self.run(move || {
            let output = Command::new("sh").args(["-c", &line]).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{line}: {text}{said}");
            text
        })
    }

    /// Answers each connection to `port` with the caller's address; ends with the namespace.
    pub(crate) fn serve(&self, port: u16) {
        let listener = self.run(move || TcpListener::bind(("0.0.0.0", port)).unwrap());
        thread::spawn(move || {
            while let Ok((mut stream, from)) = listener.accept() {
                let _ = write!(stream, "{}", from.ip());
            }
        });
    }

    /// Answers each datagram with the sender's address.
    pub(crate) fn serve_udp(&self, port: u16) {
        let socket = self.run(move || UdpSocket::bind(("0.0.0.0", port)).unwrap());
        thread::spawn(move || {
            let mut buffer = [0; 64];
            while let Ok((_, from)) = socket.recv_from(&mut buffer) {
                let _ = socket.send_to(from.ip().to_string().as_bytes(), from);
            }
        });
    }

    /// What a server at `address` says; an error's kind otherwise.
    pub(crate) fn get(&self, address: &str) -> String {
        let address = address.parse().unwrap();
        self.run(move || {
            let text = TcpStream::connect_timeout(&address, Duration::from_secs(6)).and_then(
                |mut stream| {
                    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
                    let mut text = String::new();
                    stream.read_to_string(&mut text).map(|_| text)
                },
            );
            text.unwrap_or_else(|error| format!("{:?}", error.kind()))
        })
    }

    pub(crate) fn get_udp(&self, address: &str) -> String {
        let address = address.to_owned();
        self.run(move || {
            let from = if address.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
            let socket = UdpSocket::bind(from).unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(1500))).unwrap();
            socket.connect(&address).unwrap();
            let mut buffer = [0; 64];
            match socket.send(b"?").and_then(|_| socket.recv(&mut buffer)) {
                Ok(length) => String::from_utf8_lossy(&buffer[..length]).into_owned(),
                Err(error) => format!("{:?}", error.kind()),
            }
        })
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        drop(self.jobs.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// A host with directories of its own, and a neighbour on its uplink: 192.0.2.1 and 192.0.2.2.
pub(crate) struct Lab {
    pub(crate) host: Space,
    pub(crate) neighbour: Space,
    pub(crate) paths: Paths,
}

impl Lab {
    /// `None` where tests of this kind cannot run; says why.
    pub(crate) fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let has = |program: &str| {
            let sbin = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
            sbin.iter().any(|dir| PathBuf::from(dir).join(program).exists())
        };
        let lacks = |what: &str| -> Option<Self> {
            assert!(std::env::var_os("CI").is_none(), "in CI nothing is passed over: {what}");
            eprintln!("passed over: {what}");
            None
        };
        if !rustix::process::geteuid().is_root() {
            return lacks("needs root");
        }
        if let Some(program) = ["ip", "nft"].iter().find(|program| !has(program)) {
            return lacks(&format!("needs {program}"));
        }
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("pier-net-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let paths = Paths { root: directory.join("root"), run: directory.join("run") };
        std::fs::create_dir_all(paths.networks()).unwrap();
        let (host, neighbour) = (Space::new(), Space::new());
        let pid = neighbour.run(|| rustix::thread::gettid().as_raw_nonzero().get());
        host.sh(&format!(
            "ip link add up0 type veth peer name eth0 netns {pid} && ip addr add 192.0.2.1/24 dev up0 \
             && ip -6 addr add 2001:db8::1/64 dev up0 nodad && ip link set up0 up \
             && ip route add default via 192.0.2.2"
        ));
        neighbour.sh(
            "ip addr add 192.0.2.2/24 dev eth0 && ip -6 addr add 2001:db8::2/64 dev eth0 nodad \
             && ip link set eth0 up",
        );
        Some(Self { host, neighbour, paths })
    }

    /// Begins a container with these flags of `run`; its network is up.
    pub(crate) fn start(&self, flags: NetFlags) -> Container<'_> {
        self.try_start(flags).unwrap()
    }

    pub(crate) fn try_start(&self, flags: NetFlags) -> Result<Container<'_>, String> {
        let asked = flags.ask(&[], false).map_err(|error| error.to_string())?;
        let unique = std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap();
        let id = format!("{}{:0>32}", unique.trim().replace('-', ""), 0);
        let mut container =
            Container { lab: self, space: Space::new(), id, endpoint: None, attached: None };
        container.start(asked)?;
        Ok(container)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some(directory) = self.paths.root.parent() {
            let _ = std::fs::remove_dir_all(directory);
        }
    }
}

/// A container as far as the network is concerned.
pub(crate) struct Container<'a> {
    lab: &'a Lab,
    pub(crate) space: Space,
    pub(crate) id: String,
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) attached: Option<Attached>,
}

impl Container<'_> {
    fn start(&mut self, asked: Asked) -> Result<(), String> {
        let (paths, id) = (self.lab.paths.clone(), self.id.clone());
        let netns = self.space.path.clone();
        std::fs::create_dir_all(paths.container(&id)).unwrap();
        let started = self.lab.host.run(move || {
            let container = ContainerNet {
                id: &id,
                name: "web",
                hostname: "web",
                domainname: "",
                asked: &asked,
            };
            let plan = net::prepare(&paths, &container)?;
            let endpoint = plan.endpoint.clone();
            net::up(&paths, plan, &id, &netns).map(|attached| (endpoint, attached))
        });
        let (endpoint, attached) = started.map_err(|error| error.to_string())?;
        (self.endpoint, self.attached) = (endpoint, Some(attached));
        Ok(())
    }

    pub(crate) fn ip(&self) -> String {
        self.endpoint.as_ref().unwrap().ip.to_string()
    }

    /// One of the files that are bound: `hosts`, `resolv.conf`.
    pub(crate) fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.lab.paths.container(&self.id).join(name)).unwrap()
    }

    pub(crate) fn down(&mut self) {
        let (paths, id) = (self.lab.paths.clone(), self.id.clone());
        self.attached = None;
        self.lab.host.run(move || net::down(&paths, &id)).unwrap();
    }
}
