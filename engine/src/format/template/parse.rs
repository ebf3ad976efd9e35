//! Words of a template become a tree.

use super::lex::{Kind, Piece, Token, pieces};
use super::{Value, functions};
use crate::format::Nil;

/// How deep parentheses and blocks may stand in each other: more is no one's handwriting, and the
/// stack must do.
const DEEPEST: usize = 64;

/// A step of a template.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// Stands for itself.
    Text(String),
    /// Prints what it yields, unless it sets variables.
    Print(Pipe),
    /// `if`, `with`, `range`.
    Block { kind: Block, pipe: Pipe, body: Vec<Node>, other: Vec<Node> },
    /// Ends the innermost `range`.
    Break,
    /// Goes on with the next item of the innermost `range`.
    Continue,
}

/// Which block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Block {
    If,
    With,
    Range,
}

/// Commands, each given the result of the one before as its last argument.
#[derive(Clone, Debug)]
pub(super) struct Pipe {
    /// Variables that are set: one, or two of a `range`.
    pub(super) names: Vec<String>,
    /// `:=`, not `=`.
    pub(super) declare: bool,
    pub(super) commands: Vec<Vec<Operand>>,
}

/// A part of a command, then the members that are taken of it.
#[derive(Clone, Debug)]
pub(super) struct Operand {
    pub(super) base: Base,
    pub(super) fields: Vec<String>,
}

/// Where an operand begins.
#[derive(Clone, Debug)]
pub(super) enum Base {
    Dot,
    Literal(Value),
    Variable(String),
    Function(String),
    Pipe(Box<Pipe>),
}

/// Reads a whole template.
pub(super) fn parse(text: &str) -> Result<Vec<Node>, String> {
    let mut reader = Reader { pieces: pieces(text)?.into_iter(), loops: 0, depth: 0 };
    let (nodes, end) = reader.nodes()?;
    match end {
        Stop::Eof => Ok(nodes),
        Stop::Close => Err("unexpected {{end}}".into()),
        Stop::Else(_) => Err("unexpected {{else}}".into()),
    }
}

/// What stopped a list of nodes.
enum Stop {
    Eof,
    Close,
    /// The words behind `else`.
    Else(Vec<Token>),
}

struct Reader<'a> {
    pieces: std::vec::IntoIter<Piece<'a>>,
    loops: usize,
    depth: usize,
}

impl Reader<'_> {
    /// Everything up to an `end`, an `else` or the end of the text.
    fn nodes(&mut self) -> Result<(Vec<Node>, Stop), String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("too many blocks in each other".into());
        }
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let tokens = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text.to_owned()));
                    continue;
                }
                Piece::Action(tokens) => tokens,
            };
            let word = match tokens.first().map(|token| &token.kind) {
                Some(Kind::Word(word)) => word.clone(),
                _ => String::new(),
            };
            let rest = || tokens.get(1..).unwrap_or_default().to_vec();
            match word.as_str() {
                "end" | "else" => {
                    self.depth -= 1;
                    let end = if word == "end" { Stop::Close } else { Stop::Else(rest()) };
                    return Ok((nodes, end));
                }
                "if" => nodes.push(self.block(Block::If, &rest())?),
                "with" => nodes.push(self.block(Block::With, &rest())?),
                "range" => nodes.push(self.block(Block::Range, &rest())?),
                "break" | "continue" if self.loops == 0 => {
                    return Err(format!("{{{{{word}}}}} outside {{{{range}}}}"));
                }
                "break" => nodes.push(Node::Break),
                "continue" => nodes.push(Node::Continue),
                "define" | "template" | "block" => {
                    return Err(format!(
                        "{word} is not supported: this is a subset of Go's templates"
                    ));
                }
                _ => nodes.push(Node::Print(pipe(&tokens)?)),
            }
        }
        self.depth -= 1;
        Ok((nodes, Stop::Eof))
    }

    /// A block, its `else` and its `end`.
    fn block(&mut self, kind: Block, head: &[Token]) -> Result<Node, String> {
        let pipe = pipe(head)?;
        if pipe.names.len() > 1 && kind != Block::Range {
            return Err("too many declarations".into());
        }
        self.loops += usize::from(kind == Block::Range);
        let (body, end) = self.nodes()?;
        self.loops -= usize::from(kind == Block::Range);
        let other = match end {
            Stop::Eof => return Err("unexpected EOF: a block without {{end}}".into()),
            Stop::Close => Vec::new(),
            Stop::Else(words) if words.is_empty() => match self.nodes()? {
                (nodes, Stop::Close) => nodes,
                (_, Stop::Else(_)) => return Err("expected end; found {{else}}".into()),
                (_, Stop::Eof) => return Err("unexpected EOF: a block without {{end}}".into()),
            },
            Stop::Else(words) => vec![self.chained(kind, &words)?],
        };
        Ok(Node::Block { kind, pipe, body, other })
    }

    /// `else if` and `else with`: one more block, with the same `end`.
    fn chained(&mut self, kind: Block, words: &[Token]) -> Result<Node, String> {
        let next = match words.first().map(|token| &token.kind) {
            Some(Kind::Word(word)) if word == "if" && kind == Block::If => Block::If,
            Some(Kind::Word(word)) if word == "with" && kind == Block::With => Block::With,
            _ => return Err("unexpected words in {{else}}".into()),
        };
        self.depth += 1;
        let node = self.block(next, words.get(1..).unwrap_or_default());
        self.depth -= 1;
        node
    }
}

/// A pipeline that takes all the words.
fn pipe(tokens: &[Token]) -> Result<Pipe, String> {
    let mut words = Words { tokens, at: 0, depth: 0 };
    let pipe = words.pipe(true)?;
    match words.peek() {
        None => Ok(pipe),
        Some(token) => Err(format!("unexpected {} in operand", shown(&token.kind))),
    }
}

struct Words<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: usize,
}

impl Words<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn sign(&mut self, sign: char) -> bool {
        let is = self.peek().is_some_and(|token| token.kind == Kind::Sign(sign));
        self.at += usize::from(is);
        is
    }

    fn pipe(&mut self, declarations: bool) -> Result<Pipe, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("too many parentheses in each other".into());
        }
        let (names, declare) = if declarations { self.names() } else { (Vec::new(), true) };
        let mut commands = vec![self.command()?];
        while self.sign('|') {
            let command = self.command()?;
            if !matches!(command.first().map(|first| &first.base), Some(Base::Function(_))) {
                return Err("non executable command in pipeline".into());
            }
            commands.push(command);
        }
        self.depth -= 1;
        Ok(Pipe { names, declare, commands })
    }

    /// `$a :=`, `$a, $b :=`, `$a =`; nothing is taken when they are not there.
    fn names(&mut self) -> (Vec<String>, bool) {
        let start = self.at;
        let mut names = Vec::new();
        while let Some(Kind::Variable(name)) = self.peek().map(|token| token.kind.clone()) {
            self.at += 1;
            names.push(name);
            if names.len() == 2 || !self.sign(',') {
                break;
            }
        }
        if !names.is_empty() && names.iter().all(|name| !name.is_empty()) {
            if self.sign(':') {
                return (names, true);
            }
            if self.sign('=') {
                return (names, false);
            }
        }
        self.at = start;
        (Vec::new(), true)
    }

    fn command(&mut self) -> Result<Vec<Operand>, String> {
        let mut operands: Vec<Operand> = Vec::new();
        while let Some(token) = self.peek().cloned() {
            if matches!(token.kind, Kind::Sign('|' | ')')) {
                break;
            }
            if let (true, Kind::Field(name), Some(last)) =
                (token.glued, &token.kind, operands.last_mut())
                && !matches!(last.base, Base::Literal(_) | Base::Function(_))
            {
                last.fields.push(name.clone());
                self.at += 1;
                continue;
            }
            operands.push(self.operand(&token)?);
        }
        if operands.is_empty() {
            return Err("missing value for command".into());
        }
        Ok(operands)
    }

    fn operand(&mut self, token: &Token) -> Result<Operand, String> {
        self.at += 1;
        let mut fields = Vec::new();
        let base = match &token.kind {
            Kind::Dot => Base::Dot,
            Kind::Field(name) => {
                fields.push(name.clone());
                Base::Dot
            }
            Kind::Variable(name) => Base::Variable(name.clone()),
            Kind::Text(text) => Base::Literal(Value::Text(text.clone())),
            Kind::Int(number) => Base::Literal(Value::Int(*number)),
            Kind::Float(number) => Base::Literal(Value::Float(*number)),
            Kind::Word(word) => match word.as_str() {
                "true" | "false" => Base::Literal(Value::Bool(word == "true")),
                "nil" => Base::Literal(Value::Nil(Nil::Object)),
                name if functions::known(name) => Base::Function(name.to_owned()),
                name => return Err(functions::unknown(name)),
            },
            Kind::Sign('(') => {
                let inner = self.pipe(false)?;
                if !self.sign(')') {
                    return Err("unclosed left paren".into());
                }
                Base::Pipe(Box::new(inner))
            }
            sign @ Kind::Sign(_) => return Err(format!("unexpected {} in operand", shown(sign))),
        };
        Ok(Operand { base, fields })
    }
}

/// A word as the message has it.
fn shown(kind: &Kind) -> String {
    match kind {
        Kind::Dot => "<.>".into(),
        Kind::Field(name) => format!("<.{name}>"),
        Kind::Variable(name) => format!("<${name}>"),
        Kind::Word(word) => format!("<{word}>"),
        Kind::Text(text) => format!("{text:?}"),
        Kind::Int(number) => number.to_string(),
        Kind::Float(number) => number.to_string(),
        Kind::Sign(':') => "<:=>".into(),
        Kind::Sign(sign) => format!("{:?}", sign.to_string()),
    }
}
