//! One blob: streamed into the store's partial file, resumed where it stopped.
//!
//! The file, its lock and the hash of what is in it are [`Partial`]'s; here is the talk with the
//! registry: `Range`, answers that do not go on where they were asked to, lost connections.

use super::client::{Ask, Client, TRIES, wait};
use super::manifest::Descriptor;
use super::refused::Refused;
use crate::error::{Error, Result, What};
use crate::store::{Partial, Store};
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use ureq::Body;
use ureq::http::Response;

/// What is read at once.
const BUFFER: usize = 256 << 10;

/// Who hears of the bytes as they come, and may say that nobody wants them any more.
pub(super) struct Watch<'a> {
    /// How many bytes are there now, of all; it may become fewer when a peer cannot resume.
    pub(super) have: &'a dyn Fn(u64),
    /// Another part of the pull failed.
    pub(super) stop: &'a AtomicBool,
}

/// Fetches a blob into the store, unless it is there.
pub(super) fn fetch(
    client: &Client,
    store: &Store,
    blob: &Descriptor,
    watch: &Watch<'_>,
) -> Result<()> {
    let mut resumed = true;
    while let Some(mut partial) = store.partial(&blob.digest)? {
        let download = Download { client, blob, watch };
        if partial.offset() > blob.size {
            partial.restart()?;
        }
        resumed &= partial.offset() > 0;
        (watch.have)(partial.offset());
        download.complete(&mut partial)?;
        match partial.finish(store, blob.size) {
            // What was left here may have been spoilt on this machine: all of it is fetched anew.
            Err(_) if resumed => resumed = false,
            Err(error) => {
                return Err(error.fix(format!("{} or the way to it changed it", client.host)));
            }
            Ok(()) => return Ok(()),
        }
    }
    Ok(())
}

struct Download<'a> {
    client: &'a Client,
    blob: &'a Descriptor,
    watch: &'a Watch<'a>,
}

impl Download<'_> {
    fn what(&self) -> String {
        format!("cannot fetch the blob {}", self.blob.digest)
    }

    /// Fetches the rest, as often as something more comes.
    fn complete(&self, partial: &mut Partial) -> Result<()> {
        let mut tries = 0;
        while partial.offset() < self.blob.size {
            let before = partial.offset();
            let Some(failed) = self.some(partial)? else { continue };
            tries = if partial.offset() > before { 1 } else { tries + 1 };
            if tries >= TRIES {
                return Err(Error::new(self.what())
                    .why(format!("{}: {failed}", self.client.host))
                    .fix("pull again: what has come is kept"));
            }
            std::thread::sleep(wait(tries));
        }
        Ok(())
    }

    /// One request; what cut it short, if anything did.
    fn some(&self, partial: &mut Partial) -> Result<Option<String>> {
        let answer = self.ask(partial.offset())?;
        if partial.offset() > 0 && !continues(&answer, partial.offset()) {
            partial.restart()?;
            (self.watch.have)(0);
            if answer.status().as_u16() == 206 {
                return Ok(Some("it resumes at another place than it was asked to".into()));
            }
        }
        let mut body = answer.into_body().into_reader();
        let mut buffer = vec![0; BUFFER];
        loop {
            if self.watch.stop.load(Ordering::Relaxed) {
                return Err(Error::new("stopped, as another part failed"));
            }
            let read = match body.read(&mut buffer) {
                Ok(0) if partial.offset() == self.blob.size => return Ok(None),
                Ok(0) => return Ok(Some("the connection was closed early".into())),
                Ok(read) => buffer.get(..read).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Ok(Some(crate::error::plain(&error))),
            };
            let left = self.blob.size - partial.offset();
            if u64::try_from(read.len()).map_or(true, |length| length > left) {
                return Err(Error::new(self.what()).why(format!(
                    "{} sends more than the {} bytes that the manifest says",
                    self.client.host, self.blob.size
                )));
            }
            partial.write_all(read).what(|| self.what())?;
            (self.watch.have)(partial.offset());
        }
    }

    /// Asks for the bytes from `offset` on; a registry that cannot is asked for all.
    fn ask(&self, offset: u64) -> Result<Response<Body>> {
        let path = format!("blobs/{}", self.blob.digest);
        let ask = Ask { path: &path, accept: "*/*", offset };
        let answer = match self.client.get(ask) {
            Err(refused) if refused.code() == Some(416) => {
                self.client.get(Ask { offset: 0, ..ask })
            }
            answer => answer,
        };
        answer.or_else(|refused| {
            let other = self.elsewhere(offset, &refused);
            other.ok_or_else(|| refused.error(self.what(), self.client))
        })
    }

    /// Layers that registries may not have name other places.
    fn elsewhere(&self, offset: u64, refused: &Refused) -> Option<Response<Body>> {
        if refused.code() != Some(404) {
            return None;
        }
        let range = [("Range", format!("bytes={offset}-"))];
        let headers = if offset > 0 { &range[..] } else { &[] };
        self.blob.urls.iter().find_map(|url| {
            let answer = self.client.transport.get(url, headers).ok()?;
            matches!(answer.status().as_u16(), 200 | 206).then_some(answer)
        })
    }
}

/// Whether an answer goes on where we stopped: 206, and a `Content-Range` that says so.
fn continues(answer: &Response<Body>, offset: u64) -> bool {
    let range = answer.headers().get("content-range").and_then(|range| range.to_str().ok());
    let start = range.and_then(|range| range.trim().strip_prefix("bytes")).and_then(|range| {
        let first = range.trim_start().split('-').next()?;
        first.parse::<u64>().ok()
    });
    answer.status().as_u16() == 206 && start == Some(offset)
}
