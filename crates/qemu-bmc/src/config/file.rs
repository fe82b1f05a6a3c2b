//! The configuration file: TOML, read as dotted keys with a text each, so that it goes the way of the environment.

use std::ops::Range;

use toml::{Table, Value};
use zeroize::Zeroizing;

use super::{
    nearest::nearest_key,
    settings::{self, List, Row, user},
    value,
};

/// The table of users, the one that is there more than once.
const USERS: &str = "user";

/// A setting's text.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) row: &'static Row,
    /// Which it is, of a family.
    pub(super) member: Option<String>,
    pub(super) text: Zeroizing<String>,
}

/// What a file says.
#[derive(Default)]
pub(super) struct File {
    /// Each setting that it has.
    pub(super) settings: Vec<Item>,
    /// The same for each `[[user]]`.
    pub(super) users: Vec<Vec<Item>>,
    /// What is wrong with it, one sentence each, without secrets.
    pub(super) problems: Vec<String>,
}

impl File {
    /// Reads the contents of a file as far as they can be understood.
    pub(super) fn parse(contents: &[u8]) -> Self {
        let mut file = Self::default();
        let Ok(text) = str::from_utf8(contents) else {
            file.problems.push("it is not UTF-8 text".into());
            return file;
        };
        match text.parse::<Table>() {
            Ok(mut table) => {
                file.read_users(table.remove(USERS));
                file.settings = read_rows(table, "", settings::rows(), &mut file.problems);
            }
            // The error's Display quotes the line, and with it a password.
            Err(error) => file.problems.push(format!("{}{}", line(text, error.span()), error.message())),
        }
        file
    }

    fn read_users(&mut self, users: Option<Value>) {
        let users = match users {
            None => return,
            Some(Value::Array(users)) => users,
            Some(_) => {
                self.problems.push(format!("{USERS} is a list: write [[{USERS}]]"));
                return;
            }
        };
        for (index, user) in users.into_iter().enumerate() {
            let Value::Table(table) = user else {
                self.problems.push(format!("{USERS} {} is not a table: write [[{USERS}]]", index + 1));
                continue;
            };
            let mut problems = Vec::new();
            self.users.push(read_rows(table, "user.", user::ROWS.iter().copied(), &mut problems));
            self.problems
                .extend(problems.into_iter().map(|problem| format!("{USERS} {}: {problem}", index + 1)));
        }
    }
}

/// Where in the file, as far as that's known.
fn line(text: &str, span: Option<Range<usize>>) -> String {
    let before = span.and_then(|span| text.get(..span.start));
    before.map(|before| format!("line {}: ", before.matches('\n').count() + 1)).unwrap_or_default()
}

/// Finds the row of every key in the table. `prefix` is what rows have before the keys of this table.
fn read_rows(
    table: Table,
    prefix: &str,
    rows: impl Iterator<Item = &'static Row> + Clone,
    problems: &mut Vec<String>,
) -> Vec<Item> {
    let keys = || rows.clone().filter_map(|row| row.key.strip_prefix(prefix)).filter(|key| !key.is_empty());
    let is_table =
        |key: &str| keys().any(|known| known.strip_prefix(key).is_some_and(|rest| rest.starts_with('.')));

    let mut found = Vec::new();
    let mut pending: Vec<(String, Value)> = table.into_iter().collect();
    pending.reverse();
    while let Some((key, value)) = pending.pop() {
        let single = rows.clone().find(|row| !key.is_empty() && row.key.strip_prefix(prefix) == Some(&key));
        let of_family = || rows.clone().find_map(|row| Some((row, Some(row.member_by_key(&key)?))));
        match (single.map(|row| (row, None)).or_else(of_family), value) {
            (Some((row, member)), value) => match text(row, value) {
                Ok(text) => found.push(Item { row, member: member.map(str::to_owned), text }),
                Err(why) => problems.push(format!("{key}: {why}; takes {}", row.takes)),
            },
            (None, Value::Table(inner)) if is_table(&key) => {
                pending.extend(inner.into_iter().rev().map(|(name, value)| (format!("{key}.{name}"), value)));
            }
            (None, _) if is_table(&key) => problems.push(format!("{key} is a table: write [{key}]")),
            (None, _) => {
                let meant = nearest_key(&key, keys()).map(|known| format!("; did you mean {known}?"));
                let key = key.escape_debug();
                problems.push(format!("{key} is not a setting{}", meant.unwrap_or_default()));
            }
        }
    }
    found
}

/// A value as the text that the setting's variable would have.
fn text(row: &Row, value: Value) -> Result<Zeroizing<String>, &'static str> {
    match (value, row.list) {
        (Value::String(text), _) => Ok(Zeroizing::new(text)),
        (Value::Table(_), _) => Err("it is a table"),
        (Value::Array(_), None) => Err("it is a list"),
        // 1_000 and 1000 are one number and two passwords.
        (_, _) if row.secret => Err("it is not in quotes"),
        (Value::Array(items), Some(list)) => joined(items, list),
        (number @ (Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_)), _) => {
            Ok(Zeroizing::new(number.to_string()))
        }
    }
}

fn joined(items: Vec<Value>, list: List) -> Result<Zeroizing<String>, &'static str> {
    let mut texts = Vec::new();
    for item in items {
        texts.push(match item {
            Value::String(text) => text,
            Value::Table(_) | Value::Array(_) => return Err("its items are neither text nor numbers"),
            number => number.to_string(),
        });
    }
    Ok(Zeroizing::new(match list {
        List::Commas => texts.join(","),
        List::Words => texts.iter().map(|text| value::quoted(text)).collect::<Vec<_>>().join(" "),
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn settings(text: &str) -> Vec<(String, String)> {
        let file = File::parse(text.as_bytes());
        assert_eq!(file.problems, <[String; 0]>::default());
        let key = |item: &Item| match (&item.member, item.row.family()) {
            (Some(member), Some((_, family))) => format!("{family}{member}"),
            _ => item.row.key.into(),
        };
        file.settings.into_iter().map(|item| (key(&item), item.text.to_string())).collect()
    }

    fn problems(text: &str) -> Vec<String> {
        File::parse(text.as_bytes()).problems
    }

    #[test]
    fn values_of_all_types_become_texts() {
        let text = r#"
            debug = true
            [machine]
            memory = 4096
            cpus = "2,sockets=1"
            networks = ["eth2", "eth3"]
            qemu_extra_args = ["-name", "my guest", "it's"]
            [machine.mac]
            eth2 = "52:54:00:00:00:02"
            "eth2.100" = "52:54:00:00:00:03"
            [ipmi]
            cipher_suites = [17, 3]
        "#;
        let mut found = settings(text);
        found.sort();
        let expected = [
            ("debug", "true"),
            ("ipmi.cipher_suites", "17,3"),
            ("machine.cpus", "2,sockets=1"),
            ("machine.mac.eth2", "52:54:00:00:00:02"),
            ("machine.mac.eth2.100", "52:54:00:00:00:03"),
            ("machine.memory", "4096"),
            ("machine.networks", "eth2,eth3"),
            ("machine.qemu_extra_args", r"-name 'my guest' 'it'\''s'"),
        ];
        assert_eq!(found, expected.map(|(key, text)| (key.to_owned(), text.to_owned())));
    }

    #[test]
    fn unknown_keys_name_the_nearest_known() {
        assert_eq!(
            problems("[machine]\nmemroy = 1"),
            ["machine.memroy is not a setting; did you mean machine.memory?"]
        );
        assert_eq!(problems("memory = 1"), ["memory is not a setting; did you mean machine.memory?"]);
        assert_eq!(problems("[colours]\nred = 1"), ["colours is not a setting"]);
        assert_eq!(
            problems("'' = 1\n\"\\u001b[2J\" = 1"),
            [" is not a setting", "\\u{1b}[2J is not a setting"]
        );
        assert_eq!(
            problems("[[user]]\npasword = 'x'"),
            ["user 1: pasword is not a setting; did you mean password?"]
        );
    }

    #[test]
    fn shapes_that_do_not_fit_are_named() {
        assert_eq!(problems("machine = 1"), ["machine is a table: write [machine]"]);
        assert_eq!(problems("[[machine]]\nmemory = 1"), ["machine is a table: write [machine]"]);
        assert_eq!(problems("[user]\nname = 'x'"), ["user is a list: write [[user]]"]);
        assert_eq!(problems("user = ['x']"), ["user 1 is not a table: write [[user]]"]);
        assert_eq!(
            problems("[machine]\nmemory = [1]"),
            ["machine.memory: it is a list; takes a number of MiB, or a size such as 4G"]
        );
        assert_eq!(
            problems("[machine.memory]\nsize = 1"),
            ["machine.memory: it is a table; takes a number of MiB, or a size such as 4G"]
        );
        assert_eq!(problems("[machine]\nmac = 'x'"), ["machine.mac is a table: write [machine.mac]"]);
        assert_eq!(
            problems("[machine.mac]\neth2.100 = 'x'"),
            ["machine.mac.eth2: it is a table; takes a unicast MAC address"]
        );
        assert_eq!(
            problems("[ipmi]\npassword = 12345678"),
            ["ipmi.password: it is not in quotes; takes 1 to 20 bytes"]
        );
    }

    #[test]
    fn a_syntax_error_has_a_line_and_shows_no_secret() {
        for text in [
            "[ipmi]\npassword = hunter2",
            "[ipmi]\npassword = 'hunter2",
            "[ipmi]\npassword = \"hunter2\\q\"",
            "[ipmi]\npassword = 'x'\npassword = 'hunter2'",
        ] {
            let problems = problems(text);
            assert_eq!(problems.len(), 1);
            assert!(problems[0].starts_with("line "), "{problems:?}");
            assert!(!problems[0].contains("hunter2"), "{problems:?}");
        }
        assert_eq!(File::parse(b"\xff").problems, ["it is not UTF-8 text"]);
    }

    #[test]
    fn users_keep_their_order() {
        let file = File::parse(b"[[user]]\nname = 'a'\n[[user]]\nname = 'b'\nprivilege = 'operator'");
        let names: Vec<_> = file
            .users
            .iter()
            .map(|user| user.iter().find(|item| item.row.key == "user.name").map(|item| item.text.as_str()))
            .collect();
        assert_eq!(names, [Some("a"), Some("b")]);
    }

    proptest! {
        #[test]
        fn no_file_makes_it_panic(text in "(\\[{0,2}(machine|user|ipmi)?\\]{0,2}\n?|memory|name|=| |'x'|1|\n|\\.)*") {
            let _ = File::parse(text.as_bytes());
        }
    }
}
