//! What was said: one text per setting, and where it comes from. The environment has it over the file.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    ffi::OsString,
    fmt, io,
    path::Path,
    sync::Arc,
};

use zeroize::Zeroizing;

use super::{
    file::{File, Item},
    host::Host,
    nearest::{nearest_family, nearest_variable},
    settings::{self, Row, rows},
};

/// Where a text comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Nobody said anything.
    Default,
    /// This environment variable.
    Environment(Cow<'static, str>),
    /// This file.
    File(Arc<str>),
}

/// How `qemu-bmc check` names it.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::Environment(_) => "environment",
            Self::File(path) => path,
        })
    }
}

/// What was said of one of a family of settings.
#[derive(Clone, Debug)]
pub(super) struct Member {
    row: &'static Row,
    /// Which it is: the end of the variable's name, or of the key.
    pub(super) name: String,
    pub(super) text: Zeroizing<String>,
    pub(super) origin: Origin,
}

impl Member {
    /// What to call it in a message.
    pub(super) fn place(&self) -> String {
        match (&self.origin, self.row.family()) {
            (Origin::File(path), Some((_, key))) => format!("{path}: {key}{}", self.name),
            _ => self.variable(),
        }
    }

    /// Whether it was said by the environment.
    pub(super) fn is_variable(&self) -> bool {
        matches!(self.origin, Origin::Environment(_))
    }

    /// Its variable, whether or not that is where it comes from.
    pub(super) fn variable(&self) -> String {
        match (&self.origin, self.row.family()) {
            (Origin::Environment(variable), _) => variable.to_string(),
            (_, Some((variable, _))) => format!("{variable}{}", self.name.to_ascii_uppercase()),
            (_, None) => self.row.variable.into(),
        }
    }
}

/// Some settings' texts, by key.
#[derive(Default)]
pub(super) struct Texts {
    said: HashMap<&'static str, (Zeroizing<String>, Origin)>,
    /// Those of families: the file's in its order, then the environment's by name.
    members: Vec<Member>,
    /// The file and the user that these are about, if they are a user's.
    user: Option<String>,
}

impl Texts {
    /// The setting's text, its default where nobody said one.
    pub(super) fn text(&self, row: &'static Row) -> (&str, Origin) {
        match self.said.get(row.key) {
            Some((text, origin)) => (text, origin.clone()),
            None => (row.default, Origin::Default),
        }
    }

    /// What to call the setting in a message about what was said.
    pub(super) fn name(&self, row: &'static Row) -> String {
        match (&self.user, self.text(row).1) {
            (Some(user), _) => format!("{user}: {}", row.key.strip_prefix("user.").unwrap_or(row.key)),
            (None, Origin::Environment(variable)) => variable.into_owned(),
            (None, Origin::File(path)) => format!("{path}: {}", row.key),
            (None, Origin::Default) => row.variable.into(),
        }
    }

    /// What was said of this family's settings.
    pub(super) fn members(&self, row: &'static Row) -> Vec<Member> {
        self.members.iter().filter(|member| std::ptr::eq(member.row, row)).cloned().collect()
    }

    /// The empty text says nothing.
    fn say(&mut self, Item { row, member, text }: Item, origin: Origin) {
        match member {
            _ if text.is_empty() => {}
            Some(name) => self.members.push(Member { row, name, text, origin }),
            None => drop(self.said.insert(row.key, (text, origin))),
        }
    }
}

/// Everything that was said.
#[derive(Default)]
pub(super) struct Said {
    /// The settings.
    pub(super) settings: Texts,
    /// Each `[[user]]` of the file.
    pub(super) users: Vec<Texts>,
}

impl Said {
    /// Collects what the environment and the file say. What can't be understood becomes a problem, what is odd
    /// a warning.
    pub(super) fn collect(
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        host: &dyn Host,
        problems: &mut Vec<String>,
        warnings: &mut Vec<String>,
    ) -> Self {
        let mut variables = BTreeMap::new();
        for (name, value) in environment {
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                _ if !is_known(&name) => warnings.extend(misspelt(&name)),
                Ok(text) => drop(variables.insert(name, Zeroizing::new(text))),
                Err(_) => problems.push(format!("{name}: it is not UTF-8 text")),
            }
        }
        warnings.sort();

        let mut said = Self::default();
        said.take(&settings::CONFIG.row, settings::CONFIG.row.variable, &mut variables);
        said.read_file(host, problems);
        for row in rows() {
            said.take(row, row.variable, &mut variables);
            if let Some(variable) = row.fallback
                && said.settings.text(row).1 == Origin::Default
            {
                said.take(row, variable, &mut variables);
            }
        }
        for (variable, text) in variables {
            if let Some((row, member)) = family_of(&variable) {
                let item = Item { row, member: Some(member.to_owned()), text };
                said.settings.say(item, Origin::Environment(variable.into()));
            }
        }
        said
    }

    fn take(
        &mut self,
        row: &'static Row,
        variable: &'static str,
        variables: &mut BTreeMap<String, Zeroizing<String>>,
    ) {
        if let Some(text) = variables.remove(variable) {
            self.settings.say(Item { row, member: None, text }, Origin::Environment(variable.into()));
        }
    }

    fn read_file(&mut self, host: &dyn Host, problems: &mut Vec<String>) {
        let (path, origin) = self.settings.text(&settings::CONFIG.row);
        let path: Arc<str> = path.into();
        let contents = match host.read(Path::new(&*path)) {
            Ok(contents) => Zeroizing::new(contents),
            Err(error) if error.kind() == io::ErrorKind::NotFound && origin == Origin::Default => return,
            Err(error) => {
                problems.push(format!("{}: cannot read {path:?}: {error}", settings::CONFIG.row.variable));
                return;
            }
        };
        let file = File::parse(&contents);
        problems.extend(file.problems.into_iter().map(|problem| format!("{path}: {problem}")));
        for item in file.settings {
            self.settings.say(item, Origin::File(Arc::clone(&path)));
        }
        for (index, items) in file.users.into_iter().enumerate() {
            let mut texts = Texts { user: Some(format!("{path}: user {}", index + 1)), ..Texts::default() };
            for item in items {
                texts.say(item, Origin::File(Arc::clone(&path)));
            }
            self.users.push(texts);
        }
    }
}

/// All variables that mean something, but for families'.
fn variables() -> impl Iterator<Item = &'static str> + Clone {
    let single = rows().filter(|row| row.family().is_none());
    single.flat_map(|row| [Some(row.variable), row.fallback]).flatten()
}

fn is_known(name: &str) -> bool {
    variables().any(|known| known == name) || family_of(name).is_some()
}

/// The row of the family that has this variable, and which of the family it is.
fn family_of(variable: &str) -> Option<(&'static Row, &str)> {
    if variables().any(|known| known == variable) {
        return None;
    }
    rows().find_map(|row| Some((row, row.member_by_variable(variable)?)))
}

/// The variable that may have been meant by one that means nothing.
pub(super) fn meant_by(name: &str) -> Option<String> {
    let upper = name.to_ascii_uppercase();
    let families = rows().filter_map(|row| Some(row.family()?.0));
    nearest_variable(&upper, variables())
        .map(str::to_owned)
        .or_else(|| nearest_family(&upper, families))
        .filter(|meant| meant != name)
}

/// A warning about a variable that looks like one of ours and isn't.
fn misspelt(name: &str) -> Option<String> {
    let upper = name.to_ascii_uppercase();
    let (first_word, _) = upper.split_once('_')?;
    if !variables().any(|known| known.split_once('_').is_some_and(|(first, _)| first == first_word)) {
        return None;
    }
    Some(format!("{name} is not a setting; did you mean {}?", meant_by(name)?))
}
