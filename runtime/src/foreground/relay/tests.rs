//! A shell on a real pseudo terminal, with files and pipes for the user.

use std::fs::{self, File};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::*;

/// A pair: the master and the container's side.
fn pair() -> (OwnedFd, OwnedFd) {
    let devpts = File::open("/dev/pts").unwrap();
    let master = tty::open_ptmx(&devpts).or_else(|_| tty::open_ptmx(File::open("/dev")?)).unwrap();
    tty::unlock_pt(&master).unwrap();
    let peer = tty::peer(&master, libc::O_RDWR | libc::O_NOCTTY).unwrap();
    (master, peer)
}

/// What a user sees of `script` after typing `input` and then nothing more.
fn session(script: &str, input: &[u8]) -> String {
    let (master, peer) = pair();
    let (keys, typing) = fd::pipe().unwrap();
    File::from(typing).write_all(input).unwrap();
    let screen = fd::memfd(c"screen", libc::MFD_CLOEXEC).unwrap();
    let mut relay = Relay::between(master, keys, screen.try_clone().unwrap()).unwrap();
    let mut child = Command::new("sh")
        .args(["-c", script])
        .stdin(Stdio::from(peer.try_clone().unwrap()))
        .stdout(Stdio::from(peer.try_clone().unwrap()))
        .stderr(Stdio::from(peer))
        .spawn()
        .unwrap();
    let late = Instant::now() + Duration::from_secs(20);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > late {
            child.kill().unwrap();
            panic!("{script}: hangs");
        }
        turn(&mut relay);
    }
    let (_open, never) = fd::pipe().map(|(read, write)| (write, read)).unwrap();
    relay.drain(never.as_fd());
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&screen));
    fs::read_to_string(path).unwrap()
}

/// One turn of the loop in `Foreground::wait`, without signals.
fn turn(relay: &mut Relay) {
    let wants = relay.wants();
    let mut fds: Vec<_> = wants.polls().collect();
    poll(&mut fds, 20).unwrap();
    let mut results = fds.iter().map(PollFd::is_ready);
    let mut next = |asked: bool| asked && results.next().unwrap();
    let ready = Ready {
        master: next(wants.master.is_some()) || wants.hung_up,
        input: next(wants.input.is_some()),
        output: next(wants.output.is_some()),
        ..Ready::default()
    };
    relay.move_bytes(ready);
}

#[test]
fn output_arrives_whole_and_unchanged() {
    assert_eq!(session("echo one; echo two", b""), "one\ntwo\n");
    // More than the kernel holds for a terminal, written right before the end (crun #1524).
    let lines = session("i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i+1)); done", b"");
    assert_eq!(lines.lines().count(), 5000);
    assert!(lines.ends_with("line 4999\n"));
}

#[test]
fn typed_lines_reach_the_program_and_echo() {
    let seen = session("read -r a; read -r b; echo got $a and $b", b"x\ny\n");
    assert!(seen.ends_with("got x and y\n"), "{seen:?}");
}

#[test]
fn end_of_input_is_typed_as_end_of_file() {
    assert!(session("cat; echo done", b"").ends_with("done\n"));
    // In the middle of a line the first one only sends the line.
    let seen = session("cat; echo done", b"half");
    assert!(seen.contains("half") && seen.ends_with("done\n"), "{seen:?}");
    // A program that reads keys gets no byte that nobody typed.
    let seen = session("stty -icanon min 0 time 2; dd bs=1 count=1 2>/dev/null | od -c", b"");
    assert!(!seen.contains("004"), "{seen:?}");
}

#[test]
fn a_terminal_that_is_opened_anew_goes_on() {
    let script = "t=$(tty); exec <&- >&- 2>&-; sleep 0.3; exec <$t >$t 2>&1; echo back";
    assert_eq!(session(script, b""), "back\n");
}

#[test]
fn nobody_reading_is_no_reason_to_block() {
    let (master, peer) = pair();
    let (_, keys) = fd::pipe().map(|(read, write)| (write, read)).unwrap();
    let (gone, screen) = fd::pipe().unwrap();
    drop(gone);
    let mut relay = Relay::between(master, keys, screen).unwrap();
    fd::write_all(&peer, b"lost\n").unwrap();
    for _ in 0..5 {
        turn(&mut relay);
    }
    assert!(relay.outward.is_empty());
}

#[test]
fn a_stalled_reader_holds_back_only_the_output() {
    let (master, peer) = pair();
    let (keys, typing) = fd::pipe().unwrap();
    let (_reader, screen) = fd::pipe().unwrap();
    let mut relay = Relay::between(master, keys, screen).unwrap();
    fd::fcntl_setfl(&peer, libc::O_RDWR | libc::O_NONBLOCK).unwrap();
    let begun = Instant::now();
    // More than a pipe holds: every turn returns although nobody reads.
    for _ in 0..200 {
        let _ = fd::write(&peer, &[b'x'; 1024]);
        turn(&mut relay);
    }
    assert!(begun.elapsed() < Duration::from_secs(15));
    fd::write_all(&typing, b"q\n").unwrap();
    turn(&mut relay);
    turn(&mut relay);
    let mut line = [0; 8];
    let mut ready = [PollFd::new(peer.as_fd(), libc::POLLIN)];
    assert_eq!(poll(&mut ready, 2000).unwrap(), 1);
    assert_eq!(fd::read(&peer, &mut line).unwrap(), 2);
}
