//! A server of the test: HTTP/1.1 on loopback, each answer made by a function.

use crate::image::{Image, MANIFEST};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What was asked.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: HashMap<String, String>,
    pub body: String,
}

impl Request {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// `Range: bytes=N-`.
    pub fn offset(&self) -> Option<usize> {
        self.header("range").strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

/// What is answered.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The connection is cut after that many bytes of the body.
    pub cut: Option<usize>,
}

impl Reply {
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, body: body.into(), ..Self::default() }
    }

    pub fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// A registry's error.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        let body = serde_json::json!({"errors": [{"code": code, "message": message}]});
        Self { status, body: body.to_string().into_bytes(), ..Self::default() }
    }
}

type Handler = dyn Fn(&Request) -> Reply + Send + Sync;

/// The server; its threads end with the test's process.
#[derive(Clone)]
pub struct Server {
    pub port: u16,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::<Mutex<Vec<Request>>>::default();
        let (handler, all): (Arc<Handler>, _) = (Arc::new(handler), seen.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (handler, all) = (handler.clone(), all.clone());
                std::thread::spawn(move || serve(stream, &*handler, &all));
            }
        });
        Self { port, seen }
    }

    /// Serves an image as `x:latest`, and by its digest.
    pub fn of(image: &Image) -> Self {
        let image = image.clone();
        Self::start(move |request| registry(&image, request))
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The image `x` here.
    pub fn name(&self) -> String {
        format!("127.0.0.1:{}/x", self.port)
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// How many requests had this in their path.
    pub fn asked(&self, part: &str) -> usize {
        self.seen().iter().filter(|request| request.path.contains(part)).count()
    }
}

/// A registry that has one image, under any name and tag.
pub fn registry(image: &Image, request: &Request) -> Reply {
    if request.path.contains("/manifests/") {
        return Reply::ok(image.manifest.clone()).with("Content-Type", MANIFEST);
    }
    let Some((_, digest)) = request.path.rsplit_once("/blobs/") else { return Reply::status(404) };
    let Some((_, blob)) = image.blobs().into_iter().find(|(name, _)| name == digest) else {
        return Reply::error(404, "BLOB_UNKNOWN", "blob unknown");
    };
    match request.offset() {
        None => Reply::ok(blob),
        Some(offset) if offset >= blob.len() => Reply::status(416),
        Some(offset) => {
            let range = format!("bytes {offset}-{}/{}", blob.len() - 1, blob.len());
            Reply { status: 206, ..Reply::ok(&blob[offset..]).with("Content-Range", range) }
        }
    }
}

fn serve(stream: TcpStream, handler: &Handler, all: &Mutex<Vec<Request>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(request) = read(&mut reader) {
        all.lock().unwrap().push(request.clone());
        let reply = handler(&request);
        if write(&stream, &reply).is_none() {
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    if words.next() != Some("HTTP/1.1") {
        return None; // TLS, for one
    }
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { method, path, headers, body: String::from_utf8(body).ok()? })
}

/// `None` when the connection is to be closed.
fn write(mut stream: &TcpStream, reply: &Reply) -> Option<()> {
    let mut head =
        format!("HTTP/1.1 {} X\r\nContent-Length: {}\r\n", reply.status, reply.body.len());
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).ok()?;
    let end = reply.cut.unwrap_or(reply.body.len()).min(reply.body.len());
    stream.write_all(&reply.body[..end]).ok()?;
    (end == reply.body.len()).then_some(())
}
