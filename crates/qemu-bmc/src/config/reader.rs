//! Taking one setting at a time: its value, or a sentence about what is wrong with it.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{
    describe::Effective,
    host::Host,
    said::{Member, Origin, Texts},
    settings::{Row, Setting},
    value::{Parsed, Refused},
};

/// What comes to light while settings are read.
#[derive(Default)]
pub(super) struct Findings {
    /// What is wrong, without secrets.
    pub(super) problems: Vec<String>,
    /// What is odd, without secrets.
    pub(super) warnings: Vec<String>,
    /// What is odd about the machine, without secrets.
    pub(super) machine_warnings: Vec<String>,
    /// Every setting that was read, in that order.
    pub(super) settings: Vec<Effective>,
}

/// Reads settings from their texts.
pub(super) struct Reader<'a> {
    pub(super) texts: &'a Texts,
    pub(super) host: &'a dyn Host,
    pub(super) findings: &'a mut Findings,
}

impl Reader<'_> {
    /// The setting's value, or a problem.
    pub(super) fn get<T>(&mut self, setting: &'static Setting<T>) -> Option<T> {
        let row = &setting.row;
        let (text, origin) = self.texts.text(row);
        let shown = if row.secret && !text.is_empty() { "(secret)" } else { text };
        self.findings.settings.push(Effective { row, name: row.variable.into(), text: shown.into(), origin });
        self.accept((setting.parse)(text), &self.texts.name(row), (!row.secret).then_some(text), row)
    }

    /// Whether anybody said anything of it.
    pub(super) fn is_said(&self, row: &'static Row) -> bool {
        !matches!(self.texts.text(row).1, Origin::Default)
    }

    /// The value of one of a family, or a problem.
    pub(super) fn get_member<T>(&mut self, setting: &'static Setting<T>, member: &Member) -> Option<T> {
        let Member { text, origin, .. } = member;
        let (row, text) = (&setting.row, text.as_str());
        let shown = Effective { row, name: member.variable(), text: text.into(), origin: origin.clone() };
        self.findings.settings.push(shown);
        self.accept((setting.parse)(text), &member.place(), Some(text), row)
    }

    /// The value of a setting that can be in a file of its own instead.
    pub(super) fn get_secret<T>(
        &mut self,
        setting: &'static Setting<T>,
        file: &'static Setting<Option<PathBuf>>,
    ) -> Option<T> {
        let path = self.get(file)?;
        let (_, text_origin) = self.texts.text(&setting.row);
        let (_, file_origin) = self.texts.text(&file.row);
        match (path, text_origin, file_origin) {
            // The environment goes over the file, in this too.
            (Some(path), Origin::Default, _) | (Some(path), Origin::File(_), Origin::Environment(_)) => {
                let place = self.texts.name(&file.row);
                let secret = read_secret(self.host, &place, &path)
                    .map_err(|problem| self.findings.problems.push(problem))
                    .ok()?;
                let place = format!("{place}: contents of {path:?}");
                self.show(&setting.row, "");
                self.accept((setting.parse)(&secret), &place, None, &setting.row)
            }
            (None, _, _) | (Some(_), Origin::Environment(_), Origin::File(_)) => self.get(setting),
            (Some(_), _, _) => {
                let (text, file) = (self.texts.name(&setting.row), self.texts.name(&file.row));
                self.findings.problems.push(format!("{text} and {file} are both set: leave one out"));
                None
            }
        }
    }

    /// Makes a problem of a refused text: its place, what it got if that may be shown, what it takes.
    fn accept<T>(&mut self, parsed: Parsed<T>, place: &str, got: Option<&str>, row: &Row) -> Option<T> {
        let why = match parsed {
            Ok(value) => return Some(value),
            Err(Refused::Form) => None,
            Err(Refused::Because(why)) => Some(why),
        };
        let got = got.map(|text| format!("got {}", shortened(text)));
        let details: Vec<_> = [got, why].into_iter().flatten().collect();
        let details = if details.is_empty() { "not accepted".into() } else { details.join(": ") };
        self.findings.problems.push(format!("{place}: {details}; takes {}", row.takes));
        None
    }

    /// Makes a problem of a value that is good in itself.
    pub(super) fn refuse(&mut self, row: &'static Row, why: &str) {
        let (text, _) = self.texts.text(row);
        let name = self.texts.name(row);
        self.findings.problems.push(format!("{name}: got {}: {why}", shortened(text)));
    }

    /// Makes a warning.
    pub(super) fn warn(&mut self, warning: impl Into<String>) {
        self.findings.warnings.push(warning.into());
    }

    /// Reads what concerns the machine alone, and keeps apart what is odd about it.
    pub(super) fn of_machine<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let others = std::mem::take(&mut self.findings.warnings);
        let result = read(self);
        let warnings = std::mem::replace(&mut self.findings.warnings, others);
        self.findings.machine_warnings.extend(warnings);
        result
    }

    /// Shows what a setting came to, where its own text doesn't say.
    pub(super) fn show(&mut self, row: &'static Row, text: &str) {
        let settings = &mut self.findings.settings;
        match settings.iter_mut().find(|effective| std::ptr::eq(effective.row, row)) {
            Some(effective) => text.clone_into(&mut effective.text),
            None => settings.push(Effective {
                row,
                name: row.variable.into(),
                text: text.into(),
                origin: Origin::Default,
            }),
        }
    }
}

/// The secret in a file, less the newline that editors and `echo` end it with.
///
/// An empty file is a secret that went missing, not the wish for none.
fn read_secret(host: &dyn Host, place: &str, path: &Path) -> Result<Zeroizing<String>, String> {
    let bytes = host
        .read(path)
        .map(Zeroizing::new)
        .map_err(|error| format!("{place}: cannot read {path:?}: {error}"))?;
    let text = str::from_utf8(&bytes)
        .map_err(|_| format!("{place}: contents of {path:?}: they are not UTF-8 text"))?;
    let line = text.strip_suffix('\n').unwrap_or(text);
    match line.strip_suffix('\r').unwrap_or(line) {
        "" => Err(format!("{place}: {path:?} is empty")),
        secret => Ok(Zeroizing::new(secret.to_owned())),
    }
}

/// A text in quotes, escaped, and cut where it would fill the screen.
fn shortened(text: &str) -> String {
    const MAX: usize = 80;

    match text.char_indices().nth(MAX) {
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}
