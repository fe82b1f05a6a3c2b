//! What was said: one text per setting, and where it comes from.
//!
//! The environment has it over the file, and what the file says of one machine over what it says of all.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, HashSet},
    ffi::OsString,
    fmt, io,
    path::Path,
    sync::Arc,
};

use zeroize::Zeroizing;

use super::{
    file::{File, Item, OneOfSeveral},
    host::Host,
    nearest::{nearest_family, nearest_variable},
    settings::{self, Row, rows},
    several::MachineName,
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

impl Origin {
    pub(super) fn is_environment(&self) -> bool {
        matches!(self, Self::Environment(_))
    }
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
            (Origin::File(path), Some((_, key))) => format!("{path}: {}", key.name(&self.name)),
            _ => self.variable(),
        }
    }

    /// Whether it was said by the environment.
    pub(super) fn is_variable(&self) -> bool {
        self.origin.is_environment()
    }

    /// Its variable, whether or not that is where it comes from.
    pub(super) fn variable(&self) -> String {
        match (&self.origin, self.row.family()) {
            (Origin::Environment(variable), _) => variable.to_string(),
            (_, Some((variable, _))) => variable.name(&self.name.to_ascii_uppercase()),
            (_, None) => self.row.variable.into(),
        }
    }
}

/// Settings of which the file has one or the other.
static ALTERNATIVES: [(&Row, &Row); 2] = [
    (&settings::IPMI_PASS.row, &settings::IPMI_PASS_FILE.row),
    (&settings::VNC_PASSWORD.row, &settings::VNC_PASSWORD_FILE.row),
];

/// Some settings' texts, by key.
#[derive(Clone, Default)]
pub(super) struct Texts {
    said: HashMap<&'static str, (Zeroizing<String>, Origin)>,
    /// Those of families: the file's in its order, then the environment's by name.
    members: Vec<Member>,
    /// The file and the user that these are about, if they are a user's.
    user: Option<String>,
    /// Which of several machines they are about, if there are several.
    pub(super) machine: Option<MachineName>,
    /// The keys of what was said of this machine alone.
    its_own: HashSet<&'static str>,
}

impl Texts {
    /// The setting's text, its default where nobody said one.
    pub(super) fn text(&self, row: &'static Row) -> (&str, Origin) {
        match (self.said.get(row.key), row.default_of_several) {
            (Some((text, origin)), _) => (text, origin.clone()),
            (None, Some(default)) if self.machine.is_some() => (default, Origin::Default),
            (None, _) => (row.default, Origin::Default),
        }
    }

    /// The name of the folder of one of several machines, in a folder that was named for all of them.
    pub(super) fn folder_within(&self, row: &'static Row) -> Option<&str> {
        let machine = self.machine.as_ref()?;
        (!self.its_own.contains(row.key)).then_some(machine.as_str())
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

    /// What is said of one machine goes over what is said of all, but not over the environment.
    fn say_of_one(&mut self, item: Item, origin: Origin) {
        let from_environment = |(_, origin): &(_, Origin)| origin.is_environment();
        let Item { row, member, text } = item;
        match member {
            _ if text.is_empty() => {}
            Some(name) => {
                // Among these the later one wins, and variables are the last.
                let place = self.members.iter().position(Member::is_variable).unwrap_or(self.members.len());
                self.members.insert(place, Member { row, name, text, origin });
            }
            None if self.said.get(row.key).is_some_and(from_environment) => {}
            None => {
                for (one, other) in ALTERNATIVES {
                    let alternative = if row.key == one.key { other } else { one };
                    let is_one_of_them = row.key == one.key || row.key == other.key;
                    let said_of_all =
                        self.said.get(alternative.key).is_some_and(|said| !from_environment(said));
                    if is_one_of_them && said_of_all && !self.its_own.contains(alternative.key) {
                        self.said.remove(alternative.key);
                    }
                }
                self.its_own.insert(row.key);
                self.said.insert(row.key, (text, origin));
            }
        }
    }
}

/// Everything that was said.
#[derive(Default)]
pub(super) struct Said {
    /// The settings; those for all machines, if there are several.
    pub(super) settings: Texts,
    /// Each `[[user]]` of the file.
    pub(super) users: Vec<Texts>,
    /// Each `[[machine]]` of the file.
    machines: Vec<OneOfSeveral>,
    /// The file.
    path: Arc<str>,
}

/// What was said of one machine: by itself, or of all.
pub(super) struct SaidOfMachine {
    pub(super) name: MachineName,
    pub(super) settings: Texts,
    pub(super) users: Vec<Texts>,
    /// What is wrong with it already.
    pub(super) problems: Vec<String>,
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
        if !said.machines.is_empty() && variables.get("VM_NAME").is_some_and(|name| !name.is_empty()) {
            problems.push("VM_NAME: each [[machine]] has a name of its own: leave it out".into());
        }
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
        let File { settings, users, machines, problems: of_file } = File::parse(&contents);
        problems.extend(of_file.into_iter().map(|problem| format!("{path}: {problem}")));
        for item in settings {
            self.settings.say(item, Origin::File(Arc::clone(&path)));
        }
        self.users = texts_of_users(users, &path);
        (self.machines, self.path) = (machines, path);
    }

    /// What was said of each of several machines; of none if there is one only.
    pub(super) fn of_several(&mut self) -> Vec<SaidOfMachine> {
        let machines = std::mem::take(&mut self.machines);
        machines.into_iter().map(|machine| self.of_one(machine)).collect()
    }

    fn of_one(&self, OneOfSeveral { name, settings, users, problems }: OneOfSeveral) -> SaidOfMachine {
        let mut texts = self.settings.clone();
        let row = &settings::VM_NAME.row;
        let text = Zeroizing::new(name.to_string());
        texts.machine = Some(name.clone());
        texts.said.remove(row.key);
        for item in std::iter::once(Item { row, member: None, text }).chain(settings) {
            texts.say_of_one(item, Origin::File(Arc::clone(&self.path)));
        }
        let mut all_users = self.users.clone();
        all_users.extend(texts_of_users(users, &self.path));
        let problems = problems.into_iter().map(|problem| format!("{}: {problem}", self.path)).collect();
        SaidOfMachine { name, settings: texts, users: all_users, problems }
    }
}

fn texts_of_users(users: Vec<Vec<Item>>, path: &Arc<str>) -> Vec<Texts> {
    let texts = users.into_iter().enumerate().map(|(index, items)| {
        let mut texts = Texts { user: Some(format!("{path}: user {}", index + 1)), ..Texts::default() };
        for item in items {
            texts.say(item, Origin::File(Arc::clone(path)));
        }
        texts
    });
    texts.collect()
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
    let families = rows().filter_map(|row| Some(row.family()?.0.before));
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
