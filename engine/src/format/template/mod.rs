//! The part of Go's templates that `--format` is used with.
//!
//! Actions: `{{.A.B}}` `{{$x := …}}` `if` `else if` `with` `range` `break` `continue` `{{- -}}`
//! comments, pipes, parentheses, texts, numbers. Functions: the table of [`functions`]. Not there:
//! `define`, `template`, `block`, `call`; they are refused by name. Where Go and JSON differ the
//! header of `value` says what is done.

mod eval;
mod functions;
mod lex;
mod parse;
mod printf;
#[cfg(test)]
mod tests;

use super::Value;
use crate::error::{Error, Result};
use parse::Node;

/// A template that was read.
#[derive(Clone, Debug)]
pub struct Template {
    nodes: Vec<Node>,
    text: String,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong with it, in Go's words where Go has some.
    pub fn parse(text: &str) -> Result<Self> {
        match parse::parse(text) {
            Ok(nodes) => Ok(Self { nodes, text: text.to_owned() }),
            Err(wrong) => Err(Error::new(format!("cannot read the template {text:?}")).why(wrong)),
        }
    }

    /// What the template makes of a value.
    ///
    /// # Errors
    /// A field that is not there, a function that cannot take what it is given.
    pub fn render(&self, value: &Value) -> Result<String> {
        self.run(value, false)
    }

    /// The same for the row of a table's headings, where `.Label "a.b"` is `b`.
    pub(super) fn render_headings(&self, value: &Value) -> Result<String> {
        self.run(value, true)
    }

    fn run(&self, value: &Value, headings: bool) -> Result<String> {
        eval::render(&self.nodes, value, headings).map_err(|wrong| {
            Error::new(format!("the template {:?} does not fit", self.text)).why(wrong)
        })
    }
}
