//! The table of settings: every variable, its key in the file, its default, what it takes and what it is for.
//!
//! A setting is defined here and nowhere else. Error messages, `qemu-bmc check` and docs/settings.md are made
//! from these rows; to add a setting is to add a row to the module of what it is about, and a line in [`super::load`] that says
//! what it means.

use std::fmt::Write as _;

use super::value::Parsed;

/// A setting, as far as it is the same for all types.
#[derive(Debug)]
pub(crate) struct Row {
    /// The environment variable.
    pub(super) variable: &'static str,
    /// Where the file has it: tables and key, with dots. Empty if the file can't have it.
    pub(super) key: &'static str,
    /// The text that stands in where nobody says anything. The empty text is "nothing".
    pub(super) default: &'static str,
    /// What it takes, as an error message goes on after "takes".
    pub(super) takes: &'static str,
    /// What it is for, in one line.
    pub(super) help: &'static str,
    /// Whether its text must never be shown.
    pub(super) secret: bool,
    /// How a list of the file becomes the variable's text; `None` if it takes no list.
    pub(super) list: Option<List>,
    /// A variable of somebody else's that has the last word before the default.
    pub(super) fallback: Option<&'static str>,
    /// The default of each of several machines, where that is another.
    pub(super) default_of_several: Option<&'static str>,
    /// What the key was once, which files may still have.
    pub(super) former_key: Option<&'static str>,
}

impl Row {
    /// Whether a file's key means this setting.
    pub(super) fn has_key(&self, key: &str) -> bool {
        self.key == key || self.former_key == Some(key)
    }

    /// Whose setting this variable is, if the row is a family's: `ETH2` of `VM_MAC_ETH2`.
    pub(super) fn member_by_variable<'a>(&self, variable: &'a str) -> Option<&'a str> {
        Pattern::of(self.variable)?.member(variable)
    }

    /// The same of a key: `eth2` of `machine.mac.eth2`.
    pub(super) fn member_by_key<'a>(&self, key: &'a str) -> Option<&'a str> {
        Pattern::of(self.key)?.member(key)
    }

    /// How the variables of a family are made, and its keys: a row whose names have a `<…>` stands for one
    /// setting of each thing that has a name of its own, which takes that place.
    pub(super) fn family(&self) -> Option<(Pattern, Pattern)> {
        Some((Pattern::of(self.variable)?, Pattern::of(self.key)?))
    }
}

/// The names of a family of settings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pattern {
    pub(super) before: &'static str,
    after: &'static str,
    /// Whether its members have numbers: `<N>`.
    numbered: bool,
}

impl Pattern {
    fn of(name: &'static str) -> Option<Self> {
        let (before, rest) = name.split_once('<')?;
        let (member, after) = rest.split_once('>')?;
        Some(Self { before, after, numbered: member.eq_ignore_ascii_case("N") })
    }

    /// The member that has this name.
    fn member<'a>(&self, name: &'a str) -> Option<&'a str> {
        let member = name.strip_prefix(self.before)?.strip_suffix(self.after)?;
        let number = member.bytes().all(|byte| byte.is_ascii_digit());
        (!member.is_empty() && (number || !self.numbered)).then_some(member)
    }

    /// The name of a member.
    pub(super) fn name(&self, member: &str) -> String {
        format!("{}{member}{}", self.before, self.after)
    }
}

/// How a list is written as one text.
#[derive(Clone, Copy, Debug)]
pub(super) enum List {
    /// With commas, which no item contains.
    Commas,
    /// With semicolons, as items have commas.
    Semicolons,
    /// As a command line.
    Words,
}

/// A setting whose value is a `T`.
pub(super) struct Setting<T> {
    pub(super) row: Row,
    pub(super) parse: fn(&str) -> Parsed<T>,
}

impl<T> Setting<T> {
    const fn new(
        variable: &'static str,
        key: &'static str,
        default: &'static str,
        parse: fn(&str) -> Parsed<T>,
        takes: &'static str,
        help: &'static str,
    ) -> Self {
        let row = Row {
            variable,
            key,
            default,
            takes,
            help,
            secret: false,
            list: None,
            fallback: None,
            default_of_several: None,
            former_key: None,
        };
        Self { row, parse }
    }

    const fn secret(mut self) -> Self {
        self.row.secret = true;
        self
    }

    const fn list(mut self, list: List) -> Self {
        self.row.list = Some(list);
        self
    }

    const fn of_several(mut self, default: &'static str) -> Self {
        self.row.default_of_several = Some(default);
        self
    }

    const fn formerly(mut self, key: &'static str) -> Self {
        self.row.former_key = Some(key);
        self
    }

    const fn or_from(mut self, fallback: &'static str) -> Self {
        self.row.fallback = Some(fallback);
        self
    }
}

macro_rules! settings {
    ($($name:ident: $type:ty = $setting:expr;)*) => {
        $(pub(in crate::config) static $name: Setting<$type> = $setting;)*

        pub(in crate::config) static ROWS: &[&Row] = &[$(&$name.row),*];

        #[cfg(test)]
        pub(super) fn refused_defaults() -> Vec<&'static str> {
            let mut refused = Vec::new();
            $(if $name.row.family().is_none() && ($name.parse)($name.row.default).is_err() {
                refused.push($name.row.key);
            })*
            refused
        }
    };
}

mod consoles;
mod controller;
mod firmware;
mod machine;
mod nics;
mod power;
mod program;
mod provisioning;
mod qemu;
mod shares;
mod storage;
pub(in crate::config) mod user;

pub(in crate::config) use consoles::*;
pub(in crate::config) use controller::*;
pub(in crate::config) use firmware::*;
pub(in crate::config) use machine::*;
pub(in crate::config) use nics::*;
pub(in crate::config) use power::*;
pub(in crate::config) use program::*;
pub(in crate::config) use provisioning::*;
pub(in crate::config) use qemu::*;
pub(in crate::config) use shares::*;
pub(in crate::config) use storage::*;

const FLAG: &str = "true or false";
const PATH: &str = "a path";
const PATH_OR_NONE: &str = "a path, or none";
const PORT: &str = "a port, 0 to 65535";
const PORT_OR_NONE: &str = "a port, 1 to 65535, or none";
const ADDRESSES: &str = "IP addresses with commas between them, or all";
const MAC: &str = "a unicast MAC address";
const INTERFACE: &str = "the name of an interface";
const LABEL: &str = "up to 63 printable ASCII characters";

/// Settings that are about one thing.
pub(super) struct Group {
    /// Their heading.
    pub(super) title: &'static str,
    pub(super) rows: &'static [&'static Row],
    #[cfg(test)]
    refused_defaults: fn() -> Vec<&'static str>,
}

macro_rules! group {
    ($title:literal, $module:ident) => {
        Group {
            title: $title,
            rows: $module::ROWS,
            #[cfg(test)]
            refused_defaults: $module::refused_defaults,
        }
    };
}

/// All settings but those of a `[[user]]`, in the order in which people are shown them.
pub(super) static GROUPS: &[Group] = &[
    group!("The machine", machine),
    group!("Firmware and boot order", firmware),
    group!("Disks and CDs", storage),
    group!("First boot: cloud-init and Ignition", provisioning),
    group!("Shared folders", shares),
    group!("Networks", nics),
    group!("QEMU itself", qemu),
    group!("Power", power),
    group!("The BMC", controller),
    group!("Screen and serial console", consoles),
    group!("The program", program),
];

/// Every row, in that order.
pub(super) fn rows() -> impl Iterator<Item = &'static Row> + Clone {
    GROUPS.iter().flat_map(|group| group.rows.iter().copied())
}

/// `qemu-bmc settings`, which is docs/settings.md too.
pub(crate) fn reference() -> String {
    let mut page = String::from(INTRODUCTION);
    for Group { title, rows, .. } in GROUPS {
        let _ = write!(page, "\n## {title}\n\n{TABLE_HEAD}");
        page.extend(rows.iter().map(|row| row.in_table()));
    }
    page
}

const INTRODUCTION: &str = "\
# Settings

Each is an environment variable, and a key of the configuration file (`/etc/qemu-bmc.toml`, or where
`QEMU_BMC_CONFIG` says); the environment goes over the file, and an empty variable says nothing. `qemu-bmc check`
shows what they come to. A file can have several machines: [several-machines.md](several-machines.md). This page is
what `qemu-bmc settings` prints.
";

const TABLE_HEAD: &str = "\
| variable | in the file | default | takes | meaning |
|---|---|---|---|---|
";

impl Row {
    /// The setting's line in a table.
    fn in_table(&self) -> String {
        let code = |text: &str| if text.is_empty() { String::new() } else { format!("`{text}`") };
        let Self { variable, key, default, takes, help, default_of_several, .. } = self;
        let of_several = default_of_several.map(|text| format!(", of several machines `{text}`"));
        let default = format!("{}{}", code(default), of_several.unwrap_or_default());
        format!("| {} | {} | {default} | {takes} | {help} |\n", code(variable), code(key))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_default_is_a_good_value() {
        let refused: Vec<_> = GROUPS.iter().flat_map(|group| (group.refused_defaults)()).collect();
        assert_eq!(refused, <[&str; 0]>::default());
        // These two have none: a user without them is refused.
        assert_eq!(user::refused_defaults(), ["user.name", "user.password"]);
    }

    #[test]
    fn no_variable_and_no_key_is_there_twice() {
        let variables: HashSet<_> = rows().map(|row| row.variable).collect();
        let keys: HashSet<_> = rows().map(|row| row.key).collect();
        assert_eq!((variables.len(), keys.len()), (rows().count(), rows().count()));
    }

    #[test]
    fn no_row_breaks_its_table() {
        for row in rows() {
            let Row { variable, takes, help, .. } = row;
            assert!(!takes.is_empty() && !help.is_empty(), "{variable}");
            assert!(!takes.contains(['|', '\n']) && !help.contains(['|', '\n']), "{variable}");
        }
    }

    fn file(path: &str) -> String {
        std::fs::read_to_string(format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    #[test]
    fn the_page_of_settings_is_theirs() {
        assert!(
            file("docs/settings.md") == reference(),
            "settings are other than docs/settings.md says: cargo run -q -p qemu-bmc -- settings > docs/settings.md"
        );
    }

    #[test]
    fn the_readme_shows_some_of_them_as_they_are() {
        let readme = file("README.md");
        let (_, rest) = readme.split_once("<!-- settings -->\n").unwrap();
        let (table, _) = rest.split_once("<!-- /settings -->").unwrap();
        let lines: Vec<_> = table.strip_prefix(TABLE_HEAD).unwrap().lines().collect();
        assert!(lines.len() > 10, "{lines:?}");
        for line in lines {
            let variable = line.split('`').nth(1).unwrap();
            let row = rows().find(|row| row.variable == variable);
            assert_eq!(line, row.unwrap().in_table().trim_end(), "{variable}");
        }
    }
}
