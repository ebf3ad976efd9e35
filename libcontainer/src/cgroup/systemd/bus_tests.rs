//! The conversation, against a server of the test's own on the other end of a socket.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

use super::*;

const METHOD: Method = Method { destination: "a.b", path: "/", interface: "c.d", member: "Do" };

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(300)
}

/// A server that greets, then does as the test says.
fn server(
    work: impl FnOnce(&mut UnixStream) + Send + 'static,
) -> (OwnedFd, JoinHandle<()>, PathBuf) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = env::temp_dir().join(format!("corten-bus-{}-{next}", std::process::id()));
    let listener = UnixListener::bind(&path).unwrap();
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut greeting = [0; 29];
        stream.read_exact(&mut greeting).unwrap();
        assert_eq!(&greeting, b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n");
        stream.write_all(b"DATA\r\nOK 0123456789abcdef\r\n").unwrap();
        work(&mut stream);
    });
    let socket = socket(&format!("unix:path={}", path.display()), soon()).unwrap();
    (socket, thread, path)
}

fn bus(socket: OwnedFd, until: Instant) -> Bus {
    let (inbox, replies, signals) = (Vec::new(), Vec::new(), VecDeque::new());
    Bus { socket, until, inbox, serial: 0, replies, signals }
}

/// A message that a server sends: our own call with another type, which has no reply serial.
fn incoming(kind: u8, answers: u32, body: &[Value]) -> Vec<u8> {
    let mut bytes = message::call(answers, METHOD, body);
    bytes[1] = kind;
    bytes
}

#[test]
fn a_call_that_nobody_answers_ends_at_the_deadline() {
    let (socket, thread, path) = server(|stream| {
        let _all = stream.read_to_end(&mut Vec::new());
    });
    let mut bus = bus(socket, soon());
    bus.greet(false).unwrap();
    assert!(matches!(bus.call(METHOD, &[]), Err(Trouble::Silence)));
    drop(bus);
    thread.join().unwrap();
    std::fs::remove_file(path).unwrap();
}

/// A bus that hangs uses the whole deadline: the next address is not tried after it.
#[test]
fn a_bus_that_hangs_is_silence() {
    let path = env::temp_dir().join(format!("corten-bus-{}-hung", std::process::id()));
    let _silent = UnixListener::bind(&path).unwrap();
    let hung = (format!("unix:path={}", path.display()), true);
    let refused = Bus::first_of(vec![hung, ("unix:path=/none".to_owned(), false)], soon());
    assert!(matches!(refused, Err(Trouble::Silence)));
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_server_that_leaves_is_told_apart() {
    let (socket, thread, path) = server(|_| {});
    let mut bus = bus(socket, soon());
    bus.greet(false).unwrap();
    thread.join().unwrap();
    assert!(matches!(bus.call(METHOD, &[]), Err(Trouble::Io(_))));
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_signal_that_came_early_is_kept_and_bytes_may_come_in_pieces() {
    let (socket, thread, path) = server(|stream| {
        for message in [incoming(4, 9, &[Value::text("early")]), incoming(4, 9, &[Value::U32(5)])] {
            for piece in message.chunks(7) {
                stream.write_all(piece).unwrap();
            }
        }
        let _all = stream.read_to_end(&mut Vec::new());
    });
    let mut bus = bus(socket, soon());
    bus.greet(false).unwrap();
    bus.receive().unwrap();
    let number = |signal: &Message| match signal.body[..] {
        [Value::U32(number)] => Some(number),
        _ => None,
    };
    assert_eq!(bus.signal(number).unwrap(), 5);
    assert!(matches!(bus.signal(number), Err(Trouble::Silence)));
    drop(bus);
    thread.join().unwrap();
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_server_that_rejects_us_is_told() {
    let (client, mut other) = UnixStream::pair().unwrap();
    client.set_nonblocking(true).unwrap();
    other.write_all(b"REJECTED KERBEROS\r\n").unwrap();
    let mut bus = bus(client.into(), soon());
    let refused = bus.greet(false);
    assert!(matches!(refused, Err(Trouble::Refused(_, words)) if words.contains("KERBEROS")));
}

#[test]
fn nonsense_is_no_message() {
    let (client, mut other) = UnixStream::pair().unwrap();
    client.set_nonblocking(true).unwrap();
    other.write_all(&[b'x'; 64]).unwrap();
    let mut bus = bus(client.into(), soon());
    assert!(matches!(bus.receive(), Err(Trouble::Io(_))));
}

#[test]
fn addresses_are_tried_in_order() {
    let set = |name: &str| match name {
        "DBUS_SESSION_BUS_ADDRESS" => Some("unix:path=/bus".to_owned()),
        "XDG_RUNTIME_DIR" => Some("/run/user/a,b".to_owned()),
        _ => None,
    };
    let user: Vec<_> = addresses(true, set).into_iter().map(|(address, _)| address).collect();
    let dir = "unix:path=/run/user/a%2cb";
    assert_eq!(user[0], "unix:path=/bus");
    assert_eq!(user[1..], [format!("{dir}/bus"), format!("{dir}/systemd/private")]);
    assert_eq!(addresses(true, |_| None), []);
    let system = addresses(false, |_| None);
    assert_eq!(system[0], (SYSTEM_BUS.to_owned(), true));
    assert_eq!(system[1], (SYSTEM_MANAGER.to_owned(), false));
}

#[test]
fn names_of_sockets_are_read() {
    assert_eq!(socket_name("unix:path=/run/user/a%2cb/bus,guid=1").unwrap(), b"/run/user/a,b/bus");
    assert_eq!(socket_name("unix:abstract=x").unwrap(), b"\0x");
    for none in ["tcp:host=h", "unix:tmpdir=/tmp", "unix:path=%2", "unix:path=%zz", ""] {
        assert_eq!(socket_name(none), None, "{none}");
    }
}

/// A reply to the call with this serial; with a path in it, or empty (D-Bus specification, "Message Format").
fn reply(to: u32, path: &str) -> Vec<u8> {
    let number = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
    let body = match path {
        "" => Vec::new(),
        path => [&number(path.len())[..], path.as_bytes(), b"\0"].concat(),
    };
    let mut fields = [&[5, 1, b'u', 0][..], &to.to_le_bytes()].concat();
    if !path.is_empty() {
        fields.extend([8, 1, b'g', 0, 1, b'o', 0]);
    }
    let mut bytes =
        [&b"l\x02\0\x01"[..], &number(body.len()), &number(90), &number(fields.len())].concat();
    bytes.extend(fields);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes.extend(body);
    bytes
}

/// systemd takes a job and falls silent: the deadline holds, and the words name unit, job and phase.
#[test]
fn a_job_that_does_not_end_is_given_up() {
    use crate::cgroup::systemd::{Talk, end_of, manager};
    let (socket, thread, path) = server(|stream| {
        for message in [reply(1, ""), reply(2, ""), reply(3, "/org/freedesktop/systemd1/job/7")] {
            stream.write_all(&message).unwrap();
        }
        let _all = stream.read_to_end(&mut Vec::new());
    });
    let mut bus = bus(socket, soon());
    bus.greet(false).unwrap();
    let mut talk = Talk { unit: "cit.scope", user: true, bus };
    let job = talk.job(manager("StartTransientUnit"), &[]).unwrap();
    let trouble = talk.finish(&job).unwrap_err();
    assert!(matches!(trouble, Trouble::Silence), "{trouble:?}");
    let error = talk.explain(&end_of("start", &job), trouble).to_string();
    let wanted = "systemd unit cit.scope: end of start job /org/freedesktop/systemd1/job/7: no answer \
                  on the user's bus for 30 seconds";
    assert!(error.contains(wanted), "{error}");
    drop(talk);
    thread.join().unwrap();
    std::fs::remove_file(path).unwrap();
}
