//! A manager and a container on either side of the proxy.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use super::*;
use crate::sys::clone::pidfd_open;

/// A state directory longer than any socket address, and a manager in it.
struct Stage(PathBuf);

impl Stage {
    fn new(name: &str) -> (Self, UnixDatagram, PathBuf) {
        let dir = std::env::temp_dir()
            .join(format!("corten-notify-{name}-{}", std::process::id()))
            .join("s".repeat(120));
        fs::create_dir_all(&dir).unwrap();
        make_dir(&dir).unwrap();
        let manager = dir.parent().unwrap().join("manager.sock");
        let socket = UnixDatagram::bind(&manager).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        (Self(dir), socket, manager)
    }

    /// Speaks as the container does.
    fn say(&self, message: &[u8]) {
        let dir = fs::File::open(host_dir(&self.0)).unwrap();
        let path = format!("/proc/self/fd/{}/{SOCKET}", std::os::fd::AsRawFd::as_raw_fd(&dir));
        UnixDatagram::unbound().unwrap().send_to(message, path).unwrap();
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        fs::remove_dir_all(self.0.parent().unwrap()).ok();
    }
}

fn heard(manager: &UnixDatagram) -> String {
    let mut message = [0; 256];
    let length = manager.recv(&mut message).unwrap();
    String::from_utf8_lossy(&message[..length]).into_owned()
}

#[test]
fn ready_is_a_line_of_its_own() {
    for message in ["READY=1", "READY=1\n", "STATUS=up\nREADY=1\nX=1", "\nREADY=1"] {
        assert!(says_ready(message.as_bytes()), "{message:?}");
    }
    for message in ["", "READY=0", "READY=11", "STATUS=READY=1", " READY=1", "READY=1\r\n"] {
        assert!(!says_ready(message.as_bytes()), "{message:?}");
    }
    assert!(!says_ready(b"\xff\xfe"));
}

#[test]
fn only_readiness_is_passed_on_and_once() {
    let (stage, manager, path) = Stage::new("forward");
    let mut proxy = Proxy::listen(&stage.0, path.as_os_str()).unwrap();
    assert!(!proxy.forward(42).unwrap());
    stage.say(b"MAINPID=1\nFDSTORE=1");
    stage.say(&[b'x'; 5000]);
    assert!(!proxy.forward(42).unwrap());
    stage.say(b"STATUS=here\nREADY=1\nMAINPID=1");
    stage.say(b"READY=1");
    assert!(proxy.forward(42).unwrap() && proxy.is_ready());
    assert_eq!(heard(&manager), "READY=1\nMAINPID=42\n");
    manager.set_nonblocking(true).unwrap();
    assert!(manager.recv(&mut [0; 8]).is_err());
    let socket = fs::metadata(host_dir(&stage.0).join(SOCKET)).unwrap();
    assert_eq!(socket.permissions().mode() & 0o777, 0o777);
}

#[test]
fn barriers_are_answered_on_both_sides() {
    let (stage, manager, path) = Stage::new("barrier");
    let mut proxy = Proxy::listen(&stage.0, path.as_os_str()).unwrap();
    let own = pidfd_open(i32::try_from(std::process::id()).unwrap()).unwrap();
    // The container's own barrier: closed once it was read.
    let (here, there) = fd::pipe().unwrap();
    let container = fd::unix_datagram().unwrap();
    let dir = open_path(host_dir(&stage.0).as_os_str()).unwrap();
    let mut buffer = [0; fd::PROC_FD_PATH];
    let address = [fd::proc_fd_path(&dir, &mut buffer).to_bytes(), b"/notify.sock"].concat();
    fd::connect_unix(&container, &address).unwrap();
    fd::send_with_fd(&container, b"BARRIER=1", Some(there.as_fd())).unwrap();
    drop(there);
    assert!(!proxy.forward(7).unwrap());
    assert_eq!(fd::poll(&mut [PollFd::new(here.as_fd(), 0)], 0).unwrap(), 1);
    // Ours: the wait ends when the manager has read everything.
    stage.say(b"READY=1");
    let waiting = std::thread::spawn(move || proxy.wait(7, own.as_fd()).unwrap());
    assert_eq!(heard(&manager), "READY=1\nMAINPID=7\n");
    let mut message = [0; 32];
    let (length, file) = fd::recv_with_fd(&manager, &mut message).unwrap();
    assert_eq!(&message[..length], b"BARRIER=1");
    std::thread::sleep(Duration::from_millis(30));
    assert!(!waiting.is_finished());
    drop(file);
    assert!(waiting.join().unwrap());
}

#[test]
fn a_manager_without_barriers_costs_its_time_only() {
    let (one, _other) = UnixDatagram::pair().unwrap();
    let begun = Instant::now();
    barrier(&OwnedFd::from(one), 30).unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(30));
}

#[test]
fn the_end_of_the_container_ends_the_wait() {
    let (stage, manager, path) = Stage::new("end");
    let listen = || Proxy::listen(&stage.0, path.as_os_str()).unwrap();
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let pidfd = pidfd_open(i32::try_from(child.id()).unwrap()).unwrap();
    assert!(!listen().wait(9, pidfd.as_fd()).unwrap());
    // Its last words count.
    let proxy = listen();
    stage.say(b"READY=1");
    let answer = std::thread::spawn(move || {
        let told = heard(&manager);
        fd::recv_with_fd(&manager, &mut [0; 32]).unwrap();
        told
    });
    assert!(proxy.wait(9, pidfd.as_fd()).unwrap());
    assert_eq!(answer.join().unwrap(), "READY=1\nMAINPID=9\n");
    child.wait().unwrap();
}

#[test]
fn addresses() {
    let parse = |text: &'static str| Address::parse(OsStr::new(text));
    assert_eq!(parse("@name"), Some(Address::Abstract(b"name")));
    assert_eq!(parse("/run/x"), Some(Address::Path(OsStr::new("/run/x"))));
    for text in ["", "@", "run/x", "vsock:2:1234"] {
        assert_eq!(parse(text), None, "{text}");
    }
    let (stage, manager, path) = Stage::new("none");
    let error = Proxy::listen(&stage.0, OsStr::new("vsock:2:1")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "notify NOTIFY_SOCKET=vsock:2:1: is neither an absolute path nor an abstract socket \
         (@name)"
    );
    drop(manager);
    let error = Proxy::listen(&stage.0, path.as_os_str()).unwrap_err();
    assert!(error.to_string().ends_with("connection refused"), "{error}");
    let name = format!("corten-notify-test-{}", std::process::id());
    let _listener =
        UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    Proxy::listen(&stage.0, OsStr::new(&format!("@{name}"))).unwrap();
}
