//! One `[[sensor]]` of the file: its keys by type, and where they are.

use toml::de::{DeTable, DeValue};

use super::super::nearest::nearest_key;

/// All keys.
const KEYS: &[&str] = &[
    "name",
    "remove",
    "number",
    "type",
    "event_type",
    "entity",
    "standby",
    "unit",
    "value",
    "range",
    "follows",
    "inertia",
    "noise",
    "off",
    "scale",
    "hysteresis",
    "lower_non_critical",
    "lower_critical",
    "lower_non_recoverable",
    "upper_non_critical",
    "upper_critical",
    "upper_non_recoverable",
    "states",
];

/// The line of a place in the text.
pub(super) fn line(text: &str, offset: usize) -> usize {
    text.get(..offset).unwrap_or_default().matches('\n').count() + 1
}

/// A table that is being read.
pub(super) struct Entry<'a> {
    text: &'a str,
    start: usize,
    table: &'a DeTable<'a>,
    /// What it is called in messages.
    name: String,
    problems: &'a mut Vec<String>,
}

impl<'a> Entry<'a> {
    pub(super) fn new(
        text: &'a str,
        start: usize,
        table: &'a DeTable<'a>,
        problems: &'a mut Vec<String>,
    ) -> Self {
        Self { text, start, table, name: String::new(), problems }
    }

    /// Gives it the name that messages have.
    pub(super) fn call(&mut self, name: &str) {
        self.name = format!("{name}: ");
    }

    /// Something is wrong with the whole.
    pub(super) fn problem(&mut self, why: &str) {
        let line = line(self.text, self.start);
        self.problems.push(format!("line {line}: {}{why}", self.name));
    }

    /// Something is wrong with one key.
    pub(super) fn problem_at(&mut self, key: &str, why: impl AsRef<str>) {
        let line = line(self.text, self.table.get(key).map_or(self.start, |value| value.span().start));
        self.problems.push(format!("line {line}: {}{key}: {}", self.name, why.as_ref()));
    }

    pub(super) fn refuse_unknown_keys(&mut self) {
        for (key, _) in self.table {
            let name = key.get_ref().as_ref();
            if !KEYS.contains(&name) {
                let line = line(self.text, key.span().start);
                let meant = nearest_key(name, KEYS.iter().copied());
                let meant = meant.map(|known| format!("; did you mean {known}?")).unwrap_or_default();
                self.problems.push(format!("line {line}: {} is not a key{meant}", name.escape_debug()));
            }
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The value of a key, taken as something; a problem if it is something else.
    fn take<T>(&mut self, key: &str, takes: &str, read: impl Fn(&DeValue<'_>) -> Option<T>) -> Option<T> {
        let value = self.table.get(key)?;
        let taken = read(value.get_ref());
        if taken.is_none() {
            self.problem_at(key, format!("takes {takes}"));
        }
        taken
    }

    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        self.take(key, "a text in quotes", |value| value.as_str().map(str::to_owned))
    }

    pub(super) fn flag(&mut self, key: &str) -> Option<bool> {
        self.take(key, "true or false", |value| value.as_bool())
    }

    pub(super) fn number(&mut self, key: &str) -> Option<f64> {
        self.take(key, "a number", number)
    }

    /// A number that is not below zero.
    pub(super) fn size(&mut self, key: &str) -> Option<f64> {
        self.take(key, "a number from 0 on", |value| number(value).filter(|number| *number >= 0.0))
    }

    /// Two numbers.
    pub(super) fn pair(&mut self, key: &str) -> Option<(f64, f64)> {
        self.take(key, "two numbers in brackets", |value| {
            let mut items = value.as_array()?.iter().map(|item| number(item.get_ref()));
            let pair = (items.next()??, items.next()??);
            items.next().is_none().then_some(pair)
        })
    }

    /// A text or a number, as text.
    pub(super) fn word(&mut self, key: &str) -> Option<String> {
        self.take(key, "a name in quotes, or a number", word)
    }

    /// A list of texts or numbers.
    pub(super) fn words(&mut self, key: &str) -> Option<Vec<String>> {
        self.take(key, "a list of names in quotes, or of numbers", |value| {
            value.as_array()?.iter().map(|item| word(item.get_ref())).collect()
        })
    }
}

fn number(value: &DeValue<'_>) -> Option<f64> {
    let number = match value {
        DeValue::Integer(integer) => {
            let whole = i32::from_str_radix(integer.as_str(), integer.radix()).ok()?;
            f64::from(whole)
        }
        DeValue::Float(float) => float.as_str().parse().ok()?,
        _ => return None,
    };
    f64::is_finite(number).then_some(number)
}

fn word(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(_) => number(value).map(|number| number.to_string()),
        _ => None,
    }
}
