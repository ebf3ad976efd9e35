//! The forwarder between a client and a server of this process, on loopback.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};

use super::super::ports::Binding;
use super::super::publish::Port;
use super::*;

fn held(proto: Proto, number: u16) -> (Held, SocketAddr) {
    let (socket, address): (OwnedFd, SocketAddr) = match proto {
        Proto::Tcp => {
            let listener = TcpListener::bind("[::1]:0").unwrap();
            listener.set_nonblocking(true).unwrap();
            let address = listener.local_addr().unwrap();
            (listener.into(), address)
        }
        _ => {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_nonblocking(true).unwrap();
            let address = socket.local_addr().unwrap();
            (socket.into(), address)
        }
    };
    let binding =
        Binding { port: Port { number, proto }, ip: address.ip(), host_port: address.port() };
    ((binding, Some(socket)), address)
}

#[test]
fn bytes_go_both_ways_and_each_way_ends_on_its_own() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let (door, address) = held(Proto::Tcp, server.local_addr().unwrap().port());
    let forwarder = Forwarder::start(vec![door], Ipv4Addr::LOCALHOST).unwrap();
    let client = thread::spawn(move || {
        let mut client = TcpStream::connect(address).unwrap();
        let sent: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
        let mut writer = client.try_clone().unwrap();
        let copy = sent.clone();
        let write = thread::spawn(move || {
            writer.write_all(&copy).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let mut back = Vec::new();
        client.read_to_end(&mut back).unwrap();
        write.join().unwrap();
        (sent, back)
    });
    let (mut stream, _) = server.accept().unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    all.reverse();
    stream.write_all(&all).unwrap();
    drop(stream);
    let (sent, back) = client.join().unwrap();
    assert!(sent.iter().rev().eq(back.iter()));
    drop(forwarder);
    assert!(TcpStream::connect(address).is_err(), "the port is free again");
}

#[test]
fn a_server_that_refuses_ends_the_connection() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let (door, address) = held(Proto::Tcp, port);
    let _forwarder = Forwarder::start(vec![door], Ipv4Addr::LOCALHOST).unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    assert!(matches!(client.read(&mut [0; 8]), Ok(0) | Err(_)));
}

#[test]
fn datagrams_find_back_to_who_sent_them() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (door, address) = held(Proto::Udp, server.local_addr().unwrap().port());
    let _forwarder = Forwarder::start(vec![door], Ipv4Addr::LOCALHOST).unwrap();
    let clients: Vec<_> = (0..3).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    for (n, client) in (0_u8..).zip(&clients) {
        client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        client.send_to(&[n], address).unwrap();
    }
    server.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    for _ in &clients {
        let mut byte = [0];
        let (_, from) = server.recv_from(&mut byte).unwrap();
        server.send_to(&[byte[0] + 10], from).unwrap();
    }
    for (n, client) in (10_u8..).zip(&clients) {
        let mut byte = [0];
        assert_eq!(client.recv_from(&mut byte).unwrap().1, address);
        assert_eq!(byte[0], n);
    }
}
