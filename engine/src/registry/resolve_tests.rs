//! Names looked up in files of the test, at a name server of the test.

use super::{Conf, Failed, Resolver, from_hosts};
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::path::PathBuf;

/// Answers questions: A with `10.0.0.LENGTH`, AAAA with nothing; names with `tcp` in them only over
/// TCP, names with `none` do not exist.
fn reply(question: &[u8], datagram: bool) -> Vec<u8> {
    let text = String::from_utf8_lossy(question).into_owned();
    let mut out = question.to_vec();
    out[2] = 0x81;
    out[3] = 0x80;
    if text.contains("none") {
        out[3] |= 3;
    } else if datagram && text.contains("tcp") {
        out[2] |= 2;
    } else if question[question.len() - 3] == 1 {
        out[7] = 1;
        out.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 0]);
        out.push(u8::try_from(question.len()).unwrap());
    }
    out
}

/// A name server that lives as long as the test process.
fn server() -> u16 {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = udp.local_addr().unwrap().port();
    let tcp = TcpListener::bind(("127.0.0.1", port)).unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = udp.recv_from(&mut buffer) {
            let _ = udp.send_to(b"noise", from);
            let _ = udp.send_to(&reply(&buffer[..length], true), from);
        }
    });
    std::thread::spawn(move || {
        for mut stream in tcp.incoming().flatten() {
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut question).unwrap();
            let answer = reply(&question, false);
            let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
            stream.write_all(&[&length[..], &answer].concat()).unwrap();
        }
    });
    port
}

fn resolver(port: u16, conf: &str) -> (Resolver, PathBuf) {
    let dir = std::env::temp_dir().join(format!("pier-resolve-{}-{port}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("hosts"), "127.0.0.1 localhost\n10.1.1.1 Here # x\n::5 here\n")
        .unwrap();
    std::fs::write(dir.join("conf"), conf).unwrap();
    (Resolver { hosts: dir.join("hosts"), conf: dir.join("conf"), port }, dir)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn names_are_found_in_files_and_at_servers() {
    let conf = "nameserver 127.0.0.1\nsearch lan.example\noptions timeout:2 attempts:1\n";
    let (resolver, dir) = resolver(server(), conf);
    let found = |name: &str| resolver.addresses(name);
    assert_eq!(found("127.0.0.9").unwrap(), [ip("127.0.0.9")]);
    assert_eq!(found("[::1]").unwrap(), [ip("::1")]);
    assert_eq!(found("localhost").unwrap(), [ip("127.0.0.1")]);
    assert_eq!(found("x.localhost").unwrap(), [ip("127.0.0.1"), ip("::1")]);
    assert_eq!(found("HERE").unwrap(), [ip("10.1.1.1"), ip("::5")]);
    // 12 of the header, 1 + 3 + 1 + 2 + 1 of the name, 4 behind it.
    assert_eq!(found("abc.de").unwrap(), [ip("10.0.0.24")]);
    assert_eq!(found("abc.de.").unwrap(), [ip("10.0.0.24")]);
    assert_eq!(found("tcp.de").unwrap(), [ip("10.0.0.24")]);
    // One part: the search list comes first.
    assert_eq!(found("abc").unwrap(), [ip("10.0.0.33")]);
    assert_eq!(found("none.de"), Err(Failed::NoName));
    assert_eq!(found("a..b"), Err(Failed::NoName));
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (resolver, dir) = resolver(port, "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n");
    let wrong = resolver.addresses("abc.de").unwrap_err().to_string();
    assert!(wrong.contains("the name server 127.0.0.1: connection refused"), "{wrong}");
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn resolv_conf_is_read_as_the_manual_says() {
    let conf = Conf::read(
        "# x\nnameserver 1.1.1.1 ; y\nnameserver ::1\nnameserver bad\nnameserver 2.2.2.2\n\
         nameserver 3.3.3.3\ndomain a.\nsearch b c.d\noptions ndots:2 timeout:99 attempts:0 use-vc x\n",
    );
    assert_eq!(conf.servers, [ip("1.1.1.1"), ip("::1"), ip("2.2.2.2")]);
    assert_eq!((conf.ndots, conf.timeout.as_secs(), conf.attempts, conf.tcp), (2, 30, 1, true));
    assert_eq!(conf.candidates("x.y"), ["x.y.b", "x.y.c.d", "x.y"]);
    assert_eq!(conf.candidates("x.y.z"), ["x.y.z", "x.y.z.b", "x.y.z.c.d"]);
    assert_eq!(conf.candidates("x."), ["x"]);
    assert_eq!(Conf::read("").servers, [ip("127.0.0.1")]);
    assert!(from_hosts("nonsense\n1.2.3.4\n1.2.3.4 a b\n", "c").is_empty());
    assert_eq!(from_hosts("1.2.3.4 a b\n1.2.3.4 b\n", "b"), [ip("1.2.3.4")]);
}
