//! What the probe said: one JSON object a line, `{"fact": "read /x", "value": …}` or `{"fact": …, "errno": "ENOENT"}`.

use serde_json::Value;

/// The facts in the output of a container; lines of other programs are passed over.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    list: Vec<(String, Result<Value, String>)>,
    text: String,
}

impl Facts {
    /// Picks the facts out of a program's output.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let list = text.lines().filter_map(|line| {
            let mut line: Value = serde_json::from_str(line).ok()?;
            let name = line.get("fact")?.as_str()?.to_owned();
            let found = match line.get("errno").and_then(Value::as_str) {
                Some(errno) => Err(errno.to_owned()),
                None => Ok(line.get_mut("value")?.take()),
            };
            Some((name, found))
        });
        Self { list: list.collect(), text: text.to_owned() }
    }

    /// The fact named `key`, or the only one whose first word is `key`.
    fn find(&self, key: &str) -> &Result<Value, String> {
        let exact = self.list.iter().find(|(name, _)| name == key);
        let by_word = || self.list.iter().find(|(name, _)| name.split(' ').next() == Some(key));
        match exact.or_else(by_word) {
            Some((_, found)) => found,
            None => panic!("the probe said nothing of `{key}`; its output:\n{}", self.text),
        }
    }

    /// The value of a fact. Panics when the probe met an error instead.
    #[must_use]
    pub fn value(&self, key: &str) -> &Value {
        match self.find(key) {
            Ok(value) => value,
            Err(errno) => panic!("`{key}` failed inside the container: {errno}"),
        }
    }

    /// The value as text: a string without its quotes, anything else as compact JSON.
    #[must_use]
    pub fn text(&self, key: &str) -> String {
        match self.value(key) {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }

    /// The name of the error the probe met (`EACCES`), or the empty string when there was none.
    #[must_use]
    pub fn errno(&self, key: &str) -> String {
        self.find(key).as_ref().err().cloned().unwrap_or_default()
    }
}
