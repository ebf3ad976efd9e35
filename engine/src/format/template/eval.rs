//! Runs the tree of a template over a value.

use std::borrow::Cow;

use super::parse::{Base, Block, Node, Operand, Pipe};
use super::{Value, functions};
use crate::format::nearest;
use crate::format::{Map, Nil};

/// Bytes that one rendering may make: a template that doubles what it prints ends here.
const LONGEST: usize = 64 << 20;

/// The text that the nodes make of `value`.
pub(super) fn render(nodes: &[Node], value: &Value, headings: bool) -> Result<String, String> {
    let root = Cow::Borrowed(value);
    let mut run = Run { root, variables: Vec::new(), out: String::new(), headings };
    run.nodes(nodes, value)?;
    Ok(run.out)
}

struct Run<'a> {
    /// `$`.
    root: Cow<'a, Value>,
    /// Innermost last.
    variables: Vec<(String, Value)>,
    out: String,
    headings: bool,
}

/// How a list of nodes ended.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Flow {
    On,
    Break,
    Continue,
}

impl Run<'_> {
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow, String> {
        let scope = self.variables.len();
        let mut flow = Flow::On;
        for node in nodes {
            flow = self.node(node, dot)?;
            if flow != Flow::On {
                break;
            }
            if self.out.len() > LONGEST {
                return Err("the text grows beyond 64 MiB".into());
            }
        }
        self.variables.truncate(scope);
        Ok(flow)
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<Flow, String> {
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
            // What rows of a listing are made of: nothing is copied for it.
            Node::Print(Pipe { names, commands, .. })
                if names.is_empty()
                    && let [command] = commands.as_slice()
                    && let [Operand { base: Base::Dot, fields }] = command.as_slice() =>
            {
                match member(dot, fields)?.as_ref() {
                    Value::Text(text) => self.out.push_str(text),
                    value => self.out.push_str(&value.to_string()),
                }
            }
            Node::Print(pipe) => {
                let value = self.pipe(pipe, dot)?;
                if pipe.names.is_empty() {
                    self.out.push_str(&value.to_string());
                }
            }
            Node::Block { kind: Block::Range, pipe, body, other } => {
                return self.range(pipe, body, other, dot);
            }
            Node::Block { kind, pipe, body, other } => {
                let scope = self.variables.len();
                let value = self.pipe(pipe, dot)?;
                let flow = match (value.truth(), *kind == Block::With) {
                    (true, true) => self.nodes(body, &value),
                    (true, false) => self.nodes(body, dot),
                    (false, _) => self.nodes(other, dot),
                };
                self.variables.truncate(scope);
                return flow;
            }
        }
        Ok(Flow::On)
    }

    fn range(
        &mut self,
        pipe: &Pipe,
        body: &[Node],
        other: &[Node],
        dot: &Value,
    ) -> Result<Flow, String> {
        let scope = self.variables.len();
        let commands = Pipe { names: Vec::new(), ..pipe.clone() };
        let items = items(self.pipe(&commands, dot)?)?;
        if items.is_empty() {
            return self.nodes(other, dot);
        }
        for (key, item) in items {
            match pipe.names.as_slice() {
                [one] => self.assign(one, pipe.declare, item.clone())?,
                [first, second] => {
                    self.assign(first, pipe.declare, key)?;
                    self.assign(second, pipe.declare, item.clone())?;
                }
                _ => {}
            }
            let flow = self.nodes(body, &item)?;
            self.variables.truncate(scope);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::On)
    }

    fn assign(&mut self, name: &str, declare: bool, value: Value) -> Result<(), String> {
        if declare {
            self.variables.push((name.to_owned(), value));
            return Ok(());
        }
        let known = self.variables.iter_mut().rev().find(|(known, _)| known == name);
        if known.is_none() && name.is_empty() {
            self.root = Cow::Owned(value);
            return Ok(());
        }
        known.ok_or_else(|| format!("undefined variable \"${name}\""))?.1 = value;
        Ok(())
    }

    fn pipe(&mut self, pipe: &Pipe, dot: &Value) -> Result<Value, String> {
        let mut last = None;
        for command in &pipe.commands {
            last = Some(self.command(command, last, dot)?);
        }
        let value = last.ok_or("missing value for command")?;
        for name in &pipe.names {
            self.assign(name, pipe.declare, value.clone())?;
        }
        Ok(value)
    }

    fn command(
        &mut self,
        command: &[Operand],
        piped: Option<Value>,
        dot: &Value,
    ) -> Result<Value, String> {
        let Some((first, rest)) = command.split_first() else {
            return Err("missing value for command".into());
        };
        let Base::Function(name) = &first.base else {
            return self.called(first, rest, dot);
        };
        let last = piped.into_iter().map(Ok);
        if name == "and" || name == "or" {
            return self.choose(name == "and", rest, last, dot);
        }
        let mut arguments = Vec::new();
        for operand in rest {
            arguments.push(self.operand(operand, dot)?);
        }
        for value in last {
            arguments.push(value?);
        }
        functions::call(name, &arguments)
    }

    /// An operand alone, or Docker's one method: `.Label "name"`.
    fn called(&mut self, first: &Operand, rest: &[Operand], dot: &Value) -> Result<Value, String> {
        let Some(argument) = rest.first() else { return self.operand(first, dot) };
        let method = first.fields.last().filter(|name| *name == "Label");
        let Some(_) = method.filter(|_| rest.len() == 1) else {
            return Err("can't give argument to non-function".into());
        };
        let owner = first.fields.len() - 1;
        let fields = first.fields.get(..owner).unwrap_or_default().to_vec();
        let owner = self.operand(&Operand { base: first.base.clone(), fields }, dot)?;
        let name = self.operand(argument, dot)?.to_string();
        if self.headings {
            let last = name.rsplit('.').next().unwrap_or("");
            return Ok(Value::Text(last.replace(['-', '_'], " ")));
        }
        Ok(Value::Text(label(&owner, &name)))
    }

    /// `and` and `or` look at no more arguments than they must.
    fn choose(
        &mut self,
        all: bool,
        rest: &[Operand],
        piped: impl Iterator<Item = Result<Value, String>>,
        dot: &Value,
    ) -> Result<Value, String> {
        let mut last = None;
        for operand in rest {
            let value = self.operand(operand, dot)?;
            if value.truth() != all {
                return Ok(value);
            }
            last = Some(value);
        }
        for value in piped {
            last = Some(value?);
        }
        last.ok_or_else(|| "wrong number of args: want at least 1 got 0".into())
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Result<Value, String> {
        match &operand.base {
            Base::Dot => members(dot, &operand.fields),
            Base::Literal(value) => Ok(value.clone()),
            Base::Variable(name) => {
                let known = self.variables.iter().rev().find(|(known, _)| known == name);
                let known = known.map(|(_, value)| value);
                let known = known.or_else(|| name.is_empty().then_some(self.root.as_ref()));
                let known = known.ok_or_else(|| format!("undefined variable \"${name}\""))?;
                members(known, &operand.fields)
            }
            Base::Function(name) => functions::call(name, &[]),
            Base::Pipe(pipe) => members(&self.pipe(pipe, dot)?, &operand.fields),
        }
    }
}

/// Key and value of everything that `range` goes over; maps by their sorted keys, as in Go.
fn items(value: Value) -> Result<Vec<(Value, Value)>, String> {
    let number = |at: usize| Value::Int(i128::try_from(at).unwrap_or(0));
    match value {
        Value::Nil(_) => Ok(Vec::new()),
        Value::List(list) => {
            Ok(list.into_iter().enumerate().map(|(at, item)| (number(at), item)).collect())
        }
        Value::Map(mut map) => {
            map.members.sort_by(|a, b| a.0.cmp(&b.0));
            Ok(map.members.into_iter().map(|(key, item)| (Value::Text(key), item)).collect())
        }
        Value::Int(count) if count <= 1_000_000 => {
            Ok((0..count).map(|at| (Value::Int(at), Value::Int(at))).collect())
        }
        other => Err(format!("range can't iterate over {other}")),
    }
}

/// The member of a member of a value.
fn members(value: &Value, names: &[String]) -> Result<Value, String> {
    member(value, names).map(Cow::into_owned)
}

/// The same where it stands, or what stands for one that is missing.
fn member<'a>(value: &'a Value, names: &[String]) -> Result<Cow<'a, Value>, String> {
    let mut here = value;
    for name in names {
        match here {
            Value::Map(map) => match map.get(name) {
                Some(member) => here = member,
                None if map.open => return Ok(Cow::Owned(missing(map))),
                None => return Err(no_member(name, map)),
            },
            Value::Nil(Nil::Map) => return Ok(Cow::Owned(Value::Text("<no value>".into()))),
            Value::Nil(_) => return Err(format!("nil pointer evaluating .{name}")),
            other => return Err(format!("can't evaluate field {name} in type {}", other.kind())),
        }
    }
    Ok(Cow::Borrowed(here))
}

/// What a map with free keys has for a key that is missing: nothing, of the kind of the others.
pub(super) fn missing(map: &Map) -> Value {
    let texts = map.members.iter().all(|(_, value)| matches!(value, Value::Text(_)));
    if texts { Value::Text(String::new()) } else { Value::Nil(Nil::Object) }
}

fn no_member(name: &str, map: &Map) -> String {
    let names = map.members.iter().map(|(name, _)| name.as_str());
    let hint = match nearest(name, names.clone()) {
        Some(near) => format!("did you mean .{near}?"),
        None if map.members.is_empty() => "it has no fields".to_owned(),
        None => format!("it has {}", names.collect::<Vec<_>>().join(", ")),
    };
    format!("no field {name:?} here; {hint}")
}

/// A label of an object, from its map of labels or from the `a=b,c=d` of a listing.
fn label(owner: &Value, name: &str) -> String {
    let Value::Map(owner) = owner else { return String::new() };
    match owner.get("Labels") {
        Some(Value::Map(labels)) => labels.get(name).map(ToString::to_string).unwrap_or_default(),
        Some(Value::Text(labels)) => {
            let pairs = labels.split(',').filter_map(|pair| pair.split_once('='));
            pairs
                .into_iter()
                .find(|(key, _)| *key == name)
                .map_or("", |(_, value)| value)
                .to_owned()
        }
        _ => String::new(),
    }
}
