//! The configuration file: TOML, read as dotted keys with a text each, so that it goes the way of the environment.
//!
//! ```text
//!   one machine        several
//!   [machine]          [[machine]], each with a name, the same keys, and tables of its own: [machine.ipmi]
//!                      [defaults]: those keys for all of them
//!   [ipmi], [vnc], …   the same, for all of them
//!   [[user]]           for all of them; [[machine.user]] for one
//! ```

use std::ops::Range;

use toml::{Table, Value};
use zeroize::Zeroizing;

use super::{
    nearest::nearest_key,
    settings::{self, List, Row, user},
    several::MachineName,
    value,
};

/// The table of users, which is there once for each.
const USERS: &str = "user";
/// The table of the machine, which is there once for each if there are several.
const MACHINE: &str = "machine";
/// What [`MACHINE`] is where that is there for each of several.
const DEFAULTS: &str = "defaults";
/// What the key of every setting of the guest begins with.
const OF_GUEST: &str = "machine.";
/// The key of a machine's name, among those.
const NAME: &str = "name";

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
    /// What it says of each of several machines.
    pub(super) machines: Vec<OneOfSeveral>,
    /// What is wrong with it, one sentence each, without secrets.
    pub(super) problems: Vec<String>,
}

/// What a file says of one `[[machine]]`.
pub(super) struct OneOfSeveral {
    pub(super) name: MachineName,
    pub(super) settings: Vec<Item>,
    pub(super) users: Vec<Vec<Item>>,
    /// What is wrong with it, which is no other machine's business.
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
            Ok(table) => file.read(table),
            // The error's Display quotes the line, and with it a password.
            Err(error) => file.problems.push(format!("{}{}", line(text, error.span()), error.message())),
        }
        file
    }

    fn read(&mut self, mut table: Table) {
        self.users = read_users(table.remove(USERS), &mut self.problems);
        match table.remove(MACHINE) {
            Some(Value::Array(machines)) => {
                self.read_machines(machines);
                match table.remove(DEFAULTS) {
                    Some(Value::Table(defaults)) => self.settings = self.read_defaults(defaults),
                    Some(_) => self.problems.push(format!("{DEFAULTS} is a table: write [{DEFAULTS}]")),
                    None => {}
                }
            }
            one => {
                if table.remove(DEFAULTS).is_some() {
                    self.problems.push(format!(
                        "{DEFAULTS} is for several machines, [[{MACHINE}]]; a single one has all in [{MACHINE}]"
                    ));
                }
                table.extend(one.map(|one| (MACHINE.to_owned(), one)));
            }
        }
        self.settings.extend(read_rows(table, "", settings::rows(), &mut self.problems));
    }

    fn read_defaults(&mut self, mut table: Table) -> Vec<Item> {
        let mut problems = Vec::new();
        if table.remove(NAME).is_some() {
            problems.push(format!("{NAME} is for each [[{MACHINE}]] by itself"));
        }
        let items = read_rows(table, OF_GUEST, settings::rows(), &mut problems);
        self.problems.extend(problems.into_iter().map(|problem| format!("{DEFAULTS}: {problem}")));
        items
    }

    fn read_machines(&mut self, machines: Vec<Value>) {
        if machines.is_empty() {
            self.problems.push(format!("{MACHINE} is an empty list: write [{MACHINE}] or [[{MACHINE}]]"));
        }
        for (index, machine) in machines.into_iter().enumerate() {
            let read = match machine {
                Value::Table(table) => read_machine(table),
                _ => Err(format!("it is not a table: write [[{MACHINE}]]")),
            };
            match read {
                Ok(machine) if self.machines.iter().any(|other| other.name == machine.name) => {
                    self.problems.push(format!("two machines have the name {}", machine.name));
                }
                Ok(machine) => self.machines.push(machine),
                Err(problem) => self.problems.push(format!("{MACHINE} {}: {problem}", index + 1)),
            }
        }
    }
}

/// Reads a `[[machine]]`: the guest's settings stand in it, those of other tables in tables of these names. One
/// whose name isn't good is nobody's, and nothing else is said of it.
fn read_machine(mut table: Table) -> Result<OneOfSeveral, String> {
    let name = match table.remove(NAME) {
        Some(Value::String(name)) => MachineName::parse(&name),
        _ => None,
    };
    let name = name.ok_or_else(|| format!("{NAME}: takes {}", MachineName::TAKES))?;
    let mut problems = Vec::new();
    let users = read_users(table.remove(USERS), &mut problems);
    let (guest, others): (Table, Table) =
        table.into_iter().partition(|(key, value)| !is_beside_guest(key, value));
    let mut settings = read_rows(guest, OF_GUEST, settings::rows(), &mut problems);
    let beside = settings::rows().filter(|row| !row.key.starts_with(OF_GUEST));
    settings.extend(read_rows(others, "", beside, &mut problems));
    Ok(OneOfSeveral { name, settings, users, problems })
}

/// Whether this is no setting of the guest: a table such as `ipmi`, or a key that is in no table.
fn is_beside_guest(key: &str, value: &Value) -> bool {
    let is_table = matches!(value, Value::Table(_));
    settings::rows().any(|row| match row.key.split_once('.') {
        Some((table, _)) => is_table && table == key && table != MACHINE,
        None => row.key == key,
    })
}

fn read_users(users: Option<Value>, problems: &mut Vec<String>) -> Vec<Vec<Item>> {
    let users = match users {
        None => return Vec::new(),
        Some(Value::Array(users)) => users,
        Some(_) => {
            problems.push(format!("{USERS} is a list: write [[{USERS}]]"));
            return Vec::new();
        }
    };
    let mut read = Vec::new();
    for (index, user) in users.into_iter().enumerate() {
        let Value::Table(table) = user else {
            problems.push(format!("{USERS} {} is not a table: write [[{USERS}]]", index + 1));
            continue;
        };
        let mut its_own = Vec::new();
        read.push(read_rows(table, "user.", user::ROWS.iter().copied(), &mut its_own));
        problems.extend(its_own.into_iter().map(|problem| format!("{USERS} {}: {problem}", index + 1)));
    }
    read
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
        let full = format!("{prefix}{key}");
        let single = rows.clone().find(|row| !key.is_empty() && row.has_key(&full));
        let of_family = || rows.clone().find_map(|row| Some((row, Some(row.member_by_key(&full)?))));
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
        List::Semicolons => texts.join(";"),
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
            (Some(member), Some((_, family))) => family.name(member),
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
        assert_eq!(problems("machine = ['x']"), ["machine 1: it is not a table: write [[machine]]"]);
        assert_eq!(problems("machine = []"), ["machine is an empty list: write [machine] or [[machine]]"]);
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
