//! How a pull tells what it does: bars on a terminal, lines elsewhere, JSON for programs.
//!
//! On a terminal one line has the total, `34% 61/183 MB 12 MB/s 10 s`, and one line each layer that
//! is not done; they are drawn over and over. Elsewhere each layer has a line per milestone, in
//! Docker's words. `json` prints an object per line. Quiet prints nothing.

use crate::format::size;
use std::collections::VecDeque;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two drawings.
const FRAME: Duration = Duration::from_millis(100);
/// The rate is that of the last seconds.
const WINDOW: Duration = Duration::from_secs(5);

/// What is wanted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum Style {
    /// Bars on a terminal, lines elsewhere.
    #[default]
    Auto,
    /// Bars wherever.
    Tty,
    /// Lines.
    Plain,
    /// An object per line.
    Json,
    /// Nothing.
    Quiet,
}

/// How far a layer is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    Waiting,
    Downloading,
    Extracting,
    Done,
    Exists,
}

impl Stage {
    fn words(self) -> &'static str {
        match self {
            Self::Waiting => "Waiting",
            Self::Downloading => "Downloading",
            Self::Extracting => "Extracting",
            Self::Done => "Pull complete",
            Self::Exists => "Already exists",
        }
    }
}

#[derive(Debug)]
struct Layer {
    name: String,
    size: u64,
    have: u64,
    stage: Stage,
}

/// The progress of one pull, told by many threads.
#[derive(Debug)]
pub(super) struct Progress {
    style: Style,
    /// To stderr, because stdout belongs to a container.
    aside: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    layers: Vec<Layer>,
    /// Bytes that this pull fetched itself, at moments of the window.
    samples: VecDeque<(Instant, u64)>,
    /// Bytes that were there when the pull began.
    kept: u64,
    drawn: Option<Instant>,
    lines: usize,
}

impl Progress {
    /// `aside`: all goes to stderr.
    pub(super) fn new(style: Style, aside: bool) -> Self {
        let terminal =
            if aside { std::io::stderr().is_terminal() } else { std::io::stdout().is_terminal() };
        let style = match style {
            Style::Auto if terminal => Style::Tty,
            Style::Auto => Style::Plain,
            style => style,
        };
        let (layers, samples) = (Vec::new(), VecDeque::new());
        let state = State { layers, samples, kept: 0, drawn: None, lines: 0 };
        Self { style, aside, state: Mutex::new(state) }
    }

    /// A line for people, above and below the layers.
    pub(super) fn say(&self, line: &str) {
        if matches!(self.style, Style::Tty | Style::Plain) {
            self.write(&format!("{line}\n"));
        }
    }

    /// The layers, before anything is done about them.
    pub(super) fn layers(&self, all: impl Iterator<Item = (String, u64)>) {
        self.with(|state| {
            let waiting = |(name, size)| Layer { name, size, have: 0, stage: Stage::Waiting };
            state.layers = all.map(waiting).collect();
        });
    }

    /// How many bytes of a layer are here; `fresh` ones came over the network just now.
    pub(super) fn have(&self, layer: usize, bytes: u64) {
        self.with(|state| {
            let Some(one) = state.layers.get_mut(layer) else { return };
            if one.stage == Stage::Waiting || one.stage != Stage::Downloading {
                one.stage = Stage::Downloading;
                state.kept += bytes; // the first word is what an earlier pull left
            }
            one.have = bytes;
            if state.drawn.is_none_or(|drawn| drawn.elapsed() >= FRAME) {
                self.draw(state, false);
            }
        });
    }

    /// A layer comes to another stage.
    pub(super) fn stage(&self, layer: usize, stage: Stage) {
        self.with(|state| {
            let Some(one) = state.layers.get_mut(layer) else { return };
            one.stage = stage;
            if stage == Stage::Exists {
                state.kept += one.size;
            }
            if matches!(stage, Stage::Extracting | Stage::Done | Stage::Exists) {
                one.have = one.size;
            }
            match self.style {
                Style::Plain => {
                    let words = match stage {
                        Stage::Extracting => "Download complete",
                        stage => stage.words(),
                    };
                    let line = format!("{}: {words}\n", one.name);
                    self.write(&line);
                }
                Style::Json => {
                    let line = serde_json::json!({
                        "layer": one.name, "status": stage.words(), "current": one.have, "total": one.size,
                    });
                    self.write(&format!("{line}\n"));
                }
                _ => self.draw(state, false),
            }
        });
    }

    /// The last drawing.
    pub(super) fn end(&self) {
        self.with(|state| self.draw(state, true));
    }

    /// The result, for programs.
    pub(super) fn result(&self, digest: &str, status: &str) {
        if self.style == Style::Json {
            let line = serde_json::json!({"digest": digest, "status": status});
            self.write(&format!("{line}\n"));
        }
    }

    fn with(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Progress that nobody reads any more is no reason to stop.
    fn write(&self, text: &str) {
        let _ = if self.aside {
            std::io::stderr().write_all(text.as_bytes())
        } else {
            let mut out = std::io::stdout().lock();
            out.write_all(text.as_bytes()).and_then(|()| out.flush())
        };
    }

    fn draw(&self, state: &mut State, last: bool) {
        state.drawn = Some(Instant::now());
        let total = state.total();
        match self.style {
            Style::Json => {
                let line = serde_json::json!({
                    "status": "total", "current": total.have, "total": total.size, "rate": total.rate,
                });
                self.write(&format!("{line}\n"));
            }
            Style::Tty => {
                let (width, height) = self.window();
                let mut lines = vec![total.line()];
                lines.extend(state.lines_of_layers(height.saturating_sub(3), last));
                let mut text = String::new();
                if state.lines > 0 {
                    text.push_str(&format!("\x1b[{}A", state.lines));
                }
                for line in &lines {
                    let cut: String = line.chars().take(width.saturating_sub(1)).collect();
                    text.push_str(&format!("\r\x1b[K{cut}\n"));
                }
                text.push_str("\x1b[J"); // there may have been more lines
                state.lines = lines.len();
                self.write(&text);
            }
            _ => {}
        }
    }

    /// Columns and rows of the terminal.
    fn window(&self) -> (usize, usize) {
        let size = if self.aside {
            rustix::termios::tcgetwinsize(std::io::stderr())
        } else {
            rustix::termios::tcgetwinsize(std::io::stdout())
        };
        let known = size.ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
        known.map_or((80, 24), |size| (size.ws_col.into(), size.ws_row.into()))
    }
}

/// The sum over all layers.
#[derive(Debug, PartialEq)]
struct Total {
    have: u64,
    size: u64,
    /// Bytes a second.
    rate: u64,
}

impl State {
    fn total(&mut self) -> Total {
        let sum = |of: fn(&Layer) -> u64| self.layers.iter().map(of).sum::<u64>();
        let (have, size) = (sum(|layer| layer.have), sum(|layer| layer.size));
        let fetched = have.saturating_sub(self.kept);
        let now = Instant::now();
        while self.samples.front().is_some_and(|(at, _)| now.duration_since(*at) > WINDOW) {
            self.samples.pop_front();
        }
        self.samples.push_back((now, fetched));
        let rate = self.samples.front().map_or(0, |(at, before)| {
            let millis = u64::try_from(now.duration_since(*at).as_millis()).unwrap_or(u64::MAX);
            fetched.saturating_sub(*before).saturating_mul(1000).checked_div(millis).unwrap_or(0)
        });
        Total { have, size, rate }
    }

    /// As many layers as fit; those that are under way are worth more than those that are done.
    fn lines_of_layers(&self, most: usize, last: bool) -> Vec<String> {
        let done = |layer: &&Layer| matches!(layer.stage, Stage::Done | Stage::Exists);
        let all = self.layers.len() <= most;
        let shown = self.layers.iter().filter(|layer| all || (!last && !done(layer)));
        shown.take(most).map(Layer::line).collect()
    }
}

impl Layer {
    fn line(&self) -> String {
        let words = self.stage.words();
        if self.stage != Stage::Downloading || self.size == 0 {
            return format!("{} {words}", self.name);
        }
        let filled =
            usize::try_from(self.have.saturating_mul(25) / self.size).unwrap_or(25).min(25);
        let head = if filled < 25 { ">" } else { "" };
        let bar = format!("{}{head}", "=".repeat(filled));
        let (have, size) = (size::decimal(self.have), size::decimal(self.size));
        format!("{} {words} [{bar:<25}] {have}/{size}", self.name)
    }
}

impl Total {
    /// `34% 61/183 MB 12 MB/s 10 s`.
    fn line(&self) -> String {
        let percent = self.have.saturating_mul(100).checked_div(self.size).unwrap_or(100);
        let (unit, name) = match self.size {
            0..1_000_000 => (1000, "kB"),
            1_000_000..10_000_000_000 => (1_000_000, "MB"),
            _ => (1_000_000_000, "GB"),
        };
        let mut line = format!("{percent}% {}/{} {name}", self.have / unit, self.size / unit);
        if self.rate > 0 && self.have < self.size {
            let rate = size::decimal(self.rate);
            let at = rate.find(|c: char| c.is_alphabetic()).unwrap_or(rate.len());
            let (number, unit) = rate.split_at(at);
            let left = (self.size - self.have).div_ceil(self.rate);
            line.push_str(&format!(" {number} {unit}/s {}", remaining(left)));
        }
        line
    }
}

/// `10 s`, `3 min 5 s`, `2 h 10 min`.
fn remaining(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::{Layer, Stage, State, Total, remaining};
    use std::collections::VecDeque;

    #[test]
    fn the_line_of_the_total() {
        let line = |have, size, rate| Total { have, size, rate }.line();
        assert_eq!(line(61_900_000, 183_000_000, 12_100_000), "33% 61/183 MB 12.1 MB/s 11 s");
        assert_eq!(line(0, 183_000_000, 0), "0% 0/183 MB");
        assert_eq!(line(1000, 1000, 5), "100% 1/1 kB");
        assert_eq!(line(0, 0, 0), "100% 0/0 kB");
        assert_eq!(remaining(185), "3 min 5 s");
        assert_eq!(remaining(7800), "2 h 10 min");
    }

    #[test]
    fn layers_that_are_under_way_are_shown_when_not_all_fit() {
        let layer = |name: &str, have, stage| Layer { name: name.into(), size: 100, have, stage };
        let mut state = State {
            layers: vec![
                layer("a", 100, Stage::Done),
                layer("b", 50, Stage::Downloading),
                layer("c", 0, Stage::Waiting),
            ],
            samples: VecDeque::new(),
            kept: 100,
            drawn: None,
            lines: 0,
        };
        let bar = "b Downloading [============>            ] 50B/100B";
        assert_eq!(state.lines_of_layers(9, false), ["a Pull complete", bar, "c Waiting"]);
        assert_eq!(state.lines_of_layers(2, false), [bar, "c Waiting"]);
        assert!(state.lines_of_layers(2, true).is_empty());
        assert_eq!(state.total(), Total { have: 150, size: 300, rate: 0 });
    }
}
