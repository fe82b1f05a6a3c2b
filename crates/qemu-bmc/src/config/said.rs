//! What was said: one text per setting, and where it comes from. The environment has it over the file.

use std::{collections::HashMap, ffi::OsString, fmt, io, path::Path, sync::Arc};

use zeroize::Zeroizing;

use super::{
    file::File,
    host::Host,
    nearest::nearest_variable,
    settings::{self, ROWS, Row},
};

/// Where a text comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Nobody said anything.
    Default,
    /// This environment variable.
    Environment(&'static str),
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

/// Some settings' texts, by key.
#[derive(Default)]
pub(super) struct Texts {
    said: HashMap<&'static str, (Zeroizing<String>, Origin)>,
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
            (None, Origin::Environment(variable)) => variable.into(),
            (None, Origin::File(path)) => format!("{path}: {}", row.key),
            (None, Origin::Default) => row.variable.into(),
        }
    }

    /// The empty text says nothing.
    fn say(&mut self, row: &'static Row, text: Zeroizing<String>, origin: Origin) {
        if !text.is_empty() {
            self.said.insert(row.key, (text, origin));
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
        let mut variables = HashMap::new();
        for (name, value) in environment {
            let Ok(name) = name.into_string() else { continue };
            match (known_variable(&name), value.into_string()) {
                (Some(known), Ok(text)) => {
                    variables.insert(known, Zeroizing::new(text));
                }
                (Some(known), Err(_)) => problems.push(format!("{known}: it is not UTF-8 text")),
                (None, _) => warnings.extend(misspelt(&name)),
            }
        }
        warnings.sort();

        let mut said = Self::default();
        let config = &settings::CONFIG.row;
        if let Some(text) = variables.remove(config.variable) {
            said.settings.say(config, text, Origin::Environment(config.variable));
        }
        said.read_file(host, problems);
        for row in ROWS {
            if let Some(text) = variables.remove(row.variable) {
                said.settings.say(row, text, Origin::Environment(row.variable));
            }
            if let Some(variable) = row.fallback
                && let Some(text) = variables.remove(variable)
                && said.settings.text(row).1 == Origin::Default
            {
                said.settings.say(row, text, Origin::Environment(variable));
            }
        }
        said
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
        for (row, text) in file.settings {
            self.settings.say(row, text, Origin::File(Arc::clone(&path)));
        }
        for (index, rows) in file.users.into_iter().enumerate() {
            let mut texts = Texts { user: Some(format!("{path}: user {}", index + 1)), ..Texts::default() };
            for (row, text) in rows {
                texts.say(row, text, Origin::File(Arc::clone(&path)));
            }
            self.users.push(texts);
        }
    }
}

/// All variables that mean something.
fn variables() -> impl Iterator<Item = &'static str> + Clone {
    ROWS.iter().flat_map(|row| [Some(row.variable), row.fallback]).flatten()
}

fn known_variable(name: &str) -> Option<&'static str> {
    variables().find(|known| *known == name)
}

/// A warning about a variable that looks like one of ours and isn't.
fn misspelt(name: &str) -> Option<String> {
    let upper = name.to_ascii_uppercase();
    let (family, _) = upper.split_once('_')?;
    if !variables().any(|known| known.split_once('_').is_some_and(|(first, _)| first == family)) {
        return None;
    }
    let known = nearest_variable(&upper, variables())?;
    Some(format!("{name} is not a setting; did you mean {known}?"))
}
